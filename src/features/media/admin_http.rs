//! The library of pictures as staff keep it.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::service;
use super::views::AssetView;
use crate::app::App;
use crate::features::auth::Identity;
use crate::platform::http::envelope::Empty;
use crate::platform::http::{Answer, Envelope, ErrorEnvelope, PathId, Query, RequestMeta, deleted, ok};
use crate::platform::ids::AssetId;
use crate::platform::page::PartQuery;

/// A picture in the list, and whether a product or a variant shows it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ListedAssetView {
    #[serde(flatten)]
    asset: AssetView,
    is_attached: bool,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ListedAssetsData {
    assets: Vec<ListedAssetView>,
}

/// Which pictures.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ListMedia {
    /// Only those that a product or a variant shows, or only those that none shows.
    attached: Option<bool>,
}

/// List pictures
///
/// The newest first, in pages or with `cursor`. More than 10,000 are not counted: then `totalIsEstimate` is true, and pages end there.
#[utoipa::path(get, path = "/admin/media", tag = "Media, staff", security(("bearer" = ["manage_catalog"])),
    params(PartQuery, ListMedia), responses(
    (status = 200, body = Envelope<ListedAssetsData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
))]
pub(super) async fn list_media(
    State(app): State<App>,
    Query(part): Query<PartQuery>,
    Query(which): Query<ListMedia>,
) -> Answer<ListedAssetsData> {
    let part = part.check(&app.config.lists)?;
    let (assets, pagination) = service::list(&app, which.attached, part).await?;
    let assets = assets
        .into_iter()
        .map(|(asset, is_attached)| ListedAssetView { asset: AssetView::new(&app, asset), is_attached })
        .collect();
    Ok(ok(ListedAssetsData { assets }).page(pagination))
}

/// Delete a picture
#[utoipa::path(delete, path = "/admin/media/{asset}", tag = "Media, staff",
    security(("bearer" = ["manage_catalog"])), params(("asset" = AssetId, Path)), responses(
    (status = 200, body = Envelope<Empty>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "Products or variants show it; the first of them are named"),
))]
pub(super) async fn delete_media(
    State(app): State<App>,
    identity: Identity,
    PathId(id): PathId<AssetId>,
    meta: RequestMeta,
) -> Answer<Empty> {
    service::delete(&app, Some(&identity), &meta, id).await?;
    Ok(deleted("The picture has been deleted."))
}
