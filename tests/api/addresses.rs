//! The address book: one default, at most twenty entries, and states and numbers in one spelling.

use agape::features::auth::Role;
use futures::future::join_all;
use serde_json::{Value, json};

use crate::support::{TestApp, address};

const AMA: &str = "ama@example.com";

/// The address of `support`, with some fields changed. `null` takes a field out.
fn address_with(fields: &Value) -> Value {
    let mut address = address();
    for (name, value) in fields.as_object().unwrap() {
        if value.is_null() {
            address.as_object_mut().unwrap().remove(name);
        } else {
            address[name] = value.clone();
        }
    }
    address
}

/// Adds an entry and gives it.
async fn add(shop: &TestApp, token: &str, label: &str, is_default: bool) -> Value {
    let body = json!({"label": label, "address": address(), "isDefault": is_default});
    shop.post("/addresses").token(token).json(&body).send().await.expect(201)["address"].clone()
}

/// The labels of a book in its order, the default marked by a star.
async fn book(shop: &TestApp, token: &str) -> Vec<String> {
    let data = shop.get("/addresses").token(token).send().await.expect(200);
    let name = |entry: &Value| {
        let star = if entry["isDefault"] == true { "*" } else { "" };
        format!("{}{star}", entry["label"].as_str().unwrap())
    };
    data["addresses"].as_array().unwrap().iter().map(name).collect()
}

fn path(entry: &Value) -> String {
    format!("/addresses/{}", entry["id"].as_str().unwrap())
}

const DEFAULTS: &str = "select count(*) from user_addresses where is_default";

/// The first entry is the default whatever it says; another takes the mark from it, and it is never nobody's.
#[tokio::test]
async fn one_entry_is_the_default() {
    let shop = TestApp::start().await;
    shop.get("/addresses").send().await.expect_error(401, "AUTHENTICATION_ERROR");
    let ama = shop.customer(AMA).await;
    assert!(book(&shop, &ama).await.is_empty());
    let home = add(&shop, &ama, "Home", false).await;
    assert_eq!((&home["isDefault"], &home["label"]), (&json!(true), &json!("Home")));
    let office = add(&shop, &ama, "Office", false).await;
    assert_eq!(book(&shop, &ama).await, ["Home*", "Office"]);
    add(&shop, &ama, "Aunt", true).await;
    assert_eq!(book(&shop, &ama).await, ["Aunt*", "Home", "Office"]);
    let change = |entry: &Value, body: Value| {
        let call = shop.patch(&path(entry)).token(&ama).json(&body);
        async move { call.send().await }
    };
    let changed = change(&office, json!({"isDefault": true})).await.expect(200)["address"].clone();
    assert_eq!((&changed["isDefault"], &changed["address"]), (&json!(true), &office["address"]));
    assert_eq!(book(&shop, &ama).await, ["Office*", "Home", "Aunt"]);
    // It can only be given to another entry.
    let refused = change(&office, json!({"label": "Work", "isDefault": false})).await;
    assert_eq!(refused.expect_error(400, "VALIDATION_ERROR"), ["isDefault"]);
    change(&home, json!({"isDefault": false})).await.expect(200);
    change(&office, json!({"isDefault": true})).await.expect(200);
    assert_eq!(book(&shop, &ama).await, ["Office*", "Home", "Aunt"]);
    assert_eq!(shop.database.count(DEFAULTS).await, 1);
    let second = "update user_addresses set is_default = true where label = 'Home'";
    assert!(sqlx::query(second).execute(&shop.database.pool).await.is_err(), "the database accepts two defaults");
}

/// Ten entries at once, each of which wants to be the default: one is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_ten_defaults_at_once_one_stays() {
    let shop = TestApp::start().await;
    let (ama, ben) = (shop.customer(AMA).await, shop.customer("ben@example.com").await);
    for (token, is_default) in [(&ama, true), (&ben, false)] {
        let body = json!({"label": "Home", "address": address(), "isDefault": is_default});
        for answer in join_all((0..10).map(|_| shop.post("/addresses").token(token).json(&body).send())).await {
            answer.expect(201);
        }
        let marked = book(&shop, token).await.iter().filter(|label| label.ends_with('*')).count();
        assert_eq!((marked, book(&shop, token).await.len()), (1, 10));
    }
    let entries = shop.get("/addresses").token(&ama).send().await.expect(200)["addresses"].clone();
    let wishes = entries.as_array().unwrap().iter().map(|entry| {
        let body = json!({"isDefault": true});
        shop.patch(&path(entry)).token(&ama).json(&body).send()
    });
    for answer in join_all(wishes).await {
        answer.expect(200);
    }
    assert_eq!(shop.database.count(DEFAULTS).await, 2, "one of each book");
}

