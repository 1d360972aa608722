//! SQL of the second factor.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::platform::ids::UserId;

/// The second factor of an account.
#[derive(Debug)]
pub(in crate::features::auth) struct TwoFactor {
    pub email: String,
    /// Sealed.
    pub secret: Option<Vec<u8>>,
    pub enabled_at: Option<DateTime<Utc>>,
    pub locked_until: Option<DateTime<Utc>>,
    pub codes_left: i64,
}

pub(in crate::features::auth) async fn find(c: &mut PgConnection, user: UserId) -> sqlx::Result<Option<TwoFactor>> {
    sqlx::query_as!(
        TwoFactor,
        r#"select email, totp_secret as secret, totp_enabled_at as enabled_at, locked_until,
                  (select count(*) from recovery_codes where user_id = $1 and used_at is null) as "codes_left!"
           from users where id = $1"#,
        user.0,
    )
    .fetch_optional(c)
    .await
}

/// The second factor of an account, which is locked until the transaction ends.
pub(in crate::features::auth) async fn lock(c: &mut PgConnection, user: UserId) -> sqlx::Result<Option<TwoFactor>> {
    sqlx::query!("select id from users where id = $1 for no key update", user.0).fetch_optional(&mut *c).await?;
    find(c, user).await
}

/// Stores a secret that is not in force yet. False when one is.
pub(in crate::features::auth) async fn set_secret(
    c: &mut PgConnection,
    user: UserId,
    sealed: &[u8],
) -> sqlx::Result<bool> {
    let set = sqlx::query!(
        "update users set totp_secret = $2, totp_last_step = null where id = $1 and totp_enabled_at is null",
        user.0,
        sealed,
    )
    .execute(c)
    .await?;
    Ok(set.rows_affected() == 1)
}

/// Puts the secret in force that `step` proved. False when it was replaced meanwhile, or is in force.
pub(in crate::features::auth) async fn enable(
    c: &mut PgConnection,
    user: UserId,
    sealed: &[u8],
    step: i64,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let enabled = sqlx::query!(
        "update users set totp_enabled_at = $4, totp_last_step = $3, updated_at = $4
         where id = $1 and totp_secret = $2 and totp_enabled_at is null",
        user.0,
        sealed,
        step,
        now,
    )
    .execute(c)
    .await?;
    Ok(enabled.rows_affected() == 1)
}

/// Accepts the code of a time step. False when it, or a later one, was accepted before.
pub(in crate::features::auth) async fn accept_step(
    c: &mut PgConnection,
    user: UserId,
    step: i64,
) -> sqlx::Result<bool> {
    let accepted = sqlx::query!(
        "update users set totp_last_step = $2 where id = $1 and totp_enabled_at is not null and totp_last_step < $2",
        user.0,
        step,
    )
    .execute(c)
    .await?;
    Ok(accepted.rows_affected() == 1)
}

/// Stores a secret that was sealed anew.
pub(in crate::features::auth) async fn reseal(
    c: &mut PgConnection,
    user: UserId,
    old: &[u8],
    new: &[u8],
) -> sqlx::Result<()> {
    sqlx::query!("update users set totp_secret = $3 where id = $1 and totp_secret = $2", user.0, old, new)
        .execute(c)
        .await?;
    Ok(())
}

/// Takes the second factor away, from the sessions it was shown in too. False when there is none.
pub(in crate::features::auth) async fn disable(
    c: &mut PgConnection,
    user: UserId,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let disabled = sqlx::query!(
        "update users set totp_secret = null, totp_enabled_at = null, totp_last_step = null, updated_at = $2
         where id = $1 and totp_enabled_at is not null",
        user.0,
        now,
    )
    .execute(&mut *c)
    .await?;
    sqlx::query!("update sessions set two_factor = false where user_id = $1 and two_factor", user.0)
        .execute(&mut *c)
        .await?;
    sqlx::query!("delete from recovery_codes where user_id = $1", user.0).execute(c).await?;
    Ok(disabled.rows_affected() == 1)
}

pub(in crate::features::auth) async fn replace_recovery_codes(
    c: &mut PgConnection,
    user: UserId,
    hashes: &[Vec<u8>],
) -> sqlx::Result<()> {
    sqlx::query!("delete from recovery_codes where user_id = $1", user.0).execute(&mut *c).await?;
    sqlx::query!("insert into recovery_codes (user_id, code_hash) select $1, unnest($2::bytea[])", user.0, hashes)
        .execute(c)
        .await?;
    Ok(())
}

/// Uses a recovery code up. Of two at once, one gets true.
pub(in crate::features::auth) async fn use_recovery_code(
    c: &mut PgConnection,
    user: UserId,
    hash: &[u8],
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let used = sqlx::query!(
        "update recovery_codes set used_at = $3 where user_id = $1 and code_hash = $2 and used_at is null",
        user.0,
        hash,
        now,
    )
    .execute(c)
    .await?;
    Ok(used.rows_affected() == 1)
}

pub(in crate::features::auth) async fn insert_challenge(
    c: &mut PgConnection,
    hash: &[u8],
    user: UserId,
    expires_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into login_challenges (token_hash, user_id, created_at, expires_at) values ($1, $2, $3, $4)",
        hash,
        user.0,
        now,
        expires_at,
    )
    .execute(c)
    .await?;
    Ok(())
}

/// Counts a try of a challenge. None when it is over, used or tried too often.
pub(in crate::features::auth) async fn try_challenge(
    c: &mut PgConnection,
    hash: &[u8],
    tries: i32,
    now: DateTime<Utc>,
) -> sqlx::Result<Option<UserId>> {
    sqlx::query_scalar!(
        r#"update login_challenges set attempts = attempts + 1
           where token_hash = $1 and used_at is null and expires_at > $3 and attempts < $2
           returning user_id as "id: UserId""#,
        hash,
        tries,
        now,
    )
    .fetch_optional(c)
    .await
}

/// Uses a challenge up. Of two at once, one gets true.
pub(in crate::features::auth) async fn finish_challenge(
    c: &mut PgConnection,
    hash: &[u8],
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let used =
        sqlx::query!("update login_challenges set used_at = $2 where token_hash = $1 and used_at is null", hash, now)
            .execute(c)
            .await?;
    Ok(used.rows_affected() == 1)
}
