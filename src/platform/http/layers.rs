//! What happens around every handler: the request id, the log line, the metrics, panics, timeouts, headers. The steps are
//! put together in `src/pipeline.rs`.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant, SystemTime};

use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use metrics::{Counter, Histogram};
use tracing::Instrument;

use super::extract::client_ip;
use crate::platform::error::{Error, Result};
use crate::platform::network::Network;

tokio::task_local! {
    static REQUEST_ID: HeaderValue;
}

/// The id of the request being served, or an empty text outside of one.
pub fn request_id() -> String {
    REQUEST_ID.try_with(|id| id.to_str().map(str::to_owned)).ok().and_then(Result::ok).unwrap_or_default()
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
    /// Routes whose bodies are large, and how long a request to one may take.
    pub slow_routes: Vec<(&'static str, Duration)>,
    /// Bytes of a body.
    pub body_limit: usize,
    /// Whether to demand HTTPS of browsers.
    pub hsts: bool,
}

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What browsers are told with every answer, unless the answer says it itself.
const SECURITY_HEADERS: [(HeaderName, HeaderValue); 5] = [
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (header::REFERRER_POLICY, HeaderValue::from_static("strict-origin-when-cross-origin")),
    (
        HeaderName::from_static("permissions-policy"),
        HeaderValue::from_static("camera=(), microphone=(), geolocation=()"),
    ),
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'")),
];

/// The outermost of all: takes or makes the request id, continues a trace, logs one line, counts, catches panics,
/// bounds the time, and adds the security headers.
pub async fn outer<F: Future<Output = Response>>(
    outer: &Outer,
    request: Request,
    answer: impl FnOnce(Request) -> F,
) -> Response {
    let id = request.headers().get(&X_REQUEST_ID).filter(|id| is_request_id(id)).cloned();
    let id = id.unwrap_or_else(new_request_id);
    let mut response =
        REQUEST_ID.scope(id.clone(), serve(outer, request, answer, id.to_str().unwrap_or_default())).await;
    let headers = response.headers_mut();
    // At once, rather than by moving them several times.
    headers.reserve(16);
    headers.insert(X_REQUEST_ID, id);
    for (name, value) in SECURITY_HEADERS {
        headers.entry(name).or_insert(value);
    }
    if outer.hsts {
        headers
            .insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000; includeSubDomains"));
    }
    response
}

fn is_request_id(id: &HeaderValue) -> bool {
    let id = id.as_bytes();
    (1..=128).contains(&id.len()) && id.iter().all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(b))
}

async fn serve<F: Future<Output = Response>>(
    outer: &Outer,
    mut request: Request,
    answer: impl FnOnce(Request) -> F,
    id: &str,
) -> Response {
    let started = Instant::now();
    let method = method_name(request.method());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let trace =
        request.headers().get("traceparent").and_then(|value| trace_id(value.to_str().ok()?)).unwrap_or_default();
    let path = request.uri().path();
    let span = tracing::info_span!("request", request_id = %id, trace_id = trace, method = %request.method(), path);
    async {
        if let Some(ip) = client_ip(&request, &outer.trusted_proxies) {
            request.extensions_mut().insert(ClientIp(ip));
        }
        request.extensions_mut().insert(BodyLimit(outer.body_limit));
        let handled = futures::FutureExt::catch_unwind(std::panic::AssertUnwindSafe(Box::pin(answer(request))));
        let slow =
            outer.slow_routes.iter().find(|(slow, _)| route.as_ref().is_some_and(|route| route.as_str() == *slow));
        let limit = slow.map_or(outer.timeout, |(_, limit)| *limit);
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
fn new_request_id() -> HeaderValue {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let milliseconds = u64::try_from(since_1970.as_millis()).unwrap_or_default();
    let id = uuid::Builder::from_unix_timestamp_millis(milliseconds, &rand::random()).into_uuid();
    let mut text = uuid::Uuid::encode_buffer();
    let text = id.hyphenated().encode_lower(&mut text);
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""))
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

/// Refuses addresses with a NUL, which no text in the database can have, for all routes.
///
/// # Errors
/// `Validation`.
pub fn refuse_nul(request: &Request) -> Result<()> {
    match request.uri().path_and_query().is_some_and(|address| address.as_str().contains("%00")) {
        true => Err(Error::field("", "the address has a NUL character (%00)")),
        false => Ok(()),
    }
}

/// Gives the framework's own plain refusals (a wrong method, a body over the limit, an address that is not UTF-8) the
/// shape of all others.
pub fn shape_refusal(method: &Method, body_limit: usize, response: Response) -> Response {
    let status = response.status();
    let is_shaped = response.headers().get(header::CONTENT_TYPE).is_some_and(|value| {
        value.as_bytes().starts_with(b"application/json") || value.as_bytes().starts_with(b"text/html")
    });
    if is_shaped || !status.is_client_error() {
        return response;
    }
    let error = match status {
        StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY => {
            Error::field("", "the address or the body cannot be read")
        }
        StatusCode::NOT_FOUND => Error::NotFound("This address"),
        StatusCode::METHOD_NOT_ALLOWED => Error::MethodNotAllowed(method.to_string()),
        StatusCode::PAYLOAD_TOO_LARGE => Error::PayloadTooLarge { limit: body_limit },
        StatusCode::UNSUPPORTED_MEDIA_TYPE => {
            Error::UnsupportedMediaType("This address does not read a body of this Content-Type.".into())
        }
        _ => return response,
    };
    let allow = response.headers().get(header::ALLOW).cloned();
    let mut shaped: Response = error.into_response();
    if let Some(allow) = allow {
        shaped.headers_mut().insert(header::ALLOW, allow);
    }
    shaped
}
