//! Gives up an unpaid order and frees its stock.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::app::App;
use crate::features::orders::{self, LockedOrder, Move, Status};
use crate::features::{inventory, payments};
use crate::platform::error::{Error, Result};
use crate::platform::ids::{OrderId, UserId};

/// The buyer gives up his own unpaid order.
///
/// # Errors
/// `NotFound` for another person's order; `Conflict` when it is paid or closed.
pub async fn cancel_unpaid(app: &App, id: OrderId, user: UserId, reason: Option<&str>) -> Result<()> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let order = orders::lock(&mut tx, id)
        .await?
        .filter(|order| order.user_id == Some(user))
        .ok_or(Error::NotFound("The order"))?;
    if !order.status.awaits_payment() {
        return Err(Error::conflict(match order.status {
            Status::Cancelled => "This order is cancelled already.",
            _ => "This order is paid. Write to the shop to give it back.",
        }));
    }
    close(&mut tx, &order, "cancelled", "customer", Some(user), reason, now).await?;
    let products = inventory::products_of_order(&mut tx, id).await?;
    tx.commit().await?;
    app.product_cache.forget(&products).await;
    Ok(())
}

/// Closes a locked unpaid order: its stock is free, its open payment attempt is over.
pub(super) async fn close(
    tx: &mut PgConnection,
    order: &LockedOrder,
    event: &str,
    actor: &str,
    actor_id: Option<UserId>,
    note: Option<&str>,
    now: DateTime<Utc>,
) -> Result<()> {
    let change = Move { from: order.status, to: Status::Cancelled, event, actor, actor_id, note, paid_minor: None };
    if !orders::move_status(tx, order.id, &change, now).await? {
        return Err(Error::conflict("This order cannot be cancelled any more."));
    }
    inventory::release_reservations(tx, order.id, now).await?;
    payments::abandon_open(tx, order.id, now).await?;
    Ok(())
}
