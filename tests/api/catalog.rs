//! The catalogue: keeping products, listing, filtering, sorting, searching.

use agape::features::auth::Role;
use futures::future::join_all;
use serde_json::{Value, json};

use crate::support::{Answer, TestApp};

/// Creates a product and gives its JSON.
async fn create(shop: &TestApp, staff: &str, body: &Value) -> Value {
    shop.post("/products").token(staff).json(body).send().await.expect(201)["product"].clone()
}

async fn change(shop: &TestApp, staff: &str, product: &Value, body: Value) -> Value {
    let path = format!("/products/{}", product["id"].as_str().unwrap());
    shop.patch(&path).token(staff).json(&body).send().await.expect(200)["product"].clone()
}

/// The skus of a list, in its order.
async fn skus(shop: &TestApp, query: &str) -> Vec<String> {
    let data = shop.get(&format!("/products{query}")).send().await.expect(200);
    data["products"].as_array().unwrap().iter().map(|p| p["sku"].as_str().unwrap().to_owned()).collect()
}

/// As [`skus`], where the order does not matter.
async fn sorted_skus(shop: &TestApp, query: &str) -> Vec<String> {
    let mut skus = skus(shop, query).await;
    skus.sort();
    skus
}

async fn find(shop: &TestApp, words: &str) -> Vec<String> {
    let query: String = url::form_urlencoded::byte_serialize(words.as_bytes()).collect();
    skus(shop, &format!("/search?q={query}")).await
}

/// A product has every field that a storefront reads, in the types it reads, and lists are never null.
#[tokio::test]
async fn a_product_has_every_field_a_storefront_reads() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let category = shop.post("/categories").token(&admin).json(&json!({"name": "Kente"})).send().await.expect(201);
    let body = json!({
        "sku": "KEN-1", "title": "Kente Bonwire", "shortDescription": "Short", "description": "Long",
        "fullStory": "Story", "price": 45000.5, "compareAtPrice": 50000, "tags": ["royal", "gold"], "weight": 900,
        "categoryId": category["category"]["id"],
        "dimensions": {"width": 45.5, "length": 6, "unit": "yards"}, "weaveOrigin": "Bonwire", "metadata": {"a": 1},
        "careInstructions": "Dry clean", "dispatchTime": "2 days", "isFeatured": true, "isLimited": true,
        "images": [{"url": "/media/demo/a.png", "alt": "Front"}, {"url": "https://cdn.example/b.jpg", "type": "texture"}],
        "variants": [
            {"sku": "KEN-1-G", "options": [{"name": "Colour", "value": "Gold"}, {"name": "Size", "value": "6 yards"}],
             "inventory": 3, "image": "/media/demo/g.png"},
            {"sku": "KEN-1-B", "options": [{"name": "Colour", "value": "Blue"}, {"name": "Size", "value": "6 yards"}],
             "price": 46000, "inventory": 4},
        ],
    });
    let created = create(&shop, &admin, &body).await;
    let product = shop.get("/products/kente-bonwire").send().await.expect(200)["product"].clone();
    assert_eq!(created, product);
    for (field, value) in [
        ("sku", json!("KEN-1")),
        ("title", json!("Kente Bonwire")),
        ("slug", json!("kente-bonwire")),
        ("shortDescription", json!("Short")),
        ("description", json!("Long")),
        ("fullStory", json!("Story")),
        ("price", json!(45000.5)),
        ("compareAtPrice", json!(50000)),
        ("currency", json!("NGN")),
        ("weaveOrigin", json!("Bonwire")),
        ("careInstructions", json!("Dry clean")),
        ("dispatchTime", json!("2 days")),
        ("dimensions", json!({"width": 45.5, "length": 6.0, "unit": "yards"})),
        ("tags", json!(["royal", "gold"])),
        ("weight", json!(900)),
        ("inventory", json!(7)),
        ("reviewCount", json!(0)),
        ("isFeatured", json!(true)),
        ("isLimited", json!(true)),
        ("isActive", json!(true)),
        ("metadata", json!({"a": 1})),
        ("version", json!(1)),
    ] {
        assert_eq!(product[field], value, "{field}");
    }
    assert!(product["rating"].is_number());
    assert_eq!((&product["category"]["name"], &product["category"]["slug"]), (&json!("Kente"), &json!("kente")));
    assert_eq!(product["categoryId"], category["category"]["id"]);
    for field in ["createdAt", "updatedAt"] {
        let text = product[field].as_str().unwrap();
        assert!(text.ends_with('Z') && chrono::DateTime::parse_from_rfc3339(text).is_ok(), "{text}");
    }
    let images = product["images"].as_array().unwrap();
    assert_eq!(images.len(), 2);
    assert_eq!(images[0]["url"], format!("{}/media/demo/a.png", shop.url));
    assert_eq!(
        (&images[0]["alt"], &images[0]["type"], &images[0]["order"]),
        (&json!("Front"), &json!("main"), &json!(0))
    );
    assert_eq!((&images[1]["url"], &images[1]["type"]), (&json!("https://cdn.example/b.jpg"), &json!("texture")));
    let variants = product["variants"].as_array().unwrap();
    assert_eq!(variants.len(), 2);
    for (field, value) in [
        ("sku", json!("KEN-1-G")),
        ("name", json!("Gold / 6 yards")),
        ("type", json!("color")),
        ("value", json!("Gold")),
        ("priceModifier", json!(0)),
        ("price", json!(45000.5)),
        ("inventory", json!(3)),
        ("image", json!(format!("{}/media/demo/g.png", shop.url))),
    ] {
        assert_eq!(variants[0][field], value, "{field}");
    }
    assert_eq!((&variants[1]["priceModifier"], &variants[1]["price"]), (&json!(999.5), &json!(46000)));
    let listed = shop.get("/products").send().await.expect(200)["products"][0].clone();
    assert_eq!(listed, product, "a list and a single answer show the same");

    let plain = create(&shop, &admin, &json!({"sku": "P", "title": "Plain", "price": 1})).await;
    for field in ["tags", "images"] {
        assert_eq!(plain[field], json!([]), "{field}");
    }
    assert_eq!(plain["dimensions"]["unit"], "inches");
    let only = &plain["variants"][0];
    assert_eq!((&only["sku"], &only["name"], &only["inventory"]), (&json!("P"), &json!("Standard"), &json!(0)));
    assert_eq!(plain["variants"].as_array().unwrap().len(), 1);
}

