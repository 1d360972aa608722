//! What takes the place of a refund that has failed.

use super::ask::{check_items, data, record, refused};
use super::{enqueue, follow, lock};
use crate::app::App;
use crate::features::auth::Identity;
use crate::features::orders;
use crate::features::payments::{self, NewRefund, Refund, RefundItem, RefundOrigin, RefundStatus};
use crate::platform::error::{Error, Result};
use crate::platform::http::RequestMeta;
use crate::platform::http::keyed::{self, Begun, Keyed};
use crate::platform::idempotency;
use crate::platform::ids::{RefundId, UserId};

/// How a refund that failed is made up for.
#[derive(Debug)]
pub enum Instead {
    /// It is tried once more.
    Again,
    /// Somebody has given the money by hand; the words say how.
    ByHand(String),
}

/// Puts another refund in the place of one that has failed.
///
/// # Errors
/// `NotFound`; `Conflict` when it has not failed, another one stands in for it, so much is not left, or the provider still has it;
/// `External` when the provider cannot be asked.
pub async fn instead(
    app: &App,
    actor: &Identity,
    meta: &RequestMeta,
    id: RefundId,
    how: Instead,
    key: Option<idempotency::Request>,
) -> Result<Keyed> {
    let now = app.clock.now();
    let found = payments::find_refund(&mut *app.db.acquire().await?, id).await?.ok_or(Error::NotFound("The refund"))?;
    // The answer has words about the buyer, so it is kept under the order's name and goes with him.
    let key = key.map(|key| keyed::kept_under(orders::caller_about(found.order_id), key));
    if let Some(answer) = keyed::find(&mut *app.db.acquire().await?, key.as_ref(), now).await? {
        return Ok(answer);
    }
    // What failed here may be on its way there all the same.
    let listed = follow::compare(app, found.payment_id).await?;
    if listed.iter().any(|said| follow::is_it(&found, said) && said.status != paystack::RefundStatus::Failed) {
        return Err(Error::conflict("The payment provider still has this refund. Look into its dashboard first."));
    }
    let mut tx = match keyed::begin(&app.db, key.as_ref(), now).await? {
        Begun::Given(answer) => return Ok(answer),
        Begun::Open(tx) => tx,
    };
    let done = async {
        let (order, failed) = lock(&mut tx, id).await?;
        check_failed(&failed)?;
        let items: Vec<_> = failed.items.iter().map(|item| RefundItem { restocked: false, ..*item }).collect();
        // Another refund may have been asked for the same units meanwhile.
        let whole = orders::find(&mut tx, order.id).await?.ok_or(Error::NotFound("The order"))?;
        check_items(&whole, &payments::refunded_units(&mut tx, order.id).await?, &items)?;
        let new = stand_in(&failed, actor.user_id, &how);
        let refund = payments::insert_refund(&mut tx, &new, now).await.map_err(refused)?;
        payments::insert_refund_items(&mut tx, refund, &items).await.map_err(refused)?;
        if new.status == RefundStatus::Processed {
            follow::after(app, &mut tx, (&order, refund), RefundStatus::Processed, failed.notify).await?;
        } else {
            enqueue(&mut tx, &[refund]).await?;
        }
        let data = data(&mut tx, refund).await?;
        let answer = tx.answer(201, data).await?;
        let action = if new.status == RefundStatus::Processed { "refund.by_hand" } else { "refund.retry" };
        record(&mut tx, (actor, meta), action, refund, now).await?;
        Ok(answer)
    }
    .await;
    let answer = tx.end(done).await?;
    app.waker.wake();
    Ok(answer)
}

fn check_failed(refund: &Refund) -> Result<()> {
    match refund.status {
        RefundStatus::Failed if refund.retried_as.is_none() => Ok(()),
        RefundStatus::Failed => Err(Error::conflict("Another refund stands in for this one already.")),
        RefundStatus::Processed => Err(Error::conflict("This refund has gone to the buyer already.")),
        RefundStatus::NeedsAttention => {
            Err(Error::conflict("The provider waits for the buyer's bank account. Name it instead."))
        }
        RefundStatus::Pending | RefundStatus::Processing => {
            Err(Error::conflict("This refund is on its way. Wait for what comes of it."))
        }
    }
}

fn stand_in<'a>(failed: &'a Refund, actor: UserId, how: &'a Instead) -> NewRefund<'a> {
    let (origin, status, reason) = match how {
        Instead::Again => (RefundOrigin::Staff, RefundStatus::Pending, failed.reason.as_deref()),
        Instead::ByHand(note) => (RefundOrigin::Manual, RefundStatus::Processed, Some(note.as_str())),
    };
    NewRefund {
        origin,
        status,
        reason,
        requested_by: Some(actor),
        retry_of: Some(failed.id),
        return_id: failed.return_id,
        notify: failed.notify,
        ..NewRefund::by_rule(failed.payment_id, failed.amount_minor, "")
    }
}
