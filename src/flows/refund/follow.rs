//! What the provider says about refunds is taken in here: its answers, its notices, and what it tells when it is asked.
//!
//! A notice names a transaction and an amount, no refund. So it only makes the shop look at all refunds of that payment.

use chrono::TimeDelta;
use paystack::{ListRefunds, RefundEvent, RefundStatus as Said};
use sqlx::PgConnection;

use super::send::unavailable;
use super::{dispute, lock, lock_payment, tell_buyer};
use crate::app::App;
use crate::features::disputes;
use crate::features::notifications::{MoneyAlert, RefundTurn};
use crate::features::orders::{self, Actor, LockedOrder, Move, Status};
use crate::features::payments::{self, NewRefund, Refund, RefundNews, RefundOrigin, RefundStatus, noted};
use crate::flows::finance_mail::{self, Alert};
use crate::flows::settle;
use crate::platform::error::{Error, Result, violated_constraint};
use crate::platform::ids::{OrderId, PaymentId, RefundId};

/// Refunds of one page.
const PAGE: u32 = 100;

/// Pages of one payment; so many refunds nobody gives.
const MOST_PAGES: u32 = 100;

/// Clocks differ.
const SKEW: TimeDelta = TimeDelta::minutes(5);

/// What came of a notice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The refunds of the payment are as the provider says.
    Done,
    /// It is not about us.
    Ignored(&'static str),
}

/// Takes a notice about a refund in.
///
/// # Errors
/// `External` when the provider does not answer, `Unavailable` while the money may still come that it gives back: tell it again later.
pub async fn notice(app: &App, event: &RefundEvent) -> Result<Outcome> {
    if event.domain != settle::expected_domain(app) {
        return Ok(Outcome::Ignored("the refund belongs to another mode (test or live)"));
    }
    let reference = &event.transaction_reference;
    let find = async || {
        let found = payments::find_by_reference(&mut *app.db.acquire().await?, reference).await?;
        Ok::<_, Error>(found.filter(|payment| payment.reference == *reference))
    };
    let Some(mut payment) = find().await? else { return Ok(Outcome::Ignored("no payment has this reference")) };
    if payment.provider_transaction_id.is_none() {
        // The money's own notice is late.
        let outcome = settle::ask(app, reference).await?;
        payment = find().await?.ok_or(Error::NotFound("The payment"))?;
        if payment.provider_transaction_id.is_none() {
            return not_here(app, payment.id, &outcome).await;
        }
    }
    let listed = compare(app, payment.id).await?;
    let shows = |said: &paystack::Refund| said.amount == event.amount && rank(&said.status) >= rank(&event.status);
    // One that the provider tells of and does not show is heard of again: by its next notice, or when the clock asks.
    Ok(if listed.iter().any(shows) {
        Outcome::Done
    } else {
        Outcome::Ignored("the provider does not show this refund")
    })
}

/// What becomes of a notice about money that is not here. The provider's own parts do not hear of things at the same time: as long as
/// the money may still be told of, the notice comes again.
async fn not_here(app: &App, payment: PaymentId, outcome: &settle::Outcome) -> Result<Outcome> {
    let is_final = !matches!(outcome, settle::Outcome::Pending | settle::Outcome::Left);
    if is_final || !payments::is_awaited(&mut *app.db.acquire().await?, payment).await? {
        return Ok(Outcome::Ignored("the payment has no money that could go back"));
    }
    let cause = anyhow::anyhow!("money of payment {payment} goes back that the provider does not show as taken yet");
    Err(Error::Unavailable(cause))
}

/// How far a refund has come.
fn rank(said: &Said) -> u8 {
    match said {
        Said::Pending | Said::Other(_) => 0,
        Said::Processing => 1,
        Said::NeedsAttention => 2,
        Said::Processed | Said::Failed => 3,
    }
}

