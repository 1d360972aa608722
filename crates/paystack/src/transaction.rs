//! A transaction as `verify`, `list` and the charge webhooks describe it.

use std::fmt;

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::Error;
use crate::fields::{Fields, required};

/// Where a transaction stands (Paystack API reference, "Transaction status").
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum TransactionStatus {
    /// The money was taken.
    Success,
    /// The last try failed. While the payment page is open the customer may try
    /// again, so a later success of the same reference is still to be honoured.
    Failed,
    /// Not completed. It may still become a success.
    Abandoned,
    /// The customer is acting: an OTP, a transfer.
    Ongoing,
    /// In progress.
    Pending,
    /// A direct debit in progress.
    Processing,
    /// Waits in a bulk charge.
    Queued,
    /// Refunded or charged back.
    Reversed,
    /// A status this crate does not know, as received.
    Other(String),
}

impl TransactionStatus {
    /// The status in Paystack's spelling.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Success => "success",
            Self::Failed => "failed",
            Self::Abandoned => "abandoned",
            Self::Ongoing => "ongoing",
            Self::Pending => "pending",
            Self::Processing => "processing",
            Self::Queued => "queued",
            Self::Reversed => "reversed",
            Self::Other(text) => text,
        }
    }

    /// Whether Paystack calls the status final (API reference, "Transaction
    /// status"). An abandoned transaction is not; but see `Failed`, and a success
    /// may still be reversed.
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Success | Self::Failed | Self::Reversed)
    }
}

impl From<&str> for TransactionStatus {
    fn from(text: &str) -> Self {
        match text {
            "success" => Self::Success,
            "failed" => Self::Failed,
            "abandoned" => Self::Abandoned,
            "ongoing" => Self::Ongoing,
            "pending" => Self::Pending,
            "processing" => Self::Processing,
            "queued" => Self::Queued,
            "reversed" => Self::Reversed,
            other => Self::Other(other.to_owned()),
        }
    }
}

impl fmt::Display for TransactionStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Paystack's mode: which of the merchant's keys made the transaction.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Domain {
    /// Made with a test key; no money moved.
    Test,
    /// Made with a live key.
    Live,
    /// Another word as received; empty if the field was absent.
    Other(String),
}

impl From<&str> for Domain {
    fn from(text: &str) -> Self {
        match text {
            "test" => Self::Test,
            "live" => Self::Live,
            other => Self::Other(other.to_owned()),
        }
    }
}

/// One transaction. Before fulfilling, check status, amount, currency, domain
/// and that the reference belongs to the order.
#[derive(Debug, Clone, PartialEq)]
pub struct Transaction {
    /// Paystack's id, an unsigned 64-bit number.
    pub id: u64,
    /// Test or live.
    pub domain: Domain,
    /// Where the transaction stands.
    pub status: TransactionStatus,
    /// The merchant's reference.
    pub reference: String,
    /// What was charged, in the subunit.
    pub amount: i64,
    /// ISO 4217 code.
    pub currency: String,
    /// What was asked for, in the subunit; `amount` differs from it if the
    /// customer bears the fees.
    pub requested_amount: Option<i64>,
    /// Paystack's charge, in the subunit.
    pub fees: Option<i64>,
    /// How it was paid: `card`, `bank_transfer`, `mobile_money`, …
    pub channel: Option<String>,
    /// The processor's words, such as "Approved" or "Declined".
    pub gateway_response: Option<String>,
    /// When the money was taken.
    pub paid_at: Option<DateTime<Utc>>,
    /// When the transaction was initialized.
    pub created_at: Option<DateTime<Utc>>,
    /// What was sent at initialization: an object, a string, `""`, `0` or null.
    pub metadata: Value,
    /// The means of payment, once one was used.
    pub authorization: Option<Authorization>,
    /// The payer.
    pub customer: Option<Customer>,
}

impl TryFrom<&Value> for Transaction {
    type Error = Error;

    /// Reads the `data` object of an answer or a charge event.
    ///
    /// # Errors
    /// [`Error::Decode`] if `id`, `status`, `reference`, `amount` or `currency`
    /// is missing or unusable; everything else is optional.
    fn try_from(data: &Value) -> Result<Self, Error> {
        let fields = Fields(data);
        let status = required(fields.text("status"), "status")?;
        Ok(Self {
            id: required(fields.unsigned("id"), "id")?,
            domain: Domain::from(fields.text("domain").unwrap_or_default().as_str()),
            status: TransactionStatus::from(status.as_str()),
            reference: required(fields.text("reference"), "reference")?,
            amount: required(fields.amount("amount"), "amount")?,
            currency: required(fields.text("currency"), "currency")?,
            requested_amount: fields.amount("requested_amount"),
            fees: fields.amount("fees"),
            channel: fields.text("channel"),
            gateway_response: fields.text("gateway_response"),
            paid_at: fields.time(["paid_at", "paidAt"]),
            created_at: fields.time(["created_at", "createdAt"]),
            metadata: fields.value("metadata").cloned().unwrap_or_default(),
            authorization: fields.object("authorization").map(Authorization::read),
            customer: fields.object("customer").map(Customer::read),
        })
    }
}

/// The means of payment that Paystack keeps for later charges.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Authorization {
    /// `AUTH_…`; charges again if `reusable`.
    pub authorization_code: Option<String>,
    /// First digits of the card, or of the phone for mobile money.
    pub bin: Option<String>,
    /// Last four digits.
    pub last4: Option<String>,
    /// Two digits.
    pub exp_month: Option<String>,
    /// Four digits.
    pub exp_year: Option<String>,
    /// `card`, `mobile_money`, …
    pub channel: Option<String>,
    /// Such as `visa`; Paystack's outer blanks are removed.
    pub card_type: Option<String>,
    /// The bank's name.
    pub bank: Option<String>,
    /// ISO 3166 alpha-2 code of the bank's country.
    pub country_code: Option<String>,
    /// Such as `visa`.
    pub brand: Option<String>,
    /// Whether `authorization_code` may be charged again.
    pub reusable: Option<bool>,
    /// `SIG_…`; the same for the same card, whatever the code.
    pub signature: Option<String>,
    /// The holder's name.
    pub account_name: Option<String>,
}

impl Authorization {
    fn read(fields: Fields<'_>) -> Self {
        Self {
            authorization_code: fields.text("authorization_code"),
            bin: fields.text("bin"),
            last4: fields.text("last4"),
            exp_month: fields.text("exp_month"),
            exp_year: fields.text("exp_year"),
            channel: fields.text("channel"),
            card_type: fields.text("card_type"),
            bank: fields.text("bank"),
            country_code: fields.text("country_code"),
            brand: fields.text("brand"),
            reusable: fields.flag("reusable"),
            signature: fields.text("signature"),
            account_name: fields.text("account_name"),
        }
    }
}

/// The payer as Paystack knows them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Customer {
    /// Paystack's id.
    pub id: Option<u64>,
    /// The e-mail address given at initialization.
    pub email: Option<String>,
    /// `CUS_…`; the same for the same e-mail address.
    pub customer_code: Option<String>,
    /// Given name.
    pub first_name: Option<String>,
    /// Family name.
    pub last_name: Option<String>,
    /// Phone number as the customer wrote it.
    pub phone: Option<String>,
}

impl Customer {
    fn read(fields: Fields<'_>) -> Self {
        Self {
            id: fields.unsigned("id"),
            email: fields.text("email"),
            customer_code: fields.text("customer_code"),
            first_name: fields.text("first_name"),
            last_name: fields.text("last_name"),
            phone: fields.text("phone"),
        }
    }
}
