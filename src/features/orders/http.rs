//! The endpoints of orders.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::detail::{self, OrderData};
use super::model::{Order, OrderItem, OrderView};
use super::store::{self, Which};
use crate::app::App;
use crate::features::auth::{self, Identity, Permission};
use crate::features::carts::{LeftOut, LeftOutReason};
use crate::flows::{cancel, reorder};
use crate::limits;
use crate::platform::error::Result;
use crate::platform::http::keyed::{self, Keyed};
use crate::platform::http::{Answer, Body, Envelope, ErrorEnvelope, IdempotencyHeader, PathId, Query, ok};
use crate::platform::ids::{OrderId, VariantId};
use crate::platform::page::PageQuery;
use crate::platform::text::{Email, Text};

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OrdersData {
    orders: Vec<OrderView>,
}

/// A guest's question.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct TrackOrder {
    #[schema(value_type = String, example = "AGP2026000001H", max_length = 40)]
    order_number: Text<1, 40>,
    email: Email,
}

/// A guest's order to give up.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct CancelTrackedOrder {
    #[schema(value_type = String, example = "AGP2026000001H", max_length = 40)]
    order_number: Text<1, 40>,
    email: Email,
    #[schema(value_type = Option<String>, max_length = 500)]
    reason: Option<Text<0, 500>>,
}

/// What did not go into the cart.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ReorderData {
    /// Lines of the order of which not all went in.
    left_out: Vec<LeftOutView>,
}

/// A line of which not all went into the cart.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct LeftOutView {
    variant_id: VariantId,
    title: String,
    variant_name: String,
    /// Units that were ordered then.
    wanted: i32,
    /// Units that were left out.
    quantity: i32,
    reason: LeftOutReason,
}

/// Why an order is given up.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct CancelOrder {
    #[schema(value_type = Option<String>, max_length = 500)]
    reason: Option<Text<0, 500>>,
}

/// My orders
#[utoipa::path(get, path = "/orders", tag = "Orders", security(("bearer" = [])), params(PageQuery), responses(
    (status = 200, body = Envelope<OrdersData>, description = "Newest first"),
    (status = 401, body = ErrorEnvelope),
))]
pub(super) async fn list_orders(
    State(app): State<App>,
    identity: Identity,
    Query(page): Query<PageQuery>,
) -> Answer<OrdersData> {
    let page = page.check(&app.config.lists)?;
    let mut connection = app.db.acquire().await?;
    let which = Which { user_id: Some(identity.user_id), limit: page.limit, offset: page.offset(), ..Which::default() };
    let orders = store::list(&mut connection, &which).await?;
    let total = store::count_of_user(&mut connection, identity.user_id).await?;
    let base = app.config.public_url();
    let orders = orders.iter().map(|order| OrderView::new(order, &base)).collect();
    Ok(ok(OrdersData { orders }).page(page.of(total)))
}

/// Get an order
///
/// Of one's own; staff see every order.
#[utoipa::path(get, path = "/orders/{order}", tag = "Orders", security(("bearer" = [])),
    params(("order" = OrderId, Path)), responses(
    (status = 200, body = Envelope<OrderData>),
    (status = 401, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope, description = "Unknown, or another person's"),
))]
pub(super) async fn get_order(
    State(app): State<App>,
    identity: Identity,
    PathId(id): PathId<OrderId>,
) -> Answer<OrderData> {
    let is_staff = auth::permits(&app, &identity, Permission::ReadOrders).await?;
    let owner = if is_staff { None } else { Some(identity.user_id) };
    let which = Which { id: Some(id), user_id: owner, limit: 1, ..Which::default() };
    find(&app, &which).await
}

async fn find(app: &App, which: &Which<'_>) -> Answer<OrderData> {
    let mut connection = app.db.acquire().await?;
    let order = detail::find_to_be_paid(&mut connection, which, &app.config).await?;
    Ok(ok(OrderData { order }))
}

/// The order that a guest asks for. Tries are counted.
///
/// # Errors
/// `NotFound` where no order has this number and address; `RateLimited`.
pub async fn find_tracked(app: &App, asked: &TrackOrder) -> Result<Order> {
    check_guest(app, &asked.email).await?;
    let number = asked.order_number.as_str().to_uppercase();
    let which = Which { number: Some(&number), email: Some(asked.email.as_str()), limit: 1, ..Which::default() };
    detail::find(&mut *app.db.acquire().await?, &which).await
}

/// Counts a guest's tries of an address, so that nobody finds out its orders by trying numbers.
async fn check_guest(app: &App, email: &Email) -> Result<()> {
    limits::check_account(app, &format!("orders of {email}")).await
}

