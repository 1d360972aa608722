//! Accounts: registering, signing in, staying signed in, proving an address.

use agape::features::auth::{Role, TokenKeys};
use agape::platform::config::Config;
use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::TimeDelta;
use futures::future::join_all;
use serde_json::{Value, json};

use crate::support::{Answer, TestApp};

const AMA: &str = "ama@example.com";
const PASSWORD: &str = "Test@1234";

fn registration(email: &str) -> Value {
    json!({"email": email, "password": PASSWORD, "name": "Ama Mensah"})
}

pub async fn sign_in(shop: &TestApp, email: &str, password: &str) -> Answer {
    shop.post("/auth/login").json(&json!({"email": email, "password": password})).send().await
}

/// The value of the refresh cookie that an answer sets.
#[track_caller]
pub fn cookie(answer: &Answer) -> String {
    let header = answer.header("set-cookie").unwrap();
    header.split(';').next().unwrap().to_owned()
}

pub async fn refresh(shop: &TestApp, cookie: &str) -> Answer {
    shop.post("/auth/refresh").header("cookie", cookie).send().await
}

pub async fn me(shop: &TestApp, token: &str) -> Answer {
    shop.get("/auth/me").token(token).send().await
}

/// The two calls of the predecessor's page work as printed there.
#[tokio::test]
async fn the_predecessors_calls_work_as_printed() {
    let shop = TestApp::start().await;
    let body = r#"{"email":"test@example.com","password":"Test@1234","name":"Test User"}"#;
    let answer = shop.post("/auth/register").raw(body).send().await;
    let header = answer.header("set-cookie").unwrap();
    for part in ["agape_refresh=", "HttpOnly", "SameSite=Lax", "Path=/api/v1/auth", "Max-Age=25"] {
        assert!(header.contains(part), "{part}: {header}");
    }
    assert!(!header.contains("Secure"), "the shop runs on http: {header}");
    assert!(answer.body["message"].is_string());
    let data = answer.expect(201);
    assert!(data["accessToken"].as_str().unwrap().matches('.').count() == 2);
    assert_eq!(data["refreshToken"], Value::Null);
    let user = &data["user"];
    user["id"].as_str().unwrap().parse::<uuid::Uuid>().unwrap();
    assert_eq!(user["email"], "test@example.com");
    assert_eq!(user["name"], "Test User");
    assert_eq!(user["role"], "customer");
    assert_eq!(user["verified"], false);

    let body = r#"{"email":"test@example.com","password":"Test@1234"}"#;
    let data = shop.post("/auth/login").raw(body).send().await.expect(200);
    assert_eq!(&data["user"], user);
    let token = data["accessToken"].as_str().unwrap();
    assert_eq!(me(&shop, token).await.expect(200)["user"], *user);
    let stored = shop.database.text("select password_hash from users").await.unwrap();
    assert!(stored.starts_with("$argon2id$v=19$"), "{stored}");
}

/// On https the cookie is not sent over plain connections.
#[tokio::test]
async fn the_cookie_is_secure_where_the_shop_is() {
    let shop = TestApp::with(|config| config.server.public_url = "https://shop.example".into()).await;
    let answer = shop.post("/auth/register").json(&registration(AMA)).send().await;
    assert!(answer.header("set-cookie").unwrap().contains("Secure"));
}

/// One address has one account, whatever its case and however many register at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_has_one_account() {
    let shop = TestApp::start().await;
    shop.post("/auth/register").json(&registration("Ama@Example.COM")).send().await.expect(201);
    for email in [AMA, "AMA@EXAMPLE.COM", " ama@example.com "] {
        let answer = shop.post("/auth/register").json(&registration(email)).send().await;
        answer.expect_error(409, "CONFLICT");
    }
    sign_in(&shop, "AMA@example.com", PASSWORD).await.expect(200);
    let body = registration("kofi@example.com");
    let answers = join_all((0..10).map(|_| shop.post("/auth/register").json(&body).send())).await;
    let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409, 409, 409, 409, 409, 409, 409, 409, 409]);
    assert_eq!(shop.database.count("select count(*) from users").await, 2);
    assert_eq!(shop.database.count("select count(*) from sessions").await, 3, "losers leave no session");
}

