//! Mails about money to those who keep it.

use sqlx::PgConnection;

use crate::app::App;
use crate::features::auth::{self, Permission};
use crate::features::notifications::{self, Mail, NewMail};
use crate::platform::error::Result;
use crate::platform::ids::OrderId;

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
