//! Bringing pictures in and taking them out.
//!
//! A file is made known in `media_loose` before it is written and becomes a picture in one transaction after it, so that
//! a crash at any moment leaves either a picture with its file, or a file that the clean-up knows.

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use sqlx::PgConnection;

use super::jobs::DeleteMedia;
use super::library::Media;
use super::model::{Asset, FileName, Place};
use super::process::{Processed, Refusal};
use super::storage::{Key, StorageError};
use super::store::{self, Loose};
use super::views::{AssetView, AssetsData};
use crate::app::App;
use crate::features::audit;
use crate::features::auth::Identity;
use crate::platform::crypto::sha256;
use crate::platform::error::{Error, FieldError, Result, violated_constraint};
use crate::platform::http::RequestMeta;
use crate::platform::http::keyed::{self, Begun, Keyed, Once};
use crate::platform::idempotency;
use crate::platform::ids::{AssetId, UserId};
use crate::platform::jobs;
use crate::platform::page::{Pagination, Part};

/// Places that are told when a picture cannot go because it is shown.
const TOLD_USES: i64 = 10;

/// How long the writing of a file may take at the very most. Later it counts as left behind by a crash.
pub(super) const WRITING: TimeDelta = TimeDelta::hours(1);

/// Who asks, from where, and under which key, if under one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caller<'a> {
    pub identity: &'a Identity,
    pub meta: &'a RequestMeta,
    pub key: Option<&'a idempotency::Request>,
}

/// A file that was written, but is no picture of the library yet.
#[derive(Debug)]
pub(super) struct Written {
    asset: Asset,
    loose: AssetId,
}

/// What is told to an importer that brought a picture.
#[derive(Clone, Debug)]
pub struct StoredImage {
    /// The picture.
    pub asset_id: AssetId,
    /// Its address, as products keep it.
    pub url: String,
}

/// Works on a file and writes it. The outer error is this server's, the inner one the file's.
pub(super) async fn write(
    app: &App,
    bytes: Bytes,
    created_by: Option<UserId>,
    now: DateTime<Utc>,
) -> Result<Result<Written, Refusal>> {
    match app.media.process(bytes).await? {
        Ok(processed) => write_processed(app, AssetId::new(), processed, created_by, now).await.map(Ok),
        Err(refusal) => Ok(Err(refusal)),
    }
}

pub(super) async fn write_processed(
    app: &App,
    id: AssetId,
    processed: Processed,
    created_by: Option<UserId>,
    now: DateTime<Utc>,
) -> Result<Written> {
    let Processed { format, bytes, width, height } = processed;
    let bytes = Bytes::from(bytes);
    let (storage, name) = (&app.media.storage, FileName::new(format));
    let loose = Loose { id: AssetId::new(), provider: storage.chosen, key: Key::File(name).to_string() };
    store::announce(&mut *app.db.acquire().await?, &loose, now + WRITING).await?;
    let version = match storage.put(name, bytes.clone()).await {
        // Cloudinary's accounts have limits of their own.
        Err(StorageError::TooLarge) => return Err(Error::PayloadTooLarge { limit: app.config.media.max_bytes }),
        version => version?,
    };
    let place = Place { provider: loose.provider, key: loose.key, version };
    let asset = Asset {
        id,
        url: app.media.url(&place),
        place,
        content_type: format.content_type().to_owned(),
        bytes: i64::try_from(bytes.len()).map_err(Error::internal)?,
        width: i32::try_from(width).map_err(Error::internal)?,
        height: i32::try_from(height).map_err(Error::internal)?,
        sha256: sha256(&bytes).to_vec(),
        alt: String::new(),
        created_by,
        created_at: now,
    };
    Ok(Written { asset, loose: loose.id })
}

impl Written {
    pub(super) fn set_alt(&mut self, alt: String) {
        self.asset.alt = alt;
    }
}

/// Makes a written file a picture.
pub(super) async fn take(tx: &mut PgConnection, written: Written) -> Result<Asset> {
    if !store::take(tx, written.loose).await? {
        return Err(Error::Unavailable(anyhow::anyhow!("a picture took so long that the clean-up took its file")));
    }
    store::insert(tx, &written.asset).await?;
    Ok(written.asset)
}

