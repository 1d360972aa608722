//! How an order is paid.

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::platform::config::{Orders, TransferAccount};
use crate::platform::money::Amount;

/// How the shopper pays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, sqlx::Type, ToSchema)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum PaymentMethod {
    /// On Paystack's page: card, bank, transfer, USSD, mobile money.
    #[default]
    #[serde(alias = "card")]
    Paystack,
    /// By bank transfer, to an account that Paystack's page shows. The order waits longer for its money.
    BankTransfer,
    /// By bank transfer to an account of the shop, with the order's number as the reference; the staff see the money come.
    ManualTransfer,
    /// In cash or by card when it arrives, or is fetched. The order is accepted without money.
    PayOnDelivery,
}

/// A way to pay, and whether an order may be paid so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PaymentMethodOffer {
    /// The way.
    pub method: PaymentMethod,
    /// Whether the order may be paid so.
    pub available: bool,
    /// Why not, in words for the shopper.
    pub reason: Option<String>,
}

/// How an order is paid by a transfer to the shop's own account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TransferInstructions {
    /// One of these.
    pub accounts: Vec<TransferAccount>,
    /// To be written on the transfer: the order's number.
    #[schema(example = "AGP2026000001H")]
    pub reference: String,
    /// How much.
    pub amount: Amount,
    /// ISO 4217.
    #[schema(example = "NGN")]
    pub currency: String,
}

/// How long an order waits for its money.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// With its stock set aside.
    pub reserved: TimeDelta,
    /// Until it is given up.
    pub unpaid: TimeDelta,
}

impl PaymentMethod {
    /// How long the shop waits.
    pub fn patience(self, config: &Orders) -> Patience {
        let (reserved, unpaid) = match self {
            Self::Paystack | Self::PayOnDelivery => (config.reservation_minutes, config.unpaid_minutes),
            Self::BankTransfer | Self::ManualTransfer => {
                (config.transfer_reservation_minutes, config.transfer_unpaid_minutes)
            }
        };
        Patience { reserved: TimeDelta::minutes(reserved), unpaid: TimeDelta::minutes(unpaid) }
    }

    /// The channels of the provider's page, where not all are wanted.
    pub fn channels(self) -> Vec<String> {
        match self {
            Self::BankTransfer => vec!["bank_transfer".into()],
            Self::Paystack | Self::ManualTransfer | Self::PayOnDelivery => Vec::new(),
        }
    }
}
