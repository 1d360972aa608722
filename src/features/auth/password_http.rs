//! The endpoints of passwords: a forgotten one, and a change.

use axum::extract::State;
use serde::Deserialize;
use utoipa::ToSchema;

use super::extract::Identity;
use super::http::check_password_size;
use super::password::Password;
use super::password_service;
use crate::app::App;
use crate::limits;
use crate::platform::http::envelope::Empty;
use crate::platform::http::{Answer, Body, Envelope, ErrorEnvelope, RequestMeta, deleted};
use crate::platform::text::Email;

/// Asks for a new password.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RequestPasswordReset {
    email: Email,
}

/// A new password with the token of a mail.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ResetPassword {
    #[schema(max_length = 64)]
    token: String,
    password: Password,
}

/// A new password for somebody who knows the current one.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct ChangePassword {
    #[schema(format = Password, max_length = 128)]
    current_password: String,
    new_password: Password,
}

/// Ask for a new password
///
/// The answer is the same whether the address has an account or not. The mailed link works once, for an hour.
#[utoipa::path(post, path = "/auth/password-reset-request", tag = "Accounts", security(()),
    request_body = RequestPasswordReset, responses(
    (status = 200, body = Envelope<Empty>),
    (status = 400, body = ErrorEnvelope),
    (status = 429, body = ErrorEnvelope),
))]
pub(super) async fn request_password_reset(
    State(app): State<App>,
    meta: RequestMeta,
    body: Body<RequestPasswordReset>,
) -> Answer<Empty> {
    limits::check_account(&app, body.value.email.as_str()).await?;
    password_service::request_reset(&app, &body.value.email, &meta).await?;
    Ok(deleted("If this address has an account, a mail with a link is on its way."))
}

/// Set a new password
///
/// With the token of a mail. All sessions of the account end.
#[utoipa::path(post, path = "/auth/password-reset", tag = "Accounts", security(()), request_body = ResetPassword, responses(
    (status = 200, body = Envelope<Empty>),
    (status = 400, body = ErrorEnvelope, description = "The token is unknown, used or over, or the password too weak"),
    (status = 429, body = ErrorEnvelope),
))]
pub(super) async fn reset_password(
    State(app): State<App>,
    meta: RequestMeta,
    body: Body<ResetPassword>,
) -> Answer<Empty> {
    password_service::reset(&app, &body.value.token, &body.value.password, &meta).await?;
    Ok(deleted("Your new password is set. Please sign in with it."))
}

/// Change my password
///
/// All other sessions end.
#[utoipa::path(post, path = "/auth/change-password", tag = "Accounts", security(("bearer" = [])),
    request_body = ChangePassword, responses(
    (status = 200, body = Envelope<Empty>),
    (status = 400, body = ErrorEnvelope, description = "The current password is wrong, or the new one too weak"),
    (status = 401, body = ErrorEnvelope),
    (status = 429, body = ErrorEnvelope),
))]
pub(super) async fn change_password(
    State(app): State<App>,
    identity: Identity,
    meta: RequestMeta,
    body: Body<ChangePassword>,
) -> Answer<Empty> {
    let ChangePassword { current_password, new_password } = body.value;
    check_password_size("currentPassword", &current_password)?;
    password_service::change(&app, &identity, &current_password, &new_password, &meta).await?;
    Ok(deleted("Your password is changed. All other devices are signed out."))
}
