//! What a payment is.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::platform::ids::{OrderId, PaymentId, UserId};
use crate::platform::money::Amount;

/// Where a payment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, sqlx::Type, ToSchema)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum PaymentStatus {
    /// Its reference is stored; the provider has not answered yet.
    Created,
    /// The shopper may pay.
    Open,
    /// The money is here and fits.
    Success,
    /// The provider refused it.
    Failed,
    /// Given up.
    Abandoned,
    /// Money came that does not fit the order; staff decides.
    Flagged,
}

/// An attempt to pay an order.
#[derive(Clone, Debug)]
pub struct Payment {
    /// The attempt.
    pub id: PaymentId,
    /// The order.
    pub order_id: OrderId,
    /// The order's account; none for a guest's.
    pub user_id: Option<UserId>,
    /// The order's number.
    pub order_number: String,
    /// Our name for the attempt at the provider.
    pub reference: String,
    /// Where it stands.
    pub status: PaymentStatus,
    /// What is to be paid, in minor units.
    pub amount_minor: i64,
    /// ISO 4217.
    pub currency: String,
    /// The provider's page.
    pub authorization_url: Option<String>,
    /// The provider's code for its popup.
    pub access_code: Option<String>,
    /// How it was paid.
    pub channel: Option<String>,
    /// The card's brand.
    pub card_brand: Option<String>,
    /// The card's last four digits.
    pub card_last4: Option<String>,
    /// When the money came.
    pub paid_at: Option<DateTime<Utc>>,
    /// Why it is flagged.
    pub flag_reason: Option<String>,
}

/// A payment as staff see it beside its order.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrderPayment {
    /// The attempt.
    pub id: PaymentId,
    /// Our name for the attempt at the provider.
    pub reference: String,
    /// Where it stands.
    pub status: PaymentStatus,
    /// What is to be paid.
    pub amount: Amount,
    /// What came.
    pub paid: Amount,
    /// What goes back, or went.
    pub refunded: Amount,
    /// Why it is flagged.
    pub flag_reason: Option<String>,
    /// When it was begun.
    pub created_at: DateTime<Utc>,
    /// When the money came.
    pub paid_at: Option<DateTime<Utc>>,
    /// What goes back of it.
    #[schema(value_type = Vec<OrderRefund>)]
    pub refunds: sqlx::types::Json<Vec<OrderRefund>>,
}

/// Money that goes back.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrderRefund {
    /// `pending` until the provider has been told, then `processing`, `processed`, `failed` or `needs_attention`.
    pub status: String,
    /// How much.
    pub amount: Amount,
    /// Why.
    pub reason: Option<String>,
    /// Since when.
    pub created_at: DateTime<Utc>,
}

/// What the provider says about money that came.
#[derive(Clone, Debug)]
pub struct Proof {
    /// The provider's id of the transaction.
    pub transaction_id: i64,
    /// In minor units, fees that the shopper bears included.
    pub amount_minor: i64,
    /// How it was paid.
    pub channel: Option<String>,
    /// The card's brand.
    pub card_brand: Option<String>,
    /// The card's last four digits.
    pub card_last4: Option<String>,
    /// The provider's words.
    pub gateway_response: Option<String>,
    /// When the provider took it.
    pub paid_at: DateTime<Utc>,
}

impl Payment {
    /// How it was paid, in words for the receipt.
    pub fn method_label(&self) -> String {
        match (&self.card_brand, &self.card_last4, self.channel.as_deref()) {
            (Some(brand), Some(last4), _) => {
                let mut letters = brand.chars();
                let brand: String =
                    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default();
                format!("{brand} ending {last4}")
            }
            (_, _, Some("bank_transfer")) => "Bank transfer".into(),
            (_, _, Some("mobile_money")) => "Mobile money".into(),
            (_, _, Some("ussd")) => "USSD".into(),
            (_, _, Some("bank")) => "Bank account".into(),
            _ => "Paystack".into(),
        }
    }
}
