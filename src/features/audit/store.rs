//! SQL of the audit log.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::Entry;
use crate::platform::error::Result;
use crate::platform::http::RequestMeta;

/// Writes an entry in the transaction of the deed.
///
/// # Errors
/// When the statement fails.
pub async fn record(tx: &mut PgConnection, entry: Entry<'_>, meta: &RequestMeta, now: DateTime<Utc>) -> Result<()> {
    sqlx::query!(
        "insert into audit_log
           (at, actor_id, actor_role, action, entity, entity_id, before, after, ip, user_agent, request_id)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        now,
        entry.actor.map(|actor| actor.user_id.0),
        entry.actor.map(|actor| actor.role.as_str()),
        entry.action,
        entry.entity,
        entry.entity_id,
        entry.before,
        entry.after,
        meta.ip,
        meta.user_agent,
        meta.request_id,
    )
    .execute(tx)
    .await?;
    Ok(())
}
