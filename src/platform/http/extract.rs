//! What handlers take from a request. Each refuses with the same error shape.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, FailedToBufferBody};
use axum::extract::{ConnectInfo, FromRequest, FromRequestParts, RawPathParams, Request};
use axum::http::header::{CONTENT_TYPE, USER_AGENT};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::json;
use super::layers::{ClientIp, request_id};
use crate::platform::crypto::sha256;
use crate::platform::error::{Error, Result};
use crate::platform::network::Network;

/// A JSON body, and the hash that tells two bodies apart.
#[derive(Debug)]
pub struct Body<T> {
    /// What was sent.
    pub value: T,
    /// SHA-256 of its bytes.
    pub fingerprint: [u8; 32],
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> Result<Self> {
        let is_json = request
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .map(|value| value.split(';').next().unwrap_or(value).trim().to_ascii_lowercase())
            .is_some_and(|mime| {
                mime == "application/json" || (mime.starts_with("application/") && mime.ends_with("+json"))
            });
        if !is_json {
            return Err(Error::UnsupportedMediaType(
                "Send the body as JSON, with Content-Type: application/json.".into(),
            ));
        }
        let bytes = bytes(request, state).await?;
        Ok(Self { value: json::parse(&bytes)?, fingerprint: sha256(&bytes) })
    }
}

/// The whole body, within the limit.
///
/// # Errors
/// `PayloadTooLarge`, or `Validation` when the client stopped sending.
pub async fn bytes<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes> {
    let limit = request.extensions().get::<super::layers::BodyLimit>().map_or(0, |limit| limit.0);
    Bytes::from_request(request, state).await.map_err(|rejection| match rejection {
        BytesRejection::FailedToBufferBody(FailedToBufferBody::LengthLimitError(_)) => Error::PayloadTooLarge { limit },
        _ => Error::field("", "the body could not be read to its end"),
    })
}

/// The query string. Unknown parameters are ignored, as links pick some up on their way; wrong values are refused.
#[derive(Debug)]
pub struct Query<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        match axum::extract::Query::<T>::try_from_uri(&parts.uri) {
            Ok(axum::extract::Query(value)) => Ok(Self(value)),
            Err(rejection) => {
                let text =
                    std::error::Error::source(&rejection).map_or_else(|| rejection.to_string(), ToString::to_string);
                // "page: invalid digit found in string"
                let (field, message) = text.split_once(": ").unwrap_or(("", &text));
                let is_number =
                    ["invalid digit", "parse integer", "number too"].iter().any(|part| message.contains(part));
                let message = if is_number { "must be a whole number" } else { message };
                Err(Error::field(field, message))
            }
        }
    }
}

/// The name at the end of a path, such as a slug. What cannot be a name is not found.
#[derive(Debug)]
pub struct PathName(pub String);

impl<S: Send + Sync> FromRequestParts<S> for PathName {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let params =
            RawPathParams::from_request_parts(parts, state).await.map_err(|_| Error::NotFound("This address"))?;
        Ok(Self(params.iter().last().map_or("", |(_, value)| value).to_owned()))
    }
}

/// The id at the end of a path. What is not an id is refused.
#[derive(Debug)]
pub struct PathId<T>(pub T);

impl<S: Send + Sync, T: FromStr> FromRequestParts<S> for PathId<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let params =
            RawPathParams::from_request_parts(parts, state).await.map_err(|_| Error::NotFound("This address"))?;
        let value = params.iter().last().map_or("", |(_, value)| value);
        value.parse().map(Self).map_err(|_| Error::field("id", "must be a UUID"))
    }
}

/// The two ids of a path, such as an account's and its session's. What is not an id is refused.
#[derive(Debug)]
pub struct PathIds<A, B>(pub A, pub B);

impl<S: Send + Sync, A: FromStr, B: FromStr> FromRequestParts<S> for PathIds<A, B> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let params =
            RawPathParams::from_request_parts(parts, state).await.map_err(|_| Error::NotFound("This address"))?;
        let mut values = params.iter().map(|(_, value)| value);
        let (first, second) = (values.next().unwrap_or_default(), values.next().unwrap_or_default());
        let id = |_| Error::field("id", "must be a UUID");
        Ok(Self(first.parse().map_err(|_| id(()))?, second.parse().map_err(|_| id(()))?))
    }
}

/// The `Idempotency-Key` header: a quoted or plain text of 1 to 255 visible characters.
#[derive(Debug)]
pub struct IdempotencyHeader(pub Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyHeader {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        let Some(value) = parts.headers.get("idempotency-key") else { return Ok(Self(None)) };
        let text = value.to_str().unwrap_or_default().trim();
        let text = text.strip_prefix('"').and_then(|t| t.strip_suffix('"')).unwrap_or(text);
        if (1..=255).contains(&text.len()) {
            Ok(Self(Some(text.to_owned())))
        } else {
            Err(Error::field("Idempotency-Key", "must have 1 to 255 visible characters"))
        }
    }
}

/// Where a request comes from, for the audit log and the list of sessions.
#[derive(Clone, Debug)]
pub struct RequestMeta {
    /// The client's address.
    pub ip: Option<String>,
    /// The client's own name for itself, at most 300 characters.
    pub user_agent: Option<String>,
    /// The request's id.
    pub request_id: String,
}

impl RequestMeta {
    /// Of a deed that came from the command line.
    pub fn command_line() -> Self {
        Self { ip: None, user_agent: Some("command line".into()), request_id: String::new() }
    }

    /// Of a deed of the program itself.
    pub fn system() -> Self {
        Self { ip: None, user_agent: None, request_id: request_id() }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for RequestMeta {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> std::result::Result<Self, Self::Rejection> {
        let ip = parts.extensions.get::<ClientIp>().map(|ip| ip.0.to_string());
        let user_agent = parts
            .headers
            .get(USER_AGENT)
            .and_then(|value| value.to_str().ok())
            .map(|text| text.chars().take(300).collect());
        Ok(Self { ip, user_agent, request_id: request_id() })
    }
}

/// The address of the client: the peer, or, when the peer is a trusted proxy, the last address in `X-Forwarded-For`
/// that is not one. What stands before it, and before an entry that cannot be read, may have come from the client.
pub fn client_ip(request: &Request, trusted: &[Network]) -> Option<IpAddr> {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>()?.0.ip().to_canonical();
    let lines: Vec<_> = request.headers().get_all("x-forwarded-for").iter().collect();
    let entries = lines.iter().rev().flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
    let mut client = peer;
    for entry in entries {
        if !trusted.iter().any(|network| network.contains(client)) {
            break;
        }
        let Some(ip) = forwarded_ip(entry) else { break };
        client = ip;
    }
    Some(client)
}

/// An address as proxies write it, some with a port.
fn forwarded_ip(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry).ok()?.trim();
    let ip = text.parse().or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip())).ok()?;
    Some(ip.to_canonical())
}
