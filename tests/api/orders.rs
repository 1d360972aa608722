//! Placing orders, reading them, giving them up.

use agape::features::auth::Role;
use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::concurrency::assert_ledger;
use crate::support::{TestApp, address};

/// All wrong fields of an order are named at once; nothing is written.
#[tokio::test]
async fn every_wrong_field_is_named() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 9).await;
    let body = json!({
        "items": [
            {"variantId": product.variant, "quantity": 1, "cost": 1},
            {"variantId": "x", "quantity": "two"},
        ],
        "shippingAddress": {"firstName": "", "lastName": "M", "phone": "12", "city": "Lagos", "region": "Lagos",
                            "country": "Wakanda"},
        "total": 5,
    });
    let fields = shop.post("/orders").json(&body).send().await.expect_error(400, "VALIDATION_ERROR");
    for field in [
        "items[0].cost",
        "items[1].variantId",
        "items[1].quantity",
        "shippingAddress.firstName",
        "shippingAddress.phone",
        "shippingAddress.addressLine1",
        "shippingAddress.country",
        "total",
    ] {
        assert!(fields.iter().any(|f| f == field), "{field} is missing in {fields:?}");
    }
    for (quantity, field) in [(0, "items[0].quantity"), (-3, "items[0].quantity"), (1_000_000_000, "items[0].quantity")]
    {
        let body = json!({"email": "a@example.com", "items": [{"variantId": product.variant, "quantity": quantity}],
                          "shippingAddress": address()});
        assert_eq!(shop.post("/orders").json(&body).send().await.expect_error(400, "VALIDATION_ERROR"), [field]);
    }
    assert_eq!(shop.database.count("select count(*) from orders").await, 0);
    assert_eq!(shop.available(&product).await, 9);
}

/// Unknown products, an empty cart, and a guest without an address are refused.
#[tokio::test]
async fn an_order_needs_goods_and_an_address() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 9).await;
    let ama = shop.customer("ama@example.com").await;
    let order = |items: Value| json!({"items": items, "shippingAddress": address()});
    let place = |body: Value| {
        let call = shop.post("/orders").token(&ama).json(&body);
        async move { call.send().await.expect_error(400, "VALIDATION_ERROR") }
    };
    assert_eq!(place(order(json!([]))).await, ["items"]);
    assert_eq!(place(json!({"shippingAddress": address()})).await, ["items"]);
    let unknown = json!([{"variantId": uuid::Uuid::now_v7(), "quantity": 1}]);
    assert_eq!(place(order(unknown)).await, ["items[0].variantId"]);
    let many: Vec<Value> = (0..101).map(|_| json!({"variantId": product.variant, "quantity": 1})).collect();
    assert_eq!(place(order(json!(many))).await, ["items"]);
    // Eleven in two lines of one variant are more than ten.
    let split = json!([{"variantId": product.variant, "quantity": 6}, {"variantId": product.variant, "quantity": 5}]);
    assert_eq!(place(order(split)).await, ["items"]);
    let body = order(json!([{"variantId": product.variant, "quantity": 1}]));
    assert_eq!(shop.post("/orders").json(&body).send().await.expect_error(400, "VALIDATION_ERROR"), ["email"]);
}

/// What costs nothing cannot be paid, so it cannot be ordered here.
#[tokio::test]
async fn an_order_costs_something() {
    let shop = TestApp::start().await;
    shop.set_rates("update shipping_methods set price_minor = 0").await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "FREE", 0, 9).await;
    let body = json!({"email": "a@example.com", "items": [{"productId": product.id, "quantity": 1}],
                      "shippingAddress": address()});
    assert_eq!(shop.post("/orders").json(&body).send().await.expect_error(400, "VALIDATION_ERROR"), ["items"]);
}

/// The price is the shop's at the moment of the order, whatever the cart said.
#[tokio::test]
async fn the_price_is_read_when_the_order_is_placed() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 9).await;
    let ama = shop.customer("ama@example.com").await;
    let body = json!({"variantId": product.variant, "quantity": 2});
    shop.post("/cart/items").token(&ama).json(&body).send().await.expect(200);
    let path = format!("/products/{}", product.id);
    shop.patch(&path).token(&admin).json(&json!({"version": 1, "price": 2_000})).send().await.expect(200);
    let body = json!({"shippingAddress": address()});
    let order = shop.post("/orders").token(&ama).json(&body).send().await.expect(201)["order"].clone();
    assert_eq!((&order["subtotal"], &order["shipping"], &order["tax"]), (&json!(4_000), &json!(2_500), &json!(300)));
    assert_eq!(order["total"], 6_800);
    assert_eq!(order["email"], "ama@example.com");
    // The cart has become the order; a second order needs a new cart.
    let again = shop.post("/orders").token(&ama).json(&json!({"shippingAddress": address()})).send().await;
    assert_eq!(again.expect_error(400, "VALIDATION_ERROR"), ["items"]);
}

