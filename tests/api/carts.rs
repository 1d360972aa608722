//! Carts of guests and accounts.

use agape::features::auth::Role;
use chrono::TimeDelta;
use futures::future::join_all;
use serde_json::{Value, json};

use crate::support::{Answer, Product, TestApp};

async fn add(shop: &TestApp, token: &str, product: &Product, quantity: i64) -> Answer {
    let body = json!({"variantId": product.variant, "quantity": quantity});
    shop.post("/cart/items").token(token).json(&body).send().await
}

fn path_of(cart: &Value) -> String {
    format!("/cart/items/{}", cart["items"][0]["id"].as_str().unwrap())
}

/// The life of a line: added, added to, changed, removed.
#[tokio::test]
async fn a_line_is_added_changed_and_removed() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 9).await;
    let ama = shop.customer("ama@example.com").await;
    add(&shop, &ama, &product, 2).await.expect(200);
    let cart = add(&shop, &ama, &product, 1).await.expect(200)["cart"].clone();
    assert_eq!((&cart["items"][0]["quantity"], &cart["subtotal"]), (&json!(3), &json!(3_000)));
    // 7.5 % VAT.
    assert_eq!((&cart["tax"], &cart["total"]), (&json!(225), &json!(3_225)));
    let path = path_of(&cart);
    let cart = shop.patch(&path).token(&ama).json(&json!({"quantity": 5})).send().await.expect(200)["cart"].clone();
    assert_eq!(cart["itemCount"], 5);
    let cart = shop.delete(&path).token(&ama).send().await.expect(200)["cart"].clone();
    assert_eq!(cart["items"], json!([]));
    shop.delete(&path).token(&ama).send().await.expect_error(404, "NOT_FOUND");
    add(&shop, &ama, &product, 1).await.expect(200);
    let cart = shop.delete("/cart").token(&ama).send().await.expect(200)["cart"].clone();
    assert_eq!(cart["itemCount"], 0);
}

/// Quantities are checked on the sum of the line, against the stock and the limit; a price is refused.
#[tokio::test]
async fn quantities_and_prices_are_the_shops() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let (few, many) = (shop.product(&admin, "FEW", 1_000, 3).await, shop.product(&admin, "MANY", 1_000, 99).await);
    let none = shop.product(&admin, "NONE", 1_000, 0).await;
    let ama = shop.customer("ama@example.com").await;
    for quantity in [0, -1, 1_000_000_000, 2_147_483_648_i64] {
        assert_eq!(add(&shop, &ama, &few, quantity).await.expect_error(400, "VALIDATION_ERROR"), ["quantity"]);
    }
    add(&shop, &ama, &few, 2).await.expect(200);
    assert_eq!(add(&shop, &ama, &few, 2).await.expect_error(409, "CONFLICT"), ["quantity"]);
    add(&shop, &ama, &many, 10).await.expect(200);
    assert_eq!(add(&shop, &ama, &many, 1).await.expect_error(409, "CONFLICT"), ["quantity"]);
    assert_eq!(add(&shop, &ama, &none, 1).await.expect_error(409, "CONFLICT"), ["quantity"]);
    let body = json!({"variantId": many.variant, "quantity": 1, "price": 1});
    let refused = shop.post("/cart/items").token(&ama).json(&body).send().await;
    assert_eq!(refused.expect_error(400, "VALIDATION_ERROR"), ["price"]);
    let body = json!({"variantId": uuid::Uuid::now_v7(), "quantity": 1});
    shop.post("/cart/items").token(&ama).json(&body).send().await.expect_error(404, "NOT_FOUND");
    let body = json!({"productId": few.id, "variantId": many.variant, "quantity": 1});
    shop.post("/cart/items").token(&ama).json(&body).send().await.expect_error(404, "NOT_FOUND");
    let cart = shop.get("/cart").token(&ama).send().await.expect(200)["cart"].clone();
    assert_eq!(cart["itemCount"], 12);
}

