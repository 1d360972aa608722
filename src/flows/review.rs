//! What the staff decide about paid orders that the rules against fraud let wait.

use serde_json::json;
use sqlx::PgConnection;

use super::cancel;
use crate::app::App;
use crate::features::auth::Identity;
use crate::features::orders::{self, Actor, LockedOrder};
use crate::features::payments::{self, Review, ReviewDecision, ReviewStatus};
use crate::features::{audit, inventory};
use crate::platform::error::{Error, Result};
use crate::platform::http::RequestMeta;
use crate::platform::ids::PaymentId;

/// Lets the order go on.
///
/// # Errors
/// `NotFound`; `Conflict` when it is decided already.
pub async fn approve(
    app: &App,
    actor: &Identity,
    meta: &RequestMeta,
    id: PaymentId,
    note: Option<&str>,
) -> Result<Review> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let order = decide(app, &mut tx, id, &ReviewDecision { is_approved: true, by: actor.user_id, note }).await?;
    orders::release(&mut tx, order.id, now).await?;
    orders::record_event(&mut tx, order.id, "review_approved", (Actor::Staff, Some(actor.user_id)), None, now).await?;
    let review = record(app, &mut tx, (actor, meta), id, "review.approve").await?;
    tx.commit().await?;
    Ok(review)
}

/// Gives the order up: goods and money go back.
///
/// # Errors
/// As [`approve`]; `Conflict` too when the order cannot be cancelled any more.
pub async fn reject(
    app: &App,
    actor: &Identity,
    meta: &RequestMeta,
    id: PaymentId,
    note: Option<&str>,
) -> Result<Review> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let order = decide(app, &mut tx, id, &ReviewDecision { is_approved: false, by: actor.user_id, note }).await?;
    orders::record_event(&mut tx, order.id, "review_rejected", (Actor::Staff, Some(actor.user_id)), None, now).await?;
    cancel::refused(app, &mut tx, &order, actor.user_id).await?;
    let products = inventory::products_of_order(&mut tx, order.id).await?;
    let review = record(app, &mut tx, (actor, meta), id, "review.reject").await?;
    tx.commit().await?;
    app.waker.wake();
    app.product_cache.forget(&products).await;
    Ok(review)
}

/// Locks the order of a review and decides it, if nobody else has.
async fn decide(app: &App, tx: &mut PgConnection, id: PaymentId, decision: &ReviewDecision<'_>) -> Result<LockedOrder> {
    let missing = || Error::NotFound("The review");
    let review = payments::find_review(tx, id).await?.ok_or_else(missing)?;
    let order = orders::lock(tx, review.order_id).await?.ok_or_else(missing)?;
    if !payments::decide_review(tx, id, decision, app.clock.now()).await? {
        let review = payments::find_review(tx, id).await?.ok_or_else(missing)?;
        let word = if review.status == ReviewStatus::Approved { "approved" } else { "rejected" };
        return Err(Error::conflict(format!("This review is {word} already.")));
    }
    Ok(order)
}

/// Puts the decision on record. The words stay with the review, from where they go with the buyer.
async fn record(
    app: &App,
    tx: &mut PgConnection,
    (actor, meta): (&Identity, &RequestMeta),
    id: PaymentId,
    action: &'static str,
) -> Result<Review> {
    let review = payments::find_review(tx, id).await?.ok_or(Error::NotFound("The review"))?;
    let entry = audit::Entry {
        actor: Some(actor),
        action,
        entity: "review",
        entity_id: Some(id.to_string()),
        before: Some(json!({"status": ReviewStatus::Pending})),
        after: Some(json!({"status": review.status, "orderId": review.order_id, "score": review.score})),
    };
    audit::record(tx, entry, meta, app.clock.now()).await?;
    Ok(review)
}
