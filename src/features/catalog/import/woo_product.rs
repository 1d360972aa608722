//! The rows of one WooCommerce product become the product.

use std::collections::HashSet;

use chrono::NaiveDate;
use serde_json::json;

use super::checks::{MAX_CATEGORY, MAX_NAME, shorten, some, unprotected};
use super::model::{
    ImportedCategory, ImportedImage, ImportedOption, ImportedProduct, ImportedVariant, ProductGroup, Severity,
};
use super::table::Row;
use super::woo_columns::{Field, MAX_ATTRIBUTES};
use super::woo_text::{description, list};
use super::woocommerce::{File, Kind, kind};
use super::{number, text};

/// Options that the shop's pages can show.
const MAX_OPTIONS: usize = 3;

/// An attribute of a row.
struct Attribute {
    name: String,
    values: Vec<String>,
}

/// Whether notes that are made once a product have been made.
#[derive(Default)]
struct Notes {
    uncounted: bool,
}

/// Puts a product together. `variations` stand in the file's order.
pub(super) fn build(file: &mut File, row: &Row<Field>, mut variations: Vec<Row<Field>>) -> ProductGroup {
    let title = file.checks.title(row, Field::Name);
    if title.is_empty() {
        file.checks.error(row.number, Some(Field::Name), "The product has no name.");
    }
    let handle = handle(file, row, &title);
    variations.sort_by_key(|row| row.get(Field::Position).parse::<i64>().unwrap_or(0));
    let product = product(file, row, &variations, &handle, &title);
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
    let handle: String = handle.trim_matches('-').chars().take(200).collect();
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
            is_active = false;
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
    let tags = list(row.exact(Field::Tags)).into_iter().map(|tag| text::line(&text::html_to_text(&tag)));
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
    Some(ImportedProduct {
        row: row.number,
        key: Some(format!("woocommerce:{name}")),
        sku: some(own_sku).filter(|sku| sku.chars().count() <= super::checks::MAX_SKU),
        handle: handle.to_owned(),
        title: title.to_owned(),
        description: description(row.exact(Field::Description)),
        vendor: list(row.exact(Field::Brands)).into_iter().next().map(|brand| text::line(&text::html_to_text(&brand))),
        category: category_tree.last().map(|category| category.name.clone()),
        category_path: category_tree.iter().map(|category| category.name.clone()).collect(),
        category_tree,
        tags: checks.tags(row.number, Field::Tags, tags),
        is_active,
        images,
        variants,
        weave_origin: None,
        care_instructions: None,
        dispatch_time: None,
        short_description: some(description(row.exact(Field::Short))),
        featured: checks.truth(row, Field::Featured),
        limited: None,
        width: checks.length(row, Field::Width),
        length: checks.length(row, Field::Length),
        dimension_unit: some(file.length_unit.clone()),
        full_story: None,
        currency: None,
        prices: None,
        metadata: (!others.is_empty()).then(|| json!({ "attributes": others }).to_string()),
    })
}

/// Published and shown in the catalogue.
fn is_active(file: &mut File, row: &Row<Field>) -> bool {
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
        return false;
    }
    published
}

fn attributes(row: &Row<Field>) -> Vec<Attribute> {
    (0..MAX_ATTRIBUTES)
        .map(|n| Attribute {
            name: text::line(&text::html_to_text(row.get(Field::AttributeName(n)))),
            values: list(row.exact(Field::AttributeValues(n)))
                .into_iter()
                .map(|value| text::line(&text::html_to_text(&value)))
                .filter(|value| !value.is_empty())
                .collect(),
        })
        .filter(|attribute| !attribute.name.is_empty())
        .collect()
}

fn simple(file: &mut File, row: &Row<Field>) -> Option<ImportedVariant> {
    let on_hand = on_hand(file, row, &mut Notes::default());
    let weight_grams = weight(file, row);
    let (price_minor, compare_at_minor) = price(file, row)?;
    Some(ImportedVariant {
        row: row.number,
        sku: file.checks.sku(row, Field::Sku),
        options: Vec::new(),
        price_minor,
        compare_at_minor,
        on_hand,
        weight_grams,
        barcode: file.checks.barcode(row, Field::Gtin),
        image_url: None,
    })
}

