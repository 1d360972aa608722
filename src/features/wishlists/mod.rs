//! What accounts wish for. A guest's wishes are the storefront's to keep.

mod http;
mod service;
mod store;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;

pub use store::{Wish, erase, export, take};

/// The routes under `/api/v1`.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(http::list_wishlist, http::add_wishlist_item, http::clear_wishlist))
        .routes(routes!(http::check_wishlist))
        .routes(routes!(http::remove_wishlist_item))
        .routes(routes!(http::move_wishlist_item_to_cart))
}
