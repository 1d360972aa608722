//! Connections of the pools, and transactions on them.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnection, PgPoolOptions};
use sqlx::{Connection as _, Executor, PgPool, Postgres};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::platform::config::Database as Config;
use crate::platform::error::Result;

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

/// A pool, and those of its connections that came back well.
///
/// sqlx asks a connection whether it lives each time it comes back, which is as much waiting for the database as a small
/// statement. One that has just answered need not be asked: it is kept here for the next one who comes.
#[derive(Clone, Debug)]
pub(super) struct Pool(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    inner: PgPool,
    /// One for each connection that may be in use, so that nobody waits in the pool while one is kept here.
    places: Arc<Semaphore>,
    patience: Duration,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    /// With the moment since when they are here; the last one is at the end.
    connections: Vec<(Connection, Instant)>,
    is_closed: bool,
}

/// After so many uses a connection goes back to the pool, which closes those that are old.
const USES: u32 = 1_000;

impl Pool {
    /// Connections of `inner`, of which `places` may be in use at once. Who gets none waits for `patience`.
    pub(super) fn new(inner: PgPool, places: u32, patience: Duration) -> Self {
        let places = Arc::new(Semaphore::new(usize::try_from(places).unwrap_or(1).max(1)));
        Self(Arc::new(Parts { inner, places, patience, kept: Mutex::default() }))
    }

    /// The pool of sqlx.
    pub(super) fn inner(&self) -> &PgPool {
        &self.0.inner
    }

    /// A connection that lives.
    pub(super) async fn acquire(&self) -> Result<Connection> {
        let place = tokio::time::timeout(self.0.patience, Arc::clone(&self.0.places).acquire_owned());
        let place = place.await.map_err(|_| sqlx::Error::PoolTimedOut)?.map_err(|_| sqlx::Error::PoolClosed)?;
        let mut connection = match self.take() {
            Some(connection) => connection,
            None => Connection {
                inner: self.0.inner.acquire().await?,
                ending: Ending::Return,
                uses: 0,
                home: None,
                place: None,
            },
        };
        (connection.home, connection.place) = (Some(self.clone()), Some(place));
        Ok(connection)
    }

    fn take(&self) -> Option<Connection> {
        let (connection, since) = self.kept().connections.pop()?;
        // The pool asks one that was idle for longer.
        (since.elapsed() < TRUSTED).then_some(connection)
    }

    fn keep(&self, connection: Connection) {
        let mut kept = self.kept();
        if kept.is_closed || connection.uses >= USES {
            return;
        }
        kept.connections.push((connection, Instant::now()));
        // Those that nobody needs any more go back one by one.
        if kept.connections.first().is_some_and(|(_, since)| since.elapsed() >= TRUSTED) {
            kept.connections.remove(0);
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Connections open and idle.
    pub(super) fn size(&self) -> (u32, usize) {
        (self.0.inner.size(), self.0.inner.num_idle() + self.kept().connections.len())
    }

    /// Closes all connections after their last use.
    pub(super) async fn close(&self) {
        let kept = std::mem::replace(&mut *self.kept(), Kept { connections: Vec::new(), is_closed: true });
        drop(kept);
        self.0.inner.close().await;
    }
}

/// A connection of a pool, given back when it is dropped.
///
/// The pool asks every connection for a sign of life before it takes it back, but without a limit: one that has died
/// silently would keep its place for good. Here it loses connection and place together.
#[derive(Debug)]
pub struct Connection {
    inner: PoolConnection<Postgres>,
    ending: Ending,
    /// How often it was used since it came from the pool.
    uses: u32,
    /// None while it is kept there.
    home: Option<Pool>,
    place: Option<OwnedSemaphorePermit>,
}

impl Connection {
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

    /// Gives it back after statements that have all been answered, which spares the question whether it lives.
    pub fn done(mut self) {
        let (home, place) = (self.home.take(), self.place.take());
        self.uses += 1;
        if let Some(home) = home {
            home.keep(self);
        }
        // Whoever waits for the place finds the connection.
        drop(place);
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
            let place = self.place.take();
            runtime.spawn(async {
                if tokio::time::timeout(CLEAN, returned).await.is_err() {
                    tracing::warn!("a database connection did not answer after its use and was closed");
                }
                drop(place);
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
        self.connection.done();
        Ok(())
    }

    /// Undoes it, and waits until that is done.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn rollback(mut self) -> Result<()> {
        self.connection.inner.execute("rollback").await?;
        self.connection.ending = Ending::Return;
        self.connection.done();
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

pub(super) fn options(config: &Config, min: u32, max: u32) -> PgPoolOptions {
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

async fn sign_of_life(connection: &mut PgConnection, limit: Duration) -> sqlx::Result<bool> {
    match tokio::time::timeout(limit, connection.ping()).await {
        Ok(answer) => answer.map(|()| true),
        Err(_) => Err(sqlx::Error::PoolTimedOut),
    }
}
