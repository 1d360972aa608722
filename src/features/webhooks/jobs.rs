//! Works on stored webhooks.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::store;
use crate::app::App;
use crate::flows::settle::{self, Outcome};
use crate::platform::ids::WebhookEventId;
use crate::platform::jobs::{Job, JobError};

/// Does what a stored webhook says. The kinds nobody handles are kept.
#[derive(Debug, Serialize, Deserialize)]
pub struct ProcessWebhook {
    /// The stored delivery.
    pub event_id: WebhookEventId,
}

#[async_trait]
impl Job<App> for ProcessWebhook {
    const KIND: &'static str = "process_webhook";

    async fn run(self, app: &App) -> Result<(), JobError> {
        let stored = store::find_body(&mut *app.db.acquire().await?, self.event_id).await?;
        let Some((status, body)) = stored else {
            return Err(JobError::Fail(anyhow::anyhow!("there is no webhook {}", self.event_id)));
        };
        if matches!(status.as_str(), "processed" | "ignored") {
            return Ok(());
        }
        let event = match paystack::webhook::Event::parse(&body) {
            Ok(event) => event,
            Err(error) => return self.fail(app, error.into()).await,
        };
        let outcome = match (event.charge(), event.reference()) {
            (None, _) => Outcome::Ignored("no handler for this kind of event"),
            (Some(Ok(transaction)), _) => settle::settle(app, &transaction).await?,
            // Shortened bodies exist; the provider tells the rest when asked.
            (Some(Err(_)), Some(reference)) => settle::ask(app, reference).await?,
            (Some(Err(error)), None) => return self.fail(app, error.into()).await,
        };
        let (status, outcome) = match outcome {
            Outcome::Ignored(reason) => ("ignored", reason.to_owned()),
            outcome => ("processed", format!("{outcome:?}")),
        };
        store::finish(&mut *app.db.acquire().await?, self.event_id, status, &outcome, app.clock.now()).await?;
        Ok(())
    }
}

impl ProcessWebhook {
    /// A body that is signed by the provider and cannot be read stays for a person to look at.
    async fn fail(self, app: &App, cause: anyhow::Error) -> Result<(), JobError> {
        let words = format!("{cause:#}");
        store::finish(&mut *app.db.acquire().await?, self.event_id, "failed", &words, app.clock.now()).await?;
        Err(JobError::Fail(cause))
    }
}