/// The variants, and the names in lower case of the attributes in which they differ.
fn variants(
    file: &mut File,
    row: &Row<Field>,
    variations: &[Row<Field>],
    attributes_of_all: &[Attribute],
) -> Option<(Vec<ImportedVariant>, HashSet<String>)> {
    let mut live = Vec::new();
    for variation in variations {
        if matches!(unprotected(variation.get(Field::Published)), "0" | "-1") {
            file.checks.warn(
                variation.number,
                Some(Field::Published),
                "The variation is switched off; it is left out.",
            );
        } else if variation.get(Field::Price).is_empty() && variation.get(Field::SalePrice).is_empty() {
            let message = "The variation has no price, so nobody could buy it; it is left out.";
            file.checks.warn(variation.number, Some(Field::Price), message);
        } else {
            live.push((variation, attributes(variation)));
        }
    }
    if live.is_empty() {
        file.checks.error(row.number, Some(Field::Type), "The product has no variation that can be bought.");
        return None;
    }
    // In the order of the product's own attributes, and in its spelling; after them what only variations name.
    let mut names: Vec<String> = attributes_of_all.iter().map(|attribute| attribute.name.clone()).collect();
    for attribute in live.iter().flat_map(|(_, attributes)| attributes) {
        if !names.iter().any(|name| name.to_lowercase() == attribute.name.to_lowercase()) {
            names.push(attribute.name.clone());
        }
    }
    let value = |attributes: &[Attribute], name: &str| {
        let found = attributes.iter().find(|attribute| attribute.name.to_lowercase() == name.to_lowercase());
        found.filter(|attribute| !attribute.values.is_empty()).map(|attribute| attribute.values.join(", "))
    };
    names.retain(|name| live.iter().any(|(_, attributes)| value(attributes, name).is_some()));
    for (variation, attributes) in &live {
        for attribute in attributes {
            let is_open = attribute.values.is_empty()
                && attributes_of_all.iter().any(|of_all| {
                    of_all.name.to_lowercase() == attribute.name.to_lowercase() && of_all.values.len() > 1
                });
            if is_open {
                let message = format!(
                    "The variation stands for every “{}”. Here it is one variant; add others for the choices.",
                    shorten(&attribute.name)
                );
                file.checks.warn(variation.number, None, message);
            }
        }
    }
    if names.len() > MAX_OPTIONS {
        let message =
            format!("The variations differ in {} attributes; the shop can show at most {MAX_OPTIONS}.", names.len());
        file.checks.error(row.number, None, message);
        return None;
    }
    let mut notes = Notes::default();
    let mut shared = shared_stock(file, row, &live);
    let (mut variants, mut met) = (Vec::new(), HashSet::new());
    for (variation, attributes) in &live {
        let options: Vec<ImportedOption> = names
            .iter()
            .map(|name| ImportedOption {
                name: name.clone(),
                value: value(attributes, name).unwrap_or_else(|| "Any".into()),
            })
            .collect();
        if options.iter().any(|option| option.name.chars().count().max(option.value.chars().count()) > MAX_NAME) {
            let message = format!("An attribute has more than {MAX_NAME} characters. Shorten it.");
            file.checks.error(variation.number, None, message);
        }
        if !met.insert(options.iter().map(|option| option.value.to_lowercase()).collect::<Vec<_>>()) {
            let message = "The product already has a variation with these attributes; this one is left out.";
            file.checks.warn(variation.number, None, message);
            continue;
        }
        let on_hand = match variation.get(Field::Stock).eq_ignore_ascii_case("parent") {
            true => std::mem::take(&mut shared),
            false => on_hand(file, variation, &mut notes),
        };
        let weight_grams = match variation.get(Field::Weight) {
            "" => weight(file, row),
            _ => weight(file, variation),
        };
        let Some((price_minor, compare_at_minor)) = price(file, variation) else { continue };
        let image = list(variation.exact(Field::Images)).into_iter().next().unwrap_or_default();
        variants.push(ImportedVariant {
            row: variation.number,
            sku: file.checks.sku(variation, Field::Sku),
            options,
            price_minor,
            compare_at_minor,
            on_hand,
            weight_grams,
            barcode: file.checks.barcode(variation, Field::Gtin),
            image_url: file.checks.image_url(variation.number, Field::Images, &image),
        });
    }
    Some((variants, names.iter().map(|name| name.to_lowercase()).collect()))
}

