//! Compares the provider's list of a time with our payments, and takes in money, and refunds of it, that we did not hear of.
//!
//! A job does what fits into its time, each step a transaction with how far the run is; the next job goes on there, so a process may
//! die at any moment.

mod end;
mod mend;
mod steps;

use std::time::{Duration, Instant};

use async_trait::async_trait;
use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::PgConnection;

use crate::app::App;
use crate::features::auth::Identity;
use crate::features::reconciliation::{self, NewRun, Step};
use crate::platform::error::{Error, FieldError, Result};
use crate::platform::http::RequestMeta;
use crate::platform::http::keyed::{self, Begun, Keyed};
use crate::platform::idempotency;
use crate::platform::ids::ReconciliationId;
use crate::platform::jobs::{self, Job, JobError};

/// The longest slice of work of one job.
const SLICE: Duration = Duration::from_secs(10);

/// The longest time that staff may have compared.
const MAX_DAYS: i64 = 92;

/// The longest time that the clock has compared, after it stood still.
const MAX_CATCH_UP: i64 = 31;

/// Orders the run of each day, and finds runs that have lost their job. Runs each minute, in one process of the cluster.
#[derive(Debug, Serialize, Deserialize)]
pub struct ScheduleReconciliation {}

#[async_trait]
impl Job<App> for ScheduleReconciliation {
    const KIND: &'static str = "schedule_reconciliation";

    async fn run(self, app: &App) -> Result<(), JobError> {
        requeue_forgotten(app).await?;
        Ok(order(app).await?)
    }
}

/// Does the next slice of a run.
#[derive(Debug, Serialize, Deserialize)]
pub struct Reconcile {
    /// Which.
    pub reconciliation: ReconciliationId,
}

#[async_trait]
impl Job<App> for Reconcile {
    const KIND: &'static str = "reconcile";

    async fn run(self, app: &App) -> Result<(), JobError> {
        let id = self.reconciliation;
        match slice(app, id).await {
            Ok(true) => Ok(()),
            Ok(false) => {
                let mut tx = app.db.begin().await?;
                enqueue(app, &mut tx, id).await?;
                tx.commit().await?;
                app.waker.wake();
                Ok(())
            }
            Err(error) => Ok(end::try_again(app, id, error).await?),
        }
    }
}

async fn enqueue(app: &App, c: &mut PgConnection, id: ReconciliationId) -> Result<()> {
    jobs::enqueue(c, &Reconcile { reconciliation: id }, app.config.jobs.max_attempts).await
}

/// Has a time compared that staff choose.
///
/// # Errors
/// `Validation` of the time; `Conflict` while another run is under way.
pub async fn start(
    app: &App,
    actor: &Identity,
    meta: &RequestMeta,
    (from, until): (DateTime<Utc>, DateTime<Utc>),
    key: Option<idempotency::Request>,
) -> Result<Keyed> {
    let now = app.clock.now();
    let mut faults = Vec::new();
    if until > now {
        faults.push(FieldError::new("until", "must not be in the future"));
    }
    if from >= until || until - from > TimeDelta::days(MAX_DAYS) {
        faults.push(FieldError::new("from", format!("must be before until, by at most {MAX_DAYS} days")));
    }
    if !faults.is_empty() {
        return Err(Error::Validation(faults));
    }
    let mut tx = match keyed::begin(&app.db, key.as_ref(), now).await? {
        Begun::Given(answer) => return Ok(answer),
        Begun::Open(tx) => tx,
    };
    let done = async {
        let new = NewRun { id: ReconciliationId::new(), day: None, from, until, created_by: Some(actor.user_id) };
        if !reconciliation::insert(&mut tx, &new, now).await? {
            return Err(Error::conflict("A reconciliation is under way. Wait for its end, then start another one."));
        }
        enqueue(app, &mut tx, new.id).await?;
        let data = json!({"reconciliation": reconciliation::view(&mut tx, new.id).await?});
        let answer = tx.answer(202, data).await?;
        let after = json!({"from": from, "until": until});
        reconciliation::record_start(&mut tx, app, (actor, meta), new.id, after).await?;
        Ok(answer)
    }
    .await;
    let answer = tx.end(done).await?;
    app.waker.wake();
    Ok(answer)
}

