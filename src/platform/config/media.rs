//! Pictures, and the files that bring products and pictures.

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::{Faults, is_key_or_empty, is_web, sections};
use crate::platform::network::Network;

sections! {
    Media {
        provider: String, max_bytes: usize, memory_bytes: u64, upload_seconds: u64, timeout_seconds: u64,
        unattached_days: i64, cache_bytes: u64, signing_key: SecretString, cloudinary_url: SecretString, cloudinary_api_url: String,
        cloudinary_delivery_url: String, s3_endpoint: String,
        s3_region: String, s3_bucket: String, s3_path_style: bool, s3_access_key: String, s3_secret_key: SecretString,
        s3_public_url: String,
    }
    Imports {
        max_bytes: usize, upload_seconds: u64, keep_days: i64, fetch_images: bool, image_seconds: u64,
        private_networks: Vec<Network>,
    }
}

impl Media {
    pub(super) fn check(&self, faults: &mut Faults) {
        faults.require(
            matches!(self.provider.as_str(), "" | "local" | "s3" | "cloudinary"),
            "media.provider: must be \"local\", \"s3\" or \"cloudinary\"",
        );
        faults.require(
            (1..=50 * 1024 * 1024).contains(&self.max_bytes),
            "media.max_bytes: must be between 1 and 52428800 (50 MB)",
        );
        faults.require(
            (64 * 1024 * 1024..=64 * 1024 * 1024 * 1024).contains(&self.memory_bytes),
            "media.memory_bytes: must be between 67108864 (64 MB) and 68719476736 (64 GB)",
        );
        faults.require(self.timeout_seconds >= 1, "media.timeout_seconds: must be at least 1");
        faults.require(self.unattached_days >= 0, "media.unattached_days: must not be negative; 0 keeps for ever");
        faults.require(
            is_key_or_empty(self.signing_key.expose_secret()),
            "media.signing_key: must be 64 hexadecimal digits (openssl rand -hex 32)",
        );
        // Without the parser's message, which may quote the secret.
        let cloudinary = url::Url::parse(self.cloudinary_url.expose_secret());
        faults.require(
            self.provider != "cloudinary" && self.cloudinary_url.expose_secret().is_empty()
                || cloudinary.is_ok_and(|url| {
                    url.scheme() == "cloudinary"
                        && url.has_host()
                        && !url.username().is_empty()
                        && url.password().is_some_and(|secret| !secret.is_empty())
                }),
            "media.cloudinary_url: must be like cloudinary://key:secret@cloud (CLOUDINARY_URL)",
        );
        for (name, url) in [
            ("cloudinary_api_url", &self.cloudinary_api_url),
            ("cloudinary_delivery_url", &self.cloudinary_delivery_url),
        ] {
            faults.require(is_web(url), &format!("media.{name}: must be an http or https address"));
        }
        if self.provider == "s3" || !self.s3_endpoint.is_empty() {
            faults.require(is_web(&self.s3_endpoint), "media.s3_endpoint: must be an http or https address");
            for (name, value) in [
                ("s3_region", self.s3_region.as_str()),
                ("s3_bucket", &self.s3_bucket),
                ("s3_access_key", &self.s3_access_key),
                ("s3_secret_key", self.s3_secret_key.expose_secret()),
            ] {
                faults.require(!value.is_empty(), &format!("media.{name}: is needed where there is an s3_endpoint"));
            }
        }
        faults.require(
            self.s3_public_url.is_empty() || is_web(&self.s3_public_url),
            "media.s3_public_url: must be an http or https address, or empty",
        );
    }
}
