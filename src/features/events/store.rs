//! SQL of the events. They are read where they were written: in the timeline of the orders and the ledger of the stock.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, Postgres, QueryBuilder};

use super::model::{Event, EventData, Position, STOCK_CHANGED, Stream, topic_of};
use crate::platform::ids::{OrderId, VariantId};
use crate::platform::money::Amount;

/// What has been read.
#[derive(Debug)]
pub struct Feed {
    /// The events, the oldest first. Entries that are no event are left out.
    pub events: Vec<Event>,
    /// The last entry that was looked at; where nothing was, the position before.
    pub last: Position,
    /// Whether all entries were read that the caller allowed, so that there may be more.
    pub is_full: bool,
}

#[derive(sqlx::FromRow)]
struct Row {
    txid: i64,
    stream: i16,
    id: i64,
    at: DateTime<Utc>,
    order_id: Option<OrderId>,
    kind: String,
    from_status: Option<String>,
    to_status: Option<String>,
    actor_type: Option<String>,
    amount_minor: Option<i64>,
    variant_id: Option<VariantId>,
    on_hand_delta: Option<i32>,
    reserved_delta: Option<i32>,
    number: Option<String>,
    currency: Option<String>,
    total_minor: Option<i64>,
    sku: Option<String>,
}

impl Row {
    fn position(&self) -> Position {
        let stream = Stream::of_number(self.stream).unwrap_or(Stream::Orders);
        Position { txid: self.txid, stream, id: self.id }
    }

    /// None for an entry that is no event.
    fn event(self) -> Option<Event> {
        let position = self.position();
        let (letter, topic, data) = match position.stream {
            Stream::Orders => {
                let topic = topic_of(&self.kind, self.from_status.as_deref())?;
                let total = self.total_minor.filter(|_| self.kind == "placed");
                let data = EventData::Order {
                    from: self.from_status,
                    to: self.to_status,
                    actor: self.actor_type?,
                    amount: self.amount_minor.or(total).map(Amount),
                    currency: self.currency?,
                };
                ('o', topic, data)
            }
            Stream::Stock => {
                let data = EventData::Stock {
                    variant_id: self.variant_id?,
                    sku: self.sku?,
                    on_hand_change: self.on_hand_delta?,
                    reserved_change: self.reserved_delta?,
                    reason: self.kind,
                };
                ('s', STOCK_CHANGED, data)
            }
        };
        Some(Event {
            id: format!("{letter}{}", self.id),
            version: 1,
            topic,
            occurred_at: self.at,
            order_id: self.order_id,
            order_number: self.number,
            data,
            position,
        })
    }
}

/// Entries behind a position, of one order or of all, at most `limit`: only those before which nothing can come any more.
///
/// # Errors
/// The database's.
pub async fn read(c: &mut PgConnection, after: Position, order: Option<OrderId>, limit: i64) -> sqlx::Result<Feed> {
    let mut query = QueryBuilder::new(
        "with bound as materialized (select first_open_txid() as txid)
         select f.*, o.number, o.currency, o.total_minor, v.sku from (
           select seen.txid::text::bigint as txid, seen.stream, seen.id, seen.at, seen.order_id, seen.kind, seen.from_status,
                  seen.to_status, seen.actor_type, seen.amount_minor, seen.variant_id, seen.on_hand_delta, seen.reserved_delta
           from ((select 0::smallint as stream, txid, id, at, order_id, type as kind, from_status, to_status, actor_type,
                         amount_minor, null::uuid as variant_id, null::int as on_hand_delta, null::int as reserved_delta
                  from order_events where type <> 'note'",
    );
    push_behind(&mut query, after, Stream::Orders, order, limit);
    query.push(
        ") union all (select 1::smallint, txid, id, at, order_id, reason, null, null, null, null, variant_id, on_hand_delta,
                              reserved_delta
                      from stock_movements where true",
    );
    push_behind(&mut query, after, Stream::Stock, order, limit);
    query.push(")) seen order by seen.txid, seen.stream, seen.id limit ").push_bind(limit);
    query.push(
        ") f left join orders o on o.id = f.order_id left join variants v on v.id = f.variant_id
         order by f.txid, f.stream, f.id",
    );
    let rows: Vec<Row> = query.build_query_as().fetch_all(c).await?;
    let last = rows.last().map_or(after, Row::position);
    let is_full = i64::try_from(rows.len()).is_ok_and(|read| read >= limit);
    Ok(Feed { events: rows.into_iter().filter_map(Row::event).collect(), last, is_full })
}

fn push_behind(
    query: &mut QueryBuilder<Postgres>,
    after: Position,
    stream: Stream,
    order: Option<OrderId>,
    limit: i64,
) {
    // In a stream that comes later, all of the transaction is behind the position; in one that comes earlier, nothing.
    let id = match stream.cmp(&after.stream) {
        std::cmp::Ordering::Less => i64::MAX,
        std::cmp::Ordering::Equal => after.id,
        std::cmp::Ordering::Greater => -1,
    };
    query.push(" and (txid, id) > (").push_bind(after.txid.to_string()).push("::text::xid8, ").push_bind(id);
    query.push(") and txid < (select txid from bound)");
    if let Some(order) = order {
        query.push(" and order_id = ").push_bind(order.0);
    }
    query.push(" order by txid, id limit ").push_bind(limit);
}

/// A position before all events that are not settled, and behind almost all that are.
///
/// # Errors
/// The database's.
pub async fn head(c: &mut PgConnection) -> sqlx::Result<Position> {
    let txid = sqlx::query_scalar!(r#"select first_open_txid()::text::bigint as "txid!""#).fetch_one(c).await?;
    Ok(Position { txid, ..Position::START })
}

/// Entries that are filed under transactions that this server has not begun: they come from another one, by a dump, and nobody
/// would be told of them.
///
/// # Errors
/// The database's.
pub async fn misplaced(c: &mut PgConnection) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"select (select count(*) from order_events where txid >= pg_snapshot_xmax(pg_current_snapshot()))
                + (select count(*) from stock_movements where txid >= pg_snapshot_xmax(pg_current_snapshot())) as "count!""#
    )
    .fetch_one(c)
    .await
}
