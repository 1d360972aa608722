//! Payments: attempts to pay an order, and what the provider says about them. Starting one and settling one join
//! several domains and live in `crate::flows`.

mod http;
mod model;
mod pages;
mod store;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;

pub use model::{OrderPayment, Payment, PaymentStatus, Proof};
pub use store::{
    NewPayment, abandon_open, create, erase_answers, export, fail, find_by_order_open, find_by_reference,
    find_successful, flag, flagged_of, has_success, lock, of_order, open, request_refunds, succeed,
};

/// The routes under `/api/v1`.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(http::initialize_payment)).routes(routes!(http::verify_payment))
}

/// The page to which the provider sends the shopper back.
pub fn pages() -> axum::Router<App> {
    pages::routes()
}
