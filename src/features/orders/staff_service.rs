//! What staff write about orders, and take away of them.

use bytes::Bytes;
use futures::Stream;
use serde_json::json;

use super::detail::{self, StaffOrderData, lock_version};
use super::model::Order;
use super::store::moves;
use super::store::staff::{self, Filter, Sort};
use crate::app::App;
use crate::features::audit;
use crate::features::auth::Identity;
use crate::platform::csv::{protect, table};
use crate::platform::error::{Error, Result};
use crate::platform::http::RequestMeta;
use crate::platform::http::keyed::{self, Begun, Keyed};
use crate::platform::idempotency;
use crate::platform::ids::OrderId;
use crate::platform::money::Amount;
use crate::platform::page::{Page, Part};

/// Orders read at once.
const BATCH: i64 = 500;

const COLUMNS: [&str; 18] = [
    "Number",
    "Placed at",
    "Status",
    "Paid at",
    "Fulfilment",
    "Email",
    "First name",
    "Last name",
    "Phone",
    "City",
    "Region",
    "Country",
    "Units",
    "Currency",
    "Subtotal",
    "Shipping",
    "Tax",
    "Total",
];

/// Writes a note on an order's timeline, which the buyer may read or not. Its words are left out of the audit log: they are in the
/// timeline, where they can be erased.
///
/// # Errors
/// `NotFound`; `Conflict` when the buyer was erased; what [`idempotency::claim`] refuses.
pub(super) async fn add_note(
    app: &App,
    actor: &Identity,
    meta: &RequestMeta,
    id: OrderId,
    (text, is_visible): (&str, bool),
    key: Option<idempotency::Request>,
) -> Result<Keyed> {
    let now = app.clock.now();
    let mut tx = match keyed::begin(&app.db, key.as_ref(), now).await? {
        Begun::Given(answer) => return Ok(answer),
        Begun::Open(tx) => tx,
    };
    let done = async {
        let order = lock_version(&mut tx, id, None).await?;
        if order.is_erased() {
            return Err(Error::conflict("The buyer of this order was erased; nothing is written about it any more."));
        }
        moves::add_note(&mut tx, id, actor.user_id, text, !is_visible, now).await?;
        let order = detail::staff_detail(&mut tx, id, &app.config.public_url()).await?;
        let answer = tx.answer(201, StaffOrderData { order }).await?;
        let entry = audit::Entry {
            actor: Some(actor),
            action: "order.add_note",
            entity: "order",
            entity_id: Some(id.to_string()),
            before: None,
            after: Some(json!({"visibleToCustomer": is_visible})),
        };
        audit::record(&mut tx, entry, meta, now).await?;
        Ok(answer)
    }
    .await;
    tx.end(done).await
}

/// Puts on record that somebody takes orders away.
pub(super) async fn record_export(app: &App, actor: &Identity, meta: &RequestMeta) -> Result<()> {
    let mut tx = app.db.begin().await?;
    let entry = audit::Entry {
        actor: Some(actor),
        action: "order.export",
        entity: "order",
        entity_id: None,
        before: None,
        after: Some(json!({"format": "csv"})),
    };
    audit::record(&mut tx, entry, meta, app.clock.now()).await?;
    tx.commit().await
}

/// The orders that match as a file, piece by piece, the oldest first. Those that are placed while it is read may be in it.
pub(super) fn export(app: App, filter: Filter) -> impl Stream<Item = Result<Bytes>> + Send + 'static {
    // What comes next: the orders behind this one, or nothing.
    futures::stream::try_unfold((app, filter, Some(None)), move |(app, filter, next)| async move {
        let Some(behind) = next else { return Ok(None) };
        let part = Part { page: Page { number: 1, limit: BATCH }, behind };
        let (orders, last) = staff::list(&mut *app.db.acquire().await?, &filter, Sort::Oldest, part).await?;
        let headings = behind.is_none().then_some(COLUMNS);
        let bytes = table(headings, orders.iter().map(row)).map_err(Error::internal)?;
        Ok(Some((Bytes::from(bytes), (app, filter, last.map(Some)))))
    })
}

fn row(order: &Order) -> [String; 18] {
    let text = |key: &str| protect(order.shipping_address[key].as_str().unwrap_or_default());
    let units: i64 = order.items.iter().map(|item| i64::from(item.quantity)).sum();
    [
        protect(&order.number),
        order.placed_at.to_rfc3339(),
        order.status.as_str().to_owned(),
        order.paid_at.map(|at| at.to_rfc3339()).unwrap_or_default(),
        order.fulfilment_status.as_str().to_owned(),
        protect(&order.email),
        text("firstName"),
        text("lastName"),
        text("phone"),
        text("city"),
        text("region"),
        text("country"),
        units.to_string(),
        order.currency.clone(),
        Amount(order.subtotal_minor).to_string(),
        Amount(order.shipping_minor).to_string(),
        Amount(order.tax_minor).to_string(),
        Amount(order.total_minor).to_string(),
    ]
}
