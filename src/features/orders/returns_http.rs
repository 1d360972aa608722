//! What buyers send back.

use axum::extract::State;
use serde::Deserialize;
use utoipa::ToSchema;

use super::detail::{self, OrderData, StaffOrderData};
use super::fulfilments_http::key_about;
use super::returns::{ReturnReason, ReturnStatus};
use super::store::returns::NewReturnItem;
use crate::app::App;
use crate::features::auth::Identity;
use crate::flows::send_back::{self, Decision, Wish};
use crate::platform::error::{Error, FieldError, Result};
use crate::platform::http::keyed::Keyed;
use crate::platform::http::{
    Answer, Body, Envelope, ErrorEnvelope, IdempotencyHeader, PathId, PathIds, RequestMeta, ok,
};
use crate::platform::ids::{OrderId, OrderItemId, ReturnId};
use crate::platform::text::Text;

/// What is to be sent back.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RequestReturn {
    /// Lines of the order, each once.
    items: Vec<ReturnLine>,
    /// More words.
    #[schema(value_type = Option<String>, max_length = 1000)]
    note: Option<Text<0, 1000>>,
}

/// Units of a line that are to be sent back.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct ReturnLine {
    /// The line of the order.
    item_id: OrderItemId,
    #[schema(minimum = 1)]
    quantity: i32,
    reason: ReturnReason,
}

impl RequestReturn {
    fn check(self) -> Result<Wish> {
        let mut faults = Vec::new();
        if !(1..=1_000).contains(&self.items.len()) {
            faults.push(FieldError::new("items", "must have 1 to 1000 lines"));
        }
        for (i, item) in self.items.iter().enumerate() {
            if item.quantity < 1 {
                faults.push(FieldError::new(format!("items[{i}].quantity"), "must be at least 1"));
            }
        }
        let note = self.note.map(Text::into_string).filter(|note| !note.is_empty());
        if note.is_none() && self.items.iter().any(|item| item.reason == ReturnReason::Other) {
            faults.push(FieldError::new("note", "is required for the reason other"));
        }
        if !faults.is_empty() {
            return Err(Error::Validation(faults));
        }
        let items = self.items.into_iter().map(|item| NewReturnItem {
            order_item_id: item.item_id,
            quantity: item.quantity,
            reason: item.reason,
        });
        Ok(Wish { items: items.collect(), note })
    }
}

/// Ask to send something back
///
/// Of one's own order, once all of it was sent, within the days that the shop gives after the arrival. One return of an order
/// at a time. With an `Idempotency-Key`, a repeated request asks once.
#[utoipa::path(post, path = "/orders/{order}/returns", tag = "Orders", security(("bearer" = [])),
    params(("order" = OrderId, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "1 to 255 characters, kept for 24 hours")),
    request_body = RequestReturn, responses(
    (status = 201, body = Envelope<OrderData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "It was not sent, it is too late, a return is under way, five were withdrawn, not so much was sent, or the same key is still running"),
    (status = 422, body = ErrorEnvelope, description = "The key was used with another body"),
))]
pub(super) async fn request_return(
    State(app): State<App>,
    identity: Identity,
    PathId(id): PathId<OrderId>,
    IdempotencyHeader(key): IdempotencyHeader,
    body: Body<RequestReturn>,
) -> Result<Keyed> {
    let key = key_about(id, identity.user_id, "POST /orders/{order}/returns", key, body.fingerprint);
    send_back::request_as_customer(&app, id, identity.user_id, body.value.check()?, key).await
}

/// Withdraw a return
///
/// One's own, until the goods are there.
#[utoipa::path(post, path = "/orders/{order}/returns/{return}/cancel", tag = "Orders", security(("bearer" = [])),
    params(("order" = OrderId, Path), ("return" = ReturnId, Path)), responses(
    (status = 200, body = Envelope<OrderData>),
    (status = 401, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "It is over"),
))]
pub(super) async fn withdraw_return(
    State(app): State<App>,
    identity: Identity,
    PathIds(id, back): PathIds<OrderId, ReturnId>,
) -> Answer<OrderData> {
    send_back::withdraw(&app, (id, back), identity.user_id).await?;
    let order = detail::detail(&mut *app.db.acquire().await?, id, &app.config.public_url()).await?;
    Ok(ok(OrderData { order }))
}

/// Note that a buyer wants to send something back
///
/// For a guest, or for somebody who has called; the days of the shop do not count. With an `Idempotency-Key`, a repeated request
/// notes it once.
#[utoipa::path(post, path = "/admin/orders/{order}/returns", tag = "Orders, staff",
    security(("bearer" = ["manage_orders"])),
    params(("order" = OrderId, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "1 to 255 characters, kept for 24 hours")),
    request_body = RequestReturn, responses(
    (status = 201, body = Envelope<StaffOrderData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "It was not sent, a return is under way, not so much was sent, or the same key is still running"),
    (status = 422, body = ErrorEnvelope, description = "The key was used with another body"),
))]
pub(super) async fn create_return(
    State(app): State<App>,
    identity: Identity,
    meta: RequestMeta,
    PathId(id): PathId<OrderId>,
    IdempotencyHeader(key): IdempotencyHeader,
    body: Body<RequestReturn>,
) -> Result<Keyed> {
    let key = key_about(id, identity.user_id, "POST /admin/orders/{order}/returns", key, body.fingerprint);
    send_back::request_as_staff(&app, &identity, &meta, id, body.value.check()?, key).await
}

/// What becomes of a return.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct UpdateReturn {
    /// The return's version that this is based on.
    version: i32,
    /// From `requested` to `approved`, `rejected` or `cancelled`, from `approved` to `received`, `rejected` or `cancelled`.
    status: ReturnStatus,
    /// Words for the buyer; required with `rejected`.
    #[schema(value_type = Option<String>, max_length = 1000)]
    answer: Option<Text<0, 1000>>,
    /// With `received`: how many of each line go back on the shelf.
    #[serde(default)]
    items: Vec<RestockLine>,
}

/// Units of a line that are good enough to be sold again.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct RestockLine {
    /// The line of the order.
    item_id: OrderItemId,
    /// 0 for what is damaged.
    #[schema(minimum = 0)]
    restock: i32,
}

/// Decide about a return
///
/// The buyer gets a mail. When the goods are here, the order is `returned` if all of it has come back, and otherwise stands
/// where its parcels are. The money is given back separately.
#[utoipa::path(patch, path = "/admin/orders/{order}/returns/{return}", tag = "Orders, staff",
    security(("bearer" = ["manage_orders"])), params(("order" = OrderId, Path), ("return" = ReturnId, Path)),
    request_body = UpdateReturn, responses(
    (status = 200, body = Envelope<StaffOrderData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "It has another version, or cannot become that"),
))]
pub(super) async fn update_return(
    State(app): State<App>,
    identity: Identity,
    meta: RequestMeta,
    PathIds(order, back): PathIds<OrderId, ReturnId>,
    body: Body<UpdateReturn>,
) -> Answer<StaffOrderData> {
    let UpdateReturn { version, status, answer, items } = body.value;
    let answer = answer.map(Text::into_string).filter(|answer| !answer.is_empty());
    if status == ReturnStatus::Rejected && answer.is_none() {
        return Err(Error::field("answer", "is required when a return is rejected: tell the buyer why"));
    }
    let decision = Decision {
        status,
        answer,
        restocked: items.into_iter().map(|line| (line.item_id, line.restock)).collect(),
        version,
    };
    let order = send_back::decide(&app, &identity, &meta, (order, back), decision).await?;
    Ok(ok(StaffOrderData { order }))
}
