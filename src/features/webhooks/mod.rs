//! Webhooks: what providers tell us. A delivery is checked, stored once and answered at once; a job works on it.

mod admin_http;
mod bodies;
mod http;
mod jobs;
mod model;
mod service;
mod store;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;

pub use bodies::renew_seals;
pub use jobs::{ProcessWebhook, requeue_forgotten};
pub use store::erase_bodies;
pub use store::upkeep::{empty_bodies, failed_events};

/// The routes under `/api/v1`.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(http::receive_paystack_webhook))
        .routes(routes!(admin_http::list_webhook_events))
        .routes(routes!(admin_http::get_webhook_event))
        .routes(routes!(admin_http::replay_webhook_event))
}
