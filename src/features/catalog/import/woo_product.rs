//! The rows of one WooCommerce product become the product.

use std::collections::HashSet;

use serde_json::json;

use super::checks::{distinct, shorten, some, unprotected};
use super::model::{
    FileColumns, ImportedCategory, ImportedImage, ImportedMeasures, ImportedProduct, ProductGroup, Severity,
};
use super::table::Row;
use super::woo_columns::{Field, MAX_ATTRIBUTES};
use super::woo_text::{description, list};
use super::woo_variants::{simple, variants};
use super::woocommerce::{File, Kind, kind};
use super::{html, text};

/// An attribute of a row.
pub(super) struct Attribute {
    pub(super) name: String,
    pub(super) values: Vec<String>,
}

/// Puts a product together. `variations` stand in the file's order.
pub(super) fn build(file: &mut File, row: &Row<Field>, mut variations: Vec<Row<Field>>) -> ProductGroup {
    let title = file.checks.title(row, Field::Name);
    if title.is_empty() {
        file.checks.error(row.number, Some(Field::Name), "The product has no name.");
    }
    let handle = handle(file, row, &title);
    variations.sort_by_key(|row| row.get(Field::Position).parse::<i64>().unwrap_or(0));
    let mut product = product(file, row, &variations, &handle, &title);
    if let Some(product) = &mut product {
        file.checks.finish(product);
    }
    let problems = file.checks.take_problems();
    let refused = problems.iter().any(|p| p.severity == Severity::Error);
    ProductGroup { row: row.number, handle, title: some(title), product: product.filter(|_| !refused), problems }
}

/// The name in the product's address, which the file does not have: that of its title, told apart by article number
/// or number where several have the same.
fn handle(file: &mut File, row: &Row<Field>, title: &str) -> String {
    let (sku, id) = (text::slug(&text::code(row.get(Field::Sku))), text::slug(row.get(Field::Id)));
    let own = if sku.is_empty() { id } else { sku };
    let mut handle: String = text::slug(title).chars().take(100).collect();
    if handle.is_empty() || file.shared_slugs.contains(&text::slug(title)) {
        handle = format!("{handle}-{own}");
    }
    let handle: String = handle.trim_matches('-').chars().take(120).collect();
    if handle.is_empty() {
        let message = "Neither name nor SKU nor ID has a letter a-z or digit to make an address of.";
        file.checks.error(row.number, Some(Field::Name), message);
    }
    handle.trim_matches('-').to_owned()
}

fn product(
    file: &mut File,
    row: &Row<Field>,
    variations: &[Row<Field>],
    handle: &str,
    title: &str,
) -> Option<ImportedProduct> {
    let mut is_active = is_active(file, row);
    match kind(row) {
        Kind::Grouped => {
            let message = "A grouped product only lists other products and has no price. It is not imported.";
            file.checks.error(row.number, Some(Field::Type), message);
            return None;
        }
        Kind::External => {
            let message = "The product is sold on another site, which this shop cannot do. It is imported unpublished.";
            file.checks.warn(row.number, Some(Field::Type), message);
            is_active = Some(false);
        }
        Kind::Other(kind) if variations.is_empty() => {
            let message = format!("“{}” is not a known type; it is imported as a simple product.", shorten(&kind));
            file.checks.warn(row.number, Some(Field::Type), message);
        }
        _ => {}
    }
    let own_sku = text::code(row.get(Field::Sku));
    let attributes = attributes(row);
    let (variants, used) = if variations.is_empty() && kind(row) != Kind::Variable {
        (vec![simple(file, row)?], HashSet::new())
    } else {
        variants(file, row, variations, &attributes)?
    };
    let others: serde_json::Map<String, serde_json::Value> = attributes
        .iter()
        .filter(|attribute| !used.contains(&attribute.name.to_lowercase()) && !attribute.values.is_empty())
        .map(|attribute| (attribute.name.clone(), json!(attribute.values)))
        .collect();
    let category_tree = categories(file, row);
    let tags = list(row.exact(Field::Tags)).into_iter().map(|tag| text::line(&html::to_text(&tag)));
    let number = row.get(Field::Id);
    let name = if !own_sku.is_empty() {
        own_sku.clone()
    } else if !number.is_empty() {
        format!("#{number}")
    } else {
        handle.to_owned()
    };
    let images = images(file, row);
    let checks = &mut file.checks;
    let has_measures = checks.has(Field::Width) || checks.has(Field::Length);
    Some(ImportedProduct {
        row: row.number,
        key: Some(format!("woocommerce:{name}")),
        sku: some(own_sku),
        handle: handle.to_owned(),
        title: title.to_owned(),
        description: checks.said(Field::Description, || description(row.exact(Field::Description))),
        vendor: checks.said(Field::Brands, || brand(row)),
        category: category_tree.last().map(|category| category.name.clone()),
        category_path: category_tree.iter().map(|category| category.name.clone()).collect(),
        is_without_category: false,
        category_tree,
        tags: checks.said(Field::Tags, || distinct(tags)),
        is_active,
        restores: false,
        images,
        variants,
        columns: FileColumns {
            compare_at: checks.has(Field::SalePrice),
            barcode: checks.has(Field::Gtin),
            weight: checks.has(Field::Weight),
            variant_image: checks.has(Field::Images),
            images: checks.has(Field::Images),
        },
        weave_origin: None,
        care_instructions: None,
        dispatch_time: None,
        short_description: checks.said(Field::Short, || description(row.exact(Field::Short))),
        featured: checks.flag(row, Field::Featured),
        limited: None,
        measures: has_measures.then(|| ImportedMeasures {
            width: checks.length(row, Field::Width),
            length: checks.length(row, Field::Length),
            unit: file.length_unit.clone(),
        }),
        full_story: None,
        currency: None,
        prices: None,
        metadata: (!others.is_empty()).then(|| json!({ "attributes": others }).to_string()),
    })
}

