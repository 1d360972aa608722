//! Sends a mail about an order again, when the buyer says that it did not come.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

use super::order_mail::{self, OrderMail};
use crate::app::App;
use crate::features::auth::Identity;
use crate::features::{audit, notifications, orders};
use crate::platform::error::{Error, Result};
use crate::platform::http::keyed::{self, Begun, Keyed};
use crate::platform::http::{RequestMeta, deleted};
use crate::platform::idempotency;
use crate::platform::ids::{FulfilmentId, OrderId};

/// Copies of one mail in a day, the first included.
const MOST: i64 = 5;

/// Which mail is sent again.
#[derive(Clone, Copy, Debug)]
pub enum Again {
    /// The confirmation.
    Confirmation,
    /// The receipt.
    Receipt,
    /// That of a parcel that is on its way: this one, or the last.
    Shipped(Option<FulfilmentId>),
    /// That of a parcel that has arrived: this one, or the last.
    Delivered(Option<FulfilmentId>),
    /// That of a cancelled order.
    Cancelled,
}

/// Sends it, at once.
///
/// # Errors
/// `NotFound`; `Conflict` when the order has no such mail, its buyer was erased, or the mail was sent too often today; what
/// [`idempotency::claim`] refuses.
pub async fn resend(
    app: &App,
    actor: &Identity,
    meta: &RequestMeta,
    id: OrderId,
    again: Again,
    key: Option<idempotency::Request>,
) -> Result<Keyed> {
    let now = app.clock.now();
    let mut tx = match keyed::begin(&app.db, key.as_ref(), now).await? {
        Begun::Given(answer) => return Ok(answer),
        Begun::Open(tx) => tx,
    };
    let done = async {
        let kind = send(app, &mut tx, id, again, now).await?;
        let answer = tx.reply(&deleted("The mail is on its way.")).await?;
        let entry = audit::Entry {
            actor: Some(actor),
            action: "order.resend_mail",
            entity: "order",
            entity_id: Some(id.to_string()),
            before: None,
            after: Some(json!({"kind": kind})),
        };
        audit::record(&mut tx, entry, meta, now).await?;
        Ok(answer)
    }
    .await;
    let answer = tx.end(done).await?;
    app.waker.wake();
    Ok(answer)
}

/// Writes the mail. Gives its kind, as the audit log names it.
async fn send(app: &App, tx: &mut PgConnection, id: OrderId, again: Again, now: DateTime<Utc>) -> Result<&'static str> {
    // Locked, so that copies are counted one after the other.
    let locked = orders::lock_version(tx, id, None).await?;
    if locked.is_erased() {
        return Err(Error::conflict("The buyer of this order was erased; nobody can be written to."));
    }
    let none = || Error::conflict("There is no such mail about this order: what it would tell has not happened.");
    let parcels = orders::parcels(tx, id).await?;
    let parcel = |wanted: Option<FulfilmentId>, is_arrived: bool| {
        let fits = |parcel: &&orders::Fulfilment| {
            parcel.is_sent()
                && (!is_arrived || parcel.delivered_at.is_some())
                && wanted.is_none_or(|wanted| parcel.id == wanted)
        };
        parcels.iter().rfind(fits).map(|parcel| parcel.id).ok_or_else(none)
    };
    let (kind, mail) = match again {
        Again::Confirmation => ("confirmation", OrderMail::Confirmation),
        Again::Receipt => ("receipt", OrderMail::Receipt),
        Again::Shipped(wanted) => ("shipped", OrderMail::Shipped { parcel: parcel(wanted, false)? }),
        Again::Delivered(wanted) => ("delivered", OrderMail::Delivered { parcel: parcel(wanted, true)? }),
        Again::Cancelled if locked.status == orders::Status::Cancelled => ("cancelled", OrderMail::Cancelled),
        Again::Cancelled => return Err(none()),
    };
    let order = orders::find(tx, id).await?.ok_or(Error::NotFound("The order"))?;
    let mut mail = order_mail::compose(app, tx, order, mail).await?.ok_or_else(none)?;
    if notifications::sent_since(tx, id, &mail.dedupe_key, now - TimeDelta::days(1)).await? >= MOST {
        return Err(Error::conflict(format!("This mail was sent {MOST} times within a day. Try again tomorrow.")));
    }
    mail.dedupe_key = format!("{}/again/{}", mail.dedupe_key, Uuid::now_v7());
    notifications::send(app, tx, mail).await?;
    Ok(kind)
}
