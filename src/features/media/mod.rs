//! The shop's own pictures: taken in, checked, written anew, kept at one of several places, and shown in the sizes that
//! pages need. At the same places, private documents.

mod admin_http;
mod cache;
mod direct_http;
mod direct_service;
mod documents;
mod gif;
mod http;
mod jobs;
mod jpeg;
mod library;
mod model;
mod process;
mod resize;
mod service;
mod signer;
mod storage;
mod store;
mod upload_http;
mod views;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;

pub use documents::{WrittenDocument, give_up_documents, keep_document, read_document, write_document};
pub use http::routes as delivery_routes;
pub use jobs::{DeleteMedia, SweepMedia};
pub use library::Media;
pub use model::{Asset, MAX_IMAGES, Place, Presets, Provider};
pub use service::{StoredImage, find_asset, store_image};

/// The routes whose requests bring pictures and may take longer than others.
pub const UPLOAD_ROUTES: [&str; 3] = ["/api/v1/admin/media", "/api/v1/admin/media/confirm", "/media/uploads/{token}"];

/// The routes under `/api/v1`.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(admin_http::list_media, upload_http::upload_media))
        .routes(routes!(direct_http::allow_upload))
        .routes(routes!(direct_http::confirm_upload))
        .routes(routes!(admin_http::delete_media))
}
