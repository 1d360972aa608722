//! The second factor: setting it up, signing in with it, losing it. The clock is moved, so no test waits for a code.

use std::collections::BTreeSet;

use agape::features::auth::{Role, current_code};
use agape::platform::crypto::sha256;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, TimeDelta, Utc};
use futures::future::join_all;
use serde_json::{Value, json};
use totp_rs::{Secret, Totp};

use crate::auth::{cookie, me, refresh, sign_in};
use crate::support::{Answer, TestApp};

const AMA: &str = "ama@example.com";
const PASSWORD: &str = "Test@1234";

/// What the owner of a second factor has in hand.
pub struct SecondFactor {
    pub secret: String,
    pub recovery_codes: Vec<String>,
}

impl SecondFactor {
    /// What the authenticator shows now.
    pub fn code(&self, shop: &TestApp) -> String {
        self.code_at(shop, 0)
    }

    /// What it shows so many steps from now.
    fn code_at(&self, shop: &TestApp, steps: i64) -> String {
        current_code(&self.secret, shop.app.clock.now() + TimeDelta::seconds(30 * steps)).unwrap()
    }

    /// Six digits that it shows neither now nor about now.
    fn wrong_code(&self, shop: &TestApp) -> String {
        let near: Vec<String> = (-3..=3).map(|steps| self.code_at(shop, steps)).collect();
        (0..100).map(|number| format!("{number:06}")).find(|code| !near.contains(code)).unwrap()
    }
}

/// Moves the clock to the start of a step whose code, and the one before it, nobody has used yet.
fn new_step(shop: &TestApp) {
    let elapsed = shop.app.clock.now().timestamp_millis().rem_euclid(30_000);
    shop.app.clock.advance(TimeDelta::milliseconds(90_000 - elapsed));
}

async fn set_up(shop: &TestApp, token: &str) -> Value {
    shop.post("/auth/2fa/setup").token(token).json(&json!({"password": PASSWORD})).send().await.expect(200)
}

async fn enable(shop: &TestApp, token: &str, code: &str) -> Answer {
    shop.post("/auth/2fa/enable").token(token).json(&json!({"code": code})).send().await
}

/// The recovery codes that an answer shows.
fn shown_codes(data: &Value) -> Vec<String> {
    data["recoveryCodes"].as_array().unwrap().iter().map(|code| code.as_str().unwrap().to_owned()).collect()
}

/// Turns the second factor of an account with the usual password on. The clock then stands where a code is fresh.
pub async fn turn_on(shop: &TestApp, token: &str) -> SecondFactor {
    let secret = set_up(shop, token).await["secret"].as_str().unwrap().to_owned();
    let mut factor = SecondFactor { secret, recovery_codes: Vec::new() };
    let data = enable(shop, token, &factor.code(shop)).await.expect(200);
    factor.recovery_codes = shown_codes(&data);
    // Its mail is the first of those that a test looks for.
    shop.wait_for_jobs().await;
    new_step(shop);
    factor
}

/// The first step of a login, which has to ask for the second.
async fn challenge(shop: &TestApp, email: &str) -> String {
    let data = sign_in(shop, email, PASSWORD).await.expect(200);
    assert_eq!(data["mfaRequired"], true, "{data}");
    data["challenge"].as_str().unwrap().to_owned()
}

async fn second_step(shop: &TestApp, challenge: &str, code: &str) -> Answer {
    shop.post("/auth/login/2fa").json(&json!({"challenge": challenge, "code": code})).send().await
}

/// Both steps, of which the second has to be refused.
async fn refused(shop: &TestApp, code: &str) {
    second_step(shop, &challenge(shop, AMA).await, code).await.expect_error(401, "AUTHENTICATION_ERROR");
}

/// Both steps. Gives the access token.
async fn signed_in(shop: &TestApp, code: &str) -> String {
    let data = second_step(shop, &challenge(shop, AMA).await, code).await.expect(200);
    data["accessToken"].as_str().unwrap().to_owned()
}

/// How many of as many answers signed in; the others must have been refused.
#[track_caller]
fn admitted(answers: &[Answer]) -> usize {
    for answer in answers.iter().filter(|answer| answer.status != 200) {
        answer.expect_error(401, "AUTHENTICATION_ERROR");
    }
    answers.iter().filter(|answer| answer.status == 200).count()
}

