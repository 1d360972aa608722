//! Reconciliation: the provider's list of a time, compared with our payments. What differs is a finding, told once however
//! many runs meet it; money that came, or goes back, and that we did not hear of is mended, and nothing else. A run goes on where it
//! ended, step by step: it reads the list, searches for what that does not have, reads the list of refunds too, compares, mends.
//! `flows/reconcile/` does the work.

mod http;
mod model;
mod service;
mod store;
mod view;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;

pub use model::{Difference, Kind, Ours, Step, Theirs, compare};
pub use service::{record_start, totals, view};
pub use store::findings::{Found, Mendable, Sum, drop_hit, end_mending, mendable, note, summary};
pub use store::items::{
    Item, Older, Pair, TheirRefund, Unlisted, count_items, forget_items, insert_items, insert_refunds, older, pairs,
    sums, unlisted,
};
pub use store::runs::{
    NewRun, Run, begin_again, begin_step, count_failure, end, find, insert, note_compared, note_page, note_progress,
    note_refund_page, order_day, running,
};
pub use view::ReconciliationView;

/// The routes under `/api/v1`.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(http::list_reconciliations, http::start_reconciliation))
        .routes(routes!(http::get_reconciliation))
        .routes(routes!(http::get_reconciliation_report))
        .routes(routes!(http::list_reconciliation_findings))
        .routes(routes!(http::resolve_reconciliation_finding))
}
