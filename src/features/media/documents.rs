//! Private files of the shop's own making, such as invoices, at the same places as pictures. They are sealed for their owner, so
//! that whoever reads the place reads nothing; each is written once under a name of its own.
//!
//! As with pictures, a file is known in `media_loose` before it is written and after it was given up.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::jobs::DeleteMedia;
use super::model::Place;
use super::service::WRITING;
use super::storage::{Key, StorageError};
use super::store::{self, Loose};
use crate::app::App;
use crate::platform::error::{Error, Result};
use crate::platform::ids::AssetId;
use crate::platform::jobs;

/// Bytes of the largest document that is read.
const MAX_DOCUMENT: u64 = 16 * 1024 * 1024;

/// A document that was written and belongs to nobody yet.
#[derive(Debug)]
pub struct WrittenDocument {
    place: Place,
    loose: AssetId,
}

/// Seals a document for its owner and writes it.
///
/// # Errors
/// `Unavailable` when the media store is.
pub async fn write_document(app: &App, owner: &[u8], bytes: &[u8]) -> Result<WrittenDocument> {
    let sealed = Bytes::from(app.vault.seal(owner, bytes)?);
    let (storage, id) = (&app.media.storage, Uuid::now_v7());
    let loose = Loose { id: AssetId::new(), provider: storage.chosen, key: Key::Document(id).to_string() };
    store::announce(&mut *app.db.acquire().await?, &loose, app.clock.now() + WRITING).await?;
    let version = storage.put_document(id, sealed).await?;
    Ok(WrittenDocument { place: Place { provider: loose.provider, key: loose.key, version }, loose: loose.id })
}

/// Keeps a written document: the caller's transaction has to store its place.
///
/// # Errors
/// `Unavailable` when writing took so long that the clean-up has it.
pub async fn keep_document(c: &mut PgConnection, written: WrittenDocument) -> Result<Place> {
    if !store::take(c, written.loose).await? {
        return Err(Error::Unavailable(anyhow::anyhow!("a document took too long to be written")));
    }
    Ok(written.place)
}

/// Gives up documents that the caller's transaction forgets. They are removed after its commit.
///
/// # Errors
/// The database's.
pub async fn give_up_documents(app: &App, c: &mut PgConnection, places: &[Place], now: DateTime<Utc>) -> Result<()> {
    for place in places {
        let loose = Loose { id: AssetId::new(), provider: place.provider, key: place.key.clone() };
        store::announce(c, &loose, now).await?;
        store::discard(c, &[loose.id], now).await?;
        jobs::enqueue(c, &DeleteMedia { loose: loose.id }, app.config.jobs.max_attempts).await?;
    }
    Ok(())
}

/// Reads a document. None where its file is gone, or was sealed with a key that is.
///
/// # Errors
/// `Unavailable` when the media store is.
pub async fn read_document(app: &App, owner: &[u8], place: &Place) -> Result<Option<Vec<u8>>> {
    let odd = || Error::internal(anyhow::anyhow!("{:?} is no name of a document", place.key));
    let key: Key = place.key.parse().map_err(|()| odd())?;
    let version = u64::try_from(place.version.unwrap_or_default()).map_err(Error::internal)?;
    match app.media.storage.get(place.provider, key, version, MAX_DOCUMENT).await {
        Ok(sealed) => Ok(app.vault.open(owner, &sealed).ok()),
        Err(StorageError::Missing) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
