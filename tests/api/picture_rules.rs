//! What holds for the pictures of products and variants, whoever comes at once.

use agape::features::auth::Role;
use futures::future::join_all;
use serde_json::{Value, json};

use crate::media::{fetch, kept, upload};
use crate::product_images::{add, ids, shown};
use crate::support::pictures::jpeg;
use crate::support::{Call, TestApp};

/// The types in the order of the pictures.
fn types(images: &[Value]) -> Vec<&str> {
    images.iter().map(|image| image["type"].as_str().unwrap()).collect()
}

/// The first picture is the main one and no other is, whatever staff do.
#[tokio::test]
async fn the_first_picture_is_the_main_one() {
    let shop = TestApp::start().await;
    let token = shop.staff(Role::Merchant).await;
    let product = shop.product(&token, "A", 1_000, 1).await;
    let url = |n: i32| format!("https://a.example/{n}.jpg");
    for (n, kind) in [(0, "lifestyle"), (1, "texture"), (2, "detail")] {
        add(&shop, &token, &product, &json!({"url": url(n), "type": kind})).await.expect(201);
    }
    let images = shown(&shop, &product).await;
    assert_eq!(types(&images), ["main", "texture", "detail"]);
    let [a, b, c] = [0, 1, 2].map(|i| images[i]["id"].clone());
    let one = |id: &Value| format!("/products/{}/images/{}", product.id, id.as_str().unwrap());
    // Whatever becomes main becomes first; the first can be nothing else.
    shop.patch(&one(&c)).token(&token).json(&json!({"type": "main", "alt": "Front"})).send().await.expect(200);
    let images = shown(&shop, &product).await;
    assert_eq!(
        (ids(&images), types(&images)),
        (vec![c.clone(), a.clone(), b.clone()], vec!["main", "detail", "texture"])
    );
    assert_eq!(images[0]["alt"], "Front");
    let refused = shop.patch(&one(&c)).token(&token).json(&json!({"type": "detail"})).send().await;
    assert_eq!(refused.expect_error(400, "VALIDATION_ERROR"), ["type"]);
    shop.patch(&one(&c)).token(&token).json(&json!({"type": "main", "alt": ""})).send().await.expect(200);
    // A new order, one that goes, and one that comes as the main one.
    let order = json!({"images": [b, a, c]});
    shop.put(&format!("/products/{}/images/order", product.id)).token(&token).json(&order).send().await.expect(200);
    assert_eq!(types(&shown(&shop, &product).await), ["main", "detail", "detail"]);
    shop.delete(&one(&b)).token(&token).send().await.expect(200);
    let images = shown(&shop, &product).await;
    assert_eq!((ids(&images), types(&images)), (vec![a.clone(), c.clone()], vec!["main", "detail"]));
    add(&shop, &token, &product, &json!({"url": url(3), "type": "main"})).await.expect(201);
    let images = shown(&shop, &product).await;
    assert_eq!((&images[0]["url"], types(&images)), (&json!(url(3)), vec!["main", "detail", "detail"]));
    assert_eq!(ids(&images[1..]), [a, c]);

    let body = json!({"sku": "B", "title": "Adire", "price": 5, "images": [
        {"url": url(0), "type": "detail"}, {"url": url(1), "type": "main"}, {"url": url(2), "type": "texture"}]});
    let refused = shop.post("/products").token(&token).json(&body).send().await;
    assert_eq!(refused.expect_error(400, "VALIDATION_ERROR"), ["images[0].type", "images[1].type"]);
    // The database holds it for whoever writes past the program, and for a server of the version before.
    for sql in [
        "update product_images set type = 'main'",
        "update product_images set type = 'detail'",
        "insert into product_images (id, product_id, url, type, position)
         select gen_random_uuid(), id, 'https://a', 'main', 9 from products",
    ] {
        sqlx::query(sql).execute(&shop.database.pool).await.unwrap();
        let mains = "select count(*) from product_images where (type = 'main') = (position = 0)";
        let all = "select count(*) from product_images";
        assert_eq!(shop.database.count(mains).await, shop.database.count(all).await, "{sql}");
    }
    sqlx::query("alter table product_images disable trigger user").execute(&shop.database.pool).await.unwrap();
    assert!(sqlx::query("update product_images set type = 'main'").execute(&shop.database.pool).await.is_err());
}

