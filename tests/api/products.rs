//! Products and their variants as staff keep them: every field, versions, slugs, many at once.

use std::collections::BTreeSet;

use agape::features::auth::Role;
use chrono::TimeDelta;
use futures::future::join_all;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

use crate::lists::{many, skus};
use crate::support::{Answer, TestApp, address};

async fn create(shop: &TestApp, staff: &str, body: &Value) -> Value {
    shop.post("/products").token(staff).json(body).send().await.expect(201)["product"].clone()
}

/// A product with only what is required.
async fn plain(shop: &TestApp, staff: &str, sku: &str, title: &str, price: i64) -> Value {
    create(shop, staff, &json!({"sku": sku, "title": title, "price": price})).await
}

fn path(product: &Value) -> String {
    format!("/products/{}", product["id"].as_str().unwrap())
}

async fn patch(shop: &TestApp, staff: &str, product: &Value, body: Value) -> Answer {
    shop.patch(&path(product)).token(staff).json(&body).send().await
}

fn size(value: &str) -> Value {
    json!([{"name": "Size", "value": value}])
}

/// A product in the sizes S and M.
async fn sized(shop: &TestApp, staff: &str, sku: &str) -> Value {
    let variants = json!([
        {"sku": format!("{sku}-S"), "options": size("S"), "inventory": 3},
        {"sku": format!("{sku}-M"), "options": size("M"), "price": 150, "inventory": 4},
    ]);
    create(shop, staff, &json!({"sku": sku, "title": format!("Sized {sku}"), "price": 100, "variants": variants})).await
}

/// PATCH takes every field that POST takes, `null` empties what may be empty, and each answer is what is read later.
#[tokio::test]
async fn every_field_of_a_product_can_be_changed() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let category = shop.post("/categories").token(&admin).json(&json!({"name": "Kente"})).send().await.expect(201);
    let product = plain(&shop, &admin, "P", "Plain", 10).await;
    let change = json!({
        "version": 1, "sku": "K", "title": "Kente", "slug": "royal-kente", "shortDescription": "s", "description": "d",
        "fullStory": "f", "price": 90, "compareAtPrice": 100.5, "categoryId": category["category"]["id"], "vendor": "Bonwire",
        "tags": ["a", "b"], "weight": 700, "dimensions": {"width": 45, "length": 6, "unit": "yards"}, "weaveOrigin": "w",
        "careInstructions": "c", "dispatchTime": "t", "isFeatured": true, "isLimited": true, "isActive": false,
        "metadata": {"loom": 7},
    });
    let changed = patch(&shop, &admin, &product, change.clone()).await.expect(200)["product"].clone();
    for (field, value) in change.as_object().unwrap().iter().filter(|(field, _)| *field != "version") {
        match field.as_str() {
            "dimensions" => assert_eq!(changed[field], json!({"width": 45.0, "length": 6.0, "unit": "yards"})),
            _ => assert_eq!(changed[field], *value, "{field}"),
        }
    }
    let only = &changed["variants"][0];
    assert_eq!((&only["sku"], &only["price"], &only["compareAtPrice"]), (&json!("K"), &json!(90), &json!(100.5)));
    let staff =
        shop.get(&format!("/admin{}", path(&product))).token(&admin).send().await.expect(200)["product"].clone();
    assert_eq!(
        (&staff["status"], &staff["metadata"], &staff["version"]),
        (&json!("inactive"), &json!({"loom": 7}), &json!(2))
    );

    let emptied = json!({
        "version": 2, "compareAtPrice": null, "categoryId": null, "vendor": null, "weight": null, "dimensions": null,
        "metadata": null, "isActive": true,
    });
    let changed = patch(&shop, &admin, &product, emptied).await.expect(200)["product"].clone();
    for field in ["compareAtPrice", "categoryId", "category", "vendor", "weight"] {
        assert_eq!(changed[field], Value::Null, "{field}");
    }
    assert_eq!((&changed["dimensions"], &changed["metadata"]), (&json!({"unit": "inches"}), &json!({})));
    assert!(changed["variants"][0].get("compareAtPrice").is_none());
    assert_eq!(shop.get("/products/royal-kente").send().await.expect(200)["product"], changed);

    let required = ["sku", "title", "slug", "description", "price", "tags", "isActive", "weaveOrigin"];
    let nulls: Value = required.iter().map(|field| ((*field).to_owned(), Value::Null)).collect();
    let mut fields = patch(&shop, &admin, &product, nulls).await.expect_error(400, "VALIDATION_ERROR");
    fields.sort();
    let mut expected = [&required[..], &["version"]].concat();
    expected.sort_unstable();
    assert_eq!(fields, expected);
}

/// What creating refuses, changing refuses too.
#[tokio::test]
async fn changes_obey_the_rules_of_creating() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = plain(&shop, &admin, "P", "Plain", 10).await;
    for (wrong, field) in [
        (json!({"weight": -1}), "weight"),
        (json!({"weight": 2_000_000_000}), "weight"),
        (json!({"dimensions": {"width": -1, "unit": "yards"}}), "dimensions"),
        (json!({"dimensions": {"width": 1}}), "dimensions.unit"),
        (json!({"metadata": []}), "metadata"),
        (json!({"metadata": {"long": "x".repeat(20_000)}}), "metadata"),
        (json!({"price": 10, "compareAtPrice": 10}), "compareAtPrice"),
        (json!({"slug": "Not A Slug"}), "slug"),
        (json!({"slug": "search"}), "slug"),
        (json!({"slug": "01900000-0000-7000-8000-000000000001"}), "slug"),
        (json!({"slug": "01900000000070008000000000000001"}), "slug"),
        (json!({"title": "\u{202e}etneK"}), "title"),
        (json!({"title": "Kente\u{2066}"}), "title"),
        (json!({"vendor": "a\tb"}), "vendor"),
        (json!({"slug": ""}), "slug"),
        (json!({"shortDescription": "x".repeat(1_001)}), "shortDescription"),
        (json!({"tags": vec!["x"; 101]}), "tags"),
        (json!({"vendor": ""}), "vendor"),
        (json!({"categoryId": "00000000-0000-7000-8000-000000000000"}), "categoryId"),
        (json!({"rating": 5}), "rating"),
        (json!({"currency": "GHS"}), "currency"),
    ] {
        let mut body = json!({"version": 1});
        body.as_object_mut().unwrap().extend(wrong.as_object().unwrap().clone());
        let answer = patch(&shop, &admin, &product, body).await;
        assert_eq!(answer.expect_error(400, "VALIDATION_ERROR"), [field], "{wrong}");
    }
    // All faults at once.
    let body = json!({"version": 1, "weight": -1, "metadata": 1, "slug": "A", "title": "a\nb", "description": 5});
    let mut fields = patch(&shop, &admin, &product, body).await.expect_error(400, "VALIDATION_ERROR");
    fields.sort();
    assert_eq!(fields, ["description", "metadata", "slug", "title", "weight"]);
    let body =
        json!({"sku": "", "weight": -1, "inventory": 2_000_000, "shortDescription": "x".repeat(1_001), "colour": 1});
    let mut fields =
        shop.post("/products").token(&admin).json(&body).send().await.expect_error(400, "VALIDATION_ERROR");
    fields.sort();
    assert_eq!(fields, ["colour", "inventory", "price", "shortDescription", "sku", "title", "weight"]);
    for sql in
        ["update products set compare_at_minor = price_minor", "update variants set compare_at_minor = price_minor - 1"]
    {
        assert!(sqlx::query(sql).execute(&shop.database.pool).await.is_err(), "the database accepted: {sql}");
    }
    assert_eq!(shop.get(&path(&product)).send().await.expect(200)["product"], product);
}

