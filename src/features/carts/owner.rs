//! Whose cart it is: an account's, or that of whoever holds a guest token.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum_extra::extract::cookie::CookieJar;

use crate::app::App;
use crate::features::auth::Identity;
use crate::platform::crypto::sha256;
use crate::platform::error::{Error, Result};
use crate::platform::ids::UserId;

/// The cookie of a guest's cart. Clients without cookies send the token as `X-Cart-Token`.
pub(super) const CART_COOKIE: &str = "agape_cart";

/// The owner of the cart that a request means.
#[derive(Clone, Debug)]
pub enum Owner {
    /// A signed-in person.
    User(UserId),
    /// A guest: the SHA-256 of his token.
    Guest([u8; 32]),
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
        let header = parts.headers.get("x-cart-token").and_then(|value| value.to_str().ok()).map(str::to_owned);
        let token = header
            .or_else(|| {
                CookieJar::from_headers(&parts.headers).get(CART_COOKIE).map(|cookie| cookie.value().to_owned())
            })
            .filter(|token| token.len() == 64 && token.bytes().all(|b| b.is_ascii_hexdigit()));
        Ok(token.map_or(Self::Stranger, |token| Self::Guest(sha256(token.as_bytes()))))
    }
}
