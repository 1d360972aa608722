//! Who calls: by HTTP Basic, or by a signature.

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::DateTime;
use secrecy::ExposeSecret;

use super::Fake;
use super::answer::Refusal;
use crate::signature::same;
use crate::{Params, SIGNATURE_LIFETIME, sign};

/// Lets a call to `cloud` through that comes with the account's credentials, or whose
/// parameters are signed with them.
pub(super) fn authorize(fake: &Fake, cloud: &str, headers: &HeaderMap, params: &Params) -> Result<(), Refusal> {
    if cloud != fake.0.config.cloud_name {
        return Err(Refusal::unauthorized(format!("Invalid cloud_name {cloud}")));
    }
    if headers.contains_key(AUTHORIZATION) { check_basic(fake, headers) } else { check_signature(fake, params) }
}

/// Lets a call with the account's credentials through.
pub(super) fn check_basic(fake: &Fake, headers: &HeaderMap) -> Result<(), Refusal> {
    let config = &fake.0.config;
    let credentials = || {
        let basic = headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Basic ")?;
        String::from_utf8(STANDARD.decode(basic).ok()?).ok()
    };
    let credentials = credentials().ok_or_else(|| Refusal::unauthorized("Invalid credentials"))?;
    match credentials.split_once(':') {
        Some((key, secret)) if key == config.api_key && secret == config.api_secret.expose_secret() => Ok(()),
        Some((key, _)) if key == config.api_key => Err(Refusal::unauthorized("api_secret mismatch")),
        _ => Err(Refusal::unauthorized("unknown api_key")),
    }
}

fn check_signature(fake: &Fake, params: &Params) -> Result<(), Refusal> {
    let config = &fake.0.config;
    let given = params
        .get("signature")
        .ok_or_else(|| Refusal::bad("Upload preset must be specified when using unsigned upload"))?;
    let required = |name| params.get(name).ok_or_else(|| Refusal::missing(name));
    let api_key = required("api_key")?;
    if api_key != config.api_key {
        return Err(Refusal::unauthorized(format!("Unknown API key {api_key}")));
    }
    let timestamp = required("timestamp")?;
    let signed_at = timestamp
        .parse()
        .ok()
        .and_then(|seconds| DateTime::from_timestamp(seconds, 0))
        .ok_or_else(|| Refusal::invalid("timestamp", timestamp))?;
    if config.clock.now().saturating_sub(signed_at.timestamp()) > SIGNATURE_LIFETIME {
        let time = signed_at.format("%Y-%m-%d %H:%M:%S +0000");
        return Err(Refusal::bad(format!("Stale request - reported time is {time} which is more than 1 hour ago")));
    }
    if !same(&sign(params, &config.api_secret, config.signature_algorithm), given) {
        let text = params.string_to_sign();
        return Err(Refusal::unauthorized(format!("Invalid Signature {given}. String to sign - '{text}'.")));
    }
    Ok(())
}
