//! Products as they were last answered, ready to be sent.
//!
//! A write on this node removes its product before its own answer leaves. A reader that loaded the product before
//! that write and stores it after would bring the old state back; the epoch tells him.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use moka::future::Cache;

use crate::platform::config::Cache as Config;
use crate::platform::ids::ProductId;

/// An answer that was sent before.
#[derive(Clone, Debug)]
pub(super) struct CachedProduct {
    pub id: ProductId,
    /// The whole JSON body.
    pub body: Bytes,
    /// Its entity tag, weak and quoted.
    pub etag: Arc<str>,
}

/// The cache. Keys are what a request may name: the id or the slug.
#[derive(Clone, Debug)]
pub struct ProductCache {
    by_name: Cache<String, CachedProduct>,
    /// Nothing is kept when this is false.
    is_on: bool,
    epoch: Arc<AtomicU64>,
}

impl ProductCache {
    /// An empty cache. Room for no product turns it off.
    pub fn new(config: &Config) -> Self {
        let by_name = Cache::builder()
            .max_capacity(config.products)
            .time_to_live(Duration::from_secs(config.product_seconds))
            .support_invalidation_closures()
            .build();
        Self { by_name, is_on: config.products > 0, epoch: Arc::default() }
    }

    pub(super) async fn get(&self, name: &str) -> Option<CachedProduct> {
        if self.is_on { self.by_name.get(name).await } else { None }
    }

    /// Take it before the database is read, and give it to [`Self::put`].
    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    pub(super) async fn put(&self, name: String, product: CachedProduct, epoch: u64) {
        if !self.is_on || self.epoch() != epoch {
            return;
        }
        self.by_name.insert(name.clone(), product).await;
        // A write may have come between the check and the insert.
        if self.epoch() != epoch {
            self.by_name.invalidate(&name).await;
        }
    }

    /// Forgets these products. Call it after the commit and before the answer.
    pub fn forget(&self, products: &[ProductId]) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
        let products = products.to_vec();
        if self.by_name.invalidate_entries_if(move |_, cached| products.contains(&cached.id)).is_err() {
            self.by_name.invalidate_all();
        }
    }

    /// Forgets everything, after a change that touches many products.
    pub fn clear(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
        self.by_name.invalidate_all();
    }
}
