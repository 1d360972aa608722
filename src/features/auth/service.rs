//! Registering, signing in and staying signed in.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use sqlx::PgConnection;

use super::extract::Identity;
use super::jobs::{Notice, SendAccountMail, SendVerificationMail};
use super::model::Role;
use super::password::Password;
use super::sessions_service::{self, Which};
use super::store::sessions::{self, NewSession};
use super::store::two_factor;
use super::store::{self, NewUser, User};
use super::two_factor_service;
use crate::app::App;
use crate::features::audit;
use crate::limits;
use crate::platform::crypto::{random_token, sha256};
use crate::platform::error::{Error, Result, violated_constraint};
use crate::platform::http::RequestMeta;
use crate::platform::ids::{SessionId, UserId};
use crate::platform::jobs;
use crate::platform::text::{Email, Phone, Text};

/// A person who has just proven who he is.
pub(super) struct SignedIn {
    pub user: User,
    pub access_token: String,
    pub access_expires: DateTime<Utc>,
    pub refresh_token: String,
    pub refresh_expires: DateTime<Utc>,
}

/// What came of a right password.
pub(super) enum Login {
    SignedIn(Box<SignedIn>),
    /// The second factor is wanted within this time.
    Challenged {
        challenge: String,
        expires_at: DateTime<Utc>,
    },
}

#[derive(Debug)]
pub(super) struct Registration {
    pub email: Email,
    pub password: Password,
    pub name: Text<1, 120>,
    pub phone: Option<Phone>,
}

pub(super) async fn register(app: &App, new: Registration, meta: &RequestMeta) -> Result<SignedIn> {
    new.password.differs_from(new.email.as_str()).map_err(|message| Error::field("password", message))?;
    let hash = app.hasher.hash(new.password.expose()).await?;
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let id = UserId::new();
    let user = NewUser {
        id,
        email: new.email.as_str(),
        password_hash: &hash,
        name: new.name.as_str(),
        phone: new.phone.as_ref().map(Phone::as_str),
        role: Role::Customer,
        email_verified_at: None,
    };
    store::insert_user(&mut tx, &user, now).await.map_err(email_taken)?;
    let signed_in = start_session(app, &mut tx, id, false, meta, now).await?;
    jobs::enqueue(&mut tx, &SendVerificationMail::to(id), app.config.jobs.max_attempts).await?;
    record(&mut tx, None, "user.register", Some(id), None, meta, now).await?;
    tx.commit().await?;
    app.waker.wake();
    Ok(signed_in)
}

fn email_taken(error: sqlx::Error) -> Error {
    match violated_constraint(&error) {
        Some("users_email_key") => {
            Error::conflict("An account with this e-mail address exists already. Sign in instead.")
        }
        _ => error.into(),
    }
}

/// Makes an account for a member of the staff, from the command line. The address counts as verified.
///
/// # Errors
/// `Conflict` when the address is taken.
pub async fn create_staff(app: &App, email: &Email, password: &Password, name: &str, role: Role) -> Result<UserId> {
    let hash = app.hasher.hash(password.expose()).await?;
    let now = app.clock.now();
    let id = UserId::new();
    let mut tx = app.db.begin().await?;
    let user = NewUser {
        id,
        email: email.as_str(),
        password_hash: &hash,
        name,
        phone: None,
        role,
        email_verified_at: Some(now),
    };
    store::insert_user(&mut tx, &user, now).await.map_err(email_taken)?;
    let after = Some(json!({"role": role}));
    record(&mut tx, None, "user.create_staff", Some(id), after, &RequestMeta::command_line(), now).await?;
    tx.commit().await?;
    Ok(id)
}

/// Whether the shop has an administrator.
///
/// # Errors
/// When the database does not answer.
pub async fn has_admin(app: &App) -> Result<bool> {
    Ok(store::has_admin(&mut *app.db.acquire().await?).await?)
}

/// One answer for a wrong password, an unknown address and a lock, so that nobody learns which addresses exist.
fn refusal(app: &App) -> Error {
    let config = &app.config.auth;
    Error::Unauthenticated(format!(
        "The e-mail or the password is not right. After {} wrong passwords an account is locked for {} minutes.",
        config.lock_after_failures, config.lock_minutes
    ))
}

