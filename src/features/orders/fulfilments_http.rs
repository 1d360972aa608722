//! Parcels, as staff pack and send them.

use axum::extract::State;
use serde::Deserialize;
use utoipa::ToSchema;

use super::detail::{StaffOrderData, caller_about};
use super::fulfilment::{Carrier, ParcelItem, ParcelStatus, TrackingLink};
use super::store::fulfilments::{NewParcel, ParcelChange};
use crate::app::App;
use crate::features::auth::Identity;
use crate::flows::fulfil;
use crate::platform::checked::Line;
use crate::platform::error::{Error, FieldError, Result};
use crate::platform::http::json::present;
use crate::platform::http::keyed::{self, Keyed};
use crate::platform::http::{
    Answer, Body, Envelope, ErrorEnvelope, IdempotencyHeader, PathId, PathIds, RequestMeta, ok,
};
use crate::platform::idempotency;
use crate::platform::ids::{FulfilmentId, OrderId, OrderItemId, UserId};
use crate::platform::text::Text;

/// By which number an order is looked for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct SetOrderTracking {
    #[schema(value_type = String, min_length = 1, max_length = 100)]
    tracking_number: Line<1, 100>,
    carrier: Option<Carrier>,
    /// An https page about the parcel, for carriers whose page the shop does not know.
    #[schema(value_type = Option<String>, max_length = 500)]
    link: Option<TrackingLink>,
    /// The order's version that this is based on; when left out, whatever it is.
    version: Option<i32>,
}

/// Say by which number an order is looked for
///
/// That of the parcel packed last. Where nothing is packed yet, all of the order is packed into one parcel.
#[utoipa::path(patch, path = "/admin/orders/{order}/tracking", tag = "Orders, staff",
    security(("bearer" = ["manage_orders"])), params(("order" = OrderId, Path)), request_body = SetOrderTracking,
    responses(
    (status = 200, body = Envelope<StaffOrderData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "It is not paid, or it has another version"),
))]
pub(super) async fn set_order_tracking(
    State(app): State<App>,
    identity: Identity,
    meta: RequestMeta,
    PathId(id): PathId<OrderId>,
    body: Body<SetOrderTracking>,
) -> Answer<StaffOrderData> {
    let SetOrderTracking { tracking_number, carrier, link, version } = body.value;
    let tracking = NewParcel {
        carrier,
        tracking_number: Some(tracking_number.into_string()),
        tracking_url: link.map(TrackingLink::into_string),
        note: None,
    };
    let order = fulfil::set_tracking(&app, &identity, &meta, id, tracking, version).await?;
    Ok(ok(StaffOrderData { order }))
}

/// A parcel to pack.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct CreateFulfilment {
    /// What is in it; all that is left of the order when left out.
    items: Option<Vec<FulfilmentItem>>,
    carrier: Option<Carrier>,
    #[schema(value_type = Option<String>, min_length = 1, max_length = 100)]
    tracking_number: Option<Line<1, 100>>,
    /// An https page about the parcel, for carriers whose page the shop does not know.
    #[schema(value_type = Option<String>, max_length = 500)]
    tracking_url: Option<TrackingLink>,
    /// For the buyer.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 500)]
    note: Option<Text<1, 500>>,
    /// Whether it leaves the house at once.
    #[serde(default)]
    shipped: bool,
    /// The order's version that this is based on; when left out, whatever it is.
    version: Option<i32>,
}

/// Units of a line.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct FulfilmentItem {
    /// The line of the order.
    item_id: OrderItemId,
    #[schema(minimum = 1)]
    quantity: i32,
}

