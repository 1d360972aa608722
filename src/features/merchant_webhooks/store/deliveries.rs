//! SQL of the deliveries.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, Postgres, QueryBuilder};
use uuid::Uuid;

use crate::features::merchant_webhooks::view::DeliveryStatus;
use crate::platform::count::{self, Total};
use crate::platform::ids::{DeliveryId, EndpointId, OrderId};
use crate::platform::page::Part;

/// A delivery to be made.
#[derive(Debug)]
pub(in crate::features::merchant_webhooks) struct NewDelivery {
    pub event_id: String,
    pub topic: String,
    pub order_id: Option<OrderId>,
    pub body: String,
}

/// Writes deliveries, in this order: the first ones of their events, or replays.
pub(in crate::features::merchant_webhooks) async fn insert(
    c: &mut PgConnection,
    endpoint: EndpointId,
    new: &[NewDelivery],
    is_replay: bool,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    let ids: Vec<Uuid> = new.iter().map(|_| DeliveryId::new().0).collect();
    let events: Vec<_> = new.iter().map(|delivery| delivery.event_id.clone()).collect();
    let topics: Vec<_> = new.iter().map(|delivery| delivery.topic.clone()).collect();
    let orders: Vec<_> = new.iter().map(|delivery| delivery.order_id.map(|id| id.0)).collect();
    let bodies: Vec<_> = new.iter().map(|delivery| delivery.body.clone()).collect();
    sqlx::query!(
        "insert into webhook_deliveries (id, endpoint_id, event_id, topic, order_id, body, is_replay, next_at, created_at)
         select id, $1, event_id, topic, order_id, body, $8, $7, $7
         from unnest($2::uuid[], $3::text[], $4::text[], $5::uuid[], $6::text[]) with ordinality
           as d (id, event_id, topic, order_id, body, n)
         order by n",
        endpoint.0,
        &ids,
        &events,
        &topics,
        &orders as &[Option<Uuid>],
        &bodies,
        now,
        is_replay,
    )
    .execute(c)
    .await?;
    Ok(())
}

/// A delivery that this process tries now.
#[derive(Debug)]
pub struct Claimed {
    /// Its id.
    pub id: DeliveryId,
    /// The address's id, for which its secrets are sealed.
    pub endpoint_id: EndpointId,
    /// Where it goes.
    pub url: String,
    /// The sealed secret.
    pub secret: Vec<u8>,
    /// The sealed secret before, while it counts.
    pub previous_secret: Option<Vec<u8>>,
    /// The event's id.
    pub event_id: String,
    /// The event's topic.
    pub topic: String,
    /// What is sent.
    pub body: String,
    /// Which try it is.
    pub attempts: i32,
}

/// Claims deliveries that are due: of each order the first one only, and of each address not more than `at_once` at a time, so that
/// a slow one leaves room for others; those who claim at the same moment may have so many each. Nobody else tries them before
/// `until`.
///
/// # Errors
/// The database's.
pub async fn claim(
    c: &mut PgConnection,
    now: DateTime<Utc>,
    until: DateTime<Utc>,
    at_once: i64,
    limit: i64,
) -> sqlx::Result<Vec<Claimed>> {
    sqlx::query_as!(
        Claimed,
        r#"with due as (
             select d.id from webhook_endpoints e cross join lateral (
               select d.id from webhook_deliveries d
               where d.endpoint_id = e.id and d.status = 'pending' and d.next_at <= $1
                 and (d.leased_until is null or d.leased_until <= $1)
                 and not exists (select from webhook_deliveries b
                                 where b.endpoint_id = d.endpoint_id and b.order_id = d.order_id and b.status = 'pending'
                                   and b.seq < d.seq)
               order by d.next_at, d.seq
               limit greatest(0, $3 - (select count(*) from webhook_deliveries l
                                       where l.endpoint_id = e.id and l.status = 'pending' and l.leased_until > $1))
               for update skip locked) d
             where e.is_active limit $4)
           update webhook_deliveries d set leased_until = $2, attempts = d.attempts + 1
           from due, webhook_endpoints e where d.id = due.id and e.id = d.endpoint_id
           returning d.id as "id: DeliveryId", d.endpoint_id as "endpoint_id: EndpointId", e.url, e.secret,
                     case when e.previous_until > $1 then e.previous_secret end as previous_secret, d.event_id, d.topic, d.body,
                     d.attempts"#,
        now,
        until,
        at_once,
        limit,
    )
    .fetch_all(c)
    .await
}