/// Prices are read again, and the cart says what changed.
#[tokio::test]
async fn a_cart_says_what_changed() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 3).await;
    let ama = shop.customer("ama@example.com").await;
    add(&shop, &ama, &product, 3).await.expect(200);
    let path = format!("/products/{}", product.id);
    shop.patch(&path).token(&admin).json(&json!({"version": 1, "price": 1_500})).send().await.expect(200);
    let ben = shop.customer("ben@example.com").await;
    shop.order(&ben, &product, 1).await;
    let line = shop.get("/cart").token(&ama).send().await.expect(200)["cart"]["items"][0].clone();
    assert_eq!(line["price"], 1_500);
    assert_eq!(
        line["notices"],
        json!([{"type": "lowStock", "available": 2}, {"type": "priceChanged", "previousPrice": 1_000}])
    );
    shop.delete(&path).token(&admin).send().await.expect(200);
    let line = shop.get("/cart").token(&ama).send().await.expect(200)["cart"]["items"][0].clone();
    assert_eq!(line["notices"], json!([{"type": "unavailable"}]));
}

/// A guest's cart is found by its token alone, as header or cookie, and ends a day after its last use.
#[tokio::test]
async fn a_guest_keeps_his_cart_by_its_token() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 9).await;
    let body = json!({"productId": product.id, "quantity": 1});
    let first = shop.post("/cart/items").json(&body).send().await;
    let cookie = first.header("set-cookie").unwrap();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"), "{cookie}");
    let token = first.expect(200)["cartToken"].as_str().unwrap().to_owned();
    let count = |answer: Answer| answer.expect(200)["cart"]["itemCount"].as_i64().unwrap();
    assert_eq!(count(shop.get("/cart").header("x-cart-token", &token).send().await), 1);
    let cookie = format!("agape_cart={token}");
    assert_eq!(count(shop.post("/cart/items").header("cookie", &cookie).json(&body).send().await), 2);
    assert_eq!(count(shop.get("/cart").send().await), 0);
    assert_eq!(count(shop.get("/cart").header("x-cart-token", &"0".repeat(64)).send().await), 0);
    // The token is not in the database.
    assert_eq!(shop.database.count("select count(*) from carts where octet_length(token_hash) = 32").await, 1);
    shop.app.clock.advance(TimeDelta::hours(23));
    assert_eq!(count(shop.post("/cart/items").header("x-cart-token", &token).json(&body).send().await), 3);
    shop.app.clock.advance(TimeDelta::hours(23));
    assert_eq!(count(shop.get("/cart").header("x-cart-token", &token).send().await), 3);
    shop.app.clock.advance(TimeDelta::hours(2));
    assert_eq!(count(shop.get("/cart").header("x-cart-token", &token).send().await), 0);
    assert_eq!(count(shop.post("/cart/items").header("x-cart-token", &token).json(&body).send().await), 1);
}

/// Twenty additions at once: none is lost, and the limit holds on the sum.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn additions_at_once_lose_nothing() {
    let shop = TestApp::with(|config| config.cart.max_quantity = 15).await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 99).await;
    let ama = shop.customer("ama@example.com").await;
    let answers = join_all((0..20).map(|_| add(&shop, &ama, &product, 1))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 15);
    assert_eq!(answers.iter().filter(|answer| answer.status == 409).count(), 5);
    let cart = shop.get("/cart").token(&ama).send().await.expect(200)["cart"].clone();
    assert_eq!(cart["items"].as_array().unwrap().len(), 1);
    assert_eq!(cart["itemCount"], 15);
    assert_eq!(shop.database.count("select count(*) from carts").await, 1);
}

/// A change that is based on an older version is refused.
#[tokio::test]
async fn a_stale_change_is_refused() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 9).await;
    let ama = shop.customer("ama@example.com").await;
    let cart = add(&shop, &ama, &product, 1).await.expect(200)["cart"].clone();
    let stale = json!({"quantity": 4, "version": cart["version"]});
    let path = path_of(&cart);
    shop.patch(&path).token(&ama).json(&stale).send().await.expect(200);
    shop.patch(&path).token(&ama).json(&stale).send().await.expect_error(409, "CONFLICT");
}

/// Another person's line is not found.
#[tokio::test]
async fn a_foreign_line_is_not_found() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 9).await;
    let (ama, ben) = (shop.customer("ama@example.com").await, shop.customer("ben@example.com").await);
    let path = path_of(&add(&shop, &ama, &product, 1).await.expect(200)["cart"]);
    add(&shop, &ben, &product, 1).await.expect(200);
    shop.patch(&path).token(&ben).json(&json!({"quantity": 2})).send().await.expect_error(404, "NOT_FOUND");
    shop.delete(&path).token(&ben).send().await.expect_error(404, "NOT_FOUND");
    shop.delete(&path).send().await.expect_error(404, "NOT_FOUND");
}
