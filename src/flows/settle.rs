//! The one transition from what the provider says to what the order is. The return page, the verify call and the
//! webhook all come here; the first one wins, the others change nothing.

use std::cmp::Ordering;

use chrono::{DateTime, Utc};
use paystack::{Domain, Transaction, TransactionStatus};
use secrecy::ExposeSecret;
use sqlx::PgConnection;

use super::alert_finance::{Alert, alert};
use super::order_mail::{OrderMail, SendOrderMail};
use super::{cancel, fraud, refund};
use crate::app::App;
use crate::features::notifications::MoneyAlert;
use crate::features::orders::{self, Actor, LockedOrder, Move, Status};
use crate::features::payments::{self, Decision, Payment, PaymentStatus, Proof};
use crate::features::{coupons, inventory};
use crate::platform::error::{Error, Result};
use crate::platform::ids::UserId;
use crate::platform::jobs;

/// Why nothing came of asking about a reference that the provider has not been told.
pub const UNKNOWN: &str = "the provider does not know the reference";

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The order is paid by this.
    Paid,
    /// It was settled before; nothing changed.
    Settled,
    /// The provider refused the payment.
    Failed,
    /// Nothing is final yet.
    Pending,
    /// The shopper has left the payment page, and may come back to it.
    Left,
    /// Money came that does not fit: it goes back, or staff has to decide.
    Flagged(&'static str),
    /// It is not ours: an unknown reference, or another mode.
    Ignored(&'static str),
}

impl Outcome {
    /// Counts what was settled, once it lasts.
    pub(super) fn count(&self) {
        let result = match self {
            Self::Paid => "paid",
            Self::Flagged(_) => "flagged",
            _ => "failed",
        };
        metrics::counter!("agape_payments_total", "result" => result).increment(1);
    }
}

/// Asks the provider about a payment and settles by its answer. Gives the payment as it is then, and what came of it.
///
/// # Errors
/// `External` when the provider does not answer.
pub async fn verify(app: &App, payment: Payment) -> Result<(Payment, Outcome)> {
    if matches!(payment.status, PaymentStatus::Success | PaymentStatus::Flagged) {
        return Ok((payment, Outcome::Settled));
    }
    let outcome = ask(app, &payment.reference).await?;
    let payment = payments::find_by_reference(&mut *app.db.acquire().await?, &payment.reference)
        .await?
        .ok_or(Error::NotFound("The payment"))?;
    Ok((payment, outcome))
}

/// Asks the provider about a reference and settles by its answer.
///
/// # Errors
/// `External` when the provider does not answer.
pub async fn ask(app: &App, reference: &str) -> Result<Outcome> {
    match app.paystack.verify(reference).await {
        Ok(transaction) => settle(app, &transaction).await,
        // The attempt was stored and never started.
        Err(paystack::Error::NotFound) => Ok(Outcome::Ignored(UNKNOWN)),
        Err(error) => Err(Error::External { service: "The payment provider", source: error.into() }),
    }
}

/// Settles by what the provider says about a transaction.
///
/// # Errors
/// The database's.
pub async fn settle(app: &App, transaction: &Transaction) -> Result<Outcome> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let found = payments::find_by_reference(&mut tx, &transaction.reference).await?;
    let Some(payment) = found.filter(|payment| payment.reference == transaction.reference) else {
        return Ok(Outcome::Ignored("no payment has this reference"));
    };
    if transaction.domain != expected_domain(app) {
        tracing::error!(payment = %payment.id, "a transaction of another mode (test or live) is not believed");
        return Ok(Outcome::Ignored("the transaction belongs to another mode (test or live)"));
    }
    if i64::try_from(transaction.id).is_err() {
        tracing::error!(payment = %payment.id, "a transaction whose number no transaction has is not believed");
        return Ok(Outcome::Ignored("the transaction's number is out of range"));
    }
    let order = orders::lock(&mut tx, payment.order_id).await?.ok_or(Error::NotFound("The order"))?;
    let status = payments::lock(&mut tx, payment.id).await?.ok_or(Error::NotFound("The payment"))?;
    if matches!(status, PaymentStatus::Success | PaymentStatus::Flagged) {
        return Ok(Outcome::Settled);
    }
    let outcome = match transaction.status {
        TransactionStatus::Success => accept(app, &mut tx, &order, &payment, transaction, now).await?,
        TransactionStatus::Failed | TransactionStatus::Reversed => {
            refuse(&mut tx, &order, &payment, transaction, now).await?
        }
        TransactionStatus::Abandoned => return Ok(Outcome::Left),
        _ => return Ok(Outcome::Pending),
    };
    if outcome == Outcome::Settled {
        return Ok(outcome);
    }
    let products = inventory::products_of_order(&mut tx, order.id).await?;
    tx.commit().await?;
    app.waker.wake();
    app.product_cache.forget(&products).await;
    if outcome == Outcome::Paid && status == PaymentStatus::Failed {
        // What was refused before may have been taken, and given back in the provider's dashboard, while nobody told.
        if let Err(error) = Box::pin(refund::follow::compare(app, payment.id)).await {
            tracing::warn!(payment = %payment.id, error = %error, "its refunds are heard of by their notices");
        }
    }
    outcome.count();
    Ok(outcome)
}

