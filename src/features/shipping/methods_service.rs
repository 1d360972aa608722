//! What staff do to the methods of a zone, as they do to zones.

use std::collections::HashSet;

use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::model::{Method, Tier, Zone};
use super::store;
use super::zones_service::{Deed, check_version, find, record};
use crate::app::App;
use crate::features::auth::Identity;
use crate::platform::error::{Error, FieldError, Result, violated_constraint};
use crate::platform::http::RequestMeta;
use crate::platform::http::keyed::{self, Begun, Keyed, Once};
use crate::platform::idempotency;
use crate::platform::ids::{MethodId, ZoneId};
use crate::platform::money::Amount;

/// Methods of a zone.
const MAX_METHODS: usize = 20;

/// Tiers of a method.
const MAX_TIERS: usize = 50;

/// One method.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ShippingMethodData {
    pub(super) method: Method,
}

/// What every method must be told to have.
#[derive(Debug)]
pub(super) struct NewMethod {
    pub code: String,
    pub name: String,
    pub price: Amount,
    pub min_days: i32,
    pub max_days: i32,
    pub rest: MethodChange,
}

/// Fields to set; `None` leaves one as it is, or at its default.
#[derive(Debug, Default)]
pub(super) struct MethodChange {
    pub code: Option<String>,
    pub name: Option<String>,
    pub price: Option<Amount>,
    pub tiers: Option<Vec<Tier>>,
    pub min_days: Option<i32>,
    pub max_days: Option<i32>,
    pub free_from: Option<Option<Amount>>,
    pub pays_on_delivery: Option<bool>,
    pub is_pickup: Option<bool>,
    pub pickup_details: Option<Option<String>>,
    pub max_grams: Option<Option<i64>>,
    pub is_active: Option<bool>,
    pub position: Option<i32>,
}

impl NewMethod {
    /// The method, behind all others unless it says where.
    fn into_method(self, others: &[Method]) -> Method {
        let mut method = Method {
            id: MethodId::new(),
            code: self.code,
            name: self.name,
            price: self.price,
            tiers: Vec::new(),
            min_days: self.min_days,
            max_days: self.max_days,
            free_from: None,
            pays_on_delivery: false,
            is_pickup: false,
            pickup_details: None,
            max_grams: None,
            is_active: true,
            position: others.iter().map(|other| other.position + 1).max().unwrap_or(0),
            version: 1,
        };
        self.rest.apply(&mut method);
        method
    }
}

impl MethodChange {
    fn apply(self, method: &mut Method) {
        fn set<T>(field: &mut T, value: Option<T>) {
            if let Some(value) = value {
                *field = value;
            }
        }
        set(&mut method.code, self.code);
        set(&mut method.name, self.name);
        set(&mut method.price, self.price);
        set(&mut method.tiers, self.tiers);
        set(&mut method.min_days, self.min_days);
        set(&mut method.max_days, self.max_days);
        set(&mut method.free_from, self.free_from);
        set(&mut method.pays_on_delivery, self.pays_on_delivery);
        set(&mut method.is_pickup, self.is_pickup);
        set(&mut method.pickup_details, self.pickup_details);
        set(&mut method.max_grams, self.max_grams);
        set(&mut method.is_active, self.is_active);
        set(&mut method.position, self.position);
    }
}

/// Creates a method.
///
/// # Errors
/// `NotFound` of the zone; `Validation`; `Conflict` when another method of the zone has its code, or there are too many.
pub(super) async fn create(
    app: &App,
    actor: &Identity,
    meta: &RequestMeta,
    (zone, new): (ZoneId, NewMethod),
    key: Option<idempotency::Request>,
) -> Result<Keyed> {
    let mut tx = match keyed::begin(&app.db, key.as_ref(), app.clock.now()).await? {
        Begun::Given(answer) => return Ok(answer),
        Begun::Open(tx) => tx,
    };
    let done = create_in(&mut tx, app, (actor, meta), (zone, new)).await;
    let answer = tx.end(done).await?;
    app.rates.forget().await;
    Ok(answer)
}

async fn create_in(
    tx: &mut Once<'_>,
    app: &App,
    (actor, meta): (&Identity, &RequestMeta),
    (zone_id, new): (ZoneId, NewMethod),
) -> Result<Keyed> {
    store::lock(tx).await?;
    let all = store::zones(tx).await?;
    let zone = find(&all, zone_id)?;
    if zone.methods.len() >= MAX_METHODS {
        return Err(Error::conflict(format!("A zone has at most {MAX_METHODS} methods. Remove one first.")));
    }
    let mut method = new.into_method(&zone.methods);
    check(&mut method)?;
    store::save_method(tx, zone_id, &method).await.map_err(refusal)?;
    let (id, after) = (method.id.to_string(), json!({"zoneId": zone_id, "method": method}));
    let answer = tx.answer(201, ShippingMethodData { method }).await?;
    let deed = Deed { actor, meta, action: "shipping_method.create", entity: "shipping_method", id };
    record(tx, app, deed, None, Some(after)).await?;
    Ok(answer)
}

