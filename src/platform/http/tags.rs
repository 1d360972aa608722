//! Entity tags: what a client knows is not sent again.

use axum::body::{Body, HttpBody, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::platform::crypto::sha256;
use crate::platform::error::Error;

/// Whether one of the `If-None-Match` fields names `tag`, by the weak comparison (RFC 9110, 8.8.3.2 and 13.1.2).
pub fn is_known<'a>(fields: impl IntoIterator<Item = &'a HeaderValue>, tag: &HeaderValue) -> bool {
    fn strong(tag: &[u8]) -> &[u8] {
        let tag = tag.trim_ascii();
        tag.strip_prefix(b"W/").unwrap_or(tag)
    }
    let ours = strong(tag.as_bytes());
    fields.into_iter().any(|field| {
        let field = field.as_bytes();
        field.trim_ascii() == b"*" || field.split(|byte| *byte == b',').any(|theirs| strong(theirs) == ours)
    })
}

/// Spares a client of the API what it knows.
#[derive(Debug)]
pub struct EntityTags {
    is_read: bool,
    known: Vec<HeaderValue>,
}

impl EntityTags {
    /// What `request` has to do with entity tags, unless it is none of the API.
    pub fn of(request: &Request) -> Option<Self> {
        request.uri().path().starts_with("/api/v1/").then(|| Self {
            is_read: matches!(*request.method(), Method::GET | Method::HEAD),
            known: request.headers().get_all(header::IF_NONE_MATCH).iter().cloned().collect(),
        })
    }

    /// Gives a JSON answer to a read an entity tag of its body, unless it has one of its own, and leaves it out when the
    /// client named that tag. What a handler says nothing about may be kept by its client only, and asked for again each
    /// time.
    pub async fn apply(&self, mut response: Response) -> Response {
        let is_json = response
            .headers()
            .get(header::CONTENT_TYPE)
            .is_some_and(|value| value.as_bytes().starts_with(b"application/json"));
        // A body without a known length is a stream, which is not held back to be hashed.
        let is_whole = response.body().size_hint().exact().is_some();
        let has_tag = response.headers().contains_key(header::ETAG);
        if self.is_read && is_json && is_whole && !has_tag && response.status() == StatusCode::OK {
            response = Box::pin(tag(response, &self.known)).await;
        }
        let has_no_body = response.status() == StatusCode::NOT_MODIFIED;
        let headers = response.headers_mut();
        // The answer to a sign-in has tokens.
        let policy = if self.is_read { "private, no-cache" } else { "no-store" };
        headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static(policy));
        if has_no_body {
            // The answer with a body gets it from the compression, which does not look at this one (RFC 9110, 15.4.5).
            headers.append(header::VARY, HeaderValue::from_static("accept-encoding"));
        }
        response
    }
}

/// Adds the tag, and takes away the body if the client has it. The tag is a weak one, because a compressed body has
/// other bytes.
async fn tag(response: Response, known: &[HeaderValue]) -> Response {
    let (mut parts, body) = response.into_parts();
    let bytes = match to_bytes(body, usize::MAX).await {
        Ok(bytes) => bytes,
        Err(error) => return Error::internal(error).into_response(),
    };
    let text = format!("W/\"{}\"", hex::encode(&sha256(&bytes)[..16]));
    let tag = match HeaderValue::try_from(text) {
        Ok(tag) => tag,
        Err(error) => return Error::internal(error).into_response(),
    };
    let is_known = is_known(known, &tag);
    parts.headers.insert(header::ETAG, tag);
    if !is_known {
        return Response::from_parts(parts, Body::from(bytes));
    }
    parts.status = StatusCode::NOT_MODIFIED;
    parts.headers.remove(header::CONTENT_TYPE);
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_known_by_the_weak_comparison() {
        let known = |fields: &[&'static str], tag: &'static str| {
            let fields: Vec<_> = fields.iter().copied().map(HeaderValue::from_static).collect();
            is_known(&fields, &HeaderValue::from_static(tag))
        };
        for fields in [
            &["W/\"a\""][..],
            &["\"a\""],
            &["*"],
            &[" * "],
            &["\"b\", W/\"a\""],
            &["\"b\",\"a\",\"c\""],
            &["\"b\"", "\"a\""],
        ] {
            assert!(known(fields, "W/\"a\"") && known(fields, "\"a\""), "{fields:?}");
        }
        for fields in [&[][..], &[""], &["a"], &["\"b\""], &["\"A\""], &["w/\"a\""], &["\"b, *\""], &["\"aa\""]] {
            assert!(!known(fields, "W/\"a\""), "{fields:?}");
        }
    }
}