/// Administrators and merchants keep the catalogue; each deed is in the audit log with what changed.
#[tokio::test]
async fn staff_keep_the_catalogue() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let merchant = shop.staff(Role::Merchant).await;
    for (staff, sku) in [(&admin, "A"), (&merchant, "M")] {
        let product = create(&shop, staff, &json!({"sku": sku, "title": sku, "price": 100})).await;
        let changed = change(&shop, staff, &product, json!({"version": 1, "title": "New"})).await;
        assert_eq!(
            (&changed["title"], &changed["version"], &changed["price"]),
            (&json!("New"), &json!(2), &json!(100))
        );
        let path = format!("/products/{}", product["id"].as_str().unwrap());
        shop.delete(&path).token(staff).send().await.expect(200);
        shop.delete(&path).token(staff).send().await.expect_error(404, "NOT_FOUND");
        shop.patch(&path).token(staff).json(&json!({"version": 3})).send().await.expect_error(404, "NOT_FOUND");
    }
    let deeds: Vec<(String, String)> = sqlx::query_as(
        "select actor_role, action || coalesce(' ' || (content #>> '{before,title}') || '>' || (content #>> '{after,title}'), '')
         from audit_log left join audit_parts on entry_id = id and part = 'change' where entity = 'product' order by id",
    )
    .fetch_all(&shop.database.pool)
    .await
    .unwrap();
    let of = |role: &str, deed: &str| (role.to_owned(), deed.to_owned());
    assert_eq!(
        deeds,
        [
            of("admin", "product.create"),
            of("admin", "product.update A>New"),
            of("admin", "product.delete"),
            of("merchant", "product.create"),
            of("merchant", "product.update M>New"),
            of("merchant", "product.delete"),
        ]
    );
}

