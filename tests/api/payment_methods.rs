//! Transfers by hand and payment on delivery: who may use them, who says that the money is here, and what becomes of the order.

use agape::features::auth::Role;
use agape::flows::expire::Sweep;
use agape::platform::jobs::Job;
use chrono::TimeDelta;
use futures::future::join_all;
use serde_json::{Value, json};

use crate::concurrency::assert_ledger;
use crate::support::{Answer, PASSWORD, Product, TestApp, address};

/// A shop that takes transfers in naira, and payment on delivery of what is sent by the standard way.
pub async fn shop() -> TestApp {
    let shop = TestApp::with(|config| {
        config.payments.transfer_accounts = vec!["NGN; First Bank; AGAPE LOOKS LTD; 0123456789".parse().unwrap()];
        config.payments.pay_on_delivery = true;
    })
    .await;
    shop.set_rates("update shipping_methods set pays_on_delivery = true where code = 'standard'").await;
    shop
}

pub fn id(order: &Value) -> &str {
    order["id"].as_str().unwrap()
}

pub async fn record(shop: &TestApp, token: &str, order: &Value, money: &Value) -> Answer {
    shop.post(&format!("/admin/orders/{}/payments", id(order))).token(token).json(money).send().await
}

pub async fn placed(shop: &TestApp, token: &str, product: &Product, method: &str) -> Value {
    shop.order_paid_by(token, product, method).await.expect(201)["order"].clone()
}

pub async fn seen(shop: &TestApp, staff: &str, order: &Value) -> Value {
    shop.get(&format!("/admin/orders/{}", id(order))).token(staff).send().await.expect(200)["order"].clone()
}

/// The order, after the clock has done its work.
async fn swept(shop: &TestApp, staff: &str, order: &Value) -> Value {
    Sweep {}.run(&shop.app).await.unwrap();
    seen(shop, staff, order).await
}

/// The order tells where to transfer, the mail too, and starting a payment asks no provider. Once staff have seen the money, it
/// goes the way of all money: paid, stock sold, a receipt, an event.
#[tokio::test]
async fn a_transfer_by_hand_pays_an_order() {
    let shop = shop().await;
    let (admin, finance) = (shop.staff(Role::Admin).await, shop.staff(Role::Finance).await);
    let product = shop.product(&admin, "A", 1_000, 9).await;
    let ama = shop.customer("ama@example.com").await;
    let order = placed(&shop, &ama, &product, "manual_transfer").await;
    assert_eq!((&order["status"], &order["paymentStatus"]), (&json!("pending_payment"), &json!("pending")));
    let mine = shop.get(&format!("/orders/{}", id(&order))).token(&ama).send().await.expect(200)["order"].clone();
    for transfer in [&order["transfer"], &mine["transfer"]] {
        assert_eq!(transfer["accounts"][0]["number"], "0123456789");
        assert_eq!((&transfer["reference"], &transfer["amount"]), (&order["orderNumber"], &order["total"]));
    }
    let started = shop.initialize(&ama, &order).await;
    assert_eq!((&started["paymentId"], &started["authorizationUrl"]), (&Value::Null, &Value::Null));
    assert_eq!((&started["reference"], &started["amount"]), (&order["orderNumber"], &order["total"]));
    assert_eq!(started["accounts"][0]["bank"], "First Bank");
    assert_eq!(shop.database.count("select count(*) from payments").await, 0);
    // With a key, the accounts are told again, until the money is here.
    let repeat = async || {
        let call = shop.post("/payments/initialize").token(&ama).header("idempotency-key", "k");
        call.json(&json!({"orderId": order["id"]})).send().await
    };
    let keyed = async || {
        let answer = repeat().await;
        (answer.header("idempotency-replayed"), answer.expect(200))
    };
    assert_eq!(keyed().await, (None, started.clone()));
    assert_eq!(keyed().await, (Some("true".into()), started));
    shop.wait_for_jobs().await;
    let mail = shop.database.text("select body_text from emails where kind = 'order_confirmation'").await.unwrap();
    assert!(mail.contains("0123456789") && mail.contains(order["orderNumber"].as_str().unwrap()), "{mail}");

    let money = json!({"amount": order["total"], "reference": "FT26332-1", "note": "by Ama's sister"});
    let paid = record(&shop, &finance, &order, &money).await.expect(201)["order"].clone();
    assert_eq!((&paid["status"], &paid["paymentStatus"]), (&json!("paid"), &json!("completed")));
    let payment = &paid["payments"][0];
    assert_eq!((&payment["provider"], &payment["status"]), (&json!("manual_transfer"), &json!("success")));
    assert_eq!(payment["receivedReference"], "FT26332-1");
    let last = paid["timeline"].as_array().unwrap().last().unwrap();
    assert_eq!((&last["type"], &last["actor"]), (&json!("paid"), &json!("staff")));
    assert_eq!(shop.database.count("select count(*) from reservations where status = 'committed'").await, 1);
    assert_eq!(shop.mails("payment_receipt").await.len(), 1);
    let receipt = shop.database.text("select body_text from emails where kind = 'payment_receipt'").await.unwrap();
    assert!(receipt.contains("Bank transfer"), "{receipt}");
    let mine = shop.get(&format!("/orders/{}", id(&order))).token(&ama).send().await.expect(200);
    assert_eq!(mine["order"]["transfer"], Value::Null, "nothing is to be transferred any more");
    repeat().await.expect_error(409, "CONFLICT");
    shop.set_status(&admin, &order, "shipped").await.expect(200);
    assert_ledger(&shop).await;
}

