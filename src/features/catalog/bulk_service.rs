//! Changing many products at once, in one transaction: all of them or none.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value, json};
use sqlx::PgConnection;
use utoipa::ToSchema;

use super::rules::MAX_TAGS;
use super::service::refusal;
use super::store::bulk::{self, State};
use crate::app::App;
use crate::features::audit;
use crate::features::auth::Identity;
use crate::platform::error::{Error, FieldError, Result};
use crate::platform::http::RequestMeta;
use crate::platform::http::keyed::{self, Begun, Keyed, Once};
use crate::platform::idempotency;
use crate::platform::ids::{CategoryId, ProductId};
use crate::platform::money::{Amount, MAX_MINOR};
use crate::platform::retry;

/// What is done to each product.
#[derive(Debug)]
pub(super) enum Action {
    Activate(bool),
    Feature(bool),
    Archive,
    Restore,
    SetCategory(Option<CategoryId>),
    AddTags(Vec<String>),
    RemoveTags(Vec<String>),
    AdjustPrice(Adjustment),
}

/// How prices change.
#[derive(Clone, Copy, Debug)]
pub(super) enum Adjustment {
    /// Hundredths of a per cent; below zero is cheaper.
    BasisPoints(i32),
    /// Minor units; below zero is cheaper.
    Minor(i64),
}

/// What became of one product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) enum Outcome {
    /// It was changed.
    Updated,
    /// It was so already.
    Unchanged,
    /// There is no such product, or, unless it is to be restored or archived, it is archived.
    NotFound,
}

/// One product's result.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct BulkResult {
    id: ProductId,
    result: Outcome,
}

/// The results, in the order of the request.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct BulkData {
    results: Vec<BulkResult>,
    updated: usize,
    unchanged: usize,
    not_found: usize,
}

impl BulkData {
    fn new(results: Vec<BulkResult>) -> Self {
        let count = |outcome| results.iter().filter(|result| result.result == outcome).count();
        let (updated, unchanged, not_found) =
            (count(Outcome::Updated), count(Outcome::Unchanged), count(Outcome::NotFound));
        Self { results, updated, unchanged, not_found }
    }
}

impl Adjustment {
    /// The new price, by the one rounding rule for money; none outside of what a price may be.
    fn of(self, price: i64) -> Option<i64> {
        let new = match self {
            Self::BasisPoints(points) => Amount(price).basis_points(u32::try_from(10_000 + points).ok()?).ok()?.0,
            Self::Minor(amount) => price.checked_add(amount)?,
        };
        (0..=MAX_MINOR).contains(&new).then_some(new)
    }
}

impl Action {
    /// The product after it; none where it does not concern such a product.
    fn apply(&self, before: &State) -> Result<Option<State>, &'static str> {
        if before.is_archived && !matches!(self, Self::Archive | Self::Restore) {
            return Ok(None);
        }
        let mut state = before.clone();
        match self {
            Self::Activate(active) => state.is_active = *active,
            Self::Feature(featured) => state.is_featured = *featured,
            Self::Archive => {
                state.is_archived = true;
                state.is_active = false;
            }
            Self::Restore => state.is_archived = false,
            Self::SetCategory(category) => state.category_id = *category,
            Self::AddTags(tags) => {
                let new: Vec<_> = tags.iter().filter(|tag| !before.tags.contains(*tag)).cloned().collect();
                state.tags.extend(new);
                if state.tags.len() > MAX_TAGS {
                    return Err("would have more than 100 tags");
                }
            }
            Self::RemoveTags(tags) => state.tags.retain(|tag| !tags.contains(tag)),
            Self::AdjustPrice(by) => {
                state.price_minor = by.of(before.price_minor).ok_or(OUT_OF_RANGE)?;
                state.compare_at_minor = before.compare_at_minor.filter(|compared| *compared > state.price_minor);
            }
        }
        Ok(Some(state))
    }
}

