//! Disputes, for staff.

use axum::extract::State;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::model::Answer as Resolution;
use super::service;
use super::store::staff::{Filter, Which};
use super::view::{DisputeData, DisputeView, DisputesData};
use crate::app::App;
use crate::features::auth::Identity;
use crate::flows::answer_dispute::{self, Reply};
use crate::platform::error::{Error, FieldError, Result};
use crate::platform::http::keyed::{self, Keyed};
use crate::platform::http::{Answer, Body, Envelope, ErrorEnvelope, IdempotencyHeader, PathId, Query, RequestMeta, ok};
use crate::platform::ids::DisputeId;
use crate::platform::money::Amount;
use crate::platform::page::PartQuery;
use crate::platform::text::Text;

/// Which disputes. Empty values do not filter.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(super) struct ListDisputes {
    /// `open`, `overdue` (the shop has not answered in time) or `over`.
    status: Option<String>,
    /// Of this order.
    order: Option<String>,
}

/// List disputes
///
/// The newest first, in pages or with `cursor`.
#[utoipa::path(get, path = "/admin/disputes", tag = "Payments, staff", security(("bearer" = ["read_payments"])),
    params(PartQuery, ListDisputes), responses(
    (status = 200, body = Envelope<DisputesData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
))]
pub(super) async fn list_disputes(
    State(app): State<App>,
    Query(part): Query<PartQuery>,
    Query(wanted): Query<ListDisputes>,
) -> Answer<DisputesData> {
    let mut faults = Vec::new();
    let which = match wanted.status.as_deref().map(str::trim).unwrap_or_default() {
        "" => None,
        "open" => Some(Which::Open),
        "overdue" => Some(Which::Overdue),
        "over" => Some(Which::Over),
        _ => {
            faults.push(FieldError::new("status", "must be open, overdue or over"));
            None
        }
    };
    let order = wanted.order.as_deref().map(str::trim).filter(|order| !order.is_empty()).map(str::parse).transpose();
    let order = order.unwrap_or_else(|_| {
        faults.push(FieldError::new("order", "must be the id of an order"));
        None
    });
    if !faults.is_empty() {
        return Err(Error::Validation(faults));
    }
    let filter = Filter { which, order, now: app.clock.now() };
    let (disputes, pagination) = service::list(&app, filter, part.check(&app.config.lists)?).await?;
    Ok(ok(DisputesData { disputes }).page(pagination))
}

/// Get a dispute
#[utoipa::path(get, path = "/admin/disputes/{dispute}", tag = "Payments, staff",
    security(("bearer" = ["read_payments"])), params(("dispute" = DisputeId, Path)), responses(
    (status = 200, body = Envelope<DisputeData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
))]
pub(super) async fn get_dispute(State(app): State<App>, PathId(id): PathId<DisputeId>) -> Answer<DisputeData> {
    Ok(ok(data(&app, id).await?))
}

async fn data(app: &App, id: DisputeId) -> Result<DisputeData, Error> {
    let (dispute, notes) = service::get(app, id).await?;
    let dispute = DisputeView::new(dispute, app.clock.now());
    Ok(DisputeData { dispute, notes: notes.into_iter().map(Into::into).collect() })
}

/// The shop's answer to a dispute.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct ResolveDispute {
    resolution: Resolution,
    /// For the buyer's bank.
    #[schema(value_type = String, min_length = 1, max_length = 2000)]
    message: Text<1, 2000>,
    /// What goes back: needed where it is accepted, at most what is asked for; left out where it is declined.
    refund_amount: Option<Amount>,
    /// The name under which the provider keeps a proof that was uploaded there.
    #[schema(value_type = Option<String>, max_length = 255)]
    uploaded_filename: Option<Text<0, 255>>,
    /// The provider's number of evidence that was sent there before.
    evidence: Option<u64>,
}

/// Answer a dispute
///
/// At the provider. A repeated request with the same answer looks first whether it has arrived, and answers nothing twice.
#[utoipa::path(post, path = "/admin/disputes/{dispute}/resolve", tag = "Payments, staff",
    security(("bearer" = ["manage_payments"])), params(("dispute" = DisputeId, Path)), request_body = ResolveDispute,
    responses(
    (status = 200, body = Envelope<DisputeData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "It is over, somebody else is answering it, or the provider does not take the answer"),
    (status = 503, body = ErrorEnvelope, description = "The provider does not answer; send the same request again"),
))]
pub(super) async fn resolve_dispute(
    State(app): State<App>,
    identity: Identity,
    meta: RequestMeta,
    PathId(id): PathId<DisputeId>,
    body: Body<ResolveDispute>,
) -> Answer<DisputeData> {
    let ResolveDispute { resolution, message, refund_amount, uploaded_filename, evidence } = body.value;
    let reply = Reply {
        answer: resolution,
        message: message.into_string(),
        refund_minor: refund_amount.map(|amount| amount.0),
        uploaded_filename: uploaded_filename.map(Text::into_string).unwrap_or_default(),
        evidence,
    };
    answer_dispute::answer(&app, &identity, &meta, id, &reply).await?;
    Ok(ok(data(&app, id).await?))
}

/// A note on a dispute.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AddDisputeNote {
    #[schema(value_type = String, min_length = 1, max_length = 2000)]
    text: Text<1, 2000>,
}

/// Write a note on a dispute
///
/// Send an `Idempotency-Key`: a repeated request with the same key and body gets the first answer, and writes no second note.
#[utoipa::path(post, path = "/admin/disputes/{dispute}/notes", tag = "Payments, staff",
    security(("bearer" = ["manage_payments"])), request_body = AddDisputeNote,
    params(("dispute" = DisputeId, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "1 to 255 characters, kept for 24 hours")),
    responses(
    (status = 201, body = Envelope<DisputeData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "The buyer was erased, or the same key is still running"),
    (status = 422, body = ErrorEnvelope, description = "The key was used with another body"),
))]
pub(super) async fn add_dispute_note(
    State(app): State<App>,
    identity: Identity,
    meta: RequestMeta,
    PathId(id): PathId<DisputeId>,
    IdempotencyHeader(key): IdempotencyHeader,
    body: Body<AddDisputeNote>,
) -> Result<Keyed> {
    let route = "POST /admin/disputes/{dispute}/notes";
    let key = keyed::key(key, identity.user_id, route, &id.to_string(), &body.fingerprint);
    let key = answer_dispute::key_about(&app, id, key).await?;
    service::add_note(&app, &identity, &meta, id, body.value.text.as_str(), key).await
}
