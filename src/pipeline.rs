//! What happens to every request before and after its handler, one step after the other.
//!
//! It is one layer and not one for each step: the framework copies and boxes every layer again for every request. What few
//! requests need waits in a box, as a future is as large as all that it may become, and is moved several times.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, ORIGIN, VARY};
use axum::http::{HeaderName, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tower::{Layer, ServiceExt, service_fn};
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, Predicate};
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::app::App;
use crate::features::auth::{self, AccessTable};
use crate::features::{catalog, media};
use crate::limits;
use crate::platform::config::Config;
use crate::platform::error::Error;
use crate::platform::http::envelope::LIMIT_HEADERS;
use crate::platform::http::layers::{self, Outer};
use crate::platform::http::pages;
use crate::platform::http::tags::EntityTags;

/// What the steps need.
pub(crate) struct Pipeline {
    app: App,
    access: AccessTable,
    outer: Outer,
    cors: CorsLayer,
    compression: CompressionLayer,
}

impl Pipeline {
    pub(crate) fn new(app: &App, access: AccessTable) -> Arc<Self> {
        let config = &app.config;
        let outer = Outer {
            trusted_proxies: config.server.trusted_proxies.clone(),
            timeout: config.request_timeout(),
            slow_routes: media::UPLOAD_ROUTES
                .into_iter()
                .map(|route| (route, config.upload_timeout()))
                .chain([(catalog::UPLOAD_ROUTE, Duration::from_secs(config.imports.upload_seconds))])
                .collect(),
            body_limit: config.server.body_limit_bytes,
            hsts: config.is_production(),
        };
        Arc::new(Self { app: app.clone(), access, outer, cors: cors(config), compression: CompressionLayer::new() })
    }

    /// Whether a page of another origin may ask. A preflight is answered before anything else looks at it or counts it.
    async fn share<F: Future<Output = Response>>(
        &self,
        request: Request,
        next: Next,
        answer: impl Fn(Request, Next) -> F,
    ) -> Response {
        if !request.headers().contains_key(ORIGIN) && request.method() != Method::OPTIONS {
            // Nobody else's page asks, but a cache must know that it would make a difference.
            let mut response = answer(request, next).await;
            response.headers_mut().append(VARY, HeaderValue::from_name(ORIGIN));
            return response;
        }
        let inner = service_fn(|request| infallible(answer(request, next.clone())));
        never(Box::pin(self.cors.layer(inner).oneshot(request)).await)
    }

    /// Before the body is read: who asks, how often, and whether he may.
    async fn admit(&self, mut request: Request, next: Next) -> Response {
        auth::identify(&self.app, &mut request);
        let counted = match limits::count(&self.app, &request).await {
            Ok(counted) => counted,
            Err(error) => return self.refuse(&request, error),
        };
        let mut response = match auth::authorize(&self.app, &self.access, &mut request).await {
            Ok(()) => self.compress(request, next).await,
            Err(error) => error.into_response(),
        };
        counted.tell(&mut response);
        response
    }

    /// A refusal that does not come from a handler. A person before a browser gets a page.
    fn refuse(&self, request: &Request, error: Error) -> Response {
        let accepts = request.headers().get(ACCEPT).and_then(|accept| accept.to_str().ok());
        let is_page = accepts.is_some_and(|accept| accept.contains("text/html"));
        if !is_page || request.uri().path().starts_with("/api/") {
            return error.into_response();
        }
        pages::refusal(&self.app.config, error)
    }

    async fn compress(&self, request: Request, next: Next) -> Response {
        if request.headers().contains_key(ACCEPT_ENCODING) {
            let inner = service_fn(|request| infallible(self.handle(request, next.clone())));
            return never(Box::pin(self.compression.layer(inner).oneshot(request)).await).map(axum::body::Body::new);
        }
        let mut response = self.handle(request, next).await;
        if DefaultPredicate::new().should_compress(&response) {
            // A cache must know that others may get it compressed.
            response.headers_mut().append(VARY, HeaderValue::from_name(ACCEPT_ENCODING));
        }
        response
    }

    async fn handle(&self, mut request: Request, next: Next) -> Response {
        DefaultBodyLimit::max(self.outer.body_limit).apply(&mut request);
        let (method, tags) = (request.method().clone(), EntityTags::of(&request));
        let response = match layers::refuse_nul(&request) {
            Ok(()) => layers::shape_refusal(&method, self.outer.body_limit, next.run(request).await),
            Err(error) => error.into_response(),
        };
        match tags {
            Some(tags) => tags.apply(response).await,
            None => response,
        }
    }
}

/// All steps.
pub(crate) async fn guarded(State(pipeline): State<Arc<Pipeline>>, request: Request, next: Next) -> Response {
    let answer = |request, next| pipeline.admit(request, next);
    layers::outer(&pipeline.outer, request, |request| pipeline.share(request, next, answer)).await
}

/// The outermost steps only, for a server within this one that has its own rules.
pub(crate) async fn unguarded(State(pipeline): State<Arc<Pipeline>>, request: Request, next: Next) -> Response {
    let answer = |request, next: Next| next.run(request);
    layers::outer(&pipeline.outer, request, |request| pipeline.share(request, next, answer)).await
}

async fn infallible(answer: impl Future<Output = Response>) -> Result<Response, Infallible> {
    Ok(answer.await)
}

fn never<T>(result: Result<T, Infallible>) -> T {
    result.unwrap_or_else(|never| match never {})
}

fn cors(config: &Config) -> CorsLayer {
    let origins: Vec<HeaderValue> =
        config.server.cors_origins.iter().filter_map(|origin| origin.parse().ok()).collect();
    let header = HeaderName::from_static;
    let exposed = [header("x-request-id"), header("etag"), header("retry-after"), header("idempotency-replayed")];
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins))
        .allow_credentials(true)
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allow_headers([
            CONTENT_TYPE,
            header("authorization"),
            header("x-request-id"),
            header("x-cart-token"),
            header("x-token-transport"),
            header("idempotency-key"),
            header("if-none-match"),
            header("traceparent"),
        ])
        .expose_headers(exposed.into_iter().chain(LIMIT_HEADERS).collect::<Vec<_>>())
        .max_age(Duration::from_secs(600))
}
