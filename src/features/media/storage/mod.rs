//! The places where files are kept.

mod local;
mod s3;

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;

use super::direct_service::Told;
use super::model::{FileName, Provider};
use super::store::Loose;
use crate::platform::config::{Config, Media as Settings};
use crate::platform::error::Error;
use crate::platform::ids::AssetId;

pub(super) use local::{Local, write_whole};
pub(super) use s3::S3;

/// The name of a file in a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// A picture as it is kept.
    File(FileName),
    /// What a browser sent, before it was looked at.
    Incoming(AssetId),
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(name) => name.fmt(f),
            Self::Incoming(id) => write!(f, "incoming/{id}"),
        }
    }
}

impl FromStr for Key {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text.strip_prefix("incoming/") {
            Some(id) => id.parse().map(Self::Incoming).map_err(|_| ()),
            None => text.parse().map(Self::File),
        }
    }
}

/// Why a store did not do it.
#[derive(Debug, thiserror::Error)]
pub(super) enum StorageError {
    #[error("there is no such file")]
    Missing,
    #[error("there is a file of this name already")]
    Exists,
    #[error("the file is larger than allowed")]
    TooLarge,
    #[error(transparent)]
    Failed(anyhow::Error),
}

impl From<StorageError> for Error {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Missing => Self::NotFound("The picture"),
            other => Self::Unavailable(anyhow::Error::new(other).context("the media store")),
        }
    }
}

/// All stores that are set up. New files go to the chosen one; the disk is always there, for what was kept before.
#[derive(Debug)]
pub(super) struct Storage {
    pub chosen: Provider,
    pub local: Local,
    pub s3: Option<S3>,
}

impl Storage {
    pub(super) fn new(config: &Config) -> anyhow::Result<Self> {
        let media: &Settings = &config.media;
        let chosen = match media.provider.as_str() {
            "s3" => Provider::S3,
            "cloudinary" => Provider::Cloudinary,
            _ => Provider::Local,
        };
        Ok(Self {
            chosen,
            local: Local::new(config.server.data_dir.join("media")),
            s3: (!media.s3_endpoint.is_empty()).then(|| S3::new(media)).transpose()?,
        })
    }

    /// The name of a picture at the chosen place.
    pub(super) fn key(&self, name: FileName) -> String {
        Key::File(name).to_string()
    }

    /// The name of what a browser sends to the chosen place.
    pub(super) fn incoming_key(&self, id: AssetId) -> String {
        Key::Incoming(id).to_string()
    }

    /// What a browser sent, at most `limit` bytes.
    pub(super) async fn sent(
        &self,
        upload: &Loose,
        id: AssetId,
        _told: Option<&Told>,
        limit: usize,
    ) -> Result<Bytes, StorageError> {
        let limit = u64::try_from(limit).unwrap_or(u64::MAX);
        self.get(upload.provider, Key::Incoming(id), limit).await
    }

    pub(super) fn s3(&self) -> Result<&S3, StorageError> {
        self.s3.as_ref().ok_or_else(|| StorageError::Failed(anyhow::anyhow!("media.s3_endpoint is not set")))
    }

    /// Keeps a file of this shop's own making at the chosen place. Gives the provider's number of it, if it has one.
    pub(super) async fn put(&self, name: FileName, bytes: Bytes) -> Result<Option<i64>, StorageError> {
        match self.chosen {
            Provider::Local => self.local.put(Key::File(name), bytes).await.map(|()| None),
            Provider::S3 => self.s3()?.put(Key::File(name), bytes, name.format().content_type()).await.map(|()| None),
            Provider::Cloudinary => Err(not_here()),
        }
    }

    /// Reads a file of at most `limit` bytes.
    pub(super) async fn get(&self, provider: Provider, key: Key, limit: u64) -> Result<Bytes, StorageError> {
        match provider {
            Provider::Local => self.local.get(key, limit).await,
            Provider::S3 => self.s3()?.get(key, limit).await,
            Provider::Cloudinary => Err(not_here()),
        }
    }

    /// Reads a kept picture from wherever it is: the disk, or the bucket.
    pub(super) async fn find(&self, name: FileName, limit: u64) -> Result<Bytes, StorageError> {
        match (self.local.get(Key::File(name), limit).await, &self.s3) {
            (Err(StorageError::Missing), Some(s3)) => s3.get(Key::File(name), limit).await,
            (found, _) => found,
        }
    }

    /// Removes a file. One that is gone already is no failure.
    pub(super) async fn remove(&self, provider: Provider, key: &str) -> Result<(), StorageError> {
        let key = || key.parse::<Key>().map_err(|()| StorageError::Failed(anyhow::anyhow!("{key:?} is no name")));
        match provider {
            Provider::Local => self.local.remove(key()?).await,
            Provider::S3 => self.s3()?.remove(key()?).await,
            Provider::Cloudinary => Err(not_here()),
        }
    }
}

fn not_here() -> StorageError {
    StorageError::Failed(anyhow::anyhow!("Cloudinary keeps its files itself"))
}
