//! PostgreSQL: the pools, their session settings, transactions and migrations. Only this module knows the pools.

use std::ops::{Deref, DerefMut};
use std::str::FromStr;
use std::time::Duration;

use anyhow::Context;
use sqlx::migrate::Migrator;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use sqlx::{ConnectOptions, Connection as _, Executor, PgConnection, PgPool, Postgres};

use super::config::Database as Config;
use super::error::Result;

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
    notifier: PgPool,
}

/// How long an idle connection is trusted without a question.
const TRUSTED: Duration = Duration::from_secs(1);
/// How long an idle connection may take to say that it lives.
const SIGN_OF_LIFE: Duration = Duration::from_secs(1);
/// How long a connection may take to become clean after its use.
const CLEAN: Duration = Duration::from_secs(2);

tokio::task_local! {
    /// Set while [`Connection`] gives a connection back, who bounds the time himself.
    static ENDING: Ending;
}

/// How a connection goes back to its pool.
#[derive(Clone, Copy, Debug)]
enum Ending {
    Return,
    RollBack,
    /// It does not: nobody knows whether a transaction has begun.
    Close,
}

/// A connection of a pool, given back when it is dropped.
///
/// The pool asks every connection for a sign of life before it takes it back, but without a limit: one that has died
/// silently would keep its place for good. Here it loses connection and place together.
#[derive(Debug)]
pub struct Connection {
    inner: PoolConnection<Postgres>,
    ending: Ending,
}

impl Connection {
    async fn of(pool: &PgPool) -> Result<Self> {
        Ok(Self { inner: pool.acquire().await?, ending: Ending::Return })
    }

    /// Begins a transaction.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn begin(mut self) -> Result<Tx> {
        // Somebody who goes away before the answer has come leaves an unknown state behind.
        self.ending = Ending::Close;
        let mut tx = Tx { connection: self };
        tx.connection.inner.execute("begin").await?;
        tx.connection.ending = Ending::RollBack;
        Ok(tx)
    }
}

impl Deref for Connection {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.inner
    }
}

impl DerefMut for Connection {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.inner
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if matches!(self.ending, Ending::Close) {
            self.inner.close_on_drop();
        } else if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let returned = ENDING.scope(self.ending, self.inner.return_to_pool());
            runtime.spawn(async {
                if tokio::time::timeout(CLEAN, returned).await.is_err() {
                    tracing::warn!("a database connection did not answer after its use and was closed");
                }
            });
        }
    }
}

/// A transaction. It is rolled back when it is dropped without a commit.
#[derive(Debug)]
pub struct Tx {
    connection: Connection,
}

impl Tx {
    /// Makes it last.
    ///
    /// # Errors
    /// When the database refuses, or does not answer: then nobody knows whether it lasts.
    pub async fn commit(mut self) -> Result<()> {
        self.connection.inner.execute("commit").await?;
        self.connection.ending = Ending::Return;
        Ok(())
    }

    /// Undoes it, and waits until that is done.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn rollback(mut self) -> Result<()> {
        self.connection.inner.execute("rollback").await?;
        self.connection.ending = Ending::Return;
        Ok(())
    }
}

impl Deref for Tx {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl DerefMut for Tx {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
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
        Ok(Self {
            notifier: pool(config, 0, 1).connect_lazy_with(options.clone()),
            pool: pool(config, config.pool_min, config.pool_max).connect_with(options).await?,
            hot: pool(config, 1, config.hot_pool_max).connect_lazy_with(hot),
        })
    }

    /// A connection for reads, and for writes of a single statement.
    ///
    /// # Errors
    /// When none is free in time, or the database does not answer.
    pub async fn acquire(&self) -> Result<Connection> {
        Connection::of(&self.pool).await
    }

    /// A connection to place an order on.
    ///
    /// # Errors
    /// As [`Self::acquire`].
    pub async fn acquire_hot(&self) -> Result<Connection> {
        Connection::of(&self.hot).await
    }

    /// The connection that tells other processes what has changed, which must not wait for requests.
    ///
    /// # Errors
    /// As [`Self::acquire`].
    pub(super) async fn acquire_notifier(&self) -> Result<Connection> {
        Connection::of(&self.notifier).await
    }

    /// A connection of its own that listens to a channel. When it is lost, it says so and does not connect again by itself.
    ///
    /// # Errors
    /// When the server does not answer in time, or refuses.
    pub(super) async fn listener(&self, channel: &str) -> sqlx::Result<PgListener> {
        let options = self.pool.connect_options().as_ref().clone().application_name("agape listener");
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
        self.notifier.close().await;
        self.pool.close().await;
    }

    /// Whether the pools are closed.
    pub(super) fn is_closed(&self) -> bool {
        self.pool.is_closed()
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

fn pool(config: &Config, min: u32, max: u32) -> PgPoolOptions {
    PgPoolOptions::new()
        .min_connections(min)
        .max_connections(max)
        .acquire_timeout(Duration::from_millis(config.acquire_timeout_ms))
        .idle_timeout(Duration::from_secs(300))
        .max_lifetime(Duration::from_secs(1800))
        .test_before_acquire(false)
        // Whoever was idle for a while may have died: the server restarted, a route was cut. Under load nobody is.
        .before_acquire(|connection, state| {
            Box::pin(async move {
                if state.idle_for < TRUSTED { Ok(true) } else { sign_of_life(connection, SIGN_OF_LIFE).await }
            })
        })
        // The error of one who does not answer closes the connection.
        .after_release(|connection, _| {
            Box::pin(async move {
                match ENDING.try_with(|ending| *ending) {
                    Ok(Ending::RollBack) => connection.execute("rollback").await.map(|_| true),
                    Ok(_) => Ok(true),
                    // The job queue's own use of the pool.
                    Err(_) => sign_of_life(connection, CLEAN).await,
                }
            })
        })
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

async fn sign_of_life(connection: &mut PgConnection, limit: Duration) -> sqlx::Result<bool> {
    match tokio::time::timeout(limit, connection.ping()).await {
        Ok(answer) => answer.map(|()| true),
        Err(_) => Err(sqlx::Error::PoolTimedOut),
    }
}

/// Makes the database of `url` on its server if it is not there.
///
/// # Errors
/// When the server cannot be reached or refuses.
pub async fn create_if_missing(url: &str, name: &str) -> anyhow::Result<()> {
    let mut server = first_connection(PgConnectOptions::from_str(url)?.database("postgres")).await?;
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
    let mut connection = first_connection(PgConnectOptions::from_str(url)?.application_name("agape migrate")).await?;
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
    let mut connection = first_connection(PgConnectOptions::from_str(url)?).await?;
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
