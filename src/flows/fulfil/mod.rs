//! Packs and sends parcels. The order follows them: it is being processed once something is packed, shipped once all is on
//! its way, delivered once all has arrived.

mod work;

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::PgConnection;

use self::work::{Work, refuse_held};
use crate::app::App;
use crate::features::audit;
use crate::features::auth::Identity;
use crate::features::orders::{
    self, LockedOrder, NewParcel, ParcelChange, ParcelItem, ParcelStatus, StaffOrderView, Status,
};
use crate::platform::db::Tx;
use crate::platform::error::{Error, FieldError, Result};
use crate::platform::http::RequestMeta;
use crate::platform::http::keyed::{self, Begun, Keyed};
use crate::platform::idempotency;
use crate::platform::ids::{FulfilmentId, OrderId};

/// A parcel that staff pack.
#[derive(Debug)]
pub struct Pack {
    /// What is in it; none for all that is left.
    pub items: Option<Vec<ParcelItem>>,
    /// Who carries it, and how it is found.
    pub parcel: NewParcel,
    /// Whether it leaves the house at once.
    pub is_shipped: bool,
    /// The order's version that this is based on; none takes whatever it is.
    pub version: Option<i32>,
}

/// Packs a parcel.
///
/// # Errors
/// `NotFound`; `Validation` of lines that are none of the order's; `Conflict` when the order may not be packed, has another
/// version, or has fewer units left.
pub async fn pack(
    app: &App,
    actor: &Identity,
    meta: &RequestMeta,
    id: OrderId,
    pack: Pack,
    key: Option<idempotency::Request>,
) -> Result<Keyed> {
    let now = app.clock.now();
    let mut tx = match keyed::begin(&app.db, key.as_ref(), now).await? {
        Begun::Given(answer) => return Ok(answer),
        Begun::Open(tx) => tx,
    };
    let done = async {
        let order = orders::lock_version(&mut tx, id, pack.version).await?;
        let mut work = Work { app, tx: &mut tx, actor, order: &order, now };
        let parcel = work.pack(pack.items.as_deref(), &pack.parcel).await?;
        if pack.is_shipped {
            work.change(parcel, ParcelChange { status: Some(ParcelStatus::Shipped), ..ParcelChange::default() }, None)
                .await?;
        }
        work.follow(None).await?;
        let view = orders::staff_detail(&mut tx, id, &app.config.public_url()).await?;
        let answer = tx.answer(201, orders::StaffOrderData { order: view }).await?;
        record(&mut tx, actor, meta, &order, "order.pack", now).await?;
        Ok(answer)
    }
    .await;
    let answer = tx.end(done).await?;
    app.waker.wake();
    Ok(answer)
}

/// Changes a parcel: what is known of it, or where it is.
///
/// # Errors
/// `NotFound`; `Conflict` when it has another version, or cannot become that.
pub async fn change(
    app: &App,
    actor: &Identity,
    meta: &RequestMeta,
    (id, parcel): (OrderId, FulfilmentId),
    version: i32,
    change: ParcelChange,
) -> Result<StaffOrderView> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let order = orders::lock_version(&mut tx, id, None).await?;
    let mut work = Work { app, tx: &mut tx, actor, order: &order, now };
    work.change(parcel, change, Some(version)).await?;
    work.follow(None).await?;
    close(app, tx, (actor, meta), &order, "order.update_parcel").await
}

