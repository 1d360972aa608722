//! Packs and sends parcels. The order follows them: it is being processed once something is packed, shipped once all is on
//! its way, delivered once all has arrived.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::PgConnection;

use super::order_mail::{OrderMail, SendOrderMail};
use crate::app::App;
use crate::features::audit;
use crate::features::auth::Identity;
use crate::features::orders::{
    self, Actor, Fulfilment, LockedOrder, Move, NewParcel, Order, ParcelChange, ParcelItem, ParcelStatus,
    StaffOrderView, Status,
};
use crate::platform::error::{Error, FieldError, Result};
use crate::platform::http::RequestMeta;
use crate::platform::http::keyed::{self, Begun, Keyed};
use crate::platform::idempotency;
use crate::platform::ids::{FulfilmentId, OrderId};
use crate::platform::jobs;

/// A parcel that staff pack.
#[derive(Debug)]
pub struct Pack {
    /// What is in it; none for all that is left.
    pub items: Option<Vec<ParcelItem>>,
    /// Who carries it, and how it is found.
    pub parcel: NewParcel,
    /// Whether it leaves the house at once.
    pub is_shipped: bool,
    /// The order's version that this is based on; none takes whatever it is.
    pub version: Option<i32>,
}

/// Packs a parcel.
///
/// # Errors
/// `NotFound`; `Validation` of lines that are none of the order's; `Conflict` when the order may not be packed, has another
/// version, or has fewer units left.
pub async fn pack(
    app: &App,
    actor: &Identity,
    meta: &RequestMeta,
    id: OrderId,
    pack: Pack,
    key: Option<idempotency::Request>,
) -> Result<Keyed> {
    let now = app.clock.now();
    let mut tx = match keyed::begin(&app.db, key.as_ref(), now).await? {
        Begun::Given(answer) => return Ok(answer),
        Begun::Open(tx) => tx,
    };
    let done = async {
        let order = orders::lock_version(&mut tx, id, pack.version).await?;
        let mut work = Work { app, tx: &mut tx, actor, order: &order, now };
        let parcel = work.pack(pack.items.as_deref(), &pack.parcel).await?;
        if pack.is_shipped {
            work.change(parcel, ParcelChange { status: Some(ParcelStatus::Shipped), ..ParcelChange::default() }, None)
                .await?;
        }
        work.follow(None).await?;
        let view = orders::staff_detail(&mut tx, id, &app.config.public_url()).await?;
        let answer = keyed::answer(&mut tx, key.as_ref(), 201, orders::StaffOrderData { order: view }, now).await?;
        record(&mut tx, actor, meta, &order, "order.pack", now).await?;
        Ok(answer)
    };
    let done = done.await;
    let answer = keyed::end(tx, done).await?;
    app.waker.wake();
    Ok(answer)
}

/// Changes a parcel: what is known of it, or where it is.
///
/// # Errors
/// `NotFound`; `Conflict` when it has another version, or cannot become that.
pub async fn change(
    app: &App,
    actor: &Identity,
    meta: &RequestMeta,
    (id, parcel): (OrderId, FulfilmentId),
    version: i32,
    change: ParcelChange,
) -> Result<StaffOrderView> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let order = orders::lock_version(&mut tx, id, None).await?;
    let mut work = Work { app, tx: &mut tx, actor, order: &order, now };
    work.change(parcel, change, Some(version)).await?;
    work.follow(None).await?;
    let view = orders::staff_detail(&mut tx, id, &app.config.public_url()).await?;
    record(&mut tx, actor, meta, &order, "order.update_parcel", now).await?;
    tx.commit().await?;
    app.waker.wake();
    Ok(view)
}

