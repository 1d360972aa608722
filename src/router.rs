//! All routes, and the layers around them.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};
use tower_http::compression::CompressionLayer;
use tower_http::cors::{AllowOrigin, CorsLayer};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::app::App;
use crate::features::auth::{AccessTable, Gate};
use crate::features::{
    addresses, audit, auth, carts, catalog, media, notifications, orders, payments, privacy, webhooks,
};
use crate::platform::error::{Error, Result};
use crate::platform::http::envelope::LIMIT_HEADERS;
use crate::platform::http::layers::{self, Outer};
use crate::platform::http::pages;
use crate::{limits, openapi};

/// The routes of the OpenAPI document.
pub(crate) fn api() -> OpenApiRouter<App> {
    let v1 = OpenApiRouter::new()
        .merge(auth::routes())
        .merge(addresses::routes())
        .merge(privacy::routes())
        .merge(audit::routes())
        .merge(catalog::routes())
        .merge(media::routes())
        .merge(carts::routes())
        .merge(orders::routes())
        .merge(payments::routes())
        .merge(webhooks::routes());
    OpenApiRouter::with_openapi(openapi::head())
        .nest("/api/v1", v1)
        .merge(auth::well_known())
        .routes(routes!(healthz))
        .routes(routes!(readyz))
        .routes(routes!(metrics))
}

/// The whole server. `sandbox` is the payment sandbox, where it is used.
///
/// # Errors
/// When a route does not say who may use it.
pub fn router(app: &App, sandbox: Option<Router>) -> anyhow::Result<Router> {
    let document = openapi::document();
    let gate = Gate { app: app.clone(), table: Arc::new(AccessTable::of(&document)?) };
    let (api, _) = api().split_for_parts();
    let mut router = api
        .merge(auth::pages())
        .merge(payments::pages())
        .merge(catalog::media_routes())
        .merge(media::delivery_routes())
        .route("/", get(home))
        .route("/assets/pages.css", get(stylesheet))
        .route("/favicon.ico", get(icon));
    if !app.config.is_production() {
        router = router.merge(notifications::mailbox_routes());
    }
    // Without "none" the page sends the document's address to a foreign validator.
    let docs = SwaggerUi::new("/docs").config(Config::default().validator_url("none")).url("/openapi.json", document);
    let mut router = router
        .with_state(app.clone())
        .merge(Router::from(docs).layer(from_fn(docs_policy)))
        .fallback(layers::unknown_route)
        .layer(from_fn(layers::shape_refusals))
        .layer(DefaultBodyLimit::max(app.config.server.body_limit_bytes))
        .layer(from_fn(layers::entity_tags))
        .layer(CompressionLayer::new())
        // Before a body is read: who asks, how often, and whether he may.
        .layer(from_fn_with_state(gate, auth::authorize))
        .layer(from_fn_with_state(app.clone(), limits::limit_rates))
        .layer(from_fn_with_state(app.clone(), auth::identify));
    if let Some(sandbox) = sandbox {
        router = router.nest("/sandbox/paystack", sandbox.layer(from_fn(sandbox_policy)));
    }
    let outer = Outer {
        trusted_proxies: app.config.server.trusted_proxies.clone(),
        timeout: app.config.request_timeout(),
        slow_routes: &media::UPLOAD_ROUTES,
        slow_timeout: app.config.upload_timeout(),
        body_limit: app.config.server.body_limit_bytes,
        hsts: app.config.is_production(),
    };
    // Preflight requests are answered before anything else looks at them or counts them.
    Ok(router.layer(cors(app)).layer(from_fn_with_state(outer, layers::outer)))
}

fn cors(app: &App) -> CorsLayer {
    let origins: Vec<HeaderValue> =
        app.config.server.cors_origins.iter().filter_map(|origin| origin.parse().ok()).collect();
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
        .max_age(std::time::Duration::from_secs(600))
}

/// The docs page brings its own scripts and styles, all from this server.
async fn docs_policy(request: axum::extract::Request, next: axum::middleware::Next) -> Response {
    let mut response = next.run(request).await;
    response.headers_mut().insert(
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'",
        ),
    );
    response
}

/// The payment page styles itself and sends its form to itself and then to the shop's return page.
async fn sandbox_policy(request: axum::extract::Request, next: axum::middleware::Next) -> Response {
    let mut response = next.run(request).await;
    response.headers_mut().insert(
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'"),
    );
    response
}

async fn stylesheet() -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/css; charset=utf-8"), (CACHE_CONTROL, "public, max-age=3600")], pages::STYLESHEET)
}

async fn icon() -> impl IntoResponse {
    ([(CONTENT_TYPE, "image/svg+xml"), (CACHE_CONTROL, "public, max-age=86400")], pages::ICON)
}

async fn home(State(app): State<App>) -> Result<Response> {
    let products = catalog::front_page(&app, 12).await?;
    pages::respond(&app.config, "home.html", &json!({ "products": products }))
}

/// Whether the process lives
#[utoipa::path(get, path = "/healthz", tag = "Operation", security(()), responses((status = 200, body = Value)))]
async fn healthz() -> axum::Json<Value> {
    axum::Json(json!({"status": "ok"}))
}

/// Whether the process can serve
#[utoipa::path(get, path = "/readyz", tag = "Operation", security(()), responses(
    (status = 200, body = Value, description = "The database answers, its migrations are applied, and the process is not stopping. A Redis that does not answer is named, but the shop goes on without it"),
    (status = 503, body = Value, description = "What is not ready"),
))]
async fn readyz(State(app): State<App>) -> Response {
    let database = match app.db.is_migrated().await {
        Ok(true) => "ok",
        Ok(false) => "migrations are missing; run `agape migrate up`",
        Err(_) => "does not answer",
    };
    let workers = if app.is_stopping() { "stopping" } else { "ok" };
    let ready = database == "ok" && workers == "ok";
    let mut checks = json!({"database": database, "process": workers});
    if let Some(redis) = &app.redis {
        // Told, and no reason to get no requests: without Redis the shop goes on.
        checks["redis"] = json!(if redis.is_up() { "ok" } else { "does not answer; the shop goes on without it" });
    }
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let word = if ready { "ready" } else { "not ready" };
    (status, axum::Json(json!({"status": word, "checks": checks}))).into_response()
}

/// Measurements in the format of Prometheus
#[utoipa::path(get, path = "/metrics", tag = "Operation", security(()), responses((status = 200, body = String, content_type = "text/plain")))]
async fn metrics(State(app): State<App>) -> Result<Response, Error> {
    let (open, idle) = app.db.connections();
    ::metrics::gauge!("agape_db_connections", "state" => "open").set(f64::from(open));
    ::metrics::gauge!("agape_db_connections", "state" => "idle")
        .set(f64::from(u32::try_from(idle).unwrap_or(u32::MAX)));
    ::metrics::gauge!("agape_hears_changes").set(if app.hearing.is_good() { 1.0 } else { 0.0 });
    ::metrics::counter!("agape_product_reads_total").absolute(app.product_cache.reads());
    if let Some(redis) = &app.redis {
        ::metrics::gauge!("agape_redis_up").set(if redis.is_up() { 1.0 } else { 0.0 });
    }
    app.metrics.run_upkeep();
    Ok(([(CONTENT_TYPE, "text/plain; version=0.0.4")], app.metrics.render()).into_response())
}
