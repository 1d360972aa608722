//! Paying: the page, the webhook, the verify call, and everything that may be wrong with them.

use agape::features::auth::Role;
use chrono::TimeDelta;
use futures::future::join_all;
use serde_json::{Value, json};

use crate::concurrency::assert_ledger;
use crate::support::{PAYSTACK_KEY, Product, TestApp, charge_success};

/// A shop with a product, a customer and an order of two pieces whose payment page is open.
struct Open {
    shop: TestApp,
    ama: String,
    product: Product,
    order: Value,
    payment: Value,
    reference: String,
    /// Minor units.
    total: i64,
}

async fn open() -> Open {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 5).await;
    let ama = shop.customer("ama@example.com").await;
    let order = shop.order(&ama, &product, 2).await;
    let payment = shop.initialize(&ama, &order).await;
    let reference = payment["reference"].as_str().unwrap().to_owned();
    let total = shop.database.count("select total_minor from orders").await;
    Open { shop, ama, product, order, payment, reference, total }
}

impl Open {
    async fn status(&self) -> String {
        self.shop.database.text("select status from orders").await.unwrap()
    }

    async fn payment_status(&self) -> String {
        self.shop.database.text("select status from payments order by created_at limit 1").await.unwrap()
    }

    async fn flag(&self) -> Option<String> {
        self.shop.database.text("select flag_reason from payments where status = 'flagged'").await
    }

    /// Delivers a webhook and waits until it has been worked on.
    async fn deliver(&self, body: &Value) {
        self.shop.deliver(body, PAYSTACK_KEY).await.expect(200);
        self.shop.wait_for_jobs().await;
    }
}

/// The amount and the currency are the order's; a live attempt is given again, also to five calls at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_attempt_is_open_at_a_time() {
    let open = open().await;
    let body = json!({"orderId": open.order["id"]});
    let calls = (0..5).map(|_| open.shop.post("/payments/initialize").token(&open.ama).json(&body).send());
    for answer in join_all(calls).await {
        let again = answer.expect(200);
        assert_eq!(again, open.payment);
    }
    assert_eq!(open.payment["amount"], open.order["total"]);
    assert_eq!(open.shop.database.count("select count(*) from payments").await, 1);
    let fresh = open.shop.order(&open.ama, &open.product, 1).await;
    let body = json!({"orderId": fresh["id"]});
    let calls = (0..5).map(|_| open.shop.post("/payments/initialize").token(&open.ama).json(&body).send());
    let answers: Vec<Value> = join_all(calls).await.into_iter().map(|answer| answer.expect(200)).collect();
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:#?}");
}

/// An amount in the request is refused, and another person's order is not found.
#[tokio::test]
async fn a_payment_is_of_ones_own_order_and_its_amount() {
    let open = open().await;
    let start = |token: &str, body: Value| {
        let call = open.shop.post("/payments/initialize").token(token).json(&body);
        async move { call.send().await }
    };
    let body = json!({"orderId": open.order["id"], "amount": 1});
    assert_eq!(start(&open.ama, body).await.expect_error(400, "VALIDATION_ERROR"), ["amount"]);
    let ben = open.shop.customer("ben@example.com").await;
    let body = json!({"orderId": open.order["id"]});
    start(&ben, body.clone()).await.expect_error(404, "NOT_FOUND");
    start(&ben, json!({"orderId": uuid::Uuid::now_v7()})).await.expect_error(404, "NOT_FOUND");
    open.shop.post("/payments/initialize").json(&body).send().await.expect_error(404, "NOT_FOUND");
    // An account's order is not opened by knowing its address.
    let body = json!({"orderId": open.order["id"], "email": "ama@example.com"});
    open.shop.post("/payments/initialize").json(&body).send().await.expect_error(404, "NOT_FOUND");
    let path = format!("/payments/{}/verify", open.reference);
    open.shop.post(&path).token(&ben).send().await.expect_error(404, "NOT_FOUND");
    open.shop.post("/payments/unknown/verify").token(&ben).send().await.expect_error(404, "NOT_FOUND");
}

