//! Disputes: their record, their API (Paystack API reference, "Disputes"), and the
//! control that opens them.
#![expect(clippy::result_large_err, reason = "a refusal is the answer itself, made once for a request")]

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::answer::Invalid;
use super::list::ListQuery;
use super::payment::{Payment, Status, time};
use super::refund::Refund;
use super::store::State as StoreState;
use super::{Sandbox, answer, delivery};
use crate::fields::Fields;

/// How long the merchant has to answer, where the control does not say.
const DUE_IN_HOURS: i64 = 16;

/// A dispute as the state file keeps it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Dispute {
    id: u64,
    /// The transaction's id.
    transaction: u64,
    /// In the subunit.
    refund_amount: i64,
    category: String,
    /// Absent while it is open.
    resolution: Option<String>,
    message: Option<String>,
    due_at: DateTime<Utc>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    resolved_at: Option<DateTime<Utc>>,
}

impl Dispute {
    fn status(&self) -> &'static str {
        if self.resolution.is_some() { "resolved" } else { "awaiting-merchant-feedback" }
    }

    /// As the API shows it. Events have the same fields, but for the times' names.
    fn to_json(&self, payment: &Payment) -> Value {
        json!({
            "id": self.id,
            "refund_amount": self.refund_amount,
            "currency": payment.currency(),
            "status": self.status(),
            "resolution": self.resolution,
            "domain": payment.domain(),
            "transaction": payment.to_json(),
            "transaction_reference": null,
            "category": self.category,
            "customer": payment.customer(),
            "bin": null,
            "last4": null,
            "dueAt": time(self.due_at),
            "resolvedAt": self.resolved_at.map(time),
            "evidence": null,
            "attachments": "[]",
            "note": null,
            "history": [{ "status": "pending", "by": payment.email, "createdAt": time(self.created_at) }],
            "messages": [{ "sender": payment.email, "body": "Not received", "createdAt": time(self.created_at) }],
            "message": self.message.as_ref().map(|text| json!({
                "dispute": self.id, "sender": "sandbox@paystack.example", "body": text, "id": self.id,
                "createdAt": self.resolved_at.map(time), "updatedAt": self.resolved_at.map(time),
            })),
            "createdAt": time(self.created_at),
            "updatedAt": time(self.updated_at),
        })
    }

    fn to_event_json(&self, payment: &Payment) -> Value {
        let mut data = self.to_json(payment);
        if let Some(fields) = data.as_object_mut() {
            fields.remove("message");
            for (from, to) in [("createdAt", "created_at"), ("updatedAt", "updated_at")] {
                let value = fields.remove(from).unwrap_or_default();
                fields.insert(to.to_owned(), value);
            }
        }
        data
    }
}

fn show(state: &StoreState, dispute: &Dispute) -> Value {
    state.by_id(dispute.transaction).map(|payment| dispute.to_json(payment)).unwrap_or_default()
}

/// Notes the event that tells of a dispute.
fn note(state: &mut StoreState, event: &str, dispute: &Dispute) -> Vec<delivery::Delivery> {
    let Some(payment) = state.by_id(dispute.transaction) else { return Vec::new() };
    let (webhook, _) = payment.wish.or(payment.requested_amount, &state.faults);
    let data = dispute.to_event_json(payment);
    delivery::note(state, event, &data, &webhook.delays(0))
}

/// `GET /dispute`, newest first.
pub(super) async fn list(State(sandbox): State<Sandbox>, Query(query): Query<ListQuery>) -> Result<Response, Invalid> {
    let window = query.window()?;
    Ok(sandbox.0.store.read(|state| {
        let of = query.transaction.as_deref().map(|name| state.by_name(name).map(|payment| payment.id));
        let matches = |dispute: &&Dispute| {
            query.status.as_deref().is_none_or(|status| dispute.status() == status)
                && of.is_none_or(|of| of == Some(dispute.transaction))
                && window.contains(dispute.created_at)
        };
        let found = state.disputes.iter().rev().filter(matches).collect();
        window.answer("Disputes retrieved", found, |dispute: &Dispute| show(state, dispute))
    }))
}

/// `GET /dispute/{id}`.
pub(super) async fn fetch(State(sandbox): State<Sandbox>, Path(id): Path<String>) -> Response {
    let found = sandbox.0.store.read(|state| {
        let id: u64 = id.parse().ok()?;
        state.disputes.iter().find(|dispute| dispute.id == id).map(|dispute| show(state, dispute))
    });
    found.map_or_else(|| answer::not_found("dispute"), |data| answer::ok("Dispute retrieved", data))
}

