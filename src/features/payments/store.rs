//! SQL of payments. Whoever changes a payment has locked its order first.

pub(super) mod disputed;
pub(super) mod looks;
pub(super) mod outcome;
pub(super) mod people;
pub(super) mod refunds;
pub(super) mod reviews;
pub(super) mod sending;
pub(super) mod staff;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use super::model::{Decision, OrderPayment, OrderRefund, Payment, PaymentStatus, Provider};
use crate::platform::ids::{OrderId, PaymentId, UserId};
use crate::platform::money::Amount;

/// An attempt to store.
#[derive(Debug)]
pub struct NewPayment<'a> {
    /// The order.
    pub order_id: OrderId,
    /// Its number.
    pub order_number: &'a str,
    /// Its account.
    pub user_id: Option<UserId>,
    /// Who brings the money.
    pub provider: Provider,
    /// Our name for the attempt at the provider.
    pub reference: &'a str,
    /// The bank's or the courier's name for money that staff record.
    pub received_reference: Option<&'a str>,
    /// What is to be paid.
    pub amount_minor: i64,
    /// ISO 4217.
    pub currency: &'a str,
}

/// A payment by its reference or id, with whose order it pays.
///
/// # Errors
/// The database's.
pub async fn find_by_reference(c: &mut PgConnection, name: &str) -> sqlx::Result<Option<Payment>> {
    find(c, name.parse().ok(), Some(name), None, None).await
}

/// The attempt of an order that may still be paid.
///
/// # Errors
/// The database's.
pub async fn find_by_order_open(c: &mut PgConnection, order: OrderId) -> sqlx::Result<Option<Payment>> {
    find(c, None, None, Some(order), None).await
}

/// The attempt that paid an order.
///
/// # Errors
/// The database's.
pub async fn find_successful(c: &mut PgConnection, order: OrderId) -> sqlx::Result<Option<Payment>> {
    find(c, None, None, None, Some(order)).await
}

async fn find(
    c: &mut PgConnection,
    id: Option<PaymentId>,
    reference: Option<&str>,
    open_of: Option<OrderId>,
    success_of: Option<OrderId>,
) -> sqlx::Result<Option<Payment>> {
    sqlx::query_as!(
        Payment,
        r#"select id as "id: PaymentId", order_id as "order_id: OrderId", user_id as "user_id: UserId", order_number,
                  reference, status as "status: PaymentStatus", amount_minor, currency, authorization_url,
                  access_code, channel, card_brand, card_last4, paid_at, flag_reason, paid_minor, refunded_minor,
                  provider_transaction_id, coalesce(paid_currency, currency) as "paid_currency!",
                  decision as "decision: Decision"
           from payments
           where id = $1 or reference = $2 or (order_id = $3 and status in ('created', 'open'))
              or (order_id = $4 and status = 'success')"#,
        id.map(|id| id.0),
        reference,
        open_of.map(|id| id.0),
        success_of.map(|id| id.0),
    )
    .fetch_optional(c)
    .await
}

/// The status of a payment, locked until the transaction ends.
///
/// # Errors
/// The database's.
pub async fn lock(c: &mut PgConnection, id: PaymentId) -> sqlx::Result<Option<PaymentStatus>> {
    sqlx::query_scalar!(r#"select status as "status: PaymentStatus" from payments where id = $1 for update"#, id.0)
        .fetch_optional(c)
        .await
}

/// Whether the order has been paid by some attempt.
///
/// # Errors
/// The database's.
pub async fn has_success(c: &mut PgConnection, order: OrderId) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select exists (select from payments where order_id = $1 and status = 'success') as "exists!""#,
        order.0
    )
    .fetch_one(c)
    .await
}

