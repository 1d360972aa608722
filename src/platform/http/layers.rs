//! What happens around every handler: the request id, the log line, the metrics, panics, timeouts, headers.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant, SystemTime};

use axum::body::{Body, HttpBody, to_bytes};
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use metrics::{Counter, Histogram};
use tracing::Instrument;

use super::extract::client_ip;
use crate::platform::crypto::sha256;
use crate::platform::error::Error;
use crate::platform::network::Network;

tokio::task_local! {
    static REQUEST_ID: String;
}

/// The id of the request being served, or an empty text outside of one.
pub fn request_id() -> String {
    REQUEST_ID.try_with(Clone::clone).unwrap_or_default()
}

/// The client's address, once the layer has found it.
#[derive(Clone, Copy, Debug)]
pub struct ClientIp(pub IpAddr);

/// The body limit in bytes, for the error message.
#[derive(Clone, Copy, Debug)]
pub struct BodyLimit(pub usize);

/// What the outermost layer needs.
#[derive(Clone, Debug)]
pub struct Outer {
    /// Proxies whose forwarding header is believed.
    pub trusted_proxies: Vec<Network>,
    /// How long a request may take.
    pub timeout: Duration,
    /// Routes whose bodies are large.
    pub slow_routes: &'static [&'static str],
    /// How long a request to one of them may take.
    pub slow_timeout: Duration,
    /// Bytes of a body.
    pub body_limit: usize,
    /// Whether to demand HTTPS of browsers.
    pub hsts: bool,
}

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The outermost layer: takes or makes the request id, continues a trace, logs one line, counts, catches panics,
/// bounds the time, and adds the security headers.
pub async fn outer(State(outer): State<Outer>, request: Request, next: Next) -> Response {
    let id = request
        .headers()
        .get(&X_REQUEST_ID)
        .and_then(|value| value.to_str().ok())
        .filter(|id| {
            (1..=128).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(&b))
        })
        .map_or_else(new_request_id, str::to_owned);
    let mut response = REQUEST_ID.scope(id.clone(), serve(&outer, request, next, &id)).await;
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&id) {
        headers.insert(X_REQUEST_ID, value);
    }
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "strict-origin-when-cross-origin"),
        (HeaderName::from_static("permissions-policy"), "camera=(), microphone=(), geolocation=()"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    ] {
        if !headers.contains_key(&name) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
    if outer.hsts {
        headers
            .insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000; includeSubDomains"));
    }
    response
}

async fn serve(outer: &Outer, request: Request, next: Next, id: &str) -> Response {
    let started = Instant::now();
    let method = method_name(request.method());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let trace =
        request.headers().get("traceparent").and_then(|value| trace_id(value.to_str().ok()?)).unwrap_or_default();
    let path = request.uri().path();
    let span = tracing::info_span!("request", request_id = %id, trace_id = trace, method = %request.method(), path);
    async {
        let (mut parts, body) = request.into_parts();
        if let Some(ip) = client_ip(&parts, &outer.trusted_proxies) {
            parts.extensions.insert(ClientIp(ip));
        }
        parts.extensions.insert(BodyLimit(outer.body_limit));
        let request = Request::from_parts(parts, body);
        let handled = futures::FutureExt::catch_unwind(std::panic::AssertUnwindSafe(next.run(request)));
        let is_slow = route.as_ref().is_some_and(|route| outer.slow_routes.contains(&route.as_str()));
        let limit = if is_slow { outer.slow_timeout } else { outer.timeout };
        let response = match tokio::time::timeout(limit, handled).await {
            Ok(Ok(response)) => response,
            Ok(Err(panic)) => {
                let text = panic
                    .downcast_ref::<&str>()
                    .map(|text| (*text).to_owned())
                    .or_else(|| panic.downcast_ref::<String>().cloned())
                    .unwrap_or_default();
                Error::internal(anyhow::anyhow!("panic: {text}")).into_response()
            }
            Err(_) => Error::Unavailable(anyhow::anyhow!("the request took longer than {limit:?}")).into_response(),
        };
        let status = response.status();
        let elapsed = started.elapsed();
        count(method, route.as_ref().map_or("unmatched", MatchedPath::as_str), status.as_u16(), elapsed);
        let milliseconds = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        if status.is_server_error() {
            tracing::warn!(status = status.as_u16(), ms = milliseconds, "answered");
        } else {
            tracing::info!(status = status.as_u16(), ms = milliseconds, "answered");
        }
        response
    }
    .instrument(span)
    .await
}

/// A fresh id. Its random half comes from the thread's generator, which spares every request a system call.
fn new_request_id() -> String {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let milliseconds = u64::try_from(since_1970.as_millis()).unwrap_or_default();
    uuid::Builder::from_unix_timestamp_millis(milliseconds, &rand::random()).into_uuid().to_string()
}

/// The method as a label. Whoever invents methods does not get a series for each.
fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