/// Staff find products of every status, by title, by the beginning of any sku and by category, page by page.
#[tokio::test]
async fn staff_list_products_of_every_status() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let merchant = shop.staff(Role::Merchant).await;
    let top = shop.post("/categories").token(&admin).json(&json!({"name": "Cloth"})).send().await.expect(201);
    let top = top["category"]["id"].clone();
    let below = shop.post("/categories").token(&admin).json(&json!({"name": "Kente", "parentId": top})).send().await;
    let below = below.expect(201)["category"]["id"].clone();
    for (i, (sku, title)) in
        [("A-1", "Àdìrẹ 100%"), ("B_2", "Kente"), ("C-3", "Lace"), ("D-4", "Brocade")].iter().enumerate()
    {
        shop.app.clock.advance(TimeDelta::seconds(1));
        let category = [&top, &below, &Value::Null, &Value::Null][i];
        let active = i != 2;
        create(
            &shop,
            &merchant,
            &json!({"sku": sku, "title": title, "price": 5, "isActive": active, "categoryId": category}),
        )
        .await;
    }
    let sized = sized(&shop, &admin, "E-5").await;
    shop.delete(&path(&sized)).token(&admin).send().await.expect(200);
    let found = async |query: &str| -> Vec<String> {
        let answer = shop.get(&format!("/admin/products?{query}")).token(&merchant).send().await;
        let products = answer.body["data"]["products"].as_array().unwrap_or_else(|| panic!("{}", answer.text)).clone();
        assert_eq!(answer.body["pagination"]["total"], products.len(), "{query}");
        products.iter().map(|product| product["sku"].as_str().unwrap().to_owned()).collect()
    };
    let cloth = format!("category={}", top.as_str().unwrap());
    for (query, expected) in [
        ("", &["E-5", "D-4", "C-3", "B_2", "A-1"][..]),
        ("status=&search=&category=", &["E-5", "D-4", "C-3", "B_2", "A-1"]),
        ("status=active", &["D-4", "B_2", "A-1"]),
        ("status=inactive", &["C-3"]),
        ("status=archived", &["E-5"]),
        ("search=adire", &["A-1"]),
        ("search=ROCAD", &["D-4"]),
        ("search=100%25", &["A-1"]),
        ("search=b_2", &["B_2"]),
        ("search=__2", &[]),
        ("search=e-5-m", &["E-5"]),
        ("search=c-", &["C-3"]),
        ("search=-4", &[]),
        ("category=cloth", &["B_2", "A-1"]),
        (&cloth, &["B_2", "A-1"]),
        ("category=kente&status=active&search=ken", &["B_2"]),
        ("category=nothing", &[]),
    ] {
        assert_eq!(found(query).await, expected, "{query}");
    }
    let answer = shop.get("/admin/products?limit=2&page=2").token(&admin).send().await;
    let next = answer.body["data"]["products"][1]["id"].clone();
    let pagination = json!({"page": 2, "limit": 2, "total": 5, "totalPages": 3, "nextCursor": next});
    assert_eq!(answer.body["pagination"], pagination);
    assert_eq!(answer.body["data"]["products"][0]["sku"], "C-3");
    for (query, field) in [("status=gone", "status"), ("page=0", "page")] {
        let answer = shop.get(&format!("/admin/products?{query}")).token(&admin).send().await;
        assert_eq!(answer.expect_error(400, "VALIDATION_ERROR"), [field]);
    }
    let answer = shop.get(&format!("/admin/products?search={}", "x".repeat(101))).token(&admin).send().await;
    assert_eq!(answer.expect_error(400, "VALIDATION_ERROR"), ["search"]);
    let archived =
        shop.get(&format!("/admin{}", path(&sized))).token(&admin).send().await.expect(200)["product"].clone();
    assert_eq!((&archived["status"], archived["archivedAt"].is_string()), (&json!("archived"), true));
    assert_eq!(archived["variants"].as_array().unwrap().len(), 2);
    let nobody = "/admin/products/00000000-0000-7000-8000-000000000000";
    shop.get(nobody).token(&admin).send().await.expect_error(404, "NOT_FOUND");
}

/// A removed product comes back as it was, hidden; a stale removal is refused.
#[tokio::test]
async fn a_removed_product_can_be_restored() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = sized(&shop, &admin, "P").await;
    let place = path(&product);
    let restore = || shop.post(&format!("{place}/restore")).token(&admin).send();
    restore().await.expect_error(409, "CONFLICT");
    shop.delete(&format!("{place}?version=2")).token(&admin).send().await.expect_error(409, "CONFLICT");
    let answer = shop.delete(&format!("{place}?version=x")).token(&admin).send().await;
    assert_eq!(answer.expect_error(400, "VALIDATION_ERROR"), ["version"]);
    shop.get(&place).send().await.expect(200);
    shop.delete(&format!("{place}?version=1")).token(&admin).send().await.expect(200);
    shop.get(&place).send().await.expect_error(404, "NOT_FOUND");
    let restored = restore().await.expect(200)["product"].clone();
    assert_eq!((&restored["isActive"], &restored["version"]), (&json!(false), &json!(3)));
    assert_eq!(restored["variants"], product["variants"]);
    shop.get(&place).send().await.expect_error(404, "NOT_FOUND");
    patch(&shop, &admin, &product, json!({"version": 3, "isActive": true})).await.expect(200);
    shop.get(&place).send().await.expect(200);
    let nobody = "/products/00000000-0000-7000-8000-000000000000/restore";
    shop.post(nobody).token(&admin).send().await.expect_error(404, "NOT_FOUND");
}

