//! Rate limits: who is counted, against what, and what is told. The clock is moved, so nothing here waits.

use agape::features::auth::Role;
use chrono::TimeDelta;
use reqwest::Method;
use serde_json::json;

use crate::support::{Answer, TestApp};

/// Moves the clock to the start of a minute in which nothing counts yet, so that no test meets a border by chance.
fn new_minute(shop: &TestApp) {
    let elapsed = shop.app.clock.now().timestamp_millis().rem_euclid(60_000);
    shop.app.clock.advance(TimeDelta::milliseconds(120_000 - elapsed));
}

/// A shop behind a proxy on this machine.
async fn behind_a_proxy(public: u32, auth: u32) -> TestApp {
    TestApp::with(|config| {
        config.server.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
        config.limits.public_per_minute = public;
        config.limits.auth_per_minute = auth;
        config.auth.lock_after_failures = 100;
    })
    .await
}

async fn look(shop: &TestApp, ip: &str) -> Answer {
    shop.get("/products").header("x-forwarded-for", ip).send().await
}

async fn login(shop: &TestApp, ip: &str, email: &str, password: &str) -> Answer {
    let body = json!({"email": email, "password": password});
    shop.post("/auth/login").header("x-forwarded-for", ip).json(&body).send().await
}

fn seconds(answer: &Answer, name: &str) -> i64 {
    answer.header(name).unwrap().parse().unwrap()
}

/// Checks every field of an answer that was counted in the first seconds of a minute.
#[track_caller]
fn tells(answer: &Answer, class: &str, limit: u32, remaining: u32) {
    let header = |name: &str| answer.header(name).unwrap_or_default();
    assert_eq!(header("x-ratelimit-limit"), limit.to_string(), "{answer:?}");
    assert_eq!(header("x-ratelimit-remaining"), remaining.to_string(), "{answer:?}");
    let reset = seconds(answer, "x-ratelimit-reset");
    assert!((1..=60).contains(&reset), "{answer:?}");
    assert_eq!(header("ratelimit-policy"), format!("\"{class}\";q={limit};w=60"));
    assert_eq!(header("ratelimit"), format!("\"{class}\";r={remaining};t={reset}"));
    let retry_after = (answer.status == 429).then(|| reset.to_string());
    assert_eq!(answer.header("retry-after"), retry_after, "{answer:?}");
}

#[track_caller]
fn tells_nothing(answer: &Answer) {
    for name in ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset", "ratelimit-policy", "ratelimit"] {
        assert_eq!(answer.header(name), None, "{answer:?}");
    }
    assert_ne!(answer.status, 429, "{answer:?}");
}

/// An address has its requests a minute; each answer says how many are left, and the refusal when to come again.
#[tokio::test]
async fn an_address_has_its_requests_a_minute() {
    let shop = TestApp::with(|config| config.limits.public_per_minute = 3).await;
    new_minute(&shop);
    for (path, status, remaining) in [("/products", 200, 2), ("/made-up", 404, 1), ("/products?page=x", 400, 0)] {
        let answer = shop.get(path).send().await;
        assert_eq!(answer.status, status, "{}", answer.text);
        tells(&answer, "public", 3, remaining);
    }
    for path in ["/products", "/made-up", "//"] {
        let answer = shop.get(path).send().await;
        answer.expect_error(429, "RATE_LIMIT_EXCEEDED");
        tells(&answer, "public", 3, 0);
        let wait = answer.header("retry-after").unwrap();
        assert!(answer.body["message"].as_str().unwrap().contains(&format!("in {wait} seconds")), "{}", answer.text);
    }
    // A minute later one has come free, and the others come free over the minute: no burst at its border.
    shop.app.clock.advance(TimeDelta::seconds(60));
    shop.get("/products").send().await.expect(200);
    let refused = shop.get("/products").send().await;
    refused.expect_error(429, "RATE_LIMIT_EXCEEDED");
    let wait = seconds(&refused, "retry-after");
    assert!((15..=21).contains(&wait), "{wait}");
    shop.app.clock.advance(TimeDelta::seconds(wait));
    shop.get("/products").send().await.expect(200);
    shop.get("/products").send().await.expect_error(429, "RATE_LIMIT_EXCEEDED");
    new_minute(&shop);
    for remaining in [2, 1, 0] {
        tells(&shop.get("/products").send().await, "public", 3, remaining);
    }
}

