//! The one transition from what the provider says to what the order is. The return page, the verify call and the
//! webhook all come here; the first one wins, the others change nothing. Whether money fits its order is in `misfit`, what
//! becomes of both is written by `book`, for money that staff have seen come too.

mod book;
mod misfit;

use chrono::{DateTime, Utc};
use paystack::{Domain, Transaction, TransactionStatus};
use secrecy::ExposeSecret;
use sqlx::PgConnection;

use self::book::{Money, book};
pub(super) use self::book::{become_paid, settle_by_hand};
use self::misfit::Misfit;
pub(super) use self::misfit::sell;
use super::{fraud, refund};
use crate::app::App;
use crate::features::inventory;
use crate::features::orders::{self, Actor, LockedOrder, Move, Status};
use crate::features::payments::{self, Payment, PaymentStatus, Proof};
use crate::platform::db::Tx;
use crate::platform::error::{Error, Result};
use crate::platform::ids::PaymentId;

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
    /// Whether money was taken in.
    pub(super) fn is_money(&self) -> bool {
        matches!(self, Self::Paid | Self::Flagged(_))
    }

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

/// Settles by what the provider says about a transaction when it is asked.
///
/// # Errors
/// The database's.
pub async fn settle(app: &App, transaction: &Transaction) -> Result<Outcome> {
    let mut tx = app.db.begin().await?;
    match lock(app, &mut tx, transaction).await? {
        Ok(locked) => conclude(app, tx, &locked, transaction).await,
        Err(outcome) => Ok(outcome),
    }
}

/// Settles by what a notice says about a transaction. It was true when it was written, which may be long ago: money that came may
/// have gone back since. So a success of a payment that was over here is asked about.
///
/// # Errors
/// The database's; `External` when the provider does not answer, `Unavailable` while it does not show what it has told: tell it again
/// later.
pub async fn hear(app: &App, transaction: &Transaction) -> Result<Outcome> {
    let mut tx = app.db.begin().await?;
    match lock(app, &mut tx, transaction).await? {
        Ok(locked) if locked.status.is_over() && transaction.status == TransactionStatus::Success => {
            // Nobody waits for a lock while the provider is asked.
            tx.rollback().await?;
            let outcome = ask(app, &transaction.reference).await?;
            unless_late(app, locked.payment.id, outcome).await
        }
        Ok(locked) => conclude(app, tx, &locked, transaction).await,
        Err(outcome) => Ok(outcome),
    }
}

/// What becomes of a success that was told of. The provider's own parts do not hear of it at the same time: as long as the money may
/// still be told of, an answer that does not show it is not the last; later the attempt is asked about for a while again.
async fn unless_late(app: &App, payment: PaymentId, outcome: Outcome) -> Result<Outcome> {
    if matches!(outcome, Outcome::Paid | Outcome::Flagged(_)) {
        return Ok(outcome);
    }
    let is_shown = !matches!(outcome, Outcome::Pending | Outcome::Left | Outcome::Ignored(UNKNOWN));
    let mut connection = app.db.acquire().await?;
    if is_shown || !payments::is_awaited(&mut connection, payment).await? {
        payments::await_again(&mut connection, payment, app.clock.now()).await?;
        return Ok(outcome);
    }
    let cause = anyhow::anyhow!("the provider has told that payment {payment} is paid, and does not show it yet");
    Err(Error::Unavailable(cause))
}

/// A payment that is not settled yet, with its order, both locked.
struct Locked {
    order: LockedOrder,
    payment: Payment,
    status: PaymentStatus,
}

/// Locks what a transaction is about, or tells why nothing comes of it.
async fn lock(app: &App, tx: &mut PgConnection, transaction: &Transaction) -> Result<Result<Locked, Outcome>> {
    let found = payments::find_by_reference(tx, &transaction.reference).await?;
    let Some(payment) = found.filter(|payment| payment.reference == transaction.reference) else {
        return Ok(Err(Outcome::Ignored("no payment has this reference")));
    };
    if transaction.domain != expected_domain(app) {
        tracing::error!(payment = %payment.id, "a transaction of another mode (test or live) is not believed");
        return Ok(Err(Outcome::Ignored("the transaction belongs to another mode (test or live)")));
    }
    if i64::try_from(transaction.id).is_err() {
        tracing::error!(payment = %payment.id, "a transaction whose number no transaction has is not believed");
        return Ok(Err(Outcome::Ignored("the transaction's number is out of range")));
    }
    if transaction.currency.len() != 3 || !transaction.currency.bytes().all(|b| b.is_ascii_uppercase()) {
        tracing::error!(payment = %payment.id, "a transaction in what is no currency is not believed");
        return Ok(Err(Outcome::Ignored("the transaction's currency is none")));
    }
    let order = orders::lock(tx, payment.order_id).await?.ok_or(Error::NotFound("The order"))?;
    let status = payments::lock(tx, payment.id).await?.ok_or(Error::NotFound("The payment"))?;
    if matches!(status, PaymentStatus::Success | PaymentStatus::Flagged) {
        return Ok(Err(Outcome::Settled));
    }
    Ok(Ok(Locked { order, payment, status }))
}

async fn conclude(app: &App, mut tx: Tx, locked: &Locked, transaction: &Transaction) -> Result<Outcome> {
    let (now, Locked { order, payment, status }) = (app.clock.now(), locked);
    let outcome = match transaction.status {
        TransactionStatus::Success => accept(app, &mut tx, order, payment, transaction, now).await?,
        TransactionStatus::Failed | TransactionStatus::Reversed => {
            refuse(&mut tx, order, payment, transaction, now).await?
        }
        TransactionStatus::Abandoned => Outcome::Left,
        _ => Outcome::Pending,
    };
    if matches!(outcome, Outcome::Settled | Outcome::Left | Outcome::Pending) {
        // At once, so that nobody waits for what was only looked at.
        tx.rollback().await?;
        return Ok(outcome);
    }
    let products = inventory::products_of_order(&mut tx, order.id).await?;
    tx.commit().await?;
    app.waker.wake();
    app.product_cache.forget(&products).await;
    outcome.count();
    if outcome.is_money() && status.is_over() {
        look_for_refunds(app, payment.id).await;
    }
    Ok(outcome)
}

/// Takes in the refunds of money that is here for longer than the shop knows: some of it may have gone back in the provider's dashboard
/// while nobody told.
pub(super) async fn look_for_refunds(app: &App, payment: PaymentId) {
    if let Err(error) = Box::pin(refund::follow::compare(app, payment)).await {
        tracing::warn!(payment = %payment, error = %error, "its refunds are heard of by their notices");
    }
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
    let misfit = misfit::find_or_sell(tx, order, Misfit::of_transaction(payment, transaction), now).await?;
    let money = Money { payment, proof: &proof, currency: &transaction.currency, by: (Actor::Provider, None) };
    let outcome = book(app, tx, order, &money, misfit).await?;
    if outcome == Outcome::Paid {
        let card_country = transaction.authorization.as_ref().and_then(|card| card.country_code.as_deref());
        fraud::look_at_end(app, tx, order, payment, card_country, now).await?;
    }
    Ok(outcome)
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
