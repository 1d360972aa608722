//! The endpoints of orders.

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::model::{Order, OrderView, PaymentMethod, ShippingMethod};
use super::store::{self, Which};
use crate::app::App;
use crate::features::auth::{self, Caller, Identity, Permission};
use crate::features::carts::Owner;
use crate::flows::{cancel, place};
use crate::platform::address::{Address, UnknownRegion};
use crate::platform::error::{Error, FieldError, Result};
use crate::platform::http::{Answer, Body, Envelope, ErrorEnvelope, IdempotencyHeader, PathId, Query, ok};
use crate::platform::idempotency;
use crate::platform::ids::{OrderId, ProductId, VariantId};
use crate::platform::page::PageQuery;
use crate::platform::text::{Email, Text};

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OrderData {
    order: OrderView,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OrdersData {
    orders: Vec<OrderView>,
}

/// An order to place: from the cart, or, with `items`, without one. Prices are the shop's; a price in the request is
/// refused.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct PlaceOrder {
    /// Instead of the cart.
    items: Option<Vec<PlaceOrderItem>>,
    /// Where a guest's mails go. An account's own address when left out.
    email: Option<Email>,
    shipping_address: Address,
    #[serde(default)]
    shipping_method: ShippingMethod,
    #[serde(default)]
    payment_method: PaymentMethod,
    #[schema(value_type = Option<String>, max_length = 1000)]
    notes: Option<Text<0, 1000>>,
}

/// A line to order.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct PlaceOrderItem {
    /// May be left out for a product with one variant.
    variant_id: Option<VariantId>,
    product_id: Option<ProductId>,
    #[schema(minimum = 1)]
    quantity: i32,
}

/// A guest's question.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct TrackOrder {
    #[schema(value_type = String, example = "AGP2026000001H", max_length = 40)]
    order_number: Text<1, 40>,
    email: Email,
}

/// Why an order is given up.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct CancelOrder {
    #[schema(value_type = Option<String>, max_length = 500)]
    reason: Option<Text<0, 500>>,
}

/// Place an order
///
/// Sets the stock aside for all lines or for none. Send an `Idempotency-Key`: a repeated request with the same key
/// and body gets the first answer, and no second order.
#[utoipa::path(post, path = "/orders", tag = "Orders", security((), ("bearer" = [])), request_body = PlaceOrder,
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 255 characters, kept for 24 hours")),
    responses(
    (status = 201, body = Envelope<OrderData>),
    (status = 400, body = ErrorEnvelope, description = "A field is wrong, the cart is empty, or a product is not for sale"),
    (status = 401, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "Something is sold out (each line is named), the cart has changed, or the same key is still running"),
    (status = 422, body = ErrorEnvelope, description = "The key was used with another body"),
))]
pub(super) async fn place_order(
    State(app): State<App>,
    caller: Caller,
    owner: Owner,
    IdempotencyHeader(key): IdempotencyHeader,
    body: Body<PlaceOrder>,
) -> Result<Response> {
    let PlaceOrder { items, email, shipping_address, shipping_method, payment_method, notes } = body.value;
    let items = items.map(|items| check_items(&app, &items)).transpose()?;
    let shipping_address = shipping_address.resolve("shippingAddress", UnknownRegion::Keep)?;
    let email = email.or_else(|| shipping_address.email.clone());
    if caller.is_none() && email.is_none() {
        return Err(Error::field("email", "is required for an order without an account"));
    }
    let idempotency = key.map(|key| idempotency::Request {
        // A guest is known by his address, which is in the body: his cart's token may change between two tries.
        caller: match (&caller, &email) {
            (Some(identity), _) => identity.user_id.to_string(),
            (None, email) => format!("guest {}", email.as_ref().map_or("", Email::as_str)),
        },
        route: "POST /orders",
        key,
        fingerprint: body.fingerprint,
    });
    let base = app.config.public_url();
    let request = place::Request {
        user: caller.map(|identity| identity.user_id),
        owner,
        items,
        email,
        address: shipping_address,
        shipping_method,
        payment_method,
        notes: notes.map(Text::into_string).filter(|notes| !notes.is_empty()),
    };
    let view =
        move |order: &Order| serde_json::to_string(&Envelope::of(OrderData { order: OrderView::new(order, &base) }));
    let answer = place::place(&app, request, idempotency, view).await?;
    let status =
        u16::try_from(answer.status).ok().and_then(|s| StatusCode::from_u16(s).ok()).unwrap_or(StatusCode::CREATED);
    let mut response = (status, [(CONTENT_TYPE, "application/json")], answer.body).into_response();
    if answer.replayed {
        response.headers_mut().insert("idempotency-replayed", axum::http::HeaderValue::from_static("true"));
    }
    Ok(response)
}

