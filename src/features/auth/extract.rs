//! Who is asking.

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;

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

fn identify(parts: &Parts, app: &App) -> Result<Option<Identity>> {
    let Some(header) = parts.headers.get(AUTHORIZATION) else { return Ok(None) };
    let token = header
        .to_str()
        .ok()
        .and_then(|text| text.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim())
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
