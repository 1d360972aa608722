//! Invoices: what was sold, by whom and to whom, under a number that no other has and none is left out before. Each is a PDF file
//! that is made by a job when its order is sold, kept with the media, and made anew when what it says has changed.

mod content;
mod document;
mod http;
mod jobs;
mod model;
mod paper;
mod service;
mod store;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;

pub use jobs::{IssueInvoices, MakeInvoice};
pub use service::{forget_documents, forget_names};

/// The routes under `/api/v1`.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(http::get_invoice))
        .routes(routes!(http::get_tracked_invoice))
        .routes(routes!(http::list_invoices))
}
