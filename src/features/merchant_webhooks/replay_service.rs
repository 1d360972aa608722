//! What staff have sent: a test, and deliveries once more.

use serde_json::json;
use uuid::Uuid;

use super::service::{lock, record};
use super::store::deliveries::{self, Again, Delivery, NewDelivery};
use super::store::endpoints::{self, Endpoint};
use super::view::{DeliveryStatus, DeliveryView};
use crate::app::App;
use crate::features::auth::Identity;
use crate::platform::error::{Error, Result};
use crate::platform::http::RequestMeta;
use crate::platform::ids::EndpointId;
use crate::platform::page::{Pagination, Part};

/// Deliveries that one request sends again.
const MAX: usize = 1_000;

/// Deliveries of an address, the newest first.
///
/// # Errors
/// `NotFound`; `Validation` of a page that only a cursor leads to.
pub(super) async fn list(
    app: &App,
    id: EndpointId,
    status: Option<DeliveryStatus>,
    part: Part,
) -> Result<(Vec<Delivery>, Pagination)> {
    let mut connection = app.db.acquire().await?;
    let c = &mut *connection;
    endpoints::find(c, id).await?.ok_or(Error::NotFound("The webhook"))?;
    let total = if part.behind.is_none() { Some(deliveries::total(c, id, status).await?) } else { None };
    part.check_depth(total)?;
    let (rows, next) = deliveries::list(c, id, status, part).await?;
    Ok((rows, part.pagination(total, next)))
}

/// Sends a `ping`, whatever topics the address wants.
///
/// # Errors
/// `NotFound`; `Conflict` when the address is turned off.
pub(super) async fn test(app: &App, actor: &Identity, meta: &RequestMeta, id: EndpointId) -> Result<DeliveryView> {
    let now = app.clock.now();
    let event_id = format!("ping-{}", Uuid::now_v7());
    let body = json!({
        "id": event_id, "version": 1, "topic": "ping", "occurredAt": now, "orderId": null, "orderNumber": null, "data": {},
    });
    let new = NewDelivery { event_id, topic: "ping".into(), order_id: None, body: body.to_string() };
    let mut tx = app.db.begin().await?;
    require_active(&lock(&mut tx, id, None).await?)?;
    let delivery = DeliveryView::from(deliveries::insert_ping(&mut tx, id, &new, now).await?);
    record(&mut tx, app, (actor, meta), ("webhook.test", id), (None, Some(json!({"eventId": new.event_id})))).await?;
    tx.commit().await?;
    Ok(delivery)
}

/// Sends deliveries again, as new ones with the same events. Gives how many.
///
/// # Errors
/// `NotFound` of the address, or of a delivery; `Validation` when there are too many; `Conflict` when the address is turned off.
pub(super) async fn replay(
    app: &App,
    actor: &Identity,
    meta: &RequestMeta,
    id: EndpointId,
    which: Again,
) -> Result<usize> {
    let mut tx = app.db.begin().await?;
    require_active(&lock(&mut tx, id, None).await?)?;
    let limit = i64::try_from(MAX + 1).map_err(Error::internal)?;
    let count = deliveries::replay(&mut tx, id, &which, limit, app.clock.now()).await?;
    let after = match &which {
        // What was written goes with the transaction.
        Again::These(ids) if ids.len() != count => return Err(Error::NotFound("One of the deliveries")),
        Again::Between(..) if count > MAX => {
            return Err(Error::field("until", format!("must leave at most {MAX} deliveries; choose a shorter time")));
        }
        Again::These(ids) => json!({"deliveryIds": ids, "replayed": count}),
        Again::Between(from, until) => json!({"from": from, "until": until, "replayed": count}),
    };
    record(&mut tx, app, (actor, meta), ("webhook.replay", id), (None, Some(after))).await?;
    tx.commit().await?;
    Ok(count)
}

fn require_active(endpoint: &Endpoint) -> Result<()> {
    if endpoint.is_active {
        Ok(())
    } else {
        Err(Error::conflict("This webhook is turned off. Turn it on first; what has happened meanwhile is sent then."))
    }
}
