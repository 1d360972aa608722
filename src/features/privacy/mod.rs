//! What people may ask of the shop about their data: to take it away, to have it erased, to be asked first.

mod http;
mod store;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;

pub use store::{export, sweep_visitors};

/// The routes under `/api/v1`.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(http::export_my_data))
        .routes(routes!(http::erase_my_account))
        .routes(routes!(http::list_consents, http::record_consent))
}