/// What the account's owner is told about the second factor.
async fn status(shop: &TestApp, token: &str) -> Value {
    shop.get("/auth/2fa").token(token).send().await.expect(200)["twoFactor"].clone()
}

/// A stolen session is no place to guess the password: wrong ones count as at a login, and lock the account.
#[tokio::test]
async fn setting_up_needs_the_password_and_counts_wrong_ones() {
    let shop = TestApp::start().await;
    let ama = shop.customer(AMA).await;
    let set_up = async |password: &str| {
        shop.post("/auth/2fa/setup").token(&ama).json(&json!({"password": password})).send().await
    };
    let answer = shop.post("/auth/2fa/setup").json(&json!({"password": PASSWORD})).send().await;
    answer.expect_error(401, "AUTHENTICATION_ERROR");
    for wrong in 1..=4 {
        assert_eq!(set_up("Wrong@1234").await.expect_error(400, "VALIDATION_ERROR"), ["password"]);
        assert_eq!(shop.database.count("select failed_logins::bigint from users").await, wrong);
    }
    set_up(PASSWORD).await.expect(200);
    assert_eq!(set_up("Wrong@1234").await.expect_error(400, "VALIDATION_ERROR"), ["password"]);
    // The right one is refused now, here and at a login; who is signed in stays so.
    assert_eq!(set_up(PASSWORD).await.expect_error(400, "VALIDATION_ERROR"), ["password"]);
    sign_in(&shop, AMA, PASSWORD).await.expect_error(401, "AUTHENTICATION_ERROR");
    me(&shop, &ama).await.expect(200);
    assert_eq!(shop.mails("account_locked").await.len(), 1);
}

/// Secret, address and picture say the same: shop, account and secret, and nothing that authenticators differ about.
#[tokio::test]
async fn an_authenticator_is_told_what_it_needs_and_no_more() {
    let shop = TestApp::start().await;
    let ama = shop.customer(AMA).await;
    let setup = set_up(&shop, &ama).await;
    let secret = setup["secret"].as_str().unwrap();
    assert_eq!(Secret::try_from_base32(secret).unwrap().as_bytes().len(), 20, "160 bits (RFC 4226, 4): {secret}");

    let text = setup["otpauthUri"].as_str().unwrap();
    let uri = url::Url::parse(text).unwrap();
    assert_eq!((uri.scheme(), uri.host_str()), ("otpauth", Some("totp")), "{text}");
    assert_eq!(uri.path(), "/AGAPE%20LOOKS:ama%40example.com", "{text}");
    let mut parameters: Vec<(String, String)> = uri.query_pairs().into_owned().collect();
    parameters.sort();
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(parameters, [pair("issuer", "AGAPE LOOKS"), pair("secret", secret)], "{text}");
    // A space is %20 here: many authenticators show a plus as it is.
    assert!(!text.contains('+') && uri.fragment().is_none(), "{text}");

    let picture = setup["qrCode"].as_str().unwrap().strip_prefix("data:image/png;base64,").unwrap();
    let png = STANDARD.decode(picture).unwrap();
    assert!(png.starts_with(b"\x89PNG\r\n\x1a\n"));
    let image = image::load_from_memory(&png).unwrap();
    assert!(image.width() == image.height() && image.width() > 200, "{} x {}", image.width(), image.height());
    assert!(png == Totp::from_url(text).unwrap().to_qr_png().unwrap(), "the picture is that of the address");
}

