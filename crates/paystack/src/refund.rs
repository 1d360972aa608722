//! Money that goes back: what the client sends and what Paystack says.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

use crate::fields::{Fields, required};
use crate::{Domain, Error};

/// The body of `POST /refund`.
///
/// Paystack has no idempotency key for it: store the intent first, put your own
/// id into `merchant_note`, and after a lost answer look for it with
/// [`Client::list_refunds`](crate::Client::list_refunds) before sending again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CreateRefund {
    /// The transaction's reference, or its id in digits.
    pub transaction: String,
    /// In the subunit; at most what is left of the transaction.
    pub amount: i64,
    /// ISO 4217 code of the transaction.
    pub currency: String,
    /// What the customer reads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub customer_note: Option<String>,
    /// What the merchant reads, and finds the refund by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub merchant_note: Option<String>,
}

/// Where a refund stands (Paystack documentation, "Refunds").
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum RefundStatus {
    /// Taken up; the processor has not been asked.
    Pending,
    /// At the processor.
    Processing,
    /// The customer has the money, or will within some working days.
    Processed,
    /// It cannot be given back; the merchant has the money again.
    Failed,
    /// Paystack needs an account of the customer's, see
    /// [`Client::retry_refund`](crate::Client::retry_refund).
    NeedsAttention,
    /// A status this crate does not know, as received.
    Other(String),
}

impl RefundStatus {
    /// The status in Paystack's spelling.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Pending => "pending",
            Self::Processing => "processing",
            Self::Processed => "processed",
            Self::Failed => "failed",
            Self::NeedsAttention => "needs-attention",
            Self::Other(text) => text,
        }
    }
}

impl From<&str> for RefundStatus {
    fn from(text: &str) -> Self {
        match text {
            "pending" => Self::Pending,
            "processing" => Self::Processing,
            "processed" => Self::Processed,
            "failed" => Self::Failed,
            "needs-attention" => Self::NeedsAttention,
            other => Self::Other(other.to_owned()),
        }
    }
}

impl fmt::Display for RefundStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One refund. The answer to its creation holds the transaction, the others only
/// its number or its reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refund {
    /// Paystack's id.
    pub id: u64,
    /// The id of the transaction that is given back.
    pub transaction: Option<u64>,
    /// The merchant's reference of that transaction.
    pub transaction_reference: Option<String>,
    /// The id of the dispute that it comes of.
    pub dispute: Option<u64>,
    /// In the subunit.
    pub amount: i64,
    /// ISO 4217 code.
    pub currency: Option<String>,
    /// Where it stands.
    pub status: RefundStatus,
    /// As sent at its creation, or made by Paystack.
    pub merchant_note: Option<String>,
    /// As sent at its creation, or made by Paystack.
    pub customer_note: Option<String>,
    /// When it was asked for.
    pub created_at: Option<DateTime<Utc>>,
    /// When the money went back.
    pub refunded_at: Option<DateTime<Utc>>,
}

impl TryFrom<&Value> for Refund {
    type Error = Error;

    /// Reads the `data` object of an answer.
    ///
    /// # Errors
    /// [`Error::Decode`] if `id`, `amount` or `status` is missing or unusable.
    fn try_from(data: &Value) -> Result<Self, Error> {
        let fields = Fields(data);
        let nested = fields.object("transaction");
        let status = required(fields.text("status"), "status")?;
        Ok(Self {
            id: required(fields.unsigned("id"), "id")?,
            transaction: nested.map_or_else(|| fields.unsigned("transaction"), |nested| nested.unsigned("id")),
            transaction_reference: fields
                .text("transaction_reference")
                .or_else(|| nested.and_then(|nested| nested.text("reference"))),
            dispute: fields
                .object("dispute")
                .map_or_else(|| fields.unsigned("dispute"), |nested| nested.unsigned("id")),
            amount: required(fields.amount("amount"), "amount")?,
            currency: fields.text("currency"),
            status: RefundStatus::from(status.as_str()),
            merchant_note: fields.text("merchant_note"),
            customer_note: fields.text("customer_note"),
            created_at: fields.time(["created_at", "createdAt"]),
            refunded_at: fields.time(["refunded_at", "refundedAt"]),
        })
    }
}

/// What a `refund.*` event says. It names no refund: several of one amount of
/// one transaction are told apart by `GET /refund?transaction=` only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefundEvent {
    /// The merchant's reference of the transaction that is given back.
    pub transaction_reference: String,
    /// The processor's name for the refund, unknown while it is pending.
    pub refund_reference: Option<String>,
    /// Paystack's id of the refund; only `refund.needs-attention` has it.
    pub id: Option<u64>,
    /// In the subunit.
    pub amount: i64,
    /// ISO 4217 code.
    pub currency: Option<String>,
    /// Where the refund stands.
    pub status: RefundStatus,
    /// Test or live.
    pub domain: Domain,
    /// The refund's note for the merchant; only `refund.needs-attention` has it.
    pub merchant_note: Option<String>,
    /// The refund's note for the customer; only `refund.needs-attention` has it.
    pub customer_note: Option<String>,
}

impl TryFrom<&Value> for RefundEvent {
    type Error = Error;

    /// Reads the `data` object of a refund event.
    ///
    /// # Errors
    /// [`Error::Decode`] if `transaction_reference`, `amount` or `status` is
    /// missing or unusable.
    fn try_from(data: &Value) -> Result<Self, Error> {
        let fields = Fields(data);
        let status = required(fields.text("status"), "status")?;
        Ok(Self {
            transaction_reference: required(fields.text("transaction_reference"), "transaction_reference")?,
            refund_reference: fields.text("refund_reference"),
            id: fields.unsigned("id"),
            amount: required(fields.amount("amount"), "amount")?,
            currency: fields.text("currency"),
            status: RefundStatus::from(status.as_str()),
            domain: Domain::from(fields.text("domain").unwrap_or_default().as_str()),
            merchant_note: fields.text("merchant_note"),
            customer_note: fields.text("customer_note"),
        })
    }
}

/// The query of `GET /refund`. Absent fields are not sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListRefunds {
    /// The transaction's id, not its reference.
    pub transaction: Option<u64>,
    /// Created at or after this time.
    pub from: Option<DateTime<Utc>>,
    /// Created at or before this time.
    pub to: Option<DateTime<Utc>>,
    /// Page number from 1.
    pub page: Option<u32>,
    /// Refunds per page; Paystack's default is 50.
    pub per_page: Option<u32>,
}

/// The customer's bank account, for a refund that needs attention.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct RefundAccount {
    /// ISO 4217 code of the account.
    pub currency: String,
    /// The account's number.
    pub account_number: String,
    /// The bank's id in digits, see [`Client::banks`](crate::Client::banks).
    pub bank_id: String,
}

/// Shows no account number.
impl fmt::Debug for RefundAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefundAccount")
            .field("currency", &self.currency)
            .field("bank_id", &self.bank_id)
            .finish_non_exhaustive()
    }
}
