//! SQL of the addresses.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::features::events::{Position, Stream};
use crate::platform::ids::EndpointId;

/// What staff say about an address.
#[derive(Clone, Debug)]
pub(in crate::features::merchant_webhooks) struct Terms {
    pub url: String,
    pub description: String,
    pub topics: Vec<String>,
    pub is_active: bool,
}

/// An address.
#[derive(Clone, Debug)]
pub(in crate::features::merchant_webhooks) struct Endpoint {
    pub id: EndpointId,
    pub url: String,
    pub description: String,
    pub topics: Vec<String>,
    pub is_active: bool,
    pub disabled_reason: Option<String>,
    pub failing_since: Option<DateTime<Utc>>,
    pub previous_until: Option<DateTime<Utc>>,
    pub version: i32,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// All addresses, the oldest first. The service keeps them few.
pub(in crate::features::merchant_webhooks) async fn all(c: &mut PgConnection) -> sqlx::Result<Vec<Endpoint>> {
    sqlx::query_as!(
        Endpoint,
        r#"select id as "id: EndpointId", url, description, topics, is_active, disabled_reason, failing_since, previous_until,
                  version, created_at, updated_at
           from webhook_endpoints order by id"#,
    )
    .fetch_all(c)
    .await
}

pub(in crate::features::merchant_webhooks) async fn find(
    c: &mut PgConnection,
    id: EndpointId,
) -> sqlx::Result<Option<Endpoint>> {
    sqlx::query_as!(
        Endpoint,
        r#"select id as "id: EndpointId", url, description, topics, is_active, disabled_reason, failing_since, previous_until,
                  version, created_at, updated_at
           from webhook_endpoints where id = $1"#,
        id.0,
    )
    .fetch_optional(c)
    .await
}

/// As [`find`], and nobody else changes it until the transaction ends.
pub(in crate::features::merchant_webhooks) async fn lock(
    c: &mut PgConnection,
    id: EndpointId,
) -> sqlx::Result<Option<Endpoint>> {
    sqlx::query!("select id from webhook_endpoints where id = $1 for no key update", id.0)
        .fetch_optional(&mut *c)
        .await?;
    find(c, id).await
}

/// Makes those who add an address follow each other. Gives how many there are.
pub(in crate::features::merchant_webhooks) async fn lock_count(c: &mut PgConnection) -> sqlx::Result<i64> {
    sqlx::query!("select pg_advisory_xact_lock(hashtextextended('agape webhooks', 0))").execute(&mut *c).await?;
    sqlx::query_scalar!(r#"select count(*) as "count!" from webhook_endpoints"#).fetch_one(c).await
}

/// Adds an address, which is told of what comes behind `seen`.
pub(in crate::features::merchant_webhooks) async fn insert(
    c: &mut PgConnection,
    id: EndpointId,
    terms: &Terms,
    secret: &[u8],
    seen: Position,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into webhook_endpoints (id, url, description, topics, is_active, secret, seen_txid, seen_stream, seen_id,
                                        created_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10)",
        id.0,
        terms.url,
        terms.description,
        &terms.topics,
        terms.is_active,
        secret,
        seen.txid,
        seen.stream.number(),
        seen.id,
        now,
    )
    .execute(c)
    .await?;
    Ok(())
}

/// Changes a locked address. Turned on anew, it has another chance.
pub(in crate::features::merchant_webhooks) async fn update(
    c: &mut PgConnection,
    id: EndpointId,
    terms: &Terms,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update webhook_endpoints
         set url = $2, description = $3, topics = $4, is_active = $5,
             disabled_reason = case when $5 then null else disabled_reason end,
             failing_since = case when $5 and not is_active then null else failing_since end,
             version = version + 1, updated_at = $6
         where id = $1",
        id.0,
        terms.url,
        terms.description,
        &terms.topics,
        terms.is_active,
        now,
    )
    .execute(c)
    .await?;
    Ok(())
}

/// Gives a locked address another secret. The present one counts until `until`.
pub(in crate::features::merchant_webhooks) async fn rotate(
    c: &mut PgConnection,
    id: EndpointId,
    secret: &[u8],
    until: DateTime<Utc>,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update webhook_endpoints
         set previous_secret = secret, previous_until = $3, secret = $2, version = version + 1, updated_at = $4
         where id = $1",
        id.0,
        secret,
        until,
        now,
    )
    .execute(c)
    .await?;
    Ok(())
}

/// The sealed secrets of an address.
#[derive(Debug)]
pub(in crate::features::merchant_webhooks) struct Sealed {
    pub id: EndpointId,
    pub secret: Vec<u8>,
    /// None once it has ended.
    pub previous_secret: Option<Vec<u8>>,
}

/// The secrets of all addresses, without those that have ended, which are removed.
pub(in crate::features::merchant_webhooks) async fn secrets(
    c: &mut PgConnection,
    now: DateTime<Utc>,
) -> sqlx::Result<Vec<Sealed>> {
    sqlx::query!(
        "update webhook_endpoints set previous_secret = null, previous_until = null where previous_until <= $1",
        now,
    )
    .execute(&mut *c)
    .await?;
    sqlx::query_as!(
        Sealed,
        r#"select id as "id: EndpointId", secret, previous_secret from webhook_endpoints order by id for no key update"#,
    )
    .fetch_all(c)
    .await
}

/// Writes the secrets of a locked address, sealed anew.
pub(in crate::features::merchant_webhooks) async fn reseal(c: &mut PgConnection, sealed: &Sealed) -> sqlx::Result<()> {
    sqlx::query!(
        "update webhook_endpoints set secret = $2, previous_secret = $3 where id = $1",
        sealed.id.0,
        sealed.secret,
        sealed.previous_secret,
    )
    .execute(c)
    .await?;
    Ok(())
}

/// Removes an address with its deliveries.
pub(in crate::features::merchant_webhooks) async fn delete(c: &mut PgConnection, id: EndpointId) -> sqlx::Result<()> {
    sqlx::query!("delete from webhook_endpoints where id = $1", id.0).execute(c).await?;
    Ok(())
}

/// The addresses that are told of events.
pub(in crate::features::merchant_webhooks) async fn active(c: &mut PgConnection) -> sqlx::Result<Vec<EndpointId>> {
    sqlx::query_scalar!(r#"select id as "id: EndpointId" from webhook_endpoints where is_active order by id"#)
        .fetch_all(c)
        .await
}

/// How far an address has got, and what it wants; locked. None if it is turned off, or somebody else is at it.
pub(in crate::features::merchant_webhooks) async fn lock_seen(
    c: &mut PgConnection,
    id: EndpointId,
) -> sqlx::Result<Option<(Position, Vec<String>)>> {
    let row = sqlx::query!(
        "select topics, seen_txid, seen_stream, seen_id from webhook_endpoints
         where id = $1 and is_active for no key update skip locked",
        id.0,
    )
    .fetch_optional(c)
    .await?;
    Ok(row.map(|row| {
        let stream = Stream::of_number(row.seen_stream).unwrap_or(Stream::Orders);
        (Position { txid: row.seen_txid, stream, id: row.seen_id }, row.topics)
    }))
}

/// Notes how far a locked address has got.
pub(in crate::features::merchant_webhooks) async fn set_seen(
    c: &mut PgConnection,
    id: EndpointId,
    seen: Position,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update webhook_endpoints set seen_txid = $2, seen_stream = $3, seen_id = $4 where id = $1",
        id.0,
        seen.txid,
        seen.stream.number(),
        seen.id,
    )
    .execute(c)
    .await?;
    Ok(())
}
