//! Money goes back. It is written down and committed first, by staff (`ask`) or by a rule of the shop; then a job sends it
//! (`send`), and what the provider says of it, whenever and however often, is taken in by one way (`follow`), for which the clock asks
//! too (`sweep`). Where the provider cannot find the buyer's card any more, staff name a bank account (`attention`). What a dispute takes
//! is a refund as well (`dispute`).

pub mod ask;
pub mod attention;
pub(super) mod dispute;
pub mod follow;
pub mod instead;
pub mod send;
pub(super) mod sweep;

use sqlx::PgConnection;

use super::order_mail::{OrderMail, SendOrderMail};
use crate::app::App;
use crate::features::notifications::RefundTurn;
use crate::features::orders::{self, LockedOrder};
use crate::features::payments::{self, NewRefund, Refund, RefundOrigin};
use crate::platform::error::{Error, Result};
use crate::platform::ids::{OrderId, PaymentId, RefundId, UserId};
use crate::platform::jobs;

use self::send::SendRefund;

/// Has refunds sent that this transaction has written down. Wake the workers after the commit.
pub(super) async fn enqueue(tx: &mut PgConnection, ids: &[RefundId]) -> Result<()> {
    for refund_id in ids {
        jobs::enqueue::<App, _>(tx, &SendRefund { refund_id: *refund_id }, SendRefund::TRIES).await?;
    }
    Ok(())
}

/// Gives all that is left of a locked payment back, by a rule of the shop or because a member of the staff says so, and tells the
/// buyer.
pub(super) async fn give_all(
    app: &App,
    tx: &mut PgConnection,
    (order, payment): (&LockedOrder, PaymentId),
    amount_minor: i64,
    (staff, reason): (Option<UserId>, &str),
) -> Result<()> {
    let origin = if staff.is_some() { RefundOrigin::Staff } else { RefundOrigin::System };
    let new = NewRefund { origin, requested_by: staff, ..NewRefund::by_rule(payment, amount_minor, reason) };
    let id = payments::insert_refund(tx, &new, app.clock.now()).await?;
    enqueue(tx, &[id]).await?;
    tell_buyer(app, tx, order, id, RefundTurn::Requested).await
}

/// Writes to the buyer, unless he was erased.
async fn tell_buyer(
    app: &App,
    tx: &mut PgConnection,
    order: &LockedOrder,
    refund: RefundId,
    turn: RefundTurn,
) -> Result<()> {
    if order.is_erased() {
        return Ok(());
    }
    // Money that is given back by hand is told of when it has gone.
    let found = payments::find_refund(tx, refund).await?.ok_or(Error::NotFound("The refund"))?;
    if found.provider_transaction_id.is_none() && turn != RefundTurn::Processed {
        return Ok(());
    }
    let job = SendOrderMail { order_id: order.id, mail: OrderMail::Refund { refund, turn } };
    jobs::enqueue(tx, &job, app.config.jobs.max_attempts).await
}

/// A refund with its order and its payment locked, in the one order in which all lock them.
async fn lock(tx: &mut PgConnection, id: RefundId) -> Result<(LockedOrder, Refund)> {
    let missing = || Error::NotFound("The refund");
    let refund = payments::find_refund(tx, id).await?.ok_or_else(missing)?;
    let order = lock_payment(tx, refund.order_id, refund.payment_id).await?;
    // It may have moved while this waited.
    let refund = payments::find_refund(tx, id).await?.ok_or_else(missing)?;
    Ok((order, refund))
}

async fn lock_payment(tx: &mut PgConnection, order: OrderId, payment: PaymentId) -> Result<LockedOrder> {
    let order = orders::lock(tx, order).await?.ok_or(Error::NotFound("The order"))?;
    payments::lock(tx, payment).await?.ok_or(Error::NotFound("The payment"))?;
    Ok(order)
}
