//! SQL of refunds on their way to the provider.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::features::payments::refunds::RefundStatus;
use crate::platform::ids::RefundId;

/// A refund that nobody else works on.
#[derive(Clone, Copy, Debug)]
pub struct Claim {
    /// When it was sent before and no answer came.
    pub unanswered_since: Option<DateTime<Utc>>,
}

/// Takes a refund that has this status for oneself, unless somebody else has since `dead_before`. None when it has another status,
/// or is somebody else's.
///
/// # Errors
/// The database's.
pub async fn claim_refund(
    c: &mut PgConnection,
    id: RefundId,
    status: RefundStatus,
    dead_before: DateTime<Utc>,
    now: DateTime<Utc>,
) -> sqlx::Result<Option<Claim>> {
    sqlx::query_as!(
        Claim,
        "update refunds set claimed_at = $4
         where id = $1 and status = $2 and (claimed_at is null or claimed_at <= $3)
         returning sent_at as unanswered_since",
        id.0,
        status as RefundStatus,
        dead_before,
        now,
    )
    .fetch_optional(c)
    .await
}

/// Notes that a claimed refund is about to be sent. From here on nobody knows whether the provider has it, until it answers.
/// False when it has another status by now, or was claimed by somebody else.
///
/// # Errors
/// The database's; a unique violation (`refunds_one_sent`) while another one of its payment is on its way.
pub async fn begin_sending(
    c: &mut PgConnection,
    id: RefundId,
    claimed_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let begun = sqlx::query!(
        "update refunds set sent_at = $2, attempts = attempts + 1
         where id = $1 and status = 'pending' and claimed_at = $3",
        id.0,
        now,
        claimed_at,
    )
    .execute(c)
    .await?;
    Ok(begun.rows_affected() == 1)
}

/// Lets go of a refund that did not get its answer, if it is still claimed since then. `is_unsent` where the provider has
/// certainly not taken it.
///
/// # Errors
/// The database's.
pub async fn let_go(
    c: &mut PgConnection,
    id: RefundId,
    claimed_at: DateTime<Utc>,
    (words, is_unsent): (&str, bool),
) -> sqlx::Result<()> {
    sqlx::query!(
        "update refunds
         set claimed_at = null, last_error = $2, sent_at = case when $3 and status = 'pending' then null else sent_at end
         where id = $1 and claimed_at = $4",
        id.0,
        words,
        is_unsent,
        claimed_at,
    )
    .execute(c)
    .await?;
    Ok(())
}

/// Notes to which account the provider is asked to send a claimed refund. Only its end is kept.
///
/// # Errors
/// The database's.
pub async fn name_account(c: &mut PgConnection, id: RefundId, last4: &str) -> sqlx::Result<()> {
    sqlx::query!("update refunds set account_last4 = $2 where id = $1", id.0, last4).execute(c).await?;
    Ok(())
}

/// Notes that the provider was asked about a refund.
///
/// # Errors
/// The database's.
pub async fn note_look(c: &mut PgConnection, id: RefundId, now: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!("update refunds set checked_at = $2 where id = $1", id.0, now).execute(c).await?;
    Ok(())
}

/// Pending refunds of which nothing was heard since then, at most 100.
///
/// # Errors
/// The database's.
pub async fn stranded_refunds(c: &mut PgConnection, before: DateTime<Utc>) -> sqlx::Result<Vec<RefundId>> {
    sqlx::query_scalar!(
        r#"select id as "id: RefundId" from refunds
           where status = 'pending' and updated_at < $1 order by updated_at limit 100"#,
        before,
    )
    .fetch_all(c)
    .await
}

/// Refunds that the provider is at, and was not asked about since then, at most 50: the number, and the provider's.
///
/// # Errors
/// The database's.
pub async fn unanswered_refunds(c: &mut PgConnection, before: DateTime<Utc>) -> sqlx::Result<Vec<(RefundId, i64)>> {
    let rows = sqlx::query!(
        r#"select id as "id: RefundId", provider_refund_id as "number!" from refunds
           where status in ('processing', 'needs_attention') and updated_at < $1 and coalesce(checked_at, updated_at) < $1
             and provider_refund_id is not null
           order by checked_at nulls first limit 50"#,
        before,
    )
    .fetch_all(c)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.number)).collect())
}

/// A payment whose sum of refunds, or an order whose status, says another thing than the refunds do.
#[derive(Debug)]
pub struct RefundFault {
    /// The order's number.
    pub order_number: String,
    /// The order's status.
    pub order_status: String,
    /// What the payment says that goes back, in minor units.
    pub counted: i64,
    /// What its refunds add up to.
    pub summed: i64,
}

/// The first ten of them. Empty in a sound shop.
///
/// # Errors
/// The database's.
pub async fn refund_faults(c: &mut PgConnection) -> sqlx::Result<Vec<RefundFault>> {
    sqlx::query_as!(
        RefundFault,
        r#"select p.order_number, o.status as order_status, p.refunded_minor as counted, r.live as "summed!"
           from payments p join orders o on o.id = p.order_id
           cross join lateral (
             select coalesce(sum(amount_minor) filter (where status <> 'failed'), 0)::bigint as live,
                    coalesce(sum(amount_minor) filter (where status = 'processed'), 0)::bigint as gone
             from refunds where payment_id = p.id) r
           where p.refunded_minor <> r.live
              or p.status = 'success' and o.status = 'refunded' and r.gone <> p.paid_minor
              or p.status = 'success' and o.status = 'partially_refunded' and r.gone = 0
           order by p.order_number limit 10"#,
    )
    .fetch_all(c)
    .await
}
