//! SQL of refunds. Whoever changes the status of a refund has locked its order, and then its payment.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use crate::features::payments::refunds::{Refund, RefundItem, RefundOrigin, RefundStatus};
use crate::platform::ids::{DisputeId, OrderId, OrderItemId, PaymentId, RefundId, ReturnId, UserId};

/// A refund to write down.
#[derive(Clone, Debug)]
pub struct NewRefund<'a> {
    /// Of which payment.
    pub payment_id: PaymentId,
    /// In minor units.
    pub amount_minor: i64,
    /// Who asks.
    pub origin: RefundOrigin,
    /// Which member of the staff.
    pub requested_by: Option<UserId>,
    /// Why.
    pub reason: Option<&'a str>,
    /// The failed refund that it stands in for.
    pub retry_of: Option<RefundId>,
    /// The return that it pays for.
    pub return_id: Option<ReturnId>,
    /// The provider's number of the dispute that took the money.
    pub dispute_number: Option<i64>,
    /// That dispute, where it is known.
    pub dispute_id: Option<DisputeId>,
    /// Where it begins: pending, but for those that somebody else has begun.
    pub status: RefundStatus,
    /// The provider's number, where it has one.
    pub provider_refund_id: Option<i64>,
    /// When the provider was told of it, where somebody else has done so.
    pub sent_at: Option<DateTime<Utc>>,
    /// Whether the buyer is written to.
    pub notify: bool,
}

impl NewRefund<'_> {
    /// One that the shop's rules ask for.
    pub fn by_rule(payment_id: PaymentId, amount_minor: i64, reason: &str) -> NewRefund<'_> {
        NewRefund {
            payment_id,
            amount_minor,
            origin: RefundOrigin::System,
            requested_by: None,
            reason: Some(reason),
            retry_of: None,
            return_id: None,
            dispute_number: None,
            dispute_id: None,
            status: RefundStatus::Pending,
            provider_refund_id: None,
            sent_at: None,
            notify: true,
        }
    }
}

/// Writes a refund down. The database refuses more than is left of the payment (`payments_refunds_within_paid`), a second one of a
/// return (`refunds_one_for_a_return`), and one that stands in for a failed one again (`refunds_retried_once`).
///
/// # Errors
/// The database's.
pub async fn insert_refund(c: &mut PgConnection, new: &NewRefund<'_>, now: DateTime<Utc>) -> sqlx::Result<RefundId> {
    let id = RefundId::new();
    sqlx::query!(
        "insert into refunds (id, payment_id, amount_minor, status, reason, origin, requested_by, retry_of, return_id,
                              provider_refund_id, notify, created_at, updated_at, processed_at, dispute_id, dispute_number,
                              sent_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $12,
                 case when $4::text = 'processed' then $12::timestamptz end, $13, $14, $15)",
        id.0,
        new.payment_id.0,
        new.amount_minor,
        new.status as RefundStatus,
        new.reason,
        new.origin as RefundOrigin,
        new.requested_by.map(|id| id.0),
        new.retry_of.map(|id| id.0),
        new.return_id.map(|id| id.0),
        new.provider_refund_id,
        new.notify,
        now,
        new.dispute_id.map(|id| id.0),
        new.dispute_number,
        new.sent_at,
    )
    .execute(c)
    .await?;
    Ok(id)
}

/// Writes down for which units a refund is. The database refuses lines of other orders, and to put units on the shelf that are in
/// a parcel (`order_items_cancelled`).
///
/// # Errors
/// The database's.
pub async fn insert_refund_items(c: &mut PgConnection, id: RefundId, items: &[RefundItem]) -> sqlx::Result<()> {
    let lines: Vec<Uuid> = items.iter().map(|item| item.order_item_id.0).collect();
    let quantities: Vec<i32> = items.iter().map(|item| item.quantity).collect();
    let restocked: Vec<bool> = items.iter().map(|item| item.restocked).collect();
    sqlx::query!(
        "insert into refund_items (refund_id, order_item_id, quantity, restocked)
         select $1, l.id, l.quantity, l.restocked
         from unnest($2::uuid[], $3::int[], $4::bool[]) as l (id, quantity, restocked) order by l.id",
        id.0,
        &lines,
        &quantities,
        &restocked,
    )
    .execute(c)
    .await?;
    Ok(())
}

