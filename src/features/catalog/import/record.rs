//! A product as AGAPE itself writes it: one line of JSON, or the rows of a CSV file. What is written is read again to
//! the letter.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::checks::{Checks, some};
use super::model::{
    FileColumns, ImportedCategory, ImportedImage, ImportedMeasures, ImportedOption, ImportedPrices, ImportedProduct,
    ImportedVariant, ProductGroup, Severity,
};
use super::record_columns::Field;
use crate::platform::money::Amount;

/// A product.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Record {
    /// Its name in addresses, by which it is found again.
    pub slug: String,
    /// Its article number; made of the slug when left out.
    #[serde(default)]
    pub sku: String,
    /// Its name.
    pub title: String,
    /// One or two sentences.
    #[serde(default)]
    pub short_description: String,
    /// The description.
    #[serde(default)]
    pub description: String,
    /// The long text.
    #[serde(default)]
    pub full_story: String,
    /// Three letters; the shop's when left out.
    #[serde(default)]
    pub currency: Option<String>,
    /// The price in main units; the cheapest variant's when left out.
    #[serde(default)]
    pub price: Option<Amount>,
    /// The price before a reduction.
    #[serde(default)]
    pub compare_at_price: Option<Amount>,
    /// The category, after those above it.
    #[serde(default)]
    pub category: Vec<RecordCategory>,
    /// Who makes it.
    #[serde(default)]
    pub vendor: Option<String>,
    /// Tags in their order.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Grams.
    #[serde(default)]
    pub weight: Option<i32>,
    /// In `dimensionUnit`.
    #[serde(default)]
    pub width: Option<f64>,
    /// In `dimensionUnit`.
    #[serde(default)]
    pub length: Option<f64>,
    /// The unit of width and length; `inches` when left out.
    #[serde(default)]
    pub dimension_unit: String,
    /// Where it was made.
    #[serde(default)]
    pub weave_origin: String,
    /// How to look after it.
    #[serde(default)]
    pub care_instructions: String,
    /// How soon it leaves the shop.
    #[serde(default)]
    pub dispatch_time: String,
    /// Whether the shop puts it forward.
    #[serde(default)]
    pub is_featured: bool,
    /// Whether it is a limited edition.
    #[serde(default)]
    pub is_limited: bool,
    /// Whether shoppers may see it; true when left out.
    #[serde(default = "yes")]
    pub is_active: bool,
    /// Whether a product that was removed from the shop comes back. No export says so.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub restore: bool,
    /// A JSON object.
    #[serde(default)]
    pub metadata: Option<Box<RawValue>>,
    /// Pictures in their order.
    #[serde(default)]
    pub images: Vec<RecordImage>,
    /// At least one, in their order.
    pub variants: Vec<RecordVariant>,
}

/// A category.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordCategory {
    /// Its name in addresses.
    pub slug: String,
    /// What it is called.
    pub name: String,
}

/// A picture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordImage {
    /// An address, or a path on the shop's server that starts with `/media/`.
    pub url: String,
    /// What it shows.
    #[serde(default)]
    pub alt: String,
    /// `main`, `detail`, `lifestyle` or `texture`; the first is `main` and the others `detail` when left out.
    #[serde(default)]
    pub r#type: String,
}

/// A variant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RecordVariant {
    /// Its article number.
    #[serde(default)]
    pub sku: String,
    /// What it is among the product's variants.
    #[serde(default)]
    pub options: Vec<ImportedOption>,
    /// The price in main units.
    pub price: Amount,
    /// The price before a reduction.
    #[serde(default)]
    pub compare_at_price: Option<Amount>,
    /// EAN, UPC or similar.
    #[serde(default)]
    pub barcode: Option<String>,
    /// Grams.
    #[serde(default)]
    pub weight: Option<i32>,
    /// The picture that shows it.
    #[serde(default)]
    pub image: Option<String>,
    /// Units on hand. Only new variants get them.
    #[serde(default)]
    pub stock: Option<i32>,
}

fn yes() -> bool {
    true
}

/// The rows that the parts of a record came from.
pub(super) struct Places {
    pub(super) first: u64,
    pub(super) images: Vec<u64>,
    pub(super) variants: Vec<u64>,
}

/// Checks a record and turns it into what is imported.
pub(super) fn finish(checks: &mut Checks<Field>, record: Option<Record>, slug: &str, places: &Places) -> ProductGroup {
    let title = record.as_ref().and_then(|record| some(record.title.clone()));
    let product = record.map(|record| {
        check(checks, &record, places);
        let mut product = product(checks, record, places);
        checks.finish(&mut product);
        product
    });
    let problems = checks.take_problems();
    let refused = problems.iter().any(|problem| problem.severity == Severity::Error);
    ProductGroup { row: places.first, handle: slug.to_owned(), title, product: product.filter(|_| !refused), problems }
}