/// A removed product is gone from the shop and stays in the database; one that is not active is hidden.
#[tokio::test]
async fn removed_and_inactive_products_are_hidden() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let gone = create(&shop, &admin, &json!({"sku": "GONE", "title": "Gone", "price": 1, "inventory": 2})).await;
    let hidden = create(&shop, &admin, &json!({"sku": "HID", "title": "Hidden", "price": 1, "isActive": false})).await;
    shop.delete(&format!("/products/{}", gone["id"].as_str().unwrap())).token(&admin).send().await.expect(200);
    for name in [&gone["id"], &gone["slug"], &hidden["id"], &hidden["slug"]] {
        shop.get(&format!("/products/{}", name.as_str().unwrap())).send().await.expect_error(404, "NOT_FOUND");
    }
    assert!(skus(&shop, "").await.is_empty());
    assert!(find(&shop, "gone").await.is_empty() && find(&shop, "hidden").await.is_empty());
    assert_eq!(shop.database.count("select count(*) from products").await, 2);
    let body = json!({"variantId": gone["variants"][0]["id"], "quantity": 1});
    let answer = shop.post("/cart/items").json(&body).send().await;
    assert!((400..500).contains(&answer.status), "{}", answer.text);
    let shown = change(&shop, &admin, &hidden, json!({"version": 1, "isActive": true})).await;
    assert_eq!(shown["isActive"], true);
    assert_eq!(skus(&shop, "").await, ["HID"]);
}

/// A sku and a slug belong to one product, also when many ask for it at once; the answer names the field.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn skus_and_slugs_are_unique() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    create(&shop, &admin, &json!({"sku": "ONE", "title": "First", "price": 1})).await;
    let refused = async |body: Value| {
        let answer = shop.post("/products").token(&admin).json(&body).send().await;
        answer.expect_error(409, "CONFLICT")
    };
    assert_eq!(refused(json!({"sku": "ONE", "title": "Other", "price": 1})).await, ["sku"]);
    assert_eq!(refused(json!({"sku": "TWO", "title": "Two", "slug": "first", "price": 1})).await, ["slug"]);
    let size = |value: &str| json!([{"name": "Size", "value": value}]);
    let variants = json!([{"sku": "V", "options": size("S")}, {"sku": "ONE", "options": size("M")}]);
    let body = json!({"sku": "TWO", "title": "Two", "price": 1, "variants": variants});
    assert_eq!(refused(body).await, ["variants[1].sku"]);
    let variants = json!([{"sku": "V", "options": size("S")}, {"sku": "W", "options": size("S")}]);
    let body = json!({"sku": "TWO", "title": "Two", "price": 1, "variants": variants});
    assert_eq!(refused(body).await, ["variants"]);
    let variants = json!([{"sku": "V", "options": size("S")}, {"sku": "V", "options": size("M")}]);
    let body = json!({"sku": "TWO", "title": "Two", "price": 1, "variants": variants});
    let answer = shop.post("/products").token(&admin).json(&body).send().await;
    assert_eq!(answer.expect_error(400, "VALIDATION_ERROR"), ["variants[1].sku"]);
    assert_eq!(shop.database.count("select count(*) from products").await, 1);
    assert_eq!(shop.database.count("select count(*) from variants").await, 1);

    let body = json!({"sku": "RACE", "title": "Race", "price": 1});
    let answers = join_all((0..8).map(|_| shop.post("/products").token(&admin).json(&body).send())).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
    for answer in answers.iter().filter(|answer| answer.status != 201) {
        answer.expect_error(409, "CONFLICT");
    }
    let race = answers.iter().find(|answer| answer.status == 201).unwrap().body["data"]["product"].clone();
    for (body, field) in
        [(json!({"version": 1, "sku": "ONE"}), "sku"), (json!({"version": 1, "slug": "first"}), "slug")]
    {
        let path = format!("/products/{}", race["id"].as_str().unwrap());
        let answer = shop.patch(&path).token(&admin).json(&body).send().await;
        assert_eq!(answer.expect_error(409, "CONFLICT"), [field]);
    }
}