/// Where one kind of answer is counted.
struct Series {
    method: &'static str,
    status: u16,
    answers: Counter,
    seconds: Histogram,
}

thread_local! {
    /// By route, so that an answer is counted without building and looking up its labels.
    static SERIES: RefCell<HashMap<String, Vec<Series>>> = RefCell::default();
}

fn count(method: &'static str, route: &str, status: u16, elapsed: Duration) {
    SERIES.with_borrow_mut(|routes| {
        if !routes.contains_key(route) {
            routes.insert(route.to_owned(), Vec::new());
        }
        let Some(known) = routes.get_mut(route) else { return };
        let position = known.iter().position(|series| series.method == method && series.status == status);
        let position = position.unwrap_or_else(|| {
                let (answers, seconds) = (
                    metrics::counter!("agape_http_requests_total", "method" => method, "route" => route.to_owned(), "status" => status.to_string()),
                    metrics::histogram!("agape_http_request_duration_seconds", "method" => method, "route" => route.to_owned()),
                );
                known.push(Series { method, status, answers, seconds });
                known.len() - 1
            });
        let series = &known[position];
        series.answers.increment(1);
        series.seconds.record(elapsed.as_secs_f64());
    });
}

/// The trace id of a W3C `traceparent` header: `00-<32 hex>-<16 hex>-<2 hex>`.
fn trace_id(header: &str) -> Option<&str> {
    let mut parts = header.split('-');
    let (version, trace, span) = (parts.next()?, parts.next()?, parts.next()?);
    let hex = |text: &str, length| text.len() == length && text.bytes().all(|b| b.is_ascii_hexdigit());
    (hex(version, 2) && hex(trace, 32) && hex(span, 16) && trace.bytes().any(|b| b != b'0')).then_some(trace)
}

/// The answer for an address that does not exist.
pub async fn unknown_route() -> Error {
    Error::NotFound("This address")
}

/// Gives the framework's own plain refusals (a wrong method, a body over the limit, an address that is not UTF-8) the
/// shape of all others. Addresses with a NUL, which no text in the database can have, are refused here for all routes.
pub async fn shape_refusals(request: Request, next: Next) -> Response {
    let method = request.method().to_string();
    let limit = request.extensions().get::<BodyLimit>().map_or(0, |limit| limit.0);
    if request.uri().path_and_query().is_some_and(|address| address.as_str().contains("%00")) {
        return Error::field("", "the address has a NUL character (%00)").into_response();
    }
    let response = next.run(request).await;
    let is_shaped = response.headers().get(header::CONTENT_TYPE).is_some_and(|value| {
        value.as_bytes().starts_with(b"application/json") || value.as_bytes().starts_with(b"text/html")
    });
    if is_shaped {
        return response;
    }
    let error = match response.status() {
        StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY => {
            Error::field("", "the address or the body cannot be read")
        }
        StatusCode::NOT_FOUND => Error::NotFound("This address"),
        StatusCode::METHOD_NOT_ALLOWED => Error::MethodNotAllowed(method),
        StatusCode::PAYLOAD_TOO_LARGE => Error::PayloadTooLarge { limit },
        StatusCode::UNSUPPORTED_MEDIA_TYPE => {
            Error::UnsupportedMediaType("This address does not read a body of this Content-Type.".into())
        }
        _ => return response,
    };
    let allow = response.headers().get(header::ALLOW).cloned();
    let mut shaped: Response<Body> = error.into_response();
    if let Some(allow) = allow {
        shaped.headers_mut().insert(header::ALLOW, allow);
    }
    shaped
}

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

/// Spares clients of the API what they know. A JSON answer to a read gets an entity tag of its body, unless it has one
/// of its own, and is left out when the client named that tag. What a handler says nothing about may be kept by
/// its client only, and asked for again each time.
pub async fn entity_tags(request: Request, next: Next) -> Response {
    if !request.uri().path().starts_with("/api/v1/") {
        return next.run(request).await;
    }
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let known: Vec<HeaderValue> = request.headers().get_all(header::IF_NONE_MATCH).iter().cloned().collect();
    let mut response = next.run(request).await;
    let is_json = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/json"));
    // A body without a known length is a stream, which is not held back to be hashed.
    let is_whole = response.body().size_hint().exact().is_some();
    let has_tag = response.headers().contains_key(header::ETAG);
    if is_read && is_json && is_whole && !has_tag && response.status() == StatusCode::OK {
        response = tag(response, &known).await;
    }
    let has_no_body = response.status() == StatusCode::NOT_MODIFIED;
    let headers = response.headers_mut();
    if !headers.contains_key(header::CACHE_CONTROL) {
        // The answer to a sign-in has tokens.
        let policy = if is_read { "private, no-cache" } else { "no-store" };
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(policy));
    }
    if has_no_body {
        // The answer with a body gets it from the compression, which does not look at this one (RFC 9110, 15.4.5).
        headers.append(header::VARY, HeaderValue::from_static("accept-encoding"));
    }
    response
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
