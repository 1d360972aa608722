//! Coupons as staff keep them.

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use super::input::{CreateCoupon, CreateCoupons, UpdateCoupon};
use super::model::Status;
use super::service;
use super::store::staff::Filter;
use super::view::{CodesData, CouponData, CouponView, CouponsData, UseView, UsesData, WholeCouponView};
use crate::app::App;
use crate::features::auth::Identity;
use crate::platform::error::{Error, Result};
use crate::platform::http::envelope::Empty;
use crate::platform::http::keyed::{self, Keyed};
use crate::platform::http::{
    Answer, Body, Envelope, ErrorEnvelope, IdempotencyHeader, PathId, Query, RequestMeta, deleted, ok,
};
use crate::platform::ids::CouponId;
use crate::platform::page::PartQuery;

/// Which coupons. Empty values do not filter.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(super) struct ListCoupons {
    /// active, scheduled, expired, used_up, inactive or archived; all but the archived ones when left out.
    status: Option<String>,
    /// The beginning of the code, in any case.
    #[param(max_length = 40)]
    search: Option<String>,
}

/// The version that a removal is based on.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct DeleteCoupon {
    /// Refused with 409 when it is not the current one. Without it the coupon is removed whatever its version is.
    version: Option<i32>,
}

/// List coupons
///
/// The newest first, in pages or with `cursor`. More than 10,000 are not counted: then `totalIsEstimate` is true, and pages end there.
#[utoipa::path(get, path = "/admin/coupons", tag = "Coupons, staff", security(("bearer" = ["manage_coupons"])),
    params(PartQuery, ListCoupons), responses(
    (status = 200, body = Envelope<CouponsData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
))]
pub(super) async fn list_coupons(
    State(app): State<App>,
    Query(part): Query<PartQuery>,
    Query(which): Query<ListCoupons>,
) -> Answer<CouponsData> {
    fn some(text: Option<&String>) -> Option<&str> {
        text.map(|text| text.trim()).filter(|text| !text.is_empty())
    }
    let part = part.check(&app.config.lists)?;
    let status = some(which.status.as_ref()).map(str::parse::<Status>).transpose();
    let status = status.map_err(|message| Error::field("status", message))?;
    let code = some(which.search.as_ref()).map(str::to_ascii_uppercase);
    if code.as_ref().is_some_and(|code| code.chars().count() > 40) {
        return Err(Error::field("search", "must have at most 40 characters"));
    }
    let now = app.clock.now();
    let filter = Filter { status, code: code.as_deref(), now };
    let (rows, pagination) = service::list(&app, &filter, part).await?;
    let coupons = rows.into_iter().map(|row| CouponView::new(row, now)).collect();
    Ok(ok(CouponsData { coupons }).page(pagination))
}

/// Create a coupon
///
/// Send an `Idempotency-Key`: a repeated request with the same key and body gets the first answer, and no second coupon.
#[utoipa::path(post, path = "/admin/coupons", tag = "Coupons, staff", security(("bearer" = ["manage_coupons"])),
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 255 characters, kept for 24 hours")),
    request_body = CreateCoupon, responses(
    (status = 201, body = Envelope<CouponData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "The code is taken, or the same key is still running"),
    (status = 422, body = ErrorEnvelope, description = "The key was used with another body"),
))]
pub(super) async fn create_coupon(
    State(app): State<App>,
    identity: Identity,
    meta: RequestMeta,
    IdempotencyHeader(key): IdempotencyHeader,
    body: Body<CreateCoupon>,
) -> Result<Keyed> {
    let key = keyed::key(key, identity.user_id, "POST /admin/coupons", "", &body.fingerprint);
    service::create(&app, &identity, &meta, body.value, key).await
}

