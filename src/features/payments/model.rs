//! What a payment is.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::refunds::{RefundOrigin, RefundStatus};
use crate::platform::ids::{OrderId, PaymentId, RefundId, UserId};
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

/// What becomes of money that does not fit its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, sqlx::Type, ToSchema)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum Decision {
    /// The shop keeps it for the order.
    Accept,
    /// All of it goes back.
    Refund,
}

impl PaymentStatus {
    /// Every status.
    pub const ALL: [Self; 6] = [Self::Created, Self::Open, Self::Success, Self::Failed, Self::Abandoned, Self::Flagged];

    /// The name, as stored and sent.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Open => "open",
            Self::Success => "success",
            Self::Failed => "failed",
            Self::Abandoned => "abandoned",
            Self::Flagged => "flagged",
        }
    }

    /// Whether the attempt has ended without money, which may come all the same.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Failed | Self::Abandoned)
    }
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
    /// What came, in minor units.
    pub paid_minor: i64,
    /// What goes back, or went, in minor units.
    pub refunded_minor: i64,
    /// The provider's number of the transaction; none as long as no money came, or where it did not come by the provider.
    pub provider_transaction_id: Option<i64>,
    /// In which currency the money came.
    pub paid_currency: String,
    /// What was decided about money that did not fit.
    pub decision: Option<Decision>,
}

impl Payment {
    /// What a buyer may want back, in minor units: what came, or what is to come where that is not known.
    pub fn at_stake_minor(&self) -> i64 {
        if self.paid_minor > 0 { self.paid_minor } else { self.amount_minor }
    }
}

/// Who brings the money of a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, sqlx::Type, ToSchema)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum Provider {
    /// Paystack.
    Paystack,
    /// The buyer's bank, to an account of the shop.
    ManualTransfer,
    /// The buyer, at the door.
    PayOnDelivery,
}

/// How money came that staff record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum HandChannel {
    /// To an account of the shop.
    BankTransfer,
    /// Cash.
    Cash,
    /// By card, on a terminal of the shop or the courier.
    Pos,
}

impl HandChannel {
    /// The name, as stored and sent.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BankTransfer => "bank_transfer",
            Self::Cash => "cash",
            Self::Pos => "pos",
        }
    }
}

/// A payment as staff see it beside its order.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrderPayment {
    /// The attempt.
    pub id: PaymentId,
    /// Who brings the money.
    pub provider: Provider,
    /// Our name for the attempt at the provider.
    pub reference: String,
    /// The bank's or the courier's name for money that staff recorded.
    pub received_reference: Option<String>,
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
    /// What was decided about money that did not fit; none while that is open.
    pub decision: Option<Decision>,
    /// What goes back of it, or went.
    #[schema(value_type = Vec<OrderRefund>)]
    pub refunds: sqlx::types::Json<Vec<OrderRefund>>,
}

/// A payment in the staff's lists.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct StaffPayment {
    /// The attempt.
    pub id: PaymentId,
    /// The order.
    pub order_id: OrderId,
    /// Its number.
    pub order_number: String,
    /// Through whom it was paid.
    #[schema(example = "paystack")]
    pub provider: String,
    /// Our name for the attempt at the provider.
    pub reference: String,
    /// Where it stands.
    pub status: PaymentStatus,
    /// What is to be paid.
    pub amount: Amount,
    /// In which currency.
    pub currency: String,
    /// What came.
    pub paid: Amount,
    /// In which currency it came.
    pub paid_currency: String,
    /// What goes back, or went.
    pub refunded: Amount,
    /// How it was paid.
    pub channel: Option<String>,
    /// The card's brand.
    pub card_brand: Option<String>,
    /// The card's last four digits.
    pub card_last4: Option<String>,
    /// The provider's words.
    pub gateway_response: Option<String>,
    /// Why it does not fit its order.
    pub flag_reason: Option<String>,
    /// What was decided about money that did not fit; none while that is open.
    pub decision: Option<Decision>,
    /// The member of the staff who decided; none where the shop's rules did.
    pub decided_by: Option<UserId>,
    /// When.
    pub decided_at: Option<DateTime<Utc>>,
    /// Why, in his words.
    pub decision_note: Option<String>,
    /// When it was begun.
    pub created_at: DateTime<Utc>,
    /// When the money came.
    pub paid_at: Option<DateTime<Utc>>,
}

/// Money that goes back, beside its payment.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrderRefund {
    /// The refund.
    pub id: RefundId,
    /// Where it stands.
    pub status: RefundStatus,
    /// Who asked for it.
    pub origin: RefundOrigin,
    /// How much.
    pub amount: Amount,
    /// Why.
    pub reason: Option<String>,
    /// Since when.
    pub created_at: DateTime<Utc>,
    /// When the money went.
    pub processed_at: Option<DateTime<Utc>>,
}

/// What the provider, or the staff, say about money that came.
#[derive(Clone, Debug)]
pub struct Proof {
    /// The provider's id of the transaction; none of what staff record.
    pub transaction_id: Option<i64>,
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
            (_, _, Some("cash")) => "Cash".into(),
            (_, _, Some("pos")) => "Card on delivery".into(),
            _ => "Paystack".into(),
        }
    }
}