/// All lines or none: the line that is short is named, and the others keep their stock.
#[tokio::test]
async fn a_short_line_stops_the_whole_order() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let (plenty, few) = (shop.product(&admin, "PLENTY", 1_000, 9).await, shop.product(&admin, "FEW", 1_000, 1).await);
    let ama = shop.customer("ama@example.com").await;
    let body = json!({
        "items": [{"variantId": plenty.variant, "quantity": 2}, {"variantId": few.variant, "quantity": 2}],
        "shippingAddress": address(),
    });
    let refused = shop.post("/orders").token(&ama).header("idempotency-key", "k").json(&body).send().await;
    assert_eq!(refused.expect_error(409, "CONFLICT"), ["items[1].quantity"]);
    assert!(refused.body["message"].as_str().unwrap().contains("Only 1 of Kente FEW"), "{}", refused.text);
    assert_eq!((shop.available(&plenty).await, shop.available(&few).await), (9, 1));
    assert_eq!(shop.database.count("select count(*) from river_job where kind = 'send_order_mail'").await, 0);
    assert_ledger(&shop).await;
    // A refusal is not remembered: with less, the same key may be used again.
    let body = json!({"items": [{"variantId": few.variant, "quantity": 1}], "shippingAddress": address()});
    shop.post("/orders").token(&ama).header("idempotency-key", "k").json(&body).send().await.expect(201);
}

/// A key with another body is refused; another caller's key is another key; keys end after a day.
#[tokio::test]
async fn a_key_belongs_to_one_request_of_one_caller() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 9).await;
    let (ama, ben) = (shop.customer("ama@example.com").await, shop.customer("ben@example.com").await);
    let body = |quantity: i64| json!({"items": [{"variantId": product.variant, "quantity": quantity}], "shippingAddress": address()});
    let place = |token: &str, quantity| {
        let call = shop.post("/orders").token(token).header("idempotency-key", "key").json(&body(quantity));
        async move { call.send().await }
    };
    let first = place(&ama, 1).await;
    assert_eq!(place(&ama, 2).await.status, 422);
    assert_eq!(place(&ben, 1).await.expect(201)["order"]["email"], "ben@example.com");
    assert_eq!(place(&ama, 1).await.text, first.text);
    assert_eq!(shop.database.count("select count(*) from orders").await, 2);
    let ama_later = {
        shop.app.clock.advance(TimeDelta::hours(25));
        shop.login("ama@example.com").await
    };
    let later = place(&ama_later, 1).await.expect(201)["order"].clone();
    assert_ne!(later["id"], first.body["data"]["order"]["id"]);
    for key in ["", &"k".repeat(256)] {
        let answer = shop.post("/orders").token(&ama_later).header("idempotency-key", key).json(&body(1)).send().await;
        assert_eq!(answer.expect_error(400, "VALIDATION_ERROR"), ["Idempotency-Key"]);
    }
}

/// Orders are their buyers'; the staff sees all; a guest finds his by number and address.
#[tokio::test]
async fn an_order_is_seen_by_its_buyer() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 9).await;
    let (ama, ben) = (shop.customer("ama@example.com").await, shop.customer("ben@example.com").await);
    let order = shop.order(&ama, &product, 1).await;
    let path = format!("/orders/{}", order["id"].as_str().unwrap());
    shop.get(&path).token(&ama).send().await.expect(200);
    shop.get(&path).token(&admin).send().await.expect(200);
    shop.get(&path).token(&ben).send().await.expect_error(404, "NOT_FOUND");
    shop.get(&path).send().await.expect_error(401, "AUTHENTICATION_ERROR");
    shop.get("/orders/nonsense").token(&ama).send().await.expect_error(400, "VALIDATION_ERROR");
    let list = shop.get("/orders?page=1&limit=50").token(&ben).send().await;
    assert_eq!((&list.body["data"]["orders"], &list.body["pagination"]["total"]), (&json!([]), &json!(0)));
    let list = shop.get("/orders").token(&ama).send().await;
    assert_eq!(list.body["data"]["orders"][0]["id"], order["id"]);
    let track = |number: &str, email: &str| {
        let call = shop.post("/orders/track").json(&json!({"orderNumber": number, "email": email}));
        async move { call.send().await }
    };
    let number = order["orderNumber"].as_str().unwrap();
    track(&number.to_lowercase(), "Ama@Example.com").await.expect(200);
    track(number, "ben@example.com").await.expect_error(404, "NOT_FOUND");
    track("AGP2026999999A", "ama@example.com").await.expect_error(404, "NOT_FOUND");
}