/// Links with an old slug lead to the new one, until another product takes it or its own takes it back.
#[tokio::test]
async fn old_slugs_lead_to_the_new_one() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = plain(&shop, &admin, "P", "Kente", 10).await;
    let rename = async |version: i32, slug: &str| {
        patch(&shop, &admin, &product, json!({"version": version, "slug": slug})).await.expect(200);
    };
    let leads = async |slug: &str| {
        let answer = shop.get(&format!("/products/{slug}")).send().await;
        match answer.status {
            308 => answer.header("location").unwrap().rsplit('/').next().unwrap().to_owned(),
            200 => answer.body["data"]["product"]["sku"].as_str().unwrap().to_owned(),
            status => status.to_string(),
        }
    };
    shop.get("/products/kente").send().await.expect(200);
    rename(1, "kente-royal").await;
    assert_eq!(leads("kente").await, "kente-royal");
    rename(2, "kente-gold").await;
    for old in ["kente", "kente-royal"] {
        assert_eq!(leads(old).await, "kente-gold", "{old}: in one step");
    }
    let location = shop.get("/products/kente").send().await.header("location").unwrap();
    assert_eq!(location, "/api/v1/products/kente-gold");
    assert_eq!(leads("kente-gold").await, "P");
    // Its own old one, back.
    rename(3, "kente").await;
    assert_eq!((leads("kente").await, leads("kente-gold").await), ("P".into(), "kente".into()));
    // Another product takes an old one, as it is free.
    let body = json!({"sku": "Q", "title": "Other", "slug": "kente-gold", "price": 1});
    create(&shop, &admin, &body).await;
    assert_eq!((leads("kente-gold").await, leads("kente-royal").await), ("Q".into(), "kente".into()));
    // What is not for sale is not led to.
    patch(&shop, &admin, &product, json!({"version": 4, "isActive": false})).await.expect(200);
    assert_eq!(leads("kente-royal").await, "404");
    assert_eq!(leads("no-such-slug").await, "404");
    let answer = patch(&shop, &admin, &product, json!({"version": 5, "slug": "kente-gold"})).await;
    assert_eq!(answer.expect_error(409, "CONFLICT"), ["slug"]);
}

/// A slug that is made gets a number where it is taken, also when many ask at once; one that is chosen is refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn made_slugs_get_numbers() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let bodies: Vec<_> = (0..8).map(|i| json!({"sku": format!("S{i}"), "title": "Àdìrẹ cloth", "price": 1})).collect();
    let answers = join_all(bodies.iter().map(|body| shop.post("/products").token(&admin).json(body).send())).await;
    let mut slugs: Vec<_> =
        answers.into_iter().map(|answer| answer.expect(201)["product"]["slug"].as_str().unwrap().to_owned()).collect();
    slugs.sort();
    let mut expected = vec!["adire-cloth".to_owned()];
    expected.extend((2..=8).map(|i| format!("adire-cloth-{i}")));
    assert_eq!(slugs, expected);
    let body = json!({"sku": "X", "title": "X", "slug": "adire-cloth", "price": 1});
    let answer = shop.post("/products").token(&admin).json(&body).send().await;
    assert_eq!(answer.expect_error(409, "CONFLICT"), ["slug"]);
    // One that somebody chose is not run into, and a word that the API needs is not taken.
    let body = json!({"sku": "C", "title": "C", "slug": "lace-2", "price": 1});
    create(&shop, &admin, &body).await;
    for (sku, title, slug) in [
        ("L1", "Lace", "lace".to_owned()),
        ("L2", "Lace", "lace-3".to_owned()),
        ("SE", "Search!", "search-2".to_owned()),
        ("LO", &"long ".repeat(40), "long-".repeat(24).trim_end_matches('-').to_owned()),
        ("LP", &"long ".repeat(40), format!("{}-2", "long-".repeat(22) + "lo")),
    ] {
        let title: String = title.chars().take(200).collect();
        assert_eq!(plain(&shop, &admin, sku, &title, 1).await["slug"], slug);
    }
    // Somebody who chooses and somebody who leaves it to us, at once: both are served, or the one who chose is refused.
    for round in 0..4 {
        let chosen = json!({"sku": format!("CH{round}"), "title": "c", "slug": format!("race-{round}"), "price": 1});
        let made = json!({"sku": format!("MA{round}"), "title": format!("Race {round}"), "price": 1});
        let calls = [&chosen, &made].map(|body| shop.post("/products").token(&admin).json(body).send());
        let answers = join_all(calls).await;
        assert!(matches!(answers[0].status, 201 | 409), "{}", answers[0].text);
        assert_eq!(answers[1].status, 201, "{}", answers[1].text);
    }
}

/// Every word that the API's addresses need is kept from slugs.
#[test]
fn no_slug_hides_behind_a_route() {
    let document: Value = serde_json::from_str(&agape::openapi::json().unwrap()).unwrap();
    let words = |prefix: &str| -> Vec<String> {
        let paths = document["paths"].as_object().unwrap().keys();
        let rest = paths.filter_map(|path| path.strip_prefix(prefix));
        rest.filter(|rest| !rest.starts_with('{') && !rest.contains('/')).map(str::to_owned).collect()
    };
    assert_eq!(words("/api/v1/products/"), ["search", "suggestions"], "add it to RESERVED_PRODUCTS in rules.rs");
    assert_eq!(words("/api/v1/categories/"), ["order"], "add it to RESERVED_CATEGORIES in rules.rs");
}

/// A repeated request with the same key gets the same answer and makes nothing twice.
#[tokio::test]
async fn a_repeated_request_creates_once() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let merchant = shop.staff(Role::Merchant).await;
    let send = async |staff: &str, path: &str, body: &Value| {
        shop.post(path).token(staff).header("idempotency-key", "key-1").json(body).send().await
    };
    let body = json!({"sku": "P", "title": "P", "price": 10});
    let first = send(&admin, "/products", &body).await;
    let again = send(&admin, "/products", &body).await;
    assert_eq!((first.status, again.status, &first.text), (201, 201, &again.text));
    assert_eq!(again.header("idempotency-replayed").as_deref(), Some("true"));
    assert_eq!(first.header("idempotency-replayed"), None);
    let other = json!({"sku": "Q", "title": "P", "price": 10});
    assert_eq!(send(&admin, "/products", &other).await.status, 422);
    // Another person's key is another key.
    assert_eq!(send(&merchant, "/products", &body).await.expect_error(409, "CONFLICT"), ["sku"]);
    assert_eq!(shop.database.count("select count(*) from products").await, 1);
    // What was refused has not used the key.
    let mended = json!({"sku": "M", "title": "P", "price": 0});
    send(&merchant, "/products", &mended).await.expect(201);

    let id = first.body["data"]["product"]["id"].clone();
    let bulk = json!({"action": "adjustPrice", "basisPoints": 1000, "ids": [id]});
    let first = send(&admin, "/admin/products/bulk", &bulk).await;
    assert_eq!(send(&admin, "/admin/products/bulk", &bulk).await.text, first.text);
    assert_eq!(shop.database.count("select max(price_minor) from products").await, 1_100);

    let one = sized(&shop, &admin, "V").await;
    let two = sized(&shop, &admin, "W").await;
    let body = json!({"version": 1, "sku": "V-L", "options": size("L")});
    let variants = |product: &Value| format!("{}/variants", path(product));
    let first = send(&admin, &variants(&one), &body).await;
    assert_eq!((first.status, send(&admin, &variants(&one), &body).await.text), (201, first.text));
    // The same words about another product are another request.
    assert_eq!(send(&admin, &variants(&two), &body).await.status, 422);
    let name = json!({"name": "Kente"});
    let first = send(&admin, "/categories", &name).await;
    assert_eq!((first.status, send(&admin, "/categories", &name).await.text), (201, first.text));
    assert_eq!(shop.database.count("select count(*) from categories").await, 1);
    assert_eq!(shop.database.count("select count(*) from audit_log where action like '%.create'").await, 5);
}

