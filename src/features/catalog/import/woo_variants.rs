//! The variations of a WooCommerce product become variants, and a product without any becomes its own.

use std::collections::HashSet;

use chrono::NaiveDate;

use super::checks::{shorten, unprotected};
use super::model::{ImportedOption, ImportedVariant};
use super::number;
use super::table::Row;
use super::woo_columns::Field;
use super::woo_product::{Attribute, attributes};
use super::woo_text::list;
use super::woocommerce::File;

/// Options that the shop's pages can show.
const MAX_OPTIONS: usize = 3;

/// Whether notes that are made once a product have been made.
#[derive(Default)]
struct Notes {
    uncounted: bool,
}

pub(super) fn simple(file: &mut File, row: &Row<Field>) -> Option<ImportedVariant> {
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
pub(super) fn variants(
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
        if !met.insert(options.iter().map(|option| option.value.to_lowercase()).collect::<Vec<_>>()) {
            let message = "The product already has a variation with these attributes; this one is left out.";
            file.checks.warn(variation.number, None, message);
            continue;
        }
        let on_hand = match variation.get(Field::Stock).eq_ignore_ascii_case("parent") {
            true => shared.replace(0),
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
fn shared_stock(file: &mut File, row: &Row<Field>, live: &[(&Row<Field>, Vec<Attribute>)]) -> Option<i32> {
    if !live.iter().any(|(variation, _)| variation.get(Field::Stock).eq_ignore_ascii_case("parent")) {
        return None;
    }
    let count = file.checks.quantity(row, Field::Stock)?;
    if count > 0 && live.len() > 1 {
        let message = format!("The variations share {count} units. The first of them gets all; divide them.");
        file.checks.warn(row.number, Some(Field::Stock), message);
    }
    Some(count)
}

fn on_hand(file: &mut File, row: &Row<Field>, notes: &mut Notes) -> Option<i32> {
    if !row.get(Field::Stock).is_empty() {
        if row.get(Field::Stock).eq_ignore_ascii_case("parent") {
            return None;
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
    None
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
