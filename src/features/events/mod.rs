//! Events: what has happened to orders, money and stock, for programs that follow it.
//!
//! Nothing is written for them: the timeline of the orders and the ledger of the stock are the outbox. [`read`] gives what is
//! settled, in an order that does not change; the migration `event_feed` says why it goes by transactions.

mod http;
mod model;
mod store;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;

pub use model::{Event, EventData, ORDER_TOPICS, Position, RETURN_CLOSED, STOCK_CHANGED, Stream, topics};
pub use store::{Feed, head, misplaced, read};

/// The routes under `/api/v1`.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(http::list_events))
}
