//! The endpoints of payments.

use axum::extract::State;
use axum::http::HeaderValue;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::model::{Decision, Payment, PaymentStatus};
use super::store;
use crate::app::App;
use crate::features::auth::Caller;
use crate::flows::start_payment::{Payer, Started};
use crate::flows::{settle, start_payment};
use crate::platform::config::TransferAccount;
use crate::platform::error::{Error, Result};
use crate::platform::http::{Answer, Body, Envelope, ErrorEnvelope, IdempotencyHeader, PathName, RequestMeta, ok};
use crate::platform::idempotency;
use crate::platform::ids::{OrderId, PaymentId};
use crate::platform::money::Amount;
use crate::platform::text::Email;

/// An order to pay. The amount is the order's; an amount in the request is refused.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct InitializePayment {
    order_id: OrderId,
    /// A guest proves with it that the order is his.
    email: Option<Email>,
}

/// Where to pay.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct StartedPayment {
    /// `null` of an order that is paid by a transfer to the shop's account, which the provider does not see.
    payment_id: Option<PaymentId>,
    /// Send the shopper here.
    authorization_url: Option<String>,
    /// For Paystack's popup.
    access_code: Option<String>,
    /// Of the attempt, or to be written on the transfer.
    reference: String,
    amount: Amount,
    currency: String,
    /// Accounts of the shop, to one of which the money is transferred; none of an order that is paid on the provider's page.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    accounts: Vec<TransferAccount>,
}

impl From<Started> for StartedPayment {
    fn from(started: Started) -> Self {
        match started {
            Started::Page(payment) => Self {
                payment_id: Some(payment.id),
                authorization_url: payment.authorization_url,
                access_code: payment.access_code,
                reference: payment.reference,
                amount: Amount(payment.amount_minor),
                currency: payment.currency,
                accounts: Vec::new(),
            },
            Started::Transfer(transfer) => Self {
                payment_id: None,
                authorization_url: None,
                access_code: None,
                reference: transfer.reference,
                amount: transfer.amount,
                currency: transfer.currency,
                accounts: transfer.accounts,
            },
        }
    }
}

/// Whether the money is here.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    /// Yes.
    Success,
    /// The provider refused it, and another attempt may follow; or the order has no use for it any more, and it goes back.
    Failed,
    /// Not yet, or the shop has to look at it.
    Pending,
}

impl From<&Payment> for Verdict {
    fn from(payment: &Payment) -> Self {
        match payment.status {
            PaymentStatus::Success => Self::Success,
            PaymentStatus::Failed | PaymentStatus::Abandoned => Self::Failed,
            // It came and goes back.
            PaymentStatus::Flagged if payment.decision == Some(Decision::Refund) => Self::Failed,
            PaymentStatus::Created | PaymentStatus::Open | PaymentStatus::Flagged => Self::Pending,
        }
    }
}

/// A payment after a look at the provider.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct VerifiedPayment {
    payment_id: PaymentId,
    status: Verdict,
    amount: Amount,
    currency: String,
    reference: String,
    order_id: OrderId,
    order_number: String,
}

/// Pay an order
///
/// Gives the provider's page. An attempt that can still be paid is given again. Of an order that is paid by a transfer to an
/// account of the shop it gives the accounts. Send an `Idempotency-Key`: a repeated request with the same key and body gets the same
/// attempt, also when it is paid or has failed by now; another attempt needs another key.
#[utoipa::path(post, path = "/payments/initialize", tag = "Payments", security((), ("bearer" = [])),
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 255 characters, kept for 24 hours")),
    request_body = InitializePayment, responses(
    (status = 200, body = Envelope<StartedPayment>),
    (status = 400, body = ErrorEnvelope),
    (status = 402, body = ErrorEnvelope, description = "The provider refuses the payment"),
    (status = 404, body = ErrorEnvelope, description = "Unknown, or another person's"),
    (status = 409, body = ErrorEnvelope, description = "The order is paid, closed, or paid on delivery, its goods are sold out by now, or the same key is still running"),
    (status = 422, body = ErrorEnvelope, description = "The key was used with another body"),
    (status = 503, body = ErrorEnvelope, description = "The provider does not answer"),
))]
pub(super) async fn initialize_payment(
    State(app): State<App>,
    caller: Caller,
    meta: RequestMeta,
    IdempotencyHeader(key): IdempotencyHeader,
    body: Body<InitializePayment>,
) -> Result<Response> {
    let InitializePayment { order_id, email } = body.value;
    let (user, email) = (caller.map(|c| c.user_id), email.as_ref().map(Email::as_str));
    let key = key.map(|key| idempotency::Request {
        // As of orders.
        caller: user.map_or_else(|| format!("guest {}", email.unwrap_or_default()), |id| id.to_string()),
        route: "POST /payments/initialize",
        key,
        fingerprint: body.fingerprint,
    });
    let payer = Payer { user, email, ip: meta.ip.as_deref(), key: key.as_ref() };
    let answer = start_payment::start(&app, order_id, payer).await?;
    let mut response = ok(StartedPayment::from(answer.started)).into_response();
    if answer.replayed {
        response.headers_mut().insert("idempotency-replayed", HeaderValue::from_static("true"));
    }
    Ok(response)
}

/// Ask whether a payment has arrived
///
/// Asks the provider and settles the order by its answer. A guest's payment is found by its reference alone.
#[utoipa::path(post, path = "/payments/{payment}/verify", tag = "Payments", security((), ("bearer" = [])),
    params(("payment" = String, Path, description = "The payment's id or reference")), responses(
    (status = 200, body = Envelope<VerifiedPayment>),
    (status = 404, body = ErrorEnvelope, description = "Unknown, or another person's"),
    (status = 503, body = ErrorEnvelope, description = "The provider does not answer"),
))]
pub(super) async fn verify_payment(
    State(app): State<App>,
    caller: Caller,
    PathName(name): PathName,
) -> Answer<VerifiedPayment> {
    let missing = || Error::NotFound("The payment");
    let payment = store::find_by_reference(&mut *app.db.acquire().await?, &name).await?.ok_or_else(missing)?;
    if payment.user_id.is_some() && payment.user_id != caller.map(|c| c.user_id) {
        return Err(missing());
    }
    let payment = settle::verify(&app, payment).await?.0;
    let status = Verdict::from(&payment);
    let Payment { id, amount_minor, currency, reference, order_id, order_number, .. } = payment;
    Ok(ok(VerifiedPayment {
        payment_id: id,
        status,
        amount: Amount(amount_minor),
        currency,
        reference,
        order_id,
        order_number,
    }))
}