/// Who gives a product another sku gives it to its only variant too, which shoppers see as the product.
#[tokio::test]
async fn a_new_sku_is_the_only_variants_too() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = create(&shop, &admin, &json!({"sku": "OLD", "title": "P", "price": 1})).await;
    let changed = change(&shop, &admin, &product, json!({"version": 1, "sku": "NEW"})).await;
    assert_eq!((&changed["sku"], &changed["variants"][0]["sku"]), (&json!("NEW"), &json!("NEW")));
    let other = create(&shop, &admin, &json!({"sku": "OLD", "title": "Q", "price": 1})).await;
    assert_eq!(other["variants"][0]["sku"], "OLD");
}

/// A change that is based on an old version is refused and changes nothing; of many at once one wins.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stale_change_is_refused() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = create(&shop, &admin, &json!({"sku": "V", "title": "Version", "price": 1})).await;
    let path = format!("/products/{}", product["id"].as_str().unwrap());
    let calls = (1..=8).map(|i| {
        let body = json!({"version": 1, "title": format!("Title {i}")});
        async move { (i, body) }
    });
    let bodies = join_all(calls).await;
    let answers = join_all(bodies.iter().map(|(_, body)| shop.patch(&path).token(&admin).json(body).send())).await;
    let winners: Vec<_> = answers.iter().filter(|answer| answer.status == 200).collect();
    assert_eq!(winners.len(), 1);
    for answer in answers.iter().filter(|answer| answer.status != 200) {
        answer.expect_error(409, "CONFLICT");
    }
    let now = shop.get(&path).send().await.expect(200)["product"].clone();
    assert_eq!((&now["version"], &now["title"]), (&json!(2), &winners[0].body["data"]["product"]["title"]));
    let answer = shop.patch(&path).token(&admin).json(&json!({"title": "X"})).send().await;
    assert_eq!(answer.expect_error(400, "VALIDATION_ERROR"), ["version"]);
}

/// Variants keep their difference to a changed price; `null` removes what may be missing, and only that.
#[tokio::test]
async fn a_price_moves_the_variants_prices() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let variants = json!([
        {"sku": "S", "options": [{"name": "Size", "value": "S"}]},
        {"sku": "L", "options": [{"name": "Size", "value": "L"}], "price": 150},
        {"sku": "XS", "options": [{"name": "Size", "value": "XS"}], "price": 90.5},
    ]);
    let body = json!({"sku": "P", "title": "P", "price": 100, "compareAtPrice": 120, "variants": variants});
    let product = create(&shop, &admin, &body).await;
    let path = format!("/products/{}", product["id"].as_str().unwrap());
    let answer = shop.patch(&path).token(&admin).json(&json!({"version": 1, "price": 120})).send().await;
    assert_eq!(answer.expect_error(409, "CONFLICT"), ["compareAtPrice"]);
    let body = json!({"version": 1, "price": 200, "compareAtPrice": 210});
    let changed = change(&shop, &admin, &product, body).await;
    let prices: Vec<_> = changed["variants"].as_array().unwrap().iter().map(|v| v["price"].clone()).collect();
    assert_eq!(prices, [json!(200), json!(250), json!(190.5)]);
    assert_eq!(changed["compareAtPrice"], 210);
    let changed = change(&shop, &admin, &product, json!({"version": 2, "compareAtPrice": null})).await;
    assert_eq!((&changed["compareAtPrice"], &changed["price"]), (&Value::Null, &json!(200)));
    let answer = shop.patch(&path).token(&admin).json(&json!({"version": 3, "price": 5})).send().await;
    assert_eq!(answer.expect_error(400, "VALIDATION_ERROR"), ["price"]);
    let answer = shop.patch(&path).token(&admin).json(&json!({"version": 3, "inventory": 5})).send().await;
    assert_eq!(answer.expect_error(400, "VALIDATION_ERROR"), ["inventory"]);
    assert_eq!(shop.get(&path).send().await.expect(200)["product"]["variants"], changed["variants"]);
}

