//! Addresses that are told of events, as staff keep them.

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use super::input::{CreateWebhook, UpdateWebhook};
use super::service;
use super::view::{SecretData, WebhookData, WebhooksData};
use crate::app::App;
use crate::features::auth::Identity;
use crate::platform::http::envelope::Empty;
use crate::platform::http::{Answer, Body, Envelope, ErrorEnvelope, PathId, Query, RequestMeta, created, deleted, ok};
use crate::platform::ids::EndpointId;

/// The version that a removal is based on.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct DeleteWebhook {
    /// Refused with 409 when it is not the current one. Without it the webhook is removed whatever its version is.
    version: Option<i32>,
}

/// List webhooks
///
/// The oldest first; a shop has at most 20.
#[utoipa::path(get, path = "/admin/webhooks", tag = "Webhooks, staff", security(("bearer" = ["manage_webhooks"])),
    responses(
    (status = 200, body = Envelope<WebhooksData>),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
))]
pub(super) async fn list_webhooks(State(app): State<App>) -> Answer<WebhooksData> {
    Ok(ok(WebhooksData { webhooks: service::list(&app).await? }))
}

/// Add a webhook
///
/// It is told of what happens from now on. The answer has the secret, which is not shown again; so a request that is repeated makes
/// another webhook, and takes no `Idempotency-Key`.
#[utoipa::path(post, path = "/admin/webhooks", tag = "Webhooks, staff", security(("bearer" = ["manage_webhooks"])),
    request_body = CreateWebhook, responses(
    (status = 201, body = Envelope<SecretData>),
    (status = 400, body = ErrorEnvelope, description = "A field is wrong, or the address leads into a network that is not public"),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "There are 20 already"),
))]
pub(super) async fn create_webhook(
    State(app): State<App>,
    identity: Identity,
    meta: RequestMeta,
    body: Body<CreateWebhook>,
) -> Answer<SecretData> {
    Ok(created(service::create(&app, &identity, &meta, body.value).await?))
}

/// Get a webhook
#[utoipa::path(get, path = "/admin/webhooks/{webhook}", tag = "Webhooks, staff",
    security(("bearer" = ["manage_webhooks"])), params(("webhook" = EndpointId, Path)), responses(
    (status = 200, body = Envelope<WebhookData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
))]
pub(super) async fn get_webhook(State(app): State<App>, PathId(id): PathId<EndpointId>) -> Answer<WebhookData> {
    Ok(ok(WebhookData { webhook: service::get(&app, id).await? }))
}

/// Change a webhook
///
/// One that is turned off keeps its place: turned on again, it is told of all that has happened meanwhile.
#[utoipa::path(patch, path = "/admin/webhooks/{webhook}", tag = "Webhooks, staff",
    security(("bearer" = ["manage_webhooks"])), params(("webhook" = EndpointId, Path)), request_body = UpdateWebhook,
    responses(
    (status = 200, body = Envelope<WebhookData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "The version is not the current one"),
))]
pub(super) async fn update_webhook(
    State(app): State<App>,
    identity: Identity,
    PathId(id): PathId<EndpointId>,
    meta: RequestMeta,
    body: Body<UpdateWebhook>,
) -> Answer<WebhookData> {
    let webhook = service::update(&app, &identity, &meta, id, body.value).await?;
    Ok(ok(WebhookData { webhook }))
}

/// Remove a webhook
///
/// With what was to be sent there, and the log of its deliveries.
#[utoipa::path(delete, path = "/admin/webhooks/{webhook}", tag = "Webhooks, staff",
    security(("bearer" = ["manage_webhooks"])), params(("webhook" = EndpointId, Path), DeleteWebhook), responses(
    (status = 200, body = Envelope<Empty>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "The version is not the current one"),
))]
pub(super) async fn delete_webhook(
    State(app): State<App>,
    identity: Identity,
    PathId(id): PathId<EndpointId>,
    Query(which): Query<DeleteWebhook>,
    meta: RequestMeta,
) -> Answer<Empty> {
    service::delete(&app, &identity, &meta, (id, which.version)).await?;
    Ok(deleted("The webhook has been removed."))
}

/// Replace the secret of a webhook
///
/// For 24 hours what is sent is signed with both, so that the receiver can change in that time. Another replacement meanwhile ends
/// the oldest at once.
#[utoipa::path(post, path = "/admin/webhooks/{webhook}/secret", tag = "Webhooks, staff",
    security(("bearer" = ["manage_webhooks"])), params(("webhook" = EndpointId, Path)), responses(
    (status = 200, body = Envelope<SecretData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
))]
pub(super) async fn rotate_webhook_secret(
    State(app): State<App>,
    identity: Identity,
    PathId(id): PathId<EndpointId>,
    meta: RequestMeta,
) -> Answer<SecretData> {
    Ok(ok(service::rotate(&app, &identity, &meta, id).await?))
}
