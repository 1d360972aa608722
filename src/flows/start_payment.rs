//! Opens a payment page for an unpaid order: the attempt is stored, then the provider is asked, then its answer is
//! stored. A crash in between leaves an attempt that the next call takes up with the same reference. The key of a request is kept with
//! the attempt, before the provider is asked: what is kept under it is the reference, and the answer is made of the attempt.

use std::time::Duration;

use chrono::{DateTime, Utc};
use paystack::{InitializeTransaction, Metadata, Reference};
use sqlx::PgConnection;

use super::fraud;
use crate::app::App;
use crate::features::inventory;
use crate::features::orders::{self, Actor, LockedOrder, Move, PaymentMethod, Status, TransferInstructions};
use crate::features::payments::{self, NewPayment, Payment, PaymentStatus, Provider};
use crate::platform::crypto::random_name;
use crate::platform::error::{Error, Result};
use crate::platform::idempotency::{self, Stored};
use crate::platform::ids::{OrderId, ProductId, UserId};
use crate::platform::money::Amount;

/// Who pays.
#[derive(Clone, Copy, Debug, Default)]
pub struct Payer<'a> {
    /// His account.
    pub user: Option<UserId>,
    /// A guest proves with it that the order is his.
    pub email: Option<&'a str>,
    /// Where the request came from.
    pub ip: Option<&'a str>,
    /// The key of his request.
    pub key: Option<&'a idempotency::Request>,
}

/// How an order is paid.
#[derive(Debug)]
pub enum Started {
    /// On the provider's page.
    Page(Box<Payment>),
    /// By a transfer to an account of the shop. Nothing is begun: the staff see the money come.
    Transfer(TransferInstructions),
}

/// What a request to pay gets.
#[derive(Debug)]
pub struct Answer {
    /// How the order is paid.
    pub started: Started,
    /// Whether that was given before, to a request with the same key.
    pub replayed: bool,
}

impl Answer {
    fn page(payment: Payment) -> Self {
        Self { started: Started::Page(Box::new(payment)), replayed: false }
    }
}

/// What was made ready for the provider.
enum Ready {
    /// It has to be asked for its page.
    Attempt(Box<(Payment, LockedOrder)>),
    /// It has nothing to do any more.
    Given(Answer),
}

/// Starts a payment of this person's order, or gives the one that can still be paid. A request with a key that was answered before gets
/// the attempt that it got then, however that stands, unless it was given up.
///
/// # Errors
/// `NotFound` for another person's order; `Conflict` when it is paid, closed or sold out by now, or is paid on delivery;
/// `Payment` when the provider refuses; `External` when it does not answer; what [`idempotency::claim`] refuses.
pub async fn start(app: &App, order: OrderId, payer: Payer<'_>) -> Result<Answer> {
    // The second round is for a reference that the provider knows and we lost the answer of.
    for _ in 0..2 {
        let (payment, locked) = match prepare(app, order, payer).await? {
            Ready::Attempt(attempt) => *attempt,
            Ready::Given(answer) => return Ok(answer),
        };
        let request = InitializeTransaction {
            email: locked.email,
            amount: payment.amount_minor,
            currency: payment.currency.clone(),
            reference: Reference::new(payment.reference.clone()).map_err(Error::internal)?,
            channels: locked.payment_method.channels(),
            callback_url: Some(format!("{}/payments/callback", app.config.public_url())),
            metadata: Metadata {
                cancel_action: Some(format!(
                    "{}/payments/callback?reference={}",
                    app.config.public_url(),
                    payment.reference
                )),
                fields: serde_json::Map::from_iter([("order_number".to_owned(), payment.order_number.clone().into())]),
            },
        };
        match app.paystack.initialize(&request).await {
            Ok(page) => {
                let mut connection = app.db.acquire().await?;
                let now = app.clock.now();
                let opened =
                    payments::open(&mut connection, payment.id, &page.authorization_url, &page.access_code, now)
                        .await?;
                if !opened {
                    return Err(Error::conflict("This order was closed meanwhile."));
                }
                return Ok(Answer::page(Payment {
                    status: PaymentStatus::Open,
                    authorization_url: Some(page.authorization_url),
                    access_code: Some(page.access_code),
                    ..payment
                }));
            }
            Err(error) if error.is_duplicate_reference() => {
                if let Some(open) = await_other_call(app, &payment).await? {
                    return Ok(Answer::page(open));
                }
                let now = app.clock.now();
                payments::abandon_open(&mut *app.db.acquire().await?, order, now).await?;
            }
            Err(error) if error.is_transient() => {
                return Err(Error::External { service: "The payment provider", source: error.into() });
            }
            Err(error) => {
                tracing::error!(order = %order, error = %error, "the provider refuses to start a payment");
                let words = error.to_string();
                payments::fail(&mut *app.db.acquire().await?, payment.id, Some(&words), app.clock.now()).await?;
                return Err(Error::Payment(
                    "The payment provider does not accept this payment. Write to the shop; your order is kept.".into(),
                ));
            }
        }
    }
    Err(Error::Payment("The payment could not be started. Try again in a minute.".into()))
}

/// Stores the attempt, with the key, and makes sure that the order's stock is set aside.
async fn prepare(app: &App, id: OrderId, payer: Payer<'_>) -> Result<Ready> {
    let mut tx = app.db.begin().await?;
    match make_ready(app, &mut tx, id, payer, app.clock.now()).await {
        Ok((ready, products)) => {
            tx.commit().await?;
            app.product_cache.forget(&products).await;
            Ok(ready)
        }
        // The end comes at once, so that the key is free for the next try.
        Err(error) => {
            tx.rollback().await?;
            Err(error)
        }
    }
}