/// What the rules for all products do not cover.
fn check(checks: &mut Checks<Field>, record: &Record, places: &Places) {
    for (image, row) in record.images.iter().zip(&places.images) {
        if !matches!(image.r#type.as_str(), "" | "main" | "detail" | "lifestyle" | "texture") {
            let message = "The type must be main, detail, lifestyle or texture.";
            checks.error(*row, Some(Field::ImageType), message);
        }
    }
    if record.variants.is_empty() {
        checks.error(places.first, Some(Field::VariantSku), "The product has no variant.");
    }
    let mut met = std::collections::HashSet::new();
    for (variant, row) in record.variants.iter().zip(&places.variants) {
        let values = variant.options.iter().map(|option| (&option.name, option.value.to_lowercase()));
        if !met.insert(values.collect::<Vec<_>>()) {
            let message = "The product already has a variant with these options further up.";
            checks.error(*row, Some(Field::OptionValue(0)), message);
        }
        if !variant.sku.is_empty() {
            checks.claim_sku(*row, Some(Field::VariantSku), &variant.sku);
        }
    }
}

fn product(checks: &Checks<Field>, record: Record, places: &Places) -> ImportedProduct {
    // A line of JSON has everything; of a table, only what has a column is said.
    let said = |field: Field, text: String| checks.has(field).then_some(text);
    let cheapest = record.variants.iter().min_by_key(|variant| variant.price);
    let prices = ImportedPrices {
        price_minor: record.price.or(cheapest.map(|variant| variant.price)).unwrap_or_default().0,
        compare_at_minor: checks.has(Field::CompareAtPrice).then(|| record.compare_at_price.map(|price| price.0)),
        weight_grams: checks.has(Field::Weight).then_some(record.weight),
    };
    let has_measures = [Field::Width, Field::Length, Field::DimensionUnit].into_iter().any(|field| checks.has(field));
    ImportedProduct {
        row: places.first,
        key: None,
        sku: some(record.sku),
        handle: record.slug,
        title: record.title,
        description: said(Field::Description, record.description),
        vendor: said(Field::Vendor, record.vendor.unwrap_or_default()),
        category: record.category.last().map(|category| category.name.clone()),
        category_path: record.category.iter().map(|category| category.name.clone()).collect(),
        is_without_category: record.category.is_empty() && checks.has(Field::Category),
        category_tree: record
            .category
            .into_iter()
            .map(|category| ImportedCategory { name: category.name, slug: Some(category.slug) })
            .collect(),
        tags: checks.has(Field::Tags).then_some(record.tags),
        is_active: checks.has(Field::Active).then_some(record.is_active),
        restores: record.restore,
        images: record
            .images
            .into_iter()
            .zip(&places.images)
            .zip(1..)
            .map(|((image, row), position)| ImportedImage {
                row: *row,
                url: image.url,
                alt: Some(image.alt),
                kind: some(image.r#type),
                position,
            })
            .collect(),
        variants: record
            .variants
            .into_iter()
            .zip(&places.variants)
            .map(|(variant, row)| ImportedVariant {
                row: *row,
                sku: some(variant.sku),
                options: variant.options,
                price_minor: variant.price.0,
                compare_at_minor: variant.compare_at_price.map(|price| price.0),
                on_hand: variant.stock,
                weight_grams: variant.weight,
                barcode: variant.barcode,
                image_url: variant.image,
            })
            .collect(),
        columns: FileColumns {
            compare_at: checks.has(Field::VariantCompareAtPrice),
            barcode: checks.has(Field::VariantBarcode),
            weight: checks.has(Field::VariantWeight),
            variant_image: checks.has(Field::VariantImage),
            images: checks.has(Field::ImageUrl),
        },
        weave_origin: said(Field::WeaveOrigin, record.weave_origin),
        care_instructions: said(Field::CareInstructions, record.care_instructions),
        dispatch_time: said(Field::DispatchTime, record.dispatch_time),
        short_description: said(Field::ShortDescription, record.short_description),
        featured: checks.has(Field::Featured).then_some(record.is_featured),
        limited: checks.has(Field::Limited).then_some(record.is_limited),
        measures: has_measures.then_some(ImportedMeasures {
            width: record.width,
            length: record.length,
            unit: record.dimension_unit,
        }),
        full_story: said(Field::FullStory, record.full_story),
        currency: record.currency,
        prices: Some(prices),
        metadata: record.metadata.map(|metadata| metadata.get().to_owned()),
    }
}
