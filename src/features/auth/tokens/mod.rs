//! Access tokens: JWT signed with RS256 (RFC 7519, RFC 8725), and the keys for it.
//!
//! The keys are a PEM file. In front of each but the first stands from when on it signs, so that every server that has the
//! file changes keys at the same moment, and long after the new public key was published:
//!
//! ```text
//! -----BEGIN PRIVATE KEY-----
//! …
//! -----END PRIVATE KEY-----
//! Not-Before: 2026-11-24T16:00:00Z
//! -----BEGIN PRIVATE KEY-----
//! …
//! ```
//!
//! A key is accepted until its last token is over. The file is read again when it changes.

mod ring;

use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use anyhow::Context;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use jsonwebtoken::{Algorithm, Header, Validation, decode, decode_header, encode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::model::Role;
use crate::platform::config::Auth;
use crate::platform::crypto::write_secret;
use crate::platform::error::{Error, Result};
use crate::platform::ids::{SessionId, UserId};
use ring::{NOT_BEFORE, Ring, generate};

/// How often the key file is looked at.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// What an access token says.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Claims {
    iss: String,
    aud: String,
    pub(super) sub: UserId,
    pub(super) role: Role,
    /// The session it belongs to.
    pub(super) sid: SessionId,
    iat: i64,
    pub(super) exp: i64,
}

/// Why a token proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenFault {
    /// It is ours, and over.
    Expired,
    /// It is not a token of ours.
    Invalid,
}

impl From<TokenFault> for Error {
    fn from(fault: TokenFault) -> Self {
        Self::Unauthenticated(match fault {
            TokenFault::Expired => "Your sign-in has expired. Please refresh it or sign in again.".into(),
            TokenFault::Invalid => "Your sign-in is not valid. Please sign in again.".into(),
        })
    }
}

/// A key as `agape keys list` shows it.
#[derive(Debug)]
pub struct KeyState {
    /// The name that tokens carry.
    pub kid: String,
    /// `next`, `signing`, `accepted` or `over`.
    pub state: &'static str,
    /// From when on it signs; none for ever.
    pub not_before: Option<DateTime<Utc>>,
}

/// Signs and checks access tokens.
pub struct TokenKeys {
    path: PathBuf,
    ring: RwLock<Arc<Ring>>,
    issuer: String,
    audience: String,
    lifetime: TimeDelta,
}

impl fmt::Debug for TokenKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenKeys").field("path", &self.path).finish_non_exhaustive()
    }
}

impl TokenKeys {
    /// Reads the private keys (PKCS#8, PEM) at `path`. With `create`, a missing file is made with a new key of 2048 bits.
    ///
    /// # Errors
    /// When the file cannot be read, is not such a file, or cannot be made.
    pub fn load(path: &Path, create: bool, config: &Auth) -> anyhow::Result<Self> {
        if create && !path.exists() {
            let made = generate().and_then(|pem| write_secret(path, &pem));
            made.with_context(|| format!("the signing key {} could not be made", path.display()))?;
        }
        Ok(Self {
            path: path.to_owned(),
            ring: RwLock::new(Arc::new(Ring::read(path)?)),
            issuer: config.issuer.clone(),
            audience: config.audience.clone(),
            lifetime: TimeDelta::minutes(config.access_token_minutes),
        })
    }

