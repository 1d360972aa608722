//! What addresses were told, as staff see it, and once more.

use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Datelike, Utc};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::replay_service as service;
use super::store::deliveries::Again;
use super::view::{DeliveriesData, DeliveryData, DeliveryStatus, DeliveryView, ReplayData};
use crate::app::App;
use crate::features::auth::Identity;
use crate::platform::error::{Error, FieldError, Result};
use crate::platform::http::{Answer, Body, Envelope, ErrorEnvelope, PathId, Query, Reply, RequestMeta, ok};
use crate::platform::ids::{DeliveryId, EndpointId};
use crate::platform::page::PartQuery;

/// Deliveries that a request names.
const MAX_NAMED: usize = 100;

/// Which deliveries.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(super) struct ListDeliveries {
    /// Only those that are pending, delivered or failed.
    status: Option<DeliveryStatus>,
}

/// What is sent again: the deliveries that are named, or the first ones of all events from one time to before another.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct ReplayWebhook {
    #[schema(max_items = 100)]
    delivery_ids: Option<Vec<DeliveryId>>,
    from: Option<DateTime<Utc>>,
    until: Option<DateTime<Utc>>,
}

impl ReplayWebhook {
    fn check(self) -> Result<Again> {
        let mut faults = Vec::new();
        for (field, time) in [("from", self.from), ("until", self.until)] {
            if self.delivery_ids.is_some() && time.is_some() {
                faults.push(FieldError::new(field, "must be left out with deliveryIds"));
            }
            if self.delivery_ids.is_none() && time.is_none() {
                faults.push(FieldError::new(field, "is needed where there are no deliveryIds"));
            }
            // Far outside of these the database has no times.
            if time.is_some_and(|time| !(1970..=9999).contains(&time.year())) {
                faults.push(FieldError::new(field, "must be a time such as 2026-11-24T18:00:00Z"));
            }
        }
        let mut ids: Vec<_> = self.delivery_ids.unwrap_or_default().into_iter().map(|id| id.0).collect();
        ids.sort_unstable();
        ids.dedup();
        if ids.len() > MAX_NAMED {
            faults.push(FieldError::new("deliveryIds", format!("must name at most {MAX_NAMED} deliveries")));
        }
        match (self.from, self.until) {
            _ if !faults.is_empty() => Err(Error::Validation(faults)),
            (Some(from), Some(until)) if from >= until => Err(Error::field("until", "must be after from")),
            (Some(from), Some(until)) => Ok(Again::Between(from, until)),
            _ if ids.is_empty() => Err(Error::field("deliveryIds", "must name at least one delivery")),
            _ => Ok(Again::These(ids)),
        }
    }
}

/// List the deliveries of a webhook
///
/// The newest first, in pages or with `cursor`. Those that have ended are kept for some weeks.
#[utoipa::path(get, path = "/admin/webhooks/{webhook}/deliveries", tag = "Webhooks, staff",
    security(("bearer" = ["manage_webhooks"])), params(("webhook" = EndpointId, Path), PartQuery, ListDeliveries),
    responses(
    (status = 200, body = Envelope<DeliveriesData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
))]
pub(super) async fn list_webhook_deliveries(
    State(app): State<App>,
    PathId(id): PathId<EndpointId>,
    Query(part): Query<PartQuery>,
    Query(which): Query<ListDeliveries>,
) -> Answer<DeliveriesData> {
    let part = part.check(&app.config.lists)?;
    let (rows, pagination) = service::list(&app, id, which.status, part).await?;
    let deliveries = rows.into_iter().map(DeliveryView::from).collect();
    Ok(ok(DeliveriesData { deliveries }).page(pagination))
}

/// Send deliveries again
///
/// As new ones, with the same event ids and bodies, signed anew. At most 1,000 at once.
#[utoipa::path(post, path = "/admin/webhooks/{webhook}/replay", tag = "Webhooks, staff",
    security(("bearer" = ["manage_webhooks"])), params(("webhook" = EndpointId, Path)), request_body = ReplayWebhook,
    responses(
    (status = 202, body = Envelope<ReplayData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope, description = "There is no such webhook, or it has no such delivery"),
    (status = 409, body = ErrorEnvelope, description = "The webhook is turned off"),
))]
pub(super) async fn replay_webhook(
    State(app): State<App>,
    identity: Identity,
    PathId(id): PathId<EndpointId>,
    meta: RequestMeta,
    body: Body<ReplayWebhook>,
) -> Answer<ReplayData> {
    let replayed = service::replay(&app, &identity, &meta, id, body.value.check()?).await?;
    Ok(Reply { status: StatusCode::ACCEPTED, ..ok(ReplayData { replayed }) })
}

/// Test a webhook
///
/// Sends a `ping`, within seconds; the list of deliveries tells what came of it.
#[utoipa::path(post, path = "/admin/webhooks/{webhook}/test", tag = "Webhooks, staff",
    security(("bearer" = ["manage_webhooks"])), params(("webhook" = EndpointId, Path)), responses(
    (status = 202, body = Envelope<DeliveryData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "The webhook is turned off"),
))]
pub(super) async fn test_webhook(
    State(app): State<App>,
    identity: Identity,
    PathId(id): PathId<EndpointId>,
    meta: RequestMeta,
) -> Answer<DeliveryData> {
    let delivery = service::test(&app, &identity, &meta, id).await?;
    Ok(Reply { status: StatusCode::ACCEPTED, ..ok(DeliveryData { delivery }) })
}
