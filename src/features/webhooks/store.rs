//! SQL of stored webhooks.

pub(super) mod staff;
pub(super) mod upkeep;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::model::{EventStatus, is_always_work};
use crate::platform::ids::WebhookEventId;

#[derive(Debug)]
pub(super) struct NewEvent<'a> {
    pub dedupe_key: &'a str,
    pub event: &'a str,
    pub reference: Option<&'a str>,
    /// Sealed.
    pub body: &'a [u8],
    /// The mark of the key that it is sealed with.
    pub sealed_by: i32,
}

/// The body of a stored event as it is kept.
#[derive(Debug)]
pub(super) struct StoredBody {
    pub event: String,
    pub status: EventStatus,
    /// The payment that it is about, where it names one.
    pub reference: Option<String>,
    /// What it is sealed for.
    pub dedupe_key: String,
    pub body: Vec<u8>,
    /// The number of its key; 0: it is not sealed.
    pub sealed_by: i32,
    /// How often it has come.
    pub deliveries: i32,
}

/// Stores a delivery, or counts a repeated one. Gives the event's id when there is work: it is new, or an earlier
/// delivery of it could not be worked on, or [each one is](is_always_work).
pub(super) async fn insert(
    c: &mut PgConnection,
    new: &NewEvent<'_>,
    now: DateTime<Utc>,
) -> sqlx::Result<Option<WebhookEventId>> {
    let row = sqlx::query!(
        r#"with before as (select status from webhook_events where provider = 'paystack' and dedupe_key = $2),
           stored as (
             insert into webhook_events (id, provider, dedupe_key, event, reference, body, sealed_by, received_at)
             values ($1, 'paystack', $2, $3, $4, $5, $7, $6)
             on conflict (provider, dedupe_key) do update
             set deliveries = webhook_events.deliveries + 1,
                 body = case when webhook_events.body = '{}' and $8 then excluded.body else webhook_events.body end,
                 sealed_by = case when webhook_events.body = '{}' and $8 then excluded.sealed_by
                                  else webhook_events.sealed_by end,
                 status = case when webhook_events.status = 'failed' or $8 then 'received'
                               else webhook_events.status end
             returning id, xmax = 0 as is_new)
           select id as "id: WebhookEventId",
                  (is_new or $8 or coalesce((select status = 'failed' from before), false)) as "has_work!"
           from stored"#,
        WebhookEventId::new().0,
        new.dedupe_key,
        new.event,
        new.reference,
        new.body,
        now,
        new.sealed_by,
        is_always_work(new.event),
    )
    .fetch_one(c)
    .await?;
    Ok(row.has_work.then_some(row.id))
}

/// A stored event to work on.
pub(super) async fn find_body(c: &mut PgConnection, id: WebhookEventId) -> sqlx::Result<Option<StoredBody>> {
    sqlx::query_as!(
        StoredBody,
        r#"select event, status as "status: EventStatus", reference, dedupe_key, body, sealed_by, deliveries
           from webhook_events where id = $1"#,
        id.0,
    )
    .fetch_optional(c)
    .await
}

/// Notes what came of an event. One that has not come just so often any more, if a number is given, stays to be worked on.
pub(super) async fn finish(
    c: &mut PgConnection,
    id: WebhookEventId,
    deliveries: Option<i32>,
    (status, outcome): (EventStatus, &str),
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update webhook_events set status = $2, outcome = $3, processed_at = $4
         where id = $1 and ($5::int is null or deliveries = $5)",
        id.0,
        status as EventStatus,
        outcome,
        now,
        deliveries,
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
        "update webhook_events set body = '{}', sealed_by = 0 where reference = any($1) and status <> 'received'",
        references,
    )
    .execute(c)
    .await?;
    Ok(())
}
