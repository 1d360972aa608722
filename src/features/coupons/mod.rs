//! Coupons: what staff keep, what they take off an order, and who has used them.
//!
//! An order has one coupon at most. What it takes off is calculated by [`Found::discount`] of what [`find_all`] reads; whether it may be used at
//! all is decided by [`redeem_all`], in the order's transaction, by the database: its limits hold however many come at once.

mod admin_http;
mod http;
mod input;
mod model;
mod refusal;
mod service;
mod store;
mod terms;
mod view;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;

pub use model::{Code, Coupon, Customer, CustomerKey, Discount, Kind, Status, Worth};
pub use refusal::Refusal;
pub use store::find::{Found, Wanted, find, find_all, is_known};
pub use store::redemptions::{
    NewRedemption, erase, export, lock_coupons_of, redeem_again, redeem_all, return_use, take_back,
};

/// The routes under `/api/v1`.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(http::preview_coupon))
        .routes(routes!(admin_http::list_coupons, admin_http::create_coupon))
        .routes(routes!(admin_http::create_coupons))
        .routes(routes!(admin_http::get_coupon, admin_http::update_coupon, admin_http::delete_coupon))
        .routes(routes!(admin_http::list_coupon_redemptions))
}