pub(super) async fn login(app: &App, email: &str, password: &str, meta: &RequestMeta) -> Result<Login> {
    let known = match email.parse::<Email>() {
        Ok(email) => store::find_credentials(&mut *app.db.acquire().await?, email.as_str()).await?,
        Err(_) => None,
    };
    let right = app.hasher.verify(password, known.as_ref().map(|k| k.password_hash.as_str())).await?;
    let now = app.clock.now();
    let new_hash = match &known {
        Some(known) if right && app.hasher.is_outdated(&known.password_hash) => Some(app.hasher.hash(password).await?),
        _ => None,
    };
    let mut tx = app.db.begin().await?;
    let Some(known) = known.filter(|known| !known.suspended) else {
        fail(app, &mut tx, None, None, meta, now).await?;
        tx.commit().await?;
        return Err(refusal(app));
    };
    let locked = known.locked_until.is_some_and(|until| until > now);
    if locked || !right {
        fail(app, &mut tx, Some(known.id).filter(|_| !locked), Some(known.id), meta, now).await?;
        tx.commit().await?;
        app.waker.wake();
        return Err(refusal(app));
    }
    // What was true before the hash was computed may not be any more: the password changed, a second factor turned on.
    let known = match store::lock_credentials(&mut tx, known.id).await? {
        Some(current) if current.password_hash == known.password_hash && !current.suspended => current,
        _ => {
            record(&mut tx, None, "user.login_failed", Some(known.id), None, meta, now).await?;
            tx.commit().await?;
            return Err(refusal(app));
        }
    };
    if let Some(hash) = new_hash {
        store::rehash(&mut tx, known.id, &known.password_hash, &hash).await?;
    }
    if known.two_factor {
        // The count of failures goes on: a right password must not give new tries at the code.
        let challenge = random_token()?;
        let expires_at = now + TimeDelta::minutes(app.config.auth.challenge_minutes);
        two_factor::insert_challenge(&mut tx, &sha256(challenge.as_bytes()), known.id, expires_at, now).await?;
        record(&mut tx, None, "user.login_challenged", Some(known.id), None, meta, now).await?;
        tx.commit().await?;
        return Ok(Login::Challenged { challenge, expires_at });
    }
    // Of many guesses at once, the right one may end after the lock.
    if !store::accept_login(&mut tx, known.id, now).await? {
        record(&mut tx, None, "user.login_failed", Some(known.id), None, meta, now).await?;
        tx.commit().await?;
        return Err(refusal(app));
    }
    let signed_in = start_session(app, &mut tx, known.id, false, meta, now).await?;
    record(&mut tx, None, "user.login", Some(known.id), None, meta, now).await?;
    tx.commit().await?;
    Ok(Login::SignedIn(Box::new(signed_in)))
}

/// Counts and records a failed login in its transaction: `counted` is none for a locked account and for an address without
/// one, `user` for the latter only. All do the same statements, so that they take as long.
async fn fail(
    app: &App,
    tx: &mut PgConnection,
    counted: Option<UserId>,
    user: Option<UserId>,
    meta: &RequestMeta,
    now: DateTime<Utc>,
) -> Result<()> {
    let config = &app.config.auth;
    let until = now + TimeDelta::minutes(config.lock_minutes);
    let nobody = UserId(uuid::Uuid::nil());
    let limit = config.lock_after_failures;
    if store::count_failure(tx, counted.unwrap_or(nobody), limit, until, now).await?
        && let Some(user) = counted
    {
        let mail = SendAccountMail::to(user, Notice::Locked);
        jobs::enqueue(tx, &mail, app.config.jobs.max_attempts).await?;
    }
    record(tx, None, "user.login_failed", user, None, meta, now).await
}

/// The second step of a login: the code of the authenticator, or a recovery code.
pub(super) async fn login_second_step(app: &App, challenge: &str, code: &str, meta: &RequestMeta) -> Result<SignedIn> {
    let refusal = || {
        Error::Unauthenticated(
            "The code is not right, or the time for it is over. Wait for the next code, or sign in again.".into(),
        )
    };
    let now = app.clock.now();
    let hash = sha256(challenge.as_bytes());
    let tries = app.config.auth.lock_after_failures;
    // Counted for good before the code is looked at, whatever becomes of the rest.
    let user = two_factor::try_challenge(&mut *app.db.acquire().await?, &hash, tries, now).await?;
    let mut tx = app.db.begin().await?;
    let Some(user) = user else {
        record(&mut tx, None, "user.login_failed", None, None, meta, now).await?;
        tx.commit().await?;
        return Err(refusal());
    };
    limits::check_account(app, &user.to_string()).await?;
    let proven = two_factor_service::prove(app, &mut tx, user, code, now).await?;
    if proven.is_none() || !store::accept_login(&mut tx, user, now).await? {
        fail(app, &mut tx, Some(user), Some(user), meta, now).await?;
        tx.commit().await?;
        app.waker.wake();
        return Err(refusal());
    }
    if !two_factor::finish_challenge(&mut tx, &hash, now).await? {
        return Err(refusal());
    }
    let signed_in = start_session(app, &mut tx, user, true, meta, now).await?;
    record(&mut tx, None, "user.login", Some(user), Some(json!({"secondFactor": proven})), meta, now).await?;
    tx.commit().await?;
    app.waker.wake();
    Ok(signed_in)
}