/// Create many coupons
///
/// Up to 1,000 that differ in their codes only, which are random behind the prefix; each for one order, unless `usageLimit` says more. All
/// or none. Send an `Idempotency-Key`: a repeated request with the same key and body gets the same codes.
#[utoipa::path(post, path = "/admin/coupons/batch", tag = "Coupons, staff", security(("bearer" = ["manage_coupons"])),
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 255 characters, kept for 24 hours")),
    request_body = CreateCoupons, responses(
    (status = 201, body = Envelope<CodesData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "The prefix has no codes left, or the same key is still running"),
    (status = 422, body = ErrorEnvelope, description = "The key was used with another body"),
))]
pub(super) async fn create_coupons(
    State(app): State<App>,
    identity: Identity,
    meta: RequestMeta,
    IdempotencyHeader(key): IdempotencyHeader,
    body: Body<CreateCoupons>,
) -> Result<Keyed> {
    let key = keyed::key(key, identity.user_id, "POST /admin/coupons/batch", "", &body.fingerprint);
    service::create_many(&app, &identity, &meta, body.value, key).await
}

/// Get a coupon
///
/// Archived ones too.
#[utoipa::path(get, path = "/admin/coupons/{coupon}", tag = "Coupons, staff",
    security(("bearer" = ["manage_coupons"])), params(("coupon" = CouponId, Path)), responses(
    (status = 200, body = Envelope<CouponData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
))]
pub(super) async fn get_coupon(State(app): State<App>, PathId(id): PathId<CouponId>) -> Answer<CouponData> {
    let coupon = service::load(&mut *app.db.acquire().await?, id).await?;
    Ok(ok(CouponData { coupon: WholeCouponView::new(coupon, app.clock.now()) }))
}

/// Change a coupon
///
/// Orders that use it keep what it took off.
#[utoipa::path(patch, path = "/admin/coupons/{coupon}", tag = "Coupons, staff",
    security(("bearer" = ["manage_coupons"])), params(("coupon" = CouponId, Path)), request_body = UpdateCoupon,
    responses(
    (status = 200, body = Envelope<CouponData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope, description = "There is none, or it is archived"),
    (status = 409, body = ErrorEnvelope, description = "The version is not the current one, or the code is taken"),
))]
pub(super) async fn update_coupon(
    State(app): State<App>,
    identity: Identity,
    PathId(id): PathId<CouponId>,
    meta: RequestMeta,
    body: Body<UpdateCoupon>,
) -> Answer<CouponData> {
    let coupon = service::update(&app, &identity, &meta, id, body.value).await?;
    Ok(ok(CouponData { coupon }))
}

/// Remove a coupon
///
/// One that an order has used, even if it was given up, is archived: it works no more, and its uses can still be read. Its code can
/// be given to a new one.
#[utoipa::path(delete, path = "/admin/coupons/{coupon}", tag = "Coupons, staff",
    security(("bearer" = ["manage_coupons"])), params(("coupon" = CouponId, Path), DeleteCoupon), responses(
    (status = 200, body = Envelope<Empty>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope, description = "There is none, or it is archived already"),
    (status = 409, body = ErrorEnvelope, description = "The version is not the current one"),
))]
pub(super) async fn delete_coupon(
    State(app): State<App>,
    identity: Identity,
    PathId(id): PathId<CouponId>,
    Query(which): Query<DeleteCoupon>,
    meta: RequestMeta,
) -> Answer<Empty> {
    let is_archived = service::remove(&app, &identity, &meta, id, which.version).await?;
    Ok(deleted(if is_archived { "The coupon has been archived." } else { "The coupon has been removed." }))
}

/// List the uses of a coupon
///
/// Of the newest orders first, in pages or with `cursor`; those that were returned say when.
#[utoipa::path(get, path = "/admin/coupons/{coupon}/redemptions", tag = "Coupons, staff",
    security(("bearer" = ["manage_coupons"])), params(("coupon" = CouponId, Path), PartQuery), responses(
    (status = 200, body = Envelope<UsesData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
))]
pub(super) async fn list_coupon_redemptions(
    State(app): State<App>,
    PathId(id): PathId<CouponId>,
    Query(part): Query<PartQuery>,
) -> Answer<UsesData> {
    let (rows, pagination) = service::uses(&app, id, part.check(&app.config.lists)?).await?;
    Ok(ok(UsesData { redemptions: rows.into_iter().map(UseView::from).collect() }).page(pagination))
}