/// The last day whose time for a reconciliation has come, on the shop's clock.
fn due_day(now: DateTime<Utc>, offset: TimeDelta, at: NaiveTime) -> NaiveDate {
    let local = now.naive_utc() + offset;
    if local.time() >= at { local.date() } else { local.date() - TimeDelta::days(1) }
}

/// What the run of a day compares: until its midnight, from so many days before; more where days were left out.
fn window(day: NaiveDate, before: NaiveDate, offset: TimeDelta, days: i64) -> (DateTime<Utc>, DateTime<Utc>) {
    let until = day.and_time(NaiveTime::MIN).and_utc() - offset;
    let left_out = (day - before).num_days() - 1;
    (until - TimeDelta::days((days + left_out).clamp(days, days.max(MAX_CATCH_UP))), until)
}

/// Orders the run that is due, once in the cluster.
async fn order(app: &App) -> Result<()> {
    let (config, now) = (&app.config.payments, app.clock.now());
    let offset = TimeDelta::minutes(app.config.store.utc_offset_minutes.into());
    let day = due_day(now, offset, config.reconcile_at);
    let mut tx = app.db.begin().await?;
    let Some(before) = reconciliation::order_day(&mut tx, day).await? else {
        // The shop begins to look on this day.
        return tx.commit().await;
    };
    let (from, until) = window(day, before, offset, config.reconcile_days);
    let new = NewRun { id: ReconciliationId::new(), day: Some(day), from, until, created_by: None };
    // While another one is under way, the day is ordered again in a minute.
    if reconciliation::insert(&mut tx, &new, now).await? {
        enqueue(app, &mut tx, new.id).await?;
        tx.commit().await?;
        app.waker.wake();
    }
    Ok(())
}

async fn requeue_forgotten(app: &App) -> Result<()> {
    let mut tx = app.db.begin().await?;
    if let Some(id) = reconciliation::running(&mut tx).await?
        && !jobs::is_waiting::<App, _>(&mut tx, &Reconcile { reconciliation: id }).await?
    {
        tracing::warn!(reconciliation = %id, "a reconciliation had no job any more; it gets a new one");
        enqueue(app, &mut tx, id).await?;
        tx.commit().await?;
        app.waker.wake();
    }
    Ok(())
}

/// Works until the run has ended or the time is over. Gives whether it has.
async fn slice(app: &App, id: ReconciliationId) -> Result<bool> {
    let deadline = Instant::now() + SLICE.min(Duration::from_secs(app.config.jobs.timeout_seconds) / 3);
    loop {
        let run = reconciliation::find(&mut *app.db.acquire().await?, id).await?;
        let Some(run) = run.filter(|run| run.status == "running") else { return Ok(true) };
        let goes_on = match run.step {
            Step::Read => steps::read_page(app, &run).await?,
            Step::Search => steps::search(app, &run).await?,
            Step::Compare => steps::compare_some(app, &run).await?,
            Step::Mend => mend::mend(app, &run).await?,
        };
        if !goes_on {
            return Ok(true);
        }
        if Instant::now() >= deadline || app.is_stopping() {
            return Ok(false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn a_day_is_due_at_its_time_in_the_shop() {
        let (lagos, two) = (TimeDelta::minutes(60), NaiveTime::from_hms_opt(2, 0, 0).unwrap());
        let day = |text: &str| due_day(at(text), lagos, two).to_string();
        assert_eq!(day("2026-11-28T00:59:59Z"), "2026-11-27");
        assert_eq!(day("2026-11-28T01:00:00Z"), "2026-11-28");
        assert_eq!(day("2026-11-28T23:30:00Z"), "2026-11-28");
    }

    #[test]
    fn yesterday_and_the_days_before_are_compared() {
        let lagos = TimeDelta::minutes(60);
        let date = |text: &str| text.parse::<NaiveDate>().unwrap();
        let (from, until) = window(date("2026-11-28"), date("2026-11-27"), lagos, 4);
        assert_eq!((from, until), (at("2026-11-23T23:00:00Z"), at("2026-11-27T23:00:00Z")));
        // The clock stood still for three days, and for a year.
        assert_eq!(window(date("2026-11-28"), date("2026-11-24"), lagos, 4).0, at("2026-11-20T23:00:00Z"));
        assert_eq!(window(date("2026-11-28"), date("2025-11-28"), lagos, 4).0, at("2026-10-27T23:00:00Z"));
    }
}
