//! Pictures and uploads as the API tells them.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::direct_service::Permit;
use super::model::{Asset, Presets};
use crate::app::App;
use crate::platform::format::absolute_url;
use crate::platform::ids::AssetId;

/// A picture of the shop's own.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct AssetView {
    id: AssetId,
    /// The picture as it is kept, absolute.
    url: String,
    /// None where its place is not in the settings any more.
    presets: Option<Presets>,
    #[schema(example = "image/jpeg")]
    content_type: String,
    bytes: i64,
    width: i32,
    height: i32,
    alt: String,
    created_at: DateTime<Utc>,
}

impl AssetView {
    pub(super) fn new(app: &App, asset: Asset) -> Self {
        Self {
            url: absolute_url(&asset.url, &app.config.public_url()),
            presets: app.media.presets(&asset.place),
            id: asset.id,
            content_type: asset.content_type,
            bytes: asset.bytes,
            width: asset.width,
            height: asset.height,
            alt: asset.alt,
            created_at: asset.created_at,
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AssetData {
    pub(super) asset: AssetView,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AssetsData {
    pub(super) assets: Vec<AssetView>,
}

/// How to send it: PUT the file with `headers`, or POST a form of `fields` and, last, the file as `file`. Then confirm.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct PermitView {
    id: AssetId,
    #[schema(example = "PUT")]
    method: &'static str,
    url: String,
    headers: BTreeMap<String, String>,
    fields: BTreeMap<String, String>,
    expires_at: DateTime<Utc>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PermitData {
    pub(super) upload: PermitView,
}

impl From<Permit> for PermitView {
    fn from(permit: Permit) -> Self {
        let Permit { id, method, url, headers, fields, expires_at } = permit;
        Self { id, method, url, headers, fields, expires_at }
    }
}