/// Until a code was shown, nothing is in force and the secret can be made anew. Then sessions without it end, but for
/// the one that turned it on.
#[tokio::test]
async fn it_is_in_force_once_a_code_was_shown() {
    let shop = TestApp::start().await;
    let body = json!({"email": AMA, "password": PASSWORD, "name": "Ama Mensah"});
    let registered = shop.post("/auth/register").json(&body).send().await;
    let other_cookie = cookie(&registered);
    let other = registered.expect(201)["accessToken"].as_str().unwrap().to_owned();
    let own = sign_in(&shop, AMA, PASSWORD).await;
    let own_cookie = cookie(&own);
    let ama = own.expect(200)["accessToken"].as_str().unwrap().to_owned();
    enable(&shop, &ama, "123456").await.expect_error(409, "CONFLICT");

    let replaced = set_up(&shop, &ama).await["secret"].clone();
    let secret = set_up(&shop, &ama).await["secret"].as_str().unwrap().to_owned();
    assert_ne!(replaced, secret);
    let off = json!({"enabled": false, "enabledAt": null, "recoveryCodesLeft": 0, "required": false});
    assert_eq!(status(&shop, &ama).await, off);
    shop.login(AMA).await;
    let factor = SecondFactor { secret, recovery_codes: Vec::new() };
    let code = factor.code(&shop);
    for wrong in ["", "ABCD-EFGH-IJKL-MNOP", &code[1..], &format!("0{code}"), &factor.wrong_code(&shop)] {
        let answer = enable(&shop, &ama, wrong).await;
        assert_eq!(answer.expect_error(400, "VALIDATION_ERROR"), ["code"], "{wrong}");
    }
    assert_eq!(status(&shop, &ama).await, off);
    me(&shop, &other).await.expect(200);

    // Authenticators show it in two groups.
    let answer = enable(&shop, &ama, &format!("{} {}", &code[..3], &code[3..])).await;
    let codes = shown_codes(&answer.expect(200));
    assert_eq!(codes.iter().collect::<BTreeSet<_>>().len(), 10, "{codes:?}");
    for code in &codes {
        let groups: Vec<&str> = code.split('-').collect();
        let is_group = |group: &&str| {
            group.len() == 4 && group.bytes().all(|b| b.is_ascii_uppercase() || matches!(b, b'2'..=b'7'))
        };
        assert!(groups.len() == 4 && groups.iter().all(is_group), "{code}");
    }
    let on = status(&shop, &ama).await;
    assert_eq!((&on["enabled"], &on["recoveryCodesLeft"], &on["required"]), (&json!(true), &json!(10), &json!(false)));
    on["enabledAt"].as_str().unwrap().parse::<DateTime<Utc>>().unwrap();

    me(&shop, &other).await.expect_error(401, "AUTHENTICATION_ERROR");
    refresh(&shop, &other_cookie).await.expect_error(401, "AUTHENTICATION_ERROR");
    assert_eq!(me(&shop, &ama).await.expect(200)["user"]["twoFactorEnabled"], true);
    refresh(&shop, &own_cookie).await.expect(200);
    assert_eq!(shop.database.count("select count(*) from sessions where revoked_at is null").await, 1);
    assert_eq!(shop.mails("security_notice").await, ["Two-factor sign-in was turned on"]);

    enable(&shop, &ama, &factor.code(&shop)).await.expect_error(409, "CONFLICT");
    let again = shop.post("/auth/2fa/setup").token(&ama).json(&json!({"password": PASSWORD})).send().await;
    again.expect_error(409, "CONFLICT");
}

/// The password alone opens nothing: it earns a question. The code that answers it makes the session.
#[tokio::test]
async fn signing_in_takes_two_steps() {
    let shop = TestApp::start().await;
    let ama = shop.customer(AMA).await;
    let factor = turn_on(&shop, &ama).await;
    sign_in(&shop, AMA, "Wrong@1234").await.expect_error(401, "AUTHENTICATION_ERROR");

    let answer = sign_in(&shop, AMA, PASSWORD).await;
    assert_eq!(answer.header("set-cookie"), None);
    let data = answer.expect(200);
    let mut names: Vec<&str> = data.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["challenge", "challengeExpiresAt", "mfaRequired"], "neither token nor account");
    assert_eq!(data["mfaRequired"], true);
    let challenge = data["challenge"].as_str().unwrap();
    assert!(challenge.len() == 64 && challenge.bytes().all(|b| b.is_ascii_hexdigit()), "{challenge}");
    let ends: DateTime<Utc> = data["challengeExpiresAt"].as_str().unwrap().parse().unwrap();
    let left = ends - shop.app.clock.now();
    assert!(left > TimeDelta::minutes(4) && left <= TimeDelta::minutes(5), "{left}");
    assert_eq!(shop.database.count("select count(*) from sessions").await, 1);
    me(&shop, challenge).await.expect_error(401, "AUTHENTICATION_ERROR");
    let stored: Vec<u8> =
        sqlx::query_scalar("select token_hash from login_challenges").fetch_one(&shop.database.pool).await.unwrap();
    assert_eq!(stored, sha256(challenge.as_bytes()));

    let code = factor.code(&shop);
    second_step(&shop, &"0".repeat(64), &code).await.expect_error(401, "AUTHENTICATION_ERROR");
    let answer = second_step(&shop, challenge, &code).await;
    let session = cookie(&answer);
    let data = answer.expect(200);
    assert_eq!((&data["user"]["email"], &data["user"]["twoFactorEnabled"]), (&json!(AMA), &json!(true)));
    let token = data["accessToken"].as_str().unwrap();
    let sessions = shop.get("/auth/sessions").token(token).send().await.expect(200)["sessions"].clone();
    let current = sessions.as_array().unwrap().iter().find(|session| session["current"] == true).unwrap();
    assert_eq!(current["twoFactor"], true, "{current}");
    refresh(&shop, &session).await.expect(200);

    // A client without cookies is served as at a login of one step.
    new_step(&shop);
    let other = self::challenge(&shop, AMA).await;
    let body = json!({"challenge": other, "code": factor.code(&shop)});
    let answer = shop.post("/auth/login/2fa").header("x-token-transport", "body").json(&body).send().await;
    assert_eq!(answer.header("set-cookie"), None);
    assert_eq!(answer.expect(200)["refreshToken"].as_str().unwrap().len(), 64);
}

