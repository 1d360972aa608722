//! What processes of a shop tell each other after a commit: which things have changed. It goes through PostgreSQL's LISTEN
//! and NOTIFY, so it needs nothing but the database.
//!
//! A signal is sent after the commit, on a connection of its own: sent within the transaction it would make the commits of
//! the whole database wait for each other. Signals that come together are sent together.

mod hearing;
mod listen;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use uuid::Uuid;

use super::db::Db;
use super::error::Result;

pub use hearing::Hearing;
pub use listen::{Heard, listen};

/// The channel of all signals.
const CHANNEL: &str = "agape";

/// More things than this are told as "all".
const MOST_IDS: usize = 1_000;
/// Ids of one payload, which may have 8,000 bytes.
const PAYLOAD_IDS: usize = 200;

/// Between two notifications, so that there are at most 500 a second, however many changes there are.
const PAUSE: Duration = Duration::from_millis(2);
/// How long somebody waits until the others are told. Longer, and the database has another trouble.
const PATIENCE: Duration = Duration::from_secs(1);

/// What kind of thing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    /// Products, their prices and their stock.
    Products,
    /// Carts.
    Carts,
    /// Sessions, which have ended.
    Sessions,
    /// Files of pictures, which are gone.
    Pictures,
    /// Taxes and shipping.
    Rates,
}

impl Topic {
    const ALL: [Self; 5] = [Self::Products, Self::Carts, Self::Sessions, Self::Pictures, Self::Rates];

    fn as_str(self) -> &'static str {
        match self {
            Self::Products => "products",
            Self::Carts => "carts",
            Self::Sessions => "sessions",
            Self::Pictures => "pictures",
            Self::Rates => "rates",
        }
    }
}

/// A change that others must know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signal {
    /// What kind of thing.
    pub topic: Topic,
    /// Which; none: all.
    pub ids: Option<Vec<Uuid>>,
    /// Whoever tells it could not tell Redis, so whoever hears it has to.
    pub redis_missed: bool,
}

impl Signal {
    fn parse(payload: &str) -> Option<Self> {
        let mut words = payload.split(' ');
        let (topic, ids, redis) = (words.next()?, words.next()?, words.next());
        let topic = Topic::ALL.into_iter().find(|known| known.as_str() == topic)?;
        let ids = match ids {
            "*" => None,
            // Who cannot read it knows that something has changed.
            ids => ids.split(',').map(|id| id.parse().ok()).collect(),
        };
        Some(Self { topic, ids, redis_missed: redis == Some("redis-missed") })
    }
}

/// Signals that wait to be sent, those of one kind together.
#[derive(Debug, Default)]
struct Batch(BTreeMap<(Topic, bool), Option<Vec<Uuid>>>);

impl Batch {
    fn add(&mut self, signal: Signal) {
        let waiting = self.0.entry((signal.topic, signal.redis_missed)).or_insert_with(|| Some(Vec::new()));
        match (&mut *waiting, signal.ids) {
            (Some(ids), Some(more)) => {
                ids.extend(more);
                ids.sort_unstable();
                ids.dedup();
                if ids.len() > MOST_IDS {
                    *waiting = None;
                }
            }
            _ => *waiting = None,
        }
    }

    fn payloads(&self) -> Vec<String> {
        let mut payloads = Vec::new();
        for ((topic, redis_missed), ids) in &self.0 {
            let end = if *redis_missed { " redis-missed" } else { "" };
            let Some(ids) = ids else {
                payloads.push(format!("{} *{end}", topic.as_str()));
                continue;
            };
            for ids in ids.chunks(PAYLOAD_IDS) {
                let mut payload = format!("{} ", topic.as_str());
                for (i, id) in ids.iter().enumerate() {
                    let comma = if i > 0 { "," } else { "" };
                    let _ = write!(payload, "{comma}{}", id.simple());
                }
                payload.push_str(end);
                payloads.push(payload);
            }
        }
        payloads
    }
}

type Waiting = (Signal, oneshot::Sender<()>);

/// Tells the other processes.
#[derive(Clone, Debug)]
pub struct Signals {
    queue: mpsc::UnboundedSender<Waiting>,
    /// Nothing could be sent the last time.
    is_mute: Arc<AtomicBool>,
}

impl Signals {
    /// Begins to send what [`Self::tell`] is given, until the last clone of this is gone.
    pub fn new(db: Db) -> Self {
        let (queue, waiting) = mpsc::unbounded_channel();
        let is_mute = Arc::new(AtomicBool::new(false));
        tokio::spawn(send(db, waiting, is_mute.clone()));
        Self { queue, is_mute }
    }

