//! Addresses that are told of events, as staff keep them.

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use super::input::{CreateWebhook, UpdateWebhook};
use super::service;
use super::view::{SecretData, WebhookData, WebhooksData};
use crate::app::App;
use crate::features::auth::Identity;
use crate::platform::error::Result;
use crate::platform::http::envelope::Empty;
use crate::platform::http::keyed::{self, Keyed};
use crate::platform::http::{
    Answer, Body, Envelope, ErrorEnvelope, IdempotencyHeader, PathId, Query, RequestMeta, deleted, ok,
};
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
/// It is told of what happens from now on. The answer has the secret, which is shown nowhere else. Send an `Idempotency-Key`: a repeated
/// request with the same key and body gets the first answer, and no second webhook.
#[utoipa::path(post, path = "/admin/webhooks", tag = "Webhooks, staff", security(("bearer" = ["manage_webhooks"])),
    request_body = CreateWebhook,
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 255 characters, kept for 24 hours")),
    responses(
    (status = 201, body = Envelope<SecretData>),
    (status = 400, body = ErrorEnvelope, description = "A field is wrong, or the address leads into a network that is not public"),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "There are 20 already, or the same key is still running"),
    (status = 422, body = ErrorEnvelope, description = "The key was used with another body"),
))]
pub(super) async fn create_webhook(
    State(app): State<App>,
    identity: Identity,
    meta: RequestMeta,
    IdempotencyHeader(key): IdempotencyHeader,
    body: Body<CreateWebhook>,
) -> Result<Keyed> {
    let key = keyed::key(key, identity.user_id, "POST /admin/webhooks", "", &body.fingerprint);
    service::create(&app, &identity, &meta, body.value, key).await
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
/// the oldest at once. Send an `Idempotency-Key`: a repeated request with the same key gets the first answer, and replaces nothing.
#[utoipa::path(post, path = "/admin/webhooks/{webhook}/secret", tag = "Webhooks, staff",
    security(("bearer" = ["manage_webhooks"])),
    params(("webhook" = EndpointId, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "1 to 255 characters, kept for 24 hours")),
    responses(
    (status = 200, body = Envelope<SecretData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "The same key is still running"),
    (status = 422, body = ErrorEnvelope, description = "The key was used for another webhook"),
))]
pub(super) async fn rotate_webhook_secret(
    State(app): State<App>,
    identity: Identity,
    PathId(id): PathId<EndpointId>,
    meta: RequestMeta,
    IdempotencyHeader(key): IdempotencyHeader,
) -> Result<Keyed> {
    // Without a body, all that is asked for is in the path.
    let route = "POST /admin/webhooks/{webhook}/secret";
    let key = keyed::key(key, identity.user_id, route, &id.to_string(), &[0; 32]);
    service::rotate(&app, &identity, &meta, id, key).await
}