/// Whoever looks over a shoulder is too late: a code that was accepted is worth nothing, whatever it was used for.
#[tokio::test]
async fn a_code_is_accepted_once() {
    let shop = TestApp::start().await;
    let ama = shop.customer(AMA).await;
    let secret = set_up(&shop, &ama).await["secret"].as_str().unwrap().to_owned();
    let factor = SecondFactor { secret, recovery_codes: Vec::new() };
    let code = factor.code(&shop);
    enable(&shop, &ama, &code).await.expect(200);
    refused(&shop, &code).await;

    new_step(&shop);
    let code = factor.code(&shop);
    let token = signed_in(&shop, &code).await;
    refused(&shop, &code).await;
    let body = json!({"password": PASSWORD, "code": code});
    for path in ["/auth/2fa/disable", "/auth/2fa/recovery-codes"] {
        let answer = shop.post(path).token(&token).json(&body).send().await;
        assert_eq!(answer.expect_error(400, "VALIDATION_ERROR"), ["code"], "{path}");
    }
    // The one before it, which nobody has used, is as old.
    refused(&shop, &factor.code_at(&shop, -1)).await;
    signed_in(&shop, &factor.code_at(&shop, 1)).await;
}

/// A clock that is half a minute wrong does not matter; one that is a whole minute wrong does.
#[tokio::test]
async fn codes_of_one_step_before_and_after_are_accepted() {
    let shop = TestApp::start().await;
    let ama = shop.customer(AMA).await;
    let factor = turn_on(&shop, &ama).await;
    for steps in [-2, 2] {
        refused(&shop, &factor.code_at(&shop, steps)).await;
    }
    for steps in [-1, 0, 1] {
        signed_in(&shop, &factor.code_at(&shop, steps)).await;
    }
}

/// A question is answered once, and within five minutes.
#[tokio::test]
async fn a_challenge_works_once_and_for_five_minutes() {
    let shop = TestApp::start().await;
    let ama = shop.customer(AMA).await;
    let factor = turn_on(&shop, &ama).await;
    let used = challenge(&shop, AMA).await;
    second_step(&shop, &used, &factor.code(&shop)).await.expect(200);
    // A code that is good elsewhere.
    let next = factor.code_at(&shop, 1);
    second_step(&shop, &used, &next).await.expect_error(401, "AUTHENTICATION_ERROR");
    signed_in(&shop, &next).await;

    let in_time = challenge(&shop, AMA).await;
    shop.app.clock.advance(TimeDelta::minutes(4));
    second_step(&shop, &in_time, &factor.code(&shop)).await.expect(200);
    let late = challenge(&shop, AMA).await;
    shop.app.clock.advance(TimeDelta::minutes(5));
    let code = factor.code(&shop);
    second_step(&shop, &late, &code).await.expect_error(401, "AUTHENTICATION_ERROR");
    signed_in(&shop, &code).await;
}