/// A person before a browser reads a page, with the same status and headers; programs get JSON, on all addresses.
#[tokio::test]
async fn a_browser_is_refused_with_a_page() {
    let shop = TestApp::with(|config| config.limits.public_per_minute = 1).await;
    new_minute(&shop);
    let browser = "text/html,application/xhtml+xml,*/*;q=0.8";
    assert_eq!(shop.get("//").header("accept", browser).send().await.status, 200);
    let page = shop.get("//").header("accept", browser).send().await;
    assert_eq!(page.status, 429);
    tells(&page, "public", 1, 0);
    assert_eq!(page.header("content-type").as_deref(), Some("text/html; charset=utf-8"));
    assert_eq!(page.header("cache-control").as_deref(), Some("no-store"));
    assert!(page.header("content-security-policy").unwrap().contains("style-src 'self'"));
    let wait = page.header("retry-after").unwrap();
    assert!(page.text.starts_with("<!doctype html>") && page.text.contains(&format!("in {wait} seconds")), "{page:?}");
    shop.get("//").send().await.expect_error(429, "RATE_LIMIT_EXCEEDED");
    shop.get("/products").header("accept", browser).send().await.expect_error(429, "RATE_LIMIT_EXCEEDED");
}

/// However many come at once, the limit is exact.
#[tokio::test]
async fn requests_at_once_get_exactly_the_limit() {
    let shop = TestApp::with(|config| config.limits.public_per_minute = 7).await;
    new_minute(&shop);
    let answers = futures::future::join_all((0..30).map(|_| shop.get("/products").send())).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 7);
    assert_eq!(answers.iter().filter(|answer| answer.status == 429).count(), 23);
}

/// Attempts to sign in from one address are few, whichever accounts they try, and a right password does not help.
#[tokio::test]
async fn an_address_may_try_few_passwords() {
    let shop = TestApp::with(|config| config.limits.auth_per_minute = 5).await;
    let token = shop.customer("ama@example.com").await;
    new_minute(&shop);
    for i in 0..5 {
        let body = json!({"email": format!("u{i}@example.com"), "password": "Wrong@1234"});
        let answer = shop.post("/auth/login").json(&body).send().await;
        answer.expect_error(401, "AUTHENTICATION_ERROR");
        tells(&answer, "auth", 5, 4 - i);
    }
    let body = json!({"email": "ama@example.com", "password": "Test@1234"});
    let answer = shop.post("/auth/login").json(&body).send().await;
    answer.expect_error(429, "RATE_LIMIT_EXCEEDED");
    tells(&answer, "auth", 5, 0);
    // All doors have one limit.
    shop.post("/auth/verify-email").json(&json!({"token": "x"})).send().await.expect_error(429, "RATE_LIMIT_EXCEEDED");
    shop.post("//verify-email").form("token=x").send().await.expect_error(429, "RATE_LIMIT_EXCEEDED");
    // What tries nothing is not concerned.
    tells_nothing(&shop.get("//verify-email").send().await);
    tells_nothing(&shop.post("/auth/refresh").json(&json!({})).send().await);
    shop.get("/auth/me").token(&token).send().await.expect(200);
    shop.app.clock.advance(TimeDelta::seconds(seconds(&answer, "retry-after")));
    shop.post("/auth/login").json(&body).send().await.expect(200);
}

/// Attempts on one account are few, wherever they come from, whether it exists or not.
#[tokio::test]
async fn an_account_may_be_tried_few_times() {
    let shop = behind_a_proxy(0, 5).await;
    shop.customer("ama@example.com").await;
    new_minute(&shop);
    for (net, email) in [(1, "ama@example.com"), (2, "nobody@example.com")] {
        for i in 0..5 {
            let answer = login(&shop, &format!("203.0.{net}.{i}"), email, "Wrong@1234").await;
            answer.expect_error(401, "AUTHENTICATION_ERROR");
            tells(&answer, "auth", 5, 4);
        }
        let answer = login(&shop, &format!("203.0.{net}.9"), &email.to_uppercase(), "Test@1234").await;
        answer.expect_error(429, "RATE_LIMIT_EXCEEDED");
        // The address has four left, but it is the account that is refused.
        tells(&answer, "auth", 5, 0);
    }
    let answer = login(&shop, "203.0.1.9", "ben@example.com", "Wrong@1234").await;
    answer.expect_error(401, "AUTHENTICATION_ERROR");
    tells(&answer, "auth", 5, 3);
    shop.app.clock.advance(TimeDelta::seconds(61));
    login(&shop, "203.0.1.9", "ama@example.com", "Test@1234").await.expect(200);
}

/// Addresses do not share, but those of one IPv6 line do.
#[tokio::test]
async fn addresses_do_not_share_but_a_v6_network_does() {
    let shop = behind_a_proxy(2, 0).await;
    new_minute(&shop);
    for ip in ["203.0.113.7", "203.0.113.8", "2001:db8::1", "2001:db8:0:1::1"] {
        tells(&look(&shop, ip).await, "public", 2, 1);
    }
    tells(&look(&shop, "203.0.113.7").await, "public", 2, 0);
    look(&shop, "::ffff:203.0.113.7").await.expect_error(429, "RATE_LIMIT_EXCEEDED");
    tells(&look(&shop, "2001:db8::abcd:0:0:2").await, "public", 2, 0);
    look(&shop, "2001:db8::3").await.expect_error(429, "RATE_LIMIT_EXCEEDED");
    look(&shop, "203.0.113.8").await.expect(200);
}

