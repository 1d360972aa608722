//! Passwords: forgotten, reset, changed, and asked for once more before something serious.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::extract::Identity;
use super::jobs::{Notice, SendAccountMail, SendPasswordResetMail};
use super::password::Password;
use super::service::record;
use super::sessions_service::{self, Which};
use super::store::{self, Credentials, email_tokens};
use crate::app::App;
use crate::limits;
use crate::platform::crypto::sha256;
use crate::platform::error::{Error, Result};
use crate::platform::http::RequestMeta;
use crate::platform::ids::UserId;
use crate::platform::jobs;
use crate::platform::text::Email;

/// Sends a link to set a new password, if the address has an account. It does the same work if not, so that neither the
/// answer nor its time tells.
pub(super) async fn request_reset(app: &App, email: &Email, meta: &RequestMeta) -> Result<()> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let known = store::find_credentials(&mut tx, email.as_str()).await?.map(|known| known.id);
    // A job for an account that does not exist sends nothing.
    let job = SendPasswordResetMail::to(known.unwrap_or(UserId(Uuid::now_v7())));
    jobs::enqueue(&mut tx, &job, app.config.jobs.max_attempts).await?;
    record(&mut tx, None, "user.password_reset_requested", known, None, meta, now).await?;
    tx.commit().await?;
    app.waker.wake();
    Ok(())
}

/// Sets a new password with the token of a mail. All sessions end.
///
/// # Errors
/// `Validation` of `token` or `password`.
pub(super) async fn reset(app: &App, token: &str, password: &Password, meta: &RequestMeta) -> Result<()> {
    let invalid = || Error::field("token", "is not valid any more; ask for a new mail");
    let token = sha256(token.as_bytes());
    // Looked at before the costly hash.
    let owner = email_tokens::reset_token_owner(&mut *app.db.acquire().await?, &token, app.clock.now()).await?;
    let owner = owner.ok_or_else(invalid)?;
    password.differs_from(&owner.email).map_err(|message| Error::field("password", message))?;
    let hash = app.hasher.hash(password.expose()).await?;
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    store::lock_credentials(&mut tx, owner.id).await?;
    if !email_tokens::use_reset_token(&mut tx, &token, owner.id, now).await? {
        return Err(invalid());
    }
    store::set_password(&mut tx, owner.id, &hash, now).await?;
    let ended = sessions_service::end(&mut tx, owner.id, Which::All, "password_changed", now).await?;
    let mail = SendAccountMail::to(owner.id, Notice::PasswordChanged);
    jobs::enqueue(&mut tx, &mail, app.config.jobs.max_attempts).await?;
    record(&mut tx, None, "user.password_reset", Some(owner.id), None, meta, now).await?;
    tx.commit().await?;
    app.waker.wake();
    app.live_sessions.forget(&ended).await;
    Ok(())
}

/// Whether the token of a mail may still set a password.
pub(super) async fn is_reset_token(app: &App, token: &str) -> Result<bool> {
    let token = sha256(token.as_bytes());
    Ok(email_tokens::reset_token_owner(&mut *app.db.acquire().await?, &token, app.clock.now()).await?.is_some())
}

/// Changes one's own password. All other sessions end.
///
/// # Errors
/// `Validation` when the current one is wrong.
pub(super) async fn change(
    app: &App,
    actor: &Identity,
    current: &str,
    new: &Password,
    meta: &RequestMeta,
) -> Result<()> {
    let known = require_password(app, actor.user_id, "currentPassword", current, meta).await?;
    new.differs_from(&known.email).map_err(|message| Error::field("newPassword", message))?;
    if current == new.expose() {
        return Err(Error::field("newPassword", "must be another one than the current"));
    }
    let hash = app.hasher.hash(new.expose()).await?;
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    require_unchanged(&mut tx, actor, &known, now).await?;
    store::set_password(&mut tx, actor.user_id, &hash, now).await?;
    let others = Which::Others(actor.session_id);
    let ended = sessions_service::end(&mut tx, actor.user_id, others, "password_changed", now).await?;
    let mail = SendAccountMail::to(actor.user_id, Notice::PasswordChanged);
    jobs::enqueue(&mut tx, &mail, app.config.jobs.max_attempts).await?;
    record(&mut tx, Some(actor), "user.password_changed", Some(actor.user_id), None, meta, now).await?;
    tx.commit().await?;
    app.waker.wake();
    app.live_sessions.forget(&ended).await;
    Ok(())
}

/// Asks a signed-in person for his password once more. Wrong ones are counted as at a login and lock the account for
/// logins, so that a stolen session is no place to guess.
///
/// # Errors
/// `Validation` of `field`; `RateLimited` after too many tries.
pub(super) async fn require_password(
    app: &App,
    user: UserId,
    field: &str,
    password: &str,
    meta: &RequestMeta,
) -> Result<Credentials> {
    limits::check_account(app, &user.to_string()).await?;
    let known = store::credentials_of(&mut *app.db.acquire().await?, user).await?;
    let right = app.hasher.verify(password, known.as_ref().map(|known| known.password_hash.as_str())).await?;
    let now = app.clock.now();
    // Erased since the request came: nothing may be recorded about the person any more.
    let known = known.ok_or_else(|| Error::Unauthenticated("This account does not exist any more.".into()))?;
    let locked = known.locked_until.is_some_and(|until| until > now);
    if right && !locked {
        return Ok(known);
    }
    count_failure(app, user, meta, now).await?;
    if locked {
        return Err(Error::field(
            field,
            "cannot be checked now, after too many wrong tries; try again in some minutes",
        ));
    }
    Err(Error::field(field, "is not right"))
}

/// Locks the account and sees to it that the password which was checked is still the one, and the session still lives: a
/// hash takes long, and the owner may have taken his account back meanwhile.
///
/// # Errors
/// `Unauthenticated`.
pub(super) async fn require_unchanged(
    tx: &mut PgConnection,
    actor: &Identity,
    checked: &Credentials,
    now: DateTime<Utc>,
) -> Result<()> {
    let current = store::lock_credentials(tx, actor.user_id).await?;
    let same = current.is_some_and(|current| current.password_hash == checked.password_hash);
    if same && store::sessions::live_role(tx, actor.session_id, actor.user_id, now).await?.is_some() {
        return Ok(());
    }
    Err(Error::Unauthenticated("Your sign-in is over. Please sign in again.".into()))
}

/// Counts a wrong password or code of somebody who is signed in, as at a login.
pub(super) async fn count_failure(app: &App, user: UserId, meta: &RequestMeta, now: DateTime<Utc>) -> Result<()> {
    let config = &app.config.auth;
    let mut tx = app.db.begin().await?;
    let until = now + TimeDelta::minutes(config.lock_minutes);
    if store::count_failure(&mut tx, user, config.lock_after_failures, until, now).await? {
        jobs::enqueue(&mut tx, &SendAccountMail::to(user, Notice::Locked), app.config.jobs.max_attempts).await?;
    }
    record(&mut tx, None, "user.password_check_failed", Some(user), None, meta, now).await?;
    tx.commit().await?;
    app.waker.wake();
    Ok(())
}
