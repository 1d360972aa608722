//! The audit log: who did what to what, append-only.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;

use crate::features::auth::Identity;
use crate::platform::error::Result;
use crate::platform::http::RequestMeta;

/// One deed.
#[derive(Debug)]
pub struct Entry<'a> {
    /// Who did it; none for the system and for people who are not signed in.
    pub actor: Option<&'a Identity>,
    /// The deed, such as `product.update`.
    pub action: &'static str,
    /// The kind of thing, such as `product`.
    pub entity: &'static str,
    /// The thing's id.
    pub entity_id: Option<String>,
    /// The thing before, where it existed.
    pub before: Option<Value>,
    /// The thing after, where it still exists.
    pub after: Option<Value>,
}

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
