//! The page to which the provider sends the shopper back. A visit proves nothing: the provider is asked.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::{Deserialize, Serialize};

use super::model::{Decision, PaymentStatus};
use super::store;
use crate::app::App;
use crate::flows::settle::{self, Outcome};
use crate::platform::error::{Error, Result};
use crate::platform::http::Query;
use crate::platform::http::pages;

#[derive(Debug, Deserialize)]
struct Callback {
    #[serde(default)]
    reference: String,
}

#[derive(Debug, Serialize)]
struct ResultPage {
    state: &'static str,
    order_number: String,
    amount_minor: i64,
    currency: String,
    pay_link: Option<String>,
}

#[derive(Debug, Serialize)]
struct MessagePage {
    title: &'static str,
    text: &'static str,
}

pub(super) fn routes() -> Router<App> {
    Router::new().route("/payments/callback", get(callback))
}

async fn callback(State(app): State<App>, Query(query): Query<Callback>) -> Result<Response> {
    let found = store::find_by_reference(&mut *app.db.acquire().await?, &query.reference).await?;
    let Some(payment) = found.filter(|payment| payment.reference == query.reference) else {
        let page = MessagePage {
            title: "We do not know this payment",
            text: "The link is not complete, or it belongs to another shop. If money has left your account, write to us.",
        };
        let response = pages::respond(&app.config, "message.html", &page)?;
        return Ok((StatusCode::NOT_FOUND, response).into_response());
    };
    let (payment, outcome) = match settle::verify(&app, payment.clone()).await {
        Ok(verified) => verified,
        // The webhook will tell; the shopper is not to worry.
        Err(Error::External { .. }) => (payment, Outcome::Pending),
        Err(error) => return Err(error),
    };
    let state = match payment.status {
        PaymentStatus::Success => "paid",
        PaymentStatus::Flagged if payment.decision == Some(Decision::Refund) => "returned",
        PaymentStatus::Flagged => "review",
        // The order is closed or has another attempt, so there is nothing to come back to.
        PaymentStatus::Abandoned => "closed",
        PaymentStatus::Failed => "failed",
        PaymentStatus::Created | PaymentStatus::Open if outcome == Outcome::Left => "left",
        PaymentStatus::Created | PaymentStatus::Open => "pending",
    };
    let page = ResultPage {
        state,
        order_number: payment.order_number,
        amount_minor: payment.amount_minor,
        currency: payment.currency,
        pay_link: payment.authorization_url.filter(|_| matches!(state, "failed" | "left")),
    };
    pages::respond(&app.config, "payment_result.html", &page)
}
