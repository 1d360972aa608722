//! PostgreSQL: the pools, their session settings, transactions and migrations. Only this module knows the pools.

use std::str::FromStr;
use std::time::Duration;

use anyhow::Context;
use sqlx::migrate::Migrator;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, Executor, PgConnection, PgPool, Postgres, Transaction};

use super::config::Database as Config;
use super::error::{Error, Result};

/// The migrations of this binary. A database that knows later ones, from a newer binary beside this one, is fine.
fn migrations() -> Migrator {
    let mut migrations = sqlx::migrate!("./migrations");
    migrations.set_locking(false).set_ignore_missing(true);
    migrations
}

/// "AGAPE" in ASCII: the advisory lock that one migrating process holds.
const MIGRATION_LOCK: i64 = 0x41_47_41_50_45;

/// The database.
#[derive(Clone, Debug)]
pub struct Db {
    pool: PgPool,
    hot: PgPool,
}

/// A transaction.
pub type Tx = Transaction<'static, Postgres>;

impl Db {
    /// Opens the pools. The first connection is made here, so that a wrong address is told at once.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses the user.
    pub async fn connect(config: &Config, url: &str) -> anyhow::Result<Self> {
        let options = options(config, url)?;
        // Statements that place orders unnest arrays, whose length the planner guesses wrongly for a custom plan.
        let hot = options.clone().options([("plan_cache_mode", "force_generic_plan")]);
        Ok(Self {
            pool: pool(config, config.pool_min, config.pool_max).connect_with(options).await?,
            hot: pool(config, 1, config.hot_pool_max).connect_lazy_with(hot),
        })
    }

    /// A connection for reads.
    pub async fn acquire(&self) -> Result<PoolConnection<Postgres>> {
        Ok(self.pool.acquire().await?)
    }

    /// Begins a transaction.
    pub async fn begin(&self) -> Result<Tx> {
        begin(self.pool.clone()).await
    }

    /// Begins a transaction for the statements that place orders.
    pub async fn begin_hot(&self) -> Result<Tx> {
        begin(self.hot.clone()).await
    }

    /// The pool, for the job queue alone.
    pub(super) fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Connections open and idle, for the metrics.
    pub fn connections(&self) -> (u32, usize) {
        (self.pool.size() + self.hot.size(), self.pool.num_idle() + self.hot.num_idle())
    }

    /// Closes the pools after the last use.
    pub async fn close(&self) {
        self.hot.close().await;
        self.pool.close().await;
    }

    /// Answers when the database does.
    pub async fn ping(&self) -> Result<()> {
        sqlx::query("select 1").execute(&self.pool).await?;
        Ok(())
    }
}

/// Runs in a task of its own: sqlx's `begin`, when its caller goes away between sending BEGIN and reading the answer,
/// could give back a connection that is still inside a transaction.
async fn begin(pool: PgPool) -> Result<Tx> {
    tokio::spawn(async move { pool.begin().await }).await.map_err(Error::internal)?.map_err(Error::from)
}

fn options(config: &Config, url: &str) -> anyhow::Result<PgConnectOptions> {
    let milliseconds = |n: u64| n.to_string();
    Ok(PgConnectOptions::from_str(url)?
        .application_name("agape")
        .options([
            ("statement_timeout", milliseconds(config.statement_timeout_ms)),
            ("lock_timeout", milliseconds(config.lock_timeout_ms)),
            ("idle_in_transaction_session_timeout", milliseconds(config.idle_in_transaction_timeout_ms)),
        ])
        .log_slow_statements(tracing::log::LevelFilter::Warn, Duration::from_secs(1))
        .log_statements(tracing::log::LevelFilter::Trace))
}

