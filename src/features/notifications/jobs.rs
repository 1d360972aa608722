//! Delivers mails that wait.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::mailer::Undelivered;
use super::store;
use crate::app::App;
use crate::platform::ids::EmailId;
use crate::platform::jobs::{Job, JobError};

/// Hands a stored mail to the mail server.
#[derive(Debug, Serialize, Deserialize)]
pub struct DeliverMail {
    /// The mail.
    pub email_id: EmailId,
}

impl DeliverMail {
    /// A mail server may be away for a while: the tries spread over about 40 minutes.
    pub const TRIES: i16 = 10;
}

#[async_trait]
impl Job<App> for DeliverMail {
    const KIND: &'static str = "deliver_mail";

    async fn run(self, app: &App) -> Result<(), JobError> {
        // Delivered by an earlier try, or erased with its owner.
        let queued = store::find_queued(&mut *app.db.acquire().await?, self.email_id).await?;
        let Some(mail) = queued else { return Ok(()) };
        match app.mailer.deliver(self.email_id, &mail).await {
            Ok(()) => {
                store::finish(&mut *app.db.acquire().await?, self.email_id, None, app.clock.now()).await?;
                Ok(())
            }
            Err(Undelivered::Later(what)) => Err(JobError::Retry(anyhow::anyhow!("the mail server {what}"))),
            Err(Undelivered::Refused(error)) => {
                // A server's words often name the recipient: they stand in the delivery log, and not in the program's.
                let words = format!("{error:#}");
                store::finish(&mut *app.db.acquire().await?, self.email_id, Some(&words), app.clock.now()).await?;
                Err(JobError::Fail(anyhow::anyhow!("the mail server refuses mail {}", self.email_id)))
            }
        }
    }
}
