//! The verification mail.

use async_trait::async_trait;
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::store;
use crate::app::App;
use crate::features::notifications::{self, Mail, NewMail};
use crate::platform::crypto::{random_token, sha256};
use crate::platform::ids::UserId;
use crate::platform::jobs::{Job, JobError};

/// Sends a link that proves the address. The token is made here, so that it never stands in a job's arguments.
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

#[async_trait]
impl Job<App> for SendVerificationMail {
    const KIND: &'static str = "send_verification_mail";

    async fn run(self, app: &App) -> Result<(), JobError> {
        let now = app.clock.now();
        let mut tx = app.db.begin().await?;
        let Some(user) = store::find_user(&mut tx, self.user_id).await? else { return Ok(()) };
        if user.email_verified_at.is_some() {
            return Ok(());
        }
        let token = random_token()?;
        let hours = app.config.auth.verification_hours;
        let expires = now + TimeDelta::hours(hours);
        store::insert_verification_token(&mut tx, &sha256(token.as_bytes()), user.id, expires, now).await?;
        let mail = NewMail {
            dedupe_key: format!("verify_email/{}", self.request),
            recipient: user.email,
            user_id: Some(user.id),
            order_id: None,
            mail: Mail::VerifyEmail {
                name: user.name,
                link: format!("{}/verify-email?token={token}", app.config.public_url()),
                valid_hours: u32::try_from(hours).unwrap_or(24),
            },
        };
        notifications::send(app, &mut tx, mail).await?;
        Ok(tx.commit().await?)
    }
}
