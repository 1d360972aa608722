//! Orders: what they are, how they are read, and which moves their status may make. Placing, paying and closing them
//! joins several domains and lives in `crate::flows`.

mod http;
mod model;
mod store;

use serde_json::Value;
use sqlx::PgConnection;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::platform::error::{Error, Result};
use crate::platform::ids::{OrderId, UserId};

pub use model::{Event, Order, OrderItem, Patience, PaymentMethod, ShippingMethod, Status};
pub use store::{
    LockedOrder, Move, buyers, find, has_ordered_since, is_erased, keep_for_review, lock, lock_of_person, move_status,
    overdue, pseudonymise, record_event, sold_since,
};

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
        let timeline = store::timeline(c, order.id).await?;
        let view = model::OrderView::new(&order, base).with_timeline(timeline);
        all.push((order.id, serde_json::to_value(view).map_err(Error::internal)?));
    }
    Ok(all)
}

/// The routes under `/api/v1`.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(http::list_orders, http::place_order))
        .routes(routes!(http::track_order))
        .routes(routes!(http::get_order))
        .routes(routes!(http::cancel_order))
}
