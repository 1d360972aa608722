//! What the payment provider has told, for staff.

use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Datelike, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::model::EventStatus;
use super::service;
use super::store::staff::{Filter, Listed};
use crate::app::App;
use crate::features::auth::Identity;
use crate::platform::error::{Error, FieldError, Result};
use crate::platform::http::{Answer, Envelope, ErrorEnvelope, PathId, Query, Reply, RequestMeta, ok};
use crate::platform::ids::WebhookEventId;
use crate::platform::page::PartQuery;

/// Which events. Empty values do not filter.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(super) struct ListWebhookEvents {
    /// Its name, such as `charge.success`.
    #[param(max_length = 100)]
    event: Option<String>,
    /// `received`, `processed`, `ignored` or `failed`.
    status: Option<String>,
    /// The reference of the payment that it is about.
    #[param(max_length = 100)]
    reference: Option<String>,
    /// Received not before this time.
    from: Option<DateTime<Utc>>,
    /// Received before this time.
    until: Option<DateTime<Utc>>,
}

impl ListWebhookEvents {
    fn check(self) -> Result<Filter> {
        let given = |text: Option<String>| text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        let (event, status, reference) = (given(self.event), given(self.status), given(self.reference));
        let mut faults = Vec::new();
        for (field, text) in [("event", &event), ("reference", &reference)] {
            if text.as_ref().is_some_and(|text| text.chars().count() > 100 || text.contains(char::is_control)) {
                faults.push(FieldError::new(field, "must have at most 100 characters, and no control characters"));
            }
        }
        for (field, time) in [("from", self.from), ("until", self.until)] {
            // Far outside of these the database has no times.
            if time.is_some_and(|time| !(1970..=9999).contains(&time.year())) {
                faults.push(FieldError::new(field, "must be a time such as 2026-11-24T18:00:00Z"));
            }
        }
        let status = status.map(|status| serde_json::from_value(Value::String(status))).transpose();
        match status {
            Ok(status) if faults.is_empty() => {
                Ok(Filter { event, status, reference, from: self.from, until: self.until })
            }
            Ok(_) => Err(Error::Validation(faults)),
            Err(_) => {
                faults.push(FieldError::new("status", "must be received, processed, ignored or failed"));
                Err(Error::Validation(faults))
            }
        }
    }
}

/// An event of the provider.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct WebhookEventView {
    id: WebhookEventId,
    #[schema(example = "charge.success")]
    event: String,
    /// Of the payment that it is about.
    reference: Option<String>,
    status: EventStatus,
    /// What came of it.
    outcome: Option<String>,
    /// How often the provider has sent it.
    deliveries: i32,
    received_at: DateTime<Utc>,
    processed_at: Option<DateTime<Utc>>,
}

impl From<Listed> for WebhookEventView {
    fn from(event: Listed) -> Self {
        Self {
            id: event.id,
            event: event.event,
            reference: event.reference,
            status: event.status,
            outcome: event.outcome,
            deliveries: event.deliveries,
            received_at: event.received_at,
            processed_at: event.processed_at,
        }
    }
}

/// Events.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct WebhookEventsData {
    webhook_events: Vec<WebhookEventView>,
}

/// One event.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct WebhookEventData {
    webhook_event: WebhookEventView,
}

/// One event with what it says.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct WholeWebhookEventData {
    webhook_event: WebhookEventView,
    /// What may be personal or secret is hidden. `null` where the body was removed: after some weeks, and with its buyer.
    body: Option<Value>,
}

/// List the provider's events
///
/// The newest first, in pages or with `cursor`.
#[utoipa::path(get, path = "/admin/webhook-events", tag = "Payments, staff", security(("bearer" = ["read_payments"])),
    params(PartQuery, ListWebhookEvents), responses(
    (status = 200, body = Envelope<WebhookEventsData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
))]
pub(super) async fn list_webhook_events(
    State(app): State<App>,
    Query(part): Query<PartQuery>,
    Query(which): Query<ListWebhookEvents>,
) -> Answer<WebhookEventsData> {
    let filter = which.check()?;
    let (rows, pagination) = service::list(&app, &filter, part.check(&app.config.lists)?).await?;
    let webhook_events = rows.into_iter().map(WebhookEventView::from).collect();
    Ok(ok(WebhookEventsData { webhook_events }).page(pagination))
}

/// Get an event of the provider
#[utoipa::path(get, path = "/admin/webhook-events/{event}", tag = "Payments, staff",
    security(("bearer" = ["read_payments"])), params(("event" = WebhookEventId, Path)), responses(
    (status = 200, body = Envelope<WholeWebhookEventData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
))]
pub(super) async fn get_webhook_event(
    State(app): State<App>,
    PathId(id): PathId<WebhookEventId>,
) -> Answer<WholeWebhookEventData> {
    let (event, body) = service::get(&app, id).await?;
    Ok(ok(WholeWebhookEventData { webhook_event: event.into(), body }))
}

/// Have an event worked on again
///
/// By its job, within seconds. What it says was done already changes nothing.
#[utoipa::path(post, path = "/admin/webhook-events/{event}/replay", tag = "Payments, staff",
    security(("bearer" = ["manage_payments"])), params(("event" = WebhookEventId, Path)), responses(
    (status = 202, body = Envelope<WebhookEventData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "It waits for its job already, or its body was removed"),
))]
pub(super) async fn replay_webhook_event(
    State(app): State<App>,
    identity: Identity,
    meta: RequestMeta,
    PathId(id): PathId<WebhookEventId>,
) -> Answer<WebhookEventData> {
    let event = service::replay(&app, &identity, &meta, id).await?;
    Ok(Reply { status: StatusCode::ACCEPTED, ..ok(WebhookEventData { webhook_event: event.into() }) })
}
