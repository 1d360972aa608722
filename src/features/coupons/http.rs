//! What a coupon would take off, for shoppers.

use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::refusal::Refusal;
use crate::app::App;
use crate::features::auth::Caller;
use crate::features::carts::Owner;
use crate::flows::place;
use crate::flows::preview_coupon::{self, Request};
use crate::limits;
use crate::platform::config::Store;
use crate::platform::error::Error;
use crate::platform::http::{Answer, Body, Envelope, ErrorEnvelope, ok};
use crate::platform::ids::{ProductId, VariantId};
use crate::platform::money::Amount;
use crate::platform::text::{Email, Text};

/// A coupon to try: on the cart, or, with `items`, without one.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct PreviewCoupon {
    /// As it was typed.
    #[schema(value_type = String, min_length = 1, max_length = 100, example = "welcome10")]
    code: Text<1, 100>,
    /// Instead of the cart.
    items: Option<Vec<PreviewItem>>,
    /// Of a guest, as his order will name it: some coupons depend on who orders. Refused of accounts, which have one.
    email: Option<Email>,
}

/// A line to order.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct PreviewItem {
    /// May be left out for a product with one variant.
    variant_id: Option<VariantId>,
    product_id: Option<ProductId>,
    #[schema(minimum = 1)]
    quantity: i32,
}

/// Why a coupon cannot be used.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct CouponReasonView {
    /// unknown, inactive, not_yet, expired, used_up, nothing_in_scope, minimum_not_reached, customer_needed, first_order_only or
    /// used_up_by_customer.
    code: &'static str,
    /// What happened and what to do, for the shopper.
    message: String,
    /// What all goods must cost; of minimum_not_reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    minimum: Option<Amount>,
    /// What is missing of that.
    #[serde(skip_serializing_if = "Option::is_none")]
    missing: Option<Amount>,
    /// From when on it can be used; of not_yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    starts_at: Option<DateTime<Utc>>,
}

impl CouponReasonView {
    fn new(refusal: Refusal, store: &Store) -> Self {
        let mut view = Self {
            code: refusal.code(),
            message: refusal.message(store),
            minimum: None,
            missing: None,
            starts_at: None,
        };
        match refusal {
            Refusal::MinimumNotReached { minimum, missing } => {
                (view.minimum, view.missing) = (Some(minimum), Some(missing));
            }
            Refusal::NotYet { starts_at } => view.starts_at = Some(starts_at),
            _ => {}
        }
        view
    }
}

/// What a coupon would take off.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct CouponPreviewData {
    /// Whether an order of this would have the discount now.
    valid: bool,
    /// As the shop writes it; as it was typed, where the shop has none.
    code: String,
    /// What the goods cost without it; what cannot be bought is left out.
    subtotal: Amount,
    /// What it takes off them.
    discount: Amount,
    /// Whether they travel for nothing.
    free_shipping: bool,
    /// Why it cannot be used, if it is not valid.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<CouponReasonView>,
}

/// Try a coupon
///
/// A coupon that cannot be used is an answer that says why, not an error. Nothing is set aside: limits are checked again when the order
/// is placed. Tries are few a minute, as those of passwords are, so that nobody finds codes by guessing.
#[utoipa::path(post, path = "/coupons/preview", tag = "Coupons", security((), ("bearer" = [])),
    request_body = PreviewCoupon, responses(
    (status = 200, body = Envelope<CouponPreviewData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 429, body = ErrorEnvelope),
))]
pub(super) async fn preview_coupon(
    State(app): State<App>,
    caller: Caller,
    owner: Owner,
    body: Body<PreviewCoupon>,
) -> Answer<CouponPreviewData> {
    let PreviewCoupon { code, items, email } = body.value;
    if caller.is_some() && email.is_some() {
        return Err(Error::field("email", "must be left out; the account's address is taken"));
    }
    let items = items.map(|items| {
        let item = |item: PreviewItem| place::Item {
            variant: item.variant_id,
            product: item.product_id,
            quantity: item.quantity,
        };
        items.into_iter().map(item).collect::<Vec<_>>()
    });
    if let Some(items) = &items {
        place::check_items(&app.config, items)?;
    }
    if let Some(email) = &email {
        // What is said of an address must not be asked often.
        limits::check_account(&app, email.as_str()).await?;
    }
    let code = code.as_str();
    let user = caller.map(|identity| identity.user_id);
    let request = Request { code, items: items.as_deref(), owner: &owner, user, email: email.as_ref() };
    let preview = preview_coupon::preview(&app, &request).await?;
    let (discount, refusal) = match preview.outcome {
        Ok(discount) => (Some(discount), None),
        Err(refusal) => (None, Some(refusal)),
    };
    Ok(ok(CouponPreviewData {
        valid: discount.is_some(),
        code: preview.code,
        subtotal: preview.subtotal,
        discount: discount.as_ref().map(|discount| discount.total()).unwrap_or_default(),
        free_shipping: discount.is_some_and(|discount| discount.free_shipping),
        reason: refusal.map(|refusal| CouponReasonView::new(refusal, &app.config.store)),
    }))
}