/// Variants are added, changed, put in order and removed; each time the product gets its next version.
#[tokio::test]
async fn variants_are_kept_one_by_one() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = sized(&shop, &admin, "P").await;
    let place = path(&product);
    let ids = |product: &Value| -> Vec<String> {
        product["variants"].as_array().unwrap().iter().map(|v| v["id"].as_str().unwrap().to_owned()).collect()
    };
    let body = json!({
        "version": 1, "sku": "P-L", "options": [{"name": " Size ", "value": " L "}], "price": 120, "compareAtPrice": 130,
        "barcode": "6151234567890", "weight": 400, "image": "/media/l.png", "inventory": 5,
    });
    let added =
        shop.post(&format!("{place}/variants")).token(&admin).json(&body).send().await.expect(201)["product"].clone();
    assert_eq!((&added["version"], &added["inventory"]), (&json!(2), &json!(12)));
    let variant = &added["variants"][2];
    for (field, value) in [
        ("sku", json!("P-L")),
        ("options", size("L")),
        ("price", json!(120)),
        ("priceModifier", json!(20)),
        ("compareAtPrice", json!(130)),
        ("barcode", json!("6151234567890")),
        ("weight", json!(400)),
        ("image", json!(format!("{}/media/l.png", shop.url))),
        ("inventory", json!(5)),
    ] {
        assert_eq!(variant[field], value, "{field}");
    }
    // Shoppers are not told what is for the warehouse.
    let shown = shop.get(&place).send().await.expect(200)["product"]["variants"][2].clone();
    assert!(shown.get("barcode").is_none() && shown.get("weight").is_none(), "{shown}");
    let large = format!("{place}/variants/{}", ids(&added)[2]);
    let change = json!({"version": 2, "sku": "P-XL", "options": size("XL"), "price": 125, "compareAtPrice": null,
                        "barcode": null, "weight": null, "image": null});
    let changed = shop.patch(&large).token(&admin).json(&change).send().await.expect(200)["product"].clone();
    let variant = &changed["variants"][2];
    assert_eq!((&variant["sku"], &variant["name"], &variant["price"]), (&json!("P-XL"), &json!("XL"), &json!(125)));
    for field in ["compareAtPrice", "barcode", "weight", "image"] {
        assert!(variant.get(field).is_none(), "{field}");
    }
    let mut order = ids(&changed);
    order.reverse();
    let sort = json!({"version": 3, "ids": order});
    let sorted = shop.put(&format!("{place}/variants/order")).token(&admin).json(&sort).send().await.expect(200);
    assert_eq!((&ids(&sorted["product"]), &sorted["product"]["version"]), (&order, &json!(4)));
    let removed = shop.delete(&format!("{large}?version=4")).token(&admin).send().await.expect(200)["product"].clone();
    assert_eq!(
        (ids(&removed), &removed["version"], &removed["inventory"]),
        (order[1..].to_vec(), &json!(5), &json!(7))
    );
    assert_eq!(shop.get(&place).send().await.expect(200)["product"]["variants"], removed["variants"]);
    shop.patch(&large).token(&admin).json(&json!({"version": 5})).send().await.expect_error(404, "NOT_FOUND");

    // Its sku brings it back with its stock, as what it is now.
    let back = json!({"version": 5, "sku": "P-XL", "options": size("XXL"), "inventory": 9});
    let answer = shop.post(&format!("{place}/variants")).token(&admin).json(&back).send().await;
    assert_eq!(answer.expect_error(400, "VALIDATION_ERROR"), ["inventory"]);
    let back = json!({"version": 5, "sku": "P-XL", "options": size("XXL")});
    let back =
        shop.post(&format!("{place}/variants")).token(&admin).json(&back).send().await.expect(201)["product"].clone();
    let variant = &back["variants"][2];
    assert_eq!((&variant["id"], &variant["inventory"], &variant["price"]), (&json!(order[0]), &json!(5), &json!(100)));
    crate::concurrency::assert_ledger(&shop).await;
}