/// Asks for all money back that came for an order and does not go back yet, whether it fitted the order or not: a refund
/// for each payment. Gives each with its amount in minor units. A second call finds nothing left.
///
/// # Errors
/// The database's.
pub async fn request_refunds(
    c: &mut PgConnection,
    order: OrderId,
    staff: Option<UserId>,
    reason: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<Vec<(RefundId, i64)>> {
    let left = sqlx::query!(
        r#"with left_over as (
             select id, paid_minor - refunded_minor as amount_minor from payments
             where order_id = $1 and status in ('success', 'flagged') and paid_minor > refunded_minor),
           decided as (
             update payments set decision = 'refund', decided_by = $2, decided_at = $3, updated_at = $3
             where id in (select id from left_over) and status = 'flagged' and decision is null)
           select id as "id: PaymentId", amount_minor as "amount_minor!" from left_over order by id"#,
        order.0,
        staff.map(|id| id.0),
        now,
    )
    .fetch_all(&mut *c)
    .await?;
    let origin = if staff.is_some() { RefundOrigin::Staff } else { RefundOrigin::System };
    let mut asked = Vec::new();
    for row in left {
        let new = NewRefund { origin, requested_by: staff, ..NewRefund::by_rule(row.id, row.amount_minor, reason) };
        asked.push((insert_refund(c, &new, now).await?, row.amount_minor));
    }
    Ok(asked)
}

/// Which refunds. What is none does not matter.
#[derive(Clone, Debug, Default)]
pub(super) struct Which {
    pub ids: Option<Vec<Uuid>>,
    pub payment: Option<PaymentId>,
    pub order: Option<OrderId>,
}

struct Row {
    id: RefundId,
    payment_id: PaymentId,
    order_id: OrderId,
    order_number: String,
    reference: String,
    provider_transaction_id: Option<i64>,
    amount_minor: i64,
    currency: String,
    status: RefundStatus,
    origin: RefundOrigin,
    requested_by: Option<UserId>,
    reason: Option<String>,
    retry_of: Option<RefundId>,
    retried_as: Option<RefundId>,
    return_id: Option<ReturnId>,
    dispute_number: Option<i64>,
    dispute_id: Option<DisputeId>,
    provider_refund_id: Option<i64>,
    attempts: i32,
    last_error: Option<String>,
    account_last4: Option<String>,
    notify: bool,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    sent_at: Option<DateTime<Utc>>,
    processed_at: Option<DateTime<Utc>>,
    items: Json<Vec<RefundItem>>,
}

/// The oldest first.
pub(super) async fn all(c: &mut PgConnection, which: &Which) -> sqlx::Result<Vec<Refund>> {
    let rows = sqlx::query_as!(
        Row,
        r#"select r.id as "id: RefundId", r.payment_id as "payment_id: PaymentId", p.order_id as "order_id: OrderId",
                  p.order_number, p.reference, p.provider_transaction_id, r.amount_minor,
                  coalesce(p.paid_currency, p.currency) as "currency!", r.status as "status: RefundStatus",
                  r.origin as "origin: RefundOrigin", r.requested_by as "requested_by: UserId", r.reason,
                  r.retry_of as "retry_of: RefundId",
                  (select n.id from refunds n where n.retry_of = r.id) as "retried_as: RefundId",
                  r.return_id as "return_id: ReturnId", r.dispute_number, r.dispute_id as "dispute_id: DisputeId",
                  r.provider_refund_id, r.attempts, r.last_error, r.account_last4, r.notify, r.created_at, r.updated_at,
                  r.sent_at, r.processed_at,
                  (select coalesce(jsonb_agg(to_jsonb(i) order by i.order_item_id), '[]') from refund_items i
                   where i.refund_id = r.id) as "items!: Json<Vec<RefundItem>>"
           from refunds r join payments p on p.id = r.payment_id
           where ($1::uuid[] is null or r.id = any($1)) and ($2::uuid is null or r.payment_id = $2)
             and ($3::uuid is null or p.order_id = $3)
           order by r.created_at, r.id limit 1000"#,
        which.ids.as_deref(),
        which.payment.map(|id| id.0),
        which.order.map(|id| id.0),
    )
    .fetch_all(c)
    .await?;
    let refunds = rows.into_iter().map(|row| Refund {
        id: row.id,
        payment_id: row.payment_id,
        order_id: row.order_id,
        order_number: row.order_number,
        reference: row.reference,
        provider_transaction_id: row.provider_transaction_id,
        amount_minor: row.amount_minor,
        currency: row.currency,
        status: row.status,
        origin: row.origin,
        requested_by: row.requested_by,
        reason: row.reason,
        retry_of: row.retry_of,
        retried_as: row.retried_as,
        return_id: row.return_id,
        dispute_number: row.dispute_number,
        dispute_id: row.dispute_id,
        provider_refund_id: row.provider_refund_id,
        attempts: row.attempts,
        last_error: row.last_error,
        account_last4: row.account_last4,
        notify: row.notify,
        created_at: row.created_at,
        updated_at: row.updated_at,
        sent_at: row.sent_at,
        processed_at: row.processed_at,
        items: row.items.0,
    });
    Ok(refunds.collect())
}