/// Says by which number the order is looked for: that of the parcel packed last. Where there is none yet, all that the order
/// has is packed into one.
///
/// # Errors
/// `NotFound`; `Conflict` when there is no parcel and the order may not be packed.
pub async fn set_tracking(
    app: &App,
    actor: &Identity,
    meta: &RequestMeta,
    id: OrderId,
    tracking: NewParcel,
    version: Option<i32>,
) -> Result<StaffOrderView> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let order = orders::lock_version(&mut tx, id, version).await?;
    let last = orders::parcels(&mut tx, id).await?.into_iter().rfind(|parcel| parcel.status != ParcelStatus::Cancelled);
    let mut work = Work { app, tx: &mut tx, actor, order: &order, now };
    match last {
        None => drop(work.pack(None, &tracking).await?),
        Some(parcel) => {
            let change = ParcelChange {
                carrier: tracking.carrier.map(Some),
                tracking_number: Some(tracking.tracking_number),
                // A link of another number would lead to another parcel.
                tracking_url: Some(tracking.tracking_url),
                ..ParcelChange::default()
            };
            work.change(parcel.id, change, None).await?;
        }
    }
    work.follow(None).await?;
    let view = orders::staff_detail(&mut tx, id, &app.config.public_url()).await?;
    record(&mut tx, actor, meta, &order, "order.set_tracking", now).await?;
    tx.commit().await?;
    app.waker.wake();
    Ok(view)
}

/// Sets a status that staff may set: shipped sends all that is packed and packs what is left, delivered says that all has
/// arrived.
///
/// # Errors
/// `NotFound`; `Conflict` when the table forbids the move, which is named with those it allows.
pub async fn set_status(
    app: &App,
    actor: &Identity,
    meta: &RequestMeta,
    id: OrderId,
    (status, note): (Status, Option<&str>),
    version: Option<i32>,
) -> Result<StaffOrderView> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let order = orders::lock_version(&mut tx, id, version).await?;
    if !order.status.settable().any(|allowed| allowed == status) {
        return Err(order.status.refusal(status));
    }
    refuse_held(&order)?;
    let mut work = Work { app, tx: &mut tx, actor, order: &order, now };
    match status {
        Status::Shipped => work.ship_all().await?,
        Status::Delivered => work.deliver_all().await?,
        _ => {}
    }
    let by_parcels = orders::units(work.tx, id).await?.status();
    if let Some(by_parcels) = by_parcels.filter(|by_parcels| *by_parcels != status) {
        let (by_parcels, status) = (by_parcels.as_str(), status.as_str());
        return Err(Error::conflict(format!(
            "By its parcels this order is {by_parcels}, not {status}. Change the parcels."
        )));
    }
    if work.follow(note).await? != status {
        work.move_to((order.status, status), note).await?;
    }
    let view = orders::staff_detail(&mut tx, id, &app.config.public_url()).await?;
    record(&mut tx, actor, meta, &order, "order.set_status", now).await?;
    tx.commit().await?;
    app.waker.wake();
    Ok(view)
}

/// Lets a locked order follow its parcels after units were taken out of it.
pub(super) async fn follow_units(
    app: &App,
    actor: &Identity,
    tx: &mut PgConnection,
    order: &LockedOrder,
    now: DateTime<Utc>,
) -> Result<()> {
    Work { app, tx, actor, order, now }.follow(None).await.map(drop)
}

/// The entry of a change. What is personal, such as a number by which a parcel is found, is left out: it is in the order,
/// where it can be erased.
async fn record(
    tx: &mut PgConnection,
    actor: &Identity,
    meta: &RequestMeta,
    order: &LockedOrder,
    action: &'static str,
    now: DateTime<Utc>,
) -> Result<()> {
    let after = orders::state(tx, order.id).await?;
    let entry = audit::Entry {
        actor: Some(actor),
        action,
        entity: "order",
        entity_id: Some(order.id.to_string()),
        before: Some(json!({"status": order.status, "version": order.version})),
        after: Some(after),
    };
    audit::record(tx, entry, meta, now).await
}

/// A change of a locked order's parcels.
struct Work<'a> {
    app: &'a App,
    tx: &'a mut PgConnection,
    actor: &'a Identity,
    order: &'a LockedOrder,
    now: DateTime<Utc>,
}

