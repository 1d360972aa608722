//! Writes a batch of products in a few statements. What the database refuses is found by halving the batch, so that one
//! product keeps out no other.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use chrono::{DateTime, Utc};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use sqlx::PgConnection;

use super::import::{ImportedCategory, ImportedProduct};
use super::model::ImageType;
use super::store;
use super::store::import::{self as sql, CategoryNode, ImageRow, ImportRow, VariantRow};
use crate::app::App;
use crate::features::inventory::{self, NewLevel};
use crate::platform::crypto::sha256;
use crate::platform::error::{Error, Result};
use crate::platform::ids::{CategoryId, ProductId};
use crate::platform::text::slugify;

/// What became of a product.
#[derive(Debug)]
pub(super) enum Outcome {
    Created,
    Updated(ProductId),
    Unchanged,
    /// Why.
    Refused(String),
}

/// A product with what is known of it.
struct Item<'a> {
    product: &'a ImportedProduct,
    hash: [u8; 32],
    known: Option<ProductId>,
}

/// Writes products. Gives what became of each.
pub(super) async fn write(app: &App, tx: &mut PgConnection, products: &[&ImportedProduct]) -> Result<Vec<Outcome>> {
    sql::take_turn(tx).await?;
    let (known, now) = (known(tx, products).await?, app.clock.now());
    let mut outcomes = Vec::with_capacity(products.len());
    let (mut items, mut places) = (Vec::new(), Vec::new());
    for (place, product) in products.iter().enumerate() {
        // Row numbers may move between two exports of the same products.
        let hash = sha256(content(product).to_string().as_bytes());
        let found = known.get(&(product.key.is_some(), product.key.as_ref().unwrap_or(&product.handle)));
        let outcome = match found {
            Some((_, Some(before))) if before[..] == hash => Outcome::Unchanged,
            Some((id, _)) => Outcome::Updated(*id),
            None => Outcome::Created,
        };
        if let Some(currency) = &product.currency
            && *currency != app.config.store.currency
        {
            let shop = &app.config.store.currency;
            outcomes.push(Outcome::Refused(format!("its amounts are in {currency}, but this shop's are in {shop}")));
            continue;
        }
        if !matches!(outcome, Outcome::Unchanged) {
            items.push(Item { product, hash, known: found.map(|(id, _)| *id) });
            places.push(place);
        }
        outcomes.push(outcome);
    }
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
                    outcomes[places[range.start]] = Outcome::Refused(refusal.to_string());
                } else {
                    let middle = range.start + range.len() / 2;
                    waiting.push(middle..range.end);
                    waiting.push(range.start..middle);
                }
            }
            Err(other) => return Err(other),
        }
    }
    Ok(outcomes)
}

