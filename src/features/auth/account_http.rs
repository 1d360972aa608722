//! The endpoints with which a person keeps his account: sessions, password, second factor.

use axum::extract::State;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::extract::Identity;
use super::http::check_password_size;
use super::model::Role;
use super::password::Password;
use super::sessions_service::{self, Which};
use super::store::sessions::Session;
use super::{password_service, two_factor_service};
use crate::app::App;
use crate::limits;
use crate::platform::error::Result;
use crate::platform::http::envelope::Empty;
use crate::platform::http::{Answer, Body, Envelope, ErrorEnvelope, PathId, RequestMeta, deleted, ok};
use crate::platform::ids::SessionId;
use crate::platform::text::Email;

/// A sign-in that lives.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct SessionItem {
    id: SessionId,
    /// The browser and system, as far as they say.
    device: String,
    ip: Option<String>,
    /// Whether it is the one that asks.
    current: bool,
    /// Whether the second factor was shown in it.
    two_factor: bool,
    created_at: DateTime<Utc>,
    last_used_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
}

impl SessionItem {
    pub(super) fn new(session: Session, current: Option<SessionId>) -> Self {
        Self {
            id: session.id,
            device: device(session.user_agent.as_deref().unwrap_or_default()),
            ip: session.ip,
            current: current == Some(session.id),
            two_factor: session.two_factor,
            created_at: session.created_at,
            last_used_at: session.last_used_at,
            expires_at: session.expires_at,
        }
    }
}

/// A user agent in words, such as `Chrome on Android`. They are for a person to recognise his devices by.
fn device(user_agent: &str) -> String {
    let first = |names: &[(&'static str, &'static str)]| {
        names.iter().find(|(mark, _)| user_agent.contains(mark)).map(|(_, name)| *name)
    };
    // Each browser also names those it wants to be taken for, so the order matters.
    let browser = first(&[
        ("Edg", "Edge"),
        ("OPR/", "Opera"),
        ("SamsungBrowser", "Samsung Internet"),
        ("Firefox", "Firefox"),
        ("CriOS", "Chrome"),
        ("Chrome", "Chrome"),
        ("Safari", "Safari"),
        ("curl", "curl"),
    ]);
    let system = first(&[
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Android", "Android"),
        ("Windows", "Windows"),
        ("Mac OS X", "macOS"),
        ("CrOS", "ChromeOS"),
        ("Linux", "Linux"),
    ]);
    match (browser, system) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        (Some(name), None) | (None, Some(name)) => name.to_owned(),
        (None, None) => "Unknown device".to_owned(),
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SessionsData {
    sessions: Vec<SessionItem>,
}

impl SessionsData {
    pub(super) fn new(sessions: Vec<Session>, current: Option<SessionId>) -> Self {
        Self { sessions: sessions.into_iter().map(|session| SessionItem::new(session, current)).collect() }
    }
}

/// How many sessions were ended.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EndedData {
    pub(super) ended: usize,
}

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

/// My sessions
///
/// Those that live, the last used first.
#[utoipa::path(get, path = "/auth/sessions", tag = "Accounts", security(("bearer" = [])), responses(
    (status = 200, body = Envelope<SessionsData>),
    (status = 401, body = ErrorEnvelope),
))]
pub(super) async fn list_sessions(State(app): State<App>, identity: Identity) -> Answer<SessionsData> {
    let sessions = sessions_service::list(&app, identity.user_id).await?;
    Ok(ok(SessionsData::new(sessions, Some(identity.session_id))))
}

/// End one of my sessions
#[utoipa::path(delete, path = "/auth/sessions/{session}", tag = "Accounts", security(("bearer" = [])),
    params(("session" = SessionId, Path)), responses(
    (status = 200, body = Envelope<EndedData>),
    (status = 401, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope, description = "Unknown, over, or another person's"),
))]
pub(super) async fn end_session(
    State(app): State<App>,
    identity: Identity,
    meta: RequestMeta,
    PathId(id): PathId<SessionId>,
) -> Answer<EndedData> {
    let ended = sessions_service::revoke(&app, &identity, identity.user_id, Which::One(id), &meta).await?;
    Ok(ok(EndedData { ended }).say("That device is signed out."))
}

/// Sign out everywhere else
///
/// Ends all my sessions but this one. A customer's access token of another session may be accepted for some seconds more.
#[utoipa::path(delete, path = "/auth/sessions", tag = "Accounts", security(("bearer" = [])), responses(
    (status = 200, body = Envelope<EndedData>),
    (status = 401, body = ErrorEnvelope),
))]
pub(super) async fn end_other_sessions(
    State(app): State<App>,
    identity: Identity,
    meta: RequestMeta,
) -> Answer<EndedData> {
    let others = Which::Others(identity.session_id);
    let ended = sessions_service::revoke(&app, &identity, identity.user_id, others, &meta).await?;
    Ok(ok(EndedData { ended }).say("All other devices are signed out."))
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

#[cfg(test)]
mod tests {
    use super::device;

    #[test]
    fn a_device_is_named_by_what_it_says() {
        for (user_agent, name) in [
            (
                "Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Mobile Safari/537.36",
                "Chrome on Android",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605 Version/18.0 Mobile Safari/604",
                "Safari on iPhone",
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537 Chrome/140 Safari/537 Edg/140",
                "Edge on Windows",
            ),
            ("curl/8.5.0", "curl"),
            ("", "Unknown device"),
        ] {
            assert_eq!(device(user_agent), name);
        }
    }
}
