//! A product as AGAPE itself writes it: one line of JSON, or the rows of a CSV file. What is written is read again to
//! the letter.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::checks::{Checks, MAX_CATEGORY, MAX_NAME, MAX_SKU, MAX_TAGS, MAX_TITLE, some};
use super::model::{
    ImportedCategory, ImportedImage, ImportedOption, ImportedPrices, ImportedProduct, ImportedVariant, ProductGroup,
    Severity,
};
use super::record_columns::Field;
use super::text;
use crate::platform::money::Amount;

const MAX_HANDLE: usize = 200;
const MAX_OPTIONS: usize = 3;
const MAX_METADATA_BYTES: usize = 64 * 1024;

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
    pub stock: i32,
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
    let title = record.as_ref().map(|record| record.title.clone());
    if let Some(record) = &record {
        check(checks, record, places);
    }
    let problems = checks.take_problems();
    let refused = problems.iter().any(|problem| problem.severity == Severity::Error);
    let product = record.filter(|_| !refused).map(|record| product(record, places));
    ProductGroup { row: places.first, handle: slug.to_owned(), title: title.and_then(some), product, problems }
}

fn check(checks: &mut Checks<Field>, record: &Record, places: &Places) {
    let first = places.first;
    let mut fault = |wrong: bool, row: u64, field: Field, message: &str| {
        if wrong {
            checks.error(row, Some(field), message);
        }
    };
    let long = |text: &str, most: usize| text.chars().count() > most;
    fault(
        record.slug.is_empty() || record.slug != text::slug(&record.slug) || record.slug.len() > MAX_HANDLE,
        first,
        Field::Slug,
        "The slug must have lower-case letters a-z and digits, joined by single hyphens, 200 at most.",
    );
    fault(
        record.title.is_empty() || long(&record.title, MAX_TITLE),
        first,
        Field::Title,
        "The title must have 1 to 200 characters.",
    );
    fault(long(&record.sku, MAX_SKU), first, Field::Sku, "The article number must have at most 64 characters.");
    fault(record.tags.len() > MAX_TAGS, first, Field::Tags, "The product may have at most 100 tags.");
    fault(
        record.tags.iter().any(|tag| tag.is_empty() || long(tag, MAX_NAME)),
        first,
        Field::Tags,
        "A tag must have 1 to 200 characters.",
    );
    for (field, text, most) in [
        (Field::Vendor, record.vendor.as_deref().unwrap_or_default(), MAX_NAME),
        (Field::ShortDescription, &record.short_description, 1_000),
        (Field::DimensionUnit, &record.dimension_unit, 20),
        (Field::WeaveOrigin, &record.weave_origin, MAX_NAME),
        (Field::CareInstructions, &record.care_instructions, 2_000),
        (Field::DispatchTime, &record.dispatch_time, MAX_NAME),
        (Field::Description, &record.description, 50_000),
        (Field::FullStory, &record.full_story, 50_000),
    ] {
        fault(long(text, most), first, field, &format!("The text must have at most {most} characters."));
    }
    fault(record.weight.is_some_and(|grams| grams < 0), first, Field::Weight, "A weight is 0 or more grams.");
    for (field, size) in [(Field::Width, record.width), (Field::Length, record.length)] {
        let wrong = size.is_some_and(|size| !(0.0..=1e6).contains(&size));
        fault(wrong, first, field, "A size is between 0 and 1000000.");
    }
    let is_object = |metadata: &RawValue| {
        metadata.get().len() <= MAX_METADATA_BYTES
            && serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(metadata.get()).is_ok()
    };
    fault(
        record.metadata.as_deref().is_some_and(|metadata| !is_object(metadata)),
        first,
        Field::Metadata,
        "The metadata must be a JSON object of at most 64 KB.",
    );
    fault(
        record.category.iter().any(|category| {
            category.name.is_empty()
                || long(&category.name, MAX_CATEGORY)
                || category.slug != text::slug(&category.slug)
                || category.slug.is_empty()
        }),
        first,
        Field::Category,
        "Each category must have a slug of a-z, 0-9 and hyphens, and a name of 1 to 120 characters.",
    );
    for (image, row) in record.images.iter().zip(&places.images) {
        if let Err(reason) = text::check_image_url(&image.url) {
            fault(true, *row, Field::ImageUrl, &format!("The picture's address {reason}."));
        }
        fault(
            !matches!(image.r#type.as_str(), "" | "main" | "detail" | "lifestyle" | "texture"),
            *row,
            Field::ImageType,
            "The type must be main, detail, lifestyle or texture.",
        );
    }
    fault(record.variants.is_empty(), first, Field::VariantSku, "The product has no variant.");
    let mut met = std::collections::HashSet::new();
    for (variant, row) in record.variants.iter().zip(&places.variants) {
        let row = *row;
        fault(
            long(&variant.sku, MAX_SKU),
            row,
            Field::VariantSku,
            "The article number must have at most 64 characters.",
        );
        fault(
            variant.options.len() > MAX_OPTIONS
                || variant.options.iter().any(|option| {
                    option.name.is_empty()
                        || option.value.is_empty()
                        || long(&option.name, MAX_NAME)
                        || long(&option.value, MAX_NAME)
                }),
            row,
            Field::OptionValue(0),
            "A variant has at most three options, each with a name and a value of at most 200 characters.",
        );
        fault(
            !met.insert(&variant.options),
            row,
            Field::OptionValue(0),
            "The product already has a variant with these options further up.",
        );
        fault(
            long(variant.barcode.as_deref().unwrap_or_default(), MAX_NAME),
            row,
            Field::VariantBarcode,
            "The barcode is too long.",
        );
        fault(variant.weight.is_some_and(|grams| grams < 0), row, Field::VariantWeight, "A weight is 0 or more grams.");
        fault(
            !(0..=1_000_000_000).contains(&variant.stock),
            row,
            Field::VariantStock,
            "The stock is between 0 and 1000000000.",
        );
        if let Some(Err(reason)) = variant.image.as_deref().map(text::check_image_url) {
            fault(true, row, Field::VariantImage, &format!("The picture's address {reason}."));
        }
    }
    for (variant, row) in record.variants.iter().zip(&places.variants) {
        if !variant.sku.is_empty() {
            checks.claim_sku(*row, Some(Field::VariantSku), &variant.sku);
        }
    }
}

fn product(record: Record, places: &Places) -> ImportedProduct {
    let cheapest = record.variants.iter().map(|variant| variant.price).min().unwrap_or_default();
    ImportedProduct {
        row: places.first,
        key: None,
        sku: some(record.sku),
        handle: record.slug,
        title: record.title,
        description: record.description,
        vendor: record.vendor,
        category: record.category.last().map(|category| category.name.clone()),
        category_path: record.category.iter().map(|category| category.name.clone()).collect(),
        category_tree: record
            .category
            .into_iter()
            .map(|category| ImportedCategory { name: category.name, slug: Some(category.slug) })
            .collect(),
        tags: record.tags,
        is_active: record.is_active,
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
        weave_origin: Some(record.weave_origin),
        care_instructions: Some(record.care_instructions),
        dispatch_time: Some(record.dispatch_time),
        short_description: Some(record.short_description),
        featured: Some(record.is_featured),
        limited: Some(record.is_limited),
        width: record.width,
        length: record.length,
        dimension_unit: some(record.dimension_unit),
        full_story: Some(record.full_story),
        currency: record.currency,
        prices: Some(ImportedPrices {
            price_minor: record.price.unwrap_or(cheapest).0,
            compare_at_minor: record.compare_at_price.map(|price| price.0),
            weight_grams: record.weight,
        }),
        metadata: record.metadata.map(|metadata| metadata.get().to_owned()),
    }
}
