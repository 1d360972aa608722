//! SQL of the uses of coupons. Triggers of the table keep the limits and the counts, whoever writes.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::features::coupons::model::CustomerKey;
use crate::platform::count::{self, Total};
use crate::platform::ids::{CouponId, OrderId};
use crate::platform::page::Part;

/// A use of a coupon, to be written with its order.
#[derive(Clone, Copy, Debug)]
pub struct NewRedemption {
    /// The coupon.
    pub coupon_id: CouponId,
    /// The version by which the discount was calculated.
    pub coupon_version: i32,
    /// The order, which may be written later in the same transaction.
    pub order_id: OrderId,
    /// Who orders. Required where the coupon depends on it.
    pub customer: Option<CustomerKey>,
    /// What the coupon takes off, in minor units; 0 where it only makes the order travel for nothing.
    pub discount_minor: i64,
}

/// Redeems coupons, each for one order, first come first served. Gives for each whether it is redeemed; one that is not had no use left,
/// for anybody or for this customer, or was changed since it was read; or it is for a first order, and the customer has used one that is.
///
/// Customers who use coupons for first orders are locked in the order of their keys, and then the coupons in the order of their ids,
/// until the transaction ends: call it behind the locks of accounts, carts and orders, and before those of stock.
///
/// # Errors
/// The database's. At the end of the transaction, a foreign key refuses a use without its order.
pub async fn redeem_all(
    c: &mut PgConnection,
    redemptions: &[NewRedemption],
    now: DateTime<Utc>,
) -> sqlx::Result<Vec<bool>> {
    let (mut coupons, mut versions, mut orders) = (Vec::new(), Vec::new(), Vec::new());
    let (mut customers, mut discounts) = (Vec::new(), Vec::new());
    for new in redemptions {
        coupons.push(new.coupon_id.0);
        versions.push(new.coupon_version);
        orders.push(new.order_id.0);
        customers.push(new.customer.map(|key| key.0.to_vec()));
        discounts.push(new.discount_minor);
    }
    let written = sqlx::query_scalar!(
        r#"with r as materialized (
             select * from unnest($1::uuid[], $2::int[], $3::uuid[], $4::bytea[], $5::bigint[]) with ordinality
               as r (coupon_id, version, order_id, customer, discount, n)),
           -- The names of the locks are those of redeem_coupon().
           customers as materialized (
             select pg_advisory_xact_lock(hashtextextended('first order of ' || encode(customer, 'hex'), 0))
             from (select distinct r.customer from r join coupons c on c.id = r.coupon_id
                   where c.first_order_only and r.customer is not null order by r.customer) first)
           insert into coupon_redemptions (coupon_id, coupon_version, order_id, customer, discount_minor, redeemed_at)
           select coupon_id, version, order_id, customer, discount, $6
           from r where (select count(*) from customers) >= 0
           order by coupon_id, n
           returning order_id as "order_id: OrderId""#,
        &coupons,
        &versions,
        &orders,
        &customers as &[Option<Vec<u8>>],
        &discounts,
        now,
    )
    .fetch_all(c)
    .await?;
    Ok(redemptions.iter().map(|new| written.contains(&new.order_id)).collect())
}

/// Takes back what [`redeem_all`] has written in this transaction for orders that are not written after all.
///
/// # Errors
/// The database's.
pub async fn take_back(c: &mut PgConnection, orders: &[OrderId]) -> sqlx::Result<()> {
    let ids: Vec<_> = orders.iter().map(|id| id.0).collect();
    sqlx::query!("delete from coupon_redemptions where order_id = any($1)", &ids).execute(c).await?;
    Ok(())
}

/// Locks the coupons of these orders, which are locked, in the order of the coupons' ids. Whoever goes on to lock stock, or returns the
/// uses of several orders, calls it first.
///
/// # Errors
/// The database's.
pub async fn lock_coupons_of(c: &mut PgConnection, orders: &[OrderId]) -> sqlx::Result<()> {
    let ids: Vec<_> = orders.iter().map(|id| id.0).collect();
    sqlx::query!(
        "select id from coupons where id in (select coupon_id from coupon_redemptions where order_id = any($1))
         order by id for no key update",
        &ids,
    )
    .fetch_all(c)
    .await?;
    Ok(())
}

