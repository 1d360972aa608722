//! Uploads that go from a browser straight to the store: before, and after.

use axum::extract::State;
use serde::Deserialize;
use utoipa::ToSchema;

use super::direct_service::{self, Told};
use super::model::{Alt, Format};
use super::service::Caller;
use super::views::{AssetData, PermitData};
use crate::app::App;
use crate::features::auth::Identity;
use crate::platform::error::{Error, FieldError, Result};
use crate::platform::http::keyed::{self, Keyed};
use crate::platform::http::{Body, Envelope, ErrorEnvelope, IdempotencyHeader, RequestMeta};
use crate::platform::ids::AssetId;
use crate::platform::text::Text;

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

/// Allow a direct upload
#[utoipa::path(post, path = "/admin/media/upload-signature", tag = "Media, staff",
    security(("bearer" = ["manage_catalog"])),
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 255 characters, kept for 24 hours")),
    request_body = AllowUpload, responses(
    (status = 201, body = Envelope<PermitData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "The same key is still running"),
    (status = 415, body = ErrorEnvelope, description = "The body is not JSON"),
    (status = 422, body = ErrorEnvelope, description = "The key was used with another body"),
))]
pub(super) async fn allow_upload(
    State(app): State<App>,
    identity: Identity,
    meta: RequestMeta,
    IdempotencyHeader(key): IdempotencyHeader,
    body: Body<AllowUpload>,
) -> Result<Keyed> {
    let key = keyed::key(key, identity.user_id, "POST /admin/media/upload-signature", "", &body.fingerprint);
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
    let caller = Caller { identity: &identity, meta: &meta, key: key.as_ref() };
    direct_service::allow(&app, caller, format, body.value.bytes).await
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
/// The file is read and checked now, and must be what was announced. Confirmed again, with or without a key, it is the same
/// picture.
#[utoipa::path(post, path = "/admin/media/confirm", tag = "Media, staff", security(("bearer" = ["manage_catalog"])),
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 255 characters, kept for 24 hours")),
    request_body = ConfirmUpload, responses(
    (status = 201, body = Envelope<AssetData>),
    (status = 400, body = ErrorEnvelope, description = "The file is no picture, another than announced, too large in pixels, or damaged"),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope, description = "There is no such upload, or it is too old"),
    (status = 409, body = ErrorEnvelope, description = "The file has not arrived, or the same key is still running"),
    (status = 413, body = ErrorEnvelope),
    (status = 415, body = ErrorEnvelope, description = "The body is not JSON"),
    (status = 422, body = ErrorEnvelope, description = "The key was used with another body"),
))]
pub(super) async fn confirm_upload(
    State(app): State<App>,
    identity: Identity,
    meta: RequestMeta,
    IdempotencyHeader(key): IdempotencyHeader,
    body: Body<ConfirmUpload>,
) -> Result<Keyed> {
    let key = keyed::key(key, identity.user_id, "POST /admin/media/confirm", "", &body.fingerprint);
    let ConfirmUpload { id, alt, cloudinary } = body.value;
    let told = cloudinary.map(|answer| Told {
        public_id: answer.public_id,
        version: answer.version,
        signature: answer.signature,
    });
    let alt = alt.map(Text::into_string).unwrap_or_default();
    let caller = Caller { identity: &identity, meta: &meta, key: key.as_ref() };
    direct_service::confirm(&app, caller, id, alt, told).await
}
