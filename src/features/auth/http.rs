//! The endpoints of registering, signing in and staying signed in.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum_extra::extract::cookie::{Cookie, CookieJar, SameSite};
use chrono::{DateTime, Utc};
use cookie::time;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::extract::session_to_end;
use super::password::Password;
use super::profile_http::{UserView, resolve};
use super::service::{self, Login as LoginOutcome, Registration, SignedIn};
use crate::app::App;
use crate::features::carts::{self, Carried};
use crate::flows::bring_cart::bring_cart;
use crate::limits;
use crate::platform::address::Country;
use crate::platform::error::{Error, Result};
use crate::platform::http::envelope::Empty;
use crate::platform::http::{Body, Envelope, ErrorEnvelope, Reply, RequestMeta, created, deleted, ok};
use crate::platform::text::{DialledPhone, Email, Text};

/// The cookie of the refresh token. Its path keeps it away from all other requests.
const REFRESH_COOKIE: &str = "agape_refresh";

const REFRESH_PATH: &str = "/api/v1/auth";

/// A new account.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Register {
    email: Email,
    password: Password,
    #[schema(value_type = String, example = "Ama Mensah", min_length = 1, max_length = 120)]
    name: Text<1, 120>,
    phone: Option<DialledPhone>,
    /// The country in which `phone` is dialled so, where it has no country code. Nigeria or Ghana by its shape when left out.
    phone_country: Option<Country>,
}

/// The proof of an account.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Login {
    #[schema(example = "ama@example.com", max_length = 254)]
    email: String,
    #[schema(format = Password, example = "Test@1234", max_length = 128)]
    password: String,
}

/// A refresh token, for clients without cookies.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(super) struct Refresh {
    refresh_token: Option<String>,
}

/// A signed-in user. The refresh token is in the cookie `agape_refresh`, and here only for a request that sent
/// `X-Token-Transport: body`.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct SessionView {
    user: UserView,
    /// Send it as `Authorization: Bearer …`.
    access_token: String,
    access_token_expires_at: DateTime<Utc>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
}

/// A right password of an account with a second factor: send the code to `/auth/login/2fa`. Nobody is signed in yet.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ChallengeView {
    /// Always true.
    #[schema(example = true)]
    mfa_required: bool,
    /// Goes with the code.
    challenge: String,
    challenge_expires_at: DateTime<Utc>,
}

/// Either a session or the question for the second factor.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum LoginView {
    /// Signed in.
    Session(Box<SessionView>),
    /// The second factor is wanted.
    Challenge(ChallengeView),
}

/// The second step of a login.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LoginSecondStep {
    /// What the first step answered.
    #[schema(max_length = 64)]
    challenge: String,
    /// Six digits of the authenticator, or a recovery code.
    #[schema(example = "123456", max_length = 40)]
    code: String,
}

fn refresh_cookie(app: &App, value: String, expires: Option<DateTime<Utc>>) -> Cookie<'static> {
    let seconds = expires.map_or(0, |at| (at - app.clock.now()).num_seconds().max(0));
    Cookie::build((REFRESH_COOKIE, value))
        .path(REFRESH_PATH)
        .http_only(true)
        .same_site(SameSite::Lax)
        .secure(app.config.public_url().starts_with("https://"))
        .max_age(time::Duration::seconds(seconds))
        .build()
}

/// Whether a client that signs in wants the refresh token in the body, because it keeps no cookies.
fn wants_body(headers: &HeaderMap) -> bool {
    headers.get("x-token-transport").is_some_and(|value| value == "body")
}

fn session(app: &App, jar: CookieJar, in_body: bool, signed_in: SignedIn) -> (CookieJar, SessionView) {
    let view = SessionView {
        user: signed_in.user.into(),
        access_token: signed_in.access_token,
        access_token_expires_at: signed_in.access_expires,
        refresh_token: in_body.then(|| signed_in.refresh_token.clone()),
    };
    if in_body {
        return (jar, view);
    }
    let cookie = refresh_cookie(app, signed_in.refresh_token, Some(signed_in.refresh_expires));
    (jar.add(cookie), view)
}

