//! What staff do to taxes. All who change taxes or shipping follow each other, and each change is one transaction.

use chrono::{DateTime, Datelike, Utc};
use serde::Serialize;
use serde_json::{Value, json};
use sqlx::PgConnection;
use utoipa::ToSchema;

use super::model::Tax;
use super::store;
use crate::app::App;
use crate::features::audit;
use crate::features::auth::Identity;
use crate::platform::error::{Error, FieldError, Result, violated_constraint};
use crate::platform::http::RequestMeta;
use crate::platform::http::keyed::{self, Begun, Keyed, Once};
use crate::platform::idempotency;
use crate::platform::ids::TaxId;
use crate::platform::place::{Place, PlaceCountry};

/// Components of a shop, past and future ones too.
const MAX: usize = 500;

/// The years in which a component may begin and end.
const YEARS: std::ops::Range<i32> = 2000..2200;

/// One component.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TaxData {
    pub(super) tax: Tax,
}

/// A component that follows another one.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ScheduledData {
    /// The new one.
    tax: Tax,
    /// The one that ends when the new one begins.
    predecessor: Tax,
}

/// A component to create.
#[derive(Debug)]
pub(super) struct NewTax {
    pub name: String,
    pub country: PlaceCountry,
    pub region: Option<String>,
    pub rate_basis_points: u32,
    pub is_included: bool,
    pub on_shipping: bool,
    /// At once when there is none.
    pub effective_from: Option<DateTime<Utc>>,
    pub effective_until: Option<DateTime<Utc>>,
}

impl NewTax {
    fn check(self, now: DateTime<Utc>) -> Result<Tax> {
        let effective_from = self.effective_from.unwrap_or(now);
        let mut faults = time_faults(effective_from, self.effective_until);
        let place = match Place::new(self.country, self.region.as_deref()) {
            Ok(place) if faults.is_empty() => place,
            Ok(_) => return Err(Error::Validation(faults)),
            Err(message) => {
                faults.insert(0, FieldError::new("region", message));
                return Err(Error::Validation(faults));
            }
        };
        Ok(Tax {
            id: TaxId::new(),
            name: self.name,
            place,
            rate_basis_points: self.rate_basis_points,
            is_included: self.is_included,
            on_shipping: self.on_shipping,
            effective_from,
            effective_until: self.effective_until,
            version: 1,
        })
    }
}

/// A change; `None` leaves a field as it is.
#[derive(Debug, Default)]
pub(super) struct TaxChange {
    pub name: Option<String>,
    pub rate_basis_points: Option<u32>,
    pub is_included: Option<bool>,
    pub on_shipping: Option<bool>,
    pub effective_from: Option<DateTime<Utc>>,
    /// `Some(None)` opens its end.
    pub effective_until: Option<Option<DateTime<Utc>>>,
}

impl TaxChange {
    fn apply(self, tax: &mut Tax) {
        tax.name = self.name.unwrap_or_else(|| std::mem::take(&mut tax.name));
        tax.rate_basis_points = self.rate_basis_points.unwrap_or(tax.rate_basis_points);
        tax.is_included = self.is_included.unwrap_or(tax.is_included);
        tax.on_shipping = self.on_shipping.unwrap_or(tax.on_shipping);
        tax.effective_from = self.effective_from.unwrap_or(tax.effective_from);
        tax.effective_until = self.effective_until.unwrap_or(tax.effective_until);
    }
}

pub(super) async fn list(app: &App) -> Result<Vec<Tax>> {
    Ok(store::all(&mut *app.db.acquire().await?).await?)
}

/// Creates a component.
///
/// # Errors
/// `Validation` of its times; `Conflict` when there is one of its name in its place at its time, or too many.
pub(super) async fn create(
    app: &App,
    actor: &Identity,
    meta: &RequestMeta,
    new: NewTax,
    key: Option<idempotency::Request>,
) -> Result<Keyed> {
    let mut tx = match keyed::begin(&app.db, key.as_ref(), app.clock.now()).await? {
        Begun::Given(answer) => return Ok(answer),
        Begun::Open(tx) => tx,
    };
    let done = create_in(&mut tx, app, (actor, meta), new).await;
    let answer = tx.end(done).await?;
    app.rates.forget().await;
    Ok(answer)
}

async fn create_in(
    tx: &mut Once<'_>,
    app: &App,
    (actor, meta): (&Identity, &RequestMeta),
    new: NewTax,
) -> Result<Keyed> {
    let now = app.clock.now();
    let tax = new.check(now)?;
    store::lock(tx).await?;
    check_count(&store::all(tx).await?)?;
    store::insert(tx, &tax).await.map_err(refusal)?;
    let (id, after) = (tax.id, json!(tax));
    let answer = tx.answer(201, TaxData { tax }).await?;
    let deed = Deed { actor, meta, action: "tax.create", id };
    record(tx, app, deed, None, Some(after)).await?;
    Ok(answer)
}

/// Changes a component, for all orders from now on.
///
/// # Errors
/// `NotFound`; `Conflict` when the version is not the current one; else as [`create`].
pub(super) async fn update(
    app: &App,
    actor: &Identity,
    meta: &RequestMeta,
    (id, version): (TaxId, i32),
    change: TaxChange,
) -> Result<Tax> {
    let mut tx = app.db.begin().await?;
    store::lock(&mut tx).await?;
    let mut tax = find(store::all(&mut tx).await?, id, Some(version))?;
    let before = json!(tax);
    change.apply(&mut tax);
    check_times(&tax)?;
    tax.version += 1;
    store::update(&mut tx, &tax).await.map_err(refusal)?;
    let deed = Deed { actor, meta, action: "tax.update", id };
    record(&mut tx, app, deed, Some(before), Some(json!(tax))).await?;
    tx.commit().await?;
    app.rates.forget().await;
    Ok(tax)
}