/// Many who add, remove, describe and order the pictures of one product at once leave one main picture and no gap.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_main_picture_is_left_whoever_comes_at_once() {
    let shop = TestApp::start().await;
    let token = shop.staff(Role::Merchant).await;
    let product = shop.product(&token, "A", 1_000, 1).await;
    for i in 0..6 {
        add(&shop, &token, &product, &json!({"url": format!("https://a.example/{i}.jpg")})).await.expect(201);
    }
    let all = ids(&shown(&shop, &product).await);
    let images = format!("/products/{}/images", product.id);
    let one = |id: &Value| format!("{images}/{}", id.as_str().unwrap());
    let main = json!({"type": "main"});
    let turned: Vec<&Value> = all.iter().rev().collect();
    let calls: Vec<Call> = vec![
        shop.delete(&one(&all[0])),
        shop.patch(&one(&all[3])).json(&main),
        shop.post(&images).json(&json!({"url": "https://a.example/new.jpg", "type": "main"})),
        shop.put(&format!("{images}/order")).json(&json!({ "images": turned })),
        shop.delete(&one(&all[1])),
        shop.patch(&one(&all[5])).json(&main),
        shop.post(&images).json(&json!({"url": "https://a.example/last.jpg"})),
        shop.delete(&one(&all[2])),
    ];
    let answers = join_all(calls.into_iter().map(|call| call.token(&token).send())).await;
    // An order may come too late to name all of them.
    assert!(answers.iter().all(|answer| matches!(answer.status, 200 | 201 | 400)), "{answers:?}");
    let images = shown(&shop, &product).await;
    assert_eq!(images.len(), 5);
    assert_eq!(types(&images)[0], "main");
    assert!(types(&images)[1..].iter().all(|kind| *kind == "detail"), "{images:?}");
    let orders: Vec<_> = images.iter().map(|image| image["order"].as_i64().unwrap()).collect();
    assert_eq!(orders, (0..5).collect::<Vec<_>>());
}

/// A change that is based on an old version is refused, where a version is named.
#[tokio::test]
async fn pictures_are_changed_on_the_version_that_was_seen() {
    let shop = TestApp::start().await;
    let token = shop.staff(Role::Merchant).await;
    let product = shop.product(&token, "A", 1_000, 1).await;
    let url = |n: i32| format!("https://a.example/{n}.jpg");
    add(&shop, &token, &product, &json!({"url": url(0), "version": 2})).await.expect_error(409, "CONFLICT");
    let data = add(&shop, &token, &product, &json!({"url": url(0), "version": 1})).await.expect(201);
    assert_eq!(data["product"]["version"], 2);
    let image = data["product"]["images"][0]["id"].clone();
    let images = format!("/products/{}/images", product.id);
    let one = format!("{images}/{}", image.as_str().unwrap());
    for version in [1, 3] {
        let calls = [
            shop.patch(&one).json(&json!({"alt": "Gold", "version": version})),
            shop.put(&format!("{images}/order")).json(&json!({"images": [image], "version": version})),
            shop.delete(&format!("{one}?version={version}")),
        ];
        for call in calls {
            call.token(&token).send().await.expect_error(409, "CONFLICT");
        }
    }
    assert_eq!(shown(&shop, &product).await[0]["alt"], "");
    shop.patch(&one).token(&token).json(&json!({"alt": "Gold", "version": 2})).send().await.expect(200);
    let order = json!({"images": [image], "version": 3});
    shop.put(&format!("{images}/order")).token(&token).json(&order).send().await.expect(200);
    shop.delete(&format!("{one}?version=4")).token(&token).send().await.expect(200);
    assert!(shown(&shop, &product).await.is_empty());
}

/// A picture is added once for a key, however often and however parallel the request is repeated.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_picture_is_added_once_for_a_key() {
    let shop = TestApp::start().await;
    let token = shop.staff(Role::Merchant).await;
    let product = shop.product(&token, "A", 1_000, 1).await;
    let path = format!("/products/{}/images", product.id);
    let send = async |url: &str| {
        let body = json!({"url": url});
        shop.post(&path).token(&token).header("idempotency-key", "once").json(&body).send().await
    };
    let answers = join_all((0..6).map(|_| send("https://a.example/1.jpg"))).await;
    assert!(answers.iter().all(|answer| matches!(answer.status, 201 | 409)), "{answers:?}");
    let first = answers.iter().find(|answer| answer.status == 201).unwrap().text.clone();
    let again = send("https://a.example/1.jpg").await;
    assert_eq!((again.header("idempotency-replayed").as_deref(), again.text), (Some("true"), first));
    send("https://a.example/2.jpg").await.expect_error(422, "VALIDATION_ERROR");
    assert_eq!(shown(&shop, &product).await.len(), 1);
}