/// After five wrong codes a challenge is void, also when the account is unlocked at once.
#[tokio::test]
async fn a_challenge_is_over_after_five_wrong_codes() {
    let shop = TestApp::start().await;
    let body = json!({"email": AMA, "password": PASSWORD, "name": "Ama Mensah"});
    let data = shop.post("/auth/register").json(&body).send().await.expect(201);
    let (ama, id) = (data["accessToken"].as_str().unwrap(), data["user"]["id"].as_str().unwrap());
    let factor = turn_on(&shop, ama).await;
    let admin = shop.staff(Role::Admin).await;
    let tried = challenge(&shop, AMA).await;
    let wrong = factor.wrong_code(&shop);
    for _ in 0..5 {
        second_step(&shop, &tried, &wrong).await.expect_error(401, "AUTHENTICATION_ERROR");
    }
    sign_in(&shop, AMA, PASSWORD).await.expect_error(401, "AUTHENTICATION_ERROR");
    shop.post(&format!("/admin/users/{id}/unlock")).token(&admin).send().await.expect(200);
    let code = factor.code(&shop);
    second_step(&shop, &tried, &code).await.expect_error(401, "AUTHENTICATION_ERROR");
    signed_in(&shop, &code).await;
}

/// Whoever knows the password gets no more tries at the code by asking again.
#[tokio::test]
async fn a_right_password_between_wrong_codes_does_not_start_the_count_anew() {
    let shop = TestApp::start().await;
    let ama = shop.customer(AMA).await;
    let factor = turn_on(&shop, &ama).await;
    let early = challenge(&shop, AMA).await;
    for wrong in 1..=5 {
        refused(&shop, &factor.wrong_code(&shop)).await;
        assert_eq!(shop.database.count("select failed_logins::bigint from users").await, wrong);
    }
    sign_in(&shop, AMA, PASSWORD).await.expect_error(401, "AUTHENTICATION_ERROR");
    assert_eq!(shop.mails("account_locked").await, ["Your AGAPE LOOKS account is locked for 15 minutes"]);
    // A question from before the lock has no answer any more, and nothing is used up by trying.
    for code in [&factor.code(&shop), &factor.recovery_codes[0]] {
        second_step(&shop, &early, code).await.expect_error(401, "AUTHENTICATION_ERROR");
    }
    assert_eq!(status(&shop, &ama).await["recoveryCodesLeft"], 10);
    shop.app.clock.advance(TimeDelta::minutes(16));
    signed_in(&shop, &factor.recovery_codes[0]).await;
    signed_in(&shop, &factor.code(&shop)).await;
    assert_eq!(shop.mails("account_locked").await.len(), 1, "one lock, one mail");
}

/// One code in several challenges at once signs in exactly once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_code_at_once_signs_in_exactly_once() {
    let shop = TestApp::start().await;
    let ama = shop.customer(AMA).await;
    let factor = turn_on(&shop, &ama).await;
    let challenges = join_all((0..5).map(|_| challenge(&shop, AMA))).await;
    let code = factor.code(&shop);
    let answers = join_all(challenges.iter().map(|challenge| second_step(&shop, challenge, &code))).await;
    assert_eq!(admitted(&answers), 1);
    assert_eq!(shop.database.count("select count(*) from sessions where revoked_at is null").await, 2);
    assert_eq!(shop.database.count("select failed_logins::bigint from users").await, 4, "the others are failures");
}

/// One challenge answered by many at once makes one session, even if each has a good answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_challenge_at_once_signs_in_exactly_once() {
    let shop = TestApp::start().await;
    let ama = shop.customer(AMA).await;
    let factor = turn_on(&shop, &ama).await;
    let challenge = challenge(&shop, AMA).await;
    let answers = join_all(factor.recovery_codes[..4].iter().map(|code| second_step(&shop, &challenge, code))).await;
    assert_eq!(admitted(&answers), 1);
    assert_eq!(status(&shop, &ama).await["recoveryCodesLeft"], 9, "only the accepted one is used up");
}

/// A recovery code stands in for a lost authenticator once, as it is printed or as people type it.
#[tokio::test]
async fn a_recovery_code_works_once_however_it_is_typed() {
    let shop = TestApp::start().await;
    let ama = shop.customer(AMA).await;
    let factor = turn_on(&shop, &ama).await;
    let codes = &factor.recovery_codes;
    for (i, typed) in
        [codes[0].clone(), codes[1].replace('-', "").to_lowercase(), codes[2].replace('-', " ")].iter().enumerate()
    {
        let token = signed_in(&shop, typed).await;
        assert_eq!(status(&shop, &token).await["recoveryCodesLeft"], 9 - i, "{typed}");
        refused(&shop, &codes[i]).await;
        refused(&shop, typed).await;
        let mails = shop.mails("security_notice").await;
        assert_eq!(mails.len(), i + 2, "{mails:?}");
        assert_eq!(mails[i + 1], "One of your recovery codes was used");
    }
    // It is no other code, and the authenticator goes on.
    refused(&shop, &codes[3][..18]).await;
    signed_in(&shop, &factor.code(&shop)).await;
}

