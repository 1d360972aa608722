//! SQL of accounts, sessions and tokens.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::model::Role;
use crate::platform::ids::{SessionId, UserId};

/// A row of `users`, without its secrets.
#[derive(Debug)]
pub(super) struct User {
    pub id: UserId,
    pub email: String,
    pub email_verified_at: Option<DateTime<Utc>>,
    pub name: String,
    pub phone: Option<String>,
    pub role: Role,
    pub created_at: DateTime<Utc>,
}

/// What a login is checked against.
pub(super) struct Credentials {
    pub id: UserId,
    pub password_hash: String,
    pub locked_until: Option<DateTime<Utc>>,
}

#[derive(Debug)]
pub(super) struct NewUser<'a> {
    pub id: UserId,
    pub email: &'a str,
    pub password_hash: &'a str,
    pub name: &'a str,
    pub phone: Option<&'a str>,
    pub role: Role,
}

pub(super) async fn insert_user(c: &mut PgConnection, user: &NewUser<'_>, now: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into users (id, email, password_hash, name, phone, role, created_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, $7, $7)",
        user.id.0,
        user.email,
        user.password_hash,
        user.name,
        user.phone,
        user.role as Role,
        now,
    )
    .execute(c)
    .await?;
    Ok(())
}

pub(super) async fn find_user(c: &mut PgConnection, id: UserId) -> sqlx::Result<Option<User>> {
    sqlx::query_as!(
        User,
        r#"select id as "id: UserId", email, email_verified_at, name, phone, role as "role: Role", created_at
           from users where id = $1"#,
        id.0,
    )
    .fetch_optional(c)
    .await
}

pub(super) async fn find_credentials(c: &mut PgConnection, email: &str) -> sqlx::Result<Option<Credentials>> {
    sqlx::query_as!(
        Credentials,
        r#"select id as "id: UserId", password_hash, locked_until from users where email = $1"#,
        email,
    )
    .fetch_optional(c)
    .await
}

pub(super) async fn has_admin(c: &mut PgConnection) -> sqlx::Result<bool> {
    sqlx::query_scalar!(r#"select exists (select from users where role = 'admin') as "exists!""#).fetch_one(c).await
}

/// Counts a wrong password and locks at the limit. A count from before an expired lock starts anew.
pub(super) async fn count_failure(
    c: &mut PgConnection,
    id: UserId,
    limit: i32,
    lock_until: DateTime<Utc>,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update users
         set failed_logins = case when locked_until <= $4 then 1 else failed_logins + 1 end,
             locked_until = case
               when locked_until > $4 then locked_until
               when (case when locked_until <= $4 then 1 else failed_logins + 1 end) >= $2 then $3
               else null end
         where id = $1",
        id.0,
        limit,
        lock_until,
        now,
    )
    .execute(c)
    .await?;
    Ok(())
}

/// Resets the count after a right password. False when the account has been locked meanwhile: of many guesses at
/// once, those that end after the lock do not count.
pub(super) async fn accept_login(c: &mut PgConnection, id: UserId, now: DateTime<Utc>) -> sqlx::Result<bool> {
    let accepted = sqlx::query!(
        "update users set failed_logins = 0, locked_until = null
         where id = $1 and (locked_until is null or locked_until <= $2)",
        id.0,
        now,
    )
    .execute(c)
    .await?;
    Ok(accepted.rows_affected() == 1)
}

#[derive(Debug)]
pub(super) struct NewSession<'a> {
    pub id: SessionId,
    pub user_id: UserId,
    pub ip: Option<&'a str>,
    pub user_agent: Option<&'a str>,
    pub expires_at: DateTime<Utc>,
}

pub(super) async fn insert_session(c: &mut PgConnection, s: &NewSession<'_>, now: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into sessions (id, user_id, ip, user_agent, created_at, last_used_at, expires_at)
         values ($1, $2, $3, $4, $5, $5, $6)",
        s.id.0,
        s.user_id.0,
        s.ip,
        s.user_agent,
        now,
        s.expires_at,
    )
    .execute(c)
    .await?;
    Ok(())
}

pub(super) async fn insert_refresh_token(
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
pub(super) struct Refreshable {
    pub session_id: SessionId,
    pub used_at: Option<DateTime<Utc>>,
    pub expires_at: DateTime<Utc>,
    pub revoked_at: Option<DateTime<Utc>>,
    pub session_expires_at: DateTime<Utc>,
    pub user_id: UserId,
}

pub(super) async fn lock_refresh_token(c: &mut PgConnection, hash: &[u8]) -> sqlx::Result<Option<Refreshable>> {
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

pub(super) async fn use_refresh_token(
    c: &mut PgConnection,
    hash: &[u8],
    session: SessionId,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "with used as (update refresh_tokens set used_at = coalesce(used_at, $2) where token_hash = $1)
         update sessions set last_used_at = $2 where id = $3",
        hash,
        now,
        session.0,
    )
    .execute(c)
    .await?;
    Ok(())
}

pub(super) async fn revoke_session(
    c: &mut PgConnection,
    id: SessionId,
    reason: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let revoked = sqlx::query!(
        "update sessions set revoked_at = $2, revoked_reason = $3 where id = $1 and revoked_at is null",
        id.0,
        now,
        reason,
    )
    .execute(c)
    .await?;
    Ok(revoked.rows_affected() == 1)
}

pub(super) async fn session_of_refresh_token(c: &mut PgConnection, hash: &[u8]) -> sqlx::Result<Option<SessionId>> {
    sqlx::query_scalar!(
        r#"select session_id as "session_id: SessionId" from refresh_tokens where token_hash = $1"#,
        hash
    )
    .fetch_optional(c)
    .await
}

pub(super) async fn insert_verification_token(
    c: &mut PgConnection,
    hash: &[u8],
    user: UserId,
    expires_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into email_tokens (token_hash, user_id, purpose, created_at, expires_at)
         values ($1, $2, 'verify_email', $3, $4)",
        hash,
        user.0,
        now,
        expires_at,
    )
    .execute(c)
    .await?;
    Ok(())
}

/// Uses the token up and marks the address verified, in one statement; of two at once, one gets the user.
pub(super) async fn verify_email(
    c: &mut PgConnection,
    hash: &[u8],
    now: DateTime<Utc>,
) -> sqlx::Result<Option<UserId>> {
    sqlx::query_scalar!(
        r#"with used as (
             update email_tokens set used_at = $2
             where token_hash = $1 and purpose = 'verify_email' and used_at is null and expires_at > $2
             returning user_id)
           update users set email_verified_at = coalesce(email_verified_at, $2), updated_at = $2
           from used where users.id = used.user_id
           returning users.id as "id: UserId""#,
        hash,
        now,
    )
    .fetch_optional(c)
    .await
}

/// The e-mail address of an account.
///
/// # Errors
/// The database's.
pub async fn email_of(c: &mut PgConnection, user: UserId) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!("select email from users where id = $1", user.0).fetch_optional(c).await
}
