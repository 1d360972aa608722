//! What the provider has told: how it is kept, seen, worked on again and forgotten.

use agape::features::auth::Role;
use agape::features::webhooks;
use agape::flows::retention::Retention;
use agape::platform::jobs::Job;
use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::privacy::places;
use crate::support::{PASSWORD, PAYSTACK_KEY, TestApp, charge_success};

const CODE: &str = "AUTH_secretcode";

/// A shop with a paid order, whose payment the provider has told with a code that charges the card again.
async fn told() -> (TestApp, String, Value) {
    let shop = TestApp::with(|config| config.jobs.sweep_seconds = 86_400).await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 9).await;
    let ama = shop.customer("ama@example.com").await;
    let order = shop.order(&ama, &product, 1).await;
    let payment = shop.initialize(&ama, &order).await;
    let total = shop.database.count("select total_minor from orders").await;
    let mut event = charge_success(payment["reference"].as_str().unwrap(), total, 1);
    event["data"]["authorization"]["authorization_code"] = json!(CODE);
    event["data"]["customer"]["email"] = json!("zipporah@example.com");
    shop.deliver(&event, PAYSTACK_KEY).await.expect(200);
    shop.wait_for_jobs().await;
    (shop, admin, event)
}

async fn list(shop: &TestApp, staff: &str, query: &str) -> Vec<Value> {
    let data = shop.get(&format!("/admin/webhook-events?{query}")).token(staff).send().await.expect(200);
    data["webhookEvents"].as_array().unwrap().clone()
}

/// Neither the code nor the person stands anywhere in the database in clear; staff see what is neither; and a copy of the row in
/// another place opens nothing.
#[tokio::test]
async fn a_body_is_kept_sealed_and_shown_without_secrets() {
    let (shop, admin, event) = told().await;
    for word in [CODE, "zipporah", "authorization_code"] {
        assert!(places(&shop, word).await.is_empty(), "{word}");
    }
    let stored = list(&shop, &admin, "").await;
    assert_eq!(stored.len(), 1);
    assert_eq!((&stored[0]["event"], &stored[0]["status"]), (&json!("charge.success"), &json!("processed")));
    assert_eq!((&stored[0]["outcome"], &stored[0]["deliveries"]), (&json!("Paid"), &json!(1)));
    let path = format!("/admin/webhook-events/{}", stored[0]["id"].as_str().unwrap());
    let answer = shop.get(&path).token(&admin).send().await;
    assert!(!answer.text.contains(CODE) && !answer.text.contains("zipporah"), "{}", answer.text);
    let body = answer.expect(200)["body"].clone();
    assert_eq!(
        (&body["data"]["reference"], &body["data"]["amount"]),
        (&event["data"]["reference"], &event["data"]["amount"])
    );
    assert_eq!(body["data"]["authorization"]["authorization_code"], "[hidden]");
    assert_eq!(body["data"]["authorization"]["last4"], "4081");
    let copy = "update webhook_events set dedupe_key = 'another'";
    sqlx::query(copy).execute(&shop.database.pool).await.unwrap();
    shop.get(&path).token(&admin).send().await.expect_error(500, "INTERNAL_ERROR");
}

/// What cannot be read is kept for somebody to look at, but not what tells of a buyer who was erased.
#[tokio::test]
async fn what_cannot_be_read_of_an_erased_buyer_is_not_kept() {
    let shop = TestApp::with(|config| config.jobs.sweep_seconds = 86_400).await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 9).await;
    let ama = shop.customer("ama@example.com").await;
    let payment = shop.initialize(&ama, &shop.order(&ama, &product, 1).await).await;
    let event = |status: &str| {
        json!({"event": "refund.processed", "data": {
            "status": status, "transaction_reference": payment["reference"], "amount": {"much": 1},
            "customer": {"email": "zipporah@example.com"},
        }})
    };
    let kept = "select count(*) from webhook_events where status = 'failed' and body <> '{}'";
    shop.deliver(&event("processed"), PAYSTACK_KEY).await.expect(200);
    shop.wait_for_jobs().await;
    assert_eq!(shop.database.count(kept).await, 1);
    shop.post("/privacy/erase").token(&ama).json(&json!({"password": PASSWORD})).send().await.expect(200);
    shop.deliver(&event("pending"), PAYSTACK_KEY).await.expect(200);
    shop.wait_for_jobs().await;
    assert_eq!(shop.database.count("select count(*) from webhook_events where status = 'failed'").await, 2);
    assert_eq!(shop.database.count(kept).await, 0);
}

