//! A payment provider that is away: nobody waits for it, and the shop goes on.

use agape::features::auth::Role;
use serde_json::json;

use crate::support::TestApp;

/// After failures in a row nobody is kept waiting for the next one; the shop says so, stays ready, takes orders, and asks again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_is_away_is_asked_again_later() {
    let shop = TestApp::with(|config| {
        config.payments.breaker_failures = 2;
        config.payments.breaker_seconds = 1;
    })
    .await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 5).await;
    let ama = shop.customer("ama@example.com").await;
    let order = shop.order(&ama, &product, 1).await;
    let gauge = |value: u8| {
        let call = shop.get("//metrics");
        async move {
            let answer = call.send().await;
            assert!(answer.text.contains(&format!("agape_payment_provider_up {value}")), "{}", answer.text);
        }
    };
    assert_eq!(shop.get("//readyz").send().await.body["checks"]["payments"], "ok");
    gauge(1).await;

    // One more than are sent: the last one must find nobody who uses it up.
    shop.sandbox_faults(&json!({"fail_next": {"status": 503, "count": 3}})).await;
    let body = json!({"orderId": order["id"]});
    for _ in 0..3 {
        let refused = shop.post("/payments/initialize").token(&ama).json(&body).send().await;
        refused.expect_error(503, "EXTERNAL_SERVICE_ERROR");
        assert!(refused.header("retry-after").is_some());
    }
    let ready = shop.get("//readyz").send().await;
    assert_eq!(ready.status, 200);
    assert!(ready.body["checks"]["payments"].as_str().unwrap().contains("does not answer"), "{}", ready.text);
    gauge(0).await;
    shop.order(&ama, &product, 1).await;

    // The trial after the pause uses up the third failure, the one after the next pause succeeds.
    let payment = shop
        .wait_for("the provider to be asked again", || async {
            let answer = shop.post("/payments/initialize").token(&ama).json(&body).send().await;
            (answer.status == 200).then(|| answer.expect(200))
        })
        .await;
    assert_eq!(shop.get("//readyz").send().await.body["checks"]["payments"], "ok");
    shop.pay(&payment).await;
    shop.wait_for_status(&ama, &order, "paid").await;
    assert_eq!(shop.database.count("select count(*) from payments").await, 1);
}

/// Whoever is refused while nobody is asked hears when somebody will be.
#[tokio::test]
async fn a_refusal_says_when_the_provider_is_asked_again() {
    let shop = TestApp::with(|config| {
        config.payments.breaker_failures = 2;
        config.payments.breaker_seconds = 300;
    })
    .await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 5).await;
    let ama = shop.customer("ama@example.com").await;
    let order = shop.order(&ama, &product, 1).await;
    let body = json!({"orderId": order["id"]});
    shop.sandbox_faults(&json!({"fail_next": {"status": 503, "count": 2}})).await;
    let mut waits = Vec::new();
    for _ in 0..3 {
        let refused = shop.post("/payments/initialize").token(&ama).json(&body).send().await;
        refused.expect_error(503, "EXTERNAL_SERVICE_ERROR");
        waits.push(refused.header("retry-after").unwrap().parse::<u64>().unwrap());
    }
    // An outage of a moment is tried again soon, a longer one when its pause is over.
    assert_eq!(waits[..2], [5, 5]);
    assert!((200..=300).contains(&waits[2]), "{waits:?}");
}

/// There are lists of banks for some currencies only; for others nobody is asked.
#[tokio::test]
async fn banks_of_other_currencies_are_not_asked_for() {
    let shop = TestApp::start().await;
    let finance = shop.staff(Role::Finance).await;
    shop.sandbox_faults(&json!({"fail_next": {"status": 503, "count": 100}})).await;
    let banks = |currency: &str| shop.get(&format!("/admin/payments/banks?currency={currency}")).token(&finance).send();
    banks("NGN").await.expect_error(503, "EXTERNAL_SERVICE_ERROR");
    for other in ["USD", "xof", "ZZZ"] {
        assert_eq!(banks(other).await.expect(200)["banks"], json!([]), "{other}");
    }
    banks("N1N").await.expect_error(400, "VALIDATION_ERROR");
}
