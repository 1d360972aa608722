//! One refund: its life, and its forms in answers and webhooks.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::control::RefundPace;
use super::delivery::Delivery;
use super::means::Fate;
use super::payment::{Payment, Status, time, token};
use super::store::State;
use super::wish::{Effect, Magic};
use super::{INTEGRATION, Sandbox, delivery};

/// How long a refund stays in each state. Paystack takes days.
const STEP: Duration = Duration::from_millis(150);

/// A refund as the state file keeps it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Refund {
    pub(super) id: u64,
    /// The transaction's id.
    pub(super) transaction: u64,
    /// The id of the dispute that it comes of.
    #[serde(default)]
    dispute: Option<u64>,
    /// In the subunit.
    pub(super) amount: i64,
    pub(super) status: RefundState,
    pub(super) customer_note: String,
    pub(super) merchant_note: String,
    pub(super) created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    refunded_at: Option<DateTime<Utc>>,
    /// Whether the customer's account is known, so that it succeeds.
    has_account: bool,
}

/// Where a refund stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RefundState {
    Pending,
    Processing,
    Processed,
    Failed,
    NeedsAttention,
}

impl RefundState {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Processing => "processing",
            Self::Processed => "processed",
            Self::Failed => "failed",
            Self::NeedsAttention => "needs-attention",
        }
    }

    fn is_open(self) -> bool {
        matches!(self, Self::Pending | Self::Processing)
    }

    /// How many events of this refund are still to follow one of this state.
    fn later(self) -> u32 {
        match self {
            Self::Pending => 2,
            Self::Processing => 1,
            Self::Processed | Self::Failed | Self::NeedsAttention => 0,
        }
    }
}

impl Refund {
    /// A new one. Notes that were not sent are made up as Paystack does.
    pub(super) fn new(
        id: u64,
        payment: &Payment,
        amount: i64,
        customer_note: Option<String>,
        merchant_note: Option<String>,
    ) -> Self {
        let now = Utc::now();
        let made_up = format!("Refund for transaction {}", payment.reference);
        Self {
            id,
            transaction: payment.id,
            dispute: None,
            amount,
            status: RefundState::Pending,
            merchant_note: merchant_note.unwrap_or_else(|| format!("{made_up} by sandbox@paystack.example")),
            customer_note: customer_note.unwrap_or(made_up),
            created_at: now,
            updated_at: now,
            refunded_at: None,
            has_account: false,
        }
    }

    /// What a lost dispute takes, which is gone at once.
    pub(super) fn of_dispute(id: u64, payment: &Payment, dispute: u64, amount: i64) -> Self {
        let new = Self::new(id, payment, amount, None, None);
        let refunded_at = Some(new.created_at);
        Self { dispute: Some(dispute), status: RefundState::Processed, refunded_at, ..new }
    }

    /// Goes on with the customer's account.
    pub(super) fn retry(&mut self) {
        self.has_account = true;
        self.status = RefundState::Processing;
        self.updated_at = Utc::now();
    }

    /// The fields that all answers share.
    fn common(&self, payment: &Payment) -> Value {
        let deducted = if self.status.is_open() { 0 } else { self.amount };
        json!({
            "id": self.id,
            "integration": INTEGRATION,
            "domain": payment.domain(),
            "dispute": self.dispute,
            "settlement": null,
            "amount": self.amount,
            "deducted_amount": deducted,
            "currency": payment.currency(),
            "channel": payment.channel,
            "status": self.status.as_str(),
            "refunded_by": "sandbox@paystack.example",
            "refunded_at": self.refunded_at.map(time),
            "expected_at": time(self.created_at + TimeDelta::days(7)),
            "customer_note": self.customer_note,
            "merchant_note": self.merchant_note,
            "createdAt": time(self.created_at),
            "updatedAt": time(self.updated_at),
        })
    }

    /// As `POST /refund` answers: with the whole transaction.
    pub(super) fn to_created_json(&self, payment: &Payment) -> Value {
        let mut data = self.common(payment);
        data["transaction"] = payment.to_json();
        data["fully_deducted"] = json!(!self.status.is_open());
        data
    }

    /// As it is read afterwards: with the transaction's number.
    pub(super) fn to_json(&self, payment: &Payment) -> Value {
        let mut data = self.common(payment);
        data["transaction"] = json!(self.transaction);
        data["transaction_reference"] = json!(payment.reference);
        data["transaction_amount"] = json!(payment.amount());
        data["fully_deducted"] = json!(u8::from(!self.status.is_open()));
        data["bank_reference"] = Value::Null;
        data["reason"] = json!(self.status.as_str().to_uppercase());
        data["customer"] = payment.customer();
        data["initiated_by"] = data["refunded_by"].clone();
        data["refund_type"] = json!(if self.amount == payment.amount() { "full" } else { "partial" });
        data["refund_channel"] = json!("instant-transfer");
        data["session_id"] = Value::Null;
        data["collect_account_number"] = json!(self.status == RefundState::NeedsAttention);
        data["created_at"] = data["createdAt"].clone();
        data["updated_at"] = data["updatedAt"].clone();
        data
    }