fn check_items(app: &App, items: &[PlaceOrderItem]) -> Result<Vec<place::Item>> {
    let mut faults = Vec::new();
    if items.is_empty() {
        faults.push(FieldError::new("items", "must have at least one line"));
    }
    let max_lines = app.config.orders.max_lines;
    if items.len() > max_lines {
        faults.push(FieldError::new("items", format!("must have at most {max_lines} lines")));
        return Err(Error::Validation(faults));
    }
    let max = app.config.cart.max_quantity;
    for (i, item) in items.iter().enumerate() {
        if !(1..=max).contains(&item.quantity) {
            faults.push(FieldError::new(format!("items[{i}].quantity"), format!("must be between 1 and {max}")));
        }
        if item.variant_id.is_none() && item.product_id.is_none() {
            faults.push(FieldError::new(format!("items[{i}].variantId"), "is required"));
        }
    }
    if faults.is_empty() {
        Ok(items
            .iter()
            .map(|item| place::Item { variant: item.variant_id, product: item.product_id, quantity: item.quantity })
            .collect())
    } else {
        Err(Error::Validation(faults))
    }
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
    let order = store::list(&mut connection, which).await?.pop().ok_or(Error::NotFound("The order"))?;
    let timeline = store::timeline(&mut connection, order.id).await?;
    Ok(ok(OrderData { order: OrderView::new(&order, &app.config.public_url()).with_timeline(timeline) }))
}

/// Find an order without an account
///
/// By its number and the e-mail address it was placed with.
#[utoipa::path(post, path = "/orders/track", tag = "Orders", security(()), request_body = TrackOrder, responses(
    (status = 200, body = Envelope<OrderData>),
    (status = 400, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope, description = "No order has this number and address"),
))]
pub(super) async fn track_order(State(app): State<App>, body: Body<TrackOrder>) -> Answer<OrderData> {
    let number = body.value.order_number.as_str().to_uppercase();
    let which = Which { number: Some(&number), email: Some(body.value.email.as_str()), limit: 1, ..Which::default() };
    find(&app, &which).await
}

/// Cancel an order
///
/// One's own, while it is unpaid. Its stock is free again.
#[utoipa::path(post, path = "/orders/{order}/cancel", tag = "Orders", security(("bearer" = [])),
    params(("order" = OrderId, Path)), request_body = CancelOrder, responses(
    (status = 200, body = Envelope<OrderData>),
    (status = 401, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "It is paid, or cancelled already"),
))]
pub(super) async fn cancel_order(
    State(app): State<App>,
    identity: Identity,
    PathId(id): PathId<OrderId>,
    body: Body<CancelOrder>,
) -> Answer<OrderData> {
    let reason = body.value.reason.map(Text::into_string).filter(|reason| !reason.is_empty());
    cancel::cancel_unpaid(&app, id, identity.user_id, reason.as_deref()).await?;
    let which = Which { id: Some(id), user_id: Some(identity.user_id), limit: 1, ..Which::default() };
    find(&app, &which).await
}