/// Money is a number with at most two decimals, in and out.
#[tokio::test]
async fn money_is_a_number_of_two_decimals() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    for (i, (sent, shown)) in [
        ("45000.50", "45000.50"),
        ("45000", "45000"),
        ("0.1", "0.10"),
        ("1.500", "1.50"),
        ("0", "0"),
        ("19.99", "19.99"),
    ]
    .iter()
    .enumerate()
    {
        let body = format!(r#"{{"sku": "M{i}", "title": "M {i}", "price": {sent}}}"#);
        let answer = shop.post("/products").token(&admin).raw(body).send().await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        assert!(answer.text.contains(&format!("\"price\":{shown},")), "{sent}: {}", answer.text);
    }
    for wrong in
        ["1.005", "-1", "\"5\"", "1e3", "true", "[1]", "{}", "null", "10000000000.01", "1E400", "99999999999999999999"]
    {
        let body = format!(r#"{{"sku": "W", "title": "W", "price": {wrong}}}"#);
        let answer = shop.post("/products").token(&admin).raw(body).send().await;
        let fields = answer.expect_error(400, "VALIDATION_ERROR");
        assert!(fields == ["price"] || wrong == "1E400", "{wrong}: {}", answer.text);
    }
}

/// Values that the database would refuse are refused before, by name.
#[tokio::test]
async fn impossible_products_are_refused_by_name() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let option = json!([{"name": "Size", "value": "S"}]);
    for (extra, field) in [
        (json!({"weight": -1}), "weight"),
        (json!({"inventory": -1}), "inventory"),
        (json!({"inventory": 1_000_000_001}), "inventory"),
        (json!({"inventory": 10_000_000_000_i64}), "inventory"),
        (json!({"slug": "Not A Slug"}), "slug"),
        (json!({"title": "!!!"}), "slug"),
        (json!({"categoryId": "00000000-0000-7000-8000-000000000000"}), "categoryId"),
        (json!({"categoryId": "kente"}), "categoryId"),
        (json!({"dimensions": {"width": -1, "unit": "yards"}}), "dimensions"),
        (json!({"metadata": []}), "metadata"),
        (json!({"images": [{"url": "javascript:alert(1)"}]}), "images[0].url"),
        (json!({"images": vec![json!({"url": "/media/a.png"}); 11]}), "images"),
        (json!({"price": 10, "compareAtPrice": 10}), "compareAtPrice"),
        (json!({"slug": "search"}), "slug"),
        (json!({"variants": [{"sku": "S", "options": []}]}), "variants[0].options"),
        (json!({"variants": [{"sku": "S", "options": [{"name": " ", "value": "S"}]}]}), "variants[0].options"),
        (json!({"variants": [{"sku": "S", "options": [option[0], option[0]]}]}), "variants[0].options"),
        (
            json!({"variants": [{"sku": "S", "options": option},
                             {"sku": "C", "options": [{"name": "Colour", "value": "S"}]}]}),
            "variants[1].options",
        ),
        (json!({"variants": [{"sku": "S", "options": option, "compareAtPrice": 1}]}), "variants[0].compareAtPrice"),
        (json!({"variants": [{"sku": "S", "options": option, "inventory": -1}]}), "variants[0].inventory"),
        (json!({"inventory": 1, "variants": [{"sku": "S", "options": option}]}), "inventory"),
        (json!({"sku": "x".repeat(65)}), "sku"),
        (json!({"tags": ["ok", ""]}), "tags[1]"),
    ] {
        let mut body = json!({"sku": "I", "title": "Impossible", "price": 1});
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        let answer = shop.post("/products").token(&admin).json(&body).send().await;
        assert_eq!(answer.expect_error(400, "VALIDATION_ERROR"), [field], "{extra}");
    }
    assert_eq!(shop.database.count("select count(*) from products").await, 0);
    // A title in another script needs a slug, and gets the one that is sent.
    let body = json!({"sku": "ADI", "title": "Àdìrẹ Ẹlẹ́kọ", "price": 1});
    assert_eq!(create(&shop, &admin, &body).await["slug"], "adire-eleko");
}

