//! What an order is.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::fulfilment::{Fulfilment, FulfilmentState, FulfilmentView};
use super::payment_method::{PaymentMethod, TransferInstructions};
use super::returns::{Return, ReturnView};
use super::status::{Actor, Status};
use crate::features::payments::{BuyerRefund, Refund};
use crate::platform::address::{Address, Country};
use crate::platform::config::Payments;
use crate::platform::format::absolute_url;
use crate::platform::ids::{CartId, OrderId, OrderItemId, ProductId, UserId, VariantId};
use crate::platform::money::{Amount, Overflow};

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
    pub tax_included_minor: i64,
    pub taxes: Vec<OrderTax>,
    pub total_minor: i64,
    pub paid_minor: i64,
    pub coupon_code: Option<String>,
    pub shipping_address: serde_json::Value,
    pub shipping_method: String,
    pub shipping_name: Option<String>,
    pub payment_method: PaymentMethod,
    pub notes: Option<String>,
    pub tracking_number: Option<String>,
    pub fulfilment_status: FulfilmentState,
    pub on_review: bool,
    pub version: i32,
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
    pub discount_minor: i64,
    pub tax_minor: i64,
    pub tax_included_minor: i64,
    #[serde(default)]
    pub fulfilled_quantity: i32,
    #[serde(default)]
    pub shipped_quantity: i32,
    #[serde(default)]
    pub returned_quantity: i32,
    #[serde(default)]
    pub cancelled_quantity: i32,
}

impl OrderItem {
    /// Units that are in no parcel and are still to be sent.
    pub fn left_to_pack(&self) -> i32 {
        self.quantity - self.fulfilled_quantity - self.cancelled_quantity
    }

    /// What the buyer has paid for so many units, behind `before` others of the line: its price less its part of the discount,
    /// with its taxes on top, in minor units. The parts of a line add up to the whole, whatever they are.
    ///
    /// # Errors
    /// `Overflow`, of what no order holds.
    pub fn paid_for(&self, before: u32, units: u32) -> Result<Amount, Overflow> {
        let whole = Amount(self.total_minor - self.discount_minor + self.tax_minor);
        let all = u32::try_from(self.quantity).unwrap_or_default();
        let up_to = |units: u32| whole.part(units.min(all), all);
        up_to(before.saturating_add(units))?.checked_sub(up_to(before)?)
    }
}

impl Order {
    /// The name of whoever gets it.
    pub fn recipient(&self) -> String {
        let text = |key: &str| self.shipping_address[key].as_str().unwrap_or_default();
        format!("{} {}", text("firstName"), text("lastName")).trim().to_owned()
    }

    /// Where it goes, line by line, without the recipient.
    pub fn address_lines(&self) -> Vec<String> {
        let text = |key: &str| self.shipping_address[key].as_str().unwrap_or_default().trim();
        let town = [text("city"), text("region"), text("postalCode")];
        let town: Vec<_> = town.into_iter().filter(|part| !part.is_empty()).collect();
        let country = text("country").parse::<Country>();
        let country = country.as_ref().map_or_else(|_| text("country"), |country| country.name());
        let lines = [text("addressLine1"), text("addressLine2"), text("landmark"), &town.join(", "), country];
        lines.into_iter().filter(|line| !line.is_empty()).map(str::to_owned).collect()
    }

    /// The way of shipping in words.
    pub fn shipping_label(&self) -> &str {
        self.shipping_name.as_deref().unwrap_or(&self.shipping_method)
    }

    /// How it is paid, while it waits for a transfer to an account of the shop.
    pub fn transfer(&self, config: &Payments) -> Option<TransferInstructions> {
        (self.payment_method == PaymentMethod::ManualTransfer && self.status.awaits_payment()).then(|| {
            TransferInstructions {
                accounts: config.accounts(&self.currency),
                reference: self.number.clone(),
                amount: Amount(self.total_minor),
                currency: self.currency.clone(),
            }
        })
    }
}

/// A component of an order's tax, as it was when the order was placed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderTax {
    /// As the order and the invoice show it.
    pub name: String,
    /// 750 is 7.5 %.
    pub rate_basis_points: u32,
    /// Whether it is within the prices; else it is on top.
    pub included: bool,
    /// In minor units, with its part on the carriage.
    pub amount_minor: i64,
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
    /// Who made it happen.
    pub actor: Actor,
    /// More words.
    pub note: Option<String>,
    /// The account of whoever made it happen; for staff only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor_id: Option<UserId>,
    /// Whether the words are for the staff only; for staff only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub internal: Option<bool>,
    /// When.
    pub at: DateTime<Utc>,
}

