//! SQL of a person's orders, and of sums over all of them.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::LockedOrder;
use crate::features::orders::payment_method::PaymentMethod;
use crate::features::orders::status::Status;
use crate::platform::db::begin_erasing;
use crate::platform::ids::{OrderId, ProductId, UserId};

/// The orders of a person: of the account, and those placed under `guest` without one. Locked, in one order.
///
/// # Errors
/// The database's.
pub async fn lock_of_person(c: &mut PgConnection, user: UserId, guest: Option<&str>) -> sqlx::Result<Vec<LockedOrder>> {
    sqlx::query_as!(
        LockedOrder,
        r#"select id as "id: OrderId", number, user_id as "user_id: UserId", email, status as "status: Status",
                  payment_method as "payment_method: PaymentMethod", currency, total_minor,
                  shipping_address ->> 'country' as country, expires_at, paid_at is not null as "is_paid!", on_review, version
           from orders where user_id = $1 or (user_id is null and email = $2) order by id for update"#,
        user.0,
        guest,
    )
    .fetch_all(c)
    .await
}

/// Takes the person out of orders that are over. What was bought, for how much, and to which country and region it went
/// stays: books and tax want it. The new address is random, as a known one would open the order to whoever knows its number.
///
/// # Errors
/// The database's.
pub async fn pseudonymise(c: &mut PgConnection, ids: &[OrderId], now: DateTime<Utc>) -> sqlx::Result<()> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    sqlx::query!(
        r#"update orders
           set email = 'erased-' || gen_random_uuid() || '@erased.invalid', notes = null, tracking_number = null,
               shipping_address = jsonb_build_object('firstName', 'Erased', 'lastName', '', 'phone', '',
                 'addressLine1', '', 'city', '', 'region', shipping_address->'region',
                 'country', shipping_address->'country'),
               updated_at = $2
           where id = any($1)"#,
        &ids,
        now,
    )
    .execute(&mut *c)
    .await?;
    sqlx::query!(
        "update fulfilments set tracking_number = null, tracking_url = null, note = null, updated_at = $2
         where order_id = any($1) and num_nonnulls(tracking_number, tracking_url, note) > 0",
        &ids,
        now,
    )
    .execute(&mut *c)
    .await?;
    sqlx::query!(
        "update returns set note = null, answer = null, updated_at = $2
         where order_id = any($1) and num_nonnulls(note, answer) > 0",
        &ids,
        now,
    )
    .execute(&mut *c)
    .await?;
    begin_erasing(c).await?;
    sqlx::query!("update order_events set note = null where order_id = any($1) and note is not null", &ids)
        .execute(c)
        .await?;
    Ok(())
}

/// Of which of these partially refunded orders nothing is to be sent or on its way any more. Their status does not tell: the last move to
/// it does, or their units.
///
/// # Errors
/// The database's.
pub async fn nothing_left_to_send(c: &mut PgConnection, ids: &[OrderId]) -> sqlx::Result<Vec<OrderId>> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    sqlx::query_scalar!(
        r#"select id as "id: OrderId" from orders o
           where id = any($1) and status = 'partially_refunded'
             and ((select from_status from order_events where order_id = o.id and to_status = 'partially_refunded'
                   order by id desc limit 1) in ('delivered', 'returned')
               or not exists (select from order_items
                              where order_id = o.id and fulfilled_quantity + cancelled_quantity < quantity)
                  and not exists (select from fulfilments where order_id = o.id and status in ('packed', 'shipped')))"#,
        &ids,
    )
    .fetch_all(c)
    .await
}

/// Which of these accounts, and of these addresses without an account, have orders.
///
/// # Errors
/// The database's.
pub async fn buyers(
    c: &mut PgConnection,
    users: &[UserId],
    emails: &[String],
) -> sqlx::Result<(Vec<UserId>, Vec<String>)> {
    let users: Vec<Uuid> = users.iter().map(|id| id.0).collect();
    let accounts =
        sqlx::query_scalar!(r#"select distinct user_id as "id!: UserId" from orders where user_id = any($1)"#, &users)
            .fetch_all(&mut *c)
            .await?;
    let guests =
        sqlx::query_scalar!("select distinct email from orders where user_id is null and email = any($1)", emails)
            .fetch_all(c)
            .await?;
    Ok((accounts, guests))
}

/// Units of each product in paid orders that were placed since then.
///
/// # Errors
/// The database's.
pub async fn sold_since(c: &mut PgConnection, since: DateTime<Utc>) -> sqlx::Result<Vec<(ProductId, i64)>> {
    let sold = sqlx::query!(
        r#"select i.product_id as "id: ProductId", sum(i.quantity)::bigint as "units!"
           from orders o join order_items i on i.order_id = o.id
           where o.placed_at >= $1 and o.paid_at is not null group by i.product_id"#,
        since,
    )
    .fetch_all(c)
    .await?;
    Ok(sold.into_iter().map(|row| (row.id, row.units)).collect())
}

/// Whether an account has placed an order since then.
///
/// # Errors
/// The database's.
pub async fn has_ordered_since(c: &mut PgConnection, user: UserId, since: DateTime<Utc>) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select exists (select from orders where user_id = $1 and placed_at >= $2) as "has!""#,
        user.0,
        since,
    )
    .fetch_one(c)
    .await
}
