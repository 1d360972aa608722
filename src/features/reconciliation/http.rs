//! Reconciliations, for staff.

use axum::body::Body as HttpBody;
use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::service;
use super::store::findings::Filter;
use super::view::{FindingData, FindingsData, ReconciliationData, ReconciliationsData};
use crate::app::App;
use crate::features::auth::Identity;
use crate::flows::reconcile;
use crate::platform::checked::Line;
use crate::platform::error::{Error, FieldError, Result};
use crate::platform::http::keyed::{self, Keyed};
use crate::platform::http::{Answer, Body, Envelope, ErrorEnvelope, IdempotencyHeader, PathId, Query, RequestMeta, ok};
use crate::platform::ids::{FindingId, ReconciliationId};
use crate::platform::page::PartQuery;

/// List reconciliations
///
/// The newest first, in pages or with `cursor`.
#[utoipa::path(get, path = "/admin/reconciliations", tag = "Payments, staff", security(("bearer" = ["read_payments"])),
    params(PartQuery), responses(
    (status = 200, body = Envelope<ReconciliationsData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
))]
pub(super) async fn list_reconciliations(
    State(app): State<App>,
    Query(part): Query<PartQuery>,
) -> Answer<ReconciliationsData> {
    let (reconciliations, pagination) = service::list(&app, part.check(&app.config.lists)?).await?;
    Ok(ok(ReconciliationsData { reconciliations }).page(pagination))
}

/// What is compared.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StartReconciliation {
    /// Transactions that were begun from then.
    from: DateTime<Utc>,
    /// To before then, which is not in the future; at most 92 days later.
    until: DateTime<Utc>,
}

/// Compare a time with the payment provider
///
/// In the background: ask for the reconciliation to see how far it is. One is made at a time. The clock orders one each day. Send an
/// `Idempotency-Key`: a repeated request with the same key and body gets the first answer.
#[utoipa::path(post, path = "/admin/reconciliations", tag = "Payments, staff",
    security(("bearer" = ["manage_payments"])),
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 255 characters, kept for 24 hours")),
    request_body = StartReconciliation, responses(
    (status = 202, body = Envelope<ReconciliationData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "One is under way, or the same key is still running"),
    (status = 422, body = ErrorEnvelope, description = "The key was used with another body"),
))]
pub(super) async fn start_reconciliation(
    State(app): State<App>,
    identity: Identity,
    meta: RequestMeta,
    IdempotencyHeader(key): IdempotencyHeader,
    body: Body<StartReconciliation>,
) -> Result<Keyed> {
    let key = keyed::key(key, identity.user_id, "POST /admin/reconciliations", "", &body.fingerprint);
    let StartReconciliation { from, until } = body.value;
    reconcile::start(&app, &identity, &meta, (from, until), key).await
}

/// Get a reconciliation
#[utoipa::path(get, path = "/admin/reconciliations/{reconciliation}", tag = "Payments, staff",
    security(("bearer" = ["read_payments"])), params(("reconciliation" = ReconciliationId, Path)), responses(
    (status = 200, body = Envelope<ReconciliationData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
))]
pub(super) async fn get_reconciliation(
    State(app): State<App>,
    PathId(id): PathId<ReconciliationId>,
) -> Answer<ReconciliationData> {
    let reconciliation = service::view(&mut *app.db.acquire().await?, id).await?;
    Ok(ok(ReconciliationData { reconciliation }))
}

/// The findings of a reconciliation as CSV
#[utoipa::path(get, path = "/admin/reconciliations/{reconciliation}/report", tag = "Payments, staff",
    security(("bearer" = ["read_payments"])), params(("reconciliation" = ReconciliationId, Path)), responses(
    (status = 200, body = String, content_type = "text/csv"),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
))]
pub(super) async fn get_reconciliation_report(
    State(app): State<App>,
    identity: Identity,
    meta: RequestMeta,
    PathId(id): PathId<ReconciliationId>,
) -> Result<Response> {
    service::record_report(&app, &identity, &meta, id).await?;
    let disposition = format!("attachment; filename=\"reconciliation-{id}.csv\"");
    let headers = [(CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()), (CONTENT_DISPOSITION, disposition)];
    Ok((headers, HttpBody::from_stream(service::report(app, id))).into_response())
}

/// Which findings. Empty values do not filter.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(super) struct ListFindings {
    /// That this reconciliation met.
    reconciliation: Option<String>,
    /// `MISSING_IN_PAYSTACK`, `MISSING_IN_LOCAL`, `AMOUNT_MISMATCH`, `CURRENCY_MISMATCH`, `MODE_MISMATCH`, `STATUS_MISMATCH` or
    /// `REFUND_MISMATCH`.
    kind: Option<String>,
    /// `open`, `mended` or `resolved`.
    status: Option<String>,
}

impl ListFindings {
    fn check(&self) -> Result<Filter> {
        let mut faults = Vec::new();
        let given =
            |text: &Option<String>| text.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
        let run = given(&self.reconciliation).map(|id| id.parse()).transpose().unwrap_or_else(|_| {
            faults.push(FieldError::new("reconciliation", "must be the id of one"));
            None
        });
        let kind = given(&self.kind).map(|kind| serde_json::from_value(Value::String(kind))).transpose();
        let kind = kind.unwrap_or_else(|_| {
            let names = super::model::Kind::ALL.map(super::model::Kind::as_str).join(", ");
            faults.push(FieldError::new("kind", format!("must be one of {names}")));
            None
        });
        let status = given(&self.status).map(|status| serde_json::from_value(Value::String(status))).transpose();
        let status = status.unwrap_or_else(|_| {
            faults.push(FieldError::new("status", "must be open, mended or resolved"));
            None
        });
        if faults.is_empty() { Ok(Filter { run, kind, status }) } else { Err(Error::Validation(faults)) }
    }
}

/// List findings
///
/// What reconciliations have found, each difference once however often it was met; the newest first, in pages or with `cursor`.
#[utoipa::path(get, path = "/admin/reconciliation-findings", tag = "Payments, staff",
    security(("bearer" = ["read_payments"])), params(PartQuery, ListFindings), responses(
    (status = 200, body = Envelope<FindingsData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
))]
pub(super) async fn list_reconciliation_findings(
    State(app): State<App>,
    Query(part): Query<PartQuery>,
    Query(which): Query<ListFindings>,
) -> Answer<FindingsData> {
    let filter = which.check()?;
    let (findings, pagination) = service::list_findings(&app, filter, part.check(&app.config.lists)?).await?;
    Ok(ok(FindingsData { findings }).page(pagination))
}

/// What came of a finding.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ResolveFinding {
    /// For colleagues; nothing about persons.
    #[schema(value_type = String, min_length = 1, max_length = 500)]
    note: Line<1, 500>,
}

/// Close a finding
///
/// With what came of it. It opens again if a later reconciliation finds something else under its reference.
#[utoipa::path(post, path = "/admin/reconciliation-findings/{finding}/resolve", tag = "Payments, staff",
    security(("bearer" = ["manage_payments"])), params(("finding" = FindingId, Path)), request_body = ResolveFinding,
    responses(
    (status = 200, body = Envelope<FindingData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "It is closed already"),
))]
pub(super) async fn resolve_reconciliation_finding(
    State(app): State<App>,
    identity: Identity,
    meta: RequestMeta,
    PathId(id): PathId<FindingId>,
    body: Body<ResolveFinding>,
) -> Answer<FindingData> {
    let finding = service::resolve(&app, &identity, &meta, id, body.value.note.as_str()).await?;
    Ok(ok(FindingData { finding }))
}
