//! The endpoints of one's own second factor.

use axum::extract::State;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::extract::Identity;
use super::http::check_password_size;
use super::model::Role;
use super::two_factor_service;
use crate::app::App;
use crate::platform::error::Result;
use crate::platform::http::envelope::Empty;
use crate::platform::http::{Answer, Body, Envelope, ErrorEnvelope, RequestMeta, deleted, ok};

/// The password, once more.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SetUpTwoFactor {
    #[schema(format = Password, max_length = 128)]
    password: String,
}

/// A code of the authenticator that was just set up.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EnableTwoFactor {
    #[schema(example = "123456", max_length = 40)]
    code: String,
}

/// Both factors, once more.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ProveBothFactors {
    #[schema(format = Password, max_length = 128)]
    password: String,
    /// Six digits of the authenticator, or a recovery code.
    #[schema(example = "123456", max_length = 40)]
    code: String,
}

/// The second factor of an account.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct TwoFactorView {
    enabled: bool,
    enabled_at: Option<DateTime<Utc>>,
    recovery_codes_left: i64,
    /// Whether the shop demands it of this account.
    required: bool,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct TwoFactorData {
    two_factor: TwoFactorView,
}

/// What an authenticator needs to know. It is shown only now.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct TwoFactorSetupView {
    /// Base32, to type in.
    #[schema(example = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP")]
    secret: String,
    /// The same for a program.
    #[schema(example = "otpauth://totp/AGAPE%20LOOKS:ama%40example.com?secret=JBSWY3DPEHPK3PXP&issuer=AGAPE%20LOOKS")]
    otpauth_uri: String,
    /// The same as a picture: a PNG as a `data:` address.
    qr_code: String,
}

/// Ten codes, each of which stands in for the authenticator once. They are shown only now.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct RecoveryCodesData {
    #[schema(example = json!(["ABCD-EFGH-IJKL-MNOP"]))]
    recovery_codes: Vec<String>,
}

/// My second factor
#[utoipa::path(get, path = "/auth/2fa", tag = "Accounts", security(("bearer" = [])), responses(
    (status = 200, body = Envelope<TwoFactorData>),
    (status = 401, body = ErrorEnvelope),
))]
pub(super) async fn get_two_factor(State(app): State<App>, identity: Identity) -> Answer<TwoFactorData> {
    let known = two_factor_service::status(&app, identity.user_id).await?;
    let two_factor = TwoFactorView {
        enabled: known.enabled_at.is_some(),
        enabled_at: known.enabled_at,
        recovery_codes_left: known.codes_left,
        required: app.config.auth.staff_two_factor && identity.role != Role::Customer,
    };
    Ok(ok(TwoFactorData { two_factor }))
}

/// Set up a second factor
///
/// Gives the secret for an authenticator. It is in force once `/auth/2fa/enable` has seen a code of it.
#[utoipa::path(post, path = "/auth/2fa/setup", tag = "Accounts", security(("bearer" = [])),
    request_body = SetUpTwoFactor, responses(
    (status = 200, body = Envelope<TwoFactorSetupView>),
    (status = 400, body = ErrorEnvelope, description = "The password is wrong"),
    (status = 401, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "It is on already"),
    (status = 429, body = ErrorEnvelope),
))]
pub(super) async fn set_up_two_factor(
    State(app): State<App>,
    identity: Identity,
    meta: RequestMeta,
    body: Body<SetUpTwoFactor>,
) -> Answer<TwoFactorSetupView> {
    check_password_size("password", &body.value.password)?;
    let setup = two_factor_service::set_up(&app, &identity, &body.value.password, &meta).await?;
    Ok(ok(TwoFactorSetupView {
        secret: setup.secret,
        otpauth_uri: setup.uri,
        qr_code: format!("data:image/png;base64,{}", STANDARD.encode(setup.qr_png)),
    }))
}

/// Turn my second factor on
///
/// Signing in wants it from now on; all other sessions end.
#[utoipa::path(post, path = "/auth/2fa/enable", tag = "Accounts", security(("bearer" = [])),
    request_body = EnableTwoFactor, responses(
    (status = 200, body = Envelope<RecoveryCodesData>),
    (status = 400, body = ErrorEnvelope, description = "The code is wrong"),
    (status = 401, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "It is on already, or was not set up"),
    (status = 429, body = ErrorEnvelope),
))]
pub(super) async fn enable_two_factor(
    State(app): State<App>,
    identity: Identity,
    meta: RequestMeta,
    body: Body<EnableTwoFactor>,
) -> Answer<RecoveryCodesData> {
    let recovery_codes = two_factor_service::enable(&app, &identity, &body.value.code, &meta).await?;
    Ok(ok(RecoveryCodesData { recovery_codes })
        .say("Two-factor sign-in is on. Keep the recovery codes in a safe place."))
}

/// Turn my second factor off
#[utoipa::path(post, path = "/auth/2fa/disable", tag = "Accounts", security(("bearer" = [])),
    request_body = ProveBothFactors, responses(
    (status = 200, body = Envelope<Empty>),
    (status = 400, body = ErrorEnvelope, description = "The password or the code is wrong"),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope, description = "The shop demands it of its staff"),
    (status = 409, body = ErrorEnvelope, description = "It is not on"),
    (status = 429, body = ErrorEnvelope),
))]
pub(super) async fn disable_two_factor(
    State(app): State<App>,
    identity: Identity,
    meta: RequestMeta,
    body: Body<ProveBothFactors>,
) -> Answer<Empty> {
    let ProveBothFactors { password, code } = check_both(body)?;
    two_factor_service::disable(&app, &identity, &password, &code, &meta).await?;
    Ok(deleted("Two-factor sign-in is off."))
}

/// Replace my recovery codes
///
/// The old ones are void.
#[utoipa::path(post, path = "/auth/2fa/recovery-codes", tag = "Accounts", security(("bearer" = [])),
    request_body = ProveBothFactors, responses(
    (status = 200, body = Envelope<RecoveryCodesData>),
    (status = 400, body = ErrorEnvelope, description = "The password or the code is wrong"),
    (status = 401, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "Two-factor sign-in is not on"),
    (status = 429, body = ErrorEnvelope),
))]
pub(super) async fn replace_recovery_codes(
    State(app): State<App>,
    identity: Identity,
    meta: RequestMeta,
    body: Body<ProveBothFactors>,
) -> Answer<RecoveryCodesData> {
    let ProveBothFactors { password, code } = check_both(body)?;
    let recovery_codes = two_factor_service::replace_codes(&app, &identity, &password, &code, &meta).await?;
    Ok(ok(RecoveryCodesData { recovery_codes }).say("These codes replace the old ones."))
}

fn check_both(body: Body<ProveBothFactors>) -> Result<ProveBothFactors> {
    check_password_size("password", &body.value.password)?;
    Ok(body.value)
}
