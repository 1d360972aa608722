//! Tells the staff that a buyer wants to send something back.

use sqlx::PgConnection;

use crate::app::App;
use crate::features::auth::{self, Permission};
use crate::features::notifications::{self, Mail, NewMail, ReturnedLine};
use crate::features::orders::{self, Return, ReturnStatus};
use crate::platform::error::{Error, Result};
use crate::platform::ids::OrderId;

/// Writes to those who look after returns of the one that was asked for last in this transaction, once for an order and a day and what the staff
/// have decided: whoever asks and withdraws again and again fills nobody's mailbox. Nothing in it names the buyer, nor are his words in it; it goes with him
/// nevertheless.
///
/// # Errors
/// The database's.
pub(super) async fn alert(app: &App, tx: &mut PgConnection, id: OrderId) -> Result<()> {
    let order = orders::find(tx, id).await?.ok_or(Error::NotFound("The order"))?;
    let mut returns = orders::returns(tx, id).await?;
    let is_decided = |back: &&Return| matches!(back.status, ReturnStatus::Rejected | ReturnStatus::Received);
    let decided = returns.iter().filter(is_decided).count();
    let Some(back) = returns.pop() else { return Ok(()) };
    let line = |item: &orders::OrderItem| {
        let wanted = back.items.iter().find(|wanted| wanted.order_item_id == item.id)?;
        let variant = Some(item.variant_name.clone()).filter(|name| name != "Standard");
        let reason = wanted.reason.as_str().replace('_', " ");
        Some(ReturnedLine { title: item.title.clone(), variant, quantity: wanted.quantity, reason })
    };
    let lines: Vec<_> = order.items.iter().filter_map(line).collect();
    let mail = Mail::ReturnRequested { order_number: order.number, lines };
    let day = app.clock.now().date_naive();
    let recipients = match app.config.orders.return_emails.as_slice() {
        [] => auth::staff_addresses(tx, Permission::ManageOrders).await?,
        emails => emails.iter().map(|email| (None, email.as_str().to_owned())).collect(),
    };
    for (user_id, recipient) in recipients {
        let dedupe_key = format!("return_requested/{id}/{day}/{decided}/{recipient}");
        let mail = NewMail { dedupe_key, recipient, user_id, order_id: Some(id), mail: mail.clone() };
        notifications::send(app, tx, mail).await?;
    }
    Ok(())
}
