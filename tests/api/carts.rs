//! Carts of guests and accounts.

use agape::features::auth::Role;
use agape::flows::expire::Sweep;
use agape::platform::jobs::Job;
use chrono::TimeDelta;
use futures::future::join_all;
use serde_json::{Value, json};

use crate::support::{Answer, Product, TestApp, address};

async fn add(shop: &TestApp, token: &str, product: &Product, quantity: i64) -> Answer {
    let body = json!({"variantId": product.variant, "quantity": quantity});
    shop.post("/cart/items").token(token).json(&body).send().await
}

async fn cart(shop: &TestApp, token: &str) -> Value {
    shop.get("/cart").token(token).send().await.expect(200)["cart"].clone()
}

fn path_of(cart: &Value) -> String {
    format!("/cart/items/{}", cart["items"][0]["id"].as_str().unwrap())
}

async fn set_price(shop: &TestApp, admin: &str, product: &Product, version: i64, price: i64) {
    let change = json!({"version": version, "price": price});
    shop.patch(&format!("/products/{}", product.id)).token(admin).json(&change).send().await.expect(200);
}

/// The life of a line: added, added to, changed, removed.
#[tokio::test]
async fn a_line_is_added_changed_and_removed() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 9).await;
    let ama = shop.customer("ama@example.com").await;
    add(&shop, &ama, &product, 2).await.expect(200);
    let changed = add(&shop, &ama, &product, 1).await.expect(200)["cart"].clone();
    assert_eq!((&changed["items"][0]["quantity"], &changed["subtotal"]), (&json!(3), &json!(3_000)));
    assert_eq!(changed, cart(&shop, &ama).await);
    let path = path_of(&changed);
    let changed = shop.patch(&path).token(&ama).json(&json!({"quantity": 5})).send().await.expect(200)["cart"].clone();
    assert_eq!(changed["itemCount"], 5);
    assert_eq!(changed, cart(&shop, &ama).await);
    let emptied = shop.delete(&path).token(&ama).send().await.expect(200)["cart"].clone();
    assert_eq!(emptied["items"], json!([]));
    assert_eq!(emptied, cart(&shop, &ama).await);
    shop.delete(&path).token(&ama).send().await.expect_error(404, "NOT_FOUND");
    shop.patch(&path).token(&ama).json(&json!({"quantity": 1})).send().await.expect_error(404, "NOT_FOUND");
    let path = path_of(&add(&shop, &ama, &product, 1).await.expect(200)["cart"]);
    // Nothing of it is wanted any more.
    let emptied = shop.patch(&path).token(&ama).json(&json!({"quantity": 0})).send().await.expect(200)["cart"].clone();
    assert_eq!((&emptied["items"], &emptied["total"]), (&json!([]), &json!(0)));
    add(&shop, &ama, &product, 1).await.expect(200);
    let emptied = shop.delete("/cart").token(&ama).send().await.expect(200)["cart"].clone();
    assert_eq!((&emptied["itemCount"], &emptied["version"], &emptied["id"]), (&json!(0), &json!(0), &Value::Null));
    assert_eq!(emptied, cart(&shop, &ama).await);
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
    let line = path_of(&add(&shop, &ama, &few, 2).await.expect(200)["cart"]);
    assert_eq!(add(&shop, &ama, &few, 2).await.expect_error(409, "CONFLICT"), ["quantity"]);
    for (quantity, status) in [(-1, 400), (4, 409), (11, 409), (3, 200), (2, 200)] {
        let answer = shop.patch(&line).token(&ama).json(&json!({"quantity": quantity})).send().await;
        assert_eq!(answer.status, status, "{quantity}: {}", answer.text);
    }
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
    assert_eq!(cart(&shop, &ama).await["itemCount"], 12);
}

