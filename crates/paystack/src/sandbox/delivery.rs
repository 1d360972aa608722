//! Sending webhooks in the background.

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::StatusCode;
use reqwest::header::CONTENT_TYPE;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Sandbox;
use super::payment::Payment;
use super::store::State;
use crate::webhook::{SIGNATURE_HEADER, sign};

/// Tries of one webhook. With the pauses below they span about five minutes:
/// enough for a receiver to restart. Paystack goes on for hours.
const TRIES: u32 = 12;
/// Pause after the first failed try, doubled after each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// One webhook that is still to be delivered.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Delivery {
    id: u64,
    /// The exact text to send and sign.
    body: String,
    due: DateTime<Utc>,
    tried: u32,
}

/// Notes an event in the state, to be sent after each of `delays`; [`start`] it
/// once the state is saved.
pub(super) fn note(state: &mut State, event: &str, data: &Value, delays: &[Duration]) -> Vec<Delivery> {
    let body = json!({ "event": event, "data": data }).to_string();
    let deliveries: Vec<_> = delays
        .iter()
        .map(|delay| Delivery { id: state.new_id(), body: body.clone(), due: Utc::now() + *delay, tried: 0 })
        .collect();
    state.deliveries.extend_from_slice(&deliveries);
    deliveries
}

/// Notes the `charge.success` of a payment. Paystack tells the merchant of
/// successes only.
pub(super) fn note_charge(state: &mut State, payment: &Payment, delays: &[Duration]) -> Vec<Delivery> {
    note(state, "charge.success", &payment.to_json(), delays)
}

/// Sends them in the background.
pub(super) fn start(sandbox: &Sandbox, deliveries: Vec<Delivery>) {
    for delivery in deliveries {
        tokio::spawn(deliver(sandbox.clone(), delivery));
    }
}

/// Starts what a former process left undelivered.
pub(super) fn resume(sandbox: &Sandbox) {
    start(sandbox, sandbox.0.store.read(|state| state.deliveries.clone()));
}

async fn deliver(sandbox: Sandbox, mut delivery: Delivery) {
    let early = (delivery.due - Utc::now()).to_std().unwrap_or_default();
    tokio::time::sleep(early).await;
    let id = delivery.id;
    while delivery.tried < TRIES {
        if post(&sandbox, &delivery.body).await {
            break;
        }
        let pause = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(delivery.tried));
        delivery.tried += 1;
        let tried = delivery.tried;
        tracing::warn!(tried, "the Paystack sandbox's webhook was not accepted");
        sandbox.0.store.change(|state| {
            if let Some(kept) = state.deliveries.iter_mut().find(|kept| kept.id == id) {
                kept.tried = tried;
            }
        });
        tokio::time::sleep(pause.min(LONGEST_PAUSE)).await;
    }
    sandbox.0.store.change(|state| state.deliveries.retain(|kept| kept.id != id));
}

/// Whether the receiver accepted the webhook, which only HTTP 200 says
/// (Paystack documentation, "Webhooks").
async fn post(sandbox: &Sandbox, body: &str) -> bool {
    let Some(url) = &sandbox.0.config.webhook_url else {
        return true;
    };
    let request = sandbox
        .0
        .http
        .post(url)
        .header(CONTENT_TYPE, "application/json")
        .header(SIGNATURE_HEADER, sign(body.as_bytes(), &sandbox.0.config.secret_key))
        .body(body.to_owned());
    request.send().await.is_ok_and(|response| response.status() == StatusCode::OK)
}
