//! Mail: what is written, how it is delivered, and the log of deliveries with its page at `/dev/mail`.

mod jobs;
mod mail;
mod mail_money;
mod mail_order;
mod mailbox;
mod mailer;
mod render;
mod store;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;

use crate::app::App;
use crate::platform::config::{Auth, Config};
use crate::platform::error::{Error, Result};
use crate::platform::ids::{EmailId, OrderId, UserId};

pub use jobs::DeliverMail;
pub use mail::{
    AccountSummary, DisputeTurn, LowStockLine, Mail, MoneyAlert, OrderLine, OrderSummary, ParcelSummary,
    PaymentSummary, ReconciledSum, RefundSummary, RefundTurn, ReturnSummary, ReturnTurn, ReturnedLine, SecurityChange,
    ShippingAddress,
};
pub use mailbox::routes as mailbox_routes;
pub use mailer::Mailer;
pub use store::{erase, export, give_up, sent_since, sweep};

/// A mail to send.
#[derive(Debug)]
pub struct NewMail {
    /// What makes two requests the same mail, for example `payment_receipt/<order>`.
    pub dedupe_key: String,
    /// The address.
    pub recipient: String,
    /// The account it concerns.
    pub user_id: Option<UserId>,
    /// The order it concerns.
    pub order_id: Option<OrderId>,
    /// What it says.
    pub mail: Mail,
}

/// Sends a mail, in the caller's transaction: to the local mailbox at once, to a mail server by a job. A mail that was sent
/// before is not sent again. Call [`crate::platform::jobs::Waker::wake`] after the commit.
///
/// # Errors
/// `Internal` when a template fails, or the database's error.
pub async fn send(app: &App, tx: &mut PgConnection, new: NewMail) -> Result<()> {
    let url = app.config.store_url();
    let rendered = render::render(&store_facts(&app.config, &url), &new.mail).map_err(Error::internal)?;
    let id = EmailId::new();
    let is_local = app.mailer.is_local();
    if !store::insert(tx, id, &new, &rendered, app.mailer.name(), is_local, app.clock.now()).await? {
        return Ok(());
    }
    if !is_local {
        crate::platform::jobs::enqueue(tx, &DeliverMail { email_id: id }, DeliverMail::TRIES).await?;
    }
    metrics::counter!("agape_mails_total", "kind" => new.mail.kind()).increment(1);
    Ok(())
}

/// Removes links that have ended from the stored copies of mails: they are secrets, also when they are old.
///
/// # Errors
/// When the statement fails.
pub async fn forget_links(connection: &mut PgConnection, config: &Auth, now: DateTime<Utc>) -> Result<()> {
    let verified = now - TimeDelta::hours(config.verification_hours);
    store::blank_links(connection, "verify_email", verified).await?;
    let reset = now - TimeDelta::minutes(config.reset_minutes);
    Ok(store::blank_links(connection, "password_reset", reset).await?)
}

fn store_facts<'a>(config: &'a Config, url: &'a str) -> render::Store<'a> {
    let store = &config.store;
    render::Store {
        name: &store.name,
        logo_url: Some(store.logo_url.as_str()).filter(|url| !url.is_empty()),
        accent: &store.accent,
        support_email: &store.support_email,
        url,
        address: &store.address,
        utc_offset_minutes: store.utc_offset_minutes,
    }
}