/// Makes the refunds of a payment as the provider says, and gives what it says. Those that were begun elsewhere are written down.
///
/// # Errors
/// `External` when the provider does not answer.
pub(in crate::flows) async fn compare(app: &App, payment: PaymentId) -> Result<Vec<paystack::Refund>> {
    let found = payments::find_by_reference(&mut *app.db.acquire().await?, &payment.to_string()).await?;
    let payment = found.ok_or(Error::NotFound("The payment"))?;
    let Some(transaction) = payment.provider_transaction_id else { return Ok(Vec::new()) };
    let listed = list(app, transaction).await?;
    for said in &listed {
        let mut c = app.db.acquire().await?;
        let ours = payments::refunds_of_payment(&mut c, payment.id).await?;
        drop(c);
        match find(&ours, said) {
            Some(refund) => hear(app, refund.id, said).await?,
            None => write_down(app, (payment.order_id, payment.id), said).await?,
        }
    }
    Ok(listed)
}

/// All refunds of a transaction, the oldest first.
async fn list(app: &App, transaction: i64) -> Result<Vec<paystack::Refund>> {
    let transaction = Some(u64::try_from(transaction).map_err(Error::internal)?);
    let mut listed: Vec<paystack::Refund> = Vec::new();
    for page in 1..=MOST_PAGES {
        let query = ListRefunds { transaction, page: Some(page), per_page: Some(PAGE), ..ListRefunds::default() };
        let items = match app.paystack.list_refunds(&query).await {
            Ok(page) => page.items,
            // A transaction that the provider does not know has no refunds.
            Err(paystack::Error::Rejected { http_status: 404, .. }) => Vec::new(),
            Err(error) => return Err(unavailable(error)),
        };
        let is_last = items.len() < PAGE as usize;
        listed.extend(items);
        if is_last {
            break;
        }
    }
    listed.retain(|said| said.transaction.is_none() || said.transaction == transaction);
    listed.sort_by_key(|said| said.id);
    listed.dedup_by_key(|said| said.id);
    Ok(listed)
}

/// The refund that the provider speaks of. What a dispute took is known by the dispute, and never taken for one that was sent.
fn find<'a>(ours: &'a [Refund], said: &paystack::Refund) -> Option<&'a Refund> {
    let by_number = ours.iter().find(|refund| refund.provider_refund_id.is_some() && is_it(refund, said));
    let by_dispute = || ours.iter().find(|refund| dispute::took(refund, said));
    by_number.or_else(by_dispute).or_else(|| ours.iter().find(|refund| is_it(refund, said)))
}

/// Whether the provider speaks of this refund: by its number, by our note, or, where it has none of ours and comes of no dispute, by
/// the amount of the one that was sent and has no answer.
pub(super) fn is_it(refund: &Refund, said: &paystack::Refund) -> bool {
    if let Some(number) = refund.provider_refund_id {
        return u64::try_from(number).is_ok_and(|number| number == said.id);
    }
    match (said.merchant_note.as_deref().and_then(noted), refund.sent_at) {
        (Some(id), _) => id == refund.id,
        (None, Some(sent_at)) => {
            refund.status == RefundStatus::Pending
                && said.dispute.is_none()
                && refund.amount_minor == said.amount
                && said.created_at.is_none_or(|at| at >= sent_at - SKEW)
        }
        (None, None) => false,
    }
}

fn status_of(said: &Said) -> RefundStatus {
    match said {
        Said::Pending | Said::Processing | Said::Other(_) => RefundStatus::Processing,
        Said::Processed => RefundStatus::Processed,
        Said::Failed => RefundStatus::Failed,
        Said::NeedsAttention => RefundStatus::NeedsAttention,
    }
}

/// Takes in what the provider says about a refund of ours.
///
/// # Errors
/// The database's.
pub(super) async fn hear(app: &App, id: RefundId, said: &paystack::Refund) -> Result<()> {
    let mut tx = app.db.begin().await?;
    let (order, refund) = lock(&mut tx, id).await?;
    let news = RefundNews {
        provider_refund_id: Some(i64::try_from(said.id).map_err(Error::internal)?),
        dispute_number: dispute::number(said),
        processed_at: said.refunded_at,
        words: None,
    };
    let to = match (&said.status, refund.status) {
        // It says nothing new of one that waits for an account.
        (Said::Pending | Said::Other(_), RefundStatus::NeedsAttention) => RefundStatus::NeedsAttention,
        (said, _) => status_of(said),
    };
    turn(app, &mut tx, (&order, &refund), to, &news).await?;
    if let Some(number) = news.dispute_number
        && let Some(known) = disputes::loss_by_number(&mut tx, number).await?
    {
        payments::know_dispute(&mut tx, number, known.id).await?;
    }
    tx.commit().await?;
    app.waker.wake();
    Ok(())
}

