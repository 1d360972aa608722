//! Forgotten and changed passwords: by API, by the pages behind the mailed links, and what a thief gets out of them.

use agape::flows::expire::Sweep;
use agape::platform::crypto::sha256;
use agape::platform::jobs::Job;
use chrono::TimeDelta;
use futures::future::join_all;
use serde_json::json;

use crate::auth::{cookie, me, refresh, sign_in};
use crate::support::{Answer, TestApp};
use crate::two_factor;

const AMA: &str = "ama@example.com";
const PASSWORD: &str = "Test@1234";
const NEW: &str = "Other-River-88";

/// Asks for a mail with a link.
async fn ask(shop: &TestApp, email: &str) -> Answer {
    shop.post("/auth/password-reset-request").json(&json!({"email": email})).send().await
}

async fn reset(shop: &TestApp, token: &str, password: &str) -> Answer {
    shop.post("/auth/password-reset").json(&json!({"token": token, "password": password})).send().await
}

async fn change(shop: &TestApp, token: &str, current: &str, new: &str) -> Answer {
    let body = json!({"currentPassword": current, "newPassword": new});
    shop.post("/auth/change-password").token(token).json(&body).send().await
}

/// The link in the newest mail that has one for a new password.
async fn mailed_link(shop: &TestApp) -> String {
    shop.wait_for_jobs().await;
    let text = shop
        .database
        .text("select body_text from emails where kind = 'password_reset' order by created_at desc, id desc limit 1")
        .await
        .unwrap();
    text.lines().find(|line| line.starts_with("http")).unwrap_or_else(|| panic!("no link in {text}")).to_owned()
}

/// The token in a link.
#[track_caller]
fn token_in(link: &str) -> String {
    let token = link.split(|c: char| !c.is_ascii_hexdigit()).find(|part| part.len() == 64);
    token.unwrap_or_else(|| panic!("no token in {link}")).to_owned()
}

/// Asks for a mail and takes the token out of it.
async fn mailed_token(shop: &TestApp, email: &str) -> String {
    ask(shop, email).await.expect(200);
    token_in(&mailed_link(shop).await)
}

/// Sends the form of a page as a browser does. Gives the page that comes back.
async fn press(shop: &TestApp, page: &str, fields: &[(&str, &str)]) -> String {
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let request = shop.http.post(format!("{}{page}", shop.url));
    let answer = request.header("content-type", "application/x-www-form-urlencoded").body(body).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    answer.text().await.unwrap()
}

/// Neither the answer nor the work that it causes tells which addresses have an account; only the mailbox does.
#[tokio::test]
async fn asking_does_not_tell_who_has_an_account() {
    let shop = TestApp::start().await;
    shop.customer(AMA).await;
    let jobs = "select count(*) from river_job where kind = 'send_password_reset_mail'";
    let known = ask(&shop, " Ama@Example.COM ").await;
    assert_eq!(known.status, 200, "{}", known.text);
    assert_eq!(shop.database.count(jobs).await, 1);
    let unknown = ask(&shop, "nobody@example.com").await;
    assert_eq!(shop.database.count(jobs).await, 2);
    assert_eq!((unknown.status, &unknown.body), (known.status, &known.body));
    // Nor does what a person with access to the queue sees.
    let shapes = "select count(distinct (select string_agg(key, ',' order by key) from jsonb_object_keys(args) key))
                  from river_job where kind = 'send_password_reset_mail'";
    assert_eq!(shop.database.count(shapes).await, 1);

    assert_eq!(shop.mails("password_reset").await, ["Choose a new password for AGAPE LOOKS"]);
    let recipient = shop.database.text("select recipient from emails where kind = 'password_reset'").await;
    assert_eq!(recipient.as_deref(), Some(AMA));
    let entries = "select count(*) from audit_log where action = 'user.password_reset_requested'";
    assert_eq!(shop.database.count(entries).await, 2);
    for nonsense in ["nobody", "", "a b@example.com"] {
        assert_eq!(ask(&shop, nonsense).await.expect_error(400, "VALIDATION_ERROR"), ["email"], "{nonsense}");
    }
}

