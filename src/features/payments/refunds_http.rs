//! Refunds as staff see them, and what they do where one does not go.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::list_query::ListQuery;
use super::refunds::{RefundData, RefundStatus, RefundView};
use super::store::{self, staff};
use crate::app::App;
use crate::features::auth::Identity;
use crate::flows::refund::attention::{self, Account};
use crate::flows::refund::instead::{self, Instead};
use crate::platform::error::{Error, FieldError, Result};
use crate::platform::http::keyed::{self, Keyed};
use crate::platform::http::{Answer, Body, Envelope, ErrorEnvelope, IdempotencyHeader, PathId, Query, RequestMeta, ok};
use crate::platform::ids::RefundId;
use crate::platform::page::PartQuery;
use crate::platform::text::Text;

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RefundsData {
    refunds: Vec<RefundView>,
}

/// More of what a list of refunds is asked for.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(super) struct OriginQuery {
    /// Who asked: `staff`, `system`, `provider`, `manual` or `dispute`.
    origin: Option<String>,
}

/// List refunds
///
/// The newest first, in pages or with `cursor`. Beyond 10,000, `total` is an estimate and says so.
#[utoipa::path(get, path = "/admin/refunds", tag = "Payments, staff", security(("bearer" = ["read_payments"])),
    params(PartQuery, ListQuery, OriginQuery), responses(
    (status = 200, body = Envelope<RefundsData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
))]
pub(super) async fn list_refunds(
    State(app): State<App>,
    Query(part): Query<PartQuery>,
    Query(query): Query<ListQuery>,
    Query(origin): Query<OriginQuery>,
) -> Answer<RefundsData> {
    let filter = query.check(&RefundStatus::ALL.map(RefundStatus::as_str), origin.origin.as_ref())?;
    let part = part.check(&app.config.lists)?;
    let mut connection = app.db.acquire().await?;
    let total = match part.behind {
        None => Some(staff::total_refunds(&mut connection, &filter).await?),
        Some(_) => None,
    };
    part.check_depth(total)?;
    let (refunds, next) = staff::list_refunds(&mut connection, &filter, part).await?;
    let refunds = refunds.into_iter().map(RefundView::from).collect();
    Ok(ok(RefundsData { refunds }).page(part.pagination(total, next)))
}

/// Get a refund
#[utoipa::path(get, path = "/admin/refunds/{refund}", tag = "Payments, staff",
    security(("bearer" = ["read_payments"])), params(("refund" = RefundId, Path)), responses(
    (status = 200, body = Envelope<RefundData>),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
))]
pub(super) async fn get_refund(State(app): State<App>, PathId(id): PathId<RefundId>) -> Answer<RefundData> {
    let found = store::refunds::find_refund(&mut *app.db.acquire().await?, id).await?;
    let refund = found.ok_or(Error::NotFound("The refund"))?;
    Ok(ok(RefundData { refund: refund.into() }))
}

/// Nothing needs to be said.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RetryRefund {}

/// Try a refund again that has failed
///
/// A new refund stands in for it. With an `Idempotency-Key`, a repeated request tries once; without one, the second is refused.
#[utoipa::path(post, path = "/admin/refunds/{refund}/retry", tag = "Payments, staff",
    security(("bearer" = ["manage_payments"])),
    params(("refund" = RefundId, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "1 to 255 characters, kept for 24 hours")),
    request_body = RetryRefund, responses(
    (status = 201, body = Envelope<RefundData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "It has not failed, another one stands in for it, so much is not left, or the same key is still running"),
    (status = 422, body = ErrorEnvelope, description = "The key was used with another body"),
))]
pub(super) async fn retry_refund(
    State(app): State<App>,
    identity: Identity,
    meta: RequestMeta,
    PathId(id): PathId<RefundId>,
    IdempotencyHeader(key): IdempotencyHeader,
    body: Body<RetryRefund>,
) -> Result<Keyed> {
    let route = "POST /admin/refunds/{refund}/retry";
    let key = keyed::key(key, identity.user_id, route, &id.to_string(), &body.fingerprint);
    instead::instead(&app, &identity, &meta, id, Instead::Again, key).await
}

/// How money was given back.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RecordManualRefund {
    /// Such as the day and the number of a bank transfer. For the staff only.
    #[schema(value_type = String, min_length = 1, max_length = 500)]
    note: Text<1, 500>,
}

/// Write down that the money of a failed refund was given back by hand
///
/// A new refund that has gone stands in for it. With an `Idempotency-Key`, a repeated request writes it down once; without one,
/// the second is refused.
#[utoipa::path(post, path = "/admin/refunds/{refund}/manual", tag = "Payments, staff",
    security(("bearer" = ["manage_payments"])),
    params(("refund" = RefundId, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "1 to 255 characters, kept for 24 hours")),
    request_body = RecordManualRefund, responses(
    (status = 201, body = Envelope<RefundData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "It has not failed, another one stands in for it, so much is not left, or the same key is still running"),
    (status = 422, body = ErrorEnvelope, description = "The key was used with another body"),
))]
pub(super) async fn record_manual_refund(
    State(app): State<App>,
    identity: Identity,
    meta: RequestMeta,
    PathId(id): PathId<RefundId>,
    IdempotencyHeader(key): IdempotencyHeader,
    body: Body<RecordManualRefund>,
) -> Result<Keyed> {
    let route = "POST /admin/refunds/{refund}/manual";
    let key = keyed::key(key, identity.user_id, route, &id.to_string(), &body.fingerprint);
    instead::instead(&app, &identity, &meta, id, Instead::ByHand(body.value.note.into_string()), key).await
}

/// A bank account of the buyer.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct NameRefundAccount {
    /// Digits only.
    #[schema(value_type = String, min_length = 6, max_length = 34, example = "0123456789")]
    account_number: Text<6, 34>,
    /// Of the list of banks.
    bank_id: u64,
}

/// Shows no number.
impl std::fmt::Debug for NameRefundAccount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NameRefundAccount").field("bank_id", &self.bank_id).finish_non_exhaustive()
    }
}

/// Name the bank account for a refund that needs attention
///
/// The provider sends the money there. Only the last four digits are kept here.
#[utoipa::path(post, path = "/admin/refunds/{refund}/bank-details", tag = "Payments, staff",
    security(("bearer" = ["manage_payments"])), params(("refund" = RefundId, Path)), request_body = NameRefundAccount,
    responses(
    (status = 200, body = Envelope<RefundData>),
    (status = 400, body = ErrorEnvelope, description = "Wrong, or the provider does not accept the account"),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "It waits for no account, or somebody names one at this moment"),
    (status = 503, body = ErrorEnvelope, description = "The provider does not answer; look at the refund again"),
))]
pub(super) async fn name_refund_account(
    State(app): State<App>,
    identity: Identity,
    meta: RequestMeta,
    PathId(id): PathId<RefundId>,
    body: Body<NameRefundAccount>,
) -> Answer<RefundData> {
    let NameRefundAccount { account_number, bank_id } = body.value;
    let mut faults = Vec::new();
    if !account_number.as_str().bytes().all(|b| b.is_ascii_digit()) {
        faults.push(FieldError::new("accountNumber", "must have digits only"));
    }
    if bank_id == 0 || i64::try_from(bank_id).is_err() {
        faults.push(FieldError::new("bankId", "must be the id of a bank of GET /admin/payments/banks"));
    }
    if !faults.is_empty() {
        return Err(Error::Validation(faults));
    }
    let account = Account { number: account_number.into_string(), bank_id };
    Ok(ok(attention::name_account(&app, &identity, &meta, id, account).await?))
}