/// What the product counts for all its variations together. The first of them gets it, so that it is not sold twice.
fn shared_stock(file: &mut File, row: &Row<Field>, live: &[(&Row<Field>, Vec<Attribute>)]) -> i32 {
    if !live.iter().any(|(variation, _)| variation.get(Field::Stock).eq_ignore_ascii_case("parent")) {
        return 0;
    }
    let count = file.checks.quantity(row, Field::Stock);
    if count > 0 && live.len() > 1 {
        let message = format!("The variations share {count} units. The first of them gets all; divide them.");
        file.checks.warn(row.number, Some(Field::Stock), message);
    }
    count
}

fn on_hand(file: &mut File, row: &Row<Field>, notes: &mut Notes) -> i32 {
    if !row.get(Field::Stock).is_empty() {
        if row.get(Field::Stock).eq_ignore_ascii_case("parent") {
            return 0;
        }
        return file.checks.quantity(row, Field::Stock);
    }
    // WooCommerce sells what it does not count without end; here it is 0.
    let is_sold = !matches!(row.get(Field::InStock).to_ascii_lowercase().as_str(), "0" | "no" | "outofstock");
    if is_sold && !notes.uncounted {
        notes.uncounted = true;
        let message = "WooCommerce does not count this product's stock: it will be sold out here until a quantity is \
                       set. (Said once a product.)";
        file.checks.warn(row.number, Some(Field::Stock), message);
    }
    0
}

fn weight(file: &mut File, row: &Row<Field>) -> Option<i32> {
    let written = row.get(Field::Weight);
    if written.is_empty() {
        return None;
    }
    let grams = number::weight(written, &file.weight_unit);
    if grams.is_none() {
        let message = format!("“{}” is not a weight; it is left out.", shorten(written));
        file.checks.warn(row.number, Some(Field::Weight), message);
    }
    grams.filter(|grams| *grams > 0)
}

/// The price of today, and the one before a reduction.
fn price(file: &mut File, row: &Row<Field>) -> Option<(i64, Option<i64>)> {
    let today = file.today;
    if row.get(Field::SalePrice).is_empty() {
        return file.checks.price(row, Field::Price).map(|price| (price, None));
    }
    if row.get(Field::Price).is_empty() {
        return file.checks.price(row, Field::SalePrice).map(|price| (price, None));
    }
    let (sale, regular) = (file.checks.amount(row, Field::SalePrice), file.checks.price(row, Field::Price));
    let (sale, regular) = (sale?, regular?);
    let mut is_on = sale < regular;
    for (field, is_start) in [(Field::SaleFrom, true), (Field::SaleTo, false)] {
        let written = row.get(field);
        if written.is_empty() {
            continue;
        }
        match written.get(..10).and_then(|day| NaiveDate::parse_from_str(day, "%Y-%m-%d").ok()) {
            Some(day) => is_on &= if is_start { day <= today } else { today <= day },
            None => {
                let message =
                    format!("“{}” is not a date such as 2026-01-31; the regular price is taken.", shorten(written));
                file.checks.warn(row.number, Some(field), message);
                is_on = false;
            }
        }
    }
    Some(if is_on { (sale, Some(regular)) } else { (regular, None) })
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
        all.first().map(|path| path.split('>').map(|part| text::line(&text::html_to_text(part))).collect::<Vec<_>>());
    let names: Vec<String> = names.unwrap_or_default().into_iter().filter(|name| !name.is_empty()).collect();
    if names.iter().any(|name| name.chars().count() > MAX_CATEGORY) {
        let message = format!("The category has more than {MAX_CATEGORY} characters. Shorten it.");
        file.checks.error(row.number, Some(Field::Categories), message);
    }
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