impl Work<'_> {
    /// Packs these lines, or all that is left.
    async fn pack(&mut self, items: Option<&[ParcelItem]>, parcel: &NewParcel) -> Result<FulfilmentId> {
        if !self.order.status.may_be_fulfilled() {
            let status = self.order.status.as_str();
            return Err(Error::conflict(format!("This order is {status}; only paid orders are packed.")));
        }
        refuse_held(self.order)?;
        let order = orders::find(self.tx, self.order.id).await?.ok_or(Error::NotFound("The order"))?;
        let items = match items {
            Some(items) => checked(&order, items)?,
            None => left(&order),
        };
        if items.is_empty() {
            return Err(Error::conflict("Everything of this order is packed already."));
        }
        let (id, number) = orders::pack(self.tx, order.id, parcel, &items, self.now).await?;
        self.note("parcel_packed", number).await?;
        Ok(id)
    }

    /// Changes a parcel, at this version if one is given.
    async fn change(&mut self, id: FulfilmentId, change: ParcelChange, version: Option<i32>) -> Result<()> {
        let parcels = orders::parcels(self.tx, self.order.id).await?;
        let parcel = parcels.into_iter().find(|parcel| parcel.id == id).ok_or(Error::NotFound("The parcel"))?;
        if self.order.is_erased() {
            return Err(Error::conflict("The buyer of this order was erased; nothing is written about it any more."));
        }
        if let Some(next) = change.status {
            self.check_move(&parcel, next)?;
        }
        let expected = version.unwrap_or(parcel.version);
        if !orders::change_parcel(self.tx, id, expected, &change, self.now).await? {
            return Err(stale("parcel", parcel.version));
        }
        let mail = match change.status {
            Some(ParcelStatus::Shipped) => Some(OrderMail::Shipped { parcel: id }),
            Some(ParcelStatus::Delivered) => Some(OrderMail::Delivered { parcel: id }),
            _ => None,
        };
        if let Some(status) = change.status {
            self.note(&format!("parcel_{}", status.as_str()), parcel.number).await?;
        }
        if let Some(mail) = mail {
            let job = SendOrderMail { order_id: self.order.id, mail };
            jobs::enqueue(self.tx, &job, self.app.config.jobs.max_attempts).await?;
        }
        Ok(())
    }

    fn check_move(&self, parcel: &Fulfilment, next: ParcelStatus) -> Result<()> {
        let allowed = parcel.status.next();
        if !allowed.contains(&next) {
            let names: Vec<&str> = allowed.iter().map(|status| status.as_str()).collect();
            let rest = match names.as_slice() {
                [] => "It stays so.".to_owned(),
                names => format!("It can become {}.", names.join(" or ")),
            };
            let (from, to) = (parcel.status.as_str(), next.as_str());
            return Err(Error::conflict(format!("This parcel is {from} and cannot become {to}. {rest}")));
        }
        if next == ParcelStatus::Shipped && !self.order.status.may_be_fulfilled() {
            let status = self.order.status.as_str();
            return Err(Error::conflict(format!("This order is {status}; only paid orders are sent.")));
        }
        refuse_held(self.order)
    }

    /// Sends what is packed, and packs and sends what is left.
    async fn ship_all(&mut self) -> Result<()> {
        let order = orders::find(self.tx, self.order.id).await?.ok_or(Error::NotFound("The order"))?;
        if !left(&order).is_empty() {
            self.pack(None, &NewParcel::default()).await?;
        }
        self.move_parcels(ParcelStatus::Packed, ParcelStatus::Shipped).await
    }

    async fn deliver_all(&mut self) -> Result<()> {
        self.move_parcels(ParcelStatus::Shipped, ParcelStatus::Delivered).await
    }

    async fn move_parcels(&mut self, from: ParcelStatus, to: ParcelStatus) -> Result<()> {
        for parcel in orders::parcels(self.tx, self.order.id).await? {
            if parcel.status == from {
                self.change(parcel.id, ParcelChange { status: Some(to), ..ParcelChange::default() }, None).await?;
            }
        }
        Ok(())
    }

    /// Lets the order follow its parcels, and gives where it stands then. Orders that wait for a return, and those that are
    /// closed, stay where they are.
    async fn follow(&mut self, note: Option<&str>) -> Result<Status> {
        let units = orders::units(self.tx, self.order.id).await?;
        orders::follow_parcels(self.tx, self.order.id, units, self.now).await?;
        let from = self.order.status;
        let is_moved = from.may_be_fulfilled() || from == Status::Shipped;
        match units.status().filter(|_| is_moved) {
            Some(next) if from.may_be_moved(next, Actor::Staff) => self.move_to((from, next), note).await,
            // What was not sent was taken out of it.
            Some(next) if next == Status::Delivered && from.may_be_moved(Status::Shipped, Actor::Staff) => {
                self.move_to((from, Status::Shipped), None).await?;
                self.move_to((Status::Shipped, next), note).await
            }
            _ => Ok(from),
        }
    }

    async fn move_to(&mut self, (from, next): (Status, Status), note: Option<&str>) -> Result<Status> {
        let change = Move {
            from,
            to: next,
            event: next.as_str(),
            actor: Actor::Staff,
            actor_id: Some(self.actor.user_id),
            note,
            internal: true,
            paid_minor: None,
        };
        if orders::move_status(self.tx, self.order.id, &change, self.now).await? {
            Ok(next)
        } else {
            Err(from.refusal(next))
        }
    }

    async fn note(&mut self, event: &str, number: i32) -> Result<()> {
        let actor = (Actor::Staff, Some(self.actor.user_id));
        let words = format!("parcel {number}");
        Ok(orders::record_event(self.tx, self.order.id, event, actor, Some(&words), self.now).await?)
    }
}