/// With the products whose stock is set aside for longer.
async fn make_ready(
    app: &App,
    tx: &mut PgConnection,
    id: OrderId,
    payer: Payer<'_>,
    now: DateTime<Utc>,
) -> Result<(Ready, Vec<ProductId>)> {
    let Payer { user, email, ip, key } = payer;
    let stored = match key {
        Some(key) => idempotency::claim(tx, key, now).await?,
        None => None,
    };
    let order = orders::lock(tx, id)
        .await?
        .filter(|order| match order.user_id {
            Some(owner) => user == Some(owner),
            None => email == Some(order.email.as_str()),
        })
        .ok_or(Error::NotFound("The order"))?;
    let given = stored.as_ref().map(|stored| stored.body.as_str());
    if let Some(started) = given_before(tx, given).await? {
        return Ok((Ready::Given(Answer { started, replayed: true }), Vec::new()));
    }
    let Some(expires_at) = order.expires_at.filter(|at| order.status.awaits_payment() && *at > now) else {
        return Err(Error::conflict(if order.status.awaits_payment() && order.expires_at.is_none() {
            "A payment of this order has arrived that the shop has to look at first. Please do not pay again."
        } else if order.status == Status::Cancelled || order.status.awaits_payment() {
            "This order was given up because it was not paid in time. Please order again."
        } else if order.is_owed() {
            "This order is paid when it arrives."
        } else {
            "This order is paid already."
        }));
    };
    // Never longer than the order lives, so that asking again and again holds nothing for ever.
    let until = expires_at.min(now + order.payment_method.patience(&app.config.orders).reserved);
    if !inventory::extend_reservations(tx, id, until, now).await? {
        return Err(Error::conflict("Something in this order has been sold meanwhile. Please order again."));
    }
    let products = inventory::products_of_order(tx, id).await?;
    if order.payment_method == PaymentMethod::ManualTransfer {
        keep(tx, key, &order.number, now).await?;
        let (started, replayed) = (Started::Transfer(transfer(app, &order)), given == Some(order.number.as_str()));
        return Ok((Ready::Given(Answer { started, replayed }), products));
    }
    if let Some(attempt) = payments::find_by_order_open(tx, id).await? {
        keep(tx, key, &attempt.reference, now).await?;
        if attempt.status != PaymentStatus::Open {
            return Ok((Ready::Attempt(Box::new((attempt, order))), products));
        }
        let replayed = given == Some(attempt.reference.as_str());
        return Ok((Ready::Given(Answer { started: Started::Page(Box::new(attempt)), replayed }), products));
    }
    if order.status != Status::PendingPayment {
        let change = Move {
            from: order.status,
            to: Status::PendingPayment,
            event: "payment_retried",
            actor: Actor::Customer,
            actor_id: user,
            note: None,
            internal: false,
            paid_minor: None,
        };
        orders::move_status(tx, id, &change, now).await?;
    }
    let reference = format!("{}-{}", order.number, random_name(9)?);
    let new = NewPayment {
        order_id: id,
        order_number: &order.number,
        user_id: order.user_id,
        provider: Provider::Paystack,
        reference: &reference,
        received_reference: None,
        amount_minor: order.total_minor,
        currency: &order.currency,
    };
    let payment = payments::create(tx, &new, now).await?;
    keep(tx, key, &reference, now).await?;
    fraud::look_at_start(app, tx, &order, &payment, ip, now).await?;
    Ok((Ready::Attempt(Box::new((payment, order))), products))
}

/// The attempt that was given under the key before, if its page was paid or refused. Whatever can still be paid goes the way of every
/// request, which gives the same again, with its stock set aside, or says why not any more.
async fn given_before(tx: &mut PgConnection, given: Option<&str>) -> Result<Option<Started>> {
    let Some(reference) = given else { return Ok(None) };
    let attempt = payments::find_by_reference(tx, reference).await?.filter(|attempt| {
        use PaymentStatus::{Failed, Flagged, Success};
        attempt.authorization_url.is_some() && matches!(attempt.status, Success | Failed | Flagged)
    });
    Ok(attempt.map(|attempt| Started::Page(Box::new(attempt))))
}

/// Keeps under the key what is given for it: the reference of the attempt, or of the transfer.
async fn keep(
    tx: &mut PgConnection,
    key: Option<&idempotency::Request>,
    reference: &str,
    now: DateTime<Utc>,
) -> Result<()> {
    let Some(key) = key else { return Ok(()) };
    idempotency::store(tx, key, &Stored { status: 200, body: reference.to_owned() }, now).await
}

fn transfer(app: &App, order: &LockedOrder) -> TransferInstructions {
    TransferInstructions {
        accounts: app.config.payments.accounts(&order.currency),
        reference: order.number.clone(),
        amount: Amount(order.total_minor),
        currency: order.currency.clone(),
    }
}

/// Another call may have started the same attempt a moment ago and be about to store its answer.
async fn await_other_call(app: &App, payment: &Payment) -> Result<Option<Payment>> {
    for _ in 0..10 {
        let now = payments::find_by_reference(&mut *app.db.acquire().await?, &payment.reference).await?;
        if let Some(open) = now.filter(|payment| payment.status == PaymentStatus::Open) {
            return Ok(Some(open));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(None)
}
