//! Taxes as staff keep them.

use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::model::Tax;
use super::service::{self, NewTax, ScheduledData, TaxChange, TaxData};
use crate::app::App;
use crate::features::auth::Identity;
use crate::platform::checked::{Line, Whole};
use crate::platform::error::Result;
use crate::platform::http::envelope::Empty;
use crate::platform::http::json;
use crate::platform::http::keyed::{self, Keyed};
use crate::platform::http::{
    Answer, Body, Envelope, ErrorEnvelope, IdempotencyHeader, PathId, Query, RequestMeta, deleted, ok,
};
use crate::platform::ids::TaxId;
use crate::platform::place::PlaceCountry;
use crate::platform::text::Text;

/// What a tax is called.
type TaxName = Line<1, 60>;

/// Hundredths of a percent, up to a hundred percent.
type Rate = Whole<0, 10_000>;

fn rate(rate: Rate) -> u32 {
    rate.get().unsigned_abs()
}

/// All components.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TaxesData {
    taxes: Vec<Tax>,
}

/// A new component of tax.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct CreateTax {
    /// As orders and invoices show it.
    #[schema(value_type = String, min_length = 1, max_length = 60, example = "VAT")]
    name: TaxName,
    /// ISO 3166 code of two letters, or `*`: every place that has no tax of its own.
    #[schema(value_type = String, example = "NG")]
    country: PlaceCountry,
    /// A state or region; the whole country when left out. What it has comes to what the country has, or, under the same name,
    /// takes its place.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 100)]
    region: Option<Text<1, 100>>,
    /// Hundredths of a percent: 750 is 7.5 %.
    #[schema(value_type = i32, minimum = 0, maximum = 10000, example = 750)]
    rate_basis_points: Rate,
    /// Whether prices have it in them; else it comes on top.
    #[serde(default)]
    included: bool,
    /// Whether it is due on carriage too.
    #[serde(default)]
    applies_to_shipping: bool,
    /// At once when left out.
    effective_from: Option<DateTime<Utc>>,
    /// Not in force any more from then on.
    effective_until: Option<DateTime<Utc>>,
}

/// A change of a component. Fields that are left out stay as they are; the place of a component does not change.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct UpdateTax {
    /// The version that the change is based on.
    version: i32,
    #[serde(default, deserialize_with = "json::present")]
    #[schema(value_type = String, min_length = 1, max_length = 60)]
    name: Option<TaxName>,
    /// Hundredths of a percent.
    #[serde(default, deserialize_with = "json::present")]
    #[schema(value_type = i32, minimum = 0, maximum = 10000)]
    rate_basis_points: Option<Rate>,
    #[serde(default, deserialize_with = "json::present")]
    #[schema(value_type = bool)]
    included: Option<bool>,
    #[serde(default, deserialize_with = "json::present")]
    #[schema(value_type = bool)]
    applies_to_shipping: Option<bool>,
    #[serde(default, deserialize_with = "json::present")]
    #[schema(value_type = DateTime<Utc>)]
    effective_from: Option<DateTime<Utc>>,
    /// `null` opens its end.
    #[serde(default, deserialize_with = "json::present")]
    #[schema(value_type = Option<DateTime<Utc>>)]
    effective_until: Option<Option<DateTime<Utc>>>,
}

/// What becomes of a component at a time. Fields that are left out stay as they are.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct ScheduleTax {
    /// The version that the change is based on.
    version: i32,
    /// When the present one ends and the new one begins.
    effective_from: DateTime<Utc>,
    /// Hundredths of a percent.
    #[schema(value_type = i32, minimum = 0, maximum = 10000)]
    rate_basis_points: Rate,
    #[serde(default, deserialize_with = "json::present")]
    #[schema(value_type = bool)]
    included: Option<bool>,
    #[serde(default, deserialize_with = "json::present")]
    #[schema(value_type = bool)]
    applies_to_shipping: Option<bool>,
}

/// Which state is removed.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct DeleteTax {
    /// Refused with 409 when it is not the current one. Without it the tax is removed whatever its version is.
    version: Option<i32>,
}

/// List taxes
///
/// All components, past and future ones too; at most 500. By country (`*` first), region, name and time.
#[utoipa::path(get, path = "/admin/taxes", tag = "Taxes, staff", security(("bearer" = ["manage_rates"])), responses(
    (status = 200, body = Envelope<TaxesData>),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
))]
pub(super) async fn list_taxes(State(app): State<App>) -> Answer<TaxesData> {
    Ok(ok(TaxesData { taxes: service::list(&app).await? }))
}

