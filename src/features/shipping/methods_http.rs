//! Shipping methods as staff keep them.

use axum::extract::State;
use serde::Deserialize;
use utoipa::ToSchema;

use super::methods_service::{self as service, MethodChange, NewMethod, ShippingMethodData};
use super::model::Tier;
use super::zones_http::DeleteVersion;
use crate::app::App;
use crate::features::auth::Identity;
use crate::platform::checked::{Line, Slug, Whole};
use crate::platform::error::Result;
use crate::platform::http::envelope::Empty;
use crate::platform::http::json;
use crate::platform::http::keyed::{self, Keyed};
use crate::platform::http::{
    Answer, Body, Envelope, ErrorEnvelope, IdempotencyHeader, PathId, PathIds, Query, RequestMeta, deleted, ok,
};
use crate::platform::ids::{MethodId, ZoneId};
use crate::platform::money::Amount;
use crate::platform::text::Text;

/// What shoppers call a method.
type MethodName = Line<1, 80>;

/// Days on the way.
type Days = Whole<0, 365>;

/// A weight from which on something holds: up to a thousand tonnes.
type FromGrams = Whole<0, 1_000_000_000>;

/// The most weight: up to a thousand tonnes.
type MaxGrams = Whole<1, 1_000_000_000>;

/// A place among the methods of a zone.
type Position = Whole<0, 1_000_000>;

/// Where the shopper gets the goods.
type PickupDetails = Text<1, 500>;

/// Another price from a weight or a total on.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct GivenTier {
    /// Goods after discount that cost so much reach it.
    #[serde(default)]
    from_total: Amount,
    /// Goods that weigh so much reach it.
    #[serde(default)]
    #[schema(value_type = i32, minimum = 0, maximum = 1000000000)]
    from_grams: FromGrams,
    price: Amount,
}

impl From<GivenTier> for Tier {
    fn from(tier: GivenTier) -> Self {
        Self { from_total: tier.from_total, from_grams: tier.from_grams.get().into(), price: tier.price }
    }
}

fn tiers(tiers: Vec<GivenTier>) -> Vec<Tier> {
    tiers.into_iter().map(Tier::from).collect()
}

fn grams(most: MaxGrams) -> i64 {
    most.get().into()
}

/// A new method of a zone. Amounts are in the shop's currency.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct CreateShippingMethod {
    /// What orders name it by; once in a zone.
    #[schema(value_type = String, max_length = 120, example = "standard")]
    code: Slug,
    /// For shoppers.
    #[schema(value_type = String, min_length = 1, max_length = 80, example = "Standard (5–7 days)")]
    name: MethodName,
    /// What it costs where no tier says otherwise.
    price: Amount,
    #[serde(default)]
    #[schema(max_items = 50)]
    tiers: Vec<GivenTier>,
    #[schema(value_type = i32, minimum = 0, maximum = 365)]
    min_days: Days,
    #[schema(value_type = i32, minimum = 0, maximum = 365)]
    max_days: Days,
    /// Goods that cost so much after discount travel free. Never when left out.
    free_from: Option<Amount>,
    /// Whether the order may be paid when it arrives.
    #[serde(default)]
    pays_on_delivery: bool,
    /// Whether the shopper comes for it: nothing is carried.
    #[serde(default)]
    is_pickup: bool,
    /// Where and how, for whoever comes.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 500)]
    pickup_details: Option<PickupDetails>,
    /// What is heavier is not carried. No limit when left out.
    #[schema(value_type = Option<i32>, minimum = 1, maximum = 1000000000)]
    max_grams: Option<MaxGrams>,
    /// Whether shoppers are offered it. They are when left out.
    is_active: Option<bool>,
    /// Its place among the methods of the zone; the lowest comes first. The last one when left out.
    #[schema(value_type = Option<i32>, minimum = 0, maximum = 1000000)]
    position: Option<Position>,
}

/// A change of a method. Fields that are left out stay as they are.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct UpdateShippingMethod {
    /// The version that the change is based on.
    version: i32,
    #[serde(default, deserialize_with = "json::present")]
    #[schema(value_type = String, max_length = 120)]
    code: Option<Slug>,
    #[serde(default, deserialize_with = "json::present")]
    #[schema(value_type = String, min_length = 1, max_length = 80)]
    name: Option<MethodName>,
    #[serde(default, deserialize_with = "json::present")]
    #[schema(value_type = Amount)]
    price: Option<Amount>,
    /// All its tiers, in place of those that it has.
    #[serde(default, deserialize_with = "json::present")]
    #[schema(value_type = Vec<GivenTier>, max_items = 50)]
    tiers: Option<Vec<GivenTier>>,
    #[serde(default, deserialize_with = "json::present")]
    #[schema(value_type = i32, minimum = 0, maximum = 365)]
    min_days: Option<Days>,
    #[serde(default, deserialize_with = "json::present")]
    #[schema(value_type = i32, minimum = 0, maximum = 365)]
    max_days: Option<Days>,
    /// `null`: never.
    #[serde(default, deserialize_with = "json::present")]
    #[schema(value_type = Option<Amount>)]
    free_from: Option<Option<Amount>>,
    #[serde(default, deserialize_with = "json::present")]
    #[schema(value_type = bool)]
    pays_on_delivery: Option<bool>,
    #[serde(default, deserialize_with = "json::present")]
    #[schema(value_type = bool)]
    is_pickup: Option<bool>,
    /// `null` takes them away.
    #[serde(default, deserialize_with = "json::present")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 500)]
    pickup_details: Option<Option<PickupDetails>>,
    /// `null`: no limit.
    #[serde(default, deserialize_with = "json::present")]
    #[schema(value_type = Option<i32>, minimum = 1, maximum = 1000000000)]
    max_grams: Option<Option<MaxGrams>>,
    #[serde(default, deserialize_with = "json::present")]
    #[schema(value_type = bool)]
    is_active: Option<bool>,
    #[serde(default, deserialize_with = "json::present")]
    #[schema(value_type = i32, minimum = 0, maximum = 1000000)]
    position: Option<Position>,
}

