//! Runs jobs with riverqueue. Nothing outside this folder knows that library.

use std::time::Duration;

use riverqueue::jiff::Timestamp;
use riverqueue::{
    BoxError, Client, IntervalSchedule, Job as RiverJob, JobArgs, JobRow, MaintenanceConfig, PeriodicJob,
    PeriodicJobOpts, QueueConfig, RetryPolicy, RunHandle, WorkCancelled, WorkContext, WorkError, WorkOutcome, Workers,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Job, JobError};
use crate::platform::config::Jobs as Config;
use crate::platform::db::Db;

/// The wait before the next try: `first` doubled for each try so far, with up to a quarter more, so that jobs that
/// failed together do not return together.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    first: Duration,
}

impl RetryPolicy for Timing {
    fn next_retry(&self, job: &JobRow, _error: &WorkError, _now: Timestamp) -> Duration {
        let doublings = u32::try_from(job.attempt).unwrap_or(1).saturating_sub(1).min(10);
        let wait = self.first.saturating_mul(1 << doublings);
        wait.saturating_add(wait.mul_f64(rand::random_range(0.0..0.25)))
    }
}

/// Our job in the shape riverqueue wants. The context type keeps two applications' jobs apart.
#[derive(Serialize, Deserialize)]
#[serde(transparent, bound(serialize = "J: Serialize", deserialize = "J: DeserializeOwned"))]
struct Args<C, J> {
    job: J,
    #[serde(skip)]
    context: std::marker::PhantomData<fn() -> C>,
}

impl<C: 'static, J: Job<C>> JobArgs for Args<C, J> {
    const KIND: &'static str = J::KIND;
}

/// The jobs that a process can run.
pub struct Registry<C> {
    context: C,
    workers: Workers,
    periodic: Vec<PeriodicJob>,
}

impl<C> std::fmt::Debug for Registry<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry").field("kinds", &self.workers.kinds()).finish_non_exhaustive()
    }
}

impl<C: Clone + Send + Sync + 'static> Registry<C> {
    /// No jobs yet.
    pub fn new(context: C) -> Self {
        Self { context, workers: Workers::new(), periodic: Vec::new() }
    }

    /// Adds a kind of job.
    ///
    /// # Errors
    /// When the kind is registered already.
    pub fn add<J: Job<C>>(&mut self) -> anyhow::Result<()> {
        let context = self.context.clone();
        self.workers.add_fn(move |work: WorkContext, job: RiverJob<Args<C, J>>| {
            let context = context.clone();
            async move {
                let started = std::time::Instant::now();
                let outcome = tokio::select! {
                    outcome = job.args.job.run(&context) => outcome,
                    // Out of time, or the process is stopping.
                    () = work.cancellation_token().cancelled() => return Err(WorkCancelled.into()),
                };
                let result = match &outcome {
                    Ok(()) => "done",
                    Err(JobError::Retry(_)) => "retry",
                    Err(JobError::Fail(_)) => "failed",
                };
                metrics::counter!("agape_jobs_total", "kind" => J::KIND, "result" => result).increment(1);
                metrics::histogram!("agape_job_duration_seconds", "kind" => J::KIND)
                    .record(started.elapsed().as_secs_f64());
                match outcome {
                    Ok(()) => Ok(WorkOutcome::Complete),
                    Err(error) => {
                        tracing::warn!(job = J::KIND, id = job.row.id, attempt = job.row.attempt, error = %error, "job {result}");
                        match error {
                            JobError::Retry(_) => Err(BoxError::from(error)),
                            JobError::Fail(_) => Ok(WorkOutcome::Discard),
                        }
                    }
                }
            }
        })?;
        Ok(())
    }

    /// Adds a job that one process of the cluster enqueues every `interval`.
    ///
    /// # Errors
    /// When the interval is zero.
    pub fn every<J: Job<C>>(&mut self, interval: Duration, job: fn() -> J) -> anyhow::Result<()> {
        self.periodic.push(PeriodicJob::with_options(
            IntervalSchedule::new(interval)?,
            move || Args { job: job(), context: std::marker::PhantomData },
            PeriodicJobOpts::new().with_id(J::KIND).with_run_on_start(true),
        ));
        Ok(())
    }

    /// Starts working.
    ///
    /// # Errors
    /// When a setting is out of range or the queue's tables are missing.
    pub fn start(self, db: &Db, config: &Config) -> anyhow::Result<Runner> {
        let queue = QueueConfig::new(config.concurrency).with_fetch_poll_interval(Duration::from_secs(1));
        let maintenance = MaintenanceConfig::default()
            // A leader that dies is replaced ten seconds after its interval.
            .with_elect_interval(Duration::from_secs(2))
            .with_rescue_after(Duration::from_secs(config.rescue_seconds))
            .with_rescuer_interval(Duration::from_secs(5))
            .with_scheduler_interval(Duration::from_secs(1));
        let mut builder = Client::builder(db.pool().clone())
            .workers(self.workers)
            .queue("default", queue)
            .fetch_cooldown(Duration::from_millis(10))
            // While a new version replaces an old one, jobs that only the new one knows wait for it, and lose no tries.
            // What a dead worker had is another thing: a leader that does not know it discards it.
            .fetch_only_known_kinds(true)
            .default_max_attempts(i32::from(config.max_attempts))
            .job_timeout(Duration::from_secs(config.timeout_seconds))
            .job_stuck_threshold(Duration::from_secs(5))
            .retry_policy(Timing { first: Duration::from_secs(config.retry_seconds) })
            .maintenance(maintenance);
        for job in self.periodic {
            builder = builder.periodic_job(job);
        }
        Ok(Runner { handle: builder.build()?.start()? })
    }
}

/// Jobs being worked.
#[derive(Debug)]
pub struct Runner {
    handle: RunHandle,
}

impl Runner {
    /// Takes no more jobs, waits for those under way until `deadline`, and then hands them back.
    pub async fn stop(mut self, deadline: tokio::time::Instant) {
        if tokio::time::timeout_at(deadline, self.handle.stop()).await.is_ok() {
            return;
        }
        let cut = tokio::time::timeout(Duration::from_secs(1), self.handle.stop_and_cancel()).await;
        if !matches!(cut, Ok(Ok(()))) {
            tracing::warn!("jobs were cut off; they are taken over later");
        }
    }
}
