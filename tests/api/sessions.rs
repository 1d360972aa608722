//! Sessions: the list of one's own devices, their end, what a thief of a token gets; and one's own profile.

use agape::features::auth::{Hasher, Role};
use chrono::{DateTime, TimeDelta, Utc};
use futures::future::join_all;
use serde_json::{Value, json};

use crate::auth::{cookie, me, refresh, sign_in};
use crate::support::{Answer, TestApp};

const AMA: &str = "ama@example.com";
const PASSWORD: &str = "Test@1234";
const PHONE: &str =
    "Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Mobile Safari/537.36";
const LAPTOP: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0";

/// One device that is signed in.
struct Device {
    token: String,
    cookie: String,
}

impl Device {
    async fn sign_in(shop: &TestApp, user_agent: &str) -> Self {
        let body = json!({"email": AMA, "password": PASSWORD});
        let answer = shop.post("/auth/login").header("user-agent", user_agent).json(&body).send().await;
        let cookie = cookie(&answer);
        Self { token: answer.expect(200)["accessToken"].as_str().unwrap().to_owned(), cookie }
    }

    /// The id of its session, from the list that it gets.
    async fn session(&self, shop: &TestApp) -> String {
        let sessions = list(shop, &self.token).await;
        let current = sessions.iter().find(|session| session["current"] == true).unwrap();
        current["id"].as_str().unwrap().to_owned()
    }

    async fn is_out(&self, shop: &TestApp) {
        me(shop, &self.token).await.expect_error(401, "AUTHENTICATION_ERROR");
        refresh(shop, &self.cookie).await.expect_error(401, "AUTHENTICATION_ERROR");
    }

    async fn is_in(&self, shop: &TestApp) {
        me(shop, &self.token).await.expect(200);
    }
}

async fn list(shop: &TestApp, token: &str) -> Vec<Value> {
    let data = shop.get("/auth/sessions").token(token).send().await.expect(200);
    data["sessions"].as_array().unwrap().clone()
}

/// Ends a session of Ama's as another node of the cluster would, of which this one hears nothing.
async fn end_elsewhere(shop: &TestApp, session: &str) {
    sqlx::query("update sessions set revoked_at = now(), revoked_reason = 'revoked' where id = $1::uuid")
        .bind(session)
        .execute(&shop.database.pool)
        .await
        .unwrap();
}

async fn patch(shop: &TestApp, token: &str, body: &Value) -> Answer {
    shop.patch("/auth/me").token(token).json(body).send().await
}

/// Everybody sees his own devices, the last used first, by what they say of themselves.
#[tokio::test]
async fn the_list_shows_ones_own_devices() {
    let shop = TestApp::start().await;
    shop.get("/auth/sessions").send().await.expect_error(401, "AUTHENTICATION_ERROR");
    shop.customer("kofi@example.com").await;
    let ama = shop.customer(AMA).await;
    let phone = Device::sign_in(&shop, PHONE).await;
    let laptop = Device::sign_in(&shop, LAPTOP).await;
    let devices = |sessions: &[Value]| -> Vec<(String, bool)> {
        let one = |s: &Value| (s["device"].as_str().unwrap().to_owned(), s["current"].as_bool().unwrap());
        sessions.iter().map(one).collect()
    };
    let shown = |name: &str, current| (name.to_owned(), current);
    let sessions = list(&shop, &laptop.token).await;
    assert_eq!(
        devices(&sessions),
        [shown("Firefox on Linux", true), shown("Chrome on Android", false), shown("Unknown device", false)]
    );
    let time = |session: &Value, name: &str| session[name].as_str().unwrap().parse::<DateTime<Utc>>().unwrap();
    for session in &sessions {
        session["id"].as_str().unwrap().parse::<uuid::Uuid>().unwrap();
        assert_eq!((&session["ip"], &session["twoFactor"]), (&json!("127.0.0.1"), &json!(false)), "{session}");
        assert_eq!(time(session, "createdAt"), time(session, "lastUsedAt"), "{session}");
        assert_eq!(time(session, "expiresAt") - time(session, "createdAt"), TimeDelta::days(30), "{session}");
    }

    // A refresh is a use. The order follows it.
    shop.app.clock.advance(TimeDelta::minutes(5));
    refresh(&shop, &phone.cookie).await.expect(200);
    let sessions = list(&shop, &ama).await;
    assert_eq!(
        devices(&sessions),
        [shown("Chrome on Android", false), shown("Firefox on Linux", false), shown("Unknown device", true)]
    );
    assert!(time(&sessions[0], "lastUsedAt") - time(&sessions[0], "createdAt") >= TimeDelta::minutes(5));
    // A session that is over is not there any more.
    shop.post("/auth/logout").token(&laptop.token).send().await.expect(200);
    assert_eq!(list(&shop, &ama).await.len(), 2);
    shop.app.clock.advance(TimeDelta::days(30));
    let back = Device::sign_in(&shop, LAPTOP).await;
    assert_eq!(devices(&list(&shop, &back.token).await), [shown("Firefox on Linux", true)]);
}

