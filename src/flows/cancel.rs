//! Gives up an order: its stock is free, its open payment attempt is over, and money that came is asked back.

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::PgConnection;

use super::order_mail::{OrderMail, SendOrderMail};
use super::refund;
use crate::app::App;
use crate::features::auth::Identity;
use crate::features::orders::{self, Actor, LockedOrder, Move, StaffOrderView, Status};
use crate::features::{audit, coupons, inventory, payments};
use crate::platform::error::{Error, Result};
use crate::platform::http::RequestMeta;
use crate::platform::ids::{OrderId, ProductId, UserId};
use crate::platform::jobs;

/// Who gives an order up, and how.
#[derive(Debug)]
pub(super) struct How<'a> {
    pub actor: Actor,
    pub actor_id: Option<UserId>,
    pub note: Option<&'a str>,
    /// Whether the words are for the staff only.
    pub internal: bool,
    /// Whether goods that were sold go back on the shelf.
    pub restock: bool,
}

impl How<'_> {
    /// The member of the staff who does it.
    fn staff(&self) -> Option<UserId> {
        self.actor_id.filter(|_| self.actor == Actor::Staff)
    }
}

/// The buyer gives up his own order: an unpaid one, or a paid one that nobody has begun to pack, if the shop allows it.
///
/// # Errors
/// `NotFound` for another person's order; `Conflict` when it is too late.
pub async fn by_customer(app: &App, id: OrderId, user: UserId, reason: Option<&str>) -> Result<()> {
    let mut tx = app.db.begin().await?;
    let order = orders::lock(&mut tx, id)
        .await?
        .filter(|order| order.user_id == Some(user))
        .ok_or(Error::NotFound("The order"))?;
    let is_early = order.status == Status::Paid && app.config.orders.cancel_paid;
    if !order.status.awaits_payment() && !is_early && !is_owed_and_here(&mut tx, &order).await? {
        return Err(too_late(order.status));
    }
    let how = How { actor: Actor::Customer, actor_id: Some(user), note: reason, internal: false, restock: true };
    let (products, _) = cancel(app, &mut tx, &order, &how).await?;
    tx.commit().await?;
    app.waker.wake();
    app.product_cache.forget(&products).await;
    Ok(())
}

/// A guest gives up his own unpaid order. Whoever knows its number and address is taken for him, so money is not moved.
///
/// # Errors
/// `NotFound` when no guest's order has this number and address; `Conflict` when it is paid or closed.
pub async fn by_guest(app: &App, number: &str, email: &str, reason: Option<&str>) -> Result<()> {
    let mut tx = app.db.begin().await?;
    let order = orders::lock_of_guest(&mut tx, number, email).await?.ok_or(Error::NotFound("The order"))?;
    if !order.status.awaits_payment() && !is_owed_and_here(&mut tx, &order).await? {
        return Err(too_late(order.status));
    }
    if !payments::unsettled_of(&mut tx, &[order.id]).await?.is_empty() {
        return Err(Error::conflict("A payment of this order has arrived that the shop has to look at first."));
    }
    let how = How { actor: Actor::Customer, actor_id: None, note: reason, internal: false, restock: true };
    let (products, _) = cancel(app, &mut tx, &order, &how).await?;
    tx.commit().await?;
    app.waker.wake();
    app.product_cache.forget(&products).await;
    Ok(())
}

/// Whether an order is to be paid on delivery, and nothing of it is packed.
async fn is_owed_and_here(tx: &mut PgConnection, order: &LockedOrder) -> Result<bool> {
    let is_here = |parcel: &orders::Fulfilment| parcel.status == orders::ParcelStatus::Cancelled;
    Ok(order.is_owed()
        && order.status == Status::Processing
        && orders::parcels(tx, order.id).await?.iter().all(is_here))
}

fn too_late(status: Status) -> Error {
    Error::conflict(match status {
        Status::Cancelled => "This order is cancelled already.",
        Status::Paid => "This order is paid. Write to the shop to give it back.",
        _ => "This order is too far to be cancelled. Write to the shop, or send it back once it is there.",
    })
}

/// What staff say of an order that they give up.
#[derive(Clone, Copy, Debug)]
pub struct StaffCancel<'a> {
    /// Whether goods that were sold go back on the shelf.
    pub restock: bool,
    /// Words for the timeline and, unless they are internal, for the buyer.
    pub note: Option<&'a str>,
    /// Whether the words are for the staff only.
    pub internal: bool,
    /// The order's version that this is based on; none takes whatever it is.
    pub version: Option<i32>,
}