impl From<CreateShippingMethod> for NewMethod {
    fn from(body: CreateShippingMethod) -> Self {
        let rest = MethodChange {
            tiers: Some(tiers(body.tiers)),
            free_from: Some(body.free_from),
            pays_on_delivery: Some(body.pays_on_delivery),
            is_pickup: Some(body.is_pickup),
            pickup_details: Some(body.pickup_details.map(Text::into_string)),
            max_grams: Some(body.max_grams.map(grams)),
            is_active: body.is_active,
            position: body.position.map(Whole::get),
            ..MethodChange::default()
        };
        Self {
            code: body.code.into_string(),
            name: body.name.into_string(),
            price: body.price,
            min_days: body.min_days.get(),
            max_days: body.max_days.get(),
            rest,
        }
    }
}

impl From<UpdateShippingMethod> for MethodChange {
    fn from(body: UpdateShippingMethod) -> Self {
        Self {
            code: body.code.map(Slug::into_string),
            name: body.name.map(Line::into_string),
            price: body.price,
            tiers: body.tiers.map(tiers),
            min_days: body.min_days.map(Whole::get),
            max_days: body.max_days.map(Whole::get),
            free_from: body.free_from,
            pays_on_delivery: body.pays_on_delivery,
            is_pickup: body.is_pickup,
            pickup_details: body.pickup_details.map(|details| details.map(Text::into_string)),
            max_grams: body.max_grams.map(|most| most.map(grams)),
            is_active: body.is_active,
            position: body.position.map(Whole::get),
        }
    }
}

/// Create a shipping method
///
/// Of the tiers that an order reaches, the one with the greatest weight, then with the greatest total, says the price. Send an
/// `Idempotency-Key`: a repeated request with the same key and body gets the first answer.
#[utoipa::path(post, path = "/admin/shipping/zones/{zone}/methods", tag = "Shipping, staff",
    security(("bearer" = ["manage_rates"])),
    params(("zone" = ZoneId, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "1 to 255 characters, kept for 24 hours")),
    request_body = CreateShippingMethod, responses(
    (status = 201, body = Envelope<ShippingMethodData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "The zone has a method of this code, or twenty, or the same key is still running"),
    (status = 422, body = ErrorEnvelope, description = "The key was used with another body"),
))]
pub(super) async fn create_shipping_method(
    State(app): State<App>,
    identity: Identity,
    PathId(zone): PathId<ZoneId>,
    meta: RequestMeta,
    IdempotencyHeader(key): IdempotencyHeader,
    body: Body<CreateShippingMethod>,
) -> Result<Keyed> {
    let route = "POST /admin/shipping/zones/{zone}/methods";
    let key = keyed::key(key, identity.user_id, route, &zone.to_string(), &body.fingerprint);
    service::create(&app, &identity, &meta, (zone, body.value.into()), key).await
}

/// Change a shipping method
///
/// At once, for the orders from now on.
#[utoipa::path(patch, path = "/admin/shipping/zones/{zone}/methods/{method}", tag = "Shipping, staff",
    security(("bearer" = ["manage_rates"])), params(("zone" = ZoneId, Path), ("method" = MethodId, Path)),
    request_body = UpdateShippingMethod, responses(
    (status = 200, body = Envelope<ShippingMethodData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "The version is not the current one, or another method of the zone has this code"),
))]
pub(super) async fn update_shipping_method(
    State(app): State<App>,
    identity: Identity,
    PathIds(zone, id): PathIds<ZoneId, MethodId>,
    meta: RequestMeta,
    body: Body<UpdateShippingMethod>,
) -> Answer<ShippingMethodData> {
    let version = body.value.version;
    let method = service::update(&app, &identity, &meta, (zone, id, version), body.value.into()).await?;
    Ok(ok(ShippingMethodData { method }))
}

/// Remove a shipping method
///
/// Orders that were shipped by it keep what they have.
#[utoipa::path(delete, path = "/admin/shipping/zones/{zone}/methods/{method}", tag = "Shipping, staff",
    security(("bearer" = ["manage_rates"])),
    params(("zone" = ZoneId, Path), ("method" = MethodId, Path), DeleteVersion), responses(
    (status = 200, body = Envelope<Empty>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "The version is not the current one"),
))]
pub(super) async fn delete_shipping_method(
    State(app): State<App>,
    identity: Identity,
    PathIds(zone, id): PathIds<ZoneId, MethodId>,
    Query(which): Query<DeleteVersion>,
    meta: RequestMeta,
) -> Answer<Empty> {
    service::delete(&app, &identity, &meta, (zone, id, which.version)).await?;
    Ok(deleted("The shipping method has been removed."))
}
