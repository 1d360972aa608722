//! What a guest put into his cart comes along when he signs in, once, whatever happens at the same time.

use agape::features::auth::{Role, current_code};
use futures::future::join_all;
use serde_json::{Value, json};

use crate::support::{Answer, Call, PASSWORD, Product, TestApp, address};

async fn put(call: Call, product: &Product, quantity: i64) -> Value {
    call.json(&json!({"variantId": product.variant, "quantity": quantity})).send().await.expect(200)
}

/// A guest's cart with one line. Gives its token.
async fn guest(shop: &TestApp, product: &Product, quantity: i64) -> String {
    put(shop.post("/cart/items"), product, quantity).await["cartToken"].as_str().unwrap().to_owned()
}

async fn cart(call: Call) -> Value {
    call.send().await.expect(200)["cart"].clone()
}

fn quantities(cart: &Value) -> Vec<(String, i64)> {
    let line = |line: &Value| (line["sku"].as_str().unwrap().to_owned(), line["quantity"].as_i64().unwrap());
    let mut lines: Vec<_> = cart["items"].as_array().unwrap().iter().map(line).collect();
    lines.sort();
    lines
}

fn of(lines: &[(&str, i64)]) -> Vec<(String, i64)> {
    lines.iter().map(|(sku, quantity)| ((*sku).to_owned(), *quantity)).collect()
}

async fn merge(shop: &TestApp, token: &str, guest: &str) -> Answer {
    shop.post("/cart/merge").token(token).json(&json!({"cartToken": guest})).send().await
}

fn credentials(email: &str) -> Value {
    json!({"email": email, "password": PASSWORD})
}

/// With a registration, a login and the second step of one: by cookie or header, and the cookie goes.
#[tokio::test]
async fn signing_in_brings_the_cart_along() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let (kente, batik) = (shop.product(&admin, "KENTE", 1_000, 30).await, shop.product(&admin, "BATIK", 500, 30).await);
    let is_taken = |answer: &Answer| {
        let cookies: Vec<_> = answer.headers.get_all("set-cookie").iter().map(|v| v.to_str().unwrap()).collect();
        cookies.iter().any(|cookie| cookie.starts_with("agape_cart=;") && cookie.contains("Max-Age=0"))
    };

    let token = guest(&shop, &kente, 2).await;
    let body = json!({"email": "ama@example.com", "password": PASSWORD, "name": "Ama"});
    let cookie = format!("agape_cart={token}");
    let registered = shop.post("/auth/register").header("cookie", &cookie).json(&body).send().await;
    assert!(is_taken(&registered), "{registered:?}");
    let ama = registered.expect(201)["accessToken"].as_str().unwrap().to_owned();
    assert_eq!(quantities(&cart(shop.get("/cart").token(&ama)).await), of(&[("KENTE", 2)]));
    assert_eq!(cart(shop.get("/cart").header("cookie", &cookie)).await["items"], json!([]));

    let token = guest(&shop, &kente, 3).await;
    put(shop.post("/cart/items").header("x-cart-token", &token), &batik, 1).await;
    let login = shop.post("/auth/login").header("x-cart-token", &token).json(&credentials("ama@example.com"));
    let login = login.send().await;
    assert!(is_taken(&login));
    login.expect(200);
    assert_eq!(quantities(&cart(shop.get("/cart").token(&ama)).await), of(&[("BATIK", 1), ("KENTE", 5)]));

    // The password alone, and a wrong one, bring nothing.
    let setup = shop.post("/auth/2fa/setup").token(&ama).json(&json!({"password": PASSWORD})).send().await.expect(200);
    let secret = setup["secret"].as_str().unwrap();
    let code = json!({"code": current_code(secret, shop.app.clock.now()).unwrap()});
    let codes = shop.post("/auth/2fa/enable").token(&ama).json(&code).send().await.expect(200)["recoveryCodes"].clone();
    let token = guest(&shop, &batik, 4).await;
    let cookie = format!("agape_cart={token}");
    let wrong = json!({"email": "ama@example.com", "password": "Wrong@1234"});
    let refused = shop.post("/auth/login").header("cookie", &cookie).json(&wrong).send().await;
    assert!(!is_taken(&refused));
    refused.expect_error(401, "AUTHENTICATION_ERROR");
    let first = shop.post("/auth/login").header("cookie", &cookie).json(&credentials("ama@example.com")).send().await;
    assert!(!is_taken(&first));
    let challenge = first.expect(200)["challenge"].clone();
    assert_eq!(cart(shop.get("/cart").header("cookie", &cookie)).await["itemCount"], 4);
    let body = json!({"challenge": challenge, "code": codes[0]});
    let second = shop.post("/auth/login/2fa").header("cookie", &cookie).json(&body).send().await;
    assert!(is_taken(&second));
    second.expect(200);
    assert_eq!(quantities(&cart(shop.get("/cart").token(&ama)).await), of(&[("BATIK", 5), ("KENTE", 5)]));
    // No guest's cart is left.
    assert_eq!(shop.database.count("select count(*) from carts").await, 1);
}

