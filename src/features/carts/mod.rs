//! Carts of guests and of accounts.

mod cache;
mod http;
mod model;
mod owner;
mod service;
mod store;
mod view_http;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;

pub use cache::EmptyCarts;
pub use model::{CartLine, LeftOut, LeftOutReason, Wanted};
pub use owner::{Carried, Owner, TokenHash, no_cookie};
pub use service::{forget_empty, merge, put_in, put_in_most};
pub use store::{LeftCart, erase, export, left_carts, mark_reminded, open_cart_lines, sweep_expired};

/// The routes under `/api/v1`.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(http::get_cart, http::clear_cart))
        .routes(routes!(http::add_cart_item))
        .routes(routes!(http::update_cart_item, http::remove_cart_item))
        .routes(routes!(http::acknowledge_cart_prices))
        .routes(routes!(http::merge_carts))
}
