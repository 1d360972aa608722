//! Faults on demand, and how the client meets them.

use std::time::{Duration, Instant};

use crate::common::{KEY, Receiver, client, control, key, request, start_sandbox, submit};
use paystack::{Client, ClientConfig, Error, TransactionStatus};
use serde_json::json;

#[tokio::test]
async fn a_get_survives_two_failures_but_not_three() {
    let url = start_sandbox(None, None).await;
    let client = client(&url);
    client.initialize(&request("a-1")).await.unwrap();

    let fail = |status: u16, count: u32| json!({ "fail_next": { "status": status, "count": count } });
    for status in [500, 429] {
        assert_eq!(control(&url, "faults", fail(status, 2)).await, 200);
        client.verify("a-1").await.unwrap();
    }
    control(&url, "faults", fail(503, 3)).await;
    let error = client.verify("a-1").await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { http_status: 503, .. }), "{error:?}");
    assert!(error.is_transient());
    // All three failures are used up.
    client.verify("a-1").await.unwrap();
}

#[tokio::test]
async fn initialize_is_sent_once() {
    let url = start_sandbox(None, None).await;
    let client = client(&url);
    for status in [500, 429] {
        control(&url, "faults", json!({ "fail_next": { "status": status } })).await;
        let error = client.initialize(&request("a-1")).await.unwrap_err();
        assert!(error.is_transient(), "{error:?}");
        // The refusal was the only one and came before anything was made.
        assert!(matches!(client.verify("a-1").await, Err(Error::NotFound)));
    }
}

#[tokio::test]
async fn a_rate_limit_is_waited_for_unless_it_is_long() {
    let url = start_sandbox(None, None).await;
    let client = client(&url);
    client.initialize(&request("a-1")).await.unwrap();

    let limit = |reset: u32| json!({ "fail_next": { "status": 429, "reset": reset } });
    control(&url, "faults", limit(1)).await;
    let begun = Instant::now();
    client.verify("a-1").await.unwrap();
    assert!(begun.elapsed() >= Duration::from_secs(1), "{:?}", begun.elapsed());

    control(&url, "faults", limit(60)).await;
    let error = client.verify("a-1").await.unwrap_err();
    assert!(matches!(error, Error::RateLimited { .. }), "{error:?}");
    assert_eq!(error.retry_after(), Some(Duration::from_secs(60)));
}

#[tokio::test]
async fn after_a_timeout_verify_tells_what_happened() {
    let url = start_sandbox(None, None).await;
    let timeout = Duration::from_millis(300);
    let config = ClientConfig::new(key());
    let hasty = Client::new(ClientConfig { base_url: url.clone(), timeout, ..config }).unwrap();

    control(&url, "faults", json!({ "timeout": 1 })).await;
    let error = hasty.initialize(&request("a-1")).await.unwrap_err();
    assert!(matches!(error, Error::Timeout) && error.is_transient(), "{error:?}");
    // The call was carried out; only its answer was lost.
    let found = client(&url).verify("a-1").await.unwrap();
    assert_eq!(found.status, TransactionStatus::Abandoned);
    let again = client(&url).initialize(&request("a-1")).await.unwrap_err();
    assert!(again.is_duplicate_reference());
}

#[tokio::test]
async fn webhooks_come_late_twice_never_and_again() {
    let mut receiver = Receiver::start(0).await;
    let url = start_sandbox(Some(receiver.url.clone()), None).await;
    let client = client(&url);
    let pay = |reference: &'static str| {
        let client = client.clone();
        async move {
            let started = client.initialize(&request(reference)).await.unwrap();
            submit(&started.authorization_url, "action=pay").await;
        }
    };

    control(&url, "faults", json!({ "webhook": "late:400" })).await;
    let begun = Instant::now();
    pay("w-1").await;
    // The browser is back in the shop and the API knows before the webhook comes.
    assert_eq!(client.verify("w-1").await.unwrap().status, TransactionStatus::Success);
    assert_eq!(receiver.next().await.reference(), Some("w-1"));
    assert!(begun.elapsed() >= Duration::from_millis(400));

    control(&url, "faults", json!({ "webhook": "duplicate" })).await;
    pay("w-2").await;
    let (one, two) = (receiver.next().await, receiver.next().await);
    assert_eq!(one, two);
    assert_eq!(one.dedupe_key(), two.dedupe_key());

    control(&url, "faults", json!({ "webhook": "none" })).await;
    pay("w-3").await;
    // Sent on demand all the same; that it comes first shows nothing was sent before.
    assert_eq!(control(&url, "webhook", json!({ "reference": "w-2" })).await, 200);
    assert_eq!(receiver.next().await, one);
    assert_eq!(control(&url, "webhook", json!({ "reference": "w-3" })).await, 200);
    assert_eq!(receiver.next().await.reference(), Some("w-3"));

    client.initialize(&request("w-4")).await.unwrap();
    for reference in ["w-4", "unknown"] {
        assert_eq!(control(&url, "webhook", json!({ "reference": reference })).await, 404);
    }
}

#[tokio::test]
async fn too_little_and_too_much_can_be_taken() {
    let mut receiver = Receiver::start(0).await;
    let url = start_sandbox(Some(receiver.url.clone()), None).await;
    let client = client(&url);
    for (reference, delta) in [("u-1", -1), ("u-2", 5000)] {
        control(&url, "faults", json!({ "amount_delta": delta })).await;
        let page = client.initialize(&request(reference)).await.unwrap().authorization_url;
        submit(&page, "action=pay").await;
        let charged = receiver.next().await.charge().unwrap().unwrap();
        assert_eq!(charged, client.verify(reference).await.unwrap());
        assert_eq!(charged.status, TransactionStatus::Success);
        assert_eq!((charged.amount, charged.requested_amount), (400_000 + delta, Some(400_000)));
    }
}

#[tokio::test]
async fn a_refused_webhook_is_sent_again() {
    let mut receiver = Receiver::start(2).await;
    let url = start_sandbox(Some(receiver.url.clone()), None).await;
    let page = client(&url).initialize(&request("r-1")).await.unwrap().authorization_url;
    submit(&page, "action=pay").await;
    assert_eq!(receiver.next().await.reference(), Some("r-1"));
}

#[tokio::test]
async fn unknown_faults_are_refused() {
    let url = start_sandbox(None, None).await;
    for body in [
        json!({ "webhook": "sometimes" }),
        json!({ "webhook": "late:soon" }),
        json!({ "fail_next": { "status": 200 } }),
        json!({ "weather": "rain" }),
    ] {
        assert_eq!(control(&url, "faults", body.clone()).await, 400, "{body}");
    }
    assert_eq!(control(&url, "faults", json!({})).await, 200);
    assert!(!format!("{:?}", key()).contains(KEY));
}
