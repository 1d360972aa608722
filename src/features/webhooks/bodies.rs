//! Bodies at rest: sealed for the event that they are of.

use sqlx::PgConnection;

use super::model::EMPTIED;
use super::store::upkeep;
use super::store::{self, NewEvent, StoredBody};
use crate::app::App;
use crate::platform::error::Result;
use crate::platform::ids::WebhookEventId;

/// Bodies that one transaction seals anew.
const STEP: i64 = 200;

/// The body sealed with the current key.
pub(super) fn seal(app: &App, dedupe_key: &str, body: &[u8]) -> Result<Vec<u8>> {
    app.vault.seal(dedupe_key.as_bytes(), body)
}

/// The body byte for byte; none where it was emptied.
///
/// # Errors
/// `Internal` when its key is gone.
pub(super) fn open(app: &App, stored: StoredBody) -> Result<Option<Vec<u8>>> {
    if stored.body == EMPTIED {
        return Ok(None);
    }
    // From before bodies were sealed.
    if stored.sealed_by == 0 {
        return Ok(Some(stored.body));
    }
    app.vault.open(stored.dedupe_key.as_bytes(), &stored.body).map(Some)
}

/// Seals with the current key what is sealed with the previous one or not at all, so that that key can go.
///
/// # Errors
/// `Internal` when a body cannot be opened with either, once all others are sealed; or the database's.
pub async fn renew_seals(app: &App) -> Result<()> {
    let mut failure = None;
    let mut last = None;
    loop {
        let mut tx = app.db.begin().await?;
        let outdated = upkeep::sealed_otherwise(&mut tx, app.vault.key_number(), last, STEP).await?;
        let Some((id, ..)) = outdated.last() else { return failure.map_or(Ok(()), Err) };
        last = Some(*id);
        for (id, stored) in outdated {
            let dedupe_key = stored.dedupe_key.clone();
            let resealed =
                open(app, stored).and_then(|body| body.map(|body| seal(app, &dedupe_key, &body)).transpose());
            match resealed {
                Ok(Some(body)) => upkeep::reseal(&mut tx, id, &body, app.vault.key_number()).await?,
                Ok(None) => {}
                Err(error) => failure = Some(error),
            }
        }
        tx.commit().await?;
    }
}

/// Stores a delivery sealed. Gives the event's id where there is work.
pub(super) async fn insert(
    app: &App,
    tx: &mut PgConnection,
    event: &paystack::webhook::Event,
    body: &[u8],
) -> Result<Option<WebhookEventId>> {
    let dedupe_key = event.dedupe_key();
    let sealed = seal(app, &dedupe_key, body)?;
    let new = NewEvent {
        dedupe_key: &dedupe_key,
        event: event.name(),
        reference: event.reference(),
        body: &sealed,
        sealed_by: app.vault.key_number(),
    };
    Ok(store::insert(tx, &new, app.clock.now()).await?)
}
