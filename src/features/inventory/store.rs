//! SQL of stock. Rows of several variants are always locked in the order of their ids.

pub(super) mod edit;
pub(super) mod ledger;
pub(super) mod levels;
pub(super) mod low;
pub(super) mod movements;
pub(super) mod requests;
pub(super) mod statistics;

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::model::StaffReason;
use crate::platform::ids::{OrderId, ProductId, UserId, VariantId};

/// Stock of a variant that has no level yet.
#[derive(Debug)]
pub struct NewLevel {
    /// The variant.
    pub variant_id: VariantId,
    /// Units.
    pub on_hand: i32,
}

/// Gives variants their first level. Those that have one keep it. One that begins with nothing is low, whatever the
/// threshold, and has no movement from which the watch could know.
///
/// # Errors
/// The database's.
pub async fn receive(c: &mut PgConnection, levels: &[NewLevel], reason: &str, now: DateTime<Utc>) -> sqlx::Result<()> {
    let ids: Vec<_> = levels.iter().map(|level| level.variant_id.0).collect();
    let counts: Vec<_> = levels.iter().map(|level| level.on_hand).collect();
    sqlx::query!(
        "with new as (
           insert into stock_levels (variant_id, on_hand)
           select * from unnest($1::uuid[], $2::int[])
           on conflict (variant_id) do nothing
           returning variant_id, on_hand),
         low as (
           insert into stock_low (variant_id, since, untold)
           select variant_id, $4, false from new where on_hand = 0 order by variant_id)
         insert into stock_movements (variant_id, on_hand_delta, reserved_delta, reason, at)
         select variant_id, on_hand, 0, $3, $4 from new where on_hand <> 0",
        &ids,
        &counts,
        reason,
        now,
    )
    .execute(c)
    .await?;
    Ok(())
}

/// Units on hand of these variants, reserved ones included.
///
/// # Errors
/// The database's.
pub async fn on_hand(c: &mut PgConnection, variants: &[VariantId]) -> sqlx::Result<HashMap<VariantId, i32>> {
    let ids: Vec<_> = variants.iter().map(|id| id.0).collect();
    let rows = sqlx::query!(
        r#"select variant_id as "id: VariantId", on_hand from stock_levels where variant_id = any($1)"#,
        &ids
    )
    .fetch_all(c)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.on_hand)).collect())
}

/// Turns the held reservations of an order into a sale. Gives how many lines were held.
///
/// # Errors
/// The database's.
pub async fn commit_reservations(c: &mut PgConnection, order: OrderId, now: DateTime<Utc>) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"with locked as (
             select s.variant_id from stock_levels s
             join reservations r on r.variant_id = s.variant_id and r.order_id = $1 and r.status = 'held'
             order by s.variant_id for update of s),
           settled as (
             update reservations r set status = 'committed', settled_at = $2 from locked
             where r.order_id = $1 and r.variant_id = locked.variant_id and r.status = 'held'
             returning r.variant_id, r.quantity),
           sold as (
             update stock_levels s set on_hand = s.on_hand - settled.quantity, reserved = s.reserved - settled.quantity
             from settled where s.variant_id = settled.variant_id),
           moved as (
             insert into stock_movements (variant_id, on_hand_delta, reserved_delta, reason, order_id, at)
             select variant_id, -quantity, -quantity, 'commit', $1, $2 from settled)
           select count(*) as "count!" from settled"#,
        order.0,
        now,
    )
    .fetch_one(c)
    .await
}

/// Gives the held stock of an order back. Gives how many lines were held.
///
/// # Errors
/// The database's.
pub async fn release_reservations(c: &mut PgConnection, order: OrderId, now: DateTime<Utc>) -> sqlx::Result<i64> {
    release(c, order, None, now).await
}

/// Gives back what the order holds longer than it may. Gives how many lines that were.
///
/// # Errors
/// The database's.
pub async fn release_expired(c: &mut PgConnection, order: OrderId, now: DateTime<Utc>) -> sqlx::Result<i64> {
    release(c, order, Some(now), now).await
}

