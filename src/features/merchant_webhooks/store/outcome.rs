//! SQL of what came of a try.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::deliveries::Claimed;
use crate::features::merchant_webhooks::model::{Attempt, Retries};

/// What became of a delivery and its address.
#[derive(Debug, PartialEq, Eq)]
pub enum Noted {
    /// It has arrived.
    Delivered,
    /// It is tried again later.
    Again,
    /// It is given up.
    Failed,
    /// The address is turned off for this reason; what has not arrived waits until it is turned on.
    Disabled(String),
    /// It was somebody else's meanwhile, because this try took longer than its claim.
    Stale,
}

/// Notes what came of a try, and turns the address off where it says that it is gone, or has taken nothing for too long.
///
/// # Errors
/// The database's.
pub async fn note(
    c: &mut PgConnection,
    claimed: &Claimed,
    attempt: &Attempt,
    (retries, jitter): (Retries, u8),
    now: DateTime<Utc>,
) -> sqlx::Result<Noted> {
    // The address before the delivery, as where it is removed.
    let endpoint = sqlx::query!(
        "select is_active, failing_since from webhook_endpoints where id = $1 for no key update",
        claimed.endpoint_id.0,
    )
    .fetch_optional(&mut *c)
    .await?;
    let Some(endpoint) = endpoint else { return Ok(Noted::Stale) };
    let is_success = attempt.is_success();
    let is_over = endpoint.failing_since.is_some_and(|since| now - since >= retries.patience);
    let reason = if is_success {
        None
    } else if attempt.is_gone() {
        Some("The address answers 410 Gone: it wants no more events.".to_owned())
    } else if is_over {
        let fault = attempt.fault().unwrap_or_default();
        Some(format!("Nothing has arrived for {} days; the last time, {fault}.", retries.patience.num_days()))
    } else {
        None
    };
    let wait = retries.wait(claimed.attempts, jitter);
    // Of an address that is turned off, what has not arrived waits.
    let status = match (is_success, &reason, wait) {
        (true, ..) => "delivered",
        (false, None, None) => "failed",
        _ => "pending",
    };
    let noted = sqlx::query!(
        "update webhook_deliveries
         set status = $3, ended_at = case when $3 <> 'pending' then $4::timestamptz end, leased_until = null, next_at = $5,
             response_status = $6, response = $7, error = $8, duration_ms = $9
         where id = $1 and attempts = $2 and status = 'pending'",
        claimed.id.0,
        claimed.attempts,
        status,
        now,
        now + wait.unwrap_or_default(),
        attempt.status.map(i32::from),
        attempt.response,
        attempt.fault(),
        attempt.duration_ms,
    )
    .execute(&mut *c)
    .await?;
    if noted.rows_affected() == 0 {
        return Ok(Noted::Stale);
    }
    let reason = reason.filter(|_| endpoint.is_active);
    if is_success != endpoint.failing_since.is_none() || reason.is_some() {
        sqlx::query!(
            "update webhook_endpoints
             set failing_since = case when $2 then null else coalesce(failing_since, $3) end,
                 is_active = is_active and $4::text is null, disabled_reason = coalesce($4, disabled_reason),
                 version = version + case when $4 is null then 0 else 1 end, updated_at = $3
             where id = $1",
            claimed.endpoint_id.0,
            is_success,
            now,
            reason,
        )
        .execute(c)
        .await?;
    }
    Ok(match (reason, status) {
        (Some(reason), _) => Noted::Disabled(reason),
        (None, "delivered") => Noted::Delivered,
        (None, "failed") => Noted::Failed,
        (None, _) => Noted::Again,
    })
}
