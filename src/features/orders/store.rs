//! SQL of orders, their lines and their timeline.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use sqlx::types::Json;

use super::model::{Event, Order, OrderItem, PaymentMethod, ShippingMethod, Status};
use crate::platform::db::begin_erasing;
use crate::platform::ids::{CartId, OrderId, ProductId, UserId};

/// An order with its lines, as one row.
struct Row {
    id: OrderId,
    number: String,
    user_id: Option<UserId>,
    cart_id: Option<CartId>,
    email: String,
    status: Status,
    currency: String,
    subtotal_minor: i64,
    discount_minor: i64,
    shipping_minor: i64,
    tax_minor: i64,
    total_minor: i64,
    shipping_address: Value,
    shipping_method: ShippingMethod,
    payment_method: PaymentMethod,
    notes: Option<String>,
    tracking_number: Option<String>,
    placed_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    paid_at: Option<DateTime<Utc>>,
    expires_at: Option<DateTime<Utc>>,
    items: Json<Vec<OrderItem>>,
}

impl From<Row> for Order {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            number: row.number,
            user_id: row.user_id,
            cart_id: row.cart_id,
            email: row.email,
            status: row.status,
            currency: row.currency,
            subtotal_minor: row.subtotal_minor,
            discount_minor: row.discount_minor,
            shipping_minor: row.shipping_minor,
            tax_minor: row.tax_minor,
            total_minor: row.total_minor,
            shipping_address: row.shipping_address,
            shipping_method: row.shipping_method,
            payment_method: row.payment_method,
            notes: row.notes,
            tracking_number: row.tracking_number,
            placed_at: row.placed_at,
            updated_at: row.updated_at,
            paid_at: row.paid_at,
            expires_at: row.expires_at,
            items: row.items.0,
        }
    }
}

/// Which orders.
#[derive(Debug, Default)]
pub(super) struct Which<'a> {
    pub id: Option<OrderId>,
    pub user_id: Option<UserId>,
    /// With `email`.
    pub number: Option<&'a str>,
    pub email: Option<&'a str>,
    /// Those placed under this address without an account.
    pub guest: Option<&'a str>,
    pub limit: i64,
    pub offset: i64,
}

pub(super) async fn list(c: &mut PgConnection, which: &Which<'_>) -> sqlx::Result<Vec<Order>> {
    let rows = sqlx::query_as!(
        Row,
        r#"select o.id as "id: OrderId", o.number, o.user_id as "user_id: UserId", o.cart_id as "cart_id: CartId",
                  o.email, o.status as "status: Status", o.currency, o.subtotal_minor, o.discount_minor,
                  o.shipping_minor, o.tax_minor, o.total_minor, o.shipping_address,
                  o.shipping_method as "shipping_method: ShippingMethod",
                  o.payment_method as "payment_method: PaymentMethod", o.notes, o.tracking_number, o.placed_at,
                  o.updated_at, o.paid_at, o.expires_at,
                  (select coalesce(jsonb_agg(to_jsonb(i) order by i.position), '[]') from order_items i
                   where i.order_id = o.id) as "items!: Json<Vec<OrderItem>>"
           from orders o
           where ($1::uuid is null or o.id = $1) and ($2::uuid is null or o.user_id = $2)
             and ($3::text is null or (o.number = $3 and o.email = $4))
             and ($7::text is null or (o.user_id is null and o.email = $7))
           order by o.placed_at desc, o.id desc limit $5 offset $6"#,
        which.id.map(|id| id.0),
        which.user_id.map(|id| id.0),
        which.number,
        which.email,
        which.limit,
        which.offset,
        which.guest,
    )
    .fetch_all(c)
    .await?;
    Ok(rows.into_iter().map(Order::from).collect())
}

