//! Stores what a product file says. Each product is one transaction, so a run that is cut off leaves whole products
//! behind, and the next run of the same file skips them.

use std::io::Read;

use serde::Serialize;
use serde_json::{Value, json};

use super::import::{self, ImportedProduct, RowProblem, Severity};
use super::model::ImageType;
use super::store::{self, NewImage, ProductFields, VariantFields};
use crate::app::App;
use crate::features::inventory::{self, NewLevel};
use crate::features::media::MAX_IMAGES;
use crate::platform::crypto::sha256;
use crate::platform::error::{Error, Result};
use crate::platform::ids::ProductId;
use crate::platform::text::slugify;

/// How a file is imported.
#[derive(Clone, Copy, Debug)]
pub struct ImportSettings {
    /// Read and check everything, store nothing.
    pub dry_run: bool,
}

/// What an import did.
#[derive(Debug, Default, Serialize)]
pub struct ImportReport {
    /// Products that are new.
    pub created: u64,
    /// Products that the file changes.
    pub updated: u64,
    /// Products that are stored as the file has them.
    pub unchanged: u64,
    /// Products that were refused because of errors.
    pub refused: u64,
    /// Variants of the products that were taken.
    pub variants: u64,
    /// Pictures of the products that were taken.
    pub images: u64,
    /// What was found in the file, in row order.
    pub problems: Vec<RowProblem>,
}

/// Imports a Shopify product file. `progress` is called after each product with the rows read so far.
///
/// # Errors
/// When the file as a whole cannot be read, with the reader's message; what was stored before stays.
pub async fn import_products(
    app: &App,
    file: impl Read,
    settings: ImportSettings,
    progress: impl FnMut(u64),
) -> anyhow::Result<ImportReport> {
    let report = store_products(app, file, settings, progress).await;
    if !settings.dry_run {
        // After a failure too: products before it are stored.
        app.product_cache.clear().await;
    }
    report
}

async fn store_products(
    app: &App,
    file: impl Read,
    settings: ImportSettings,
    mut progress: impl FnMut(u64),
) -> anyhow::Result<ImportReport> {
    let mut report = ImportReport::default();
    for group in import::read(file, 2)? {
        let group = group?;
        progress(group.row);
        let Some(product) = group.product else {
            report.refused += 1;
            report.problems.extend(group.problems);
            continue;
        };
        report.problems.extend(group.problems);
        if product.images.len() > MAX_IMAGES {
            report.problems.push(RowProblem {
                row: product.row,
                column: None,
                severity: Severity::Warning,
                message: format!(
                    "{} has {} pictures; the first {MAX_IMAGES} are kept",
                    product.handle,
                    product.images.len()
                ),
            });
        }
        let (variants, images, row) = (product.variants.len(), product.images.len().min(MAX_IMAGES), product.row);
        match import_product(app, &product, settings).await {
            Ok(outcome) => {
                match outcome {
                    Outcome::Created => report.created += 1,
                    Outcome::Updated => report.updated += 1,
                    Outcome::Unchanged => report.unchanged += 1,
                }
                report.variants += u64::try_from(variants)?;
                report.images += u64::try_from(images)?;
            }
            Err(refusal @ (Error::Conflict { .. } | Error::Validation(_))) => {
                report.refused += 1;
                report.problems.push(RowProblem {
                    row,
                    column: None,
                    severity: Severity::Error,
                    message: format!("{}: {refusal}", product.handle),
                });
            }
            Err(other) => return Err(other.into()),
        }
    }
    Ok(report)
}

enum Outcome {
    Created,
    Updated,
    Unchanged,
}

