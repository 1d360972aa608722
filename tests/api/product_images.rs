//! The pictures of a product.

use agape::features::auth::Role;
use futures::future::join_all;
use serde_json::{Value, json};

use crate::media::{fetch, kept, upload};
use crate::support::pictures::jpeg;
use crate::support::{Answer, Product, TestApp};

pub async fn add(shop: &TestApp, token: &str, product: &Product, body: &Value) -> Answer {
    shop.post(&format!("/products/{}/images", product.id)).token(token).json(body).send().await
}

/// The pictures as shoppers see them.
pub async fn shown(shop: &TestApp, product: &Product) -> Vec<Value> {
    let data = shop.get(&format!("/products/{}", product.slug)).send().await.expect(200);
    data["product"]["images"].as_array().unwrap().clone()
}

pub fn ids(images: &[Value]) -> Vec<Value> {
    images.iter().map(|image| image["id"].clone()).collect()
}

#[tokio::test]
async fn a_product_shows_pictures_of_the_library_and_of_others() {
    let shop = TestApp::start().await;
    let token = shop.staff(Role::Merchant).await;
    let product = shop.product(&token, "A", 1_000, 1).await;
    assert!(shown(&shop, &product).await.is_empty());
    let parts: [(&str, &str, &str, &[u8]); 2] = [("file", "a", "", &jpeg(300, 300)), ("alt", "", "", b"Gold thread")];
    let asset = shop.post("/admin/media").token(&token).multipart(&parts).send().await.expect(201)["assets"][0].clone();

    let data = add(&shop, &token, &product, &json!({"assetId": asset["id"]})).await.expect(201);
    assert_eq!(data["product"]["version"], 2);
    let foreign = json!({"url": "https://pictures.example/b.jpg", "alt": "Worn", "type": "lifestyle"});
    add(&shop, &token, &product, &foreign).await.expect(201);
    let images = shown(&shop, &product).await;
    assert_eq!(images[0]["url"], asset["url"]);
    assert_eq!(
        (&images[0]["type"], &images[0]["alt"], &images[0]["order"]),
        (&json!("main"), &json!("Gold thread"), &json!(0))
    );
    assert_eq!(images[0]["presets"], asset["presets"]);
    assert_eq!(fetch(&shop, images[0]["presets"]["card"].as_str().unwrap()).await.0, 200);
    assert_eq!(images[1]["url"], "https://pictures.example/b.jpg");
    assert_eq!(
        (&images[1]["type"], &images[1]["alt"], &images[1]["order"]),
        (&json!("lifestyle"), &json!("Worn"), &json!(1))
    );
    assert!(images[1].get("presets").is_none());
    let listed = shop.get("/products").send().await.expect(200)["products"][0]["images"].clone();
    assert_eq!(listed.as_array().unwrap(), &images);

    let path = format!("/products/{}/images/{}", product.id, images[1]["id"].as_str().unwrap());
    shop.patch(&path).token(&token).json(&json!({"alt": "Draped", "type": "texture"})).send().await.expect(200);
    let images = shown(&shop, &product).await;
    assert_eq!((&images[1]["alt"], &images[1]["type"]), (&json!("Draped"), &json!("texture")));
    shop.patch(&path).token(&token).json(&json!({"alt": ""})).send().await.expect(200);
    assert_eq!(shown(&shop, &product).await[1]["alt"], "");

    // An own picture that is named by its address is an own picture.
    let other = upload(&shop, &token, &jpeg(30, 30)).await;
    let data = add(&shop, &token, &product, &json!({"url": other["url"]})).await.expect(201);
    assert_eq!(data["product"]["images"][2]["presets"], other["presets"]);
    let body = json!({"sku": "B", "title": "Adire", "price": 5, "images": [{"url": other["url"]}]});
    let made = shop.post("/products").token(&token).json(&body).send().await.expect(201)["product"].clone();
    assert_eq!(made["images"][0]["presets"], other["presets"]);
    let delete = shop.delete(&format!("/admin/media/{}", other["id"].as_str().unwrap())).token(&token).send();
    delete.await.expect_error(409, "CONFLICT");
}

