//! Products as they were last answered, ready to be sent: in memory, and in Redis where there is one.
//!
//! A change removes its products here, in Redis and on every other server before its own answer leaves. A reader that loaded
//! a product before that and stores it after would bring the old state back; epochs and tokens tell him. Many who want the
//! same product at once load it once.

mod entry;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use moka::future::Cache;
use uuid::Uuid;

use crate::platform::cache::{Epoch, Epochs, Flights, Found, SharedCache};
use crate::platform::config::Cache as Config;
use crate::platform::error::{Error, Result};
use crate::platform::ids::ProductId;
use crate::platform::redis::Redis;
use crate::platform::signals::{Hearing, Signal, Signals, Topic};
use entry::Age;
pub(in crate::features::catalog) use entry::CachedProduct;

/// What a load gave, and when it began.
#[derive(Clone, Debug)]
struct Loaded {
    epoch: Epoch,
    product: Result<Option<CachedProduct>, Arc<Error>>,
}

impl Loaded {
    /// Whether it knows every change before `moment`. What failed is not tried again by all who waited.
    fn suits(&self, moment: &Epoch) -> bool {
        match &self.product {
            Ok(product) => self.epoch.knows(moment, product.as_ref().map(|product| product.id.0)),
            Err(_) => true,
        }
    }
}

/// The cache.
#[derive(Clone, Debug)]
pub struct ProductCache {
    by_id: Cache<ProductId, CachedProduct>,
    /// Which product a slug meant last. The product itself knows whether it still has that slug.
    by_slug: Cache<String, ProductId>,
    /// Nothing is kept when this is false.
    is_on: bool,
    epochs: Epochs,
    under_way: Flights<Loaded>,
    shared: SharedCache,
    signals: Signals,
    hearing: Hearing,
    reads: Arc<AtomicU64>,
}

impl ProductCache {
    /// An empty cache. Room for no product turns it off.
    pub fn new(config: &Config, redis: Option<Redis>, signals: Signals, hearing: Hearing) -> Self {
        let age = Duration::from_secs(config.product_seconds);
        let is_on = config.products > 0;
        Self {
            by_id: Cache::builder().max_capacity(config.products).expire_after(Age(age)).build(),
            by_slug: Cache::new(config.products),
            is_on,
            epochs: Epochs::default(),
            under_way: Flights::default(),
            shared: SharedCache::new(redis.filter(|_| is_on), "product", age, hearing.clone()),
            signals,
            hearing,
            reads: Arc::default(),
        }
    }

    /// The counts of changes, which other answers about products go by too.
    pub fn epochs(&self) -> Epochs {
        self.epochs.clone()
    }

