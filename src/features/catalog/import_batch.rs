//! Writes a batch of products in a few statements. What the database refuses is found by halving the batch, so that one
//! product keeps out no other.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::import::ImportedProduct;
use super::import_categories::{self as categories, Categories};
use super::import_rows::{Item, image_rows, is_stored, product_row, variant_rows};
use super::store;
use super::store::import::{self as sql, Known};
use super::store::import_parts as parts;
use crate::app::App;
use crate::features::inventory::{self, NewLevel};
use crate::platform::error::{Error, Result};
use crate::platform::ids::ProductId;

/// What became of a product.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Created(ProductId),
    Updated(ProductId),
    Unchanged,
    /// Why.
    Refused(String),
}

/// A product that the file has, dealt with.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) outcome: Outcome,
    /// Whether it was removed from the shop and stays so.
    pub(super) is_archived: bool,
    /// Variants of which the file counts another stock than the shop, which is kept.
    pub(super) other_stock: Vec<OtherStock>,
}

/// A stock that was not taken over.
#[derive(Debug)]
pub(super) struct OtherStock {
    pub(super) row: u64,
    pub(super) sku: String,
    pub(super) of_file: i32,
    pub(super) of_shop: i32,
}

/// Writes products. Gives what became of each.
pub(super) async fn write(app: &App, tx: &mut PgConnection, products: &[&ImportedProduct]) -> Result<Vec<Done>> {
    sql::take_turn(tx).await?;
    let (known, now) = (known(tx, products).await?, app.clock.now());
    let mut done = Vec::with_capacity(products.len());
    let (mut items, mut places) = (Vec::new(), Vec::new());
    for (place, product) in products.iter().enumerate() {
        let found = known.get(&(product.key.is_some(), product.key.as_ref().unwrap_or(&product.handle)));
        let item = Item::new(product, found.map(|found| found.id));
        let is_archived = found.is_some_and(|found| found.is_archived);
        let is_same = found.is_some_and(|found| found.hash.as_deref() == Some(&item.hash[..]));
        let outcome = match (&product.currency, found) {
            (Some(currency), _) if *currency != app.config.store.currency => {
                let shop = &app.config.store.currency;
                Outcome::Refused(format!("its amounts are in {currency}, but this shop's are in {shop}"))
            }
            (_, Some(_)) if is_same && !(is_archived && product.restores) => Outcome::Unchanged,
            (_, Some(found)) => Outcome::Updated(found.id),
            (_, None) => Outcome::Created(item.id),
        };
        if matches!(outcome, Outcome::Created(_) | Outcome::Updated(_)) {
            items.push(item);
            places.push(place);
        }
        done.push(Done { outcome, is_archived: is_archived && !product.restores, other_stock: Vec::new() });
    }
    compare(app, tx, &mut items, &mut places, &mut done).await?;
    note_stock(tx, products, &mut done, &known).await?;
    // The first half lies on top, so that products are written in the order of the file.
    let mut waiting: Vec<Range<usize>> = std::iter::once(0..items.len()).filter(|range| !range.is_empty()).collect();
    while let Some(range) = waiting.pop() {
        sql::begin_part(tx).await?;
        let result = write_part(app, tx, &items[range.clone()], now).await;
        match result {
            Ok(()) => sql::end_part(tx, true).await?,
            Err(refusal @ (Error::Conflict { .. } | Error::Validation(_))) => {
                sql::end_part(tx, false).await?;
                if range.len() == 1 {
                    done[places[range.start]].outcome = Outcome::Refused(refusal.to_string());
                } else {
                    let middle = range.start + range.len() / 2;
                    waiting.push(middle..range.end);
                    waiting.push(range.start..middle);
                }
            }
            Err(other) => return Err(other),
        }
    }
    Ok(done)
}

