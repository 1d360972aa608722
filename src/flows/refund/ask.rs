//! Staff give money back, of an order or for a return.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::PgConnection;

use super::{enqueue, tell_buyer};
use crate::app::App;
use crate::features::auth::Identity;
use crate::features::notifications::RefundTurn;
use crate::features::orders::{self, LockedOrder, Order, OrderItem, Return, ReturnStatus};
use crate::features::payments::{self, NewRefund, Payment, Refund, RefundData, RefundItem, RefundOrigin, RefundStatus};
use crate::features::{audit, inventory};
use crate::flows::fulfil;
use crate::platform::error::{Error, FieldError, Result, violated_constraint};
use crate::platform::http::RequestMeta;
use crate::platform::http::keyed::{self, Begun, Keyed};
use crate::platform::idempotency;
use crate::platform::ids::{OrderId, OrderItemId, RefundId, ReturnId};
use crate::platform::money::Amount;

/// What staff want to give back.
#[derive(Debug)]
pub struct Ask {
    /// How much; none for the price of the lines, or of the return's, or for all that is left.
    pub amount: Option<Amount>,
    /// Told to the buyer.
    pub reason: Option<String>,
    /// For which units.
    pub items: Vec<RefundItem>,
    /// For which return, whose goods are here.
    pub return_id: Option<ReturnId>,
    /// Whether the buyer is written to.
    pub notify: bool,
}

/// What can be given back of an order.
#[derive(Debug)]
pub struct Offer {
    /// What has been given back, and what is on its way.
    pub refunds: Vec<Refund>,
    /// What is left of the money that paid the order, in minor units.
    pub left: i64,
    /// ISO 4217.
    pub currency: String,
    /// What returns are worth whose goods are here and whose money was not given back, in minor units.
    pub returns: Vec<(ReturnId, i32, i64)>,
}

/// Tells what can be given back of an order.
///
/// # Errors
/// `NotFound`.
pub async fn offer(app: &App, id: OrderId) -> Result<Offer> {
    let mut c = app.db.begin().await?;
    let order = orders::find(&mut c, id).await?.ok_or(Error::NotFound("The order"))?;
    let refunds = payments::refunds_of_order(&mut c, id).await?;
    let units = payments::refunded_units(&mut c, id).await?;
    let payment = payments::find_successful(&mut c, id).await?;
    let left = payment.map_or(0, |payment| payment.paid_minor - payment.refunded_minor);
    let is_paid = |back: &Return| {
        refunds.iter().any(|refund| refund.return_id == Some(back.id) && refund.status != RefundStatus::Failed)
    };
    let mut returns = Vec::new();
    for back in orders::returns(&mut c, id).await? {
        if back.status == ReturnStatus::Received && !is_paid(&back) {
            let worth = price(&order, &units, &items_of(&order, &units, &back))?;
            returns.push((back.id, back.number, worth.min(left)));
        }
    }
    Ok(Offer { refunds, left, currency: order.currency, returns })
}

/// Asks for a refund of an order's money.
///
/// # Errors
/// `NotFound`; `Validation` of what does not fit the order; `Conflict` when nothing, or not so much, is left, or the money of
/// that return was given back.
pub async fn by_staff(
    app: &App,
    actor: &Identity,
    meta: &RequestMeta,
    id: OrderId,
    ask: Ask,
    key: Option<idempotency::Request>,
) -> Result<Keyed> {
    let now = app.clock.now();
    let mut tx = match keyed::begin(&app.db, key.as_ref(), now).await? {
        Begun::Given(answer) => return Ok(answer),
        Begun::Open(tx) => tx,
    };
    let done = async {
        let order = orders::lock_version(&mut tx, id, None).await?;
        let refund = Asking { app, tx: &mut tx, actor, order: &order, now }.write_down(&ask).await?;
        let products = inventory::products_of_order(&mut tx, id).await?;
        let data = data(&mut tx, refund).await?;
        let answer = tx.answer(201, data).await?;
        record(&mut tx, (actor, meta), "refund.create", refund, now).await?;
        Ok((answer, products))
    }
    .await;
    let (answer, products) = tx.end(done).await?;
    app.waker.wake();
    app.product_cache.forget(&products).await;
    Ok(answer)
}

/// A refund as it is answered.
pub(super) async fn data(tx: &mut PgConnection, id: RefundId) -> Result<RefundData> {
    let refund = payments::find_refund(tx, id).await?.ok_or(Error::NotFound("The refund"))?;
    Ok(RefundData { refund: refund.into() })
}

