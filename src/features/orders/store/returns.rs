//! SQL of what buyers send back. Whoever changes a return has locked its order.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use crate::features::orders::returns::{Return, ReturnItem, ReturnReason, ReturnStatus};
use crate::features::orders::status::Actor;
use crate::platform::count::{self, Total};
use crate::platform::ids::{OrderId, OrderItemId, ReturnId};
use crate::platform::page::Part;

/// Units of a line that are to be sent back.
#[derive(Clone, Copy, Debug)]
pub struct NewReturnItem {
    /// The line of the order.
    pub order_item_id: OrderItemId,
    /// Units.
    pub quantity: i32,
    /// Why.
    pub reason: ReturnReason,
}

struct Row {
    id: ReturnId,
    number: i32,
    status: ReturnStatus,
    requested_by: Actor,
    note: Option<String>,
    answer: Option<String>,
    version: i32,
    created_at: DateTime<Utc>,
    received_at: Option<DateTime<Utc>>,
    items: Json<Vec<ReturnItem>>,
}

/// The returns of an order, in the order in which they were asked for.
///
/// # Errors
/// The database's.
pub async fn returns(c: &mut PgConnection, order: OrderId) -> sqlx::Result<Vec<Return>> {
    let rows = sqlx::query_as!(
        Row,
        r#"select r.id as "id: ReturnId", r.number, r.status as "status: ReturnStatus",
                  r.requested_by as "requested_by: Actor", r.note, r.answer, r.version, r.created_at, r.received_at,
                  (select coalesce(jsonb_agg(to_jsonb(i) || jsonb_build_object('variant_id', o.variant_id)
                                             order by o.position), '[]')
                   from return_items i join order_items o on o.id = i.order_item_id
                   where i.return_id = r.id) as "items!: Json<Vec<ReturnItem>>"
           from returns r where r.order_id = $1 order by r.number"#,
        order.0,
    )
    .fetch_all(c)
    .await?;
    let returns = rows.into_iter().map(|row| Return {
        id: row.id,
        number: row.number,
        status: row.status,
        requested_by: row.requested_by,
        note: row.note,
        answer: row.answer,
        version: row.version,
        created_at: row.created_at,
        received_at: row.received_at,
        items: row.items.0,
    });
    Ok(returns.collect())
}

/// A return with its order.
#[derive(Debug)]
pub(in crate::features::orders) struct ListedReturn {
    pub order_id: OrderId,
    /// The order's number.
    pub order_number: String,
    pub back: Return,
}

/// A part of the returns of all orders, the newest first, and the last one's id where more follow. Without statuses, whichever they have.
pub(in crate::features::orders) async fn list(
    c: &mut PgConnection,
    statuses: Option<&[ReturnStatus]>,
    part: Part,
) -> sqlx::Result<(Vec<ListedReturn>, Option<Uuid>)> {
    let names = names(statuses);
    let rows = sqlx::query!(
        r#"select r.id as "id: ReturnId", r.order_id as "order_id: OrderId", d.number as order_number, r.number,
                  r.status as "status: ReturnStatus", r.requested_by as "requested_by: Actor", r.note, r.answer,
                  r.version, r.created_at, r.received_at,
                  (select coalesce(jsonb_agg(to_jsonb(i) || jsonb_build_object('variant_id', o.variant_id)
                                             order by o.position), '[]')
                   from return_items i join order_items o on o.id = i.order_item_id
                   where i.return_id = r.id) as "items!: Json<Vec<ReturnItem>>"
           from returns r join orders d on d.id = r.order_id
           where ($1::text[] is null or r.status = any($1)) and ($2::uuid is null or r.id < $2)
           order by r.id desc limit $3 offset $4"#,
        names.as_deref(),
        part.behind,
        part.page.limit + 1,
        part.offset(),
    )
    .fetch_all(c)
    .await?;
    let listed = rows.into_iter().map(|row| ListedReturn {
        order_id: row.order_id,
        order_number: row.order_number,
        back: Return {
            id: row.id,
            number: row.number,
            status: row.status,
            requested_by: row.requested_by,
            note: row.note,
            answer: row.answer,
            version: row.version,
            created_at: row.created_at,
            received_at: row.received_at,
            items: row.items.0,
        },
    });
    Ok(part.cut(listed.collect(), |listed| listed.back.id.0))
}