/// Begins the transaction that takes written files in. Under a key that was used meanwhile, or is being used, they are given up.
pub(super) async fn begin<'a>(app: &App, caller: Caller<'a>, written: &[Written]) -> Result<Begun<'a>> {
    let begun = keyed::begin(&app.db, caller.key, app.clock.now()).await;
    if !matches!(begun, Ok(Begun::Open(_))) {
        discard(app, written).await?;
    }
    begun
}

/// Takes several files in, all or none, in the transaction that records it.
pub(super) async fn keep(app: &App, caller: Caller<'_>, written: Vec<Written>, alt: &str) -> Result<Keyed> {
    let mut tx = match begin(app, caller, &written).await? {
        Begun::Given(answer) => return Ok(answer),
        Begun::Open(tx) => tx,
    };
    let done = keep_in(&mut tx, app, caller, written, alt).await;
    tx.end(done).await
}

async fn keep_in(tx: &mut Once<'_>, app: &App, caller: Caller<'_>, written: Vec<Written>, alt: &str) -> Result<Keyed> {
    let mut assets = Vec::with_capacity(written.len());
    for mut file in written {
        file.set_alt(alt.to_owned());
        assets.push(take(tx, file).await?);
    }
    let id = assets.first().map(|asset| asset.id);
    let after = json!({ "assets": assets.iter().map(described).collect::<Vec<_>>() });
    let assets = assets.into_iter().map(|asset| AssetView::new(app, asset)).collect();
    let answer = tx.answer(201, AssetsData { assets }).await?;
    record(tx, app, Some(caller.identity), caller.meta, "media.upload", id, None, Some(after)).await?;
    Ok(answer)
}

/// Gives written files up, after another one of the same request was refused.
pub(super) async fn discard(app: &App, written: &[Written]) -> Result<()> {
    if written.is_empty() {
        return Ok(());
    }
    let ids: Vec<AssetId> = written.iter().map(|file| file.loose).collect();
    let mut tx = app.db.begin().await?;
    remove_later(&mut tx, app, &ids).await?;
    tx.commit().await?;
    app.waker.wake();
    Ok(())
}

async fn remove_later(tx: &mut PgConnection, app: &App, loose: &[AssetId]) -> Result<()> {
    store::discard(tx, loose, app.clock.now()).await?;
    for id in loose {
        jobs::enqueue(tx, &DeleteMedia { loose: *id }, app.config.jobs.max_attempts).await?;
    }
    Ok(())
}

/// Takes a picture in for the program itself, such as one that an import names. It is removed after some days unless a
/// product or a variant shows it.
///
/// # Errors
/// `Validation` when the bytes are no picture that the shop takes; `PayloadTooLarge`; or when the store does not answer.
pub async fn store_image(
    app: &App,
    bytes: Bytes,
    created_by: Option<UserId>,
    now: DateTime<Utc>,
) -> Result<StoredImage> {
    let limit = app.config.media.max_bytes;
    if bytes.len() > limit {
        return Err(Error::PayloadTooLarge { limit });
    }
    let written = write(app, bytes, created_by, now).await?.map_err(|refusal| refused("file", &refusal))?;
    let mut tx = app.db.begin().await?;
    let asset = take(&mut tx, written).await?;
    tx.commit().await?;
    Ok(StoredImage { asset_id: asset.id, url: asset.url })
}

pub(super) fn refused(field: &str, refusal: &Refusal) -> Error {
    Error::field(field, refusal.to_string())
}

/// Pictures, the newest first.
///
/// # Errors
/// `Validation` of a page that only a cursor leads to.
pub(super) async fn list(app: &App, attached: Option<bool>, part: Part) -> Result<(Vec<(Asset, bool)>, Pagination)> {
    let mut connection = app.db.acquire().await?;
    let c = &mut *connection;
    let total = if part.behind.is_none() { Some(store::total(c, attached).await?) } else { None };
    part.check_depth(total)?;
    let (assets, next) = store::list(c, attached, part).await?;
    Ok((assets, part.pagination(total, next)))
}

/// A picture that a product may show. The caller's transaction has to insert a reference to it, which fails if the picture
/// is deleted meanwhile.
///
/// # Errors
/// When the statement fails.
pub async fn find_asset(c: &mut PgConnection, id: AssetId) -> Result<Option<Asset>> {
    Ok(store::find(c, id).await?.map(|(asset, _)| asset))
}

