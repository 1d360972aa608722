//! The second factor: time-based one-time passwords (RFC 6238) and recovery codes.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;
use totp_rs::{Builder, Secret, Totp};

use super::extract::Identity;
use super::jobs::{Notice, SendAccountMail};
use super::password_service::{count_failure, require_password, require_unchanged};
use super::service::record;
use super::sessions_service::{self, Which};
use super::store::sessions;
use super::store::two_factor as store;
use crate::app::App;
use crate::limits;
use crate::platform::crypto::{random_bytes, sha256};
use crate::platform::error::{Error, Result};
use crate::platform::http::RequestMeta;
use crate::platform::ids::UserId;
use crate::platform::jobs;

/// Recovery codes of an account.
const CODES: usize = 10;

/// What an authenticator needs to know.
pub(super) struct Setup {
    /// Base32, to type in.
    pub secret: String,
    /// The same for a program: `otpauth://totp/…`.
    pub uri: String,
    /// The same as a picture.
    pub qr_png: Vec<u8>,
}

/// How the second factor was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Proof {
    Totp,
    RecoveryCode,
}

/// The generator of an account: six digits, thirty seconds, SHA-1, one step of tolerance either way, which is what every
/// authenticator assumes.
fn totp(app: &App, secret: &[u8], email: &str) -> Result<Totp> {
    // A colon would end the name in the address.
    let plain = |text: &str| text.replace(':', " ");
    Builder::new()
        .with_secret(Secret::from(secret.to_vec()))
        .with_skew(1)
        .with_account_name(plain(email))
        .with_issuer(Some(plain(&app.config.store.name)))
        .build()
        .map_err(|error| Error::internal(anyhow::anyhow!("{error}")))
}

fn seconds(now: DateTime<Utc>) -> u64 {
    u64::try_from(now.timestamp()).unwrap_or(0)
}

/// The time step that a code belongs to, if it is one of now.
fn step_of(app: &App, user: UserId, known: &store::TwoFactor, code: &str, now: DateTime<Utc>) -> Result<Option<i64>> {
    let Some(sealed) = &known.secret else { return Ok(None) };
    let secret = match app.vault.open(user.0.as_bytes(), sealed) {
        Ok(secret) => secret,
        Err(error) => {
            // The recovery codes are left, which are not sealed.
            let cause = anyhow::Error::from(error);
            tracing::error!(user = %user, error = format!("{cause:#}"), "a second factor cannot be read");
            return Ok(None);
        }
    };
    let code: String = code.chars().filter(|c| !c.is_whitespace()).collect();
    let step = totp(app, &secret, &known.email)?.check(&code, seconds(now));
    step.map(i64::try_from).transpose().map_err(Error::internal)
}

/// The second factor of an account.
pub(super) async fn status(app: &App, user: UserId) -> Result<store::TwoFactor> {
    store::find(&mut *app.db.acquire().await?, user).await?.ok_or(Error::NotFound("The account"))
}

/// Makes a new secret. It is in force once [`enable`] has seen a code of it; until then it can be made anew.
pub(super) async fn set_up(app: &App, actor: &Identity, password: &str, meta: &RequestMeta) -> Result<Setup> {
    let known = require_password(app, actor.user_id, "password", password, meta).await?;
    let secret: [u8; 20] = random_bytes()?;
    let sealed = app.vault.seal(actor.user_id.0.as_bytes(), &secret)?;
    let totp = totp(app, &secret, &known.email)?;
    let internal = |error| Error::internal(anyhow::anyhow!("{error}"));
    let setup = Setup {
        secret: totp.secret().to_base32(),
        uri: totp.to_url().map_err(internal)?,
        qr_png: totp.to_qr_png().map_err(internal)?,
    };
    let mut tx = app.db.begin().await?;
    require_unchanged(&mut tx, actor, &known, app.clock.now()).await?;
    if !store::set_secret(&mut tx, actor.user_id, &sealed).await? {
        return Err(Error::conflict("Two-factor sign-in is on already. Turn it off first to set it up anew."));
    }
    tx.commit().await?;
    Ok(setup)
}

