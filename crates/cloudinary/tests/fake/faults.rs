//! Faults on demand, and how the client meets them.

use std::time::Duration;

use crate::common::{KEY, SECRET, browser, gif, id, options, start};
use cloudinary::{Client, ClientConfig, DeliveryType, Destroyed, Error, ImageFormat, ResourceType};
use serde_json::{Value, json};

#[tokio::test]
async fn a_refused_call_is_not_carried_out_and_may_be_repeated() {
    let running = start().await;
    let client = running.client();
    for status in [420, 429, 423, 500, 503] {
        for reset in [0, 30] {
            let faults = json!({ "fail_next": { "status": status, "reset": reset } });
            assert_eq!(running.faults(faults).await, 200);
            let error = client.upload(gif(), ImageFormat::Gif, &options("a")).await.unwrap_err();
            let limited = matches!(error, Error::RateLimited { .. });
            let unavailable = matches!(error, Error::Unavailable { http_status, .. } if http_status == status);
            assert_eq!((limited, unavailable), (matches!(status, 420 | 429), !limited), "{error:?}");
            assert!(error.is_transient());
            let asked = (reset > 0).then_some(Duration::from_secs(reset));
            assert_eq!(error.retry_after(), asked);
        }
    }
    let gone = client.destroy(ResourceType::Image, &id("a"), DeliveryType::Upload, false).await.unwrap();
    assert_eq!(gone, Destroyed::NotFound);
    // As often as was said, and another refusal is final.
    running.faults(json!({ "fail_next": { "status": 403, "count": 2 } })).await;
    for _ in 0..2 {
        let error = client.destroy(ResourceType::Image, &id("a"), DeliveryType::Upload, false).await.unwrap_err();
        assert!(matches!(&error, Error::Rejected { http_status: 403, message } if message == "General Error"));
        assert!(!error.is_transient());
    }
    assert!(!client.upload(gif(), ImageFormat::Gif, &options("a")).await.unwrap().existing);
}

#[tokio::test]
async fn a_call_whose_answer_is_lost_was_carried_out_and_can_be_repeated() {
    let running = start().await;
    let client = running.client();
    running.faults(json!({ "drop": 1 })).await;
    let error = client.upload(gif(), ImageFormat::Gif, &options("a")).await.unwrap_err();
    assert!(matches!(error, Error::Network(_)) && error.is_transient(), "{error:?}");
    assert!(!format!("{error:?} {error}").contains(SECRET));
    assert!(client.upload(gif(), ImageFormat::Gif, &options("a")).await.unwrap().existing);

    let timeout = Duration::from_millis(300);
    let hasty = Client::new(ClientConfig { timeout, ..running.config() }).unwrap();
    running.faults(json!({ "delay": 60_000 })).await;
    let error = hasty.destroy(ResourceType::Image, &id("a"), DeliveryType::Upload, true).await.unwrap_err();
    assert!(matches!(error, Error::Timeout) && error.is_transient(), "{error:?}");
    running.faults(json!({})).await;
    let again = client.destroy(ResourceType::Image, &id("a"), DeliveryType::Upload, true).await.unwrap();
    assert_eq!(again, Destroyed::NotFound);
}

#[tokio::test]
async fn only_the_owner_sets_faults_and_only_known_ones() {
    let running = start().await;
    for faults in [
        json!({ "weather": "rain" }),
        json!({ "fail_next": { "status": 200 } }),
        json!({ "fail_next": { "status": 600 } }),
        json!({ "drop": -1 }),
        json!({ "delay": 120_001 }),
    ] {
        assert_eq!(running.faults(faults.clone()).await, 400, "{faults}");
    }
    let url = format!("{}/_control/faults", running.url);
    let stranger = browser().post(&url).json(&json!({ "drop": 9 }));
    let response = stranger.send().await.unwrap();
    assert_eq!(response.status(), 401);
    assert!(response.json::<Value>().await.unwrap()["error"]["message"].is_string());
    let stranger = browser().post(&url).basic_auth(KEY, Some("guess")).json(&json!({ "drop": 9 }));
    assert_eq!(stranger.send().await.unwrap().status(), 401);
    running.client().upload(gif(), ImageFormat::Gif, &options("a")).await.unwrap();
}
