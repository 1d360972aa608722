//! Wishlists of accounts.

use agape::features::auth::Role;
use futures::future::join_all;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Answer, Product, TestApp};

async fn wish(shop: &TestApp, token: &str, body: Value) -> Answer {
    shop.post("/wishlist").token(token).json(&body).send().await
}

async fn wish_for(shop: &TestApp, token: &str, product: &Product) -> String {
    let data = wish(shop, token, json!({"productId": product.id})).await.expect(201);
    data["item"]["wishlistItemId"].as_str().unwrap().to_owned()
}

async fn list(shop: &TestApp, token: &str) -> Value {
    shop.get("/wishlist").token(token).send().await.expect(200)
}

/// Skus and availability, in order.
fn shown(list: &Value) -> Vec<(String, String)> {
    let item =
        |item: &Value| (item["sku"].as_str().unwrap().to_owned(), item["availability"].as_str().unwrap().to_owned());
    list["items"].as_array().unwrap().iter().map(item).collect()
}

fn of(items: &[(&str, &str)]) -> Vec<(String, String)> {
    items.iter().map(|(sku, availability)| ((*sku).to_owned(), (*availability).to_owned())).collect()
}

/// A product with two sizes. Gives its id and its variants.
async fn two_sizes(shop: &TestApp, admin: &str) -> (String, Vec<String>) {
    let size = |sku: &str, value: &str, stock: i64| json!({"sku": sku, "price": 500, "inventory": stock, "options": [{"name": "Size", "value": value}]});
    let body = json!({"sku": "SHIRT", "title": "Shirt", "price": 500,
                      "variants": [size("SHIRT-S", "S", 5), size("SHIRT-M", "M", 0)]});
    let product = shop.post("/products").token(admin).json(&body).send().await.expect(201)["product"].clone();
    let id = |value: &Value| value["id"].as_str().unwrap().to_owned();
    (id(&product), product["variants"].as_array().unwrap().iter().map(id).collect())
}

/// Added once, shown as whole products with what can be bought of them, removed by entry or by product.
#[tokio::test]
async fn wishes_are_kept_and_shown_as_products() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let (kente, batik) = (shop.product(&admin, "KENTE", 1_000, 3).await, shop.product(&admin, "BATIK", 500, 0).await);
    let (shirt, sizes) = two_sizes(&shop, &admin).await;
    let ama = shop.customer("ama@example.com").await;
    assert_eq!(list(&shop, &ama).await, json!({"items": [], "count": 0}));
    let first = wish_for(&shop, &ama, &kente).await;
    let again = wish(&shop, &ama, json!({"productId": kente.id})).await.expect(200);
    assert_eq!(again["item"]["wishlistItemId"].as_str(), Some(first.as_str()));
    wish_for(&shop, &ama, &batik).await;
    for (variant, status) in [(&sizes[1], 201), (&sizes[0], 201), (&sizes[1], 200)] {
        wish(&shop, &ama, json!({"productId": shirt, "variantId": variant})).await.expect(status);
    }
    let all = list(&shop, &ama).await;
    let expected = [("SHIRT", "available"), ("SHIRT", "soldOut"), ("BATIK", "soldOut"), ("KENTE", "available")];
    assert_eq!((shown(&all), &all["count"]), (of(&expected), &json!(4)));
    // As the catalogue shows it.
    let product = shop.get(&format!("/products/{}", kente.id)).send().await.expect(200)["product"].clone();
    for (field, value) in product.as_object().unwrap() {
        assert_eq!(&all["items"][3][field], value, "{field}");
    }
    assert_eq!(all["items"][0]["variantId"].as_str(), Some(sizes[0].as_str()));

    shop.delete(&format!("/products/{}", kente.id)).token(&admin).send().await.expect(200);
    assert_eq!(shown(&list(&shop, &ama).await)[3], ("KENTE".to_owned(), "unavailable".to_owned()));
    let page = shop.get("/wishlist?page=2&limit=3").token(&ama).send().await;
    assert_eq!(page.body["pagination"], json!({"page": 2, "limit": 3, "total": 4, "totalPages": 2}));
    assert_eq!(shown(&page.expect(200)), of(&[("KENTE", "unavailable")]));

    let asked = format!("/wishlist/check?productIds={},{},{}", kente.id, shirt, Uuid::now_v7());
    let mut contained = vec![kente.id.clone(), shirt.clone()];
    contained.sort();
    assert_eq!(shop.get(&asked).token(&ama).send().await.expect(200)["productIds"], json!(contained));
    shop.delete(&format!("/wishlist/{first}")).token(&ama).send().await.expect(200);
    shop.delete(&format!("/wishlist/{first}")).token(&ama).send().await.expect_error(404, "NOT_FOUND");
    // Both sizes go with their product.
    shop.delete(&format!("/wishlist/{shirt}")).token(&ama).send().await.expect(200);
    assert_eq!(shown(&list(&shop, &ama).await), of(&[("BATIK", "soldOut")]));
    shop.delete("/wishlist").token(&ama).send().await.expect(200);
    assert_eq!(list(&shop, &ama).await["count"], 0);
    shop.delete("/wishlist").token(&ama).send().await.expect(200);
}