/// Two of the staff have the same transfer before them, and press at once: it is recorded once. Another transfer for a paid order
/// is kept and flagged, and one that is recorded for another order is refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transfer_is_recorded_once() {
    let shop = shop().await;
    let (admin, finance) = (shop.staff(Role::Admin).await, shop.staff(Role::Finance).await);
    let product = shop.product(&admin, "A", 1_000, 9).await;
    let ama = shop.customer("ama@example.com").await;
    let order = placed(&shop, &ama, &product, "manual_transfer").await;
    let money = |reference: &str| json!({"amount": order["total"], "reference": reference});
    let same = money("FT-1");
    let calls = (0..8).map(|i| record(&shop, if i % 2 == 0 { &admin } else { &finance }, &order, &same));
    for answer in join_all(calls).await {
        assert_eq!(answer.expect(201)["order"]["status"], "paid");
    }
    record(&shop, &admin, &order, &money("ft-1")).await.expect(201);
    assert_eq!(shop.database.count("select count(*) from payments").await, 1);
    let audited = "select count(*) from audit_log where action = 'order.record_payment'";
    assert_eq!(shop.database.count(audited).await, 1);
    assert_eq!(shop.mails("payment_receipt").await.len(), 1);
    let other = placed(&shop, &ama, &product, "manual_transfer").await;
    let refused = record(&shop, &admin, &other, &money("FT-1")).await;
    refused.expect_error(409, "CONFLICT");
    assert!(refused.text.contains(order["orderNumber"].as_str().unwrap()), "{}", refused.text);
    assert_eq!(seen(&shop, &admin, &other).await["status"], "pending_payment");
    // At once for two orders: one has it.
    let third = placed(&shop, &ama, &product, "manual_transfer").await;
    let both = json!({"amount": other["total"], "reference": "FT-both"});
    let answers = join_all([&other, &third].map(|order| record(&shop, &admin, order, &both))).await;
    let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409]);
    let twice = record(&shop, &admin, &order, &money("FT-2")).await.expect(201)["order"].clone();
    assert_eq!(twice["payments"][1]["flagReason"], "the order was paid before by another attempt");
    assert_eq!(
        shop.database.count("select min(paid_minor) from orders where status = 'paid'").await,
        minor(&order["total"])
    );

    // With a key, the first answer comes again, to whom it was given.
    let other = placed(&shop, &ama, &product, "manual_transfer").await;
    let third = json!({"amount": 1, "reference": "FT-3"});
    let path = format!("/admin/orders/{}/payments", id(&other));
    let keyed = |token: &str, body: &Value| shop.post(&path).token(token).header("idempotency-key", "k").json(body);
    let (first, again) = (keyed(&admin, &third).send().await, keyed(&admin, &third).send().await);
    assert_eq!((first.status, &first.text), (201, &again.text));
    assert_eq!(again.header("idempotency-replayed").as_deref(), Some("true"));
    // Another's key is another one, and the money the same.
    let others = keyed(&finance, &third).send().await;
    assert_eq!((others.status, others.header("idempotency-replayed")), (201, None));
    assert_eq!(shop.database.count("select count(*) from payments where received_reference = 'FT-3'").await, 1);
    keyed(&admin, &json!({"amount": 2, "reference": "FT-3"})).send().await.expect_error(422, "VALIDATION_ERROR");
    assert_ledger(&shop).await;
}

