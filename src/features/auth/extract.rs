//! Who is asking: what is found out before every handler, and what handlers take from it.

use axum::extract::{FromRequestParts, MatchedPath, OptionalFromRequestParts, Request};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, HeaderValue};

use super::model::Role;
use super::permissions::{Access, AccessTable};
use super::sessions_service;
use super::tokens::TokenFault;
use crate::app::App;
use crate::platform::error::{Error, Result};
use crate::platform::ids::{SessionId, UserId};

/// A signed-in person, proven by an access token whose session lives. As an extractor it refuses everybody else; as
/// `Option<Identity>` it lets guests pass, but not a wrong or expired token.
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

/// What the token of a request is worth by itself.
#[derive(Clone, Debug)]
struct Presented(Result<Identity, TokenFault>);

/// An identity whose session was found alive in this request.
#[derive(Clone, Debug)]
struct Proven(Identity);

/// Reads the access token. Whether its session still lives is asked where it matters: see [`authorize`].
///
/// Leaves an [`Identity`] in the request's extensions, which counts requests; handlers take theirs as an extractor.
pub fn identify(app: &App, request: &mut Request) {
    let Some(header) = request.headers().get(AUTHORIZATION) else { return };
    let presented = match bearer(header) {
        Some(token) => app.token_keys.check(token, app.clock.now()).map(|claims| Identity {
            user_id: claims.sub,
            role: claims.role,
            session_id: claims.sid,
        }),
        None => Err(TokenFault::Invalid),
    };
    if let Ok(identity) = &presented {
        request.extensions_mut().insert(identity.clone());
    }
    request.extensions_mut().insert(Presented(presented));
}

/// Refuses whoever may not use a route, before anything of the request's body is read.
///
/// # Errors
/// `Unauthenticated` without a token, or with one that is worth nothing; `Forbidden` where the role does not suffice.
pub async fn authorize(app: &App, table: &AccessTable, request: &mut Request) -> Result<()> {
    let path = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let access = match table.find(request.method(), path) {
        Some(access) => access,
        None if path.starts_with("/api/") && !table.has(path) => {
            return Err(Error::Forbidden("This address is in no document, so nobody may use it.".into()));
        }
        // Pages, documents and assets are not in the table: they are for everybody.
        None => Access::Open,
    };
    if access == Access::Open { Ok(()) } else { Box::pin(demand(app, access, request.extensions_mut())).await }
}

async fn demand(app: &App, access: Access, known: &mut Extensions) -> Result<()> {
    match (access, prove(known, app).await?) {
        (Access::Open | Access::Optional, _) | (Access::SignedIn, Some(_)) => Ok(()),
        (Access::SignedIn | Access::Needs(_), None) => Err(sign_in_first()),
        (Access::Needs(permission), Some(identity)) => {
            identity.require(permission)?;
            sessions_service::require_second_factor(app, &identity).await
        }
    }
}

fn sign_in_first() -> Error {
    Error::Unauthenticated("Please sign in first.".into())
}

/// The person that the token proves, once its session was found alive. None without a token.
async fn prove(known: &mut Extensions, app: &App) -> Result<Option<Identity>> {
    if let Some(Proven(identity)) = known.get() {
        return Ok(Some(identity.clone()));
    }
    let Some(Presented(presented)) = known.get().cloned() else { return Ok(None) };
    let identity = presented?;
    sessions_service::require_live(app, &identity).await?;
    known.insert(Proven(identity.clone()));
    Ok(Some(identity))
}

/// The session that whoever signs out names with his access token, which may be over. None without a token of ours.
pub(super) fn session_to_end(headers: &HeaderMap, app: &App) -> Option<(UserId, SessionId)> {
    let token = bearer(headers.get(AUTHORIZATION)?)?;
    app.token_keys.check_signature(token, app.clock.now()).ok().map(|claims| (claims.sub, claims.sid))
}

fn bearer(header: &HeaderValue) -> Option<&str> {
    let (scheme, token) = header.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

impl FromRequestParts<App> for Identity {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self> {
        prove(&mut parts.extensions, app).await?.ok_or_else(sign_in_first)
    }
}

impl OptionalFromRequestParts<App> for Identity {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Option<Self>> {
        prove(&mut parts.extensions, app).await
    }
}
