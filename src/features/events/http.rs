//! Events as programs of the staff read them.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::model::{Event, Position, topics};
use super::store;
use crate::app::App;
use crate::platform::error::{Error, FieldError};
use crate::platform::http::{Answer, Envelope, ErrorEnvelope, Query, ok};
use crate::platform::ids::OrderId;

/// The most events of an answer.
const MAX: usize = 500;

/// Entries that one answer looks at. Where few are of the topic, it has few events or none, and the cursor leads on.
const LOOKED_AT: i64 = 2_000;

/// Which events.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(super) struct ListEvents {
    /// `cursor` of the answer before. From the very first event when left out.
    after: Option<String>,
    /// 100 by default.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<usize>,
    /// Only this topic, such as `order.paid`.
    topic: Option<String>,
    /// Only events of this order.
    order: Option<OrderId>,
}

/// Some events.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct EventsData {
    /// The oldest first; of one order in the order in which they happened.
    events: Vec<Event>,
    /// Give it as `after` to go on, now or when more has happened. It never ends.
    cursor: String,
    /// Whether there is more to read at once.
    has_more: bool,
}

/// Read events
///
/// What has happened to orders, money and stock, the oldest first. Keep `cursor` with what you have done for the events, and give
/// it as `after`: then each event is read at least once, and none is missed. An event is there some moments after it happened, once
/// every transaction that was open then has ended.
#[utoipa::path(get, path = "/admin/events", tag = "Events, staff", security(("bearer" = ["read_events"])),
    params(ListEvents), responses(
    (status = 200, body = Envelope<EventsData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
))]
pub(super) async fn list_events(State(app): State<App>, Query(which): Query<ListEvents>) -> Answer<EventsData> {
    let mut faults = Vec::new();
    let after = match which.after.as_deref().filter(|cursor| !cursor.is_empty()) {
        None => Some(Position::START),
        Some(cursor) => Position::decode(cursor),
    };
    if after.is_none() {
        faults.push(FieldError::new("after", "is not a cursor of this list; begin again without it"));
    }
    let limit = which.limit.unwrap_or(100);
    if !(1..=MAX).contains(&limit) {
        faults.push(FieldError::new("limit", format!("must be between 1 and {MAX}")));
    }
    let topic = which.topic.as_deref().filter(|topic| !topic.is_empty());
    if topic.is_some_and(|topic| !topics().any(|known| known == topic)) {
        let known = topics().collect::<Vec<_>>().join(", ");
        faults.push(FieldError::new("topic", format!("must be one of {known}")));
    }
    let Some(after) = after.filter(|_| faults.is_empty()) else { return Err(Error::Validation(faults)) };
    let entries = if topic.is_some() { LOOKED_AT } else { i64::try_from(limit).map_err(Error::internal)? };
    let mut feed = store::read(&mut *app.db.acquire().await?, after, which.order, entries).await?;
    if let Some(topic) = topic {
        feed.events.retain(|event| event.topic == topic);
    }
    if !feed.is_full && feed.events.is_empty() && after > store::head(&mut *app.db.acquire().await?).await? {
        return Err(Error::field("after", "is a cursor of another database; begin again without it"));
    }
    let is_cut = feed.events.len() > limit;
    feed.events.truncate(limit);
    let last = feed.events.last().filter(|_| is_cut).map_or(feed.last, |event| event.position);
    Ok(ok(EventsData { events: feed.events, cursor: last.encode(), has_more: is_cut || feed.is_full }))
}