/// A shop with a small catalogue of known products.
async fn stocked() -> (TestApp, String) {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let category = async |body: Value| {
        shop.post("/categories").token(&admin).json(&body).send().await.expect(201)["category"].clone()
    };
    let cloth = category(json!({"name": "Cloth"})).await;
    let kente = category(json!({"name": "Kente", "parentId": cloth["id"]})).await;
    let royal = category(json!({"name": "Royal Kente", "parentId": kente["id"]})).await;
    let lace = category(json!({"name": "Lace"})).await;
    let colours = |sku: &str, colours: &[(&str, i32)]| -> Value {
        colours
            .iter()
            .map(|(colour, stock)| {
                json!({"sku": format!("{sku}-{colour}"), "inventory": stock,
                       "options": [{"name": "Colour", "value": colour}]})
            })
            .collect()
    };
    for body in [
        json!({"sku": "A", "title": "Kente Bonwire", "price": 100, "categoryId": kente["id"], "tags": ["gold", "new"],
               "variants": colours("A", &[("Gold", 1), ("Blue", 0)]), "description": "Woven on a narrow loom"}),
        json!({"sku": "B", "title": "Royal Kente", "price": 200.5, "categoryId": royal["id"], "tags": ["royal"],
               "variants": colours("B", &[("Red", 0)]), "isFeatured": true}),
        json!({"sku": "C", "title": "Àdìrẹ Ẹlẹ́kọ", "price": 200.5, "categoryId": lace["id"], "inventory": 5}),
        json!({"sku": "D", "title": "Swiss lace", "price": 300, "tags": ["new", "white, soft"], "inventory": 5}),
        json!({"sku": "LOOM-77", "title": "aso-oke set", "price": 50, "categoryId": cloth["id"]}),
    ] {
        create(&shop, &admin, &body).await;
    }
    (shop, admin)
}

/// Each filter keeps what it says; together they keep what all say; an empty one keeps everything.
#[tokio::test]
async fn filters_keep_what_they_say() {
    let (shop, _) = stocked().await;
    let cloth = shop.database.text("select id::text from categories where slug = 'cloth'").await.unwrap();
    for (query, expected) in [
        ("", &["A", "B", "C", "D", "LOOM-77"][..]),
        ("category=kente", &["A", "B"]),
        ("category=royal-kente", &["B"]),
        ("category=cloth", &["A", "B", "LOOM-77"]),
        (&format!("category={cloth}"), &["A", "B", "LOOM-77"]),
        ("category=nothing", &[]),
        ("category=00000000-0000-7000-8000-000000000000", &[]),
        ("minPrice=200.5", &["B", "C", "D"]),
        ("maxPrice=200.50", &["A", "B", "C", "LOOM-77"]),
        ("minPrice=100&maxPrice=200", &["A"]),
        ("minPrice=300&maxPrice=100", &[]),
        ("tags=gold", &["A"]),
        ("tags=royal,gold", &["A", "B"]),
        ("tags=new", &["A", "D"]),
        ("tags=nothing", &[]),
        ("colors=gold", &["A"]),
        ("colors=RED,Blue", &["A", "B"]),
        ("colors=green", &[]),
        ("inStock=true", &["A", "C", "D"]),
        ("inStock=false", &["B", "LOOM-77"]),
        ("isFeatured=true", &["B"]),
        ("isFeatured=false", &["A", "C", "D", "LOOM-77"]),
        ("search=kente", &["A", "B"]),
        ("search=kente&inStock=true&category=cloth&maxPrice=100&tags=new&colors=Gold", &["A"]),
        (
            "category=&minPrice=&tags=&colors=,,&inStock=&isFeatured=&search=&sortBy=&page=&limit=",
            &["A", "B", "C", "D", "LOOM-77"],
        ),
        ("utm_source=mail", &["A", "B", "C", "D", "LOOM-77"]),
    ] {
        assert_eq!(sorted_skus(&shop, &format!("?{query}")).await, expected, "{query}");
    }
    let categories = shop.get("/categories").send().await.expect(200);
    let counts: Vec<_> = categories["categories"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| (c["slug"].as_str().unwrap(), c["productCount"].as_i64().unwrap()))
        .collect();
    assert_eq!(counts, [("cloth", 1), ("kente", 1), ("royal-kente", 1), ("lace", 1)]);
}