/// Each rule of passwords refuses by itself, and says what is missing.
#[tokio::test]
async fn weak_passwords_are_refused() {
    let shop = TestApp::start().await;
    let long = format!("Aa1!{}", "x".repeat(125));
    for (password, reason) in [
        ("Te@1234", "8 characters"),
        ("TEST@1234", "lower-case"),
        ("test@1234", "upper-case"),
        ("Test@abcd", "digit"),
        ("Test12345", "special"),
        ("P@ssw0rd", "everybody tries first"),
        ("Ama@Example.com1", "must not contain the e-mail address"),
        (&long, "at most 128"),
    ] {
        let body = json!({"email": AMA, "password": password, "name": "Ama"});
        let answer = shop.post("/auth/register").json(&body).send().await;
        assert_eq!(answer.expect_error(400, "VALIDATION_ERROR"), ["password"], "{password}");
        let message = answer.body["details"][0]["message"].as_str().unwrap();
        assert!(message.contains(reason), "{password}: {message}");
        assert!(!answer.text.contains(password), "{password} is repeated in {}", answer.text);
    }
    assert_eq!(shop.database.count("select count(*) from users").await, 0);
}

/// Every way of writing a Nigerian number is one number; other countries' are kept.
#[tokio::test]
async fn telephone_numbers_are_normalised() {
    let shop = TestApp::start().await;
    for (i, phone) in ["08031234567", "8031234567", "2348031234567", "+234 803-123-4567"].iter().enumerate() {
        let body = json!({"email": format!("p{i}@example.com"), "password": PASSWORD, "name": "A", "phone": phone});
        let data = shop.post("/auth/register").json(&body).send().await.expect(201);
        assert_eq!(data["user"]["phone"], "+2348031234567", "{phone}");
    }
    let body = json!({"email": "gh@example.com", "password": PASSWORD, "name": "A", "phone": "+233 24 123 4567"});
    let data = shop.post("/auth/register").json(&body).send().await.expect(201);
    assert_eq!(data["user"]["phone"], "+233241234567");
}

/// Nobody learns from a refused login which addresses have an account.
#[tokio::test]
async fn a_wrong_password_and_an_unknown_address_look_the_same() {
    let shop = TestApp::start().await;
    shop.customer(AMA).await;
    let plain = |answer: Answer| {
        answer.expect_error(401, "AUTHENTICATION_ERROR");
        let mut body = answer.body;
        body.as_object_mut().unwrap().retain(|key, _| key != "timestamp" && key != "requestId");
        body
    };
    let wrong = plain(sign_in(&shop, AMA, "Wrong@1234").await);
    assert_eq!(plain(sign_in(&shop, "nobody@example.com", "Wrong@1234").await), wrong);
    assert_eq!(plain(sign_in(&shop, "not an address", "Wrong@1234").await), wrong);
    assert_eq!(plain(sign_in(&shop, "", "").await), wrong);
    // Both leave the same trace, so they also cost the same.
    assert_eq!(shop.database.count("select count(*) from audit_log where action = 'user.login_failed'").await, 4);
    let named = "select count(*) from audit_log where action = 'user.login_failed' and entity_id is not null";
    assert_eq!(shop.database.count(named).await, 1);
}

/// Five wrong passwords lock the account for a time. The right one is refused too, but who is signed in stays so.
#[tokio::test]
async fn wrong_passwords_lock_the_account_for_a_time() {
    let shop = TestApp::start().await;
    let registered = shop.post("/auth/register").json(&registration(AMA)).send().await;
    let session = cookie(&registered);
    let token = registered.expect(201)["accessToken"].as_str().unwrap().to_owned();
    for _ in 0..4 {
        sign_in(&shop, AMA, "Wrong@1234").await.expect_error(401, "AUTHENTICATION_ERROR");
    }
    // A success starts the count anew.
    sign_in(&shop, AMA, PASSWORD).await.expect(200);
    for _ in 0..4 {
        sign_in(&shop, AMA, "Wrong@1234").await.expect_error(401, "AUTHENTICATION_ERROR");
    }
    sign_in(&shop, AMA, PASSWORD).await.expect(200);
    for _ in 0..5 {
        sign_in(&shop, AMA, "Wrong@1234").await.expect_error(401, "AUTHENTICATION_ERROR");
    }
    sign_in(&shop, AMA, PASSWORD).await.expect_error(401, "AUTHENTICATION_ERROR");
    // The lock keeps nobody out who is in, and touches no other account.
    me(&shop, &token).await.expect(200);
    refresh(&shop, &session).await.expect(200);
    shop.customer("kofi@example.com").await;
    shop.app.clock.advance(TimeDelta::minutes(14));
    sign_in(&shop, AMA, PASSWORD).await.expect_error(401, "AUTHENTICATION_ERROR");
    shop.app.clock.advance(TimeDelta::minutes(2));
    // One more mistake after the lock is the first of five.
    sign_in(&shop, AMA, "Wrong@1234").await.expect_error(401, "AUTHENTICATION_ERROR");
    sign_in(&shop, AMA, PASSWORD).await.expect(200);
}