/// The first of the product's brands.
fn brand(row: &Row<Field>) -> String {
    let first = list(row.exact(Field::Brands)).into_iter().next().unwrap_or_default();
    text::line(&html::to_text(&first))
}

/// Published and shown in the catalogue.
fn is_active(file: &mut File, row: &Row<Field>) -> Option<bool> {
    if !file.checks.has(Field::Published) && !file.checks.has(Field::Visibility) {
        return None;
    }
    let published = match unprotected(row.get(Field::Published)).to_ascii_lowercase().as_str() {
        "1" | "" | "true" | "yes" => true,
        "0" | "-1" | "false" | "no" => false,
        other => {
            let message = format!("“{}” is neither 1, 0 nor -1; the product is imported unpublished.", shorten(other));
            file.checks.warn(row.number, Some(Field::Published), message);
            false
        }
    };
    if published && row.get(Field::Visibility).eq_ignore_ascii_case("hidden") {
        let message = "The product is hidden in the catalogue. It is imported unpublished.";
        file.checks.warn(row.number, Some(Field::Visibility), message);
        return Some(false);
    }
    Some(published)
}

pub(super) fn attributes(row: &Row<Field>) -> Vec<Attribute> {
    (0..MAX_ATTRIBUTES)
        .map(|n| Attribute {
            name: text::line(&html::to_text(row.get(Field::AttributeName(n)))),
            values: list(row.exact(Field::AttributeValues(n)))
                .into_iter()
                .map(|value| text::line(&html::to_text(&value)))
                .filter(|value| !value.is_empty())
                .collect(),
        })
        .filter(|attribute| !attribute.name.is_empty())
        .collect()
}

/// The first of the product's categories, with those above it.
fn categories(file: &mut File, row: &Row<Field>) -> Vec<ImportedCategory> {
    let all = list(row.exact(Field::Categories));
    if all.len() > 1 && !file.noted_categories {
        file.noted_categories = true;
        let message =
            "A product has one category here: the first is taken, the others are left out. (Said once a file.)";
        file.checks.warn(row.number, Some(Field::Categories), message);
    }
    let names =
        all.first().map(|path| path.split('>').map(|part| text::line(&html::to_text(part))).collect::<Vec<_>>());
    let names: Vec<String> = names.unwrap_or_default().into_iter().filter(|name| !name.is_empty()).collect();
    names.into_iter().map(|name| ImportedCategory { name, slug: None }).collect()
}

fn images(file: &mut File, row: &Row<Field>) -> Vec<ImportedImage> {
    let mut images: Vec<ImportedImage> = Vec::new();
    for url in list(row.exact(Field::Images)) {
        let Some(url) = file.checks.image_url(row.number, Field::Images, &url) else { continue };
        if images.iter().all(|image| image.url != url) {
            let position = u32::try_from(images.len().saturating_add(1)).unwrap_or(u32::MAX);
            images.push(ImportedImage { row: row.number, url, alt: None, kind: None, position });
        }
    }
    images
}
