//! Lists as they were last answered, ready to be sent. Any change of any product makes all of them old, so they last in the
//! time between changes, and never beyond one.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use moka::future::Cache;

use crate::platform::cache::{Epoch, Epochs, Flights};
use crate::platform::config::Cache as Config;
use crate::platform::error::{Error, Result};
use crate::platform::signals::Hearing;

/// Queries that are longer are not kept.
const LONGEST: usize = 500;

/// What a load gave, and the state of the products before it.
#[derive(Clone, Debug)]
struct Loaded {
    epoch: Epoch,
    /// The whole JSON body.
    list: Result<Bytes, Arc<Error>>,
}

/// The lists of this server.
#[derive(Clone, Debug)]
pub struct ListCache {
    kept: Cache<String, Loaded>,
    is_on: bool,
    epochs: Epochs,
    under_way: Flights<Loaded>,
    hearing: Hearing,
}

impl ListCache {
    /// An empty cache. `epochs` count the changes of products. Room for nothing turns it off.
    pub fn new(config: &Config, epochs: Epochs, hearing: Hearing) -> Self {
        let weigh = |query: &String, loaded: &Loaded| {
            let body = loaded.list.as_ref().map_or(0, Bytes::len);
            // The epoch and the entry itself take about a kilobyte.
            u32::try_from(query.len() + body + 1_024).unwrap_or(u32::MAX)
        };
        let age = Duration::from_secs(config.product_seconds);
        Self {
            kept: Cache::builder().max_capacity(config.list_bytes).weigher(weigh).time_to_live(age).build(),
            is_on: config.list_bytes > 0,
            epochs,
            under_way: Flights::default(),
            hearing,
        }
    }

    /// The answer to a query: from memory, or by `read`, which all who ask at the same time share.
    pub(super) async fn get(&self, query: &str, read: impl Fn() -> BoxFuture<'static, Result<Bytes>>) -> Result<Bytes> {
        if !self.is_on || query.len() > LONGEST || !self.hearing.is_good() {
            return read().await;
        }
        let moment = self.epochs.now();
        let suits = |loaded: &Loaded| loaded.epoch.knows(&moment, None);
        if let Some(Loaded { list: Ok(list), .. }) = self.kept.get(query).await.filter(suits) {
            return Ok(list);
        }
        let load = || {
            let (epochs, read) = (self.epochs.clone(), read());
            async move {
                let epoch = epochs.now();
                Loaded { epoch, list: read.await.map_err(Arc::new) }
            }
            .boxed()
        };
        // What failed is not tried again by all who waited.
        let loaded = self.under_way.join(query, |loaded| loaded.list.is_err() || suits(loaded), load).await;
        if loaded.list.is_ok() {
            self.kept.insert(query.to_owned(), loaded.clone()).await;
        }
        loaded.list.map_err(|error| match &*error {
            Error::Unavailable(_) => Error::Unavailable(error.into()),
            Error::Validation(faults) => Error::Validation(faults.clone()),
            _ => Error::internal(error),
        })
    }
}