/// Twenty guesses at once are all counted, and the lock holds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parallel_guesses_are_counted() {
    let shop = TestApp::start().await;
    shop.customer(AMA).await;
    for answer in join_all((0..20).map(|_| sign_in(&shop, AMA, "Wrong@1234"))).await {
        answer.expect_error(401, "AUTHENTICATION_ERROR");
    }
    assert!(shop.database.count("select failed_logins::bigint from users").await >= 5);
    sign_in(&shop, AMA, PASSWORD).await.expect_error(401, "AUTHENTICATION_ERROR");
}

/// Only a token of this shop that is not over opens an account.
#[tokio::test]
async fn only_a_valid_token_opens_an_account() {
    let shop = TestApp::start().await;
    let token = shop.customer(AMA).await;
    let answer = shop.get("/auth/me").send().await;
    answer.expect_error(401, "AUTHENTICATION_ERROR");
    assert_eq!(answer.header("www-authenticate").as_deref(), Some("Bearer"));
    let unsigned = format!("{}.", token.rsplit_once('.').unwrap().0);
    for header in ["Bearer x.y.z", "Bearer ", "Basic YTpi", "x", &format!("Bearer {unsigned}")] {
        let answer = shop.get("/auth/me").header("authorization", header).send().await;
        answer.expect_error(401, "AUTHENTICATION_ERROR");
    }
    // A token of another shop, with a key of its own.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key.pem");
    TokenKeys::load(&path, true, &Config::defaults().unwrap().auth).unwrap();
    let other = TestApp::with(|config| config.auth.private_key_file = path.display().to_string()).await;
    let foreign = other.customer(AMA).await;
    me(&other, &foreign).await.expect(200);
    me(&shop, &foreign).await.expect_error(401, "AUTHENTICATION_ERROR");
    // A wrong token is refused where guests are welcome, too: it is not silently a guest's cart.
    shop.get("/cart").token(&foreign).send().await.expect_error(401, "AUTHENTICATION_ERROR");

    shop.app.clock.advance(TimeDelta::minutes(14));
    me(&shop, &token).await.expect(200);
    shop.app.clock.advance(TimeDelta::minutes(1));
    me(&shop, &token).await.expect_error(401, "AUTHENTICATION_ERROR");
}

/// A refresh token is exchanged for a new pair. Used again at once, it is another tab; used again later, it is a thief,
/// and the whole session ends.
#[tokio::test]
async fn a_stolen_refresh_token_ends_the_session() {
    let shop = TestApp::start().await;
    let first = cookie(&shop.post("/auth/register").json(&registration(AMA)).send().await);
    let answer = refresh(&shop, &first).await;
    let second = cookie(&answer);
    let data = answer.expect(200);
    assert_ne!(first, second);
    assert_eq!(data["user"]["email"], AMA);
    assert_eq!(data["refreshToken"], Value::Null);
    me(&shop, data["accessToken"].as_str().unwrap()).await.expect(200);
    let other_tab = refresh(&shop, &first).await;
    let third = cookie(&other_tab);
    other_tab.expect(200);
    shop.app.clock.advance(TimeDelta::seconds(11));
    // Both tabs go on.
    let second = cookie(&refresh(&shop, &second).await);
    let third = cookie(&refresh(&shop, &third).await);
    // The first one comes again, too late.
    refresh(&shop, &first).await.expect_error(401, "AUTHENTICATION_ERROR");
    for dead in [&second, &third, &first] {
        refresh(&shop, dead).await.expect_error(401, "AUTHENTICATION_ERROR");
    }
    let reason = shop.database.text("select revoked_reason from sessions").await;
    assert_eq!(reason.as_deref(), Some("reuse_detected"));
    // Another sign-in is another session.
    let other = cookie(&sign_in(&shop, AMA, PASSWORD).await);
    refresh(&shop, &other).await.expect(200);
}

