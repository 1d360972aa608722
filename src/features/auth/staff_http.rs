//! Accounts as staff see and keep them.

use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::extract::Identity;
use super::model::Role;
use super::sessions_http::{EndedData, SessionsData};
use super::sessions_service::{self, Which};
use super::staff_service as service;
use super::store::User;
use super::store::staff::Filter;
use crate::app::App;
use crate::platform::error::{Error, Result};
use crate::platform::http::envelope::Empty;
use crate::platform::http::{
    Answer, Body, Envelope, ErrorEnvelope, PathId, PathIds, Query, Reply, RequestMeta, deleted, ok,
};
use crate::platform::ids::{SessionId, UserId};
use crate::platform::page::PageQuery;
use crate::platform::text::Text;

/// Which accounts.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(super) struct ListUsers {
    /// customer, admin, merchant, fulfilment or finance.
    role: Option<String>,
    /// A part of the name, the address or the number.
    #[param(max_length = 100)]
    search: Option<String>,
    /// Whether the address was proven.
    verified: Option<bool>,
    /// Whether staff has locked the account.
    locked: Option<bool>,
    /// Whether it has a second factor.
    two_factor: Option<bool>,
}

/// An account as staff see it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct StaffUserView {
    id: UserId,
    email: String,
    name: String,
    phone: Option<String>,
    role: Role,
    verified: bool,
    two_factor_enabled: bool,
    /// Whether staff has locked it. A lock after wrong passwords is told by `lockedUntil`.
    locked: bool,
    lock_reason: Option<String>,
    /// When a lock after wrong passwords ends.
    locked_until: Option<DateTime<Utc>>,
    /// When the person was erased; only what the law on bookkeeping wants is left.
    erased_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    last_seen_at: Option<DateTime<Utc>>,
}

impl StaffUserView {
    fn new(user: User, now: DateTime<Utc>) -> Self {
        Self {
            id: user.id,
            email: user.email,
            name: user.name,
            phone: user.phone,
            role: user.role,
            verified: user.email_verified_at.is_some(),
            two_factor_enabled: user.two_factor,
            locked: user.suspended_at.is_some(),
            lock_reason: user.suspended_reason,
            locked_until: user.locked_until.filter(|until| *until > now),
            erased_at: user.erased_at,
            created_at: user.created_at,
            last_seen_at: user.last_seen_at,
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct StaffUsersData {
    users: Vec<StaffUserView>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct StaffUserData {
    user: StaffUserView,
}

/// A new role.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SetRole {
    role: Role,
}

/// Why an account is kept out.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LockUser {
    /// For the audit log and other staff; the person does not see it.
    #[schema(value_type = String, min_length = 1, max_length = 500)]
    reason: Text<1, 500>,
}

fn data(app: &App, user: User) -> Reply<StaffUserData> {
    ok(StaffUserData { user: StaffUserView::new(user, app.clock.now()) })
}

/// List accounts
///
/// The newest first.
#[utoipa::path(get, path = "/admin/users", tag = "Accounts, staff", security(("bearer" = ["read_users"])),
    params(PageQuery, ListUsers), responses(
    (status = 200, body = Envelope<StaffUsersData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
))]
pub(super) async fn list_users(
    State(app): State<App>,
    Query(page): Query<PageQuery>,
    Query(which): Query<ListUsers>,
) -> Answer<StaffUsersData> {
    let page = page.check(&app.config.lists)?;
    let role = which.role.as_deref().filter(|role| !role.is_empty()).map(str::parse).transpose();
    let role = role.map_err(|message: String| Error::field("role", message))?;
    let search = which.search.as_deref().map(str::trim).filter(|search| !search.is_empty());
    if search.is_some_and(|search| search.chars().count() > 100) {
        return Err(Error::field("search", "must have at most 100 characters"));
    }
    let filter =
        Filter { role, search, verified: which.verified, suspended: which.locked, two_factor: which.two_factor };
    let (users, total) = service::list(&app, &filter, page).await?;
    let now = app.clock.now();
    let users = users.into_iter().map(|user| StaffUserView::new(user, now)).collect();
    Ok(ok(StaffUsersData { users }).page(page.of(total)))
}

/// Get an account
#[utoipa::path(get, path = "/admin/users/{user}", tag = "Accounts, staff", security(("bearer" = ["read_users"])),
    params(("user" = UserId, Path)), responses(
    (status = 200, body = Envelope<StaffUserData>),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
))]
pub(super) async fn get_user(State(app): State<App>, PathId(id): PathId<UserId>) -> Answer<StaffUserData> {
    let user = service::find(&app, id).await?;
    Ok(data(&app, user))
}