/// A webhook counts only with the right signature of its exact bytes. The previous key is accepted too.
#[tokio::test]
async fn a_forged_webhook_is_refused() {
    let open = open().await;
    let event = charge_success(&open.reference, open.total, 1);
    open.shop.deliver(&event, "sk_test_wrong").await.expect_error(401, "AUTHENTICATION_ERROR");
    let bytes = serde_json::to_vec(&event).unwrap();
    let signature = paystack::webhook::sign(&bytes, &PAYSTACK_KEY.into());
    let mut changed = bytes.clone();
    changed.push(b' ');
    let send = |signature: Option<String>, body: Vec<u8>| {
        let call = open.shop.post("/webhooks/paystack");
        let call = match signature {
            Some(signature) => call.header("x-paystack-signature", &signature),
            None => call,
        };
        async move { call.raw(body).send().await }
    };
    send(Some(signature.clone()), changed).await.expect_error(401, "AUTHENTICATION_ERROR");
    send(Some(signature[..40].to_owned()), bytes.clone()).await.expect_error(401, "AUTHENTICATION_ERROR");
    send(None, bytes).await.expect_error(401, "AUTHENTICATION_ERROR");
    assert_eq!(open.shop.database.count("select count(*) from webhook_events").await, 0);
    assert_eq!(open.status().await, "pending_payment");
    // Signed nonsense is refused and not stored.
    let nonsense = b"nonsense".to_vec();
    let signature = paystack::webhook::sign(&nonsense, &PAYSTACK_KEY.into());
    send(Some(signature), nonsense).await.expect_error(400, "VALIDATION_ERROR");
    assert_eq!(open.shop.database.count("select count(*) from webhook_events").await, 0);
}

/// During a rotation of the secret key both keys sign.
#[tokio::test]
async fn the_previous_key_still_signs() {
    let shop = TestApp::with(|config| config.payments.paystack_previous_secret_key = "sk_test_previous".into()).await;
    let event = charge_success("unknown", 100, 1);
    shop.deliver(&event, "sk_test_previous").await.expect(200);
    shop.deliver(&event, PAYSTACK_KEY).await.expect(200);
    shop.deliver(&event, "").await.expect_error(401, "AUTHENTICATION_ERROR");
}

/// Ten deliveries of one event at once, with ten verify calls: the order is paid once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_settlement_wins() {
    let open = open().await;
    open.shop.sandbox_faults(&json!({"webhook": "none"})).await;
    open.shop.pay(&open.payment).await;
    let event = charge_success(&open.reference, open.total, 7);
    let path = format!("/payments/{}/verify", open.reference);
    let deliveries = join_all((0..10).map(|_| open.shop.deliver(&event, PAYSTACK_KEY)));
    let verifies = join_all((0..10).map(|_| open.shop.post(&path).token(&open.ama).send()));
    let (delivered, verified) = tokio::join!(deliveries, verifies);
    for answer in delivered {
        answer.expect(200);
    }
    for answer in verified {
        assert_eq!(answer.expect(200)["status"], "success");
    }
    open.shop.wait_for_jobs().await;
    assert_eq!(open.status().await, "paid");
    let shop = &open.shop;
    assert_eq!(shop.database.count("select count(*) from webhook_events").await, 1);
    assert_eq!(shop.database.count("select deliveries::bigint from webhook_events").await, 10);
    assert_eq!(shop.database.count("select count(*) from order_events where type = 'paid'").await, 1);
    assert_eq!(shop.database.count("select count(*) from emails where kind = 'payment_receipt'").await, 1);
    assert_eq!(shop.database.count("select paid_minor from orders").await, open.total);
    assert_eq!(shop.available(&open.product).await, 3);
    assert_ledger(shop).await;
}