/// Fields that are left out stay; the address changes as a whole.
#[tokio::test]
async fn an_entry_is_changed() {
    let shop = TestApp::start().await;
    let ama = shop.customer(AMA).await;
    let home = add(&shop, &ama, "Home", false).await;
    let change = |body: Value| {
        let call = shop.patch(&path(&home)).token(&ama).json(&body);
        async move { call.send().await }
    };
    let changed = change(json!({"label": " Mother "})).await.expect(200)["address"].clone();
    assert_eq!((&changed["label"], &changed["address"]), (&json!("Mother"), &home["address"]));
    assert_eq!((&changed["id"], &changed["createdAt"]), (&home["id"], &home["createdAt"]));
    assert_ne!(changed["updatedAt"], home["updatedAt"]);
    let moved = address_with(&json!({"city": "Enugu", "region": "enugu state", "phone": "0803 765 4321"}));
    let changed = change(json!({"address": moved})).await.expect(200)["address"].clone();
    assert_eq!(changed["label"], "Mother");
    let stored = &changed["address"];
    assert_eq!((&stored["region"], &stored["phone"]), (&json!("Enugu"), &json!("+2348037654321")));
    let kept = shop.get("/addresses").token(&ama).send().await.expect(200)["addresses"][0].clone();
    assert_eq!(kept, changed);
    let half = change(json!({"address": {"city": "Enugu"}})).await.expect_error(400, "VALIDATION_ERROR");
    for field in ["address.firstName", "address.phone", "address.region", "address.country"] {
        assert!(half.iter().any(|f| f == field), "{field} is missing in {half:?}");
    }
    let refused = change(json!({"address": address_with(&json!({"region": "Ashanti"}))})).await;
    assert_eq!(refused.expect_error(400, "VALIDATION_ERROR"), ["address.region"]);
    let kept = shop.get("/addresses").token(&ama).send().await.expect(200)["addresses"][0].clone();
    assert_eq!(kept, changed, "a refused change changes nothing");
}

/// Without its default the oldest entry of the book takes its place.
#[tokio::test]
async fn the_oldest_entry_follows_the_default() {
    let shop = TestApp::start().await;
    let ama = shop.customer(AMA).await;
    let mut entries = Vec::new();
    for label in ["One", "Two", "Three", "Four"] {
        entries.push(add(&shop, &ama, label, label == "Four").await);
    }
    let remove = |entry: &Value| {
        let call = shop.delete(&path(entry)).token(&ama);
        async move { call.send().await }
    };
    remove(&entries[3]).await.expect(200);
    assert_eq!(book(&shop, &ama).await, ["One*", "Two", "Three"]);
    remove(&entries[1]).await.expect(200);
    assert_eq!(book(&shop, &ama).await, ["One*", "Three"]);
    remove(&entries[0]).await.expect(200);
    assert_eq!(book(&shop, &ama).await, ["Three*"]);
    remove(&entries[0]).await.expect_error(404, "NOT_FOUND");
    remove(&entries[2]).await.expect(200);
    assert!(book(&shop, &ama).await.is_empty());
    add(&shop, &ama, "Anew", false).await;
    assert_eq!(book(&shop, &ama).await, ["Anew*"]);
}

/// A book has twenty entries, also when thirty come at once; a removed one makes room.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_book_has_at_most_twenty_entries() {
    let shop = TestApp::start().await;
    let ama = shop.customer(AMA).await;
    let body = json!({"label": "Home", "address": address()});
    let answers = join_all((0..30).map(|_| shop.post("/addresses").token(&ama).json(&body).send())).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 20);
    for answer in answers.iter().filter(|answer| answer.status != 201) {
        answer.expect_error(409, "CONFLICT");
    }
    assert_eq!(shop.database.count("select count(*) from user_addresses").await, 20);
    assert_eq!(shop.database.count(DEFAULTS).await, 1);
    let refused = shop.post("/addresses").token(&ama).json(&body).send().await;
    refused.expect_error(409, "CONFLICT");
    assert!(refused.body["message"].as_str().unwrap().contains("at most 20"), "{}", refused.text);
    // Another person's book is another book.
    let ben = shop.customer("ben@example.com").await;
    add(&shop, &ben, "Home", false).await;
    let entry = shop.get("/addresses").token(&ama).send().await.expect(200)["addresses"][0].clone();
    shop.delete(&path(&entry)).token(&ama).send().await.expect(200);
    add(&shop, &ama, "Home", false).await;
    shop.post("/addresses").token(&ama).json(&body).send().await.expect_error(409, "CONFLICT");
}

