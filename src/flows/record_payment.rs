//! Money that staff have seen come: a transfer on the shop's account, or what the buyer gave at the door.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use sqlx::PgConnection;

use super::settle::{self, Outcome};
use crate::app::App;
use crate::features::auth::Identity;
use crate::features::orders::{self, LockedOrder, PaymentMethod};
use crate::features::payments::{self, HandChannel, NewPayment, Proof, Provider};
use crate::features::{audit, inventory};
use crate::platform::crypto::random_name;
use crate::platform::error::{Error, FieldError, Result, violated_constraint};
use crate::platform::http::RequestMeta;
use crate::platform::http::keyed::{self, Begun, Keyed};
use crate::platform::idempotency;
use crate::platform::ids::OrderId;

/// Money as staff tell of it.
#[derive(Debug)]
pub struct HandMoney {
    /// What came, in minor units of the order's currency.
    pub amount_minor: i64,
    /// How; none for what the order's way of paying is.
    pub channel: Option<HandChannel>,
    /// The bank's or the courier's name for it.
    pub reference: Option<String>,
    /// When it came; none for now.
    pub received_at: Option<DateTime<Utc>>,
    /// Words for the staff.
    pub note: Option<String>,
}

/// Records money and settles the order by it. A transfer that is recorded for this order already changes nothing.
///
/// # Errors
/// `NotFound`; `Validation`; `Conflict` when the order is not paid by hand, is paid or over, or the transfer is another
/// order's; what [`idempotency::claim`] refuses.
pub async fn record(
    app: &App,
    actor: &Identity,
    meta: &RequestMeta,
    id: OrderId,
    money: HandMoney,
    key: Option<idempotency::Request>,
) -> Result<Keyed> {
    let now = app.clock.now();
    let mut tx = match keyed::begin(&app.db, key.as_ref(), now).await? {
        Begun::Given(answer) => return Ok(answer),
        Begun::Open(tx) => tx,
    };
    let done = async {
        let order = orders::lock(&mut tx, id).await?.ok_or(Error::NotFound("The order"))?;
        let outcome = settle_by(app, &mut tx, &order, &money, actor).await?;
        let products = inventory::products_of_order(&mut tx, id).await?;
        let view = orders::staff_detail(&mut tx, id, &app.config.public_url()).await?;
        let answer = tx.answer(201, orders::StaffOrderData { order: view }).await?;
        if outcome != Outcome::Settled {
            write_down(app, &mut tx, (actor, meta), &order, money.amount_minor, &outcome).await?;
        }
        Ok((answer, outcome, products))
    }
    .await;
    let (answer, outcome, products) = tx.end(done).await?;
    app.waker.wake();
    app.product_cache.forget(&products).await;
    if outcome != Outcome::Settled {
        outcome.count();
    }
    Ok(answer)
}

/// Writes the money as a payment of its own, and what becomes of the order.
async fn settle_by(
    app: &App,
    tx: &mut PgConnection,
    order: &LockedOrder,
    money: &HandMoney,
    actor: &Identity,
) -> Result<Outcome> {
    let now = app.clock.now();
    let (provider, usual) = match order.payment_method {
        PaymentMethod::ManualTransfer => (Provider::ManualTransfer, HandChannel::BankTransfer),
        PaymentMethod::PayOnDelivery => (Provider::PayOnDelivery, HandChannel::Cash),
        PaymentMethod::Paystack | PaymentMethod::BankTransfer => {
            return Err(Error::conflict("This order is paid on the provider's page, which tells of its money itself."));
        }
    };
    let channel = money.channel.unwrap_or(usual);
    check(provider, channel, money, now)?;
    if let Some(reference) = &money.reference
        && let Some((other, number)) = payments::order_of_received(tx, provider, reference).await?
    {
        if other == order.id {
            return Ok(Outcome::Settled);
        }
        return Err(Error::conflict(format!("Money with this reference is recorded for the order {number} already.")));
    }
    if provider == Provider::PayOnDelivery {
        refuse_second(tx, order).await?;
    }
    let reference = format!("{}-{}", order.number, random_name(9)?);
    let new = NewPayment {
        order_id: order.id,
        order_number: &order.number,
        user_id: order.user_id,
        provider,
        reference: &reference,
        received_reference: money.reference.as_deref().filter(|_| !order.is_erased()),
        amount_minor: order.total_minor,
        currency: &order.currency,
    };
    let payment = payments::create(tx, &new, now).await.map_err(|error| match violated_constraint(&error) {
        Some("payments_received_once") => {
            Error::conflict("Money with this reference is being recorded for another order just now.")
        }
        _ => error.into(),
    })?;
    let proof = Proof {
        transaction_id: None,
        amount_minor: money.amount_minor,
        channel: Some(channel.as_str().to_owned()),
        card_brand: None,
        card_last4: None,
        gateway_response: money.note.clone().filter(|_| !order.is_erased()),
        paid_at: money.received_at.unwrap_or(now),
    };
    settle::settle_by_hand(app, tx, order, &payment, &proof, actor.user_id).await
}

/// All that is wrong with what staff tell.
fn check(provider: Provider, channel: HandChannel, money: &HandMoney, now: DateTime<Utc>) -> Result<()> {
    let mut faults = Vec::new();
    if provider == Provider::ManualTransfer {
        if channel != HandChannel::BankTransfer {
            faults.push(FieldError::new("channel", "must be bank_transfer, as this order is paid by transfer"));
        }
        if money.reference.is_none() {
            faults.push(FieldError::new("reference", "is required for a transfer: the bank's name for it"));
        }
    }
    if money.received_at.is_some_and(|at| at > now || at < now - TimeDelta::days(366)) {
        faults.push(FieldError::new("receivedAt", "must be within the last year, and not in the future"));
    }
    if faults.is_empty() { Ok(()) } else { Err(Error::Validation(faults)) }
}

/// What a buyer gives at the door has no name of its own by which two of the staff could know that they mean the same: so it is
/// recorded once, and only of an order that has been accepted.
async fn refuse_second(tx: &mut PgConnection, order: &LockedOrder) -> Result<()> {
    if order.is_paid {
        return Err(Error::conflict("The money of this order is recorded already."));
    }
    if !order.is_owed() {
        let status = order.status.as_str();
        return Err(Error::conflict(format!("This order is {status}; nothing is to be paid for it.")));
    }
    if !payments::unsettled_of(tx, &[order.id]).await?.is_empty() {
        return Err(Error::conflict(
            "Money of this order is recorded that does not fit, or goes back. Decide about it first.",
        ));
    }
    Ok(())
}

async fn write_down(
    app: &App,
    tx: &mut PgConnection,
    (actor, meta): (&Identity, &RequestMeta),
    order: &LockedOrder,
    amount_minor: i64,
    outcome: &Outcome,
) -> Result<()> {
    let flagged = match outcome {
        Outcome::Flagged(reason) => Some(*reason),
        _ => None,
    };
    let after = json!({"amountMinor": amount_minor, "currency": order.currency, "flagged": flagged});
    let entry = audit::Entry {
        actor: Some(actor),
        action: "order.record_payment",
        entity: "order",
        entity_id: Some(order.id.to_string()),
        before: Some(json!({"status": order.status})),
        after: Some(after),
    };
    audit::record(tx, entry, meta, app.clock.now()).await
}
