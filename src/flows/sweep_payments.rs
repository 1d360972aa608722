//! Asks the provider about attempts of which nothing was heard: a webhook may be lost, and failures have none.
//!
//! An attempt is claimed before it is asked about, by a later time of its next look, so that a process may die in between
//! and several may be at it.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use chrono::TimeDelta;
use futures::future::join_all;
use serde::{Deserialize, Serialize};

use super::settle::{self, Outcome};
use crate::app::App;
use crate::features::orders;
use crate::features::payments::{self, Look};
use crate::platform::error::{Error, Result};
use crate::platform::jobs::{Job, JobError};

/// Attempts that are asked about at the same time.
const AT_ONCE: i64 = 8;

/// Runs each minute, in one process of the cluster.
#[derive(Debug, Serialize, Deserialize)]
pub struct SweepPayments {}

#[async_trait]
impl Job<App> for SweepPayments {
    const KIND: &'static str = "sweep_payments";

    async fn run(self, app: &App) -> Result<(), JobError> {
        sweep(app).await.map_err(JobError::from)
    }
}

/// Asks until nothing is due, the provider does not answer, or the time of a job would not do for more.
async fn sweep(app: &App) -> Result<()> {
    let config = &app.config.payments;
    let first = TimeDelta::minutes(config.sweep_minutes);
    // A look may take the provider's time and that of the database.
    let spare = app.config.jobs.timeout_seconds.saturating_sub(config.timeout_seconds + 5);
    let until = Instant::now() + Duration::from_secs(spare);
    while Instant::now() < until && !app.is_stopping() {
        let now = app.clock.now();
        let claimed = payments::claim_looks(&mut *app.db.acquire().await?, now, first, AT_ONCE).await?;
        if claimed.is_empty() {
            return Ok(());
        }
        let results = join_all(claimed.iter().map(|attempt| look(app, attempt))).await;
        let mut unanswered = Vec::new();
        for (attempt, result) in claimed.iter().zip(results) {
            match result {
                Ok(()) => {}
                Err(error) if is_silence(&error) => unanswered.push(attempt.id),
                // One that fails must not keep the others from it; it comes again in its turn.
                Err(error) => {
                    let cause = format!("{:#}", anyhow::Error::from(error));
                    tracing::error!(payment = %attempt.id, cause, "a payment could not be asked about");
                }
            }
        }
        if !unanswered.is_empty() {
            tracing::warn!(
                payments = unanswered.len(),
                "the payment provider does not answer; it is asked again later"
            );
            let again = now + TimeDelta::minutes(1);
            return Ok(payments::put_off_looks(&mut *app.db.acquire().await?, &unanswered, again).await?);
        }
    }
    Ok(())
}

/// Whether the provider is away, or wants fewer questions.
pub(super) fn is_silence(error: &Error) -> bool {
    let Error::External { source, .. } = error else { return false };
    source.downcast_ref::<paystack::Error>().is_some_and(paystack::Error::is_transient)
}

async fn look(app: &App, attempt: &Look) -> Result<()> {
    let outcome = settle::ask(app, &attempt.reference).await?;
    let result = match &outcome {
        Outcome::Paid => "paid",
        Outcome::Flagged(_) => "flagged",
        Outcome::Failed => "failed",
        Outcome::Settled => "settled",
        Outcome::Ignored(_) => "unknown",
        Outcome::Pending | Outcome::Left => "pending",
    };
    metrics::counter!("agape_payment_looks_total", "result" => result).increment(1);
    if outcome == Outcome::Ignored(settle::UNKNOWN) {
        return close_unknown(app, attempt).await;
    }
    // Of an attempt that was over they were looked for when it was settled.
    if outcome.is_money() && !attempt.status.is_over() {
        settle::look_for_refunds(app, attempt.id).await;
    }
    if attempt.status.is_over() {
        let patience = TimeDelta::hours(app.config.payments.sweep_hours);
        payments::end_looks(&mut *app.db.acquire().await?, attempt.id, app.clock.now() - patience).await?;
    }
    Ok(())
}

/// The provider does not know the attempt: its page was never opened. Once its order is over, it is, too.
async fn close_unknown(app: &App, attempt: &Look) -> Result<()> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let order = orders::lock(&mut tx, attempt.order_id).await?.ok_or(Error::NotFound("The order"))?;
    if order.status.awaits_payment() && order.expires_at.is_some_and(|at| at > now) {
        return Ok(());
    }
    payments::abandon_open(&mut tx, attempt.order_id, now).await?;
    payments::end_looks(&mut tx, attempt.id, now).await?;
    tx.commit().await
}