/// The link leads to a page, which asks. Opening it changes nothing, because mail scanners open links; its button does,
/// once.
#[tokio::test]
async fn the_mailed_link_leads_to_a_page_that_sets_the_password() {
    let shop = TestApp::start().await;
    shop.customer(AMA).await;
    ask(&shop, AMA).await.expect(200);
    let link = mailed_link(&shop).await;
    let token = token_in(&link);
    assert_eq!(link, format!("{}/reset-password?token={token}", shop.url));
    let stored: Vec<u8> = sqlx::query_scalar("select token_hash from email_tokens where purpose = 'reset_password'")
        .fetch_one(&shop.database.pool)
        .await
        .unwrap();
    assert_eq!(stored, sha256(token.as_bytes()));
    let in_jobs: i64 = sqlx::query_scalar("select count(*) from river_job where position($1 in args::text) > 0")
        .bind(&token)
        .fetch_one(&shop.database.pool)
        .await
        .unwrap();
    assert_eq!(in_jobs, 0, "the token stands in the mail only");

    for _ in 0..2 {
        let page = shop.get(&link).send().await;
        assert_eq!(page.status, 200);
        assert!(page.text.contains("<form method=\"post\"") && page.text.contains(&token), "{}", page.text);
        assert_eq!(page.header("cache-control").as_deref(), Some("no-store"));
    }
    sign_in(&shop, AMA, PASSWORD).await.expect(200);

    for (password, repeat, fault) in [
        (NEW, "Other-River-89", "The two passwords are not the same."),
        ("short", "short", "The password must have at least 8 characters"),
        ("P@ssw0rd", "P@ssw0rd", "everybody tries first"),
        ("Ama@Example.com1", "Ama@Example.com1", "The password must not contain the e-mail address."),
    ] {
        let fields = [("token", token.as_str()), ("password", password), ("repeat", repeat)];
        let page = press(&shop, "/reset-password", &fields).await;
        assert!(page.contains("role=\"alert\"") && page.contains(fault), "{fault}: {page}");
        // The form is there again, with the token and without what was typed.
        assert!(page.contains("<form method=\"post\"") && page.contains(&token), "{page}");
        assert!(!page.contains(&format!("\"{password}\"")), "{page}");
    }
    sign_in(&shop, AMA, PASSWORD).await.expect(200);

    let fields = [("token", token.as_str()), ("password", NEW), ("repeat", NEW)];
    let page = press(&shop, "/reset-password", &fields).await;
    assert!(page.contains("Your new password is set") && !page.contains("<form"), "{page}");
    sign_in(&shop, AMA, PASSWORD).await.expect_error(401, "AUTHENTICATION_ERROR");
    sign_in(&shop, AMA, NEW).await.expect(200);
    for page in [press(&shop, "/reset-password", &fields).await, shop.get(&link).send().await.text] {
        assert!(page.contains("This link no longer works") && !page.contains("<form"), "{page}");
        assert!(page.contains("href=\"&#x2f;forgot-password\""), "{page}");
    }
    // A link that a mail program has cut off.
    for cut in [&link[..link.len() - 1], &link[..link.len() - 71]] {
        let page = shop.get(cut).send().await;
        assert!(page.status == 200 && page.text.contains("This link no longer works"), "{cut}: {}", page.text);
    }
}

/// A storefront with a page of its own uses the API. The token is good for one good password, and for nothing else.
#[tokio::test]
async fn a_token_sets_one_good_password() {
    let shop = TestApp::start().await;
    shop.customer(AMA).await;
    let verification = "select body_text from emails where kind = 'verify_email'";
    shop.wait_for_jobs().await;
    let verification = token_in(&shop.database.text(verification).await.unwrap());
    let token = mailed_token(&shop, AMA).await;
    for wrong in ["", "x", &"0".repeat(64), &token[1..], &verification] {
        assert_eq!(reset(&shop, wrong, NEW).await.expect_error(400, "VALIDATION_ERROR"), ["token"], "{wrong}");
    }
    for weak in ["short", "P@ssw0rd", "Ama@Example.com1"] {
        assert_eq!(reset(&shop, &token, weak).await.expect_error(400, "VALIDATION_ERROR"), ["password"], "{weak}");
    }
    // It proves an address only together with a new password.
    let answer = shop.post("/auth/verify-email").json(&json!({"token": token})).send().await;
    assert_eq!(answer.expect_error(400, "VALIDATION_ERROR"), ["token"]);

    let answer = reset(&shop, &token, NEW).await;
    assert_eq!(answer.header("set-cookie"), None, "nobody is signed in by it");
    assert_eq!(answer.expect(200), json!({}));
    assert_eq!(reset(&shop, &token, NEW).await.expect_error(400, "VALIDATION_ERROR"), ["token"]);
    sign_in(&shop, AMA, NEW).await.expect(200);
}

