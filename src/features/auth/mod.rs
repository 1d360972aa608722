//! Accounts: registering, signing in, tokens and sessions, and who may do what.

mod extract;
mod hasher;
mod http;
mod jobs;
mod model;
mod pages;
mod permissions;
mod service;
mod store;
mod tokens;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;

pub use extract::{Caller, Identity};
pub use hasher::Hasher;
pub use jobs::SendVerificationMail;
pub use model::{Password, Role};
pub use permissions::Permission;
pub use service::{create_staff, has_admin};
pub use store::email_of;
pub use tokens::TokenKeys;

/// The routes under `/api/v1`.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(http::register))
        .routes(routes!(http::login))
        .routes(routes!(http::refresh))
        .routes(routes!(http::logout))
        .routes(routes!(http::get_me))
        .routes(routes!(http::verify_email))
        .routes(routes!(http::resend_verification))
}

/// The page behind the link of the verification mail.
pub fn pages() -> axum::Router<App> {
    pages::routes()
}

/// The public keys, at `/.well-known/jwks.json`.
pub fn well_known() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(http::get_jwks))
}
