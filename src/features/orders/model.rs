//! What an order is.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::platform::address::Address;
use crate::platform::config::Orders;
use crate::platform::format::absolute_url;
use crate::platform::ids::{CartId, OrderId, OrderItemId, ProductId, UserId, VariantId};
use crate::platform::money::Amount;

/// Where an order stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, sqlx::Type, ToSchema)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum Status {
    /// Not complete yet.
    Pending,
    /// Stock is set aside and the shop waits for the money.
    PendingPayment,
    /// A payment was tried and refused; another may follow.
    PaymentFailed,
    /// The money is here.
    Paid,
    /// Being packed.
    Processing,
    /// On its way.
    Shipped,
    /// Arrived.
    Delivered,
    /// Given up, by the shopper, the staff or the clock.
    Cancelled,
    /// A part of the money went back.
    PartiallyRefunded,
    /// All money went back.
    Refunded,
    /// The shopper wants to send goods back.
    ReturnRequested,
    /// Goods came back.
    Returned,
}

impl Status {
    /// Every status.
    pub const ALL: [Self; 12] = [
        Self::Pending,
        Self::PendingPayment,
        Self::PaymentFailed,
        Self::Paid,
        Self::Processing,
        Self::Shipped,
        Self::Delivered,
        Self::Cancelled,
        Self::PartiallyRefunded,
        Self::Refunded,
        Self::ReturnRequested,
        Self::Returned,
    ];

    /// The moves that an order may make: the whole table.
    pub fn may_become(self, next: Self) -> bool {
        use Status::*;
        match self {
            Pending => matches!(next, PendingPayment | Cancelled),
            PendingPayment => matches!(next, Paid | PaymentFailed | Cancelled),
            PaymentFailed => matches!(next, PendingPayment | Paid | Cancelled),
            // Money that arrives after the order was given up revives it, if its goods are still there.
            Cancelled => matches!(next, Paid),
            Paid => matches!(next, Processing | Shipped | PartiallyRefunded | Refunded | Cancelled),
            Processing => matches!(next, Shipped | PartiallyRefunded | Refunded | Cancelled),
            Shipped => matches!(next, Delivered | ReturnRequested | PartiallyRefunded | Refunded),
            Delivered => matches!(next, ReturnRequested | PartiallyRefunded | Refunded),
            ReturnRequested => matches!(next, Returned | Delivered),
            Returned => matches!(next, PartiallyRefunded | Refunded),
            PartiallyRefunded => matches!(next, Processing | Shipped | Delivered | ReturnRequested | Refunded),
            Refunded => false,
        }
    }

    /// Whether the shop still waits for money.
    pub fn awaits_payment(self) -> bool {
        matches!(self, Self::Pending | Self::PendingPayment | Self::PaymentFailed)
    }

    /// The name, as stored and sent.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::PendingPayment => "pending_payment",
            Self::PaymentFailed => "payment_failed",
            Self::Paid => "paid",
            Self::Processing => "processing",
            Self::Shipped => "shipped",
            Self::Delivered => "delivered",
            Self::Cancelled => "cancelled",
            Self::PartiallyRefunded => "partially_refunded",
            Self::Refunded => "refunded",
            Self::ReturnRequested => "return_requested",
            Self::Returned => "returned",
        }
    }
}

/// How the goods travel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, sqlx::Type, ToSchema)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum ShippingMethod {
    /// 5 to 7 days.
    #[default]
    Standard,
    /// 2 to 3 days.
    Express,
    /// 1 day.
    Overnight,
}

impl ShippingMethod {
    /// The method in words.
    pub fn label(self) -> &'static str {
        match self {
            Self::Standard => "Standard (5–7 days)",
            Self::Express => "Express (2–3 days)",
            Self::Overnight => "Overnight (1 day)",
        }
    }
}

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
            Self::Paystack => (config.reservation_minutes, config.unpaid_minutes),
            Self::BankTransfer => (config.transfer_reservation_minutes, config.transfer_unpaid_minutes),
        };
        Patience { reserved: TimeDelta::minutes(reserved), unpaid: TimeDelta::minutes(unpaid) }
    }

    /// The channels of the provider's page, where not all are wanted.
    pub fn channels(self) -> Vec<String> {
        match self {
            Self::Paystack => Vec::new(),
            Self::BankTransfer => vec!["bank_transfer".into()],
        }
    }
}

/// An order.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the fields are the columns of `orders`, described in the migration")]
pub struct Order {
    pub id: OrderId,
    pub number: String,
    pub user_id: Option<UserId>,
    pub cart_id: Option<CartId>,
    pub email: String,
    pub status: Status,
    pub currency: String,
    pub subtotal_minor: i64,
    pub discount_minor: i64,
    pub shipping_minor: i64,
    pub tax_minor: i64,
    pub total_minor: i64,
    pub shipping_address: serde_json::Value,
    pub shipping_method: ShippingMethod,
    pub payment_method: PaymentMethod,
    pub notes: Option<String>,
    pub tracking_number: Option<String>,
    pub placed_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub paid_at: Option<DateTime<Utc>>,
    pub expires_at: Option<DateTime<Utc>>,
    pub items: Vec<OrderItem>,
}

