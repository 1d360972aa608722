//! What is sold: products with their variants and pictures, categories, search, and the import of product files.

mod admin_http;
mod cache;
mod categories;
pub mod demo;
mod export_service;
mod http;
pub mod import;
mod import_batch;
mod import_http;
mod import_job;
mod import_service;
mod imports_service;
mod list;
mod media;
mod model;
mod service;
mod store;

use axum::extract::DefaultBodyLimit;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;

pub use cache::ProductCache;
pub use export_service::{ExportFormat, export};
pub use import_job::RunImport;
pub use import_service::{ImportReport, ImportSettings, Progress, import_products};
pub use media::routes as media_routes;
pub use model::variant_name_of;
pub use service::{count_products, front_page};
pub use store::fetches::{WaitingImage, image_kept, image_not_kept, next_image_at, waiting_images};
pub use store::runs::sweep as sweep_imports;

/// The routes under `/api/v1`.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(http::list_products, admin_http::create_product))
        .routes(routes!(http::search_products))
        .routes(routes!(http::get_product, admin_http::update_product, admin_http::delete_product))
        .routes(routes!(categories::list_categories, categories::create_category))
        .merge(imports())
}

/// Files come in pieces and have a limit of their own.
fn imports() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(import_http::list_imports, import_http::create_import))
        .layer(DefaultBodyLimit::disable())
        .routes(routes!(import_http::get_import))
        .routes(routes!(import_http::get_import_report))
        .routes(routes!(import_http::cancel_import))
        .routes(routes!(import_http::export_products))
}