/// What a variant must not be is refused by name, and changes nothing.
#[tokio::test]
async fn impossible_variants_are_refused() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = sized(&shop, &admin, "P").await;
    let other = sized(&shop, &admin, "Q").await;
    let place = format!("{}/variants", path(&product));
    let add = async |body: Value| shop.post(&place).token(&admin).json(&body).send().await;
    let both = json!([{"name": "Size", "value": "L"}, {"name": "Colour", "value": "Red"}]);
    for (wrong, field) in [
        (json!({"options": []}), "options"),
        (json!({"options": [{"name": "Colour", "value": "Red"}]}), "options"),
        (json!({"options": [{"name": "size", "value": "L"}]}), "options"),
        (json!({"options": both}), "options"),
        (json!({"options": [{"name": "Size", "value": " "}]}), "options"),
        (json!({"price": -1}), "price"),
        (json!({"price": 5, "compareAtPrice": 5}), "compareAtPrice"),
        (json!({"weight": -1}), "weight"),
        (json!({"inventory": -1}), "inventory"),
        (json!({"inventory": 1_000_001}), "inventory"),
        (json!({"image": "ftp://example.com/a.png"}), "image"),
        (json!({"barcode": "x".repeat(65)}), "barcode"),
        (json!({"sku": ""}), "sku"),
        (json!({"colour": "Red"}), "colour"),
    ] {
        let mut body = json!({"version": 1, "sku": "P-L", "options": size("L")});
        body.as_object_mut().unwrap().extend(wrong.as_object().unwrap().clone());
        assert_eq!(add(body).await.expect_error(400, "VALIDATION_ERROR"), [field], "{wrong}");
    }
    for (body, field) in [
        (json!({"version": 1, "sku": "P-X", "options": size("S")}), "options"),
        (json!({"version": 1, "sku": "P-S", "options": size("L")}), "sku"),
        (json!({"version": 1, "sku": "Q-S", "options": size("L")}), "sku"),
        (json!({"version": 1, "sku": "P-L", "options": size("L"), "compareAtPrice": 100}), "compareAtPrice"),
    ] {
        assert_eq!(add(body.clone()).await.expect_error(409, "CONFLICT"), [field], "{body}");
    }
    let stale = add(json!({"version": 2, "sku": "P-L", "options": size("L")})).await;
    assert!(stale.expect_error(409, "CONFLICT").is_empty());
    let ids: Vec<_> = product["variants"].as_array().unwrap().iter().map(|v| v["id"].as_str().unwrap()).collect();
    let foreign = other["variants"][0]["id"].as_str().unwrap();
    let small = format!("{place}/{}", ids[0]);
    let change = async |body: Value| shop.patch(&small).token(&admin).json(&body).send().await;
    for (body, status, field) in [
        (json!({"version": 1, "options": size("M")}), 409, "options"),
        (json!({"version": 1, "sku": "P-M"}), 409, "sku"),
        (json!({"version": 1, "price": 160, "compareAtPrice": 160}), 400, "compareAtPrice"),
        (json!({"version": 1, "compareAtPrice": 100}), 409, "compareAtPrice"),
        (json!({"version": 1, "options": []}), 400, "options"),
        (json!({"version": 1, "options": [{"name": "Colour", "value": "Red"}]}), 400, "options"),
        (json!({"version": 1, "sku": null}), 400, "sku"),
        (json!({"version": 1, "inventory": 5}), 400, "inventory"),
    ] {
        let code = if status == 409 { "CONFLICT" } else { "VALIDATION_ERROR" };
        assert_eq!(change(body.clone()).await.expect_error(status, code), [field], "{body}");
    }
    shop.patch(&format!("{place}/{foreign}"))
        .token(&admin)
        .json(&json!({"version": 1}))
        .send()
        .await
        .expect_error(404, "NOT_FOUND");
    shop.delete(&format!("{place}/{foreign}?version=1")).token(&admin).send().await.expect_error(404, "NOT_FOUND");
    let answer = shop.delete(&small).token(&admin).send().await;
    assert_eq!(answer.expect_error(400, "VALIDATION_ERROR"), ["version"]);
    for wrong in [
        json!([]),
        json!([ids[0]]),
        json!([ids[0], ids[0]]),
        json!([ids[0], foreign]),
        json!([ids[0], ids[1], foreign]),
    ] {
        let body = json!({"version": 1, "ids": wrong});
        let answer = shop.put(&format!("{place}/order")).token(&admin).json(&body).send().await;
        assert_eq!(answer.expect_error(400, "VALIDATION_ERROR"), ["ids"], "{wrong}");
    }
    assert_eq!(shop.get(&path(&product)).send().await.expect(200)["product"], product, "nothing was changed");
    let deeds = "select count(*) from audit_log where action <> 'product.create' and entity = 'product'";
    assert_eq!(shop.database.count(deeds).await, 0);
}

/// A product without options is its only variant. It gets options by giving them to that one, which keeps its stock, and
/// loses them when it is the only one again.
#[tokio::test]
async fn a_product_gets_and_loses_options() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let body = json!({"sku": "P", "title": "P", "price": 100, "compareAtPrice": 150, "inventory": 8});
    let product = create(&shop, &admin, &body).await;
    let place = format!("{}/variants", path(&product));
    let only = product["variants"][0]["id"].as_str().unwrap();
    let answer =
        shop.post(&place).token(&admin).json(&json!({"version": 1, "sku": "P-L", "options": size("L")})).send().await;
    assert_eq!(answer.expect_error(409, "CONFLICT"), ["options"]);
    assert!(answer.text.contains("PATCH"), "{}", answer.text);
    shop.delete(&format!("{place}/{only}?version=1")).token(&admin).send().await.expect_error(409, "CONFLICT");
    let change = async |body: Value| shop.patch(&format!("{place}/{only}")).token(&admin).json(&body).send().await;
    let fields = change(json!({"version": 1, "price": 90, "sku": "X", "compareAtPrice": null})).await;
    assert_eq!(fields.expect_error(400, "VALIDATION_ERROR"), ["sku", "price", "compareAtPrice"]);
    change(json!({"version": 1, "barcode": "615"})).await.expect(200);
    let changed = change(json!({"version": 2, "options": size("S"), "sku": "P-S", "price": 110})).await.expect(200);
    let variant = &changed["product"]["variants"][0];
    assert_eq!((&variant["id"], &variant["inventory"], &variant["barcode"]), (&json!(only), &json!(8), &json!("615")));
    assert_eq!((&variant["sku"], &variant["price"], &variant["name"]), (&json!("P-S"), &json!(110), &json!("S")));
    shop.post(&place)
        .token(&admin)
        .json(&json!({"version": 3, "sku": "P-L", "options": size("L")}))
        .send()
        .await
        .expect(201);
    assert_eq!(change(json!({"version": 4, "options": []})).await.expect_error(400, "VALIDATION_ERROR"), ["options"]);
    let product = shop.get(&path(&product)).send().await.expect(200)["product"].clone();
    let large = product["variants"][1]["id"].as_str().unwrap();
    shop.delete(&format!("{place}/{large}?version=4")).token(&admin).send().await.expect(200);
    // The only one may have other options, and none.
    change(json!({"version": 5, "options": [{"name": "Colour", "value": "Red"}]})).await.expect(200);
    let changed = change(json!({"version": 6, "options": []})).await.expect(200);
    let variant = &changed["product"]["variants"][0];
    assert_eq!(
        (&variant["sku"], &variant["price"], &variant["compareAtPrice"]),
        (&json!("P"), &json!(100), &json!(150))
    );
    shop.delete(&format!("{place}/{only}?version=7")).token(&admin).send().await.expect_error(409, "CONFLICT");
}

/// Of two who add or change at once, one is told to look again; two who remove the last two variants leave one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_of_variants_take_turns() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let mut statuses = Vec::new();
    for round in 0..4 {
        let product = sized(&shop, &admin, &format!("P{round}")).await;
        let ids: Vec<_> = product["variants"].as_array().unwrap().iter().map(|v| v["id"].as_str().unwrap()).collect();
        let place = format!("{}/variants", path(&product));
        let calls = ids.iter().map(|id| shop.delete(&format!("{place}/{id}?version=1")).token(&admin).send());
        let mut both: Vec<_> = join_all(calls).await.iter().map(|answer| answer.status).collect();
        both.sort_unstable();
        statuses.push(both);
        let left = shop.get(&path(&product)).send().await.expect(200)["product"]["variants"].as_array().unwrap().len();
        assert_eq!(left, 1);
    }
    assert!(statuses.iter().all(|both| *both == [200, 409]), "{statuses:?}");
    let product = sized(&shop, &admin, "Q").await;
    let bodies: Vec<_> =
        (0..6).map(|i| json!({"version": 1, "sku": format!("Q{i}"), "options": size(&i.to_string())})).collect();
    let place = format!("{}/variants", path(&product));
    let answers = join_all(bodies.iter().map(|body| shop.post(&place).token(&admin).json(body).send())).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
    assert!(answers.iter().all(|answer| matches!(answer.status, 201 | 409)), "{answers:?}");
}