/// Nothing goes on with an order that waits for its review.
fn refuse_held(order: &LockedOrder) -> Result<()> {
    if order.on_review {
        return Err(Error::conflict("The payment of this order is on review. Approve the review first, or reject it."));
    }
    Ok(())
}

/// Whoever changes something names the state that he has seen.
pub(super) fn stale(thing: &str, version: i32) -> Error {
    Error::Conflict {
        message: format!(
            "Somebody else has changed this {thing} meanwhile. Look at it again, then repeat your change."
        ),
        details: vec![FieldError::new("version", format!("must be the current version, which is {version}"))],
    }
}

/// What of an order is in no parcel.
fn left(order: &Order) -> Vec<ParcelItem> {
    let left = order.items.iter().map(|item| ParcelItem { order_item_id: item.id, quantity: item.left_to_pack() });
    left.filter(|item| item.quantity > 0).collect()
}

/// These lines, if they are the order's and so much is left of each.
fn checked(order: &Order, items: &[ParcelItem]) -> Result<Vec<ParcelItem>> {
    let (mut unknown, mut short, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
    for (i, wanted) in items.iter().enumerate() {
        match order.items.iter().find(|item| item.id == wanted.order_item_id) {
            None => unknown.push(FieldError::new(format!("items[{i}].itemId"), "is no line of this order")),
            Some(_) if !seen.insert(wanted.order_item_id) => {
                unknown.push(FieldError::new(format!("items[{i}].itemId"), "is named twice"));
            }
            Some(item) if wanted.quantity > item.left_to_pack() => {
                let left = item.left_to_pack();
                short.push(FieldError::new(
                    format!("items[{i}].quantity"),
                    format!("must be at most {left}: that is left to pack"),
                ));
            }
            Some(_) => {}
        }
    }
    if !unknown.is_empty() {
        unknown.extend(short);
        return Err(Error::Validation(unknown));
    }
    if !short.is_empty() {
        let message = "Not so much is left of this order. Nothing was packed.".to_owned();
        return Err(Error::Conflict { message, details: short });
    }
    Ok(items.to_vec())
}
