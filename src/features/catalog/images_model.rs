//! The pictures of a product, and how they are shown.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::features::media::{Media, Place, Presets};
use crate::platform::format::absolute_url;
use crate::platform::ids::ImageId;

/// A picture in a row of the view `product_listing`.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ListedImage {
    pub id: ImageId,
    pub url: String,
    pub alt: String,
    #[serde(rename = "type")]
    pub kind: ImageType,
    pub order: i32,
    /// Where it is kept, if it is one of the shop's own.
    pub place: Option<Place>,
    /// What became of it, if it is to be fetched and is not kept yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fetch: Option<ImageFetch>,
}

/// A picture that an import named and that is not kept yet.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ImageFetch {
    /// Whether it waits for its turn, or could not be had.
    status: FetchStatus,
    /// Where it is to be fetched from.
    source_url: String,
    /// How often that was tried.
    tries: i32,
    /// What was wrong the last time.
    error: Option<String>,
    /// Shoppers do not see it, because its address leads, or may lead, where nobody should be led to.
    is_hidden: bool,
}

/// Where the fetching of a picture stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum FetchStatus {
    /// It is tried by itself, again if need be.
    Waiting,
    /// It is tried again only when somebody asks for it.
    Failed,
}

impl FetchStatus {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Failed => "failed",
        }
    }
}

impl FromStr for FetchStatus {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "waiting" => Ok(Self::Waiting),
            "failed" => Ok(Self::Failed),
            _ => Err("must be failed or waiting"),
        }
    }
}

/// What a picture shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum ImageType {
    /// The picture of lists.
    Main,
    /// Another view.
    Detail,
    /// Worn or used.
    Lifestyle,
    /// The cloth from near.
    Texture,
}

impl ImageType {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::Detail => "detail",
            Self::Lifestyle => "lifestyle",
            Self::Texture => "texture",
        }
    }
}

/// A picture.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ImageView {
    id: ImageId,
    /// Absolute.
    url: String,
    alt: String,
    r#type: ImageType,
    order: i32,
    /// The picture in other sizes, if it is one of the shop's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    presets: Option<Presets>,
    /// Told to staff only, while it is not kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    fetch: Option<ImageFetch>,
}

impl ListedImage {
    /// Whether shoppers must not see it.
    pub(super) fn is_hidden(&self) -> bool {
        self.fetch.as_ref().is_some_and(|fetch| fetch.is_hidden)
    }
}

impl ImageView {
    pub(super) fn new(image: ListedImage, base: &str, media: &Media) -> Self {
        Self {
            id: image.id,
            url: absolute_url(&image.url, base),
            alt: image.alt,
            r#type: image.kind,
            order: image.order,
            presets: image.place.and_then(|place| media.presets(&place)),
            fetch: image.fetch,
        }
    }
}