/// All wrong fields are named, by where they stand, and nothing is stored.
#[tokio::test]
async fn every_wrong_field_is_named() {
    let shop = TestApp::start().await;
    let ama = shop.customer(AMA).await;
    let create = |body: Value| {
        let call = shop.post("/addresses").token(&ama).json(&body);
        async move { call.send().await }
    };
    // What is wrong in any country.
    let wrong = address_with(&json!({"phone": "12", "firstName": "", "city": "x".repeat(101), "country": "Wakanda"}));
    let body = json!({"label": "x".repeat(41), "address": wrong, "isDefault": "yes"});
    let fields = create(body).await.expect_error(400, "VALIDATION_ERROR");
    for field in ["label", "address.phone", "address.firstName", "address.city", "address.country", "isDefault"] {
        assert!(fields.iter().any(|f| f == field), "{field} is missing in {fields:?}");
    }
    for label in ["", "  "] {
        let fields = create(json!({"label": label, "address": address()})).await.expect_error(400, "VALIDATION_ERROR");
        assert_eq!(fields, ["label"]);
    }
    // What is wrong in this country.
    let wrong = address_with(&json!({"phone": "0803 123", "region": "Atlantis"}));
    let fields = create(json!({"label": "Home", "address": wrong})).await.expect_error(400, "VALIDATION_ERROR");
    assert_eq!(fields, ["address.phone", "address.region"]);
    // What is no field.
    let body = json!({"label": "Home", "address": address_with(&json!({"zip": "100001"})), "default": true});
    let fields = create(body).await.expect_error(400, "VALIDATION_ERROR");
    assert!(fields.iter().any(|f| f == "address.zip") && fields.iter().any(|f| f == "default"), "{fields:?}");
    assert_eq!(shop.database.count("select count(*) from user_addresses").await, 0);
    let home = add(&shop, &ama, "Home", false).await;
    let refused = shop.patch(&path(&home)).token(&ama).json(&json!({"label": "A", "userId": AMA})).send().await;
    assert_eq!(refused.expect_error(400, "VALIDATION_ERROR"), ["userId"]);
    assert_eq!(book(&shop, &ama).await, ["Home*"]);
}

/// States of Nigeria and regions of Ghana are stored in one spelling. What is none is refused, with all there are.
#[tokio::test]
async fn a_region_is_one_of_its_country() {
    let shop = TestApp::start().await;
    let ama = shop.customer(AMA).await;
    let create = |country: &str, region: &str| {
        let phone = if country == "GH" || country == "Ghana" { "024 123 4567" } else { "0803 123 4567" };
        let address = address_with(&json!({"country": country, "region": region, "phone": phone}));
        let call = shop.post("/addresses").token(&ama).json(&json!({"label": "Home", "address": address}));
        async move { call.send().await }
    };
    for (country, region, code, name) in [
        ("NG", "Lagos", "NG", "Lagos"),
        ("NG", "Lagos State", "NG", "Lagos"),
        ("Nigeria", "AKWA-IBOM", "NG", "Akwa Ibom"),
        ("ng", "Abuja", "NG", "Federal Capital Territory"),
        ("NG", "FCT, Abuja", "NG", "Federal Capital Territory"),
        ("GH", "Accra", "GH", "Greater Accra"),
        ("Ghana", "ashanti region", "GH", "Ashanti"),
    ] {
        let stored = create(country, region).await.expect(201)["address"]["address"].clone();
        assert_eq!((&stored["country"], &stored["region"]), (&json!(code), &json!(name)), "{country} {region}");
    }
    for (country, region, words) in [
        ("NG", "Ashanti", ["must be a state of Nigeria", "Abia, Adamawa", "Zamfara"]),
        ("GH", "Lagos", ["must be a region of Ghana", "Ahafo, Ashanti", "Western North"]),
    ] {
        let refused = create(country, region).await;
        assert_eq!(refused.expect_error(400, "VALIDATION_ERROR"), ["address.region"]);
        let message = refused.body["details"][0]["message"].as_str().unwrap();
        for part in words {
            assert!(message.contains(part), "{part}: {message}");
        }
    }
}