/// An order that was placed keeps the variant that is removed meanwhile: it is paid, and its stock is sold.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_variant_is_fulfilled_where_it_was_ordered() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let ama = shop.customer("ama@example.com").await;
    let product = sized(&shop, &admin, "P").await;
    let small = product["variants"][0]["id"].as_str().unwrap();
    let line = json!({"variantId": small, "quantity": 2});
    let body = json!({"items": [line], "shippingAddress": address()});
    let order = shop.post("/orders").token(&ama).json(&body).send().await.expect(201)["order"].clone();
    let place = format!("{}/variants/{small}?version=1", path(&product));
    shop.delete(&place).token(&admin).send().await.expect(200);
    let answer = shop.post("/orders").token(&ama).json(&body).send().await;
    assert!((400..500).contains(&answer.status), "it is not sold any more: {}", answer.text);
    let payment = shop.initialize(&ama, &order).await;
    shop.pay(&payment).await;
    let paid = shop.wait_for_status(&ama, &order, "paid").await;
    assert_eq!(paid["items"][0]["variantId"], small);
    let stock = "select on_hand::bigint from stock_levels s join variants v on v.id = s.variant_id where v.sku = 'P-S'";
    assert_eq!(shop.database.count(stock).await, 1);
    crate::concurrency::assert_ledger(&shop).await;
}

/// Each action does to all what it says, tells of each whether it was changed, and counts what it found.
#[tokio::test]
async fn many_products_are_changed_at_once() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let category = shop.post("/categories").token(&admin).json(&json!({"name": "Kente"})).send().await.expect(201);
    let category = category["category"]["id"].clone();
    let mut ids = Vec::new();
    for sku in ["A", "B", "C"] {
        let body = json!({"sku": sku, "title": sku, "price": 100, "compareAtPrice": 120, "tags": ["old"]});
        ids.push(create(&shop, &admin, &body).await["id"].clone());
    }
    let nobody = json!("00000000-0000-7000-8000-000000000000");
    let bulk = async |body: Value| shop.post("/admin/products/bulk").token(&admin).json(&body).send().await;
    let all = json!([ids[0], nobody, ids[1], ids[2]]);
    let read = async |i: usize| {
        let path = format!("/admin/products/{}", ids[i].as_str().unwrap());
        shop.get(&path).token(&admin).send().await.expect(200)["product"].clone()
    };
    let public = format!("/products/{}", ids[0].as_str().unwrap());
    for (action, field, value) in [
        (json!({"action": "deactivate"}), "isActive", json!(false)),
        (json!({"action": "activate"}), "isActive", json!(true)),
        (json!({"action": "feature"}), "isFeatured", json!(true)),
        (json!({"action": "unfeature"}), "isFeatured", json!(false)),
        (json!({"action": "setCategory", "categoryId": category}), "categoryId", category.clone()),
        (json!({"action": "setCategory", "categoryId": null}), "categoryId", Value::Null),
        (json!({"action": "addTags", "tags": ["new", "old", "new"]}), "tags", json!(["old", "new"])),
        (json!({"action": "removeTags", "tags": ["old", "never"]}), "tags", json!(["new"])),
        (json!({"action": "archive"}), "status", json!("archived")),
        (json!({"action": "restore"}), "status", json!("inactive")),
        (json!({"action": "activate"}), "status", json!("active")),
    ] {
        let mut body = action.clone();
        body["ids"] = all.clone();
        let version = read(0).await["version"].as_i64().unwrap();
        let data = bulk(body.clone()).await.expect(200);
        let results: Vec<_> =
            data["results"].as_array().unwrap().iter().map(|r| r["result"].as_str().unwrap()).collect();
        assert_eq!(results, ["updated", "notFound", "updated", "updated"], "{action}");
        assert_eq!((&data["updated"], &data["unchanged"], &data["notFound"]), (&json!(3), &json!(0), &json!(1)));
        assert_eq!(data["results"][1]["id"], nobody);
        let product = read(0).await;
        assert_eq!((&product[field], product["version"].as_i64()), (&value, Some(version + 1)), "{action}");
        // Shoppers see it at once.
        let shown = shop.get(&public).send().await;
        let status = if product["status"] == "active" { 200 } else { 404 };
        assert_eq!(shown.status, status, "{action}");
        if status == 200 && field != "status" {
            assert_eq!(shown.body["data"]["product"][field], value, "{action}");
        }
        let data = bulk(body).await.expect(200);
        assert_eq!((&data["updated"], &data["unchanged"]), (&json!(0), &json!(3)), "{action} once more");
        assert_eq!(read(0).await["version"], version + 1, "{action} once more");
    }
    assert_eq!(shop.database.count("select count(*) from audit_log where action = 'product.bulk'").await, 11);
    // What is archived is only restored.
    bulk(json!({"action": "archive", "ids": [ids[0]]})).await.expect(200);
    let data = bulk(json!({"action": "feature", "ids": [ids[0], ids[1]]})).await.expect(200);
    assert_eq!((&data["results"][0]["result"], &data["results"][1]["result"]), (&json!("notFound"), &json!("updated")));
}