pub(super) async fn count_of_user(c: &mut PgConnection, user: UserId) -> sqlx::Result<i64> {
    sqlx::query_scalar!(r#"select count(*) as "count!" from orders where user_id = $1"#, user.0).fetch_one(c).await
}

/// An order by its id.
///
/// # Errors
/// The database's.
pub async fn find(c: &mut PgConnection, id: OrderId) -> sqlx::Result<Option<Order>> {
    let which = Which { id: Some(id), limit: 1, ..Which::default() };
    Ok(list(c, &which).await?.pop())
}

pub(super) async fn timeline(c: &mut PgConnection, id: OrderId) -> sqlx::Result<Vec<Event>> {
    sqlx::query_as!(
        Event,
        r#"select type as "type!", from_status as "from: Status", to_status as "to: Status",
                  actor_type as "actor!", note, at
           from order_events where order_id = $1 order by id limit 1000"#,
        id.0,
    )
    .fetch_all(c)
    .await
}

/// An order, locked until the transaction ends.
#[derive(Debug)]
pub struct LockedOrder {
    /// The order.
    pub id: OrderId,
    /// Its number.
    pub number: String,
    /// Its account; none for a guest's.
    pub user_id: Option<UserId>,
    /// The buyer's address.
    pub email: String,
    /// Where it stands.
    pub status: Status,
    /// How it is paid.
    pub payment_method: PaymentMethod,
    /// ISO 4217.
    pub currency: String,
    /// What it costs, in minor units.
    pub total_minor: i64,
    /// When it is given up.
    pub expires_at: Option<DateTime<Utc>>,
}

impl LockedOrder {
    /// Whether the buyer was erased.
    pub fn is_erased(&self) -> bool {
        is_erased(&self.email)
    }
}

/// Whether an order's address is one that [`pseudonymise`] gave it.
pub fn is_erased(email: &str) -> bool {
    email.ends_with("@erased.invalid")
}

/// Locks an order. Whoever changes an order, its reservations or its payments locks it first.
///
/// # Errors
/// The database's.
pub async fn lock(c: &mut PgConnection, id: OrderId) -> sqlx::Result<Option<LockedOrder>> {
    sqlx::query_as!(
        LockedOrder,
        r#"select id as "id: OrderId", number, user_id as "user_id: UserId", email, status as "status: Status",
                  payment_method as "payment_method: PaymentMethod", currency, total_minor, expires_at
           from orders where id = $1 for update"#,
        id.0,
    )
    .fetch_optional(c)
    .await
}

/// A change of an order's status.
#[derive(Debug)]
pub struct Move<'a> {
    /// The status it must have.
    pub from: Status,
    /// The status it gets.
    pub to: Status,
    /// The name of the event.
    pub event: &'a str,
    /// `customer`, `staff`, `system` or `provider`.
    pub actor: &'a str,
    /// The account of a customer or member of the staff.
    pub actor_id: Option<UserId>,
    /// More words.
    pub note: Option<&'a str>,
    /// Money that came with it, in minor units.
    pub paid_minor: Option<i64>,
}

/// Moves an order and writes its timeline. False when the table forbids the move or the order has another status.
///
/// # Errors
/// The database's.
pub async fn move_status(
    c: &mut PgConnection,
    id: OrderId,
    change: &Move<'_>,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    if !change.from.may_become(change.to) {
        return Ok(false);
    }
    let moved = sqlx::query!(
        "with moved as (
           update orders
           set status = $3, updated_at = $4, paid_minor = paid_minor + coalesce($5::bigint, 0),
               paid_at = case when $5::bigint is null then paid_at else coalesce(paid_at, $4) end,
               expires_at = case when $6 then expires_at else null end
           where id = $1 and status = $2 returning id)
         insert into order_events (order_id, type, from_status, to_status, actor_type, actor_id, note, at)
         select id, $7, $2, $3, $8, $9, $10, $4 from moved",
        id.0,
        change.from as Status,
        change.to as Status,
        now,
        change.paid_minor,
        change.to.awaits_payment(),
        change.event,
        change.actor,
        change.actor_id.map(|id| id.0),
        change.note,
    )
    .execute(c)
    .await?;
    Ok(moved.rows_affected() == 1)
}

/// Writes an event that changes no status.
///
/// # Errors
/// The database's.
pub async fn record_event(
    c: &mut PgConnection,
    id: OrderId,
    event: &str,
    actor: &str,
    note: Option<&str>,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into order_events (order_id, type, actor_type, note, at) values ($1, $2, $3, $4, $5)",
        id.0,
        event,
        actor,
        note,
        now,
    )
    .execute(c)
    .await?;
    Ok(())
}

/// Takes the end away from an unpaid order, so that it waits for the staff.
///
/// # Errors
/// The database's.
pub async fn keep_for_review(c: &mut PgConnection, id: OrderId, now: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!("update orders set expires_at = null, updated_at = $2 where id = $1", id.0, now).execute(c).await?;
    Ok(())
}

/// Unpaid orders whose time is over, at most `limit`.
///
/// # Errors
/// The database's.
pub async fn overdue(c: &mut PgConnection, now: DateTime<Utc>, limit: i64) -> sqlx::Result<Vec<OrderId>> {
    sqlx::query_scalar!(
        r#"select id as "id: OrderId" from orders where expires_at <= $1 order by expires_at limit $2"#,
        now,
        limit,
    )
    .fetch_all(c)
    .await
}

/// The orders of a person: of the account, and those placed under `guest` without one. Locked, in one order.
///
/// # Errors
/// The database's.
pub async fn lock_of_person(c: &mut PgConnection, user: UserId, guest: Option<&str>) -> sqlx::Result<Vec<LockedOrder>> {
    sqlx::query_as!(
        LockedOrder,
        r#"select id as "id: OrderId", number, user_id as "user_id: UserId", email, status as "status: Status",
                  payment_method as "payment_method: PaymentMethod", currency, total_minor, expires_at
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
    let ids: Vec<uuid::Uuid> = ids.iter().map(|id| id.0).collect();
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
    begin_erasing(c).await?;
    sqlx::query!("update order_events set note = null where order_id = any($1) and note is not null", &ids)
        .execute(c)
        .await?;
    Ok(())
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
    let users: Vec<uuid::Uuid> = users.iter().map(|id| id.0).collect();
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
