//! What a refund is, and where it may go.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::platform::ids::{DisputeId, OrderId, OrderItemId, PaymentId, RefundId, ReturnId, UserId};
use crate::platform::money::Amount;

/// Where a refund stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, sqlx::Type, ToSchema)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum RefundStatus {
    /// The provider has not said that it knows it.
    Pending,
    /// The provider is at it.
    Processing,
    /// The money went back.
    Processed,
    /// It cannot go back this way; the shop has it.
    Failed,
    /// The provider needs the buyer's bank account.
    NeedsAttention,
}

use self::RefundStatus::{Failed, NeedsAttention, Pending, Processed, Processing};

/// The moves that a refund may make: the whole table. The database has the same, `refund_moves`.
pub const REFUND_MOVES: [(RefundStatus, RefundStatus); 10] = [
    (Pending, Processing),
    (Pending, Processed),
    (Pending, Failed),
    (Pending, NeedsAttention),
    (Processing, Processed),
    (Processing, Failed),
    (Processing, NeedsAttention),
    (NeedsAttention, Processing),
    (NeedsAttention, Processed),
    (NeedsAttention, Failed),
];

impl RefundStatus {
    /// Every status.
    pub const ALL: [Self; 5] = [Pending, Processing, Processed, Failed, NeedsAttention];

    /// Whether a refund may make this move.
    pub fn may_become(self, next: Self) -> bool {
        REFUND_MOVES.contains(&(self, next))
    }

    /// Whether nothing follows.
    pub fn is_final(self) -> bool {
        matches!(self, Processed | Failed)
    }

    /// The name, as stored and sent.
    pub fn as_str(self) -> &'static str {
        match self {
            Pending => "pending",
            Processing => "processing",
            Processed => "processed",
            Failed => "failed",
            NeedsAttention => "needs_attention",
        }
    }
}

/// Who asked for a refund.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, sqlx::Type, ToSchema)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum RefundOrigin {
    /// Somebody of the shop.
    Staff,
    /// A rule of the shop: the buyer gave his order up, or his money did not fit.
    System,
    /// Somebody in the provider's dashboard.
    Provider,
    /// Somebody of the shop has given the money back by hand, such as by a bank transfer.
    Manual,
    /// A dispute: the buyer's bank has taken the money back.
    Dispute,
}

impl RefundOrigin {
    /// Every origin.
    pub const ALL: [Self; 5] = [Self::Staff, Self::System, Self::Provider, Self::Manual, Self::Dispute];

    /// The name, as stored and sent.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Staff => "staff",
            Self::System => "system",
            Self::Provider => "provider",
            Self::Manual => "manual",
            Self::Dispute => "dispute",
        }
    }
}

/// Money that goes back of a payment.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the fields are the columns of `refunds`, described in the migration")]
pub struct Refund {
    pub id: RefundId,
    pub payment_id: PaymentId,
    pub order_id: OrderId,
    pub order_number: String,
    /// The payment's reference.
    pub reference: String,
    /// The provider's number of the payment.
    pub provider_transaction_id: Option<i64>,
    pub amount_minor: i64,
    /// That the money came in.
    pub currency: String,
    pub status: RefundStatus,
    pub origin: RefundOrigin,
    pub requested_by: Option<UserId>,
    pub reason: Option<String>,
    pub retry_of: Option<RefundId>,
    /// The refund that stands in for this one, which failed.
    pub retried_as: Option<RefundId>,
    pub return_id: Option<ReturnId>,
    pub dispute_number: Option<i64>,
    pub dispute_id: Option<DisputeId>,
    pub provider_refund_id: Option<i64>,
    pub attempts: i32,
    pub last_error: Option<String>,
    pub account_last4: Option<String>,
    pub notify: bool,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub sent_at: Option<DateTime<Utc>>,
    pub processed_at: Option<DateTime<Utc>>,
    pub items: Vec<RefundItem>,
}

/// Units of a line that the money is for.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct RefundItem {
    /// The line of the order.
    pub order_item_id: OrderItemId,
    /// Units.
    pub quantity: i32,
    /// Whether they went back on the shelf instead of into a parcel.
    pub restocked: bool,
}

/// How our notes begin.
const NOTE: &str = "agape refund ";

/// The note by which a refund is found at the provider.
pub fn merchant_note(id: RefundId) -> String {
    format!("{NOTE}{id}")
}