/// A lost phone is signed out from the laptop; nobody ends another person's session.
#[tokio::test]
async fn one_device_is_signed_out() {
    let shop = TestApp::with(|config| config.auth.session_check_seconds = 0).await;
    shop.customer(AMA).await;
    let (phone, laptop) = (Device::sign_in(&shop, PHONE).await, Device::sign_in(&shop, LAPTOP).await);
    let id = phone.session(&shop).await;
    let path = format!("/auth/sessions/{id}");
    let kofi = shop.customer("kofi@example.com").await;
    shop.delete(&path).send().await.expect_error(401, "AUTHENTICATION_ERROR");
    shop.delete(&path).token(&kofi).send().await.expect_error(404, "NOT_FOUND");
    phone.is_in(&shop).await;

    assert_eq!(shop.delete(&path).token(&laptop.token).send().await.expect(200)["ended"], 1);
    phone.is_out(&shop).await;
    laptop.is_in(&shop).await;
    shop.delete(&path).token(&laptop.token).send().await.expect_error(404, "NOT_FOUND");
    let answer = shop.delete("/auth/sessions/nonsense").token(&laptop.token).send().await;
    assert_eq!(answer.expect_error(400, "VALIDATION_ERROR"), ["id"]);
    let entry = "select p.content #>> '{after,sessions,0}' from audit_log l join audit_parts p on p.entry_id = l.id
                 where l.action = 'session.revoke' and p.part = 'change'";
    assert_eq!(shop.database.text(entry).await, Some(id));
    // One's own is ended in the same way.
    let path = format!("/auth/sessions/{}", laptop.session(&shop).await);
    shop.delete(&path).token(&laptop.token).send().await.expect(200);
    laptop.is_out(&shop).await;
}

/// All other devices at once, and not those of other people.
#[tokio::test]
async fn all_other_devices_are_signed_out() {
    let shop = TestApp::with(|config| config.auth.session_check_seconds = 0).await;
    let kofi = shop.customer("kofi@example.com").await;
    let ama = shop.customer(AMA).await;
    let (phone, laptop) = (Device::sign_in(&shop, PHONE).await, Device::sign_in(&shop, LAPTOP).await);
    let end_others = async || shop.delete("/auth/sessions").token(&laptop.token).send().await.expect(200);
    assert_eq!(end_others().await["ended"], 2);
    phone.is_out(&shop).await;
    me(&shop, &ama).await.expect_error(401, "AUTHENTICATION_ERROR");
    laptop.is_in(&shop).await;
    refresh(&shop, &laptop.cookie).await.expect(200);
    me(&shop, &kofi).await.expect(200);
    assert_eq!(end_others().await["ended"], 0);
}

/// A session that this node ends is over at once, however sure the node was a moment ago.
#[tokio::test]
async fn a_session_that_ends_here_is_over_at_once() {
    let shop = TestApp::start().await;
    assert_eq!(shop.app.config.auth.session_check_seconds, 5, "the default");
    shop.customer(AMA).await;
    let laptop = Device::sign_in(&shop, LAPTOP).await;
    for way in 0..3 {
        let phone = Device::sign_in(&shop, PHONE).await;
        phone.is_in(&shop).await;
        match way {
            0 => {
                let path = format!("/auth/sessions/{}", phone.session(&shop).await);
                shop.delete(&path).token(&laptop.token).send().await.expect(200);
            }
            1 => drop(shop.delete("/auth/sessions").token(&laptop.token).send().await.expect(200)),
            _ => drop(shop.post("/auth/logout").token(&phone.token).send().await.expect(200)),
        }
        phone.is_out(&shop).await;
    }
    laptop.is_in(&shop).await;
}