fn minor(amount: &Value) -> i64 {
    amount.to_string().parse::<agape::platform::money::Amount>().unwrap().0
}

/// What does not fit is kept and flagged, and nothing is sold for it; what comes late revives the order, or not.
#[tokio::test]
async fn money_that_does_not_fit_waits_for_a_decision() {
    let shop = shop().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 2).await;
    let ama = shop.customer("ama@example.com").await;
    for (amount, reason) in [(json!(1.5), "paid too little"), (json!(9_000_000), "paid too much")] {
        let order = placed(&shop, &ama, &product, "manual_transfer").await;
        let money = json!({"amount": amount, "reference": format!("FT {reason}")});
        let flagged = record(&shop, &admin, &order, &money).await.expect(201)["order"].clone();
        assert_eq!((&flagged["status"], &flagged["expiresAt"]), (&json!("pending_payment"), &Value::Null));
        assert_eq!(flagged["payments"][0]["flagReason"], reason);
        assert_eq!(flagged["payments"][0]["paid"], amount);
        shop.post(&format!("/orders/{}/cancel", id(&order))).token(&ama).json(&json!({})).send().await.expect(200);
    }
    let late = placed(&shop, &ama, &product, "manual_transfer").await;
    shop.app.clock.advance(TimeDelta::minutes(shop.app.config.orders.transfer_unpaid_minutes + 1));
    let ama = shop.login("ama@example.com").await;
    let admin = shop.login("admin@agape.example").await;
    assert_eq!(swept(&shop, &admin, &late).await["status"], "cancelled");
    let money = json!({"amount": late["total"], "reference": "FT-late"});
    let revived = record(&shop, &admin, &late, &money).await.expect(201)["order"].clone();
    assert_eq!(revived["status"], "paid");
    assert_eq!(shop.available(&product).await, 1);
    let gone = placed(&shop, &ama, &product, "manual_transfer").await;
    shop.app.clock.advance(TimeDelta::minutes(shop.app.config.orders.transfer_unpaid_minutes + 1));
    let (ama, admin) = (shop.login("ama@example.com").await, shop.login("admin@agape.example").await);
    assert_eq!(swept(&shop, &admin, &gone).await["status"], "cancelled");
    shop.order(&ama, &product, 1).await;
    let money = json!({"amount": gone["total"], "reference": "FT-too-late"});
    let refused = record(&shop, &admin, &gone, &money).await.expect(201)["order"].clone();
    assert_eq!(refused["status"], "cancelled");
    assert_eq!(refused["payments"][0]["flagReason"], "paid after the goods were sold to somebody else");
    assert_ledger(&shop).await;
}

