//! Stored events as staff look at them and have them worked on again.

use serde_json::{Value, json};

use super::bodies;
use super::jobs::ProcessWebhook;
use super::model::mask;
use super::store;
use super::store::staff::{self, Filter, Listed};
use crate::app::App;
use crate::features::audit;
use crate::features::auth::Identity;
use crate::platform::error::{Error, Result};
use crate::platform::http::RequestMeta;
use crate::platform::ids::WebhookEventId;
use crate::platform::jobs;
use crate::platform::page::{Pagination, Part};

const MISSING: Error = Error::NotFound("The event");

/// Events, the newest first.
///
/// # Errors
/// `Validation` of a page that only a cursor leads to.
pub(super) async fn list(app: &App, filter: &Filter, part: Part) -> Result<(Vec<Listed>, Pagination)> {
    let mut connection = app.db.acquire().await?;
    let total = if part.behind.is_none() { Some(staff::total(&mut connection, filter).await?) } else { None };
    part.check_depth(total)?;
    let (rows, next) = staff::list(&mut connection, filter, part).await?;
    Ok((rows, part.pagination(total, next)))
}

/// One event with its body, [masked](mask); none where that was emptied.
///
/// # Errors
/// `NotFound`; `Internal` when the key of the body is gone.
pub(super) async fn get(app: &App, id: WebhookEventId) -> Result<(Listed, Option<Value>)> {
    let mut connection = app.db.acquire().await?;
    let event = staff::find(&mut connection, id).await?.ok_or(MISSING)?;
    let stored = store::find_body(&mut connection, id).await?.ok_or(MISSING)?;
    let body = bodies::open(app, stored)?.map(|body| serde_json::from_slice(&body)).transpose();
    Ok((event, body.map_err(Error::internal)?.map(mask)))
}

/// Has an event worked on again by its job.
///
/// # Errors
/// `NotFound`; `Conflict` while it is worked on, and when its body was emptied.
pub(super) async fn replay(app: &App, actor: &Identity, meta: &RequestMeta, id: WebhookEventId) -> Result<Listed> {
    let mut tx = app.db.begin().await?;
    let before = staff::find(&mut tx, id).await?.ok_or(MISSING)?;
    if !staff::requeue(&mut tx, id).await? {
        return Err(Error::conflict(
            "This event waits for its job already, or its body was removed, as it is after some weeks and with its buyer.",
        ));
    }
    jobs::enqueue(&mut tx, &ProcessWebhook { event_id: id }, ProcessWebhook::TRIES).await?;
    let event = staff::find(&mut tx, id).await?.ok_or(MISSING)?;
    let entry = audit::Entry {
        actor: Some(actor),
        action: "webhook_event.replay",
        entity: "webhook_event",
        entity_id: Some(id.to_string()),
        before: Some(json!({"status": before.status, "outcome": before.outcome})),
        after: Some(json!({"status": event.status})),
    };
    audit::record(&mut tx, entry, meta, app.clock.now()).await?;
    tx.commit().await?;
    app.waker.wake();
    Ok(event)
}
