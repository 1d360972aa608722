//! What an upload says besides the picture.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::{DeliveryType, ImageFormat, Params, PublicId, Transformation};

/// Largest file that [`Client::upload`](crate::Client::upload) sends, in bytes; also the
/// largest picture of a free account.
pub const MAX_FILE: usize = 10 * 1024 * 1024;
/// How long a [`DirectUpload`] is good for, in seconds.
pub const SIGNATURE_LIFETIME: i64 = 3600;

/// How a picture is to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadOptions {
    /// The picture's name.
    pub public_id: PublicId,
    /// Where Cloudinary's console shows it, without a meaning for its address.
    pub asset_folder: Option<String>,
    /// Who may fetch it.
    pub delivery_type: DeliveryType,
    /// Whether a picture of this name is replaced. Without, it stays, and the answer
    /// says [`existing`](crate::Asset::existing).
    pub overwrite: bool,
    /// With `overwrite`, whether the caches forget the picture under its old
    /// versions too, which takes up to minutes.
    pub invalidate: bool,
    /// What the file may be, judged by its content; empty for everything.
    pub allowed_formats: Vec<ImageFormat>,
    /// What is kept instead of the original, such as a smaller copy.
    pub transformation: Transformation,
    /// Notes kept with the picture; an empty value is not kept.
    pub context: BTreeMap<String, String>,
    /// Where Cloudinary says that the upload is done.
    pub notification_url: Option<String>,
}

impl UploadOptions {
    /// A new public picture of any format, kept as it is.
    #[must_use]
    pub fn new(public_id: PublicId) -> Self {
        Self {
            public_id,
            asset_folder: None,
            delivery_type: DeliveryType::Upload,
            overwrite: false,
            invalidate: false,
            allowed_formats: Vec::new(),
            transformation: Transformation::new(),
            context: BTreeMap::new(),
            notification_url: None,
        }
    }

    pub(crate) fn params(&self) -> Params {
        let mut params = Params::new();
        params.set("public_id", &self.public_id);
        params.set("type", self.delivery_type.as_str());
        params.set("overwrite", self.overwrite);
        if self.invalidate {
            params.set("invalidate", true);
        }
        params.set("asset_folder", self.asset_folder.as_deref().unwrap_or_default());
        params.set_list("allowed_formats", &self.allowed_formats);
        params.set("transformation", &self.transformation);
        let context = self.context.iter().map(|(key, value)| format!("{}={}", escape(key), escape(value)));
        params.set("context", context.collect::<Vec<_>>().join("|"));
        params.set("notification_url", self.notification_url.as_deref().unwrap_or_default());
        params
    }
}

/// Escapes what separates the pairs of `context`.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '\\' | '=' | '|') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

/// A form with which a browser uploads one file to Cloudinary itself: post `fields`
/// and then `file` as `multipart/form-data` to `url`. Every field is signed, so
/// the browser can neither change nor add one.
///
/// Cloudinary has no parameter for the size of the file: look at
/// [`Asset::bytes`](crate::Asset::bytes) afterwards.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct DirectUpload {
    /// Where to post.
    pub url: String,
    /// What to post beside the file.
    pub fields: BTreeMap<String, String>,
    /// When Cloudinary stops taking it, in Unix seconds.
    pub expires_at: i64,
}

/// Leaves out the fields: whoever has them can upload.
impl fmt::Debug for DirectUpload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DirectUpload")
            .field("url", &self.url)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Gravity;

    #[test]
    fn options_become_parameters() {
        let id = PublicId::new("products/shirt").unwrap();
        let plain = UploadOptions::new(id);
        let shown = |options: &UploadOptions| {
            let params = options.params();
            params.iter().map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>()
        };
        assert_eq!(shown(&plain), ["overwrite: false", "public_id: products/shirt", "type: upload"]);

        let px = |pixels| std::num::NonZeroU16::new(pixels).unwrap();
        let full = UploadOptions {
            asset_folder: Some("Summer & more".to_owned()),
            delivery_type: DeliveryType::Private,
            overwrite: true,
            invalidate: true,
            allowed_formats: vec![ImageFormat::Jpg, ImageFormat::Webp],
            transformation: Transformation::new().fill(px(4), px(3), Gravity::Auto),
            context: [("alt", r"a=b|c\d"), ("by", "Ama")].map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
            notification_url: Some("https://shop.example/hook".to_owned()),
            ..plain
        };
        assert_eq!(
            shown(&full),
            [
                "allowed_formats: jpg,webp",
                "asset_folder: Summer & more",
                r"context: alt=a\=b\|c\\d|by=Ama",
                "invalidate: true",
                "notification_url: https://shop.example/hook",
                "overwrite: true",
                "public_id: products/shirt",
                "transformation: c_fill,g_auto,h_3,w_4",
                "type: private",
            ]
        );
    }
}
