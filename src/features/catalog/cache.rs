//! Products as they were last answered, ready to be sent.
//!
//! A write on this node removes its product before its own answer leaves. A reader that loaded the product before
//! that write and stores it after would bring the old state back; the epochs tell him.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::http::HeaderValue;
use bytes::Bytes;
use moka::future::Cache;

use crate::platform::config::Cache as Config;
use crate::platform::ids::ProductId;

/// Writes are counted in this many groups of products, so that an order keeps few other readers from storing.
const GROUPS: usize = 64;

/// An answer that was sent before.
#[derive(Clone, Debug)]
pub(super) struct CachedProduct {
    pub id: ProductId,
    pub slug: Arc<str>,
    /// The whole JSON body.
    pub body: Bytes,
    /// Its entity tag, weak and quoted.
    pub etag: HeaderValue,
}

/// The state of the cache at some moment.
#[derive(Clone, Debug)]
pub(super) struct Epoch([u64; GROUPS]);

/// The cache.
#[derive(Clone, Debug)]
pub struct ProductCache {
    by_id: Cache<ProductId, CachedProduct>,
    /// Which product a slug meant last. The product itself knows whether it still has that slug.
    by_slug: Cache<String, ProductId>,
    /// Nothing is kept when this is false.
    is_on: bool,
    epochs: Arc<[AtomicU64; GROUPS]>,
}

impl ProductCache {
    /// An empty cache. Room for no product turns it off.
    pub fn new(config: &Config) -> Self {
        let age = Duration::from_secs(config.product_seconds);
        Self {
            by_id: Cache::builder().max_capacity(config.products).time_to_live(age).build(),
            by_slug: Cache::new(config.products),
            is_on: config.products > 0,
            epochs: Arc::new([const { AtomicU64::new(0) }; GROUPS]),
        }
    }

    /// A product by its id or slug.
    pub(super) async fn get(&self, name: &str) -> Option<CachedProduct> {
        if !self.is_on {
            return None;
        }
        if let Ok(id) = name.parse::<ProductId>() {
            return self.by_id.get(&id).await;
        }
        let id = self.by_slug.get(name).await?;
        self.by_id.get(&id).await.filter(|product| *product.slug == *name)
    }

    /// Take it before the database is read, and give it to [`Self::put`].
    pub(super) fn epoch(&self) -> Epoch {
        Epoch(std::array::from_fn(|group| self.epochs[group].load(Ordering::Acquire)))
    }

    pub(super) async fn put(&self, product: CachedProduct, epoch: &Epoch) {
        let (id, group) = (product.id, group_of(product.id));
        let is_fresh = || self.epochs[group].load(Ordering::Acquire) == epoch.0[group];
        if !self.is_on || !is_fresh() {
            return;
        }
        self.by_slug.insert(product.slug.to_string(), id).await;
        self.by_id.insert(id, product).await;
        // A write may have come between the check and the insert.
        if !is_fresh() {
            self.by_id.invalidate(&id).await;
        }
    }

    /// Forgets these products. Call it after the commit and before the answer.
    pub async fn forget(&self, products: &[ProductId]) {
        for id in products {
            self.epochs[group_of(*id)].fetch_add(1, Ordering::AcqRel);
            self.by_id.invalidate(id).await;
        }
    }

    /// Forgets everything, after a change that touches many products.
    pub fn clear(&self) {
        for epoch in self.epochs.iter() {
            epoch.fetch_add(1, Ordering::AcqRel);
        }
        self.by_id.invalidate_all();
    }
}

/// The last byte of an id is random.
fn group_of(id: ProductId) -> usize {
    usize::from(id.0.as_bytes()[15]) % GROUPS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(products: u64) -> ProductCache {
        ProductCache::new(&Config { products, product_seconds: 60 })
    }

    fn product(id: ProductId, slug: &str) -> CachedProduct {
        CachedProduct { id, slug: slug.into(), body: Bytes::new(), etag: HeaderValue::from_static("\"1\"") }
    }

    #[tokio::test]
    async fn both_names_find_a_product_until_it_is_forgotten() {
        let (cache, id) = (cache(10), ProductId::new());
        cache.put(product(id, "kente"), &cache.epoch()).await;
        assert!(cache.get("kente").await.is_some() && cache.get(&id.to_string()).await.is_some());
        cache.forget(&[id]).await;
        assert!(cache.get("kente").await.is_none() && cache.get(&id.to_string()).await.is_none());
    }

    #[tokio::test]
    async fn a_slug_that_was_given_up_finds_nothing() {
        let (cache, id) = (cache(10), ProductId::new());
        cache.put(product(id, "kente"), &cache.epoch()).await;
        cache.forget(&[id]).await;
        cache.put(product(id, "kente-cloth"), &cache.epoch()).await;
        assert!(cache.get("kente").await.is_none() && cache.get("kente-cloth").await.is_some());
    }

    #[tokio::test]
    async fn what_was_read_before_a_write_is_not_kept() {
        let (cache, id) = (cache(10), ProductId::new());
        let before = cache.epoch();
        cache.forget(&[id]).await;
        cache.put(product(id, "kente"), &before).await;
        assert!(cache.get("kente").await.is_none());
    }

    #[tokio::test]
    async fn room_for_nothing_turns_it_off() {
        let (cache, id) = (cache(0), ProductId::new());
        cache.put(product(id, "kente"), &cache.epoch()).await;
        assert!(cache.get("kente").await.is_none());
    }
}
