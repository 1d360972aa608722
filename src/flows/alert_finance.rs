//! Tells those who look after the shop's money that somebody has to look at something.

use sqlx::PgConnection;

use super::finance_mail;
use crate::app::App;
use crate::features::notifications::{Mail, MoneyAlert};
use crate::platform::error::Result;
use crate::platform::ids::OrderId;

/// What they are told. Nothing in it names a buyer.
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

/// Writes to those who look after the money, once for each key.
///
/// # Errors
/// The database's.
pub(super) async fn alert(app: &App, tx: &mut PgConnection, about: Alert) -> Result<()> {
    let Alert { kind, key, order_id, order_number, amount_minor, currency, words } = about;
    let mail = Mail::MoneyAlert { alert: kind, order_number, amount_minor, currency, words };
    finance_mail::send(app, tx, &format!("money_alert/{}/{key}", kind.as_str()), Some(order_id), &mail).await
}
