//! Many at once.

use futures::future::join_all;
use serde_json::json;

use agape::features::auth::Role;

use crate::support::{TestApp, address};

/// The last pieces are sold once: stock 5, 40 buyers at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forty_buyers_of_five_pieces_get_exactly_five_orders() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "LAST-5", 45_000, 5).await;
    let body = json!({
        "email": "buyer@example.com",
        "items": [{"variantId": product.variant, "quantity": 1}],
        "shippingAddress": address(),
    });
    let answers = join_all((0..40).map(|_| shop.post("/orders").json(&body).send())).await;
    let placed = answers.iter().filter(|answer| answer.status == 201).count();
    for answer in answers.iter().filter(|answer| answer.status != 201) {
        assert_eq!(answer.expect_error(409, "CONFLICT"), ["items[0].quantity"]);
    }
    assert_eq!(placed, 5);
    assert_eq!(shop.available(&product).await, 0);
    assert_eq!(shop.database.count("select count(*) from orders").await, 5);
    assert_eq!(shop.database.count("select reserved::bigint from stock_levels").await, 5);
    assert_ledger(&shop).await;
}

/// Orders of the same goods in opposite order neither deadlock nor fail.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crossing_orders_do_not_deadlock() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let one = shop.product(&admin, "ONE", 100, 100).await;
    let two = shop.product(&admin, "TWO", 100, 100).await;
    let body = |first: &str, second: &str| {
        json!({
            "email": "buyer@example.com",
            "items": [{"variantId": first, "quantity": 1}, {"variantId": second, "quantity": 1}],
            "shippingAddress": address(),
        })
    };
    let (there, back) = (body(&one.variant, &two.variant), body(&two.variant, &one.variant));
    let calls = (0..40).map(|i| shop.post("/orders").json(if i % 2 == 0 { &there } else { &back }).send());
    for answer in join_all(calls).await {
        answer.expect(201);
    }
    assert_eq!((shop.available(&one).await, shop.available(&two).await), (60, 60));
    assert_ledger(&shop).await;
}

/// One idempotency key, ten requests at once: one order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_key_makes_one_order() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "KEY", 100, 100).await;
    let ama = shop.customer("ama@example.com").await;
    let body = json!({"items": [{"variantId": product.variant, "quantity": 1}], "shippingAddress": address()});
    let calls = (0..10).map(|_| shop.post("/orders").token(&ama).header("idempotency-key", "k-1").json(&body).send());
    let answers = join_all(calls).await;
    let mut bodies: Vec<&str> = Vec::new();
    for answer in &answers {
        match answer.status {
            201 => bodies.push(&answer.text),
            409 => {
                answer.expect_error(409, "CONFLICT");
            }
            other => panic!("{other}: {}", answer.text),
        }
    }
    assert!(!bodies.is_empty());
    assert!(bodies.iter().all(|body| *body == bodies[0]), "every answer is the first one");
    assert_eq!(shop.database.count("select count(*) from orders").await, 1);
    let later = shop.post("/orders").token(&ama).header("idempotency-key", "\"k-1\"").json(&body).send().await;
    assert_eq!((later.status, later.text.as_str()), (201, bodies[0]));
    assert_eq!(later.header("idempotency-replayed").as_deref(), Some("true"));
}

/// Every level equals its ledger and its live reservations.
pub async fn assert_ledger(shop: &TestApp) {
    let mut connection = shop.app.db.acquire().await.unwrap();
    let faults = agape::features::inventory::ledger_faults(&mut connection).await.unwrap();
    assert!(faults.is_empty(), "{faults:#?}");
}