/// Prices change by a share or by an amount, of products and of variants, each rounded half to even.
#[tokio::test]
async fn prices_are_adjusted_together() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let variants = json!([
        {"sku": "S", "options": size("S"), "price": 0.25, "compareAtPrice": 0.28},
        {"sku": "L", "options": size("L"), "price": 1000.1, "compareAtPrice": 2000},
    ]);
    let body = json!({"sku": "P", "title": "P", "price": 0.15, "compareAtPrice": 0.17, "variants": variants});
    let product = create(&shop, &admin, &body).await;
    let other = create(&shop, &admin, &json!({"sku": "Q", "title": "Q", "price": 50, "compareAtPrice": 54})).await;
    let free = plain(&shop, &admin, "F", "Free", 0).await;
    let ids = json!([product["id"], other["id"], free["id"]]);
    let adjust = async |by: Value| {
        let mut body = json!({"action": "adjustPrice", "ids": ids});
        body.as_object_mut().unwrap().extend(by.as_object().unwrap().clone());
        shop.post("/admin/products/bulk").token(&admin).json(&body).send().await
    };
    let read = async |product: &Value| shop.get(&path(product)).send().await.expect(200)["product"].clone();
    let data = adjust(json!({"basisPoints": 1000})).await.expect(200);
    let results: Vec<_> = data["results"].as_array().unwrap().iter().map(|r| r["result"].as_str().unwrap()).collect();
    assert_eq!(results, ["updated", "updated", "unchanged"]);
    let now = read(&product).await;
    // 16.5 and 27.5 kobo.
    assert_eq!((&now["price"], &now["compareAtPrice"]), (&json!(0.16), &json!(0.17)));
    let of = |i: usize| (now["variants"][i]["price"].clone(), now["variants"][i].get("compareAtPrice").cloned());
    assert_eq!(of(0), (json!(0.28), None), "the price to compare with is not above it any more");
    assert_eq!(of(1), (json!(1100.11), Some(json!(2000))));
    let now = read(&other).await;
    assert_eq!(
        (&now["price"], &now["compareAtPrice"], &now["variants"][0]["price"]),
        (&json!(55), &Value::Null, &json!(55))
    );
    adjust(json!({"amount": 2.5})).await.expect(200);
    assert_eq!((&read(&other).await["price"], &read(&free).await["variants"][0]["price"]), (&json!(57.5), &json!(2.5)));
    let before = [read(&product).await, read(&other).await, read(&free).await];
    let answer = adjust(json!({"amount": -2.6})).await;
    assert_eq!(answer.expect_error(409, "CONFLICT"), ["ids[2]"]);
    assert!(answer.text.contains("F would have a price below zero"), "{}", answer.text);
    adjust(json!({"amount": 9_999_999_999_i64})).await.expect_error(409, "CONFLICT");
    assert_eq!(
        [read(&product).await, read(&other).await, read(&free).await],
        before,
        "of what cannot be done, nothing is"
    );
    adjust(json!({"basisPoints": -10_000})).await.expect(200);
    assert_eq!(read(&product).await["variants"][1]["price"], 0);
}

/// What is no change of many products is refused by name.
#[tokio::test]
async fn impossible_changes_of_many_are_refused() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = create(&shop, &admin, &json!({"sku": "P", "title": "P", "price": 1, "tags": vec!["t"; 1]})).await;
    let id = &product["id"];
    let many: Vec<_> = (0..201).map(|i| format!("00000000-0000-7000-8000-{i:012}")).collect();
    for (body, fields) in [
        (json!({"action": "archive", "ids": []}), &["ids"][..]),
        (json!({"action": "archive", "ids": many}), &["ids"]),
        (json!({"action": "archive", "ids": ["x"]}), &["ids[0]"]),
        (json!({"action": "archive", "ids": [id, id]}), &["ids[1]"]),
        (json!({"action": "explode", "ids": [id]}), &["action"]),
        (json!({"action": "archive", "ids": [id], "tags": ["a"]}), &["tags"]),
        (json!({"action": "archive", "ids": [id], "amount": 1}), &["amount"]),
        (json!({"action": "archive", "ids": [id], "categoryId": null}), &["categoryId"]),
        (json!({"action": "setCategory", "ids": [id]}), &["categoryId"]),
        (json!({"action": "setCategory", "ids": [id], "categoryId": many[0]}), &["categoryId"]),
        (json!({"action": "addTags", "ids": [id]}), &["tags"]),
        (json!({"action": "addTags", "ids": [id], "tags": []}), &["tags"]),
        (json!({"action": "addTags", "ids": [id], "tags": [""]}), &["tags[0]"]),
        (json!({"action": "adjustPrice", "ids": [id]}), &["basisPoints"]),
        (json!({"action": "adjustPrice", "ids": [id], "basisPoints": 1, "amount": 1}), &["basisPoints"]),
        (json!({"action": "adjustPrice", "ids": [id], "basisPoints": -10_001}), &["basisPoints"]),
        (json!({"action": "adjustPrice", "ids": [id], "amount": 1.005}), &["amount"]),
        (json!({"action": "adjustPrice", "ids": [id], "amount": "1"}), &["amount"]),
        (json!({"action": "adjustPrice", "ids": [], "basisPoints": 1.5, "extra": 1}), &["basisPoints", "extra"]),
    ] {
        let answer = shop.post("/admin/products/bulk").token(&admin).json(&body).send().await;
        let mut found = answer.expect_error(400, "VALIDATION_ERROR");
        found.sort();
        assert_eq!(found, fields, "{body}");
    }
    let tags: Vec<_> = (0..100).map(|i| format!("tag {i}")).collect();
    let body = json!({"action": "addTags", "ids": [id], "tags": tags});
    let answer = shop.post("/admin/products/bulk").token(&admin).json(&body).send().await;
    assert_eq!(answer.expect_error(409, "CONFLICT"), ["ids[0]"]);
    assert_eq!(shop.get(&path(&product)).send().await.expect(200)["product"], product);
}

/// A variant's price to compare with stays above its price, also when the product's price moves it.
#[tokio::test]
async fn a_product_does_not_push_its_variants_over_their_old_price() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let variants = json!([
        {"sku": "S", "options": size("S")},
        {"sku": "L", "options": size("L"), "price": 150, "compareAtPrice": 160},
    ]);
    let body = json!({"sku": "P", "title": "P", "price": 100, "variants": variants});
    let product = create(&shop, &admin, &body).await;
    let answer = patch(&shop, &admin, &product, json!({"version": 1, "price": 110})).await;
    assert_eq!(answer.expect_error(409, "CONFLICT"), ["price"]);
    let changed = patch(&shop, &admin, &product, json!({"version": 1, "price": 109.99})).await.expect(200);
    assert_eq!(changed["product"]["variants"][1]["price"], 159.99);
}

/// Two changes of the same products in opposite orders both happen.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_of_many_do_not_block_each_other() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let category = shop.post("/categories").token(&admin).json(&json!({"name": "Kente"})).send().await.expect(201);
    let category = category["category"]["id"].clone();
    let mut ids = Vec::new();
    for i in 0..20 {
        ids.push(plain(&shop, &admin, &format!("S{i}"), "Same", 100).await["id"].clone());
    }
    let backwards: Vec<_> = ids.iter().rev().cloned().collect();
    let bodies: Vec<_> = (0..8)
        .map(|i| match i % 2 {
            0 => json!({"action": "adjustPrice", "amount": 1, "ids": ids}),
            _ => json!({"action": "setCategory", "categoryId": if i < 4 { Value::Null } else { category.clone() }, "ids": backwards}),
        })
        .collect();
    let answers =
        join_all(bodies.iter().map(|body| shop.post("/admin/products/bulk").token(&admin).json(body).send())).await;
    for answer in answers {
        answer.expect(200);
    }
    assert_eq!(shop.database.count("select min(price_minor) from products").await, 10_400);
    assert_eq!(shop.database.count("select max(price_minor) from variants").await, 10_400);
    let counted = "select sum(products)::bigint - (select count(*) from products where category_id is not null)
                   from category_counts";
    assert_eq!(shop.database.count(counted).await, 0);
}

