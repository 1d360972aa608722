//! Works on stored webhooks.

use async_trait::async_trait;
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use super::store;
use crate::app::App;
use crate::flows::settle::{self, Outcome};
use crate::platform::error::Result;
use crate::platform::ids::WebhookEventId;
use crate::platform::jobs::{self, Job, JobError};

/// Does what a stored webhook says. The kinds nobody handles are kept.
#[derive(Debug, Serialize, Deserialize)]
pub struct ProcessWebhook {
    /// The stored delivery.
    pub event_id: WebhookEventId,
}

/// Whether a body leaves out what settling needs: its mode.
fn is_shortened(transaction: &paystack::Transaction) -> bool {
    matches!(&transaction.domain, paystack::Domain::Other(domain) if domain.is_empty())
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
            (Some(Ok(transaction)), _) if !is_shortened(&transaction) => settle::settle(app, &transaction).await?,

            // Shortened bodies exist; the provider tells the rest when asked.
            (Some(_), Some(reference)) => match settle::ask(app, reference).await? {
                Outcome::Ignored(reason) => return Err(JobError::Retry(anyhow::anyhow!(reason))),
                outcome => outcome,
            },
            (Some(charge), None) => {
                let cause = charge.err().map_or_else(|| anyhow::anyhow!("it names no reference"), Into::into);
                return self.fail(app, cause).await;
            }
        };
        let (status, outcome) = match outcome {
            Outcome::Ignored(reason) => ("ignored", reason.to_owned()),
            outcome => ("processed", format!("{outcome:?}")),
        };
        store::finish(&mut *app.db.acquire().await?, self.event_id, status, &outcome, app.clock.now()).await?;
        if let Some(reference) = event.reference()
            && settle::is_of_erased_buyer(app, reference).await?
        {
            store::erase_bodies(&mut *app.db.acquire().await?, &[reference.to_owned()]).await?;
        }
        Ok(())
    }
}

impl ProcessWebhook {
    /// Money hangs on it and the provider will not repeat what was answered with 200, so it is tried for hours.
    pub const TRIES: i16 = 20;

    /// A body that is signed by the provider and cannot be read stays for a person to look at.
    async fn fail(self, app: &App, cause: anyhow::Error) -> Result<(), JobError> {
        let words = format!("{cause:#}");
        store::finish(&mut *app.db.acquire().await?, self.event_id, "failed", &words, app.clock.now()).await?;
        Err(JobError::Fail(cause))
    }
}

/// Puts events back to work that were stored some minutes ago and have no job any more.
///
/// # Errors
/// The database's.
pub async fn requeue_forgotten(app: &App) -> Result<()> {
    let before = app.clock.now() - TimeDelta::minutes(5);
    let forgotten = store::received_before(&mut *app.db.acquire().await?, before).await?;
    for event_id in forgotten {
        let job = ProcessWebhook { event_id };
        let mut tx = app.db.begin().await?;
        if !jobs::is_waiting::<App, _>(&mut tx, &job).await? {
            tracing::warn!(event = %event_id, "a stored webhook had no job any more; it gets a new one");
            jobs::enqueue(&mut tx, &job, ProcessWebhook::TRIES).await?;
        }
        tx.commit().await?;
    }
    app.waker.wake();
    Ok(())
}