/// Changes a method, for all orders from now on.
///
/// # Errors
/// `NotFound`; `Conflict` when the version is not the current one; else as [`create`].
pub(super) async fn update(
    app: &App,
    actor: &Identity,
    meta: &RequestMeta,
    (zone, id, version): (ZoneId, MethodId, i32),
    change: MethodChange,
) -> Result<Method> {
    let mut tx = app.db.begin().await?;
    store::lock(&mut tx).await?;
    let mut method = find_method(&store::zones(&mut tx).await?, zone, id)?.clone();
    check_version(version, method.version)?;
    let before = json!({"zoneId": zone, "method": method});
    change.apply(&mut method);
    method.version += 1;
    check(&mut method)?;
    store::save_method(&mut tx, zone, &method).await.map_err(refusal)?;
    let (action, entity) = ("shipping_method.update", "shipping_method");
    let deed = Deed { actor, meta, action, entity, id: id.to_string() };
    record(&mut tx, app, deed, Some(before), Some(json!({"zoneId": zone, "method": method}))).await?;
    tx.commit().await?;
    app.rates.forget().await;
    Ok(method)
}

/// Removes a method. Orders that were shipped by it keep what they have.
///
/// # Errors
/// `NotFound`; `Conflict` when a version is given that is not the current one.
pub(super) async fn delete(
    app: &App,
    actor: &Identity,
    meta: &RequestMeta,
    (zone, id, version): (ZoneId, MethodId, Option<i32>),
) -> Result<()> {
    let mut tx = app.db.begin().await?;
    store::lock(&mut tx).await?;
    let all = store::zones(&mut tx).await?;
    let method = find_method(&all, zone, id)?;
    check_version(version.unwrap_or(method.version), method.version)?;
    store::delete_method(&mut tx, id).await?;
    let (action, entity) = ("shipping_method.delete", "shipping_method");
    let deed = Deed { actor, meta, action, entity, id: id.to_string() };
    record(&mut tx, app, deed, Some(json!({"zoneId": zone, "method": method})), None).await?;
    tx.commit().await?;
    app.rates.forget().await;
    Ok(())
}

fn find_method(all: &[Zone], zone: ZoneId, id: MethodId) -> Result<&Method> {
    let methods = &find(all, zone)?.methods;
    methods.iter().find(|method| method.id == id).ok_or(Error::NotFound("The shipping method"))
}

/// Puts the tiers in order, and refuses what does not go together.
fn check(method: &mut Method) -> Result<()> {
    let mut faults = Vec::new();
    let mut fault = |field: &str, message: &str| faults.push(FieldError::new(field, message));
    if method.min_days > method.max_days {
        fault("maxDays", "must not be less than minDays");
    }
    if method.free_from == Some(Amount(0)) {
        fault("freeFrom", "must be more than 0; for free carriage of every order set the price to 0");
    }
    if method.pickup_details.is_some() && !method.is_pickup {
        fault("pickupDetails", "goes with isPickup only; send null to take it away");
    }
    if method.tiers.len() > MAX_TIERS {
        fault("tiers", "must be at most 50");
    }
    let mut bounds = HashSet::new();
    for (i, tier) in method.tiers.iter().enumerate().take(MAX_TIERS) {
        let bound = (tier.from_grams, tier.from_total);
        if bound == (0, Amount(0)) {
            fault(&format!("tiers[{i}]"), "must begin above 0 in total or weight; below, price holds");
        } else if !bounds.insert((bound.0, bound.1.0)) {
            fault(&format!("tiers[{i}]"), "begins where another one does");
        }
    }
    method.tiers.sort_by_key(|tier| (tier.from_grams, tier.from_total));
    if faults.is_empty() { Ok(()) } else { Err(Error::Validation(faults)) }
}

fn refusal(error: sqlx::Error) -> Error {
    if violated_constraint(&error) != Some("shipping_methods_code_key") {
        return error.into();
    }
    let message = "Another method of this zone has this code.".into();
    Error::Conflict { message, details: vec![FieldError::new("code", "is another method's; choose a different one")] }
}