/// A line of an order, as sold.
#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "the fields are the columns of `order_items`, described in the migration")]
pub struct OrderItem {
    pub id: OrderItemId,
    pub product_id: ProductId,
    pub variant_id: VariantId,
    pub sku: String,
    pub title: String,
    pub variant_name: String,
    pub image_url: Option<String>,
    pub unit_price_minor: i64,
    pub quantity: i32,
    pub total_minor: i64,
    pub tax_minor: i64,
}

/// An entry of the order's timeline.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// What happened, such as `placed` or `paid`.
    pub r#type: String,
    /// The status before, where it changed.
    pub from: Option<Status>,
    /// The status after, where it changed.
    pub to: Option<Status>,
    /// `customer`, `staff`, `system` or `provider`.
    pub actor: String,
    /// More words.
    pub note: Option<String>,
    /// When.
    pub at: DateTime<Utc>,
}

/// An order as its buyer and the staff see it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct OrderView {
    id: OrderId,
    #[schema(example = "AGP2026000001H")]
    order_number: String,
    status: Status,
    payment_status: PaymentStatus,
    email: String,
    items: Vec<OrderItemView>,
    #[schema(value_type = Address)]
    shipping_address: serde_json::Value,
    shipping_method: ShippingMethod,
    payment_method: PaymentMethod,
    currency: String,
    subtotal: Amount,
    discount: Amount,
    shipping: Amount,
    tax: Amount,
    total: Amount,
    notes: Option<String>,
    tracking_number: Option<String>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    paid_at: Option<DateTime<Utc>>,
    /// When an unpaid order is given up.
    expires_at: Option<DateTime<Utc>>,
    /// What has happened so far; on a single order only.
    #[serde(skip_serializing_if = "Option::is_none")]
    timeline: Option<Vec<Event>>,
}

/// Whether the money is here.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum PaymentStatus {
    /// Not yet.
    Pending,
    /// Yes.
    Completed,
    /// The last try was refused, or the order was given up unpaid.
    Failed,
}

/// A line of an order.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct OrderItemView {
    id: OrderItemId,
    product_id: ProductId,
    variant_id: VariantId,
    sku: String,
    title: String,
    variant_name: String,
    image: Option<String>,
    quantity: i32,
    /// What one unit cost.
    price: Amount,
    total: Amount,
}

impl OrderView {
    /// `base` is this server's public address.
    pub(super) fn new(order: &Order, base: &str) -> Self {
        Self {
            id: order.id,
            order_number: order.number.clone(),
            status: order.status,
            payment_status: match order.status {
                _ if order.paid_at.is_some() => PaymentStatus::Completed,
                Status::PaymentFailed | Status::Cancelled => PaymentStatus::Failed,
                _ => PaymentStatus::Pending,
            },
            email: order.email.clone(),
            items: order
                .items
                .iter()
                .map(|item| OrderItemView {
                    id: item.id,
                    product_id: item.product_id,
                    variant_id: item.variant_id,
                    sku: item.sku.clone(),
                    title: item.title.clone(),
                    variant_name: item.variant_name.clone(),
                    image: item.image_url.as_ref().map(|url| absolute_url(url, base)),
                    quantity: item.quantity,
                    price: Amount(item.unit_price_minor),
                    total: Amount(item.total_minor),
                })
                .collect(),
            shipping_address: order.shipping_address.clone(),
            shipping_method: order.shipping_method,
            payment_method: order.payment_method,
            currency: order.currency.clone(),
            subtotal: Amount(order.subtotal_minor),
            discount: Amount(order.discount_minor),
            shipping: Amount(order.shipping_minor),
            tax: Amount(order.tax_minor),
            total: Amount(order.total_minor),
            notes: order.notes.clone(),
            tracking_number: order.tracking_number.clone(),
            created_at: order.placed_at,
            updated_at: order.updated_at,
            paid_at: order.paid_at,
            expires_at: order.expires_at,
            timeline: None,
        }
    }

    pub(super) fn with_timeline(mut self, timeline: Vec<Event>) -> Self {
        self.timeline = Some(timeline);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finished_order_does_not_come_back() {
        for next in Status::ALL {
            assert!(!Status::Refunded.may_become(next));
            assert!(!next.may_become(next), "{next:?} to itself");
        }
        assert!(!Status::Paid.may_become(Status::PendingPayment));
        assert!(!Status::Cancelled.may_become(Status::PendingPayment));
        assert!(!Status::Delivered.may_become(Status::Cancelled));
    }

    #[test]
    fn every_status_is_stored_by_its_wire_name() {
        for status in Status::ALL {
            assert_eq!(serde_json::to_value(status).unwrap(), status.as_str());
        }
    }
}
