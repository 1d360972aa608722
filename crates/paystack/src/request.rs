//! What the client sends about transactions, and pages of a list.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::client::Answer;
use crate::fields::{Fields, required};
use crate::{Error, Reference, TransactionStatus};

/// The body of `POST /transaction/initialize`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct InitializeTransaction {
    /// The payer's e-mail address.
    pub email: String,
    /// In the subunit, sent as a JSON integer. Minimums: NGN 5000, GHS 10.
    pub amount: i64,
    /// ISO 4217 code; without it Paystack would take the account's default.
    pub currency: String,
    /// The id of this payment attempt.
    pub reference: Reference,
    /// The ways to pay that the page offers, such as `card` or `bank_transfer`; none: all that the account has.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<String>,
    /// Where Paystack sends the browser afterwards, with `trxref` and
    /// `reference` added. Without it, the dashboard's URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub callback_url: Option<String>,
    /// Comes back unchanged in `verify` and in webhooks.
    #[serde(skip_serializing_if = "Metadata::is_empty")]
    pub metadata: Metadata,
}

/// The `metadata` object of a transaction.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Metadata {
    /// Where the browser goes if the customer cancels (Paystack, "Metadata").
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cancel_action: Option<String>,
    /// Any other key; `custom_fields` are shown on Paystack's dashboard.
    #[serde(flatten)]
    pub fields: Map<String, Value>,
}

impl Metadata {
    fn is_empty(&self) -> bool {
        self.cancel_action.is_none() && self.fields.is_empty()
    }
}

/// The answer to `initialize`: where to send the browser.
#[derive(Clone, PartialEq, Eq)]
pub struct InitializedTransaction {
    /// The hosted payment page.
    pub authorization_url: String,
    /// The page's key, for Paystack's browser library.
    pub access_code: String,
    /// The reference sent.
    pub reference: String,
}

impl TryFrom<&Value> for InitializedTransaction {
    type Error = Error;

    fn try_from(data: &Value) -> Result<Self, Error> {
        let fields = Fields(data);
        Ok(Self {
            authorization_url: required(fields.text("authorization_url"), "authorization_url")?,
            access_code: required(fields.text("access_code"), "access_code")?,
            reference: required(fields.text("reference"), "reference")?,
        })
    }
}

/// Shows the reference only: whoever has the page's address can see the payment.
impl fmt::Debug for InitializedTransaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InitializedTransaction").field("reference", &self.reference).finish_non_exhaustive()
    }
}

/// The query of `GET /transaction`. Absent fields are not sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListTransactions {
    /// Page number from 1.
    pub page: Option<u32>,
    /// Transactions per page; Paystack's default is 50.
    pub per_page: Option<u32>,
    /// Created at or after this time.
    pub from: Option<DateTime<Utc>>,
    /// Created at or before this time.
    pub to: Option<DateTime<Utc>>,
    /// `success`, `failed` or `abandoned`.
    pub status: Option<TransactionStatus>,
}

/// One page of a list, newest first. Paystack leaves out some of the numbers,
/// depending on the kind of paging.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The items of this page.
    pub items: Vec<T>,
    /// Items over all pages.
    pub total: Option<u64>,
    /// This page's number, from 1.
    pub page: Option<u64>,
    /// Number of pages.
    pub page_count: Option<u64>,
    /// Items per page.
    pub per_page: Option<u64>,
}

impl<T: for<'a> TryFrom<&'a Value, Error = Error>> Page<T> {
    pub(crate) fn read(answer: &Answer) -> Result<Self, Error> {
        let items = required(answer.data.as_array(), "data")?;
        let meta = Fields(&answer.meta);
        Ok(Self {
            items: items.iter().map(T::try_from).collect::<Result<_, _>>()?,
            total: meta.unsigned("total"),
            page: meta.unsigned("page"),
            page_count: meta.unsigned("pageCount"),
            per_page: meta.unsigned("perPage"),
        })
    }
}
