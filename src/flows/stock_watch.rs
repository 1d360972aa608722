//! Looks at what has become of stock: tells the staff what has become low, and those who asked what can be bought again.
//!
//! It reads what orders have written, some time after them, so that they pay nothing for it.

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::app::App;
use crate::features::auth::{self, Permission};
use crate::features::catalog::variant_name_of;
use crate::features::inventory::{self, LowVariant};
use crate::features::notifications::{self, LowStockLine, Mail, NewMail};
use crate::platform::db::Tx;
use crate::platform::error::Result;
use crate::platform::format::absolute_url;
use crate::platform::ids::UserId;
use crate::platform::jobs::{Job, JobError};

/// Movements that one statement reads.
const STEP: i64 = 100_000;

/// Variants that one mail names.
const NAMED: usize = 50;

/// Requests that one run answers.
const REQUESTS: i64 = 1_000;

/// Runs each minute, in one process of the cluster.
#[derive(Debug, Serialize, Deserialize)]
pub struct WatchStock {}

#[async_trait]
impl Job<App> for WatchStock {
    const KIND: &'static str = "watch_stock";

    async fn run(self, app: &App) -> Result<(), JobError> {
        // One that fails must not keep the others from their work.
        let results = [look(app).await, walk(app).await, answer_requests(app).await];
        app.waker.wake();
        results.into_iter().collect::<Result<()>>().map_err(JobError::from)
    }
}

/// Looks at what has moved since the last time. What becomes of it, the mails and how far it came are one transaction, so
/// that each fall is told once.
async fn look(app: &App) -> Result<()> {
    let (low_stock, now) = (app.config.inventory.low_stock, app.clock.now());
    let mut tx = app.db.begin().await?;
    let Some(mut look) = inventory::begin_look(&mut tx).await? else { return Ok(()) };
    while !look.is_done() {
        inventory::look_on(&mut tx, &mut look, STEP, low_stock, now).await?;
    }
    let fallen = inventory::take_untold(&mut tx, low_stock).await?;
    if app.config.inventory.low_stock_mail && !fallen.is_empty() {
        tell_staff(app, &mut tx, &fallen).await?;
    }
    inventory::end_look(&mut tx, &look).await?;
    tx.commit().await
}

async fn tell_staff(app: &App, tx: &mut Tx, fallen: &[LowVariant]) -> Result<()> {
    let lines: Vec<_> = fallen
        .iter()
        .take(NAMED)
        .map(|low| LowStockLine {
            title: low.title.clone(),
            variant: named(&low.options),
            sku: low.sku.clone(),
            available: low.available,
            threshold: low.threshold,
        })
        .collect();
    let mail = Mail::LowStock { lines, total: fallen.len() };
    let recipients = match app.config.inventory.low_stock_emails.as_slice() {
        [] => auth::staff_addresses(tx, Permission::ManageInventory).await?,
        emails => emails.iter().map(|email| (None, email.as_str().to_owned())).collect(),
    };
    let look = Uuid::now_v7();
    for (user_id, recipient) in recipients {
        let dedupe_key = format!("low_stock/{look}/{recipient}");
        let mail = NewMail { dedupe_key, recipient, user_id, order_id: None, mail: mail.clone() };
        notifications::send(app, tx, mail).await?;
    }
    Ok(())
}

/// Once a day, and when the shop has never been looked at, all levels are compared with their thresholds: some change
/// without a movement.
async fn walk(app: &App) -> Result<()> {
    let (low_stock, now) = (app.config.inventory.low_stock, app.clock.now());
    if !is_due(inventory::walked_at(&mut *app.db.acquire().await?).await?, now) {
        return Ok(());
    }
    let mut last = None;
    loop {
        last = inventory::walk(&mut *app.db.acquire().await?, last, low_stock, now).await?;
        if last.is_none() {
            break;
        }
    }
    Ok(inventory::end_walk(&mut *app.db.acquire().await?, now).await?)
}

fn is_due(walked_at: Option<DateTime<Utc>>, now: DateTime<Utc>) -> bool {
    walked_at.is_none_or(|walked_at| now - walked_at >= TimeDelta::days(1))
}

/// Writes to those who asked, in the order in which they asked. Who is not reached in this run is in the next, if there is
/// still something to buy.
async fn answer_requests(app: &App) -> Result<()> {
    let due = inventory::due_requests(&mut *app.db.acquire().await?, REQUESTS).await?;
    let mut failure = None;
    for (id, user) in due {
        // One that fails must not keep those behind him from their mail.
        if let Err(error) = answer(app, id, user).await {
            tracing::error!(request = %id, %error, "nobody was told that something is back");
            failure = Some(error);
        }
    }
    failure.map_or(Ok(()), Err)
}

/// Writes to one. His account is locked before his request, as where it is erased; the request is gone with the
/// transaction of its mail.
async fn answer(app: &App, id: Uuid, user_id: Option<UserId>) -> Result<()> {
    let mut tx = app.db.begin().await?;
    if let Some(user) = user_id {
        auth::hold_person(&mut tx, user).await?;
    }
    let Some(request) = inventory::take_request(&mut tx, id).await? else { return Ok(()) };
    let mail = Mail::BackInStock {
        variant: named(&request.options),
        link: app.config.product_url(&request.slug),
        stop_link: inventory::stop_link(app, &request.email)?,
        title: request.title,
        price_minor: request.price_minor,
        currency: request.currency,
        image_url: request.image_url.map(|url| absolute_url(&url, &app.config.public_url())),
    };
    let dedupe_key = format!("back_in_stock/{id}");
    let mail = NewMail { dedupe_key, recipient: request.email, user_id, order_id: None, mail };
    notifications::send(app, &mut tx, mail).await?;
    tx.commit().await
}

/// The variant's name, where the product has options.
fn named(options: &serde_json::Value) -> Option<String> {
    options.as_array().is_some_and(|options| !options.is_empty()).then(|| variant_name_of(options))
}
