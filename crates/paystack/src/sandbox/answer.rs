//! Paystack's answer envelope and its errors (Paystack API reference, "Errors").

use axum::Json;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// HTTP 200 with `data`.
pub(super) fn ok(message: &str, data: Value) -> Response {
    Json(json!({ "status": true, "message": message, "data": data })).into_response()
}

/// A refusal.
pub(super) fn error(status: StatusCode, kind: &str, code: &str, message: &str, next_step: &str) -> Response {
    let body = json!({
        "status": false,
        "message": message,
        "meta": { "nextStep": next_step },
        "type": kind,
        "code": code,
    });
    (status, Json(body)).into_response()
}

/// 401 for a missing or wrong key.
pub(super) fn invalid_key(message: &str) -> Response {
    error(
        StatusCode::UNAUTHORIZED,
        "validation_error",
        "invalid_Key",
        message,
        "Ensure that you provide the correct authorization key for the request",
    )
}

/// 400 for a parameter that cannot be used.
#[derive(Debug)]
pub(super) struct Invalid {
    code: &'static str,
    message: String,
}

impl From<Invalid> for Response {
    fn from(invalid: Invalid) -> Self {
        invalid.into_response()
    }
}

impl Invalid {
    pub(super) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    pub(super) fn params(message: impl Into<String>) -> Self {
        Self::new("invalid_params", message)
    }

    /// The refusal with another status.
    pub(super) fn with_status(self, status: StatusCode) -> Response {
        let next_step = "Ensure that the value(s) you're passing are valid.";
        error(status, "validation_error", self.code, &self.message, next_step)
    }
}

impl IntoResponse for Invalid {
    fn into_response(self) -> Response {
        let next_step = "Ensure that the parameters follow the API reference";
        let status = StatusCode::BAD_REQUEST;
        error(status, "validation_error", self.code, &self.message, next_step)
    }
}

/// The answer for a transaction that does not exist: 400 by reference, 404 by id.
pub(super) fn unknown_transaction(status: StatusCode) -> Response {
    error(
        status,
        "validation_error",
        "transaction_not_found",
        "Transaction reference not found.",
        "Ensure that the transaction exists on this integration, in this mode",
    )
}

/// 404 for anything else that is asked for by its id.
pub(super) fn not_found(what: &str) -> Response {
    let message = format!("The {what} was not found");
    let code = format!("{what}_not_found");
    error(StatusCode::NOT_FOUND, "validation_error", &code, &message, "Ensure that the id is right, in this mode")
}

/// 400 for a refund of what was given back already.
pub(super) fn fully_reversed() -> Response {
    let message = "Transaction has been fully reversed";
    error(StatusCode::BAD_REQUEST, "api_error", "transaction_reversed", message, "Nothing is left to be refunded")
}

/// 429 with the headers that say when the window ends, in seconds.
pub(super) fn rate_limited(reset_seconds: u32) -> Response {
    let mut response = error(
        StatusCode::TOO_MANY_REQUESTS,
        "api_error",
        "rate_limited",
        "Rate limit exceeded!",
        "Reduce the number of requests in a minute",
    );
    let headers = response.headers_mut();
    for (name, value) in
        [("x-ratelimit-limit", 100), ("x-ratelimit-remaining", 0), ("x-ratelimit-reset", reset_seconds)]
    {
        headers.insert(HeaderName::from_static(name), HeaderValue::from(value));
    }
    response
}

/// Any other failure of the server.
pub(super) fn unavailable(status: StatusCode) -> Response {
    error(status, "api_error", "unknown", "An error occurred", "Try again later")
}
