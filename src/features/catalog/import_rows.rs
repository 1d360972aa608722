//! A product of a file as the rows that are written for it, and whether the shop has them already.

use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::images_model::ImageType;
use super::import::{FileColumns, ImportedProduct, skus};

use super::store::export::{ExportImage, ExportRow, ExportVariant};
use super::store::import::ImportRow;
use super::store::import_parts::{ImageRow, VariantRow};
use crate::app::App;
use crate::platform::crypto::sha256;
use crate::platform::error::{Error, Result};
use crate::platform::ids::{CategoryId, ProductId};

/// A product with what is known of it.
pub(super) struct Item<'a> {
    pub(super) product: &'a ImportedProduct,
    pub(super) id: ProductId,
    /// Whether the shop has it.
    pub(super) is_known: bool,
    /// SHA-256 of what the file says about it.
    pub(super) hash: [u8; 32],
    /// Its article number if it is new.
    pub(super) sku: String,
    /// Those of its variants.
    pub(super) skus: Vec<String>,
}

impl<'a> Item<'a> {
    pub(super) fn new(product: &'a ImportedProduct, known: Option<ProductId>) -> Self {
        Self {
            product,
            id: known.unwrap_or_else(ProductId::new),
            is_known: known.is_some(),
            hash: sha256(content(product).to_string().as_bytes()),
            sku: skus::of_product(product),
            skus: skus::of_variants(product),
        }
    }
}

/// What the file says about a product and is taken over where the shop has it. Rows move between two exports of the same
/// products, and stock is only taken for what is new.
fn content(product: &ImportedProduct) -> Value {
    fn strip(value: &mut Value) {
        match value {
            Value::Object(map) => {
                map.remove("row");
                map.remove("on_hand");
                map.values_mut().for_each(strip);
            }
            Value::Array(list) => list.iter_mut().for_each(strip),
            _ => {}
        }
    }
    let mut value = json!(product);
    strip(&mut value);
    value
}

/// The row of the product itself.
pub(super) fn product_row<'a>(
    app: &'a App,
    item: &'a Item<'a>,
    category_id: Option<CategoryId>,
) -> Result<ImportRow<'a>> {
    let product = item.product;
    let cheapest = product.variants.iter().min_by_key(|variant| variant.price_minor);
    let (of_product, columns) = (product.prices.as_ref(), product.columns);
    let measures = product.measures.as_ref();
    Ok(ImportRow {
        id: item.id,
        new_sku: &item.sku,
        sku: product.sku.as_deref(),
        import_handle: product.key.as_deref(),
        import_hash: hex::encode(item.hash),
        title: &product.title,
        slug: &product.handle,
        short_description: product.short_description.as_deref(),
        description: product.description.as_deref(),
        full_story: product.full_story.as_deref(),
        currency: &app.config.store.currency,
        price_minor: match of_product {
            Some(prices) => prices.price_minor,
            None => cheapest.map_or(0, |variant| variant.price_minor),
        },
        says_compare_at: of_product.is_some_and(|prices| prices.compare_at_minor.is_some()) || columns.compare_at,
        compare_at_minor: match of_product.and_then(|prices| prices.compare_at_minor) {
            Some(said) => said,
            None => cheapest.and_then(|variant| variant.compare_at_minor),
        },
        category_id,
        is_without_category: product.is_without_category,
        vendor: product.vendor.as_deref(),
        tags: product.tags.as_deref(),
        says_weight: of_product.is_some_and(|prices| prices.weight_grams.is_some()) || columns.weight,
        weight_grams: match of_product.and_then(|prices| prices.weight_grams) {
            Some(said) => said,
            None => cheapest.and_then(|variant| variant.weight_grams),
        },
        has_measures: measures.is_some(),
        width: measures.and_then(|measures| measures.width),
        length: measures.and_then(|measures| measures.length),
        dimension_unit: measures.map(|measures| measures.unit.as_str()).filter(|unit| !unit.is_empty()),
        weave_origin: product.weave_origin.as_deref(),
        care_instructions: product.care_instructions.as_deref(),
        dispatch_time: product.dispatch_time.as_deref(),
        is_featured: product.featured,
        is_limited: product.limited,
        is_active: product.is_active,
        restores: product.restores,
        metadata: match product.metadata.as_deref() {
            Some(metadata) => Some(serde_json::from_str::<&RawValue>(metadata).map_err(Error::internal)?),
            None => None,
        },
    })
}

/// The rows of its pictures.
pub(super) fn image_rows<'a>(item: &Item<'a>) -> impl Iterator<Item = ImageRow<'a>> {
    let (id, product) = (item.id, item.product);
    (0..).zip(&product.images).map(move |(position, image)| ImageRow {
        product: id,
        url: &image.url,
        alt: image.alt.as_deref().unwrap_or(&product.title),
        // As the database has it: the first picture is the main one, and no other is.
        kind: match image.kind.as_deref() {
            _ if position == 0 => ImageType::Main.as_str(),
            Some(kind) if kind != ImageType::Main.as_str() => kind,
            _ => ImageType::Detail.as_str(),
        },
        position,
    })
}

