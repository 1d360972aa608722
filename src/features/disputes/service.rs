//! Disputes as staff look at them, and what they write on them.

use serde_json::Value;
use sqlx::PgConnection;

use super::store::Dispute;
use super::store::staff::{self, Filter, Note};
use super::view::{DisputeData, DisputeView};
use crate::app::App;
use crate::features::audit;
use crate::features::auth::Identity;
use crate::platform::error::{Error, Result, violated_constraint};
use crate::platform::http::RequestMeta;
use crate::platform::http::keyed::{self, Begun, Keyed};
use crate::platform::idempotency;
use crate::platform::ids::DisputeId;
use crate::platform::page::{Pagination, Part};

/// Disputes, the newest first.
///
/// # Errors
/// `Validation` of a page that only a cursor leads to.
pub(super) async fn list(app: &App, filter: Filter, part: Part) -> Result<(Vec<DisputeView>, Pagination)> {
    let mut connection = app.db.acquire().await?;
    let total = if part.behind.is_none() { Some(staff::total(&mut connection, filter).await?) } else { None };
    part.check_depth(total)?;
    let (rows, next) = staff::list(&mut connection, filter, part).await?;
    let views = rows.into_iter().map(|dispute| DisputeView::new(dispute, filter.now)).collect();
    Ok((views, part.pagination(total, next)))
}

/// One dispute.
///
/// # Errors
/// `NotFound`.
pub async fn find(c: &mut PgConnection, id: DisputeId) -> Result<Dispute> {
    staff::find(c, id).await?.ok_or(Error::NotFound("The dispute"))
}

/// One dispute with its notes.
///
/// # Errors
/// `NotFound`.
pub(super) async fn get(app: &App, id: DisputeId) -> Result<(Dispute, Vec<Note>)> {
    let mut connection = app.db.acquire().await?;
    let dispute = find(&mut connection, id).await?;
    Ok((dispute, staff::notes(&mut connection, id).await?))
}

/// Writes a note. Its words go with the buyer and are not in the log.
///
/// # Errors
/// `NotFound`; `Conflict` when the buyer was erased (`dispute_notes_of_live_buyers`); what [`idempotency::claim`] refuses.
pub(super) async fn add_note(
    app: &App,
    actor: &Identity,
    meta: &RequestMeta,
    id: DisputeId,
    text: &str,
    key: Option<idempotency::Request>,
) -> Result<Keyed> {
    let now = app.clock.now();
    let mut tx = match keyed::begin(&app.db, key.as_ref(), now).await? {
        Begun::Given(answer) => return Ok(answer),
        Begun::Open(tx) => tx,
    };
    let done = async {
        let dispute = DisputeView::new(find(&mut tx, id).await?, now);
        let written = staff::add_note(&mut tx, id, actor.user_id, text, now).await;
        written.map_err(|error| match violated_constraint(&error) {
            Some("dispute_notes_of_live_buyers") => {
                Error::conflict("The buyer of this order was erased; nothing is written about it any more.")
            }
            _ => error.into(),
        })?;
        let notes = staff::notes(&mut tx, id).await?.into_iter().map(Into::into).collect();
        let answer = tx.answer(201, DisputeData { dispute, notes }).await?;
        record(&mut tx, app, (actor, meta), ("dispute.note", id), None).await?;
        Ok(answer)
    }
    .await;
    tx.end(done).await
}

/// Writes the entry of a deed, as the last write of its transaction.
///
/// # Errors
/// The database's.
pub async fn record(
    c: &mut PgConnection,
    app: &App,
    (actor, meta): (&Identity, &RequestMeta),
    (action, id): (&'static str, DisputeId),
    after: Option<Value>,
) -> Result<()> {
    let entity_id = Some(id.to_string());
    let entry = audit::Entry { actor: Some(actor), action, entity: "dispute", entity_id, before: None, after };
    audit::record(c, entry, meta, app.clock.now()).await
}
