//! What Cloudinary keeps and answers.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::PublicId;

/// A picture at Cloudinary, the answer to an upload (Cloudinary's OpenAPI document,
/// `upload_response`). Store `asset_id`, `public_id` and `version`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Asset {
    /// Never changes, not even when the picture is renamed.
    pub asset_id: String,
    /// The name it was uploaded under.
    pub public_id: PublicId,
    /// Raised by each upload; part of the delivery URL.
    pub version: u64,
    /// What proves to us that Cloudinary said this: see
    /// [`Client::verify_upload_answer`](crate::Client::verify_upload_answer).
    pub signature: String,
    /// The format it is kept in, such as `jpg`; Cloudinary knows more of them than
    /// [`ImageFormat`].
    pub format: String,
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// Size of what is kept.
    pub bytes: u64,
    /// Who may fetch it.
    #[serde(rename = "type")]
    pub delivery_type: DeliveryType,
    /// When it was uploaded.
    pub created_at: DateTime<Utc>,
    /// The MD5 of what is kept, in hex; the fake's is another digest of that length.
    #[serde(default)]
    pub etag: String,
    /// The https address of the original.
    pub secure_url: String,
    /// Whether nothing was stored, because `overwrite` was false and there was a
    /// picture of this name: the fields are that picture's.
    #[serde(default)]
    pub existing: bool,
}

/// A file at Cloudinary that is no picture, the answer to its upload (Cloudinary's
/// OpenAPI document, `upload_response`). Store `public_id` and `version`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct RawAsset {
    /// The name it was uploaded under, with its extension.
    pub public_id: PublicId,
    /// Raised by each upload; part of the delivery URL.
    pub version: u64,
    /// Size of what is kept.
    pub bytes: u64,
    /// Who may fetch it.
    #[serde(rename = "type")]
    pub delivery_type: DeliveryType,
}

/// As what Cloudinary keeps a file; part of its address.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ResourceType {
    /// A picture.
    #[default]
    Image,
    /// Bytes that are handed out as they came.
    Raw,
}

impl ResourceType {
    /// As in an address.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Raw => "raw",
        }
    }
}

/// What became of a call to destroy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destroyed {
    /// It is gone.
    Ok,
    /// There was none.
    NotFound,
}

/// Who may fetch a picture.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryType {
    /// Everybody.
    #[default]
    Upload,
    /// Everybody may fetch what was made of it, but the original wants a signed URL.
    Private,
    /// The original and all that is made of it want a signed URL.
    Authenticated,
}

impl DeliveryType {
    /// The word in URLs and parameters.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Upload => "upload",
            Self::Private => "private",
            Self::Authenticated => "authenticated",
        }
    }
}

/// A picture format of the web.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ImageFormat {
    /// JPEG.
    Jpg,
    /// PNG.
    Png,
    /// GIF.
    Gif,
    /// WebP.
    Webp,
    /// AVIF.
    Avif,
}

/// The text names no [`ImageFormat`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a picture format is jpg, png, gif, webp or avif")]
pub struct UnknownFormat;

impl ImageFormat {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Jpg, Self::Png, Self::Gif, Self::Webp, Self::Avif];

    /// Cloudinary's name of the format, which is also the file extension.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Jpg => "jpg",
            Self::Png => "png",
            Self::Gif => "gif",
            Self::Webp => "webp",
            Self::Avif => "avif",
        }
    }

    /// The MIME type.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Jpg => "image/jpeg",
            Self::Png => "image/png",
            Self::Gif => "image/gif",
            Self::Webp => "image/webp",
            Self::Avif => "image/avif",
        }
    }

    /// The format of a MIME type, without parameters.
    #[must_use]
    pub fn from_content_type(content_type: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.content_type() == content_type)
    }
}

impl AsRef<str> for ImageFormat {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for ImageFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ImageFormat {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let format = Self::ALL.into_iter().find(|format| format.as_str() == text);
        format.or_else(|| (text == "jpeg").then_some(Self::Jpg)).ok_or(UnknownFormat)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_answer_is_read() {
        // Cloudinary's own example, with what is not read here left out.
        let answer = serde_json::json!({
            "asset_id": "3515c6000a548515f1134043f9785c2f",
            "public_id": "gotjephlnz2jgiu20zni",
            "version": 1_719_307_544,
            "version_id": "7d2cc533bee9ff39f7da7414b61fce7e",
            "signature": "d0b1009e3271a942836c25756ce3e04d205bf754",
            "width": 1920,
            "height": 1441,
            "format": "jpg",
            "resource_type": "image",
            "created_at": "2024-06-25T09:25:44Z",
            "bytes": 896_838,
            "type": "upload",
            "etag": "2a2df1d2d2c3b675521e866599273083",
            "secure_url": "https://res.cloudinary.com/cld-docs/image/upload/v1719307544/gotjephlnz2jgiu20zni.jpg",
            "original_filename": "sample",
        });
        let asset: Asset = serde_json::from_value(answer).unwrap();
        assert_eq!((asset.width, asset.height, asset.bytes), (1920, 1441, 896_838));
        assert_eq!((asset.delivery_type, asset.existing), (DeliveryType::Upload, false));
        assert_eq!(asset.created_at.timestamp(), asset.version.cast_signed());
    }

    #[test]
    fn a_format_is_known_by_its_names() {
        for format in ImageFormat::ALL {
            assert_eq!(format.as_str().parse(), Ok(format));
            assert_eq!(ImageFormat::from_content_type(format.content_type()), Some(format));
        }
        assert_eq!("jpeg".parse(), Ok(ImageFormat::Jpg));
        assert_eq!("svg".parse::<ImageFormat>(), Err(UnknownFormat));
        assert_eq!(ImageFormat::from_content_type("image/svg+xml"), None);
    }
}
