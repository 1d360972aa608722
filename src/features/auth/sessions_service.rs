//! Sessions: whether one lives, the list of one's own, and their end.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::extract::Identity;
use super::model::Role;
use super::permissions::Permission;
use super::store::sessions::{self as store, Session};
use crate::app::App;
use crate::features::audit;
use crate::platform::error::{Error, Result};
use crate::platform::http::RequestMeta;
use crate::platform::ids::{SessionId, UserId};

/// Refuses a token whose session is over, whose account is suspended or gone, or whose role is not the account's any more.
pub(super) async fn require_live(app: &App, identity: &Identity) -> Result<()> {
    // What staff may do is worth a question each time.
    let is_staff = identity.role != Role::Customer;
    if !is_staff && app.live_sessions.has(identity.session_id).await {
        return Ok(());
    }
    let epoch = app.live_sessions.epoch();
    let mut connection = app.db.acquire().await?;
    let role = store::live_role(&mut connection, identity.session_id, identity.user_id, app.clock.now()).await?;
    connection.done();
    if role != Some(identity.role) {
        return Err(Error::Unauthenticated("Your sign-in is over. Please sign in again.".into()));
    }
    if !is_staff {
        app.live_sessions.put(identity.session_id, &epoch).await;
    }
    Ok(())
}

/// Where the shop demands it of its staff, refuses those who have not shown a second factor in this session.
pub(super) async fn require_second_factor(app: &App, identity: &Identity) -> Result<()> {
    if !app.config.auth.staff_two_factor {
        return Ok(());
    }
    if store::has_second_factor(&mut *app.db.acquire().await?, identity.session_id).await? {
        return Ok(());
    }
    Err(Error::Forbidden(
        "This shop wants two-factor sign-in of its staff. Set it up under /api/v1/auth/2fa/setup, or sign in again with \
         your code."
            .into(),
    ))
}

/// Whether this person may do it here and now: the role has the permission, and the second factor was shown where the shop
/// demands it. For routes that are open to owners too; others name the permission in their description.
///
/// # Errors
/// When the database does not answer.
pub async fn permits(app: &App, identity: &Identity, permission: Permission) -> Result<bool> {
    if !identity.may(permission) {
        return Ok(false);
    }
    match require_second_factor(app, identity).await {
        Ok(()) => Ok(true),
        Err(Error::Forbidden(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// My sessions that live, the last used first.
pub(super) async fn list(app: &App, user: UserId) -> Result<Vec<Session>> {
    Ok(store::list_live(&mut *app.db.acquire().await?, user, app.clock.now()).await?)
}

/// Which sessions of an account to end.
#[derive(Clone, Copy, Debug)]
pub(super) enum Which {
    /// This one.
    One(SessionId),
    /// All but this one.
    Others(SessionId),
    /// All.
    All,
}

impl Which {
    fn columns(self) -> (Option<SessionId>, Option<SessionId>) {
        match self {
            Self::One(id) => (Some(id), None),
            Self::Others(id) => (None, Some(id)),
            Self::All => (None, None),
        }
    }
}

/// Ends sessions in the caller's transaction. After its commit, hand the result to [`super::LiveSessions::forget`].
pub(super) async fn end(
    tx: &mut PgConnection,
    user: UserId,
    which: Which,
    reason: &str,
    now: DateTime<Utc>,
) -> Result<Vec<SessionId>> {
    let (only, except) = which.columns();
    Ok(store::revoke(tx, user, only, except, reason, now).await?)
}

/// Ends all sessions of an account that is going to be erased. After the commit, hand the result to
/// [`super::LiveSessions::forget`].
///
/// # Errors
/// The database's.
pub async fn end_sessions(tx: &mut PgConnection, user: UserId, now: DateTime<Utc>) -> Result<Vec<SessionId>> {
    end(tx, user, Which::All, "revoked", now).await
}

/// Ends sessions of an account, on record. `actor` is its owner or a member of the staff.
///
/// # Errors
/// `NotFound` when it is to be one, and the account has no such session alive.
pub(super) async fn revoke(
    app: &App,
    actor: &Identity,
    user: UserId,
    which: Which,
    meta: &RequestMeta,
) -> Result<usize> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let ended = end(&mut tx, user, which, "revoked", now).await?;
    if ended.is_empty() && matches!(which, Which::One(_)) {
        return Err(Error::NotFound("The session"));
    }
    let entry = audit::Entry {
        actor: Some(actor),
        action: "session.revoke",
        entity: "user",
        entity_id: Some(user.to_string()),
        before: None,
        after: Some(serde_json::json!({"sessions": ended})),
    };
    audit::record(&mut tx, entry, meta, now).await?;
    tx.commit().await?;
    app.live_sessions.forget(&ended).await;
    Ok(ended.len())
}
