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

/// What became of one request among several.
pub type Claim = Result<Option<Stored>>;

/// The stored answers of the requests that were served before, in the order of the requests. It claims nothing: use it
/// where only an answer is wanted.
///
/// # Errors
/// The database's. Of a single request `IdempotencyMismatch`, when the body differs.
pub async fn find_all(c: &mut PgConnection, requests: &[&Request], now: DateTime<Utc>) -> Result<Vec<Claim>> {
    let (callers, routes, keys) = columns(requests);
    let rows = sqlx::query!(
        r#"select w.n as "n!", k.fingerprint, k.status, k.body
           from unnest($1::text[], $2::text[], $3::text[]) with ordinality as w (caller, route, key, n)
           join idempotency_keys k using (caller, route, key) where k.expires_at > $4"#,
        &callers,
        &routes,
        &keys,
        now,
    )
    .fetch_all(c)
    .await?;
    let mut claims: Vec<Claim> = requests.iter().map(|_| Ok(None)).collect();
    for row in rows {
        let Ok(i) = usize::try_from(row.n - 1) else { continue };
        let (Some(claim), Some(request)) = (claims.get_mut(i), requests.get(i)) else { continue };
        *claim = answered(request, &row.fingerprint, Stored { status: row.status, body: row.body });
    }
    Ok(claims)
}

/// What a request gets whose key has an answer, to a request with this fingerprint.
fn answered(request: &Request, fingerprint: &[u8], stored: Stored) -> Claim {
    if fingerprint == request.fingerprint { Ok(Some(stored)) } else { Err(Error::IdempotencyMismatch) }
}

/// The stored answer of one request, as [`find_all`].
///
/// # Errors
/// As there.
pub async fn find(c: &mut PgConnection, request: &Request, now: DateTime<Utc>) -> Claim {
    find_all(c, &[request], now).await?.pop().unwrap_or(Ok(None))
}

/// Whether there is an answer under this key, for whatever body. For requests whose body is too much work to read in vain.
///
/// # Errors
/// When the statement fails.
pub async fn is_known(c: &mut PgConnection, caller: &str, route: &str, key: &str, now: DateTime<Utc>) -> Result<bool> {
    Ok(sqlx::query_scalar!(
        r#"select exists (select from idempotency_keys
                          where caller = $1 and route = $2 and key = $3 and expires_at > $4) as "known!""#,
        caller,
        route,
        key,
        now,
    )
    .fetch_one(c)
    .await?)
}

/// Claims keys, all different, until the transaction ends. Gives the stored answers of the requests that were served
/// before, in the order of the requests. Nobody waits for a key, so it does not matter in which order they are claimed.
/// One round trip, and none without requests.
///
/// # Errors
/// The database's. Of a single request `Conflict`, while the first one with its key is still running, and
/// `IdempotencyMismatch`, when the body differs.
pub async fn claim_all(tx: &mut PgConnection, requests: &[&Request], now: DateTime<Utc>) -> Result<Vec<Claim>> {
    if requests.is_empty() {
        return Ok(Vec::new());
    }
    let (callers, routes, keys) = columns(requests);
    let rows = sqlx::query!(
        r#"select n as "n!", mine as "mine!", fingerprint as "fingerprint?", status as "status?", body as "body?"
           from claim_keys($1, $2, $3, $4)"#,
        &callers,
        &routes,
        &keys,
        now,
    )
    .fetch_all(tx)
    .await?;
    let mut claims: Vec<Claim> = requests.iter().map(|_| Ok(None)).collect();
    for row in rows {
        let Ok(i) = usize::try_from(row.n - 1) else { continue };
        let (Some(claim), Some(request)) = (claims.get_mut(i), requests.get(i)) else { continue };
        *claim = match (row.fingerprint, row.status, row.body) {
            // Whoever else has the key at this moment only reads the same answer.
            (Some(fingerprint), Some(status), Some(body)) => answered(request, &fingerprint, Stored { status, body }),
            _ if row.mine => Ok(None),
            _ => Err(Error::conflict(
                "A request with this Idempotency-Key is still running. Repeat it in a second to get its answer.",
            )),
        };
    }
    Ok(claims)
}

/// Claims one key, as [`claim_all`].
///
/// # Errors
/// As there.
pub async fn claim(tx: &mut PgConnection, request: &Request, now: DateTime<Utc>) -> Claim {
    claim_all(tx, &[request], now).await?.pop().unwrap_or(Ok(None))
}

/// Stores answers, of requests with different keys that are claimed. Call it as the last write before the commit.
///
/// # Errors
/// When the statement fails.
pub async fn store_all(tx: &mut PgConnection, answers: &[(&Request, &Stored)], now: DateTime<Utc>) -> Result<()> {
    let requests: Vec<&Request> = answers.iter().map(|(request, _)| *request).collect();
    let (callers, routes, keys) = columns(&requests);
    let fingerprints: Vec<_> = requests.iter().map(|request| request.fingerprint.to_vec()).collect();
    let statuses: Vec<_> = answers.iter().map(|(_, stored)| stored.status).collect();
    let bodies: Vec<_> = answers.iter().map(|(_, stored)| stored.body.clone()).collect();
    sqlx::query!(
        "insert into idempotency_keys (caller, route, key, fingerprint, status, body, expires_at)
         select w.*, $7 from unnest($1::text[], $2::text[], $3::text[], $4::bytea[], $5::smallint[], $6::text[]) w
         on conflict (caller, route, key) do update
         set fingerprint = excluded.fingerprint, status = excluded.status, body = excluded.body,
             expires_at = excluded.expires_at",
        &callers,
        &routes,
        &keys,
        &fingerprints,
        &statuses,
        &bodies,
        now + KEPT,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Stores one answer, as [`store_all`].
///
/// # Errors
/// As there.
pub async fn store(tx: &mut PgConnection, request: &Request, stored: &Stored, now: DateTime<Utc>) -> Result<()> {
    store_all(tx, &[(request, stored)], now).await
}

/// Callers, routes and keys.
fn columns(requests: &[&Request]) -> (Vec<String>, Vec<String>, Vec<String>) {
    requests.iter().map(|request| (request.caller.clone(), request.route.to_owned(), request.key.clone())).collect()
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
