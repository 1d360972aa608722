//! SQL of accounts, sessions and tokens.

pub(super) mod sessions;
pub(super) mod staff;
pub(super) mod two_factor;

use chrono::{DateTime, Utc};
use serde_json::Value;
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

/// What a link from a mail is for.
#[derive(Clone, Copy, Debug, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub(super) enum Purpose {
    VerifyEmail,
    ResetPassword,
}

pub(super) async fn insert_email_token(
    c: &mut PgConnection,
    hash: &[u8],
    user: UserId,
    purpose: Purpose,
    expires_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into email_tokens (token_hash, user_id, purpose, created_at, expires_at) values ($1, $2, $3, $4, $5)",
        hash,
        user.0,
        purpose as Purpose,
        now,
        expires_at,
    )
    .execute(c)
    .await?;
    Ok(())
}

/// Uses the token up and marks the address verified, in one statement; of two at once, one gets the user. Where `signed_in`
/// is the same account, its owner is proven too.
pub(super) async fn verify_email(
    c: &mut PgConnection,
    hash: &[u8],
    signed_in: Option<UserId>,
    now: DateTime<Utc>,
) -> sqlx::Result<Option<UserId>> {
    sqlx::query_scalar!(
        r#"with used as (
             update email_tokens set used_at = $2
             where token_hash = $1 and purpose = 'verify_email' and used_at is null and expires_at > $2
             returning user_id)
           update users set email_verified_at = coalesce(email_verified_at, $2), updated_at = $2,
                            owner_proven_at = case when users.id = $3 then coalesce(owner_proven_at, $2)
                                                   else owner_proven_at end
           from used where users.id = used.user_id
           returning users.id as "id: UserId""#,
        hash,
        now,
        signed_in.map(|id| id.0),
    )
    .fetch_optional(c)
    .await
}

/// Whose password a link may set. It uses nothing up.
pub(super) async fn reset_token_owner(
    c: &mut PgConnection,
    hash: &[u8],
    now: DateTime<Utc>,
) -> sqlx::Result<Option<Credentials>> {
    sqlx::query_as!(
        Credentials,
        r#"select u.id as "id: UserId", u.email, u.password_hash, u.locked_until,
                  u.suspended_at is not null as "suspended!", u.totp_enabled_at is not null as "two_factor!"
           from email_tokens t join users u on u.id = t.user_id
           where t.token_hash = $1 and t.purpose = 'reset_password' and t.used_at is null and t.expires_at > $2"#,
        hash,
        now,
    )
    .fetch_optional(c)
    .await
}

/// Uses the token up. Whoever opened the mail has proven the address, and takes the account over: a second factor that was
/// turned on before anybody had proven it is not his, and goes. Of two at once, one gets true.
pub(super) async fn use_reset_token(
    c: &mut PgConnection,
    hash: &[u8],
    user: UserId,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let used = sqlx::query!(
        "update email_tokens set used_at = $3
         where token_hash = $1 and user_id = $2 and purpose = 'reset_password' and used_at is null and expires_at > $3",
        hash,
        user.0,
        now,
    )
    .execute(&mut *c)
    .await?;
    if used.rows_affected() == 0 {
        return Ok(false);
    }
    let was_proven = sqlx::query_scalar!(
        r#"update users u
           set email_verified_at = coalesce(u.email_verified_at, $2), owner_proven_at = coalesce(u.owner_proven_at, $2)
           from users before where u.id = $1 and before.id = u.id
           returning before.email_verified_at is not null as "was_proven!""#,
        user.0,
        now,
    )
    .fetch_one(&mut *c)
    .await?;
    if !was_proven {
        two_factor::disable(c, user, now).await?;
    }
    Ok(true)
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

/// Removes links and challenges that are over.
///
/// # Errors
/// The database's.
pub async fn sweep_tokens(c: &mut PgConnection, now: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!("delete from email_tokens where expires_at <= $1", now).execute(&mut *c).await?;
    sqlx::query!("delete from login_challenges where expires_at <= $1", now).execute(c).await?;
    Ok(())
}

/// The e-mail address of an account.
///
/// # Errors
/// The database's.
pub async fn email_of(c: &mut PgConnection, user: UserId) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!("select email from users where id = $1", user.0).fetch_optional(c).await
}

/// A person, whose account is locked until the transaction ends.
#[derive(Debug)]
pub struct Person {
    /// The account.
    pub id: UserId,
    /// The address.
    pub email: String,
    /// Whether this person reads the mails of the address, so that what was done under it without an account is his too.
    pub owner_proven: bool,
}

/// Locks the account of a person who is not erased: until the transaction ends nothing can be written for it (the
/// triggers `…_of_live_accounts` wait).
///
/// # Errors
/// The database's.
pub async fn lock_person(c: &mut PgConnection, id: UserId) -> sqlx::Result<Option<Person>> {
    sqlx::query_as!(
        Person,
        r#"select id as "id: UserId", email, owner_proven_at is not null as "owner_proven!"
           from users where id = $1 and erased_at is null for no key update"#,
        id.0,
    )
    .fetch_optional(c)
    .await
}