    /// How often the database was asked for a product.
    pub fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }

    /// A product by its id or slug: from memory, from Redis, or by `read` from the database. None where there is none; that
    /// is told only to those who asked at the same time.
    pub(in crate::features::catalog) async fn get(
        &self,
        name: &str,
        read: impl Fn() -> BoxFuture<'static, Result<Option<CachedProduct>>>,
    ) -> Result<Option<CachedProduct>> {
        if !self.hearing.is_good() {
            // Whoever does not hear of changes must not even take what another request has just read.
            self.count_read();
            return read().await;
        }
        if let Some(product) = self.kept(name).await {
            return Ok(Some(product));
        }
        Box::pin(self.read(name, read)).await
    }

    async fn read(
        &self,
        name: &str,
        read: impl Fn() -> BoxFuture<'static, Result<Option<CachedProduct>>>,
    ) -> Result<Option<CachedProduct>> {
        let moment = self.epochs.now();
        let load = || self.load(name.to_owned(), read()).boxed();
        let loaded = self.under_way.join(name, |loaded| loaded.suits(&moment), load).await;
        loaded.product.map_err(|error| Error::shared(&error))
    }

    fn load(
        &self,
        name: String,
        read: BoxFuture<'static, Result<Option<CachedProduct>>>,
    ) -> impl Future<Output = Loaded> + use<> {
        let this = self.clone();
        async move {
            let epoch = this.epochs.now();
            let product = this.fill(&name, &epoch, read).await.map_err(Arc::new);
            Loaded { epoch, product }
        }
    }

    async fn fill(
        &self,
        name: &str,
        epoch: &Epoch,
        read: BoxFuture<'static, Result<Option<CachedProduct>>>,
    ) -> Result<Option<CachedProduct>> {
        let id = self.id_of(name).await;
        let mut token = None;
        if let Some(id) = id {
            match self.shared.get(id.0).await {
                Found::Entry(entry, rest) => {
                    if let Some(product) = CachedProduct::decode(id, &entry, rest).filter(|found| found.is_named(name))
                    {
                        self.put(product.clone(), epoch).await;
                        return Ok(Some(product));
                    }
                }
                Found::Nothing(given) => token = Some(given),
                Found::Off => {}
            }
        }
        self.count_read();
        let Some(product) = read.await? else { return Ok(None) };
        if let Some(token) = token.filter(|_| id == Some(product.id)) {
            self.shared.put(product.id.0, &token, &product.encode()).await;
        }
        self.put(product.clone(), epoch).await;
        Ok(Some(product))
    }

    fn count_read(&self) {
        self.reads.fetch_add(1, Ordering::Relaxed);
    }

    async fn id_of(&self, name: &str) -> Option<ProductId> {
        match name.parse() {
            Ok(id) => Some(id),
            Err(_) => self.by_slug.get(name).await,
        }
    }

    async fn kept(&self, name: &str) -> Option<CachedProduct> {
        if !self.is_on {
            return None;
        }
        let id = self.id_of(name).await?;
        self.by_id.get(&id).await.filter(|product| product.is_named(name))
    }

    async fn put(&self, product: CachedProduct, epoch: &Epoch) {
        let id = product.id;
        if !self.is_on || !self.epochs.is_current(id.0, epoch) {
            return;
        }
        self.by_slug.insert(product.slug.to_string(), id).await;
        self.by_id.insert(id, product).await;
        // A change may have come between the check and the insert.
        if !self.epochs.is_current(id.0, epoch) {
            self.by_id.invalidate(&id).await;
        }
    }

    /// Forgets these products, on every server. Call it after the commit, and wait for it before the answer.
    pub async fn forget(&self, products: &[ProductId]) {
        if products.is_empty() {
            return;
        }
        let (this, ids) = (self.clone(), products.iter().map(|id| id.0).collect::<Vec<_>>());
        // In a task of its own: whoever asked for the change may go away, and the others must still be told.
        let told = tokio::spawn(async move {
            let redis_missed = !this.forget_shared(&ids).await;
            this.signals.tell(Signal { topic: Topic::Products, ids: Some(ids), redis_missed }).await;
        });
        if let Err(error) = told.await {
            tracing::error!(%error, "products could not be forgotten");
        }
    }

    /// Forgets everything, on every server, after a change that touches many products.
    pub async fn clear(&self) {
        let this = self.clone();
        let told = tokio::spawn(async move {
            this.clear_here();
            let redis_missed = !this.shared.forget_all().await;
            // What was filled from Redis in between.
            this.clear_here();
            this.signals.tell(Signal { topic: Topic::Products, ids: None, redis_missed }).await;
        });
        if let Err(error) = told.await {
            tracing::error!(%error, "products could not be forgotten");
        }
    }

    /// Does what another server tells. `ids` as in [`Signal`].
    pub async fn hear(&self, ids: Option<Vec<Uuid>>, redis_missed: bool) {
        match ids {
            Some(ids) => {
                self.forget_here(&ids).await;
                if redis_missed && self.shared.is_used() {
                    let this = self.clone();
                    tokio::spawn(async move { this.forget_shared(&ids).await });
                }
            }
            None => {
                if redis_missed {
                    self.shared.doubt();
                }
                self.clear_here();
            }
        }
    }

    /// Trusts nothing of before, after a time in which changes may have been missed.
    pub fn start_anew(&self) {
        self.shared.doubt();
        self.clear_here();
    }

    async fn forget_shared(&self, ids: &[Uuid]) -> bool {
        self.forget_here(ids).await;
        if !self.shared.is_used() {
            // Another server may have Redis while this setting is brought in.
            return false;
        }
        let is_told = self.shared.forget(ids).await;
        // What was filled from Redis in between.
        self.forget_here(ids).await;
        is_told
    }

    async fn forget_here(&self, ids: &[Uuid]) {
        for id in ids {
            self.epochs.change(*id);
            self.by_id.invalidate(&ProductId(*id)).await;
        }
    }

    fn clear_here(&self) {
        self.epochs.change_all();
        self.by_id.invalidate_all();
    }
}

#[cfg(test)]
mod tests;
