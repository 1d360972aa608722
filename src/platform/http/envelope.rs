//! The shape of every JSON answer.

use axum::Json;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use crate::platform::error::{Error, FieldError};
use crate::platform::page::Pagination;
use crate::platform::rate_limit::{Class, Verdict, WINDOW};

use super::layers::request_id;

/// A successful answer.
#[derive(Debug, Serialize, ToSchema)]
pub struct Envelope<T> {
    /// Always `success`.
    #[schema(example = "success")]
    pub status: &'static str,
    /// A sentence for the shopper, where there is something to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The answer itself.
    pub data: T,
    /// Present on lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pagination: Option<Pagination>,
}

/// An answer with its status code.
#[derive(Debug)]
pub struct Reply<T> {
    /// 200 or 201.
    pub status: StatusCode,
    /// The body.
    pub envelope: Envelope<T>,
}

/// What a handler returns.
pub type Answer<T> = Result<Reply<T>, Error>;

impl<T> Envelope<T> {
    /// A success without a message.
    pub fn of(data: T) -> Self {
        Self { status: "success", message: None, data, pagination: None }
    }
}

/// 200 with `data`.
pub fn ok<T>(data: T) -> Reply<T> {
    Reply { status: StatusCode::OK, envelope: Envelope::of(data) }
}

/// 201 with `data`.
pub fn created<T>(data: T) -> Reply<T> {
    Reply { status: StatusCode::CREATED, envelope: Envelope::of(data) }
}

/// The data of an answer that has none.
#[derive(Debug, Serialize, ToSchema)]
pub struct Empty {}

/// 200 with an empty object and a sentence.
pub fn deleted(message: &str) -> Reply<Empty> {
    ok(Empty {}).say(message)
}

impl<T> Reply<T> {
    /// Adds a sentence for the shopper.
    pub fn say(mut self, message: impl Into<String>) -> Self {
        self.envelope.message = Some(message.into());
        self
    }

    /// The body as it is sent.
    ///
    /// # Errors
    /// When the data cannot be written as JSON.
    pub fn to_json(&self) -> serde_json::Result<Vec<u8>>
    where
        T: Serialize,
    {
        serde_json::to_vec(&self.envelope)
    }

    /// Adds the description of a page.
    pub fn page(mut self, pagination: Pagination) -> Self {
        self.envelope.pagination = Some(pagination);
        self
    }
}

impl<T: Serialize> IntoResponse for Reply<T> {
    fn into_response(self) -> Response {
        (self.status, Json(self.envelope)).into_response()
    }
}

/// A refusal or failure.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ErrorEnvelope {
    /// Always `error`.
    #[schema(example = "error")]
    pub status: &'static str,
    /// What kind of failure, for programs.
    #[schema(example = "VALIDATION_ERROR")]
    pub code: &'static str,
    /// What happened and what to do.
    pub message: String,
    /// The same, fit to be shown to a shopper as it is.
    pub user_message: String,
    /// When, in UTC.
    pub timestamp: DateTime<Utc>,
    /// The id under which the log knows this request.
    pub request_id: String,
    /// The fields or lines concerned.
    pub details: Vec<FieldError>,
}

const X_RATELIMIT_LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const X_RATELIMIT_REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const X_RATELIMIT_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");
const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// The fields of [`tell_limit`], which a page of another origin may read only where CORS says so.
pub const LIMIT_HEADERS: [HeaderName; 5] =
    [X_RATELIMIT_LIMIT, X_RATELIMIT_REMAINING, X_RATELIMIT_RESET, RATELIMIT_POLICY, RATELIMIT];

/// Tells what is left of a limit, in the `X-RateLimit` fields that most clients know and in those of
/// draft-ietf-httpapi-ratelimit-headers (version 8 and later). Times are in seconds from now. A refusal has
/// `Retry-After` too (RFC 9110, 10.2.3).
pub fn tell_limit(headers: &mut HeaderMap, class: Class, verdict: &Verdict) {
    let Verdict { allowed, limit, remaining, .. } = *verdict;
    let (name, reset) = (class.as_str(), verdict.reset_seconds());
    headers.insert(X_RATELIMIT_LIMIT, HeaderValue::from(limit));
    headers.insert(X_RATELIMIT_REMAINING, HeaderValue::from(remaining));
    headers.insert(X_RATELIMIT_RESET, HeaderValue::from(reset));
    let policy = format!("\"{name}\";q={limit};w={}", WINDOW.as_secs());
    let state = format!("\"{name}\";r={remaining};t={reset}");
    for (field, text) in [(RATELIMIT_POLICY, policy), (RATELIMIT, state)] {
        if let Ok(value) = HeaderValue::try_from(text) {
            headers.insert(field, value);
        }
    }
    if !allowed {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(reset));
    }
}

/// Whether an answer tells a limit already.
pub fn tells_limit(headers: &HeaderMap) -> bool {
    headers.contains_key(X_RATELIMIT_LIMIT)
}

fn status_and_code(error: &Error) -> (StatusCode, &'static str) {
    match error {
        Error::Validation(_) => (StatusCode::BAD_REQUEST, "VALIDATION_ERROR"),
        Error::Unauthenticated(_) => (StatusCode::UNAUTHORIZED, "AUTHENTICATION_ERROR"),
        Error::Payment(_) => (StatusCode::PAYMENT_REQUIRED, "PAYMENT_ERROR"),
        Error::Forbidden(_) => (StatusCode::FORBIDDEN, "AUTHORIZATION_ERROR"),
        Error::NotFound(_) => (StatusCode::NOT_FOUND, "NOT_FOUND"),
        Error::MethodNotAllowed(_) => (StatusCode::METHOD_NOT_ALLOWED, "NOT_FOUND"),
        Error::Conflict { .. } => (StatusCode::CONFLICT, "CONFLICT"),
        Error::IdempotencyMismatch => (StatusCode::UNPROCESSABLE_ENTITY, "VALIDATION_ERROR"),
        Error::PayloadTooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "PAYLOAD_TOO_LARGE"),
        Error::UnsupportedMediaType(_) => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE"),
        Error::RateLimited { .. } => (StatusCode::TOO_MANY_REQUESTS, "RATE_LIMIT_EXCEEDED"),
        Error::External { .. } => (StatusCode::SERVICE_UNAVAILABLE, "EXTERNAL_SERVICE_ERROR"),
        Error::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, "SERVICE_UNAVAILABLE"),
        Error::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL_ERROR"),
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let (status, code) = status_and_code(&self);
        match &self {
            Self::Internal(cause) => tracing::error!(code, cause = format!("{cause:#}"), "request failed"),
            Self::Unavailable(cause) | Self::External { source: cause, .. } => {
                tracing::warn!(code, cause = format!("{cause:#}"), "request failed");
            }
            _ => tracing::debug!(code, error = %self, "request refused"),
        }
        let message = self.to_string();
        let retry_seconds = self.retry_seconds();
        let limit = match self {
            Self::RateLimited { class, limit, retry_after } => {
                Some((class, Verdict { allowed: false, limit, remaining: 0, reset: retry_after }))
            }
            _ => None,
        };
        let details = match self {
            Self::Validation(details) | Self::Conflict { details, .. } => details,
            _ => Vec::new(),
        };
        let body = ErrorEnvelope {
            status: "error",
            code,
            user_message: message.clone(),
            message,
            timestamp: Utc::now(),
            request_id: request_id(),
            details,
        };
        let mut response = (status, Json(body)).into_response();
        if let Some(seconds) = retry_seconds {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some((class, verdict)) = limit {
            tell_limit(response.headers_mut(), class, &verdict);
        }
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