/// A person who is not erased, and will not be until the transaction ends.
///
/// # Errors
/// The database's.
pub async fn hold_person(c: &mut PgConnection, id: UserId) -> sqlx::Result<Option<Person>> {
    sqlx::query_as!(
        Person,
        r#"select id as "id: UserId", email, owner_proven_at is not null as "owner_proven!"
           from users where id = $1 and erased_at is null for share"#,
        id.0,
    )
    .fetch_optional(c)
    .await
}

/// The account and its sessions, for its owner to take away.
///
/// # Errors
/// The database's.
pub async fn export(c: &mut PgConnection, id: UserId) -> sqlx::Result<Value> {
    sqlx::query_scalar!(
        r#"select jsonb_build_object('id', id, 'email', email, 'emailVerifiedAt', email_verified_at, 'name', name,
                    'phone', phone, 'role', role, 'twoFactorEnabledAt', totp_enabled_at, 'createdAt', created_at,
                    'lastSeenAt', last_seen_at,
                    'sessions', (select coalesce(jsonb_agg(jsonb_build_object('ip', s.ip, 'userAgent', s.user_agent,
                                   'createdAt', s.created_at, 'lastUsedAt', s.last_used_at, 'endedAt', s.revoked_at)
                                   order by s.created_at, s.id), '[]') from sessions s where s.user_id = users.id))
                  as "account!"
           from users where id = $1"#,
        id.0,
    )
    .fetch_one(c)
    .await
}

/// Customers who may be forgotten: they never proved their address and came before `unverified_before`, or were last here
/// before `unseen_before`. Whether one has orders, the caller has to find out. At most `limit`, after `after`.
///
/// # Errors
/// The database's.
pub async fn forgettable(
    c: &mut PgConnection,
    unverified_before: Option<DateTime<Utc>>,
    unseen_before: Option<DateTime<Utc>>,
    after: Option<UserId>,
    limit: i64,
) -> sqlx::Result<Vec<Person>> {
    sqlx::query_as!(
        Person,
        r#"select id as "id: UserId", email, owner_proven_at is not null as "owner_proven!" from users
           where role = 'customer' and erased_at is null and ($3::uuid is null or id > $3)
             and (email_verified_at is null and greatest(created_at, last_seen_at) < $1
                  or greatest(created_at, last_seen_at) < $2)
           order by id limit $4"#,
        unverified_before,
        unseen_before,
        after.map(|id| id.0),
        limit,
    )
    .fetch_all(c)
    .await
}

/// Whether a person whom [`forgettable`] gave may be forgotten still. His account is locked.
///
/// # Errors
/// The database's.
pub async fn is_forgettable(
    c: &mut PgConnection,
    id: UserId,
    unverified_before: Option<DateTime<Utc>>,
    unseen_before: Option<DateTime<Utc>>,
) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select exists (select from users
             where id = $3 and role = 'customer'
               and (email_verified_at is null and greatest(created_at, last_seen_at) < $1
                    or greatest(created_at, last_seen_at) < $2)) as "yes!""#,
        unverified_before,
        unseen_before,
        id.0,
    )
    .fetch_one(c)
    .await
}

/// Removes an account and all that hangs on it.
///
/// # Errors
/// The database's: a foreign key refuses an account that has orders.
pub async fn delete_user(c: &mut PgConnection, id: UserId) -> sqlx::Result<()> {
    sqlx::query!("delete from users where id = $1", id.0).execute(c).await?;
    Ok(())
}

/// Takes the person out of an account whose row has to stay.
///
/// # Errors
/// The database's.
pub async fn pseudonymise_user(c: &mut PgConnection, id: UserId, now: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!(
        "update users
         set email = 'erased-' || id || '@erased.invalid', email_verified_at = null, owner_proven_at = null,
             password_hash = '!',
             name = 'Erased', phone = null, role = 'customer', failed_logins = 0, locked_until = null,
             totp_enabled_at = null, totp_secret = null, totp_last_step = null, suspended_at = null,
             suspended_reason = null, last_seen_at = null, erased_at = $2, updated_at = $2
         where id = $1",
        id.0,
        now,
    )
    .execute(&mut *c)
    .await?;
    sqlx::query!("delete from sessions where user_id = $1", id.0).execute(&mut *c).await?;
    sqlx::query!("delete from email_tokens where user_id = $1", id.0).execute(&mut *c).await?;
    sqlx::query!("delete from login_challenges where user_id = $1", id.0).execute(&mut *c).await?;
    sqlx::query!("delete from recovery_codes where user_id = $1", id.0).execute(c).await?;
    Ok(())
}
