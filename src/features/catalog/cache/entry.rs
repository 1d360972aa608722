//! A product as it is kept.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::HeaderValue;
use bytes::Bytes;
use moka::Expiry;

use crate::platform::ids::ProductId;

/// An answer that was sent before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::features::catalog) struct CachedProduct {
    pub id: ProductId,
    pub slug: Arc<str>,
    /// The whole JSON body.
    pub body: Bytes,
    /// Its entity tag, weak and quoted.
    pub etag: HeaderValue,
    /// How long it may be kept; none: as long as products are.
    pub rest: Option<Duration>,
}

impl CachedProduct {
    pub(super) fn is_named(&self, name: &str) -> bool {
        *self.slug == *name || name.parse() == Ok(self.id)
    }

    /// As Redis keeps it. Neither slug nor tag has the end of a line.
    pub(super) fn encode(&self) -> Vec<u8> {
        [self.slug.as_bytes(), self.etag.as_bytes(), &self.body[..]].join(&b'\n')
    }

    pub(super) fn decode(id: ProductId, entry: &[u8], rest: Duration) -> Option<Self> {
        let mut parts = entry.splitn(3, |byte| *byte == b'\n');
        let (slug, etag, body) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Self {
            id,
            slug: std::str::from_utf8(slug).ok()?.into(),
            body: Bytes::copy_from_slice(body),
            etag: HeaderValue::from_bytes(etag).ok()?,
            rest: Some(rest),
        })
    }
}

/// Keeps each product as long as it may be kept.
pub(super) struct Age(pub(super) Duration);

impl Expiry<ProductId, CachedProduct> for Age {
    fn expire_after_create(&self, _: &ProductId, product: &CachedProduct, _: Instant) -> Option<Duration> {
        Some(product.rest.map_or(self.0, |rest| rest.min(self.0)))
    }

    fn expire_after_update(
        &self,
        id: &ProductId,
        product: &CachedProduct,
        now: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        self.expire_after_create(id, product, now)
    }
}
