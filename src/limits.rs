//! Which requests are counted, for whom and against which limit.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use axum::extract::{MatchedPath, Request};
use axum::http::Method;
use axum::response::Response;

use crate::app::App;
use crate::features::auth::{Identity, Role};
use crate::features::coupons::{self, Code};
use crate::platform::error::{Error, Result};
use crate::platform::http::RequestMeta;
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

/// How long a try of a code waits for those before it.
const TURN: Duration = Duration::from_secs(5);

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

/// Lets an address try only so many codes of coupons that there are not, and says nothing of any code to whoever has tried too many. Each
/// try is counted before the code is looked up, so that tries at once tell no more than others, and given back if there is such a coupon.
/// Those of one address take turns for that moment, so that right codes are in nobody's way, however many come to a server at once.
///
/// # Errors
/// `RateLimited` after too many wrong codes in a minute; `Unavailable` when there are too many tries before; the database's.
pub async fn check_code(app: &App, meta: &RequestMeta, code: Option<&Code>) -> Result<()> {
    let Some(code) = code.filter(|_| app.rate_limiter.limit(Class::Auth) > 0) else { return Ok(()) };
    let ip = meta.ip.as_deref().and_then(|ip| ip.parse().ok());
    let key = Key::codes(ip.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)));
    let turn = tokio::time::timeout(TURN, app.rate_limiter.turn(&key)).await;
    let turn = turn.map_err(|_| Error::Unavailable(anyhow::anyhow!("too many codes of coupons come at once")))?;
    let (app, code) = (app.clone(), code.clone());
    // In a task of its own: what is counted is given back even if the client goes away.
    let trying = tokio::spawn(async move {
        let tried = try_code(&app, &key, &code).await;
        drop(turn);
        tried
    });
    trying.await.map_err(Error::internal)?
}

async fn try_code(app: &App, key: &Key, code: &Code) -> Result<()> {
    let (verdict, reserved) = app.rate_limiter.reserve(Class::Auth, key, app.clock.now()).await;
    if !verdict.allowed {
        return Err(refusal(Class::Auth, &verdict));
    }
    let is_known = is_known(app, code).await;
    // Where the database does not answer, nobody has learnt anything.
    if let Some(reserved) = reserved.filter(|_| !matches!(is_known, Ok(false))) {
        app.rate_limiter.give_back(reserved).await;
    }
    is_known.map(|_| ())
}

async fn is_known(app: &App, code: &Code) -> Result<bool> {
    let mut connection = app.db.acquire().await?;
    let is_known = coupons::is_known(&mut connection, code).await?;
    connection.done();
    Ok(is_known)
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
