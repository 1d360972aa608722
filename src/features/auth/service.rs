//! Registering, signing in and staying signed in.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;

use super::jobs::SendVerificationMail;
use super::model::{Password, Role};
use super::store::{self, NewSession, NewUser, User};
use crate::app::App;
use crate::features::audit;
use crate::platform::crypto::{random_token, sha256};
use crate::platform::error::{Error, Result, violated_constraint};
use crate::platform::http::RequestMeta;
use crate::platform::ids::{SessionId, UserId};
use crate::platform::jobs;
use crate::platform::text::{Email, Phone, Text};

/// A person who has just proven who he is.
#[derive(Debug)]
pub(super) struct SignedIn {
    pub user: User,
    pub access_token: String,
    pub access_expires: DateTime<Utc>,
    pub refresh_token: String,
    pub refresh_expires: DateTime<Utc>,
}

#[derive(Debug)]
pub(super) struct Registration {
    pub email: Email,
    pub password: Password,
    pub name: Text<1, 120>,
    pub phone: Option<Phone>,
}

pub(super) async fn register(app: &App, new: Registration, meta: &RequestMeta) -> Result<SignedIn> {
    if new.password.expose().to_lowercase().contains(new.email.as_str()) {
        return Err(Error::field("password", "must not contain the e-mail address"));
    }
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
    };
    store::insert_user(&mut tx, &user, now).await.map_err(email_taken)?;
    let signed_in = start_session(app, &mut tx, id, meta, now).await?;
    audit::record(
        &mut tx,
        audit::Entry {
            actor: None,
            action: "user.register",
            entity: "user",
            entity_id: Some(id.to_string()),
            before: None,
            after: None,
        },
        meta,
        now,
    )
    .await?;
    jobs::enqueue(&mut tx, &SendVerificationMail::to(id), app.config.jobs.max_attempts).await?;
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
    let user = NewUser { id, email: email.as_str(), password_hash: &hash, name, phone: None, role };
    store::insert_user(&mut tx, &user, now).await.map_err(email_taken)?;
    let entry = audit::Entry {
        actor: None,
        action: "user.create_staff",
        entity: "user",
        entity_id: Some(id.to_string()),
        before: None,
        after: Some(serde_json::json!({"role": role})),
    };
    let meta = RequestMeta { ip: None, user_agent: Some("command line".into()), request_id: String::new() };
    audit::record(&mut tx, entry, &meta, now).await?;
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

pub(super) async fn login(app: &App, email: &str, password: &str, meta: &RequestMeta) -> Result<SignedIn> {
    let config = &app.config.auth;
    // One answer for a wrong password, an unknown address and a lock, so that nobody learns which addresses exist.
    let refusal = || {
        Error::Unauthenticated(format!(
            "The e-mail or the password is not right. After {} wrong passwords an account is locked for {} minutes.",
            config.lock_after_failures, config.lock_minutes
        ))
    };
    let known = match email.parse::<Email>() {
        Ok(email) => store::find_credentials(&mut *app.db.acquire().await?, email.as_str()).await?,
        Err(_) => None,
    };
    let right = app.hasher.verify(password, known.as_ref().map(|k| k.password_hash.as_str())).await?;
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let Some(known) = known else {
        record(&mut tx, "user.login_failed", None, meta, now).await?;
        tx.commit().await?;
        return Err(refusal());
    };
    let locked = known.locked_until.is_some_and(|until| until > now);
    if locked || !right || !store::accept_login(&mut tx, known.id, now).await? {
        if !right && !locked {
            let until = now + TimeDelta::minutes(config.lock_minutes);
            store::count_failure(&mut tx, known.id, config.lock_after_failures, until, now).await?;
        }
        record(&mut tx, "user.login_failed", Some(known.id), meta, now).await?;
        tx.commit().await?;
        return Err(refusal());
    }
    let signed_in = start_session(app, &mut tx, known.id, meta, now).await?;
    record(&mut tx, "user.login", Some(known.id), meta, now).await?;
    tx.commit().await?;
    Ok(signed_in)
}

