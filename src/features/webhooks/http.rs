//! Where Paystack delivers its webhooks.

use axum::extract::{Request, State};
use secrecy::ExposeSecret;

use super::bodies;
use super::jobs::ProcessWebhook;
use crate::app::App;
use crate::platform::error::{Error, Result};
use crate::platform::http::envelope::Empty;
use crate::platform::http::{Answer, Envelope, ErrorEnvelope, deleted, extract};
use crate::platform::jobs;

/// Receive a Paystack webhook
///
/// The signature (HMAC-SHA512 of the raw body with the secret key) is checked before anything is read.
#[utoipa::path(post, path = "/webhooks/paystack", tag = "Payments", security(()),
    request_body(content = serde_json::Value, content_type = "application/json"),
    params(("x-paystack-signature" = String, Header)), responses(
    (status = 200, body = Envelope<Empty>, description = "Stored, now or before"),
    (status = 400, body = ErrorEnvelope, description = "The body is not an event"),
    (status = 401, body = ErrorEnvelope, description = "The signature is missing or wrong"),
))]
pub(super) async fn receive_paystack_webhook(State(app): State<App>, request: Request) -> Answer<Empty> {
    let signature = request
        .headers()
        .get(paystack::webhook::SIGNATURE_HEADER)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .to_owned();
    let body = extract::bytes(request, &app).await?;
    let payments = &app.config.payments;
    let keys = [&payments.paystack_secret_key, &payments.paystack_previous_secret_key];
    let keys: Vec<_> = keys.into_iter().filter(|key| !key.expose_secret().is_empty()).collect();
    if !paystack::webhook::verify_signature(&body, &signature, &keys) {
        metrics::counter!("agape_webhooks_total", "result" => "forged").increment(1);
        return Err(Error::Unauthenticated("The signature of this webhook is missing or wrong.".into()));
    }
    let event =
        paystack::webhook::Event::parse(&body).map_err(|e| Error::field("", format!("is not an event: {e}")))?;
    store(&app, &event, &body).await?;
    Ok(deleted("Received."))
}

async fn store(app: &App, event: &paystack::webhook::Event, body: &[u8]) -> Result<()> {
    let mut tx = app.db.begin().await?;
    let work = bodies::insert(app, &mut tx, event, body).await?;
    if let Some(event_id) = work {
        jobs::enqueue(&mut tx, &ProcessWebhook { event_id }, ProcessWebhook::TRIES).await?;
    }
    tx.commit().await?;
    if work.is_some() {
        app.waker.wake();
    }
    let result = if work.is_some() { "stored" } else { "repeated" };
    metrics::counter!("agape_webhooks_total", "result" => result).increment(1);
    Ok(())
}
