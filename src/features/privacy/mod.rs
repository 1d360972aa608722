//! What people may ask of the shop about their data: to take it away, to have it erased, to be asked first.

mod http;
mod pages;
mod store;
mod unsubscribe;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;

pub use store::{agreeing_to_marketing, export, sweep_visitors};
pub use unsubscribe::unsubscribe_link;

/// The routes under `/api/v1`.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(http::export_my_data))
        .routes(routes!(http::erase_my_account))
        .routes(routes!(http::list_consents, http::record_consent))
}

/// The page behind the link of mails that sell.
pub fn pages() -> axum::Router<App> {
    pages::routes()
}