/// Only staff with the permission say that money came, and only such money as can have come.
#[tokio::test]
async fn nobody_confirms_his_own_money() {
    let shop = shop().await;
    let admin = shop.staff(Role::Admin).await;
    let packer = shop.staff(Role::Fulfilment).await;
    let product = shop.product(&admin, "A", 1_000, 9).await;
    let ama = shop.customer("ama@example.com").await;
    let order = placed(&shop, &ama, &product, "manual_transfer").await;
    let money = json!({"amount": order["total"], "reference": "FT-1"});
    record(&shop, &ama, &order, &money).await.expect_error(403, "AUTHORIZATION_ERROR");
    record(&shop, &packer, &order, &money).await.expect_error(403, "AUTHORIZATION_ERROR");
    for (field, wrong) in [
        ("amount", json!({"amount": 0, "reference": "x"})),
        ("amount", json!({"amount": -5, "reference": "x"})),
        ("amount", json!({"amount": 1.001, "reference": "x"})),
        ("amount", json!({"amount": 99_999_999_999_i64, "reference": "x"})),
        ("reference", json!({"amount": 5})),
        ("reference", json!({"amount": 5, "reference": ""})),
        ("reference", json!({"amount": 5, "reference": "x".repeat(101)})),
        ("reference", json!({"amount": 5, "reference": "two\nlines"})),
        ("channel", json!({"amount": 5, "reference": "x", "channel": "cash"})),
        ("channel", json!({"amount": 5, "reference": "x", "channel": "barter"})),
        ("receivedAt", json!({"amount": 5, "reference": "x", "receivedAt": "2999-01-01T00:00:00Z"})),
        ("receivedAt", json!({"amount": 5, "reference": "x", "receivedAt": "2001-01-01T00:00:00Z"})),
        ("status", json!({"amount": 5, "reference": "x", "status": "success"})),
    ] {
        assert_eq!(
            record(&shop, &admin, &order, &wrong).await.expect_error(400, "VALIDATION_ERROR"),
            [field],
            "{wrong}"
        );
    }
    let both = record(&shop, &admin, &order, &json!({"amount": 5, "channel": "pos"})).await;
    assert_eq!(both.expect_error(400, "VALIDATION_ERROR"), ["channel", "reference"]);
    // What the provider takes, the provider tells.
    let card = shop.order(&ama, &product, 1).await;
    record(&shop, &admin, &card, &money).await.expect_error(409, "CONFLICT");
    let nobody = json!({"id": uuid::Uuid::now_v7()});
    record(&shop, &admin, &nobody, &money).await.expect_error(404, "NOT_FOUND");
    assert_eq!(shop.database.count("select count(*) from payments").await, 0);
}

/// Quotes tell the ways to pay with their reasons, and an order that names another one is refused with the same one.
#[tokio::test]
async fn a_quote_tells_what_an_order_accepts() {
    let shop = shop().await;
    let admin = shop.staff(Role::Admin).await;
    let (cheap, dear) = (shop.product(&admin, "A", 1_000, 9).await, shop.product(&admin, "B", 300_000, 9).await);
    let ama = shop.customer("ama@example.com").await;
    let cases = [
        (&cheap, "standard", true, ""),
        (&cheap, "express", false, "Express"),
        (&dear, "standard", false, "up to ₦200,000.00"),
    ];
    for (product, way, available, word) in cases {
        let items = json!([{"variantId": product.variant, "quantity": 1}]);
        let body =
            json!({"items": items, "shippingAddress": {"country": "NG", "region": "Lagos"}, "shippingMethod": way});
        let quote = shop.post("/orders/quote").token(&ama).json(&body).send().await.expect(200)["quote"].clone();
        let methods = quote["paymentMethods"].as_array().unwrap();
        let names: Vec<_> = methods.iter().map(|offer| offer["method"].as_str().unwrap()).collect();
        assert_eq!(names, ["paystack", "bank_transfer", "manual_transfer", "pay_on_delivery"]);
        assert!(methods[..3].iter().all(|offer| offer["available"] == true && offer["reason"].is_null()));
        assert_eq!(methods[3]["available"], available, "{quote}");
        let body = json!({"items": items, "shippingAddress": address(), "shippingMethod": way,
                          "paymentMethod": "pay_on_delivery"});
        let order = shop.post("/orders").token(&ama).json(&body).send().await;
        if available {
            order.expect(201);
            continue;
        }
        assert_eq!(order.expect_error(400, "VALIDATION_ERROR"), ["paymentMethod"]);
        let reason = methods[3]["reason"].as_str().unwrap();
        assert!(reason.contains(word) && order.text.contains(reason), "{reason}: {}", order.text);
    }
    // A shop that has set up neither.
    let shop = shop.restart(|_| {}).await;
    for method in ["manual_transfer", "pay_on_delivery"] {
        let refused = shop.order_paid_by(&ama, &cheap, method).await;
        assert_eq!(refused.expect_error(400, "VALIDATION_ERROR"), ["paymentMethod"], "{method}");
    }
}

