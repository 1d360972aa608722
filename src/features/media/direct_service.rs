//! Uploads that go from a browser straight to the store. What arrives there is nothing yet: when the browser says that it
//! is done, the file is read, checked and written anew as any other, and only that one becomes a picture.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use super::model::{Format, Provider};
use super::service::{self, Caller, Written, described, record, refused};
use super::signer::Ticket;
use super::storage::{Key, StorageError};
use super::store::{self, Announced, Loose};
use super::views::{AssetData, AssetView, PermitData};
use crate::app::App;
use crate::platform::error::{Error, Result};
use crate::platform::http::keyed::{self, Begun, Keyed, Once};
use crate::platform::ids::AssetId;

/// How long the address of an upload works.
const VALID: Duration = Duration::from_secs(15 * 60);

/// How long an upload may wait for its confirmation.
const KEPT: TimeDelta = TimeDelta::hours(24);

/// After its confirmation, when what was sent is removed once more: long after the last moment at which somebody could still be
/// sending, which at Cloudinary is an hour after the permission.
const REMOVED: TimeDelta = TimeDelta::hours(3);

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
pub(super) async fn allow(app: &App, caller: Caller<'_>, format: Format, bytes: u64) -> Result<Keyed> {
    let now = app.clock.now();
    let mut tx = match keyed::begin(&app.db, caller.key, now).await? {
        Begun::Given(answer) => return Ok(answer),
        Begun::Open(tx) => tx,
    };
    let done = allow_in(&mut tx, app, caller, format, bytes).await;
    tx.end(done).await
}

async fn allow_in(tx: &mut Once<'_>, app: &App, caller: Caller<'_>, format: Format, bytes: u64) -> Result<Keyed> {
    let permit = permit(app, format, bytes)?;
    let (now, id, provider) = (app.clock.now(), permit.id, app.media.storage.chosen);
    let loose = Loose { id, provider, key: Key::Incoming(id).to_string() };
    let announced = Announced { content_type: format.content_type().to_owned(), bytes: signed(bytes)? };
    store::announce_upload(tx, &loose, &announced, now + KEPT).await?;
    let answer = tx.answer(201, PermitData { upload: permit.into() }).await?;
    let after = json!({"contentType": format.content_type(), "bytes": bytes, "provider": provider});
    let action = "media.allow_upload";
    record(tx, app, Some(caller.identity), caller.meta, action, Some(id), None, Some(after)).await?;
    Ok(answer)
}

fn signed(bytes: u64) -> Result<i64> {
    i64::try_from(bytes).map_err(Error::internal)
}

/// What a browser has to say to the store. Nothing is sent for it.
fn permit(app: &App, format: Format, bytes: u64) -> Result<Permit> {
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
    Ok(permit)
}

/// Whether an upload of this id is still waited for.
pub(super) async fn is_open(app: &App, id: AssetId) -> Result<bool> {
    Ok(store::find_upload(&mut *app.db.acquire().await?, id, app.clock.now()).await?.is_some())
}

/// Makes a picture of what a browser sent. Asked again, it gives the same picture.
pub(super) async fn confirm(
    app: &App,
    caller: Caller<'_>,
    id: AssetId,
    alt: String,
    told: Option<Told>,
) -> Result<Keyed> {
    let now = app.clock.now();
    let (upload, known) = {
        let mut c = app.db.acquire().await?;
        if let Some(answer) = keyed::find(&mut c, caller.key, now).await? {
            return Ok(answer);
        }
        (store::find_upload(&mut c, id, now).await?, store::find(&mut c, id).await?)
    };
    let mut written = None;
    if known.is_none() {
        let (loose, announced) = upload.ok_or(Error::NotFound("The upload"))?;
        if let Some(sent) = fetch(app, &loose, announced.as_ref(), told).await? {
            let processed = app.media.process(sent).await?.map_err(|refusal| refused("file", &refusal))?;
            let mut file = service::write_processed(app, id, processed, Some(caller.identity.user_id), now).await?;
            file.set_alt(alt);
            written = Some((loose, file));
        } else if store::find(&mut *app.db.acquire().await?, id).await?.is_none() {
            // Otherwise somebody else has confirmed it meanwhile, and it is gone because it is a picture.
            return Err(Error::conflict("The file has not arrived. Send it to the upload's address first."));
        }
    }
    let (loose, file) = written.unzip();
    let mut files: Vec<_> = file.into_iter().collect();
    let mut tx = match service::begin(app, caller, &files).await? {
        Begun::Given(answer) => return Ok(answer),
        Begun::Open(tx) => tx,
    };
    let done = confirm_in(&mut tx, app, caller, id, &mut files).await;
    let answer = tx.end(done).await?;
    // Somebody else confirmed it meanwhile, and this one is too many.
    service::discard(app, &files).await?;
    if let Some(loose) = loose {
        clear(app, &loose).await;
    }
    Ok(answer)
}

/// What a browser sent, if it is of the length and the kind that were announced; none where nothing is there. A store that has
/// something longer is not read.
async fn fetch(app: &App, upload: &Loose, announced: Option<&Announced>, told: Option<Told>) -> Result<Option<Bytes>> {
    let (id, storage) = (upload.id, &app.media.storage);
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
    // A server of an earlier version keeps no length.
    let limit = match announced {
        Some(announced) => usize::try_from(announced.bytes).map_err(Error::internal)?,
        None => app.config.media.max_bytes,
    };
    let sent = match storage.sent(upload.provider, id, version, limit).await {
        Err(StorageError::Missing) => return Ok(None),
        Err(StorageError::TooLarge) => return Err(Error::PayloadTooLarge { limit }),
        sent => sent?,
    };
    let Some(announced) = announced else { return Ok(Some(sent)) };
    if sent.len() != limit {
        return Err(Error::field("file", format!("has {} bytes, and {limit} were announced", sent.len())));
    }
    match Format::sniff(&sent).map(Format::content_type) {
        Some(found) if found != announced.content_type => {
            Err(Error::field("file", format!("is {found}, and {} was announced", announced.content_type)))
        }
        // What is no picture at all is told by who reads it.
        _ => Ok(Some(sent)),
    }
}

/// Takes the one file in, or leaves it where somebody else was faster.
async fn confirm_in(
    tx: &mut Once<'_>,
    app: &App,
    caller: Caller<'_>,
    id: AssetId,
    files: &mut Vec<Written>,
) -> Result<Keyed> {
    let now = app.clock.now();
    let is_mine = !files.is_empty() && store::close_upload(tx, id, now + REMOVED).await?;
    let asset = match files.pop_if(|_| is_mine) {
        Some(file) => service::take(tx, file).await?,
        None => store::find(tx, id).await?.ok_or(Error::NotFound("The upload"))?.0,
    };
    let after = json!({"assets": [described(&asset)]});
    let answer = tx.answer(201, AssetData { asset: AssetView::new(app, asset) }).await?;
    if is_mine {
        record(tx, app, Some(caller.identity), caller.meta, "media.upload", Some(id), None, Some(after)).await?;
    }
    Ok(answer)
}

/// Removes what was sent, after it has become a picture. It is removed once more when nobody can send it again, and then too if
/// this fails.
async fn clear(app: &App, upload: &Loose) {
    if let Err(error) = app.media.remove(upload.provider, &upload.key).await {
        tracing::warn!(key = %upload.key, error = format!("{error:#}"), "an upload is removed later");
    }
}
