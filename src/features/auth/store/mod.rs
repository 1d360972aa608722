//! SQL of accounts and what they sign in with.

pub(super) mod email_tokens;
pub(super) mod people;
pub(super) mod sessions;
pub(super) mod staff;
pub(super) mod two_factor;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::model::Role;
use crate::platform::ids::UserId;

/// A row of `users`, without its secrets.
#[derive(Debug)]
pub(super) struct User {
    pub id: UserId,
    pub email: String,
    pub email_verified_at: Option<DateTime<Utc>>,
    pub name: String,
    pub phone: Option<String>,
    pub role: Role,
    pub two_factor: bool,
    pub created_at: DateTime<Utc>,
    pub suspended_at: Option<DateTime<Utc>>,
    pub suspended_reason: Option<String>,
    pub locked_until: Option<DateTime<Utc>>,
    pub erased_at: Option<DateTime<Utc>>,
    pub last_seen_at: Option<DateTime<Utc>>,
}

/// What a login is checked against.
pub(super) struct Credentials {
    pub id: UserId,
    pub email: String,
    pub password_hash: String,
    pub locked_until: Option<DateTime<Utc>>,
    pub suspended: bool,
    pub two_factor: bool,
}

#[derive(Debug)]
pub(super) struct NewUser<'a> {
    pub id: UserId,
    pub email: &'a str,
    pub password_hash: &'a str,
    pub name: &'a str,
    pub phone: Option<&'a str>,
    pub role: Role,
    /// Set when nobody has to prove the address.
    pub email_verified_at: Option<DateTime<Utc>>,
}

pub(super) async fn insert_user(c: &mut PgConnection, user: &NewUser<'_>, now: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into users (id, email, password_hash, name, phone, role, email_verified_at, created_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $8)",
        user.id.0,
        user.email,
        user.password_hash,
        user.name,
        user.phone,
        user.role as Role,
        user.email_verified_at,
        now,
    )
    .execute(c)
    .await?;
    Ok(())
}

pub(super) async fn find_user(c: &mut PgConnection, id: UserId) -> sqlx::Result<Option<User>> {
    sqlx::query_as!(
        User,
        r#"select id as "id: UserId", email, email_verified_at, name, phone, role as "role: Role",
                  totp_enabled_at is not null as "two_factor!", created_at, suspended_at, suspended_reason,
                  locked_until, erased_at, last_seen_at
           from users where id = $1"#,
        id.0,
    )
    .fetch_optional(c)
    .await
}

/// What the login under this address is checked against.
pub(super) async fn find_credentials(c: &mut PgConnection, email: &str) -> sqlx::Result<Option<Credentials>> {
    credentials(c, Some(email), None).await
}

/// What this account's password is checked against.
pub(super) async fn credentials_of(c: &mut PgConnection, id: UserId) -> sqlx::Result<Option<Credentials>> {
    credentials(c, None, Some(id)).await
}

/// The same as it is now, locked until the transaction ends: a password takes long to check, and may have been changed
/// meanwhile.
pub(super) async fn lock_credentials(c: &mut PgConnection, id: UserId) -> sqlx::Result<Option<Credentials>> {
    sqlx::query!("select id from users where id = $1 for no key update", id.0).fetch_optional(&mut *c).await?;
    credentials(c, None, Some(id)).await
}

async fn credentials(
    c: &mut PgConnection,
    email: Option<&str>,
    id: Option<UserId>,
) -> sqlx::Result<Option<Credentials>> {
    sqlx::query_as!(
        Credentials,
        r#"select id as "id: UserId", email, password_hash, locked_until, suspended_at is not null as "suspended!",
                  totp_enabled_at is not null as "two_factor!"
           from users where (email = $1 or id = $2) and erased_at is null"#,
        email,
        id.map(|id| id.0),
    )
    .fetch_optional(c)
    .await
}

pub(super) async fn has_admin(c: &mut PgConnection) -> sqlx::Result<bool> {
    sqlx::query_scalar!(r#"select exists (select from users where role = 'admin') as "exists!""#).fetch_one(c).await
}

/// Counts a wrong password or code and locks at the limit. A count from before an expired lock starts anew. True when this
/// very failure locked the account.
pub(super) async fn count_failure(
    c: &mut PgConnection,
    id: UserId,
    limit: i32,
    lock_until: DateTime<Utc>,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let locked = sqlx::query_scalar!(
        r#"update users
           set failed_logins = case when locked_until <= $4 then 1 else failed_logins + 1 end,
               locked_until = case
                 when locked_until > $4 then locked_until
                 when (case when locked_until <= $4 then 1 else failed_logins + 1 end) >= $2 then $3
                 else null end
           where id = $1
           returning coalesce(failed_logins = $2 and locked_until = $3, false) as "locked!""#,
        id.0,
        limit,
        lock_until,
        now,
    )
    .fetch_optional(c)
    .await?;
    Ok(locked.unwrap_or(false))
}

/// Resets the count after a success. False when the account has been locked meanwhile: of many guesses at once, those
/// that end after the lock do not count.
pub(super) async fn accept_login(c: &mut PgConnection, id: UserId, now: DateTime<Utc>) -> sqlx::Result<bool> {
    let accepted = sqlx::query!(
        "update users set failed_logins = 0, locked_until = null
         where id = $1 and (locked_until is null or locked_until <= $2) and suspended_at is null",
        id.0,
        now,
    )
    .execute(c)
    .await?;
    Ok(accepted.rows_affected() == 1)
}

/// Replaces a hash that was made with other settings, unless the password was changed meanwhile.
pub(super) async fn rehash(c: &mut PgConnection, id: UserId, old: &str, new: &str) -> sqlx::Result<()> {
    sqlx::query!("update users set password_hash = $3 where id = $1 and password_hash = $2", id.0, old, new)
        .execute(c)
        .await?;
    Ok(())
}

/// Sets a new password, which also ends a lock. What was earned with the old one, or mailed to replace it, is void.
pub(super) async fn set_password(c: &mut PgConnection, id: UserId, hash: &str, now: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!(
        "update users set password_hash = $2, failed_logins = 0, locked_until = null, updated_at = $3 where id = $1",
        id.0,
        hash,
        now,
    )
    .execute(&mut *c)
    .await?;
    sqlx::query!("delete from login_challenges where user_id = $1", id.0).execute(&mut *c).await?;
    sqlx::query!(
        "update email_tokens set used_at = $2 where user_id = $1 and purpose = 'reset_password' and used_at is null",
        id.0,
        now,
    )
    .execute(c)
    .await?;
    Ok(())
}

/// Changes the name or the telephone number; what is none stays. `Some(None)` removes the number.
pub(super) async fn update_profile(
    c: &mut PgConnection,
    id: UserId,
    name: Option<&str>,
    phone: Option<Option<&str>>,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update users set name = coalesce($2, name), phone = case when $3 then $4 else phone end, updated_at = $5
         where id = $1 and erased_at is null",
        id.0,
        name,
        phone.is_some(),
        phone.flatten(),
        now,
    )
    .execute(c)
    .await?;
    Ok(())
}