/// Takes out the items that the shop has as the file says them: a product that staff made and exported, or one whose file
/// has another order or other numbers of stock. Locks the products, so that what was compared is what is written over.
async fn compare(
    app: &App,
    tx: &mut PgConnection,
    items: &mut Vec<Item<'_>>,
    places: &mut Vec<usize>,
    done: &mut [Done],
) -> Result<()> {
    let existing: Vec<ProductId> = items.iter().filter(|item| item.is_known).map(|item| item.id).collect();
    if existing.is_empty() {
        return Ok(());
    }
    let mut categories = Categories::default();
    let mut found = Vec::with_capacity(items.len());
    for item in items.iter() {
        found.push(categories.find(tx, &item.product.category_tree).await?);
    }
    if found.contains(&None) {
        // Whoever changes the tree takes its lock before those of products, and so does who will add to it.
        store::categories::lock_tree(tx).await?;
    }
    sql::lock(tx, &existing).await?;
    let stored = store::export::products_of(tx, &existing).await?;
    let stored: HashMap<ProductId, _> = stored.into_iter().map(|row| (row.id, row)).collect();
    let mut same = Vec::new();
    for ((item, place), category) in items.iter().zip(places.iter()).zip(found) {
        let Some(stored) = stored.get(&item.id) else { continue };
        if stored.is_archived && item.product.restores {
            continue;
        }
        // A category that is not there is a change.
        let Some(category) = category else { continue };
        if is_stored(app, item, category, stored)? {
            same.push((item.id, item.hash));
            done[*place].outcome = Outcome::Unchanged;
        }
    }
    if !same.is_empty() {
        sql::remember(tx, &same).await?;
        let of_items = std::mem::take(items).into_iter().zip(std::mem::take(places));
        (*items, *places) = of_items.filter(|(_, place)| done[*place].outcome != Outcome::Unchanged).unzip();
    }
    Ok(())
}

/// Notes where the file counts another stock than the shop. An export that was made yesterday must not bring back what was
/// sold since, so the shop's count is kept.
async fn note_stock(
    tx: &mut PgConnection,
    products: &[&ImportedProduct],
    done: &mut [Done],
    known: &KnownProducts<'_>,
) -> Result<()> {
    let counts = |product: &ImportedProduct| product.variants.iter().any(|variant| variant.on_hand.is_some());
    if known.is_empty() || !products.iter().any(|product| counts(product)) {
        return Ok(());
    }
    let ids: Vec<ProductId> = known.values().map(|known| known.id).collect();
    let variants = sql::variants_of(tx, &ids).await?;
    let stock = inventory::on_hand(tx, &variants.iter().map(|variant| variant.id).collect::<Vec<_>>()).await?;
    let stock: HashMap<(ProductId, &str), i32> = variants
        .iter()
        .filter_map(|variant| Some(((variant.product_id, variant.sku.as_str()), *stock.get(&variant.id)?)))
        .collect();
    for (product, done) in products.iter().zip(done) {
        let found = known.get(&(product.key.is_some(), product.key.as_ref().unwrap_or(&product.handle)));
        let Some(found) = found.filter(|_| !matches!(done.outcome, Outcome::Refused(_))) else { continue };
        for (variant, sku) in product.variants.iter().zip(super::import::skus::of_variants(product)) {
            let of_shop = stock.get(&(found.id, sku.as_str())).copied();
            if let (Some(of_file), Some(of_shop)) = (variant.on_hand, of_shop)
                && of_file != of_shop
            {
                done.other_stock.push(OtherStock { row: variant.row, sku, of_file, of_shop });
            }
        }
    }
    Ok(())
}

/// Products by whether they have a key, and that or their slug.
type KnownProducts<'a> = HashMap<(bool, &'a String), Known>;

