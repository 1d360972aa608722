//! The file of the signing keys.

use std::path::Path;

use anyhow::Context;
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::{DecodingKey, EncodingKey};
use serde_json::{Value, json};

use crate::platform::crypto::sha256;

/// How far the clocks of two servers may be apart.
const CLOCK_SKEW: TimeDelta = TimeDelta::seconds(60);

pub(super) const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END PRIVATE KEY-----";
pub(super) const NOT_BEFORE: &str = "Not-Before:";

/// One key of the file.
pub(super) struct Key {
    pub(super) kid: String,
    /// From when on it signs; none for ever.
    pub(super) not_before: Option<DateTime<Utc>>,
    /// As it stands in the file.
    pub(super) pem: String,
    pub(super) signing: EncodingKey,
    pub(super) checking: DecodingKey,
    pub(super) jwk: Value,
}

/// The keys of a file, in the order in which they sign.
pub(super) struct Ring(pub(super) Vec<Key>);

impl Ring {
    pub(super) fn parse(text: &str) -> anyhow::Result<Self> {
        let mut keys = Vec::new();
        let mut rest = text;
        while let Some((head, tail)) = rest.split_once(BEGIN) {
            let (body, tail) = tail.split_once(END).context("a PRIVATE KEY block has no end")?;
            let not_before = head
                .lines()
                .rev()
                .find_map(|line| line.trim().strip_prefix(NOT_BEFORE))
                .map(|time| DateTime::parse_from_rfc3339(time.trim()).map(|time| time.to_utc()))
                .transpose()
                .context("Not-Before must be a time such as 2026-11-24T16:00:00Z")?;
            keys.push(Key::new(format!("{BEGIN}{body}{END}\n"), body, not_before)?);
            rest = tail;
        }
        anyhow::ensure!(!keys.is_empty(), "there is no PRIVATE KEY block");
        keys.sort_by_key(|key| key.not_before);
        Ok(Self(keys))
    }

    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("the signing key {} cannot be read", path.display()))?;
        Self::parse(&text).with_context(|| {
            format!("{} is not an RSA private key in PKCS#8 PEM (openssl genpkey -algorithm RSA)", path.display())
        })
    }

    /// The position of the key that signs now: the last whose time has come.
    pub(super) fn signing(&self, now: DateTime<Utc>) -> usize {
        self.0.iter().rposition(|key| key.not_before.is_none_or(|from| from <= now)).unwrap_or(0)
    }

    /// When the last token of the key at `position` is over; none while it may still sign.
    pub(super) fn over_at(&self, position: usize, lifetime: TimeDelta) -> Option<DateTime<Utc>> {
        let next = self.0.get(position + 1)?.not_before?;
        Some(next + lifetime + CLOCK_SKEW)
    }

    /// The keys whose tokens are accepted, those to come included.
    pub(super) fn accepted(&self, now: DateTime<Utc>, lifetime: TimeDelta) -> impl Iterator<Item = &Key> {
        let live = move |position| self.over_at(position, lifetime).is_none_or(|over| now < over);
        self.0.iter().enumerate().filter(move |(position, _)| live(*position)).map(|(_, key)| key)
    }
}

impl Key {
    fn new(pem: String, body: &str, not_before: Option<DateTime<Utc>>) -> anyhow::Result<Self> {
        let body: String = body.split_whitespace().collect();
        let pair = KeyPair::from_pkcs8(&STANDARD.decode(body)?)?;
        let public = pair.public_key();
        let modulus = public.modulus().big_endian_without_leading_zero().to_vec();
        let exponent = public.exponent().big_endian_without_leading_zero().to_vec();
        anyhow::ensure!(modulus.len() >= 256, "the key has fewer than 2048 bits (RFC 7518, 3.3)");
        let (n, e) = (URL_SAFE_NO_PAD.encode(&modulus), URL_SAFE_NO_PAD.encode(&exponent));
        let kid = hex::encode(&sha256(&modulus)[..8]);
        Ok(Self {
            signing: EncodingKey::from_rsa_pem(pem.as_bytes())?,
            checking: DecodingKey::from_rsa_components(&n, &e)?,
            jwk: json!({"kty": "RSA", "use": "sig", "alg": "RS256", "kid": kid, "n": n, "e": e}),
            kid,
            not_before,
            pem,
        })
    }
}

/// A new key of 2048 bits, in PEM.
pub(super) fn generate() -> anyhow::Result<String> {
    let pair = KeyPair::generate(KeySize::Rsa2048)?;
    let der: Pkcs8V1Der<'_> = pair.as_der()?;
    let body = STANDARD.encode(der.as_ref());
    let mut pem = format!("{BEGIN}\n");
    for line in body.as_bytes().chunks(64) {
        pem.push_str(std::str::from_utf8(line)?);
        pem.push('\n');
    }
    pem.push_str(&format!("{END}\n"));
    Ok(pem)
}
