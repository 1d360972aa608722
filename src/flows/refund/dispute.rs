//! What a dispute takes back. The buyer's bank gives it, so nothing is sent and nobody is written to.
//!
//! What is written down of a dispute is a sum: of refunds that the provider lists with the dispute's number, and of those that are
//! written down here because it is lost. No more is than is left of the payment, so a refund that is on its way may stand in the way of
//! some of it; when that fails, the rest is written down.

use sqlx::PgConnection;

use super::{follow, lock_payment};
use crate::app::App;
use crate::features::disputes::{self, Loss, Unbooked};
use crate::features::notifications::MoneyAlert;
use crate::features::orders::{self, Actor, LockedOrder};
use crate::features::payments::{self, NewRefund, Payment, Refund, RefundOrigin, RefundStatus};
use crate::flows::finance_mail::{self, Alert};
use crate::flows::sweep_payments::is_silence;
use crate::platform::error::{Error, Result};
use crate::platform::ids::{DisputeId, OrderId, PaymentId};
use crate::platform::money::Amount;

/// Disputes that one statement looks for, and statements of one look.
const BATCH: i64 = 100;
const MOST_BATCHES: usize = 10;

/// The provider's number of the dispute that a refund of its comes of.
pub(super) fn number(said: &paystack::Refund) -> Option<i64> {
    i64::try_from(said.dispute?).ok()
}

/// Whether a refund is of the dispute that the provider's comes of, and has no number of the provider's yet.
pub(super) fn took(refund: &Refund, said: &paystack::Refund) -> bool {
    let number = number(said);
    number.is_some() && refund.dispute_number == number && refund.provider_refund_id.is_none()
}

/// Writes down what a dispute has taken back of its payment and is not written down yet, as far as that is left there, and lets the order
/// follow. Where not all of it is left, as the same money may go back by a refund too, those who look after the money are told. The
/// order is locked.
///
/// # Errors
/// The database's.
pub(in crate::flows) async fn write_down(
    app: &App,
    tx: &mut PgConnection,
    (order, payment): (OrderId, PaymentId),
    loss: &Loss,
) -> Result<()> {
    let order = lock_payment(tx, order, payment).await?;
    payments::know_dispute(tx, loss.number, loss.id).await?;
    if loss.lost_minor <= 0 {
        return Ok(());
    }
    // What is left of it may have changed while this waited.
    let found = payments::find_by_reference(tx, &payment.to_string()).await?;
    let payment = found.ok_or(Error::NotFound("The payment"))?;
    let rest = loss.lost_minor - payments::taken_by_dispute(tx, loss.number).await?;
    // Of what the shop never had nothing is taken.
    if rest <= 0 || payment.paid_minor == 0 {
        return Ok(());
    }
    let words = format!("Dispute {} took {} in all.", loss.number, Amount(loss.lost_minor));
    if let Some(currency) = loss.currency.as_deref().filter(|currency| *currency != payment.paid_currency) {
        tracing::error!(dispute = %loss.id, order = %order.id, currency, "a dispute is lost in another currency");
        let about = about(&order, MoneyAlert::OtherCurrency, format!("dispute {}", loss.id), (rest, currency), words);
        return finance_mail::alert(app, tx, about).await;
    }
    let amount_minor = rest.min(payment.paid_minor - payment.refunded_minor);
    if amount_minor > 0 {
        take(app, tx, &order, (&payment, amount_minor), loss).await?;
    }
    let beyond = rest - amount_minor;
    if beyond == 0 {
        return Ok(());
    }
    tracing::error!(dispute = %loss.id, order = %order.id, beyond, "a lost dispute takes more than is left of its payment");
    let money = (beyond, payment.paid_currency.as_str());
    let about = about(&order, MoneyAlert::DisputeBeyond, loss.id.to_string(), money, words);
    finance_mail::alert(app, tx, about).await
}

/// Writes so much of a locked payment down as taken, with all that follows from it.
async fn take(
    app: &App,
    tx: &mut PgConnection,
    order: &LockedOrder,
    (payment, amount_minor): (&Payment, i64),
    loss: &Loss,
) -> Result<()> {
    let new = NewRefund {
        origin: RefundOrigin::Dispute,
        status: RefundStatus::Processed,
        dispute_number: Some(loss.number),
        dispute_id: Some(loss.id),
        reason: None,
        notify: false,
        ..NewRefund::by_rule(payment.id, amount_minor, "")
    };
    payments::insert_refund(tx, &new, app.clock.now()).await?;
    metrics::counter!("agape_refunds_total", "status" => new.status.as_str()).increment(1);
    follow::follow_order(app, tx, order.id, (Actor::Provider, None)).await
}

fn about(
    order: &LockedOrder,
    kind: MoneyAlert,
    key: String,
    (amount_minor, currency): (i64, &str),
    words: String,
) -> Alert {
    Alert {
        kind,
        key,
        order_id: order.id,
        order_number: order.number.clone(),
        amount_minor,
        currency: currency.to_owned(),
        words: Some(words),
    }
}

/// Writes down what stood back for a refund of this payment that has failed. The order and the payment are locked.
///
/// # Errors
/// The database's.
pub(super) async fn write_down_rest(
    app: &App,
    tx: &mut PgConnection,
    order: &LockedOrder,
    payment: PaymentId,
) -> Result<()> {
    for loss in disputes::losses_of(tx, order.id, payment).await? {
        write_down(app, tx, (order.id, payment), &loss).await?;
    }
    Ok(())
}

/// Writes down what lost disputes took and nobody has written down: they were lost before the shop did so, or when nothing was known of
/// their money.
///
/// # Errors
/// The database's, and `External` when the provider does not answer.
pub(in crate::flows) async fn write_down_missing(app: &App) -> Result<()> {
    let (mut behind, mut failure): (Option<DisputeId>, _) = (None, None);
    for _ in 0..MOST_BATCHES {
        let unbooked = disputes::unbooked(&mut *app.db.acquire().await?, behind, BATCH).await?;
        for dispute in &unbooked {
            match write_down_one(app, dispute).await {
                Ok(()) => {}
                Err(error) if is_silence(&error) => return Err(error),
                // One that fails must not keep the others from it.
                Err(error) => {
                    tracing::error!(dispute = dispute.number, %error, "what a lost dispute took is not written down");
                    failure = Some(error);
                }
            }
        }
        behind = unbooked.last().map(|dispute| dispute.id);
        if i64::try_from(unbooked.len()).is_ok_and(|found| found < BATCH) {
            break;
        }
    }
    failure.map_or(Ok(()), Err)
}

async fn write_down_one(app: &App, dispute: &Unbooked) -> Result<()> {
    // It may be written down as somebody's refund, whose dispute only the provider's list tells.
    follow::compare(app, dispute.payment_id).await?;
    let mut tx = app.db.begin().await?;
    orders::lock(&mut tx, dispute.order_id).await?.ok_or(Error::NotFound("The order"))?;
    if let Some(loss) = disputes::loss_by_number(&mut tx, dispute.number).await? {
        write_down(app, &mut tx, (dispute.order_id, dispute.payment_id), &loss).await?;
    }
    tx.commit().await?;
    app.waker.wake();
    Ok(())
}