/// Give an account another role
///
/// Its sessions end. One's own role is changed by another administrator, so a shop always has one.
#[utoipa::path(patch, path = "/admin/users/{user}/role", tag = "Accounts, staff", security(("bearer" = ["manage_users"])),
    params(("user" = UserId, Path)), request_body = SetRole, responses(
    (status = 200, body = Envelope<StaffUserData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "It is one's own account"),
))]
pub(super) async fn set_user_role(
    State(app): State<App>,
    identity: Identity,
    meta: RequestMeta,
    PathId(id): PathId<UserId>,
    body: Body<SetRole>,
) -> Answer<StaffUserData> {
    let user = service::set_role(&app, &identity, id, body.value.role, &meta).await?;
    Ok(data(&app, user))
}

/// Lock an account
///
/// Its sessions end, and it cannot sign in until it is unlocked.
#[utoipa::path(post, path = "/admin/users/{user}/lock", tag = "Accounts, staff", security(("bearer" = ["manage_users"])),
    params(("user" = UserId, Path)), request_body = LockUser, responses(
    (status = 200, body = Envelope<StaffUserData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "It is one's own account"),
))]
pub(super) async fn lock_user(
    State(app): State<App>,
    identity: Identity,
    meta: RequestMeta,
    PathId(id): PathId<UserId>,
    body: Body<LockUser>,
) -> Answer<StaffUserData> {
    let user = service::suspend(&app, &identity, id, body.value.reason.as_str(), &meta).await?;
    Ok(data(&app, user))
}

/// Unlock an account
///
/// Whether staff or wrong passwords had locked it.
#[utoipa::path(post, path = "/admin/users/{user}/unlock", tag = "Accounts, staff",
    security(("bearer" = ["manage_users"])), params(("user" = UserId, Path)), responses(
    (status = 200, body = Envelope<StaffUserData>),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
))]
pub(super) async fn unlock_user(
    State(app): State<App>,
    identity: Identity,
    meta: RequestMeta,
    PathId(id): PathId<UserId>,
) -> Answer<StaffUserData> {
    let user = service::unlock(&app, &identity, id, &meta).await?;
    Ok(data(&app, user))
}

/// Take away a lost second factor
///
/// After the person was recognised in another way. All sessions of the account end.
#[utoipa::path(delete, path = "/admin/users/{user}/2fa", tag = "Accounts, staff",
    security(("bearer" = ["manage_users"])), params(("user" = UserId, Path)), responses(
    (status = 200, body = Envelope<Empty>),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "There is none, or it is one's own"),
))]
pub(super) async fn reset_user_two_factor(
    State(app): State<App>,
    identity: Identity,
    meta: RequestMeta,
    PathId(id): PathId<UserId>,
) -> Answer<Empty> {
    service::reset_two_factor(&app, &identity, id, &meta).await?;
    Ok(deleted("Two-factor sign-in is off for this account."))
}

/// An account's sessions
#[utoipa::path(get, path = "/admin/users/{user}/sessions", tag = "Accounts, staff",
    security(("bearer" = ["read_users"])), params(("user" = UserId, Path)), responses(
    (status = 200, body = Envelope<SessionsData>),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
))]
pub(super) async fn list_user_sessions(
    State(app): State<App>,
    identity: Identity,
    PathId(id): PathId<UserId>,
) -> Answer<SessionsData> {
    service::find(&app, id).await?;
    let sessions = sessions_service::list(&app, id).await?;
    Ok(ok(SessionsData::new(sessions, Some(identity.session_id))))
}

/// End an account's session
#[utoipa::path(delete, path = "/admin/users/{user}/sessions/{session}", tag = "Accounts, staff",
    security(("bearer" = ["manage_users"])), params(("user" = UserId, Path), ("session" = SessionId, Path)), responses(
    (status = 200, body = Envelope<EndedData>),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
))]
pub(super) async fn end_user_session(
    State(app): State<App>,
    identity: Identity,
    meta: RequestMeta,
    PathIds(user, session): PathIds<UserId, SessionId>,
) -> Answer<EndedData> {
    end(&app, &identity, user, Which::One(session), &meta).await
}

/// End all sessions of an account
#[utoipa::path(delete, path = "/admin/users/{user}/sessions", tag = "Accounts, staff",
    security(("bearer" = ["manage_users"])), params(("user" = UserId, Path)), responses(
    (status = 200, body = Envelope<EndedData>),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
))]
pub(super) async fn end_user_sessions(
    State(app): State<App>,
    identity: Identity,
    meta: RequestMeta,
    PathId(id): PathId<UserId>,
) -> Answer<EndedData> {
    service::find(&app, id).await?;
    end(&app, &identity, id, Which::All, &meta).await
}

async fn end(
    app: &App,
    identity: &Identity,
    user: UserId,
    which: Which,
    meta: &RequestMeta,
) -> Result<Reply<EndedData>> {
    let ended = sessions_service::revoke(app, identity, user, which, meta).await?;
    Ok(ok(EndedData { ended }))
}
