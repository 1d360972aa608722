//! What staff do with accounts: look at them, change roles, suspend, end sessions.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::PgConnection;

use super::extract::Identity;
use super::jobs::{Notice, SendAccountMail};
use super::model::Role;
use super::permissions::Permission;
use super::sessions_service::{self, Which};
use super::store::staff::{self as store, Filter};
use super::store::{self as accounts, User, two_factor};
use crate::app::App;
use crate::features::audit;
use crate::platform::error::{Error, Result};
use crate::platform::http::RequestMeta;
use crate::platform::ids::UserId;
use crate::platform::jobs;
use crate::platform::page::Page;

/// A page of accounts, and how many there are.
pub(super) async fn list(app: &App, filter: &Filter<'_>, page: Page) -> Result<(Vec<User>, i64)> {
    Ok(store::list(&mut *app.db.acquire().await?, filter, page.limit, page.offset()).await?)
}

pub(super) async fn find(app: &App, id: UserId) -> Result<User> {
    accounts::find_user(&mut *app.db.acquire().await?, id).await?.ok_or(Error::NotFound("The account"))
}

/// Gives an account another role. Its sessions end, because their tokens name the old one.
///
/// # Errors
/// `Conflict` for one's own account.
pub(super) async fn set_role(app: &App, actor: &Identity, id: UserId, role: Role, meta: &RequestMeta) -> Result<User> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let before = guard(&mut tx, actor, id, "You cannot change your own role. Ask another administrator.").await?;
    if before == role {
        tx.rollback().await?;
        return find(app, id).await;
    }
    store::set_role(&mut tx, id, role, now).await?;
    let ended = sessions_service::end(&mut tx, id, Which::All, "role_changed", now).await?;
    let (old, new) = (json!({"role": before}), json!({"role": role}));
    note(&mut tx, actor, "user.set_role", id, Some(old), Some(new), meta, now).await?;
    tx.commit().await?;
    app.live_sessions.forget(&ended).await;
    find(app, id).await
}

/// Keeps an account out: its sessions end and it cannot sign in.
///
/// # Errors
/// As [`set_role`].
pub(super) async fn suspend(app: &App, actor: &Identity, id: UserId, reason: &str, meta: &RequestMeta) -> Result<User> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    guard(&mut tx, actor, id, "You cannot lock your own account.").await?;
    let before = locks(&mut tx, id).await?;
    store::suspend(&mut tx, id, reason, now).await?;
    let ended = sessions_service::end(&mut tx, id, Which::All, "suspended", now).await?;
    let after = locks(&mut tx, id).await?;
    note(&mut tx, actor, "user.lock", id, Some(before), Some(after), meta, now).await?;
    tx.commit().await?;
    app.live_sessions.forget(&ended).await;
    find(app, id).await
}

/// Lets an account in again, whether staff or wrong passwords had locked it.
pub(super) async fn unlock(app: &App, actor: &Identity, id: UserId, meta: &RequestMeta) -> Result<User> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    store::lock_role(&mut tx, id).await?.ok_or(Error::NotFound("The account"))?;
    let before = locks(&mut tx, id).await?;
    store::unlock(&mut tx, id, now).await?;
    let after = locks(&mut tx, id).await?;
    note(&mut tx, actor, "user.unlock", id, Some(before), Some(after), meta, now).await?;
    tx.commit().await?;
    find(app, id).await
}

/// Takes a lost second factor away, after the person was recognised in another way. All sessions end.
///
/// # Errors
/// `Conflict` when there is none, or it is one's own.
pub(super) async fn reset_two_factor(app: &App, actor: &Identity, id: UserId, meta: &RequestMeta) -> Result<()> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    guard(&mut tx, actor, id, "Turn off your own second factor with a code of it.").await?;
    let ended = take_second_factor(app, &mut tx, id, now).await?;
    let (old, new) = (json!({"twoFactor": true}), json!({"twoFactor": false}));
    note(&mut tx, actor, "user.two_factor_reset", id, Some(old), Some(new), meta, now).await?;
    tx.commit().await?;
    app.waker.wake();
    app.live_sessions.forget(&ended).await;
    Ok(())
}

