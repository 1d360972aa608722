//! Paystack's list of banks.

use serde_json::Value;

use crate::Error;
use crate::fields::{Fields, required};

/// The currencies whose banks Paystack lists, ISO 4217 (Paystack's OpenAPI document, `GET /bank`).
pub const BANK_CURRENCIES: [&str; 4] = ["GHS", "KES", "NGN", "ZAR"];

/// One bank, or a provider of mobile money.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bank {
    /// Paystack's id, which refunds are retried with.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// Its code within the country, which accounts are looked up with.
    pub code: String,
    /// Its country in words, such as `Nigeria`.
    pub country: Option<String>,
    /// ISO 4217 code of its accounts.
    pub currency: Option<String>,
    /// `nuban`, `mobile_money`, `ghipps`, …
    pub kind: Option<String>,
    /// Whether it is in use.
    pub is_active: bool,
}

impl TryFrom<&Value> for Bank {
    type Error = Error;

    /// Reads one item of the list.
    ///
    /// # Errors
    /// [`Error::Decode`] if `id`, `name` or `code` is missing or unusable.
    fn try_from(data: &Value) -> Result<Self, Error> {
        let fields = Fields(data);
        Ok(Self {
            id: required(fields.unsigned("id"), "id")?,
            name: required(fields.text("name"), "name")?,
            code: required(fields.text("code"), "code")?,
            country: fields.text("country"),
            currency: fields.text("currency"),
            kind: fields.text("type"),
            is_active: fields.flag("active") != Some(false) && fields.flag("is_deleted") != Some(true),
        })
    }
}

/// The query of `GET /bank`. Absent fields are not sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListBanks {
    /// `ghana`, `kenya`, `nigeria` or `south africa`.
    pub country: Option<String>,
    /// ISO 4217 code.
    pub currency: Option<String>,
    /// `ghipps`, `mobile_money`, `nuban`, `kepss` or `basa`.
    pub kind: Option<String>,
}
