//! Works on stored webhooks.

use async_trait::async_trait;
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use super::bodies;
use super::model::{EventStatus, is_always_work};
use super::store;
use crate::app::App;
use crate::flows::disputes;
use crate::flows::refund::follow;
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
        let Some(mut stored) = stored else {
            return Err(JobError::Fail(anyhow::anyhow!("there is no webhook {}", self.event_id)));
        };
        if matches!(stored.status, EventStatus::Processed | EventStatus::Ignored) {
            return Ok(());
        }
        // Another delivery that comes meanwhile may be work of its own.
        let deliveries = is_always_work(&stored.event).then_some(stored.deliveries);
        let reference = stored.reference.take();
        let reference = reference.as_deref();
        let Some(body) = bodies::open(app, stored)? else {
            return self.fail(app, (deliveries, reference), anyhow::anyhow!("its body was removed")).await;
        };
        let event = match paystack::webhook::Event::parse(&body) {
            Ok(event) => event,
            Err(error) => return self.fail(app, (deliveries, reference), error.into()).await,
        };
        if let Some(refund) = event.refund() {
            let refund = match refund {
                Ok(refund) => refund,
                Err(error) => return self.fail(app, (deliveries, reference), error.into()).await,
            };
            let (status, outcome) = match follow::notice(app, &refund).await? {
                follow::Outcome::Done => (EventStatus::Processed, "the refunds are as the provider says"),
                follow::Outcome::Ignored(reason) => (EventStatus::Ignored, reason),
            };
            return self.finish(app, (deliveries, reference), (status, outcome)).await;
        }
        let outcome = match (event.charge(), event.reference()) {
            _ if event.dispute().is_some() => match event.dispute().transpose() {
                Ok(told) => match told {
                    Some(told) => disputes::hear(app, &told).await?,
                    None => Outcome::Ignored("no handler for this kind of event"),
                },
                Err(error) => return self.fail(app, (deliveries, reference), error.into()).await,
            },
            (None, _) => Outcome::Ignored("no handler for this kind of event"),
            (Some(Ok(transaction)), _) if !is_shortened(&transaction) => settle::hear(app, &transaction).await?,

            // Shortened bodies exist; the provider tells the rest when asked.
            (Some(_), Some(reference)) => settle::ask(app, reference).await?,
            (Some(charge), None) => {
                let cause = charge.err().map_or_else(|| anyhow::anyhow!("it names no reference"), Into::into);
                return self.fail(app, (deliveries, reference), cause).await;
            }
        };
        let (status, outcome) = match outcome {
            Outcome::Ignored(reason) => (EventStatus::Ignored, reason.to_owned()),
            outcome => (EventStatus::Processed, format!("{outcome:?}")),
        };
        self.finish(app, (deliveries, reference), (status, &outcome)).await
    }
}

impl ProcessWebhook {
    /// Money hangs on it and the provider will not repeat what was answered with 200, so it is tried for hours.
    pub const TRIES: i16 = 20;

    /// Notes what came of it.
    async fn finish(
        self,
        app: &App,
        (deliveries, reference): (Option<i32>, Option<&str>),
        result: (EventStatus, &str),
    ) -> Result<(), JobError> {
        Ok(self.note(app, (deliveries, reference), result).await?)
    }

    /// A body that is signed by the provider and cannot be read stays for a person to look at.
    async fn fail(
        self,
        app: &App,
        (deliveries, reference): (Option<i32>, Option<&str>),
        cause: anyhow::Error,
    ) -> Result<(), JobError> {
        let words = format!("{cause:#}");
        metrics::counter!("agape_webhooks_total", "result" => "failed").increment(1);
        self.note(app, (deliveries, reference), (EventStatus::Failed, &words)).await?;
        Err(JobError::Fail(cause))
    }

    /// What tells of a buyer who was erased is not kept, whatever came of it.
    async fn note(
        self,
        app: &App,
        (deliveries, reference): (Option<i32>, Option<&str>),
        result: (EventStatus, &str),
    ) -> Result<()> {
        let mut connection = app.db.acquire().await?;
        store::finish(&mut connection, self.event_id, deliveries, result, app.clock.now()).await?;
        drop(connection);
        if let Some(reference) = reference
            && settle::is_of_erased_buyer(app, reference).await?
        {
            store::erase_bodies(&mut *app.db.acquire().await?, &[reference.to_owned()]).await?;
        }
        Ok(())
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
