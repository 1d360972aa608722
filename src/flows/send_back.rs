//! Goods that buyers send back: asked for, decided by the staff, received.

use std::collections::HashSet;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use serde_json::json;
use sqlx::PgConnection;

use super::alert_returns;
use super::fulfil::stale;
use super::order_mail::{OrderMail, SendOrderMail};
use super::refund::follow;
use crate::app::App;
use crate::features::auth::Identity;
use crate::features::orders::{
    self, Actor, LockedOrder, Move, NewReturnItem, Order, Return, ReturnStatus, StaffOrderView, Status, Units,
};
use crate::features::{audit, inventory};
use crate::platform::error::{Error, FieldError, Result, violated_constraint};
use crate::platform::http::RequestMeta;
use crate::platform::http::keyed::{self, Begun, Keyed};
use crate::platform::idempotency;
use crate::platform::ids::{OrderId, OrderItemId, ReturnId, UserId};
use crate::platform::jobs;

/// Returns of an order that its buyer may ask for and withdraw.
const MOST_WITHDRAWN: i64 = 5;

/// What somebody wants to send back.
#[derive(Debug)]
pub struct Wish {
    /// The lines and units.
    pub items: Vec<NewReturnItem>,
    /// More words.
    pub note: Option<String>,
}

/// A buyer asks to send goods of his own order back.
///
/// # Errors
/// `NotFound` for another person's order; `Validation` of lines that are none of the order's; `Conflict` when nothing has been
/// sent, the time is over, a return is under way, too many were withdrawn, or fewer units were sent.
pub async fn request_as_customer(
    app: &App,
    id: OrderId,
    user: UserId,
    wish: Wish,
    key: Option<idempotency::Request>,
) -> Result<Keyed> {
    let now = app.clock.now();
    // The answer is kept under the order's name, whoever asks, and only its buyer may have it again.
    orders::find_of(&mut *app.db.acquire().await?, id, Some(user)).await?;
    let mut tx = match keyed::begin(&app.db, key.as_ref(), now).await? {
        Begun::Given(answer) => return Ok(answer),
        Begun::Open(tx) => tx,
    };
    let done = async {
        let order = orders::lock(&mut tx, id)
            .await?
            .filter(|order| order.user_id == Some(user))
            .ok_or(Error::NotFound("The order"))?;
        check_time(app, &mut tx, id, now).await?;
        check_withdrawn(&mut tx, id).await?;
        request(app, &mut tx, &order, (Actor::Customer, user), &wish, now).await?;
        alert_returns::alert(app, &mut tx, id).await?;
        let view = orders::detail(&mut tx, id, &app.config.public_url()).await?;
        tx.answer(201, orders::OrderData { order: view }).await
    }
    .await;
    let answer = tx.end(done).await?;
    app.waker.wake();
    Ok(answer)
}

/// The staff writes down that a buyer, who may be a guest, wants to send goods back. They may be late.
///
/// # Errors
/// As [`request_as_customer`].
pub async fn request_as_staff(
    app: &App,
    actor: &Identity,
    meta: &RequestMeta,
    id: OrderId,
    wish: Wish,
    key: Option<idempotency::Request>,
) -> Result<Keyed> {
    let now = app.clock.now();
    let mut tx = match keyed::begin(&app.db, key.as_ref(), now).await? {
        Begun::Given(answer) => return Ok(answer),
        Begun::Open(tx) => tx,
    };
    let done = async {
        let order = orders::lock_version(&mut tx, id, None).await?;
        request(app, &mut tx, &order, (Actor::Staff, actor.user_id), &wish, now).await?;
        let view = orders::staff_detail(&mut tx, id, &app.config.public_url()).await?;
        let answer = tx.answer(201, orders::StaffOrderData { order: view }).await?;
        record(&mut tx, actor, meta, &order, "order.request_return", json!({"lines": wish.items.len()}), now).await?;
        Ok(answer)
    }
    .await;
    let answer = tx.end(done).await?;
    app.waker.wake();
    Ok(answer)
}

/// Goods come back within so many days of their arrival. As long as a parcel is on its way, its days have not begun.
async fn check_time(app: &App, tx: &mut PgConnection, id: OrderId, now: DateTime<Utc>) -> Result<()> {
    let days = app.config.orders.return_days;
    let arrived_at = orders::arrived_at(tx, id).await?;
    if days == 0 || arrived_at.is_some_and(|at| now - at > TimeDelta::days(days)) {
        return Err(Error::conflict(format!("Goods can be sent back within {days} days. Write to the shop.")));
    }
    Ok(())
}

/// Whoever has withdrawn so many speaks to the shop first.
async fn check_withdrawn(tx: &mut PgConnection, id: OrderId) -> Result<()> {
    if orders::withdrawn_returns(tx, id).await? < MOST_WITHDRAWN {
        return Ok(());
    }
    let words =
        format!("{MOST_WITHDRAWN} returns of this order were withdrawn. Write to the shop to send something back.");
    Err(Error::conflict(words))
}