/// A cart takes so many lines and no more; a line that is there already goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cart_has_so_many_lines() {
    let shop = TestApp::with(|config| config.orders.max_lines = 3).await;
    let admin = shop.staff(Role::Admin).await;
    let mut products = Vec::new();
    for i in 0..6 {
        products.push(shop.product(&admin, &format!("P{i}"), 100, 9).await);
    }
    let ama = shop.customer("ama@example.com").await;
    let answers = join_all(products.iter().map(|product| add(&shop, &ama, product, 1))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 3);
    for answer in answers.iter().filter(|answer| answer.status != 200) {
        answer.expect_error(409, "CONFLICT");
    }
    let full = cart(&shop, &ama).await;
    assert_eq!(full["items"].as_array().unwrap().len(), 3);
    let body = json!({"variantId": full["items"][1]["variantId"], "quantity": 1});
    shop.post("/cart/items").token(&ama).json(&body).send().await.expect(200);
}

/// The cart adds up as the order that is placed of it.
#[tokio::test]
async fn a_cart_costs_what_its_order_costs() {
    let shop = TestApp::start().await;
    shop.set_rates("update shipping_methods set free_from_minor = 1000000").await;
    let admin = shop.staff(Role::Admin).await;
    let (odd, round) = (shop.product(&admin, "ODD", 333, 9).await, shop.product(&admin, "ROUND", 2_000, 9).await);
    let ama = shop.customer("ama@example.com").await;
    for (product, quantity) in [(&odd, 3), (&round, 2), (&round, 3)] {
        add(&shop, &ama, product, quantity).await.expect(200);
        let shown = cart(&shop, &ama).await;
        let body = json!({"shippingAddress": address()});
        let order = shop.post("/orders").token(&ama).json(&body).send().await.expect(201)["order"].clone();
        for sum in ["subtotal", "discount", "shipping", "tax", "total"] {
            assert_eq!(shown[sum].as_f64(), order[sum].as_f64(), "{sum}: {shown:#} {order:#}");
        }
        assert!(shown["tax"].as_f64().unwrap() > 0.0);
    }
    let nothing = cart(&shop, &ama).await;
    assert_eq!((&nothing["shipping"], &nothing["total"]), (&json!(0), &json!(0)));
}

/// Prices are read again, and the cart says what changed. What cannot be bought is not in the sums.
#[tokio::test]
async fn a_cart_says_what_changed() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let (product, other) = (shop.product(&admin, "A", 1_000, 3).await, shop.product(&admin, "B", 10, 9).await);
    let ama = shop.customer("ama@example.com").await;
    add(&shop, &ama, &product, 3).await.expect(200);
    add(&shop, &ama, &other, 1).await.expect(200);
    set_price(&shop, &admin, &product, 1, 1_500).await;
    let ben = shop.customer("ben@example.com").await;
    shop.order(&ben, &product, 1).await;
    let shown = cart(&shop, &ama).await;
    assert_eq!((&shown["subtotal"], &shown["items"][0]["price"]), (&json!(4_510), &json!(1_500)));
    assert_eq!(
        shown["items"][0]["notices"],
        json!([{"type": "lowStock", "available": 2}, {"type": "priceChanged", "previousPrice": 1_000}])
    );
    shop.order(&ben, &product, 2).await;
    let shown = cart(&shop, &ama).await;
    assert_eq!(shown["items"][0]["notices"], json!([{"type": "unavailable"}]));
    assert_eq!((&shown["subtotal"], &shown["itemCount"]), (&json!(10), &json!(1)));
    assert_eq!(shown["items"][0]["total"], 4_500);
    shop.delete(&format!("/products/{}", product.id)).token(&admin).send().await.expect(200);
    let shown = cart(&shop, &ama).await;
    assert_eq!(shown["items"][0]["notices"], json!([{"type": "unavailable"}]));
    shop.patch(&path_of(&shown)).token(&ama).json(&json!({"quantity": 1})).send().await.expect_error(409, "CONFLICT");
    let refused = shop.post("/orders").token(&ama).json(&json!({"shippingAddress": address()})).send().await;
    refused.expect_error(409, "CONFLICT");
    shop.delete(&path_of(&shown)).token(&ama).send().await.expect(200);
    shop.post("/orders").token(&ama).json(&json!({"shippingAddress": address()})).send().await.expect(201);
}

