//! Which requests are counted, for whom and against which limit.

use std::net::{IpAddr, Ipv4Addr};

use axum::extract::{MatchedPath, Request};
use axum::http::Method;
use axum::response::Response;

use crate::app::App;
use crate::features::auth::{Identity, Role};
use crate::platform::error::{Error, Result};
use crate::platform::http::envelope::{tell_limit, tells_limit};
use crate::platform::http::layers::ClientIp;
use crate::platform::rate_limit::{Class, Key, Verdict};

/// Where a POST tries a password, a code, a coupon or a token, or has a mail sent, without being signed in. Who is signed in is counted
/// by his account where he tries a password: see [`check_account`].
const ATTEMPTS: &[&str] = &[
    "/api/v1/auth/register",
    "/api/v1/auth/login",
    "/api/v1/auth/login/2fa",
    "/api/v1/auth/password-reset-request",
    "/api/v1/auth/password-reset",
    "/api/v1/auth/verify-email",
    "/verify-email",
    "/reset-password",
    "/forgot-password",
    "/api/v1/products/{product}/back-in-stock",
    "/api/v1/coupons/preview",
];

/// What monitors, browsers, payment providers and developers ask, and costs next to nothing.
const FREE: &[&str] =
    &["/healthz", "/readyz", "/metrics", "/favicon.ico", "/openapi.json", "/docs", "/dev/mail", "/api/v1/webhooks"];

/// The same, with everything below it.
const FREE_BELOW: &[&str] = &["/media/", "/assets/", "/.well-known/", "/docs/", "/dev/mail/", "/api/v1/webhooks/"];

/// The limit that a request was counted against, if it was.
#[derive(Debug)]
pub struct Counted(Option<(Class, Verdict)>);

impl Counted {
    /// Tells the state of the limit. A handler that refused because of the account has told that limit already.
    pub fn tell(&self, response: &mut Response) {
        if let Some((class, verdict)) = &self.0
            && verdict.limit > 0
            && !tells_limit(response.headers())
        {
            tell_limit(response.headers_mut(), *class, verdict);
        }
    }
}

/// Counts a request.
///
/// Attempts to sign in and the like are counted by address, whoever makes them; other requests of staff by their
/// account, and all others by address.
///
/// # Errors
/// `RateLimited` when there were too many.
pub fn count<'a>(app: &'a App, request: &Request) -> impl Future<Output = Result<Counted>> + use<'a> {
    // Before the first wait, as a request's body must not be shared between threads.
    let counted = counted(request);
    async move {
        let Some((class, key)) = counted else { return Ok(Counted(None)) };
        let verdict = app.rate_limiter.check(class, &key, app.clock.now()).await;
        if verdict.allowed { Ok(Counted(Some((class, verdict)))) } else { Err(refusal(class, &verdict)) }
    }
}

/// Counts an attempt on an account, wherever it comes from. `account` is its e-mail address, or its id where the caller
/// is signed in. Whether there is such an account makes no difference, so the limit does not tell.
///
/// # Errors
/// `RateLimited` after too many attempts in a minute.
pub async fn check_account(app: &App, account: &str) -> Result<()> {
    let verdict = app.rate_limiter.check(Class::Auth, &Key::account(account), app.clock.now()).await;
    if verdict.allowed { Ok(()) } else { Err(refusal(Class::Auth, &verdict)) }
}

/// The limit and the key of a request, if it is counted.
fn counted(request: &Request) -> Option<(Class, Key)> {
    let route = request.extensions().get::<MatchedPath>();
    let path = route.map_or(request.uri().path(), MatchedPath::as_str);
    let is_free = FREE.contains(&path) || FREE_BELOW.iter().any(|tree| path.starts_with(tree));
    if is_free || request.method() == Method::OPTIONS {
        return None;
    }
    let is_attempt = request.method() == Method::POST && ATTEMPTS.contains(&path);
    let staff = request.extensions().get::<Identity>().filter(|identity| identity.role != Role::Customer);
    Some(match staff {
        Some(identity) if !is_attempt => (Class::Admin, Key::account(&identity.user_id.to_string())),
        _ => {
            // Whoever hides the address shares a limit with all who do.
            let ip = request.extensions().get::<ClientIp>().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |ip| ip.0);
            (if is_attempt { Class::Auth } else { Class::Public }, Key::ip(ip))
        }
    })
}

fn refusal(class: Class, verdict: &Verdict) -> Error {
    metrics::counter!("agape_rate_limited_total", "class" => class.as_str()).increment(1);
    verdict.refusal(class)
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http;

    use super::*;
    use crate::platform::ids::{SessionId, UserId};

    fn request(method: Method, path: &str, role: Option<Role>) -> Request {
        let mut request = http::Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        if let Some(role) = role {
            request.extensions_mut().insert(Identity { user_id: UserId::new(), role, session_id: SessionId::new() });
        }
        request
    }

    fn class(method: Method, path: &str, role: Option<Role>) -> Option<Class> {
        counted(&request(method, path, role)).map(|(class, _)| class)
    }

    #[test]
    fn a_request_is_counted_by_its_route_and_by_who_asks() {
        let products = "/api/v1/products";
        assert_eq!(class(Method::GET, products, None), Some(Class::Public));
        assert_eq!(class(Method::GET, products, Some(Role::Customer)), Some(Class::Public));
        for role in [Role::Admin, Role::Merchant, Role::Fulfilment, Role::Finance] {
            assert_eq!(class(Method::POST, products, Some(role)), Some(Class::Admin));
        }
        assert_eq!(class(Method::GET, "/made-up", None), Some(Class::Public));
        assert_eq!(class(Method::GET, "/", None), Some(Class::Public));
    }

    #[test]
    fn attempts_are_counted_by_address_whoever_makes_them() {
        for path in ATTEMPTS {
            for role in [None, Some(Role::Customer), Some(Role::Admin)] {
                assert_eq!(class(Method::POST, path, role), Some(Class::Auth), "{path}");
            }
            assert_eq!(class(Method::GET, path, None), Some(Class::Public), "{path}");
        }
        assert_eq!(class(Method::POST, "/api/v1/auth/refresh", None), Some(Class::Public));
    }

    #[test]
    fn health_media_webhooks_and_preflight_are_free() {
        for path in ["/healthz", "/metrics", "/media/a.png", "/api/v1/webhooks/paystack", "/docs/", "/dev/mail/7"] {
            assert_eq!(class(Method::GET, path, None), None, "{path}");
            assert_eq!(class(Method::POST, path, Some(Role::Admin)), None, "{path}");
        }
        assert_eq!(class(Method::OPTIONS, "/api/v1/orders", None), None);
        for path in ["/mediation", "/healthz/x", "/docsy", "/api/v1/webhooksy", "/dev/mails"] {
            assert_eq!(class(Method::GET, path, None), Some(Class::Public), "{path}");
        }
    }
}