/// A picture that only a variant shows is kept, and whoever wants to delete it is told where it is.
#[tokio::test]
async fn a_picture_that_a_variant_shows_is_not_deleted() {
    let shop = TestApp::start().await;
    let token = shop.staff(Role::Merchant).await;
    let asset = upload(&shop, &token, &jpeg(100, 100)).await;
    let body = json!({"sku": "V", "title": "Adire", "price": 5, "variants": [
        {"sku": "V-1", "options": [{"name": "Colour", "value": "Gold"}], "image": asset["url"]},
        {"sku": "V-2", "options": [{"name": "Colour", "value": "Red"}]}]});
    let product = shop.post("/products").token(&token).json(&body).send().await.expect(201)["product"].clone();
    let path = format!("/admin/media/{}", asset["id"].as_str().unwrap());
    let is_attached = async || {
        let data = shop.get("/admin/media").token(&token).send().await.expect(200);
        data["assets"][0]["isAttached"].as_bool().unwrap()
    };
    assert!(is_attached().await);
    let refused = shop.delete(&path).token(&token).send().await;
    assert_eq!(refused.expect_error(409, "CONFLICT"), ["variant"]);
    let told = refused.body["details"][0]["message"].as_str().unwrap();
    assert_eq!(told, format!("V-1 of Adire ({})", product["id"].as_str().unwrap()));
    assert_eq!(fetch(&shop, asset["url"].as_str().unwrap()).await.0, 200);

    // It moves to the other variant; a variant that is removed shows nothing, and keeps nothing.
    let product_id = product["id"].as_str().unwrap();
    let variant = |i: usize| {
        let id = product["variants"][i]["id"].as_str().unwrap();
        format!("/products/{product_id}/variants/{id}")
    };
    let change = async |i: usize, version: i32, image: &Value| {
        let body = json!({"version": version, "image": image});
        shop.patch(&variant(i)).token(&token).json(&body).send().await.expect(200)
    };
    change(1, 1, &asset["url"]).await;
    change(0, 2, &Value::Null).await;
    let refused = shop.delete(&path).token(&token).send().await;
    assert_eq!(refused.expect_error(409, "CONFLICT"), ["variant"]);
    assert!(refused.text.contains("V-2 of Adire"));
    shop.delete(&format!("{}?version=3", variant(1))).token(&token).send().await.expect(200);
    assert!(!is_attached().await);
    shop.delete(&path).token(&token).send().await.expect(200);
    shop.wait_for_jobs().await;
    assert!(kept(&shop).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn showing_by_a_variant_and_deleting_at_once_leaves_no_broken_picture() {
    let shop = TestApp::start().await;
    let token = shop.staff(Role::Merchant).await;
    for i in 0..10 {
        let asset = upload(&shop, &token, &jpeg(10, 10)).await;
        let path = format!("/admin/media/{}", asset["id"].as_str().unwrap());
        let body = json!({"sku": format!("V{i}"), "title": format!("Adire {i}"), "price": 5, "variants": [
            {"sku": format!("V{i}-1"), "options": [{"name": "Colour", "value": "Gold"}], "image": asset["url"]}]});
        let (made, deleted) = tokio::join!(
            shop.post("/products").token(&token).json(&body).send(),
            shop.delete(&path).token(&token).send()
        );
        shop.wait_for_jobs().await;
        let linked = "select count(*) from variants v join media_assets a on a.id = v.asset_id";
        match (made.status, deleted.status) {
            (201, 409) => assert_eq!(fetch(&shop, asset["url"].as_str().unwrap()).await.0, 200),
            // The one came first altogether: the address is that of no picture any more, as any other that leads nowhere.
            (201, 200) => assert_eq!(shop.database.count(linked).await, 0),
            (409, 200) => assert_eq!(made.expect_error(409, "CONFLICT"), ["image"]),
            odd => panic!("{odd:?}: {} {}", made.text, deleted.text),
        }
        sqlx::query("update variants set archived_at = now()").execute(&shop.database.pool).await.unwrap();
    }
}

/// Many products are changed on the versions that were seen, or none of them.
#[tokio::test]
async fn many_products_are_changed_on_the_versions_that_were_seen() {
    let shop = TestApp::start().await;
    let token = shop.staff(Role::Merchant).await;
    let (a, b) = (shop.product(&token, "A", 1_000, 1).await, shop.product(&token, "B", 1_000, 1).await);
    let send = async |versions: Value| {
        let body = json!({"action": "feature", "ids": [a.id, b.id], "versions": versions});
        shop.post("/admin/products/bulk").token(&token).json(&body).send().await
    };
    let refused = send(json!({(a.id.clone()): 1, (b.id.clone()): 7})).await;
    assert_eq!(refused.expect_error(409, "CONFLICT"), ["ids[1]"]);
    let foreign = json!({(uuid::Uuid::now_v7().to_string()): 1});
    assert_eq!(send(foreign).await.expect_error(400, "VALIDATION_ERROR"), ["versions"]);
    assert_eq!(send(json!({(b.id.clone()): 1})).await.expect(200)["updated"], 2);
    send(json!({(b.id.clone()): 1})).await.expect_error(409, "CONFLICT");
    assert_eq!(send(json!({(a.id.clone()): 2, (b.id.clone()): 2})).await.expect(200)["unchanged"], 2);
}