/// Create a tax
///
/// A component that orders to its place have while it is in force. Two of the same name in one place are never in force at the
/// same time. Send an `Idempotency-Key`: a repeated request with the same key and body gets the first answer.
#[utoipa::path(post, path = "/admin/taxes", tag = "Taxes, staff", security(("bearer" = ["manage_rates"])),
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 255 characters, kept for 24 hours")),
    request_body = CreateTax, responses(
    (status = 201, body = Envelope<TaxData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "There is one of its name in its place at its time, there are 500, or the same key is still running"),
    (status = 422, body = ErrorEnvelope, description = "The key was used with another body"),
))]
pub(super) async fn create_tax(
    State(app): State<App>,
    identity: Identity,
    meta: RequestMeta,
    IdempotencyHeader(key): IdempotencyHeader,
    body: Body<CreateTax>,
) -> Result<Keyed> {
    let key = keyed::key(key, identity.user_id, "POST /admin/taxes", "", &body.fingerprint);
    let body = body.value;
    let new = NewTax {
        name: body.name.into_string(),
        country: body.country,
        region: body.region.map(Text::into_string),
        rate_basis_points: rate(body.rate_basis_points),
        is_included: body.included,
        on_shipping: body.applies_to_shipping,
        effective_from: body.effective_from,
        effective_until: body.effective_until,
    };
    service::create(&app, &identity, &meta, new, key).await
}

/// Change a tax
///
/// At once, for the orders from now on; those that are placed keep what they have. For a change at a later time see
/// `schedule_tax`.
#[utoipa::path(patch, path = "/admin/taxes/{tax}", tag = "Taxes, staff", security(("bearer" = ["manage_rates"])),
    params(("tax" = TaxId, Path)), request_body = UpdateTax, responses(
    (status = 200, body = Envelope<TaxData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "The version is not the current one, or there is one of its name in its place at its time"),
))]
pub(super) async fn update_tax(
    State(app): State<App>,
    identity: Identity,
    PathId(id): PathId<TaxId>,
    meta: RequestMeta,
    body: Body<UpdateTax>,
) -> Answer<TaxData> {
    let body = body.value;
    let change = TaxChange {
        name: body.name.map(Line::into_string),
        rate_basis_points: body.rate_basis_points.map(rate),
        is_included: body.included,
        on_shipping: body.applies_to_shipping,
        effective_from: body.effective_from,
        effective_until: body.effective_until,
    };
    let tax = service::update(&app, &identity, &meta, (id, body.version), change).await?;
    Ok(ok(TaxData { tax }))
}

/// Schedule another rate of a tax
///
/// Ends the component at a time and begins another of the same name and place then, in one step: no moment has both or neither.
/// Send an `Idempotency-Key`, as for a new tax.
#[utoipa::path(post, path = "/admin/taxes/{tax}/successor", tag = "Taxes, staff",
    security(("bearer" = ["manage_rates"])),
    params(("tax" = TaxId, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "1 to 255 characters, kept for 24 hours")),
    request_body = ScheduleTax, responses(
    (status = 201, body = Envelope<ScheduledData>),
    (status = 400, body = ErrorEnvelope, description = "A field is wrong, or the time is not between the beginning and the end of the present one"),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "The version is not the current one, another one begins meanwhile, there are 500, or the same key is still running"),
    (status = 422, body = ErrorEnvelope, description = "The key was used with another body"),
))]
pub(super) async fn schedule_tax(
    State(app): State<App>,
    identity: Identity,
    PathId(id): PathId<TaxId>,
    meta: RequestMeta,
    IdempotencyHeader(key): IdempotencyHeader,
    body: Body<ScheduleTax>,
) -> Result<Keyed> {
    let route = "POST /admin/taxes/{tax}/successor";
    let key = keyed::key(key, identity.user_id, route, &id.to_string(), &body.fingerprint);
    let body = body.value;
    let change = TaxChange {
        rate_basis_points: Some(rate(body.rate_basis_points)),
        is_included: body.included,
        on_shipping: body.applies_to_shipping,
        effective_from: Some(body.effective_from),
        ..TaxChange::default()
    };
    service::schedule(&app, &identity, &meta, (id, body.version), change, key).await
}

/// Remove a tax
///
/// Orders that have it keep it.
#[utoipa::path(delete, path = "/admin/taxes/{tax}", tag = "Taxes, staff", security(("bearer" = ["manage_rates"])),
    params(("tax" = TaxId, Path), DeleteTax), responses(
    (status = 200, body = Envelope<Empty>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "The version is not the current one"),
))]
pub(super) async fn delete_tax(
    State(app): State<App>,
    identity: Identity,
    PathId(id): PathId<TaxId>,
    Query(which): Query<DeleteTax>,
    meta: RequestMeta,
) -> Answer<Empty> {
    service::delete(&app, &identity, &meta, (id, which.version)).await?;
    Ok(deleted("The tax has been removed."))
}