/// One recovery code in several challenges at once signs in exactly once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_recovery_code_at_once_signs_in_exactly_once() {
    let shop = TestApp::start().await;
    let ama = shop.customer(AMA).await;
    let factor = turn_on(&shop, &ama).await;
    let challenges = join_all((0..5).map(|_| challenge(&shop, AMA))).await;
    let code = &factor.recovery_codes[0];
    let answers = join_all(challenges.iter().map(|challenge| second_step(&shop, challenge, code))).await;
    assert_eq!(admitted(&answers), 1);
    assert_eq!(status(&shop, &ama).await["recoveryCodesLeft"], 9);
    let mails = shop.mails("security_notice").await;
    assert_eq!(mails, ["Two-factor sign-in was turned on", "One of your recovery codes was used"]);
}

/// New recovery codes need both factors, and void the old ones.
#[tokio::test]
async fn new_recovery_codes_void_the_old_ones() {
    let shop = TestApp::start().await;
    let ama = shop.customer(AMA).await;
    let replace = async |password: &str, code: &str| {
        let body = json!({"password": password, "code": code});
        shop.post("/auth/2fa/recovery-codes").token(&ama).json(&body).send().await
    };
    replace(PASSWORD, "123456").await.expect_error(409, "CONFLICT");
    let factor = turn_on(&shop, &ama).await;
    let code = factor.code(&shop);
    assert_eq!(replace("Wrong@1234", &code).await.expect_error(400, "VALIDATION_ERROR"), ["password"]);
    let wrong = factor.wrong_code(&shop);
    assert_eq!(replace(PASSWORD, &wrong).await.expect_error(400, "VALIDATION_ERROR"), ["code"]);
    assert_eq!(status(&shop, &ama).await["recoveryCodesLeft"], 10);

    // The code was not used up by the wrong password.
    let new = shown_codes(&replace(PASSWORD, &code).await.expect(200));
    let all: BTreeSet<&String> = factor.recovery_codes.iter().chain(&new).collect();
    assert_eq!((new.len(), all.len()), (10, 20));
    let mails = shop.mails("security_notice").await;
    assert_eq!(mails, ["Two-factor sign-in was turned on", "Your recovery codes were replaced"]);
    for code in &factor.recovery_codes[..2] {
        refused(&shop, code).await;
    }
    signed_in(&shop, &new[0]).await;
    assert_eq!(status(&shop, &ama).await["recoveryCodesLeft"], 9);
}

/// Turning it off needs both factors; then the password is enough again, and nothing of the secret is left.
#[tokio::test]
async fn turning_it_off_needs_both_factors() {
    let shop = TestApp::start().await;
    let ama = shop.customer(AMA).await;
    let disable = async |password: &str, code: &str| {
        let body = json!({"password": password, "code": code});
        shop.post("/auth/2fa/disable").token(&ama).json(&body).send().await
    };
    disable(PASSWORD, "123456").await.expect_error(409, "CONFLICT");
    let factor = turn_on(&shop, &ama).await;
    let (code, wrong) = (factor.code(&shop), factor.wrong_code(&shop));
    assert_eq!(disable("Wrong@1234", &code).await.expect_error(400, "VALIDATION_ERROR"), ["password"]);
    assert_eq!(disable(PASSWORD, &wrong).await.expect_error(400, "VALIDATION_ERROR"), ["code"]);
    assert_eq!(status(&shop, &ama).await["enabled"], true);

    disable(PASSWORD, &code).await.expect(200);
    let off = json!({"enabled": false, "enabledAt": null, "recoveryCodesLeft": 0, "required": false});
    assert_eq!(status(&shop, &ama).await, off);
    assert_eq!(shop.database.count("select count(*) from users where totp_secret is not null").await, 0);
    shop.login(AMA).await;
    let mails = shop.mails("security_notice").await;
    assert_eq!(mails, ["Two-factor sign-in was turned on", "Two-factor sign-in was turned off"]);
    disable(PASSWORD, &code).await.expect_error(409, "CONFLICT");
}

