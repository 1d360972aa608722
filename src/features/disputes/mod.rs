//! Disputes: a buyer, or his bank, wants a payment back. The provider tells of them and is asked how they stand; staff answer them
//! until they are due. `flows/disputes.rs` joins them with orders, payments and the provider.

mod http;
mod model;
mod service;
mod store;
mod view;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;

pub use model::{Answer, State, Status, threshold};
pub use service::{find, record};
pub use store::answers::{begin_answer, end_answer};
pub use store::lost::{Loss, Unbooked, loss_by_number, losses_of, unbooked};
pub use store::{
    Dispute, Known, Terms, claim_look, due_within, erase, export, find_by_number, insert, lock, lock_by_number,
    note_told, open_numbers, update,
};
pub use view::{DisputeView, OrderDispute, of_order};

/// The routes under `/api/v1`.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(http::list_disputes))
        .routes(routes!(http::get_dispute))
        .routes(routes!(http::resolve_dispute))
        .routes(routes!(http::add_dispute_note))
}
