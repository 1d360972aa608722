//! SQL of asking about attempts of which nothing was heard.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::features::payments::model::PaymentStatus;
use crate::platform::ids::{OrderId, PaymentId};

/// An attempt to ask about now.
#[derive(Clone, Debug)]
pub struct Look {
    /// The attempt.
    pub id: PaymentId,
    /// Its order.
    pub order_id: OrderId,
    /// Our name for it at the provider.
    pub reference: String,
    /// Where it stands.
    pub status: PaymentStatus,
}

/// Claims attempts that are due, the longest due first: after `first` at the earliest, then after twice as long with each look, at most
/// an hour. Those that somebody else claims at the same moment are left to him.
///
/// # Errors
/// The database's.
pub async fn claim_looks(
    c: &mut PgConnection,
    now: DateTime<Utc>,
    first: TimeDelta,
    limit: i64,
) -> sqlx::Result<Vec<Look>> {
    let minutes = i32::try_from(first.num_minutes()).unwrap_or(60);
    sqlx::query_as!(
        Look,
        r#"update payments p
           set looks = looks + 1,
               next_look_at = $1 + make_interval(mins => least(60, $2 * (1 << least(looks + 1, 10))))
           where id in (select id from payments
                        where status in ('created', 'open', 'failed', 'abandoned') and next_look_at <= $1
                          and created_at <= $1 - make_interval(mins => $2) and provider = 'paystack'
                        order by next_look_at limit $3 for update skip locked)
           returning id as "id: PaymentId", order_id as "order_id: OrderId", reference, status as "status: PaymentStatus""#,
        now,
        minutes,
        limit,
    )
    .fetch_all(c)
    .await
}

/// Takes back that these were looked at: the provider did not answer.
///
/// # Errors
/// The database's.
pub async fn put_off_looks(c: &mut PgConnection, ids: &[PaymentId], until: DateTime<Utc>) -> sqlx::Result<()> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    sqlx::query!(
        "update payments set looks = greatest(looks - 1, 0), next_look_at = $2
         where id = any($1) and status in ('created', 'open', 'failed', 'abandoned')",
        &ids,
        until,
    )
    .execute(c)
    .await?;
    Ok(())
}

/// Asks no more about an attempt that failed or was given up at that time or before. Gives whether it is so.
///
/// # Errors
/// The database's.
pub async fn end_looks(c: &mut PgConnection, id: PaymentId, over_since: DateTime<Utc>) -> sqlx::Result<bool> {
    let ended = sqlx::query!(
        "update payments set next_look_at = null where id = $1 and status in ('failed', 'abandoned') and updated_at <= $2",
        id.0,
        over_since,
    )
    .execute(c)
    .await?;
    Ok(ended.rows_affected() == 1)
}

/// Has an attempt that is over asked about for a while again, though its looks had ended.
///
/// # Errors
/// The database's.
pub async fn await_again(c: &mut PgConnection, id: PaymentId, now: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!(
        "update payments set next_look_at = $2, updated_at = $2
         where id = $1 and provider = 'paystack' and status in ('failed', 'abandoned') and next_look_at is null",
        id.0,
        now,
    )
    .execute(c)
    .await?;
    Ok(())
}

/// Whether the money of an attempt may still come: the provider is asked about it.
///
/// # Errors
/// The database's.
pub async fn is_awaited(c: &mut PgConnection, id: PaymentId) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select exists (select from payments where id = $1 and provider = 'paystack' and next_look_at is not null
             and status in ('created', 'open', 'failed', 'abandoned')) as "exists!""#,
        id.0,
    )
    .fetch_one(c)
    .await
}
