//! AGAPE's own product CSV: a product is a group of rows with one slug. The first says what the product is; each row
//! can have a variant and a picture.
//!
//! A cell that a spreadsheet would run as a formula, and one that starts with an apostrophe, is written with an
//! apostrophe in front, and read without it. In lists `\,` and `\>` are the characters themselves.

use std::collections::HashMap;
use std::io::{Read, Write};

use super::checks::{Checks, shorten, some};
use super::model::{FileProblem, ImportedOption, ProductGroup};
use super::record::{Places, Record, RecordCategory, RecordImage, RecordVariant, finish};
use super::record_columns::{FIELDS, Field};
use super::table::{Row, Table};
use crate::platform::csv::{protect, unprotect};
use crate::platform::money::Amount;

/// Rows of one product that are looked at.
const MAX_ROWS: usize = 5_000;

/// Joins a list into one cell.
fn join<'a>(parts: impl IntoIterator<Item = &'a str>, separator: char) -> String {
    let mut out = String::new();
    for (n, part) in parts.into_iter().enumerate() {
        if n > 0 {
            out.push(separator);
        }
        for c in part.chars() {
            if c == '\\' || c == separator {
                out.push('\\');
            }
            out.push(c);
        }
    }
    out
}

/// What [`join`] joined. An empty cell is an empty list.
fn split(cell: &str, separator: char) -> Vec<String> {
    if cell.is_empty() {
        return Vec::new();
    }
    let (mut parts, mut part) = (Vec::new(), String::new());
    let mut chars = cell.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => part.extend(chars.next()),
            c if c == separator => parts.push(std::mem::take(&mut part)),
            c => part.push(c),
        }
    }
    parts.push(part);
    parts
}

/// Writes products as CSV.
pub struct RecordWriter<W: Write> {
    csv: csv::Writer<W>,
}

impl<W: Write> std::fmt::Debug for RecordWriter<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RecordWriter")
    }
}

impl<W: Write> RecordWriter<W> {
    /// Writes into `out`, the heading row first if `headings`.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn new(out: W, headings: bool) -> std::io::Result<Self> {
        let mut csv = csv::Writer::from_writer(out);
        if headings {
            csv.write_record(FIELDS.iter().map(|(_, heading)| heading))?;
        }
        Ok(Self { csv })
    }

    /// Writes a product's rows.
    ///
    /// # Errors
    /// Those of the output.
    pub fn write(&mut self, record: &Record) -> std::io::Result<()> {
        let rows = record.variants.len().max(record.images.len()).max(1);
        for n in 0..rows {
            let (variant, image) = (record.variants.get(n), record.images.get(n));
            let cells = FIELDS.iter().map(|(field, _)| cell(*field, record, n == 0, variant, image));
            self.csv.write_record(cells)?;
        }
        Ok(())
    }

    /// Hands out what was written.
    ///
    /// # Errors
    /// Those of the output.
    pub fn into_inner(self) -> std::io::Result<W> {
        self.csv.into_inner().map_err(|error| std::io::Error::other(error.to_string()))
    }
}

