//! Orders: what they are, how they are read, and which moves their status may make. Placing, paying and closing them
//! joins several domains and lives in `crate::flows`.

mod http;
mod model;
mod store;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;

pub use model::{Address, Country, Event, Order, OrderItem, PaymentMethod, ShippingMethod, Status};
pub use store::{LockedOrder, Move, find, keep_for_review, lock, move_status, overdue, record_event};

/// The routes under `/api/v1`.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(http::list_orders, http::place_order))
        .routes(routes!(http::track_order))
        .routes(routes!(http::get_order))
        .routes(routes!(http::cancel_order))
}
