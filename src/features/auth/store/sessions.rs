//! SQL of sessions and refresh tokens.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::features::auth::model::Role;
use crate::platform::ids::{SessionId, UserId};

#[derive(Debug)]
pub(in crate::features::auth) struct NewSession<'a> {
    pub id: SessionId,
    pub user_id: UserId,
    pub ip: Option<&'a str>,
    pub user_agent: Option<&'a str>,
    pub two_factor: bool,
    pub expires_at: DateTime<Utc>,
}

/// Stores a session and that its account was used.
pub(in crate::features::auth) async fn insert(
    c: &mut PgConnection,
    s: &NewSession<'_>,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "with seen as (update users set last_seen_at = $6 where id = $2)
         insert into sessions (id, user_id, ip, user_agent, two_factor, created_at, last_used_at, expires_at)
         values ($1, $2, $3, $4, $5, $6, $6, $7)",
        s.id.0,
        s.user_id.0,
        s.ip,
        s.user_agent,
        s.two_factor,
        now,
        s.expires_at,
    )
    .execute(c)
    .await?;
    Ok(())
}

pub(in crate::features::auth) async fn insert_refresh_token(
    c: &mut PgConnection,
    hash: &[u8],
    session: SessionId,
    expires_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into refresh_tokens (token_hash, session_id, created_at, expires_at) values ($1, $2, $3, $4)",
        hash,
        session.0,
        now,
        expires_at,
    )
    .execute(c)
    .await?;
    Ok(())
}

/// A refresh token with its session and user, the session locked until the transaction ends.
#[derive(Debug)]
pub(in crate::features::auth) struct Refreshable {
    pub session_id: SessionId,
    pub used_at: Option<DateTime<Utc>>,
    pub expires_at: DateTime<Utc>,
    pub revoked_at: Option<DateTime<Utc>>,
    pub session_expires_at: DateTime<Utc>,
    pub user_id: UserId,
}

pub(in crate::features::auth) async fn lock_refresh_token(
    c: &mut PgConnection,
    hash: &[u8],
) -> sqlx::Result<Option<Refreshable>> {
    // The account first, as whoever changes it and ends its sessions does, or the two would wait for each other.
    sqlx::query!(
        "select id from users
         where id = (select s.user_id from refresh_tokens t join sessions s on s.id = t.session_id
                     where t.token_hash = $1)
         for no key update",
        hash,
    )
    .fetch_optional(&mut *c)
    .await?;
    sqlx::query_as!(
        Refreshable,
        r#"select s.id as "session_id: SessionId", t.used_at, t.expires_at, s.revoked_at,
                  s.expires_at as session_expires_at, s.user_id as "user_id: UserId"
           from refresh_tokens t join sessions s on s.id = t.session_id
           where t.token_hash = $1 for update of t, s"#,
        hash,
    )
    .fetch_optional(c)
    .await
}

/// Uses a refresh token up. The session moves to where it is used from now.
pub(in crate::features::auth) async fn use_refresh_token(
    c: &mut PgConnection,
    hash: &[u8],
    session: SessionId,
    ip: Option<&str>,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "with used as (update refresh_tokens set used_at = coalesce(used_at, $2) where token_hash = $1),
              moved as (update sessions set last_used_at = $2, ip = coalesce($4, ip) where id = $3 returning user_id)
         update users set last_seen_at = $2 from moved where users.id = moved.user_id",
        hash,
        now,
        session.0,
        ip,
    )
    .execute(c)
    .await?;
    Ok(())
}