/// What is wrong is refused, and what is another's is not found.
#[tokio::test]
async fn a_wishlist_is_its_owners() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let (kente, batik) = (shop.product(&admin, "KENTE", 1_000, 3).await, shop.product(&admin, "BATIK", 500, 3).await);
    let (ama, ben) = (shop.customer("ama@example.com").await, shop.customer("ben@example.com").await);
    let entry = wish_for(&shop, &ama, &kente).await;
    for id in [&entry, &kente.id, &Uuid::now_v7().to_string()] {
        let path = format!("/wishlist/{id}");
        shop.delete(&path).token(&ben).send().await.expect_error(404, "NOT_FOUND");
        let call = shop.post(&format!("{path}/move-to-cart")).token(&ben).json(&json!({}));
        call.send().await.expect_error(404, "NOT_FOUND");
        shop.delete(&path).send().await.expect_error(401, "AUTHENTICATION_ERROR");
    }
    shop.delete("/wishlist").token(&ben).send().await.expect(200);
    let asked = format!("/wishlist/check?productIds={}", kente.id);
    assert_eq!(shop.get(&asked).token(&ben).send().await.expect(200)["productIds"], json!([]));
    assert_eq!(list(&shop, &ben).await["items"], json!([]));
    assert_eq!(shown(&list(&shop, &ama).await), of(&[("KENTE", "available")]));
    shop.delete(&format!("/products/{}", kente.id)).token(&admin).send().await.expect(200);
    for body in [
        json!({"productId": Uuid::now_v7()}),
        json!({"productId": kente.id}),
        json!({"productId": batik.id, "variantId": kente.variant}),
        json!({"productId": batik.id, "variantId": Uuid::now_v7()}),
    ] {
        wish(&shop, &ben, body).await.expect_error(404, "NOT_FOUND");
    }
    for (body, field) in [
        (json!({}), "productId"),
        (json!({"productId": "x"}), "productId"),
        (json!({"productId": batik.id, "price": 1}), "price"),
    ] {
        assert_eq!(wish(&shop, &ben, body).await.expect_error(400, "VALIDATION_ERROR"), [field]);
    }
    let many = vec![Uuid::nil().to_string(); 101].join(",");
    let different: Vec<_> = (0..101).map(|i| Uuid::from_u128(i).to_string()).collect();
    shop.get(&format!("/wishlist/check?productIds={many}")).token(&ben).send().await.expect(200);
    for wrong in ["x".to_owned(), different.join(",")] {
        let refused = shop.get(&format!("/wishlist/check?productIds={wrong}")).token(&ben).send().await;
        assert_eq!(refused.expect_error(400, "VALIDATION_ERROR"), ["productIds"]);
    }
}

/// Many additions at once: each thing is there once, and the list has no more entries than it may.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_has_its_limit_also_when_many_come_at_once() {
    let shop = TestApp::with(|config| config.wishlist.max_items = 3).await;
    let admin = shop.staff(Role::Admin).await;
    let mut products = Vec::new();
    for i in 0..6 {
        products.push(shop.product(&admin, &format!("P{i}"), 100, 9).await);
    }
    let ama = shop.customer("ama@example.com").await;
    let bodies = products.iter().chain(&products).map(|product| json!({"productId": product.id}));
    let answers = join_all(bodies.map(|body| wish(&shop, &ama, body))).await;
    let count = |status: u16| answers.iter().filter(|answer| answer.status == status).count();
    assert_eq!((count(201), count(200) + count(409)), (3, 9));
    answers.iter().find(|answer| answer.status == 409).unwrap().expect_error(409, "CONFLICT");
    assert_eq!(list(&shop, &ama).await["count"], 3);
}

/// To the cart goes what the cart takes; the rest stays.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wish_goes_to_the_cart_or_stays() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let (kente, batik) = (shop.product(&admin, "KENTE", 1_000, 3).await, shop.product(&admin, "BATIK", 500, 0).await);
    let (shirt, sizes) = two_sizes(&shop, &admin).await;
    let ama = shop.customer("ama@example.com").await;
    let go = async |entry: &str, body: Value| {
        shop.post(&format!("/wishlist/{entry}/move-to-cart")).token(&ama).json(&body).send().await
    };
    let in_cart = async || shop.get("/cart").token(&ama).send().await.expect(200)["cart"]["itemCount"].clone();
    assert_eq!(in_cart().await, 0);
    let (one, none) = (wish_for(&shop, &ama, &kente).await, wish_for(&shop, &ama, &batik).await);
    go(&one, json!({"quantity": 4})).await.expect_error(409, "CONFLICT");
    go(&none, json!({})).await.expect_error(409, "CONFLICT");
    for quantity in [0, -1] {
        assert_eq!(go(&one, json!({"quantity": quantity})).await.expect_error(400, "VALIDATION_ERROR"), ["quantity"]);
    }
    assert_eq!(list(&shop, &ama).await["count"], 2);
    assert_eq!(in_cart().await, 0);
    // Of many at once, one finds the entry.
    let answers = join_all((0..4).map(|_| go(&one, json!({"quantity": 2})))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    for answer in answers.iter().filter(|answer| answer.status != 200) {
        answer.expect_error(404, "NOT_FOUND");
    }
    assert_eq!((in_cart().await, &list(&shop, &ama).await["count"]), (json!(2), &json!(1)));

    let open = wish(&shop, &ama, json!({"productId": shirt})).await.expect(201)["item"]["wishlistItemId"].clone();
    let open = open.as_str().unwrap();
    assert_eq!(go(open, json!({})).await.expect_error(400, "VALIDATION_ERROR"), ["variantId"]);
    go(open, json!({"variantId": kente.variant})).await.expect_error(404, "NOT_FOUND");
    go(open, json!({"variantId": sizes[0]})).await.expect(200);
    let body = json!({"productId": shirt, "variantId": sizes[0]});
    let chosen = wish(&shop, &ama, body).await.expect(201)["item"]["wishlistItemId"].clone();
    let chosen = chosen.as_str().unwrap();
    let other = go(chosen, json!({"variantId": sizes[1]})).await;
    assert_eq!(other.expect_error(400, "VALIDATION_ERROR"), ["variantId"]);
    go(chosen, json!({})).await.expect(200);
    assert_eq!(in_cart().await, 4);
}
