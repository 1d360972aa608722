//! PostgreSQL: the pools, their session settings, transactions and migrations. Only this module knows the pools.

mod connection;
mod migrations;

use std::str::FromStr;
use std::time::Duration;

use anyhow::Context;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use sqlx::{ConnectOptions, Connection as _, Executor, PgConnection, PgPool};

use super::config::Database as Config;
use super::error::Result;
pub use connection::{Connection, Tx};
use connection::{Pool, options as pool_options};
pub use migrations::{MigrationState, MigrationStatus, create_if_missing, migrate, migration_status};

/// The database.
#[derive(Clone, Debug)]
pub struct Db {
    pool: Pool,
    hot: Pool,
    notifier: Pool,
}

impl Db {
    /// Opens the pools. The first connection is made here, so that a wrong address is told at once.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses the user.
    pub async fn connect(config: &Config, url: &str) -> anyhow::Result<Self> {
        let options = options(config, url)?;
        // Statements that place orders unnest arrays, whose length the planner guesses wrongly for a custom plan.
        let hot = options.clone().options([("plan_cache_mode", "force_generic_plan")]);
        // The pool would try again until its time is up; one try says at once what is wrong.
        first_connection(options.clone()).await?.close().await?;
        let patience = Duration::from_millis(config.acquire_timeout_ms);
        let notifier = pool_options(config, 0, 1).connect_lazy_with(options.clone());
        let pool = pool_options(config, config.pool_min, config.pool_max).connect_with(options).await?;
        let hot = pool_options(config, 1, config.hot_pool_max).connect_lazy_with(hot);
        Ok(Self {
            notifier: Pool::new(notifier, 1, patience),
            // One is left for the job queue, which takes its connections from the pool itself.
            pool: Pool::new(pool, config.pool_max - 1, patience),
            hot: Pool::new(hot, config.hot_pool_max, patience),
        })
    }

    /// A connection for reads, and for writes of a single statement.
    ///
    /// # Errors
    /// When none is free in time, or the database does not answer.
    pub async fn acquire(&self) -> Result<Connection> {
        self.pool.acquire().await
    }

    /// A connection to place an order on.
    ///
    /// # Errors
    /// As [`Self::acquire`].
    pub async fn acquire_hot(&self) -> Result<Connection> {
        self.hot.acquire().await
    }

    /// The connection that tells other processes what has changed, which must not wait for requests.
    ///
    /// # Errors
    /// As [`Self::acquire`].
    pub(in crate::platform) async fn acquire_notifier(&self) -> Result<Connection> {
        self.notifier.acquire().await
    }

    /// A connection of its own that listens to a channel. When it is lost, it says so and does not connect again by itself.
    ///
    /// # Errors
    /// When the server does not answer in time, or refuses.
    pub(in crate::platform) async fn listener(&self, channel: &str) -> sqlx::Result<PgListener> {
        let options = self.pool.inner().connect_options().as_ref().clone().application_name("agape listener");
        let connect = async {
            let pool = PgPoolOptions::new()
                .max_connections(1)
                .idle_timeout(None)
                .max_lifetime(None)
                .acquire_timeout(CONNECT_TIMEOUT)
                .connect_lazy_with(options);
            let mut listener = PgListener::connect_with(&pool).await?;
            listener.eager_reconnect(false);
            listener.ignore_pool_close_event(true);
            listener.listen(channel).await?;
            Ok(listener)
        };
        tokio::time::timeout(CONNECT_TIMEOUT, connect).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
    }

    /// Begins a transaction.
    ///
    /// # Errors
    /// As [`Self::acquire`].
    pub async fn begin(&self) -> Result<Tx> {
        self.acquire().await?.begin().await
    }

    /// The pool, for the job queue alone.
    pub(in crate::platform) fn pool(&self) -> &PgPool {
        self.pool.inner()
    }

    /// Connections open and idle, for the metrics.
    pub fn connections(&self) -> (u32, usize) {
        let ((open, idle), (hot_open, hot_idle)) = (self.pool.size(), self.hot.size());
        (open + hot_open, idle + hot_idle)
    }

    /// Closes the pools after the last use.
    pub async fn close(&self) {
        self.hot.close().await;
        self.notifier.close().await;
        self.pool.close().await;
    }

    /// Whether the pools are closed.
    pub(in crate::platform) fn is_closed(&self) -> bool {
        self.pool.inner().is_closed()
    }

    /// Answers when the database does.
    pub async fn ping(&self) -> Result<()> {
        self.acquire().await?.execute("select 1").await?;
        Ok(())
    }
}

/// Allows the transaction to take personal parts out of the append-only tables; their triggers look for this.
///
/// # Errors
/// The database's.
pub async fn begin_erasing(c: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query("select set_config('agape.erasing', 'on', true)").execute(c).await?;
    Ok(())
}

fn options(config: &Config, url: &str) -> anyhow::Result<PgConnectOptions> {
    let milliseconds = |n: u64| n.to_string();
    Ok(PgConnectOptions::from_str(url)?
        .application_name("agape")
        .options([
            ("statement_timeout", milliseconds(config.statement_timeout_ms)),
            ("lock_timeout", milliseconds(config.lock_timeout_ms)),
            ("idle_in_transaction_session_timeout", milliseconds(config.idle_in_transaction_timeout_ms)),
            // How near a word of a title must be to what was typed: one wrong letter in five.
            ("pg_trgm.word_similarity_threshold", "0.45".to_owned()),
        ])
        .log_slow_statements(tracing::log::LevelFilter::Warn, Duration::from_secs(1))
        .log_statements(tracing::log::LevelFilter::Trace))
}

/// How long a first connection may take. A server that does not answer, as behind a firewall, takes minutes otherwise.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Connects once. The message names the server, never the password.
async fn first_connection(options: PgConnectOptions) -> anyhow::Result<PgConnection> {
    let socket = options.get_socket().map(|path| path.display().to_string());
    let server = socket.unwrap_or_else(|| format!("{}:{}", options.get_host(), options.get_port()));
    let connected = match tokio::time::timeout(CONNECT_TIMEOUT, options.connect()).await {
        Ok(connected) => connected.map_err(anyhow::Error::from),
        Err(_) => Err(anyhow::anyhow!("no answer within {} seconds", CONNECT_TIMEOUT.as_secs())),
    };
    connected.with_context(|| format!("the database at {server} cannot be used (DATABASE_URL, database.url)"))
}