/// It is accepted without money, packed, sent and delivered; no clock ends it, and its stock is sold. The money is recorded at the
/// door, once, whoever of the staff presses.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_is_paid_at_the_door() {
    let shop = shop().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 9).await;
    let ama = shop.customer("ama@example.com").await;
    let order = placed(&shop, &ama, &product, "pay_on_delivery").await;
    let is_accepted = |order: &Value| {
        assert_eq!((&order["status"], &order["paymentStatus"]), (&json!("processing"), &json!("pending")));
        assert_eq!((&order["expiresAt"], &order["paidAt"]), (&Value::Null, &Value::Null));
    };
    is_accepted(&order);
    is_accepted(&seen(&shop, &admin, &order).await);
    let start = shop.post("/payments/initialize").token(&ama).json(&json!({"orderId": order["id"]})).send().await;
    start.expect_error(409, "CONFLICT");
    assert!(start.text.contains("when it arrives"), "{}", start.text);
    assert_eq!(shop.available(&product).await, 8);
    assert_eq!(shop.database.count("select count(*) from reservations where status = 'committed'").await, 1);
    shop.wait_for_jobs().await;
    let mail = shop.database.text("select body_text from emails where kind = 'order_confirmation'").await.unwrap();
    assert!(mail.contains("when it arrives"), "{mail}");
    // Days later it is still there.
    shop.app.clock.advance(TimeDelta::days(3));
    let (ama, admin) = (shop.login("ama@example.com").await, shop.login("admin@agape.example").await);
    is_accepted(&swept(&shop, &admin, &order).await);
    for status in ["shipped", "delivered"] {
        let moved = shop.set_status(&admin, &order, status).await.expect(200)["order"].clone();
        assert_eq!((&moved["status"], &moved["paymentStatus"]), (&json!(status), &json!("pending")));
    }
    let erase = json!({"password": PASSWORD});
    shop.post("/privacy/erase").token(&ama).json(&erase).send().await.expect_error(409, "CONFLICT");
    let money = json!({"amount": order["total"], "channel": "pos", "note": "rider 7"});
    let answers = join_all((0..6).map(|_| record(&shop, &admin, &order, &money))).await;
    let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409, 409, 409, 409, 409]);
    let paid = seen(&shop, &admin, &order).await;
    assert_eq!((&paid["status"], &paid["paymentStatus"]), (&json!("delivered"), &json!("completed")));
    assert!(paid["paidAt"].is_string());
    assert_eq!(
        (&paid["payments"][0]["provider"], paid["payments"].as_array().unwrap().len()),
        (&json!("pay_on_delivery"), 1)
    );
    assert_eq!(shop.mails("payment_receipt").await.len(), 1);
    let topics =
        "select string_agg(type, ' ' order by id) from order_events where type in ('placed', 'accepted', 'paid')";
    assert_eq!(shop.database.text(topics).await.as_deref(), Some("placed accepted paid"));
    assert_ledger(&shop).await;
}