/// Where the settings want it, every request asks whether another node has ended the session; for staff it always does.
#[tokio::test]
async fn a_session_that_ended_elsewhere_is_over_where_every_request_asks() {
    let shop = TestApp::with(|config| config.auth.session_check_seconds = 0).await;
    shop.customer(AMA).await;
    let phone = Device::sign_in(&shop, PHONE).await;
    phone.is_in(&shop).await;
    let session = phone.session(&shop).await;
    end_elsewhere(&shop, &session).await;
    phone.is_out(&shop).await;
    // A guest's route is none for him either.
    shop.get("/cart").token(&phone.token).send().await.expect_error(401, "AUTHENTICATION_ERROR");

    let shop = shop.restart(|_| {}).await;
    let merchant = shop.staff(Role::Merchant).await;
    me(&shop, &merchant).await.expect(200);
    let sessions = list(&shop, &merchant).await;
    end_elsewhere(&shop, sessions[0]["id"].as_str().unwrap()).await;
    me(&shop, &merchant).await.expect_error(401, "AUTHENTICATION_ERROR");
}

/// An old copy of a refresh token ends the session, is on record, and its owner is told, once.
#[tokio::test]
async fn the_use_of_an_old_copy_is_recorded_and_mailed() {
    let shop = TestApp::start().await;
    shop.customer(AMA).await;
    let phone = Device::sign_in(&shop, PHONE).await;
    let laptop = Device::sign_in(&shop, LAPTOP).await;
    let next = refresh(&shop, &phone.cookie).await;
    let next_cookie = cookie(&next);
    let next = next.expect(200)["accessToken"].as_str().unwrap().to_owned();
    me(&shop, &next).await.expect(200);
    shop.app.clock.advance(TimeDelta::seconds(11));
    for _ in 0..2 {
        refresh(&shop, &phone.cookie).await.expect_error(401, "AUTHENTICATION_ERROR");
    }
    refresh(&shop, &next_cookie).await.expect_error(401, "AUTHENTICATION_ERROR");
    for token in [&next, &phone.token] {
        me(&shop, token).await.expect_error(401, "AUTHENTICATION_ERROR");
    }
    let entry = "select count(*) from audit_log where action = 'session.reuse_detected' and entity_id = (
                   select id::text from users)";
    assert_eq!(shop.database.count(entry).await, 1);
    assert_eq!(shop.mails("security_notice").await, ["We ended a session to protect your account"]);
    laptop.is_in(&shop).await;
    refresh(&shop, &laptop.cookie).await.expect(200);
}

/// Of fifty guesses that all began before the lock, each counts, one locks and one mail is sent. The right password is
/// refused meanwhile; who is signed in goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_guesses_at_once_are_fifty_failures_and_one_lock() {
    let shop = TestApp::with(|config| {
        // Each guess waits with a connection in its hand until all are there.
        config.database.pool_max = 60;
        config.database.lock_timeout_ms = 60_000;
        config.database.statement_timeout_ms = 60_000;
    })
    .await;
    shop.customer(AMA).await;
    let phone = Device::sign_in(&shop, PHONE).await;
    let mut blocker = shop.database.pool.begin().await.unwrap();
    sqlx::query("select from users for update").execute(&mut *blocker).await.unwrap();
    let guesses = join_all((0..50).map(|_| sign_in(&shop, AMA, "Wrong@1234")));
    let release = async {
        shop.wait_for("all guesses to wait for their turn to be counted", || async {
            let waiting = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' \
                           and datname = current_database()";
            (shop.database.count(waiting).await == 50).then_some(())
        })
        .await;
        blocker.rollback().await.unwrap();
    };
    let (answers, ()) = tokio::join!(guesses, release);
    for answer in &answers {
        answer.expect_error(401, "AUTHENTICATION_ERROR");
    }
    assert_eq!(shop.database.count("select failed_logins::bigint from users").await, 50);
    let entries = "select count(*) from audit_log where action = 'user.login_failed' and entity_id is not null";
    assert_eq!(shop.database.count(entries).await, 50);
    assert_eq!(shop.mails("account_locked").await.len(), 1);

    sign_in(&shop, AMA, PASSWORD).await.expect_error(401, "AUTHENTICATION_ERROR");
    phone.is_in(&shop).await;
    refresh(&shop, &phone.cookie).await.expect(200);
    shop.app.clock.advance(TimeDelta::minutes(16));
    sign_in(&shop, AMA, PASSWORD).await.expect(200);
    assert_eq!(shop.mails("account_locked").await.len(), 1);
}

