//! Mails about money to those who keep it.

use sqlx::PgConnection;

use crate::app::App;
use crate::features::auth::{self, Permission};
use crate::features::notifications::{self, Mail, MoneyAlert, NewMail};
use crate::platform::error::Result;
use crate::platform::ids::OrderId;

/// That somebody has to look at something. Nothing in it names a buyer.
#[derive(Clone, Debug)]
pub(super) struct Alert {
    /// What has happened.
    pub kind: MoneyAlert,
    /// What makes two alerts of a kind the same.
    pub key: String,
    /// The order. What is told of it goes with its buyer.
    pub order_id: OrderId,
    /// Its number.
    pub order_number: String,
    /// The money, in minor units.
    pub amount_minor: i64,
    /// ISO 4217.
    pub currency: String,
    /// More words, such as the provider's.
    pub words: Option<String>,
}

/// Tells that somebody has to look at something, once for each key. Wake the workers after the commit.
///
/// # Errors
/// As [`send`].
pub(super) async fn alert(app: &App, tx: &mut PgConnection, about: Alert) -> Result<()> {
    let Alert { kind, key, order_id, order_number, amount_minor, currency, words } = about;
    let mail = Mail::MoneyAlert { alert: kind, order_number, amount_minor, currency, words };
    send(app, tx, &format!("money_alert/{}/{key}", kind.as_str()), Some(order_id), &mail).await
}

/// Writes to the addresses of the settings or, where they name none, to the staff who keep payments. `key` makes two requests the
/// same mail. Wake the workers after the commit.
///
/// # Errors
/// The database's.
pub(super) async fn send(
    app: &App,
    tx: &mut PgConnection,
    key: &str,
    order_id: Option<OrderId>,
    mail: &Mail,
) -> Result<()> {
    let recipients = match app.config.payments.finance_emails.as_slice() {
        [] => auth::staff_addresses(tx, Permission::ManagePayments).await?,
        emails => emails.iter().map(|email| (None, email.as_str().to_owned())).collect(),
    };
    for (user_id, recipient) in recipients {
        let dedupe_key = format!("{key}/{recipient}");
        let mail = NewMail { dedupe_key, recipient, user_id, order_id, mail: mail.clone() };
        notifications::send(app, tx, mail).await?;
    }
    Ok(())
}
