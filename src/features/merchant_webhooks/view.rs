//! Addresses and deliveries as staff see them.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::store::deliveries::Delivery;
use super::store::endpoints::Endpoint;
use crate::platform::ids::{DeliveryId, EndpointId, OrderId};

/// An address that is told of events.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct WebhookView {
    id: EndpointId,
    url: String,
    description: String,
    /// Empty: all.
    topics: Vec<String>,
    is_active: bool,
    /// Why the shop has turned it off by itself.
    disabled_reason: Option<String>,
    /// Since when nothing has arrived, if the last delivery failed.
    failing_since: Option<DateTime<Utc>>,
    /// Until then deliveries are signed with the secret before, too.
    previous_secret_until: Option<DateTime<Utc>>,
    /// For the next change.
    version: i32,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl WebhookView {
    pub(super) fn new(endpoint: Endpoint, now: DateTime<Utc>) -> Self {
        Self {
            id: endpoint.id,
            url: endpoint.url,
            description: endpoint.description,
            topics: endpoint.topics,
            is_active: endpoint.is_active,
            disabled_reason: endpoint.disabled_reason,
            failing_since: endpoint.failing_since,
            previous_secret_until: endpoint.previous_until.filter(|until| *until > now),
            version: endpoint.version,
            created_at: endpoint.created_at,
            updated_at: endpoint.updated_at,
        }
    }
}

/// All addresses.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct WebhooksData {
    pub(super) webhooks: Vec<WebhookView>,
}

/// One address.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct WebhookData {
    pub(super) webhook: WebhookView,
}

/// An address with its new secret.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SecretData {
    pub(super) webhook: WebhookView,
    /// Signs what is sent from now on. It is shown only here.
    #[schema(example = "whsec_…")]
    pub(super) secret: String,
}

/// Where a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, sqlx::Type, ToSchema)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub(super) enum DeliveryStatus {
    /// It is to be tried, for the first time or again.
    Pending,
    /// The address has taken it.
    Delivered,
    /// All tries have failed.
    Failed,
}

/// An event on its way to an address.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct DeliveryView {
    id: DeliveryId,
    event_id: String,
    topic: String,
    order_id: Option<OrderId>,
    status: DeliveryStatus,
    /// Whether somebody had it sent again.
    is_replay: bool,
    /// Tries so far.
    attempts: i32,
    /// When it is tried next; while it is pending.
    next_at: Option<DateTime<Utc>>,
    /// What the last try was answered.
    response_status: Option<i32>,
    /// The beginning of its body.
    response: Option<String>,
    /// What was wrong with the last try.
    error: Option<String>,
    /// How long the last try took.
    duration_ms: Option<i32>,
    created_at: DateTime<Utc>,
    ended_at: Option<DateTime<Utc>>,
}

impl From<Delivery> for DeliveryView {
    fn from(delivery: Delivery) -> Self {
        Self {
            id: delivery.id,
            event_id: delivery.event_id,
            topic: delivery.topic,
            order_id: delivery.order_id,
            is_replay: delivery.is_replay,
            attempts: delivery.attempts,
            next_at: Some(delivery.next_at).filter(|_| delivery.status == DeliveryStatus::Pending),
            status: delivery.status,
            response_status: delivery.response_status,
            response: delivery.response,
            error: delivery.error,
            duration_ms: delivery.duration_ms,
            created_at: delivery.created_at,
            ended_at: delivery.ended_at,
        }
    }
}

/// Deliveries.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DeliveriesData {
    pub(super) deliveries: Vec<DeliveryView>,
}

/// One delivery.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DeliveryData {
    pub(super) delivery: DeliveryView,
}

/// What is sent again.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ReplayData {
    /// How many deliveries.
    pub(super) replayed: usize,
}