/// A changed price is told until the shopper is known to have seen it: not less by adding more, and not longer.
#[tokio::test]
async fn a_changed_price_is_told_until_it_was_seen() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 9).await;
    let (ama, ben) = (shop.customer("ama@example.com").await, shop.customer("ben@example.com").await);
    let line = add(&shop, &ama, &product, 1).await.expect(200)["cart"]["items"][0]["id"].clone();
    add(&shop, &ben, &product, 1).await.expect(200);
    let notices = async || cart(&shop, &ama).await["items"][0]["notices"].clone();
    let told = |price: i64| json!([{"type": "priceChanged", "previousPrice": price}]);
    let acknowledge = async |token: &str, items: Value| {
        shop.post("/cart/acknowledge").token(token).json(&json!({"items": items})).send().await
    };
    set_price(&shop, &admin, &product, 1, 1_500).await;
    assert_eq!(notices().await, told(1_000));
    add(&shop, &ama, &product, 1).await.expect(200);
    assert_eq!(notices().await, told(1_000));
    // A price that is not the one of now is not taken: it changed once more meanwhile, or was made up.
    for (token, price) in [(&ama, 1_400), (&ama, 0), (&ben, 1_500)] {
        acknowledge(token, json!([{"id": line, "price": price}])).await.expect(200);
        assert_eq!(notices().await, told(1_000), "{price}");
    }
    let seen = acknowledge(&ama, json!([{"id": line, "price": 1_500}])).await.expect(200)["cart"].clone();
    assert_eq!(seen["items"][0]["notices"], json!([]));
    assert_eq!(notices().await, json!([]));
    set_price(&shop, &admin, &product, 2, 900).await;
    assert_eq!(notices().await, told(1_500));
    let path = format!("/cart/items/{}", line.as_str().unwrap());
    let edited = shop.patch(&path).token(&ama).json(&json!({"quantity": 3})).send().await.expect(200);
    assert_eq!(edited["cart"]["items"][0]["notices"], json!([]));
    for (items, field) in [
        (json!([{"id": line}]), "items[0].price"),
        (json!([{"id": line, "price": -1}]), "items[0].price"),
        (json!([{"id": "x", "price": 1}]), "items[0].id"),
        (json!(vec![json!({"id": line, "price": 1}); 101]), "items"),
    ] {
        assert_eq!(acknowledge(&ama, items).await.expect_error(400, "VALIDATION_ERROR"), [field]);
    }
    // Whoever has no cart has nothing to see.
    let nobody = shop.post("/cart/acknowledge").json(&json!({"items": [{"id": line, "price": 900}]})).send().await;
    assert_eq!(nobody.expect(200)["cart"]["items"], json!([]));
}

