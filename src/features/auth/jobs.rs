//! The mails about an account. Tokens are made here, so that they never stand in a job's arguments.

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use uuid::Uuid;

use super::store::email_tokens::{self, Purpose};
use super::store::{self, User};
use crate::app::App;
use crate::features::notifications::{self, Mail, NewMail, SecurityChange};
use crate::platform::crypto::{random_token, sha256};
use crate::platform::error::Result;
use crate::platform::ids::UserId;
use crate::platform::jobs::{Job, JobError};

/// Sends a link that proves the address.
#[derive(Debug, Serialize, Deserialize)]
pub struct SendVerificationMail {
    user_id: UserId,
    /// Tells a repeated run from a second request.
    request: Uuid,
}

impl SendVerificationMail {
    /// A new request for this user.
    pub fn to(user_id: UserId) -> Self {
        Self { user_id, request: Uuid::now_v7() }
    }
}

/// Sends a link that sets a new password.
#[derive(Debug, Serialize, Deserialize)]
pub struct SendPasswordResetMail {
    user_id: UserId,
    request: Uuid,
}

impl SendPasswordResetMail {
    /// A new request for this user.
    pub fn to(user_id: UserId) -> Self {
        Self { user_id, request: Uuid::now_v7() }
    }
}

/// What happened to an account that its owner should know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Notice {
    /// Wrong passwords have locked it.
    Locked,
    /// It has a new password.
    PasswordChanged,
    /// A second factor is wanted from now on.
    TwoFactorEnabled,
    /// No second factor is wanted any more.
    TwoFactorDisabled,
    /// The old recovery codes are void.
    RecoveryCodesReplaced,
    /// Somebody signed in with a recovery code.
    RecoveryCodeUsed,
    /// An old copy of a refresh token came.
    SignInReused,
}

/// Tells the owner of an account what happened to it.
#[derive(Debug, Serialize, Deserialize)]
pub struct SendAccountMail {
    user_id: UserId,
    notice: Notice,
    request: Uuid,
}

impl SendAccountMail {
    /// A new mail to this user.
    pub fn to(user_id: UserId, notice: Notice) -> Self {
        Self { user_id, notice, request: Uuid::now_v7() }
    }
}

/// A page's address with a token in it.
fn link(configured: &str, own: &str, token: &str) -> String {
    match configured {
        "" => format!("{own}?token={token}"),
        url if url.contains("{token}") => url.replace("{token}", token),
        url if url.contains('?') => format!("{url}&token={token}"),
        url => format!("{url}?token={token}"),
    }
}

/// Makes a token that is stored as its hash.
async fn new_token(
    c: &mut PgConnection,
    user: UserId,
    purpose: Purpose,
    lifetime: TimeDelta,
    now: DateTime<Utc>,
) -> Result<String> {
    let token = random_token()?;
    email_tokens::insert_email_token(c, &sha256(token.as_bytes()), user, purpose, now + lifetime, now).await?;
    Ok(token)
}

async fn send(app: &App, tx: &mut PgConnection, kind: &str, request: Uuid, user: User, mail: Mail) -> Result<()> {
    let dedupe_key = format!("{kind}/{request}");
    let new = NewMail { dedupe_key, recipient: user.email, user_id: Some(user.id), order_id: None, mail };
    notifications::send(app, tx, new).await
}

/// The account, unless it is gone.
async fn find(tx: &mut PgConnection, id: UserId) -> Result<Option<User>> {
    Ok(store::find_user(tx, id).await?.filter(|user| user.erased_at.is_none()))
}

#[async_trait]
impl Job<App> for SendVerificationMail {
    const KIND: &'static str = "send_verification_mail";

