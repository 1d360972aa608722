//! SQL of orders and their lines.

pub(super) mod fulfilments;
pub(super) mod moves;
pub(super) mod people;
pub(super) mod returns;
pub(super) mod staff;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use super::fulfilment::FulfilmentState;
use super::model::{Order, OrderItem, OrderTax};
use super::payment_method::PaymentMethod;
use super::status::Status;
use crate::platform::ids::{CartId, OrderId, UserId};

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
    tax_included_minor: i64,
    taxes: Json<Vec<OrderTax>>,
    total_minor: i64,
    paid_minor: i64,
    coupon_code: Option<String>,
    shipping_address: Value,
    shipping_method: String,
    shipping_name: Option<String>,
    payment_method: PaymentMethod,
    notes: Option<String>,
    tracking_number: Option<String>,
    fulfilment_status: FulfilmentState,
    on_review: bool,
    version: i32,
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
            tax_included_minor: row.tax_included_minor,
            taxes: row.taxes.0,
            total_minor: row.total_minor,
            paid_minor: row.paid_minor,
            coupon_code: row.coupon_code,
            shipping_address: row.shipping_address,
            shipping_method: row.shipping_method,
            shipping_name: row.shipping_name,
            payment_method: row.payment_method,
            notes: row.notes,
            tracking_number: row.tracking_number,
            fulfilment_status: row.fulfilment_status,
            on_review: row.on_review,
            version: row.version,
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
    /// Any of these.
    pub ids: Option<Vec<Uuid>>,
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
                  o.shipping_minor, o.tax_minor, o.tax_included_minor, o.taxes as "taxes: Json<Vec<OrderTax>>",
                  o.total_minor, o.paid_minor, o.coupon_code, o.shipping_address, o.shipping_method, o.shipping_name,
                  o.payment_method as "payment_method: PaymentMethod", o.notes, o.tracking_number,
                  o.fulfilment_status as "fulfilment_status: FulfilmentState", o.on_review, o.version, o.placed_at,
                  o.updated_at, o.paid_at, o.expires_at,
                  (select coalesce(jsonb_agg(to_jsonb(i) order by i.position), '[]') from order_items i
                   where i.order_id = o.id) as "items!: Json<Vec<OrderItem>>"
           from orders o
           where ($1::uuid is null or o.id = $1) and ($2::uuid is null or o.user_id = $2)
             and ($3::text is null or (o.number = $3 and o.email = $4))
             and ($7::text is null or (o.user_id is null and o.email = $7))
             and ($8::uuid[] is null or o.id = any($8))
           order by o.placed_at desc, o.id desc limit $5 offset $6"#,
        which.id.map(|id| id.0),
        which.user_id.map(|id| id.0),
        which.number,
        which.email,
        which.limit,
        which.offset,
        which.guest,
        which.ids.as_deref(),
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
    /// The country that it goes to, as a code of two letters.
    pub country: Option<String>,
    /// When it is given up.
    pub expires_at: Option<DateTime<Utc>>,
    /// Whether its money is here.
    pub is_paid: bool,
    /// Whether it is paid and waits for the staff to look at it.
    pub on_review: bool,
    /// Counts its changes.
    pub version: i32,
}

impl LockedOrder {
    /// Whether the buyer was erased.
    pub fn is_erased(&self) -> bool {
        is_erased(&self.email)
    }

    /// Whether it was accepted to be paid on delivery, and its money is not here.
    pub fn is_owed(&self) -> bool {
        self.payment_method == PaymentMethod::PayOnDelivery
            && !self.is_paid
            && matches!(self.status, Status::Processing | Status::Shipped | Status::Delivered | Status::ReturnRequested)
    }
}

/// Whether an order's address is one that [`people::pseudonymise`] gave it.
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
                  payment_method as "payment_method: PaymentMethod", currency, total_minor,
                  shipping_address ->> 'country' as country, expires_at, paid_at is not null as "is_paid!", on_review, version
           from orders where id = $1 for update"#,
        id.0,
    )
    .fetch_optional(c)
    .await
}

/// Locks a guest's order, which he knows by its number and his address.
///
/// # Errors
/// The database's.
pub async fn lock_of_guest(c: &mut PgConnection, number: &str, email: &str) -> sqlx::Result<Option<LockedOrder>> {
    sqlx::query_as!(
        LockedOrder,
        r#"select id as "id: OrderId", number, user_id as "user_id: UserId", email, status as "status: Status",
                  payment_method as "payment_method: PaymentMethod", currency, total_minor,
                  shipping_address ->> 'country' as country, expires_at, paid_at is not null as "is_paid!", on_review, version
           from orders where number = $1 and email = $2 and user_id is null for update"#,
        number,
        email,
    )
    .fetch_optional(c)
    .await
}

/// Takes the end away from an unpaid order, so that it waits for the staff.
///
/// # Errors
/// The database's.
pub async fn keep_for_review(c: &mut PgConnection, id: OrderId, now: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!("update orders set expires_at = null, updated_at = $2 where id = $1", id.0, now).execute(c).await?;
    Ok(())
}

/// Lets a paid order wait for the staff.
///
/// # Errors
/// The database's.
pub async fn hold(c: &mut PgConnection, id: OrderId, now: DateTime<Utc>) -> sqlx::Result<()> {
    set_on_review(c, id, true, now).await
}

/// Lets an order go on that has waited for the staff.
///
/// # Errors
/// The database's.
pub async fn release(c: &mut PgConnection, id: OrderId, now: DateTime<Utc>) -> sqlx::Result<()> {
    set_on_review(c, id, false, now).await
}

async fn set_on_review(c: &mut PgConnection, id: OrderId, on_review: bool, now: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!("update orders set on_review = $2, updated_at = $3 where id = $1", id.0, on_review, now)
        .execute(c)
        .await?;
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