/// Verify alone pays the order, where no webhook comes; so does the return page.
#[tokio::test]
async fn the_return_page_settles_too() {
    let open = open().await;
    open.shop.sandbox_faults(&json!({"webhook": "none"})).await;
    let page = |state: &'static str| {
        let path = format!("//payments/callback?reference={}", open.reference);
        let call = open.shop.get(&path);
        async move {
            let answer = call.send().await;
            assert_eq!(answer.status, 200, "{state}: {}", answer.text);
            assert!(answer.header("content-type").unwrap().starts_with("text/html"));
            answer.text
        }
    };
    page("before").await;
    assert_eq!(open.status().await, "pending_payment");
    open.shop.pay(&open.payment).await;
    page("after").await;
    assert_eq!(open.status().await, "paid");
    let unknown = open.shop.get("//payments/callback?reference=unknown").send().await;
    assert_eq!(unknown.status, 404);
    let empty = open.shop.get("//payments/callback").send().await;
    assert_eq!(empty.status, 404);
}

/// A refused payment may be tried again, and a success is never turned back.
#[tokio::test]
async fn a_refused_payment_is_tried_again() {
    let open = open().await;
    let page = open.payment["authorizationUrl"].as_str().unwrap();
    let declined = open.shop.post(page).form("action=decline").send().await;
    assert!(declined.status < 400, "{}", declined.text);
    let path = format!("/payments/{}/verify", open.reference);
    let verified = open.shop.post(&path).token(&open.ama).send().await.expect(200);
    assert_eq!(verified["status"], "failed");
    assert_eq!((open.status().await, open.payment_status().await), ("payment_failed".into(), "failed".into()));
    // Another attempt has another reference.
    let second = open.shop.initialize(&open.ama, &open.order).await;
    assert_ne!(second["reference"], open.payment["reference"]);
    assert_eq!(open.status().await, "pending_payment");
    open.shop.pay(&second).await;
    open.shop.wait_for_status(&open.ama, &open.order, "paid").await;
    open.shop.wait_for_jobs().await;
    // News of the first attempt's failure changes nothing any more.
    let mut late = charge_success(&open.reference, open.total, 9);
    late["data"]["status"] = json!("failed");
    open.deliver(&late).await;
    let mut late = charge_success(second["reference"].as_str().unwrap(), open.total, 10);
    late["data"]["status"] = json!("failed");
    open.deliver(&late).await;
    assert_eq!(open.status().await, "paid");
    assert_ledger(&open.shop).await;
}

/// Money that does not fit is flagged for the staff, with its reason; the order is not fulfilled and does not expire.
#[tokio::test]
async fn money_that_does_not_fit_is_flagged() {
    for (change, reason) in [
        (json!({"amount": -1}), "paid too little"),
        (json!({"amount": 1}), "paid too much"),
        (json!({"currency": "USD"}), "paid in another currency"),
    ] {
        let open = open().await;
        let mut event = charge_success(&open.reference, open.total, 3);
        if let Some(delta) = change["amount"].as_i64() {
            event["data"]["amount"] = json!(open.total + delta);
        }
        if let Some(currency) = change["currency"].as_str() {
            event["data"]["currency"] = json!(currency);
        }
        open.deliver(&event).await;
        assert_eq!(open.flag().await.as_deref(), Some(reason));
        assert_eq!(open.status().await, "pending_payment");
        let expiring = "select count(*) from orders where expires_at is not null";
        assert_eq!(open.shop.database.count(expiring).await, 0);
        assert_eq!(open.shop.database.count("select count(*) from emails where kind = 'payment_receipt'").await, 0);
        // The right amount under another event does not unflag it.
        open.deliver(&charge_success(&open.reference, open.total, 4)).await;
        assert_eq!(open.status().await, "pending_payment");
        let path = format!("/payments/{}/verify", open.reference);
        assert_eq!(open.shop.post(&path).token(&open.ama).send().await.expect(200)["status"], "pending");
    }
}

