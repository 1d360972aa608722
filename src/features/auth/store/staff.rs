//! SQL of what staff do with accounts.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::User;
use crate::features::auth::model::Role;
use crate::platform::ids::UserId;
use crate::platform::text::part_of_number;

/// Which accounts. What is none does not matter.
#[derive(Debug, Default)]
pub(in crate::features::auth) struct Filter<'a> {
    pub role: Option<Role>,
    /// Part of the name, the address or the number.
    pub search: Option<&'a str>,
    pub verified: Option<bool>,
    pub suspended: Option<bool>,
    pub two_factor: Option<bool>,
}

/// A page of accounts, the newest first, and how many there are.
pub(in crate::features::auth) async fn list(
    c: &mut PgConnection,
    filter: &Filter<'_>,
    limit: i64,
    offset: i64,
) -> sqlx::Result<(Vec<User>, i64)> {
    let digits = filter.search.and_then(part_of_number);
    let users = sqlx::query_as!(
        User,
        r#"select id as "id: UserId", email, email_verified_at, name, phone, role as "role: Role",
                  totp_enabled_at is not null as "two_factor!", created_at, suspended_at, suspended_reason,
                  locked_until, erased_at, last_seen_at
           from users
           where ($1::text is null or role = $1)
             and ($2::text is null or fold(name || ' ' || email || ' ' || coalesce(phone, '')) like containing($2)
                  or fold(name || ' ' || email || ' ' || coalesce(phone, '')) like containing($8))
             and ($3::bool is null or (email_verified_at is not null) = $3)
             and ($4::bool is null or (suspended_at is not null) = $4)
             and ($5::bool is null or (totp_enabled_at is not null) = $5)
           order by created_at desc, id desc limit $6 offset $7"#,
        filter.role as Option<Role>,
        filter.search,
        filter.verified,
        filter.suspended,
        filter.two_factor,
        limit,
        offset,
        digits,
    )
    .fetch_all(&mut *c)
    .await?;
    let total = sqlx::query_scalar!(
        r#"select count(*) as "count!" from users
           where ($1::text is null or role = $1)
             and ($2::text is null or fold(name || ' ' || email || ' ' || coalesce(phone, '')) like containing($2)
                  or fold(name || ' ' || email || ' ' || coalesce(phone, '')) like containing($6))
             and ($3::bool is null or (email_verified_at is not null) = $3)
             and ($4::bool is null or (suspended_at is not null) = $4)
             and ($5::bool is null or (totp_enabled_at is not null) = $5)"#,
        filter.role as Option<Role>,
        filter.search,
        filter.verified,
        filter.suspended,
        filter.two_factor,
        digits,
    )
    .fetch_one(c)
    .await?;
    Ok((users, total))
}

/// The administrators who can act, locked in one order until the transaction ends, so that two cannot remove each other.
pub(in crate::features::auth) async fn lock_admins(c: &mut PgConnection) -> sqlx::Result<Vec<UserId>> {
    sqlx::query_scalar!(
        r#"select id as "id: UserId" from users
           where role = 'admin' and suspended_at is null and erased_at is null order by id for update"#
    )
    .fetch_all(c)
    .await
}

/// The role of an account that is not erased, locked until the transaction ends.
pub(in crate::features::auth) async fn lock_role(c: &mut PgConnection, id: UserId) -> sqlx::Result<Option<Role>> {
    sqlx::query_scalar!(
        r#"select role as "role: Role" from users where id = $1 and erased_at is null for update"#,
        id.0
    )
    .fetch_optional(c)
    .await
}

pub(in crate::features::auth) async fn set_role(
    c: &mut PgConnection,
    id: UserId,
    role: Role,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!("update users set role = $2, updated_at = $3 where id = $1", id.0, role as Role, now)
        .execute(c)
        .await?;
    Ok(())
}

/// Suspends an account. A second reason replaces the first, the time stays.
pub(in crate::features::auth) async fn suspend(
    c: &mut PgConnection,
    id: UserId,
    reason: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update users set suspended_at = coalesce(suspended_at, $3), suspended_reason = $2, updated_at = $3 where id = $1",
        id.0,
        reason,
        now,
    )
    .execute(c)
    .await?;
    Ok(())
}

/// Ends a suspension, and a lock after wrong passwords.
pub(in crate::features::auth) async fn unlock(
    c: &mut PgConnection,
    id: UserId,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update users set suspended_at = null, suspended_reason = null, failed_logins = 0, locked_until = null,
           updated_at = $2 where id = $1",
        id.0,
        now,
    )
    .execute(c)
    .await?;
    Ok(())
}

/// The accounts of these roles that can act, with their addresses.
pub(in crate::features::auth) async fn addresses_of(
    c: &mut PgConnection,
    roles: &[String],
) -> sqlx::Result<Vec<(UserId, String)>> {
    let rows = sqlx::query!(
        r#"select id as "id: UserId", email from users
           where role = any($1) and role <> 'customer' and suspended_at is null and erased_at is null order by id limit 100"#,
        roles,
    )
    .fetch_all(c)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.email)).collect())
}
