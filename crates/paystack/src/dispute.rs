//! Disputes: a customer, or his bank, wants a payment back.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

use crate::fields::{Fields, required};
use crate::{Domain, Error};

/// Where a dispute stands (Paystack API reference, "Disputes").
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum DisputeStatus {
    /// The merchant has to answer until it is due; unanswered, it is accepted.
    AwaitingMerchantFeedback,
    /// The customer's bank has to answer.
    AwaitingBankFeedback,
    /// In progress.
    Pending,
    /// Over; `resolution` says how.
    Resolved,
    /// Over and put away.
    Archived,
    /// A status this crate does not know, as received.
    Other(String),
}

impl DisputeStatus {
    /// The status in Paystack's spelling.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::AwaitingMerchantFeedback => "awaiting-merchant-feedback",
            Self::AwaitingBankFeedback => "awaiting-bank-feedback",
            Self::Pending => "pending",
            Self::Resolved => "resolved",
            Self::Archived => "archived",
            Self::Other(text) => text,
        }
    }
}

impl From<&str> for DisputeStatus {
    fn from(text: &str) -> Self {
        match text {
            "awaiting-merchant-feedback" => Self::AwaitingMerchantFeedback,
            "awaiting-bank-feedback" => Self::AwaitingBankFeedback,
            "pending" => Self::Pending,
            "resolved" => Self::Resolved,
            "archived" => Self::Archived,
            other => Self::Other(other.to_owned()),
        }
    }
}

impl fmt::Display for DisputeStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One dispute, as the API and the `charge.dispute.*` events describe it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dispute {
    /// Paystack's id.
    pub id: u64,
    /// Test or live.
    pub domain: Domain,
    /// Where it stands.
    pub status: DisputeStatus,
    /// `merchant-accepted`, `declined` or `auto-accepted` once it is over.
    pub resolution: Option<String>,
    /// `chargeback`, `fraud`, `general`.
    pub category: Option<String>,
    /// What is asked back, in the subunit.
    pub refund_amount: Option<i64>,
    /// ISO 4217 code.
    pub currency: Option<String>,
    /// The id of the disputed transaction.
    pub transaction_id: Option<u64>,
    /// The merchant's reference of the disputed transaction.
    pub transaction_reference: Option<String>,
    /// Until when the merchant has to answer.
    pub due_at: Option<DateTime<Utc>>,
    /// When it was opened.
    pub created_at: Option<DateTime<Utc>>,
    /// When Paystack changed it last.
    pub updated_at: Option<DateTime<Utc>>,
    /// When it was over.
    pub resolved_at: Option<DateTime<Utc>>,
}

impl TryFrom<&Value> for Dispute {
    type Error = Error;

    /// Reads the `data` object of an answer or a dispute event.
    ///
    /// # Errors
    /// [`Error::Decode`] if `id` or `status` is missing or unusable.
    fn try_from(data: &Value) -> Result<Self, Error> {
        let fields = Fields(data);
        let nested = fields.object("transaction");
        let status = required(fields.text("status"), "status")?;
        Ok(Self {
            id: required(fields.unsigned("id"), "id")?,
            domain: Domain::from(fields.text("domain").unwrap_or_default().as_str()),
            status: DisputeStatus::from(status.as_str()),
            resolution: fields.text("resolution"),
            category: fields.text("category"),
            refund_amount: fields.amount("refund_amount"),
            currency: fields.text("currency"),
            transaction_id: nested.map_or_else(|| fields.unsigned("transaction"), |nested| nested.unsigned("id")),
            transaction_reference: nested
                .and_then(|nested| nested.text("reference"))
                .or_else(|| fields.text("merchant_transaction_reference"))
                .or_else(|| fields.text("transaction_reference")),
            due_at: fields.time(["dueAt", "due_at"]),
            created_at: fields.time(["created_at", "createdAt"]),
            updated_at: fields.time(["updated_at", "updatedAt"]),
            resolved_at: fields.time(["resolvedAt", "resolved_at"]),
        })
    }
}

/// The query of `GET /dispute`. Absent fields are not sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListDisputes {
    /// Created at or after this time.
    pub from: Option<DateTime<Utc>>,
    /// Created at or before this time.
    pub to: Option<DateTime<Utc>>,
    /// Page number from 1.
    pub page: Option<u32>,
    /// Disputes per page; Paystack's default is 50.
    pub per_page: Option<u32>,
    /// Any but `archived`.
    pub status: Option<DisputeStatus>,
    /// The transaction's id.
    pub transaction: Option<u64>,
}

/// How the merchant answers a dispute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Resolution {
    /// The money goes back.
    MerchantAccepted,
    /// The merchant keeps the money, and says why.
    Declined,
}

/// The body of `PUT /dispute/{id}/resolve`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ResolveDispute {
    /// The answer.
    pub resolution: Resolution,
    /// Why, for the customer's bank.
    pub message: String,
    /// What goes back, in the subunit; 0 where it is declined.
    pub refund_amount: i64,
    /// The name of an uploaded proof (`GET /dispute/{id}/upload_url`); Paystack
    /// wants the field, an empty one where there is no proof.
    pub uploaded_filename: String,
    /// The id of evidence that was sent before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<u64>,
}
