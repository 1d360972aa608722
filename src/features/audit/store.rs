//! SQL of the audit log. Entries are chained by the database as they are written: see the migration `audit_chain`.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::Entry;
use crate::platform::db::begin_erasing;
use crate::platform::error::Result;
use crate::platform::http::RequestMeta;
use crate::platform::ids::UserId;

/// Writes an entry in the transaction of the deed, as its last write: whoever writes the next one waits for the commit.
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

/// Which entries. What is none does not matter.
#[derive(Debug, Default)]
pub(super) struct Filter<'a> {
    pub actor: Option<Uuid>,
    pub action: Option<&'a str>,
    pub entity: Option<&'a str>,
    pub entity_id: Option<&'a str>,
    pub from: Option<DateTime<Utc>>,
    pub until: Option<DateTime<Utc>>,
}

/// An entry with its parts, as far as they were not erased.
#[derive(Debug)]
pub(super) struct Stored {
    pub seq: i64,
    pub at: DateTime<Utc>,
    pub actor_id: Option<UserId>,
    pub actor_role: Option<String>,
    pub action: String,
    pub entity: String,
    pub entity_id: Option<String>,
    pub request_id: Option<String>,
    pub hash: Vec<u8>,
    pub origin: Option<Value>,
    pub change: Option<Value>,
}

/// A page of entries, the newest first, and how many there are.
pub(super) async fn list(
    c: &mut PgConnection,
    filter: &Filter<'_>,
    limit: i64,
    offset: i64,
) -> sqlx::Result<(Vec<Stored>, i64)> {
    let entries = sqlx::query_as!(
        Stored,
        r#"select l.seq, l.at, l.actor_id as "actor_id: UserId", l.actor_role, l.action, l.entity, l.entity_id,
                  l.request_id, l.hash,
                  (select content from audit_parts p where p.entry_id = l.id and p.part = 'origin') as origin,
                  (select content from audit_parts p where p.entry_id = l.id and p.part = 'change') as change
           from audit_log l
           where ($1::uuid is null or l.actor_id = $1) and ($2::text is null or l.action = $2)
             and ($3::text is null or l.entity = $3) and ($4::text is null or l.entity_id = $4)
             and ($5::timestamptz is null or l.at >= $5) and ($6::timestamptz is null or l.at < $6)
           order by l.seq desc limit $7 offset $8"#,
        filter.actor,
        filter.action,
        filter.entity,
        filter.entity_id,
        filter.from,
        filter.until,
        limit,
        offset,
    )
    .fetch_all(&mut *c)
    .await?;
    let total = sqlx::query_scalar!(
        r#"select count(*) as "count!" from audit_log l
           where ($1::uuid is null or l.actor_id = $1) and ($2::text is null or l.action = $2)
             and ($3::text is null or l.entity = $3) and ($4::text is null or l.entity_id = $4)
             and ($5::timestamptz is null or l.at >= $5) and ($6::timestamptz is null or l.at < $6)"#,
        filter.actor,
        filter.action,
        filter.entity,
        filter.entity_id,
        filter.from,
        filter.until,
    )
    .fetch_one(c)
    .await?;
    Ok((entries, total))
}

/// The state of the chain.
#[derive(Debug)]
pub struct Chain {
    /// Links.
    pub entries: i64,
    /// The hash of the last one. Written down elsewhere, it proves later that none was cut off the end.
    pub head: Option<Vec<u8>>,
    /// The first links that do not fit, with what is wrong; empty when the chain is whole.
    pub faults: Vec<(i64, String)>,
}

/// Links that one statement checks, so that none takes long however long the chain is.
const LINKS: i64 = 100_000;