/// Before it is packed its buyer gives it up, account or guest; refused at the door it comes back. No money moves.
#[tokio::test]
async fn what_is_not_taken_comes_back_without_money() {
    let shop = shop().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 9).await;
    let ama = shop.customer("ama@example.com").await;
    let order = placed(&shop, &ama, &product, "pay_on_delivery").await;
    let cancel = |order: &Value, token: &str| {
        shop.post(&format!("/orders/{}/cancel", id(order))).token(token).json(&json!({})).send()
    };
    assert_eq!(cancel(&order, &ama).await.expect(200)["order"]["status"], "cancelled");
    assert_eq!(shop.available(&product).await, 9);
    record(&shop, &admin, &order, &json!({"amount": order["total"]})).await.expect_error(409, "CONFLICT");

    let body = json!({"items": [{"variantId": product.variant, "quantity": 2}], "email": "kofi@example.com",
                      "shippingAddress": address(), "paymentMethod": "pay_on_delivery"});
    let guests = shop.post("/orders").json(&body).send().await.expect(201)["order"].clone();
    let known = json!({"orderNumber": guests["orderNumber"], "email": "kofi@example.com"});
    shop.post("/orders/track/cancel").json(&known).send().await.expect(200);
    assert_eq!(shop.available(&product).await, 9);

    let order = placed(&shop, &ama, &product, "pay_on_delivery").await;
    let path = format!("/admin/orders/{}", id(&order));
    shop.post(&format!("{path}/fulfilments")).token(&admin).json(&json!({})).send().await.expect(201);
    cancel(&order, &ama).await.expect_error(409, "CONFLICT");
    shop.set_status(&admin, &order, "shipped").await.expect(200);
    let wish = json!({"items": [{"itemId": order["items"][0]["id"], "quantity": 1, "reason": "changed_mind"}]});
    let back =
        shop.post(&format!("{path}/returns")).token(&admin).json(&wish).send().await.expect(201)["order"].clone();
    let back = format!("{path}/returns/{}", back["returns"][0]["id"].as_str().unwrap());
    let approve = json!({"version": 1, "status": "approved"});
    shop.patch(&back).token(&admin).json(&approve).send().await.expect(200);
    let received = json!({"version": 2, "status": "received",
                          "items": [{"itemId": order["items"][0]["id"], "restock": 1}]});
    let seen = shop.patch(&back).token(&admin).json(&received).send().await.expect(200)["order"].clone();
    assert_eq!((&seen["status"], &seen["paymentStatus"]), (&json!("returned"), &json!("pending")));
    assert_eq!(shop.available(&product).await, 9);
    record(&shop, &admin, &order, &json!({"amount": order["total"]})).await.expect_error(409, "CONFLICT");
    assert_eq!(shop.database.count("select count(*) from refunds").await, 0);
    assert_ledger(&shop).await;
}

/// One buyer has only so many unpaid orders, by e-mail or telephone number, however many he sends at once and whether they come
/// with keys or not; whoever pays for one may have another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_buyer_has_only_so_many_unpaid_orders() {
    let shop = shop().await;
    let admin = shop.staff(Role::Admin).await;
    let products = join_all(["A", "B", "C"].map(|sku| shop.product(&admin, sku, 1_000, 90))).await;
    let ama = shop.customer("ama@example.com").await;
    let yaa = shop.customer("yaa@example.com").await;
    let body = |product: &Product, email: Option<&str>, phone: &str| {
        let mut address = address();
        address["phone"] = json!(phone);
        json!({"items": [{"variantId": product.variant, "quantity": 1}], "shippingAddress": address, "email": email,
               "paymentMethod": "pay_on_delivery"})
    };
    // Of one product they wait for each other in the process; of several they meet in the database.
    let mut calls = Vec::new();
    for i in 0..18 {
        let product = &products[i % 3];
        let call = shop.post("/orders").header("idempotency-key", &format!("k{i}"));
        calls.push(match i % 3 {
            0 => call.token(&ama).json(&body(product, None, "08030000001")).send(),
            // The same person, as a guest, and under another address with the same telephone.
            1 => call.json(&body(product, Some("ama@example.com"), "08030000002")).send(),
            _ => call.json(&body(product, Some("kofi@example.com"), "08030000001")).send(),
        });
    }
    let answers = join_all(calls).await;
    let open = "select count(*) from orders where payment_method = 'pay_on_delivery' and status = 'processing'";
    let (placed, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 201);
    assert!(refused.iter().all(|answer| answer.status == 409), "{refused:#?}");
    let of = "select max(n) from (select count(*) n from orders group by email
              union all select count(*) from orders group by shipping_address ->> 'phone') counts";
    assert_eq!(shop.database.count(of).await, 2, "none has more, by whichever mark");
    assert_eq!(shop.database.count(open).await, i64::try_from(placed.len()).unwrap());
    // Somebody else is not concerned.
    shop.post("/orders").token(&yaa).json(&body(&products[0], None, "08030000009")).send().await.expect(201);
    let quote = json!({"items": [{"variantId": products[0].variant, "quantity": 1}],
                       "shippingAddress": {"country": "NG", "region": "Lagos"}, "email": "yaa@example.com"});
    let offered = || async {
        let quote = shop.post("/orders/quote").token(&yaa).json(&quote).send().await.expect(200);
        quote["quote"]["paymentMethods"][3]["available"].clone()
    };
    assert_eq!(offered().await, true);
    let second = shop.post("/orders").token(&yaa).json(&body(&products[1], None, "08030000009")).send().await;
    let second = second.expect(201)["order"].clone();
    assert_eq!(offered().await, false);
    // A stranger who names her address does not learn it.
    let strangers = shop.post("/orders/quote").json(&quote).send().await.expect(200);
    assert_eq!(strangers["quote"]["paymentMethods"][3]["available"], true);
    let third = shop.post("/orders").token(&yaa).json(&body(&products[2], None, "08030000009")).send().await;
    third.expect_error(409, "CONFLICT");
    record(&shop, &admin, &second, &json!({"amount": second["total"]})).await.expect(201);
    assert_eq!(offered().await, true);
    shop.post("/orders").token(&yaa).json(&body(&products[2], None, "08030000009")).send().await.expect(201);
    assert_ledger(&shop).await;
}

