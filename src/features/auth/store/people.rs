//! SQL of a person's data as a whole: found, locked, taken away, erased.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;

use crate::platform::ids::UserId;

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

/// Who reads the mails of an account.
#[derive(Debug)]
pub struct Reader {
    /// The confirmed address.
    pub email: String,
    /// The person's name.
    pub name: String,
}

/// The reader of an account that is open, has a confirmed address, and will not be erased until the transaction ends.
///
/// # Errors
/// The database's.
pub async fn hold_reader(c: &mut PgConnection, id: UserId) -> sqlx::Result<Option<Reader>> {
    sqlx::query_as!(
        Reader,
        "select email, name from users
         where id = $1 and erased_at is null and suspended_at is null and email_verified_at is not null for share",
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