/// Every sort sorts, and a second call gives the same order.
#[tokio::test]
async fn sorts_sort() {
    let (shop, _) = stocked().await;
    for (query, expected) in [
        ("", ["LOOM-77", "D", "C", "B", "A"]),
        ("sortBy=newest", ["LOOM-77", "D", "C", "B", "A"]),
        ("sortBy=created_at&sortOrder=desc", ["LOOM-77", "D", "C", "B", "A"]),
        ("sortBy=created_at&sortOrder=asc", ["A", "B", "C", "D", "LOOM-77"]),
        ("sortBy=price", ["LOOM-77", "A", "B", "C", "D"]),
        ("sortBy=price&sortOrder=asc", ["LOOM-77", "A", "B", "C", "D"]),
        ("sortBy=price&sortOrder=desc", ["D", "C", "B", "A", "LOOM-77"]),
        ("sortBy=title", ["C", "LOOM-77", "A", "B", "D"]),
        ("sortBy=title&sortOrder=desc", ["D", "B", "A", "LOOM-77", "C"]),
        ("sortBy=relevance", ["LOOM-77", "D", "C", "B", "A"]),
    ] {
        assert_eq!(skus(&shop, &format!("?{query}")).await, expected, "{query}");
    }
}

/// Where a page stands, without the way to the next.
fn numbers(answer: &Answer) -> Value {
    let mut pagination = answer.body["pagination"].clone();
    pagination.as_object_mut().unwrap().remove("nextCursor");
    pagination
}

/// Pages neither overlap nor lose anything, also when all sort keys are equal, and their numbers are right.
#[tokio::test]
async fn pages_do_not_overlap() {
    let shop = TestApp::start().await;
    sqlx::query(
        "insert into products (id, sku, title, slug, currency, price_minor, created_at, updated_at)
         select gen_random_uuid(), 'S' || n, 'Same', 'same-' || n, 'NGN', 100, now(), now()
         from generate_series(1, 23) n",
    )
    .execute(&shop.database.pool)
    .await
    .unwrap();
    for sort in [
        "sortBy=newest",
        "sortBy=created_at&sortOrder=asc",
        "sortBy=price",
        "sortBy=price&sortOrder=desc",
        "sortBy=title",
        "sortBy=title&sortOrder=desc",
        "search=same",
    ] {
        let mut seen = std::collections::BTreeSet::new();
        for page in 1..=5 {
            let answer = shop.get(&format!("/products?{sort}&limit=5&page={page}")).send().await;
            let shown = answer.body["data"]["products"].as_array().unwrap();
            assert_eq!(shown.len(), if page < 5 { 5 } else { 3 }, "{sort} {page}");
            assert!(shown.iter().all(|p| seen.insert(p["sku"].to_string())), "{sort}: page {page} overlaps");
            assert_eq!(numbers(&answer), json!({"page": page, "limit": 5, "total": 23, "totalPages": 5}));
        }
        assert_eq!(seen.len(), 23, "{sort}");
    }
    let answer = shop.get("/products").send().await;
    assert_eq!(numbers(&answer), json!({"page": 1, "limit": 20, "total": 23, "totalPages": 2}));
    let answer = shop.get("/products?page=9&limit=5").send().await;
    assert_eq!(answer.body["pagination"], json!({"page": 9, "limit": 5, "total": 23, "totalPages": 5}));
    assert_eq!(answer.expect(200)["products"], json!([]));
    let answer = shop.get("/products?limit=23").send().await;
    assert_eq!(answer.body["pagination"], json!({"page": 1, "limit": 23, "total": 23, "totalPages": 1}));
    let answer = shop.get("/products?tags=nothing").send().await;
    assert_eq!(answer.body["pagination"], json!({"page": 1, "limit": 20, "total": 0, "totalPages": 0}));
    assert_eq!(shop.get("/products?page=1000000&limit=100").send().await.status, 200);
}