/// Of four who use one link at once one wins, and his password is the one that is set.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_four_at_once_one_sets_the_password() {
    let shop = TestApp::start().await;
    shop.customer(AMA).await;
    let token = mailed_token(&shop, AMA).await;
    let passwords: Vec<String> = (1..=4).map(|i| format!("Other-River-{i}")).collect();
    let answers = join_all(passwords.iter().map(|password| reset(&shop, &token, password))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    for (password, answer) in passwords.iter().zip(&answers) {
        if answer.status == 200 {
            sign_in(&shop, AMA, password).await.expect(200);
        } else {
            assert_eq!(answer.expect_error(400, "VALIDATION_ERROR"), ["token"]);
            sign_in(&shop, AMA, password).await.expect_error(401, "AUTHENTICATION_ERROR");
        }
    }
    assert_eq!(shop.mails("security_notice").await, ["Your password was changed"]);
}

/// A link works for an hour. Of several, each works until one was used: then all are void.
#[tokio::test]
async fn a_link_is_over_after_an_hour_or_with_the_use_of_another() {
    let shop = TestApp::start().await;
    shop.customer(AMA).await;
    let late = mailed_token(&shop, AMA).await;
    shop.app.clock.advance(TimeDelta::minutes(60));
    assert_eq!(reset(&shop, &late, NEW).await.expect_error(400, "VALIDATION_ERROR"), ["token"]);

    let (first, second) = (mailed_token(&shop, AMA).await, mailed_token(&shop, AMA).await);
    assert_ne!(first, second);
    shop.app.clock.advance(TimeDelta::minutes(59));
    reset(&shop, &first, NEW).await.expect(200);
    assert_eq!(reset(&shop, &second, PASSWORD).await.expect_error(400, "VALIDATION_ERROR"), ["token"]);
    let (first, second) = (mailed_token(&shop, AMA).await, mailed_token(&shop, AMA).await);
    reset(&shop, &second, "Other-River-89").await.expect(200);
    assert_eq!(reset(&shop, &first, PASSWORD).await.expect_error(400, "VALIDATION_ERROR"), ["token"]);
    sign_in(&shop, AMA, "Other-River-89").await.expect(200);
}

/// Whoever has opened the mail is the owner: the address is proven, a lock ends, and whoever was signed in is out.
#[tokio::test]
async fn a_new_password_ends_sessions_and_lock_and_proves_the_address() {
    let shop = TestApp::start().await;
    let mut sessions = Vec::new();
    let body = json!({"email": AMA, "password": PASSWORD, "name": "Ama Mensah"});
    for answer in [shop.post("/auth/register").json(&body).send().await, sign_in(&shop, AMA, PASSWORD).await] {
        let token = answer.body["data"]["accessToken"].as_str().unwrap().to_owned();
        me(&shop, &token).await.expect(200);
        sessions.push((token, cookie(&answer)));
    }
    for _ in 0..5 {
        sign_in(&shop, AMA, "Wrong@1234").await.expect_error(401, "AUTHENTICATION_ERROR");
    }
    sign_in(&shop, AMA, PASSWORD).await.expect_error(401, "AUTHENTICATION_ERROR");
    let token = mailed_token(&shop, AMA).await;
    // Asking ends nothing: anybody can ask.
    sign_in(&shop, AMA, PASSWORD).await.expect_error(401, "AUTHENTICATION_ERROR");
    assert_eq!(me(&shop, &sessions[0].0).await.expect(200)["user"]["verified"], false);

    reset(&shop, &token, NEW).await.expect(200);
    for (token, cookie) in &sessions {
        me(&shop, token).await.expect_error(401, "AUTHENTICATION_ERROR");
        refresh(&shop, cookie).await.expect_error(401, "AUTHENTICATION_ERROR");
    }
    let data = sign_in(&shop, AMA, NEW).await.expect(200);
    assert_eq!(data["user"]["verified"], true);
    assert_eq!(shop.database.count("select failed_logins::bigint from users").await, 0);
    assert_eq!(shop.mails("security_notice").await, ["Your password was changed"]);
    let entries = "select count(*) from audit_log where action = 'user.password_reset' and entity_id is not null";
    assert_eq!(shop.database.count(entries).await, 1);
}