    /// As `refund.*` events tell it, with their types: the amount is a text until
    /// it is processed, and only one kind of event names the refund.
    fn to_event_json(&self, payment: &Payment) -> Value {
        let as_text = self.status.is_open() || self.status == RefundState::Processed;
        let reference = (!self.status.is_open()).then(|| format!("TRF_{}", token(&[&self.id.to_string()], 16)));
        let mut data = json!({
            "status": self.status.as_str(),
            "transaction_reference": payment.reference,
            "refund_reference": reference,
            "amount": if as_text { json!(self.amount.to_string()) } else { json!(self.amount) },
            "currency": payment.currency(),
            "customer": { "first_name": null, "last_name": null, "email": payment.email },
            "integration": INTEGRATION,
            "domain": payment.domain(),
        });
        if self.status == RefundState::NeedsAttention {
            data["id"] = json!(self.id.to_string());
            data["customer_note"] = json!(self.customer_note);
            data["merchant_note"] = json!(self.merchant_note);
        } else {
            data["processor"] = json!("instant-transfer");
        }
        data
    }
}

/// What goes back of a transaction, or went, in the subunit.
pub(super) fn given_back(state: &State, transaction: u64) -> i64 {
    let of_it = state.refunds.iter().filter(|refund| refund.transaction == transaction);
    of_it.filter(|refund| refund.status != RefundState::Failed).map(|refund| refund.amount).sum()
}

/// Notes the event that tells where a refund stands.
pub(super) fn note(state: &mut State, id: u64) -> Vec<Delivery> {
    let Some(refund) = state.refunds.iter().find(|refund| refund.id == id) else { return Vec::new() };
    let Some(payment) = state.by_id(refund.transaction) else { return Vec::new() };
    let (webhook, _) = payment.wish.or(payment.requested_amount, &state.faults);
    let event = format!("refund.{}", refund.status.as_str());
    let (data, delays) = (refund.to_event_json(payment), webhook.delays(refund.status.later()));
    delivery::note(state, &event, &data, &delays)
}

/// Moves a refund to `status`, and its transaction with it.
pub(super) fn set(state: &mut State, id: u64, status: RefundState) -> Vec<Delivery> {
    let Some(refund) = state.refunds.iter_mut().find(|refund| refund.id == id) else { return Vec::new() };
    let now = Utc::now();
    refund.status = status;
    refund.updated_at = now;
    refund.refunded_at = (status == RefundState::Processed).then_some(now);
    let transaction = refund.transaction;
    let processed: i64 = state
        .refunds
        .iter()
        .filter(|refund| refund.transaction == transaction && refund.status == RefundState::Processed)
        .map(|refund| refund.amount)
        .sum();
    if let Some(payment) = state.by_id_mut(transaction).filter(|payment| processed >= payment.amount()) {
        payment.status = Status::Reversed;
    }
    note(state, id)
}

/// What a refund that goes on by itself does next; none once it is at its end.
fn next(state: &State, id: u64) -> Option<RefundState> {
    let refund = state.refunds.iter().find(|refund| refund.id == id)?;
    if state.faults.refunds == RefundPace::Held {
        return None;
    }
    let fate = || {
        let payment = state.by_id(refund.transaction)?;
        let magic = Magic::of(payment.requested_amount, &state.faults).map(|magic| magic.effect);
        Some(match magic {
            _ if refund.has_account => Fate::Processed,
            Some(Effect::Refund(fate)) => fate,
            _ => payment.fate_of_refund(),
        })
    };
    match refund.status {
        RefundState::Pending => Some(RefundState::Processing),
        RefundState::Processing => Some(match fate()? {
            Fate::Processed => RefundState::Processed,
            Fate::Failed => RefundState::Failed,
            Fate::NeedsAttention => RefundState::NeedsAttention,
        }),
        RefundState::Processed | RefundState::Failed | RefundState::NeedsAttention => None,
    }
}

/// Lets a refund go on in the background, until its end or until refunds are held.
pub(super) fn start(sandbox: &Sandbox, id: u64) {
    let sandbox = sandbox.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(STEP).await;
            let moved = sandbox.0.store.change(|state| {
                let next = next(state, id)?;
                Some(set(state, id, next))
            });
            let Some(deliveries) = moved else { break };
            delivery::start(&sandbox, deliveries);
        }
    });
}

/// Lets all open refunds go on, as after a restart or after they were held.
pub(super) fn resume(sandbox: &Sandbox) {
    let open = sandbox.0.store.read(|state| {
        state.refunds.iter().filter(|refund| refund.status.is_open()).map(|refund| refund.id).collect::<Vec<_>>()
    });
    for id in open {
        start(sandbox, id);
    }
}
