//! `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header): the answer to a creating request is stored in the
//! transaction of its effect, so a client that repeats the request after a lost answer gets the same one.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;

use super::error::{Error, Result};

/// How long an answer is kept.
pub const KEPT: TimeDelta = TimeDelta::hours(24);

/// One request as its client identifies it.
#[derive(Clone, Debug)]
pub struct Request {
    /// Who asks: a user's id, or a guest's cart.
    pub caller: String,
    /// Method and path.
    pub route: &'static str,
    /// The client's key.
    pub key: String,
    /// SHA-256 of the body.
    pub fingerprint: [u8; 32],
}

/// What a repeated request gets.
#[derive(Clone, Debug)]
pub struct Stored {
    /// The HTTP status of the first answer.
    pub status: i16,
    /// The body of the first answer, byte for byte.
    pub body: String,
}

/// The stored answer, if the request was served before. It claims nothing: use it where only an answer is wanted.
///
/// # Errors
/// `IdempotencyMismatch` when the body differs.
pub async fn find(c: &mut PgConnection, request: &Request, now: DateTime<Utc>) -> Result<Option<Stored>> {
    let stored = sqlx::query!(
        "select fingerprint, status, body from idempotency_keys
         where caller = $1 and route = $2 and key = $3 and expires_at > $4",
        request.caller,
        request.route,
        request.key,
        now,
    )
    .fetch_optional(c)
    .await?;
    match stored {
        Some(row) if row.fingerprint != request.fingerprint => Err(Error::IdempotencyMismatch),
        Some(row) => Ok(Some(Stored { status: row.status, body: row.body })),
        None => Ok(None),
    }
}

/// Claims the key until the transaction ends. Gives the stored answer if the request was served before.
///
/// # Errors
/// `Conflict` while the first request is still running; `IdempotencyMismatch` when the body differs.
pub async fn claim(tx: &mut PgConnection, request: &Request, now: DateTime<Utc>) -> Result<Option<Stored>> {
    let lock = format!("{} {} {}", request.caller, request.route, request.key);
    // The lock comes first, in a statement of its own, so that the read after it sees what its last holder committed.
    let mine = sqlx::query_scalar!(r#"select pg_try_advisory_xact_lock(hashtextextended($1, 0)) as "mine!""#, lock)
        .fetch_one(&mut *tx)
        .await?;
    if !mine {
        return Err(Error::conflict(
            "A request with this Idempotency-Key is still running. Repeat it in a second to get its answer.",
        ));
    }
    find(tx, request, now).await
}

/// Stores the answer. Call it as the last write before the commit.
///
/// # Errors
/// When the statement fails.
pub async fn store(
    tx: &mut PgConnection,
    request: &Request,
    status: i16,
    body: &str,
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query!(
        "insert into idempotency_keys (caller, route, key, fingerprint, status, body, expires_at)
         values ($1, $2, $3, $4, $5, $6, $7)
         on conflict (caller, route, key) do update
         set fingerprint = excluded.fingerprint, status = excluded.status, body = excluded.body,
             expires_at = excluded.expires_at",
        request.caller,
        request.route,
        request.key,
        &request.fingerprint[..],
        status,
        body,
        now + KEPT,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Removes answers whose time is over.
///
/// # Errors
/// When the statement fails.
pub async fn sweep(connection: &mut PgConnection, now: DateTime<Utc>) -> Result<u64> {
    Ok(sqlx::query!("delete from idempotency_keys where expires_at <= $1", now)
        .execute(connection)
        .await?
        .rows_affected())
}

/// Removes the answers to these callers.
///
/// # Errors
/// When the statement fails.
pub async fn erase(connection: &mut PgConnection, callers: &[String]) -> Result<()> {
    sqlx::query!("delete from idempotency_keys where caller = any($1)", callers).execute(connection).await?;
    Ok(())
}
