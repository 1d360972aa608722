//! Shipping zones as staff keep them.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::model::Zone;
use super::zones_service::{self as service, GivenPlace, ShippingZoneData};
use crate::app::App;
use crate::features::auth::Identity;
use crate::platform::checked::Line;
use crate::platform::error::Result;
use crate::platform::http::envelope::Empty;
use crate::platform::http::json;
use crate::platform::http::keyed::{self, Keyed};
use crate::platform::http::{
    Answer, Body, Envelope, ErrorEnvelope, IdempotencyHeader, PathId, Query, RequestMeta, deleted, ok,
};
use crate::platform::ids::ZoneId;
use crate::platform::place::PlaceCountry;
use crate::platform::text::Text;

/// What staff call a zone.
type ZoneName = Line<1, 80>;

/// All zones.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ShippingZonesData {
    zones: Vec<Zone>,
}

/// A place of a zone.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ShippingPlace {
    /// ISO 3166 code of two letters, or `*`: wherever no other zone is.
    #[schema(value_type = String, example = "NG")]
    country: PlaceCountry,
    /// A state or region; the whole country when left out.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 100)]
    region: Option<Text<1, 100>>,
}

impl From<ShippingPlace> for GivenPlace {
    fn from(place: ShippingPlace) -> Self {
        (place.country, place.region.map(Text::into_string))
    }
}

/// A new zone.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateShippingZone {
    #[schema(value_type = String, min_length = 1, max_length = 80)]
    name: ZoneName,
    /// Each in this zone only.
    #[schema(max_items = 250)]
    places: Vec<ShippingPlace>,
}

/// A change of a zone. Fields that are left out stay as they are.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct UpdateShippingZone {
    /// The version that the change is based on.
    version: i32,
    #[serde(default, deserialize_with = "json::present")]
    #[schema(value_type = String, min_length = 1, max_length = 80)]
    name: Option<ZoneName>,
    /// All its places, in place of those that it has.
    #[serde(default, deserialize_with = "json::present")]
    #[schema(value_type = Vec<ShippingPlace>, max_items = 250)]
    places: Option<Vec<ShippingPlace>>,
}

/// Which state is removed.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct DeleteVersion {
    /// Refused with 409 when it is not the current one. Without it the thing is removed whatever its version is.
    pub(super) version: Option<i32>,
}

fn given(places: Vec<ShippingPlace>) -> Vec<GivenPlace> {
    places.into_iter().map(GivenPlace::from).collect()
}

/// List shipping zones
///
/// By name, with their places and methods; at most 50.
#[utoipa::path(get, path = "/admin/shipping/zones", tag = "Shipping, staff", security(("bearer" = ["manage_rates"])),
    responses(
    (status = 200, body = Envelope<ShippingZonesData>),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
))]
pub(super) async fn list_shipping_zones(State(app): State<App>) -> Answer<ShippingZonesData> {
    Ok(ok(ShippingZonesData { zones: service::list(&app).await? }))
}

/// Create a shipping zone
///
/// Without methods: nothing is carried to its places until it has one. Send an `Idempotency-Key`: a repeated request with the
/// same key and body gets the first answer.
#[utoipa::path(post, path = "/admin/shipping/zones", tag = "Shipping, staff",
    security(("bearer" = ["manage_rates"])),
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 255 characters, kept for 24 hours")),
    request_body = CreateShippingZone, responses(
    (status = 201, body = Envelope<ShippingZoneData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "Its name or a place is another zone's, there are 50, or the same key is still running"),
    (status = 422, body = ErrorEnvelope, description = "The key was used with another body"),
))]
pub(super) async fn create_shipping_zone(
    State(app): State<App>,
    identity: Identity,
    meta: RequestMeta,
    IdempotencyHeader(key): IdempotencyHeader,
    body: Body<CreateShippingZone>,
) -> Result<Keyed> {
    let key = keyed::key(key, identity.user_id, "POST /admin/shipping/zones", "", &body.fingerprint);
    let new = (body.value.name.into_string(), given(body.value.places));
    service::create(&app, &identity, &meta, new, key).await
}

/// Change a shipping zone
#[utoipa::path(patch, path = "/admin/shipping/zones/{zone}", tag = "Shipping, staff",
    security(("bearer" = ["manage_rates"])), params(("zone" = ZoneId, Path)), request_body = UpdateShippingZone, responses(
    (status = 200, body = Envelope<ShippingZoneData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "The version is not the current one, or its name or a place is another zone's"),
))]
pub(super) async fn update_shipping_zone(
    State(app): State<App>,
    identity: Identity,
    PathId(id): PathId<ZoneId>,
    meta: RequestMeta,
    body: Body<UpdateShippingZone>,
) -> Answer<ShippingZoneData> {
    let UpdateShippingZone { version, name, places } = body.value;
    let change = (name.map(Line::into_string), places.map(given));
    let zone = service::update(&app, &identity, &meta, (id, version), change).await?;
    Ok(ok(ShippingZoneData { zone }))
}

/// Remove a shipping zone
///
/// With its methods. Its places are then where the country's zone is, or that of `*`; orders keep what they have.
#[utoipa::path(delete, path = "/admin/shipping/zones/{zone}", tag = "Shipping, staff",
    security(("bearer" = ["manage_rates"])), params(("zone" = ZoneId, Path), DeleteVersion), responses(
    (status = 200, body = Envelope<Empty>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "The version is not the current one"),
))]
pub(super) async fn delete_shipping_zone(
    State(app): State<App>,
    identity: Identity,
    PathId(id): PathId<ZoneId>,
    Query(which): Query<DeleteVersion>,
    meta: RequestMeta,
) -> Answer<Empty> {
    service::delete(&app, &identity, &meta, (id, which.version)).await?;
    Ok(deleted("The shipping zone has been removed."))
}
