//! The endpoints of payments.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::model::{Payment, PaymentStatus};
use super::store;
use crate::app::App;
use crate::features::auth::Caller;
use crate::flows::{settle, start_payment};
use crate::platform::error::Error;
use crate::platform::http::{Answer, Body, Envelope, ErrorEnvelope, PathName, ok};
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
    payment_id: PaymentId,
    /// Send the shopper here.
    authorization_url: Option<String>,
    /// For Paystack's popup.
    access_code: Option<String>,
    reference: String,
    amount: Amount,
    currency: String,
}

/// Whether the money is here.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    /// Yes.
    Success,
    /// The provider refused it; another attempt may follow.
    Failed,
    /// Not yet, or the shop has to look at it.
    Pending,
}

impl From<PaymentStatus> for Verdict {
    fn from(status: PaymentStatus) -> Self {
        match status {
            PaymentStatus::Success => Self::Success,
            PaymentStatus::Failed | PaymentStatus::Abandoned => Self::Failed,
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
/// Gives the provider's page. An attempt that can still be paid is given again.
#[utoipa::path(post, path = "/payments/initialize", tag = "Payments", security((), ("bearer" = [])),
    request_body = InitializePayment, responses(
    (status = 200, body = Envelope<StartedPayment>),
    (status = 400, body = ErrorEnvelope),
    (status = 402, body = ErrorEnvelope, description = "The provider refuses the payment"),
    (status = 404, body = ErrorEnvelope, description = "Unknown, or another person's"),
    (status = 409, body = ErrorEnvelope, description = "The order is paid or closed, or its goods are sold out by now"),
    (status = 503, body = ErrorEnvelope, description = "The provider does not answer"),
))]
pub(super) async fn initialize_payment(
    State(app): State<App>,
    caller: Caller,
    body: Body<InitializePayment>,
) -> Answer<StartedPayment> {
    let InitializePayment { order_id, email } = body.value;
    let payment =
        start_payment::start(&app, order_id, caller.map(|c| c.user_id), email.as_ref().map(Email::as_str)).await?;
    Ok(ok(StartedPayment {
        payment_id: payment.id,
        authorization_url: payment.authorization_url,
        access_code: payment.access_code,
        reference: payment.reference,
        amount: Amount(payment.amount_minor),
        currency: payment.currency,
    }))
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
    let Payment { id, status, amount_minor, currency, reference, order_id, order_number, .. } =
        settle::verify(&app, payment).await?.0;
    Ok(ok(VerifiedPayment {
        payment_id: id,
        status: status.into(),
        amount: Amount(amount_minor),
        currency,
        reference,
        order_id,
        order_number,
    }))
}
