//! Webhooks: what providers tell us. A delivery is checked, stored once and answered at once; a job works on it.

mod http;
mod jobs;
mod store;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;

pub use jobs::{ProcessWebhook, requeue_forgotten};
pub use store::erase_bodies;

/// The routes under `/api/v1`.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(http::receive_paystack_webhook))
}