/// Where the shop demands it, staff do nothing as staff until they have it. They set it up with the token they have, go
/// on with it, and cannot turn it off.
#[tokio::test]
async fn staff_can_be_made_to_have_it() {
    let shop = TestApp::with(|config| config.auth.staff_two_factor = true).await;
    let merchant = shop.staff(Role::Merchant).await;
    let create = async |token: &str, sku: &str| {
        let body = json!({"sku": sku, "title": format!("Kente {sku}"), "price": 100});
        shop.post("/products").token(token).json(&body).send().await
    };
    let answer = create(&merchant, "FIRST").await;
    answer.expect_error(403, "AUTHORIZATION_ERROR");
    assert!(answer.body["message"].as_str().unwrap().contains("/api/v1/auth/2fa/setup"), "{}", answer.text);
    let shown = status(&shop, &merchant).await;
    assert_eq!((&shown["enabled"], &shown["required"]), (&json!(false), &json!(true)));

    // What customers may ask too shows him what a customer would see.
    let buyer = shop.customer("esi@example.com").await;
    let admin = shop.staff(Role::Admin).await;
    turn_on(&shop, &admin).await;
    let product = shop.product(&admin, "ORDERED", 100, 5).await;
    let order = shop.order(&buyer, &product, 1).await;
    let path = format!("/orders/{}", order["id"].as_str().unwrap());
    shop.get(&path).token(&merchant).send().await.expect_error(404, "NOT_FOUND");

    let factor = turn_on(&shop, &merchant).await;
    shop.get(&path).token(&merchant).send().await.expect(200);
    create(&merchant, "FIRST").await.expect(201);
    let body = json!({"password": PASSWORD, "code": factor.code(&shop)});
    let answer = shop.post("/auth/2fa/disable").token(&merchant).json(&body).send().await;
    answer.expect_error(403, "AUTHORIZATION_ERROR");
    assert_eq!(status(&shop, &merchant).await["enabled"], true);

    let challenge = challenge(&shop, "merchant@agape.example").await;
    let data = second_step(&shop, &challenge, &factor.code(&shop)).await.expect(200);
    create(data["accessToken"].as_str().unwrap(), "SECOND").await.expect(201);

    // Customers are free.
    let ama = shop.customer(AMA).await;
    assert_eq!(status(&shop, &ama).await["required"], false);
    let factor = turn_on(&shop, &ama).await;
    let body = json!({"password": PASSWORD, "code": factor.code(&shop)});
    shop.post("/auth/2fa/disable").token(&ama).json(&body).send().await.expect(200);
}

/// A copy of the database opens nothing: the secret is encrypted, the recovery codes are hashed.
#[tokio::test]
async fn neither_secret_nor_recovery_codes_stand_in_the_database() {
    let shop = TestApp::start().await;
    let ama = shop.customer(AMA).await;
    let factor = turn_on(&shop, &ama).await;
    let sealed: Vec<u8> =
        sqlx::query_scalar("select totp_secret from users").fetch_one(&shop.database.pool).await.unwrap();
    let secret = Secret::try_from_base32(&factor.secret).unwrap();
    assert_eq!(sealed.len(), 12 + 20 + 16, "nonce, secret and tag");
    assert!(!sealed.windows(20).any(|part| part == secret.as_bytes()));

    let mut stored: Vec<Vec<u8>> =
        sqlx::query_scalar("select code_hash from recovery_codes").fetch_all(&shop.database.pool).await.unwrap();
    // The account's id is the salt.
    let user = shop.database.text("select id::text from users").await.unwrap();
    let hash = |code: &String| sha256(format!("{user} {}", code.replace('-', "")).as_bytes()).to_vec();
    let mut expected: Vec<Vec<u8>> = factor.recovery_codes.iter().map(hash).collect();
    stored.sort();
    expected.sort();
    assert_eq!(stored, expected);

    shop.wait_for_jobs().await;
    let sql = "select count(*)
               from (select args::text as kept from river_job union all select content::text from audit_parts
                     union all select body_text || html from emails) texts
               where position($1 in kept) > 0";
    for plain in factor.recovery_codes.iter().chain([&factor.secret]) {
        let found: i64 = sqlx::query_scalar(sql).bind(plain).fetch_one(&shop.database.pool).await.unwrap();
        assert_eq!(found, 0, "{plain}");
    }
}