/// A refund of a locked order.
struct Asking<'a> {
    app: &'a App,
    tx: &'a mut PgConnection,
    actor: &'a Identity,
    order: &'a LockedOrder,
    now: DateTime<Utc>,
}

impl Asking<'_> {
    async fn write_down(&mut self, ask: &Ask) -> Result<RefundId> {
        let payment = self.payment().await?;
        let order = orders::find(self.tx, self.order.id).await?.ok_or(Error::NotFound("The order"))?;
        let units = payments::refunded_units(self.tx, order.id).await?;
        let items = match ask.return_id {
            Some(back) => self.items_of_return(&order, &units, back).await?,
            None => ask.items.clone(),
        };
        check_items(&order, &units, &items)?;
        let left = payment.paid_minor - payment.refunded_minor;
        let amount_minor = match ask.amount {
            Some(amount) => amount.0,
            None if ask.return_id.is_some() && items.is_empty() => {
                return Err(Error::conflict("The money of all units of this return goes back already."));
            }
            None if items.is_empty() => left,
            None => price(&order, &units, &items)?.min(left),
        };
        if left <= 0 && self.is_disputed(&payment).await? {
            return Err(Error::conflict("All money of this order has gone, some of it by a dispute that was lost."));
        }
        check_amount(amount_minor, left)?;
        let new = NewRefund {
            origin: RefundOrigin::Staff,
            requested_by: Some(self.actor.user_id),
            return_id: ask.return_id,
            notify: ask.notify,
            reason: ask.reason.as_deref(),
            ..NewRefund::by_rule(payment.id, amount_minor, "")
        };
        let id = payments::insert_refund(self.tx, &new, self.now).await.map_err(refused)?;
        payments::insert_refund_items(self.tx, id, &items).await.map_err(refused)?;
        enqueue(self.tx, &[id]).await?;
        if ask.notify {
            tell_buyer(self.app, self.tx, self.order, id, RefundTurn::Requested).await?;
        }
        self.restock(&order, &items).await?;
        Ok(id)
    }

    /// The payment that the order was paid by, locked.
    async fn payment(&mut self) -> Result<Payment> {
        let none = || {
            Error::conflict(
                "No money was taken for this order. Money that does not fit it stands in the list of payments; decide there.",
            )
        };
        let payment = payments::find_successful(self.tx, self.order.id).await?.ok_or_else(none)?;
        payments::lock(self.tx, payment.id).await?;
        payments::find_successful(self.tx, self.order.id).await?.ok_or_else(none)
    }

    /// Whether a lost dispute has taken some of this money.
    async fn is_disputed(&mut self, payment: &Payment) -> Result<bool> {
        let refunds = payments::refunds_of_payment(self.tx, payment.id).await?;
        Ok(refunds.iter().any(|refund| refund.dispute_number.is_some()))
    }

    async fn items_of_return(
        &mut self,
        order: &Order,
        units: &HashMap<OrderItemId, i64>,
        id: ReturnId,
    ) -> Result<Vec<RefundItem>> {
        let returns = orders::returns(self.tx, order.id).await?;
        let back = returns
            .into_iter()
            .find(|back| back.id == id)
            .ok_or_else(|| Error::field("returnId", "is no return of this order"))?;
        if back.status != ReturnStatus::Received {
            return Err(Error::conflict("The goods of this return are not here yet. Receive it first."));
        }
        Ok(items_of(order, units, &back))
    }

    /// Puts units on the shelf that are in no parcel. The order may be whole without them.
    async fn restock(&mut self, order: &Order, items: &[RefundItem]) -> Result<()> {
        let variant = |id: OrderItemId| order.items.iter().find(|item| item.id == id).map(|item| item.variant_id);
        let units: Vec<_> = items
            .iter()
            .filter(|item| item.restocked)
            .filter_map(|item| Some((variant(item.order_item_id)?, item.quantity)))
            .collect();
        if units.is_empty() {
            return Ok(());
        }
        if !inventory::unsell_some(self.tx, order.id, &units, self.actor.user_id, self.now).await? {
            return Err(Error::conflict("These goods are on the shelf again already."));
        }
        fulfil::follow_units(self.app, self.actor, self.tx, self.order, self.now).await
    }
}

/// The units of a return, as far as their money was not given back before.
fn items_of(order: &Order, units: &HashMap<OrderItemId, i64>, back: &Return) -> Vec<RefundItem> {
    let left = |line: OrderItemId| {
        let item = order.items.iter().find(|item| item.id == line)?;
        Some(i64::from(item.quantity) - units.get(&line).copied().unwrap_or_default())
    };
    let items = back.items.iter().filter_map(|item| {
        let left = i32::try_from(left(item.order_item_id)?).ok()?;
        let quantity = item.quantity.min(left);
        (quantity > 0).then_some(RefundItem { order_item_id: item.order_item_id, quantity, restocked: false })
    });
    items.collect()
}