/// A session ends with its refresh token; refreshing does not prolong it.
#[tokio::test]
async fn a_session_ends_after_thirty_days() {
    let shop = TestApp::start().await;
    let first = cookie(&shop.post("/auth/register").json(&registration(AMA)).send().await);
    shop.app.clock.advance(TimeDelta::days(29));
    let second = cookie(&refresh(&shop, &first).await);
    shop.app.clock.advance(TimeDelta::days(1));
    refresh(&shop, &second).await.expect_error(401, "AUTHENTICATION_ERROR");
    for nonsense in ["agape_refresh=x", "agape_refresh=", "other=1"] {
        refresh(&shop, nonsense).await.expect_error(401, "AUTHENTICATION_ERROR");
    }
}

/// Clients without cookies get the refresh token in the body when they ask for it.
#[tokio::test]
async fn a_client_without_cookies_uses_the_body() {
    let shop = TestApp::start().await;
    let call = shop.post("/auth/register").header("x-token-transport", "body").json(&registration(AMA));
    let answer = call.send().await;
    assert_eq!(answer.header("set-cookie"), None);
    let token = answer.expect(201)["refreshToken"].as_str().unwrap().to_owned();
    let answer = shop.post("/auth/refresh").json(&json!({"refreshToken": token})).send().await;
    assert_eq!(answer.header("set-cookie"), None);
    let data = answer.expect(200);
    let next = data["refreshToken"].as_str().unwrap();
    assert_ne!(next, token);
    let answer = shop.post("/auth/refresh").json(&json!({"refreshToken": next, "x": 1})).send().await;
    assert_eq!(answer.expect_error(400, "VALIDATION_ERROR"), ["x"]);
    shop.post("/auth/logout").json(&json!({"refreshToken": next})).send().await.expect(200);
    let answer = shop.post("/auth/refresh").json(&json!({"refreshToken": next})).send().await;
    answer.expect_error(401, "AUTHENTICATION_ERROR");
    // Tokens are hashed at rest.
    let plain = "select count(*) from refresh_tokens where length(token_hash) <> 32";
    assert_eq!(shop.database.count(plain).await, 0);
}

/// A page of another site cannot use the cookie.
#[tokio::test]
async fn a_foreign_page_cannot_use_the_cookie() {
    let shop = TestApp::start().await;
    let session = cookie(&shop.post("/auth/register").json(&registration(AMA)).send().await);
    for path in ["/auth/refresh", "/auth/logout"] {
        for origin in ["http://evil.example", "null"] {
            let answer = shop.post(path).header("cookie", &session).header("origin", origin).send().await;
            answer.expect_error(403, "AUTHORIZATION_ERROR");
        }
    }
    let call = shop.post("/auth/refresh").header("cookie", &session).header("origin", "http://localhost:3000");
    let answer = call.send().await;
    let session = cookie(&answer);
    answer.expect(200);
    let own = shop.post("/auth/refresh").header("cookie", &session).header("origin", &shop.url).send().await;
    own.expect(200);
}

/// Signing out ends the session on the server and clears the cookie. It also works when the access token is over, and
/// when nobody is signed in.
#[tokio::test]
async fn signing_out_ends_the_session() {
    let shop = TestApp::start().await;
    let answer = shop.post("/auth/register").json(&registration(AMA)).send().await;
    let session = cookie(&answer);
    let answer = shop.post("/auth/logout").header("cookie", &session).send().await;
    assert!(answer.header("set-cookie").unwrap().contains("agape_refresh=; "), "{answer:?}");
    assert!(answer.header("set-cookie").unwrap().contains("Max-Age=0"), "{answer:?}");
    answer.expect(200);
    refresh(&shop, &session).await.expect_error(401, "AUTHENTICATION_ERROR");

    // The access token alone names the session, also when it is over.
    for minutes in [0, 16] {
        let answer = sign_in(&shop, AMA, PASSWORD).await;
        let session = cookie(&answer);
        let token = answer.expect(200)["accessToken"].as_str().unwrap().to_owned();
        shop.app.clock.advance(TimeDelta::minutes(minutes));
        shop.post("/auth/logout").token(&token).send().await.expect(200);
        refresh(&shop, &session).await.expect_error(401, "AUTHENTICATION_ERROR");
    }
    let session = cookie(&sign_in(&shop, AMA, PASSWORD).await);
    shop.post("/auth/logout").token("x.y.z").send().await.expect(200);
    shop.post("/auth/logout").send().await.expect(200);
    refresh(&shop, &session).await.expect(200);
}