/// Ends the live sessions of an account: only one, or all but one, or all. Gives those it ended.
pub(in crate::features::auth) async fn revoke(
    c: &mut PgConnection,
    user: UserId,
    only: Option<SessionId>,
    except: Option<SessionId>,
    reason: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<Vec<SessionId>> {
    sqlx::query_scalar!(
        r#"update sessions set revoked_at = $5, revoked_reason = $4
           where user_id = $1 and revoked_at is null and ($2::uuid is null or id = $2) and ($3::uuid is null or id <> $3)
           returning id as "id: SessionId""#,
        user.0,
        only.map(|id| id.0),
        except.map(|id| id.0),
        reason,
        now,
    )
    .fetch_all(c)
    .await
}

/// Whose session a refresh token belongs to.
pub(in crate::features::auth) async fn session_of_refresh_token(
    c: &mut PgConnection,
    hash: &[u8],
) -> sqlx::Result<Option<(UserId, SessionId)>> {
    let row = sqlx::query!(
        r#"select s.user_id as "user_id: UserId", s.id as "id: SessionId"
           from refresh_tokens t join sessions s on s.id = t.session_id where t.token_hash = $1"#,
        hash
    )
    .fetch_optional(c)
    .await?;
    Ok(row.map(|row| (row.user_id, row.id)))
}

/// The role of an account whose session lives; none when either is over.
pub(in crate::features::auth) async fn live_role(
    c: &mut PgConnection,
    session: SessionId,
    user: UserId,
    now: DateTime<Utc>,
) -> sqlx::Result<Option<Role>> {
    sqlx::query_scalar!(
        r#"select u.role as "role: Role" from sessions s join users u on u.id = s.user_id
           where s.id = $1 and u.id = $2 and s.revoked_at is null and s.expires_at > $3
             and u.suspended_at is null and u.erased_at is null"#,
        session.0,
        user.0,
        now,
    )
    .fetch_optional(c)
    .await
}

pub(in crate::features::auth) async fn has_second_factor(c: &mut PgConnection, id: SessionId) -> sqlx::Result<bool> {
    let shown = sqlx::query_scalar!("select two_factor from sessions where id = $1", id.0).fetch_optional(c).await?;
    Ok(shown.unwrap_or(false))
}

/// The second factor was shown in this session.
pub(in crate::features::auth) async fn mark_second_factor(c: &mut PgConnection, id: SessionId) -> sqlx::Result<()> {
    sqlx::query!("update sessions set two_factor = true where id = $1", id.0).execute(c).await?;
    Ok(())
}

/// A sign-in that lives.
#[derive(Debug)]
pub(in crate::features::auth) struct Session {
    pub id: SessionId,
    pub ip: Option<String>,
    pub user_agent: Option<String>,
    pub two_factor: bool,
    pub created_at: DateTime<Utc>,
    pub last_used_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
}

/// The sessions of an account that live, the last used first, at most 100.
pub(in crate::features::auth) async fn list_live(
    c: &mut PgConnection,
    user: UserId,
    now: DateTime<Utc>,
) -> sqlx::Result<Vec<Session>> {
    sqlx::query_as!(
        Session,
        r#"select id as "id: SessionId", ip, user_agent, two_factor, created_at, last_used_at, expires_at
           from sessions where user_id = $1 and revoked_at is null and expires_at > $2
           order by last_used_at desc, id desc limit 100"#,
        user.0,
        now,
    )
    .fetch_all(c)
    .await
}

/// Removes sessions that ended before `before`, their refresh tokens with them, at most `limit`. Gives how many.
///
/// # Errors
/// The database's.
pub async fn sweep_sessions(c: &mut PgConnection, before: DateTime<Utc>, limit: i64) -> sqlx::Result<u64> {
    let swept = sqlx::query!(
        "delete from sessions where id = any(array(
           select id from sessions where expires_at < $1 or revoked_at < $1 limit $2))",
        before,
        limit,
    )
    .execute(c)
    .await?;
    Ok(swept.rows_affected())
}

/// Removes refresh tokens that are over, at most `limit`. Gives how many.
///
/// # Errors
/// The database's.
pub async fn sweep_refresh_tokens(c: &mut PgConnection, now: DateTime<Utc>, limit: i64) -> sqlx::Result<u64> {
    let swept = sqlx::query!(
        "delete from refresh_tokens where token_hash = any(array(
           select token_hash from refresh_tokens where expires_at <= $1 limit $2))",
        now,
        limit,
    )
    .execute(c)
    .await?;
    Ok(swept.rows_affected())
}
