//! Files in a bucket that speaks S3: Amazon's, MinIO, R2 and others. Each request is signed in its address (signature
//! version 4), by this server or for a browser.

use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use reqwest::{Client, Method};
use rusty_s3::{Bucket, Credentials, S3Action, UrlStyle};
use secrecy::ExposeSecret;
use uuid::Uuid;

use super::{Key, StorageError, answered, read};
use crate::platform::config::Media as Config;

/// How long a signed address of this server's own requests lives.
const OWN: Duration = Duration::from_secs(60);

/// A bucket.
#[derive(Debug)]
pub(in super::super) struct S3 {
    client: Client,
    bucket: Bucket,
    credentials: Credentials,
    public_url: Option<String>,
}

impl S3 {
    pub(super) fn new(config: &Config) -> anyhow::Result<Self> {
        let endpoint = config.s3_endpoint.parse().context("media.s3_endpoint")?;
        let style = if config.s3_path_style { UrlStyle::Path } else { UrlStyle::VirtualHost };
        Ok(Self {
            client: Client::builder()
                .timeout(Duration::from_secs(config.timeout_seconds))
                .redirect(reqwest::redirect::Policy::none())
                .build()?,
            bucket: Bucket::new(endpoint, style, config.s3_bucket.clone(), config.s3_region.clone())
                .context("media.s3_bucket")?,
            credentials: Credentials::new(&config.s3_access_key, config.s3_secret_key.expose_secret()),
            public_url: Some(config.s3_public_url.trim_end_matches('/'))
                .filter(|url| !url.is_empty())
                .map(str::to_owned),
        })
    }

    /// Where everybody reads a file, if the bucket or a network before it is open to all.
    pub(in super::super) fn public_url(&self, key: &str) -> Option<String> {
        self.public_url.as_ref().map(|base| format!("{base}/{key}"))
    }

    pub(super) async fn put(&self, key: Key, bytes: Bytes, content_type: &str) -> Result<(), StorageError> {
        // Only pictures are for everybody.
        let cached =
            if matches!(key, Key::File(_)) { "public, max-age=31536000, immutable" } else { "private, no-store" };
        let key = key.to_string();
        let mut action = self.bucket.put_object(Some(&self.credentials), &key);
        action.headers_mut().insert("content-type", content_type);
        let request = self
            .client
            .request(Method::PUT, action.sign(OWN))
            .header("content-type", content_type)
            .header("cache-control", cached)
            .body(bytes);
        answered(request.send().await).map(drop)
    }

    pub(in super::super) async fn get(&self, key: Key, limit: u64) -> Result<Bytes, StorageError> {
        let url = self.bucket.get_object(Some(&self.credentials), &key.to_string()).sign(OWN);
        read(answered(self.client.get(url).send().await)?, limit).await
    }

    pub(super) async fn remove(&self, key: Key) -> Result<(), StorageError> {
        let url = self.bucket.delete_object(Some(&self.credentials), &key.to_string()).sign(OWN);
        match answered(self.client.delete(url).send().await) {
            Ok(_) | Err(StorageError::Missing) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Writes, reads and removes an object.
    pub(super) async fn check(&self, role: &str) -> anyhow::Result<String> {
        let (key, text) = (Key::Probe(Uuid::now_v7()), Bytes::from_static(b"agape doctor"));
        let mend = |may: &str| {
            format!(
                "the bucket {} must be reachable at media.s3_endpoint in media.s3_region, and media.s3_access_key must be \
                 allowed to {may}",
                self.bucket.name()
            )
        };
        self.put(key, text.clone(), "text/plain").await.with_context(|| mend("put objects"))?;
        let read = self.get(key, 1_000).await.with_context(|| mend("get objects"));
        self.remove(key).await.with_context(|| mend("delete objects"))?;
        anyhow::ensure!(read? == text, "the bucket {} gives something else than it was given", self.bucket.name());
        Ok(format!("{role}; takes, gives and deletes"))
    }

    /// An address to which a browser may send one file of this type and length; the signature covers both.
    pub(in super::super) fn upload_url(&self, key: Key, content_type: &str, bytes: u64, valid: Duration) -> String {
        let (key, length) = (key.to_string(), bytes.to_string());
        let mut action = self.bucket.put_object(Some(&self.credentials), &key);
        action.headers_mut().insert("content-length", length);
        action.headers_mut().insert("content-type", content_type);
        action.sign(valid).into()
    }
}
