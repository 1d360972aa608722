//! SQL of what keeps stored bodies in order.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::StoredBody;
use crate::features::webhooks::model::EventStatus;
use crate::platform::ids::WebhookEventId;

/// Bodies that another key than the one of this mark has sealed, or none, behind an event, in the order of their ids. They
/// are locked, and those that somebody else works on are left out.
pub(in crate::features::webhooks) async fn sealed_otherwise(
    c: &mut PgConnection,
    mark: i32,
    behind: Option<WebhookEventId>,
    limit: i64,
) -> sqlx::Result<Vec<(WebhookEventId, StoredBody)>> {
    let rows = sqlx::query!(
        r#"select id as "id: WebhookEventId", event, status as "status: EventStatus", reference, dedupe_key, body,
                  sealed_by, deliveries
           from webhook_events
           where (sealed_by < $1 or sealed_by > $1) and body <> '{}' and ($2::uuid is null or id > $2)
           order by id limit $3 for update skip locked"#,
        mark,
        behind.map(|id| id.0),
        limit,
    )
    .fetch_all(c)
    .await?;
    let stored = rows.into_iter().map(|row| {
        let body = StoredBody {
            event: row.event,
            status: row.status,
            reference: row.reference,
            dedupe_key: row.dedupe_key,
            body: row.body,
            sealed_by: row.sealed_by,
            deliveries: row.deliveries,
        };
        (row.id, body)
    });
    Ok(stored.collect())
}

/// Stores a body sealed anew.
pub(in crate::features::webhooks) async fn reseal(
    c: &mut PgConnection,
    id: WebhookEventId,
    body: &[u8],
    mark: i32,
) -> sqlx::Result<()> {
    sqlx::query!("update webhook_events set body = $2, sealed_by = $3 where id = $1", id.0, body, mark)
        .execute(c)
        .await?;
    Ok(())
}

/// Empties bodies of events that came before a time and that nobody works on any more. Gives how many.
///
/// # Errors
/// The database's.
pub async fn empty_bodies(c: &mut PgConnection, before: DateTime<Utc>, limit: i64) -> sqlx::Result<u64> {
    let emptied = sqlx::query!(
        "update webhook_events set body = '{}', sealed_by = 0
         where id in (select id from webhook_events where received_at < $1 and body <> '{}' and status <> 'received'
                      order by received_at limit $2 for update skip locked)",
        before,
        limit,
    )
    .execute(c)
    .await?;
    Ok(emptied.rows_affected())
}

/// How many events could not be worked on.
///
/// # Errors
/// The database's.
pub async fn failed_events(c: &mut PgConnection) -> sqlx::Result<i64> {
    sqlx::query_scalar!(r#"select count(*) as "count!" from webhook_events where status = 'failed'"#).fetch_one(c).await
}
