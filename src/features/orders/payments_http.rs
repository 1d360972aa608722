//! Money that staff have seen come.

use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use utoipa::ToSchema;

use super::detail::StaffOrderData;
use super::fulfilments_http::key_about;
use crate::app::App;
use crate::features::auth::Identity;
use crate::features::payments::HandChannel;
use crate::flows::record_payment::{self, HandMoney};
use crate::platform::checked::Line;
use crate::platform::error::{Error, Result};
use crate::platform::http::keyed::Keyed;
use crate::platform::http::{Body, Envelope, ErrorEnvelope, IdempotencyHeader, PathId, RequestMeta};
use crate::platform::ids::OrderId;
use crate::platform::money::Amount;
use crate::platform::text::Text;

/// Money that came past the provider.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct RecordPayment {
    /// What came, in the order's currency.
    amount: Amount,
    /// How. A transfer for an order that is paid by transfer, cash for one that is paid on delivery, when left out.
    channel: Option<HandChannel>,
    /// The bank's name for the transfer, by which it is recorded once; required for transfers. A receipt's number for others.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 100)]
    reference: Option<Line<1, 100>>,
    /// When it came; now when left out.
    received_at: Option<DateTime<Utc>>,
    /// For the staff.
    #[schema(value_type = Option<String>, max_length = 1000)]
    note: Option<Text<0, 1000>>,
}

/// Record a payment
///
/// Of an order that is paid by transfer by hand, or on delivery. It settles the order as money from the provider does: what fits
/// makes it paid, with a receipt to the buyer; what does not fit is kept and flagged, and changes nothing. A transfer that is
/// recorded already is not recorded again. With an `Idempotency-Key`, a repeated request gets the first answer.
#[utoipa::path(post, path = "/admin/orders/{order}/payments", tag = "Orders, staff",
    security(("bearer" = ["manage_payments"])),
    params(("order" = OrderId, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "1 to 255 characters, kept for 24 hours")),
    request_body = RecordPayment, responses(
    (status = 201, body = Envelope<StaffOrderData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "It is not paid by hand, it is paid already, it is over, the transfer is another order's, or the same key is still running"),
    (status = 422, body = ErrorEnvelope, description = "The key was used with another body"),
))]
pub(super) async fn record_payment(
    State(app): State<App>,
    identity: Identity,
    meta: RequestMeta,
    PathId(id): PathId<OrderId>,
    IdempotencyHeader(key): IdempotencyHeader,
    body: Body<RecordPayment>,
) -> Result<Keyed> {
    let key = key_about(id, identity.user_id, "POST /admin/orders/{order}/payments", key, body.fingerprint);
    let RecordPayment { amount, channel, reference, received_at, note } = body.value;
    if amount.0 == 0 {
        return Err(Error::field("amount", "must be more than nothing"));
    }
    let money = HandMoney {
        amount_minor: amount.0,
        channel,
        reference: reference.map(Line::into_string),
        received_at,
        note: note.map(Text::into_string).filter(|note| !note.is_empty()),
    };
    record_payment::record(&app, &identity, &meta, id, money, key).await
}
