//! Whose cart it is: an account's, or that of whoever holds a guest token.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use axum_extra::extract::cookie::{Cookie, CookieJar, SameSite};
use cookie::time;

use crate::app::App;
use crate::features::auth::Identity;
use crate::platform::crypto::sha256;
use crate::platform::error::{Error, Result};
use crate::platform::ids::UserId;

/// The cookie of a guest's cart. Clients without cookies send the token as `X-Cart-Token`.
const CART_COOKIE: &str = "agape_cart";

/// As long as browsers keep a cookie: the cart ends in the shop, and its cookie must not end before.
const COOKIE_DAYS: i64 = 400;

/// The SHA-256 of a guest's token.
pub type TokenHash = [u8; 32];

/// The owner of the cart that a request means.
#[derive(Clone, Debug)]
pub enum Owner {
    /// A signed-in person.
    User(UserId),
    /// A guest.
    Guest(TokenHash),
    /// A guest without a token yet.
    Stranger,
}

impl Owner {
    /// The two columns that name an owner.
    pub(super) fn columns(&self) -> (Option<UserId>, Option<&[u8]>) {
        match self {
            Self::User(id) => (Some(*id), None),
            Self::Guest(hash) => (None, Some(hash)),
            Self::Stranger => (None, None),
        }
    }
}

impl FromRequestParts<App> for Owner {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self> {
        let identity = <Option<Identity> as FromRequestParts<App>>::from_request_parts(parts, app).await?;
        if let Some(identity) = identity {
            return Ok(Self::User(identity.user_id));
        }
        if let Some(header) = parts.headers.get("x-cart-token") {
            // Its sender can mend it; a cookie that is none may be anybody's, and a new one takes its place.
            let hash = header.to_str().ok().and_then(hash_of).ok_or_else(|| {
                Error::field(
                    "X-Cart-Token",
                    "must be the cartToken of an answer of this shop; leave it out without one",
                )
            })?;
            return Ok(Self::Guest(hash));
        }
        Ok(cookie_hash(&parts.headers).map_or(Self::Stranger, Self::Guest))
    }
}

/// The guest's cart that a request carries along, whoever sends it. What cannot be a token is none.
#[derive(Clone, Copy, Debug)]
pub struct Carried(pub Option<TokenHash>);

impl<S: Send + Sync> FromRequestParts<S> for Carried {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> std::result::Result<Self, Infallible> {
        let header = parts.headers.get("x-cart-token").and_then(|value| value.to_str().ok()).and_then(hash_of);
        Ok(Self(header.or_else(|| cookie_hash(&parts.headers))))
    }
}

fn cookie_hash(headers: &HeaderMap) -> Option<TokenHash> {
    CookieJar::from_headers(headers).get(CART_COOKIE).and_then(|cookie| hash_of(cookie.value()))
}

/// The hash of a token of 64 hexadecimal digits.
pub(super) fn hash_of(token: &str) -> Option<TokenHash> {
    (token.len() == 64 && token.bytes().all(|b| b.is_ascii_hexdigit())).then(|| sha256(token.as_bytes()))
}

/// The cookie of a new token.
pub(super) fn cookie(app: &App, token: String) -> Cookie<'static> {
    build(app, token, COOKIE_DAYS)
}

/// Takes the cookie from a browser, once its cart belongs to an account.
pub fn no_cookie(app: &App) -> Cookie<'static> {
    build(app, String::new(), 0)
}

fn build(app: &App, token: String, days: i64) -> Cookie<'static> {
    Cookie::build((CART_COOKIE, token))
        .path("/")
        .http_only(true)
        .same_site(SameSite::Lax)
        .secure(app.config.public_url().starts_with("https://"))
        .max_age(time::Duration::days(days))
        .build()
}
