//! Orders: what they are, how they are read, and which moves their status may make. Placing, paying and closing them
//! joins several domains and lives in `crate::flows`.

mod admin_http;
mod detail;
mod fulfilment;
mod fulfilments_http;
mod http;
mod list_http;
mod model;
mod payment_method;
mod payments_http;
mod place_http;
mod refunds_http;
mod returns;
mod returns_http;
mod returns_list_http;
mod staff_service;
mod status;
mod store;

use serde_json::Value;
use sqlx::PgConnection;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::platform::error::{Error, Result};
use crate::platform::ids::{OrderId, UserId};

pub use detail::{
    OrderData, StaffOrderData, StaffOrderView, caller_about, detail, find_of, lock_version, staff_detail, state,
};
pub use fulfilment::{Carrier, Fulfilment, FulfilmentState, ParcelItem, ParcelStatus, Units};
pub use http::{TrackOrder, find_tracked};
pub use model::{Event, Order, OrderItem, OrderTax};
pub use payment_method::{Patience, PaymentMethod, PaymentMethodOffer, TransferInstructions};
pub use returns::{Return, ReturnReason, ReturnStatus};
pub use status::{Actor, MOVES, Status};
pub use store::fulfilments::{
    NewParcel, ParcelChange, arrived_at, change_parcel, follow_parcels, pack, parcels, units, unpack_all,
};
pub use store::moves::{Move, cancelled_by, last_words, move_status, note_paid, record_event, withdrawn_returns};
pub use store::people::{buyers, has_ordered_since, lock_of_person, nothing_left_to_send, pseudonymise, sold_since};
pub use store::returns::{NewReturnItem, move_return, note_restocked, request_return, returns};
pub use store::{LockedOrder, find, hold, is_erased, keep_for_review, lock, lock_of_guest, overdue, release};

/// The orders of a person as the API shows them, with their timelines, for him to take away. At most 10,000.
///
/// # Errors
/// The database's.
pub async fn export(
    c: &mut PgConnection,
    user: UserId,
    guest: Option<&str>,
    base: &str,
) -> Result<Vec<(OrderId, Value)>> {
    let mut all = Vec::new();
    let mine = store::Which { user_id: Some(user), limit: 10_000, ..store::Which::default() };
    let mut orders = store::list(c, &mine).await?;
    if guest.is_some() {
        orders.extend(store::list(c, &store::Which { guest, limit: 10_000, ..store::Which::default() }).await?);
    }
    for order in orders {
        let view = detail::view(c, &order, base, false).await?;
        all.push((order.id, serde_json::to_value(view).map_err(Error::internal)?));
    }
    Ok(all)
}

/// The routes under `/api/v1`.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(http::list_orders, place_http::place_order))
        .routes(routes!(place_http::quote_order))
        .routes(routes!(http::track_order))
        .routes(routes!(http::cancel_tracked_order))
        .routes(routes!(http::get_order))
        .routes(routes!(http::cancel_order))
        .routes(routes!(http::reorder))
        .routes(routes!(returns_http::request_return))
        .routes(routes!(returns_http::withdraw_return))
        .routes(routes!(list_http::list_all_orders))
        .routes(routes!(admin_http::get_any_order))
        .routes(routes!(admin_http::set_order_status))
        .routes(routes!(admin_http::add_order_note))
        .routes(routes!(admin_http::cancel_any_order))
        .routes(routes!(admin_http::resend_order_mail))
        .routes(routes!(payments_http::record_payment))
        .routes(routes!(list_http::export_orders))
        .routes(routes!(fulfilments_http::set_order_tracking))
        .routes(routes!(fulfilments_http::create_fulfilment))
        .routes(routes!(fulfilments_http::update_fulfilment))
        .routes(routes!(returns_list_http::list_returns))
        .routes(routes!(returns_http::create_return))
        .routes(routes!(returns_http::update_return))
        .routes(routes!(refunds_http::list_order_refunds, refunds_http::create_refund))
}