/// A refund by its id.
///
/// # Errors
/// The database's.
pub async fn find_refund(c: &mut PgConnection, id: RefundId) -> sqlx::Result<Option<Refund>> {
    Ok(all(c, &Which { ids: Some(vec![id.0]), ..Which::default() }).await?.pop())
}

/// The refunds of an order, the oldest first.
///
/// # Errors
/// The database's.
pub async fn refunds_of_order(c: &mut PgConnection, order: OrderId) -> sqlx::Result<Vec<Refund>> {
    all(c, &Which { order: Some(order), ..Which::default() }).await
}

/// The refunds of a payment, the oldest first.
///
/// # Errors
/// The database's.
pub async fn refunds_of_payment(c: &mut PgConnection, payment: PaymentId) -> sqlx::Result<Vec<Refund>> {
    all(c, &Which { payment: Some(payment), ..Which::default() }).await
}

/// For how many units of each line of an order money goes back, or went.
///
/// # Errors
/// The database's.
pub async fn refunded_units(c: &mut PgConnection, order: OrderId) -> sqlx::Result<HashMap<OrderItemId, i64>> {
    let rows = sqlx::query!(
        r#"select i.order_item_id as "id: OrderItemId", sum(i.quantity) as "units!"
           from payments p join refunds r on r.payment_id = p.id join refund_items i on i.refund_id = r.id
           where p.order_id = $1 and r.status <> 'failed' group by i.order_item_id"#,
        order.0,
    )
    .fetch_all(c)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.units)).collect())
}

/// What of a payment has gone back, in minor units.
///
/// # Errors
/// The database's.
pub async fn processed_minor(c: &mut PgConnection, payment: PaymentId) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"select coalesce(sum(amount_minor), 0)::bigint as "sum!" from refunds where payment_id = $1 and status = 'processed'"#,
        payment.0,
    )
    .fetch_one(c)
    .await
}

/// What a change of a refund's status brings with it. What is none stays.
#[derive(Clone, Debug, Default)]
pub struct RefundNews<'a> {
    /// The provider's number of it.
    pub provider_refund_id: Option<i64>,
    /// The provider's number of the dispute that took it; kept where the shop did not ask for it.
    pub dispute_number: Option<i64>,
    /// Why it failed.
    pub words: Option<&'a str>,
    /// When the money went.
    pub processed_at: Option<DateTime<Utc>>,
}

/// Moves a refund, or notes more about one that stays. Nobody works on it any more. False when it has another status by now.
///
/// # Errors
/// The database's.
pub async fn move_refund(
    c: &mut PgConnection,
    id: RefundId,
    (from, to): (RefundStatus, RefundStatus),
    news: &RefundNews<'_>,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let moved = sqlx::query!(
        "update refunds
         set status = $3, provider_refund_id = coalesce(provider_refund_id, $4), last_error = coalesce($5, last_error),
             processed_at = case when $3::text = 'processed' then coalesce(processed_at, $6, $7) end, claimed_at = null,
             checked_at = $7, updated_at = case when $3::text = $2::text then updated_at else $7 end,
             dispute_number = case when origin = 'provider' then coalesce(dispute_number, $8) else dispute_number end
         where id = $1 and status = $2",
        id.0,
        from as RefundStatus,
        to as RefundStatus,
        news.provider_refund_id,
        news.words,
        news.processed_at,
        now,
        news.dispute_number,
    )
    .execute(c)
    .await?;
    Ok(moved.rows_affected() == 1)
}