/// The token in the newest verification mail.
async fn mailed_token(shop: &TestApp) -> String {
    shop.wait_for_jobs().await;
    let text = shop
        .database
        .text("select body_text from emails where kind = 'verify_email' order by created_at desc, id desc limit 1")
        .await
        .unwrap();
    let token = text.split("/verify-email?token=").nth(1).unwrap_or_else(|| panic!("no link in {text}"));
    token.chars().take_while(char::is_ascii_hexdigit).collect()
}

/// The mail arrives in the mailbox; its link asks, and only the button confirms, once.
#[tokio::test]
async fn an_address_is_confirmed_by_the_mailed_link() {
    let shop = TestApp::start().await;
    let ama = shop.customer(AMA).await;
    let token = mailed_token(&shop).await;
    assert_eq!(token.len(), 64);
    let mailbox = shop.get("//dev/mail").send().await;
    assert_eq!(mailbox.status, 200);
    assert!(mailbox.text.contains(AMA), "{}", mailbox.text);
    let link = mailbox.text.split("href=\"").find(|part| part.starts_with("/dev/mail/")).unwrap();
    let link = format!("/{}", link.split('"').next().unwrap());
    assert_eq!(shop.get(&link).send().await.status, 200);
    let html = shop.get(&format!("{link}/html")).send().await;
    assert!(html.text.contains(&token), "{}", html.text);
    let policy = html.header("content-security-policy").unwrap();
    assert!(policy.contains("sandbox") && !policy.contains("allow-scripts"), "{policy}");
    // The token is nowhere in the database but in the mail.
    let sql = "select count(*) from email_tokens where encode(token_hash, 'escape') like '%' || $1 || '%'
                   or encode(token_hash, 'hex') = $1";
    let plain: i64 = sqlx::query_scalar(sql).bind(&token).fetch_one(&shop.database.pool).await.unwrap();
    assert_eq!(plain, 0);
    let sql = "select count(*) from river_job where args::text like '%' || $1 || '%'";
    let plain: i64 = sqlx::query_scalar(sql).bind(&token).fetch_one(&shop.database.pool).await.unwrap();
    assert_eq!(plain, 0);

    // Mail scanners open links. That changes nothing.
    for _ in 0..2 {
        let page = shop.get(&format!("//verify-email?token={token}")).send().await;
        assert_eq!(page.status, 200);
        assert!(page.text.contains("<form method=\"post\"") && page.text.contains(&token), "{}", page.text);
    }
    assert_eq!(me(&shop, &ama).await.expect(200)["user"]["verified"], false);
    let form = format!("token={token}");
    let press = async || {
        let request = shop.http.post(format!("{}/verify-email", shop.url));
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(form.clone());
        request.send().await.unwrap().text().await.unwrap()
    };
    assert!(press().await.contains("is confirmed"));
    assert_eq!(me(&shop, &ama).await.expect(200)["user"]["verified"], true);
    assert!(press().await.contains("no longer works"));
    let answer = shop.post("/auth/verify-email").json(&json!({"token": token})).send().await;
    assert_eq!(answer.expect_error(400, "VALIDATION_ERROR"), ["token"]);
    shop.post("/auth/resend-verification").token(&ama).send().await.expect_error(409, "CONFLICT");
}

