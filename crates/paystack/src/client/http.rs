//! Sending one request and reading the answer's envelope.

use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{RequestBuilder, Response, StatusCode};
use serde_json::Value;

use crate::Error;
use crate::fields::{Fields, take};

/// Largest answer read, in bytes. A page of 100 transactions is about 200 kB.
const MAX_ANSWER: usize = 2 * 1024 * 1024;

/// A successful answer's `data` and `meta`.
pub(crate) struct Answer {
    pub(crate) data: Value,
    pub(crate) meta: Value,
}

/// Sends one request and reads Paystack's envelope.
pub(super) async fn send(request: RequestBuilder) -> Result<Answer, Error> {
    let response = request.send().await.map_err(transport_error)?;
    let status = response.status();
    let retry_after = asked_wait(response.headers());
    if status == StatusCode::TOO_MANY_REQUESTS {
        return Err(Error::RateLimited { retry_after });
    }
    if status.is_server_error() {
        return Err(Error::Unavailable { http_status: status.as_u16(), retry_after });
    }
    let body = read_body(response).await?;
    let envelope = serde_json::from_slice::<Value>(&body);
    let worked = |envelope: &Value| Fields(envelope).flag("status") == Some(true);
    match envelope {
        Ok(mut envelope) if status.is_success() && worked(&envelope) => {
            Ok(Answer { data: take(&mut envelope, "data"), meta: take(&mut envelope, "meta") })
        }
        Err(error) if status.is_success() => Err(Error::Decode(error.to_string())),
        envelope => {
            let envelope = envelope.unwrap_or_default();
            let fields = Fields(&envelope);
            Err(Error::Rejected {
                http_status: status.as_u16(),
                code: fields.text("code"),
                message: fields.text("message").unwrap_or_else(|| "no message".to_owned()),
            })
        }
    }
}

fn transport_error(error: reqwest::Error) -> Error {
    if error.is_timeout() { Error::Timeout } else { Error::Network(error.without_url()) }
}

async fn read_body(mut response: Response) -> Result<Vec<u8>, Error> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(transport_error)? {
        if body.len() + chunk.len() > MAX_ANSWER {
            return Err(Error::Decode(format!("the answer exceeds {MAX_ANSWER} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The wait an answer asks for, in seconds: `retry-after`, or Paystack's
/// `x-ratelimit-reset` (Paystack API reference, "Rate limits").
fn asked_wait(headers: &HeaderMap) -> Option<Duration> {
    let seconds = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse().ok();
    seconds(RETRY_AFTER.as_str()).or_else(|| seconds("x-ratelimit-reset")).map(Duration::from_secs)
}