/// The filters find what they name, and a cursor walks on.
#[tokio::test]
async fn events_are_found() {
    let (shop, admin, event) = told().await;
    for i in 0..5 {
        shop.deliver(&json!({"event": "invoice.create", "data": {"n": i}}), PAYSTACK_KEY).await.expect(200);
    }
    shop.deliver(&json!({"event": "charge.success", "data": {"id": 2}}), PAYSTACK_KEY).await.expect(200);
    shop.wait_for_jobs().await;
    let reference = event["data"]["reference"].as_str().unwrap();
    let now = shop.app.clock.now();
    for (query, count) in [
        (String::new(), 7),
        ("event=invoice.create".into(), 5),
        ("event=charge.success".into(), 2),
        ("status=ignored".into(), 5),
        ("status=failed".into(), 1),
        ("status=failed&event=invoice.create".into(), 0),
        (format!("reference={reference}"), 1),
        (format!("until={}", (now - TimeDelta::hours(1)).format("%Y-%m-%dT%H:%M:%SZ")), 0),
        (format!("from={}", (now - TimeDelta::hours(1)).format("%Y-%m-%dT%H:%M:%SZ")), 7),
    ] {
        assert_eq!(list(&shop, &admin, &query).await.len(), count, "{query}");
    }
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let answer = shop.get(&format!("/admin/webhook-events?limit=3{cursor}")).token(&admin).send().await;
        seen.extend(answer.body["data"]["webhookEvents"].as_array().unwrap().iter().map(|event| event["id"].clone()));
        let Some(next) = answer.body["pagination"]["nextCursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    seen.dedup();
    assert_eq!(seen.len(), 7);
    let long = format!("event={}", "x".repeat(101));
    for (query, field) in [
        ("status=new", "status"),
        ("reference=a%01b", "reference"),
        (long.as_str(), "event"),
        ("until=0001-01-01T00:00:00Z", "until"),
    ] {
        let answer = shop.get(&format!("/admin/webhook-events?{query}")).token(&admin).send().await;
        assert_eq!(answer.expect_error(400, "VALIDATION_ERROR"), [field], "{query}");
    }
}

/// An event that failed is worked on again once its cause is mended; one that was worked on changes nothing by it.
#[tokio::test]
async fn an_event_is_worked_on_again() {
    let (shop, admin, _) = told().await;
    let before = shop.database.text("select json_agg(o order by id)::text from orders o").await;
    let id = list(&shop, &admin, "").await[0]["id"].as_str().unwrap().to_owned();
    let path = format!("/admin/webhook-events/{id}/replay");
    let merchant = shop.staff(Role::Merchant).await;
    shop.post(&path).token(&merchant).send().await.expect_error(403, "AUTHORIZATION_ERROR");
    // Two at once: one finds it waiting, or both are served one after the other.
    let (first, second) = tokio::join!(shop.post(&path).token(&admin).send(), shop.post(&path).token(&admin).send());
    assert!(first.status == 202 || second.status == 202, "{first:?} {second:?}");
    shop.wait_for_jobs().await;
    let event = list(&shop, &admin, "").await[0].clone();
    assert_eq!((&event["status"], &event["outcome"]), (&json!("processed"), &json!("Settled")));
    assert_eq!(shop.database.text("select json_agg(o order by id)::text from orders o").await, before);
    assert_eq!(shop.mails("payment_receipt").await.len(), 1);

    let nonsense = "update webhook_events set body = 'nonsense', sealed_by = 0, status = 'failed'";
    sqlx::query(nonsense).execute(&shop.database.pool).await.unwrap();
    let mut connection = shop.app.db.acquire().await.unwrap();
    assert_eq!(webhooks::failed_events(&mut connection).await.unwrap(), 1);
    shop.post(&path).token(&admin).send().await.expect(202);
    shop.wait_for_jobs().await;
    assert_eq!(list(&shop, &admin, "status=failed").await.len(), 1);
    let missing = format!("/admin/webhook-events/{}/replay", uuid::Uuid::now_v7());
    shop.post(&missing).token(&admin).send().await.expect_error(404, "NOT_FOUND");
}

/// Bodies from before they were sealed are read, and sealed by the daily clean-up, which seals with a new key what the old one has;
/// then the old key may go.
#[tokio::test]
async fn old_bodies_are_sealed_and_a_key_can_be_changed() {
    let (shop, admin, event) = told().await;
    let plain = "update webhook_events set body = $1, sealed_by = 0";
    sqlx::query(plain).bind(serde_json::to_vec(&event).unwrap()).execute(&shop.database.pool).await.unwrap();
    assert_eq!(places(&shop, CODE).await, ["webhook_events.body"]);
    let id = list(&shop, &admin, "").await[0]["id"].as_str().unwrap().to_owned();
    let path = format!("/admin/webhook-events/{id}");
    let body = shop.get(&path).token(&admin).send().await.expect(200)["body"].clone();
    Retention {}.run(&shop.app).await.unwrap();
    assert!(places(&shop, CODE).await.is_empty());
    assert_eq!(shop.get(&path).token(&admin).send().await.expect(200)["body"], body);

    let (old, new) = (std::fs::read_to_string(shop.data_dir().join("keys/encryption.key")).unwrap(), "cd".repeat(32));
    let shop = shop
        .restart(|config| {
            config.auth.encryption_key = new.clone().into();
            config.auth.previous_encryption_key = old.trim().to_owned().into();
        })
        .await;
    let admin = shop.login("admin@agape.example").await;
    assert_eq!(shop.get(&path).token(&admin).send().await.expect(200)["body"], body);
    Retention {}.run(&shop.app).await.unwrap();
    let shop = shop.restart(|config| config.auth.encryption_key = new.into()).await;
    let admin = shop.login("admin@agape.example").await;
    assert_eq!(shop.get(&path).token(&admin).send().await.expect(200)["body"], body);
}

/// After their time bodies are empty, the events stay, and cannot be worked on again; what waits for its job is not emptied.
#[tokio::test]
async fn bodies_are_emptied_after_their_time() {
    let (shop, _, event) = told().await;
    let waiting = "insert into webhook_events (id, provider, dedupe_key, event, body, received_at)
                   values (gen_random_uuid(), 'paystack', 'k', 'invoice.create', $1, now())";
    sqlx::query(waiting).bind(serde_json::to_vec(&event).unwrap()).execute(&shop.database.pool).await.unwrap();
    let kept = "select count(*) from webhook_events where body <> '{}'";
    Retention {}.run(&shop.app).await.unwrap();
    assert_eq!(shop.database.count(kept).await, 2);
    shop.app.clock.advance(TimeDelta::days(91));
    Retention {}.run(&shop.app).await.unwrap();
    assert_eq!(shop.database.count(kept).await, 1);
    assert_eq!(shop.database.count("select count(*) from webhook_events where status = 'received'").await, 1);
    let admin = shop.login("admin@agape.example").await;
    let emptied = list(&shop, &admin, "event=charge.success").await[0]["id"].as_str().unwrap().to_owned();
    let path = format!("/admin/webhook-events/{emptied}");
    assert_eq!(shop.get(&path).token(&admin).send().await.expect(200)["body"], Value::Null);
    shop.post(&format!("{path}/replay")).token(&admin).send().await.expect_error(409, "CONFLICT");
}
