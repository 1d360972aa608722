//! Orders as staff keep them.

use axum::extract::State;
use serde::Deserialize;
use utoipa::ToSchema;

use super::detail::{self, StaffOrderData};
use super::fulfilments_http::key_about;
use super::staff_service;
use super::status::Status;
use crate::app::App;
use crate::features::auth::Identity;
use crate::flows::cancel::{self, StaffCancel};
use crate::flows::{fulfil, resend};
use crate::platform::error::{Error, Result};
use crate::platform::http::envelope::Empty;
use crate::platform::http::keyed::Keyed;
use crate::platform::http::{Answer, Body, Envelope, ErrorEnvelope, IdempotencyHeader, PathId, RequestMeta, ok};
use crate::platform::ids::{FulfilmentId, OrderId};
use crate::platform::text::Text;

/// Get any order
#[utoipa::path(get, path = "/admin/orders/{order}", tag = "Orders, staff", security(("bearer" = ["read_orders"])),
    params(("order" = OrderId, Path)), responses(
    (status = 200, body = Envelope<StaffOrderData>),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
))]
pub(super) async fn get_any_order(State(app): State<App>, PathId(id): PathId<OrderId>) -> Answer<StaffOrderData> {
    let mut connection = app.db.acquire().await?;
    let order = detail::staff_detail(&mut connection, id, &app.config.public_url()).await?;
    Ok(ok(StaffOrderData { order }))
}

/// A new status.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SetOrderStatus {
    /// One of the order's `nextStatuses`.
    status: Status,
    /// For the staff only.
    #[schema(value_type = Option<String>, max_length = 1000)]
    notes: Option<Text<0, 1000>>,
    /// The version that this is based on; when left out, whatever it is.
    version: Option<i32>,
}

/// Set an order's status
///
/// `processing`: it is being packed. `shipped`: what is packed leaves the house, and what is not is packed and leaves too.
/// `delivered`: all has arrived. `cancelled`: it is given up, its goods go back on the shelf and its money to the buyer.
/// Other statuses come by themselves.
#[utoipa::path(patch, path = "/admin/orders/{order}/status", tag = "Orders, staff",
    security(("bearer" = ["manage_orders"])), params(("order" = OrderId, Path)), request_body = SetOrderStatus,
    responses(
    (status = 200, body = Envelope<StaffOrderData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "It cannot become that; what it can become is named. Or it has another version"),
))]
pub(super) async fn set_order_status(
    State(app): State<App>,
    identity: Identity,
    meta: RequestMeta,
    PathId(id): PathId<OrderId>,
    body: Body<SetOrderStatus>,
) -> Answer<StaffOrderData> {
    let SetOrderStatus { status, notes, version } = body.value;
    let note = notes.map(Text::into_string).filter(|note| !note.is_empty());
    let note = note.as_deref();
    let order = if status == Status::Cancelled {
        let what = StaffCancel { restock: true, note, internal: true, version };
        cancel::by_staff(&app, &identity, &meta, id, what).await?
    } else {
        fulfil::set_status(&app, &identity, &meta, id, (status, note), version).await?
    };
    Ok(ok(StaffOrderData { order }))
}

/// A note on an order.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct AddOrderNote {
    #[schema(value_type = String, min_length = 1, max_length = 2000)]
    text: Text<1, 2000>,
    /// Whether the buyer may read it too.
    #[serde(default)]
    visible_to_customer: bool,
}

/// Write a note on an order
///
/// Send an `Idempotency-Key`: a repeated request with the same key and body gets the first answer, and writes no second note.
#[utoipa::path(post, path = "/admin/orders/{order}/notes", tag = "Orders, staff",
    security(("bearer" = ["manage_orders"])), request_body = AddOrderNote,
    params(("order" = OrderId, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "1 to 255 characters, kept for 24 hours")),
    responses(
    (status = 201, body = Envelope<StaffOrderData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "Its buyer was erased, or the same key is still running"),
    (status = 422, body = ErrorEnvelope, description = "The key was used with another body"),
))]
pub(super) async fn add_order_note(
    State(app): State<App>,
    identity: Identity,
    meta: RequestMeta,
    PathId(id): PathId<OrderId>,
    IdempotencyHeader(key): IdempotencyHeader,
    body: Body<AddOrderNote>,
) -> Result<Keyed> {
    let key = key_about(id, identity.user_id, "POST /admin/orders/{order}/notes", key, body.fingerprint);
    let AddOrderNote { text, visible_to_customer } = body.value;
    staff_service::add_note(&app, &identity, &meta, id, (text.as_str(), visible_to_customer), key).await
}

