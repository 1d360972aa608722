//! The schema: what this binary expects, and what the database has.

use std::str::FromStr;
use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, Executor, PgConnection};

use super::{Db, first_connection};
use crate::platform::error::Result;
use crate::platform::jobs;

/// The migrations of this binary. A database that knows later ones, from a newer binary beside this one, is fine.
fn migrations() -> Migrator {
    let mut migrations = sqlx::migrate!("./migrations");
    migrations.set_locking(false).set_ignore_missing(true);
    migrations
}

/// "AGAPE" in ASCII: the advisory lock that one migrating process holds.
const MIGRATION_LOCK: i64 = 0x41_47_41_50_45;

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
    pub state: MigrationState,
}

/// How a migration of this binary stands to the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MigrationState {
    /// The database has it as it is here.
    Applied,
    /// The database has not had it.
    Missing,
    /// The database has had another file of this time stamp.
    Changed,
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
        jobs::migrate(url).await
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
            state: match applied.iter().find(|(version, _)| *version == m.version) {
                None => MigrationState::Missing,
                Some((_, checksum)) if *checksum == *m.checksum => MigrationState::Applied,
                Some(_) => MigrationState::Changed,
            },
        })
        .collect())
}

/// The time stamps and checksums of what the database has had.
async fn applied(connection: &mut PgConnection) -> Result<Vec<(i64, Vec<u8>)>, sqlx::Error> {
    let exists: bool =
        sqlx::query_scalar("select to_regclass('_sqlx_migrations') is not null").fetch_one(&mut *connection).await?;
    if !exists {
        return Ok(Vec::new());
    }
    sqlx::query_as("select version, checksum from _sqlx_migrations where success").fetch_all(connection).await
}

impl Db {
    /// Whether every migration of this binary has been applied.
    pub async fn is_migrated(&self) -> Result<bool> {
        let mut connection = self.acquire().await?;
        let applied = applied(&mut connection).await?;
        Ok(migrations().iter().all(|m| applied.iter().any(|(version, _)| *version == m.version)))
    }
}
