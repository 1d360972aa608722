//! What staff do to zones. All who change taxes or shipping follow each other, and each change is one transaction.

use serde::Serialize;
use serde_json::{Value, json};
use sqlx::PgConnection;
use utoipa::ToSchema;

use super::model::Zone;
use super::store;
use crate::app::App;
use crate::features::audit;
use crate::features::auth::Identity;
use crate::platform::error::{Error, FieldError, Result, violated_constraint};
use crate::platform::http::RequestMeta;
use crate::platform::http::keyed::{self, Begun, Keyed, Once};
use crate::platform::idempotency;
use crate::platform::ids::ZoneId;
use crate::platform::place::{Place, PlaceCountry};

/// Zones of a shop.
const MAX_ZONES: usize = 50;

/// Places of a zone.
const MAX_PLACES: usize = 250;

/// One zone.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ShippingZoneData {
    pub(super) zone: Zone,
}

/// A place as it was sent.
pub(super) type GivenPlace = (PlaceCountry, Option<String>);

pub(super) async fn list(app: &App) -> Result<Vec<Zone>> {
    Ok(store::zones(&mut *app.db.acquire().await?).await?)
}

/// Creates a zone without methods.
///
/// # Errors
/// `Validation` of its places; `Conflict` when its name or a place is another zone's, or there are too many.
pub(super) async fn create(
    app: &App,
    actor: &Identity,
    meta: &RequestMeta,
    (name, places): (String, Vec<GivenPlace>),
    key: Option<idempotency::Request>,
) -> Result<Keyed> {
    let places = check_places(places)?;
    let mut tx = match keyed::begin(&app.db, key.as_ref(), app.clock.now()).await? {
        Begun::Given(answer) => return Ok(answer),
        Begun::Open(tx) => tx,
    };
    let zone = Zone { id: ZoneId::new(), name, places, methods: Vec::new(), version: 1 };
    let done = create_in(&mut tx, app, (actor, meta), zone).await;
    let answer = tx.end(done).await?;
    app.rates.forget().await;
    Ok(answer)
}

async fn create_in(
    tx: &mut Once<'_>,
    app: &App,
    (actor, meta): (&Identity, &RequestMeta),
    zone: Zone,
) -> Result<Keyed> {
    store::lock(tx).await?;
    let all = store::zones(tx).await?;
    if all.len() >= MAX_ZONES {
        return Err(Error::conflict(format!("A shop has at most {MAX_ZONES} shipping zones. Remove one first.")));
    }
    check_free(&all, &zone)?;
    store::save_zone(tx, &zone).await.map_err(refusal)?;
    let (id, after) = (zone.id.to_string(), json!(zone));
    let answer = tx.answer(201, ShippingZoneData { zone }).await?;
    let deed = Deed { actor, meta, action: "shipping_zone.create", entity: "shipping_zone", id };
    record(tx, app, deed, None, Some(after)).await?;
    Ok(answer)
}

/// Changes name and places of a zone; `None` leaves them as they are.
///
/// # Errors
/// `NotFound`; `Conflict` when the version is not the current one; else as [`create`].
pub(super) async fn update(
    app: &App,
    actor: &Identity,
    meta: &RequestMeta,
    (id, version): (ZoneId, i32),
    (name, places): (Option<String>, Option<Vec<GivenPlace>>),
) -> Result<Zone> {
    let places = places.map(check_places).transpose()?;
    let mut tx = app.db.begin().await?;
    store::lock(&mut tx).await?;
    let all = store::zones(&mut tx).await?;
    let mut zone = find(&all, id)?.clone();
    check_version(version, zone.version)?;
    let before = json!(zone);
    zone.name = name.unwrap_or(zone.name);
    zone.places = places.unwrap_or(zone.places);
    zone.version += 1;
    check_free(&all, &zone)?;
    store::save_zone(&mut tx, &zone).await.map_err(refusal)?;
    let deed = Deed { actor, meta, action: "shipping_zone.update", entity: "shipping_zone", id: id.to_string() };
    record(&mut tx, app, deed, Some(before), Some(json!(zone))).await?;
    tx.commit().await?;
    app.rates.forget().await;
    Ok(zone)
}