/// The rows of its variants.
pub(super) fn variant_rows<'a>(item: &'a Item<'a>) -> impl Iterator<Item = VariantRow<'a>> {
    (0..).zip(&item.product.variants).zip(&item.skus).map(|((position, variant), sku)| VariantRow {
        product: item.id,
        sku,
        options: json!(variant.options),
        price_minor: variant.price_minor,
        compare_at_minor: variant.compare_at_minor,
        barcode: variant.barcode.as_deref(),
        weight_grams: variant.weight_grams,
        image_url: variant.image_url.as_deref(),
        position,
    })
}

/// Whether the shop has a product as the file says it, so that writing it would change nothing.
pub(super) fn is_stored(app: &App, item: &Item<'_>, category: Option<CategoryId>, stored: &ExportRow) -> Result<bool> {
    let row = product_row(app, item, category)?;
    let images: Vec<_> = image_rows(item).collect();
    let variants: Vec<_> = variant_rows(item).collect();
    let (old_images, old_variants, columns) = (&stored.images.0, &stored.variants.0, item.product.columns);
    Ok(has_product(&row, stored)?
        && (!columns.images
            || images.len() == old_images.len()
                && images.iter().zip(old_images).all(|(image, old)| has_image(image, old)))
        && variants.len() == old_variants.len()
        && variants.iter().zip(old_variants).all(|(variant, old)| has_variant(variant, columns, old, old_images)))
}

fn has_product(row: &ImportRow<'_>, stored: &ExportRow) -> Result<bool> {
    /// What is not said is as it is.
    fn same<T: PartialEq + ?Sized>(said: Option<&T>, stored: &T) -> bool {
        said.is_none_or(|said| said == stored)
    }
    let metadata = match row.metadata {
        Some(said) => {
            let value = |json: &str| serde_json::from_str::<Value>(json).map_err(Error::internal);
            value(said.get())? == value(&stored.metadata)?
        }
        None => true,
    };
    let has_category = match row.category_id {
        None => !row.is_without_category || stored.category_id.is_none(),
        said => said == stored.category_id,
    };
    let has_measures = !row.has_measures
        || (row.width, row.length) == (stored.width, stored.length)
            && row.dimension_unit.unwrap_or("inches") == stored.dimension_unit;
    Ok(metadata
        && has_category
        && has_measures
        && same(row.sku, &stored.sku)
        && row.title == stored.title
        && same(row.short_description, &stored.short_description)
        && same(row.description, &stored.description)
        && same(row.full_story, &stored.full_story)
        && row.currency == stored.currency
        && row.price_minor == stored.price_minor
        && has_compare_at(row.says_compare_at, row.compare_at_minor, stored.compare_at_minor, row.price_minor)
        && same(row.vendor, stored.vendor.as_deref().unwrap_or_default())
        && same(row.tags, &stored.tags)
        && (!row.says_weight || row.weight_grams == stored.weight_grams)
        && same(row.weave_origin, &stored.weave_origin)
        && same(row.care_instructions, &stored.care_instructions)
        && same(row.dispatch_time, &stored.dispatch_time)
        && same(row.is_featured.as_ref(), &stored.is_featured)
        && same(row.is_limited.as_ref(), &stored.is_limited)
        && same(row.is_active.as_ref(), &stored.is_active))
}

fn has_image(image: &ImageRow<'_>, stored: &ExportImage) -> bool {
    let is_it = stored.url == image.url || stored.source_url.as_deref() == Some(image.url);
    is_it && stored.alt == image.alt && stored.kind == image.kind
}

/// Whether a price to compare with stays: the one that the file says, or where it says none, one that is above the price.
fn has_compare_at(is_said: bool, said: Option<i64>, stored: Option<i64>, price: i64) -> bool {
    if is_said { said == stored } else { stored.is_none_or(|stored| stored > price) }
}

fn has_variant(variant: &VariantRow<'_>, columns: FileColumns, stored: &ExportVariant, images: &[ExportImage]) -> bool {
    // A picture that was fetched is shown from where it is kept.
    let is_kept = |url: &str| {
        images
            .iter()
            .any(|image| image.source_url.as_deref() == Some(url) && stored.image_url.as_ref() == Some(&image.url))
    };
    variant.sku == stored.sku
        && variant.options == json!(stored.options)
        && variant.price_minor == stored.price_minor
        && has_compare_at(columns.compare_at, variant.compare_at_minor, stored.compare_at_minor, variant.price_minor)
        && (!columns.barcode || variant.barcode == stored.barcode.as_deref())
        && (!columns.weight || variant.weight_grams == stored.weight_grams)
        && (!columns.variant_image
            || variant.image_url == stored.image_url.as_deref()
            || variant.image_url.is_some_and(is_kept))
}