/// The encryption key can be changed: the previous one still reads what it wrote.
#[tokio::test]
async fn codes_are_accepted_after_a_change_of_the_encryption_key() {
    let (old, new) = ("ab".repeat(32), "cd".repeat(32));
    let shop = TestApp::with(|config| config.auth.encryption_key = old.as_str().into()).await;
    let ama = shop.customer(AMA).await;
    let amas = turn_on(&shop, &ama).await;

    let shop = shop
        .restart(|config| {
            config.auth.encryption_key = new.as_str().into();
            config.auth.previous_encryption_key = old.as_str().into();
        })
        .await;
    signed_in(&shop, &amas.code(&shop)).await;
    // What is written from now on needs the new one only, and so does what was used meanwhile. Who has not come has his
    // recovery codes.
    let kofi = shop.customer("kofi@example.com").await;
    let kofis = turn_on(&shop, &kofi).await;
    let esi = shop.customer("esi@example.com").await;
    let esis = turn_on(&shop, &esi).await;
    let shop = shop.restart(|config| config.auth.encryption_key = new.as_str().into()).await;
    shop.app.clock.advance(TimeDelta::seconds(30));
    for (email, factor) in [(AMA, &amas), ("kofi@example.com", &kofis)] {
        let challenge = challenge(&shop, email).await;
        second_step(&shop, &challenge, &factor.code(&shop)).await.expect(200);
    }
    let shop = shop.restart(|config| config.auth.encryption_key = "ef".repeat(32).as_str().into()).await;
    let challenge = challenge(&shop, "esi@example.com").await;
    second_step(&shop, &challenge, &esis.recovery_codes[0]).await.expect(200);
}

/// Wrong codes of somebody who is signed in count like wrong passwords: a stolen session is no place to guess.
#[tokio::test]
async fn wrong_codes_of_a_signed_in_person_lock_too() {
    let shop = TestApp::start().await;
    let ama = shop.customer(AMA).await;
    let factor = turn_on(&shop, &ama).await;
    for path in
        ["/auth/2fa/disable", "/auth/2fa/recovery-codes", "/privacy/erase", "/auth/2fa/disable", "/privacy/erase"]
    {
        let body = json!({"password": PASSWORD, "code": "000000"});
        let answer = shop.post(path).token(&ama).json(&body).send().await;
        assert_eq!(answer.expect_error(400, "VALIDATION_ERROR"), ["code"], "{path}");
    }
    assert_eq!(shop.database.count("select failed_logins::bigint from users").await, 5);
    shop.app.clock.advance(TimeDelta::seconds(30));
    let body = json!({"password": PASSWORD, "code": factor.code(&shop)});
    let answer = shop.post("/auth/2fa/disable").token(&ama).json(&body).send().await;
    assert_eq!(answer.expect_error(400, "VALIDATION_ERROR"), ["password"], "locked");
    assert_eq!(status(&shop, &ama).await["enabled"], true);
}

/// What was earned with an old password is void once there is a new one: first steps of logins, and links in mails.
#[tokio::test]
async fn a_new_password_voids_what_the_old_one_earned() {
    let shop = TestApp::start().await;
    let ama = shop.customer(AMA).await;
    let factor = turn_on(&shop, &ama).await;
    let challenge = challenge(&shop, AMA).await;
    shop.post("/auth/password-reset-request").json(&json!({"email": AMA})).send().await.expect(200);
    shop.wait_for_jobs().await;
    let text = shop.database.text("select body_text from emails where kind = 'password_reset'").await.unwrap();
    let token: String =
        text.split("/reset-password?token=").nth(1).unwrap().chars().take_while(char::is_ascii_hexdigit).collect();
    let body = json!({"currentPassword": PASSWORD, "newPassword": "Other#Kente7"});
    shop.post("/auth/change-password").token(&ama).json(&body).send().await.expect(200);
    shop.app.clock.advance(TimeDelta::seconds(30));
    second_step(&shop, &challenge, &factor.code(&shop)).await.expect_error(401, "AUTHENTICATION_ERROR");
    let body = json!({"token": token, "password": "Third#Kente7"});
    let answer = shop.post("/auth/password-reset").json(&body).send().await;
    assert_eq!(answer.expect_error(400, "VALIDATION_ERROR"), ["token"]);
}
