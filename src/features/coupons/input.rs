//! Coupons as staff send them.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use utoipa::ToSchema;

use super::model::{Code, Kind};
use super::terms::{Draft, Percent, Rules};
use crate::platform::checked::Whole;
use crate::platform::http::json;
use crate::platform::ids::{CategoryId, ProductId};
use crate::platform::money::Amount;
use crate::platform::text::Text;

/// How many orders.
type Limit = Whole<1, 1_000_000_000>;

/// A new coupon. Amounts are of the shop's currency.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct CreateCoupon {
    /// 3 to 40 letters from A to Z, digits, `-` and `_`, in any case. Made at random when left out.
    #[schema(value_type = Option<String>, min_length = 3, max_length = 40, example = "WELCOME10")]
    pub(super) code: Option<Code>,
    /// For staff; shoppers do not see it.
    #[schema(value_type = Option<String>, max_length = 500)]
    description: Option<Text<0, 500>>,
    kind: Kind,
    /// What a `fixed` one takes off the goods that it is for, which is never more than they cost.
    amount: Option<Amount>,
    /// The share that a `percentage` takes off the goods that it is for.
    percent: Option<Percent>,
    /// The most that a `percentage` takes off.
    max_discount: Option<Amount>,
    /// What all goods of the order must cost at least, whatever the coupon is for; before the discount, tax and shipping.
    min_subtotal: Option<Amount>,
    /// From this moment on.
    starts_at: Option<DateTime<Utc>>,
    /// Before this moment.
    ends_at: Option<DateTime<Utc>>,
    /// Orders that may use it.
    #[schema(value_type = Option<i32>, minimum = 1, maximum = 1000000000)]
    usage_limit: Option<Limit>,
    /// Orders of one customer that may use it. He is known by the address of his account, or the one that a guest gives.
    #[schema(value_type = Option<i32>, minimum = 1, maximum = 1000000000)]
    per_customer_limit: Option<Limit>,
    /// Only for a customer who has no order yet, but for those that were given up.
    #[serde(default)]
    first_order_only: bool,
    #[serde(default = "yes")]
    #[schema(default = true)]
    is_active: bool,
    /// What it is for, with `categoryIds`; everything, where both are empty.
    #[serde(default)]
    #[schema(max_items = 1000)]
    product_ids: Vec<ProductId>,
    /// A category stands for all below it too.
    #[serde(default)]
    #[schema(max_items = 100)]
    category_ids: Vec<CategoryId>,
}

fn yes() -> bool {
    true
}

impl CreateCoupon {
    pub(super) fn into_draft(self) -> Draft {
        Draft {
            kind: self.kind,
            amount: self.amount,
            percent: self.percent,
            max_discount: self.max_discount,
            rules: Rules {
                description: self.description.map(Text::into_string).unwrap_or_default(),
                min_subtotal: self.min_subtotal,
                starts_at: self.starts_at,
                ends_at: self.ends_at,
                usage_limit: self.usage_limit.map(Whole::get),
                per_customer_limit: self.per_customer_limit.map(Whole::get),
                first_order_only: self.first_order_only,
                is_active: self.is_active,
                is_scoped: !self.product_ids.is_empty() || !self.category_ids.is_empty(),
                products: self.product_ids,
                categories: self.category_ids,
            },
        }
    }
}

/// Many coupons that differ in their codes only.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct CreateCoupons {
    #[schema(value_type = i32, minimum = 1, maximum = 1000)]
    pub(super) count: Whole<1, 1_000>,
    /// What all codes begin with, before ten random letters and digits.
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 30, example = "VIP-")]
    pub(super) prefix: Option<Text<0, 30>>,
    /// The terms of each, without `code`. `usageLimit` is 1 when left out.
    pub(super) coupon: CreateCoupon,
}

