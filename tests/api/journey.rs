//! The main job, end to end: import → register → cart → order → pay → webhook → paid.

use agape::features::catalog::{ImportSettings, demo, import_products};
use serde_json::{Value, json};

use crate::concurrency::assert_ledger;
use crate::support::{PAYSTACK_KEY, TestApp, address};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shopper_buys_a_cloth_from_an_imported_file() {
    let shop = TestApp::start().await;

    // A product file.
    let settings = ImportSettings::default();
    let report = import_products(&shop.app, &demo::PRODUCTS_CSV.as_bytes(), settings, |_| {}).await.unwrap();
    assert_eq!((report.refused, report.problems.len()), (0, 0));
    assert!(report.created >= 12);

    // A shopper finds something and puts it in the cart.
    let ama = shop.customer("ama@example.com").await;
    let found = shop.get("/products/search?q=kente").send().await.expect(200);
    let product = found["products"]
        .as_array()
        .unwrap()
        .iter()
        .find(|product| product["inventory"].as_i64().unwrap() > 10)
        .unwrap()
        .clone();
    let variant = product["variants"]
        .as_array()
        .unwrap()
        .iter()
        .find(|variant| variant["inventory"].as_i64().unwrap() > 2)
        .unwrap()
        .clone();
    let (stock, price) = (variant["inventory"].as_i64().unwrap(), variant["price"].as_i64().unwrap());
    let body = json!({"variantId": variant["id"], "quantity": 2});
    let cart = shop.post("/cart/items").token(&ama).json(&body).send().await.expect(200)["cart"].clone();
    assert_eq!((&cart["subtotal"], &cart["itemCount"]), (&json!(2 * price), &json!(2)));

    // The order: the stock is set aside, the cart is empty.
    let body = json!({"shippingAddress": address(), "shippingMethod": "express"});
    let place = || shop.post("/orders").token(&ama).header("idempotency-key", "journey").json(&body).send();
    let first = place().await;
    let order = first.body["data"]["order"].clone();
    assert_eq!(first.status, 201, "{}", first.text);
    assert_eq!(order["status"], "pending_payment");
    assert!(order["orderNumber"].as_str().unwrap().starts_with("AGP20"));
    let total = order["total"].as_f64().unwrap();
    let sum = ["subtotal", "tax", "shipping"].iter().map(|key| order[key].as_f64().unwrap()).sum::<f64>();
    assert!((total - sum).abs() < 0.001);
    assert_eq!(inventory_of(&shop, &product, &variant).await, stock - 2);
    let cart = shop.get("/cart").token(&ama).send().await.expect(200)["cart"].clone();
    assert_eq!(cart["itemCount"], 0);

    // The same order again changes nothing.
    let again = place().await;
    assert_eq!((again.status, &again.text), (201, &first.text));
    assert_eq!(shop.database.count("select count(*) from orders").await, 1);

    // The payment page, and the webhook that the sandbox sends.
    let payment = shop.initialize(&ama, &order).await;
    assert_eq!(payment["amount"], order["total"]);
    shop.pay(&payment).await;
    let paid = shop.wait_for_status(&ama, &order, "paid").await;
    assert_eq!(paid["paymentStatus"], "completed");
    shop.wait_for_jobs().await;

    // The return page says so too, and changes nothing.
    let reference = payment["reference"].as_str().unwrap();
    let page = shop.get(&format!("//payments/callback?trxref={reference}&reference={reference}")).send().await;
    assert_eq!(page.status, 200);
    assert!(page.text.contains(order["orderNumber"].as_str().unwrap()), "{}", page.text);

    let before = state(&shop).await;
    // The same webhook again, byte for byte.
    let (key, sealed): (String, Vec<u8>) =
        sqlx::query_as("select dedupe_key, body from webhook_events").fetch_one(&shop.database.pool).await.unwrap();
    let body: Value = serde_json::from_slice(&shop.app.vault.open(key.as_bytes(), &sealed).unwrap()).unwrap();
    shop.deliver(&body, PAYSTACK_KEY).await.expect(200);
    shop.wait_for_jobs().await;
    let verified = shop.post(&format!("/payments/{reference}/verify")).token(&ama).send().await.expect(200);
    assert_eq!(verified["status"], "success");
    assert_eq!(state(&shop).await, before, "a second identical webhook and a verify change nothing");

    // The ledger, the timeline, the mails.
    assert_eq!(inventory_of(&shop, &product, &variant).await, stock - 2);
    assert_ledger(&shop).await;
    let moves: Vec<(String, i32, i32)> = sqlx::query_as(
        "select reason, on_hand_delta, reserved_delta from stock_movements where order_id is not null order by id",
    )
    .fetch_all(&shop.database.pool)
    .await
    .unwrap();
    assert_eq!(moves, [("reserve".to_owned(), 0, 2), ("commit".to_owned(), -2, -2)]);
    let steps: Vec<&str> =
        paid["timeline"].as_array().unwrap().iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(steps, ["placed", "paid"]);
    let mails: Vec<(String, String)> = sqlx::query_as("select kind, recipient from emails order by kind")
        .fetch_all(&shop.database.pool)
        .await
        .unwrap();
    let to = |kind: &str| (kind.to_owned(), "ama@example.com".to_owned());
    assert_eq!(mails, [to("order_confirmation"), to("payment_receipt"), to("verify_email")]);
    let receipt = shop.database.text("select body_text from emails where kind = 'payment_receipt'").await.unwrap();
    for part in [order["orderNumber"].as_str().unwrap(), "Visa ending 4081", product["title"].as_str().unwrap()] {
        assert!(receipt.contains(part), "{part} is missing in:\n{receipt}");
    }
}

async fn inventory_of(shop: &TestApp, product: &Value, variant: &Value) -> i64 {
    let path = format!("/products/{}", product["slug"].as_str().unwrap());
    let product = shop.get(&path).send().await.expect(200)["product"].clone();
    let variants = product["variants"].as_array().unwrap();
    variants.iter().find(|v| v["id"] == variant["id"]).unwrap()["inventory"].as_i64().unwrap()
}

/// Counts of everything that a payment writes.
async fn state(shop: &TestApp) -> Vec<i64> {
    let mut counts = Vec::new();
    for sql in [
        "select count(*) from orders",
        "select count(*) from order_events",
        "select count(*) from stock_movements",
        "select count(*) from payments",
        "select count(*) from emails",
        "select sum(paid_minor)::bigint from orders",
        "select sum(on_hand)::bigint from stock_levels",
    ] {
        counts.push(shop.database.count(sql).await);
    }
    counts
}