    fn ring(&self) -> Arc<Ring> {
        Arc::clone(&self.ring.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the file again.
    ///
    /// # Errors
    /// As [`Self::load`]; the keys stay as they were.
    pub fn reload(&self) -> anyhow::Result<()> {
        let ring = Arc::new(Ring::read(&self.path)?);
        *self.ring.write().unwrap_or_else(PoisonError::into_inner) = ring;
        Ok(())
    }

    /// Reads the file again whenever it has changed, until the future is dropped.
    pub async fn keep_fresh(&self) {
        let state = || std::fs::metadata(&self.path).ok().map(|file| (file.modified().ok(), file.len(), file.ino()));
        let mut known: Option<(Option<SystemTime>, u64, u64)> = state();
        loop {
            tokio::time::sleep(LOOK_AGAIN).await;
            let now = state();
            if now == known {
                continue;
            }
            match self.reload() {
                Ok(()) => tracing::info!("the signing keys were read again"),
                Err(error) => tracing::error!(error = format!("{error:#}"), "the signing keys stay as they were"),
            }
            known = now;
        }
    }

    /// The public keys (RFC 7517) of all tokens that are accepted now, and of those to come.
    pub(super) fn jwks(&self, now: DateTime<Utc>) -> Value {
        let ring = self.ring();
        let keys: Vec<&Value> = ring.accepted(now, self.lifetime).map(|key| &key.jwk).collect();
        json!({"keys": keys})
    }

    /// Every key of the file, and what it is for now.
    pub fn states(&self, now: DateTime<Utc>) -> Vec<KeyState> {
        let ring = self.ring();
        let signing = ring.signing(now);
        let state = |position| match ring.over_at(position, self.lifetime) {
            _ if position > signing => "next",
            _ if position == signing => "signing",
            Some(over) if over <= now => "over",
            _ => "accepted",
        };
        ring.0
            .iter()
            .enumerate()
            .map(|(i, key)| KeyState { kid: key.kid.clone(), state: state(i), not_before: key.not_before })
            .collect()
    }

    /// Adds a new key to the file, which signs from `not_before` on, and removes those whose tokens are over. Servers
    /// that run read the file by themselves. Gives the new key's name.
    ///
    /// # Errors
    /// When a key waits for its time already, or the file cannot be written.
    pub fn rotate(&self, not_before: DateTime<Utc>, now: DateTime<Utc>) -> anyhow::Result<String> {
        let ring = Ring::read(&self.path)?;
        if let Some(next) = ring.0.iter().find_map(|key| key.not_before.filter(|from| *from > now)) {
            anyhow::bail!("a new key waits already; it signs from {next} on");
        }
        let pem = generate()?;
        let kid = Ring::parse(&pem)?.0.first().map(|key| key.kid.clone()).context("no key was made")?;
        let mut text = String::new();
        for key in ring.accepted(now, self.lifetime) {
            if let Some(from) = key.not_before {
                text.push_str(&format!("{NOT_BEFORE} {}\n", from.to_rfc3339_opts(SecondsFormat::Secs, true)));
            }
            text.push_str(&key.pem);
        }
        text.push_str(&format!("{NOT_BEFORE} {}\n{pem}", not_before.to_rfc3339_opts(SecondsFormat::Secs, true)));
        write_secret(&self.path, &text).with_context(|| format!("{} could not be written", self.path.display()))?;
        self.reload()?;
        Ok(kid)
    }

    /// A token, and when it ends.
    pub(super) fn sign(
        &self,
        user: UserId,
        role: Role,
        session: SessionId,
        now: DateTime<Utc>,
    ) -> Result<(String, DateTime<Utc>)> {
        let expires = now + self.lifetime;
        let claims = Claims {
            iss: self.issuer.clone(),
            aud: self.audience.clone(),
            sub: user,
            role,
            sid: session,
            iat: now.timestamp(),
            exp: expires.timestamp(),
        };
        let ring = self.ring();
        let key =
            ring.0.get(ring.signing(now)).ok_or_else(|| Error::internal(anyhow::anyhow!("there is no signing key")))?;
        let mut header = Header::new(Algorithm::RS256);
        header.kid = Some(key.kid.clone());
        Ok((encode(&header, &claims, &key.signing).map_err(Error::internal)?, expires))
    }

    /// The claims of a token that is signed by us, for us, and not over.
    pub(super) fn check(&self, token: &str, now: DateTime<Utc>) -> Result<Claims, TokenFault> {
        let claims = self.check_signature(token, now)?;
        if claims.exp <= now.timestamp() { Err(TokenFault::Expired) } else { Ok(claims) }
    }

    /// The claims of a token that is signed by us, for us. It may be over.
    pub(super) fn check_signature(&self, token: &str, now: DateTime<Utc>) -> Result<Claims, TokenFault> {
        let mut validation = Validation::new(Algorithm::RS256);
        validation.set_issuer(&[&self.issuer]);
        validation.set_audience(&[&self.audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        // Checked against the application's clock instead.
        validation.validate_exp = false;
        let kid = decode_header(token).ok().and_then(|header| header.kid).ok_or(TokenFault::Invalid)?;
        let ring = self.ring();
        let key = ring.accepted(now, self.lifetime).find(|key| key.kid == kid).ok_or(TokenFault::Invalid)?;
        let token = decode::<Claims>(token, &key.checking, &validation).map_err(|_| TokenFault::Invalid)?;
        Ok(token.claims)
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use jsonwebtoken::EncodingKey;

    use super::ring::BEGIN;
    use super::*;
    use crate::platform::config::Config;

    /// Keys and the folder they are in.
    fn keys() -> (TokenKeys, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys/a.pem");
        (TokenKeys::load(&path, true, &Config::defaults().unwrap().auth).unwrap(), folder)
    }

    #[test]
    fn a_token_is_accepted_until_it_ends() {
        let ((keys, _folder), now) = (keys(), Utc::now());
        let (token, expires) = keys.sign(UserId::new(), Role::Customer, SessionId::new(), now).unwrap();
        assert!(keys.check(&token, now).is_ok());
        assert_eq!(keys.check(&token, expires).unwrap_err(), TokenFault::Expired);
    }

    #[test]
    fn foreign_and_changed_tokens_are_refused() {
        let ((ours, _o), (theirs, _t), now) = (keys(), keys(), Utc::now());
        let (token, _) = theirs.sign(UserId::new(), Role::Admin, SessionId::new(), now).unwrap();
        assert!(ours.check(&token, now).is_err());
        let (token, _) = ours.sign(UserId::new(), Role::Customer, SessionId::new(), now).unwrap();
        let mut parts: Vec<&str> = token.split('.').collect();
        let kid = ours.states(now)[0].kid.clone();
        let none = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"none","typ":"JWT","kid":"{kid}"}}"#));
        parts[0] = &none;
        assert!(ours.check(&parts.join("."), now).is_err());
        assert!(ours.check(&format!("{}.{}.", parts[0], parts[1]), now).is_err());
        // The public key taken for the secret of an HMAC (RFC 8725, 2.1).
        let mut header = Header::new(Algorithm::HS256);
        header.kid = Some(kid);
        let hs = encode(
            &header,
            &serde_json::json!({"sub": UserId::new(), "role": "admin", "sid": SessionId::new(), "iss": "agape",
                "aud": "agape", "iat": 0, "exp": 99_999_999_999_i64}),
            &EncodingKey::from_secret(ours.jwks(now)["keys"][0]["n"].as_str().unwrap().as_bytes()),
        )
        .unwrap();
        assert!(ours.check(&hs, now).is_err());
    }

    #[test]
    fn rotating_keeps_every_token_until_it_ends() {
        let ((keys, _folder), now) = (keys(), Utc::now());
        let sign = |at| keys.sign(UserId::new(), Role::Customer, SessionId::new(), at).unwrap().0;
        let kid = |token: &str| decode_header(token).unwrap().kid.unwrap();
        let states = |at| keys.states(at).iter().map(|key| key.state).collect::<Vec<_>>();
        let old = sign(now);
        let turn = now + TimeDelta::minutes(2);
        let new = keys.rotate(turn, now).unwrap();
        // The new key is published, and signs later.
        assert_eq!(keys.jwks(now)["keys"].as_array().unwrap().len(), 2);
        assert_eq!(kid(&sign(now)), kid(&old));
        assert_eq!(states(now), ["signing", "next"]);
        assert!(keys.rotate(turn, now).is_err(), "one at a time");
        let (last, first) = (sign(turn - TimeDelta::seconds(1)), sign(turn + TimeDelta::seconds(1)));
        assert_eq!((kid(&last), kid(&first)), (kid(&old), new));
        assert_eq!(states(turn + TimeDelta::minutes(1)), ["accepted", "signing"]);
        let near = turn + TimeDelta::minutes(14);
        assert!(keys.check(&last, near).is_ok() && keys.check(&first, near).is_ok());
        let later = turn + TimeDelta::minutes(17);
        assert_eq!(states(later), ["over", "signing"]);
        assert_eq!(keys.jwks(later)["keys"].as_array().unwrap().len(), 1);
        assert_eq!(keys.check(&last, later).unwrap_err(), TokenFault::Invalid);
        // The next rotation takes the old key out of the file.
        keys.rotate(later + TimeDelta::minutes(2), later).unwrap();
        assert_eq!(states(later), ["signing", "next"]);
        let mode = std::fs::metadata(&keys.path).unwrap().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_broken_file_leaves_the_keys_as_they_were() {
        let ((keys, _folder), now) = (keys(), Utc::now());
        let (token, _) = keys.sign(UserId::new(), Role::Customer, SessionId::new(), now).unwrap();
        for text in ["", "nonsense", BEGIN, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"] {
            std::fs::write(&keys.path, text).unwrap();
            assert!(keys.reload().is_err(), "{text}");
        }
        assert!(keys.check(&token, now).is_ok());
    }
}
