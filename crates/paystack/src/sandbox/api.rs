//! The transaction API (Paystack API reference, "Transactions").

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use reqwest::Url;
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::Invalid;
use super::money::{Currency, MAXIMUM};
use super::payment::{Payment, Status, card};
use super::{Sandbox, answer};
use crate::Reference;
use crate::fields::Fields;

/// Length of an access code, as Paystack's.
const ACCESS_CODE_LEN: usize = 15;
const DEFAULT_PER_PAGE: usize = 50;

/// `POST /transaction/initialize`.
pub(super) async fn initialize(State(sandbox): State<Sandbox>, body: Bytes) -> Result<Response, Invalid> {
    let payment = read_request(&body)?;
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
    if added {
        Ok(answer::ok("Authorization URL created", data))
    } else {
        Err(Invalid::new("duplicate_reference", "Duplicate Transaction Reference"))
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
        state.payments.iter().find(|payment| payment.id == id).map(Payment::to_json)
    });
    match found {
        Some(data) => answer::ok("Transaction retrieved", data),
        None => answer::unknown_transaction(StatusCode::NOT_FOUND),
    }
}

/// The query of [`list`]; everything as text, so that a bad value gets Paystack's
/// error.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ListQuery {
    per_page: Option<String>,
    page: Option<String>,
    status: Option<String>,
    from: Option<String>,
    to: Option<String>,
}

/// `GET /transaction`, newest first.
pub(super) async fn list(State(sandbox): State<Sandbox>, Query(query): Query<ListQuery>) -> Result<Response, Invalid> {
    let per_page = positive(query.per_page.as_deref(), DEFAULT_PER_PAGE)?;
    let page = positive(query.page.as_deref(), 1)?;
    let from = query.from.as_deref().map(|text| read_time(text, NaiveTime::MIN)).transpose()?;
    let last_second = NaiveTime::from_hms_opt(23, 59, 59).unwrap_or_default();
    let to = query.to.as_deref().map(|text| read_time(text, last_second)).transpose()?;
    let matches = |payment: &Payment| {
        query.status.as_deref().is_none_or(|status| payment.status.as_str() == status)
            && from.is_none_or(|from| payment.created_at >= from)
            && to.is_none_or(|to| payment.created_at <= to)
    };
    let skipped = page.saturating_sub(1).saturating_mul(per_page);
    let (total, data) = sandbox.0.store.read(|state| {
        let found = || state.payments.iter().rev().filter(|payment| matches(payment));
        let data: Vec<_> = found().skip(skipped).take(per_page).map(Payment::to_json).collect();
        (found().count(), data)
    });
    let body = json!({
        "status": true,
        "message": "Transactions retrieved",
        "data": data,
        "meta": {
            "total": total,
            "skipped": skipped,
            "perPage": per_page,
            "page": page,
            "pageCount": total.div_ceil(per_page),
        },
    });
    Ok(Json(body).into_response())
}

fn positive(text: Option<&str>, default: usize) -> Result<usize, Invalid> {
    let Some(text) = text else { return Ok(default) };
    let number = text.parse().ok().filter(|number| *number > 0);
    number.ok_or_else(|| Invalid::params("page and perPage count from 1"))
}

/// A time, or a date that stands for `time_of_day` on it.
fn read_time(text: &str, time_of_day: NaiveTime) -> Result<DateTime<Utc>, Invalid> {
    let time = DateTime::parse_from_rfc3339(text).map(|time| time.to_utc());
    let date = || text.parse::<NaiveDate>().map(|date| date.and_time(time_of_day).and_utc());
    time.or_else(|_| date()).map_err(|_| Invalid::params("from and to are ISO 8601 times"))
}
