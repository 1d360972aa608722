//! Answers to staff's requests that may carry an `Idempotency-Key`: given once, and repeated to who lost them.

use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;

use super::Envelope;
use crate::platform::crypto::sha256;
use crate::platform::db::{Db, Tx};
use crate::platform::error::{Error, Result};
use crate::platform::idempotency::{self, Stored};
use crate::platform::ids::UserId;

/// An answer as it is sent, the first or a repeated one.
#[derive(Debug)]
pub struct Keyed {
    status: i16,
    body: String,
    replayed: bool,
}

/// Whose key it is, and for which request. `about` is what the request's path names.
pub fn key(
    key: Option<String>,
    caller: UserId,
    route: &'static str,
    about: &str,
    fingerprint: &[u8; 32],
) -> Option<idempotency::Request> {
    let fingerprint = sha256(&[fingerprint, about.as_bytes()].concat());
    key.map(|key| idempotency::Request { caller: caller.to_string(), route, key, fingerprint })
}

/// What a request begins with.
#[derive(Debug)]
pub enum Begun {
    /// It was served before.
    Given(Keyed),
    /// The transaction of its effect, to be ended with [`end`].
    Open(Tx),
}

/// Begins a transaction in which the key is claimed, if there is one.
///
/// # Errors
/// Those of [`idempotency::claim`].
pub async fn begin(db: &Db, key: Option<&idempotency::Request>, now: DateTime<Utc>) -> Result<Begun> {
    let mut tx = db.begin().await?;
    let Some(key) = key else { return Ok(Begun::Open(tx)) };
    match idempotency::claim(&mut tx, key, now).await {
        Ok(None) => Ok(Begun::Open(tx)),
        // The end comes at once, so that the key is free for the next try.
        Ok(Some(stored)) => {
            tx.rollback().await?;
            Ok(Begun::Given(Keyed::again(stored)))
        }
        Err(refusal) => {
            tx.rollback().await?;
            Err(refusal)
        }
    }
}

/// The first answer, if the request was served before. It claims nothing: work outside of a transaction may be spared by it.
///
/// # Errors
/// Those of [`idempotency::find`].
pub async fn find(
    c: &mut PgConnection,
    key: Option<&idempotency::Request>,
    now: DateTime<Utc>,
) -> Result<Option<Keyed>> {
    let Some(key) = key else { return Ok(None) };
    Ok(idempotency::find(c, key, now).await?.map(Keyed::again))
}

/// Makes the effect last, or undoes it where it failed, at once, so that the key is free for the next try.
///
/// # Errors
/// That of what was done, or the database's.
pub async fn end<T>(tx: Tx, done: Result<T>) -> Result<T> {
    match done {
        Ok(done) => tx.commit().await.map(|()| done),
        Err(error) => {
            tx.rollback().await?;
            Err(error)
        }
    }
}

/// Makes the answer and keeps it under its key, if there is one. Only the audit entry is written after it.
///
/// # Errors
/// When the data cannot be written as JSON, or the statement fails.
pub async fn answer<T: Serialize>(
    tx: &mut PgConnection,
    key: Option<&idempotency::Request>,
    status: i16,
    data: T,
    now: DateTime<Utc>,
) -> Result<Keyed> {
    let body = serde_json::to_string(&Envelope::of(data)).map_err(Error::internal)?;
    let stored = Stored { status, body };
    if let Some(key) = key {
        idempotency::store(tx, key, &stored, now).await?;
    }
    Ok(Keyed { status, body: stored.body, replayed: false })
}

impl Keyed {
    fn again(stored: Stored) -> Self {
        Self { status: stored.status, body: stored.body, replayed: true }
    }
}

impl IntoResponse for Keyed {
    fn into_response(self) -> Response {
        let status = u16::try_from(self.status).ok().and_then(|status| StatusCode::from_u16(status).ok());
        let status = status.unwrap_or(StatusCode::OK);
        let mut response =
            (status, [(CONTENT_TYPE, HeaderValue::from_static("application/json"))], self.body).into_response();
        if self.replayed {
            response.headers_mut().insert("idempotency-replayed", HeaderValue::from_static("true"));
        }
        response
    }
}
