//! The clock's work: reservations and unpaid orders end, and rows that nobody needs any more go.

use async_trait::async_trait;
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use super::{cancel, refund};
use crate::app::App;
use crate::features::orders::{self, Actor};
use crate::features::{carts, catalog, inventory, notifications, webhooks};
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
        // One that fails must not keep the others from their work.
        let results = [
            expire_orders(app).await,
            release_reservations(app).await,
            webhooks::requeue_forgotten(app).await,
            refund::sweep::sweep(app).await,
            catalog::requeue_forgotten_imports(app).await,
            forget(app).await,
        ];
        results.into_iter().collect::<Result<()>>().map_err(JobError::from)
    }
}

/// Removes rows that nobody needs any more.
async fn forget(app: &App) -> Result<()> {
    let now = app.clock.now();
    let mut connection = app.db.acquire().await?;
    idempotency::sweep(&mut connection, now).await?;
    carts::sweep_expired(&mut connection, now).await?;
    // Longer than the tries of a delivery take.
    let given_up = notifications::give_up(&mut connection, now - TimeDelta::hours(2)).await?;
    if given_up > 0 {
        tracing::error!(mails = given_up, "mails could not be delivered; `agape doctor` looks at the mail server");
    }
    notifications::forget_links(&mut connection, &app.config.auth, now).await
}

/// Gives up unpaid orders whose time is over.
async fn expire_orders(app: &App) -> Result<()> {
    loop {
        let due = orders::overdue(&mut *app.db.acquire().await?, app.clock.now(), BATCH).await?;
        let mut failure = None;
        for id in &due {
            if let Err(error) = expire_order(app, *id).await {
                tracing::error!(order = %id, error = %error, "an order could not be given up");
                failure = Some(error);
            }
        }
        match failure {
            Some(error) => return Err(error),
            None if is_full(&due) => {}
            None => return Ok(()),
        }
    }
}

fn is_full(batch: &[OrderId]) -> bool {
    i64::try_from(batch.len()).is_ok_and(|n| n >= BATCH)
}

async fn expire_order(app: &App, id: OrderId) -> Result<()> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    // A payment may have come between the look and the lock.
    let due = orders::lock(&mut tx, id)
        .await?
        .filter(|order| order.status.awaits_payment() && order.expires_at.is_some_and(|at| at <= now));
    let Some(order) = due else { return Ok(()) };
    cancel::close(&mut tx, &order, "expired", (Actor::System, None), Some("not paid in time"), now).await?;
    let products = inventory::products_of_order(&mut tx, id).await?;
    tx.commit().await?;
    app.product_cache.forget(&products).await;
    metrics::counter!("agape_orders_expired_total").increment(1);
    Ok(())
}

/// Frees stock that an unpaid order holds longer than it may. The order itself lives on and may take it again.
async fn release_reservations(app: &App) -> Result<()> {
    loop {
        let now = app.clock.now();
        let due = inventory::orders_with_expired_reservations(&mut *app.db.acquire().await?, now, BATCH).await?;
        let mut failure = None;
        for id in &due {
            if let Err(error) = release_reservation(app, *id).await {
                tracing::error!(order = %id, error = %error, "the stock of an order could not be freed");
                failure = Some(error);
            }
        }
        match failure {
            Some(error) => return Err(error),
            None if is_full(&due) => {}
            None => return Ok(()),
        }
    }
}

async fn release_reservation(app: &App, id: OrderId) -> Result<()> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    // The order may have been paid, or the end moved, between the look and the lock.
    orders::lock(&mut tx, id).await?;
    if inventory::release_expired(&mut tx, id, now).await? > 0 {
        orders::record_event(&mut tx, id, "reservation_ended", (Actor::System, None), None, now).await?;
    }
    let products = inventory::products_of_order(&mut tx, id).await?;
    tx.commit().await?;
    app.product_cache.forget(&products).await;
    Ok(())
}