async fn request(
    app: &App,
    tx: &mut PgConnection,
    order: &LockedOrder,
    (by, person): (Actor, UserId),
    wish: &Wish,
    now: DateTime<Utc>,
) -> Result<()> {
    if !order.status.may_be_moved(Status::ReturnRequested, by) {
        return Err(Error::conflict(match order.status {
            Status::ReturnRequested => "A return of this order is under way already.",
            Status::Returned => "All of this order was sent back.",
            _ => "Nothing of this order can be sent back, as not all of it has been sent.",
        }));
    }
    let found = orders::find(tx, order.id).await?.ok_or(Error::NotFound("The order"))?;
    check_items(&found, &wish.items)?;
    let note = wish.note.as_deref();
    let back = orders::request_return(tx, order.id, by, note, &wish.items, now).await.map_err(|error| {
        match violated_constraint(&error) {
            Some("returns_one_open") => Error::conflict("A return of this order is under way already."),
            _ => error.into(),
        }
    })?;
    move_to(tx, order, Status::ReturnRequested, (by, person), now).await?;
    tell(app, tx, order, back, ReturnStatus::Requested).await
}

/// The lines are the order's, and so much of each was sent and not asked back yet.
fn check_items(order: &Order, items: &[NewReturnItem]) -> Result<()> {
    let (mut unknown, mut short, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
    for (i, wanted) in items.iter().enumerate() {
        match order.items.iter().find(|item| item.id == wanted.order_item_id) {
            None => unknown.push(FieldError::new(format!("items[{i}].itemId"), "is no line of this order")),
            Some(_) if !seen.insert(wanted.order_item_id) => {
                unknown.push(FieldError::new(format!("items[{i}].itemId"), "is named twice"));
            }
            Some(item) if wanted.quantity > item.shipped_quantity - item.returned_quantity => {
                let most = item.shipped_quantity - item.returned_quantity;
                let words = format!("must be at most {most}: that was sent and not asked back yet");
                short.push(FieldError::new(format!("items[{i}].quantity"), words));
            }
            Some(_) => {}
        }
    }
    if !unknown.is_empty() {
        unknown.extend(short);
        return Err(Error::Validation(unknown));
    }
    if !short.is_empty() {
        let message = "Not so much of this order can be sent back. Nothing was changed.".to_owned();
        return Err(Error::Conflict { message, details: short });
    }
    Ok(())
}

/// A buyer withdraws his own return, until the goods are here.
///
/// # Errors
/// `NotFound` for another person's; `Conflict` when it is over.
pub async fn withdraw(app: &App, (id, back): (OrderId, ReturnId), user: UserId) -> Result<()> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let order = orders::lock(&mut tx, id)
        .await?
        .filter(|order| order.user_id == Some(user))
        .ok_or(Error::NotFound("The order"))?;
    let found = find(&mut tx, id, back).await?;
    check_move(&found, ReturnStatus::Cancelled)?;
    if !orders::move_return(&mut tx, back, found.version, ReturnStatus::Cancelled, None, now).await? {
        return Err(stale("return", found.version));
    }
    leave(app, &mut tx, &order, (Actor::Customer, user), now).await?;
    tx.commit().await
}

/// What staff do with a return.
#[derive(Debug)]
pub struct Decision {
    /// What it becomes.
    pub status: ReturnStatus,
    /// Words for the buyer.
    pub answer: Option<String>,
    /// Of goods that are here: how many of each line are good enough to be sold again.
    pub restocked: Vec<(OrderItemId, i32)>,
    /// The return's version that this is based on.
    pub version: i32,
}

/// The staff decides about a return, or says that the goods are here. Those that are good go back on the shelf.
///
/// # Errors
/// `NotFound`; `Validation` of `items`; `Conflict` when the version is not the current one, or it cannot become that.
pub async fn decide(
    app: &App,
    actor: &Identity,
    meta: &RequestMeta,
    (id, back): (OrderId, ReturnId),
    decision: Decision,
) -> Result<StaffOrderView> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let order = orders::lock_version(&mut tx, id, None).await?;
    let found = find(&mut tx, id, back).await?;
    check_move(&found, decision.status)?;
    let is_received = decision.status == ReturnStatus::Received;
    check_restocked(&found, &decision)?;
    let answer = decision.answer.as_deref();
    if !orders::move_return(&mut tx, back, decision.version, decision.status, answer, now).await? {
        return Err(stale("return", found.version));
    }
    let mut products = Vec::new();
    if is_received {
        orders::note_restocked(&mut tx, back, &decision.restocked).await?;
    }
    if decision.status != ReturnStatus::Approved {
        leave(app, &mut tx, &order, (Actor::Staff, actor.user_id), now).await?;
    }
    tell(app, &mut tx, &order, back, decision.status).await?;
    if is_received {
        let units = found.items.iter().filter_map(|item| {
            let (_, units) = decision.restocked.iter().find(|(line, _)| *line == item.order_item_id)?;
            Some((item.variant_id, *units))
        });
        inventory::take_back(&mut tx, id, &units.collect::<Vec<_>>(), actor.user_id, now).await?;
        products = inventory::products_of_order(&mut tx, id).await?;
    }
    let view = orders::staff_detail(&mut tx, id, &app.config.public_url()).await?;
    let restocked: i32 = decision.restocked.iter().map(|(_, units)| units).sum();
    let after = json!({"return": found.number, "returnStatus": decision.status, "restocked": restocked});
    record(&mut tx, actor, meta, &order, "order.decide_return", after, now).await?;
    tx.commit().await?;
    app.waker.wake();
    app.product_cache.forget(&products).await;
    Ok(view)
}

