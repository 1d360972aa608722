//! One order with all that belongs to it.

use serde::Serialize;
use serde_json::{Value, json};
use sqlx::PgConnection;
use utoipa::ToSchema;

use super::fulfilment::Carrier;
use super::model::{Order, OrderView};
use super::status::Status;
use super::store::{self, LockedOrder, Which, fulfilments, moves, returns};
use crate::features::disputes::{self, OrderDispute};
use crate::features::payments::{self, OrderPayment};
use crate::platform::config::Config;
use crate::platform::error::{Error, FieldError, Result};
use crate::platform::ids::{OrderId, UserId};

/// An order.
#[derive(Debug, Serialize, ToSchema)]
pub struct OrderData {
    /// With what has become of it.
    pub order: OrderView,
}

/// An order as the staff sees it.
#[derive(Debug, Serialize, ToSchema)]
pub struct StaffOrderData {
    /// With what has become of it.
    pub order: StaffOrderView,
}

/// An order as the staff sees it: as its buyer does, and what is the shop's.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct StaffOrderView {
    #[serde(flatten)]
    order: OrderView,
    /// The buyer's account; none for a guest's.
    customer_id: Option<UserId>,
    /// Whether it is paid and waits until the staff have decided its review.
    on_review: bool,
    /// What staff may set the status to.
    next_statuses: Vec<Status>,
    /// Its payments, and what goes back of each; on a single order only.
    #[serde(skip_serializing_if = "Option::is_none")]
    payments: Option<Vec<OrderPayment>>,
    /// Payments that its buyer, or his bank, wants back; on a single order only.
    #[serde(skip_serializing_if = "Option::is_none")]
    disputes: Option<Vec<OrderDispute>>,
    /// For the next change.
    version: i32,
}

impl StaffOrderView {
    /// `base` is this server's public address.
    pub(super) fn new(order: &Order, base: &str) -> Self {
        Self::of(order, OrderView::new(order, base))
    }

    fn of(order: &Order, view: OrderView) -> Self {
        Self {
            order: view,
            customer_id: order.user_id,
            on_review: order.on_review,
            next_statuses: order
                .status
                .settable()
                .filter(|next| !order.on_review || *next == Status::Cancelled)
                .collect(),
            payments: None,
            disputes: None,
            version: order.version,
        }
    }
}

/// An order as its buyer sees it.
///
/// # Errors
/// `NotFound`, or the database's.
pub async fn detail(c: &mut PgConnection, id: OrderId, base: &str) -> Result<OrderView> {
    let order = find(c, &Which { id: Some(id), limit: 1, ..Which::default() }).await?;
    view(c, &order, base, false).await
}

/// The order of a question, as its buyer sees it, with how he pays it.
pub(super) async fn find_to_be_paid(c: &mut PgConnection, which: &Which<'_>, config: &Config) -> Result<OrderView> {
    let order = find(c, which).await?;
    let view = view(c, &order, &config.public_url(), false).await?;
    Ok(view.paid_by(order.transfer(&config.payments)))
}

/// An order of a person; none asks for that of whoever.
///
/// # Errors
/// `NotFound`, or the database's.
pub async fn find_of(c: &mut PgConnection, id: OrderId, owner: Option<UserId>) -> Result<Order> {
    find(c, &Which { id: Some(id), user_id: owner, limit: 1, ..Which::default() }).await
}

pub(super) async fn find(c: &mut PgConnection, which: &Which<'_>) -> Result<Order> {
    store::list(c, which).await?.pop().ok_or(Error::NotFound("The order"))
}

/// A listed order with what has become of it.
pub(super) async fn view(c: &mut PgConnection, order: &Order, base: &str, for_staff: bool) -> Result<OrderView> {
    let timeline = moves::timeline(c, order.id, for_staff).await?;
    let parcels = fulfilments::parcels(c, order.id).await?;
    let returns = returns::returns(c, order.id).await?;
    let refunds = payments::refunds_of_order(c, order.id).await?;
    Ok(OrderView::new(order, base).with(timeline, parcels, returns, &refunds))
}

/// An order as the staff sees it.
///
/// # Errors
/// `NotFound`, or the database's.
pub async fn staff_detail(c: &mut PgConnection, id: OrderId, base: &str) -> Result<StaffOrderView> {
    let order = store::find(c, id).await?.ok_or(Error::NotFound("The order"))?;
    let view = view(c, &order, base, true).await?;
    let payments = payments::of_order(c, id).await?;
    let disputes = disputes::of_order(c, id).await?;
    Ok(StaffOrderView { payments: Some(payments), disputes: Some(disputes), ..StaffOrderView::of(&order, view) })
}

/// Where an order stands, for the audit log: nothing by which its buyer could be known.
///
/// # Errors
/// `NotFound`, or the database's.
pub async fn state(c: &mut PgConnection, id: OrderId) -> Result<Value> {
    let order = store::find(c, id).await?.ok_or(Error::NotFound("The order"))?;
    let parcels = fulfilments::parcels(c, id).await?;
    let parcels = parcels.iter().map(|parcel| {
        let units: i32 = parcel.items.iter().map(|item| item.quantity).sum();
        let carrier = parcel.carrier.map(Carrier::name);
        json!({"number": parcel.number, "status": parcel.status, "carrier": carrier, "units": units})
    });
    let parcels: Vec<Value> = parcels.collect();
    Ok(json!({"status": order.status, "version": order.version, "parcels": parcels}))
}

/// Locks an order for a change that is based on this version of it; none takes whatever it is.
///
/// # Errors
/// `NotFound`; `Conflict` when it has another version by now.
pub async fn lock_version(c: &mut PgConnection, id: OrderId, version: Option<i32>) -> Result<LockedOrder> {
    let order = store::lock(c, id).await?.ok_or(Error::NotFound("The order"))?;
    match version {
        Some(version) if version != order.version => Err(Error::Conflict {
            message: "Somebody else has changed this order meanwhile. Look at it again, then repeat your change."
                .into(),
            details: vec![FieldError::new(
                "version",
                format!("must be the current version, which is {}", order.version),
            )],
        }),
        _ => Ok(order),
    }
}

/// Under which name the answers to requests about an order are kept, so that they go with its buyer. Who has asked is in their keys.
pub fn caller_about(id: OrderId) -> String {
    format!("order {id}")
}
