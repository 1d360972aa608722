//! The transaction API (Paystack API reference, "Transactions").

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;

use chrono::Utc;
use reqwest::Url;
use serde_json::{Value, json};

use super::answer::Invalid;
use super::list::ListQuery;
use super::money::{Currency, MAXIMUM};
use super::payment::{Payment, Status, card};
use super::wish::{Effect, Magic, StartFault, Wish};
use super::{Sandbox, answer, control};
use crate::Reference;
use crate::fields::Fields;

/// Length of an access code, as Paystack's.
const ACCESS_CODE_LEN: usize = 15;
/// How long a slow start takes.
const SLOW: Duration = Duration::from_secs(3);

/// `POST /transaction/initialize`.
pub(super) async fn initialize(State(sandbox): State<Sandbox>, body: Bytes) -> Result<Response, Response> {
    let payment = read_request(&body)?;
    let fault = start_fault(&sandbox, &payment);
    match fault {
        Some(StartFault::Unavailable) => return Err(answer::unavailable(StatusCode::INTERNAL_SERVER_ERROR)),
        Some(StartFault::RateLimited) => return Err(answer::rate_limited(1)),
        Some(StartFault::NoAnswer | StartFault::Slow) | None => {}
    }
    let data = json!({
        "authorization_url": sandbox.checkout_url(&payment.access_code),
        "access_code": payment.access_code,
        "reference": payment.reference,
    });
    let added = sandbox.0.store.change(|state| {
        let new = state.by_reference(&payment.reference).is_none();
        if new {
            let id = state.new_id();
            state.payments.push(Payment { id, ..payment });
        }
        new
    });
    if !added {
        return Err(Invalid::new("duplicate_reference", "Duplicate Transaction Reference").into());
    }
    match fault {
        Some(StartFault::NoAnswer) => tokio::time::sleep(control::HOLD).await,
        Some(StartFault::Slow) => tokio::time::sleep(SLOW).await,
        _ => {}
    }
    Ok(answer::ok("Authorization URL created", data))
}

/// What the amount asks to go wrong with this call. A refusal is for the first
/// call with a reference only.
fn start_fault(sandbox: &Sandbox, payment: &Payment) -> Option<StartFault> {
    let magic = sandbox.0.store.read(|state| Magic::of(payment.requested_amount, &state.faults));
    let Some(Effect::Start(fault)) = magic.map(|magic| magic.effect) else { return None };
    match fault {
        StartFault::NoAnswer | StartFault::Slow => Some(fault),
        StartFault::Unavailable | StartFault::RateLimited => {
            let is_first = sandbox.0.store.change(|state| state.refused.insert(payment.reference.clone()));
            is_first.then_some(fault)
        }
    }
}

/// Checks the body as Paystack does.
fn read_request(body: &[u8]) -> Result<Payment, Invalid> {
    let invalid = |message: &str| Invalid::params(message);

    let body: Value = serde_json::from_slice(body).map_err(|_| invalid("The body is no valid JSON"))?;
    let fields = Fields(&body);
    for key in ["email", "amount"] {
        if fields.value(key).is_none() {
            return Err(Invalid::new("missing_params", format!("{key} is required")));
        }
    }
    let email =
        fields.text("email").filter(|email| is_email(email)).ok_or_else(|| invalid("Invalid Email Address Passed"))?;
    let code = fields.text("currency").unwrap_or_else(|| "NGN".to_owned());
    let currency = Currency::find(&code)
        .ok_or_else(|| Invalid::new("unsupported_currency", "Currency not supported by merchant"))?;
    let amount = fields
        .integer("amount")
        .filter(|amount| (1..=MAXIMUM).contains(amount))
        .ok_or_else(|| invalid("Invalid Amount Sent"))?;
    if amount < currency.minimum {
        let minimum = currency.minimum;
        return Err(invalid(&format!("Amount is below the minimum of {minimum} for {code}")));
    }
    let reference = match fields.value("reference") {
        // Not through `text`, which would hide a forbidden blank.
        Some(reference) => reference
            .as_str()
            .and_then(|reference| Reference::new(reference).ok())
            .ok_or_else(|| invalid("Invalid transaction reference. Use letters, digits, '-', '.' and '='"))?
            .to_string(),
        None => random_code(),
    };
    let callback_url = fields.text("callback_url");
    if callback_url.as_deref().is_some_and(|url| !is_web_url(url)) {
        return Err(invalid("Invalid callback URL"));
    }
    Ok(Payment {
        id: 0,
        access_code: random_code(),
        reference,
        email,
        requested_amount: amount,
        currency: code,
        callback_url,
        channel: fields.value("channels").and_then(|all| all.get(0)?.as_str()).map_or_else(card, str::to_owned),
        metadata: fields.value("metadata").cloned().unwrap_or_else(|| Value::from("")),
        created_at: Utc::now(),
        status: Status::Abandoned,
        tries: Vec::new(),
        wish: Wish::default(),
        paid: None,
    })
}

/// Not a full check: one `@` with something on both sides and no blank.
fn is_email(text: &str) -> bool {
    let halves = text.split_once('@');
    halves.is_some_and(|(name, host)| !name.is_empty() && host.contains('.') && !host.contains('@'))
        && !text.contains(char::is_whitespace)
}

/// Whether a browser may be sent to `text`: an absolute http(s) URL, which keeps
/// `javascript:` out of the payment page's links.
pub(super) fn is_web_url(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https"))
}

fn random_code() -> String {
    const ALPHABET: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    (0..ACCESS_CODE_LEN).map(|_| char::from(ALPHABET[rand::random_range(0..ALPHABET.len())])).collect()
}

/// `GET /transaction/verify/{reference}`.
pub(super) async fn verify(State(sandbox): State<Sandbox>, Path(reference): Path<String>) -> Response {
    match sandbox.0.store.read(|state| state.by_reference(&reference).map(Payment::to_json)) {
        Some(data) => answer::ok("Verification successful", data),
        None => answer::unknown_transaction(StatusCode::BAD_REQUEST),
    }
}

/// `GET /transaction/{id}`.
pub(super) async fn fetch(State(sandbox): State<Sandbox>, Path(id): Path<String>) -> Response {
    let found = sandbox.0.store.read(|state| {
        let id: u64 = id.parse().ok()?;
        state.by_id(id).map(Payment::to_json)
    });
    match found {
        Some(data) => answer::ok("Transaction retrieved", data),
        None => answer::unknown_transaction(StatusCode::NOT_FOUND),
    }
}

/// `GET /transaction`, newest first.
pub(super) async fn list(State(sandbox): State<Sandbox>, Query(query): Query<ListQuery>) -> Result<Response, Invalid> {
    let window = query.window()?;
    let matches = |payment: &&Payment| {
        query.status.as_deref().is_none_or(|status| payment.status.as_str() == status)
            && window.contains(payment.created_at)
    };
    Ok(sandbox.0.store.read(|state| {
        let found = state.payments.iter().rev().filter(matches).collect();
        window.answer("Transactions retrieved", found, Payment::to_json)
    }))
}
