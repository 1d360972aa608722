//! Keeping the address book. One entry is the default as long as there are any.

use serde::Serialize;
use sqlx::types::Json;

use super::store::{self, Entry};
use crate::app::App;
use crate::platform::address::Address;
use crate::platform::error::{Error, Result};
use crate::platform::http::keyed::{self, Begun, Keyed};
use crate::platform::idempotency;
use crate::platform::ids::{AddressId, UserId};

/// Entries of one book.
const MAX: i64 = 20;

pub(super) async fn list(app: &App, user: UserId) -> Result<Vec<Entry>> {
    Ok(store::list(&mut *app.db.acquire().await?, user).await?)
}

/// An entry to add.
#[derive(Debug)]
pub(super) struct NewEntry {
    pub label: String,
    pub address: Address,
    pub is_default: bool,
}

/// Adds an entry. The first is the default whatever it says. `view` makes the answer.
///
/// # Errors
/// `Conflict` when the book is full; what [`idempotency::claim`] refuses.
pub(super) async fn create<T: Serialize>(
    app: &App,
    user: UserId,
    new: NewEntry,
    key: Option<idempotency::Request>,
    view: impl FnOnce(Entry) -> T,
) -> Result<Keyed> {
    let now = app.clock.now();
    let mut tx = match keyed::begin(&app.db, key.as_ref(), now).await? {
        Begun::Given(answer) => return Ok(answer),
        Begun::Open(tx) => tx,
    };
    let done = async {
        let entries = store::lock_book(&mut tx, user).await?;
        if entries >= MAX {
            return Err(Error::conflict(format!("An address book has at most {MAX} entries. Remove one first.")));
        }
        let NewEntry { label, address, is_default } = new;
        let is_default = is_default || entries == 0;
        if is_default {
            store::clear_default(&mut tx, user).await?;
        }
        let address = Json(address);
        let entry = Entry { id: AddressId::new(), label, address, is_default, created_at: now, updated_at: now };
        store::save(&mut tx, user, &entry).await?;
        tx.answer(201, view(entry)).await
    }
    .await;
    tx.end(done).await
}

/// Changes an entry; what is none stays. The default stops being it when another becomes it.
///
/// # Errors
/// `NotFound`; `Validation` when the default is to be none without another in its place.
pub(super) async fn update(
    app: &App,
    user: UserId,
    id: AddressId,
    label: Option<String>,
    address: Option<Address>,
    is_default: Option<bool>,
) -> Result<Entry> {
    let mut tx = app.db.begin().await?;
    store::lock_book(&mut tx, user).await?;
    let mut entry = store::find(&mut tx, user, id).await?.ok_or(Error::NotFound("The address"))?;
    match is_default {
        Some(false) if entry.is_default => {
            return Err(Error::field("isDefault", "must be true for the default; make another address the default"));
        }
        Some(true) if !entry.is_default => {
            store::clear_default(&mut tx, user).await?;
            entry.is_default = true;
        }
        _ => {}
    }
    entry.label = label.unwrap_or(entry.label);
    entry.address = address.map_or(entry.address, Json);
    entry.updated_at = app.clock.now();
    store::save(&mut tx, user, &entry).await?;
    tx.commit().await?;
    Ok(entry)
}

/// Removes an entry. Another becomes the default if it was.
///
/// # Errors
/// `NotFound`.
pub(super) async fn delete(app: &App, user: UserId, id: AddressId) -> Result<()> {
    let mut tx = app.db.begin().await?;
    store::lock_book(&mut tx, user).await?;
    if store::delete(&mut tx, user, id).await?.ok_or(Error::NotFound("The address"))? {
        store::promote_oldest(&mut tx, user).await?;
    }
    tx.commit().await
}
