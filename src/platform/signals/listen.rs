//! Hears what other processes tell.

use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use sqlx::Executor;
use sqlx::postgres::PgListener;

use super::{CHANNEL, Hearing, Signal};
use crate::platform::db::Db;

/// How often the connection is asked for a sign of life. Its answer comes after all signals that were sent before.
const ASK_EVERY: Duration = Duration::from_millis(300);
/// How long a sign of life is believed; then the connection may have died in silence.
const BELIEVED: Duration = Duration::from_secs(1);
/// The first and the longest wait between two tries to connect.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// What a listener hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// It listens from now on; what was told before may have been missed.
    Anew,
    /// A change.
    Change(Signal),
}

/// Listens until the future is dropped, and connects again when the connection is lost. `hearing` is good only while it
/// listens, and after `hear` has finished with [`Heard::Anew`].
pub async fn listen(db: Db, hearing: Hearing, hear: impl Fn(Heard) -> BoxFuture<'static, ()> + Send + Sync) {
    let mut wait = BACK_OFF.0;
    let mut is_told = false;
    loop {
        let started = Instant::now();
        let error = match db.listener(CHANNEL).await {
            Ok(mut listener) => {
                if is_told {
                    tracing::info!("other processes are heard again");
                    is_told = false;
                }
                let error = stay(&mut listener, &hearing, &hear).await;
                // First of all: from here on nothing is heard.
                hearing.lose();
                error
            }
            Err(error) => error,
        };
        if !is_told {
            tracing::warn!(%error, "other processes are not heard; nothing is cached until they are");
            is_told = true;
        }
        if started.elapsed() > BACK_OFF.1 {
            wait = BACK_OFF.0;
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(BACK_OFF.1);
    }
}

/// Listens on one connection until it is lost. Gives why.
async fn stay(
    listener: &mut PgListener,
    hearing: &Hearing,
    hear: &(impl Fn(Heard) -> BoxFuture<'static, ()> + Send + Sync),
) -> sqlx::Error {
    hear(Heard::Anew).await;
    loop {
        let asked = Instant::now();
        // A signal that came before the answer is in the listener's buffer by then.
        match tokio::time::timeout(BELIEVED, listener.execute("select 1")).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return error,
            Err(_) => return sqlx::Error::PoolTimedOut,
        }
        while let Some(notification) = listener.next_buffered() {
            pass_on(notification.payload(), hear).await;
        }
        hearing.extend(asked, BELIEVED);
        let next = tokio::time::Instant::from_std(asked + ASK_EVERY);
        loop {
            match tokio::time::timeout_at(next, listener.try_recv()).await {
                Ok(Ok(Some(notification))) => pass_on(notification.payload(), hear).await,
                Ok(Ok(None)) => return sqlx::Error::Io(std::io::ErrorKind::ConnectionAborted.into()),
                Ok(Err(error)) => return error,
                Err(_) => break,
            }
        }
    }
}

async fn pass_on(payload: &str, hear: &(impl Fn(Heard) -> BoxFuture<'static, ()> + Send + Sync)) {
    if let Some(signal) = Signal::parse(payload) {
        hear(Heard::Change(signal)).await;
    }
}