/// Whether the buyer of what is paid under this reference was erased, so that what the provider says of him is not kept.
///
/// # Errors
/// The database's.
pub async fn is_of_erased_buyer(app: &App, reference: &str) -> Result<bool> {
    let mut connection = app.db.acquire().await?;
    let Some(payment) = payments::find_by_reference(&mut connection, reference).await? else { return Ok(false) };
    Ok(orders::find(&mut connection, payment.order_id).await?.is_some_and(|order| orders::is_erased(&order.email)))
}

/// The mode, test or live, whose transactions are believed.
pub(super) fn expected_domain(app: &App) -> Domain {
    let key = app.config.payments.paystack_secret_key.expose_secret();
    if !app.config.uses_sandbox() && key.starts_with("sk_live_") { Domain::Live } else { Domain::Test }
}

/// The money is here. Whether it fits the order decides what it does.
async fn accept(
    app: &App,
    tx: &mut PgConnection,
    order: &LockedOrder,
    payment: &Payment,
    transaction: &Transaction,
    now: DateTime<Utc>,
) -> Result<Outcome> {
    // Of a buyer who was erased nothing personal is written again.
    let erased = order.is_erased();
    let card = transaction.authorization.as_ref().filter(|_| !erased);
    let proof = Proof {
        transaction_id: Some(i64::try_from(transaction.id).map_err(Error::internal)?),
        amount_minor: transaction.amount,
        channel: transaction.channel.clone().filter(|_| !erased),
        card_brand: card.and_then(|card| card.brand.clone()),
        card_last4: card.and_then(|card| card.last4.clone()),
        gateway_response: transaction.gateway_response.clone().filter(|_| !erased),
        paid_at: transaction.paid_at.unwrap_or(now),
    };
    let misfit = misfit(tx, order, wrong_sum(payment, transaction), now).await?;
    let money = Money { payment, proof: &proof, currency: &transaction.currency, by: (Actor::Provider, None) };
    let outcome = book(app, tx, order, &money, misfit).await?;
    if outcome == Outcome::Paid {
        let card_country = transaction.authorization.as_ref().and_then(|card| card.country_code.as_deref());
        fraud::look_at_end(app, tx, order, payment, card_country, now).await?;
    }
    Ok(outcome)
}

/// Money that staff have seen come: it is settled as the provider's is.
pub(super) async fn settle_by_hand(
    app: &App,
    tx: &mut PgConnection,
    order: &LockedOrder,
    payment: &Payment,
    proof: &Proof,
    actor: UserId,
) -> Result<Outcome> {
    let wrong_sum = match proof.amount_minor.cmp(&payment.amount_minor) {
        Ordering::Less => Some(Misfit::TooLittle),
        Ordering::Equal => None,
        Ordering::Greater => Some(Misfit::TooMuch),
    };
    // The goods of an order that is owed were sold when it was accepted.
    let misfit = if order.is_owed() { wrong_sum } else { misfit(tx, order, wrong_sum, app.clock.now()).await? };
    let money = Money { payment, proof, currency: &payment.currency, by: (Actor::Staff, Some(actor)) };
    book(app, tx, order, &money, misfit).await
}

/// Money that has come.
struct Money<'a> {
    payment: &'a Payment,
    proof: &'a Proof,
    /// ISO 4217.
    currency: &'a str,
    /// Who says so.
    by: (Actor, Option<UserId>),
}

/// Writes that money is here, and what becomes of its order.
async fn book(
    app: &App,
    tx: &mut PgConnection,
    order: &LockedOrder,
    money: &Money<'_>,
    misfit: Option<Misfit>,
) -> Result<Outcome> {
    let (now, Money { payment, proof, currency, by }) = (app.clock.now(), money);
    if let Some(misfit) = misfit {
        let reason = misfit.words();
        payments::flag(tx, payment.id, proof, (reason, currency), now).await?;
        orders::record_event(tx, order.id, "payment_flagged", *by, Some(reason), now).await?;
        set_aside(app, tx, order, money, misfit).await?;
        return Ok(Outcome::Flagged(reason));
    }
    payments::succeed(tx, payment.id, proof, now).await?;
    let reference = Some(payment.reference.as_str());
    if order.is_owed() {
        orders::note_paid(tx, order.id, payment.amount_minor, *by, reference, now).await?;
    } else {
        let change = Move {
            from: order.status,
            to: Status::Paid,
            event: "paid",
            actor: by.0,
            actor_id: by.1,
            note: reference,
            internal: false,
            paid_minor: Some(payment.amount_minor),
        };
        if !orders::move_status(tx, order.id, &change, now).await? {
            let (id, from) = (order.id, order.status);
            return Err(Error::internal(anyhow::anyhow!("order {id} cannot become paid from {from:?}")));
        }
    }
    let receipt = SendOrderMail { order_id: order.id, mail: OrderMail::Receipt };
    jobs::enqueue(tx, &receipt, app.config.jobs.max_attempts).await?;
    Ok(Outcome::Paid)
}