/// Returns the use of a locked order that is given up, once: it is free for others. False when there is none, or it was returned before.
///
/// # Errors
/// The database's.
pub async fn return_use(c: &mut PgConnection, order: OrderId, now: DateTime<Utc>) -> sqlx::Result<bool> {
    let returned = sqlx::query!(
        "update coupon_redemptions set returned_at = $2 where order_id = $1 and returned_at is null",
        order.0,
        now,
    )
    .execute(c)
    .await?;
    Ok(returned.rows_affected() == 1)
}

/// Counts the use of a locked order again that was given up and is paid after all. It counts whatever the limits are by now, because
/// its price was promised and paid. False when there is none, or it was not returned.
///
/// # Errors
/// The database's.
pub async fn redeem_again(c: &mut PgConnection, order: OrderId) -> sqlx::Result<bool> {
    let redeemed = sqlx::query!(
        "update coupon_redemptions set returned_at = null where order_id = $1 and returned_at is not null",
        order.0,
    )
    .execute(c)
    .await?;
    Ok(redeemed.rows_affected() == 1)
}

/// Which coupons these orders used, for their buyer to take away.
///
/// # Errors
/// The database's.
pub async fn export(c: &mut PgConnection, orders: &[OrderId]) -> sqlx::Result<Value> {
    let ids: Vec<_> = orders.iter().map(|id| id.0).collect();
    sqlx::query_scalar!(
        r#"select coalesce(jsonb_agg(jsonb_build_object('code', c.code, 'orderId', r.order_id,
                    'discountMinor', r.discount_minor, 'redeemedAt', r.redeemed_at, 'returnedAt', r.returned_at)
                    order by r.redeemed_at, r.order_id), '[]') as "uses!"
           from coupon_redemptions r join coupons c on c.id = r.coupon_id where r.order_id = any($1)"#,
        &ids,
    )
    .fetch_one(c)
    .await
}

/// Forgets who placed these orders. The uses stay, and count for nobody in particular.
///
/// # Errors
/// The database's.
pub async fn erase(c: &mut PgConnection, orders: &[OrderId]) -> sqlx::Result<()> {
    let ids: Vec<_> = orders.iter().map(|id| id.0).collect();
    sqlx::query!(
        "update coupon_redemptions set customer = null where order_id = any($1) and customer is not null",
        &ids,
    )
    .execute(c)
    .await?;
    Ok(())
}

/// A use, as staff see it.
#[derive(Debug)]
pub(in crate::features::coupons) struct Use {
    pub order_id: OrderId,
    pub discount_minor: i64,
    pub redeemed_at: DateTime<Utc>,
    pub returned_at: Option<DateTime<Utc>>,
}

/// The uses of a coupon, of the newest orders first, and the last one's order where more follow.
pub(in crate::features::coupons) async fn list(
    c: &mut PgConnection,
    coupon: CouponId,
    part: Part,
) -> sqlx::Result<(Vec<Use>, Option<Uuid>)> {
    let rows = sqlx::query_as!(
        Use,
        r#"select order_id as "order_id: OrderId", discount_minor, redeemed_at, returned_at from coupon_redemptions
           where coupon_id = $1 and ($2::uuid is null or order_id < $2) order by order_id desc limit $3 offset $4"#,
        coupon.0,
        part.behind,
        part.page.limit + 1,
        part.offset(),
    )
    .fetch_all(c)
    .await?;
    Ok(part.cut(rows, |row| row.order_id.0))
}

/// How many there are.
pub(in crate::features::coupons) async fn total(c: &mut PgConnection, coupon: CouponId) -> sqlx::Result<Total> {
    count::total(c, |query| {
        query.push(" from coupon_redemptions where coupon_id = ").push_bind(coupon.0);
    })
    .await
}

/// Whether the coupon was ever used, by orders that were given up too.
pub(in crate::features::coupons) async fn is_known(c: &mut PgConnection, coupon: CouponId) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select exists (select from coupon_redemptions where coupon_id = $1) as "is_known!""#,
        coupon.0,
    )
    .fetch_one(c)
    .await
}
