//! Taxes and shipping as they are now, in memory.
//!
//! Whoever prices something takes one [`Rates`] for all of it. Its version says, in the statement that writes, whether they are
//! still those of the shop.

mod store;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use futures::FutureExt;

use crate::features::{shipping, taxes};
use crate::platform::cache::Flights;
use crate::platform::config::Cache as Config;
use crate::platform::db::Db;
use crate::platform::error::{Error, Result};
use crate::platform::signals::{Hearing, Signal, Signals, Topic};

/// Taxes and shipping of one moment.
#[derive(Debug)]
pub struct Rates {
    /// `rates_version` of that moment.
    pub version: i64,
    /// All components, past and future ones too.
    pub taxes: Vec<taxes::Tax>,
    /// All zones with their methods.
    pub zones: Vec<shipping::Zone>,
}

/// What was read or found to be unchanged, and when.
#[derive(Clone, Debug)]
struct Known {
    rates: Arc<Rates>,
    /// Changes that this server had heard of before.
    changes: u64,
    at: Instant,
}

/// The taxes and shipping of this server.
#[derive(Clone, Debug)]
pub struct RatesCache(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    db: Db,
    /// How long they are believed without a look at their version. 0: never.
    age: Duration,
    known: RwLock<Option<Known>>,
    /// Changes that were heard of.
    changes: AtomicU64,
    under_way: Flights<Result<Known, Arc<Error>>>,
    signals: Signals,
    hearing: Hearing,
}

impl RatesCache {
    /// Empty.
    pub fn new(config: &Config, db: Db, signals: Signals, hearing: Hearing) -> Self {
        Self(Arc::new(Parts {
            db,
            age: Duration::from_secs(config.product_seconds),
            known: RwLock::default(),
            changes: AtomicU64::new(0),
            under_way: Flights::default(),
            signals,
            hearing,
        }))
    }

    /// Taxes and shipping as they are now: from memory, or read once for all who ask at the same time. While this server does not
    /// hear the others, the database is asked whether they are still the same.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn current(&self) -> Result<Arc<Rates>> {
        if !self.0.hearing.is_good() {
            return Ok(self.renew().await?.rates);
        }
        let changes = self.changes();
        let suits = |known: &Known| known.changes >= changes && known.at.elapsed() < self.0.age;
        if let Some(known) = self.known().filter(suits) {
            return Ok(known.rates);
        }
        let load = || {
            let this = self.clone();
            async move { this.renew().await.map_err(Arc::new) }.boxed()
        };
        // What failed is not tried again by all who waited.
        let loaded = |loaded: &Result<Known, _>| loaded.as_ref().map_or(true, |known| known.changes >= changes);
        let known = self.0.under_way.join("", loaded, load).await;
        known.map(|known| known.rates).map_err(|error| Error::shared(&error))
    }

    /// Forgets them, on every server. Call it after the commit that changed them, and wait for it before the answer.
    pub async fn forget(&self) {
        self.start_anew();
        self.0.signals.tell(Signal { topic: Topic::Rates, ids: None, redis_missed: false }).await;
    }

    /// Believes nothing of before: after another server has told of a change, after a time in which that may have been missed, or
    /// when a version turned out to be old.
    pub fn start_anew(&self) {
        self.0.changes.fetch_add(1, Ordering::AcqRel);
    }

    fn changes(&self) -> u64 {
        self.0.changes.load(Ordering::Acquire)
    }

    fn known(&self) -> Option<Known> {
        self.0.known.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads them if they are not those that are known, and keeps them.
    async fn renew(&self) -> Result<Known> {
        let (changes, at) = (self.changes(), Instant::now());
        let rates = match self.unchanged().await? {
            Some(rates) => rates,
            None => Arc::new(read(&self.0.db).await?),
        };
        let known = Known { rates, changes, at };
        let mut kept = self.0.known.write().unwrap_or_else(PoisonError::into_inner);
        // A slower reader does not bring old ones back.
        if kept.as_ref().is_none_or(|kept| kept.rates.version <= known.rates.version) {
            *kept = Some(known.clone());
        }
        Ok(known)
    }

    /// Those that are known, if they are still the shop's.
    async fn unchanged(&self) -> Result<Option<Arc<Rates>>> {
        let Some(known) = self.known() else { return Ok(None) };
        let mut connection = self.0.db.acquire().await?;
        let version = store::version(&mut connection).await?;
        connection.done();
        Ok(Some(known.rates).filter(|rates| rates.version == version))
    }
}

/// All of one moment.
async fn read(db: &Db) -> Result<Rates> {
    let mut tx = db.begin().await?;
    store::begin_snapshot(&mut tx).await?;
    let rates = Rates {
        version: store::version(&mut tx).await?,
        taxes: taxes::all(&mut tx).await?,
        zones: shipping::zones(&mut tx).await?,
    };
    tx.commit().await?;
    Ok(rates)
}