/// The refund that a note names; none for a note that is not ours.
pub fn noted(note: &str) -> Option<RefundId> {
    note.strip_prefix(NOTE)?.parse().ok()
}

/// A refund as staff see it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RefundView {
    id: RefundId,
    payment_id: PaymentId,
    order_id: OrderId,
    order_number: String,
    /// Of the payment.
    reference: String,
    amount: Amount,
    currency: String,
    status: RefundStatus,
    origin: RefundOrigin,
    /// The member of the staff who asked for it.
    requested_by: Option<UserId>,
    reason: Option<String>,
    /// The failed refund that it stands in for.
    retry_of: Option<RefundId>,
    /// The refund that stands in for this one, which failed.
    retried_as: Option<RefundId>,
    /// The return that it pays for.
    return_id: Option<ReturnId>,
    /// The dispute that took the money, once the shop knows it.
    dispute_id: Option<DisputeId>,
    /// The provider's number.
    provider_refund_id: Option<i64>,
    /// How often it was sent.
    attempts: i32,
    /// Why it has not gone, in the provider's words.
    last_error: Option<String>,
    /// The end of the bank account that it goes to, where the staff named one.
    account_last4: Option<String>,
    items: Vec<RefundItemView>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    sent_at: Option<DateTime<Utc>>,
    processed_at: Option<DateTime<Utc>>,
}

/// A refund.
#[derive(Debug, Serialize, ToSchema)]
pub struct RefundData {
    /// As it is now.
    pub refund: RefundView,
}

/// Units of a line that the money is for.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct RefundItemView {
    order_item_id: OrderItemId,
    quantity: i32,
    /// Whether they went back on the shelf instead of into a parcel.
    restocked: bool,
}

impl From<Refund> for RefundView {
    fn from(refund: Refund) -> Self {
        let item = |item: &RefundItem| RefundItemView {
            order_item_id: item.order_item_id,
            quantity: item.quantity,
            restocked: item.restocked,
        };
        Self {
            id: refund.id,
            payment_id: refund.payment_id,
            order_id: refund.order_id,
            order_number: refund.order_number,
            reference: refund.reference,
            amount: Amount(refund.amount_minor),
            currency: refund.currency,
            status: refund.status,
            origin: refund.origin,
            requested_by: refund.requested_by,
            reason: refund.reason,
            retry_of: refund.retry_of,
            retried_as: refund.retried_as,
            return_id: refund.return_id,
            dispute_id: refund.dispute_id,
            provider_refund_id: refund.provider_refund_id,
            attempts: refund.attempts,
            last_error: refund.last_error,
            account_last4: refund.account_last4,
            items: refund.items.iter().map(item).collect(),
            created_at: refund.created_at,
            updated_at: refund.updated_at,
            sent_at: refund.sent_at,
            processed_at: refund.processed_at,
        }
    }
}

/// Money that goes back to the buyer, as he sees it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BuyerRefund {
    amount: Amount,
    /// In which the money came.
    currency: String,
    status: BuyerRefundStatus,
    created_at: DateTime<Utc>,
    /// When the money went. A bank may take some days to show it.
    processed_at: Option<DateTime<Utc>>,
}

/// Where money stands that goes back, in the buyer's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum BuyerRefundStatus {
    /// It is on its way.
    Processing,
    /// It went.
    Processed,
    /// It did not go; the shop sees to it.
    Failed,
}

impl BuyerRefund {
    /// None for one that failed and has another in its place.
    pub fn of(refund: &Refund) -> Option<Self> {
        let status = match refund.status {
            Failed if refund.retried_as.is_some() => return None,
            Failed => BuyerRefundStatus::Failed,
            Processed => BuyerRefundStatus::Processed,
            Pending | Processing | NeedsAttention => BuyerRefundStatus::Processing,
        };
        Some(Self {
            amount: Amount(refund.amount_minor),
            currency: refund.currency.clone(),
            status,
            created_at: refund.created_at,
            processed_at: refund.processed_at,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_final_stays() {
        for from in RefundStatus::ALL {
            let leads_on = RefundStatus::ALL.into_iter().any(|to| from.may_become(to));
            assert_eq!(leads_on, !from.is_final(), "{from:?}");
            assert!(!from.may_become(Pending) && !from.may_become(from), "{from:?}");
            assert_eq!(serde_json::to_value(from).unwrap(), from.as_str());
        }
    }
}
