//! Payments: attempts to pay an order, and what the provider says about them. Starting one and settling one join
//! several domains and live in `crate::flows`.

mod banks;
mod http;
mod list_query;
mod model;
mod pages;
mod payments_http;
mod refunds;
mod refunds_http;
mod reviews_http;
mod risk;
mod store;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;

pub use banks::{Bank, BankCache};
pub use model::{Decision, HandChannel, OrderPayment, Payment, PaymentStatus, Proof, Provider};
pub use refunds::{
    BuyerRefund, REFUND_MOVES, Refund, RefundData, RefundItem, RefundOrigin, RefundStatus, RefundView, merchant_note,
    noted,
};
pub use risk::{Facts, Finding, Rule, Subject, findings, score};
pub use store::disputed::{know_dispute, taken_by_dispute};
pub use store::looks::{Look, await_again, claim_looks, end_looks, is_awaited, put_off_looks};
pub use store::outcome::{abandon_open, decide, fail, flag, succeed};
pub use store::people::{erase_answers, export};
pub use store::refunds::{
    NewRefund, RefundNews, find_refund, insert_refund, insert_refund_items, move_refund, processed_minor,
    refunded_units, refunds_of_order, refunds_of_payment, request_refunds,
};
pub use store::reviews::{
    Looked, Review, ReviewDecision, ReviewStatus, decide_review, facts, find_review, forget_payers, keep_review,
    lock_payer, reviews,
};
pub use store::sending::{
    begin_sending, claim_refund, let_go, name_account, note_look, refund_faults, stranded_refunds, unanswered_refunds,
};
pub use store::{
    NewPayment, create, find_by_order_open, find_by_reference, find_successful, has_success, lock, of_order, open,
    order_of_received, unsettled_of,
};

/// The routes under `/api/v1`.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(http::initialize_payment))
        .routes(routes!(http::verify_payment))
        .routes(routes!(payments_http::list_payments))
        .routes(routes!(payments_http::get_payment))
        .routes(routes!(payments_http::accept_payment))
        .routes(routes!(payments_http::give_payment_back))
        .routes(routes!(payments_http::list_banks))
        .routes(routes!(refunds_http::list_refunds))
        .routes(routes!(refunds_http::get_refund))
        .routes(routes!(refunds_http::retry_refund))
        .routes(routes!(refunds_http::name_refund_account))
        .routes(routes!(refunds_http::record_manual_refund))
        .routes(routes!(reviews_http::list_reviews))
        .routes(routes!(reviews_http::approve_review))
        .routes(routes!(reviews_http::reject_review))
}

/// The page to which the provider sends the shopper back.
pub fn pages() -> axum::Router<App> {
    pages::routes()
}