/// Writes an entry about an account. It is the last write of its transaction: the log's lock is held until the commit.
pub(super) async fn record(
    tx: &mut PgConnection,
    actor: Option<&Identity>,
    action: &'static str,
    user: Option<UserId>,
    after: Option<Value>,
    meta: &RequestMeta,
    now: DateTime<Utc>,
) -> Result<()> {
    let entity_id = user.map(|user| user.to_string());
    let entry = audit::Entry { actor, action, entity: "user", entity_id, before: None, after };
    audit::record(tx, entry, meta, now).await
}

async fn start_session(
    app: &App,
    tx: &mut PgConnection,
    user: UserId,
    two_factor: bool,
    meta: &RequestMeta,
    now: DateTime<Utc>,
) -> Result<SignedIn> {
    let id = SessionId::new();
    let session = NewSession {
        id,
        user_id: user,
        ip: meta.ip.as_deref(),
        user_agent: meta.user_agent.as_deref(),
        two_factor,
        expires_at: now + TimeDelta::days(app.config.auth.refresh_token_days),
    };
    sessions::insert(tx, &session, now).await?;
    issue_tokens(app, tx, user, id, session.expires_at, now).await
}

async fn issue_tokens(
    app: &App,
    tx: &mut PgConnection,
    user: UserId,
    session: SessionId,
    refresh_expires: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<SignedIn> {
    let user = store::find_user(tx, user).await?.ok_or(Error::NotFound("The account"))?;
    let refresh_token = random_token()?;
    sessions::insert_refresh_token(tx, &sha256(refresh_token.as_bytes()), session, refresh_expires, now).await?;
    let (access_token, access_expires) = app.token_keys.sign(user.id, user.role, session, now)?;
    Ok(SignedIn { user, access_token, access_expires, refresh_token, refresh_expires })
}

/// Exchanges a refresh token for a new pair. A token that was exchanged before is a copy in foreign hands, unless it
/// comes within the grace period, which is two tabs: then both get a pair. The copy ends the whole session.
pub(super) async fn refresh(app: &App, token: &str, meta: &RequestMeta) -> Result<SignedIn> {
    let over = || Error::Unauthenticated("Your sign-in is over. Please sign in again.".into());
    let now = app.clock.now();
    let hash = sha256(token.as_bytes());
    let mut tx = app.db.begin().await?;
    let Some(found) = sessions::lock_refresh_token(&mut tx, &hash).await? else { return Err(over()) };
    if found.revoked_at.is_some() || found.expires_at <= now || found.session_expires_at <= now {
        return Err(over());
    }
    let grace = TimeDelta::seconds(app.config.auth.refresh_grace_seconds);
    if found.used_at.is_some_and(|used| now - used > grace) {
        let which = Which::One(found.session_id);
        let ended = sessions_service::end(&mut tx, found.user_id, which, "reuse_detected", now).await?;
        let mail = SendAccountMail::to(found.user_id, Notice::SignInReused);
        jobs::enqueue(&mut tx, &mail, app.config.jobs.max_attempts).await?;
        record(&mut tx, None, "session.reuse_detected", Some(found.user_id), None, meta, now).await?;
        tx.commit().await?;
        app.waker.wake();
        app.live_sessions.forget(&ended).await;
        tracing::warn!(session = %found.session_id, "a used refresh token came again; the session is revoked");
        return Err(over());
    }
    sessions::use_refresh_token(&mut tx, &hash, found.session_id, meta.ip.as_deref(), now).await?;
    let signed_in = issue_tokens(app, &mut tx, found.user_id, found.session_id, found.session_expires_at, now).await?;
    if signed_in.user.suspended_at.is_some() || signed_in.user.erased_at.is_some() {
        return Err(over());
    }
    tx.commit().await?;
    Ok(signed_in)
}

/// Ends the session of the access token or of the refresh token; either may be missing or over.
pub(super) async fn logout(
    app: &App,
    session: Option<(UserId, SessionId)>,
    refresh_token: Option<&str>,
    meta: &RequestMeta,
) -> Result<()> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let of_token = match refresh_token {
        Some(token) => sessions::session_of_refresh_token(&mut tx, &sha256(token.as_bytes())).await?,
        None => None,
    };
    let mut ended = Vec::new();
    let mut users = Vec::new();
    for (user, id) in [session, of_token].into_iter().flatten() {
        let here = sessions_service::end(&mut tx, user, Which::One(id), "logout", now).await?;
        users.extend(here.iter().map(|_| user));
        ended.extend(here);
    }
    for user in users {
        record(&mut tx, None, "user.logout", Some(user), None, meta, now).await?;
    }
    tx.commit().await?;
    app.live_sessions.forget(&ended).await;
    Ok(())
}