/// A guest's cart is found by its token alone, as header or cookie. It ends a day after its last use, looks included.
#[tokio::test]
async fn a_guest_keeps_his_cart_by_its_token() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 9).await;
    let body = json!({"productId": product.id, "quantity": 1});
    let first = shop.post("/cart/items").json(&body).send().await;
    let cookie = first.header("set-cookie").unwrap();
    for attribute in ["HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=34560000"] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
    assert!(!cookie.contains("Secure"), "{cookie}");
    let token = first.expect(200)["cartToken"].as_str().unwrap().to_owned();
    let count = |answer: Answer| answer.expect(200)["cart"]["itemCount"].as_i64().unwrap();
    let look = async || count(shop.get("/cart").header("x-cart-token", &token).send().await);
    assert_eq!(look().await, 1);
    let cookie = format!("agape_cart={token}");
    let second = shop.post("/cart/items").header("cookie", &cookie).json(&body).send().await;
    assert_eq!((second.header("set-cookie"), &second.body["data"]["cartToken"]), (None, &Value::Null));
    assert_eq!(count(second), 2);
    assert_eq!(count(shop.get("/cart").send().await), 0);
    // The token is not in the database.
    assert_eq!(shop.database.count("select count(*) from carts where octet_length(token_hash) = 32").await, 1);
    for _ in 0..3 {
        shop.app.clock.advance(TimeDelta::hours(23));
        Sweep {}.run(&shop.app).await.unwrap();
        assert_eq!(look().await, 2);
    }
    // Of many looks, few write.
    let end = shop.database.text("select expires_at::text from carts").await;
    shop.app.clock.advance(TimeDelta::minutes(59));
    look().await;
    assert_eq!(shop.database.text("select expires_at::text from carts").await, end);
    shop.app.clock.advance(TimeDelta::minutes(2));
    look().await;
    assert_ne!(shop.database.text("select expires_at::text from carts").await, end);
    shop.app.clock.advance(TimeDelta::hours(25));
    assert_eq!(look().await, 0);
    Sweep {}.run(&shop.app).await.unwrap();
    assert_eq!(shop.database.count("select count(*) from carts").await, 0);
}

/// With https the cookie travels nowhere else.
#[tokio::test]
async fn the_cookie_is_secure_where_the_shop_is() {
    let shop = TestApp::with(|config| config.server.public_url = "https://shop.example".into()).await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 9).await;
    let body = json!({"productId": product.id, "quantity": 1});
    let first = shop.post("/cart/items").json(&body).send().await;
    assert!(first.header("set-cookie").unwrap().contains("; Secure"), "{first:?}");
}

/// A token that the shop did not give, or whose cart has ended, opens nothing, and nobody can make others use one that he knows:
/// the shop gives a new one.
#[tokio::test]
async fn a_token_that_is_none_opens_nothing() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 9).await;
    let body = json!({"productId": product.id, "quantity": 1});
    let guest = shop.post("/cart/items").json(&body).send().await.expect(200);
    let (token, line) = (guest["cartToken"].as_str().unwrap(), path_of(&guest["cart"]));
    let forged = "0".repeat(64);
    // Almost right is wrong.
    let near = format!("{}{}", &token[..63], if token.ends_with('0') { '1' } else { '0' });
    for wrong in [&forged, &near, &token.to_uppercase()] {
        let nothing = shop.get("/cart").header("x-cart-token", wrong).send().await.expect(200);
        assert_eq!(nothing["cart"]["items"], json!([]));
        let change = json!({"quantity": 2});
        shop.patch(&line).header("x-cart-token", wrong).json(&change).send().await.expect_error(404, "NOT_FOUND");
        shop.delete(&line).header("x-cart-token", wrong).send().await.expect_error(404, "NOT_FOUND");
        shop.delete("/cart").header("x-cart-token", wrong).send().await.expect(200);
        let added = shop.post("/cart/items").header("cookie", &format!("agape_cart={wrong}")).json(&body).send().await;
        let new = added.body["data"]["cartToken"].as_str().unwrap().to_owned();
        assert!(new != *wrong && added.header("set-cookie").unwrap().contains(&new), "{}", added.text);
        let nothing = shop.get("/cart").header("x-cart-token", wrong).send().await.expect(200);
        assert_eq!(nothing["cart"]["items"], json!([]));
    }
    // What cannot be a token: its sender hears of a header; a cookie is replaced.
    for malformed in ["", "x", &token[..63], &format!("{token}0"), &"g".repeat(64), "' or true --"] {
        let refused = shop.get("/cart").header("x-cart-token", malformed).send().await;
        assert_eq!(refused.expect_error(400, "VALIDATION_ERROR"), ["X-Cart-Token"], "{malformed}");
        let refused = shop.post("/cart/items").header("x-cart-token", malformed).json(&body).send().await;
        assert_eq!(refused.expect_error(400, "VALIDATION_ERROR"), ["X-Cart-Token"], "{malformed}");
        let cookie = format!("agape_cart={malformed}");
        let nothing = shop.get("/cart").header("cookie", &cookie).send().await.expect(200);
        assert_eq!(nothing["cart"]["items"], json!([]), "{malformed}");
        let added = shop.post("/cart/items").header("cookie", &cookie).json(&body).send().await.expect(200);
        assert!(added["cartToken"].is_string() && added["cart"]["itemCount"] == 1, "{malformed}");
    }
    // An account's cart has no token, whatever is sent beside the sign-in.
    let ama = shop.customer("ama@example.com").await;
    add(&shop, &ama, &product, 4).await.expect(200);
    let mine = shop.get("/cart").token(&ama).header("x-cart-token", token).send().await.expect(200);
    assert_eq!(mine["cart"]["itemCount"], 4);
    let his = shop.get("/cart").header("x-cart-token", token).send().await.expect(200);
    assert_eq!(his["cart"]["itemCount"], 1);
}

