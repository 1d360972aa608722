//! SQL of what becomes of an attempt.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::features::payments::model::{Decision, PaymentStatus, Proof};
use crate::platform::ids::{OrderId, PaymentId, UserId};

/// The money is here and fits.
///
/// # Errors
/// The database's.
pub async fn succeed(c: &mut PgConnection, id: PaymentId, proof: &Proof, now: DateTime<Utc>) -> sqlx::Result<()> {
    take(c, id, PaymentStatus::Success, proof, None, now).await
}

/// Money is here that does not fit, in this currency.
///
/// # Errors
/// The database's.
pub async fn flag(
    c: &mut PgConnection,
    id: PaymentId,
    proof: &Proof,
    (reason, currency): (&str, &str),
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    take(c, id, PaymentStatus::Flagged, proof, Some((reason, currency)), now).await
}

async fn take(
    c: &mut PgConnection,
    id: PaymentId,
    status: PaymentStatus,
    proof: &Proof,
    flag: Option<(&str, &str)>,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update payments
         set status = $2, paid_minor = $3, provider_transaction_id = $4, channel = $5, card_brand = $6,
             card_last4 = $7, gateway_response = $8, paid_at = $9, flag_reason = $10,
             paid_currency = nullif($11, currency), updated_at = $12
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
        flag.map(|(reason, _)| reason),
        flag.map(|(_, currency)| currency),
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

/// Writes down what was decided about money that does not fit; `by` is none where the program has decided. Accepted money has
/// paid its order. False when that was decided before.
///
/// # Errors
/// The database's; a unique violation (`payments_one_success`) when the order was paid by another attempt.
pub async fn decide(
    c: &mut PgConnection,
    id: PaymentId,
    decision: Decision,
    by: Option<UserId>,
    note: Option<&str>,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let decided = sqlx::query!(
        "update payments
         set decision = $2, decided_by = $3, decided_at = $4, decision_note = $5, updated_at = $4,
             status = case when $2 = 'accept' then 'success' else status end,
             flag_reason = case when $2 = 'accept' then null else flag_reason end
         where id = $1 and status = 'flagged' and decision is null",
        id.0,
        decision as Decision,
        by.map(|id| id.0),
        now,
        note,
    )
    .execute(c)
    .await?;
    Ok(decided.rows_affected() == 1)
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