/// How many there are.
pub(in crate::features::orders) async fn total(
    c: &mut PgConnection,
    statuses: Option<&[ReturnStatus]>,
) -> sqlx::Result<Total> {
    count::total(c, |query| {
        query.push(" from returns where true");
        if let Some(names) = names(statuses) {
            query.push(" and status = any(").push_bind(names).push(")");
        }
    })
    .await
}

fn names(statuses: Option<&[ReturnStatus]>) -> Option<Vec<String>> {
    statuses.map(|statuses| statuses.iter().map(|status| status.as_str().to_owned()).collect())
}

/// Writes down what is to be sent back. The database refuses a second open return of an order (`returns_one_open`), lines of
/// other orders, and more units than were sent and not asked back yet (`order_items_units`).
///
/// # Errors
/// The database's.
pub async fn request_return(
    c: &mut PgConnection,
    order: OrderId,
    by: Actor,
    note: Option<&str>,
    items: &[NewReturnItem],
    now: DateTime<Utc>,
) -> sqlx::Result<ReturnId> {
    let id = ReturnId::new();
    sqlx::query!(
        "insert into returns (id, order_id, number, requested_by, note, created_at, updated_at)
         values ($1, $2, (select coalesce(max(number), 0) + 1 from returns where order_id = $2), $3, $4, $5, $5)",
        id.0,
        order.0,
        by as Actor,
        note,
        now,
    )
    .execute(&mut *c)
    .await?;
    let lines: Vec<Uuid> = items.iter().map(|item| item.order_item_id.0).collect();
    let quantities: Vec<i32> = items.iter().map(|item| item.quantity).collect();
    let reasons: Vec<String> = items.iter().map(|item| item.reason.as_str().to_owned()).collect();
    sqlx::query!(
        "insert into return_items (return_id, order_item_id, quantity, reason)
         select $1, l.id, l.quantity, l.reason from unnest($2::uuid[], $3::int[], $4::text[]) as l (id, quantity, reason)
         order by l.id",
        id.0,
        &lines,
        &quantities,
        &reasons,
    )
    .execute(c)
    .await?;
    Ok(id)
}

/// Moves a return if it still has `version`. False when it has another one.
///
/// # Errors
/// The database's.
pub async fn move_return(
    c: &mut PgConnection,
    id: ReturnId,
    version: i32,
    status: ReturnStatus,
    answer: Option<&str>,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let moved = sqlx::query!(
        "update returns
         set status = $3, answer = coalesce($4, answer), version = version + 1, updated_at = $5,
             received_at = case when $3 = 'received' then $5 else received_at end
         where id = $1 and version = $2",
        id.0,
        version,
        status as ReturnStatus,
        answer,
        now,
    )
    .execute(c)
    .await?;
    Ok(moved.rows_affected() == 1)
}

/// Writes down how many of each line went back on the shelf.
///
/// # Errors
/// The database's.
pub async fn note_restocked(c: &mut PgConnection, id: ReturnId, restocked: &[(OrderItemId, i32)]) -> sqlx::Result<()> {
    let lines: Vec<Uuid> = restocked.iter().map(|(line, _)| line.0).collect();
    let units: Vec<i32> = restocked.iter().map(|(_, units)| *units).collect();
    sqlx::query!(
        "update return_items i set restocked = l.units from unnest($2::uuid[], $3::int[]) as l (id, units)
         where i.return_id = $1 and i.order_item_id = l.id",
        id.0,
        &lines,
        &units,
    )
    .execute(c)
    .await?;
    Ok(())
}