/// Those of the products that are there, by their key, or by their slug where they have none.
async fn known<'a>(
    tx: &mut PgConnection,
    products: &[&'a ImportedProduct],
) -> Result<HashMap<(bool, &'a String), (ProductId, Option<Vec<u8>>)>> {
    let keys: Vec<String> = products.iter().filter_map(|product| product.key.clone()).collect();
    let slugs: Vec<String> =
        products.iter().filter(|product| product.key.is_none()).map(|product| product.handle.clone()).collect();
    let by_key = if keys.is_empty() { Vec::new() } else { sql::known_by_key(tx, &keys).await? };
    let by_slug = if slugs.is_empty() { Vec::new() } else { sql::known_by_slug(tx, &slugs).await? };
    let find =
        |rows: Vec<sql::Known>| rows.into_iter().map(|row| (row.name, (row.id, row.hash))).collect::<HashMap<_, _>>();
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
    let categories = categories(tx, items, now).await?;
    let ids: Vec<ProductId> = items.iter().map(|item| item.known.unwrap_or_else(ProductId::new)).collect();
    let skus: Vec<Vec<String>> = items.iter().map(|item| variant_skus(item.product)).collect();
    let (mut new, mut changed) = (Vec::new(), Vec::new());
    let (mut images, mut variants) = (Vec::new(), Vec::new());
    let new_skus: Vec<String> = items.iter().map(|item| product_sku(item.product)).collect();
    for (n, item) in items.iter().enumerate() {
        let row = import_row(app, item, ids[n], &new_skus[n], categories[n])?;
        if item.known.is_some() {
            changed.push(row)
        } else {
            new.push(row)
        }
        images.extend((0..).zip(&item.product.images).map(|(position, image)| ImageRow {
            product: ids[n],
            url: &image.url,
            alt: image.alt.as_deref().unwrap_or(&item.product.title),
            kind: match &image.kind {
                Some(kind) => kind,
                None if position == 0 => ImageType::Main.as_str(),
                None => ImageType::Detail.as_str(),
            },
            position,
        }));
        variants.extend((0..).zip(&item.product.variants).zip(&skus[n]).map(|((position, variant), sku)| VariantRow {
            product: ids[n],
            sku,
            options: json!(variant.options),
            price_minor: variant.price_minor,
            compare_at_minor: variant.compare_at_minor,
            barcode: variant.barcode.as_deref(),
            weight_grams: variant.weight_grams,
            image_url: variant.image_url.as_deref(),
            position,
        }));
    }
    let existing: Vec<ProductId> = items.iter().filter_map(|item| item.known).collect();
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
    sql::replace_images(tx, &existing, &images, app.config.imports.fetch_images).await.map_err(refused)?;
    let stored = sql::upsert_variants_of_many(tx, &existing, &variants, now).await.map_err(refused)?;
    if !existing.is_empty() {
        sql::show_kept_images(tx, &existing).await.map_err(refused)?;
    }
    let taken: HashSet<&str> = stored.iter().map(|variant| variant.sku.as_str()).collect();
    if let Some(missing) = variants.iter().find(|variant| !taken.contains(variant.sku)) {
        return Err(Error::conflict(format!("another product has the sku {}", missing.sku)));
    }
    // Only new variants get the file's stock: an older export must not bring back what was sold since.
    let counts: HashMap<&str, i32> = items
        .iter()
        .zip(&skus)
        .flat_map(|(item, skus)| skus.iter().map(String::as_str).zip(item.product.variants.iter().map(|v| v.on_hand)))
        .collect();
    let levels: Vec<_> = stored
        .iter()
        .filter(|variant| variant.is_new)
        .filter_map(|variant| Some(NewLevel { variant_id: variant.id, on_hand: *counts.get(variant.sku.as_str())? }))
        .collect();
    inventory::receive(tx, &levels, "import", now).await.map_err(refused)
}

fn import_row<'a>(
    app: &'a App,
    item: &Item<'a>,
    id: ProductId,
    new_sku: &'a str,
    category_id: Option<CategoryId>,
) -> Result<ImportRow<'a>> {
    let product = item.product;
    let price = product.variants.iter().map(|v| v.price_minor).min().unwrap_or(0);
    let cheapest = product.variants.iter().find(|v| v.price_minor == price);
    let prices = product.prices.as_ref();
    Ok(ImportRow {
        id,
        new_sku,
        sku: product.sku.as_deref(),
        import_handle: product.key.as_deref(),
        import_hash: hex::encode(item.hash),
        title: &product.title,
        slug: &product.handle,
        short_description: product.short_description.as_deref().unwrap_or_default(),
        description: &product.description,
        full_story: product.full_story.as_deref(),
        currency: &app.config.store.currency,
        price_minor: prices.map_or(price, |prices| prices.price_minor),
        compare_at_minor: match prices {
            Some(prices) => prices.compare_at_minor,
            None => cheapest.and_then(|v| v.compare_at_minor),
        },
        category_id,
        sets_category: prices.is_some(),
        vendor: product.vendor.as_deref(),
        tags: &product.tags,
        weight_grams: match prices {
            Some(prices) => prices.weight_grams,
            None => cheapest.and_then(|v| v.weight_grams),
        },
        width: product.width,
        length: product.length,
        dimension_unit: product.dimension_unit.as_deref().unwrap_or("inches"),
        weave_origin: product.weave_origin.as_deref().unwrap_or_default(),
        care_instructions: product.care_instructions.as_deref().unwrap_or_default(),
        dispatch_time: product.dispatch_time.as_deref().unwrap_or_default(),
        is_featured: product.featured.unwrap_or(false),
        is_limited: product.limited.unwrap_or(false),
        is_active: product.is_active,
        metadata: match product.metadata.as_deref() {
            Some(metadata) => Some(serde_json::from_str::<&RawValue>(metadata).map_err(Error::internal)?),
            None => None,
        },
    })
}

