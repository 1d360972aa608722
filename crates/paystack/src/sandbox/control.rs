//! Faults on demand and webhooks sent again.

use std::time::Duration;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::Response;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use serde_json::{Value, json};

use super::answer::Invalid;
use super::payment::Status;
use super::{Sandbox, answer, delivery};

/// How long a call that must time out is held.
const HOLD: Duration = Duration::from_secs(60);

/// What goes wrong, the body of `POST /_control/faults`. It replaces what was set
/// before; an absent field means no such fault, so `{}` clears all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// What happens to the webhooks of coming payments.
    pub webhook: WebhookFault,
    /// Added to what coming payments take, in the subunit: negative for too
    /// little, positive for too much.
    pub amount_delta: i64,
    /// Refuses the next API calls without carrying them out.
    pub fail_next: Option<FailNext>,
    /// Carries out that many API calls, but holds their answers for a minute: the
    /// caller cannot know what happened.
    pub timeout: u32,
}

/// Refusals of [`Faults`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FailNext {
    /// HTTP status: 429, or 500 to 599.
    pub status: u16,
    /// How many calls.
    #[serde(default = "once")]
    pub count: u32,
    /// For 429, the seconds in `x-ratelimit-reset`.
    #[serde(default)]
    pub reset: u32,
}

fn once() -> u32 {
    1
}

/// What happens to a webhook. In JSON a string: `"sent"`, `"none"`,
/// `"duplicate"` or `"late:500"` with milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum WebhookFault {
    /// Nothing unusual: sent at once.
    #[default]
    Sent,
    /// Never sent.
    None,
    /// Sent twice.
    Duplicate,
    /// Sent after this time.
    Late(Duration),
}

impl Serialize for WebhookFault {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Sent => serializer.serialize_str("sent"),
            Self::None => serializer.serialize_str("none"),
            Self::Duplicate => serializer.serialize_str("duplicate"),
            Self::Late(delay) => serializer.collect_str(&format_args!("late:{}", delay.as_millis())),
        }
    }
}

impl<'de> Deserialize<'de> for WebhookFault {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let late = || {
            let milliseconds = text.strip_prefix("late:")?.parse::<u32>().ok()?;
            Some(Self::Late(Duration::from_millis(milliseconds.into())))
        };
        match text.as_str() {
            "sent" => Ok(Self::Sent),
            "none" => Ok(Self::None),
            "duplicate" => Ok(Self::Duplicate),
            _ => {
                late().ok_or_else(|| D::Error::custom("webhook is \"sent\", \"none\", \"duplicate\" or \"late:<ms>\""))
            }
        }
    }
}

impl WebhookFault {
    /// After how long each copy of a webhook is sent.
    pub(super) fn delays(self) -> Vec<Duration> {
        match self {
            Self::Sent => vec![Duration::ZERO],
            Self::None => Vec::new(),
            Self::Duplicate => vec![Duration::ZERO; 2],
            Self::Late(delay) => vec![delay],
        }
    }
}

/// `POST /_control/faults`.
pub(super) async fn set_faults(State(sandbox): State<Sandbox>, Json(body): Json<Value>) -> Result<Response, Invalid> {
    let faults: Faults = serde_json::from_value(body).map_err(|error| Invalid::params(error.to_string()))?;
    let refusal = |status| status == 429 || (500..600).contains(&status);
    if faults.fail_next.as_ref().is_some_and(|fail| !refusal(fail.status)) {
        return Err(Invalid::params("fail_next.status is 429 or 500 to 599"));
    }
    sandbox.0.store.change(|state| state.faults = faults.clone());
    Ok(answer::ok("Faults set", json!(faults)))
}

/// `POST /_control/webhook`: sends the `charge.success` of a paid transaction
/// once more, at once and whatever the faults say.
pub(super) async fn send_webhook(State(sandbox): State<Sandbox>, Json(body): Json<Value>) -> Response {
    let reference = body.get("reference").and_then(Value::as_str).unwrap_or_default();
    let delivery = sandbox.0.store.change(|state| {
        let payment = state.by_reference(reference)?;
        let payment = (payment.status == Status::Success).then(|| payment.clone())?;
        Some(delivery::note(state, &payment, Duration::ZERO))
    });
    match delivery {
        Some(delivery) => {
            delivery::start(&sandbox, delivery);
            answer::ok("Webhook sent", json!({ "reference": reference }))
        }
        None => answer::unknown_transaction(StatusCode::NOT_FOUND),
    }
}

/// What a fault does to one API call.
enum Mishap {
    Fail { status: u16, reset: u32 },
    Hold,
}

/// Applies the faults to the API calls.
pub(super) async fn misbehave(State(sandbox): State<Sandbox>, request: Request, next: Next) -> Response {
    let healthy = |faults: &Faults| faults.fail_next.is_none() && faults.timeout == 0;
    let mishap = if sandbox.0.store.read(|state| healthy(&state.faults)) {
        None
    } else {
        sandbox.0.store.change(|state| next_mishap(&mut state.faults))
    };
    match mishap {
        None => next.run(request).await,
        Some(Mishap::Fail { status: 429, reset }) => answer::rate_limited(reset),
        Some(Mishap::Fail { status, .. }) => {
            answer::unavailable(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR))
        }
        Some(Mishap::Hold) => {
            let response = next.run(request).await;
            tokio::time::sleep(HOLD).await;
            response
        }
    }
}

/// Takes one mishap off the faults.
fn next_mishap(faults: &mut Faults) -> Option<Mishap> {
    if let Some(fail) = &mut faults.fail_next {
        let mishap = Mishap::Fail { status: fail.status, reset: fail.reset };
        let left = fail.count.checked_sub(1);
        fail.count = left.unwrap_or_default();
        if fail.count == 0 {
            faults.fail_next = None;
        }
        if left.is_some() {
            return Some(mishap);
        }
    }
    faults.timeout = faults.timeout.checked_sub(1)?;
    Some(Mishap::Hold)
}
