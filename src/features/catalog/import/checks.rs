//! Cells that hold the same in every kind of file: amounts, quantities, article numbers, barcodes, pictures. What is
//! wrong with one is noted under its row and heading.

use std::collections::{HashMap, HashSet};
use std::io::Read;

use super::model::{ImportedProduct, RowProblem, Severity};
use super::table::{Columns, Row, Table};
use super::{limits, number, text};
use crate::features::catalog::rules::{MAX_IMAGES, check_image_url};

/// Headings that a message names.
const SHOWN_HEADINGS: usize = 40;

/// What is checked across the rows of a file, and what was found.
#[derive(Debug)]
pub(super) struct Checks<C> {
    headings: Vec<Option<String>>,
    /// Decimals of the shop's currency.
    exponent: u32,
    /// Article numbers met, in lower case, and the row of each.
    skus: HashMap<String, u64>,
    /// Currency marks met: each is mentioned once.
    marks: HashSet<String>,
    problems: Vec<RowProblem>,
    columns: std::marker::PhantomData<C>,
}

impl<C: Columns> Checks<C> {
    /// For a file with columns, of which those that are not read are noted in its heading row. `stock` is the column
    /// without which all is sold out.
    pub(super) fn of_table<R: Read>(table: &Table<R, C>, exponent: u32, stock: C) -> Self {
        let mut checks = Self::new(table.headings(), exponent);
        let ignored = table.ignored();
        if !ignored.is_empty() {
            let shown: Vec<_> = ignored.iter().take(SHOWN_HEADINGS).map(|heading| shorten(heading)).collect();
            let more = ignored.len().saturating_sub(shown.len());
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            checks.warn(1, None, format!("Columns that are not read: {}{more}.", shown.join(", ")));
        }
        if !checks.has(stock) {
            let message = "The file has no column of stock: what is new will be sold out here until a quantity is set.";
            checks.warn(1, None, message);
        }
        checks
    }

    /// `headings` are those of the file, by slot.
    pub(super) fn new(headings: Vec<Option<String>>, exponent: u32) -> Self {
        Self {
            headings,
            exponent,
            skus: HashMap::new(),
            marks: HashSet::new(),
            problems: Vec::new(),
            columns: std::marker::PhantomData,
        }
    }

    /// Whether the file has the column.
    pub(super) fn has(&self, field: C) -> bool {
        self.headings.get(field.slot()).is_some_and(Option::is_some)
    }

    /// What the file says under a heading, if it has it.
    pub(super) fn said<T>(&self, field: C, read: impl FnOnce() -> T) -> Option<T> {
        self.has(field).then(read)
    }

    /// What was found since this was last asked, in row order.
    pub(super) fn take_problems(&mut self) -> Vec<RowProblem> {
        let mut problems = std::mem::take(&mut self.problems);
        problems.sort_by_key(|problem| problem.row);
        problems
    }

    pub(super) fn add(&mut self, problems: &mut Vec<RowProblem>) {
        self.problems.append(problems);
    }

    /// What the file calls a column.
    fn heading(&self, field: Option<C>) -> Option<String> {
        field.and_then(|field| self.headings.get(field.slot()).cloned().flatten())
    }

    fn report(&mut self, severity: Severity, row: u64, field: Option<C>, message: String) {
        let column = self.heading(field);
        self.problems.push(RowProblem { row, column, severity, message });
    }

    pub(super) fn error(&mut self, row: u64, field: Option<C>, message: impl Into<String>) {
        self.report(Severity::Error, row, field, message.into());
    }

    pub(super) fn warn(&mut self, row: u64, field: Option<C>, message: impl Into<String>) {
        self.report(Severity::Warning, row, field, message.into());
    }

