//! Answers to staff's requests that may carry an `Idempotency-Key`: given once, and repeated to who lost them.
//!
//! Whoever changes something goes one way: [`begin`], the writes, [`Once::answer`], the audit entry, [`Once::end`].

use std::ops::{Deref, DerefMut};

use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;

use super::{Envelope, Reply};
use crate::platform::crypto::{Vault, sha256};
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

/// The key of a person whose answer is kept under the name of what it is about, so that it goes with that. It stays his: others who use
/// the same one are not given his answers. What he sent is hashed, as it may fill the column alone.
pub fn kept_under(name: String, key: idempotency::Request) -> idempotency::Request {
    let sent = hex::encode(sha256(key.key.as_bytes()));
    idempotency::Request { key: format!("{} {sent}", key.caller), caller: name, ..key }
}

/// What a request begins with.
#[derive(Debug)]
pub enum Begun<'a> {
    /// It was served before.
    Given(Keyed),
    /// It takes effect in this transaction.
    Open(Once<'a>),
}

/// The transaction in which a request takes effect, once for its key, if there is one.
#[derive(Debug)]
pub struct Once<'a> {
    tx: Tx,
    key: Option<&'a idempotency::Request>,
    now: DateTime<Utc>,
}

/// Begins a transaction in which the key is claimed, if there is one.
///
/// # Errors
/// Those of [`idempotency::claim`].
pub async fn begin<'a>(db: &Db, key: Option<&'a idempotency::Request>, now: DateTime<Utc>) -> Result<Begun<'a>> {
    let mut tx = db.begin().await?;
    let claim = match key {
        Some(key) => idempotency::claim(&mut tx, key, now).await,
        None => Ok(None),
    };
    match claim {
        Ok(None) => Ok(Begun::Open(Once { tx, key, now })),
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

impl Once<'_> {
    /// Makes the answer and keeps it under the key, if there is one. Only the audit entry is written after it.
    ///
    /// # Errors
    /// When the data cannot be written as JSON, or the statement fails.
    pub async fn answer<T: Serialize>(&mut self, status: i16, data: T) -> Result<Keyed> {
        let key = self.key;
        self.answer_under(key, status, data).await
    }

    /// The same under another key than the claimed one.
    ///
    /// # Errors
    /// As [`Self::answer`].
    pub async fn answer_under<T: Serialize>(
        &mut self,
        key: Option<&idempotency::Request>,
        status: i16,
        data: T,
    ) -> Result<Keyed> {
        self.keep(key, status, &Envelope::of(data)).await
    }

    /// As [`Self::answer`], of an answer with a sentence for the person who asked.
    ///
    /// # Errors
    /// As there.
    pub async fn reply<T: Serialize>(&mut self, reply: &Reply<T>) -> Result<Keyed> {
        let status = i16::try_from(reply.status.as_u16()).map_err(Error::internal)?;
        self.keep(self.key, status, &reply.envelope).await
    }

    /// As [`Self::answer`], of an answer with a secret: it is kept sealed, for [`Keyed::open`].
    ///
    /// # Errors
    /// As there, and when it cannot be sealed.
    pub async fn answer_sealed<T: Serialize>(&mut self, vault: &Vault, status: i16, data: T) -> Result<Keyed> {
        let body = serde_json::to_string(&Envelope::of(data)).map_err(Error::internal)?;
        if let Some(key) = self.key {
            let sealed = vault.seal(owner(key).as_bytes(), body.as_bytes())?;
            let stored = Stored { status, body: hex::encode(sealed) };
            idempotency::store(&mut self.tx, key, &stored, self.now).await?;
        }
        Ok(Keyed { status, body, replayed: false })
    }

    async fn keep<T: Serialize>(
        &mut self,
        key: Option<&idempotency::Request>,
        status: i16,
        envelope: &Envelope<T>,
    ) -> Result<Keyed> {
        let body = serde_json::to_string(envelope).map_err(Error::internal)?;
        let stored = Stored { status, body };
        if let Some(key) = key {
            idempotency::store(&mut self.tx, key, &stored, self.now).await?;
        }
        Ok(Keyed { status, body: stored.body, replayed: false })
    }

    /// Makes the effect last, or undoes it where it failed, at once, so that the key is free for the next try.
    ///
    /// # Errors
    /// That of what was done, or the database's.
    pub async fn end<T>(self, done: Result<T>) -> Result<T> {
        match done {
            Ok(done) => self.tx.commit().await.map(|()| done),
            Err(error) => {
                self.tx.rollback().await?;
                Err(error)
            }
        }
    }

    /// Undoes an effect that was only tried.
    ///
    /// # Errors
    /// The database's.
    pub async fn undo(self) -> Result<()> {
        self.tx.rollback().await
    }
}

impl Deref for Once<'_> {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.tx
    }
}

impl DerefMut for Once<'_> {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.tx
    }
}

/// For which row an answer is sealed.
fn owner(key: &idempotency::Request) -> String {
    format!("answer {} {} {}", key.caller, key.route, key.key)
}

impl Keyed {
    fn again(stored: Stored) -> Self {
        Self { status: stored.status, body: stored.body, replayed: true }
    }

    /// A kept answer of [`Once::answer_sealed`] as it was given first.
    ///
    /// # Errors
    /// `Internal` when the key that sealed it is gone.
    pub fn open(self, vault: &Vault, key: Option<&idempotency::Request>) -> Result<Self> {
        let Some(key) = key else { return Ok(self) };
        let sealed = hex::decode(&self.body).map_err(Error::internal)?;
        let body = String::from_utf8(vault.open(owner(key).as_bytes(), &sealed)?).map_err(Error::internal)?;
        Ok(Self { body, ..self })
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