async fn record(
    tx: &mut PgConnection,
    action: &'static str,
    user: Option<UserId>,
    meta: &RequestMeta,
    now: DateTime<Utc>,
) -> Result<()> {
    let entry = audit::Entry {
        actor: None,
        action,
        entity: "user",
        entity_id: user.map(|id| id.to_string()),
        before: None,
        after: None,
    };
    audit::record(tx, entry, meta, now).await
}

async fn start_session(
    app: &App,
    tx: &mut PgConnection,
    user: UserId,
    meta: &RequestMeta,
    now: DateTime<Utc>,
) -> Result<SignedIn> {
    let id = SessionId::new();
    let session = NewSession {
        id,
        user_id: user,
        ip: meta.ip.as_deref(),
        user_agent: meta.user_agent.as_deref(),
        expires_at: now + TimeDelta::days(app.config.auth.refresh_token_days),
    };
    store::insert_session(tx, &session, now).await?;
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
    store::insert_refresh_token(tx, &sha256(refresh_token.as_bytes()), session, refresh_expires, now).await?;
    let (access_token, access_expires) = app.token_keys.sign(user.id, user.role, session, now)?;
    Ok(SignedIn { user, access_token, access_expires, refresh_token, refresh_expires })
}

/// Exchanges a refresh token for a new pair. A token that was exchanged before is a copy in foreign hands, unless it
/// comes within the grace period, which is two tabs: then both get a pair. The copy ends the whole session.
pub(super) async fn refresh(app: &App, token: &str) -> Result<SignedIn> {
    let over = || Error::Unauthenticated("Your sign-in is over. Please sign in again.".into());
    let now = app.clock.now();
    let hash = sha256(token.as_bytes());
    let mut tx = app.db.begin().await?;
    let Some(found) = store::lock_refresh_token(&mut tx, &hash).await? else { return Err(over()) };
    if found.revoked_at.is_some() || found.expires_at <= now || found.session_expires_at <= now {
        return Err(over());
    }
    let grace = TimeDelta::seconds(app.config.auth.refresh_grace_seconds);
    if found.used_at.is_some_and(|used| now - used > grace) {
        store::revoke_session(&mut tx, found.session_id, "reuse_detected", now).await?;
        tx.commit().await?;
        tracing::warn!(session = %found.session_id, "a used refresh token came again; the session is revoked");
        return Err(over());
    }
    store::use_refresh_token(&mut tx, &hash, found.session_id, now).await?;
    let signed_in = issue_tokens(app, &mut tx, found.user_id, found.session_id, found.session_expires_at, now).await?;
    tx.commit().await?;
    Ok(signed_in)
}

/// Ends the session of the access token or of the refresh token; either may be missing or over.
pub(super) async fn logout(app: &App, session: Option<SessionId>, refresh_token: Option<&str>) -> Result<()> {
    let now = app.clock.now();
    let mut connection = app.db.acquire().await?;
    let of_token = match refresh_token {
        Some(token) => store::session_of_refresh_token(&mut connection, &sha256(token.as_bytes())).await?,
        None => None,
    };
    for id in [session, of_token].into_iter().flatten() {
        store::revoke_session(&mut connection, id, "logout", now).await?;
    }
    Ok(())
}

pub(super) async fn get_user(app: &App, id: UserId) -> Result<User> {
    store::find_user(&mut *app.db.acquire().await?, id)
        .await?
        .ok_or_else(|| Error::Unauthenticated("This account does not exist any more.".into()))
}

pub(super) async fn verify_email(app: &App, token: &str) -> Result<()> {
    let verified =
        store::verify_email(&mut *app.db.acquire().await?, &sha256(token.as_bytes()), app.clock.now()).await?;
    match verified {
        Some(_) => Ok(()),
        None => Err(Error::field("token", "is not valid any more; ask for a new verification mail")),
    }
}

pub(super) async fn resend_verification(app: &App, user: UserId) -> Result<()> {
    if get_user(app, user).await?.email_verified_at.is_some() {
        return Err(Error::conflict("Your e-mail address is verified already."));
    }
    let mut tx = app.db.begin().await?;
    jobs::enqueue(&mut tx, &SendVerificationMail::to(user), app.config.jobs.max_attempts).await?;
    tx.commit().await?;
    app.waker.wake();
    Ok(())
}
