//! Orders that are paid on delivery: they are accepted without money, and one buyer has only so many of them.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::store::{self, Owing};
use crate::features::inventory;
use crate::features::invoices::MakeInvoice;
use crate::features::orders::{self, Actor, Move, Order, PaymentMethod, Status};
use crate::platform::error::{Error, Result};
use crate::platform::ids::{OrderId, UserId};
use crate::platform::jobs;

/// Whether a buyer may have one more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    Free,
    /// Only if another order of the batch is not written.
    Behind,
    /// He has to pay for others first.
    Full,
}

pub(super) fn is_on_delivery(order: &Order) -> bool {
    order.payment_method == PaymentMethod::PayOnDelivery
}

/// Whether the buyers of these orders may have them. What is counted stays true until the transaction ends: whoever places another
/// one for the same buyer waits.
pub(super) async fn rooms(c: &mut PgConnection, orders: &[&Order], most: i64) -> Result<Vec<Room>> {
    store::lock_owing(c, orders).await?;
    Ok(count(store::owing(c, orders).await?, most))
}

fn count(all: Vec<Owing>, most: i64) -> Vec<Room> {
    let mut free: Vec<Owing> = Vec::with_capacity(all.len());
    let mut rooms = Vec::with_capacity(all.len());
    for owing in all {
        let is_his =
            |other: &&Owing| other.email == owing.email || !owing.phone.is_empty() && other.phone == owing.phone;
        let before = i64::try_from(free.iter().filter(is_his).count()).unwrap_or(i64::MAX);
        let room = if owing.orders >= most {
            Room::Full
        } else if owing.orders.saturating_add(before) >= most {
            Room::Behind
        } else {
            Room::Free
        };
        if room == Room::Free {
            free.push(owing);
        }
        rooms.push(room);
    }
    rooms
}

/// How many orders somebody who is signed in has to pay on delivery. Of others nobody is told.
pub(super) async fn owed(c: &mut PgConnection, user: Option<UserId>) -> Result<i64> {
    match user {
        Some(user) => Ok(store::owed(c, user).await?),
        None => Ok(0),
    }
}

/// Accepts an order that was written in this transaction: its goods are sold.
pub(super) async fn accept(c: &mut PgConnection, id: OrderId, job_tries: i16, now: DateTime<Utc>) -> Result<()> {
    let change = Move {
        from: Status::PendingPayment,
        to: Status::Processing,
        event: "accepted",
        actor: Actor::System,
        actor_id: None,
        note: None,
        internal: false,
        paid_minor: None,
    };
    if !orders::move_status(c, id, &change, now).await? {
        return Err(Error::internal(anyhow::anyhow!("order {id} could not be accepted")));
    }
    inventory::commit_reservations(c, id, now).await?;
    jobs::enqueue(c, &MakeInvoice { order_id: id }, job_tries).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Room::{Behind, Free, Full};
    use super::*;

    fn owing(email: &str, phone: &str, orders: i64) -> Owing {
        Owing { email: email.into(), phone: phone.into(), orders }
    }

    #[test]
    fn a_buyer_is_known_by_address_or_number_and_others_of_the_batch_count() {
        let all = vec![
            owing("ama", "1", 1),
            owing("kofi", "1", 1),
            owing("ama", "2", 1),
            owing("yaa", "3", 2),
            owing("esi", "", 0),
            owing("efe", "", 0),
        ];
        assert_eq!(count(all, 2), [Free, Behind, Behind, Full, Free, Free]);
    }
}
