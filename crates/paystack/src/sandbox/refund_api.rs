//! The refund API and the list of banks (Paystack API reference, "Refunds" and
//! "Miscellaneous").
#![expect(clippy::result_large_err, reason = "a refusal is the answer itself, made once for a request")]

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::Invalid;
use super::list::ListQuery;
use super::payment::Status;
use super::refund::{Refund, RefundState, given_back};
use super::store::State as StoreState;
use super::{Sandbox, answer, delivery, refund};
use crate::fields::Fields;

/// `POST /refund`.
pub(super) async fn create(State(sandbox): State<Sandbox>, body: Bytes) -> Result<Response, Response> {
    let body: Value = serde_json::from_slice(&body).map_err(|_| Invalid::params("The body is no valid JSON"))?;
    let (id, data, deliveries) = sandbox.0.store.change(|state| make(state, Fields(&body)))?;
    delivery::start(&sandbox, deliveries);
    refund::start(&sandbox, id);
    Ok(answer::ok("Refund has been queued for processing", data))
}

fn make(state: &mut StoreState, fields: Fields<'_>) -> Result<(u64, Value, Vec<delivery::Delivery>), Response> {
    let name = fields.text("transaction").ok_or_else(|| Invalid::new("missing_params", "transaction is required"))?;
    let payment = state.by_name(&name).cloned().ok_or_else(|| answer::unknown_transaction(StatusCode::NOT_FOUND))?;
    if !matches!(payment.status, Status::Success | Status::Reversed) {
        return Err(Invalid::params("Only successful transactions can be refunded").into());
    }
    let left = payment.amount() - given_back(state, payment.id);
    if left <= 0 || payment.status == Status::Reversed {
        return Err(answer::fully_reversed());
    }
    let amount = match fields.value("amount") {
        Some(_) => fields.integer("amount").filter(|amount| *amount > 0),
        None => Some(left),
    };
    let amount = amount.ok_or_else(|| Invalid::params("Invalid Amount Sent"))?;
    if amount > left {
        return Err(Invalid::params(format!("Refund amount cannot be more than {left}, what is left")).into());
    }
    if fields.text("currency").is_some_and(|currency| currency != payment.currency()) {
        return Err(Invalid::params("The currency is not the transaction's").into());
    }
    let id = state.new_id();
    let refund = Refund::new(id, &payment, amount, fields.text("customer_note"), fields.text("merchant_note"));
    let data = refund.to_created_json(&payment);
    state.refunds.push(refund);
    Ok((id, data, refund::note(state, id)))
}

/// `GET /refund`, newest first.
pub(super) async fn list(State(sandbox): State<Sandbox>, Query(query): Query<ListQuery>) -> Result<Response, Invalid> {
    let window = query.window()?;
    Ok(sandbox.0.store.read(|state| {
        let of = query.transaction.as_deref().map(|name| state.by_name(name).map(|payment| payment.id));
        let matches =
            |refund: &&Refund| of.is_none_or(|of| of == Some(refund.transaction)) && window.contains(refund.created_at);
        let found = state.refunds.iter().rev().filter(matches).collect();
        window.answer("Refunds retrieved", found, |refund: &Refund| show(state, refund))
    }))
}

fn show(state: &StoreState, refund: &Refund) -> Value {
    state.by_id(refund.transaction).map(|payment| refund.to_json(payment)).unwrap_or_default()
}

/// `GET /refund/{id}`.
pub(super) async fn fetch(State(sandbox): State<Sandbox>, Path(id): Path<String>) -> Response {
    let found = sandbox.0.store.read(|state| {
        let id: u64 = id.parse().ok()?;
        state.refunds.iter().find(|refund| refund.id == id).map(|refund| show(state, refund))
    });
    found.map_or_else(|| answer::not_found("refund"), |data| answer::ok("Refund retrieved", data))
}

/// `POST /refund/retry_with_customer_details/{id}`.
pub(super) async fn retry(
    State(sandbox): State<Sandbox>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Response, Response> {
    let body: Value = serde_json::from_slice(&body).map_err(|_| Invalid::params("The body is no valid JSON"))?;
    let account = Fields(&body).object("refund_account_details");
    let complete = account
        .is_some_and(|account| ["currency", "account_number", "bank_id"].iter().all(|key| account.text(key).is_some()));
    if !complete {
        return Err(Invalid::new("missing_params", "currency, account_number and bank_id are required").into());
    }
    let retried = sandbox.0.store.change(|state| {
        let id: u64 = id.parse().ok()?;
        let refund = state.refunds.iter_mut().find(|refund| refund.id == id)?;
        if refund.status != RefundState::NeedsAttention {
            return Some(None);
        }
        refund.retry();
        let refund = refund.clone();
        let mut data = show(state, &refund);
        data["fully_deducted"] = json!(true);
        data["reversed_at"] = Value::Null;
        Some(Some((id, data, refund::note(state, id))))
    });
    let Some(retried) = retried else { return Err(answer::not_found("refund")) };
    let Some((id, data, deliveries)) = retried else {
        let message = "Invalid Refund state, refund status should be \"needs-attention\"";
        return Err(Invalid::params(message).with_status(StatusCode::UNPROCESSABLE_ENTITY));
    };
    delivery::start(&sandbox, deliveries);
    refund::start(&sandbox, id);
    Ok(answer::ok("Refund retried and has been queued for processing", data))
}

/// The query of [`banks`].
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct BankQuery {
    country: Option<String>,
    currency: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
}

/// Some banks: id, name, code, country, currency, type.
const BANKS: [(u64, &str, &str, &str, &str, &str); 9] = [
    (1, "Access Bank", "044", "Nigeria", "NGN", "nuban"),
    (7, "First Bank of Nigeria", "011", "Nigeria", "NGN", "nuban"),
    (9, "Guaranty Trust Bank", "058", "Nigeria", "NGN", "nuban"),
    (21, "Zenith Bank", "057", "Nigeria", "NGN", "nuban"),
    (28, "MTN", "MTN", "Ghana", "GHS", "mobile_money"),
    (66, "GCB Bank Limited", "040100", "Ghana", "GHS", "ghipps"),
    (149, "Ecobank Ghana", "130100", "Ghana", "GHS", "ghipps"),
    (231, "Equity Bank", "68", "Kenya", "KES", "kepss"),
    (140, "Standard Bank South Africa", "051001", "South Africa", "ZAR", "basa"),
];

/// `GET /bank`.
pub(super) async fn banks(Query(query): Query<BankQuery>) -> Response {
    let is = |wanted: &Option<String>, value: &str| {
        wanted.as_deref().is_none_or(|wanted| wanted.replace('-', " ").eq_ignore_ascii_case(value))
    };
    let data: Vec<_> = BANKS
        .iter()
        .filter(|bank| is(&query.country, bank.3) && is(&query.currency, bank.4))
        .filter(|bank| query.kind.as_deref().is_none_or(|kind| kind == bank.5))
        .map(|(id, name, code, country, currency, kind)| {
            json!({
                "name": name,
                "slug": name.to_lowercase().replace(' ', "-"),
                "code": code,
                "longcode": "",
                "gateway": null,
                "pay_with_bank": false,
                "supports_transfer": true,
                "available_for_direct_debit": false,
                "active": true,
                "is_deleted": false,
                "country": country,
                "currency": currency,
                "type": kind,
                "id": id,
                "createdAt": "2016-07-14T10:04:29.000Z",
                "updatedAt": "2020-02-18T08:06:44.000Z",
            })
        })
        .collect();
    answer::ok("Banks retrieved", json!(data))
}
