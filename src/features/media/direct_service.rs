//! Uploads that go from a browser straight to the store. What arrives there is nothing yet: when the browser says that it
//! is done, the file is read, checked and written anew as any other, and only that one becomes a picture.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use super::model::{Asset, Format, Provider};
use super::service::{self, described, record, refused};
use super::signer::Ticket;
use super::storage::{Key, StorageError};
use super::store::{self, Loose, Purpose};
use crate::app::App;
use crate::features::auth::Identity;
use crate::platform::error::{Error, Result};
use crate::platform::http::RequestMeta;
use crate::platform::ids::AssetId;

/// How long the address of an upload works.
const VALID: Duration = Duration::from_secs(15 * 60);

/// When what was sent is removed. Long after the last moment at which somebody could still be sending.
const KEPT: TimeDelta = TimeDelta::hours(24);

/// How a browser sends its file.
#[derive(Debug)]
pub(super) struct Permit {
    pub id: AssetId,
    /// PUT with the file as the body, or POST with a form.
    pub method: &'static str,
    pub url: String,
    /// What a PUT has to say, exactly.
    pub headers: BTreeMap<String, String>,
    /// What a POST has to bring beside the field `file`.
    pub fields: BTreeMap<String, String>,
    pub expires_at: DateTime<Utc>,
}

/// What Cloudinary told the browser about its upload.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub public_id: String,
    pub version: u64,
    pub signature: String,
}

/// Allows one upload of a file of this type and size.
pub(super) async fn allow(
    app: &App,
    actor: &Identity,
    meta: &RequestMeta,
    format: Format,
    bytes: u64,
) -> Result<Permit> {
    let (now, storage) = (app.clock.now(), &app.media.storage);
    let id = AssetId::new();
    let key = Key::Incoming(id);
    let expires_at = now + TimeDelta::from_std(VALID).map_err(Error::internal)?;
    let headers = BTreeMap::from([("Content-Type".to_owned(), format.content_type().to_owned())]);
    let mut permit = Permit { id, method: "PUT", url: String::new(), headers, fields: BTreeMap::new(), expires_at };
    match storage.chosen {
        Provider::Local => {
            let ticket = Ticket { upload: id, expires_at: expires_at.timestamp(), bytes };
            permit.url = format!("{}{}", app.config.public_url(), app.media.signer.ticket_path(ticket));
        }
        Provider::S3 => permit.url = storage.s3()?.upload_url(key, format.content_type(), bytes, VALID),
        Provider::Cloudinary => {
            let form = storage.cloudinary()?.form(key, format, now)?;
            permit.method = "POST";
            permit.headers.clear();
            permit.url = form.url;
            permit.fields = form.fields;
            permit.expires_at = DateTime::from_timestamp(form.expires_at, 0).unwrap_or(expires_at);
        }
    }
    let loose = Loose { id, provider: storage.chosen, key: key.to_string() };
    let mut tx = app.db.begin().await?;
    store::announce(&mut tx, &loose, Purpose::Upload, now + KEPT).await?;
    let after = json!({"contentType": format.content_type(), "bytes": bytes, "provider": storage.chosen});
    record(&mut tx, app, Some(actor), meta, "media.allow_upload", Some(id), None, Some(after)).await?;
    tx.commit().await?;
    Ok(permit)
}

/// Whether an upload of this id is still waited for.
pub(super) async fn is_open(app: &App, id: AssetId) -> Result<bool> {
    Ok(store::find_upload(&mut *app.db.acquire().await?, id, app.clock.now()).await?.is_some())
}

/// Makes a picture of what a browser sent. Asked again, it gives the same picture.
pub(super) async fn confirm(
    app: &App,
    actor: &Identity,
    meta: &RequestMeta,
    id: AssetId,
    alt: String,
    told: Option<Told>,
) -> Result<Asset> {
    let now = app.clock.now();
    let (upload, known) = {
        let mut c = app.db.acquire().await?;
        (store::find_upload(&mut c, id, now).await?, store::find(&mut c, id).await?)
    };
    if let Some((asset, _)) = known {
        return Ok(asset);
    }
    let upload = upload.ok_or(Error::NotFound("The upload"))?;
    let storage = &app.media.storage;
    let version = match (upload.provider, told) {
        (Provider::Local | Provider::S3, _) => 0,
        (Provider::Cloudinary, None) => {
            return Err(Error::field("cloudinary", "must be Cloudinary's answer to the upload"));
        }
        (Provider::Cloudinary, Some(told)) => {
            let Told { public_id, version, signature } = told;
            if !storage.cloudinary()?.has_told(Key::Incoming(id), &public_id, version, &signature) {
                return Err(Error::field("cloudinary", "is not Cloudinary's answer to this upload"));
            }
            version
        }
    };
    let sent = match storage.sent(upload.provider, id, version, app.config.media.max_bytes).await {
        Err(StorageError::Missing) => {
            return Err(Error::conflict("The file has not arrived. Send it to the upload's address first."));
        }
        Err(StorageError::TooLarge) => {
            return Err(Error::PayloadTooLarge { limit: app.config.media.max_bytes });
        }
        sent => sent?,
    };
    let processed = app.media.process(sent).await?.map_err(|refusal| refused("file", &refusal))?;
    let mut written = service::write_processed(app, id, processed, Some(actor.user_id), now).await?;
    written.set_alt(alt);
    let mut tx = app.db.begin().await?;
    if !store::close_upload(&mut tx, id).await? {
        // Somebody else confirmed it meanwhile.
        tx.rollback().await?;
        service::discard(app, &[written]).await?;
        let known = store::find(&mut *app.db.acquire().await?, id).await?;
        return known.map(|(asset, _)| asset).ok_or(Error::NotFound("The upload"));
    }
    let asset = service::take(&mut tx, written).await?;
    record(
        &mut tx,
        app,
        Some(actor),
        meta,
        "media.upload",
        Some(id),
        None,
        Some(json!({"assets": [described(&asset)]})),
    )
    .await?;
    tx.commit().await?;
    Ok(asset)
}
