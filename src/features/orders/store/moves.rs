//! SQL of an order's moves and of its timeline.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::features::orders::model::Event;
use crate::features::orders::status::{Actor, Status};
use crate::platform::ids::{OrderId, UserId};

/// A change of an order's status.
#[derive(Debug)]
pub struct Move<'a> {
    /// The status it must have.
    pub from: Status,
    /// The status it gets.
    pub to: Status,
    /// The name of the event.
    pub event: &'a str,
    /// Who moves it.
    pub actor: Actor,
    /// The account of a customer or member of the staff.
    pub actor_id: Option<UserId>,
    /// More words.
    pub note: Option<&'a str>,
    /// Whether the words are for the staff only.
    pub internal: bool,
    /// Money that came with it, in minor units.
    pub paid_minor: Option<i64>,
}

/// Moves an order and writes its timeline. False when the table forbids this actor the move or the order has another status.
///
/// # Errors
/// The database's.
pub async fn move_status(
    c: &mut PgConnection,
    id: OrderId,
    change: &Move<'_>,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    if !change.from.may_be_moved(change.to, change.actor) {
        return Ok(false);
    }
    let moved = sqlx::query!(
        "with moved as (
           update orders
           set status = $3, updated_at = $4, paid_minor = paid_minor + coalesce($5::bigint, 0),
               paid_at = case when $5::bigint is null then paid_at else coalesce(paid_at, $4) end,
               expires_at = case when $6 then expires_at else null end,
               on_review = on_review and $3 not in ('cancelled', 'refunded')
           where id = $1 and status = $2 returning id)
         insert into order_events (order_id, type, from_status, to_status, actor_type, actor_id, note, internal, at, amount_minor)
         select id, $7, $2, $3, $8, $9, $10, $11, $4, $5 from moved",
        id.0,
        change.from as Status,
        change.to as Status,
        now,
        change.paid_minor,
        change.to.awaits_payment(),
        change.event,
        change.actor as Actor,
        change.actor_id.map(|id| id.0),
        change.note,
        change.internal,
    )
    .execute(c)
    .await?;
    Ok(moved.rows_affected() == 1)
}

/// Writes that the money of an order is here whose status does not change by it: it was accepted before.
///
/// # Errors
/// The database's.
pub async fn note_paid(
    c: &mut PgConnection,
    id: OrderId,
    paid_minor: i64,
    (actor, actor_id): (Actor, Option<UserId>),
    note: Option<&str>,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "with paid as (
           update orders set paid_minor = paid_minor + $2, paid_at = coalesce(paid_at, $3), updated_at = $3
           where id = $1 returning id)
         insert into order_events (order_id, type, actor_type, actor_id, note, at, amount_minor)
         select id, 'paid', $4, $5, $6, $3, $2 from paid",
        id.0,
        paid_minor,
        now,
        actor as Actor,
        actor_id.map(|id| id.0),
        note,
    )
    .execute(c)
    .await?;
    Ok(())
}

/// Writes an event that changes no status.
///
/// # Errors
/// The database's.
pub async fn record_event(
    c: &mut PgConnection,
    id: OrderId,
    event: &str,
    (actor, actor_id): (Actor, Option<UserId>),
    note: Option<&str>,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into order_events (order_id, type, actor_type, actor_id, note, at) values ($1, $2, $3, $4, $5, $6)",
        id.0,
        event,
        actor as Actor,
        actor_id.map(|id| id.0),
        note,
        now,
    )
    .execute(c)
    .await?;
    Ok(())
}

/// Writes a note of the staff. It raises the order's version, so that whoever has seen the order before reads it again.
pub(in crate::features::orders) async fn add_note(
    c: &mut PgConnection,
    id: OrderId,
    actor: UserId,
    text: &str,
    internal: bool,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into order_events (order_id, type, actor_type, actor_id, note, internal, at)
         values ($1, 'note', 'staff', $2, $3, $4, $5)",
        id.0,
        actor.0,
        text,
        internal,
        now,
    )
    .execute(&mut *c)
    .await?;
    sqlx::query!("update orders set updated_at = $2 where id = $1", id.0, now).execute(c).await?;
    Ok(())
}

/// What has happened to an order, but for refunds, which stand with its payments. Only the staff is shown who did it, what is
/// written for the staff, and that it was on review.
pub(in crate::features::orders) async fn timeline(
    c: &mut PgConnection,
    id: OrderId,
    for_staff: bool,
) -> sqlx::Result<Vec<Event>> {
    sqlx::query_as!(
        Event,
        r#"select type as "type!", from_status as "from: Status", to_status as "to: Status",
                  actor_type as "actor!: Actor", case when $2 or not internal then note end as note,
                  case when $2 then actor_id end as "actor_id: UserId", case when $2 then internal end as internal, at
           from order_events where order_id = $1 and ($2 or type <> 'note' or not internal) and not starts_with(type, 'refund_')
             and ($2 or not (starts_with(type, 'dispute_') or starts_with(type, 'review_')))
           order by id limit 1000"#,
        id.0,
        for_staff,
    )
    .fetch_all(c)
    .await
}

/// Who gave an order up, the last time.
///
/// # Errors
/// The database's.
pub async fn cancelled_by(c: &mut PgConnection, id: OrderId) -> sqlx::Result<Option<Actor>> {
    sqlx::query_scalar!(
        r#"select actor_type as "actor: Actor" from order_events where order_id = $1 and to_status = 'cancelled'
           order by id desc limit 1"#,
        id.0,
    )
    .fetch_optional(c)
    .await
}

/// The last words of an event of this kind that the buyer may read.
///
/// # Errors
/// The database's.
pub async fn last_words(c: &mut PgConnection, id: OrderId, event: &str) -> sqlx::Result<Option<String>> {
    let words = sqlx::query_scalar!(
        "select case when not internal then note end from order_events where order_id = $1 and type = $2
         order by id desc limit 1",
        id.0,
        event,
    )
    .fetch_optional(c)
    .await?;
    Ok(words.flatten())
}

/// How many returns of an order its buyer has withdrawn: nobody else moves an order out of a request for one in his name.
///
/// # Errors
/// The database's.
pub async fn withdrawn_returns(c: &mut PgConnection, id: OrderId) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"select count(*) as "count!" from order_events
           where order_id = $1 and from_status = 'return_requested' and actor_type = 'customer'"#,
        id.0,
    )
    .fetch_one(c)
    .await
}
