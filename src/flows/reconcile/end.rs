//! How a run ends: with its sums and its mail, or given up.

use chrono::TimeDelta;
use sqlx::PgConnection;

use super::Reconcile;
use crate::app::App;
use crate::features::notifications::{Mail, ReconciledSum};
use crate::features::reconciliation::{self, Run};
use crate::flows::finance_mail;
use crate::flows::sweep_payments::is_silence;
use crate::platform::config::{Payments, ReconcileMail};
use crate::platform::error::{Error, Result};
use crate::platform::ids::ReconciliationId;
use crate::platform::jobs;

/// Tries without progress after which a run is given up: of a provider that does not answer, about an hour.
const MAX_FAILURES: i32 = 12;

/// The same for what will hardly mend itself.
const MAX_DEFECTS: i32 = 3;

/// Ends a run with its sums and its mail.
pub(super) async fn finish(app: &App, run: &Run) -> Result<()> {
    let mut tx = app.db.begin().await?;
    reconciliation::sums(&mut tx, run.id).await?;
    reconciliation::forget_items(&mut tx, run.id).await?;
    if !reconciliation::end(&mut tx, run.id, None, app.clock.now()).await? {
        return Ok(());
    }
    tell(app, &mut tx, run, None).await?;
    tx.commit().await?;
    app.waker.wake();
    metrics::counter!("agape_reconciliations_total", "result" => "completed").increment(1);
    Ok(())
}

/// Gives a run up. Gives that it does not go on.
pub(super) async fn fail(app: &App, id: ReconciliationId, why: &str) -> Result<bool> {
    let mut tx = app.db.begin().await?;
    let Some(run) = reconciliation::find(&mut tx, id).await? else { return Ok(false) };
    reconciliation::forget_items(&mut tx, id).await?;
    if reconciliation::end(&mut tx, id, Some(why), app.clock.now()).await? {
        tell(app, &mut tx, &run, Some(why)).await?;
        tx.commit().await?;
        app.waker.wake();
        metrics::counter!("agape_reconciliations_total", "result" => "failed").increment(1);
    }
    Ok(false)
}

/// Has a slice that failed done once more, later each time.
pub(super) async fn try_again(app: &App, id: ReconciliationId, error: Error) -> Result<()> {
    let silent = is_silence(&error) || matches!(error, Error::Unavailable(_));
    let why = match &error {
        Error::External { source, .. } => format!("The payment provider does not answer as it should: {source:#}."),
        _ => "Something went wrong on our side; the log says what.".to_owned(),
    };
    let cause = format!("{:#}", anyhow::Error::from(error));
    let mut tx = app.db.begin().await?;
    let failures = reconciliation::count_failure(&mut tx, id).await?;
    if failures >= if silent { MAX_FAILURES } else { MAX_DEFECTS } {
        tx.commit().await?;
        tracing::error!(reconciliation = %id, cause, "a reconciliation is given up");
        fail(app, id, &why).await?;
        return Ok(());
    }
    tracing::warn!(reconciliation = %id, cause, "a reconciliation is tried again");
    let first = i64::try_from(app.config.jobs.retry_seconds).unwrap_or(60);
    let doublings = u32::try_from(failures - 1).unwrap_or_default();
    let wait = TimeDelta::seconds(first.saturating_mul(2_i64.saturating_pow(doublings)).min(15 * 60));
    let again = Reconcile { reconciliation: id };
    jobs::enqueue_at(&mut tx, &again, app.config.jobs.max_attempts, Some(app.clock.now() + wait)).await?;
    tx.commit().await
}

/// Whether the settings want a mail of it.
fn is_told(config: &Payments, found: i64, failure: Option<&str>) -> bool {
    match config.reconcile_mail {
        ReconcileMail::Always => true,
        ReconcileMail::Findings => found > 0 || failure.is_some(),
        ReconcileMail::Never => false,
    }
}

async fn tell(app: &App, tx: &mut PgConnection, run: &Run, failure: Option<&str>) -> Result<()> {
    let counts = reconciliation::summary(tx, run.id).await?;
    let found: i64 = counts.iter().map(|(_, count, _)| count).sum();
    if !is_told(&app.config.payments, found, failure) {
        return Ok(());
    }
    let sums = reconciliation::totals(tx, run.id).await?.into_iter().map(|sum| ReconciledSum {
        currency: sum.currency,
        their_count: sum.their_count,
        their_minor: sum.their_total.0,
        their_fees_minor: sum.their_fees.0,
        our_count: sum.our_count,
        our_minor: sum.our_total.0,
    });
    let mail = Mail::Reconciliation {
        id: run.id.to_string(),
        from: run.from_at,
        until: run.until_at,
        sums: sums.collect(),
        findings: counts.iter().map(|(kind, count, _)| (kind.as_str().to_owned(), *count)).collect(),
        found,
        open: counts.iter().map(|(_, _, open)| open).sum(),
        failure: failure.map(str::to_owned),
    };
    finance_mail::send(app, tx, &format!("reconciliation/{}", run.id), None, &mail).await
}
