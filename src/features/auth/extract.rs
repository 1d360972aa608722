//! Who is asking: two layers around all routes, and what handlers take from them.

use std::sync::Arc;

use axum::extract::{FromRequestParts, MatchedPath, OptionalFromRequestParts, Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

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
pub async fn identify(State(app): State<App>, mut request: Request, next: Next) -> Response {
    if let Some(header) = request.headers().get(AUTHORIZATION) {
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
    next.run(request).await
}

/// What [`authorize`] needs.
#[derive(Clone, Debug)]
pub struct Gate {
    /// The application.
    pub app: App,
    /// Who may use which route.
    pub table: Arc<AccessTable>,
}

/// Refuses whoever may not use a route, before anything of the request's body is read.
pub async fn authorize(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    if path.starts_with("/api/") && !gate.table.has(path) {
        return Error::Forbidden("This address is in no document, so nobody may use it.".into()).into_response();
    }
    // Pages, documents and assets are not in the table: they are for everybody.
    let access = gate.table.find(request.method(), path).unwrap_or(Access::Open);
    if access == Access::Open {
        return next.run(request).await;
    }
    let (mut parts, body) = request.into_parts();
    let admitted = async {
        let identity = prove(&mut parts, &gate.app).await?;
        match (access, identity) {
            (Access::Open | Access::Optional, _) => Ok(()),
            (Access::SignedIn | Access::Needs(_), None) => Err(sign_in_first()),
            (Access::SignedIn, Some(_)) => Ok(()),
            (Access::Needs(permission), Some(identity)) => {
                identity.require(permission)?;
                sessions_service::require_second_factor(&gate.app, &identity).await
            }
        }
    };
    match admitted.await {
        Ok(()) => next.run(Request::from_parts(parts, body)).await,
        Err(error) => error.into_response(),
    }
}

fn sign_in_first() -> Error {
    Error::Unauthenticated("Please sign in first.".into())
}

/// The person that the token proves, once its session was found alive. None without a token.
async fn prove(parts: &mut Parts, app: &App) -> Result<Option<Identity>> {
    if let Some(Proven(identity)) = parts.extensions.get() {
        return Ok(Some(identity.clone()));
    }
    let Some(Presented(presented)) = parts.extensions.get().cloned() else { return Ok(None) };
    let identity = presented?;
    sessions_service::require_live(app, &identity).await?;
    parts.extensions.insert(Proven(identity.clone()));
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
        prove(parts, app).await?.ok_or_else(sign_in_first)
    }
}

impl OptionalFromRequestParts<App> for Identity {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Option<Self>> {
        prove(parts, app).await
    }
}