/// An unpaid order can be given up once, by its buyer; its stock is free again.
#[tokio::test]
async fn an_unpaid_order_is_cancelled_once() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 9).await;
    let (ama, ben) = (shop.customer("ama@example.com").await, shop.customer("ben@example.com").await);
    let order = shop.order(&ama, &product, 4).await;
    let payment = shop.initialize(&ama, &order).await;
    assert_eq!(shop.available(&product).await, 5);
    let path = format!("/orders/{}/cancel", order["id"].as_str().unwrap());
    let cancel = |token: &str| {
        let call = shop.post(&path).token(token).json(&json!({"reason": "changed my mind"}));
        async move { call.send().await }
    };
    cancel(&ben).await.expect_error(404, "NOT_FOUND");
    assert_eq!(cancel(&ama).await.expect(200)["order"]["status"], "cancelled");
    cancel(&ama).await.expect_error(409, "CONFLICT");
    assert_eq!(shop.available(&product).await, 9);
    assert_ledger(&shop).await;
    let open = "select count(*) from payments where status in ('created', 'open')";
    assert_eq!(shop.database.count(open).await, 0);
    let again = shop.post("/payments/initialize").token(&ama).json(&json!({"orderId": order["id"]})).send().await;
    again.expect_error(409, "CONFLICT");
    drop(payment);
}

/// The clock frees the stock of an unpaid order after 15 minutes, and gives the order up after 30.
#[tokio::test]
async fn an_unpaid_order_ends_by_the_clock() {
    let shop = TestApp::with(|config| config.jobs.sweep_seconds = 1).await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 9).await;
    let ama = shop.customer("ama@example.com").await;
    let order = shop.order(&ama, &product, 4).await;
    shop.app.clock.advance(TimeDelta::minutes(16));
    shop.wait_for("the stock", || async { (shop.available(&product).await == 9).then_some(()) }).await;
    assert_ledger(&shop).await;
    // Starting a payment sets the stock aside again.
    let ama = shop.login("ama@example.com").await;
    shop.initialize(&ama, &order).await;
    assert_eq!(shop.available(&product).await, 5);
    shop.app.clock.advance(TimeDelta::minutes(15));
    let ama = shop.login("ama@example.com").await;
    let ended = shop.wait_for_status(&ama, &order, "cancelled").await;
    let steps: Vec<&str> = ended["timeline"].as_array().unwrap().iter().map(|e| e["type"].as_str().unwrap()).collect();
    assert_eq!(steps, ["placed", "reservation_ended", "expired"]);
    assert_eq!(shop.available(&product).await, 9);
    assert_ledger(&shop).await;
}

/// The database refuses what the code must never do.
#[tokio::test]
async fn the_database_refuses_broken_invariants() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 2).await;
    let ama = shop.customer("ama@example.com").await;
    let order = shop.order(&ama, &product, 1).await;
    let payment = shop.initialize(&ama, &order).await;
    shop.pay(&payment).await;
    shop.wait_for_status(&ama, &order, "paid").await;
    for sql in [
        "update stock_levels set reserved = on_hand + 1",
        "update stock_levels set reserved = -1",
        "update stock_levels set on_hand = -1",
        "update orders set total_minor = total_minor + 1",
        "update order_items set total_minor = total_minor + 1",
        "update order_items set quantity = 0",
        "update payments set refunded_minor = paid_minor + 1",
        "insert into refunds (id, payment_id, amount_minor, status, created_at, updated_at)
         select gen_random_uuid(), id, paid_minor + 1, 'pending', now(), now() from payments",
        "insert into payments (id, order_id, order_number, provider, reference, status, amount_minor, currency,
                               created_at, updated_at)
         select gen_random_uuid(), order_id, order_number, provider, 'second', 'success', amount_minor, currency,
                now(), now() from payments",
        "delete from stock_movements",
        "update order_events set note = 'x'",
        "delete from audit_log",
        "truncate stock_movements",
        "insert into webhook_events (id, provider, dedupe_key, event, body, received_at)
         select gen_random_uuid(), provider, dedupe_key, event, body, now() from webhook_events",
    ] {
        let refused = sqlx::query(sql).execute(&shop.database.pool).await;
        assert!(refused.is_err(), "the database accepted: {sql}");
    }
}