    /// Nobody hears it. For tests without a database.
    #[cfg(test)]
    pub(crate) fn unheard() -> Self {
        Self { queue: mpsc::unbounded_channel().0, is_mute: Arc::default() }
    }

    /// Tells a change to all processes, this one included. Call it after the commit and before the answer: when this
    /// returns, PostgreSQL has the signal and gives it to who listens, within milliseconds.
    ///
    /// When the database does not take it, this does not wait for ever: the signal is sent as soon as it can be, and until
    /// then the ages of the caches bound what the others may still show.
    pub async fn tell(&self, signal: Signal) {
        if signal.ids.as_ref().is_some_and(Vec::is_empty) {
            return;
        }
        let (sent, is_sent) = oneshot::channel();
        let queued = self.queue.send((signal, sent)).is_ok();
        if queued && !self.is_mute.load(Ordering::Relaxed) && tokio::time::timeout(PATIENCE, is_sent).await.is_err() {
            self.is_mute.store(true, Ordering::Relaxed);
        }
    }
}

async fn send(db: Db, mut queue: mpsc::UnboundedReceiver<Waiting>, is_mute: Arc<AtomicBool>) {
    while let Some((signal, waiting)) = queue.recv().await {
        let started = Instant::now();
        let mut batch = Batch::default();
        batch.add(signal);
        let mut all_waiting = vec![waiting];
        let mut wait = Duration::from_millis(50);
        loop {
            while let Ok((signal, waiting)) = queue.try_recv() {
                batch.add(signal);
                all_waiting.push(waiting);
            }
            match notify(&db, &batch.payloads()).await {
                Ok(()) => break,
                Err(error) => {
                    if !is_mute.swap(true, Ordering::Relaxed) {
                        tracing::warn!(%error, "other processes could not be told what has changed; trying again");
                    }
                    if db.is_closed() {
                        return;
                    }
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(Duration::from_secs(1));
                }
            }
        }
        is_mute.store(false, Ordering::Relaxed);
        for waiting in all_waiting {
            let _ = waiting.send(());
        }
        tokio::time::sleep_until(started + PAUSE).await;
    }
}

async fn notify(db: &Db, payloads: &[String]) -> Result<()> {
    // A notification has nothing to keep, so its commit need not wait for the disk.
    sqlx::query(
        "select set_config('synchronous_commit', 'off', true), pg_notify($1, payload) from unnest($2::text[]) payload",
    )
    .bind(CHANNEL)
    .bind(payloads)
    .execute(&mut *db.acquire_notifier().await?)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signal(topic: Topic, ids: &[u128], redis_missed: bool) -> Signal {
        Signal { topic, ids: Some(ids.iter().map(|id| Uuid::from_u128(*id)).collect()), redis_missed }
    }

    fn parsed(batch: &Batch) -> Vec<Signal> {
        batch.payloads().iter().map(|payload| Signal::parse(payload).unwrap()).collect()
    }

    #[test]
    fn signals_of_one_kind_are_sent_together() {
        let mut batch = Batch::default();
        batch.add(signal(Topic::Products, &[1, 2], false));
        batch.add(signal(Topic::Sessions, &[3], false));
        batch.add(signal(Topic::Products, &[2, 4], false));
        batch.add(signal(Topic::Products, &[5], true));
        let expected = [
            signal(Topic::Products, &[1, 2, 4], false),
            signal(Topic::Products, &[5], true),
            signal(Topic::Sessions, &[3], false),
        ];
        assert_eq!(parsed(&batch), expected);
    }

    #[test]
    fn many_ids_fit_into_payloads_and_more_become_all() {
        let mut batch = Batch::default();
        let ids: Vec<u128> = (0..1_000).collect();
        batch.add(signal(Topic::Carts, &ids, true));
        let payloads = batch.payloads();
        assert!(payloads.len() == 5 && payloads.iter().all(|payload| payload.len() < 8_000));
        let told: Vec<Uuid> = parsed(&batch).into_iter().flat_map(|signal| signal.ids.unwrap()).collect();
        assert_eq!(told, ids.iter().map(|id| Uuid::from_u128(*id)).collect::<Vec<_>>());
        batch.add(signal(Topic::Carts, &[1_000], true));
        batch.add(signal(Topic::Carts, &[1_001], true));
        assert_eq!(parsed(&batch), [Signal { topic: Topic::Carts, ids: None, redis_missed: true }]);
    }

    #[test]
    fn what_cannot_be_read_means_all_or_nothing() {
        assert_eq!(
            Signal::parse("products x,y"),
            Some(Signal { topic: Topic::Products, ids: None, redis_missed: false })
        );
        for unknown in ["", "products", "weather *"] {
            assert_eq!(Signal::parse(unknown), None, "{unknown}");
        }
    }
}