/// After his order a guest begins anew, with a new token.
#[tokio::test]
async fn an_ordered_cart_takes_nothing_more() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 9).await;
    let body = json!({"productId": product.id, "quantity": 1});
    let first = shop.post("/cart/items").json(&body).send().await.expect(200);
    let token = first["cartToken"].as_str().unwrap();
    let order = json!({"email": "guest@example.com", "shippingAddress": address()});
    shop.post("/orders").header("x-cart-token", token).json(&order).send().await.expect(201);
    shop.patch(&path_of(&first["cart"]))
        .header("x-cart-token", token)
        .json(&json!({"quantity": 2}))
        .send()
        .await
        .expect_error(404, "NOT_FOUND");
    let second = shop.post("/cart/items").header("x-cart-token", token).json(&body).send().await.expect(200);
    assert!(second["cartToken"].is_string() && second["cartToken"] != first["cartToken"], "{second}");
    assert_eq!(second["cart"]["itemCount"], 1);
}

/// Twenty additions of one thing at once: none is lost, and the limit holds on the sum.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn additions_at_once_lose_nothing() {
    let shop = TestApp::with(|config| config.cart.max_quantity = 15).await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 99).await;
    let ama = shop.customer("ama@example.com").await;
    let answers = join_all((0..20).map(|_| add(&shop, &ama, &product, 1))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 15);
    assert_eq!(answers.iter().filter(|answer| answer.status == 409).count(), 5);
    let full = cart(&shop, &ama).await;
    assert_eq!(full["items"].as_array().unwrap().len(), 1);
    assert_eq!(full["itemCount"], 15);
    assert_eq!(shop.database.count("select count(*) from carts").await, 1);
    shop.delete("/cart").token(&ama).send().await.expect(200);
    let answers = join_all([6, 6, 6, 6].map(|quantity| add(&shop, &ama, &product, quantity))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 2);
    assert_eq!(cart(&shop, &ama).await["itemCount"], 12);
}