#[tokio::test]
async fn odd_pictures_are_refused() {
    let shop = TestApp::start().await;
    let token = shop.staff(Role::Merchant).await;
    let (product, other) = (shop.product(&token, "A", 1_000, 1).await, shop.product(&token, "B", 1_000, 1).await);
    let nobody = uuid::Uuid::now_v7();
    for (body, field) in [
        (json!({}), "assetId"),
        (json!({"assetId": nobody}), "assetId"),
        (json!({"assetId": "x"}), "assetId"),
        (json!({"assetId": nobody, "url": "https://a.example/b"}), "url"),
        (json!({"url": "javascript:alert(1)"}), "url"),
        (json!({"url": "file:///etc/passwd"}), "url"),
        (json!({"url": "https://a.example/b", "alt": "x".repeat(301)}), "alt"),
        (json!({"url": "https://a.example/b", "type": "cover"}), "type"),
        (json!({"url": "https://a.example/b", "order": 3}), "order"),
    ] {
        let fields = add(&shop, &token, &product, &body).await.expect_error(400, "VALIDATION_ERROR");
        assert_eq!(fields, [field], "{body}");
    }
    let image = add(&shop, &token, &product, &json!({"url": "https://a.example/b"})).await.expect(201);
    let image = image["product"]["images"][0]["id"].as_str().unwrap().to_owned();
    // Through another product, or none, it is not found.
    for owner in [&other.id, &nobody.to_string()] {
        let path = format!("/products/{owner}/images/{image}");
        shop.patch(&path).token(&token).json(&json!({"alt": "x"})).send().await.expect_error(404, "NOT_FOUND");
        shop.delete(&path).token(&token).send().await.expect_error(404, "NOT_FOUND");
    }
    assert_eq!(shown(&shop, &product).await.len(), 1);
    // A refused change is no change.
    let version = shop.get(&format!("/products/{}", other.id)).send().await.expect(200)["product"]["version"].clone();
    assert_eq!(version, 1);
    shop.delete(&format!("/products/{}", product.id)).token(&token).send().await.expect(200);
    let body = json!({"url": "https://a.example/b"});
    add(&shop, &token, &product, &body).await.expect_error(404, "NOT_FOUND");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_product_has_ten_pictures_however_many_come_at_once() {
    let shop = TestApp::start().await;
    let token = shop.staff(Role::Merchant).await;
    let product = shop.product(&token, "A", 1_000, 1).await;
    let bodies: Vec<Value> = (0..16).map(|i| json!({"url": format!("https://a.example/{i}.jpg")})).collect();
    let answers = join_all(bodies.iter().map(|body| add(&shop, &token, &product, body))).await;
    let taken = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(taken, 10);
    for refused in answers.iter().filter(|answer| answer.status != 201) {
        refused.expect_error(409, "CONFLICT");
    }
    let images = shown(&shop, &product).await;
    let orders: Vec<_> = images.iter().map(|image| image["order"].as_i64().unwrap()).collect();
    assert_eq!(orders, (0..10).collect::<Vec<_>>());

    // One goes, the others close up, and one may come.
    let path = format!("/products/{}/images/{}", product.id, images[3]["id"].as_str().unwrap());
    shop.delete(&path).token(&token).send().await.expect(200);
    shop.delete(&path).token(&token).send().await.expect_error(404, "NOT_FOUND");
    add(&shop, &token, &product, &bodies[0]).await.expect(201);
    add(&shop, &token, &product, &bodies[0]).await.expect_error(409, "CONFLICT");
    let orders: Vec<_> = shown(&shop, &product).await.iter().map(|image| image["order"].as_i64().unwrap()).collect();
    assert_eq!(orders, (0..10).collect::<Vec<_>>());

    // The database holds it whoever writes.
    for sql in [
        "insert into product_images (id, product_id, url, position) select gen_random_uuid(), id, 'https://a', 10 from products",
        "insert into product_images (id, product_id, url, position) select gen_random_uuid(), id, 'https://a', 9 from products",
    ] {
        assert!(sqlx::query(sql).execute(&shop.database.pool).await.is_err(), "{sql}");
    }
}

#[tokio::test]
async fn an_order_names_every_picture_once() {
    let shop = TestApp::start().await;
    let token = shop.staff(Role::Merchant).await;
    let (product, other) = (shop.product(&token, "A", 1_000, 1).await, shop.product(&token, "B", 1_000, 1).await);
    for i in 0..4 {
        add(&shop, &token, &product, &json!({"url": format!("https://a.example/{i}.jpg")})).await.expect(201);
    }
    let data = add(&shop, &token, &other, &json!({"url": "https://a.example/x.jpg"})).await.expect(201);
    let foreign = data["product"]["images"][0]["id"].clone();
    let before = ids(&shown(&shop, &product).await);
    let [a, b, c, d] = [0, 1, 2, 3].map(|i| before[i].clone());
    let path = format!("/products/{}/images/order", product.id);
    let order = async |images: Value| shop.put(&path).token(&token).json(&json!({ "images": images })).send().await;
    for (images, fields) in [
        (json!([]), vec!["images"]),
        (json!([a, b, c]), vec!["images"]),
        (json!([a, b, c, c]), vec!["images[3]", "images"]),
        (json!([a, b, c, d, d]), vec!["images[4]"]),
        (json!([a, b, c, foreign]), vec!["images[3]", "images"]),
        (json!([a, b, c, d, foreign]), vec!["images[4]"]),
        (json!(vec![a.clone(); 300]), vec!["images"]),
        (json!(["x"]), vec!["images[0]"]),
    ] {
        assert_eq!(order(images.clone()).await.expect_error(400, "VALIDATION_ERROR"), fields, "{images}");
    }
    assert_eq!(ids(&shown(&shop, &product).await), before);
    let data = order(json!([d, b, a, c])).await.expect(200);
    assert_eq!(ids(data["product"]["images"].as_array().unwrap()), [d, b, a, c]);
    assert_eq!(shown(&shop, &product).await, *data["product"]["images"].as_array().unwrap());
    shop.put(&format!("/products/{}/images/order", uuid::Uuid::now_v7()))
        .token(&token)
        .json(&json!({"images": []}))
        .send()
        .await
        .expect_error(404, "NOT_FOUND");
}

#[tokio::test]
async fn a_picture_that_is_shown_is_not_deleted() {
    let shop = TestApp::start().await;
    let token = shop.staff(Role::Merchant).await;
    let product = shop.product(&token, "A", 1_000, 1).await;
    let asset = upload(&shop, &token, &jpeg(100, 100)).await;
    let (url, thumbnail) = (asset["url"].as_str().unwrap(), asset["presets"]["thumbnail"].as_str().unwrap());
    assert_eq!((fetch(&shop, url).await.0, fetch(&shop, thumbnail).await.0), (200, 200));
    add(&shop, &token, &product, &json!({"assetId": asset["id"]})).await.expect(201);
    let list = async |query: &str| {
        let data = shop.get(&format!("/admin/media?{query}")).token(&token).send().await.expect(200);
        ids(data["assets"].as_array().unwrap())
    };
    assert_eq!(list("attached=true").await, [asset["id"].clone()]);
    assert!(list("attached=false").await.is_empty());

    let path = format!("/admin/media/{}", asset["id"].as_str().unwrap());
    shop.delete(&path).token(&token).send().await.expect_error(409, "CONFLICT");
    assert_eq!(fetch(&shop, url).await.0, 200);
    let image = shown(&shop, &product).await[0]["id"].as_str().unwrap().to_owned();
    shop.delete(&format!("/products/{}/images/{image}", product.id)).token(&token).send().await.expect(200);
    assert_eq!(list("attached=false").await, [asset["id"].clone()]);

    shop.delete(&path).token(&token).send().await.expect(200);
    shop.delete(&path).token(&token).send().await.expect_error(404, "NOT_FOUND");
    shop.wait_for_jobs().await;
    assert!(kept(&shop).is_empty());
    assert_eq!((fetch(&shop, url).await.0, fetch(&shop, thumbnail).await.0), (404, 404));
    assert_eq!(shop.database.count("select count(*) from media_loose").await, 0);
    assert!(list("").await.is_empty());
    let fields = add(&shop, &token, &product, &json!({"assetId": asset["id"]})).await;
    assert_eq!(fields.expect_error(400, "VALIDATION_ERROR"), ["assetId"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn showing_and_deleting_at_once_leaves_no_broken_picture() {
    let shop = TestApp::start().await;
    let token = shop.staff(Role::Merchant).await;
    for i in 0..10 {
        let product = shop.product(&token, &format!("P{i}"), 1_000, 1).await;
        let asset = upload(&shop, &token, &jpeg(10, 10)).await;
        let path = format!("/admin/media/{}", asset["id"].as_str().unwrap());
        let body = json!({"assetId": asset["id"]});
        let (added, deleted) =
            tokio::join!(add(&shop, &token, &product, &body), shop.delete(&path).token(&token).send());
        shop.wait_for_jobs().await;
        match (added.status, deleted.status) {
            (201, 409) => assert_eq!(fetch(&shop, asset["url"].as_str().unwrap()).await.0, 200),
            (400, 200) => assert!(shown(&shop, &product).await.is_empty()),
            odd => panic!("{odd:?}: {} {}", added.text, deleted.text),
        }
    }
}
