//! Work that happens after the commit that caused it.
//!
//! A job is a struct with a name. It is enqueued inside the transaction of its cause, so a crash loses neither or
//! both, and it is run at least once: a handler re-reads the state and survives a second run.

mod runner;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use riverqueue::migrate::PostgresMigrator;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::PgConnection;
use sqlx::postgres::PgPoolOptions;
use tokio::sync::Notify;

use super::db::Db;
use super::error::{Error, Result};

pub use runner::{Registry, Runner, Timing};

/// Work to do later, in the context `C` of the application.
#[async_trait]
pub trait Job<C>: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The name under which it is stored. It never changes once released.
    const KIND: &'static str;

    /// Does the work. It may have been done before, wholly or partly.
    async fn run(self, context: &C) -> Result<(), JobError>;
}

/// How a try of a job failed.
#[derive(Debug)]
pub enum JobError {
    /// It may work later; the job is tried again until its tries are used up.
    Retry(anyhow::Error),
    /// It will never work; the job goes to the dead letters at once.
    Fail(anyhow::Error),
}

impl From<Error> for JobError {
    fn from(error: Error) -> Self {
        Self::Retry(error.into())
    }
}

impl From<sqlx::Error> for JobError {
    fn from(error: sqlx::Error) -> Self {
        Self::Retry(error.into())
    }
}

/// Enqueues a job in the caller's transaction. Call [`Waker::wake`] after the commit.
///
/// # Errors
/// When the statement fails; the transaction is then lost.
pub async fn enqueue<C, J: Job<C>>(connection: &mut PgConnection, job: &J, max_attempts: i16) -> Result<()> {
    enqueue_at::<C, J>(connection, job, max_attempts, None).await
}

/// Enqueues a job that becomes due at `run_at`.
///
/// # Errors
/// As [`enqueue`].
pub async fn enqueue_at<C, J: Job<C>>(
    connection: &mut PgConnection,
    job: &J,
    max_attempts: i16,
    run_at: Option<DateTime<Utc>>,
) -> Result<()> {
    let args = serde_json::to_value(job).map_err(Error::internal)?;
    sqlx::query!("select enqueue_job($1, $2, $3, $4)", J::KIND, args, max_attempts, run_at)
        .fetch_one(connection)
        .await?;
    Ok(())
}

/// Whether this very job waits, runs or will be tried again.
///
/// # Errors
/// When the statement fails.
pub async fn is_waiting<C, J: Job<C>>(connection: &mut PgConnection, job: &J) -> Result<bool> {
    Ok(waiting(connection, job).await? > 0)
}

/// How many jobs like this one wait or run.
///
/// # Errors
/// The database's.
pub async fn waiting<C, J: Job<C>>(connection: &mut PgConnection, job: &J) -> Result<i64> {
    let args = serde_json::to_value(job).map_err(Error::internal)?;
    // The queue's tables are its own and come at run time, so this statement is not checked when it is compiled.
    let waiting = sqlx::query_scalar(
        "select count(*) from river_job where kind = $1 and args @> $2
         and state in ('available', 'running', 'retryable', 'scheduled')",
    )
    .bind(J::KIND)
    .bind(args)
    .fetch_one(connection)
    .await?;
    Ok(waiting)
}

/// Tells the workers of every process that there is work, without delaying the commit that brought it.
#[derive(Clone, Debug, Default)]
pub struct Waker(Arc<Notify>);

impl Waker {
    /// Call after a commit that enqueued a job. Cheap; calls that come together count once.
    pub fn wake(&self) {
        self.0.notify_one();
    }

    /// Sends the notifications until the future is dropped. A lost one costs at most a poll interval.
    pub async fn run(self, db: Db) {
        loop {
            self.0.notified().await;
            let sent = async {
                let mut connection = db.acquire().await?;
                // A notification has nothing to keep, so its commit need not wait for the disk.
                sqlx::query(
                    "select set_config('synchronous_commit', 'off', true),
                            pg_notify(current_schema() || '.river_insert', '{\"queue\":\"default\"}')",
                )
                .execute(&mut *connection)
                .await?;
                Ok::<_, Error>(())
            };
            if let Err(error) = sent.await {
                tracing::warn!(error = %error, "workers could not be woken; they poll");
            }
            // At most 100 wake-ups a second, however many orders come in.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Creates or upgrades the queue's tables.
pub(super) async fn migrate(url: &str) -> anyhow::Result<()> {
    let pool = PgPoolOptions::new().max_connections(1).connect(url).await?;
    PostgresMigrator::new(pool.clone()).migrate_up().await?;
    pool.close().await;
    Ok(())
}

impl fmt::Display for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Retry(cause) | Self::Fail(cause) => write!(f, "{cause:#}"),
        }
    }
}

impl std::error::Error for JobError {}
