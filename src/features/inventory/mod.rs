//! Stock: what is on hand, what is set aside for unpaid orders, the ledger of every change, and who wants to hear when
//! something is back.
//!
//! For every variant, `available = on_hand - reserved`. The database refuses negative values and more reserved than
//! on hand, and each change writes its movement in the same statement, so that level = sum of movements.

mod admin_http;
mod export_service;
mod file;
mod files_http;
mod http;
mod ledger_http;
mod level_input;
mod model;
mod pages;
mod requests_service;
mod service;
mod store;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;

pub use model::{Change, Counts, Edit, Edited, EditedLevel, MAX_UNITS, Movement, Refusal, StaffReason};
pub use requests_service::stop_link;
pub use store::edit::edit_levels;
pub use store::ledger::{Level, count_levels, ledger_faults};
pub use store::low::{Look, LowVariant, begin_look, end_look, end_walk, look_on, take_untold, walk, walked_at};
pub use store::requests::{Request, due_requests, erase_requests, export_requests, sweep_requests, take_request};
pub use store::{
    NewLevel, commit_reservations, extend_reservations, lock_levels_of, on_hand, orders_with_expired_reservations,
    products_of_order, receive, release_expired, release_reservations, take_back, take_for_late_payment, unsell,
    unsell_some,
};

/// The routes under `/api/v1`.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(http::request_back_in_stock))
        .routes(routes!(admin_http::list_inventory))
        .routes(routes!(admin_http::get_level, admin_http::update_level))
        .routes(routes!(admin_http::adjust_inventory))
        .routes(routes!(ledger_http::list_movements))
        .routes(routes!(ledger_http::get_statistics))
        .routes(routes!(files_http::import_inventory))
        .routes(routes!(files_http::export_inventory))
}

/// The page behind the link of back-in-stock mails.
pub fn stop_pages() -> axum::Router<App> {
    pages::routes()
}