async fn release(
    c: &mut PgConnection,
    order: OrderId,
    expired_at: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"with locked as (
             select s.variant_id from stock_levels s
             join reservations r on r.variant_id = s.variant_id and r.order_id = $1 and r.status = 'held'
             where $3::timestamptz is null or r.expires_at <= $3
             order by s.variant_id for update of s),
           settled as (
             update reservations r set status = 'released', settled_at = $2 from locked
             where r.order_id = $1 and r.variant_id = locked.variant_id and r.status = 'held'
             returning r.variant_id, r.quantity),
           freed as (
             update stock_levels s set reserved = s.reserved - settled.quantity
             from settled where s.variant_id = settled.variant_id),
           moved as (
             insert into stock_movements (variant_id, on_hand_delta, reserved_delta, reason, order_id, at)
             select variant_id, 0, -quantity, 'release', $1, $2 from settled)
           select count(*) as "count!" from settled"#,
        order.0,
        now,
        expired_at,
    )
    .fetch_one(c)
    .await
}

/// Sets the stock of an unpaid order aside again until `expires_at`: moves the end of what is held, and reserves what
/// was released, all lines or none. Gives false when something is sold out.
///
/// The new level is made of the values that were locked. Those that the statement sees may be older, and PostgreSQL checks
/// the row that they would give before it looks for the newer one.
///
/// # Errors
/// The database's.
pub async fn extend_reservations(
    c: &mut PgConnection,
    order: OrderId,
    expires_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"with want as (
             select variant_id, quantity from reservations where order_id = $1 and status = 'released'),
           locked as (
             select s.variant_id, s.on_hand, s.reserved from stock_levels s
             where s.variant_id in (select variant_id from want) order by s.variant_id for update),
           short as (
             select from want left join locked using (variant_id) where coalesce(on_hand - reserved, 0) < quantity),
           held as (
             update reservations r set status = 'held', settled_at = null, expires_at = $2
             where r.order_id = $1 and r.status in ('held', 'released') and not exists (select from short)
             returning r.variant_id),
           taken as (
             update stock_levels s set on_hand = locked.on_hand, reserved = locked.reserved + want.quantity
             from want join locked using (variant_id)
             where s.variant_id = want.variant_id and not exists (select from short)),
           moved as (
             insert into stock_movements (variant_id, on_hand_delta, reserved_delta, reason, order_id, at)
             select variant_id, 0, quantity, 'reserve', $1, $3 from want where not exists (select from short))
           select not exists (select from short) as "ok!""#,
        order.0,
        expires_at,
        now,
    )
    .fetch_one(c)
    .await
}

/// Sells the stock of an order whose reservation had been released when the money came: all lines or none. Gives
/// false when something is sold out.
///
/// # Errors
/// The database's.
pub async fn take_for_late_payment(c: &mut PgConnection, order: OrderId, now: DateTime<Utc>) -> sqlx::Result<bool> {
    Ok(extend_reservations(&mut *c, order, now, now).await? && commit_reservations(c, order, now).await? > 0)
}

/// Puts the sold stock of an order that is cancelled back on the shelf, once. Gives how many lines that were.
///
/// # Errors
/// The database's.
pub async fn unsell(
    c: &mut PgConnection,
    order: OrderId,
    actor: Option<UserId>,
    now: DateTime<Utc>,
) -> sqlx::Result<usize> {
    let sold = sqlx::query!(
        r#"update reservations set status = 'released', settled_at = $2 where order_id = $1 and status = 'committed'
           returning variant_id as "id: VariantId", quantity - restocked as "quantity!""#,
        order.0,
        now,
    )
    .fetch_all(&mut *c)
    .await?;
    let units: Vec<_> = sold.into_iter().map(|row| (row.id, row.quantity)).collect();
    put_back(c, order, &units, "cancel", actor, now).await?;
    Ok(units.len())
}

