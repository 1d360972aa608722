//! What the shop refuses of a product, whoever brings it: the rules of the API, applied to what a file says.

use serde_json::Value;

use super::model::{ImportedProduct, ImportedVariant};
use super::skus;
use crate::features::catalog::model::{Dimensions, OptionValue};
use crate::features::catalog::rules::{
    Barcode, CategoryName, Details, Faults, Grams, Metadata, RESERVED_CATEGORIES, Sku, Stock, Tag, Title,
    VariantDetails, Vendor, is_reserved,
};
use crate::platform::checked::{Prose, Slug};
use crate::platform::error::FieldError;
use crate::platform::money::Amount;

/// What is wrong with a product. Fields are called as in the API, `variants[2].sku` and so on.
pub(super) fn faults(product: &ImportedProduct) -> Vec<FieldError> {
    let mut faults = Faults::default();
    faults.parse::<Title>("title", &product.title);
    faults.parse::<Slug>("slug", &product.handle);
    faults.parse::<Sku>("sku", &skus::of_product(product));
    if let Some(vendor) = product.vendor.as_ref().filter(|vendor| !vendor.is_empty()) {
        faults.parse::<Vendor>("vendor", vendor);
    }
    for tag in product.tags.iter().flatten() {
        faults.parse::<Tag>("tags", tag);
    }
    details(&mut faults, product);
    categories(&mut faults, product);
    faults.images(product.images.iter().map(|image| image.url.as_str()));
    for (i, image) in product.images.iter().enumerate() {
        if let Some(alt) = &image.alt {
            faults.parse::<Prose<300>>(&format!("images[{i}].alt"), alt);
        }
    }
    variants(&mut faults, product);
    let mut faults = faults.into_inner();
    // A tag and its like may be wrong many times in one way.
    faults.dedup();
    faults
}

fn details(faults: &mut Faults, product: &ImportedProduct) {
    prose::<1000>(faults, "shortDescription", product.short_description.as_ref());
    prose::<50_000>(faults, "description", product.description.as_ref());
    prose::<50_000>(faults, "fullStory", product.full_story.as_ref());
    prose::<200>(faults, "weaveOrigin", product.weave_origin.as_ref());
    prose::<2000>(faults, "careInstructions", product.care_instructions.as_ref());
    prose::<200>(faults, "dispatchTime", product.dispatch_time.as_ref());
    if let Some(json) = &product.metadata {
        faults.valid("metadata", Metadata::try_from(serde_json::from_str::<Value>(json).unwrap_or_default()));
    }
    let prices = product.prices.as_ref();
    weight(faults, "weight", prices.and_then(|prices| prices.weight_grams.flatten()));
    let dimensions = product.measures.as_ref().map(|measures| Dimensions {
        width: measures.width,
        length: measures.length,
        unit: measures.unit.clone(),
    });
    faults.details(&Details {
        slug: Some(&product.handle),
        price: prices.map(|prices| Amount(prices.price_minor)),
        compare_at_price: prices.and_then(|prices| prices.compare_at_minor.flatten()).map(Amount),
        tags: product.tags.as_ref().map_or(0, Vec::len),
        dimensions: dimensions.as_ref(),
    });
}

fn prose<const MAX: usize>(faults: &mut Faults, field: &str, text: Option<&String>) {
    if let Some(text) = text {
        faults.parse::<Prose<MAX>>(field, text);
    }
}

fn weight(faults: &mut Faults, field: &str, grams: Option<i32>) {
    if let Some(grams) = grams {
        faults.valid(field, Grams::try_from(i64::from(grams)));
    }
}

fn categories(faults: &mut Faults, product: &ImportedProduct) {
    for category in &product.category_tree {
        faults.parse::<CategoryName>("category", &category.name);
        if let Some(slug) = &category.slug {
            let fits = slug.parse::<Slug>().is_ok() && !is_reserved(slug, RESERVED_CATEGORIES);
            faults.check(
                fits,
                "category",
                "must have slugs of lower-case letters and digits, joined by single hyphens",
            );
        }
    }
}

fn variants(faults: &mut Faults, product: &ImportedProduct) {
    for (i, variant) in product.variants.iter().enumerate() {
        let at = |field: &str| format!("variants[{i}].{field}");
        if let Some(barcode) = &variant.barcode {
            faults.parse::<Barcode>(&at("barcode"), barcode);
        }
        weight(faults, &at("weight"), variant.weight_grams);
        faults.valid(&at("inventory"), Stock::try_from(i64::from(variant.on_hand.unwrap_or_default())));
    }
    let skus = skus::of_variants(product);
    for (i, sku) in skus.iter().enumerate() {
        faults.parse::<Sku>(&format!("variants[{i}].sku"), sku);
    }
    if let [only] = product.variants.as_slice()
        && only.options.is_empty()
    {
        let price = Some(Amount(only.price_minor));
        faults.image("variants[0].image", only.image_url.as_deref());
        faults.compare_at("variants[0].compareAtPrice", only.compare_at_minor.map(Amount), price);
        return;
    }
    let options: Vec<Vec<OptionValue>> = product.variants.iter().map(options).collect();
    let details: Vec<_> = product
        .variants
        .iter()
        .zip(&skus)
        .zip(&options)
        .map(|((variant, sku), options)| VariantDetails {
            sku,
            options,
            price: Amount(variant.price_minor),
            compare_at_price: variant.compare_at_minor.map(Amount),
            image: variant.image_url.as_deref(),
        })
        .collect();
    faults.variants(&details);
}

fn options(variant: &ImportedVariant) -> Vec<OptionValue> {
    let option =
        |option: &super::model::ImportedOption| OptionValue { name: option.name.clone(), value: option.value.clone() };
    variant.options.iter().map(option).collect()
}