/// The explicit call says what was capped; nothing that the account's cart had becomes less, and what cannot be bought stays.
#[tokio::test]
async fn what_is_too_much_is_capped_and_told() {
    let shop = TestApp::with(|config| config.orders.max_lines = 4).await;
    let admin = shop.staff(Role::Admin).await;
    let mut products = Vec::new();
    for (sku, stock) in [("MANY", 99), ("FEW", 3), ("GONE", 9), ("NEW", 9), ("LAST", 9)] {
        products.push(shop.product(&admin, sku, 100, stock).await);
    }
    let [many, few, gone, new, last] = &products[..] else { panic!() };
    let ama = shop.customer("ama@example.com").await;
    for (product, quantity) in [(many, 6), (few, 2), (new, 1)] {
        put(shop.post("/cart/items").token(&ama), product, quantity).await;
    }
    let token = guest(&shop, many, 7).await;
    for (product, quantity) in [(few, 2), (gone, 2), (last, 5)] {
        put(shop.post("/cart/items").header("x-cart-token", &token), product, quantity).await;
    }
    shop.delete(&format!("/products/{}", gone.id)).token(&admin).send().await.expect(200);
    let data = merge(&shop, &ama, &token).await.expect(200);
    let merged = of(&[("FEW", 3), ("GONE", 2), ("MANY", 10), ("NEW", 1)]);
    assert_eq!(quantities(&data["cart"]), merged);
    let mut capped: Vec<_> = data["merge"]["capped"].as_array().unwrap().clone();
    capped.sort_by_key(|capped| capped["title"].as_str().unwrap().to_owned());
    assert_eq!(
        capped,
        [
            json!({"variantId": few.variant, "title": "Kente FEW", "wanted": 4, "quantity": 3}),
            json!({"variantId": last.variant, "title": "Kente LAST", "wanted": 5, "quantity": 0}),
            json!({"variantId": many.variant, "title": "Kente MANY", "wanted": 13, "quantity": 10}),
        ]
    );
    assert_eq!(data["merge"]["changed"], 3);
    assert_eq!(data["cart"], cart(shop.get("/cart").token(&ama)).await);
    // Again, as a client does that has lost the answer.
    let again = merge(&shop, &ama, &token).await.expect(200);
    assert_eq!((&again["cart"], &again["merge"]), (&data["cart"], &json!({"changed": 0, "capped": []})));
}

/// Two tabs that take the same cart over, at the same time, again and again, with additions between: added once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_at_once_one_takes_the_cart_over() {
    let shop = TestApp::with(|config| config.cart.max_quantity = 1_000).await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 100, 100_000).await;
    for round in 0..6 {
        let email = format!("ama{round}@example.com");
        let ama = shop.customer(&email).await;
        // With and without a cart of his own before.
        let mut had = 0;
        if round % 2 == 0 {
            put(shop.post("/cart/items").token(&ama), &product, 5).await;
            had = 5;
        }
        let token = guest(&shop, &product, 7).await;
        let merges = join_all((0..4).map(|_| merge(&shop, &ama, &token)));
        let login = credentials(&email);
        let logins =
            join_all((0..2).map(|_| shop.post("/auth/login").header("x-cart-token", &token).json(&login).send()));
        let body = json!({"variantId": product.variant, "quantity": 1});
        let additions = join_all((0..4).map(|_| shop.post("/cart/items").token(&ama).json(&body).send()));
        let (merges, logins, additions) = tokio::join!(merges, logins, additions);
        for answer in merges.into_iter().chain(logins).chain(additions) {
            answer.expect(200);
        }
        assert_eq!(cart(shop.get("/cart").token(&ama)).await["itemCount"], had + 7 + 4, "round {round}");
    }
    assert_eq!(shop.database.count("select count(*) from carts where token_hash is not null").await, 0);
}

/// Two accounts that want the same guest's cart, and two carts that are wanted crosswise: one gets each, and nobody waits for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn carts_are_taken_over_crosswise_without_a_knot() {
    let shop = TestApp::with(|config| config.cart.max_quantity = 1_000).await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 100, 100_000).await;
    let (ama, ben) = (shop.customer("ama@example.com").await, shop.customer("ben@example.com").await);
    put(shop.post("/cart/items").token(&ama), &product, 1).await;
    for round in 1..=8 {
        let tokens = [guest(&shop, &product, 1).await, guest(&shop, &product, 1).await];
        let wants = [(&ama, 0), (&ben, 1), (&ama, 1), (&ben, 0)];
        for answer in join_all(wants.map(|(who, which)| merge(&shop, who, &tokens[which]))).await {
            answer.expect(200);
        }
        let count = async |who: &str| cart(shop.get("/cart").token(who)).await["itemCount"].as_i64().unwrap();
        assert_eq!(count(&ama).await + count(&ben).await, 1 + 2 * round);
    }
}