/// Moves a refund whose order is locked, with all that follows from it. News that are older than what is known change nothing.
pub(super) async fn turn(
    app: &App,
    tx: &mut PgConnection,
    (order, refund): (&LockedOrder, &Refund),
    to: RefundStatus,
    news: &RefundNews<'_>,
) -> Result<()> {
    let now = app.clock.now();
    let is_move = refund.status.may_become(to);
    let next = if is_move { to } else { refund.status };
    payments::move_refund(tx, refund.id, (refund.status, next), news, now).await?;
    if is_move {
        return after(app, tx, (order, refund.id), to, refund.notify).await;
    }
    let is_back = refund.status == RefundStatus::Failed && to != RefundStatus::Failed;
    if is_back || refund.status == RefundStatus::Processed && to == RefundStatus::Failed {
        tracing::error!(refund = %refund.id, is = refund.status.as_str(), said = to.as_str(), "the provider contradicts itself");
        let words = format!("It was {} before, and is {} now.", refund.status.as_str(), to.as_str());
        tell_finance(app, tx, refund, MoneyAlert::RefundContradicted, Some(words)).await?;
    }
    Ok(())
}

/// What follows from a new status.
pub(super) async fn after(
    app: &App,
    tx: &mut PgConnection,
    (order, id): (&LockedOrder, RefundId),
    status: RefundStatus,
    notify: bool,
) -> Result<()> {
    metrics::counter!("agape_refunds_total", "status" => status.as_str()).increment(1);
    let refund = payments::find_refund(tx, id).await?.ok_or(Error::NotFound("The refund"))?;
    match status {
        RefundStatus::Processed => {
            let actor = if refund.origin == RefundOrigin::Manual { Actor::Staff } else { Actor::Provider };
            follow_order(app, tx, order.id, (actor, refund.requested_by.filter(|_| actor == Actor::Staff))).await?;
            if notify {
                tell_buyer(app, tx, order, id, RefundTurn::Processed).await?;
            }
        }
        RefundStatus::Failed => {
            tell_finance(app, tx, &refund, MoneyAlert::RefundFailed, refund.last_error.clone()).await?;
            if notify {
                tell_buyer(app, tx, order, id, RefundTurn::Failed).await?;
            }
            // It stood in the way of what a dispute took.
            Box::pin(dispute::write_down_rest(app, tx, order, refund.payment_id)).await?;
        }
        RefundStatus::NeedsAttention => {
            tell_finance(app, tx, &refund, MoneyAlert::RefundNeedsAttention, None).await?;
        }
        RefundStatus::Pending | RefundStatus::Processing => {}
    }
    Ok(())
}

async fn tell_finance(
    app: &App,
    tx: &mut PgConnection,
    refund: &Refund,
    kind: MoneyAlert,
    words: Option<String>,
) -> Result<()> {
    let about = Alert {
        kind,
        // Once for each time that it comes to this.
        key: format!("{}/{}", refund.id, refund.updated_at.timestamp_micros()),
        order_id: refund.order_id,
        order_number: refund.order_number.clone(),
        amount_minor: refund.amount_minor,
        currency: refund.currency.clone(),
        words,
    };
    finance_mail::alert(app, tx, about).await
}

/// Lets an order follow its money: refunded once all that was paid for it has gone back, partially refunded once some has that
/// was not beyond its total. Where the table allows no such move, as of one that is cancelled or whose return is under way, it
/// stays.
///
/// # Errors
/// The database's.
pub(in crate::flows) async fn follow_order(
    app: &App,
    tx: &mut PgConnection,
    order: OrderId,
    (actor, actor_id): (Actor, Option<crate::platform::ids::UserId>),
) -> Result<()> {
    let order = orders::lock(tx, order).await?.ok_or(Error::NotFound("The order"))?;
    let Some(payment) = payments::find_successful(tx, order.id).await? else { return Ok(()) };
    let gone = payments::processed_minor(tx, payment.id).await?;
    let beyond = (payment.paid_minor - order.total_minor).max(0);
    let next = match gone {
        0 => return Ok(()),
        gone if gone >= payment.paid_minor => Status::Refunded,
        gone if gone > beyond => Status::PartiallyRefunded,
        _ => return Ok(()),
    };
    let change = Move {
        from: order.status,
        to: next,
        event: next.as_str(),
        actor,
        actor_id,
        note: None,
        internal: false,
        paid_minor: None,
    };
    orders::move_status(tx, order.id, &change, app.clock.now()).await?;
    Ok(())
}

