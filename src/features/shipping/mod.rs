//! Shipping as staff keep it: zones of the world, and the methods by which goods go there.
//!
//! Orders keep code, name and price of their own, so zones and methods may be changed or removed at any time.

mod http;
mod methods_http;
mod methods_service;
mod model;
mod store;
mod zones_http;
mod zones_service;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;

pub use model::{Method, ShippingOption, Tier, Zone, options};
pub use store::zones;

/// The routes under `/api/v1`.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(http::list_shipping_methods))
        .routes(routes!(zones_http::list_shipping_zones, zones_http::create_shipping_zone))
        .routes(routes!(zones_http::update_shipping_zone, zones_http::delete_shipping_zone))
        .routes(routes!(methods_http::create_shipping_method))
        .routes(routes!(methods_http::update_shipping_method, methods_http::delete_shipping_method))
}
