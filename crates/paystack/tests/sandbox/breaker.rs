//! The client's circuit breaker against a sandbox that fails.
#![expect(clippy::unwrap_used, reason = "a test helper may panic")]

use std::time::Duration;

use crate::common::{client, control, key, request, start_sandbox};
use paystack::{BreakerState, Client, ClientConfig, Error};
use serde_json::json;

fn careful(url: &str, breaker_pause: Duration) -> Client {
    let config = ClientConfig::new(key());
    Client::new(ClientConfig { base_url: url.to_owned(), breaker_failures: 3, breaker_pause, ..config }).unwrap()
}

/// Three failures in a row, and nothing is sent any more: the sandbox, which is well again, is not asked.
#[tokio::test]
async fn a_provider_that_is_down_is_left_alone() {
    let url = start_sandbox(None, None).await;
    let careful = careful(&url, Duration::from_secs(3_600));
    client(&url).initialize(&request("b-1")).await.unwrap();
    control(&url, "faults", json!({ "fail_next": { "status": 503, "count": 3 } })).await;
    // One read is three tries.
    assert!(matches!(careful.verify("b-1").await, Err(Error::Unavailable { .. })));
    assert_eq!(careful.breaker(), BreakerState::Open);
    let error = careful.initialize(&request("b-2")).await.unwrap_err();
    assert!(matches!(error, Error::CircuitOpen { .. }) && error.is_transient(), "{error:?}");
    let wait = error.retry_after().unwrap();
    assert!(wait > Duration::from_secs(3_000) && wait <= Duration::from_secs(3_600), "{wait:?}");
    assert!(error.to_string().contains("next call"), "{error}");
    assert!(matches!(careful.verify("b-1").await, Err(Error::CircuitOpen { .. })));
    // Clones share it; other clients have their own.
    assert_eq!(careful.clone().breaker(), BreakerState::Open);
    assert!(matches!(client(&url).verify("b-2").await, Err(Error::NotFound)));
}

/// Without a pause the next call is the trial: it opens the breaker again, or closes it.
#[tokio::test]
async fn one_answer_closes_it() {
    let url = start_sandbox(None, None).await;
    let careful = careful(&url, Duration::ZERO);
    control(&url, "faults", json!({ "fail_next": { "status": 500, "count": 4 } })).await;
    for number in 0..4 {
        let reference = format!("b-{number}");
        assert!(matches!(careful.initialize(&request(&reference)).await, Err(Error::Unavailable { .. })));
        let expected = if number < 2 { BreakerState::Closed } else { BreakerState::Open };
        assert_eq!(careful.breaker(), expected, "after {number}");
    }
    careful.initialize(&request("b-4")).await.unwrap();
    assert_eq!(careful.breaker(), BreakerState::Closed);
}

/// Refusals and limits are answers: whoever answers is not down.
#[tokio::test]
async fn an_answer_is_no_failure() {
    let url = start_sandbox(None, None).await;
    let careful = careful(&url, Duration::from_secs(3_600));
    for _ in 0..5 {
        control(&url, "faults", json!({ "fail_next": { "status": 429, "reset": 30 } })).await;
        assert!(matches!(careful.initialize(&request("b-1")).await, Err(Error::RateLimited { .. })));
        assert!(matches!(careful.verify("unknown").await, Err(Error::NotFound)));
    }
    assert_eq!(careful.breaker(), BreakerState::Closed);
}
