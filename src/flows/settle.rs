//! The one transition from what the provider says to what the order is. The return page, the verify call and the
//! webhook all come here; the first one wins, the others change nothing.

use chrono::{DateTime, Utc};
use paystack::{Domain, Transaction, TransactionStatus};
use secrecy::ExposeSecret;
use sqlx::PgConnection;

use super::order_mail::{OrderMail, SendOrderMail};
use crate::app::App;
use crate::features::orders::{self, Actor, LockedOrder, Move, Status};
use crate::features::payments::{self, Payment, PaymentStatus, Proof};
use crate::features::{coupons, inventory};
use crate::platform::error::{Error, Result};
use crate::platform::jobs;

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
    /// Money came that does not fit; staff has to decide.
    Flagged(&'static str),
    /// It is not ours: an unknown reference, or another mode.
    Ignored(&'static str),
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
        Err(paystack::Error::NotFound) => Ok(Outcome::Ignored("the provider does not know the reference")),
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
    let products = inventory::products_of_order(&mut tx, order.id).await?;
    tx.commit().await?;
    app.waker.wake();
    app.product_cache.forget(&products).await;
    let result = match &outcome {
        Outcome::Paid => "paid",
        Outcome::Flagged(_) => "flagged",
        _ => "failed",
    };
    metrics::counter!("agape_payments_total", "result" => result).increment(1);
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

fn expected_domain(app: &App) -> Domain {
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
        transaction_id: i64::try_from(transaction.id).map_err(Error::internal)?,
        amount_minor: transaction.amount,
        channel: transaction.channel.clone().filter(|_| !erased),
        card_brand: card.and_then(|card| card.brand.clone()),
        card_last4: card.and_then(|card| card.last4.clone()),
        gateway_response: transaction.gateway_response.clone().filter(|_| !erased),
        paid_at: transaction.paid_at.unwrap_or(now),
    };
    if let Some(reason) = misfit(tx, order, payment, transaction, now).await? {
        payments::flag(tx, payment.id, &proof, reason, now).await?;
        orders::keep_for_review(tx, order.id, now).await?;
        orders::record_event(tx, order.id, "payment_flagged", (Actor::Provider, None), Some(reason), now).await?;
        tracing::error!(order = %order.id, payment = %payment.id, reason, "a payment needs the staff's decision");
        return Ok(Outcome::Flagged(reason));
    }
    payments::succeed(tx, payment.id, &proof, now).await?;
    let change = Move {
        from: order.status,
        to: Status::Paid,
        event: "paid",
        actor: Actor::Provider,
        actor_id: None,
        note: Some(&payment.reference),
        internal: false,
        paid_minor: Some(payment.amount_minor),
    };
    if !orders::move_status(tx, order.id, &change, now).await? {
        return Err(Error::internal(anyhow::anyhow!("order {} cannot become paid from {:?}", order.id, order.status)));
    }
    let receipt = SendOrderMail { order_id: order.id, mail: OrderMail::Receipt };
    jobs::enqueue(tx, &receipt, app.config.jobs.max_attempts).await?;
    Ok(Outcome::Paid)
}

/// Why the money does not fit the order, or none, and then the stock is sold, and a coupon that was given back is used again.
async fn misfit(
    tx: &mut PgConnection,
    order: &LockedOrder,
    payment: &Payment,
    transaction: &Transaction,
    now: DateTime<Utc>,
) -> Result<Option<&'static str>> {
    if transaction.currency != payment.currency {
        return Ok(Some("paid in another currency"));
    }
    // Where the shopper bears the fees, they come on top of what was asked for.
    let with_fees = transaction.requested_amount == Some(payment.amount_minor)
        && Some(transaction.amount) == payment.amount_minor.checked_add(transaction.fees.unwrap_or(0));
    if transaction.amount < payment.amount_minor {
        return Ok(Some("paid too little"));
    }
    if transaction.amount > payment.amount_minor && !with_fees {
        return Ok(Some("paid too much"));
    }
    if payments::has_success(tx, order.id).await? {
        return Ok(Some("the order was paid before by another attempt"));
    }
    if order.is_erased() {
        return Ok(Some("the buyer has erased his account; the money is to be given back"));
    }
    if !order.status.may_become(Status::Paid) {
        return Ok(Some("the order is closed"));
    }
    let is_revived = order.status == Status::Cancelled;
    if is_revived {
        // Before the stock, as a placing locks them.
        coupons::lock_coupons_of(tx, &[order.id]).await?;
    }
    let sold = order.status.awaits_payment() && inventory::commit_reservations(tx, order.id, now).await? > 0;
    if sold || inventory::take_for_late_payment(tx, order.id, now).await? {
        if is_revived {
            coupons::redeem_again(tx, order.id).await?;
        }
        Ok(None)
    } else {
        Ok(Some("paid after the goods were sold to somebody else"))
    }
}

async fn refuse(
    tx: &mut PgConnection,
    order: &LockedOrder,
    payment: &Payment,
    transaction: &Transaction,
    now: DateTime<Utc>,
) -> Result<Outcome> {
    let words = transaction.gateway_response.as_deref().filter(|_| !order.is_erased());
    if payments::fail(tx, payment.id, words, now).await? && order.status == Status::PendingPayment {
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