/// A new mail can be asked for; the link is over after a day; of two presses at once one wins.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_verification_link_ends_and_can_be_had_again() {
    let shop = TestApp::start().await;
    shop.post("/auth/resend-verification").send().await.expect_error(401, "AUTHENTICATION_ERROR");
    shop.customer(AMA).await;
    let first = mailed_token(&shop).await;
    shop.app.clock.advance(TimeDelta::hours(24));
    let answer = shop.post("/auth/verify-email").json(&json!({"token": first})).send().await;
    assert_eq!(answer.expect_error(400, "VALIDATION_ERROR"), ["token"]);
    let ama = shop.login(AMA).await;
    shop.post("/auth/resend-verification").token(&ama).send().await.expect(200);
    let second = mailed_token(&shop).await;
    assert_ne!(first, second);
    assert_eq!(shop.database.count("select count(*) from emails where kind = 'verify_email'").await, 2);
    let body = json!({"token": second});
    let answers = join_all((0..4).map(|_| shop.post("/auth/verify-email").json(&body).send())).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    assert_eq!(me(&shop, &ama).await.expect(200)["user"]["verified"], true);
}

/// A press of the button proves the address; only a press by whoever is signed in to that account proves its owner too.
#[tokio::test]
async fn an_owner_is_proven_by_mailbox_and_password_together() {
    let shop = TestApp::start().await;
    let proven = "select count(*) from users where owner_proven_at is not null and email_verified_at is not null";
    let kofi = shop.customer("kofi@example.com").await;
    // So that the last mail is Ama's.
    shop.wait_for_jobs().await;
    shop.customer(AMA).await;
    let body = json!({"token": mailed_token(&shop).await});
    shop.post("/auth/verify-email").token("x.y.z").json(&body).send().await.expect_error(401, "AUTHENTICATION_ERROR");
    shop.post("/auth/verify-email").token(&kofi).json(&body).send().await.expect(200);
    assert_eq!(shop.database.count("select count(*) from users where email_verified_at is not null").await, 1);
    assert_eq!(shop.database.count(proven).await, 0, "neither Ama's nor Kofi's");
    shop.post("/auth/resend-verification").token(&kofi).send().await.expect(200);
    let body = json!({"token": mailed_token(&shop).await});
    shop.post("/auth/verify-email").token(&kofi).json(&body).send().await.expect(200);
    assert_eq!(shop.database.count(proven).await, 1);
}

/// Staff routes need a role that may use them.
#[tokio::test]
async fn staff_routes_are_for_staff() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "GUARD", 100, 1).await;
    let path = format!("/products/{}", product.id);
    let body = json!({"sku": "X", "title": "X", "price": 1});
    let customer = shop.customer(AMA).await;
    let (fulfilment, finance) = (shop.staff(Role::Fulfilment).await, shop.staff(Role::Finance).await);
    let calls = |token: Option<&str>| {
        let calls = [
            shop.post("/products").json(&body),
            shop.patch(&path).json(&json!({"version": 1, "price": 1})),
            shop.delete(&path),
            shop.post("/categories").json(&json!({"name": "X"})),
        ];
        let sign = |call| match token {
            Some(token) => crate::support::Call::token(call, token),
            None => call,
        };
        join_all(calls.map(|call| sign(call).send()))
    };
    for answer in calls(None).await {
        answer.expect_error(401, "AUTHENTICATION_ERROR");
    }
    for token in [&customer, &fulfilment, &finance] {
        for answer in calls(Some(token)).await {
            answer.expect_error(403, "AUTHORIZATION_ERROR");
        }
    }
    assert_eq!(shop.database.count("select count(*) from products where version = 1").await, 1);
    assert_eq!(shop.database.count("select count(*) from products").await, 1);
}

