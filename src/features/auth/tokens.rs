//! Access tokens: JWT signed with RS256 (RFC 7519, RFC 8725), and the keys for it.

use std::fmt;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::Context;
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::model::Role;
use crate::platform::config::Auth;
use crate::platform::crypto::sha256;
use crate::platform::error::{Error, Result};
use crate::platform::ids::{SessionId, UserId};

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

/// Signs and checks access tokens.
pub struct TokenKeys {
    signing: EncodingKey,
    checking: DecodingKey,
    kid: String,
    jwks: Value,
    issuer: String,
    audience: String,
    lifetime: TimeDelta,
}

impl fmt::Debug for TokenKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenKeys").field("kid", &self.kid).finish_non_exhaustive()
    }
}

const PEM_LABEL: &str = "PRIVATE KEY";

impl TokenKeys {
    /// Reads the private key (PKCS#8, PEM) at `path`. With `create`, a missing file is made with a new key of 2048 bits.
    ///
    /// # Errors
    /// When the file cannot be read, is not such a key, or cannot be made.
    pub fn load(path: &Path, create: bool, config: &Auth) -> anyhow::Result<Self> {
        if create && !path.exists() {
            generate(path).with_context(|| format!("the signing key {} could not be made", path.display()))?;
        }
        let pem = std::fs::read_to_string(path)
            .with_context(|| format!("the signing key {} cannot be read", path.display()))?;
        Self::from_pem(&pem, config).with_context(|| {
            format!("{} is not an RSA private key in PKCS#8 PEM (openssl genpkey -algorithm RSA)", path.display())
        })
    }

    fn from_pem(pem: &str, config: &Auth) -> anyhow::Result<Self> {
        let body: String = pem
            .trim()
            .strip_prefix(&format!("-----BEGIN {PEM_LABEL}-----"))
            .and_then(|rest| rest.strip_suffix(&format!("-----END {PEM_LABEL}-----")))
            .context("no PRIVATE KEY block")?
            .split_whitespace()
            .collect();
        let pair = KeyPair::from_pkcs8(&STANDARD.decode(body)?)?;
        let public = pair.public_key();
        let modulus = public.modulus().big_endian_without_leading_zero().to_vec();
        let exponent = public.exponent().big_endian_without_leading_zero().to_vec();
        anyhow::ensure!(modulus.len() >= 256, "the key has fewer than 2048 bits (RFC 7518, 3.3)");
        let (n, e) = (URL_SAFE_NO_PAD.encode(&modulus), URL_SAFE_NO_PAD.encode(&exponent));
        let kid = hex::encode(&sha256(&modulus)[..8]);
        let jwks = json!({"keys": [{"kty": "RSA", "use": "sig", "alg": "RS256", "kid": kid, "n": n, "e": e}]});
        Ok(Self {
            signing: EncodingKey::from_rsa_pem(pem.as_bytes())?,
            checking: DecodingKey::from_rsa_components(&n, &e)?,
            kid,
            jwks,
            issuer: config.issuer.clone(),
            audience: config.audience.clone(),
            lifetime: TimeDelta::minutes(config.access_token_minutes),
        })
    }

    /// The public keys (RFC 7517).
    pub(super) fn jwks(&self) -> &Value {
        &self.jwks
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
        let mut header = Header::new(Algorithm::RS256);
        header.kid = Some(self.kid.clone());
        Ok((encode(&header, &claims, &self.signing).map_err(Error::internal)?, expires))
    }

    /// The claims of a token that is signed by us, for us, and not over.
    pub(super) fn check(&self, token: &str, now: DateTime<Utc>) -> Result<Claims> {
        let claims = self.check_signature(token)?;
        if claims.exp <= now.timestamp() {
            return Err(Error::Unauthenticated("Your sign-in has expired. Please refresh it or sign in again.".into()));
        }
        Ok(claims)
    }

    /// The claims of a token that is signed by us, for us. It may be over.
    pub(super) fn check_signature(&self, token: &str) -> Result<Claims> {
        let mut validation = Validation::new(Algorithm::RS256);
        validation.set_issuer(&[&self.issuer]);
        validation.set_audience(&[&self.audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        // Checked against the application's clock instead.
        validation.validate_exp = false;
        Ok(decode::<Claims>(token, &self.checking, &validation)
            .map_err(|_| Error::Unauthenticated("Your sign-in is not valid. Please sign in again.".into()))?
            .claims)
    }
}

fn generate(path: &Path) -> anyhow::Result<()> {
    let pair = KeyPair::generate(KeySize::Rsa2048)?;
    let der: Pkcs8V1Der<'_> = pair.as_der()?;
    let body = STANDARD.encode(der.as_ref());
    let mut pem = format!("-----BEGIN {PEM_LABEL}-----\n");
    for line in body.as_bytes().chunks(64) {
        pem.push_str(std::str::from_utf8(line)?);
        pem.push('\n');
    }
    pem.push_str(&format!("-----END {PEM_LABEL}-----\n"));
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    // Written beside and renamed, so that a crash leaves no half key.
    let partial = path.with_extension(format!("{}.partial", std::process::id()));
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&partial)?;
    file.write_all(pem.as_bytes())?;
    file.sync_all()?;
    Ok(std::fs::rename(&partial, path)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::config::Config;

    fn keys() -> TokenKeys {
        let folder = tempfile::tempdir().unwrap();
        TokenKeys::load(&folder.path().join("keys/a.pem"), true, &Config::defaults().unwrap().auth).unwrap()
    }

    #[test]
    fn a_token_is_accepted_until_it_ends() {
        let (keys, now) = (keys(), Utc::now());
        let (token, expires) = keys.sign(UserId::new(), Role::Customer, SessionId::new(), now).unwrap();
        assert!(keys.check(&token, now).is_ok());
        assert!(keys.check(&token, expires).is_err());
    }

    #[test]
    fn foreign_and_changed_tokens_are_refused() {
        let (ours, theirs, now) = (keys(), keys(), Utc::now());
        let (token, _) = theirs.sign(UserId::new(), Role::Admin, SessionId::new(), now).unwrap();
        assert!(ours.check(&token, now).is_err());
        let (token, _) = ours.sign(UserId::new(), Role::Customer, SessionId::new(), now).unwrap();
        let mut parts: Vec<&str> = token.split('.').collect();
        let none = URL_SAFE_NO_PAD.encode(br#"{"alg":"none","typ":"JWT"}"#);
        parts[0] = &none;
        assert!(ours.check(&parts.join("."), now).is_err());
        assert!(ours.check(&format!("{}.{}.", parts[0], parts[1]), now).is_err());
        let hs = encode(
            &Header::new(Algorithm::HS256),
            &serde_json::json!({"sub": UserId::new(), "role": "admin", "sid": SessionId::new(), "iss": "agape",
                "aud": "agape", "iat": 0, "exp": 99_999_999_999_i64}),
            &EncodingKey::from_secret(ours.jwks["keys"][0]["n"].as_str().unwrap().as_bytes()),
        )
        .unwrap();
        assert!(ours.check(&hs, now).is_err());
    }
}
