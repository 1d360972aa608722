//! The library: stores, addresses, cache and the few threads that work on pictures, built once.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::cache::Cache;
use super::model::{FileName, Place, Presets, Provider, Size};
use super::process::{self, Processed, Refusal};
use super::resize::resize;
use super::signer::Signer;
use super::storage::{Key, Storage, StorageError};
use super::store;
use crate::platform::config::Config;
use crate::platform::db::Db;
use crate::platform::error::{Error, Result};
use crate::platform::signals::{Signal, Signals, Topic};

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
    /// A picture at work takes a core.
    turns: Arc<Semaphore>,
    /// Megabytes that all pictures at work may take together. Large ones wait until small ones are done.
    memory: Arc<Semaphore>,
    most_memory: u32,
    db: Db,
    signals: Signals,
    base: String,
}

impl Media {
    /// Builds the parts that the settings describe.
    ///
    /// # Errors
    /// When the signing key cannot be read or made, or a store's settings are refused.
    pub fn new(config: &Config, db: Db, signals: Signals) -> anyhow::Result<Self> {
        let most_memory = megabytes(config.media.memory_bytes);
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Self {
            storage: Storage::new(config)?,
            signer: Signer::load(&config.media.signing_key, &config.server.data_dir.join("keys/media.key"))?,
            cache: Cache::new(&config.server.data_dir.join("media"), config.media.cache_bytes),
            turns: Arc::new(Semaphore::new((cores / 2).clamp(1, 4))),
            memory: Arc::new(Semaphore::new(usize::try_from(most_memory)?)),
            most_memory,
            db,
            signals,
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

    /// Does work that takes so many megabytes, when there is room for it.
    async fn work<T: Send + 'static>(
        &self,
        memory: u32,
        work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
    ) -> Result<Result<T, Refusal>> {
        let room = async {
            let turn = self.turns.clone().acquire_owned().await.map_err(Error::internal)?;
            let memory = self.memory.clone().acquire_many_owned(memory).await.map_err(Error::internal)?;
            Ok::<_, Error>((turn, memory))
        };
        let room = tokio::time::timeout(PATIENCE, room).await;
        let room = room.map_err(|_| Error::Unavailable(anyhow::anyhow!("too many pictures wait for their turn")))??;
        // The room is held until the work ends, even if nobody waits for it any more.
        apart(move || {
            let done = work();
            drop(room);
            done
        })
        .await
    }

    /// Makes a picture that may be kept out of what somebody sent.
    pub(super) async fn process(&self, bytes: Bytes) -> Result<Result<Processed, Refusal>> {
        let file = bytes.clone();
        let need = match apart(move || process::memory_to_process(&file)).await? {
            Ok(need) => need,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let (memory, most) = (megabytes(need), self.most_memory);
        if memory > most {
            return Ok(Err(Refusal::TooMuchMemory { need: memory, most }));
        }
        self.work(memory, move || process::process(&bytes, need)).await
    }

    /// A kept picture. A bucket that everybody may read is not read through here.
    pub(super) async fn original(&self, file: FileName) -> Result<Bytes> {
        match (self.storage.local.get(Key::File(file), MAX_KEPT).await, &self.storage.s3) {
            (Err(StorageError::Missing), Some(s3)) if s3.public_url("").is_none() => {
                let fetch = async { Ok(s3.get(Key::File(file), MAX_KEPT).await?) };
                Box::pin(self.cache.get_or_make(file, "original", self.is_kept(file), fetch)).await
            }
            (found, _) => Ok(found?),
        }
    }

    /// A kept picture in another size.
    pub(super) async fn resized(&self, file: FileName, size: Size) -> Result<Bytes> {
        let make = async {
            let original = self.storage.find(file, MAX_KEPT).await?;
            let odd = |refusal| Error::internal(anyhow::anyhow!("{file}: {refusal}"));
            let (bytes, pixels) = (original.clone(), u64::from(size.width) * u64::from(size.height));
            let need = apart(move || process::memory_to_resize(&bytes, pixels)).await?.map_err(odd)?;
            // What was taken under another bound is shown all the same, alone.
            let memory = megabytes(need).min(self.most_memory);
            Ok(self.work(memory, move || resize(&original, size)).await?.map_err(odd)?.into())
        };
        Box::pin(self.cache.get_or_make(file, &format!("{size}.webp"), self.is_kept(file), make)).await
    }

    /// Whether what is on the disk of a file may still be shown: a server that was down has not heard of deletions. Without a
    /// database pictures are shown as before.
    async fn is_kept(&self, file: FileName) -> bool {
        let look = async { Ok::<_, Error>(store::is_kept(&mut *self.db.acquire().await?, &file.to_string()).await?) };
        look.await.unwrap_or(true)
    }

    /// Removes a file from its store, and everything made of it from every server.
    pub(super) async fn remove(&self, provider: Provider, key: &str) -> Result<(), StorageError> {
        self.storage.remove(provider, key).await?;
        if let Ok(file) = key.parse::<FileName>() {
            self.cache.forget(&[file.id()]).await;
            self.signals.tell(Signal { topic: Topic::Pictures, ids: Some(vec![file.id()]), redis_missed: false }).await;
        }
        Ok(())
    }

    /// Takes in what another server tells: these files are gone. Without ids, any may be.
    pub async fn hear(&self, files: Option<Vec<Uuid>>) {
        match files {
            Some(files) => self.cache.forget(&files).await,
            None => self.start_anew(),
        }
    }

    /// Forgets what is in memory, after changes may have been missed. The disk is asked only after the database.
    pub fn start_anew(&self) {
        self.cache.start_anew();
    }

    /// Tries every store that is set up. Gives each one's name, and what was found or what is wrong.
    pub async fn check(&self) -> Vec<(&'static str, anyhow::Result<String>)> {
        self.storage.check().await
    }
}

/// Whole megabytes.
fn megabytes(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(1024 * 1024)).unwrap_or(u32::MAX)
}

/// Works in a thread of its own.
async fn apart<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) -> Result<Result<T, Refusal>> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => Ok(result),
        // A decoder that panics was given a file that no decoder should trust.
        Err(error) if error.is_panic() => Ok(Err(Refusal::Damaged)),
        Err(error) => Err(Error::internal(error)),
    }
}
