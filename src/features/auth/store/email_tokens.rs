//! SQL of the links in mails.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{Credentials, two_factor};
use crate::platform::ids::UserId;

/// What a link from a mail is for.
#[derive(Clone, Copy, Debug, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub(in crate::features::auth) enum Purpose {
    VerifyEmail,
    ResetPassword,
}

pub(in crate::features::auth) async fn insert_email_token(
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
pub(in crate::features::auth) async fn verify_email(
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
pub(in crate::features::auth) async fn reset_token_owner(
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
pub(in crate::features::auth) async fn use_reset_token(
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

/// Removes links and challenges that are over.
///
/// # Errors
/// The database's.
pub async fn sweep_tokens(c: &mut PgConnection, now: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!("delete from email_tokens where expires_at <= $1", now).execute(&mut *c).await?;
    sqlx::query!("delete from login_challenges where expires_at <= $1", now).execute(c).await?;
    Ok(())
}
