//! What is done to the parcels of a locked order, and how the order follows them.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::stale;
use crate::app::App;
use crate::features::auth::Identity;
use crate::features::orders::{
    self, Actor, Fulfilment, LockedOrder, Move, NewParcel, Order, ParcelChange, ParcelItem, ParcelStatus, Status,
};
use crate::flows::order_mail::{OrderMail, SendOrderMail};
use crate::platform::error::{Error, FieldError, Result};
use crate::platform::ids::FulfilmentId;
use crate::platform::jobs;

/// A change of a locked order's parcels.
pub(super) struct Work<'a> {
    pub app: &'a App,
    pub tx: &'a mut PgConnection,
    pub actor: &'a Identity,
    pub order: &'a LockedOrder,
    pub now: DateTime<Utc>,
}

impl Work<'_> {
    /// Packs these lines, or all that is left.
    pub(super) async fn pack(&mut self, items: Option<&[ParcelItem]>, parcel: &NewParcel) -> Result<FulfilmentId> {
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
    pub(super) async fn change(&mut self, id: FulfilmentId, change: ParcelChange, version: Option<i32>) -> Result<()> {
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
    pub(super) async fn ship_all(&mut self) -> Result<()> {
        let order = orders::find(self.tx, self.order.id).await?.ok_or(Error::NotFound("The order"))?;
        if !left(&order).is_empty() {
            self.pack(None, &NewParcel::default()).await?;
        }
        self.move_parcels(ParcelStatus::Packed, ParcelStatus::Shipped).await
    }

    pub(super) async fn deliver_all(&mut self) -> Result<()> {
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
    pub(super) async fn follow(&mut self, note: Option<&str>) -> Result<Status> {
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

    pub(super) async fn move_to(&mut self, (from, next): (Status, Status), note: Option<&str>) -> Result<Status> {
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
pub(super) fn refuse_held(order: &LockedOrder) -> Result<()> {
    if order.on_review {
        return Err(Error::conflict("The payment of this order is on review. Approve the review first, or reject it."));
    }
    Ok(())
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
