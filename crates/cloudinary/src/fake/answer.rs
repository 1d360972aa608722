//! Cloudinary's refusals.

use axum::Json;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// A refusal: its status, and its text in the body and in `x-cld-error`.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    message: String,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    pub(super) fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub(super) fn unauthorized(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, message)
    }

    pub(super) fn missing(name: &str) -> Self {
        Self::bad(format!("Missing required parameter - {name}"))
    }

    pub(super) fn invalid(name: &str, value: &str) -> Self {
        Self::bad(format!("Invalid value {value} for parameter {name}"))
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = Json(json!({ "error": { "message": self.message } }));
        let mut response = (self.status, body).into_response();
        if let Ok(text) = HeaderValue::from_str(&self.message) {
            response.headers_mut().insert(HeaderName::from_static("x-cld-error"), text);
        }
        response
    }
}
