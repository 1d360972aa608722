//! The places where files are kept.

mod cloudinary;
mod local;
mod s3;

use std::fmt;
use std::str::FromStr;

use bytes::{Bytes, BytesMut};
use reqwest::{Response, StatusCode};
use uuid::Uuid;

use super::model::{FileName, Provider};
use secrecy::ExposeSecret;

use crate::platform::config::{Config, Media as Settings};
use crate::platform::error::Error;
use crate::platform::ids::AssetId;

pub(super) use cloudinary::Cloudinary;
pub(super) use local::{Local, write_whole};
pub(super) use s3::S3;

/// The name of a file in a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// A picture as it is kept.
    File(FileName),
    /// What a browser sent, before it was looked at.
    Incoming(AssetId),
    /// A sealed document.
    Document(Uuid),
    /// A file that shows whether a store takes files.
    Probe(Uuid),
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(name) => name.fmt(f),
            Self::Incoming(id) => write!(f, "incoming/{id}"),
            Self::Document(id) => write!(f, "documents/{id}"),
            Self::Probe(id) => write!(f, "probe/{id}"),
        }
    }
}

impl FromStr for Key {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text.split_once('/') {
            Some(("incoming", id)) => id.parse().map(Self::Incoming).map_err(|_| ()),
            Some(("documents", id)) => id.parse().map(Self::Document).map_err(|_| ()),
            _ => text.parse().map(Self::File),
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
    pub cloudinary: Option<Cloudinary>,
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
            cloudinary: (!media.cloudinary_url.expose_secret().is_empty())
                .then(|| Cloudinary::new(media))
                .transpose()?,
        })
    }

    pub(super) fn s3(&self) -> Result<&S3, StorageError> {
        self.s3.as_ref().ok_or_else(|| StorageError::Failed(anyhow::anyhow!("media.s3_endpoint is not set")))
    }

    pub(super) fn cloudinary(&self) -> Result<&Cloudinary, StorageError> {
        self.cloudinary.as_ref().ok_or_else(|| StorageError::Failed(anyhow::anyhow!("media.cloudinary_url is not set")))
    }

    /// Keeps a file of this shop's own making at the chosen place. Gives the provider's number of it, if it has one.
    pub(super) async fn put(&self, name: FileName, bytes: Bytes) -> Result<Option<i64>, StorageError> {
        match self.chosen {
            Provider::Local => self.local.put(Key::File(name), bytes).await.map(|()| None),
            Provider::S3 => self.s3()?.put(Key::File(name), bytes, name.format().content_type()).await.map(|()| None),
            Provider::Cloudinary => self.cloudinary()?.put(name, bytes).await.map(Some),
        }
    }

    /// Keeps a sealed document at the chosen place. Gives the provider's number of it, if it has one.
    pub(super) async fn put_document(&self, id: Uuid, bytes: Bytes) -> Result<Option<i64>, StorageError> {
        let key = Key::Document(id);
        match self.chosen {
            Provider::Local => self.local.put(key, bytes).await.map(|()| None),
            Provider::S3 => self.s3()?.put(key, bytes, "application/octet-stream").await.map(|()| None),
            Provider::Cloudinary => self.cloudinary()?.put_document(key, bytes).await.map(Some),
        }
    }

    /// Reads what was kept under a key, at most `limit` bytes of it. `version` is what Cloudinary calls it.
    pub(super) async fn get(
        &self,
        provider: Provider,
        key: Key,
        version: u64,
        limit: u64,
    ) -> Result<Bytes, StorageError> {
        match provider {
            Provider::Local => self.local.get(key, limit).await,
            Provider::S3 => self.s3()?.get(key, limit).await,
            Provider::Cloudinary => self.cloudinary()?.fetch(key, version, limit).await,
        }
    }

    /// What a browser sent, at most `limit` bytes. `version` is what Cloudinary calls it.
    pub(super) async fn sent(
        &self,
        provider: Provider,
        id: AssetId,
        version: u64,
        limit: usize,
    ) -> Result<Bytes, StorageError> {
        self.get(provider, Key::Incoming(id), version, u64::try_from(limit).unwrap_or(u64::MAX)).await
    }

    /// Reads a kept picture from wherever it is: the disk, or the bucket.
    pub(super) async fn find(&self, name: FileName, limit: u64) -> Result<Bytes, StorageError> {
        match (self.local.get(Key::File(name), limit).await, &self.s3) {
            (Err(StorageError::Missing), Some(s3)) => s3.get(Key::File(name), limit).await,
            (found, _) => found,
        }
    }

    /// Tries every store that is set up. Gives each one's name, and what was found or what is wrong.
    pub(super) async fn check(&self) -> Vec<(&'static str, anyhow::Result<String>)> {
        let role = |provider| {
            if self.chosen == provider { "new pictures are kept here" } else { "older pictures may be here" }
        };
        let mut found = vec![("media directory", self.local.check(role(Provider::Local)).await)];
        if let Some(s3) = &self.s3 {
            found.push(("media bucket", s3.check(role(Provider::S3)).await));
        }
        if let Some(cloudinary) = &self.cloudinary {
            found.push(("cloudinary", cloudinary.check(role(Provider::Cloudinary)).await));
        }
        found
    }

    /// Removes a file. One that is gone already is no failure.
    pub(super) async fn remove(&self, provider: Provider, key: &str) -> Result<(), StorageError> {
        let key = key.parse().map_err(|()| StorageError::Failed(anyhow::anyhow!("{key:?} is no name")))?;
        match provider {
            Provider::Local => self.local.remove(key).await,
            Provider::S3 => self.s3()?.remove(key).await,
            Provider::Cloudinary => self.cloudinary()?.remove(key).await,
        }
    }
}

fn failed(error: reqwest::Error) -> StorageError {
    // The address may have a signature that must not reach a log.
    StorageError::Failed(error.without_url().into())
}

fn answered(answer: reqwest::Result<Response>) -> Result<Response, StorageError> {
    let response = answer.map_err(failed)?;
    match response.status() {
        status if status.is_success() => Ok(response),
        StatusCode::NOT_FOUND => Err(StorageError::Missing),
        status => Err(StorageError::Failed(anyhow::anyhow!("the media store answered {status}"))),
    }
}

/// The body of an answer, at most `limit` bytes of it.
async fn read(mut response: Response, limit: u64) -> Result<Bytes, StorageError> {
    if response.content_length().is_some_and(|length| length > limit) {
        return Err(StorageError::TooLarge);
    }
    let mut bytes = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if u64::try_from(bytes.len() + chunk.len()).unwrap_or(u64::MAX) > limit {
            return Err(StorageError::TooLarge);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes.freeze())
}