/// Who has got into the mailbox has one factor of two.
#[tokio::test]
async fn a_new_password_does_not_stand_in_for_the_second_factor() {
    let shop = TestApp::start().await;
    let ama = shop.customer(AMA).await;
    let confirmed = "update users set email_verified_at = created_at where email like 'ama@%'";
    sqlx::query(confirmed).execute(&shop.database.pool).await.unwrap();
    let factor = two_factor::turn_on(&shop, &ama).await;
    let token = mailed_token(&shop, AMA).await;
    reset(&shop, &token, NEW).await.expect(200);
    let data = sign_in(&shop, AMA, NEW).await.expect(200);
    assert_eq!((&data["mfaRequired"], &data["accessToken"]), (&json!(true), &json!(null)));
    let body = json!({"challenge": data["challenge"], "code": factor.code(&shop)});
    shop.post("/auth/login/2fa").json(&body).send().await.expect(200);
    let body = json!({"challenge": data["challenge"], "code": factor.recovery_codes[0]});
    shop.post("/auth/login/2fa").json(&body).send().await.expect_error(401, "AUTHENTICATION_ERROR");
}

/// Somebody has registered Ama's address and locked the account with a telephone of his own. Nobody had proven the address:
/// with a new password by mail the account is hers, without his second factor, and he is out.
#[tokio::test]
async fn the_owner_of_the_mailbox_takes_an_unproven_account_over() {
    let shop = TestApp::start().await;
    let mallory = shop.customer(AMA).await;
    two_factor::turn_on(&shop, &mallory).await;
    let token = mailed_token(&shop, AMA).await;
    reset(&shop, &token, NEW).await.expect(200);
    let data = sign_in(&shop, AMA, NEW).await.expect(200);
    let hers = data["accessToken"].as_str().unwrap_or_else(|| panic!("no code is asked for: {data:#}"));
    assert_eq!(shop.get("/auth/2fa").token(hers).send().await.expect(200)["twoFactor"]["enabled"], false);
    me(&shop, &mallory).await.expect_error(401, "AUTHENTICATION_ERROR");
    assert_eq!(shop.database.count("select count(*) from recovery_codes").await, 0);
    assert_eq!(shop.database.count("select count(*) from users where owner_proven_at is not null").await, 1);
}

/// The mail leads to the storefront's own page, where the settings name one.
#[tokio::test]
async fn the_link_leads_to_the_storefront_that_is_configured() {
    for (configured, before, after) in [
        ("https://shop.example/new-password", "https://shop.example/new-password?token=", ""),
        ("https://shop.example/account?lang=en", "https://shop.example/account?lang=en&token=", ""),
        ("https://shop.example/reset/{token}/now", "https://shop.example/reset/", "/now"),
    ] {
        let shop = TestApp::with(|config| config.auth.reset_password_url = configured.into()).await;
        shop.customer(AMA).await;
        ask(&shop, AMA).await.expect(200);
        let link = mailed_link(&shop).await;
        let token = token_in(&link);
        assert_eq!(link, format!("{before}{token}{after}"));
        let html = shop.database.text("select html from emails where kind = 'password_reset'").await.unwrap();
        assert!(html.contains(&token) && html.contains("shop.example"), "{html}");
        reset(&shop, &token, NEW).await.expect(200);
    }
}

