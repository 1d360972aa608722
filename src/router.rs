//! All routes.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use paystack::BreakerState;
use serde_json::{Value, json};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::app::App;
use crate::features::auth::AccessTable;
use crate::features::{
    addresses, audit, auth, carts, catalog, coupons, disputes, events, inventory, invoices, media, merchant_webhooks,
    notifications, orders, payments, privacy, reconciliation, shipping, taxes, webhooks, wishlists,
};
use crate::openapi;
use crate::pipeline::{Pipeline, guarded, unguarded};
use crate::platform::error::{Error, Result};
use crate::platform::http::{layers, pages};

/// The routes of the OpenAPI document.
pub(crate) fn api() -> OpenApiRouter<App> {
    let v1 = OpenApiRouter::new()
        .merge(auth::routes())
        .merge(addresses::routes())
        .merge(privacy::routes())
        .merge(audit::routes())
        .merge(catalog::routes())
        .merge(inventory::routes())
        .merge(invoices::routes())
        .merge(media::routes())
        .merge(carts::routes())
        .merge(coupons::routes())
        .merge(wishlists::routes())
        .merge(orders::routes())
        .merge(payments::routes())
        .merge(disputes::routes())
        .merge(reconciliation::routes())
        .merge(shipping::routes())
        .merge(taxes::routes())
        .merge(webhooks::routes())
        .merge(events::routes())
        .merge(merchant_webhooks::routes());
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
    let pipeline = Pipeline::new(app, AccessTable::of(&document)?);
    let (api, _) = api().split_for_parts();
    let mut router = api
        .merge(auth::pages())
        .merge(payments::pages())
        .merge(inventory::stop_pages())
        .merge(privacy::pages())
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
    let router = router
        .with_state(app.clone())
        .merge(Router::from(docs).layer(from_fn(docs_policy)))
        .fallback(layers::unknown_route)
        .layer(from_fn_with_state(Arc::clone(&pipeline), guarded));
    Ok(match sandbox {
        Some(sandbox) => {
            let sandbox = Router::new().nest("/sandbox/paystack", sandbox.layer(from_fn(sandbox_policy)));
            router.merge(sandbox.layer(from_fn_with_state(pipeline, unguarded)))
        }
        None => router,
    })
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
    (status = 200, body = Value, description = "The database answers, its migrations are applied, and the process is not stopping. A Redis or a payment provider that does not answer is named, but the shop goes on without it"),
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
    // Told only, too: a shop whose provider is away still shows, and takes orders.
    let provider = app.paystack.breaker() == BreakerState::Closed;
    checks["payments"] = json!(if provider { "ok" } else { "the provider does not answer; it is asked again soon" });
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
    let open = app.paystack.breaker() != BreakerState::Closed;
    ::metrics::gauge!("agape_payment_provider_up").set(if open { 0.0 } else { 1.0 });
    if let Some(redis) = &app.redis {
        ::metrics::gauge!("agape_redis_up").set(if redis.is_up() { 1.0 } else { 0.0 });
    }
    app.metrics.run_upkeep();
    Ok(([(CONTENT_TYPE, "text/plain; version=0.0.4")], app.metrics.render()).into_response())
}