/// Puts the second factor in force and gives the recovery codes, which are shown only now. Sessions that were opened
/// without it end, but for this one.
///
/// # Errors
/// `Validation` of `code`; `Conflict` when it is on, or was not set up.
pub(super) async fn enable(app: &App, actor: &Identity, code: &str, meta: &RequestMeta) -> Result<Vec<String>> {
    limits::check_account(app, &actor.user_id.to_string()).await?;
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let known = store::find(&mut tx, actor.user_id).await?.ok_or(Error::NotFound("The account"))?;
    let Some(sealed) = known.secret.as_deref().filter(|_| known.enabled_at.is_none()) else {
        return Err(Error::conflict(if known.enabled_at.is_some() {
            "Two-factor sign-in is on already."
        } else {
            "Set up two-factor sign-in first."
        }));
    };
    let Some(step) = step_of(app, actor.user_id, &known, code, now)? else { return Err(wrong_code()) };
    if !store::enable(&mut tx, actor.user_id, sealed, step, now).await? {
        return Err(Error::conflict("Two-factor sign-in was set up anew meanwhile. Use a code of the newest picture."));
    }
    let codes = new_recovery_codes(&mut tx, actor.user_id).await?;
    sessions::mark_second_factor(&mut tx, actor.session_id).await?;
    let others = Which::Others(actor.session_id);
    let ended = sessions_service::end(&mut tx, actor.user_id, others, "revoked", now).await?;
    let mail = SendAccountMail::to(actor.user_id, Notice::TwoFactorEnabled);
    jobs::enqueue(&mut tx, &mail, app.config.jobs.max_attempts).await?;
    record(&mut tx, Some(actor), "user.two_factor_enabled", Some(actor.user_id), None, meta, now).await?;
    tx.commit().await?;
    app.waker.wake();
    app.live_sessions.forget(&ended).await;
    Ok(codes)
}

/// Takes the second factor away.
///
/// # Errors
/// `Validation` of `password` or `code`; `Conflict` when there is none; `Forbidden` for staff who must have it.
pub(super) async fn disable(app: &App, actor: &Identity, password: &str, code: &str, meta: &RequestMeta) -> Result<()> {
    if app.config.auth.staff_two_factor && actor.role != super::model::Role::Customer {
        return Err(Error::Forbidden(
            "This shop wants two-factor sign-in of its staff; it cannot be turned off.".into(),
        ));
    }
    let now = app.clock.now();
    let mut tx = prove_again(app, actor, password, code, meta, now).await?;
    store::disable(&mut tx, actor.user_id, now).await?;
    let mail = SendAccountMail::to(actor.user_id, Notice::TwoFactorDisabled);
    jobs::enqueue(&mut tx, &mail, app.config.jobs.max_attempts).await?;
    record(&mut tx, Some(actor), "user.two_factor_disabled", Some(actor.user_id), None, meta, now).await?;
    tx.commit().await?;
    app.waker.wake();
    Ok(())
}

/// Replaces the recovery codes. The old ones, used or not, are worth nothing from now on.
///
/// # Errors
/// As [`disable`].
pub(super) async fn replace_codes(
    app: &App,
    actor: &Identity,
    password: &str,
    code: &str,
    meta: &RequestMeta,
) -> Result<Vec<String>> {
    let now = app.clock.now();
    let mut tx = prove_again(app, actor, password, code, meta, now).await?;
    let codes = new_recovery_codes(&mut tx, actor.user_id).await?;
    let mail = SendAccountMail::to(actor.user_id, Notice::RecoveryCodesReplaced);
    jobs::enqueue(&mut tx, &mail, app.config.jobs.max_attempts).await?;
    record(&mut tx, Some(actor), "user.recovery_codes_replaced", Some(actor.user_id), None, meta, now).await?;
    tx.commit().await?;
    app.waker.wake();
    Ok(codes)
}

/// Asks for both factors before something serious. Gives the transaction in which the code was used up.
async fn prove_again(
    app: &App,
    actor: &Identity,
    password: &str,
    code: &str,
    meta: &RequestMeta,
    now: DateTime<Utc>,
) -> Result<crate::platform::db::Tx> {
    let checked = require_password(app, actor.user_id, "password", password, meta).await?;
    let mut tx = app.db.begin().await?;
    require_unchanged(&mut tx, actor, &checked, now).await?;
    let known = store::find(&mut tx, actor.user_id).await?.ok_or(Error::NotFound("The account"))?;
    if known.enabled_at.is_none() {
        return Err(Error::conflict("Two-factor sign-in is not on."));
    }
    if prove(app, &mut tx, actor.user_id, code, now).await?.is_none() {
        tx.rollback().await?;
        count_failure(app, actor.user_id, meta, now).await?;
        return Err(wrong_code());
    }
    Ok(tx)
}

