//! What a test does that no customer and no merchant can: faults on demand,
//! webhooks sent again, refunds moved.

use std::time::Duration;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::answer::Invalid;
use super::checkout::{self, Submission};
use super::refund::{self, RefundState};
use super::wish::{Taken, WebhookFault};
use super::{Sandbox, answer, delivery};

/// How long a call that must time out is held.
pub(super) const HOLD: Duration = Duration::from_secs(60);

/// What goes wrong, the body of `POST /_control/faults`. It replaces what was set
/// before; an absent field means no such fault, so `{}` clears all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// What happens to the webhooks of coming payments.
    pub webhook: WebhookFault,
    /// What coming payments take instead of what was asked for.
    pub taken: Taken,
    /// Added to what coming payments take, in the subunit: negative for too
    /// little, positive for too much.
    pub amount_delta: i64,
    /// Whether the last three digits of an amount choose what goes wrong with it.
    pub magic_amounts: bool,
    /// Whether refunds go on by themselves.
    pub refunds: RefundPace,
    /// Refuses the next API calls without carrying them out.
    pub fail_next: Option<FailNext>,
    /// Carries out that many API calls, but holds their answers for a minute: the
    /// caller cannot know what happened.
    pub timeout: u32,
    /// Answers every API call so many milliseconds late.
    pub slow_ms: u32,
    /// The calls that `fail_next`, `timeout` and `slow_ms` are for, as the beginning
    /// of a method and a path, such as `POST /refund`; empty: all.
    pub calls: String,
}

/// How refunds go on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefundPace {
    /// Within half a second they are processed, or fail where the card says so.
    #[default]
    Auto,
    /// They stay where they are until `POST /_control/refund` moves them.
    Held,
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

/// `POST /_control/faults`.
pub(super) async fn set_faults(State(sandbox): State<Sandbox>, Json(body): Json<Value>) -> Result<Response, Invalid> {
    let faults: Faults = serde_json::from_value(body).map_err(|error| Invalid::params(error.to_string()))?;
    let refusal = |status| status == 429 || (500..600).contains(&status);
    if faults.fail_next.as_ref().is_some_and(|fail| !refusal(fail.status)) {
        return Err(Invalid::params("fail_next.status is 429 or 500 to 599"));
    }
    sandbox.set_faults(faults.clone());
    Ok(answer::ok("Faults set", json!(faults)))
}

/// `POST /_control/webhook`: sends the `charge.success` of a paid transaction
/// once more, at once and whatever the faults say.
pub(super) async fn send_webhook(State(sandbox): State<Sandbox>, Json(body): Json<Value>) -> Response {
    let reference = body.get("reference").and_then(Value::as_str).unwrap_or_default();
    let deliveries = sandbox.0.store.change(|state| {
        let payment = state.by_reference(reference).filter(|payment| payment.is_paid())?.clone();
        Some(delivery::note_charge(state, &payment, &[Duration::ZERO]))
    });
    match deliveries {
        Some(deliveries) => {
            delivery::start(&sandbox, deliveries);
            answer::ok("Webhook sent", json!({ "reference": reference }))
        }
        None => answer::unknown_transaction(StatusCode::NOT_FOUND),
    }
}

/// `POST /_control/payment`: does what a form of the payment page does to the
/// transaction of a `reference`, and answers with it.
pub(super) async fn act(State(sandbox): State<Sandbox>, Json(mut body): Json<Value>) -> Result<Response, Response> {
    let reference = body.as_object_mut().and_then(|fields| fields.remove("reference")).unwrap_or_default();
    let submission: Submission = serde_json::from_value(body).map_err(|error| Invalid::params(error.to_string()))?;
    let access_code = sandbox.0.store.read(|state| Some(state.by_reference(reference.as_str()?)?.access_code.clone()));
    let payment = access_code.and_then(|code| checkout::carry_out(&sandbox, &code, &submission));
    let payment = payment.ok_or_else(|| answer::unknown_transaction(StatusCode::NOT_FOUND))?;
    Ok(answer::ok("Done", payment.to_json()))
}

/// Where a refund is to go.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MoveRefund {
    id: u64,
    status: RefundState,
}

/// `POST /_control/refund`: moves a refund to any state, with its webhook.
pub(super) async fn move_refund(State(sandbox): State<Sandbox>, Json(body): Json<Value>) -> Result<Response, Response> {
    let MoveRefund { id, status } = serde_json::from_value(body).map_err(|error| Invalid::params(error.to_string()))?;
    let deliveries = sandbox.0.store.change(|state| {
        let is_known = state.refunds.iter().any(|refund| refund.id == id);
        is_known.then(|| refund::set(state, id, status))
    });
    delivery::start(&sandbox, deliveries.ok_or_else(|| answer::not_found("refund"))?);
    Ok(answer::ok("Refund moved", json!({ "id": id, "status": status })))
}

/// What a fault does to one API call.
enum Mishap {
    Fail { status: u16, reset: u32 },
    Hold,
}

/// Applies the faults to the API calls.
pub(super) async fn misbehave(State(sandbox): State<Sandbox>, request: Request, next: Next) -> Response {
    let call = format!("{} {}", request.method(), request.uri().path());
    let concerns = |faults: &Faults| {
        let some = faults.fail_next.is_some() || faults.timeout > 0 || faults.slow_ms > 0;
        some && call.starts_with(&faults.calls)
    };
    let (concerned, slow_ms) = sandbox.0.store.read(|state| (concerns(&state.faults), state.faults.slow_ms));
    let mishap = if concerned { sandbox.0.store.change(|state| next_mishap(&mut state.faults)) } else { None };
    if concerned && slow_ms > 0 {
        tokio::time::sleep(Duration::from_millis(slow_ms.into())).await;
    }
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