fn pool(config: &Config, min: u32, max: u32) -> PgPoolOptions {
    PgPoolOptions::new()
        .min_connections(min)
        .max_connections(max)
        .acquire_timeout(Duration::from_millis(config.acquire_timeout_ms))
        .idle_timeout(Duration::from_secs(300))
        .max_lifetime(Duration::from_secs(1800))
        .test_before_acquire(false)
        // The pool's own ping has no limit and keeps its permit when a connection has died silently. This one gives
        // up, and the error closes the connection.
        .after_release(|connection, _| {
            Box::pin(async move {
                match tokio::time::timeout(Duration::from_secs(2), connection.ping()).await {
                    Ok(answer) => answer.map(|()| true),
                    Err(_) => Err(sqlx::Error::PoolTimedOut),
                }
            })
        })
}

/// Makes the database of `url` on its server if it is not there.
///
/// # Errors
/// When the server cannot be reached or refuses.
pub async fn create_if_missing(url: &str, name: &str) -> anyhow::Result<()> {
    let mut server = PgConnectOptions::from_str(url)?.database("postgres").connect().await?;
    let exists: bool = sqlx::query_scalar("select exists (select from pg_database where datname = $1)")
        .bind(name)
        .fetch_one(&mut server)
        .await?;
    if !exists {
        let quoted = name.replace('"', "\"\"");
        server.execute(sqlx::AssertSqlSafe(format!("create database \"{quoted}\""))).await?;
    }
    Ok(server.close().await?)
}

/// A migration and whether it has been applied.
#[derive(Debug)]
pub struct MigrationStatus {
    /// Its time stamp.
    pub version: i64,
    /// What it does.
    pub description: String,
    /// Whether this database has it.
    pub applied: bool,
}

/// Applies what is missing, the job queue's tables included. Two processes take turns: the lock is polled, because
/// waiting inside `pg_advisory_lock` would deadlock with `create index concurrently`.
///
/// # Errors
/// When a migration fails, or an applied file was changed.
pub async fn migrate(url: &str) -> anyhow::Result<()> {
    let options = PgConnectOptions::from_str(url)?.application_name("agape migrate");
    let mut connection = options.connect().await.with_context(|| {
        // Never the whole address: it holds the password.
        let (host, port) = (options.get_host(), options.get_port());
        let name = options.get_database().unwrap_or_default();
        format!("no connection to the database \"{name}\" at {host}:{port} (DATABASE_URL)")
    })?;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(300);
    while !sqlx::query_scalar::<_, bool>("select pg_try_advisory_lock($1)")
        .bind(MIGRATION_LOCK)
        .fetch_one(&mut connection)
        .await?
    {
        anyhow::ensure!(tokio::time::Instant::now() < deadline, "another process has been migrating for 5 minutes");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    connection.execute("set lock_timeout = '10s'").await?;
    let migrated = async {
        migrations().run_direct(None, &mut connection, false).await?;
        super::jobs::migrate(url).await
    }
    .await;
    // Closing the connection gives the lock back, whatever happened.
    connection.close().await?;
    migrated
}

/// Lists the migrations of this binary and which of them the database has.
///
/// # Errors
/// When the database cannot be reached.
pub async fn migration_status(url: &str) -> anyhow::Result<Vec<MigrationStatus>> {
    let mut connection = PgConnectOptions::from_str(url)?.connect().await?;
    let applied = applied(&mut connection).await?;
    connection.close().await?;
    Ok(migrations()
        .iter()
        .map(|m| MigrationStatus {
            version: m.version,
            description: m.description.to_string(),
            applied: applied.contains(&m.version),
        })
        .collect())
}

impl Db {
    /// Whether every migration of this binary has been applied.
    pub async fn is_migrated(&self) -> Result<bool> {
        let mut connection = self.acquire().await?;
        let applied = applied(&mut connection).await?;
        Ok(migrations().iter().all(|m| applied.contains(&m.version)))
    }
}

async fn applied(connection: &mut PgConnection) -> Result<Vec<i64>, sqlx::Error> {
    let exists: bool =
        sqlx::query_scalar("select to_regclass('_sqlx_migrations') is not null").fetch_one(&mut *connection).await?;
    if !exists {
        return Ok(Vec::new());
    }
    sqlx::query_scalar("select version from _sqlx_migrations where success").fetch_all(connection).await
}
