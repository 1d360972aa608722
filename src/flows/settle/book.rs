//! Writes that money is here, and what becomes of its order.

use sqlx::PgConnection;

use super::Outcome;
use super::misfit::{self, Misfit};
use crate::app::App;
use crate::features::invoices::MakeInvoice;
use crate::features::notifications::MoneyAlert;
use crate::features::orders::{self, Actor, LockedOrder, Move, Status};
use crate::features::payments::{self, Decision, Payment, Proof};
use crate::flows::finance_mail::{self, Alert};
use crate::flows::order_mail::{OrderMail, SendOrderMail};
use crate::flows::{cancel, refund};
use crate::platform::error::{Error, Result};
use crate::platform::ids::UserId;
use crate::platform::jobs;

/// Money that has come.
pub(super) struct Money<'a> {
    pub payment: &'a Payment,
    pub proof: &'a Proof,
    /// ISO 4217.
    pub currency: &'a str,
    /// Who says so.
    pub by: (Actor, Option<UserId>),
}

/// Money that staff have seen come: it is settled as the provider's is.
pub(in crate::flows) async fn settle_by_hand(
    app: &App,
    tx: &mut PgConnection,
    order: &LockedOrder,
    payment: &Payment,
    proof: &Proof,
    actor: UserId,
) -> Result<Outcome> {
    let wrong_sum = Misfit::of_hand(payment, proof);
    // The goods of an order that is owed were sold when it was accepted.
    let misfit =
        if order.is_owed() { wrong_sum } else { misfit::find_or_sell(tx, order, wrong_sum, app.clock.now()).await? };
    let money = Money { payment, proof, currency: &payment.currency, by: (Actor::Staff, Some(actor)) };
    book(app, tx, order, &money, misfit).await
}

/// Writes that money is here. What fits has paid the order.
pub(super) async fn book(
    app: &App,
    tx: &mut PgConnection,
    order: &LockedOrder,
    money: &Money<'_>,
    misfit: Option<Misfit>,
) -> Result<Outcome> {
    let now = app.clock.now();
    let Money { payment, proof, currency, by } = *money;
    if let Some(misfit) = misfit {
        let reason = misfit.words();
        payments::flag(tx, payment.id, proof, (reason, currency), now).await?;
        orders::record_event(tx, order.id, "payment_flagged", by, Some(reason), now).await?;
        set_aside(app, tx, order, money, misfit).await?;
        return Ok(Outcome::Flagged(reason));
    }
    payments::succeed(tx, payment.id, proof, now).await?;
    become_paid(app, tx, order, (payment, payment.amount_minor), by).await?;
    Ok(Outcome::Paid)
}

/// So much of a payment's money has paid the order, whose buyer gets a receipt and an invoice. One that is owed was accepted before and stays
/// where it stands.
///
/// # Errors
/// `Internal` when the order cannot become paid, which whoever has locked it has looked at; or the database's.
pub(in crate::flows) async fn become_paid(
    app: &App,
    tx: &mut PgConnection,
    order: &LockedOrder,
    (payment, paid_minor): (&Payment, i64),
    by: (Actor, Option<UserId>),
) -> Result<()> {
    let now = app.clock.now();
    let reference = Some(payment.reference.as_str());
    if order.is_owed() {
        orders::note_paid(tx, order.id, paid_minor, by, reference, now).await?;
    } else {
        let change = Move {
            from: order.status,
            to: Status::Paid,
            event: "paid",
            actor: by.0,
            actor_id: by.1,
            note: reference,
            internal: false,
            paid_minor: Some(paid_minor),
        };
        if !orders::move_status(tx, order.id, &change, now).await? {
            let (id, from) = (order.id, order.status);
            return Err(Error::internal(anyhow::anyhow!("order {id} cannot become paid from {from:?}")));
        }
    }
    let receipt = SendOrderMail { order_id: order.id, mail: OrderMail::Receipt };
    let tries = app.config.jobs.max_attempts;
    jobs::enqueue(tx, &receipt, tries).await?;
    // One that was accepted before has its invoice, and gets another file.
    jobs::enqueue(tx, &MakeInvoice { order_id: order.id }, tries).await
}

/// Sends money back that the order has no use for, and keeps other money for the staff, who are told of both.
async fn set_aside(
    app: &App,
    tx: &mut PgConnection,
    order: &LockedOrder,
    money: &Money<'_>,
    misfit: Misfit,
) -> Result<()> {
    let now = app.clock.now();
    let Money { payment, proof, currency, .. } = *money;
    let reason = misfit.words();
    let goes_back = misfit.goes_back(app) && proof.amount_minor > 0;
    if goes_back {
        payments::decide(tx, payment.id, Decision::Refund, None, None, now).await?;
        if order.status.awaits_payment() {
            cancel::close(tx, order, "cancelled", (Actor::System, None), Some(reason), now).await?;
        }
        refund::give_all(app, tx, (order, payment.id), proof.amount_minor, (None, reason)).await?;
        tracing::warn!(order = %order.id, payment = %payment.id, reason, "a payment goes back");
    } else {
        orders::keep_for_review(tx, order.id, now).await?;
        tracing::error!(order = %order.id, payment = %payment.id, reason, "a payment needs the staff's decision");
    }
    let about = Alert {
        kind: if goes_back { MoneyAlert::PaymentReturned } else { MoneyAlert::PaymentFlagged },
        key: payment.id.to_string(),
        order_id: order.id,
        order_number: order.number.clone(),
        amount_minor: proof.amount_minor,
        currency: currency.to_owned(),
        words: Some(reason.to_owned()),
    };
    finance_mail::alert(app, tx, about).await
}