async fn import_product(app: &App, product: &ImportedProduct, settings: ImportSettings) -> Result<Outcome> {
    // Row numbers may move between two exports of the same products.
    let hash = sha256(content(product).to_string().as_bytes());
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let known = store::find_imported(&mut tx, &product.handle).await?;
    let outcome = match &known {
        Some((_, Some(before))) if before[..] == hash => return Ok(Outcome::Unchanged),
        Some(_) => Outcome::Updated,
        None => Outcome::Created,
    };
    let category_id = match &product.category {
        Some(name) if !slugify(name).is_empty() => {
            Some(store::category_by_slug(&mut tx, name, &slugify(name), now).await.map_err(refused)?)
        }
        _ => None,
    };
    let price = product.variants.iter().map(|v| v.price_minor).min().unwrap_or(0);
    let cheapest = product.variants.iter().find(|v| v.price_minor == price);
    let sku = as_sku(&product.handle);
    let fields = ProductFields {
        id: known.as_ref().map_or_else(ProductId::new, |(id, _)| *id),
        sku: &sku,
        import_handle: Some(&product.handle),
        import_hash: Some(&hash),
        title: &product.title,
        slug: &product.handle,
        short_description: product.short_description.as_deref().unwrap_or_default(),
        description: &product.description,
        full_story: "",
        currency: &app.config.store.currency,
        price_minor: price,
        compare_at_minor: cheapest.and_then(|v| v.compare_at_minor),
        category_id,
        vendor: product.vendor.as_deref(),
        tags: &product.tags,
        weight_grams: cheapest.and_then(|v| v.weight_grams),
        width: product.width,
        length: product.length,
        dimension_unit: product.dimension_unit.as_deref().unwrap_or("inches"),
        weave_origin: product.weave_origin.as_deref().unwrap_or_default(),
        care_instructions: product.care_instructions.as_deref().unwrap_or_default(),
        dispatch_time: product.dispatch_time.as_deref().unwrap_or_default(),
        is_featured: product.featured.unwrap_or(false),
        is_limited: product.limited.unwrap_or(false),
        is_active: product.is_active,
        metadata: &json!({}),
    };
    let id = store::upsert_product(&mut tx, &fields, now).await.map_err(refused)?;
    let images: Vec<_> = product
        .images
        .iter()
        .enumerate()
        .map(|(i, image)| NewImage {
            url: &image.url,
            alt: image.alt.as_deref().unwrap_or(&product.title),
            kind: if i == 0 { ImageType::Main } else { ImageType::Detail }.as_str(),
        })
        .take(MAX_IMAGES)
        .collect();
    store::replace_images(&mut tx, id, &images).await.map_err(refused)?;
    let skus = variant_skus(product);
    let variants: Vec<_> = product
        .variants
        .iter()
        .zip(&skus)
        .map(|(variant, sku)| VariantFields {
            sku,
            options: json!(variant.options),
            price_minor: variant.price_minor,
            compare_at_minor: variant.compare_at_minor,
            barcode: variant.barcode.as_deref(),
            weight_grams: variant.weight_grams,
            image_url: variant.image_url.as_deref(),
        })
        .collect();
    let stored = store::upsert_variants(&mut tx, id, &variants, now).await.map_err(refused)?;
    if let Some(missing) = skus.iter().find(|sku| !stored.iter().any(|s| s.sku == **sku)) {
        return Err(Error::conflict(format!("another product has the sku {missing}")));
    }
    // Only new variants get the file's stock: an older export must not bring back what was sold since.
    let levels: Vec<_> = stored
        .iter()
        .filter(|s| s.is_new)
        .filter_map(|s| {
            let on_hand = product.variants.iter().zip(&skus).find(|(_, sku)| **sku == s.sku)?.0.on_hand;
            Some(NewLevel { variant_id: s.id, on_hand })
        })
        .collect();
    inventory::receive(&mut tx, &levels, "import", now).await.map_err(refused)?;
    if settings.dry_run {
        // Everything was tried, so that the report is true; nothing stays.
        tx.rollback().await?;
    } else {
        tx.commit().await?;
    }
    Ok(outcome)
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
    let taken = |i: usize, sku: &String| {
        let others = product.variants.iter().zip(&made).enumerate().filter(|(other, _)| *other != i);
        others.into_iter().any(|(_, (variant, made))| variant.sku.as_ref().or(made.as_ref()) == Some(sku))
    };
    made.iter()
        .zip(&product.variants)
        .enumerate()
        .map(|(i, (made, variant))| match (&variant.sku, made) {
            (Some(sku), _) => sku.clone(),
            (None, Some(made)) if !taken(i, made) => made.clone(),
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