    /// Notes what the shop refuses of a product, whoever brings it, each in the row where it stands, unless that cell is at
    /// fault already. Pictures that are too many are left out.
    pub(super) fn finish(&mut self, product: &mut ImportedProduct) {
        if let Some(first) = product.images.get(MAX_IMAGES) {
            let message =
                format!("The product has {} pictures; the first {MAX_IMAGES} are kept.", product.images.len());
            let (row, field) = (first.row, C::named("images.url"));
            self.warn(row, field, message);
            product.images.truncate(MAX_IMAGES);
        }
        for fault in limits::faults(product) {
            let (part, rest) = fault.field.split_once('[').unwrap_or((&fault.field, ""));
            let (place, name) = rest.split_once("].").unwrap_or_default();
            let place: usize = place.parse().unwrap_or_default();
            let (row, path, whose) = match part {
                "variants" if !name.is_empty() => {
                    (product.variants.get(place).map(|variant| variant.row), format!("variants.{name}"), "variant's ")
                }
                "images" if !name.is_empty() => {
                    (product.images.get(place).map(|image| image.row), format!("images.{name}"), "picture's ")
                }
                _ => (None, part.to_owned(), ""),
            };
            let name = words(if name.is_empty() { part } else { name });
            let (row, field) = (row.unwrap_or(product.row), C::named(&path));
            let column = self.heading(field);
            let is_told = |problem: &RowProblem| {
                problem.severity == Severity::Error && problem.row == row && problem.column == column
            };
            if column.is_none() || !self.problems.iter().any(is_told) {
                self.error(row, field, format!("The {whose}{name} {}.", fault.message));
            }
        }
    }

    /// A title as one line, noted where it is a formula.
    pub(super) fn title(&mut self, row: &Row<C>, field: C) -> String {
        let title = text::line(row.get(field));
        if text::looks_like_formula(&title) {
            let message = "The title looks like a spreadsheet formula. It is kept as text; check it.";
            self.warn(row.number, Some(field), message);
        }
        title
    }

    /// A price, which must be there.
    pub(super) fn price(&mut self, row: &Row<C>, field: C) -> Option<i64> {
        if row.get(field).is_empty() {
            self.error(row.number, Some(field), "The variant has no price.");
            return None;
        }
        let minor = self.amount(row, field)?;
        if minor == 0 {
            self.warn(row.number, Some(field), "The price is 0: customers would get it for nothing. Check it.");
        }
        Some(minor)
    }

    /// The price before a reduction, if it is above the price.
    pub(super) fn compare_at(&mut self, row: &Row<C>, field: C, price: Option<i64>) -> Option<i64> {
        if row.get(field).is_empty() {
            return None;
        }
        let minor = self.amount(row, field)?;
        let price = price?;
        if minor > price {
            return Some(minor);
        }
        if minor != 0 {
            let message = "The price to compare with is not above the price; it is left out.";
            self.warn(row.number, Some(field), message);
        }
        None
    }

    /// An amount in minor units; `None`, noted, if the cell holds none.
    pub(super) fn amount(&mut self, row: &Row<C>, field: C) -> Option<i64> {
        let written = row.get(field);
        match number::amount(written, self.exponent) {
            Ok(amount) => {
                if let Some(mark) = amount.mark
                    && self.marks.insert(mark.clone())
                {
                    let message = format!(
                        "Amounts carry the mark “{mark}”. It is not read: every amount is \
                             taken to be in the shop's own currency. (Said once a file.)"
                    );
                    self.warn(row.number, Some(field), message);
                }
                Some(amount.minor)
            }
            Err(reason) => {
                let message = format!("“{}” {reason}.", shorten(written));
                self.error(row.number, Some(field), message);
                None
            }
        }
    }

    /// A quantity from 0; `None` where the file has none.
    pub(super) fn quantity(&mut self, row: &Row<C>, field: C) -> Option<i32> {
        let written = unprotected(row.get(field));
        if written.is_empty() {
            return None;
        }
        match number::quantity(written) {
            Ok(quantity) => {
                if quantity < 0 {
                    let message = format!("{quantity} in stock: more were sold than there were. Taken as 0.");
                    self.warn(row.number, Some(field), message);
                }
                Some(quantity.max(0))
            }
            Err(reason) => {
                let message = format!("“{}” {reason}.", shorten(written));
                self.error(row.number, Some(field), message);
                None
            }
        }
    }

