//! Issuing invoices, and their files.
//!
//! A file shows what the rows say, so it can be made again at any time: who asks for one whose file is missing, or says something
//! else than the order does by now, gets a new one.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;

use super::content::content;
use super::document;
use super::model::{Invoice, Says, Seller, Stamp, year};
use super::store::{self, Missing, NewInvoice};
use crate::app::App;
use crate::features::media;
use crate::features::orders::{self, Order};
use crate::features::payments;
use crate::platform::error::{Error, Result};
use crate::platform::ids::OrderId;

/// Older orders get their invoice when somebody asks for it.
const LOOKED_FOR: TimeDelta = TimeDelta::days(400);

/// Files that one transaction forgets.
const STEP: i64 = 100;

/// An invoice and its file.
#[derive(Debug)]
pub(super) struct Issued {
    pub invoice: Invoice,
    /// The PDF.
    pub bytes: Vec<u8>,
}

/// The invoice of an order with its file; it is issued now if it was not.
///
/// # Errors
/// `Conflict` before the order is sold.
pub(super) async fn invoice(app: &App, order: &Order) -> Result<Issued> {
    let (invoice, says) = issue(app, order).await?;
    if let Some((place, said)) = &invoice.document
        && *said == says
    {
        match media::read_document(app, &owner(order.id), place).await {
            Ok(Some(bytes)) => return Ok(Issued { invoice, bytes }),
            Ok(None) => tracing::warn!(order = %order.id, "the file of an invoice is gone; it is made again"),
            Err(error) => tracing::warn!(order = %order.id, error = %error, "the file of an invoice cannot be read"),
        }
    }
    let bytes = make(app, order, &invoice, says).await?;
    // Whoever asked has it, whether it can be kept or not.
    if let Err(error) = keep(app, order, says, &bytes).await {
        tracing::warn!(order = %order.id, error = %error, "the file of an invoice could not be kept");
    }
    Ok(Issued { invoice, bytes })
}

/// Issues the invoice of an order and keeps its file, unless both are there.
///
/// # Errors
/// `Conflict` before the order is sold; `Unavailable` when the file cannot be kept.
pub(super) async fn prepare(app: &App, order: &Order) -> Result<()> {
    let (invoice, says) = issue(app, order).await?;
    if invoice.document.as_ref().is_some_and(|(_, said)| *said == says) {
        return Ok(());
    }
    let bytes = make(app, order, &invoice, says).await?;
    keep(app, order, says, &bytes).await
}

/// Issues invoices for orders that were sold and have none: those of a server that knew of no invoices, and those whose job used its
/// tries up. At most `issue` of them, among the `look` orders behind one of them. Their files are made when somebody asks. Gives where to
/// go on; none at the end.
///
/// # Errors
/// The database's, when it does not say which orders these are. An order whose invoice fails keeps no other from its own.
pub(super) async fn issue_missing(app: &App, behind: Option<OrderId>, step: (i64, i64)) -> Result<Option<OrderId>> {
    let since = app.clock.now() - LOOKED_FOR;
    let Missing { orders: missing, behind } =
        store::without_invoice(&mut *app.db.acquire().await?, since, behind, step).await?;
    for id in missing {
        match issue_of(app, id).await {
            // It is not sold any more.
            Ok(()) | Err(Error::Conflict { .. }) => {}
            Err(error) => tracing::error!(order = %id, error = %error, "a missing invoice could not be issued"),
        }
    }
    Ok(behind)
}

async fn issue_of(app: &App, id: OrderId) -> Result<()> {
    let order = orders::find(&mut *app.db.acquire().await?, id).await?.ok_or(Error::NotFound("The order"))?;
    issue(app, &order).await?;
    Ok(())
}

/// Forgets the files that name a buyer who was erased: by a server that knew of no invoices, as this one forgets them at once.
///
/// # Errors
/// The database's.
pub async fn forget_names(app: &App) -> Result<()> {
    loop {
        let mut tx = app.db.begin().await?;
        let orders = store::names_of_erased(&mut tx, STEP).await?;
        forget_documents(app, &mut tx, &orders, app.clock.now()).await?;
        tx.commit().await?;
        app.waker.wake();
        let is_full = i64::try_from(orders.len()).is_ok_and(|count| count >= STEP);
        if !is_full {
            return Ok(());
        }
    }
}