/// A change of a coupon. Fields that are left out stay as they are; `null` takes a condition away. With another `kind`, what the old one
/// was worth goes.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct UpdateCoupon {
    /// The version that the change is based on.
    pub(super) version: i32,
    #[serde(default, deserialize_with = "json::present")]
    #[schema(value_type = String, min_length = 3, max_length = 40)]
    pub(super) code: Option<Code>,
    #[serde(default, deserialize_with = "json::present")]
    #[schema(value_type = String, max_length = 500)]
    description: Option<Text<0, 500>>,
    #[serde(default, deserialize_with = "json::present")]
    #[schema(value_type = Kind)]
    kind: Option<Kind>,
    #[serde(default, deserialize_with = "json::present")]
    #[schema(value_type = Option<Amount>)]
    amount: Option<Option<Amount>>,
    #[serde(default, deserialize_with = "json::present")]
    #[schema(value_type = Option<Percent>)]
    percent: Option<Option<Percent>>,
    #[serde(default, deserialize_with = "json::present")]
    #[schema(value_type = Option<Amount>)]
    max_discount: Option<Option<Amount>>,
    #[serde(default, deserialize_with = "json::present")]
    #[schema(value_type = Option<Amount>)]
    min_subtotal: Option<Option<Amount>>,
    #[serde(default, deserialize_with = "json::present")]
    #[schema(value_type = Option<DateTime<Utc>>)]
    starts_at: Option<Option<DateTime<Utc>>>,
    #[serde(default, deserialize_with = "json::present")]
    #[schema(value_type = Option<DateTime<Utc>>)]
    ends_at: Option<Option<DateTime<Utc>>>,
    /// Not below the uses that there are.
    #[serde(default, deserialize_with = "json::present")]
    #[schema(value_type = Option<i32>, minimum = 1, maximum = 1000000000)]
    usage_limit: Option<Option<Limit>>,
    #[serde(default, deserialize_with = "json::present")]
    #[schema(value_type = Option<i32>, minimum = 1, maximum = 1000000000)]
    per_customer_limit: Option<Option<Limit>>,
    #[serde(default, deserialize_with = "json::present")]
    #[schema(value_type = bool)]
    first_order_only: Option<bool>,
    #[serde(default, deserialize_with = "json::present")]
    #[schema(value_type = bool)]
    is_active: Option<bool>,
    /// In place of those it was for.
    #[serde(default, deserialize_with = "json::present")]
    #[schema(value_type = Vec<ProductId>, max_items = 1000)]
    product_ids: Option<Vec<ProductId>>,
    #[serde(default, deserialize_with = "json::present")]
    #[schema(value_type = Vec<CategoryId>, max_items = 100)]
    category_ids: Option<Vec<CategoryId>>,
}

/// Puts what was sent into its place.
fn put<T>(place: &mut T, sent: Option<T>) {
    if let Some(sent) = sent {
        *place = sent;
    }
}

impl UpdateCoupon {
    /// The draft with these changes.
    pub(super) fn apply(self, mut draft: Draft) -> Draft {
        if self.kind.is_some_and(|kind| kind != draft.kind) {
            (draft.amount, draft.percent, draft.max_discount) = (None, None, None);
        }
        put(&mut draft.kind, self.kind);
        put(&mut draft.amount, self.amount);
        put(&mut draft.percent, self.percent);
        put(&mut draft.max_discount, self.max_discount);
        let rules = &mut draft.rules;
        put(&mut rules.description, self.description.map(Text::into_string));
        put(&mut rules.min_subtotal, self.min_subtotal);
        put(&mut rules.starts_at, self.starts_at);
        put(&mut rules.ends_at, self.ends_at);
        put(&mut rules.usage_limit, self.usage_limit.map(|limit| limit.map(Whole::get)));
        put(&mut rules.per_customer_limit, self.per_customer_limit.map(|limit| limit.map(Whole::get)));
        put(&mut rules.first_order_only, self.first_order_only);
        put(&mut rules.is_active, self.is_active);
        let names_scope = self.product_ids.is_some() || self.category_ids.is_some();
        put(&mut rules.products, self.product_ids);
        put(&mut rules.categories, self.category_ids);
        if names_scope {
            rules.is_scoped = !rules.products.is_empty() || !rules.categories.is_empty();
        }
        draft
    }
}
