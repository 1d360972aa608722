//! The library of pictures as staff keep it.

use std::collections::BTreeMap;

use axum::extract::multipart::{Field, MultipartError};
use axum::extract::{DefaultBodyLimit, FromRequest, Multipart, Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_LENGTH;
use bytes::{Bytes, BytesMut};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::direct_service::{self, Permit, Told};
use super::library::Media;
use super::model::{Asset, Format, MAX_FILES, Presets};
use super::service;
use crate::app::App;
use crate::features::auth::Identity;
use crate::platform::error::{Error, FieldError, Result};
use crate::platform::format::absolute_url;
use crate::platform::http::envelope::Empty;
use crate::platform::http::{Answer, Body, Envelope, ErrorEnvelope, PathId, Query, RequestMeta, created, deleted, ok};
use crate::platform::ids::AssetId;
use crate::platform::page::PageQuery;
use crate::platform::text::Text;

/// Bytes that a form may have beside its files.
const FORM: usize = 64 * 1024;

/// A description.
type Alt = Text<0, 300>;

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

/// A picture in the list, and whether a product shows it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ListedAssetView {
    #[serde(flatten)]
    asset: AssetView,
    is_attached: bool,
}

impl AssetView {
    fn new(asset: Asset, media: &Media, base: &str) -> Self {
        Self {
            url: absolute_url(&asset.url, base),
            presets: media.presets(&asset.place),
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
    asset: AssetView,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AssetsData {
    assets: Vec<AssetView>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ListedAssetsData {
    assets: Vec<ListedAssetView>,
}

/// A form with files.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the form is read part by part; this describes it")]
pub(super) struct UploadMedia {
    /// One to ten pictures: JPEG, PNG, WebP or GIF, at most 10 MB each.
    #[schema(value_type = Vec<String>, format = Binary)]
    file: Vec<Bytes>,
    /// What they show, for people who do not see them.
    #[schema(max_length = 300)]
    alt: Option<String>,
}

/// Upload pictures
///
/// All of them are taken, or none. Each is written anew, upright and without what was hidden in it.
#[utoipa::path(post, path = "/admin/media", tag = "Media, staff", security(("bearer" = ["manage_catalog"])),
    request_body(content = UploadMedia, content_type = "multipart/form-data"), responses(
    (status = 201, body = Envelope<AssetsData>),
    (status = 400, body = ErrorEnvelope, description = "A file is no picture, too large in pixels, or damaged"),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 413, body = ErrorEnvelope),
))]
pub(super) async fn upload_media(
    State(app): State<App>,
    identity: Identity,
    meta: RequestMeta,
    mut request: Request,
) -> Answer<AssetsData> {
    let limit = app.config.media.max_bytes;
    let whole = limit.saturating_mul(MAX_FILES).saturating_add(FORM);
    let declared = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if declared.is_some_and(|declared| declared > whole) {
        return Err(Error::PayloadTooLarge { limit: whole });
    }
    DefaultBodyLimit::max(whole).apply(&mut request);
    let form = Multipart::from_request(request, &app).await.map_err(|_| {
        Error::UnsupportedMediaType("Send the files as a form, with Content-Type: multipart/form-data.".into())
    })?;
    let mut written = Vec::new();
    let taken = take_files(&app, &identity, form, limit, &mut written).await;
    let alt = match taken {
        Ok(alt) => alt,
        Err(error) => {
            service::discard(&app, &written).await?;
            return Err(error);
        }
    };
    let assets = service::keep(&app, &identity, &meta, written, &alt).await?;
    let base = app.config.public_url();
    Ok(created(AssetsData {
        assets: assets.into_iter().map(|asset| AssetView::new(asset, &app.media, &base)).collect(),
    }))
}

/// Reads a form part by part, so that no more than one file is in memory. Gives the description; what was written so far is
/// in `written`, even if a later part is refused.
async fn take_files(
    app: &App,
    identity: &Identity,
    mut form: Multipart,
    limit: usize,
    written: &mut Vec<service::Written>,
) -> Result<String> {
    let (mut alt, mut faults, mut files) = (String::new(), Vec::new(), 0);
    while let Some(part) = form.next_part(limit).await? {
        match part.name() {
            Some("file") if files == MAX_FILES => {
                return Err(Error::field("file", format!("must be at most {MAX_FILES} in one request")));
            }
            Some("file") => {
                let field = format!("file[{files}]");
                files += 1;
                let bytes = read(part, limit).await?;
                if bytes.is_empty() {
                    faults.push(FieldError::new(field, "is empty"));
                    continue;
                }
                match service::write(app, bytes, Some(identity.user_id), app.clock.now()).await? {
                    Ok(file) => written.push(file),
                    Err(refusal) => faults.push(FieldError::new(field, refusal.to_string())),
                }
            }
            Some("alt") => {
                let text = read(part, FORM).await?;
                match std::str::from_utf8(&text).map_err(|_| "must be UTF-8".to_owned()).and_then(str::parse::<Alt>) {
                    Ok(text) => alt = text.into_string(),
                    Err(fault) => faults.push(FieldError::new("alt", fault)),
                }
            }
            other => faults.push(FieldError::new(other.unwrap_or_default(), "is not a field of this request")),
        }
    }
    if files == 0 {
        faults.push(FieldError::new("file", "is required"));
    }
    if faults.is_empty() { Ok(alt) } else { Err(Error::Validation(faults)) }
}

/// The next part of a form, or what is wrong with it in the shape of all refusals.
trait Parts {
    async fn next_part(&mut self, limit: usize) -> Result<Option<Field<'_>>>;
}

impl Parts for Multipart {
    async fn next_part(&mut self, limit: usize) -> Result<Option<Field<'_>>> {
        self.next_field().await.map_err(|error| unreadable(&error, limit))
    }
}