/// An order as its buyer and the staff see it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrderView {
    id: OrderId,
    #[schema(example = "AGP2026000001H")]
    order_number: String,
    status: Status,
    payment_status: PaymentStatus,
    email: String,
    items: Vec<OrderItemView>,
    #[schema(value_type = Address)]
    shipping_address: serde_json::Value,
    /// The code of the way of shipping.
    #[schema(example = "standard")]
    shipping_method: String,
    /// Its name.
    #[schema(example = "Standard (5–7 days)")]
    shipping_name: String,
    payment_method: PaymentMethod,
    /// How it is paid, while it waits for a transfer to an account of the shop; where its buyer asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    transfer: Option<TransferInstructions>,
    /// What the shop says about where the order stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    notice: Option<&'static str>,
    currency: String,
    subtotal: Amount,
    discount: Amount,
    #[schema(example = "WELCOME10")]
    coupon_code: Option<String>,
    shipping: Amount,
    /// On top of the prices: `subtotal - discount + shipping + tax = total`.
    tax: Amount,
    /// Within the prices.
    tax_included: Amount,
    /// Each component of the tax.
    taxes: Vec<OrderTaxView>,
    total: Amount,
    notes: Option<String>,
    /// Of the parcel that was packed last.
    tracking_number: Option<String>,
    fulfilment_status: FulfilmentState,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    paid_at: Option<DateTime<Utc>>,
    /// When an unpaid order is given up.
    expires_at: Option<DateTime<Utc>>,
    /// What has happened so far; on a single order only.
    #[serde(skip_serializing_if = "Option::is_none")]
    timeline: Option<Vec<Event>>,
    /// Its parcels; on a single order only.
    #[serde(skip_serializing_if = "Option::is_none")]
    fulfilments: Option<Vec<FulfilmentView>>,
    /// What is sent back; on a single order only.
    #[serde(skip_serializing_if = "Option::is_none")]
    returns: Option<Vec<ReturnView>>,
    /// What goes back of the money; on a single order only.
    #[serde(skip_serializing_if = "Option::is_none")]
    refunds: Option<Vec<BuyerRefund>>,
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
    /// Units that have left the house.
    shipped: i32,
    /// Units that are sent back, or are to be.
    returned: i32,
    /// Units that are not sent, as their money goes back.
    cancelled: i32,
    /// What one unit cost.
    price: Amount,
    /// Of all units, before discount and tax.
    total: Amount,
    /// The line's part of the order's discount.
    discount: Amount,
    /// The line's taxes on top of its price.
    tax: Amount,
    /// The line's taxes within its price.
    tax_included: Amount,
}

/// A component of the tax.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct OrderTaxView {
    #[schema(example = "VAT")]
    name: String,
    /// 750 is 7.5 %.
    #[schema(example = 750)]
    rate_basis_points: u32,
    /// Whether it is within the prices; else it is on top.
    included: bool,
    amount: Amount,
}

impl OrderTaxView {
    pub(super) fn new(tax: &OrderTax) -> Self {
        let OrderTax { name, rate_basis_points, included, amount_minor } = tax;
        Self {
            name: name.clone(),
            rate_basis_points: *rate_basis_points,
            included: *included,
            amount: Amount(*amount_minor),
        }
    }
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
                    shipped: item.shipped_quantity,
                    returned: item.returned_quantity,
                    cancelled: item.cancelled_quantity,
                    price: Amount(item.unit_price_minor),
                    total: Amount(item.total_minor),
                    discount: Amount(item.discount_minor),
                    tax: Amount(item.tax_minor),
                    tax_included: Amount(item.tax_included_minor),
                })
                .collect(),
            shipping_address: order.shipping_address.clone(),
            shipping_method: order.shipping_method.clone(),
            shipping_name: order.shipping_label().to_owned(),
            payment_method: order.payment_method,
            transfer: None,
            notice: order.on_review.then_some("We are checking your order. It goes on as soon as that is done."),
            currency: order.currency.clone(),
            subtotal: Amount(order.subtotal_minor),
            discount: Amount(order.discount_minor),
            coupon_code: order.coupon_code.clone(),
            shipping: Amount(order.shipping_minor),
            tax: Amount(order.tax_minor),
            tax_included: Amount(order.tax_included_minor),
            taxes: order.taxes.iter().map(OrderTaxView::new).collect(),
            total: Amount(order.total_minor),
            notes: order.notes.clone(),
            tracking_number: order.tracking_number.clone(),
            fulfilment_status: order.fulfilment_status,
            created_at: order.placed_at,
            updated_at: order.updated_at,
            paid_at: order.paid_at,
            expires_at: order.expires_at,
            timeline: None,
            fulfilments: None,
            returns: None,
            refunds: None,
        }
    }

    /// With how it is paid.
    pub(super) fn paid_by(mut self, transfer: Option<TransferInstructions>) -> Self {
        self.transfer = transfer;
        self
    }

    /// With what has become of it.
    pub(super) fn with(
        mut self,
        timeline: Vec<Event>,
        parcels: Vec<Fulfilment>,
        returns: Vec<Return>,
        refunds: &[Refund],
    ) -> Self {
        self.refunds = Some(refunds.iter().filter_map(BuyerRefund::of).collect());
        self.timeline = Some(timeline);
        self.fulfilments = Some(parcels.into_iter().map(FulfilmentView::from).collect());
        self.returns = Some(returns.into_iter().map(ReturnView::from).collect());
        self
    }
}
