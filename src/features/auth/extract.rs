//! Who is asking.

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};

use super::model::Role;
use crate::app::App;
use crate::platform::error::{Error, Result};
use crate::platform::ids::{SessionId, UserId};

/// A signed-in person, proven by an access token. As an extractor it refuses everybody else; as `Option<Identity>`
/// it lets guests pass, but not a wrong or expired token.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The account.
    pub user_id: UserId,
    /// What the account may do.
    pub role: Role,
    /// The session of the token.
    pub session_id: SessionId,
}

/// Whoever asks: a signed-in person or a guest.
pub type Caller = Option<Identity>;

/// The session that whoever signs out names with his access token, which may be over. None without a token of ours.
pub(super) fn session_to_end(headers: &HeaderMap, app: &App) -> Option<SessionId> {
    let token = bearer(headers.get(AUTHORIZATION)?)?;
    app.token_keys.check_signature(token).ok().map(|claims| claims.sid)
}

fn bearer(header: &HeaderValue) -> Option<&str> {
    let (scheme, token) = header.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn identify(parts: &Parts, app: &App) -> Result<Option<Identity>> {
    let Some(header) = parts.headers.get(AUTHORIZATION) else { return Ok(None) };
    let token = bearer(header)
        .ok_or_else(|| Error::Unauthenticated("Send the access token as \"Authorization: Bearer <token>\".".into()))?;
    let claims = app.token_keys.check(token, app.clock.now())?;
    Ok(Some(Identity { user_id: claims.sub, role: claims.role, session_id: claims.sid }))
}

impl FromRequestParts<App> for Identity {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self> {
        identify(parts, app)?.ok_or_else(|| Error::Unauthenticated("Please sign in first.".into()))
    }
}

impl OptionalFromRequestParts<App> for Identity {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Option<Self>> {
        identify(parts, app)
    }
}
