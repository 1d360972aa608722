//! What is sold: products with their variants and pictures, categories, search, and the import of product files.

mod admin_http;
mod bulk_http;
mod bulk_service;
mod cache;
mod categories_http;
mod categories_service;
pub mod demo;
mod export_http;
mod export_service;
mod http;
mod images_http;
mod images_model;
mod images_service;
pub mod import;
mod import_batch;
mod import_categories;
mod import_http;
mod import_rows;
mod import_service;
mod import_view;
mod imports_service;
mod jobs;
mod listing;
mod media;
mod model;
mod product_input;
mod rules;
mod service;
mod slugs;
mod staff_service;
mod store;
mod variants_http;
mod variants_service;

use axum::extract::DefaultBodyLimit;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;

pub use cache::ProductCache;
pub use export_service::{ExportFormat, export, record_export};
pub use import_service::{ImportReport, ImportSettings, Progress, import_products, import_products_until};
pub use imports_service::requeue_forgotten_imports;
pub use jobs::RunImport;
pub use listing::first_products as front_page;
pub use listing::{ListCache, set_popularity};
pub use media::routes as media_routes;
pub use model::{ProductView, variant_name_of};
pub use service::{Shown, count_products, show_products};
pub use store::fetches::{
    WaitingImage, claim_waiting_images, has_image, image_kept, image_not_kept, retry_failed_images,
};
pub use store::runs::sweep as sweep_imports;

/// Where staff hand in files of products.
pub const UPLOAD_ROUTE: &str = "/api/v1/admin/imports";

/// The routes under `/api/v1`.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(listing::http::list_products, admin_http::create_product))
        .routes(routes!(listing::search_http::search_products))
        .routes(routes!(listing::search_http::suggest_products))
        .routes(routes!(listing::http::list_related_products))
        .routes(routes!(http::get_product, admin_http::update_product, admin_http::delete_product))
        .routes(routes!(admin_http::restore_product))
        .routes(routes!(admin_http::list_staff_products))
        .routes(routes!(admin_http::get_staff_product))
        .routes(routes!(bulk_http::bulk_products))
        .routes(routes!(variants_http::create_variant))
        .routes(routes!(variants_http::update_variant, variants_http::delete_variant))
        .routes(routes!(variants_http::order_variants))
        .routes(routes!(categories_http::list_categories, categories_http::create_category))
        .routes(routes!(
            categories_http::get_category,
            categories_http::update_category,
            categories_http::delete_category
        ))
        .routes(routes!(categories_http::order_categories))
        .routes(routes!(images_http::add_image))
        .routes(routes!(images_http::order_images))
        .routes(routes!(images_http::fetch_images))
        .routes(routes!(images_http::fetch_image))
        .routes(routes!(images_http::update_image, images_http::remove_image))
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
        .routes(routes!(export_http::export_products))
}
