//! Pictures at Cloudinary, which makes the other sizes itself.

use std::num::NonZeroU16;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use cloudinary::{
    Bounds, Client, ClientConfig, Delivery, DeliveryType, DirectUpload, Gravity, ImageFormat, PublicId, ResourceType,
    Transformation, UploadOptions, UrlSignature,
};

use super::super::model::{FileName, Fit, Format, Place, Size};
use super::{Key, StorageError, answered, failed, read};
use crate::platform::config::Media as Config;

/// The folder of this shop's pictures.
const FOLDER: &str = "agape";

/// An account at Cloudinary.
#[derive(Debug)]
pub(in super::super) struct Cloudinary {
    client: Client,
    /// Fetches what a browser sent.
    http: reqwest::Client,
}

impl Cloudinary {
    pub(super) fn new(config: &Config) -> anyhow::Result<Self> {
        let timeout = Duration::from_secs(config.timeout_seconds);
        let client = ClientConfig::from_url(&config.cloudinary_url).context("media.cloudinary_url (CLOUDINARY_URL)")?;
        let client = Client::new(ClientConfig {
            base_url: config.cloudinary_api_url.clone(),
            delivery_url: config.cloudinary_delivery_url.clone(),
            timeout,
            ..client
        })?;
        let http = reqwest::Client::builder().timeout(timeout).redirect(reqwest::redirect::Policy::none()).build()?;
        Ok(Self { client, http })
    }

    pub(super) async fn put(&self, name: FileName, bytes: Bytes) -> Result<i64, StorageError> {
        let options =
            UploadOptions { allowed_formats: all_formats(), ..UploadOptions::new(public_id(Key::File(name))?) };
        let asset = self.client.upload(bytes, format_of(name.format()), &options).await.map_err(refused)?;
        i64::try_from(asset.version).map_err(|error| StorageError::Failed(error.into()))
    }

    /// Keeps a document, which nobody can fetch without a signature.
    pub(super) async fn put_document(&self, key: Key, bytes: Bytes) -> Result<i64, StorageError> {
        let options = UploadOptions { delivery_type: kind(key), ..UploadOptions::new(public_id(key)?) };
        let asset = self.client.upload_raw(bytes, &options).await.map_err(refused)?;
        i64::try_from(asset.version).map_err(|error| StorageError::Failed(error.into()))
    }

    /// Removes a picture, a document, or what a browser sent.
    pub(super) async fn remove(&self, key: Key) -> Result<(), StorageError> {
        self.client.destroy(resource(key), &public_id(key)?, kind(key), true).await.map(drop).map_err(refused)
    }

    /// Asks whether the account's key is good.
    pub(super) async fn check(&self, role: &str) -> anyhow::Result<String> {
        self.client.ping().await.context(
            "media.cloudinary_url (CLOUDINARY_URL) must have the key, secret and cloud name of the account's settings, and \
             media.cloudinary_api_url the server of its region",
        )?;
        Ok(format!("{role}; the key is good"))
    }

    /// A form with which a browser sends one file. Nobody can fetch it without a signature, as it was not looked at yet.
    pub(in super::super) fn form(
        &self,
        key: Key,
        format: Format,
        now: DateTime<Utc>,
    ) -> Result<DirectUpload, StorageError> {
        let options = UploadOptions {
            delivery_type: kind(key),
            allowed_formats: vec![format_of(format)],
            ..UploadOptions::new(public_id(key)?)
        };
        Ok(self.client.direct_upload(&options, now.timestamp()))
    }

    /// Whether Cloudinary itself told the browser that it has this upload.
    pub(in super::super) fn has_told(&self, key: Key, name: &str, version: u64, signature: &str) -> bool {
        public_id(key).is_ok_and(|id| id.as_str() == name) && self.client.verify_upload_answer(name, version, signature)
    }

    /// A document, or what a browser sent.
    pub(super) async fn fetch(&self, key: Key, version: u64, limit: u64) -> Result<Bytes, StorageError> {
        let id = public_id(key)?;
        let url = self.client.delivery_url(&Delivery {
            delivery_type: kind(key),
            resource: resource(key),
            signature: Some(UrlSignature::Short),
            ..Delivery::new(&id, version)
        });
        read(answered(self.http.get(url).send().await)?, limit).await
    }

    /// The address of a picture, in another size or as it is kept. None for a place that is not of Cloudinary.
    pub(in super::super) fn url(&self, place: &Place, size: Option<Size>) -> Option<String> {
        let name: FileName = place.key.parse().ok()?;
        let id = public_id(Key::File(name)).ok()?;
        let version = u64::try_from(place.version?).ok()?;
        let delivery = match size {
            Some(size) => Delivery { transformation: transformation(size)?, ..Delivery::new(&id, version) },
            None => Delivery { format: Some(format_of(name.format())), ..Delivery::new(&id, version) },
        };
        Some(self.client.delivery_url(&delivery))
    }
}

/// What was looked at is for everybody; documents, and what came from a browser, are not.
fn kind(key: Key) -> DeliveryType {
    match key {
        Key::File(_) => DeliveryType::Upload,
        Key::Incoming(_) | Key::Document(_) | Key::Probe(_) => DeliveryType::Authenticated,
    }
}

fn resource(key: Key) -> ResourceType {
    match key {
        Key::Document(_) => ResourceType::Raw,
        Key::File(_) | Key::Incoming(_) | Key::Probe(_) => ResourceType::Image,
    }
}

/// Cloudinary adds the end of a name itself.
fn public_id(key: Key) -> Result<PublicId, StorageError> {
    let name = key.to_string();
    let name = name.split('.').next().unwrap_or_default();
    PublicId::new(format!("{FOLDER}/{name}")).map_err(|error| StorageError::Failed(error.into()))
}

fn transformation(size: Size) -> Option<Transformation> {
    let width = NonZeroU16::new(u16::try_from(size.width).ok()?)?;
    let height = NonZeroU16::new(u16::try_from(size.height).ok()?)?;
    let plain = Transformation::new();
    let sized = match size.fit {
        Fit::Fill => plain.fill(width, height, Gravity::Auto),
        Fit::Whole => plain.limit(Bounds::Both(width, height)),
    };
    Some(sized.auto_format().auto_quality())
}

fn format_of(format: Format) -> ImageFormat {
    match format {
        Format::Jpeg => ImageFormat::Jpg,
        Format::Png => ImageFormat::Png,
        Format::Webp => ImageFormat::Webp,
        Format::Gif => ImageFormat::Gif,
    }
}

fn all_formats() -> Vec<ImageFormat> {
    Format::ALL.into_iter().map(format_of).collect()
}

fn refused(error: cloudinary::Error) -> StorageError {
    match error {
        cloudinary::Error::FileTooLarge { .. } => StorageError::TooLarge,
        cloudinary::Error::Network(cause) => failed(cause),
        other => StorageError::Failed(other.into()),
    }
}
