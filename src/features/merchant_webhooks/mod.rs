//! Webhooks of the shop's own: addresses that are told of events. What providers tell the shop is in `webhooks`.
//!
//! An event becomes a delivery for each address that wants it ([`collect`]), in one transaction with how far the address has got, so
//! none is lost or doubled. A delivery is tried by whoever has claimed it ([`claim`]), and what came of it is noted ([`note`]).
//! `flows/deliver_webhooks.rs` does the sending.

mod deliveries_http;
mod http;
mod input;
mod model;
mod replay_service;
mod service;
mod store;
mod view;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;

pub use model::{Attempt, Retries, sign};
pub use service::{collect, fetcher, refuse_plain, renew_seals};
pub use store::deliveries::{Claimed, claim, sweep};
pub use store::outcome::{Noted, note};

/// The routes under `/api/v1`.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(http::list_webhooks, http::create_webhook))
        .routes(routes!(http::get_webhook, http::update_webhook, http::delete_webhook))
        .routes(routes!(http::rotate_webhook_secret))
        .routes(routes!(deliveries_http::list_webhook_deliveries))
        .routes(routes!(deliveries_http::replay_webhook))
        .routes(routes!(deliveries_http::test_webhook))
}