/// Answers whoever has just proven who he is. The guest's cart that he had comes along.
async fn welcome(
    app: &App,
    jar: CookieJar,
    headers: &HeaderMap,
    carried: Carried,
    signed_in: SignedIn,
) -> (CookieJar, SessionView) {
    let jar = if bring_cart(app, signed_in.user.id, carried).await { jar.add(carts::no_cookie(app)) } else { jar };
    session(app, jar, wants_body(headers), signed_in)
}

/// Create an account
///
/// The account is signed in at once, and a verification mail is sent. The guest's cart of the request comes along.
#[utoipa::path(post, path = "/auth/register", tag = "Accounts", security(()), request_body = Register, responses(
    (status = 201, body = Envelope<SessionView>),
    (status = 400, body = ErrorEnvelope, description = "A field is missing or wrong; all are listed"),
    (status = 409, body = ErrorEnvelope, description = "The address has an account"),
    (status = 429, body = ErrorEnvelope),
))]
pub(super) async fn register(
    State(app): State<App>,
    meta: RequestMeta,
    jar: CookieJar,
    carried: Carried,
    headers: HeaderMap,
    body: Body<Register>,
) -> Result<(CookieJar, Reply<SessionView>)> {
    let Register { email, password, name, phone, phone_country } = body.value;
    let phone = phone.map(|phone| resolve(&phone, phone_country.as_ref())).transpose()?;
    limits::check_account(&app, email.as_str()).await?;
    let signed_in = service::register(&app, Registration { email, password, name, phone }, &meta).await?;
    let (jar, view) = welcome(&app, jar, &headers, carried, signed_in).await;
    Ok((jar, created(view).say("Welcome! Please confirm your e-mail address with the link we have sent you.")))
}

/// Sign in
///
/// An account with a second factor is asked for it: the answer then has `mfaRequired` and a `challenge`. Otherwise the guest's
/// cart of the request, in the cookie `agape_cart` or as `X-Cart-Token`, is taken over.
#[utoipa::path(post, path = "/auth/login", tag = "Accounts", security(()), request_body = Login, responses(
    (status = 200, body = Envelope<LoginView>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope, description = "Unknown address, wrong password or locked account"),
    (status = 429, body = ErrorEnvelope),
))]
pub(super) async fn login(
    State(app): State<App>,
    meta: RequestMeta,
    jar: CookieJar,
    carried: Carried,
    headers: HeaderMap,
    body: Body<Login>,
) -> Result<(CookieJar, Reply<LoginView>)> {
    let Login { email, password } = body.value;
    check_password_size("password", &password)?;
    limits::check_account(&app, email.trim()).await?;
    match service::login(&app, &email, &password, &meta).await? {
        LoginOutcome::SignedIn(signed_in) => {
            let (jar, view) = welcome(&app, jar, &headers, carried, *signed_in).await;
            Ok((jar, ok(LoginView::Session(Box::new(view)))))
        }
        LoginOutcome::Challenged { challenge, expires_at } => {
            let view = ChallengeView { mfa_required: true, challenge, challenge_expires_at: expires_at };
            Ok((jar, ok(LoginView::Challenge(view)).say("Enter the code of your authenticator.")))
        }
    }
}

/// Sign in, second step
///
/// Each code works once. After five wrong ones the account is locked, as after wrong passwords. The guest's cart comes along.
#[utoipa::path(post, path = "/auth/login/2fa", tag = "Accounts", security(()), request_body = LoginSecondStep, responses(
    (status = 200, body = Envelope<SessionView>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope, description = "Wrong or used code, or the challenge is over"),
    (status = 429, body = ErrorEnvelope),
))]
pub(super) async fn login_second_step(
    State(app): State<App>,
    meta: RequestMeta,
    jar: CookieJar,
    carried: Carried,
    headers: HeaderMap,
    body: Body<LoginSecondStep>,
) -> Result<(CookieJar, Reply<SessionView>)> {
    let signed_in = service::login_second_step(&app, &body.value.challenge, &body.value.code, &meta).await?;
    let (jar, view) = welcome(&app, jar, &headers, carried, signed_in).await;
    Ok((jar, ok(view)))
}