/// A browser that sends no origin still says that another site asks. That site cannot use the cookie.
#[tokio::test]
async fn a_request_of_another_site_without_an_origin_is_refused() {
    let shop = TestApp::start().await;
    shop.customer(AMA).await;
    let phone = Device::sign_in(&shop, PHONE).await;
    let call = |path: &str, site: &str| shop.post(path).header("cookie", &phone.cookie).header("sec-fetch-site", site);
    for path in ["/auth/refresh", "/auth/logout"] {
        call(path, "cross-site").send().await.expect_error(403, "AUTHORIZATION_ERROR");
    }
    // What the page itself, a subdomain or the address bar sends is served.
    let mut session = phone.cookie.clone();
    for site in ["same-origin", "same-site", "none"] {
        let answer = shop.post("/auth/refresh").header("cookie", &session).header("sec-fetch-site", site).send().await;
        session = cookie(&answer);
        answer.expect(200);
    }
    // The storefront on another address is known by its origin.
    let call = shop.post("/auth/refresh").header("cookie", &session).header("sec-fetch-site", "cross-site");
    call.header("origin", "http://localhost:3000").send().await.expect(200);
    // A token in the body came out of a script's own hands.
    let body = json!({"email": AMA, "password": PASSWORD});
    let answer = shop.post("/auth/login").header("x-token-transport", "body").json(&body).send().await;
    let body = json!({"refreshToken": answer.expect(200)["refreshToken"]});
    shop.post("/auth/refresh").header("sec-fetch-site", "cross-site").json(&body).send().await.expect(200);
}

/// Whoever is locked out by staff does not stay in by refreshing.
#[tokio::test]
async fn a_suspended_account_cannot_refresh() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    shop.customer(AMA).await;
    let phone = Device::sign_in(&shop, PHONE).await;
    // The session lives on, so that only the account can be the reason.
    let suspend = "update users set suspended_at = now(), suspended_reason = 'test' where role = 'customer'";
    sqlx::query(suspend).execute(&shop.database.pool).await.unwrap();
    refresh(&shop, &phone.cookie).await.expect_error(401, "AUTHENTICATION_ERROR");
    sign_in(&shop, AMA, PASSWORD).await.expect_error(401, "AUTHENTICATION_ERROR");
    let unsuspend = "update users set suspended_at = null, suspended_reason = null";
    sqlx::query(unsuspend).execute(&shop.database.pool).await.unwrap();
    let answer = refresh(&shop, &phone.cookie).await;
    let session = cookie(&answer);
    let data = answer.expect(200);
    let id = data["user"]["id"].as_str().unwrap();

    let path = format!("/admin/users/{id}/lock");
    shop.post(&path).token(&admin).json(&json!({"reason": "a test"})).send().await.expect(200);
    refresh(&shop, &session).await.expect_error(401, "AUTHENTICATION_ERROR");
    me(&shop, data["accessToken"].as_str().unwrap()).await.expect_error(401, "AUTHENTICATION_ERROR");
    sign_in(&shop, AMA, PASSWORD).await.expect_error(401, "AUTHENTICATION_ERROR");
    shop.post(&format!("/admin/users/{id}/unlock")).token(&admin).send().await.expect(200);
    // What was ended stays so; a new sign-in is a new session.
    refresh(&shop, &session).await.expect_error(401, "AUTHENTICATION_ERROR");
    sign_in(&shop, AMA, PASSWORD).await.expect(200);
}

/// Hashes of weaker settings are replaced when their password is there to be hashed: at the next login.
#[tokio::test]
async fn old_hashes_are_renewed_at_login() {
    let shop = TestApp::start().await;
    shop.customer(AMA).await;
    let hash = async |shop: &TestApp| shop.database.text("select password_hash from users").await.unwrap();
    let old = hash(&shop).await;
    assert!(old.contains("$m=8192,t=1,p=1$"), "{old}");
    sign_in(&shop, AMA, PASSWORD).await.expect(200);
    assert_eq!(hash(&shop).await, old, "there is nothing to renew");

    let shop = shop.restart(|config| config.auth.hash_passes = 2).await;
    sign_in(&shop, AMA, "Wrong@1234").await.expect_error(401, "AUTHENTICATION_ERROR");
    assert_eq!(hash(&shop).await, old);
    sign_in(&shop, AMA, PASSWORD).await.expect(200);
    let new = hash(&shop).await;
    assert!(new.contains("$m=8192,t=2,p=1$"), "{new}");
    sign_in(&shop, AMA, PASSWORD).await.expect(200);
    assert_eq!(hash(&shop).await, new, "once is enough");

    // The memory counts as well, and stronger settings are replaced too: a shop may have taken too much.
    let mut config = shop.app.config.auth.clone();
    config.hash_memory_kib = 16_384;
    let other = Hasher::new(&config).unwrap().hash(PASSWORD).await.unwrap();
    sqlx::query("update users set password_hash = $1").bind(&other).execute(&shop.database.pool).await.unwrap();
    sign_in(&shop, AMA, PASSWORD).await.expect(200);
    let renewed = hash(&shop).await;
    assert!(renewed.contains("$m=8192,t=2,p=1$") && renewed != new, "{renewed}");
    sign_in(&shop, AMA, PASSWORD).await.expect(200);
}