/// Forgets the files of these orders' invoices, which have their buyers' names. They are made again without when somebody asks.
///
/// # Errors
/// The database's.
pub async fn forget_documents(app: &App, c: &mut PgConnection, orders: &[OrderId], now: DateTime<Utc>) -> Result<()> {
    let ids: Vec<_> = orders.iter().map(|id| id.0).collect();
    let places = store::forget_documents(c, &ids).await?;
    media::give_up_documents(app, c, &places, now).await
}

/// For whom a file is sealed.
fn owner(order: OrderId) -> Vec<u8> {
    [b"invoice ", order.0.as_bytes().as_slice()].concat()
}

/// The invoice of an order and what it says now; it is issued if it was not.
async fn issue(app: &App, order: &Order) -> Result<(Invoice, Says)> {
    let mut connection = app.db.acquire().await?;
    let found = store::find(&mut connection, order.id).await?;
    // An order that is given up before it is paid on delivery had its invoice when it was accepted.
    let stamp = Stamp::of(order).or_else(|| found.as_ref().map(|_| Stamp::Cancelled));
    let stamp = stamp.ok_or_else(|| Error::conflict("This order has no invoice yet: it gets one once it is paid."))?;
    let refunded_minor = refunded_minor(&mut connection, order.id).await?;
    connection.done();
    let names_buyer = !orders::is_erased(&order.email);
    let says = Says { stamp, paid_minor: order.paid_minor, refunded_minor, names_buyer };
    if let Some(invoice) = found {
        return Ok((invoice, says));
    }
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    orders::lock(&mut tx, order.id).await?.ok_or(Error::NotFound("The order"))?;
    let invoice = match store::find(&mut tx, order.id).await? {
        Some(invoice) => invoice,
        None => {
            let new = NewInvoice {
                order_id: order.id,
                year: year(now, app.config.store.utc_offset_minutes),
                prefix: &app.config.invoices.prefix,
                seller: &Seller::of(&app.config),
                order_number: &order.number,
                currency: &order.currency,
                total_minor: order.total_minor,
                tax_minor: order.tax_minor + order.tax_included_minor,
            };
            store::insert(&mut tx, &new, now).await?;
            store::find(&mut tx, order.id).await?.ok_or(Error::NotFound("The invoice"))?
        }
    };
    tx.commit().await?;
    Ok((invoice, says))
}

/// What of the money that has paid an order has gone back. What came beside it, and had to go back, has paid nothing.
async fn refunded_minor(c: &mut PgConnection, order: OrderId) -> Result<i64> {
    match payments::find_successful(c, order).await? {
        Some(payment) => Ok(payments::processed_minor(c, payment.id).await?),
        None => Ok(0),
    }
}

/// Makes the PDF.
async fn make(app: &App, order: &Order, invoice: &Invoice, says: Says) -> Result<Vec<u8>> {
    let content = content(order, invoice, says, &app.config);
    let written = tokio::task::spawn_blocking(move || document::write(&content)).await.map_err(Error::internal)?;
    written.map_err(Error::internal)
}

/// Keeps a file that was made of an order, unless its buyer was erased meanwhile.
async fn keep(app: &App, order: &Order, says: Says, bytes: &[u8]) -> Result<()> {
    let now = app.clock.now();
    let written = media::write_document(app, &owner(order.id), bytes).await?;
    let mut tx = app.db.begin().await?;
    let locked = orders::lock(&mut tx, order.id).await?.ok_or(Error::NotFound("The order"))?;
    let old = store::forget_documents(&mut tx, &[order.id.0]).await?;
    media::give_up_documents(app, &mut tx, &old, now).await?;
    let place = media::keep_document(&mut tx, written).await?;
    if locked.is_erased() != says.names_buyer {
        store::set_document(&mut tx, order.id, &place, &says).await?;
    } else {
        media::give_up_documents(app, &mut tx, &[place], now).await?;
    }
    tx.commit().await?;
    app.waker.wake();
    Ok(())
}
