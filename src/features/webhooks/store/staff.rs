//! SQL of stored events as staff look at them.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, Postgres, QueryBuilder};
use uuid::Uuid;

use crate::features::webhooks::model::EventStatus;
use crate::platform::count::{self, Total};
use crate::platform::ids::WebhookEventId;
use crate::platform::page::Part;

/// Which events.
#[derive(Debug, Default)]
pub(in crate::features::webhooks) struct Filter {
    pub event: Option<String>,
    pub status: Option<EventStatus>,
    pub reference: Option<String>,
    pub from: Option<DateTime<Utc>>,
    pub until: Option<DateTime<Utc>>,
}

/// A stored event without its body.
#[derive(Debug, sqlx::FromRow)]
pub(in crate::features::webhooks) struct Listed {
    pub id: WebhookEventId,
    pub event: String,
    pub reference: Option<String>,
    pub status: EventStatus,
    pub outcome: Option<String>,
    pub deliveries: i32,
    pub received_at: DateTime<Utc>,
    pub processed_at: Option<DateTime<Utc>>,
}

const COLUMNS: &str = "select id, event, reference, status, outcome, deliveries, received_at, processed_at";

/// Events, the newest first, and the last one's id where more follow.
pub(in crate::features::webhooks) async fn list(
    c: &mut PgConnection,
    filter: &Filter,
    part: Part,
) -> sqlx::Result<(Vec<Listed>, Option<Uuid>)> {
    let mut query = QueryBuilder::new(COLUMNS);
    push_source(&mut query, filter);
    if let Some(id) = part.behind {
        query.push(" and id < ").push_bind(id);
    }
    query.push(" order by id desc limit ").push_bind(part.page.limit + 1);
    query.push(" offset ").push_bind(part.offset());
    let rows = query.build_query_as().fetch_all(c).await?;
    Ok(part.cut(rows, |row: &Listed| row.id.0))
}

/// How many there are.
pub(in crate::features::webhooks) async fn total(c: &mut PgConnection, filter: &Filter) -> sqlx::Result<Total> {
    count::total(c, |query| push_source(query, filter)).await
}

fn push_source(query: &mut QueryBuilder<Postgres>, filter: &Filter) {
    query.push(" from webhook_events where true");
    if let Some(event) = &filter.event {
        query.push(" and event = ").push_bind(event.clone());
    }
    if let Some(status) = filter.status {
        query.push(" and status = ").push_bind(status);
    }
    if let Some(reference) = &filter.reference {
        query.push(" and reference = ").push_bind(reference.clone());
    }
    if let Some(from) = filter.from {
        query.push(" and received_at >= ").push_bind(from);
    }
    if let Some(until) = filter.until {
        query.push(" and received_at < ").push_bind(until);
    }
}

/// One event.
pub(in crate::features::webhooks) async fn find(
    c: &mut PgConnection,
    id: WebhookEventId,
) -> sqlx::Result<Option<Listed>> {
    sqlx::query_as!(
        Listed,
        r#"select id as "id: WebhookEventId", event, reference, status as "status: EventStatus", outcome, deliveries,
                  received_at, processed_at
           from webhook_events where id = $1"#,
        id.0,
    )
    .fetch_optional(c)
    .await
}

/// Puts an event back to work that was worked on. Gives whether it was.
pub(in crate::features::webhooks) async fn requeue(c: &mut PgConnection, id: WebhookEventId) -> sqlx::Result<bool> {
    let requeued = sqlx::query!(
        "update webhook_events set status = 'received', outcome = null, processed_at = null
         where id = $1 and status <> 'received' and body <> '{}'",
        id.0,
    )
    .execute(c)
    .await?;
    Ok(requeued.rows_affected() == 1)
}