/// A transaction of the other mode, of an unknown reference, or of an unknown kind is stored and changes nothing.
#[tokio::test]
async fn foreign_events_are_kept_and_ignored() {
    let open = open().await;
    let mut live = charge_success(&open.reference, open.total, 1);
    live["data"]["domain"] = json!("live");
    open.deliver(&live).await;
    open.deliver(&charge_success("somebody-elses", open.total, 2)).await;
    open.deliver(&json!({"event": "subscription.create", "data": {"id": 5}})).await;
    open.deliver(&json!({"event": "subscription.expiring_cards", "data": [{"brand": "visa"}]})).await;
    assert_eq!(open.status().await, "pending_payment");
    assert_eq!(open.shop.database.count("select count(*) from webhook_events where status = 'ignored'").await, 4);
}

/// A shortened body makes the shop ask the provider.
#[tokio::test]
async fn a_shortened_webhook_is_asked_about() {
    let open = open().await;
    open.shop.sandbox_faults(&json!({"webhook": "none"})).await;
    open.shop.pay(&open.payment).await;
    open.deliver(&json!({"event": "charge.success", "data": {"id": 11, "reference": open.reference}})).await;
    assert_eq!(open.status().await, "paid");
}

/// Two attempts that are both paid: the second is flagged for a refund, the stock goes down once.
#[tokio::test]
async fn a_second_payment_of_an_order_is_flagged() {
    let open = open().await;
    let page = open.payment["authorizationUrl"].as_str().unwrap();
    open.shop.post(page).form("action=decline").send().await;
    open.shop.post(&format!("/payments/{}/verify", open.reference)).token(&open.ama).send().await.expect(200);
    let second = open.shop.initialize(&open.ama, &open.order).await;
    open.shop.pay(&second).await;
    open.shop.wait_for_status(&open.ama, &open.order, "paid").await;
    open.shop.wait_for_jobs().await;
    // The first page is paid after all. Of a payment that had failed the provider is asked, so it has to know.
    open.shop.pay_in_silence(&open.payment).await;
    open.deliver(&charge_success(&open.reference, open.total, 77)).await;
    assert_eq!(open.flag().await.as_deref(), Some("the order was paid before by another attempt"));
    assert_eq!(open.status().await, "paid");
    assert_eq!(open.shop.available(&open.product).await, 3);
    assert_ledger(&open.shop).await;
}

/// A provider that does not answer costs nothing: the attempt is kept and taken up again with its reference.
#[tokio::test]
async fn a_provider_that_fails_is_asked_again() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 5).await;
    let ama = shop.customer("ama@example.com").await;
    let order = shop.order(&ama, &product, 1).await;
    shop.sandbox_faults(&json!({"fail_next": {"status": 500, "count": 1}})).await;
    let body = json!({"orderId": order["id"]});
    let refused = shop.post("/payments/initialize").token(&ama).json(&body).send().await;
    refused.expect_error(503, "EXTERNAL_SERVICE_ERROR");
    assert!(refused.header("retry-after").is_some());
    let created = shop.database.text("select reference from payments where status = 'created'").await.unwrap();
    let payment = shop.initialize(&ama, &order).await;
    assert_eq!(payment["reference"], created);
    assert_eq!(shop.database.count("select count(*) from payments").await, 1);
}

/// A paid order is not paid again, and an order whose time is over cannot be paid.
#[tokio::test]
async fn only_a_waiting_order_can_be_paid() {
    let open = open().await;
    open.shop.pay(&open.payment).await;
    open.shop.wait_for_status(&open.ama, &open.order, "paid").await;
    let start = |token: &str, order: &Value| {
        let call = open.shop.post("/payments/initialize").token(token).json(&json!({"orderId": order["id"]}));
        async move { call.send().await }
    };
    start(&open.ama, &open.order).await.expect_error(409, "CONFLICT");
    let second = open.shop.order(&open.ama, &open.product, 1).await;
    open.shop.app.clock.advance(TimeDelta::minutes(31));
    let ama = open.shop.login("ama@example.com").await;
    start(&ama, &second).await.expect_error(409, "CONFLICT");
}