/// The page for a forgotten password answers the same to everybody, and keeps what was typed when it is no address.
#[tokio::test]
async fn the_page_of_a_forgotten_password_sends_the_mail() {
    let shop = TestApp::start().await;
    shop.customer(AMA).await;
    let page = shop.get("//forgot-password").send().await;
    assert_eq!(page.status, 200);
    assert!(page.text.contains("<form method=\"post\"") && !page.text.contains("role=\"alert\""), "{}", page.text);

    let page = press(&shop, "/forgot-password", &[("email", "ama at example.com")]).await;
    assert!(page.contains("What you wrote must be an e-mail address"), "{page}");
    assert!(page.contains("<form method=\"post\"") && page.contains("value=\"ama at example.com\""), "{page}");
    assert!(press(&shop, "/forgot-password", &[]).await.contains("role=\"alert\""));
    assert_eq!(shop.mails("password_reset").await.len(), 0);

    let known = press(&shop, "/forgot-password", &[("email", AMA)]).await;
    assert!(known.contains("Look into your mail") && known.contains("works for 60 minutes"), "{known}");
    assert!(!known.contains("<form"), "{known}");
    assert_eq!(press(&shop, "/forgot-password", &[("email", "nobody@example.com")]).await, known);
    let token = token_in(&mailed_link(&shop).await);
    assert_eq!(shop.mails("password_reset").await.len(), 1);
    reset(&shop, &token, NEW).await.expect(200);
}

/// What comes in an address or a form is shown as text, never as markup.
#[tokio::test]
async fn nothing_that_was_sent_becomes_markup() {
    let shop = TestApp::start().await;
    let evil = "\"><script>alert(1)</script><b title='";
    let encoded: String = url::form_urlencoded::byte_serialize(evil.as_bytes()).collect();
    let pages = [
        press(&shop, "/forgot-password", &[("email", evil)]).await,
        press(&shop, "/reset-password", &[("token", evil), ("password", NEW), ("repeat", evil)]).await,
        press(&shop, "/reset-password", &[("token", evil), ("password", evil), ("repeat", evil)]).await,
        press(&shop, "/reset-password", &[("token", evil), ("password", NEW), ("repeat", NEW)]).await,
        shop.get(&format!("//reset-password?token={encoded}")).send().await.text,
        shop.get(&format!("//verify-email?token={encoded}")).send().await.text,
        press(&shop, "/verify-email", &[("token", evil)]).await,
    ];
    for page in &pages {
        assert!(page.starts_with("<!doctype html>"), "{page}");
        assert!(!page.contains("<script") && !page.contains("<b title") && !page.contains(evil), "{page}");
    }
    let shown = "value=\"&quot;&gt;&lt;script&gt;alert(1)&lt;&#x2f;script&gt;&lt;b title=&#x27;\"";
    for page in [&pages[0], &pages[1], &pages[5]] {
        assert!(page.contains(shown), "{page}");
    }
}

/// A link is a secret as long as it works, and nobody needs it afterwards: the stored copy of its mail is blanked.
#[tokio::test]
async fn stored_copies_of_mails_lose_links_that_have_ended() {
    let shop = TestApp::start().await;
    shop.customer(AMA).await;
    let token = mailed_token(&shop, AMA).await;
    let sweep = async || Sweep {}.run(&shop.app).await.unwrap();
    let kept = async |kind: &str| {
        let sql = "select count(*) from emails where kind = $1 and html <> '' and position('token=' in body_text) > 0";
        sqlx::query_scalar::<_, i64>(sql).bind(kind).fetch_one(&shop.database.pool).await.unwrap()
    };
    shop.app.clock.advance(TimeDelta::minutes(59));
    sweep().await;
    assert_eq!((kept("password_reset").await, kept("verify_email").await), (1, 1));
    shop.app.clock.advance(TimeDelta::minutes(2));
    sweep().await;
    assert_eq!((kept("password_reset").await, kept("verify_email").await), (0, 1));
    let text = shop.database.text("select html || body_text from emails where kind = 'password_reset'").await;
    assert_eq!(text.as_deref(), Some("(removed: the link has ended)"));
    let plain: i64 = sqlx::query_scalar("select count(*) from emails where position($1 in html || body_text) > 0")
        .bind(&token)
        .fetch_one(&shop.database.pool)
        .await
        .unwrap();
    assert_eq!(plain, 0);
    // That it was sent stays on record.
    assert_eq!(shop.mails("password_reset").await.len(), 1);
    shop.app.clock.advance(TimeDelta::hours(24));
    sweep().await;
    assert_eq!(kept("verify_email").await, 0);
}