/// `PUT /dispute/{id}/resolve`.
pub(super) async fn resolve(
    State(sandbox): State<Sandbox>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Response, Response> {
    let body: Value = serde_json::from_slice(&body).map_err(|_| Invalid::params("The body is no valid JSON"))?;
    let fields = Fields(&body);
    for key in ["resolution", "message", "refund_amount", "uploaded_filename"] {
        if fields.value(key).is_none() {
            return Err(Invalid::new("missing_params", format!("{key} is required")).into());
        }
    }
    let resolution = fields
        .text("resolution")
        .filter(|resolution| matches!(resolution.as_str(), "merchant-accepted" | "declined"))
        .ok_or_else(|| Invalid::params("resolution is merchant-accepted or declined"))?;
    let refund_amount = fields
        .integer("refund_amount")
        .filter(|amount| *amount >= 0)
        .ok_or_else(|| Invalid::params("Invalid Amount Sent"))?;
    let end = End { resolution, message: fields.text("message"), refund_amount: Some(refund_amount) };
    let (data, deliveries) = sandbox.0.store.change(|state| finish(state, &id, end))?;
    delivery::start(&sandbox, deliveries);
    Ok(answer::ok("Dispute successfully resolved", data))
}

/// How a dispute ends.
struct End {
    resolution: String,
    message: Option<String>,
    /// None: what was asked for.
    refund_amount: Option<i64>,
}

/// Ends an open dispute. What is accepted is a refund, of which no event tells; what is accepted in full reverses the transaction.
fn finish(state: &mut StoreState, id: &str, end: End) -> Result<(Value, Vec<delivery::Delivery>), Response> {
    let missing = || answer::not_found("dispute");
    let id: u64 = id.parse().map_err(|_| missing())?;
    let position = state.disputes.iter().position(|dispute| dispute.id == id).ok_or_else(missing)?;
    let mut dispute = state.disputes[position].clone();
    if dispute.resolution.is_some() {
        return Err(Invalid::params("The dispute is resolved already").into());
    }
    let taken = state.by_id(dispute.transaction).map(Payment::amount).unwrap_or_default();
    let amount = end.refund_amount.unwrap_or(dispute.refund_amount);
    if amount > taken {
        return Err(Invalid::params("Refund amount cannot be greater than initial amount").into());
    }
    let now = Utc::now();
    let is_lost = end.resolution != "declined";
    dispute.resolution = Some(end.resolution);
    dispute.message = end.message;
    dispute.resolved_at = Some(now);
    dispute.updated_at = now;
    dispute.refund_amount = amount;
    state.disputes[position] = dispute.clone();
    if let Some(payment) = state.by_id(dispute.transaction).filter(|_| is_lost && amount > 0).cloned() {
        let refund = Refund::of_dispute(state.new_id(), &payment, dispute.id, amount);
        state.refunds.push(refund);
    }
    if let Some(payment) = state.by_id_mut(dispute.transaction).filter(|_| is_lost && amount == taken) {
        payment.status = Status::Reversed;
    }
    let deliveries = note(state, "charge.dispute.resolve", &dispute);
    Ok((show(state, &dispute), deliveries))
}

/// The body of `POST /_control/disputes`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OpenDispute {
    reference: String,
    /// In the subunit; without it, what was paid.
    refund_amount: Option<i64>,
    category: Option<String>,
    /// When the merchant has to have answered; in the past if negative.
    due_in_hours: Option<i64>,
}

/// `POST /_control/disputes`: the customer of a paid transaction disputes it.
pub(super) async fn open(State(sandbox): State<Sandbox>, Json(body): Json<Value>) -> Result<Response, Response> {
    let open: OpenDispute = serde_json::from_value(body).map_err(|error| Invalid::params(error.to_string()))?;
    let opened = sandbox.0.store.change(|state| {
        let payment = state.by_reference(&open.reference).filter(|payment| payment.is_paid())?;
        let (transaction, paid) = (payment.id, payment.amount());
        let now = Utc::now();
        let hours = open.due_in_hours.unwrap_or(DUE_IN_HOURS).clamp(-100_000, 100_000);
        let dispute = Dispute {
            id: state.new_id(),
            transaction,
            refund_amount: open.refund_amount.unwrap_or(paid),
            category: open.category.unwrap_or_else(|| "chargeback".to_owned()),
            resolution: None,
            message: None,
            due_at: now + TimeDelta::hours(hours),
            created_at: now,
            updated_at: now,
            resolved_at: None,
        };
        state.disputes.push(dispute.clone());
        let deliveries = note(state, "charge.dispute.create", &dispute);
        Some((show(state, &dispute), deliveries))
    });
    let (data, deliveries) = opened.ok_or_else(|| answer::unknown_transaction(StatusCode::NOT_FOUND))?;
    delivery::start(&sandbox, deliveries);
    Ok(answer::ok("Dispute opened", data))
}

/// The body of `POST /_control/disputes/{id}`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, tag = "event", rename_all = "lowercase")]
pub(super) enum Happens {
    /// Paystack reminds the merchant.
    Remind {},
    /// Paystack decides.
    Resolve {
        /// Without it `auto-accepted`, as when nobody answers in time.
        resolution: Option<String>,
    },
}

/// `POST /_control/disputes/{id}`: Paystack reminds, or decides.
pub(super) async fn happen(
    State(sandbox): State<Sandbox>,
    Path(id): Path<String>,
    Json(body): Json<Value>,
) -> Result<Response, Response> {
    let happens: Happens = serde_json::from_value(body).map_err(|error| Invalid::params(error.to_string()))?;
    let (data, deliveries) = sandbox.0.store.change(|state| match happens {
        Happens::Remind {} => remind(state, &id),
        Happens::Resolve { resolution } => {
            let resolution = resolution.unwrap_or_else(|| "auto-accepted".to_owned());
            finish(state, &id, End { resolution, message: None, refund_amount: None })
        }
    })?;
    delivery::start(&sandbox, deliveries);
    Ok(answer::ok("Done", data))
}

fn remind(state: &mut StoreState, id: &str) -> Result<(Value, Vec<delivery::Delivery>), Response> {
    let missing = || answer::not_found("dispute");
    let id: u64 = id.parse().map_err(|_| missing())?;
    let dispute = state.disputes.iter().find(|dispute| dispute.id == id).cloned().ok_or_else(missing)?;
    let deliveries = note(state, "charge.dispute.remind", &dispute);
    Ok((show(state, &dispute), deliveries))
}