/// Puts sold units of an order that are not sent any more back on the shelf. No variant is named twice. False, and nothing is
/// put back, where so much of a variant was not sold or is there again.
///
/// # Errors
/// The database's.
pub async fn unsell_some(
    c: &mut PgConnection,
    order: OrderId,
    units: &[(VariantId, i32)],
    actor: UserId,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let ids: Vec<_> = units.iter().map(|(id, _)| id.0).collect();
    let quantities: Vec<_> = units.iter().map(|(_, quantity)| *quantity).collect();
    let noted = sqlx::query!(
        "update reservations r set restocked = r.restocked + b.quantity
         from unnest($2::uuid[], $3::int[]) as b (variant_id, quantity)
         where r.order_id = $1 and r.variant_id = b.variant_id and r.status = 'committed'
           and r.restocked + b.quantity <= r.quantity",
        order.0,
        &ids,
        &quantities,
    )
    .execute(&mut *c)
    .await?;
    if usize::try_from(noted.rows_affected()) != Ok(units.len()) {
        return Ok(false);
    }
    put_back(c, order, units, "cancel", Some(actor), now).await?;
    Ok(true)
}

/// Puts units of an order that a buyer has sent back on the shelf. No variant is named twice.
///
/// # Errors
/// The database's.
pub async fn take_back(
    c: &mut PgConnection,
    order: OrderId,
    units: &[(VariantId, i32)],
    actor: UserId,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    put_back(c, order, units, StaffReason::Return.as_str(), Some(actor), now).await
}

async fn put_back(
    c: &mut PgConnection,
    order: OrderId,
    units: &[(VariantId, i32)],
    reason: &str,
    actor: Option<UserId>,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    let ids: Vec<_> = units.iter().map(|(id, _)| id.0).collect();
    let quantities: Vec<_> = units.iter().map(|(_, quantity)| *quantity).collect();
    sqlx::query!(
        "with back as (select * from unnest($2::uuid[], $3::int[]) as b (variant_id, quantity) where quantity > 0),
           locked as (
             select s.variant_id, s.on_hand, s.reserved from stock_levels s
             where s.variant_id in (select variant_id from back) order by s.variant_id for update),
           put as (
             update stock_levels s set on_hand = locked.on_hand + back.quantity, reserved = locked.reserved
             from back join locked using (variant_id) where s.variant_id = back.variant_id)
         insert into stock_movements (variant_id, on_hand_delta, reserved_delta, reason, order_id, actor_id, at)
         select variant_id, quantity, 0, $4, $1, $5, $6 from back join locked using (variant_id)",
        order.0,
        &ids,
        &quantities,
        reason,
        actor.map(|id| id.0),
        now,
    )
    .execute(c)
    .await?;
    Ok(())
}

/// Locks the levels of all that these orders hold, so that they can be freed one after the other.
///
/// # Errors
/// The database's.
pub async fn lock_levels_of(c: &mut PgConnection, orders: &[OrderId]) -> sqlx::Result<()> {
    let ids: Vec<uuid::Uuid> = orders.iter().map(|id| id.0).collect();
    sqlx::query!(
        "select variant_id from stock_levels
         where variant_id in (select variant_id from reservations where order_id = any($1) and status = 'held')
         order by variant_id for update",
        &ids,
    )
    .fetch_all(c)
    .await?;
    Ok(())
}

/// Orders that hold stock longer than they may, at most `limit`.
///
/// # Errors
/// The database's.
pub async fn orders_with_expired_reservations(
    c: &mut PgConnection,
    now: DateTime<Utc>,
    limit: i64,
) -> sqlx::Result<Vec<OrderId>> {
    sqlx::query_scalar!(
        r#"select distinct order_id as "order_id!: OrderId" from reservations
           where status = 'held' and expires_at <= $1 limit $2"#,
        now,
        limit,
    )
    .fetch_all(c)
    .await
}

/// The products whose availability an order touches.
///
/// # Errors
/// The database's.
pub async fn products_of_order(c: &mut PgConnection, order: OrderId) -> sqlx::Result<Vec<ProductId>> {
    sqlx::query_scalar!(
        r#"select distinct v.product_id as "id!: ProductId" from reservations r join variants v on v.id = r.variant_id
           where r.order_id = $1"#,
        order.0,
    )
    .fetch_all(c)
    .await
}