/// Name and number are changed one by one; what is left out stays, and null removes the number.
#[tokio::test]
async fn the_profile_is_changed_field_by_field() {
    let shop = TestApp::start().await;
    shop.patch("/auth/me").json(&json!({"name": "X"})).send().await.expect_error(401, "AUTHENTICATION_ERROR");
    let ama = shop.customer(AMA).await;
    for (body, name, phone) in [
        (json!({"name": "  Ama Serwaa  "}), "Ama Serwaa", json!(null)),
        (json!({"phone": "0803 123 4567"}), "Ama Serwaa", json!("+2348031234567")),
        (json!({}), "Ama Serwaa", json!("+2348031234567")),
        (json!({"name": "Ama Mensah"}), "Ama Mensah", json!("+2348031234567")),
        (json!({"phone": "0712 345 678", "phoneCountry": "KE"}), "Ama Mensah", json!("+254712345678")),
        (json!({"phone": "082 123 4567", "phoneCountry": "ZA"}), "Ama Mensah", json!("+27821234567")),
        (json!({"phone": "+254 712 345 678", "phoneCountry": "ZA"}), "Ama Mensah", json!("+254712345678")),
        (json!({"phone": null}), "Ama Mensah", json!(null)),
        (json!({"name": "Ama", "phone": "024 123 4567"}), "Ama", json!("+233241234567")),
    ] {
        let user = patch(&shop, &ama, &body).await.expect(200)["user"].clone();
        assert_eq!((&user["name"], &user["phone"]), (&json!(name), &phone), "{body}");
        assert_eq!(me(&shop, &ama).await.expect(200)["user"], user, "{body}");
    }
    for (body, fields) in [
        (json!({"name": ""}), &["name"][..]),
        (json!({"name": "x".repeat(121)}), &["name"]),
        (json!({"phone": "12"}), &["phone"]),
        // Kenya's and South Africa's numbers look alike, so without the country there is no telling.
        (json!({"phone": "0712 345 678"}), &["phone"]),
        (json!({"phone": "082 123 4567"}), &["phone"]),
        (json!({"phone": "0712 345", "phoneCountry": "KE"}), &["phone"]),
        (json!({"phone": "0712 345 678", "phoneCountry": "Kenia"}), &["phoneCountry"]),
        (json!({"email": "other@example.com", "role": "admin"}), &["email", "role"]),
    ] {
        let mut wrong = patch(&shop, &ama, &body).await.expect_error(400, "VALIDATION_ERROR");
        wrong.sort();
        assert_eq!(wrong, fields, "{body}");
    }
    let user = me(&shop, &ama).await.expect(200)["user"].clone();
    assert_eq!((&user["name"], &user["phone"]), (&json!("Ama"), &json!("+233241234567")));
    let entries = "select count(*) from audit_log where action = 'user.update_profile' and actor_id::text = entity_id";
    assert_eq!(shop.database.count(entries).await, 9);
}

/// A number is taken as it is dialled in the country that stands beside it.
#[tokio::test]
async fn whoever_registers_gives_the_number_as_it_is_dialled() {
    let shop = TestApp::start().await;
    for (i, (country, phone, number)) in [
        ("NG", "0803 123 4567", "+2348031234567"),
        ("GH", "024 123 4567", "+233241234567"),
        ("KE", "0712 345 678", "+254712345678"),
        ("ZA", "082 123 4567", "+27821234567"),
        ("South Africa", "071 234 5678", "+27712345678"),
    ]
    .into_iter()
    .enumerate()
    {
        let email = format!("p{i}@example.com");
        let body = json!({"email": email, "password": PASSWORD, "name": "A", "phone": phone, "phoneCountry": country});
        let data = shop.post("/auth/register").json(&body).send().await.expect(201);
        assert_eq!(data["user"]["phone"], number, "{country} {phone}");
    }
    for (country, phone) in [("KE", "0803 12"), ("ZA", "08212345678901"), ("NG", "0703 123 456")] {
        let body = json!({"email": AMA, "password": PASSWORD, "name": "A", "phone": phone, "phoneCountry": country});
        let answer = shop.post("/auth/register").json(&body).send().await;
        assert_eq!(answer.expect_error(400, "VALIDATION_ERROR"), ["phone"], "{country} {phone}");
    }
    assert_eq!(shop.database.count("select count(*) from users").await, 5);
}