const OUT_OF_RANGE: &str = "would have a price below zero or above the limit";

/// Which products are changed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Targets<'a> {
    /// None is there twice.
    pub ids: &'a [ProductId],
    /// Versions that the change is based on; those of products that are not there do not matter.
    pub versions: &'a BTreeMap<ProductId, i32>,
}

/// `request` is what is put on record.
pub(super) async fn change(
    app: &App,
    actor: &Identity,
    meta: &RequestMeta,
    targets: Targets<'_>,
    (action, request): (Action, Value),
    key: Option<idempotency::Request>,
) -> Result<Keyed> {
    let (updated, answer) =
        retry::on_deadlock(|| try_to_change(app, (actor, meta), targets, (&action, &request), key.as_ref())).await?;
    app.product_cache.forget(&updated).await;
    Ok(answer)
}

async fn try_to_change(
    app: &App,
    by: (&Identity, &RequestMeta),
    targets: Targets<'_>,
    (action, request): (&Action, &Value),
    key: Option<&idempotency::Request>,
) -> Result<(Vec<ProductId>, Keyed)> {
    let mut tx = match keyed::begin(&app.db, key, app.clock.now()).await? {
        Begun::Given(answer) => return Ok((Vec::new(), answer)),
        Begun::Open(tx) => tx,
    };
    let done = change_in(&mut tx, app, by, targets, (action, request.clone())).await;
    tx.end(done).await
}

async fn change_in(
    tx: &mut Once<'_>,
    app: &App,
    (actor, meta): (&Identity, &RequestMeta),
    Targets { ids, versions }: Targets<'_>,
    (action, request): (&Action, Value),
) -> Result<(Vec<ProductId>, Keyed)> {
    let now = app.clock.now();
    let locked = bulk::lock(tx, ids).await?;
    check_versions(&locked, ids, versions)?;
    let (mut before, mut after, mut faults) = (Vec::new(), Vec::new(), Vec::new());
    for old in locked {
        match action.apply(&old) {
            Ok(Some(new)) => {
                before.push(old);
                after.push(new);
            }
            Ok(None) => {}
            Err(fault) => faults.push(refused(ids, &old, fault)),
        }
    }
    let mut moved = Vec::new();
    if let Action::AdjustPrice(by) = action {
        moved = adjust_variants(tx, &before, *by, ids, &mut faults).await?;
    }
    if !faults.is_empty() {
        let message = "Nothing was changed, because it cannot be done to all of these products.".to_owned();
        return Err(Error::Conflict { message, details: faults });
    }
    let results: Vec<_> = ids
        .iter()
        .map(|id| {
            let result = match before.iter().position(|state| state.id == *id) {
                None => Outcome::NotFound,
                Some(i) if before[i] != after[i] || moved.contains(id) => Outcome::Updated,
                Some(_) => Outcome::Unchanged,
            };
            BulkResult { id: *id, result }
        })
        .collect();
    let updated: Vec<_> = results.iter().filter(|r| r.result == Outcome::Updated).map(|r| r.id).collect();
    if !updated.is_empty() {
        let states: Vec<_> = after.iter().filter(|state| updated.contains(&state.id)).cloned().collect();
        bulk::write(tx, &states, now).await.map_err(refusal)?;
        match action {
            Action::AddTags(tags) => bulk::write_tags(tx, &updated, &[], tags).await?,
            Action::RemoveTags(tags) => bulk::write_tags(tx, &updated, tags, &[]).await?,
            _ => {}
        }
    }
    let answer = tx.answer(200, BulkData::new(results)).await?;
    if !updated.is_empty() {
        let (old, new) = differences(&before, &after);
        let entry = audit::Entry {
            actor: Some(actor),
            action: "product.bulk",
            entity: "product",
            entity_id: None,
            before: Some(json!({"products": old})),
            after: Some(json!({"request": request, "updated": updated, "products": new})),
        };
        audit::record(tx, entry, meta, now).await?;
    }
    Ok((updated, answer))
}