/// A number as it is dialled in a country is stored with the calling code.
#[tokio::test]
async fn a_number_is_read_by_its_country() {
    let shop = TestApp::start().await;
    let ama = shop.customer(AMA).await;
    let create = |country: &str, region: &str, phone: &str| {
        let address = address_with(&json!({"country": country, "region": region, "phone": phone}));
        let call = shop.post("/addresses").token(&ama).json(&json!({"label": "Home", "address": address}));
        async move { call.send().await }
    };
    for (country, region, phone, number) in [
        ("NG", "Lagos", "0803 123 4567", "+2348031234567"),
        ("NG", "Lagos", "+234 (0) 803 123 4567", "+2348031234567"),
        ("GH", "Accra", "024 123 4567", "+233241234567"),
        ("GH", "Accra", "24-123-4567", "+233241234567"),
        ("KE", "Nairobi", "0712 345 678", "+254712345678"),
        ("ZA", "Gauteng", "082 123 4567", "+27821234567"),
        // A gift to Nairobi, with the number of whoever sends it.
        ("KE", "Nairobi", "+44 20 7946 0958", "+442079460958"),
    ] {
        let stored = create(country, region, phone).await.expect(201)["address"]["address"].clone();
        assert_eq!(stored["phone"], number, "{country} {phone}");
    }
    for (country, region, phone) in [("KE", "Nairobi", "071234567"), ("ZA", "Gauteng", "08212345678901")] {
        let fields = create(country, region, phone).await.expect_error(400, "VALIDATION_ERROR");
        assert_eq!(fields, ["address.phone"], "{country} {phone}");
    }
}

/// An entry goes into an order as it is, with what the courier looks out for.
#[tokio::test]
async fn an_order_takes_an_entry_as_it_is() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 9).await;
    let ama = shop.customer(AMA).await;
    let full = address_with(&json!({
        "region": "Lagos State", "phone": "0803 123 4567", "addressLine2": "Flat 4",
        "landmark": "opposite the blue water tank", "postalCode": "100001", "notes": "Ring twice",
    }));
    for address in [full, address()] {
        let body = json!({"label": "Home", "address": address});
        let entry = shop.post("/addresses").token(&ama).json(&body).send().await.expect(201)["address"].clone();
        let stored = &entry["address"];
        assert_eq!((&stored["region"], &stored["phone"]), (&json!("Lagos"), &json!("+2348031234567")));
        assert_eq!(stored["landmark"], address["landmark"]);
        let body = json!({"items": [{"variantId": product.variant, "quantity": 1}], "shippingAddress": stored});
        let order = shop.post("/orders").token(&ama).json(&body).send().await.expect(201)["order"].clone();
        assert_eq!(&order["shippingAddress"], stored);
    }
    // What is in the order stays when the book changes.
    let entries = shop.get("/addresses").token(&ama).send().await.expect(200)["addresses"].clone();
    for entry in entries.as_array().unwrap() {
        shop.delete(&path(entry)).token(&ama).send().await.expect(200);
    }
    let kept = "select count(*) from orders where shipping_address->>'landmark' = 'opposite the blue water tank'";
    assert_eq!(shop.database.count(kept).await, 1);
}

/// Another person's entry is not there, neither to be changed nor to be removed.
#[tokio::test]
async fn a_book_is_its_owners() {
    let shop = TestApp::start().await;
    let (ama, ben) = (shop.customer(AMA).await, shop.customer("ben@example.com").await);
    let home = add(&shop, &ama, "Home", false).await;
    assert!(book(&shop, &ben).await.is_empty());
    let change = json!({"label": "Mine", "isDefault": true});
    shop.patch(&path(&home)).token(&ben).json(&change).send().await.expect_error(404, "NOT_FOUND");
    shop.delete(&path(&home)).token(&ben).send().await.expect_error(404, "NOT_FOUND");
    shop.delete("/addresses/nonsense").token(&ama).send().await.expect_error(400, "VALIDATION_ERROR");
    let unknown = format!("/addresses/{}", uuid::Uuid::now_v7());
    shop.delete(&unknown).token(&ama).send().await.expect_error(404, "NOT_FOUND");
    assert_eq!(book(&shop, &ama).await, ["Home*"]);
}
