//! The endpoints of one's own account, and how it is shown.

use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::extract::{Caller, Identity};
use super::model::Role;
use super::profile_service;
use super::store::User;
use crate::app::App;
use crate::limits;
use crate::platform::address::Country;
use crate::platform::error::{Error, Result};
use crate::platform::http::envelope::Empty;
use crate::platform::http::{Answer, Body, Envelope, ErrorEnvelope, RequestMeta, deleted, ok};
use crate::platform::ids::UserId;
use crate::platform::text::{DialledPhone, Phone, Text};

/// The token of a verification mail.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct VerifyEmail {
    token: String,
}

/// An account as its owner sees it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct UserView {
    id: UserId,
    email: String,
    name: String,
    phone: Option<String>,
    role: Role,
    /// Whether the address has been proven.
    verified: bool,
    /// Whether signing in wants a second factor.
    two_factor_enabled: bool,
    created_at: DateTime<Utc>,
}

impl From<User> for UserView {
    fn from(user: User) -> Self {
        Self {
            id: user.id,
            email: user.email,
            name: user.name,
            phone: user.phone,
            role: user.role,
            verified: user.email_verified_at.is_some(),
            two_factor_enabled: user.two_factor,
            created_at: user.created_at,
        }
    }
}

/// A change of one's own account. Fields that are left out stay as they are.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct UpdateMe {
    #[schema(value_type = Option<String>, min_length = 1, max_length = 120)]
    name: Option<Text<1, 120>>,
    /// `null` removes it.
    #[serde(default, deserialize_with = "crate::platform::http::json::present")]
    #[schema(value_type = Option<DialledPhone>)]
    phone: Option<Option<DialledPhone>>,
    /// As at registration.
    phone_country: Option<Country>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct UserData {
    user: UserView,
}

/// My account
#[utoipa::path(get, path = "/auth/me", tag = "Accounts", security(("bearer" = [])), responses(
    (status = 200, body = Envelope<UserData>),
    (status = 401, body = ErrorEnvelope),
))]
pub(super) async fn get_me(State(app): State<App>, identity: Identity) -> Answer<UserData> {
    Ok(ok(UserData { user: profile_service::get_user(&app, identity.user_id).await?.into() }))
}

/// Change my name or number
#[utoipa::path(patch, path = "/auth/me", tag = "Accounts", security(("bearer" = [])), request_body = UpdateMe, responses(
    (status = 200, body = Envelope<UserData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
))]
pub(super) async fn update_me(
    State(app): State<App>,
    identity: Identity,
    meta: RequestMeta,
    body: Body<UpdateMe>,
) -> Answer<UserData> {
    let UpdateMe { name, phone, phone_country } = body.value;
    let number = |phone: Option<DialledPhone>| phone.map(|phone| resolve(&phone, phone_country.as_ref())).transpose();
    let phone = phone.map(number).transpose()?;
    let user = profile_service::update_profile(&app, &identity, name, phone, &meta).await?;
    Ok(ok(UserData { user: user.into() }))
}

/// Confirm an e-mail address
///
/// Whoever is signed in to the account meanwhile has proven that both are his, and finds there what he bought as a guest.
#[utoipa::path(post, path = "/auth/verify-email", tag = "Accounts", security((), ("bearer" = [])),
    request_body = VerifyEmail, responses(
    (status = 200, body = Envelope<Empty>),
    (status = 400, body = ErrorEnvelope, description = "The token is unknown, used or over"),
    (status = 401, body = ErrorEnvelope, description = "The access token is not valid; leave it out or renew it"),
))]
pub(super) async fn verify_email(State(app): State<App>, caller: Caller, body: Body<VerifyEmail>) -> Answer<Empty> {
    profile_service::verify_email(&app, &body.value.token, caller.as_ref()).await?;
    Ok(deleted("Thank you, your e-mail address is confirmed."))
}

/// Send the verification mail again
#[utoipa::path(post, path = "/auth/resend-verification", tag = "Accounts", security(("bearer" = [])), responses(
    (status = 200, body = Envelope<Empty>),
    (status = 401, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "The address is confirmed already"),
))]
pub(super) async fn resend_verification(State(app): State<App>, identity: Identity) -> Answer<Empty> {
    limits::check_account(&app, &identity.user_id.to_string()).await?;
    profile_service::resend_verification(&app, identity.user_id).await?;
    Ok(deleted("We have sent you a new link."))
}

/// A number as it is dialled in a country; without one, in Nigeria or Ghana.
pub(super) fn resolve(phone: &DialledPhone, country: Option<&Country>) -> Result<Phone> {
    let resolved = match country {
        Some(country) => phone.in_country(country),
        None => phone.as_str().parse().map_err(str::to_owned),
    };
    resolved.map_err(|message| Error::field("phone", message))
}