/// No password of ours is longer; a longer one would only cost time to hash.
pub(super) fn check_password_size(field: &str, password: &str) -> Result<()> {
    if password.len() > 1024 { Err(Error::field(field, "must have at most 128 characters")) } else { Ok(()) }
}

/// Get a new access token
///
/// Uses the cookie, or `refreshToken` in the body. The refresh token is replaced; a used one ends the session.
#[utoipa::path(post, path = "/auth/refresh", tag = "Accounts", security(()), request_body = Option<Refresh>, responses(
    (status = 200, body = Envelope<SessionView>),
    (status = 401, body = ErrorEnvelope, description = "No token, or one that is over"),
    (status = 403, body = ErrorEnvelope, description = "The cookie came from a foreign site"),
))]
pub(super) async fn refresh(
    State(app): State<App>,
    meta: RequestMeta,
    jar: CookieJar,
    headers: HeaderMap,
    body: axum::body::Bytes,
) -> Result<(CookieJar, Reply<SessionView>)> {
    let sent: Refresh = optional_body(&body)?;
    let from_body = sent.refresh_token.is_some();
    let token = match sent.refresh_token {
        Some(token) => token,
        None => {
            refuse_foreign_origin(&app, &headers)?;
            jar.get(REFRESH_COOKIE)
                .map(|cookie| cookie.value().to_owned())
                .ok_or_else(|| Error::Unauthenticated("Please sign in first.".into()))?
        }
    };
    let signed_in = service::refresh(&app, &token, &meta).await?;
    // A token that came in the cookie stays where no script can read it, whatever the request asks for.
    let (jar, view) = session(&app, jar, from_body, signed_in);
    Ok((jar, ok(view)))
}

/// Sign out
///
/// Ends the session of the access token, the cookie, or both. Succeeds also when there is none.
#[utoipa::path(post, path = "/auth/logout", tag = "Accounts", security(()), request_body = Option<Refresh>, responses(
    (status = 200, body = Envelope<Empty>),
))]
pub(super) async fn logout(
    State(app): State<App>,
    meta: RequestMeta,
    jar: CookieJar,
    headers: HeaderMap,
    body: axum::body::Bytes,
) -> Result<(CookieJar, Reply<Empty>)> {
    let sent: Refresh = optional_body(&body)?;
    if jar.get(REFRESH_COOKIE).is_some() {
        refuse_foreign_origin(&app, &headers)?;
    }
    let token = sent.refresh_token.or_else(|| jar.get(REFRESH_COOKIE).map(|cookie| cookie.value().to_owned()));
    let session = session_to_end(&headers, &app);
    service::logout(&app, session, token.as_deref(), &meta).await?;
    Ok((jar.add(refresh_cookie(&app, String::new(), None)), deleted("You are signed out.")))
}

/// Public keys of the access tokens (RFC 7517)
#[utoipa::path(get, path = "/.well-known/jwks.json", tag = "Accounts", security(()), responses(
    (status = 200, body = serde_json::Value),
))]
pub(super) async fn get_jwks(
    State(app): State<App>,
) -> ([(header::HeaderName, &'static str); 1], Json<serde_json::Value>) {
    // Shorter than a rotation waits before the new key signs.
    ([(header::CACHE_CONTROL, "public, max-age=60")], Json(app.token_keys.jwks(app.clock.now())))
}

/// A body that may be left out.
fn optional_body<T: Default + serde::de::DeserializeOwned>(body: &[u8]) -> Result<T> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(T::default());
    }
    crate::platform::http::json::parse(body)
}

/// A browser says where a request comes from; a page of another site must not use the cookie.
fn refuse_foreign_origin(app: &App, headers: &HeaderMap) -> Result<()> {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let foreign = match header("origin") {
        Some(origin) => {
            origin != app.config.public_url() && !app.config.server.cors_origins.iter().any(|known| known == origin)
        }
        None => header("sec-fetch-site") == Some("cross-site"),
    };
    if foreign { Err(Error::Forbidden("This site may not use your sign-in.".into())) } else { Ok(()) }
}