fn cell(
    field: Field,
    record: &Record,
    is_first: bool,
    variant: Option<&RecordVariant>,
    image: Option<&RecordImage>,
) -> String {
    fn shown<T: ToString>(value: Option<T>) -> String {
        value.map(|value| value.to_string()).unwrap_or_default()
    }
    let truth = |value: bool| if value { "TRUE" } else { "FALSE" }.to_owned();
    let option = |n: usize| variant.and_then(|variant| variant.options.get(n));
    match field {
        Field::Slug => record.slug.clone(),
        Field::OptionName(n) => protect(option(n).map_or("", |option| &option.name)),
        Field::OptionValue(n) => protect(option(n).map_or("", |option| &option.value)),
        Field::VariantSku => protect(variant.map_or("", |variant| &variant.sku)),
        Field::VariantPrice => shown(variant.map(|variant| variant.price)),
        Field::VariantCompareAtPrice => shown(variant.and_then(|variant| variant.compare_at_price)),
        Field::VariantBarcode => protect(variant.and_then(|variant| variant.barcode.as_deref()).unwrap_or_default()),
        Field::VariantWeight => shown(variant.and_then(|variant| variant.weight)),
        Field::VariantImage => protect(variant.and_then(|variant| variant.image.as_deref()).unwrap_or_default()),
        Field::VariantStock => shown(variant.and_then(|variant| variant.stock)),
        Field::ImageUrl => protect(image.map_or("", |image| &image.url)),
        Field::ImageAlt => protect(image.map_or("", |image| &image.alt)),
        Field::ImageType => image.map(|image| image.r#type.clone()).unwrap_or_default(),
        _ if !is_first => String::new(),
        Field::Sku => protect(&record.sku),
        Field::Title => protect(&record.title),
        Field::ShortDescription => protect(&record.short_description),
        Field::Description => protect(&record.description),
        Field::FullStory => protect(&record.full_story),
        Field::Currency => record.currency.clone().unwrap_or_default(),
        Field::Price => shown(record.price),
        Field::CompareAtPrice => shown(record.compare_at_price),
        Field::Category => join(record.category.iter().map(|category| category.slug.as_str()), '>'),
        Field::CategoryNames => protect(&join(record.category.iter().map(|category| category.name.as_str()), '>')),
        Field::Vendor => protect(record.vendor.as_deref().unwrap_or_default()),
        Field::Tags => protect(&join(record.tags.iter().map(String::as_str), ',')),
        Field::Weight => shown(record.weight),
        Field::Width => shown(record.width),
        Field::Length => shown(record.length),
        Field::DimensionUnit => protect(&record.dimension_unit),
        Field::WeaveOrigin => protect(&record.weave_origin),
        Field::CareInstructions => protect(&record.care_instructions),
        Field::DispatchTime => protect(&record.dispatch_time),
        Field::Featured => truth(record.is_featured),
        Field::Limited => truth(record.is_limited),
        Field::Active => truth(record.is_active),
        Field::Restore => {
            if record.restore {
                truth(true)
            } else {
                String::new()
            }
        }
        Field::Metadata => record.metadata.as_ref().map(|metadata| metadata.get().to_owned()).unwrap_or_default(),
    }
}

/// The products of a file, one at a time. An `Err` item is the last one.
pub struct ProductReader<R: Read> {
    table: Table<R, Field>,
    checks: Checks<Field>,
    pending: Option<Row<Field>>,
    /// Slugs met, and the row each began in.
    slugs: HashMap<String, u64>,
}

impl<R: Read> std::fmt::Debug for ProductReader<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProductReader").field("rows", &self.table.rows()).finish_non_exhaustive()
    }
}

/// Opens a CSV that AGAPE wrote.
///
/// # Errors
/// If it is not one or has no rows.
pub(super) fn read<R: Read>(input: R, exponent: u32) -> Result<ProductReader<R>, FileProblem> {
    let mut table: Table<R, Field> = Table::open(input)?;
    let Some(first) = table.next_row()? else {
        return Err(FileProblem::NoRows);
    };
    let checks = Checks::of_table(&table, exponent, Field::VariantStock);
    Ok(ProductReader { table, checks, pending: Some(first), slugs: HashMap::new() })
}

impl<R: Read> ProductReader<R> {
    /// The number of the last row read so far.
    pub fn rows(&self) -> u64 {
        self.table.rows()
    }

    /// About how many bytes of the file have been read.
    pub fn bytes(&self) -> u64 {
        self.table.bytes()
    }

    fn add(&mut self, row: &mut Row<Field>, record: &mut Record, places: &mut Places) {
        let broken = !row.problems.is_empty();
        self.checks.add(&mut row.problems);
        if broken {
            return;
        }
        if !row.exact(Field::ImageUrl).is_empty() {
            places.images.push(row.number);
            record.images.push(RecordImage {
                url: unprotect(row.exact(Field::ImageUrl)).to_owned(),
                alt: unprotect(row.exact(Field::ImageAlt)).to_owned(),
                r#type: row.get(Field::ImageType).to_owned(),
            });
        }
        if row.get(Field::VariantPrice).is_empty() && row.exact(Field::VariantSku).is_empty() {
            return;
        }
        places.variants.push(row.number);
        let text = |field: Field| unprotect(row.exact(field)).to_owned();
        let options = (0..3)
            .map(|n| ImportedOption { name: text(Field::OptionName(n)), value: text(Field::OptionValue(n)) })
            .filter(|option| !option.name.is_empty() || !option.value.is_empty())
            .collect();
        let price = self.checks.price(row, Field::VariantPrice);
        record.variants.push(RecordVariant {
            sku: text(Field::VariantSku),
            options,
            price: Amount(price.unwrap_or_default()),
            compare_at_price: self.amount(row, Field::VariantCompareAtPrice),
            barcode: some(text(Field::VariantBarcode)),
            weight: self.whole(row, Field::VariantWeight),
            image: some(text(Field::VariantImage)),
            stock: self.checks.quantity(row, Field::VariantStock),
        });
    }