async fn find(tx: &mut PgConnection, order: OrderId, back: ReturnId) -> Result<Return> {
    let returns = orders::returns(tx, order).await?;
    returns.into_iter().find(|known| known.id == back).ok_or(Error::NotFound("The return"))
}

fn check_move(back: &Return, next: ReturnStatus) -> Result<()> {
    let allowed = back.status.next();
    if allowed.contains(&next) {
        return Ok(());
    }
    let names: Vec<&str> = allowed.iter().map(|status| status.as_str()).collect();
    let rest = match names.as_slice() {
        [] => "It is over.".to_owned(),
        names => format!("It can become {}.", names.join(" or ")),
    };
    let (from, to) = (back.status.as_str(), next.as_str());
    Err(Error::conflict(format!("This return is {from} and cannot become {to}. {rest}")))
}

/// Of goods that are here, each line says how many are good; of others, none does.
fn check_restocked(back: &Return, decision: &Decision) -> Result<()> {
    let mut faults = Vec::new();
    let is_received = decision.status == ReturnStatus::Received;
    let mut seen = HashSet::new();
    for (i, (line, units)) in decision.restocked.iter().enumerate() {
        let field = |name: &str| format!("items[{i}].{name}");
        match back.items.iter().find(|item| item.order_item_id == *line) {
            _ if !is_received => faults.push(FieldError::new(field("itemId"), "goes with the status received only")),
            None => faults.push(FieldError::new(field("itemId"), "is no line of this return")),
            Some(_) if !seen.insert(*line) => faults.push(FieldError::new(field("itemId"), "is named twice")),
            Some(item) if !(0..=item.quantity).contains(units) => {
                let words = format!("must be between 0 and {}", item.quantity);
                faults.push(FieldError::new(field("restock"), words));
            }
            Some(_) => {}
        }
    }
    if is_received && faults.is_empty() && seen.len() < back.items.len() {
        faults.push(FieldError::new("items", "must say of each line of the return how many go back on the shelf"));
    }
    if faults.is_empty() { Ok(()) } else { Err(Error::Validation(faults)) }
}

/// The order waits for its return no more: all of it has come back, or it stands where its parcels are.
async fn leave(
    app: &App,
    tx: &mut PgConnection,
    order: &LockedOrder,
    by: (Actor, UserId),
    now: DateTime<Utc>,
) -> Result<()> {
    let units: Units = orders::units(tx, order.id).await?;
    let next = match units.status() {
        _ if units.received >= units.ordered => Status::Returned,
        Some(Status::Delivered) => Status::Delivered,
        _ => Status::Shipped,
    };
    if order.status != Status::ReturnRequested {
        return Ok(());
    }
    move_to(tx, order, next, by, now).await?;
    // Its money may have gone back meanwhile.
    follow::follow_order(app, tx, order.id, (Actor::System, None)).await
}

async fn move_to(
    tx: &mut PgConnection,
    order: &LockedOrder,
    next: Status,
    (actor, person): (Actor, UserId),
    now: DateTime<Utc>,
) -> Result<()> {
    let change = Move {
        from: order.status,
        to: next,
        event: next.as_str(),
        actor,
        actor_id: Some(person),
        note: None,
        internal: false,
        paid_minor: None,
    };
    if orders::move_status(tx, order.id, &change, now).await? { Ok(()) } else { Err(order.status.refusal(next)) }
}

async fn tell(
    app: &App,
    tx: &mut PgConnection,
    order: &LockedOrder,
    back: ReturnId,
    status: ReturnStatus,
) -> Result<()> {
    if status == ReturnStatus::Cancelled {
        return Ok(());
    }
    let job = SendOrderMail { order_id: order.id, mail: OrderMail::Return { back, status } };
    jobs::enqueue(tx, &job, app.config.jobs.max_attempts).await
}

/// Words are left out of the entry: they are in the return, where they can be erased.
async fn record(
    tx: &mut PgConnection,
    actor: &Identity,
    meta: &RequestMeta,
    order: &LockedOrder,
    action: &'static str,
    after: impl Serialize,
    now: DateTime<Utc>,
) -> Result<()> {
    let entry = audit::Entry {
        actor: Some(actor),
        action,
        entity: "order",
        entity_id: Some(order.id.to_string()),
        before: Some(json!({"status": order.status, "version": order.version})),
        after: Some(json!(after)),
    };
    audit::record(tx, entry, meta, now).await
}