/// The staff gives up an order of which nothing has left the house.
///
/// # Errors
/// `NotFound`; `Conflict` when the version is not the current one, or it is too late.
pub async fn by_staff(
    app: &App,
    actor: &Identity,
    meta: &RequestMeta,
    id: OrderId,
    what: StaffCancel<'_>,
) -> Result<StaffOrderView> {
    let mut tx = app.db.begin().await?;
    let order = orders::lock_version(&mut tx, id, what.version).await?;
    if !order.status.may_be_moved(Status::Cancelled, Actor::Staff) {
        return Err(order.status.refusal(Status::Cancelled));
    }
    let how = How {
        actor: Actor::Staff,
        actor_id: Some(actor.user_id),
        note: what.note,
        internal: what.internal,
        restock: what.restock,
    };
    let (products, refund_minor) = cancel(app, &mut tx, &order, &how).await?;
    let view = orders::staff_detail(&mut tx, id, &app.config.public_url()).await?;
    let entry = audit::Entry {
        actor: Some(actor),
        action: "order.cancel",
        entity: "order",
        entity_id: Some(id.to_string()),
        before: Some(json!({"status": order.status})),
        after: Some(json!({"status": Status::Cancelled, "restock": what.restock, "refundMinor": refund_minor})),
    };
    audit::record(&mut tx, entry, meta, app.clock.now()).await?;
    tx.commit().await?;
    app.waker.wake();
    app.product_cache.forget(&products).await;
    Ok(view)
}

/// Gives up a locked order that the staff refuse after its review. The buyer is not told why. One of which money went back before
/// is not cancelled any more: the rest of it goes back too, and until then it stays held.
pub(super) async fn refused(app: &App, tx: &mut PgConnection, order: &LockedOrder, actor: UserId) -> Result<()> {
    let how = How { actor: Actor::Staff, actor_id: Some(actor), note: None, internal: true, restock: true };
    if order.status == Status::Paid {
        cancel(app, tx, order, &how).await?;
    } else {
        let now = app.clock.now();
        give_money_back(tx, order, &how, now).await?;
        inventory::unsell(tx, order.id, Some(actor), now).await?;
    }
    Ok(())
}

/// Gives up a locked order. Gives the products whose stock has changed, and the sum that is asked back, in minor units.
pub(super) async fn cancel(
    app: &App,
    tx: &mut PgConnection,
    order: &LockedOrder,
    how: &How<'_>,
) -> Result<(Vec<ProductId>, i64)> {
    let now = app.clock.now();
    let refund_minor = if order.status.awaits_payment() {
        // Money that did not fit the order is here nevertheless.
        let refund_minor = give_money_back(tx, order, how, now).await?;
        close_with(tx, order, "cancelled", how, now).await?;
        refund_minor
    } else {
        give_back(tx, order, how, now).await?
    };
    let job = SendOrderMail { order_id: order.id, mail: OrderMail::Cancelled };
    jobs::enqueue(tx, &job, app.config.jobs.max_attempts).await?;
    Ok((inventory::products_of_order(tx, order.id).await?, refund_minor))
}

/// Gives up a paid order that has not left the house.
async fn give_back(tx: &mut PgConnection, order: &LockedOrder, how: &How<'_>, now: DateTime<Utc>) -> Result<i64> {
    if orders::parcels(tx, order.id).await?.iter().any(orders::Fulfilment::is_sent) {
        return Err(Error::conflict(
            "A parcel of this order has left the house. It can be sent back once it has arrived.",
        ));
    }
    orders::unpack_all(tx, order.id, now).await?;
    move_to_cancelled(tx, order, "cancelled", how, now).await?;
    let refund_minor = give_money_back(tx, order, how, now).await?;
    if how.restock {
        inventory::unsell(tx, order.id, how.staff(), now).await?;
    }
    Ok(refund_minor)
}

/// Has all money sent back that came for an order, whether it fitted or not. Gives the sum in minor units.
async fn give_money_back(tx: &mut PgConnection, order: &LockedOrder, how: &How<'_>, now: DateTime<Utc>) -> Result<i64> {
    let asked = payments::request_refunds(tx, order.id, how.staff(), "the order was cancelled", now).await?;
    let ids: Vec<_> = asked.iter().map(|(id, _)| *id).collect();
    refund::enqueue(tx, &ids).await?;
    Ok(asked.iter().map(|(_, amount)| amount).sum())
}

/// Closes a locked unpaid order: its stock and its coupon are free, its open payment attempt is over.
pub(super) async fn close(
    tx: &mut PgConnection,
    order: &LockedOrder,
    event: &str,
    (actor, actor_id): (Actor, Option<UserId>),
    note: Option<&str>,
    now: DateTime<Utc>,
) -> Result<()> {
    close_with(tx, order, event, &How { actor, actor_id, note, internal: false, restock: true }, now).await
}

async fn close_with(
    tx: &mut PgConnection,
    order: &LockedOrder,
    event: &str,
    how: &How<'_>,
    now: DateTime<Utc>,
) -> Result<()> {
    move_to_cancelled(tx, order, event, how, now).await?;
    inventory::release_reservations(tx, order.id, now).await?;
    payments::abandon_open(tx, order.id, now).await?;
    Ok(())
}

async fn move_to_cancelled(
    tx: &mut PgConnection,
    order: &LockedOrder,
    event: &str,
    how: &How<'_>,
    now: DateTime<Utc>,
) -> Result<()> {
    let change = Move {
        from: order.status,
        to: Status::Cancelled,
        event,
        actor: how.actor,
        actor_id: how.actor_id,
        note: how.note,
        internal: how.internal,
        paid_minor: None,
    };
    if !orders::move_status(tx, order.id, &change, now).await? {
        return Err(Error::conflict("This order cannot be cancelled any more."));
    }
    // Before the stock, as a placing locks them.
    coupons::return_use(tx, order.id, now).await?;
    Ok(())
}