/// Search finds beginnings of words, near misses, other spellings and skus, the best first.
#[tokio::test]
async fn search_finds_what_is_meant() {
    let (shop, _) = stocked().await;
    for (words, expected) in [
        ("ken", &["B", "A"][..]),
        ("royal ken", &["B"]),
        ("KENTE", &["B", "A"]),
        ("Knte Bonwire", &["A"]),
        ("bonwyre", &["A"]),
        ("adire", &["C"]),
        ("Àdìrẹ", &["C"]),
        ("eleko", &["C"]),
        ("loom-77", &["LOOM-77"]),
        ("LOOM-77", &["LOOM-77"]),
        ("aso oke", &["LOOM-77"]),
        ("narrow looms", &["A"]),
        ("laces", &["D"]),
        ("royal", &["B"]),
        ("zzzzqqqq", &[]),
    ] {
        let mut found = find(&shop, words).await;
        assert_eq!(found.is_empty(), expected.is_empty(), "{words}: {found:?}");
        if words.to_lowercase().starts_with("ken") {
            found.sort_by(|a, b| b.cmp(a));
        }
        assert_eq!(found, expected, "{words}");
    }
    // A title outweighs a text.
    let admin = shop.login("admin@agape.example").await;
    create(&shop, &admin, &json!({"sku": "T", "title": "Narrow strip", "price": 1})).await;
    assert_eq!(find(&shop, "narrow").await, ["T", "A"]);
}

/// Whatever is typed is words to search for, never an operator and never a failure.
#[tokio::test]
async fn no_search_fails() {
    let (shop, _) = stocked().await;
    for words in ["", " ", "&", "|", "!", ":*", "()", "'", "\"", "\\", "-", "* & |", "''''", "%", "_"] {
        let query: String = url::form_urlencoded::byte_serialize(words.as_bytes()).collect();
        let answer = shop.get(&format!("/products/search?q={query}")).send().await;
        assert_eq!(answer.expect_error(400, "VALIDATION_ERROR"), ["q"], "{words}");
        let answer = shop.get(&format!("/products?search={query}")).send().await;
        if words.trim().is_empty() {
            answer.expect(200);
        } else {
            assert_eq!(answer.expect_error(400, "VALIDATION_ERROR"), ["search"], "{words}");
        }
    }
    shop.get("/products/search").send().await.expect_error(400, "VALIDATION_ERROR");
    for words in [
        "kente & | ! : * ( ) '",
        "kente' or 1=1 --",
        "a:*b",
        "<->",
        "kente <-> royal",
        "\"kente",
        "k\\'ente",
        "½ yard",
        "⑴",
        "ŉ",
        "ʼya",
        "K'ente",
        "O\u{2019}Neil",
        "🧵",
        "布",
        "\u{202e}kente",
        "or",
        "not",
        "the",
        "a & !b:*",
        "\u{345}",
        "kente \u{345}",
        &"kente ".repeat(60),
        &"x".repeat(3_000),
        &"é".repeat(500),
    ] {
        let query: String = url::form_urlencoded::byte_serialize(words.as_bytes()).collect();
        for path in ["/products/search?q=", "/products?limit=3&search="] {
            let answer = shop.get(&format!("{path}{query}")).send().await;
            assert!(answer.status == 200 || answer.status == 400, "{words}: {}", answer.text);
        }
    }
    assert_eq!(find(&shop, "kente & | ! : * ( ) ' bonwire").await, ["A"]);
}

/// A product is found by its id in any spelling and by its slug.
#[tokio::test]
async fn products_are_found_by_id_or_slug() {
    let (shop, _) = stocked().await;
    let id = shop.database.text("select id::text from products where sku = 'A'").await.unwrap();
    for name in [id.clone(), id.to_uppercase(), id.replace('-', ""), "kente-bonwire".into()] {
        let data = shop.get(&format!("/products/{name}")).send().await.expect(200);
        assert_eq!(data["product"]["sku"], "A", "{name}");
    }
    for name in ["Kente-Bonwire", "kente", "nothing", "00000000-0000-7000-8000-000000000000", "%20", "..", "'"] {
        let answer = shop.get(&format!("/products/{name}")).send().await;
        assert!(answer.status == 404 || name == "..", "{name}: {}", answer.text);
    }
}

/// The stock of a new product is in the ledger.
#[tokio::test]
async fn new_stock_is_in_the_ledger() {
    let (shop, _) = stocked().await;
    crate::concurrency::assert_ledger(&shop).await;
    assert_eq!(shop.database.count("select sum(on_hand)::bigint from stock_levels").await, 11);
    assert_eq!(shop.database.count("select count(*) from stock_movements where reason = 'initial'").await, 3);
    let bare =
        "select count(*) from variants v left join stock_levels s on s.variant_id = v.id where s.variant_id is null";
    assert_eq!(shop.database.count(bare).await, 0);
}