/// The same from the command line, for the administrator who has lost his own; it also ends a lock.
///
/// # Errors
/// `NotFound`; `Conflict` when there is none.
pub async fn reset_two_factor_of(app: &App, email: &str) -> Result<()> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let known = accounts::find_credentials(&mut tx, email).await?.ok_or(Error::NotFound("The account"))?;
    take_second_factor(app, &mut tx, known.id, now).await?;
    store::unlock(&mut tx, known.id, now).await?;
    let meta = RequestMeta::command_line();
    super::service::record(&mut tx, None, "user.two_factor_reset", Some(known.id), None, &meta, now).await?;
    tx.commit().await
}

async fn take_second_factor(
    app: &App,
    tx: &mut PgConnection,
    id: UserId,
    now: DateTime<Utc>,
) -> Result<Vec<crate::platform::ids::SessionId>> {
    if !two_factor::disable(tx, id, now).await? {
        return Err(Error::conflict("Two-factor sign-in is not on for this account."));
    }
    let ended = sessions_service::end(tx, id, Which::All, "two_factor_reset", now).await?;
    jobs::enqueue(tx, &SendAccountMail::to(id, Notice::TwoFactorDisabled), app.config.jobs.max_attempts).await?;
    Ok(ended)
}

/// Locks an account for a change by another administrator. As nobody changes himself, one administrator always stays.
async fn guard(tx: &mut PgConnection, actor: &Identity, id: UserId, own: &str) -> Result<Role> {
    if actor.user_id == id {
        return Err(Error::conflict(own));
    }
    // All administrators first, in one order: two who change each other at the same time take turns, and the second finds
    // himself without the right.
    if !store::lock_admins(tx).await?.contains(&actor.user_id) {
        return Err(Error::Forbidden("Your account may not do this any more.".into()));
    }
    store::lock_role(tx, id).await?.ok_or(Error::NotFound("The account"))
}

/// What keeps an account out, for the audit log.
async fn locks(tx: &mut PgConnection, id: UserId) -> Result<Value> {
    let user = accounts::find_user(tx, id).await?.ok_or(Error::NotFound("The account"))?;
    Ok(json!({"suspendedAt": user.suspended_at, "reason": user.suspended_reason, "lockedUntil": user.locked_until}))
}

#[expect(clippy::too_many_arguments, reason = "the words of one entry")]
async fn note(
    tx: &mut PgConnection,
    actor: &Identity,
    action: &'static str,
    id: UserId,
    before: Option<Value>,
    after: Option<Value>,
    meta: &RequestMeta,
    now: DateTime<Utc>,
) -> Result<()> {
    let entry =
        audit::Entry { actor: Some(actor), action, entity: "user", entity_id: Some(id.to_string()), before, after };
    audit::record(tx, entry, meta, now).await
}

/// Refuses to erase the last administrator. In the transaction that erases.
///
/// # Errors
/// `Conflict`.
pub async fn refuse_last_admin(tx: &mut PgConnection, id: UserId) -> Result<()> {
    // Only for an administrator: everybody else's erasure keeps no administrator waiting.
    if accounts::find_user(tx, id).await?.is_none_or(|user| user.role != Role::Admin) {
        return Ok(());
    }
    if store::lock_admins(tx).await? == [id] {
        return Err(Error::conflict("This is the last administrator of the shop. Make another one first."));
    }
    Ok(())
}

/// The addresses of all who may do something, at most a hundred.
///
/// # Errors
/// When the database does not answer.
pub async fn staff_addresses(c: &mut PgConnection, permission: Permission) -> Result<Vec<(Option<UserId>, String)>> {
    let roles: Vec<_> = Role::ALL
        .into_iter()
        .filter(|role| permission.allowed_to(*role))
        .map(|role| role.as_str().to_owned())
        .collect();
    let staff = store::addresses_of(c, &roles).await?;
    Ok(staff.into_iter().map(|(id, email)| (Some(id), email)).collect())
}