/// Removes a zone with its methods. Orders that were shipped by them keep what they have.
///
/// # Errors
/// `NotFound`; `Conflict` when a version is given that is not the current one.
pub(super) async fn delete(
    app: &App,
    actor: &Identity,
    meta: &RequestMeta,
    (id, version): (ZoneId, Option<i32>),
) -> Result<()> {
    let mut tx = app.db.begin().await?;
    store::lock(&mut tx).await?;
    let all = store::zones(&mut tx).await?;
    let zone = find(&all, id)?;
    check_version(version.unwrap_or(zone.version), zone.version)?;
    store::delete_zone(&mut tx, id).await?;
    let deed = Deed { actor, meta, action: "shipping_zone.delete", entity: "shipping_zone", id: id.to_string() };
    record(&mut tx, app, deed, Some(json!(zone)), None).await?;
    tx.commit().await?;
    app.rates.forget().await;
    Ok(())
}

/// Brings places into their proper form.
fn check_places(given: Vec<GivenPlace>) -> Result<Vec<Place>> {
    if given.len() > MAX_PLACES {
        return Err(Error::field("places", format!("must be at most {MAX_PLACES}")));
    }
    let (mut places, mut faults) = (Vec::<Place>::with_capacity(given.len()), Vec::new());
    for (i, (country, region)) in given.into_iter().enumerate() {
        match Place::new(country, region.as_deref()) {
            Err(message) => faults.push(FieldError::new(format!("places[{i}].region"), message)),
            Ok(place) if places.iter().any(|other| other.is(&place)) => {
                faults.push(FieldError::new(format!("places[{i}]"), "is there twice"));
            }
            Ok(place) => places.push(place),
        }
    }
    if faults.is_empty() { Ok(places) } else { Err(Error::Validation(faults)) }
}

/// Whether no place is another zone's. The table refuses it too; here each is told by its place in the request.
fn check_free(all: &[Zone], zone: &Zone) -> Result<()> {
    let mut details = Vec::new();
    for (i, place) in zone.places.iter().enumerate() {
        let owner = all.iter().find(|other| other.id != zone.id && other.places.iter().any(|taken| taken.is(place)));
        if let Some(owner) = owner {
            details.push(FieldError::new(format!("places[{i}]"), format!("is in the zone {} already", owner.name)));
        }
    }
    if details.is_empty() {
        return Ok(());
    }
    let message = "A place is in one zone only. Take it out of the other zone first.".into();
    Err(Error::Conflict { message, details })
}

pub(super) fn find(all: &[Zone], id: ZoneId) -> Result<&Zone> {
    all.iter().find(|zone| zone.id == id).ok_or(Error::NotFound("The shipping zone"))
}

pub(super) fn check_version(given: i32, current: i32) -> Result<()> {
    if given == current {
        return Ok(());
    }
    Err(Error::conflict("Somebody else has changed this meanwhile. Load it again and repeat your change."))
}

fn refusal(error: sqlx::Error) -> Error {
    if violated_constraint(&error) != Some("shipping_zones_name_key") {
        return error.into();
    }
    let message = "Another shipping zone has this name.".into();
    Error::Conflict { message, details: vec![FieldError::new("name", "is another zone's; choose a different one")] }
}

/// Who did what to which zone or method.
pub(super) struct Deed<'a> {
    pub actor: &'a Identity,
    pub meta: &'a RequestMeta,
    pub action: &'static str,
    pub entity: &'static str,
    pub id: String,
}

pub(super) async fn record(
    tx: &mut PgConnection,
    app: &App,
    deed: Deed<'_>,
    before: Option<Value>,
    after: Option<Value>,
) -> Result<()> {
    let Deed { actor, meta, action, entity, id } = deed;
    let entry = audit::Entry { actor: Some(actor), action, entity, entity_id: Some(id), before, after };
    audit::record(tx, entry, meta, app.clock.now()).await
}