/// Ends a component at a time, and begins another one then, which differs as `change` says: no moment has both or neither. It
/// ends when its predecessor would have.
///
/// # Errors
/// As [`update`].
pub(super) async fn schedule(
    app: &App,
    actor: &Identity,
    meta: &RequestMeta,
    (id, version): (TaxId, i32),
    change: TaxChange,
    key: Option<idempotency::Request>,
) -> Result<Keyed> {
    let mut tx = match keyed::begin(&app.db, key.as_ref(), app.clock.now()).await? {
        Begun::Given(answer) => return Ok(answer),
        Begun::Open(tx) => tx,
    };
    let deed = Deed { actor, meta, action: "tax.schedule", id };
    let done = schedule_in(&mut tx, app, deed, version, change).await;
    let answer = tx.end(done).await?;
    app.rates.forget().await;
    Ok(answer)
}

async fn schedule_in(tx: &mut Once<'_>, app: &App, deed: Deed<'_>, version: i32, change: TaxChange) -> Result<Keyed> {
    store::lock(tx).await?;
    let all = store::all(tx).await?;
    check_count(&all)?;
    let mut predecessor = find(all, deed.id, Some(version))?;
    let before = json!(predecessor);
    let mut tax = Tax { id: TaxId::new(), version: 1, ..predecessor.clone() };
    change.apply(&mut tax);
    check_times(&tax)?;
    if tax.effective_from <= predecessor.effective_from {
        return Err(Error::field("effectiveFrom", "must be after the beginning of the tax that it follows"));
    }
    predecessor.effective_until = Some(tax.effective_from);
    predecessor.version += 1;
    store::update(tx, &predecessor).await.map_err(refusal)?;
    store::insert(tx, &tax).await.map_err(refusal)?;
    let after = json!({"predecessor": predecessor, "tax": tax});
    let answer = tx.answer(201, ScheduledData { tax, predecessor }).await?;
    record(tx, app, deed, Some(before), Some(after)).await?;
    Ok(answer)
}

/// Removes a component. Orders that have it keep it.
///
/// # Errors
/// `NotFound`; `Conflict` when a version is given that is not the current one.
pub(super) async fn delete(
    app: &App,
    actor: &Identity,
    meta: &RequestMeta,
    (id, version): (TaxId, Option<i32>),
) -> Result<()> {
    let mut tx = app.db.begin().await?;
    store::lock(&mut tx).await?;
    let tax = find(store::all(&mut tx).await?, id, version)?;
    store::delete(&mut tx, id).await?;
    let deed = Deed { actor, meta, action: "tax.delete", id };
    record(&mut tx, app, deed, Some(json!(tax)), None).await?;
    tx.commit().await?;
    app.rates.forget().await;
    Ok(())
}

fn find(all: Vec<Tax>, id: TaxId, version: Option<i32>) -> Result<Tax> {
    let tax = all.into_iter().find(|tax| tax.id == id).ok_or(Error::NotFound("The tax"))?;
    if version.is_some_and(|version| version != tax.version) {
        let message = "Somebody else has changed this tax meanwhile. Load it again and repeat your change.";
        return Err(Error::conflict(message));
    }
    Ok(tax)
}

fn check_count(all: &[Tax]) -> Result<()> {
    if all.len() < MAX {
        return Ok(());
    }
    Err(Error::conflict(format!("A shop has at most {MAX} taxes. Remove those that have ended first.")))
}

fn check_times(tax: &Tax) -> Result<()> {
    let faults = time_faults(tax.effective_from, tax.effective_until);
    if faults.is_empty() { Ok(()) } else { Err(Error::Validation(faults)) }
}

fn time_faults(from: DateTime<Utc>, until: Option<DateTime<Utc>>) -> Vec<FieldError> {
    let mut faults = Vec::new();
    let range = || format!("must be in a year from {} to {}", YEARS.start, YEARS.end - 1);
    if !YEARS.contains(&from.year()) {
        faults.push(FieldError::new("effectiveFrom", range()));
    }
    match until {
        Some(until) if !YEARS.contains(&until.year()) => faults.push(FieldError::new("effectiveUntil", range())),
        Some(until) if until <= from => faults.push(FieldError::new("effectiveUntil", "must be after effectiveFrom")),
        _ => {}
    }
    faults
}

fn refusal(error: sqlx::Error) -> Error {
    if violated_constraint(&error) != Some("taxes_one_at_a_time") {
        return error.into();
    }
    let fault = "overlaps a tax of the same name and place; end that one first, or choose another time";
    Error::Conflict {
        message: "There is a tax of this name for this place at this time already.".into(),
        details: vec![FieldError::new("effectiveFrom", fault)],
    }
}

/// Who did what to which tax.
struct Deed<'a> {
    actor: &'a Identity,
    meta: &'a RequestMeta,
    action: &'static str,
    id: TaxId,
}

async fn record(
    tx: &mut PgConnection,
    app: &App,
    deed: Deed<'_>,
    before: Option<Value>,
    after: Option<Value>,
) -> Result<()> {
    let entry = audit::Entry {
        actor: Some(deed.actor),
        action: deed.action,
        entity: "tax",
        entity_id: Some(deed.id.to_string()),
        before,
        after,
    };
    audit::record(tx, entry, deed.meta, app.clock.now()).await
}