fn is_in_use(error: &sqlx::Error) -> bool {
    matches!(violated_constraint(error), Some("product_images_asset_id_fkey" | "variants_asset_id_fkey"))
}

/// Says where a picture is shown that somebody wants to delete.
async fn in_use(app: &App, id: AssetId) -> Result<Error> {
    let (uses, total) = store::uses(&mut *app.db.acquire().await?, id, TOLD_USES).await?;
    let details = uses.iter().map(|shown| match &shown.variant_sku {
        Some(sku) => FieldError::new("variant", format!("{sku} of {} ({})", shown.product_title, shown.product_id)),
        None => FieldError::new("product", format!("{} ({})", shown.product_title, shown.product_id)),
    });
    let details = details.collect();
    let places =
        if total == 1 { "One product or variant shows".into() } else { format!("{total} products and variants show") };
    Ok(Error::Conflict { message: format!("{places} this picture. Take it off there first."), details })
}

/// Deletes a picture; its file goes after the commit.
pub(super) async fn delete(app: &App, actor: Option<&Identity>, meta: &RequestMeta, id: AssetId) -> Result<()> {
    let mut tx = app.db.begin().await?;
    let Some((asset, _)) = store::find(&mut tx, id).await? else { return Err(Error::NotFound("The picture")) };
    let loose = AssetId::new();
    // The clean-up found it unused a moment ago.
    let deleted = store::delete(&mut tx, id, loose, actor.is_none(), app.clock.now()).await;
    match deleted {
        Err(error) if is_in_use(&error) => {
            tx.rollback().await?;
            return Err(in_use(app, id).await?);
        }
        Ok(false) => return Err(Error::NotFound("The picture")),
        other => other?,
    };
    jobs::enqueue(&mut tx, &DeleteMedia { loose }, app.config.jobs.max_attempts).await?;
    record(&mut tx, app, actor, meta, "media.delete", Some(id), Some(described(&asset)), None).await?;
    tx.commit().await?;
    app.waker.wake();
    Ok(())
}

/// A picture as the audit log tells it.
pub(super) fn described(asset: &Asset) -> Value {
    json!({
        "id": asset.id, "provider": asset.place.provider, "key": asset.place.key, "contentType": asset.content_type,
        "bytes": asset.bytes, "width": asset.width, "height": asset.height, "sha256": hex::encode(&asset.sha256),
    })
}

#[expect(clippy::too_many_arguments, reason = "an audit entry has that many parts")]
pub(super) async fn record(
    tx: &mut PgConnection,
    app: &App,
    actor: Option<&Identity>,
    meta: &RequestMeta,
    action: &'static str,
    id: Option<AssetId>,
    before: Option<Value>,
    after: Option<Value>,
) -> Result<()> {
    let entity_id = id.map(|id| id.to_string());
    let entry = audit::Entry { actor, action, entity: "media", entity_id, before, after };
    audit::record(tx, entry, meta, app.clock.now()).await
}

/// Removes files that are due, or the one that is named. Gives how many there were.
pub(super) async fn remove_due(app: &App, only: Option<AssetId>, limit: i64) -> Result<usize> {
    let due = store::claim_removals(&mut *app.db.acquire().await?, only, app.clock.now(), limit).await?;
    let (media, mut failure): (&Media, _) = (&app.media, None);
    for loose in &due {
        match media.remove(loose.provider, &loose.key).await {
            Ok(()) => store::forget(&mut *app.db.acquire().await?, loose.id).await?,
            Err(error) => {
                tracing::warn!(key = %loose.key, error = format!("{error:#}"), "a file could not be removed");
                failure = Some(error);
            }
        }
    }
    failure.map_or(Ok(due.len()), |error| Err(error.into()))
}

/// Deletes pictures that no product ever showed and that are older than the settings say. Gives how many it looked at.
pub(super) async fn forget_unused(app: &App, limit: i64) -> Result<usize> {
    let (days, now) = (app.config.media.unattached_days, app.clock.now());
    if days == 0 {
        return Ok(0);
    }
    let old = store::never_attached(&mut *app.db.acquire().await?, now - TimeDelta::days(days), limit).await?;
    for id in &old {
        // One by one: a product that takes a picture now must not keep the others.
        match delete(app, None, &RequestMeta::system(), *id).await {
            Ok(()) | Err(Error::NotFound(_) | Error::Conflict { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(old.len())
}