/// What the buyer has paid for these units, in minor units.
fn price(order: &Order, units: &HashMap<OrderItemId, i64>, items: &[RefundItem]) -> Result<i64> {
    let mut sum = Amount(0);
    for wanted in items {
        let Some(item) = order.items.iter().find(|item| item.id == wanted.order_item_id) else { continue };
        let before = units.get(&item.id).copied().unwrap_or_default();
        let (before, quantity) = (u32::try_from(before), u32::try_from(wanted.quantity));
        sum = sum.checked_add(item.paid_for(before.unwrap_or_default(), quantity.unwrap_or_default())?)?;
    }
    Ok(sum.0)
}

/// The lines are the order's, and each unit is given back once. What is in a parcel does not go on the shelf.
pub(super) fn check_items(order: &Order, units: &HashMap<OrderItemId, i64>, items: &[RefundItem]) -> Result<()> {
    let (mut unknown, mut short, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
    for (i, wanted) in items.iter().enumerate() {
        let field = |name: &str| format!("items[{i}].{name}");
        let Some(item) = order.items.iter().find(|item| item.id == wanted.order_item_id) else {
            unknown.push(FieldError::new(field("orderItemId"), "is no line of this order"));
            continue;
        };
        if !seen.insert(item.id) {
            unknown.push(FieldError::new(field("orderItemId"), "is named twice"));
        }
        short.extend(shortage(item, units, wanted).map(|words| FieldError::new(field("quantity"), words)));
    }
    if !unknown.is_empty() {
        unknown.extend(short);
        return Err(Error::Validation(unknown));
    }
    if !short.is_empty() {
        let message = "Not so much of this order can be given back. Nothing was changed.".to_owned();
        return Err(Error::Conflict { message, details: short });
    }
    Ok(())
}

fn shortage(item: &OrderItem, units: &HashMap<OrderItemId, i64>, wanted: &RefundItem) -> Option<String> {
    let left = i64::from(item.quantity) - units.get(&item.id).copied().unwrap_or_default();
    if i64::from(wanted.quantity) > left {
        return Some(format!("must be at most {left}: the money of the others goes back already"));
    }
    let unpacked = item.left_to_pack();
    (wanted.restocked && wanted.quantity > unpacked).then(|| {
        format!("must be at most {unpacked} with restock: the others are packed, sent or on the shelf. What was sent comes back as a return")
    })
}

fn check_amount(amount: i64, left: i64) -> Result<()> {
    if left <= 0 {
        return Err(Error::conflict("All money of this order goes back already."));
    }
    if amount < 1 {
        return Err(Error::field("amount", "must be more than 0"));
    }
    if amount > left {
        return Err(Error::Conflict {
            message: "So much is not left of this order's money. Nothing was changed.".into(),
            details: vec![FieldError::new("amount", format!("must be at most {}", Amount(left)))],
        });
    }
    Ok(())
}

/// What the database refuses.
pub(super) fn refused(error: sqlx::Error) -> Error {
    match violated_constraint(&error) {
        Some("payments_refunds_within_paid") => Error::conflict("So much is not left of this payment."),
        Some("refunds_one_for_a_return") => Error::conflict("The money of this return goes back already."),
        Some("refunds_retried_once") => Error::conflict("Another refund stands in for this one already."),
        Some("order_items_cancelled") => Error::conflict("Some of these goods were packed meanwhile."),
        _ => error.into(),
    }
}

/// Words are left out of the entry: they are in the refund, where they can be erased.
pub(super) async fn record(
    tx: &mut PgConnection,
    (actor, meta): (&Identity, &RequestMeta),
    action: &'static str,
    id: RefundId,
    now: DateTime<Utc>,
) -> Result<()> {
    let refund = payments::find_refund(tx, id).await?.ok_or(Error::NotFound("The refund"))?;
    let entry = audit::Entry {
        actor: Some(actor),
        action,
        entity: "refund",
        entity_id: Some(id.to_string()),
        before: None,
        after: Some(json!({
            "orderId": refund.order_id, "amountMinor": refund.amount_minor, "status": refund.status,
            "retryOf": refund.retry_of, "returnId": refund.return_id,
            "units": refund.items.iter().map(|item| item.quantity).sum::<i32>(),
            "restocked": refund.items.iter().filter(|item| item.restocked).map(|item| item.quantity).sum::<i32>(),
        })),
    };
    audit::record(tx, entry, meta, now).await
}