/// Asks a signed-in person for all factors of his account before something that cannot be undone.
///
/// # Errors
/// `Validation` of `password` or `code`; `RateLimited` after too many tries.
pub async fn confirm(
    app: &App,
    actor: &Identity,
    password: &str,
    code: Option<&str>,
    meta: &RequestMeta,
) -> Result<()> {
    let known = require_password(app, actor.user_id, "password", password, meta).await?;
    if !known.two_factor {
        return Ok(());
    }
    let code = code.ok_or_else(|| Error::field("code", "is required, because this account has a second factor"))?;
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    if prove(app, &mut tx, actor.user_id, code, now).await?.is_none() {
        tx.rollback().await?;
        count_failure(app, actor.user_id, meta, now).await?;
        return Err(wrong_code());
    }
    tx.commit().await
}

fn wrong_code() -> Error {
    Error::field("code", "is not right; wait for the next code, and see that your device's clock is right")
}

/// Uses up a code of the authenticator or a recovery code. None when it is neither, or was used before.
pub(super) async fn prove(
    app: &App,
    tx: &mut PgConnection,
    user: UserId,
    code: &str,
    now: DateTime<Utc>,
) -> Result<Option<Proof>> {
    // The account first, as everywhere; and guesses at once are looked at one after the other.
    let known = store::lock(tx, user).await?;
    // A locked account keeps its recovery codes.
    let usable =
        |known: &store::TwoFactor| known.enabled_at.is_some() && known.locked_until.is_none_or(|until| until <= now);
    let Some(known) = known.filter(usable) else { return Ok(None) };
    if let Some(step) = step_of(app, user, &known, code, now)? {
        if !store::accept_step(tx, user, step).await? {
            return Ok(None);
        }
        renew_seal(app, tx, user, &known).await?;
        return Ok(Some(Proof::Totp));
    }
    if store::use_recovery_code(tx, user, &recovery_hash(user, code), now).await? {
        let mail = SendAccountMail::to(user, Notice::RecoveryCodeUsed);
        jobs::enqueue(tx, &mail, app.config.jobs.max_attempts).await?;
        return Ok(Some(Proof::RecoveryCode));
    }
    Ok(None)
}

/// Seals a secret with the current key that was sealed with the previous one.
async fn renew_seal(app: &App, tx: &mut PgConnection, user: UserId, known: &store::TwoFactor) -> Result<()> {
    let owner = user.0.as_bytes();
    if let Some(sealed) = known.secret.as_deref().filter(|sealed| app.vault.is_outdated(owner, sealed)) {
        let secret = app.vault.open(owner, sealed)?;
        store::reseal(tx, user, sealed, &app.vault.seal(owner, &secret)?).await?;
    }
    Ok(())
}

/// The letters and digits of a code in upper case, hashed: it may be typed with or without its hyphens. The account's id is
/// the salt, as the code is shorter than 112 bits (NIST SP 800-63B, 5.1.2.2).
fn recovery_hash(user: UserId, code: &str) -> [u8; 32] {
    let plain = code.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_uppercase());
    let salted: String = user.to_string().chars().chain([' ']).chain(plain).collect();
    sha256(salted.as_bytes())
}

/// Ten codes of 80 random bits, as `ABCD-EFGH-IJKL-MNOP`.
async fn new_recovery_codes(tx: &mut PgConnection, user: UserId) -> Result<Vec<String>> {
    let mut codes = Vec::with_capacity(CODES);
    for _ in 0..CODES {
        let text = Secret::from(random_bytes::<10>()?.to_vec()).to_base32();
        let groups: Vec<&str> = (0..4).filter_map(|i| text.get(i * 4..i * 4 + 4)).collect();
        codes.push(groups.join("-"));
    }
    let hashes: Vec<Vec<u8>> = codes.iter().map(|code| recovery_hash(user, code).to_vec()).collect();
    store::replace_recovery_codes(tx, user, &hashes).await?;
    Ok(codes)
}

/// The code that belongs to a base32 secret now: what an authenticator shows. For scripts and tests.
///
/// # Errors
/// When the text is no secret.
pub fn current_code(secret: &str, now: DateTime<Utc>) -> anyhow::Result<String> {
    let secret = Secret::try_from_base32(secret.trim().to_uppercase()).map_err(|error| anyhow::anyhow!("{error}"))?;
    let totp = Builder::new().with_secret(secret).build().map_err(|error| anyhow::anyhow!("{error}"))?;
    Ok(totp.generate(seconds(now)).to_string())
}
