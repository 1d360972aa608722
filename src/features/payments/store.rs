//! SQL of payments. Whoever changes a payment has locked its order first.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use super::model::{OrderPayment, OrderRefund, Payment, PaymentStatus, Proof};
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
    /// Our name for the attempt at the provider.
    pub reference: &'a str,
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
                  access_code, channel, card_brand, card_last4, paid_at, flag_reason
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
/// The database's; a unique violation when the order has an open attempt.
pub async fn create(c: &mut PgConnection, new: &NewPayment<'_>, now: DateTime<Utc>) -> sqlx::Result<PaymentId> {
    let id = PaymentId::new();
    sqlx::query!(
        "insert into payments (id, order_id, order_number, user_id, provider, reference, status, amount_minor, currency,
                               created_at, updated_at)
         values ($1, $2, $3, $4, 'paystack', $5, 'created', $6, $7, $8, $8)",
        id.0,
        new.order_id.0,
        new.order_number,
        new.user_id.map(|id| id.0),
        new.reference,
        new.amount_minor,
        new.currency,
        now,
    )
    .execute(c)
    .await?;
    Ok(id)
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

/// The money is here and fits.
///
/// # Errors
/// The database's.
pub async fn succeed(c: &mut PgConnection, id: PaymentId, proof: &Proof, now: DateTime<Utc>) -> sqlx::Result<()> {
    take(c, id, PaymentStatus::Success, proof, None, now).await
}

/// Money is here that does not fit.
///
/// # Errors
/// The database's.
pub async fn flag(
    c: &mut PgConnection,
    id: PaymentId,
    proof: &Proof,
    reason: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    take(c, id, PaymentStatus::Flagged, proof, Some(reason), now).await
}

async fn take(
    c: &mut PgConnection,
    id: PaymentId,
    status: PaymentStatus,
    proof: &Proof,
    reason: Option<&str>,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update payments
         set status = $2, paid_minor = $3, provider_transaction_id = $4, channel = $5, card_brand = $6,
             card_last4 = $7, gateway_response = $8, paid_at = $9, flag_reason = $10, updated_at = $11
         where id = $1 and status not in ('success', 'flagged')",
        id.0,
        status as PaymentStatus,
        proof.amount_minor,
        proof.transaction_id,
        proof.channel,
        proof.card_brand,
        proof.card_last4,
        proof.gateway_response,
        proof.paid_at,
        reason,
        now,
    )
    .execute(c)
    .await?;
    Ok(())
}

/// The provider refused the attempt. A success is never turned back. False when nothing changed.
///
/// # Errors
/// The database's.
pub async fn fail(c: &mut PgConnection, id: PaymentId, words: Option<&str>, now: DateTime<Utc>) -> sqlx::Result<bool> {
    let failed = sqlx::query!(
        "update payments set status = 'failed', gateway_response = $2, updated_at = $3
         where id = $1 and status in ('created', 'open')",
        id.0,
        words,
        now,
    )
    .execute(c)
    .await?;
    Ok(failed.rows_affected() == 1)
}

/// Ends the open attempt of an order that is given up.
///
/// # Errors
/// The database's.
pub async fn abandon_open(c: &mut PgConnection, order: OrderId, now: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!(
        "update payments set status = 'abandoned', updated_at = $2 where order_id = $1 and status in ('created', 'open')",
        order.0,
        now,
    )
    .execute(c)
    .await?;
    Ok(())
}

/// Asks for all money back that came for an order and does not go back yet, whether it fitted the order or not: a refund
/// for each payment, to be sent to the provider. Gives the sum in minor units. A second call finds nothing left.
///
/// # Errors
/// The database's.
pub async fn request_refunds(
    c: &mut PgConnection,
    order: OrderId,
    reason: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<i64> {
    let amounts = sqlx::query_scalar!(
        "insert into refunds (id, payment_id, amount_minor, status, reason, created_at, updated_at)
         select gen_random_uuid(), id, paid_minor - refunded_minor, 'pending', $2, $3, $3 from payments
         where order_id = $1 and status in ('success', 'flagged') and paid_minor > refunded_minor
         returning amount_minor",
        order.0,
        reason,
        now,
    )
    .fetch_all(c)
    .await?;
    Ok(amounts.into_iter().sum())
}

/// The payments of an order with what goes back of each, the oldest first, at most 100.
///
/// # Errors
/// The database's.
pub async fn of_order(c: &mut PgConnection, order: OrderId) -> sqlx::Result<Vec<OrderPayment>> {
    sqlx::query_as!(
        OrderPayment,
        r#"select id as "id: PaymentId", reference, status as "status: PaymentStatus", amount_minor as "amount: Amount",
                  paid_minor as "paid: Amount", refunded_minor as "refunded: Amount", flag_reason, created_at, paid_at,
                  (select coalesce(jsonb_agg(jsonb_build_object('status', r.status, 'amount', r.amount_minor / 100.0,
                     'reason', r.reason, 'createdAt', r.created_at) order by r.created_at, r.id), '[]')
                   from refunds r where r.payment_id = p.id) as "refunds!: Json<Vec<OrderRefund>>"
           from payments p where order_id = $1 order by created_at, id limit 100"#,
        order.0,
    )
    .fetch_all(c)
    .await
}

/// The attempts to pay these orders, for the buyer to take away.
///
/// # Errors
/// The database's.
pub async fn export(c: &mut PgConnection, orders: &[OrderId]) -> sqlx::Result<Value> {
    let orders: Vec<Uuid> = orders.iter().map(|id| id.0).collect();
    sqlx::query_scalar!(
        r#"select coalesce(jsonb_agg(jsonb_build_object('id', id, 'orderNumber', order_number, 'provider', provider,
                    'reference', reference, 'status', status, 'amount', amount_minor / 100.0, 'currency', currency,
                    'channel', channel, 'cardBrand', card_brand, 'cardLast4', card_last4, 'paidAt', paid_at,
                    'createdAt', created_at) order by created_at, id), '[]') as "payments!"
           from (select * from payments where order_id = any($1) order by created_at desc limit 10000) mine"#,
        &orders,
    )
    .fetch_one(c)
    .await
}

/// Which of these orders have money that the staff has to decide about.
///
/// # Errors
/// The database's.
pub async fn flagged_of(c: &mut PgConnection, orders: &[OrderId]) -> sqlx::Result<Vec<OrderId>> {
    let orders: Vec<Uuid> = orders.iter().map(|id| id.0).collect();
    sqlx::query_scalar!(
        r#"select order_id as "id: OrderId" from payments where order_id = any($1) and status = 'flagged'"#,
        &orders,
    )
    .fetch_all(c)
    .await
}

/// Takes out what the provider said about the person who paid these orders. Amounts and references stay. Gives the
/// references, under which the provider's events are stored.
///
/// # Errors
/// The database's.
pub async fn erase_answers(c: &mut PgConnection, orders: &[OrderId], now: DateTime<Utc>) -> sqlx::Result<Vec<String>> {
    let orders: Vec<Uuid> = orders.iter().map(|id| id.0).collect();
    sqlx::query_scalar!(
        "update payments
         set authorization_url = null, access_code = null, channel = null, card_brand = null, card_last4 = null,
             gateway_response = null, updated_at = $2
         where order_id = any($1) returning reference",
        &orders,
        now,
    )
    .fetch_all(c)
    .await
}