/// Writes down what was begun in the provider's dashboard, or by a dispute, so that the sums are true.
async fn write_down(app: &App, (order, payment): (OrderId, PaymentId), said: &paystack::Refund) -> Result<()> {
    let mut tx = app.db.begin().await?;
    let order = lock_payment(&mut tx, order, payment).await?;
    let found = payments::find_by_reference(&mut tx, &payment.to_string()).await?;
    let payment = found.ok_or(Error::NotFound("The payment"))?;
    let known = payments::refunds_of_payment(&mut tx, payment.id).await?;
    if find(&known, said).is_some() {
        // Somebody else was faster.
        return Ok(());
    }
    if said.currency.as_ref().is_some_and(|currency| *currency != payment.paid_currency) {
        tx.rollback().await?;
        return alert(app, &order, said, MoneyAlert::OtherCurrency).await;
    }
    let (dispute_number, mut amount_minor) = (dispute::number(said), said.amount);
    let loss = match dispute_number {
        Some(number) => disputes::loss_by_number(&mut tx, number).await?,
        None => None,
    };
    let is_comparable = |loss: &&disputes::Loss| {
        loss.lost_minor > 0 && loss.currency.as_ref().is_none_or(|currency| *currency == payment.paid_currency)
    };
    if let Some(loss) = loss.as_ref().filter(is_comparable) {
        // How much it took in all is known, and whoever is to hear that not so much is left has heard so when it was lost.
        if payments::taken_by_dispute(&mut tx, loss.number).await? >= loss.lost_minor {
            return Ok(());
        }
        amount_minor = amount_minor.min(payment.paid_minor - payment.refunded_minor);
        if amount_minor <= 0 {
            return Ok(());
        }
    }
    let status = status_of(&said.status);
    let new = NewRefund {
        origin: if dispute_number.is_some() { RefundOrigin::Dispute } else { RefundOrigin::Provider },
        dispute_number,
        dispute_id: loss.map(|loss| loss.id),
        status,
        provider_refund_id: Some(i64::try_from(said.id).map_err(Error::internal)?),
        reason: None,
        sent_at: said.created_at,
        // Of what his bank gives him the buyer hears there.
        notify: dispute_number.is_none(),
        ..NewRefund::by_rule(payment.id, amount_minor, "")
    };
    match payments::insert_refund(&mut tx, &new, app.clock.now()).await {
        Ok(id) => {
            after(app, &mut tx, (&order, id), status, new.notify).await?;
            tx.commit().await?;
            app.waker.wake();
            Ok(())
        }
        Err(error) if violated_constraint(&error) == Some("payments_refunds_within_paid") => {
            tx.rollback().await?;
            // A refund of ours that was not sent yet stands for the same money, or the sums are wrong.
            alert(app, &order, said, MoneyAlert::RefundBeyond).await
        }
        Err(error) => Err(error.into()),
    }
}

/// Tells that a refund of the provider's is not written down.
async fn alert(app: &App, order: &LockedOrder, said: &paystack::Refund, kind: MoneyAlert) -> Result<()> {
    tracing::error!(order = %order.id, refund = said.id, kind = kind.as_str(), "a refund of the provider's is not written down");
    let mut tx = app.db.begin().await?;
    let about = Alert {
        kind,
        key: said.id.to_string(),
        order_id: order.id,
        order_number: order.number.clone(),
        amount_minor: said.amount,
        currency: said.currency.clone().unwrap_or_else(|| order.currency.clone()),
        words: None,
    };
    finance_mail::alert(app, &mut tx, about).await?;
    tx.commit().await?;
    app.waker.wake();
    Ok(())
}