/// All that somebody else has changed meanwhile, at once.
fn check_versions(locked: &[State], ids: &[ProductId], versions: &BTreeMap<ProductId, i32>) -> Result<()> {
    let stale = locked.iter().filter(|state| versions.get(&state.id).is_some_and(|version| *version != state.version));
    let details: Vec<_> = stale
        .map(|state| refused(ids, state, &format!("has been changed meanwhile; its version is {}", state.version)))
        .collect();
    if details.is_empty() {
        return Ok(());
    }
    let message = "Nothing was changed, because somebody else has changed some of these products meanwhile. Load them again \
                   and repeat your change.";
    Err(Error::Conflict { message: message.into(), details })
}

fn refused(ids: &[ProductId], product: &State, fault: &str) -> FieldError {
    let place = ids.iter().position(|id| *id == product.id).unwrap_or_default();
    FieldError::new(format!("ids[{place}]"), format!("{} {fault}", product.sku))
}

/// Changes the prices of the products' variants. Gives the products of those that have changed.
async fn adjust_variants(
    tx: &mut PgConnection,
    products: &[State],
    by: Adjustment,
    ids: &[ProductId],
    faults: &mut Vec<FieldError>,
) -> Result<Vec<ProductId>> {
    let of: Vec<_> = products.iter().map(|product| product.id).collect();
    let mut variants = bulk::variant_prices(tx, &of).await?;
    let mut moved = Vec::new();
    for variant in &mut variants {
        let Some(price) = by.of(variant.price_minor) else {
            let product = products.iter().find(|product| product.id == variant.product_id);
            let fault = product.map(|product| refused(ids, product, OUT_OF_RANGE));
            faults.extend(fault.filter(|fault| !faults.contains(fault)));
            continue;
        };
        if price != variant.price_minor && !moved.contains(&variant.product_id) {
            moved.push(variant.product_id);
        }
        variant.price_minor = price;
        variant.compare_at_minor = variant.compare_at_minor.filter(|compared| *compared > price);
    }
    variants.retain(|variant| moved.contains(&variant.product_id));
    if faults.is_empty() {
        bulk::write_variant_prices(tx, &variants).await.map_err(refusal)?;
    }
    Ok(moved)
}

/// What has changed of each product, before and after, by its id.
fn differences(before: &[State], after: &[State]) -> (Value, Value) {
    let (mut old, mut new) = (Map::new(), Map::new());
    for (one, other) in before.iter().zip(after) {
        let (was, is) = audit::changed(&shown(one), &shown(other));
        if was != json!({}) {
            old.insert(one.id.to_string(), was);
            new.insert(one.id.to_string(), is);
        }
    }
    (Value::Object(old), Value::Object(new))
}

/// In the words of the API.
fn shown(state: &State) -> Value {
    json!({
        "isActive": state.is_active,
        "isFeatured": state.is_featured,
        "archived": state.is_archived,
        "categoryId": state.category_id,
        "tags": state.tags,
        "price": Amount(state.price_minor),
        "compareAtPrice": state.compare_at_minor.map(Amount),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_rounded_half_to_even() {
        for (price, points, new) in
            [(25, 1_000, 28), (15, 1_000, 16), (5, 1_000, 6), (1_000, -1_250, 875), (3, -5_000, 2)]
        {
            assert_eq!(Adjustment::BasisPoints(points).of(price), Some(new), "{price} by {points}");
        }
        assert_eq!(Adjustment::BasisPoints(-10_000).of(700), Some(0));
        assert_eq!(Adjustment::BasisPoints(-10_001).of(700), None);
        assert_eq!(Adjustment::Minor(-701).of(700), None);
        assert_eq!(Adjustment::Minor(1).of(MAX_MINOR), None);
        assert_eq!(Adjustment::Minor(i64::MAX).of(1), None);
    }
}
