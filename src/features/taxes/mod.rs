//! Taxes as staff keep them: named components with a rate, a place and a time.
//!
//! Orders keep names, rates and amounts of their own, so a component may be changed or removed at any time.

mod admin_http;
mod model;
mod service;
mod store;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;

pub use model::{Tax, TaxRate, in_force};
pub use store::all;

/// The routes under `/api/v1`.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(admin_http::list_taxes, admin_http::create_tax))
        .routes(routes!(admin_http::update_tax, admin_http::delete_tax))
        .routes(routes!(admin_http::schedule_tax))
}