    /// What the first row says about the product.
    fn head(&mut self, row: &Row<Field>, slug: &str) -> Record {
        let text = |field: Field| unprotect(row.exact(field)).to_owned();
        let slugs = split(row.get(Field::Category), '>');
        let names = split(unprotect(row.exact(Field::CategoryNames)), '>');
        if slugs.len() != names.len() && !names.is_empty() {
            let message = "There must be as many names of categories as slugs.";
            self.checks.error(row.number, Some(Field::CategoryNames), message);
        }
        let names = if names.is_empty() { slugs.clone() } else { names };
        let metadata = row.get(Field::Metadata);
        let metadata = (!metadata.is_empty()).then(|| serde_json::value::RawValue::from_string(metadata.to_owned()));
        let metadata = match metadata.transpose() {
            Ok(metadata) => metadata,
            Err(_) => {
                self.checks.error(row.number, Some(Field::Metadata), "The metadata is not JSON.");
                None
            }
        };
        Record {
            slug: slug.to_owned(),
            sku: text(Field::Sku),
            title: text(Field::Title),
            short_description: text(Field::ShortDescription),
            description: text(Field::Description),
            full_story: text(Field::FullStory),
            currency: some(row.get(Field::Currency).to_owned()),
            price: self.amount(row, Field::Price),
            compare_at_price: self.amount(row, Field::CompareAtPrice),
            category: slugs.into_iter().zip(names).map(|(slug, name)| RecordCategory { slug, name }).collect(),
            vendor: some(text(Field::Vendor)),
            tags: split(unprotect(row.exact(Field::Tags)), ','),
            weight: self.whole(row, Field::Weight),
            width: self.size(row, Field::Width),
            length: self.size(row, Field::Length),
            dimension_unit: text(Field::DimensionUnit),
            weave_origin: text(Field::WeaveOrigin),
            care_instructions: text(Field::CareInstructions),
            dispatch_time: text(Field::DispatchTime),
            is_featured: self.checks.truth(row, Field::Featured).unwrap_or(false),
            is_limited: self.checks.truth(row, Field::Limited).unwrap_or(false),
            is_active: self.checks.truth(row, Field::Active).unwrap_or(row.get(Field::Active).is_empty()),
            restore: self.checks.truth(row, Field::Restore).unwrap_or(false),
            metadata,
            images: Vec::new(),
            variants: Vec::new(),
        }
    }

    fn amount(&mut self, row: &Row<Field>, field: Field) -> Option<Amount> {
        if row.get(field).is_empty() { None } else { self.checks.amount(row, field).map(Amount) }
    }

    fn whole(&mut self, row: &Row<Field>, field: Field) -> Option<i32> {
        self.parsed(row, field, "a whole number")
    }

    fn size(&mut self, row: &Row<Field>, field: Field) -> Option<f64> {
        self.parsed(row, field, "a number such as 5.5")
    }

    fn parsed<T: std::str::FromStr>(&mut self, row: &Row<Field>, field: Field, what: &str) -> Option<T> {
        let written = row.get(field);
        let parsed = written.parse().ok();
        if parsed.is_none() && !written.is_empty() {
            self.checks.error(row.number, Some(field), format!("“{}” is not {what}.", shorten(written)));
        }
        parsed
    }
}

impl<R: Read> Iterator for ProductReader<R> {
    type Item = Result<ProductGroup, FileProblem>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut first = self.pending.take()?;
        let slug = first.get(Field::Slug).to_owned();
        let mut places = Places { first: first.number, images: Vec::new(), variants: Vec::new() };
        if let Some(met) = self.slugs.get(&slug) {
            let message = format!(
                "Rows with this slug already stand further up, from row {met} on. \
                 Put all rows of a product next to each other."
            );
            self.checks.error(first.number, Some(Field::Slug), message);
        } else {
            self.slugs.insert(slug.clone(), first.number);
        }
        // A row that cannot be read has its problem already; its cells may stand in the wrong columns.
        let broken = !first.problems.is_empty();
        let mut record = self.head(&first, &slug);
        self.add(&mut first, &mut record, &mut places);
        let mut count: usize = 1;
        loop {
            match self.table.next_row() {
                Err(problem) => return Some(Err(problem)),
                Ok(None) => break,
                Ok(Some(row)) if row.get(Field::Slug) != slug => {
                    self.pending = Some(row);
                    break;
                }
                Ok(Some(mut row)) => {
                    count = count.saturating_add(1);
                    if count <= MAX_ROWS {
                        self.add(&mut row, &mut record, &mut places);
                    }
                }
            }
        }
        if count > MAX_ROWS {
            let message = format!("The product has {count} rows; at most {MAX_ROWS} can be read. Split it.");
            self.checks.error(first.number, Some(Field::Slug), message);
        }
        Some(Ok(finish(&mut self.checks, (!broken).then_some(record), &slug, &places)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn cells_and_lists_come_back_as_they_were(text in "['=+@\\\\,>a\t\r\n-]{0,8}", list in proptest::collection::vec("['\\\\,>a=]{1,4}", 0..4)) {
            let cell = protect(&text);
            prop_assert_eq!(unprotect(&cell), text.as_str());
            prop_assert!(!cell.starts_with(['=', '+', '-', '@', '\t', '\r']));
            for separator in [',', '>'] {
                prop_assert_eq!(split(&join(list.iter().map(String::as_str), separator), separator), list.clone());
            }
        }
    }
}
