//! Coupons as staff see them.

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::model::{Code, Kind, Status, Worth};
use super::store::redemptions::Use;
use super::store::staff::{Stored, Whole};
use super::terms::Percent;
use crate::platform::ids::{CategoryId, CouponId, OrderId, ProductId};
use crate::platform::money::Amount;

/// For what a coupon is.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum AppliesTo {
    /// All goods.
    Everything,
    /// Those that its `productIds` and `categoryIds` name; nothing, once all of these are removed from the shop.
    Selection,
}

/// A coupon.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct CouponView {
    id: CouponId,
    #[schema(value_type = String)]
    code: Code,
    description: String,
    kind: Kind,
    amount: Option<Amount>,
    percent: Option<Percent>,
    max_discount: Option<Amount>,
    min_subtotal: Option<Amount>,
    starts_at: Option<DateTime<Utc>>,
    ends_at: Option<DateTime<Utc>>,
    usage_limit: Option<i32>,
    per_customer_limit: Option<i32>,
    first_order_only: bool,
    is_active: bool,
    applies_to: AppliesTo,
    /// At this moment.
    status: Status,
    /// Orders that use it, without those that were given up.
    used_count: i32,
    /// What it took off these orders.
    discount_total: Amount,
    /// Send it back with a change. Uses do not raise it.
    version: i32,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    archived_at: Option<DateTime<Utc>>,
}

impl CouponView {
    pub(super) fn new(stored: Stored, now: DateTime<Utc>) -> Self {
        let coupon = stored.coupon();
        let (amount, percent, max_discount) = match coupon.worth {
            Worth::Fixed(amount) => (Some(amount), None, None),
            Worth::Percentage { rate_basis_points, max } => (None, Some(Percent(rate_basis_points)), max),
            Worth::FreeShipping => (None, None, None),
        };
        Self {
            id: stored.id,
            status: if stored.archived_at.is_some() { Status::Archived } else { coupon.status(now) },
            code: stored.code,
            description: stored.description,
            kind: coupon.worth.kind(),
            amount,
            percent,
            max_discount,
            min_subtotal: coupon.min_subtotal,
            starts_at: stored.starts_at,
            ends_at: stored.ends_at,
            usage_limit: stored.usage_limit,
            per_customer_limit: stored.per_customer_limit,
            first_order_only: stored.first_order_only,
            is_active: stored.is_active,
            applies_to: if stored.is_scoped { AppliesTo::Selection } else { AppliesTo::Everything },
            used_count: stored.used_count,
            discount_total: Amount(stored.discount_total_minor),
            version: stored.version,
            created_at: stored.created_at,
            updated_at: stored.updated_at,
            archived_at: stored.archived_at,
        }
    }
}

/// A coupon with what it is for.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct WholeCouponView {
    #[serde(flatten)]
    coupon: CouponView,
    product_ids: Vec<ProductId>,
    category_ids: Vec<CategoryId>,
}

impl WholeCouponView {
    pub(super) fn new(whole: Whole, now: DateTime<Utc>) -> Self {
        Self { coupon: CouponView::new(whole.stored, now), product_ids: whole.products, category_ids: whole.categories }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CouponData {
    pub(super) coupon: WholeCouponView,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CouponsData {
    pub(super) coupons: Vec<CouponView>,
}

/// The codes of new coupons.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CodesData {
    #[schema(value_type = Vec<String>)]
    pub(super) codes: Vec<Code>,
}

/// An order that uses a coupon.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct UseView {
    order_id: OrderId,
    /// What the coupon took off.
    discount: Amount,
    redeemed_at: DateTime<Utc>,
    /// When the order was given up, and the use with it.
    returned_at: Option<DateTime<Utc>>,
}

impl From<Use> for UseView {
    fn from(row: Use) -> Self {
        Self {
            order_id: row.order_id,
            discount: Amount(row.discount_minor),
            redeemed_at: row.redeemed_at,
            returned_at: row.returned_at,
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct UsesData {
    pub(super) redemptions: Vec<UseView>,
}