fn unreadable(error: &MultipartError, limit: usize) -> Error {
    if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
        Error::PayloadTooLarge { limit }
    } else {
        Error::field("", "the form could not be read to its end")
    }
}

/// One part, at most `limit` bytes of it.
async fn read(mut part: Field<'_>, limit: usize) -> Result<Bytes> {
    let mut bytes = BytesMut::new();
    while let Some(chunk) = part.chunk().await.map_err(|error| unreadable(&error, limit))? {
        if bytes.len() + chunk.len() > limit {
            return Err(Error::PayloadTooLarge { limit });
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes.freeze())
}

/// A file that a browser is going to send itself.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct AllowUpload {
    /// image/jpeg, image/png, image/webp or image/gif.
    #[schema(example = "image/jpeg")]
    content_type: String,
    /// Its size.
    #[schema(minimum = 1, maximum = 10485760)]
    bytes: u64,
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
    upload: PermitView,
}

/// Allow a direct upload
#[utoipa::path(post, path = "/admin/media/upload-signature", tag = "Media, staff",
    security(("bearer" = ["manage_catalog"])), request_body = AllowUpload, responses(
    (status = 201, body = Envelope<PermitData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
))]
pub(super) async fn allow_upload(
    State(app): State<App>,
    identity: Identity,
    meta: RequestMeta,
    body: Body<AllowUpload>,
) -> Answer<PermitData> {
    let limit = u64::try_from(app.config.media.max_bytes).unwrap_or(u64::MAX);
    let mut faults = Vec::new();
    let format = Format::of_content_type(&body.value.content_type);
    if format.is_none() {
        faults.push(FieldError::new("contentType", "must be image/jpeg, image/png, image/webp or image/gif"));
    }
    if !(1..=limit).contains(&body.value.bytes) {
        faults.push(FieldError::new("bytes", format!("must be between 1 and {limit}")));
    }
    let Some(format) = format.filter(|_| faults.is_empty()) else { return Err(Error::Validation(faults)) };
    let permit = direct_service::allow(&app, &identity, &meta, format, body.value.bytes).await?;
    let Permit { id, method, url, headers, fields, expires_at } = permit;
    Ok(created(PermitData { upload: PermitView { id, method, url, headers, fields, expires_at } }))
}

/// A direct upload that is done.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct ConfirmUpload {
    /// The upload's id.
    id: AssetId,
    /// What the picture shows.
    #[schema(value_type = Option<String>, max_length = 300)]
    alt: Option<Alt>,
    /// Cloudinary's answer to the upload; of no other provider.
    cloudinary: Option<CloudinaryAnswer>,
}

/// What counts of Cloudinary's answer. It may be sent as it came.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct CloudinaryAnswer {
    public_id: String,
    version: u64,
    signature: String,
}

/// Confirm a direct upload
///
/// The file is read and checked now. Confirmed again, it is the same picture.
#[utoipa::path(post, path = "/admin/media/confirm", tag = "Media, staff", security(("bearer" = ["manage_catalog"])),
    request_body = ConfirmUpload, responses(
    (status = 201, body = Envelope<AssetData>),
    (status = 400, body = ErrorEnvelope, description = "The file is no picture, too large in pixels, or damaged"),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope, description = "There is no such upload, or it is too old"),
    (status = 409, body = ErrorEnvelope, description = "The file has not arrived"),
    (status = 413, body = ErrorEnvelope),
))]
pub(super) async fn confirm_upload(
    State(app): State<App>,
    identity: Identity,
    meta: RequestMeta,
    body: Body<ConfirmUpload>,
) -> Answer<AssetData> {
    let ConfirmUpload { id, alt, cloudinary } = body.value;
    let told = cloudinary.map(|answer| Told {
        public_id: answer.public_id,
        version: answer.version,
        signature: answer.signature,
    });
    let alt = alt.map(Text::into_string).unwrap_or_default();
    let asset = direct_service::confirm(&app, &identity, &meta, id, alt, told).await?;
    Ok(created(AssetData { asset: AssetView::new(asset, &app.media, &app.config.public_url()) }))
}

/// Which pictures.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ListMedia {
    /// Only those that a product shows, or only those that none shows.
    attached: Option<bool>,
}

/// List pictures
///
/// The newest first.
#[utoipa::path(get, path = "/admin/media", tag = "Media, staff", security(("bearer" = ["manage_catalog"])),
    params(PageQuery, ListMedia), responses(
    (status = 200, body = Envelope<ListedAssetsData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
))]
pub(super) async fn list_media(
    State(app): State<App>,
    Query(page): Query<PageQuery>,
    Query(which): Query<ListMedia>,
) -> Answer<ListedAssetsData> {
    let page = page.check(&app.config.lists)?;
    let (assets, total) = service::list(&app, which.attached, page).await?;
    let base = app.config.public_url();
    let assets = assets
        .into_iter()
        .map(|(asset, is_attached)| ListedAssetView { asset: AssetView::new(asset, &app.media, &base), is_attached })
        .collect();
    Ok(ok(ListedAssetsData { assets }).page(page.of(total)))
}

/// Delete a picture
#[utoipa::path(delete, path = "/admin/media/{asset}", tag = "Media, staff",
    security(("bearer" = ["manage_catalog"])), params(("asset" = AssetId, Path)), responses(
    (status = 200, body = Envelope<Empty>),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "A product shows it"),
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