/// Twenty additions of different things at once, of a guest and of an account that had no cart: all are there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn different_additions_at_once_are_all_there() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let mut products = Vec::new();
    for i in 0..20 {
        products.push(shop.product(&admin, &format!("P{i}"), 100, 9).await);
    }
    let ama = shop.customer("ama@example.com").await;
    for answer in join_all(products.iter().map(|product| add(&shop, &ama, product, 1))).await {
        answer.expect(200);
    }
    let full = cart(&shop, &ama).await;
    assert_eq!((full["items"].as_array().unwrap().len(), &full["version"]), (20, &json!(21)));
    // Edits, additions and removals of different lines at once.
    let lines: Vec<String> = (0..20).map(|i| full["items"][i]["id"].as_str().unwrap().to_owned()).collect();
    let edits = lines.iter().enumerate().map(|(i, line)| {
        let (shop, ama, path) = (&shop, &ama, format!("/cart/items/{line}"));
        async move {
            match i % 2 {
                0 => shop.patch(&path).token(ama).json(&json!({"quantity": 4})).send().await,
                _ => shop.delete(&path).token(ama).send().await,
            }
        }
    });
    for answer in join_all(edits).await {
        answer.expect(200);
    }
    let left = cart(&shop, &ama).await;
    assert_eq!((left["items"].as_array().unwrap().len(), &left["itemCount"]), (10, &json!(40)));

    let body = json!({"variantId": products[0].variant, "quantity": 1});
    let first = shop.post("/cart/items").json(&body).send().await.expect(200);
    let token = first["cartToken"].as_str().unwrap();
    let additions = products[1..].iter().map(|product| {
        let body = json!({"variantId": product.variant, "quantity": 1});
        shop.post("/cart/items").header("x-cart-token", token).json(&body).send()
    });
    for answer in join_all(additions).await {
        answer.expect(200);
    }
    let full = shop.get("/cart").header("x-cart-token", token).send().await.expect(200);
    assert_eq!(full["cart"]["items"].as_array().unwrap().len(), 20);
}

/// Every change may say on which state it is based, and is refused where that is another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stale_change_is_refused() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 9).await;
    let ama = shop.customer("ama@example.com").await;
    let add_at = async |version: i64| {
        let body = json!({"variantId": product.variant, "quantity": 1, "version": version});
        shop.post("/cart/items").token(&ama).json(&body).send().await
    };
    add_at(1).await.expect_error(409, "CONFLICT");
    let first = add_at(0).await.expect(200)["cart"].clone();
    let (path, version) = (path_of(&first), first["version"].as_i64().unwrap());
    add_at(0).await.expect_error(409, "CONFLICT");
    let change = |quantity: i64, version: i64| {
        let body = json!({"quantity": quantity, "version": version});
        let call = shop.patch(&path).token(&ama).json(&body);
        async move { call.send().await }
    };
    // Of many that are based on the same state, one is taken.
    let answers = join_all((2..8).map(|quantity| change(quantity, version))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    let now = cart(&shop, &ama).await;
    assert_eq!(now["version"], version + 1);
    for stale in [version, 0, version + 2] {
        add_at(stale).await.expect_error(409, "CONFLICT");
        change(0, stale).await.expect_error(409, "CONFLICT");
        for path in [format!("{path}?version={stale}"), format!("/cart?version={stale}")] {
            shop.delete(&path).token(&ama).send().await.expect_error(409, "CONFLICT");
        }
    }
    assert_eq!(cart(&shop, &ama).await, now);
    shop.delete(&format!("{path}?version={}", version + 1)).token(&ama).send().await.expect(200);
    shop.delete("/cart?version=0").token(&ama).send().await.expect(200);
    let refused = shop.delete("/cart?version=x").token(&ama).send().await;
    assert_eq!(refused.expect_error(400, "VALIDATION_ERROR"), ["version"]);
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

async fn keyed(shop: &TestApp, key: &str, who: (&str, &str), body: &Value) -> Answer {
    shop.post("/cart/items").header("idempotency-key", key).header(who.0, who.1).json(body).send().await
}

/// An addition that is repeated with its key adds once; a key is one of its owner's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeated_addition_adds_once() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 9).await;
    let (ama, ben) = (shop.customer("ama@example.com").await, shop.customer("ben@example.com").await);
    let (ama, ben) = (format!("Bearer {ama}"), format!("Bearer {ben}"));
    let body = json!({"productId": product.id, "quantity": 2});
    for answer in join_all((0..6).map(|_| keyed(&shop, "k", ("authorization", &ama), &body))).await {
        assert!(matches!(answer.status, 200 | 409), "{}", answer.text);
    }
    let first = keyed(&shop, "k", ("authorization", &ama), &body).await;
    assert_eq!(first.header("idempotency-replayed").as_deref(), Some("true"));
    assert_eq!(first.expect(200)["cart"]["itemCount"], 2);
    // Another person's, another key and no key are other requests.
    assert_eq!(keyed(&shop, "k", ("authorization", &ben), &body).await.expect(200)["cart"]["itemCount"], 2);
    assert_eq!(keyed(&shop, "l", ("authorization", &ama), &body).await.expect(200)["cart"]["itemCount"], 4);
    let more = json!({"productId": product.id, "quantity": 1});
    keyed(&shop, "k", ("authorization", &ama), &more).await.expect_error(422, "VALIDATION_ERROR");
    // A refused one may be tried again with the same key.
    let much = json!({"productId": product.id, "quantity": 6});
    keyed(&shop, "m", ("authorization", &ama), &much).await.expect_error(409, "CONFLICT");
    shop.delete("/cart").header("authorization", &ama).send().await.expect(200);
    assert_eq!(keyed(&shop, "m", ("authorization", &ama), &much).await.expect(200)["cart"]["itemCount"], 6);
}