/// The category of each product, made where it is not there.
async fn categories(tx: &mut PgConnection, items: &[Item<'_>], now: DateTime<Utc>) -> Result<Vec<Option<CategoryId>>> {
    let mut nodes: Option<Vec<CategoryNode>> = None;
    let mut found: HashMap<&[ImportedCategory], Option<CategoryId>> = HashMap::new();
    let mut categories = Vec::with_capacity(items.len());
    for item in items {
        let path = item.product.category_tree.as_slice();
        let id = match found.get(path) {
            _ if path.is_empty() => None,
            Some(id) => *id,
            None => {
                let nodes = match &mut nodes {
                    Some(nodes) => nodes,
                    None => nodes.insert(sql::category_nodes(tx).await?),
                };
                let id = category(tx, nodes, path, now).await?;
                found.insert(path, id);
                id
            }
        };
        categories.push(id);
    }
    Ok(categories)
}

/// The last category of a path. One whose file gives slugs is known by its slug, others by their name below their
/// parent, and one alone by the slug of its name.
async fn category(
    tx: &mut PgConnection,
    nodes: &mut Vec<CategoryNode>,
    path: &[ImportedCategory],
    now: DateTime<Utc>,
) -> Result<Option<CategoryId>> {
    let mut parent: Option<CategoryNode> = None;
    for part in path {
        let wanted = part.slug.clone().unwrap_or_else(|| slugify(&part.name));
        if wanted.is_empty() {
            break;
        }
        let above = parent.as_ref().map(|parent| parent.id);
        let name = part.name.to_lowercase();
        let by_slug = part.slug.is_some() || path.len() == 1;
        let found = nodes.iter().find(|node| match by_slug {
            true => node.slug == wanted,
            false => node.parent_id == above && (node.slug == wanted || node.name.to_lowercase() == name),
        });
        if let Some(found) = found {
            parent = Some(found.clone());
            continue;
        }
        // “Shirts” may stand below “Men” and below “Women”; an address has one of them only.
        let mut slug = wanted.clone();
        let mut n = 1;
        while nodes.iter().any(|node| node.slug == slug) {
            let below = parent.as_ref().map(|parent| format!("{}-", parent.slug)).unwrap_or_default();
            slug = if n == 1 { format!("{below}{wanted}") } else { format!("{below}{wanted}-{n}") };
            n += 1;
        }
        let id = CategoryId::new();
        store::categories::insert(tx, id, above, &part.name, &slug, now).await.map_err(refused)?;
        let node = CategoryNode { id, parent_id: above, name: part.name.clone(), slug };
        nodes.push(node.clone());
        parent = Some(node);
    }
    Ok(parent.map(|parent| parent.id))
}

/// The article number of a new product.
fn product_sku(product: &ImportedProduct) -> String {
    product.sku.clone().unwrap_or_else(|| as_sku(&product.handle))
}

/// The sku of each variant. Those without one in the file get one of the handle and the options' values; where two
/// values have the same letters a-z, or none, a hash of the values tells them apart.
fn variant_skus(product: &ImportedProduct) -> Vec<String> {
    let made: Vec<Option<String>> = product
        .variants
        .iter()
        .map(|variant| {
            let values = variant.options.iter().map(|o| slugify(&o.value)).collect::<Vec<_>>().join("-");
            variant.sku.is_none().then(|| as_sku(format!("{}-{values}", product.handle).trim_end_matches('-')))
        })
        .collect();
    let mut uses: HashMap<&str, u32> = HashMap::new();
    for (variant, made) in product.variants.iter().zip(&made) {
        if let Some(sku) = variant.sku.as_deref().or(made.as_deref()) {
            *uses.entry(sku).or_default() += 1;
        }
    }
    made.iter()
        .zip(&product.variants)
        .map(|(made, variant)| match (&variant.sku, made) {
            (Some(sku), _) => sku.clone(),
            (None, Some(made)) if uses.get(made.as_str()) == Some(&1) => made.clone(),
            _ => {
                let values: Vec<&str> = variant.options.iter().map(|o| o.value.as_str()).collect();
                let hash = hex::encode(&sha256(values.join("\0").as_bytes())[..6]);
                as_sku(&format!("{}-{hash}", product.handle))
            }
        })
        .collect()
}

/// A name of `a-z`, `0-9` and `-` as a sku. Long names are cut and told apart by a hash.
fn as_sku(name: &str) -> String {
    let name = name.to_uppercase();
    if name.chars().count() <= 64 {
        return name;
    }
    let start: String = name.chars().take(51).collect();
    format!("{start}-{}", hex::encode(&sha256(name.as_bytes())[..6]))
}

/// Says that the database refused a product for what is in it, if that is why a statement failed. Other failures end
/// the import.
fn refused(error: sqlx::Error) -> Error {
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

/// What the file says about a product, without where it says it.
fn content(product: &ImportedProduct) -> Value {
    fn strip_rows(value: &mut Value) {
        match value {
            Value::Object(map) => {
                map.remove("row");
                map.values_mut().for_each(strip_rows);
            }
            Value::Array(list) => list.iter_mut().for_each(strip_rows),
            _ => {}
        }
    }
    let mut value = json!(product);
    strip_rows(&mut value);
    value
}