/// Registering, signing in and failing to leave a trace that nobody can change, whatever the program does.
#[tokio::test]
async fn the_ledgers_only_grow() {
    let shop = TestApp::start().await;
    let ama = shop.customer(AMA).await;
    let user = me(&shop, &ama).await.expect(200)["user"]["id"].as_str().unwrap().to_owned();
    sign_in(&shop, AMA, "Wrong@1234").await.expect_error(401, "AUTHENTICATION_ERROR");
    shop.login(AMA).await;
    let trace: Vec<(String, Option<String>)> = sqlx::query_as("select action, entity_id from audit_log order by id")
        .fetch_all(&shop.database.pool)
        .await
        .unwrap();
    let of = |action: &str| (action.to_owned(), Some(user.clone()));
    assert_eq!(trace, [of("user.register"), of("user.login_failed"), of("user.login")]);
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "LEDGER", 100, 5).await;
    shop.order(&ama, &product, 1).await;
    for table in ["audit_log", "stock_movements", "order_events"] {
        let rows: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(format!("select count(*) from {table}")))
            .fetch_one(&shop.database.pool)
            .await
            .unwrap();
        assert!(rows > 0, "{table}");
        for sql in [
            format!("update {table} set id = default"),
            format!("delete from {table}"),
            format!("delete from {table} where false"),
            format!("truncate {table} cascade"),
        ] {
            let error = sqlx::query(sqlx::AssertSqlSafe(sql.clone())).execute(&shop.database.pool).await.unwrap_err();
            assert!(error.to_string().contains("append-only"), "{sql}: {error}");
        }
    }
}

/// A script that runs in the shop's page cannot read the refresh token: what came in the cookie leaves in the cookie,
/// whatever the request asks for.
#[tokio::test]
async fn the_cookie_is_never_read_out() {
    let shop = TestApp::start().await;
    let registered = shop.post("/auth/register").json(&registration(AMA)).send().await;
    let call = shop.post("/auth/refresh").header("cookie", &cookie(&registered)).header("x-token-transport", "body");
    let answer = call.send().await;
    assert!(answer.header("set-cookie").is_some());
    assert!(answer.expect(200).get("refreshToken").is_none());
}

/// Another program can check an access token with nothing but the published keys (RFC 7515, 7517, 7518).
#[tokio::test]
async fn an_access_token_is_checked_by_hand_with_the_published_key() {
    let shop = TestApp::start().await;
    let data = shop.post("/auth/register").json(&registration(AMA)).send().await.expect(201);
    let token = data["accessToken"].as_str().unwrap();
    let bytes = |text: &str| URL_SAFE_NO_PAD.decode(text).unwrap();
    let json = |text: &str| serde_json::from_slice::<Value>(&bytes(text)).unwrap();
    let [header, claims, signature] = token.split('.').collect::<Vec<_>>()[..] else { panic!("{token}") };
    let signed = &token[..header.len() + 1 + claims.len()];
    let (header, claims, mut signature) = (json(header), json(claims), bytes(signature));

    assert_eq!((&header["alg"], &header["typ"]), (&json!("RS256"), &json!("JWT")));
    let published = shop.get("//.well-known/jwks.json").send().await;
    assert_eq!(published.header("cache-control").as_deref(), Some("public, max-age=60"));
    let keys: Vec<&Value> =
        published.body["keys"].as_array().unwrap().iter().filter(|key| key["kid"] == header["kid"]).collect();
    let [key] = keys[..] else { panic!("{header} in {}", published.text) };
    assert_eq!((&key["kty"], &key["alg"], &key["use"]), (&json!("RSA"), &json!("RS256"), &json!("sig")));
    let mut members: Vec<&str> = key.as_object().unwrap().keys().map(String::as_str).collect();
    members.sort_unstable();
    assert_eq!(members, ["alg", "e", "kid", "kty", "n", "use"], "nothing of the private key");
    let part = |name: &str| bytes(key[name].as_str().unwrap());
    let key = RsaPublicKeyComponents { n: part("n"), e: part("e") };
    let is_signed =
        |text: &str, signature: &[u8]| key.verify(&RSA_PKCS1_2048_8192_SHA256, text.as_bytes(), signature).is_ok();
    assert!(is_signed(signed, &signature));
    assert!(!is_signed(&signed[1..], &signature));
    signature[7] ^= 1;
    assert!(!is_signed(signed, &signature));

    let session = shop.database.text("select id::text from sessions").await.unwrap();
    assert_eq!((&claims["iss"], &claims["aud"]), (&json!("agape"), &json!("agape")));
    assert_eq!((&claims["sub"], &claims["sid"]), (&data["user"]["id"], &json!(session)));
    assert_eq!(claims["role"], "customer");
    let seconds = |name: &str| claims[name].as_i64().unwrap();
    assert_eq!(seconds("exp") - seconds("iat"), 900);
    assert!((shop.app.clock.now().timestamp() - seconds("iat")).abs() < 60, "{claims}");
}