/// A guest pays with the address of his order, and verifies with the reference.
#[tokio::test]
async fn a_guest_pays_with_his_address() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 5).await;
    let body = json!({"email": "Guest@Example.com", "items": [{"productId": product.id, "quantity": 1}],
                      "shippingAddress": crate::support::address()});
    let order = shop.post("/orders").json(&body).send().await.expect(201)["order"].clone();
    let start = |email: &str| {
        let call = shop.post("/payments/initialize").json(&json!({"orderId": order["id"], "email": email}));
        async move { call.send().await }
    };
    start("other@example.com").await.expect_error(404, "NOT_FOUND");
    let payment = start("guest@example.com").await.expect(200);
    shop.pay(&payment).await;
    let path = format!("/payments/{}/verify", payment["reference"].as_str().unwrap());
    assert_eq!(shop.post(&path).send().await.expect(200)["status"], "success");
    let track = json!({"orderNumber": order["orderNumber"], "email": "guest@example.com"});
    assert_eq!(shop.post("/orders/track").json(&track).send().await.expect(200)["order"]["status"], "paid");
}

/// A webhook whose job is gone, as after many failures, gets a new job from the clock.
#[tokio::test]
async fn a_forgotten_webhook_is_worked_on() {
    let shop = TestApp::with(|config| config.jobs.sweep_seconds = 1).await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 5).await;
    let ama = shop.customer("ama@example.com").await;
    let order = shop.order(&ama, &product, 2).await;
    let payment = shop.initialize(&ama, &order).await;
    let total = shop.database.count("select total_minor from orders").await;
    let event = charge_success(payment["reference"].as_str().unwrap(), total, 1);
    // Stored as the endpoint stores it, and without its job.
    sqlx::query(
        "insert into webhook_events (id, provider, dedupe_key, event, body, received_at)
         values (gen_random_uuid(), 'paystack', 'k', 'charge.success', $1, now() - interval '6 minutes')",
    )
    .bind(serde_json::to_vec(&event).unwrap())
    .execute(&shop.database.pool)
    .await
    .unwrap();
    shop.wait_for_status(&ama, &order, "paid").await;
    shop.wait_for_jobs().await;
    let events = "select count(*) from webhook_events where status = 'processed'";
    assert_eq!(shop.database.count(events).await, 1);
    assert_eq!(shop.database.count("select count(*) from river_job where kind = 'process_webhook'").await, 1);
}

/// An open attempt is given again only with its goods: what was released is set aside again, or refused when sold.
#[tokio::test]
async fn an_old_attempt_takes_its_stock_again() {
    let shop = TestApp::with(|config| config.jobs.sweep_seconds = 1).await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 5).await;
    let ama = shop.customer("ama@example.com").await;
    let order = shop.order(&ama, &product, 3).await;
    let payment = shop.initialize(&ama, &order).await;
    let released = || async {
        let held = shop.database.count("select count(*) from reservations where status = 'held'").await;
        (held == 0).then_some(())
    };
    shop.app.clock.advance(TimeDelta::minutes(16));
    shop.wait_for("the release", released).await;
    let ama = shop.login("ama@example.com").await;
    assert_eq!(shop.initialize(&ama, &order).await, payment);
    assert_eq!(shop.available(&product).await, 2);
    shop.app.clock.advance(TimeDelta::minutes(13));
    // Sold while nothing holds it: the release is done by hand, as the clock's work would.
    sqlx::query("update reservations set expires_at = now()").execute(&shop.database.pool).await.unwrap();
    shop.wait_for("the second release", released).await;
    let ben = shop.customer("ben@example.com").await;
    shop.order(&ben, &product, 4).await;
    let ama = shop.login("ama@example.com").await;
    let body = json!({"orderId": order["id"]});
    shop.post("/payments/initialize").token(&ama).json(&body).send().await.expect_error(409, "CONFLICT");
    assert_ledger(&shop).await;
}
