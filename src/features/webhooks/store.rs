//! SQL of stored webhooks.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::platform::ids::WebhookEventId;

#[derive(Debug)]
pub(super) struct NewEvent<'a> {
    pub dedupe_key: &'a str,
    pub event: &'a str,
    pub reference: Option<&'a str>,
    pub body: &'a [u8],
}

/// Stores a delivery, or counts a repeated one. Gives the event's id when there is work: it is new, or an earlier
/// delivery of it could not be worked on.
pub(super) async fn insert(
    c: &mut PgConnection,
    new: &NewEvent<'_>,
    now: DateTime<Utc>,
) -> sqlx::Result<Option<WebhookEventId>> {
    let row = sqlx::query!(
        r#"with before as (select status from webhook_events where provider = 'paystack' and dedupe_key = $2),
           stored as (
             insert into webhook_events (id, provider, dedupe_key, event, reference, body, received_at)
             values ($1, 'paystack', $2, $3, $4, $5, $6)
             on conflict (provider, dedupe_key) do update
             set deliveries = webhook_events.deliveries + 1,
                 status = case when webhook_events.status = 'failed' then 'received' else webhook_events.status end
             returning id, xmax = 0 as is_new)
           select id as "id: WebhookEventId",
                  (is_new or coalesce((select status = 'failed' from before), false)) as "has_work!"
           from stored"#,
        WebhookEventId::new().0,
        new.dedupe_key,
        new.event,
        new.reference,
        new.body,
        now,
    )
    .fetch_one(c)
    .await?;
    Ok(row.has_work.then_some(row.id))
}

pub(super) async fn find_body(c: &mut PgConnection, id: WebhookEventId) -> sqlx::Result<Option<(String, Vec<u8>)>> {
    let row = sqlx::query!("select status, body from webhook_events where id = $1", id.0).fetch_optional(c).await?;
    Ok(row.map(|row| (row.status, row.body)))
}

pub(super) async fn finish(
    c: &mut PgConnection,
    id: WebhookEventId,
    status: &str,
    outcome: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update webhook_events set status = $2, outcome = $3, processed_at = $4 where id = $1",
        id.0,
        status,
        outcome,
        now,
    )
    .execute(c)
    .await?;
    Ok(())
}

/// Events that were stored before that time and not worked on.
pub(super) async fn received_before(c: &mut PgConnection, before: DateTime<Utc>) -> sqlx::Result<Vec<WebhookEventId>> {
    sqlx::query_scalar!(
        r#"select id as "id: WebhookEventId" from webhook_events
           where status = 'received' and received_at < $1 order by received_at limit 100"#,
        before,
    )
    .fetch_all(c)
    .await
}

/// Empties the bodies of events about these references that nobody works on any more: they name the person who paid.
///
/// # Errors
/// The database's.
pub async fn erase_bodies(c: &mut PgConnection, references: &[String]) -> sqlx::Result<()> {
    sqlx::query!(
        "update webhook_events set body = '{}' where reference = any($1) and status <> 'received'",
        references,
    )
    .execute(c)
    .await?;
    Ok(())
}