/// Those of the products that are there, by their key, or by their slug where they have none.
async fn known<'a>(tx: &mut PgConnection, products: &[&'a ImportedProduct]) -> Result<KnownProducts<'a>> {
    let keys: Vec<String> = products.iter().filter_map(|product| product.key.clone()).collect();
    let slugs: Vec<String> =
        products.iter().filter(|product| product.key.is_none()).map(|product| product.handle.clone()).collect();
    let by_key = if keys.is_empty() { Vec::new() } else { sql::known_by_key(tx, &keys).await? };
    let by_slug = if slugs.is_empty() { Vec::new() } else { sql::known_by_slug(tx, &slugs).await? };
    let find = |rows: Vec<Known>| rows.into_iter().map(|row| (row.name.clone(), row)).collect::<HashMap<_, _>>();
    let (mut by_key, mut by_slug) = (find(by_key), find(by_slug));
    Ok(products
        .iter()
        .filter_map(|product| {
            let found = match &product.key {
                Some(key) => by_key.remove(key),
                None => by_slug.remove(&product.handle),
            };
            Some(((product.key.is_some(), product.key.as_ref().unwrap_or(&product.handle)), found?))
        })
        .collect())
}

/// Writes products that are new or changed, all or none.
async fn write_part(app: &App, tx: &mut PgConnection, items: &[Item<'_>], now: DateTime<Utc>) -> Result<()> {
    let categories = categories::make(tx, items, now).await?;
    let (mut new, mut changed) = (Vec::new(), Vec::new());
    let (mut images, mut variants) = (Vec::new(), Vec::new());
    for (item, category) in items.iter().zip(categories) {
        let row = product_row(app, item, category)?;
        if item.is_known {
            changed.push(row);
        } else {
            new.push(row);
        }
        images.extend(image_rows(item));
        variants.extend(variant_rows(item));
    }
    let existing: Vec<ProductId> = items.iter().filter(|item| item.is_known).map(|item| item.id).collect();
    for (rows, is_new) in [(new, true), (changed, false)] {
        if rows.is_empty() {
            continue;
        }
        let rows = serde_json::to_string(&rows).map_err(Error::internal)?;
        let written = if is_new {
            sql::insert_products(tx, &rows, now).await
        } else {
            sql::update_products(tx, &rows, now).await
        };
        written.map_err(refused)?;
    }
    // A batch is of one file, whose columns are the same for all.
    let columns = items.first().map(|item| item.product.columns).unwrap_or_default();
    if columns.images {
        parts::replace_images(tx, &existing, &images, app.config.imports.fetch_images).await.map_err(refused)?;
    }
    let stored = parts::upsert_variants_of_many(tx, &existing, &variants, columns, now).await.map_err(refused)?;
    if !existing.is_empty() {
        parts::show_kept_images(tx, &existing).await.map_err(refused)?;
    }
    let taken: HashSet<&str> = stored.iter().map(|variant| variant.sku.as_str()).collect();
    if let Some(missing) = variants.iter().find(|variant| !taken.contains(variant.sku)) {
        return Err(Error::conflict(format!("another product has the sku {}", missing.sku)));
    }
    // Only new variants get the file's stock: an older export must not bring back what was sold since.
    let counts: HashMap<&str, i32> = items
        .iter()
        .flat_map(|item| item.skus.iter().map(String::as_str).zip(&item.product.variants))
        .map(|(sku, variant)| (sku, variant.on_hand.unwrap_or_default()))
        .collect();
    let levels: Vec<_> = stored
        .iter()
        .filter(|variant| variant.is_new)
        .filter_map(|variant| Some(NewLevel { variant_id: variant.id, on_hand: *counts.get(variant.sku.as_str())? }))
        .collect();
    inventory::receive(tx, &levels, "import", now).await.map_err(refused)
}

/// Says that the database refused a product for what is in it, if that is why a statement failed. Other failures end
/// the import.
pub(super) fn refused(error: sqlx::Error) -> Error {
    // 21000: a row twice in one statement; 22: a value that a type cannot hold; 23: a constraint.
    let for_content = |code: &str| code == "21000" || code.starts_with("22") || code.starts_with("23");
    match super::service::refusal(error) {
        Error::Internal(cause) => match cause.downcast_ref::<sqlx::Error>().and_then(sqlx::Error::as_database_error) {
            Some(database) if database.code().is_some_and(|code| for_content(&code)) => {
                let rule = database.constraint().unwrap_or("a value that cannot be stored").to_owned();
                Error::conflict(format!("the database refuses it ({rule})"))
            }
            _ => Error::Internal(cause),
        },
        other => other,
    }
}