/// A guest's repeated addition adds once, from the first on, which made his cart; nobody gets his token by his key.
#[tokio::test]
async fn a_guests_repeated_addition_adds_once() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 9).await;
    let body = json!({"productId": product.id, "quantity": 2});
    let first = shop.post("/cart/items").header("idempotency-key", "1").json(&body).send().await.expect(200);
    let token = first["cartToken"].as_str().unwrap();
    // He has the cookie, and his script has lost the answer.
    let cookie = format!("agape_cart={token}");
    for who in [("cookie", cookie.as_str()), ("x-cart-token", token)] {
        let again = keyed(&shop, "1", who, &body).await;
        assert_eq!(again.header("idempotency-replayed").as_deref(), Some("true"));
        let data = again.expect(200);
        assert_eq!((&data["cart"], &data["cartToken"]), (&first["cart"], &Value::Null));
    }
    assert_eq!(keyed(&shop, "2", ("x-cart-token", token), &body).await.expect(200)["cart"]["itemCount"], 4);
    // Whoever has neither gets a cart of his own, with the same in it, and not the first one.
    let stranger = shop.post("/cart/items").header("idempotency-key", "1").json(&body).send().await;
    assert_eq!(stranger.header("idempotency-replayed"), None);
    let stranger = stranger.expect(200);
    assert_ne!(stranger["cartToken"], first["cartToken"]);
    assert_eq!(stranger["cart"]["itemCount"], 2);
    // No stored answer has a token.
    let kept = "select count(*) from idempotency_keys where body like '%cartToken%'";
    assert_eq!(shop.database.count(kept).await, 0);
    assert_eq!(shop.database.count("select count(*) from idempotency_keys where route = 'POST /cart/items'").await, 3);
}

/// A cart outlives the server.
#[tokio::test]
async fn a_cart_survives_a_restart() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 9).await;
    let ama = shop.customer("ama@example.com").await;
    add(&shop, &ama, &product, 2).await.expect(200);
    let body = json!({"productId": product.id, "quantity": 3});
    let guest = shop.post("/cart/items").json(&body).send().await.expect(200);
    let token = guest["cartToken"].as_str().unwrap();
    let mine = cart(&shop, &ama).await;
    let shop = shop.restart(|_| {}).await;
    let strip = |cart: &Value| (cart["id"].clone(), cart["version"].clone(), cart["total"].clone());
    assert_eq!(strip(&cart(&shop, &ama).await), strip(&mine));
    let his = shop.get("/cart").header("x-cart-token", token).send().await.expect(200);
    assert_eq!(strip(&his["cart"]), strip(&guest["cart"]));
}
