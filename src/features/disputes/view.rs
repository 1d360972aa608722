//! Disputes as staff see them.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;
use utoipa::ToSchema;

use super::model::{Answer, Status};
use super::store::Dispute;
use super::store::staff::{self, Note};
use crate::platform::ids::{DisputeId, OrderId, PaymentId, UserId};
use crate::platform::money::Amount;

/// A dispute.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DisputeView {
    id: DisputeId,
    /// The provider's number of it.
    number: i64,
    status: Status,
    /// Whether the time to answer has passed.
    is_overdue: bool,
    /// How it ended, in the provider's word.
    resolution: Option<String>,
    /// What it is about, in the provider's word.
    category: Option<String>,
    /// What is asked back.
    amount: Option<Amount>,
    currency: Option<String>,
    /// What went back because of it.
    lost: Amount,
    /// Until when it has to be answered.
    due_at: Option<DateTime<Utc>>,
    /// The payment's name at the provider.
    reference: Option<String>,
    /// The provider's number of the transaction.
    transaction_id: Option<i64>,
    /// `null`: the shop does not know this payment.
    payment_id: Option<PaymentId>,
    order_id: Option<OrderId>,
    /// What the shop has answered.
    answer: Option<Answer>,
    answer_message: Option<String>,
    answered_by: Option<UserId>,
    answered_at: Option<DateTime<Utc>>,
    opened_at: DateTime<Utc>,
    resolved_at: Option<DateTime<Utc>>,
}

impl DisputeView {
    /// A dispute as it stands now.
    pub fn new(dispute: Dispute, now: DateTime<Utc>) -> Self {
        let is_due = dispute.status == Status::AwaitingMerchant;
        Self {
            id: dispute.id,
            number: dispute.provider_id,
            status: dispute.status,
            is_overdue: is_due && dispute.due_at.is_some_and(|at| at <= now),
            resolution: dispute.resolution,
            category: dispute.category,
            amount: dispute.amount_minor.map(Amount),
            currency: dispute.currency,
            lost: Amount(dispute.lost_minor),
            due_at: dispute.due_at,
            reference: dispute.reference,
            transaction_id: dispute.transaction_id,
            payment_id: dispute.payment_id,
            order_id: dispute.order_id,
            answer: dispute.answer,
            answer_message: dispute.answer_message,
            answered_by: dispute.answered_by,
            answered_at: dispute.answered_at,
            opened_at: dispute.opened_at,
            resolved_at: dispute.resolved_at,
        }
    }
}

/// What somebody has written about a dispute.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct DisputeNoteView {
    text: String,
    actor_id: Option<UserId>,
    at: DateTime<Utc>,
}

impl From<Note> for DisputeNoteView {
    fn from(note: Note) -> Self {
        Self { text: note.text, actor_id: note.actor_id, at: note.at }
    }
}

/// Disputes.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DisputesData {
    pub(super) disputes: Vec<DisputeView>,
}

/// One dispute.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DisputeData {
    pub(super) dispute: DisputeView,
    /// What staff have written about it.
    pub(super) notes: Vec<DisputeNoteView>,
}

/// A dispute beside its order.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrderDispute {
    id: DisputeId,
    status: Status,
    /// How it ended, in the provider's word.
    resolution: Option<String>,
    /// What is asked back.
    amount: Option<Amount>,
    /// What went back because of it.
    lost: Amount,
    /// Until when it has to be answered.
    due_at: Option<DateTime<Utc>>,
    opened_at: DateTime<Utc>,
}

/// The disputes of an order, the oldest first.
///
/// # Errors
/// The database's.
pub async fn of_order(c: &mut PgConnection, order: OrderId) -> sqlx::Result<Vec<OrderDispute>> {
    let disputes = staff::of_order(c, order).await?.into_iter().map(|dispute| OrderDispute {
        id: dispute.id,
        status: dispute.status,
        resolution: dispute.resolution,
        amount: dispute.amount_minor.map(Amount),
        lost: Amount(dispute.lost_minor),
        due_at: dispute.due_at,
        opened_at: dispute.opened_at,
    });
    Ok(disputes.collect())
}