/// A cart is taken over or ordered, never both.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cart_is_taken_over_or_ordered() {
    let shop = TestApp::with(|config| config.cart.max_quantity = 1_000).await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 100, 100_000).await;
    for round in 0..6 {
        let ama = shop.customer(&format!("ama{round}@example.com")).await;
        put(shop.post("/cart/items").token(&ama), &product, 1).await;
        let token = guest(&shop, &product, 2).await;
        let body = json!({"email": "guest@example.com", "shippingAddress": address()});
        let guests = shop.post("/orders").header("x-cart-token", &token).json(&body).send();
        let mine = shop.post("/orders").token(&ama).json(&json!({"shippingAddress": address()})).send();
        let (merged, guests, mine) = tokio::join!(merge(&shop, &ama, &token), guests, mine);
        let units = |answer: &Answer| {
            let items = answer.body["data"]["order"]["items"].as_array();
            items.map_or(0, |items| items.iter().map(|item| item["quantity"].as_i64().unwrap()).sum())
        };
        for answer in [&merged, &guests, &mine] {
            assert!(answer.status < 500, "{}", answer.text);
        }
        let mut left = cart(shop.get("/cart").token(&ama)).await["itemCount"].as_i64().unwrap();
        left += cart(shop.get("/cart").header("x-cart-token", &token)).await["itemCount"].as_i64().unwrap();
        assert_eq!(units(&guests) + units(&mine) + left, 3, "{} {} {}", merged.text, guests.text, mine.text);
    }
}

/// Only a guest's cart can be taken over, by whoever is signed in and knows its token.
#[tokio::test]
async fn nobody_takes_over_what_is_anothers() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 30).await;
    let (ama, ben) = (shop.customer("ama@example.com").await, shop.customer("ben@example.com").await);
    let amas = put(shop.post("/cart/items").token(&ama), &product, 2).await["cart"].clone();
    let token = guest(&shop, &product, 3).await;
    let id = amas["id"].as_str().unwrap();
    for wrong in ["", id, "x", &token[1..], &"g".repeat(64)] {
        let refused = merge(&shop, &ben, wrong).await;
        assert_eq!(refused.expect_error(400, "VALIDATION_ERROR"), ["cartToken"], "{wrong}");
    }
    let nothing = shop.post("/cart/merge").token(&ben).json(&json!({})).send().await;
    assert_eq!(nothing.expect_error(400, "VALIDATION_ERROR"), ["cartToken"]);
    let unknown = merge(&shop, &ben, &"0".repeat(64)).await.expect(200);
    assert_eq!((&unknown["cart"]["items"], &unknown["merge"]["changed"]), (&json!([]), &json!(0)));
    shop.post("/cart/merge").json(&json!({"cartToken": token})).send().await.expect_error(401, "AUTHENTICATION_ERROR");
    // On the state that the client saw, or not at all.
    let stale = json!({"cartToken": token, "version": 9});
    shop.post("/cart/merge").token(&ama).json(&stale).send().await.expect_error(409, "CONFLICT");
    assert_eq!(cart(shop.get("/cart").header("x-cart-token", &token)).await["itemCount"], 3);
    assert_eq!(cart(shop.get("/cart").token(&ama)).await, amas);
    // Without the token in the body, that of the request counts.
    let fresh = json!({"version": amas["version"]});
    let taken = shop.post("/cart/merge").token(&ama).header("x-cart-token", &token).json(&fresh).send().await;
    assert_eq!(taken.expect(200)["cart"]["itemCount"], 5);
    assert_eq!(merge(&shop, &ben, &token).await.expect(200)["cart"]["items"], json!([]));
}

/// When the cart cannot be taken over at the moment, signing in works nevertheless, and the cart stays for later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cart_that_cannot_be_had_keeps_nobody_out() {
    let shop = TestApp::with(|config| config.database.lock_timeout_ms = 200).await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 30).await;
    shop.customer("ama@example.com").await;
    let token = guest(&shop, &product, 3).await;
    let mut tx = shop.database.pool.begin().await.unwrap();
    sqlx::query("select id from carts for update").fetch_all(&mut *tx).await.unwrap();
    let call = shop.post("/auth/login").header("x-cart-token", &token).json(&credentials("ama@example.com"));
    let login = call.send().await;
    assert!(!login.headers.get_all("set-cookie").iter().any(|v| v.to_str().unwrap().starts_with("agape_cart=")));
    let ama = login.expect(200)["accessToken"].as_str().unwrap().to_owned();
    tx.rollback().await.unwrap();
    assert_eq!(cart(shop.get("/cart").token(&ama)).await["items"], json!([]));
    assert_eq!(merge(&shop, &ama, &token).await.expect(200)["cart"]["itemCount"], 3);
}