/// Stores an attempt before the provider hears of it.
///
/// # Errors
/// The database's; a unique violation when the order has an open attempt, or the money was recorded before.
pub async fn create(c: &mut PgConnection, new: &NewPayment<'_>, now: DateTime<Utc>) -> sqlx::Result<Payment> {
    let id = PaymentId::new();
    sqlx::query!(
        "insert into payments (id, order_id, order_number, user_id, provider, reference, status, amount_minor, currency,
                               created_at, updated_at, received_reference, next_look_at)
         values ($1, $2, $3, $4, $9, $5, 'created', $6, $7, $8, $8, $10, case when $9 = 'paystack' then $8::timestamptz end)",
        id.0,
        new.order_id.0,
        new.order_number,
        new.user_id.map(|id| id.0),
        new.reference,
        new.amount_minor,
        new.currency,
        now,
        new.provider as Provider,
        new.received_reference,
    )
    .execute(c)
    .await?;
    Ok(Payment {
        id,
        order_id: new.order_id,
        user_id: new.user_id,
        order_number: new.order_number.to_owned(),
        reference: new.reference.to_owned(),
        status: PaymentStatus::Created,
        amount_minor: new.amount_minor,
        currency: new.currency.to_owned(),
        authorization_url: None,
        access_code: None,
        channel: None,
        card_brand: None,
        card_last4: None,
        paid_at: None,
        flag_reason: None,
        paid_minor: 0,
        refunded_minor: 0,
        provider_transaction_id: None,
        paid_currency: new.currency.to_owned(),
        decision: None,
    })
}

/// The order of which money from this provider is recorded under this reference, in whatever case, and its number.
///
/// # Errors
/// The database's.
pub async fn order_of_received(
    c: &mut PgConnection,
    provider: Provider,
    received_reference: &str,
) -> sqlx::Result<Option<(OrderId, String)>> {
    let found = sqlx::query!(
        r#"select order_id as "order_id: OrderId", order_number from payments
           where provider = $1 and lower(received_reference) = lower($2) and received_reference is not null"#,
        provider as Provider,
        received_reference,
    )
    .fetch_optional(c)
    .await?;
    Ok(found.map(|row| (row.order_id, row.order_number)))
}

/// Stores where the shopper pays. False when the attempt is over by now.
///
/// # Errors
/// The database's.
pub async fn open(
    c: &mut PgConnection,
    id: PaymentId,
    authorization_url: &str,
    access_code: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let opened = sqlx::query!(
        "update payments set status = 'open', authorization_url = $2, access_code = $3, updated_at = $4
         where id = $1 and status = 'created'",
        id.0,
        authorization_url,
        access_code,
        now,
    )
    .execute(c)
    .await?;
    Ok(opened.rows_affected() == 1)
}

/// The payments of an order with what goes back of each, the oldest first, at most 100.
///
/// # Errors
/// The database's.
pub async fn of_order(c: &mut PgConnection, order: OrderId) -> sqlx::Result<Vec<OrderPayment>> {
    sqlx::query_as!(
        OrderPayment,
        r#"select id as "id: PaymentId", provider as "provider: Provider", reference, received_reference,
                  status as "status: PaymentStatus", amount_minor as "amount: Amount",
                  paid_minor as "paid: Amount", refunded_minor as "refunded: Amount", flag_reason, created_at, paid_at,
                  decision as "decision: Decision",
                  (select coalesce(jsonb_agg(jsonb_build_object('id', r.id, 'status', r.status, 'origin', r.origin,
                     'amount', r.amount_minor / 100.0, 'reason', r.reason, 'createdAt', r.created_at,
                     'processedAt', r.processed_at) order by r.created_at, r.id), '[]')
                   from refunds r where r.payment_id = p.id) as "refunds!: Json<Vec<OrderRefund>>"
           from payments p where order_id = $1 order by created_at, id limit 100"#,
        order.0,
    )
    .fetch_all(c)
    .await
}

/// Which of these orders have money that is not where it belongs: the staff has to decide about it, it is on its way back, or it
/// has not gone and nothing stands in for that.
///
/// # Errors
/// The database's.
pub async fn unsettled_of(c: &mut PgConnection, orders: &[OrderId]) -> sqlx::Result<Vec<OrderId>> {
    let orders: Vec<Uuid> = orders.iter().map(|id| id.0).collect();
    sqlx::query_scalar!(
        r#"select order_id as "id: OrderId" from payments p
           where order_id = any($1) and (status = 'flagged' and decision is null or exists (
             select from refunds r where r.payment_id = p.id and (r.status in ('pending', 'processing', 'needs_attention')
               or r.status = 'failed' and r.origin in ('staff', 'system')
                  and not exists (select from refunds n where n.retry_of = r.id))))"#,
        &orders,
    )
    .fetch_all(c)
    .await
}