/// Pack a parcel
///
/// Of an order that is paid. Never more of a line than was ordered, whoever packs at the same time. With an
/// `Idempotency-Key`, a repeated request packs nothing twice.
#[utoipa::path(post, path = "/admin/orders/{order}/fulfilments", tag = "Orders, staff",
    security(("bearer" = ["manage_orders"])),
    params(("order" = OrderId, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "1 to 255 characters, kept for 24 hours")),
    request_body = CreateFulfilment, responses(
    (status = 201, body = Envelope<StaffOrderData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "It is not paid, has another version, not so much is left, or the same key is still running"),
    (status = 422, body = ErrorEnvelope, description = "The key was used with another body"),
))]
pub(super) async fn create_fulfilment(
    State(app): State<App>,
    identity: Identity,
    meta: RequestMeta,
    PathId(id): PathId<OrderId>,
    IdempotencyHeader(key): IdempotencyHeader,
    body: Body<CreateFulfilment>,
) -> Result<Keyed> {
    let key = key_about(id, identity.user_id, "POST /admin/orders/{order}/fulfilments", key, body.fingerprint);
    let CreateFulfilment { items, carrier, tracking_number, tracking_url, note, shipped, version } = body.value;
    let items = items.map(check_items).transpose()?;
    let parcel = NewParcel {
        carrier,
        tracking_number: tracking_number.map(Line::into_string),
        tracking_url: tracking_url.map(TrackingLink::into_string),
        note: note.map(Text::into_string),
    };
    let pack = fulfil::Pack { items, parcel, is_shipped: shipped, version };
    fulfil::pack(&app, &identity, &meta, id, pack, key).await
}

/// The key of a person's request about an order.
pub(super) fn key_about(
    order: OrderId,
    person: UserId,
    route: &'static str,
    key: Option<String>,
    fingerprint: [u8; 32],
) -> Option<idempotency::Request> {
    let his = idempotency::Request { caller: person.to_string(), route, key: key?, fingerprint };
    Some(keyed::kept_under(caller_about(order), his))
}

fn check_items(items: Vec<FulfilmentItem>) -> Result<Vec<ParcelItem>> {
    let mut faults = Vec::new();
    if !(1..=1_000).contains(&items.len()) {
        faults.push(FieldError::new("items", "must have 1 to 1000 lines; leave it out for all that is left"));
    }
    let wrong = items.iter().enumerate().filter(|(_, item)| item.quantity < 1);
    faults.extend(wrong.map(|(i, _)| FieldError::new(format!("items[{i}].quantity"), "must be at least 1")));
    if !faults.is_empty() {
        return Err(Error::Validation(faults));
    }
    Ok(items.into_iter().map(|item| ParcelItem { order_item_id: item.item_id, quantity: item.quantity }).collect())
}

/// A change of a parcel. What is left out stays as it is; `null` empties it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct UpdateFulfilment {
    /// The parcel's version that this is based on.
    version: i32,
    /// From `packed` to `shipped` or `cancelled`, from `shipped` to `delivered`.
    status: Option<ParcelStatus>,
    #[serde(default, deserialize_with = "present")]
    carrier: Option<Option<Carrier>>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 100)]
    tracking_number: Option<Option<Line<1, 100>>>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, max_length = 500)]
    tracking_url: Option<Option<TrackingLink>>,
    /// For the buyer.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 500)]
    note: Option<Option<Text<1, 500>>>,
}

/// Change a parcel
///
/// What is known of it, or where it is: it leaves the house, arrives, or is unpacked before it has left. The buyer gets a mail
/// when it leaves and when it arrives.
#[utoipa::path(patch, path = "/admin/orders/{order}/fulfilments/{fulfilment}", tag = "Orders, staff",
    security(("bearer" = ["manage_orders"])),
    params(("order" = OrderId, Path), ("fulfilment" = FulfilmentId, Path)), request_body = UpdateFulfilment, responses(
    (status = 200, body = Envelope<StaffOrderData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "It has another version, or cannot become that"),
))]
pub(super) async fn update_fulfilment(
    State(app): State<App>,
    identity: Identity,
    meta: RequestMeta,
    PathIds(order, fulfilment): PathIds<OrderId, FulfilmentId>,
    body: Body<UpdateFulfilment>,
) -> Answer<StaffOrderData> {
    let UpdateFulfilment { version, status, carrier, tracking_number, tracking_url, note } = body.value;
    let change = ParcelChange {
        status,
        carrier,
        tracking_number: tracking_number.map(|number| number.map(Line::into_string)),
        tracking_url: tracking_url.map(|link| link.map(TrackingLink::into_string)),
        note: note.map(|note| note.map(Text::into_string)),
    };
    let order = fulfil::change(&app, &identity, &meta, (order, fulfilment), version, change).await?;
    Ok(ok(StaffOrderData { order }))
}