/// Without a proxy that is trusted, a made-up address changes nothing.
#[tokio::test]
async fn a_made_up_address_does_not_help() {
    let shop = TestApp::with(|config| config.limits.public_per_minute = 3).await;
    new_minute(&shop);
    for i in 0..3 {
        look(&shop, &format!("203.0.113.{i}")).await.expect(200);
    }
    look(&shop, "203.0.113.9").await.expect_error(429, "RATE_LIMIT_EXCEEDED");
}

/// Staff are counted by person, not by address, and have more.
#[tokio::test]
async fn staff_are_counted_by_person() {
    let shop = TestApp::with(|config| {
        config.server.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
        config.limits.public_per_minute = 2;
        config.limits.admin_per_minute = 4;
    })
    .await;
    let (admin, merchant) = (shop.staff(Role::Admin).await, shop.staff(Role::Merchant).await);
    let customer = shop.customer("ama@example.com").await;
    new_minute(&shop);
    let ask =
        async |token: &str, ip: &str| shop.get("/products").token(token).header("x-forwarded-for", ip).send().await;
    for (remaining, ip) in [(3, "203.0.113.1"), (2, "203.0.113.1"), (1, "203.0.113.2"), (0, "203.0.113.3")] {
        tells(&ask(&admin, ip).await, "admin", 4, remaining);
    }
    let refused = ask(&admin, "203.0.113.4").await;
    refused.expect_error(429, "RATE_LIMIT_EXCEEDED");
    tells(&refused, "admin", 4, 0);
    tells(&ask(&merchant, "203.0.113.1").await, "admin", 4, 3);
    // A customer, and whoever sends a token that is not one, is counted by address.
    tells(&ask(&customer, "203.0.113.1").await, "public", 2, 1);
    tells(&ask("not a token", "203.0.113.1").await, "public", 2, 0);
    ask(&customer, "203.0.113.1").await.expect_error(429, "RATE_LIMIT_EXCEEDED");
}

/// Monitors, pictures, webhooks and documents are not counted, and neither is what a browser asks before a request.
#[tokio::test]
async fn health_media_webhooks_and_preflight_are_not_counted() {
    let shop = TestApp::with(|config| config.limits.public_per_minute = 2).await;
    new_minute(&shop);
    for path in [
        "//healthz",
        "//readyz",
        "//metrics",
        "//media/demo/nothing.png",
        "//assets/pages.css",
        "//favicon.ico",
        "//.well-known/jwks.json",
        "//openapi.json",
        "//docs/",
        "//dev/mail",
    ] {
        for _ in 0..3 {
            tells_nothing(&shop.get(path).send().await);
        }
    }
    for _ in 0..3 {
        tells_nothing(&shop.post("/webhooks/paystack").raw("{}").send().await);
        tells_nothing(&shop.get("//sandbox/paystack/checkout/nothing").send().await);
        let preflight = shop.http.request(Method::OPTIONS, format!("{}/api/v1/products", shop.url));
        let preflight = preflight
            .header("origin", "http://localhost:3000")
            .header("access-control-request-method", "GET")
            .send()
            .await
            .unwrap();
        assert_eq!(preflight.status(), 200);
        assert!(preflight.headers().get("x-ratelimit-limit").is_none());
    }
    let call = || shop.get("/products").header("origin", "http://localhost:3000").send();
    let answer = call().await;
    tells(&answer, "public", 2, 1);
    let exposed = answer.header("access-control-expose-headers").unwrap();
    for name in ["retry-after", "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset", "ratelimit-policy"] {
        assert!(exposed.split(',').any(|field| field.trim() == name), "{name}: {exposed}");
    }
    call().await.expect(200);
    // A page of the storefront may read the refusal too.
    let refused = call().await;
    refused.expect_error(429, "RATE_LIMIT_EXCEEDED");
    assert_eq!(refused.header("access-control-allow-origin").as_deref(), Some("http://localhost:3000"));
    tells_nothing(&shop.get("//healthz").send().await);
}

/// 0 turns a limit off, and nothing is told of it.
#[tokio::test]
async fn zero_turns_a_limit_off() {
    let shop = TestApp::with(|config| config.auth.lock_after_failures = 100).await;
    for _ in 0..12 {
        tells_nothing(&shop.get("/products").send().await);
        tells_nothing(&login(&shop, "203.0.113.7", "ama@example.com", "Wrong@1234").await);
    }
    let defaults = agape::platform::config::Config::defaults().unwrap().limits;
    assert_eq!((defaults.public_per_minute, defaults.auth_per_minute, defaults.admin_per_minute), (100, 5, 200));
}