/// Skus and options that differ in upper and lower case only are the same to people. A shop that has such twins from before keeps
/// them, until one of them is changed.
#[tokio::test]
async fn case_makes_no_difference() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let create = async |body: Value| shop.post("/products").token(&admin).json(&body).send().await;
    let product = plain(&shop, &admin, "GLD-06", "Gold", 10).await;
    let answer = create(json!({"sku": "gld-06", "title": "Other", "price": 1})).await;
    assert_eq!(answer.expect_error(409, "CONFLICT"), ["sku"]);
    let variant = |sku: &str, value: &str| json!({"sku": sku, "options": size(value)});
    for (variants, status, field) in [
        (json!([variant("V-1", "L"), variant("v-1", "M")]), 400, "variants[1].sku"),
        (json!([variant("V-1", "L"), variant("V-2", "l")]), 409, "variants"),
        (json!([variant("Gld-06", "L")]), 409, "sku"),
    ] {
        let answer = create(json!({"sku": "V", "title": "V", "price": 1, "variants": variants})).await;
        assert_eq!(answer.status, status, "{}", answer.text);
        assert_eq!(answer.body["details"][0]["field"], field, "{}", answer.text);
    }
    let twice = json!([{"name": "Size", "value": "L"}, {"name": "size", "value": "M"}]);
    let variants = json!([{"sku": "V-1", "options": twice}]);
    let answer = create(json!({"sku": "V", "title": "V", "price": 1, "variants": variants})).await;
    assert_eq!(answer.expect_error(400, "VALIDATION_ERROR"), ["variants[0].options"]);
    let variants = json!([variant("V-1", "L")]);
    let made = create(json!({"sku": "V", "title": "V", "price": 1, "variants": variants})).await.expect(201);
    let add = json!({"version": 1, "sku": "V-2", "options": size("l")});
    let variants = format!("{}/variants", path(&made["product"]));
    let answer = shop.post(&variants).token(&admin).json(&add).send().await;
    assert_eq!(answer.expect_error(409, "CONFLICT"), ["options"]);
    // Twins from before, as the migration marks them.
    let twin = plain(&shop, &admin, "TWIN", "Twin", 10).await;
    for table in ["variants", "products"] {
        let sql = format!("update {table} set sku = 'gld-06', case_twin = true where sku = 'TWIN'");
        sqlx::query(AssertSqlSafe(sql)).execute(&shop.database.pool).await.unwrap();
    }
    let body = json!({"version": 1, "title": "Twin still"});
    let twin = patch(&shop, &admin, &twin, body).await.expect(200)["product"].clone();
    assert_eq!(twin["sku"], "gld-06");
    let answer = patch(&shop, &admin, &twin, json!({"version": 2, "sku": "Gld-06"})).await;
    assert_eq!(answer.expect_error(409, "CONFLICT"), ["sku"]);
    patch(&shop, &admin, &twin, json!({"version": 2, "sku": "GLD-07"})).await.expect(200);
    let twins =
        "select (select count(*) from products where case_twin) + (select count(*) from variants where case_twin)";
    assert_eq!(shop.database.count(twins).await, 0);
    assert_eq!(shop.get(&path(&product)).send().await.expect(200)["product"]["sku"], "GLD-06");
}

/// A title that looks like an id makes another slug, because its product could not be reached by it.
#[tokio::test]
async fn no_slug_looks_like_an_id() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let id = "01900000-0000-7000-8000-000000000001";
    let product = plain(&shop, &admin, "P", id, 10).await;
    assert_eq!(product["slug"], format!("{id}-2"));
    assert_eq!(shop.get(&format!("/products/{id}-2")).send().await.expect(200)["product"]["sku"], "P");
}

/// A transaction that the database ends because it and another one wait for each other begins again: here both learn the same two
/// words, in different orders.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadlock_is_nobodys_error() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let mut other = shop.database.pool.begin().await.unwrap();
    sqlx::query("insert into search_words values ('zulu')").execute(&mut *other).await.unwrap();
    let body = json!({"sku": "P", "title": "Alpha Zulu", "price": 1});
    let create = async { shop.post("/products").token(&admin).json(&body).send().await };
    let waits = "select count(*) from pg_stat_activity
                 where datname = current_database() and wait_event_type = 'Lock' and application_name = 'agape'";
    let cross = async {
        shop.wait_for("the product to wait", || async { (shop.database.count(waits).await == 1).then_some(()) }).await;
        // The product waits longer, so it is the one that is given up.
        sqlx::query("insert into search_words values ('alpha')").execute(&mut *other).await.unwrap();
        other.commit().await.unwrap();
    };
    let (answer, ()) = tokio::join!(create, cross);
    answer.expect(201);
    assert_eq!(shop.database.count("select count(*) from products").await, 1);
}

/// Staff walk through all products with a cursor, whatever their status and filter; a long list has an estimated total, and a page
/// far behind says how to go on.
#[tokio::test]
async fn staff_walk_long_lists() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    many(&shop, 12_000).await;
    sqlx::query("update products set archived_at = now(), is_active = false where sku like 'S1_'")
        .execute(&shop.database.pool)
        .await
        .unwrap();
    let list = async |query: String| shop.get(&format!("/admin/products?{query}")).token(&admin).send().await;
    for (query, count) in
        [("search=cloth 1", 0), ("category=c-3", 1_200), ("status=archived", 10), ("status=active", 11_990)]
    {
        let (mut seen, mut cursor) = (BTreeSet::new(), String::new());
        loop {
            let answer = list(format!("{query}&limit=100{cursor}")).await;
            let next = answer.body["pagination"]["nextCursor"].as_str().map(str::to_owned);
            for sku in skus(&answer.expect(200)) {
                assert!(seen.insert(sku), "{query}");
            }
            match next {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert!(seen.len() == count || count == 0 && !seen.is_empty(), "{query}: {}", seen.len());
    }
    let first = list("limit=1".into()).await;
    let pagination = &first.body["pagination"];
    assert_eq!(pagination["totalIsEstimate"], true);
    assert!((10_001..20_000).contains(&pagination["total"].as_i64().unwrap()), "{pagination}");
    let answer = list("limit=100&page=101".into()).await;
    assert_eq!(answer.expect_error(400, "VALIDATION_ERROR"), ["page"]);
    assert!(answer.text.contains("`cursor`"), "{}", answer.text);
    assert_eq!(list("status=archived&page=101&limit=100".into()).await.body["pagination"]["total"], 10);
    for (query, field) in [("cursor=x", "cursor"), ("cursor=01900000-0000-7000-8000-000000000001&page=2", "page")] {
        assert_eq!(list(query.into()).await.expect_error(400, "VALIDATION_ERROR"), [field], "{query}");
    }
}