    /// An article number, which no other variant of the file may have.
    pub(super) fn sku(&mut self, row: &Row<C>, field: C) -> Option<String> {
        let sku = some(text::code(row.get(field)))?;
        if number::is_ruined(&sku) {
            self.warn(row.number, Some(field), "A spreadsheet seems to have rewritten this article number. Check it.");
        }
        self.claim_sku(row.number, Some(field), &sku);
        Some(sku)
    }

    /// Notes an article number that stands in the file already.
    pub(super) fn claim_sku(&mut self, row: u64, field: Option<C>, sku: &str) {
        if let Some(first) = self.skus.get(&sku.to_lowercase()).copied() {
            let message = format!(
                "The article number “{}” already stands in row {first}. Give each variant its own, or none.",
                shorten(sku)
            );
            self.error(row, field, message);
        } else {
            self.skus.insert(sku.to_lowercase(), row);
        }
    }

    pub(super) fn barcode(&mut self, row: &Row<C>, field: C) -> Option<String> {
        let barcode = text::code(row.get(field));
        if number::is_ruined(&barcode) {
            let message = format!(
                "A spreadsheet has rewritten the barcode as “{barcode}”, and its last digits are \
                 lost. It is left out; format the column as text before saving."
            );
            self.warn(row.number, Some(field), message);
            return None;
        }
        some(barcode)
    }

    /// A picture's address; `None`, noted, if it cannot be used.
    pub(super) fn image_url(&mut self, row: u64, field: C, url: &str) -> Option<String> {
        if url.is_empty() {
            return None;
        }
        if let Err(reason) = check_image_url(url) {
            self.warn(row, Some(field), format!("The picture's address {reason}; it is left out."));
            return None;
        }
        Some(url.to_owned())
    }

    /// `None` for an empty cell, and, with a warning, for an unknown word.
    pub(super) fn truth(&mut self, row: &Row<C>, field: C) -> Option<bool> {
        let written = row.get(field);
        match written.to_ascii_lowercase().as_str() {
            "" => None,
            "true" | "yes" | "1" => Some(true),
            "false" | "no" | "0" => Some(false),
            _ => {
                let message = format!("“{}” is neither TRUE nor FALSE; not taken as TRUE.", shorten(written));
                self.warn(row.number, Some(field), message);
                None
            }
        }
    }

    /// As [`truth`](Self::truth), where the file has the column. An empty cell says no.
    pub(super) fn flag(&mut self, row: &Row<C>, field: C) -> Option<bool> {
        self.has(field).then(|| self.truth(row, field).unwrap_or(false))
    }

    pub(super) fn length(&mut self, row: &Row<C>, field: C) -> Option<f64> {
        let written = row.get(field);
        let length = number::length(written);
        if length.is_none() && !written.is_empty() {
            let message = format!("“{}” is not a length such as 5.5; it is left out.", shorten(written));
            self.warn(row.number, Some(field), message);
        }
        length
    }
}

/// Tags, each once, in their order.
pub(super) fn distinct(tags: impl Iterator<Item = String>) -> Vec<String> {
    let mut met = HashSet::new();
    tags.filter(|tag| !tag.is_empty() && met.insert(tag.to_lowercase())).collect()
}

/// A cell of one line; `None` if it is empty.
pub(super) fn line<C: Columns>(row: &Row<C>, field: C) -> Option<String> {
    some(text::line(row.get(field)))
}

/// A field of the API as a person reads it: `short description` for `shortDescription`.
fn words(field: &str) -> String {
    let mut words = String::new();
    for c in field.chars() {
        if c.is_uppercase() {
            words.push(' ');
        }
        words.extend(c.to_lowercase());
    }
    words
}

/// A number without the `'` that keeps a spreadsheet from taking `-3` for a formula.
pub(super) fn unprotected(number: &str) -> &str {
    number.strip_prefix('\'').unwrap_or(number)
}

/// `None` for an empty text.
pub(super) fn some(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

/// The start of a text, for quoting it in a message.
pub(super) fn shorten(text: &str) -> String {
    match text.char_indices().nth(40) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text.to_owned(),
    }
}
