//! The clock's work: reservations and unpaid orders end, and rows that nobody needs any more go.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::cancel;
use crate::app::App;
use crate::features::{carts, inventory, orders};
use crate::platform::error::Result;
use crate::platform::idempotency;
use crate::platform::ids::OrderId;
use crate::platform::jobs::{Job, JobError};

/// Orders that one statement looks for.
const BATCH: i64 = 100;

/// Runs every minute, in one process of the cluster.
#[derive(Debug, Serialize, Deserialize)]
pub struct Sweep {}

#[async_trait]
impl Job<App> for Sweep {
    const KIND: &'static str = "sweep";

    async fn run(self, app: &App) -> Result<(), JobError> {
        expire_orders(app).await?;
        release_reservations(app).await?;
        let now = app.clock.now();
        let mut connection = app.db.acquire().await?;
        idempotency::sweep(&mut connection, now).await?;
        carts::sweep_expired(&mut connection, now).await?;
        Ok(())
    }
}

/// Gives up unpaid orders whose time is over.
async fn expire_orders(app: &App) -> Result<()> {
    loop {
        let due = orders::overdue(&mut *app.db.acquire().await?, app.clock.now(), BATCH).await?;
        for id in &due {
            expire_order(app, *id).await?;
        }
        if i64::try_from(due.len()).is_ok_and(|n| n < BATCH) {
            return Ok(());
        }
    }
}

async fn expire_order(app: &App, id: OrderId) -> Result<()> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    // A payment may have come between the look and the lock.
    let due = orders::lock(&mut tx, id)
        .await?
        .filter(|order| order.status.awaits_payment() && order.expires_at.is_some_and(|at| at <= now));
    let Some(order) = due else { return Ok(()) };
    cancel::close(&mut tx, &order, "expired", "system", None, Some("not paid in time"), now).await?;
    let products = inventory::products_of_order(&mut tx, id).await?;
    tx.commit().await?;
    app.product_cache.forget(&products);
    metrics::counter!("agape_orders_expired_total").increment(1);
    Ok(())
}

/// Frees stock that an unpaid order holds longer than it may. The order itself lives on and may take it again.
async fn release_reservations(app: &App) -> Result<()> {
    loop {
        let now = app.clock.now();
        let due = inventory::orders_with_expired_reservations(&mut *app.db.acquire().await?, now, BATCH).await?;
        for id in &due {
            let mut tx = app.db.begin().await?;
            let unpaid = orders::lock(&mut tx, *id).await?.is_some_and(|order| order.status.awaits_payment());
            // The end may have been moved between the look and the lock.
            if unpaid && inventory::release_expired(&mut tx, *id, now).await? > 0 {
                orders::record_event(&mut tx, *id, "reservation_ended", "system", None, now).await?;
            }
            let products = inventory::products_of_order(&mut tx, *id).await?;
            tx.commit().await?;
            app.product_cache.forget(&products);
        }
        if i64::try_from(due.len()).is_ok_and(|n| n < BATCH) {
            return Ok(());
        }
    }
}
