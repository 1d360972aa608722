//! Accounts: registering, signing in, tokens and sessions, second factors, and who may do what.

mod extract;
mod hasher;
mod http;
mod jobs;
mod live_sessions;
mod model;
mod pages;
mod password;
mod password_http;
mod password_service;
mod permissions;
mod profile_http;
mod profile_service;
mod service;
mod sessions_http;
mod sessions_service;
mod staff_http;
mod staff_service;
mod store;
mod tokens;
mod two_factor_http;
mod two_factor_service;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;

pub use extract::{Caller, Identity, authorize, identify};
pub use hasher::Hasher;
pub use jobs::{SendAccountMail, SendPasswordResetMail, SendVerificationMail};
pub use live_sessions::LiveSessions;
pub use model::Role;
pub use password::Password;
pub use permissions::{AccessTable, Permission};
pub use service::{create_staff, has_admin};
pub use sessions_service::{end_sessions, permits};
pub use staff_service::{refuse_last_admin, reset_two_factor_of, staff_addresses};
pub use store::email_tokens::sweep_tokens;
pub use store::people::{
    Person, Reader, delete_user, email_of, export, forgettable, hold_person, hold_reader, is_forgettable, lock_person,
    pseudonymise_user,
};
pub use store::sessions::{sweep_refresh_tokens, sweep_sessions};
pub use tokens::{KeyState, TokenKeys};
pub use two_factor_service::{confirm, current_code};

/// The routes under `/api/v1`.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(http::register))
        .routes(routes!(http::login))
        .routes(routes!(http::login_second_step))
        .routes(routes!(http::refresh))
        .routes(routes!(http::logout))
        .routes(routes!(profile_http::get_me, profile_http::update_me))
        .routes(routes!(profile_http::verify_email))
        .routes(routes!(profile_http::resend_verification))
        .routes(routes!(sessions_http::list_sessions, sessions_http::end_other_sessions))
        .routes(routes!(sessions_http::end_session))
        .routes(routes!(password_http::request_password_reset))
        .routes(routes!(password_http::reset_password))
        .routes(routes!(password_http::change_password))
        .routes(routes!(two_factor_http::get_two_factor))
        .routes(routes!(two_factor_http::set_up_two_factor))
        .routes(routes!(two_factor_http::enable_two_factor))
        .routes(routes!(two_factor_http::disable_two_factor))
        .routes(routes!(two_factor_http::replace_recovery_codes))
        .routes(routes!(staff_http::list_users))
        .routes(routes!(staff_http::get_user))
        .routes(routes!(staff_http::set_user_role))
        .routes(routes!(staff_http::lock_user))
        .routes(routes!(staff_http::unlock_user))
        .routes(routes!(staff_http::reset_user_two_factor))
        .routes(routes!(staff_http::list_user_sessions, staff_http::end_user_sessions))
        .routes(routes!(staff_http::end_user_session))
}

/// The pages behind the links of mails.
pub fn pages() -> axum::Router<App> {
    pages::routes()
}

/// The public keys, at `/.well-known/jwks.json`.
pub fn well_known() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(http::get_jwks))
}
