//! Money that staff give back of an order.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::fulfilments_http::key_about;
use crate::app::App;
use crate::features::auth::Identity;
use crate::features::payments::{RefundData, RefundItem, RefundView};
use crate::flows::refund::ask::{self, Ask};
use crate::platform::error::{Error, FieldError, Result};
use crate::platform::http::keyed::Keyed;
use crate::platform::http::{Answer, Body, Envelope, ErrorEnvelope, IdempotencyHeader, PathId, RequestMeta, ok};
use crate::platform::ids::{OrderId, OrderItemId, ReturnId};
use crate::platform::money::Amount;
use crate::platform::text::Text;

/// What of an order's money has gone back, and what can.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct OrderRefundsData {
    refunds: Vec<RefundView>,
    /// What is left of the money that paid the order.
    refundable: Amount,
    currency: String,
    /// Returns whose goods are here and whose money was not given back.
    returns: Vec<ReturnOffer>,
}

/// What a return is worth.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ReturnOffer {
    return_id: ReturnId,
    /// Counts the returns of the order.
    number: i32,
    /// What the buyer has paid for its units, less their part of the discount, with their taxes.
    suggested: Amount,
}

/// Tell what can be given back of an order
#[utoipa::path(get, path = "/admin/orders/{order}/refunds", tag = "Payments, staff",
    security(("bearer" = ["read_payments"])), params(("order" = OrderId, Path)), responses(
    (status = 200, body = Envelope<OrderRefundsData>),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
))]
pub(super) async fn list_order_refunds(
    State(app): State<App>,
    PathId(id): PathId<OrderId>,
) -> Answer<OrderRefundsData> {
    let offer = ask::offer(&app, id).await?;
    let returns = offer.returns.into_iter().map(|(return_id, number, suggested)| ReturnOffer {
        return_id,
        number,
        suggested: Amount(suggested),
    });
    Ok(ok(OrderRefundsData {
        refunds: offer.refunds.into_iter().map(RefundView::from).collect(),
        refundable: Amount(offer.left),
        currency: offer.currency,
        returns: returns.collect(),
    }))
}

/// What is given back.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct CreateRefund {
    /// When left out: what the buyer has paid for `items`, or for the return, or all that is left.
    amount: Option<Amount>,
    /// Told to the buyer.
    #[schema(value_type = Option<String>, max_length = 500)]
    reason: Option<Text<0, 500>>,
    /// For which units, each line once.
    #[serde(default)]
    items: Vec<RefundLine>,
    /// For all `items` that do not say themselves.
    #[serde(default)]
    restock: bool,
    /// A return whose goods are here. Instead of `items`.
    return_id: Option<ReturnId>,
    /// Whether the buyer gets mails about it; so he does when left out.
    notify_customer: Option<bool>,
}

/// Units of a line whose money goes back.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct RefundLine {
    order_item_id: OrderItemId,
    #[schema(minimum = 1)]
    quantity: i32,
    /// Whether units that are in no parcel go back on the shelf, instead of to the buyer.
    restock: Option<bool>,
}

impl CreateRefund {
    fn check(self) -> Result<Ask> {
        let mut faults = Vec::new();
        if self.items.len() > 1_000 {
            faults.push(FieldError::new("items", "must have at most 1000 lines"));
        }
        if self.return_id.is_some() && !self.items.is_empty() {
            faults.push(FieldError::new("items", "must be left out with returnId"));
        }
        if self.restock && self.items.is_empty() {
            faults.push(FieldError::new("restock", "needs items: which units go back on the shelf"));
        }
        for (i, item) in self.items.iter().enumerate() {
            if item.quantity < 1 {
                faults.push(FieldError::new(format!("items[{i}].quantity"), "must be at least 1"));
            }
        }
        if !faults.is_empty() {
            return Err(Error::Validation(faults));
        }
        let items = self.items.iter().map(|item| RefundItem {
            order_item_id: item.order_item_id,
            quantity: item.quantity,
            restocked: item.restock.unwrap_or(self.restock),
        });
        Ok(Ask {
            amount: self.amount,
            items: items.collect(),
            return_id: self.return_id,
            notify: self.notify_customer.unwrap_or(true),
            reason: self.reason.map(Text::into_string).filter(|reason| !reason.is_empty()),
        })
    }
}

/// Give money of an order back
///
/// It is written down and sent to the payment provider at once; what comes of it is in the answer's refund later. Never more
/// goes back than was paid. The order is `refunded` once all of it has gone, `partially_refunded` once some has. With an
/// `Idempotency-Key`, a repeated request asks once.
#[utoipa::path(post, path = "/admin/orders/{order}/refunds", tag = "Payments, staff",
    security(("bearer" = ["manage_payments"])),
    params(("order" = OrderId, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "1 to 255 characters, kept for 24 hours")),
    request_body = CreateRefund, responses(
    (status = 201, body = Envelope<RefundData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "Nothing, or not so much, is left; the goods are packed; or the same key is still running"),
    (status = 422, body = ErrorEnvelope, description = "The key was used with another body"),
))]
pub(super) async fn create_refund(
    State(app): State<App>,
    identity: Identity,
    meta: RequestMeta,
    PathId(id): PathId<OrderId>,
    IdempotencyHeader(key): IdempotencyHeader,
    body: Body<CreateRefund>,
) -> Result<Keyed> {
    let key = key_about(id, identity.user_id, "POST /admin/orders/{order}/refunds", key, body.fingerprint);
    ask::by_staff(&app, &identity, &meta, id, body.value.check()?, key).await
}