/// How an order is given up.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CancelAnyOrder {
    /// Told to the buyer.
    #[schema(value_type = Option<String>, max_length = 500)]
    reason: Option<Text<0, 500>>,
    /// Whether goods that were sold go back on the shelf; so they do when left out.
    restock: Option<bool>,
    /// The version that this is based on; when left out, whatever it is.
    version: Option<i32>,
}

/// Cancel any order
///
/// Of which nothing has left the house. What was paid is asked back from the payment provider.
#[utoipa::path(post, path = "/admin/orders/{order}/cancel", tag = "Orders, staff",
    security(("bearer" = ["manage_orders"])), params(("order" = OrderId, Path)), request_body = CancelAnyOrder, responses(
    (status = 200, body = Envelope<StaffOrderData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "It is too late, or it has another version"),
))]
pub(super) async fn cancel_any_order(
    State(app): State<App>,
    identity: Identity,
    meta: RequestMeta,
    PathId(id): PathId<OrderId>,
    body: Body<CancelAnyOrder>,
) -> Answer<StaffOrderData> {
    let CancelAnyOrder { reason, restock, version } = body.value;
    let note = reason.map(Text::into_string).filter(|reason| !reason.is_empty());
    let what = StaffCancel { restock: restock.unwrap_or(true), note: note.as_deref(), internal: false, version };
    let order = cancel::by_staff(&app, &identity, &meta, id, what).await?;
    Ok(ok(StaffOrderData { order }))
}

/// A mail to send again.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct ResendOrderMail {
    kind: MailKind,
    /// Of which parcel, for `shipped` and `delivered`; the last one when left out.
    fulfilment_id: Option<FulfilmentId>,
}

/// Which mail.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum MailKind {
    /// The order was placed.
    Confirmation,
    /// It was paid.
    Receipt,
    /// A parcel is on its way.
    Shipped,
    /// A parcel has arrived.
    Delivered,
    /// It was given up.
    Cancelled,
}

/// Send a mail about an order again
///
/// To the order's address, as the order is now. At most five copies of a mail in a day. Send an `Idempotency-Key`: a repeated
/// request with the same key and body gets the first answer, and sends no second mail.
#[utoipa::path(post, path = "/admin/orders/{order}/mails", tag = "Orders, staff",
    security(("bearer" = ["manage_orders"])), request_body = ResendOrderMail,
    params(("order" = OrderId, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "1 to 255 characters, kept for 24 hours")),
    responses(
    (status = 200, body = Envelope<Empty>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "There is no such mail about it, it was sent too often, or the same key is still running"),
    (status = 422, body = ErrorEnvelope, description = "The key was used with another body"),
))]
pub(super) async fn resend_order_mail(
    State(app): State<App>,
    identity: Identity,
    meta: RequestMeta,
    PathId(id): PathId<OrderId>,
    IdempotencyHeader(key): IdempotencyHeader,
    body: Body<ResendOrderMail>,
) -> Result<Keyed> {
    let key = key_about(id, identity.user_id, "POST /admin/orders/{order}/mails", key, body.fingerprint);
    let ResendOrderMail { kind, fulfilment_id } = body.value;
    let again = match kind {
        MailKind::Shipped => resend::Again::Shipped(fulfilment_id),
        MailKind::Delivered => resend::Again::Delivered(fulfilment_id),
        _ if fulfilment_id.is_some() => {
            return Err(Error::field("fulfilmentId", "goes with shipped and delivered only"));
        }
        MailKind::Confirmation => resend::Again::Confirmation,
        MailKind::Receipt => resend::Again::Receipt,
        MailKind::Cancelled => resend::Again::Cancelled,
    };
    resend::resend(&app, &identity, &meta, id, again, key).await
}
