//! Payments as staff see them, and their decisions about money that does not fit.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::banks::Bank;
use super::list_query::ListQuery;
use super::model::{PaymentStatus, StaffPayment};
use super::refunds::RefundView;
use super::store::{self, staff};
use crate::app::App;
use crate::features::auth::Identity;
use crate::flows::flagged;
use crate::flows::refund::attention;
use crate::platform::error::{Error, Result};
use crate::platform::http::{Answer, Body, Envelope, ErrorEnvelope, PathId, Query, Reply, RequestMeta, ok};
use crate::platform::ids::PaymentId;
use crate::platform::page::PartQuery;
use crate::platform::text::Text;

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PaymentsData {
    payments: Vec<StaffPayment>,
}

/// A payment with what goes back of it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PaymentData {
    payment: StaffPayment,
    refunds: Vec<RefundView>,
}

/// More of what a list of payments is asked for.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(super) struct DecisionQuery {
    /// `true` for money that does not fit its order and of which nobody has decided.
    undecided: Option<bool>,
}

/// List payments
///
/// The newest first, in pages or with `cursor`. Beyond 10,000, `total` is an estimate and says so. Money that does not fit its
/// order is `flagged`, with its reason.
#[utoipa::path(get, path = "/admin/payments", tag = "Payments, staff", security(("bearer" = ["read_payments"])),
    params(PartQuery, ListQuery, DecisionQuery), responses(
    (status = 200, body = Envelope<PaymentsData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
))]
pub(super) async fn list_payments(
    State(app): State<App>,
    Query(part): Query<PartQuery>,
    Query(query): Query<ListQuery>,
    Query(decision): Query<DecisionQuery>,
) -> Answer<PaymentsData> {
    let mut filter = query.check(&PaymentStatus::ALL.map(PaymentStatus::as_str), None)?;
    filter.undecided = decision.undecided == Some(true);
    let part = part.check(&app.config.lists)?;
    let mut connection = app.db.acquire().await?;
    let total = match part.behind {
        None => Some(staff::total_payments(&mut connection, &filter).await?),
        Some(_) => None,
    };
    part.check_depth(total)?;
    let (payments, next) = staff::list_payments(&mut connection, &filter, part).await?;
    Ok(ok(PaymentsData { payments }).page(part.pagination(total, next)))
}

/// Get a payment
#[utoipa::path(get, path = "/admin/payments/{payment}", tag = "Payments, staff",
    security(("bearer" = ["read_payments"])), params(("payment" = PaymentId, Path)), responses(
    (status = 200, body = Envelope<PaymentData>),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
))]
pub(super) async fn get_payment(State(app): State<App>, PathId(id): PathId<PaymentId>) -> Answer<PaymentData> {
    find(&app, id).await
}

async fn find(app: &App, id: PaymentId) -> Result<Reply<PaymentData>> {
    let mut connection = app.db.acquire().await?;
    let payment = staff::find_payment(&mut connection, id).await?.ok_or(Error::NotFound("The payment"))?;
    let refunds = store::refunds::refunds_of_payment(&mut connection, id).await?;
    Ok(ok(PaymentData { payment, refunds: refunds.into_iter().map(RefundView::from).collect() }))
}

/// Why money is taken for an order that it does not fit.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AcceptPayment {
    /// For the staff only.
    #[schema(value_type = String, min_length = 1, max_length = 1000)]
    note: Text<1, 1000>,
}

/// Take money for its order that does not fit
///
/// The order is paid then, with less or more than its total, and its goods are sold. What is more can be given back as of any
/// paid order. The buyer gets the receipt.
#[utoipa::path(post, path = "/admin/payments/{payment}/accept", tag = "Payments, staff",
    security(("bearer" = ["manage_payments"])), params(("payment" = PaymentId, Path)), request_body = AcceptPayment,
    responses(
    (status = 200, body = Envelope<PaymentData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "It fits, or was decided about, or the order cannot become paid by it"),
))]
pub(super) async fn accept_payment(
    State(app): State<App>,
    identity: Identity,
    meta: RequestMeta,
    PathId(id): PathId<PaymentId>,
    body: Body<AcceptPayment>,
) -> Answer<PaymentData> {
    flagged::accept(&app, &identity, &meta, id, body.value.note.as_str()).await?;
    find(&app, id).await
}

/// Why money goes back.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct GivePaymentBack {
    /// For the staff only.
    #[schema(value_type = Option<String>, max_length = 1000)]
    note: Option<Text<0, 1000>>,
}

/// Give money back that does not fit its order
///
/// All of it. An order that still waits for its payment is given up. The buyer gets a mail.
#[utoipa::path(post, path = "/admin/payments/{payment}/refund", tag = "Payments, staff",
    security(("bearer" = ["manage_payments"])), params(("payment" = PaymentId, Path)), request_body = GivePaymentBack,
    responses(
    (status = 200, body = Envelope<PaymentData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "It fits, or was decided about"),
))]
pub(super) async fn give_payment_back(
    State(app): State<App>,
    identity: Identity,
    meta: RequestMeta,
    PathId(id): PathId<PaymentId>,
    body: Body<GivePaymentBack>,
) -> Answer<PaymentData> {
    let note = body.value.note.map(Text::into_string).filter(|note| !note.is_empty());
    flagged::give_back(&app, &identity, &meta, id, note.as_deref()).await?;
    find(&app, id).await
}

/// For which accounts.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct BankQuery {
    /// Three letters (ISO 4217); that of the shop when left out.
    #[param(example = "NGN")]
    currency: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct BanksData {
    banks: Vec<Bank>,
}

/// List the banks to which a refund can go
///
/// As the payment provider lists them; it has lists for GHS, KES, NGN and ZAR.
#[utoipa::path(get, path = "/admin/payments/banks", tag = "Payments, staff",
    security(("bearer" = ["manage_payments"])), params(BankQuery), responses(
    (status = 200, body = Envelope<BanksData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 503, body = ErrorEnvelope, description = "The provider does not answer"),
))]
pub(super) async fn list_banks(State(app): State<App>, Query(query): Query<BankQuery>) -> Answer<BanksData> {
    let currency = query.currency.unwrap_or_else(|| app.config.store.currency.clone()).to_uppercase();
    if currency.len() != 3 || !currency.bytes().all(|b| b.is_ascii_uppercase()) {
        return Err(Error::field("currency", "must be three letters, such as NGN"));
    }
    Ok(ok(BanksData { banks: attention::banks(&app, &currency).await? }))
}
