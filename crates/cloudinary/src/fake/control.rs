//! Faults on demand.

use std::time::Duration;

use axum::Json;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_LENGTH, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::answer::Refusal;
use super::{FORM_OVERHEAD, Fake, auth};

/// Longest delay, in milliseconds.
const MAX_DELAY: u32 = 120_000;

/// What goes wrong, the body of `POST /_control/faults`. It replaces what was set
/// before; an absent field means no such fault, so `{}` clears all. Deliveries are
/// not concerned.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// Refuses the next API calls without carrying them out.
    pub fail_next: Option<FailNext>,
    /// Carries out that many API calls, but breaks off their answers: the caller
    /// cannot know what happened.
    pub drop: u32,
    /// Carries out all API calls, but holds their answers that long, in
    /// milliseconds, at most two minutes.
    pub delay: u32,
}

/// Refusals of [`Faults`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FailNext {
    /// HTTP status, 400 to 599.
    pub status: u16,
    /// How many calls.
    #[serde(default = "once")]
    pub count: u32,
    /// If not zero, the seconds in `retry-after`.
    #[serde(default)]
    pub reset: u32,
}

fn once() -> u32 {
    1
}

/// `POST /_control/faults`.
pub(super) async fn set_faults(
    State(fake): State<Fake>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Result<Response, Refusal> {
    auth::check_basic(&fake, &headers)?;
    let faults: Faults = serde_json::from_value(body).map_err(|error| Refusal::bad(error.to_string()))?;
    if faults.fail_next.as_ref().is_some_and(|fail| !(400..600).contains(&fail.status)) {
        return Err(Refusal::bad("fail_next.status is 400 to 599"));
    }
    if faults.delay > MAX_DELAY {
        return Err(Refusal::bad(format!("delay is at most {MAX_DELAY} milliseconds")));
    }
    fake.0.store.with(|state| state.faults = faults.clone());
    Ok(Json(json!(faults)).into_response())
}

/// What the faults do to one call.
struct Mishap {
    fail: Option<(u16, u32)>,
    drop: bool,
    delay: Duration,
}

/// Applies the faults to the API calls.
pub(super) async fn misbehave(State(fake): State<Fake>, request: Request, next: Next) -> Response {
    let mishap = fake.0.store.with(|state| next_mishap(&mut state.faults));
    if let Some((status, reset)) = mishap.fail {
        // Read to its end, as a caller that is still sending may miss the answer.
        let limit = fake.0.config.max_file.saturating_add(FORM_OVERHEAD);
        drop(to_bytes(request.into_body(), limit).await);
        return refuse(status, reset);
    }
    let response = next.run(request).await;
    if !mishap.delay.is_zero() {
        tokio::time::sleep(mishap.delay).await;
    }
    // Announces more than it sends, so that the server closes the connection.
    if mishap.drop { ([(CONTENT_LENGTH, "100")], "{").into_response() } else { response }
}

/// Takes one mishap off the faults.
fn next_mishap(faults: &mut Faults) -> Mishap {
    let mut fail = None;
    if let Some(next) = &mut faults.fail_next {
        fail = (next.count > 0).then_some((next.status, next.reset));
        next.count = next.count.saturating_sub(1);
        if next.count == 0 {
            faults.fail_next = None;
        }
    }
    let drop = fail.is_none() && faults.drop > 0;
    faults.drop -= u32::from(drop);
    Mishap { fail, drop, delay: Duration::from_millis(faults.delay.into()) }
}

fn refuse(status: u16, reset: u32) -> Response {
    let (status, message) = match status {
        420 | 429 => (status, "Rate Limit Exceeded"),
        423 => (status, "Resource is still being processed"),
        _ => (status, "General Error"),
    };
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = Refusal::new(status, message).into_response();
    if reset > 0 {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(reset));
    }
    response
}