/// Find an order without an account
///
/// By its number and the e-mail address it was placed with. Tries are counted by the address.
#[utoipa::path(post, path = "/orders/track", tag = "Orders", security(()), request_body = TrackOrder, responses(
    (status = 200, body = Envelope<OrderData>),
    (status = 400, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope, description = "No order has this number and address"),
    (status = 429, body = ErrorEnvelope),
))]
pub(super) async fn track_order(State(app): State<App>, body: Body<TrackOrder>) -> Answer<OrderData> {
    check_guest(&app, &body.value.email).await?;
    let number = body.value.order_number.as_str().to_uppercase();
    let which = Which { number: Some(&number), email: Some(body.value.email.as_str()), limit: 1, ..Which::default() };
    find(&app, &which).await
}

/// Cancel an order without an account
///
/// A guest's own, by its number and address, while it is unpaid. Its stock is free again. Tries are counted by the address.
#[utoipa::path(post, path = "/orders/track/cancel", tag = "Orders", security(()), request_body = CancelTrackedOrder,
    responses(
    (status = 200, body = Envelope<OrderData>),
    (status = 400, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope, description = "No guest's order has this number and address"),
    (status = 409, body = ErrorEnvelope, description = "It is paid, or cancelled already"),
    (status = 429, body = ErrorEnvelope),
))]
pub(super) async fn cancel_tracked_order(State(app): State<App>, body: Body<CancelTrackedOrder>) -> Answer<OrderData> {
    let CancelTrackedOrder { order_number, email, reason } = body.value;
    check_guest(&app, &email).await?;
    let number = order_number.as_str().to_uppercase();
    let reason = given(reason);
    cancel::by_guest(&app, &number, email.as_str(), reason.as_deref()).await?;
    find(&app, &Which { number: Some(&number), email: Some(email.as_str()), limit: 1, ..Which::default() }).await
}

fn given<const MAX: usize>(text: Option<Text<0, MAX>>) -> Option<String> {
    text.map(Text::into_string).filter(|text| !text.is_empty())
}

/// Cancel an order
///
/// One's own: while it is unpaid, and, if the shop allows it, while it is paid and nobody has begun to pack it. Its stock is
/// free again, and what was paid goes back.
#[utoipa::path(post, path = "/orders/{order}/cancel", tag = "Orders", security(("bearer" = [])),
    params(("order" = OrderId, Path)), request_body = CancelOrder, responses(
    (status = 200, body = Envelope<OrderData>),
    (status = 401, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "It is too late, or it is cancelled already"),
))]
pub(super) async fn cancel_order(
    State(app): State<App>,
    identity: Identity,
    PathId(id): PathId<OrderId>,
    body: Body<CancelOrder>,
) -> Answer<OrderData> {
    let reason = given(body.value.reason);
    cancel::by_customer(&app, id, identity.user_id, reason.as_deref()).await?;
    let which = Which { id: Some(id), user_id: Some(identity.user_id), limit: 1, ..Which::default() };
    find(&app, &which).await
}

/// Order again
///
/// Puts what can be bought of one's own order into one's cart, beside what is there. What was left out is told with its reason.
/// Send an `Idempotency-Key`: a repeated request with the same key gets the first answer, and adds nothing twice.
#[utoipa::path(post, path = "/orders/{order}/reorder", tag = "Orders", security(("bearer" = [])),
    params(("order" = OrderId, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "1 to 255 characters, kept for 24 hours")),
    responses(
    (status = 200, body = Envelope<ReorderData>),
    (status = 401, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "The same key is still running"),
    (status = 422, body = ErrorEnvelope, description = "The key was used for another order"),
))]
pub(super) async fn reorder(
    State(app): State<App>,
    identity: Identity,
    PathId(id): PathId<OrderId>,
    IdempotencyHeader(key): IdempotencyHeader,
) -> Result<Keyed> {
    // Without a body, all that is asked for is in the path.
    let key = keyed::key(key, identity.user_id, "POST /orders/{order}/reorder", &id.to_string(), &[0; 32]);
    let view = |left_out: Vec<(OrderItem, LeftOut)>| {
        let left_out: Vec<_> = left_out
            .into_iter()
            .map(|(item, left)| LeftOutView {
                variant_id: item.variant_id,
                title: item.title,
                variant_name: item.variant_name,
                wanted: item.quantity,
                quantity: left.quantity,
                reason: left.reason,
            })
            .collect();
        let message =
            if left_out.is_empty() { "All of it is in your cart." } else { "Your cart has what can be bought of it." };
        ok(ReorderData { left_out }).say(message)
    };
    reorder::reorder(&app, id, identity.user_id, key, view).await
}