/// A delivery as staff see it.
#[derive(Debug, sqlx::FromRow)]
pub(in crate::features::merchant_webhooks) struct Delivery {
    pub id: DeliveryId,
    pub event_id: String,
    pub topic: String,
    pub order_id: Option<OrderId>,
    pub status: DeliveryStatus,
    pub is_replay: bool,
    pub attempts: i32,
    pub next_at: DateTime<Utc>,
    pub response_status: Option<i32>,
    pub response: Option<String>,
    pub error: Option<String>,
    pub duration_ms: Option<i32>,
    pub created_at: DateTime<Utc>,
    pub ended_at: Option<DateTime<Utc>>,
}

/// Deliveries of an address, the newest first, and the last one's id where more follow.
pub(in crate::features::merchant_webhooks) async fn list(
    c: &mut PgConnection,
    endpoint: EndpointId,
    status: Option<DeliveryStatus>,
    part: Part,
) -> sqlx::Result<(Vec<Delivery>, Option<Uuid>)> {
    let mut query = QueryBuilder::new("select *");
    push_source(&mut query, endpoint, status);
    if let Some(id) = part.behind {
        query.push(" and id < ").push_bind(id);
    }
    query.push(" order by id desc limit ").push_bind(part.page.limit + 1);
    query.push(" offset ").push_bind(part.offset());
    let rows = query.build_query_as().fetch_all(c).await?;
    Ok(part.cut(rows, |row: &Delivery| row.id.0))
}

/// How many there are.
pub(in crate::features::merchant_webhooks) async fn total(
    c: &mut PgConnection,
    endpoint: EndpointId,
    status: Option<DeliveryStatus>,
) -> sqlx::Result<Total> {
    count::total(c, |query| push_source(query, endpoint, status)).await
}

fn push_source(query: &mut QueryBuilder<Postgres>, endpoint: EndpointId, status: Option<DeliveryStatus>) {
    query.push(" from webhook_deliveries where endpoint_id = ").push_bind(endpoint.0);
    if let Some(status) = status {
        query.push(" and status = ").push_bind(status);
    }
}

/// Writes a delivery that no event has brought. Gives it.
pub(in crate::features::merchant_webhooks) async fn insert_ping(
    c: &mut PgConnection,
    endpoint: EndpointId,
    new: &NewDelivery,
    now: DateTime<Utc>,
) -> sqlx::Result<Delivery> {
    insert(c, endpoint, std::slice::from_ref(new), false, now).await?;
    sqlx::query_as("select * from webhook_deliveries where endpoint_id = $1 and event_id = $2")
        .bind(endpoint.0)
        .bind(&new.event_id)
        .fetch_one(c)
        .await
}

/// Which deliveries are made again.
#[derive(Debug)]
pub(in crate::features::merchant_webhooks) enum Again {
    /// These.
    These(Vec<Uuid>),
    /// All first deliveries of events that were made in this time.
    Between(DateTime<Utc>, DateTime<Utc>),
}

/// Writes deliveries anew, in the order in which they were, at most `limit`. Gives how many.
pub(in crate::features::merchant_webhooks) async fn replay(
    c: &mut PgConnection,
    endpoint: EndpointId,
    which: &Again,
    limit: i64,
    now: DateTime<Utc>,
) -> sqlx::Result<usize> {
    let (ids, from, until) = match which {
        Again::These(ids) => (Some(ids.as_slice()), None, None),
        Again::Between(from, until) => (None, Some(*from), Some(*until)),
    };
    let found = sqlx::query_as!(
        NewDelivery,
        r#"select event_id, topic, order_id as "order_id: OrderId", body from webhook_deliveries
           where endpoint_id = $1
             and case when $2::uuid[] is null then not is_replay and topic <> 'ping' and created_at >= $3 and created_at < $4
                      else id = any($2) end
           order by seq limit $5"#,
        endpoint.0,
        ids,
        from,
        until,
        limit,
    )
    .fetch_all(&mut *c)
    .await?;
    insert(c, endpoint, &found, true, now).await?;
    Ok(found.len())
}

/// Removes deliveries that ended before a time, at most `limit`. Gives how many.
///
/// # Errors
/// The database's.
pub async fn sweep(c: &mut PgConnection, before: DateTime<Utc>, limit: i64) -> sqlx::Result<u64> {
    let removed = sqlx::query!(
        "delete from webhook_deliveries where id in (
           select id from webhook_deliveries where status <> 'pending' and ended_at < $1 order by ended_at limit $2)",
        before,
        limit,
    )
    .execute(c)
    .await?;
    Ok(removed.rows_affected())
}
