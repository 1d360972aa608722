//! The audit log as staff read it.

use axum::extract::State;
use chrono::{DateTime, Datelike, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::store::{self, Filter, Stored};
use crate::app::App;
use crate::platform::error::Error;
use crate::platform::http::{Answer, Envelope, ErrorEnvelope, Query, ok};
use crate::platform::ids::UserId;
use crate::platform::page::PageQuery;

/// Which entries.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(super) struct ListAudit {
    /// Who did it.
    actor: Option<Uuid>,
    /// The deed, such as `product.update`.
    action: Option<String>,
    /// The kind of thing, such as `product`.
    entity: Option<String>,
    /// The thing.
    entity_id: Option<String>,
    /// Not before this time.
    from: Option<DateTime<Utc>>,
    /// Before this time.
    until: Option<DateTime<Utc>>,
}

/// One deed.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct AuditView {
    /// The place in the chain.
    seq: i64,
    at: DateTime<Utc>,
    /// None for the system and for people who were not signed in.
    actor_id: Option<UserId>,
    actor_role: Option<String>,
    action: String,
    entity: String,
    entity_id: Option<String>,
    before: Value,
    after: Value,
    /// None where it was not known, or was erased.
    ip: Option<String>,
    user_agent: Option<String>,
    request_id: Option<String>,
    /// SHA-256 over this entry and the hash before it, in hexadecimal.
    hash: String,
}

impl From<Stored> for AuditView {
    fn from(stored: Stored) -> Self {
        let part = |part: &Option<Value>, key: &str| part.as_ref().map_or(Value::Null, |part| part[key].clone());
        let text = |key: &str| part(&stored.origin, key).as_str().map(str::to_owned);
        Self {
            before: part(&stored.change, "before"),
            after: part(&stored.change, "after"),
            ip: text("ip"),
            user_agent: text("userAgent"),
            hash: hex::encode(&stored.hash),
            seq: stored.seq,
            at: stored.at,
            actor_id: stored.actor_id,
            actor_role: stored.actor_role,
            action: stored.action,
            entity: stored.entity,
            entity_id: stored.entity_id,
            request_id: stored.request_id,
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AuditData {
    entries: Vec<AuditView>,
}

/// A link that does not fit.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ChainFault {
    seq: i64,
    fault: String,
}

/// The state of the chain.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ChainData {
    /// Whether every link fits.
    intact: bool,
    entries: i64,
    /// The hash of the last entry. Written down elsewhere, it proves later that none was cut off the end.
    head: Option<String>,
    /// The first that do not fit.
    faults: Vec<ChainFault>,
}

/// Read the audit log
///
/// The newest first.
#[utoipa::path(get, path = "/admin/audit", tag = "Audit, staff", security(("bearer" = ["read_audit"])),
    params(PageQuery, ListAudit), responses(
    (status = 200, body = Envelope<AuditData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
))]
pub(super) async fn list_audit(
    State(app): State<App>,
    Query(page): Query<PageQuery>,
    Query(which): Query<ListAudit>,
) -> Answer<AuditData> {
    let page = page.check(&app.config.lists)?;
    for (field, time) in [("from", which.from), ("until", which.until)] {
        // Far outside of these the database has no times.
        if time.is_some_and(|time| !(1970..=9999).contains(&time.year())) {
            return Err(Error::field(field, "must be a time such as 2026-11-24T18:00:00Z"));
        }
    }
    let filter = Filter {
        actor: which.actor,
        action: which.action.as_deref(),
        entity: which.entity.as_deref(),
        entity_id: which.entity_id.as_deref(),
        from: which.from,
        until: which.until,
    };
    let (entries, total) = store::list(&mut *app.db.acquire().await?, &filter, page.limit, page.offset()).await?;
    Ok(ok(AuditData { entries: entries.into_iter().map(AuditView::from).collect() }).page(page.of(total)))
}

/// Check the chain of the audit log
///
/// Computes every hash anew.
#[utoipa::path(get, path = "/admin/audit/check", tag = "Audit, staff", security(("bearer" = ["read_audit"])), responses(
    (status = 200, body = Envelope<ChainData>),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
))]
pub(super) async fn check_audit(State(app): State<App>) -> Answer<ChainData> {
    let chain = store::check_chain(&mut *app.db.acquire().await?).await?;
    Ok(ok(ChainData {
        intact: chain.faults.is_empty(),
        entries: chain.entries,
        head: chain.head.map(hex::encode),
        faults: chain.faults.into_iter().map(|(seq, fault)| ChainFault { seq, fault }).collect(),
    }))
}
