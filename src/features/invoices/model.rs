//! What an invoice is.

use chrono::{DateTime, Datelike, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::features::media::Place;
use crate::features::orders::{Order, PaymentMethod, Status};
use crate::platform::config::Config;
use crate::platform::ids::OrderId;

/// An invoice as it was issued.
#[derive(Clone, Debug)]
pub(super) struct Invoice {
    pub order_id: OrderId,
    /// Such as `INV-2026-000001`.
    pub number: String,
    pub seller: Seller,
    pub order_number: String,
    /// ISO 4217.
    pub currency: String,
    /// In minor units.
    pub total_minor: i64,
    /// Within the total, in minor units.
    pub tax_minor: i64,
    pub issued_at: DateTime<Utc>,
    /// Its file, and what that says.
    pub document: Option<(Place, Says)>,
}

/// What a file says that may be otherwise later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Says {
    pub stamp: Stamp,
    /// In minor units; not always the total, as staff may take another sum for it.
    pub paid_minor: i64,
    /// What of that has gone back, in minor units.
    pub refunded_minor: i64,
    /// Whether its buyer is on it, who was not erased then.
    pub names_buyer: bool,
}

/// Who sold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Seller {
    pub name: String,
    pub address: String,
    /// Such as a TIN; empty for none.
    pub tax_number: String,
    pub email: String,
}

impl Seller {
    /// The shop as it is now.
    pub(super) fn of(config: &Config) -> Self {
        let (store, invoices) = (&config.store, &config.invoices);
        let name = if invoices.seller.is_empty() { &store.name } else { &invoices.seller };
        Self {
            name: name.clone(),
            address: store.address.clone(),
            tax_number: invoices.tax_number.clone(),
            email: store.support_email.clone(),
        }
    }
}

/// What an invoice says of its payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, sqlx::Type, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
#[sqlx(type_name = "text", rename_all = "lowercase")]
pub(super) enum Stamp {
    /// It is paid on delivery.
    Due,
    /// It is paid.
    Paid,
    /// The order was given up after it was sold, or came back before it was paid.
    Cancelled,
    /// All that was paid has gone back.
    Refunded,
}

impl Stamp {
    /// What the invoice of an order says. None while nothing is sold: before it is paid or, where it is paid on delivery, accepted.
    pub(super) fn of(order: &Order) -> Option<Self> {
        let is_paid = order.paid_at.is_some();
        match order.status {
            Status::Refunded => Some(Self::Refunded),
            Status::Cancelled if is_paid => Some(Self::Cancelled),
            _ if is_paid => Some(Self::Paid),
            Status::Cancelled | Status::Pending | Status::PendingPayment | Status::PaymentFailed => None,
            _ if order.payment_method != PaymentMethod::PayOnDelivery => None,
            // All of it came back, and nobody owes anything.
            Status::Returned => Some(Self::Cancelled),
            _ => Some(Self::Due),
        }
    }
}

/// The year in which something is issued, on the shop's clock.
pub(super) fn year(at: DateTime<Utc>, utc_offset_minutes: i32) -> i32 {
    at.checked_add_signed(TimeDelta::minutes(utc_offset_minutes.into())).unwrap_or(at).year()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_year_is_that_of_the_shops_clock() {
        let at = "2026-12-31T23:30:00Z".parse().unwrap();
        assert_eq!((year(at, 60), year(at, 0), year(at, -600)), (2027, 2026, 2026));
    }
}