/// Many buyers of one piece who pay on delivery: it is sold once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_piece_is_accepted_once() {
    let shop = shop().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 3).await;
    let calls = (0..12).map(|i| {
        let mut address = address();
        address["phone"] = json!(format!("0803000{i:04}"));
        let method = if i % 3 == 0 { "paystack" } else { "pay_on_delivery" };
        let body = json!({"items": [{"variantId": product.variant, "quantity": 1}], "shippingAddress": address,
                          "email": format!("buyer{i}@example.com"), "paymentMethod": method});
        shop.post("/orders").json(&body).send()
    });
    let answers = join_all(calls).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 3);
    assert!(answers.iter().all(|answer| matches!(answer.status, 201 | 409)), "{answers:#?}");
    assert_eq!(shop.available(&product).await, 0);
    let odd = "select count(*) from orders o join reservations r on r.order_id = o.id
               where (o.payment_method = 'pay_on_delivery') <> (r.status = 'committed')
                  or (o.payment_method = 'pay_on_delivery') <> (o.status = 'processing')";
    assert_eq!(shop.database.count(odd).await, 0);
    assert_ledger(&shop).await;
}

/// Whatever the program does: no other order is accepted without money, and a transfer is not recorded twice.
#[tokio::test]
async fn the_database_accepts_no_other_order_without_money() {
    let shop = shop().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 9).await;
    let ama = shop.customer("ama@example.com").await;
    let order = placed(&shop, &ama, &product, "manual_transfer").await;
    let accept = "update orders set status = 'processing', expires_at = null where payment_method <> 'pay_on_delivery'";
    let refused = sqlx::query(accept).execute(&shop.database.pool).await.unwrap_err();
    assert!(refused.to_string().contains("paid on delivery"), "{refused}");
    let money = json!({"amount": 1, "reference": "FT-1"});
    record(&shop, &admin, &order, &money).await.expect(201);
    let twice = "insert into payments (id, order_id, order_number, provider, reference, status, amount_minor, currency,
                   created_at, updated_at, received_reference)
                 select gen_random_uuid(), order_id, order_number, provider, 'x', 'failed', 1, 'NGN', now(), now(), 'ft-1'
                 from payments";
    let refused = sqlx::query(twice).execute(&shop.database.pool).await.unwrap_err();
    assert!(refused.to_string().contains("payments_received_once"), "{refused}");
}
