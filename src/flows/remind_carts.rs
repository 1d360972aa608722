//! Reminds customers of carts that they left, if they want such mails.

use async_trait::async_trait;
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::features::auth::{self, Reader};
use crate::features::carts::{self, CartLine, LeftCart};
use crate::features::catalog::variant_name_of;
use crate::features::notifications::{self, Mail, NewMail, OrderLine};
use crate::features::{orders, privacy};
use crate::platform::error::{Error, Result};
use crate::platform::format::absolute_url;
use crate::platform::jobs::{Job, JobError};
use crate::platform::money::Amount;

/// Carts that one statement looks for.
const BATCH: i64 = 200;

/// A cart that was left longer ago is not brought up any more.
const WINDOW: TimeDelta = TimeDelta::days(7);

/// Lines that a mail shows.
const SHOWN: usize = 10;

/// Runs every ten minutes, in one process of the cluster.
#[derive(Debug, Serialize, Deserialize)]
pub struct RemindCarts {}

#[async_trait]
impl Job<App> for RemindCarts {
    const KIND: &'static str = "remind_carts";

    async fn run(self, app: &App) -> Result<(), JobError> {
        if app.config.cart.reminder_hours == 0 {
            return Ok(());
        }
        remind(app).await.map_err(JobError::from)
    }
}

async fn remind(app: &App) -> Result<()> {
    let until = app.clock.now() - TimeDelta::hours(app.config.cart.reminder_hours);
    let (mut last, mut failure) = (None, None);
    loop {
        let mut connection = app.db.acquire().await?;
        let left = carts::left_carts(&mut connection, until - WINDOW, until, last.as_ref(), BATCH).await?;
        let users: Vec<_> = left.iter().map(|cart| cart.user_id).collect();
        let willing = privacy::agreeing_to_marketing(&mut connection, &users).await?;
        drop(connection);
        for cart in left.iter().filter(|cart| willing.contains(&cart.user_id)) {
            // One that fails must not keep the others from their mail.
            if let Err(error) = remind_of(app, cart).await {
                tracing::error!(cart = %cart.id, %error, "a reminder of a cart was not written");
                failure = Some(error);
            }
        }
        match left.last() {
            Some(cart) => last = Some(*cart),
            None => return failure.map_or(Ok(()), Err),
        }
    }
}

/// Marks the cart and writes the mail: both or neither, and once, whoever else tries at the same time.
async fn remind_of(app: &App, cart: &LeftCart) -> Result<()> {
    let (now, user) = (app.clock.now(), cart.user_id);
    let mut tx = app.db.begin().await?;
    // The account comes before the cart, as an erasure locks them.
    let Some(reader) = auth::hold_reader(&mut tx, user).await? else { return Ok(()) };
    // He may have changed his mind, or bought, since the cart was listed.
    let is_willing = !privacy::agreeing_to_marketing(&mut tx, &[user]).await?.is_empty();
    if !is_willing || orders::has_ordered_since(&mut tx, user, cart.updated_at).await? {
        return Ok(());
    }
    let Some(lines) = carts::mark_reminded(&mut tx, cart, now).await? else { return Ok(()) };
    // What is sold out may come back in time; then he is reminded.
    let Some(mail) = mail(app, cart, reader.name.clone(), lines)? else { return Ok(()) };
    let Reader { email: recipient, .. } = reader;
    let dedupe_key = format!("abandoned_cart/{}/{}", cart.id, cart.updated_at.timestamp_micros());
    let new = NewMail { dedupe_key, recipient, user_id: Some(user), order_id: None, mail };
    notifications::send(app, &mut tx, new).await?;
    tx.commit().await?;
    app.waker.wake();
    Ok(())
}

/// The mail, if anything in the cart can be bought.
fn mail(app: &App, cart: &LeftCart, name: String, mut lines: Vec<CartLine>) -> Result<Option<Mail>> {
    lines.retain(CartLine::is_buyable);
    let Some(currency) = lines.first().map(|line| line.currency.clone()) else { return Ok(None) };
    let base = app.config.public_url();
    let more = lines.len().saturating_sub(SHOWN);
    let line = |line: CartLine| {
        Ok::<_, Error>(OrderLine {
            title: line.title,
            variant: Some(variant_name_of(&line.options)).filter(|name| name != "Standard"),
            quantity: line.quantity,
            unit_price_minor: line.price_minor,
            total_minor: Amount(line.price_minor).times(line.quantity)?.0,
            image_url: line.image_url.map(|url| absolute_url(&url, &base)),
        })
    };
    Ok(Some(Mail::AbandonedCart {
        name,
        lines: lines.into_iter().take(SHOWN).map(line).collect::<Result<_>>()?,
        more,
        currency,
        link: match app.config.cart.reminder_url.as_str() {
            "" => app.config.store_url(),
            url => url.to_owned(),
        },
        unsubscribe_link: privacy::unsubscribe_link(app, cart.user_id)?,
    }))
}