/// Says by which number the order is looked for: that of the parcel packed last. Where there is none yet, all that the order
/// has is packed into one.
///
/// # Errors
/// `NotFound`; `Conflict` when there is no parcel and the order may not be packed.
pub async fn set_tracking(
    app: &App,
    actor: &Identity,
    meta: &RequestMeta,
    id: OrderId,
    tracking: NewParcel,
    version: Option<i32>,
) -> Result<StaffOrderView> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let order = orders::lock_version(&mut tx, id, version).await?;
    let last = orders::parcels(&mut tx, id).await?.into_iter().rfind(|parcel| parcel.status != ParcelStatus::Cancelled);
    let mut work = Work { app, tx: &mut tx, actor, order: &order, now };
    match last {
        None => drop(work.pack(None, &tracking).await?),
        Some(parcel) => {
            let change = ParcelChange {
                carrier: tracking.carrier.map(Some),
                tracking_number: Some(tracking.tracking_number),
                // A link of another number would lead to another parcel.
                tracking_url: Some(tracking.tracking_url),
                ..ParcelChange::default()
            };
            work.change(parcel.id, change, None).await?;
        }
    }
    work.follow(None).await?;
    close(app, tx, (actor, meta), &order, "order.set_tracking").await
}

/// Sets a status that staff may set: shipped sends all that is packed and packs what is left, delivered says that all has
/// arrived.
///
/// # Errors
/// `NotFound`; `Conflict` when the table forbids the move, which is named with those it allows.
pub async fn set_status(
    app: &App,
    actor: &Identity,
    meta: &RequestMeta,
    id: OrderId,
    (status, note): (Status, Option<&str>),
    version: Option<i32>,
) -> Result<StaffOrderView> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let order = orders::lock_version(&mut tx, id, version).await?;
    if !order.status.settable().any(|allowed| allowed == status) {
        return Err(order.status.refusal(status));
    }
    refuse_held(&order)?;
    let mut work = Work { app, tx: &mut tx, actor, order: &order, now };
    match status {
        Status::Shipped => work.ship_all().await?,
        Status::Delivered => work.deliver_all().await?,
        _ => {}
    }
    let by_parcels = orders::units(work.tx, id).await?.status();
    if let Some(by_parcels) = by_parcels.filter(|by_parcels| *by_parcels != status) {
        let (by_parcels, status) = (by_parcels.as_str(), status.as_str());
        return Err(Error::conflict(format!(
            "By its parcels this order is {by_parcels}, not {status}. Change the parcels."
        )));
    }
    if work.follow(note).await? != status {
        work.move_to((order.status, status), note).await?;
    }
    close(app, tx, (actor, meta), &order, "order.set_status").await
}

/// Lets a locked order follow its parcels after units were taken out of it.
pub(super) async fn follow_units(
    app: &App,
    actor: &Identity,
    tx: &mut PgConnection,
    order: &LockedOrder,
    now: DateTime<Utc>,
) -> Result<()> {
    Work { app, tx, actor, order, now }.follow(None).await.map(drop)
}

/// The end of a change: on record and committed. Gives the order as staff see it.
async fn close(
    app: &App,
    mut tx: Tx,
    (actor, meta): (&Identity, &RequestMeta),
    order: &LockedOrder,
    action: &'static str,
) -> Result<StaffOrderView> {
    let view = orders::staff_detail(&mut tx, order.id, &app.config.public_url()).await?;
    record(&mut tx, actor, meta, order, action, app.clock.now()).await?;
    tx.commit().await?;
    app.waker.wake();
    Ok(view)
}

/// The entry of a change. What is personal, such as a number by which a parcel is found, is left out: it is in the order,
/// where it can be erased.
async fn record(
    tx: &mut PgConnection,
    actor: &Identity,
    meta: &RequestMeta,
    order: &LockedOrder,
    action: &'static str,
    now: DateTime<Utc>,
) -> Result<()> {
    let after = orders::state(tx, order.id).await?;
    let entry = audit::Entry {
        actor: Some(actor),
        action,
        entity: "order",
        entity_id: Some(order.id.to_string()),
        before: Some(json!({"status": order.status, "version": order.version})),
        after: Some(after),
    };
    audit::record(tx, entry, meta, now).await
}

/// Whoever changes something names the state that he has seen.
pub(super) fn stale(thing: &str, version: i32) -> Error {
    Error::Conflict {
        message: format!(
            "Somebody else has changed this {thing} meanwhile. Look at it again, then repeat your change."
        ),
        details: vec![FieldError::new("version", format!("must be the current version, which is {version}"))],
    }
}
