//! SQL of disputes as staff look at them.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, Postgres, QueryBuilder};
use uuid::Uuid;

use super::Dispute;
use crate::platform::count::{self, Total};
use crate::platform::ids::{DisputeId, OrderId, UserId};
use crate::platform::page::Part;

/// Which disputes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::features::disputes) enum Which {
    /// Those that are not over.
    Open,
    /// Those that the shop has not answered in time.
    Overdue,
    /// Those that are over.
    Over,
}

/// Which disputes.
#[derive(Clone, Copy, Debug)]
pub(in crate::features::disputes) struct Filter {
    pub which: Option<Which>,
    pub order: Option<OrderId>,
    pub now: DateTime<Utc>,
}

/// Disputes, the newest first, and the last one's id where more follow.
pub(in crate::features::disputes) async fn list(
    c: &mut PgConnection,
    filter: Filter,
    part: Part,
) -> sqlx::Result<(Vec<Dispute>, Option<Uuid>)> {
    let mut query = QueryBuilder::new("select *");
    push_source(&mut query, filter);
    if let Some(id) = part.behind {
        query.push(" and id < ").push_bind(id);
    }
    query.push(" order by id desc limit ").push_bind(part.page.limit + 1);
    query.push(" offset ").push_bind(part.offset());
    let rows = query.build_query_as().fetch_all(c).await?;
    Ok(part.cut(rows, |row: &Dispute| row.id.0))
}

/// How many there are.
pub(in crate::features::disputes) async fn total(c: &mut PgConnection, filter: Filter) -> sqlx::Result<Total> {
    count::total(c, |query| push_source(query, filter)).await
}

fn push_source(query: &mut QueryBuilder<Postgres>, filter: Filter) {
    query.push(" from disputes where true");
    match filter.which {
        Some(Which::Open) => {
            query.push(" and status not in ('resolved', 'archived')");
        }
        Some(Which::Overdue) => {
            query.push(" and status = 'awaiting_merchant' and due_at <= ").push_bind(filter.now);
        }
        Some(Which::Over) => {
            query.push(" and status in ('resolved', 'archived')");
        }
        None => {}
    }
    if let Some(order) = filter.order {
        query.push(" and order_id = ").push_bind(order.0);
    }
}

/// One dispute.
pub(in crate::features::disputes) async fn find(c: &mut PgConnection, id: DisputeId) -> sqlx::Result<Option<Dispute>> {
    sqlx::query_as("select * from disputes where id = $1").bind(id.0).fetch_optional(c).await
}

/// What staff have written about a dispute.
#[derive(Debug)]
pub(in crate::features::disputes) struct Note {
    pub text: String,
    pub actor_id: Option<UserId>,
    pub at: DateTime<Utc>,
}

/// The notes on a dispute, the oldest first, at most 500.
pub(in crate::features::disputes) async fn notes(c: &mut PgConnection, id: DisputeId) -> sqlx::Result<Vec<Note>> {
    sqlx::query_as!(
        Note,
        r#"select text, actor_id as "actor_id: UserId", at from dispute_notes where dispute_id = $1 order by id limit 500"#,
        id.0,
    )
    .fetch_all(c)
    .await
}

/// Writes a note. The database refuses one about a buyer who was erased (`dispute_notes_of_live_buyers`).
pub(in crate::features::disputes) async fn add_note(
    c: &mut PgConnection,
    id: DisputeId,
    actor: UserId,
    text: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into dispute_notes (dispute_id, actor_id, text, at) values ($1, $2, $3, $4)",
        id.0,
        actor.0,
        text,
        now,
    )
    .execute(c)
    .await?;
    Ok(())
}

/// The disputes of an order, the oldest first, at most 100.
pub(in crate::features::disputes) async fn of_order(
    c: &mut PgConnection,
    order: OrderId,
) -> sqlx::Result<Vec<Dispute>> {
    sqlx::query_as("select * from disputes where order_id = $1 order by id limit 100").bind(order.0).fetch_all(c).await
}