/// A new password needs the current one and must be another and a good one. Other devices are signed out, this one goes
/// on.
#[tokio::test]
async fn changing_the_password_ends_the_other_sessions() {
    let shop = TestApp::start().await;
    let body = json!({"email": AMA, "password": PASSWORD, "name": "Ama Mensah"});
    let other = shop.post("/auth/register").json(&body).send().await;
    let own = sign_in(&shop, AMA, PASSWORD).await;
    let (other_cookie, own_cookie) = (cookie(&other), cookie(&own));
    let other = other.expect(201)["accessToken"].as_str().unwrap().to_owned();
    let own = own.expect(200)["accessToken"].as_str().unwrap().to_owned();
    me(&shop, &other).await.expect(200);

    for (current, new, field) in [
        ("Wrong@1234", NEW, "currentPassword"),
        ("", NEW, "currentPassword"),
        (PASSWORD, PASSWORD, "newPassword"),
        (PASSWORD, "short", "newPassword"),
        (PASSWORD, "P@ssw0rd", "newPassword"),
        (PASSWORD, "Ama@Example.com1", "newPassword"),
    ] {
        let answer = change(&shop, &own, current, new).await;
        assert_eq!(answer.expect_error(400, "VALIDATION_ERROR"), [field], "{current} {new}");
    }
    me(&shop, &other).await.expect(200);
    assert_eq!(shop.mails("security_notice").await.len(), 0);

    assert_eq!(change(&shop, &own, PASSWORD, NEW).await.expect(200), json!({}));
    me(&shop, &other).await.expect_error(401, "AUTHENTICATION_ERROR");
    refresh(&shop, &other_cookie).await.expect_error(401, "AUTHENTICATION_ERROR");
    me(&shop, &own).await.expect(200);
    refresh(&shop, &own_cookie).await.expect(200);
    sign_in(&shop, AMA, PASSWORD).await.expect_error(401, "AUTHENTICATION_ERROR");
    sign_in(&shop, AMA, NEW).await.expect(200);
    assert_eq!(shop.mails("security_notice").await, ["Your password was changed"]);
    let actor = "select count(*) from audit_log where action = 'user.password_changed' and actor_id::text = entity_id";
    assert_eq!(shop.database.count(actor).await, 1);
    shop.post("/auth/change-password").json(&json!({})).send().await.expect_error(401, "AUTHENTICATION_ERROR");
}

/// A stolen session is no place to guess the password: five wrong ones lock the account as at a login.
#[tokio::test]
async fn wrong_current_passwords_lock_the_account() {
    let shop = TestApp::start().await;
    let ama = shop.customer(AMA).await;
    for wrong in 1..=5 {
        let answer = change(&shop, &ama, "Wrong@1234", NEW).await;
        assert_eq!(answer.expect_error(400, "VALIDATION_ERROR"), ["currentPassword"]);
        assert_eq!(shop.database.count("select failed_logins::bigint from users").await, wrong);
    }
    sign_in(&shop, AMA, PASSWORD).await.expect_error(401, "AUTHENTICATION_ERROR");
    // Not even the right one tells the thief that it is right.
    let answer = change(&shop, &ama, PASSWORD, NEW).await;
    assert_eq!(answer.expect_error(400, "VALIDATION_ERROR"), ["currentPassword"]);
    me(&shop, &ama).await.expect(200);
    assert_eq!(shop.mails("account_locked").await.len(), 1);
    let entries = "select count(*) from audit_log where action = 'user.password_check_failed'";
    assert_eq!(shop.database.count(entries).await, 6);

    shop.app.clock.advance(TimeDelta::minutes(16));
    let ama = shop.login(AMA).await;
    change(&shop, &ama, PASSWORD, NEW).await.expect(200);
}
