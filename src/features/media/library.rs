//! The library: stores, addresses, cache and the few threads that work on pictures, built once.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Semaphore;

use super::cache::Cache;
use super::model::{FileName, Place, Presets, Provider, Size};
use super::process::{self, Processed, Refusal};
use super::signer::Signer;
use super::storage::{Key, Storage, StorageError};
use crate::platform::config::Config;
use crate::platform::error::{Error, Result};

/// Bytes of the largest kept picture that is read again. Written anew, a file may be larger than it came.
const MAX_KEPT: u64 = 256 * 1024 * 1024;

/// How long work on a picture may wait for its turn.
const PATIENCE: Duration = Duration::from_secs(10);

/// The library.
#[derive(Debug)]
pub struct Media {
    pub(super) storage: Storage,
    pub(super) signer: Signer,
    cache: Cache,
    /// A picture at work takes a core and some hundred megabytes.
    turns: Arc<Semaphore>,
    base: String,
}

impl Media {
    /// Builds the parts that the settings describe.
    ///
    /// # Errors
    /// When the signing key cannot be read or made, or a store's settings are refused.
    pub fn new(config: &Config) -> anyhow::Result<Self> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Self {
            storage: Storage::new(config)?,
            signer: Signer::load(&config.media.signing_key, &config.server.data_dir.join("keys/media.key"))?,
            cache: Cache::new(&config.server.data_dir.join("media"), config.media.cache_bytes),
            turns: Arc::new(Semaphore::new((cores / 2).clamp(1, 4))),
            base: config.public_url(),
        })
    }

    /// An address as it is stored: what is on this server is a path, which outlives a change of the host's name.
    pub fn stored_url(&self, url: &str) -> String {
        match url.strip_prefix(&self.base) {
            Some(path) if path.starts_with("/media/") => path.to_owned(),
            _ => url.to_owned(),
        }
    }

    /// The address of a picture as it is kept.
    pub(super) fn url(&self, place: &Place) -> String {
        let own = || format!("/media/{}", place.key);
        match place.provider {
            Provider::Local => own(),
            Provider::Cloudinary => {
                self.storage.cloudinary.as_ref().and_then(|account| account.url(place, None)).unwrap_or_else(own)
            }
            Provider::S3 => self.storage.s3.as_ref().and_then(|s3| s3.public_url(&place.key)).unwrap_or_else(own),
        }
    }

    /// The addresses of a picture in other sizes, absolute. None where they cannot be made, such as after a provider was
    /// taken out of the settings.
    pub fn presets(&self, place: &Place) -> Option<Presets> {
        let file: FileName = place.key.parse().ok()?;
        let at = |size| match place.provider {
            Provider::Cloudinary => self.storage.cloudinary.as_ref()?.url(place, Some(size)),
            Provider::Local | Provider::S3 => Some(format!("{}{}", self.base, self.signer.path(size, file))),
        };
        Some(Presets {
            thumbnail: at(Size::THUMBNAIL)?,
            card: at(Size::CARD)?,
            detail: at(Size::DETAIL)?,
            zoom: at(Size::ZOOM)?,
        })
    }

    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
    ) -> Result<Result<T, Refusal>> {
        let turn = tokio::time::timeout(PATIENCE, self.turns.clone().acquire_owned()).await;
        let turn = turn.map_err(|_| Error::Unavailable(anyhow::anyhow!("too many pictures wait for their turn")))?;
        let turn = turn.map_err(Error::internal)?;
        // The turn ends with the work, even if nobody waits for it any more.
        let worked = tokio::task::spawn_blocking(move || (work(), turn)).await;
        match worked {
            Ok((result, _)) => Ok(result),
            // A decoder that panics was given a file that no decoder should trust.
            Err(error) if error.is_panic() => Ok(Err(Refusal::Damaged)),
            Err(error) => Err(Error::internal(error)),
        }
    }

    /// Makes a picture that may be kept out of what somebody sent.
    pub(super) async fn process(&self, bytes: Bytes) -> Result<Result<Processed, Refusal>> {
        self.work(move || process::process(&bytes)).await
    }

    /// A kept picture. A bucket that everybody may read is not read through here.
    pub(super) async fn original(&self, file: FileName) -> Result<Bytes> {
        match (self.storage.local.get(Key::File(file), MAX_KEPT).await, &self.storage.s3) {
            (Err(StorageError::Missing), Some(s3)) if s3.public_url("").is_none() => {
                let fetch = async { Ok(s3.get(Key::File(file), MAX_KEPT).await?) };
                self.cache.get_or_make(file, "original", fetch).await
            }
            (found, _) => Ok(found?),
        }
    }

    /// A kept picture in another size.
    pub(super) async fn resized(&self, file: FileName, size: Size) -> Result<Bytes> {
        let make = async {
            let original = self.storage.find(file, MAX_KEPT).await?;
            let resized = self.work(move || process::resize(&original, size)).await?;
            Ok(resized.map_err(|refusal| Error::internal(anyhow::anyhow!("{file}: {refusal}")))?.into())
        };
        self.cache.get_or_make(file, &format!("{size}.webp"), make).await
    }

    /// Removes a file from its store, and everything made of it from this server.
    pub(super) async fn remove(&self, provider: Provider, key: &str) -> Result<(), StorageError> {
        if let Ok(file) = key.parse::<FileName>() {
            let mut names = vec!["original".to_owned()];
            names.extend([Size::THUMBNAIL, Size::CARD, Size::DETAIL, Size::ZOOM].map(|size| format!("{size}.webp")));
            self.cache.forget(file, &names).await;
        }
        self.storage.remove(provider, key).await
    }
}