    async fn run(self, app: &App) -> Result<(), JobError> {
        let config = &app.config.auth;
        let mut tx = app.db.begin().await?;
        let Some(user) = find(&mut tx, self.user_id).await?.filter(|user| user.email_verified_at.is_none()) else {
            return Ok(());
        };
        let lifetime = TimeDelta::hours(config.verification_hours);
        let token = new_token(&mut tx, user.id, Purpose::VerifyEmail, lifetime, app.clock.now()).await?;
        let own = format!("{}/verify-email", app.config.public_url());
        let mail = Mail::VerifyEmail {
            name: user.name.clone(),
            link: link(&config.verify_email_url, &own, &token),
            valid_hours: u32::try_from(config.verification_hours).unwrap_or(24),
        };
        send(app, &mut tx, "verify_email", self.request, user, mail).await?;
        Ok(tx.commit().await?)
    }
}

#[async_trait]
impl Job<App> for SendPasswordResetMail {
    const KIND: &'static str = "send_password_reset_mail";

    async fn run(self, app: &App) -> Result<(), JobError> {
        let config = &app.config.auth;
        let mut tx = app.db.begin().await?;
        let Some(user) = find(&mut tx, self.user_id).await? else { return Ok(()) };
        let lifetime = TimeDelta::minutes(config.reset_minutes);
        let token = new_token(&mut tx, user.id, Purpose::ResetPassword, lifetime, app.clock.now()).await?;
        let own = format!("{}/reset-password", app.config.public_url());
        let mail = Mail::PasswordReset {
            name: user.name.clone(),
            link: link(&config.reset_password_url, &own, &token),
            valid_minutes: u32::try_from(config.reset_minutes).unwrap_or(60),
        };
        send(app, &mut tx, "password_reset", self.request, user, mail).await?;
        Ok(tx.commit().await?)
    }
}

#[async_trait]
impl Job<App> for SendAccountMail {
    const KIND: &'static str = "send_account_mail";

    async fn run(self, app: &App) -> Result<(), JobError> {
        let mut tx = app.db.begin().await?;
        let Some(user) = find(&mut tx, self.user_id).await? else { return Ok(()) };
        let config = &app.config.auth;
        let (name, link) = (user.name.clone(), format!("{}/forgot-password", app.config.public_url()));
        let security = |change| {
            let (name, link) = (name.clone(), link.clone());
            // The request was made with the change.
            let at = self.request.get_timestamp().and_then(|time| {
                let (seconds, nanoseconds) = time.to_unix();
                DateTime::from_timestamp(i64::try_from(seconds).ok()?, nanoseconds)
            });
            Mail::SecurityNotice { name, change, at: at.unwrap_or_else(|| app.clock.now()), link }
        };
        let mail = match self.notice {
            Notice::Locked => Mail::AccountLocked {
                name,
                failures: u32::try_from(config.lock_after_failures).unwrap_or(5),
                lock_minutes: u32::try_from(config.lock_minutes).unwrap_or(15),
                link,
            },
            Notice::PasswordChanged => security(SecurityChange::PasswordChanged),
            Notice::TwoFactorEnabled => security(SecurityChange::TwoFactorEnabled),
            Notice::TwoFactorDisabled => security(SecurityChange::TwoFactorDisabled),
            Notice::RecoveryCodesReplaced => security(SecurityChange::RecoveryCodesReplaced),
            Notice::RecoveryCodeUsed => security(SecurityChange::RecoveryCodeUsed),
            Notice::SignInReused => security(SecurityChange::SignInReused),
        };
        send(app, &mut tx, "account", self.request, user, mail).await?;
        Ok(tx.commit().await?)
    }
}

#[cfg(test)]
mod tests {
    use super::link;

    #[test]
    fn a_link_leads_to_the_configured_page() {
        for (configured, expected) in [
            ("", "https://own/page?token=abc"),
            ("https://shop/verify", "https://shop/verify?token=abc"),
            ("https://shop/verify?lang=en", "https://shop/verify?lang=en&token=abc"),
            ("https://shop/verify/{token}/now", "https://shop/verify/abc/now"),
        ] {
            assert_eq!(link(configured, "https://own/page", "abc"), expected);
        }
    }
}
