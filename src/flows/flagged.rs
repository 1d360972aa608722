//! Staff decide about money that does not fit its order: it goes back, or the shop takes it for the order.

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::PgConnection;

use super::cancel::{self, How};
use super::refund::{self, follow};
use super::settle;
use crate::app::App;
use crate::features::auth::Identity;
use crate::features::orders::{self, Actor, LockedOrder, Status};
use crate::features::payments::{self, Decision, Payment, PaymentStatus};
use crate::features::{audit, inventory};
use crate::platform::error::{Error, Result, violated_constraint};
use crate::platform::http::RequestMeta;
use crate::platform::ids::{OrderId, PaymentId};

/// Gives all of the money back. An order that still waits for money is given up, with a mail that says so.
///
/// # Errors
/// `NotFound`; `Conflict` when it fits its order, or somebody has decided before.
pub async fn give_back(
    app: &App,
    actor: &Identity,
    meta: &RequestMeta,
    id: PaymentId,
    note: Option<&str>,
) -> Result<()> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let (order, payment) = lock(&mut tx, id).await?;
    payments::decide(&mut tx, id, Decision::Refund, Some(actor.user_id), note, now).await?;
    if order.status.awaits_payment() {
        let how = How {
            actor: Actor::Staff,
            actor_id: Some(actor.user_id),
            note: Some("the payment did not fit the order"),
            internal: false,
            restock: true,
        };
        cancel::cancel(app, &mut tx, &order, &how).await?;
    } else {
        let left = payment.paid_minor - payment.refunded_minor;
        let why = (Some(actor.user_id), "the payment did not fit the order");
        // It may have gone back by the provider's dashboard.
        if left > 0 {
            refund::give_all(app, &mut tx, (&order, id), left, why).await?;
        }
    }
    let products = inventory::products_of_order(&mut tx, order.id).await?;
    record(&mut tx, (actor, meta), "payment.give_back", &payment, now).await?;
    tx.commit().await?;
    app.waker.wake();
    app.product_cache.forget(&products).await;
    Ok(())
}

/// Takes the money for the order, which is paid then, whatever it is more or less than the total. What is more can be given back
/// as of any paid order.
///
/// # Errors
/// `NotFound`; `Conflict` when it fits its order, somebody has decided before, the order cannot become paid, its goods are gone,
/// or the money is in another currency.
pub async fn accept(app: &App, actor: &Identity, meta: &RequestMeta, id: PaymentId, note: &str) -> Result<()> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let (order, payment) = lock(&mut tx, id).await?;
    check_acceptable(&order, &payment)?;
    let decided = payments::decide(&mut tx, id, Decision::Accept, Some(actor.user_id), Some(note), now).await;
    decided.map_err(|error| match violated_constraint(&error) {
        Some("payments_one_success") => {
            Error::conflict("This order was paid by another payment. This one can only go back.")
        }
        _ => error.into(),
    })?;
    // The goods of an order that is owed were sold when it was accepted.
    if !order.is_owed() && !settle::sell(&mut tx, &order, now).await? {
        return Err(Error::conflict("The goods of this order were sold to somebody else. Its money can only go back."));
    }
    let staff = (Actor::Staff, Some(actor.user_id));
    orders::record_event(&mut tx, order.id, "payment_accepted", staff, None, now).await?;
    // What moves the order is the provider's money; that somebody of the shop took it is the event of its own above.
    let by = if order.is_owed() { staff } else { (Actor::Provider, None) };
    settle::become_paid(app, &mut tx, &order, (&payment, payment.paid_minor), by).await?;
    // A part may have gone back while nobody had decided.
    follow::follow_order(app, &mut tx, order.id, staff).await?;
    let products = inventory::products_of_order(&mut tx, order.id).await?;
    record(&mut tx, (actor, meta), "payment.accept", &payment, now).await?;
    tx.commit().await?;
    app.waker.wake();
    app.product_cache.forget(&products).await;
    Ok(())
}

fn check_acceptable(order: &LockedOrder, payment: &Payment) -> Result<()> {
    if payment.paid_currency != payment.currency {
        return Err(Error::conflict("The money is in another currency than the order. It can only go back."));
    }
    if payment.refunded_minor >= payment.paid_minor {
        return Err(Error::conflict("All of this money goes back already."));
    }
    if order.is_erased() {
        return Err(Error::conflict("The buyer of this order was erased. His money can only go back."));
    }
    if !order.is_owed() && !order.status.may_become(Status::Paid) {
        let status = order.status.as_str();
        return Err(Error::conflict(format!(
            "This order is {status} and cannot become paid. Its money can only go back."
        )));
    }
    Ok(())
}

/// A payment that waits for a decision, with its order, both locked.
async fn lock(tx: &mut PgConnection, id: PaymentId) -> Result<(LockedOrder, Payment)> {
    let missing = || Error::NotFound("The payment");
    let order_id: OrderId = find(tx, id).await?.ok_or_else(missing)?.order_id;
    let order = orders::lock(tx, order_id).await?.ok_or(Error::NotFound("The order"))?;
    payments::lock(tx, id).await?;
    let payment = find(tx, id).await?.ok_or_else(missing)?;
    match (payment.status, payment.decision) {
        (PaymentStatus::Flagged, None) => Ok((order, payment)),
        (PaymentStatus::Flagged | PaymentStatus::Success, Some(_)) => {
            Err(Error::conflict("Somebody has decided about this payment already."))
        }
        _ => Err(Error::conflict("There is nothing to decide about this payment.")),
    }
}

async fn find(tx: &mut PgConnection, id: PaymentId) -> Result<Option<Payment>> {
    Ok(payments::find_by_reference(tx, &id.to_string()).await?)
}

/// Words are left out of the entry: they are in the payment, where they can be erased.
async fn record(
    tx: &mut PgConnection,
    (actor, meta): (&Identity, &RequestMeta),
    action: &'static str,
    payment: &Payment,
    now: DateTime<Utc>,
) -> Result<()> {
    let entry = audit::Entry {
        actor: Some(actor),
        action,
        entity: "payment",
        entity_id: Some(payment.id.to_string()),
        before: Some(json!({"status": payment.status, "reason": payment.flag_reason})),
        after: Some(
            json!({"orderId": payment.order_id, "amountMinor": payment.amount_minor, "paidMinor": payment.paid_minor}),
        ),
    };
    audit::record(tx, entry, meta, now).await
}