/// Why money does not fit its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Misfit {
    Erased,
    PaidBefore,
    GivenUp,
    Closed,
    OtherCurrency,
    TooLittle,
    TooMuch,
    SoldOut,
}

impl Misfit {
    fn words(self) -> &'static str {
        match self {
            Self::Erased => "the buyer has erased his account; the money is to be given back",
            Self::PaidBefore => "the order was paid before by another attempt",
            Self::GivenUp => "the order was given up before the money came",
            Self::Closed => "the order is closed",
            Self::OtherCurrency => "paid in another currency",
            Self::TooLittle => "paid too little",
            Self::TooMuch => "paid too much",
            Self::SoldOut => "paid after the goods were sold to somebody else",
        }
    }

    /// Whether there is nothing to decide: the order has no use for this money.
    fn goes_back(self, app: &App) -> bool {
        match self {
            Self::Erased | Self::GivenUp | Self::SoldOut => true,
            Self::PaidBefore => app.config.payments.auto_refund_duplicates,
            Self::Closed | Self::OtherCurrency | Self::TooLittle | Self::TooMuch => false,
        }
    }
}

/// Sends money back that the order has no use for, and keeps other money for the staff, who are told of both.
async fn set_aside(
    app: &App,
    tx: &mut PgConnection,
    order: &LockedOrder,
    money: &Money<'_>,
    misfit: Misfit,
) -> Result<()> {
    let (now, Money { payment, proof, currency, .. }) = (app.clock.now(), money);
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
        currency: (*currency).to_owned(),
        words: Some(reason.to_owned()),
    };
    alert(app, tx, about).await
}

/// Why the money does not fit the order, or none, and then its stock is sold.
async fn misfit(
    tx: &mut PgConnection,
    order: &LockedOrder,
    wrong_sum: Option<Misfit>,
    now: DateTime<Utc>,
) -> Result<Option<Misfit>> {
    if order.is_erased() {
        return Ok(Some(Misfit::Erased));
    }
    if payments::has_success(tx, order.id).await? {
        return Ok(Some(Misfit::PaidBefore));
    }
    // Who gave it up on purpose does not want it any more; the clock may have been too fast.
    if order.status == Status::Cancelled && orders::cancelled_by(tx, order.id).await? != Some(Actor::System) {
        return Ok(Some(Misfit::GivenUp));
    }
    if !order.status.may_become(Status::Paid) {
        return Ok(Some(Misfit::Closed));
    }
    if wrong_sum.is_some() {
        return Ok(wrong_sum);
    }
    Ok(if sell(tx, order, now).await? { None } else { Some(Misfit::SoldOut) })
}

fn wrong_sum(payment: &Payment, transaction: &Transaction) -> Option<Misfit> {
    // Where the shopper bears the fees, they come on top of what was asked for.
    let with_fees = transaction.requested_amount == Some(payment.amount_minor)
        && Some(transaction.amount) == payment.amount_minor.checked_add(transaction.fees.unwrap_or(0));
    if transaction.currency != payment.currency {
        Some(Misfit::OtherCurrency)
    } else if transaction.amount < payment.amount_minor {
        Some(Misfit::TooLittle)
    } else if transaction.amount > payment.amount_minor && !with_fees {
        Some(Misfit::TooMuch)
    } else {
        None
    }
}

/// Sells the stock of an order whose money is here, and uses a coupon again that was given back. False where something is sold
/// out; nothing is changed then.
///
/// # Errors
/// The database's.
pub(super) async fn sell(tx: &mut PgConnection, order: &LockedOrder, now: DateTime<Utc>) -> Result<bool> {
    if order.status.awaits_payment() && inventory::commit_reservations(tx, order.id, now).await? > 0 {
        return Ok(true);
    }
    // Before the stock, as a placing locks them: its coupon is used again, or given back where the goods are gone.
    coupons::lock_coupons_of(tx, &[order.id]).await?;
    let sold = inventory::take_for_late_payment(tx, order.id, now).await?;
    if sold && order.status == Status::Cancelled {
        coupons::redeem_again(tx, order.id).await?;
    }
    Ok(sold)
}

async fn refuse(
    tx: &mut PgConnection,
    order: &LockedOrder,
    payment: &Payment,
    transaction: &Transaction,
    now: DateTime<Utc>,
) -> Result<Outcome> {
    let words = transaction.gateway_response.as_deref().filter(|_| !order.is_erased());
    if !payments::fail(tx, payment.id, words, now).await? {
        return Ok(Outcome::Settled);
    }
    if order.status == Status::PendingPayment {
        let change = Move {
            from: order.status,
            to: Status::PaymentFailed,
            event: "payment_failed",
            actor: Actor::Provider,
            actor_id: None,
            note: words,
            internal: false,
            paid_minor: None,
        };
        orders::move_status(tx, order.id, &change, now).await?;
    }
    Ok(Outcome::Failed)
}