/// Checks every link of the chain and every part against its digest. Stops after the first range with faults.
///
/// # Errors
/// The database's.
pub async fn check_chain(c: &mut PgConnection) -> sqlx::Result<Chain> {
    let last =
        sqlx::query!("select seq, hash from audit_log order by seq desc limit 1").fetch_optional(&mut *c).await?;
    let entries = sqlx::query_scalar!(r#"select count(*) as "count!" from audit_log"#).fetch_one(&mut *c).await?;
    let (end, head) = last.map_or((0, None), |last| (last.seq, Some(last.hash)));
    let (mut first, mut faults) = (1, Vec::new());
    while first <= end && faults.is_empty() {
        faults = check_range(c, first, first + LINKS - 1).await?;
        first += LINKS;
    }
    Ok(Chain { entries, head, faults })
}

/// The first faults of the links `first` to `last`, each with the one before it.
async fn check_range(c: &mut PgConnection, first: i64, last: i64) -> sqlx::Result<Vec<(i64, String)>> {
    let faults = sqlx::query!(
        r#"select seq as "seq!", fault as "fault!" from (
             select seq, case
               when seq <> coalesce(lag(seq) over chain, 0) + 1 then 'entries before it are missing'
               when hash <> audit_hash(lag(hash) over chain, l) then 'it, or the one before it, was changed'
             end as fault
             from audit_log l where seq between $1::bigint - 1 and $2 window chain as (order by seq)
             union all
             select l.seq, 'its ' || p.part || ' was changed'
             from audit_parts p join audit_log l on l.id = p.entry_id
             where l.seq between $1 and $2
               and audit_digest(p.salt, p.content)
                 is distinct from (case p.part when 'origin' then l.origin_digest else l.change_digest end)) checked
           where fault is not null and seq >= $1 order by seq limit 20"#,
        first,
        last,
    )
    .fetch_all(c)
    .await?;
    Ok(faults.into_iter().map(|row| (row.seq, row.fault)).collect())
}

/// What is on record about a person: what he did and what was done to his account. Where somebody else acted from is that
/// person's. At most 10,000 entries.
///
/// # Errors
/// The database's.
pub async fn export(c: &mut PgConnection, user: UserId) -> sqlx::Result<Value> {
    sqlx::query_scalar!(
        r#"select coalesce(jsonb_agg(entry order by seq), '[]') as "entries!" from (
             select l.seq, jsonb_build_object('at', l.at, 'action', l.action, 'entity', l.entity, 'entityId', l.entity_id,
                      'origin', (select content from audit_parts p where p.entry_id = l.id and p.part = 'origin'
                                   and coalesce(l.actor_id, $1) = $1)) as entry
             from audit_log l where l.actor_id = $1 or (l.entity = 'user' and l.entity_id = $1::uuid::text)
             order by l.seq desc limit 10000) entries"#,
        user.0,
    )
    .fetch_one(c)
    .await
}

/// Removes what is personal of somebody: where he acted from, and what stands about his account. That it happened stays,
/// and so does where others acted from.
///
/// # Errors
/// The database's.
pub async fn erase_subject(c: &mut PgConnection, user: UserId) -> sqlx::Result<()> {
    begin_erasing(c).await?;
    sqlx::query!(
        "delete from audit_parts p using audit_log l
         where l.id = p.entry_id
           and ((l.entity = 'user' and l.entity_id = $1::uuid::text
                 and (p.part = 'change' or coalesce(l.actor_id, $1) = $1))
                or (l.actor_id = $1 and p.part = 'origin'))",
        user.0,
    )
    .execute(c)
    .await?;
    Ok(())
}

/// Removes where entries before `before` came from, at most `limit`. Gives how many.
///
/// # Errors
/// The database's.
pub async fn forget_origins(c: &mut PgConnection, before: DateTime<Utc>, limit: i64) -> sqlx::Result<u64> {
    begin_erasing(c).await?;
    // The parts are walked from the oldest on, which finds none before those that are left.
    let forgotten = sqlx::query!(
        "delete from audit_parts where part = 'origin' and entry_id = any(array(
           select p.entry_id from audit_parts p join audit_log l on l.id = p.entry_id
           where p.part = 'origin' and l.at < $1 order by p.entry_id limit $2))",
        before,
        limit,
    )
    .execute(c)
    .await?;
    Ok(forgotten.rows_affected())
}
