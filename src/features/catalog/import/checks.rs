//! Cells that hold the same in every kind of file: amounts, quantities, article numbers, barcodes, pictures. What is
//! wrong with one is noted under its row and heading.

use std::collections::{HashMap, HashSet};

use super::model::{RowProblem, Severity};
use super::table::{Columns, Row};
use super::{number, text};

pub(super) const MAX_TITLE: usize = 200;
pub(super) const MAX_SKU: usize = 64;
pub(super) const MAX_CATEGORY: usize = 120;
pub(super) const MAX_TAGS: usize = 100;
/// The longest tag, option value and the like.
pub(super) const MAX_NAME: usize = 200;

/// What is checked across the rows of a file, and what was found.
#[derive(Debug)]
pub(super) struct Checks<C> {
    headings: Vec<Option<String>>,
    /// Decimals of the shop's currency.
    exponent: u32,
    /// Article numbers met, and the row of each.
    skus: HashMap<String, u64>,
    /// Currency marks met: each is mentioned once.
    marks: HashSet<String>,
    problems: Vec<RowProblem>,
    columns: std::marker::PhantomData<C>,
}

impl<C: Columns> Checks<C> {
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

    /// What was found since this was last asked, in row order.
    pub(super) fn take_problems(&mut self) -> Vec<RowProblem> {
        let mut problems = std::mem::take(&mut self.problems);
        problems.sort_by_key(|problem| problem.row);
        problems
    }

    pub(super) fn add(&mut self, problems: &mut Vec<RowProblem>) {
        self.problems.append(problems);
    }

    fn report(&mut self, severity: Severity, row: u64, field: Option<C>, message: String) {
        let column = field.and_then(|field| self.headings.get(field.slot()).cloned().flatten());
        self.problems.push(RowProblem { row, column, severity, message });
    }

    pub(super) fn error(&mut self, row: u64, field: Option<C>, message: impl Into<String>) {
        self.report(Severity::Error, row, field, message.into());
    }

    pub(super) fn warn(&mut self, row: u64, field: Option<C>, message: impl Into<String>) {
        self.report(Severity::Warning, row, field, message.into());
    }

    /// A title as one line, noted where it is too long or a formula.
    pub(super) fn title(&mut self, row: &Row<C>, field: C) -> String {
        let title = text::line(row.get(field));
        let length = title.chars().count();
        if length > MAX_TITLE {
            let message = format!("The title has {length} characters; at most {MAX_TITLE} are allowed.");
            self.error(row.number, Some(field), message);
        }
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

    /// A quantity from 0; an empty cell is 0.
    pub(super) fn quantity(&mut self, row: &Row<C>, field: C) -> i32 {
        let written = unprotected(row.get(field));
        let quantity = match written {
            "" => 0,
            written => match number::quantity(written) {
                Ok(quantity) => quantity,
                Err(reason) => {
                    let message = format!("“{}” {reason}.", shorten(written));
                    self.error(row.number, Some(field), message);
                    return 0;
                }
            },
        };
        if quantity < 0 {
            let message = format!("{quantity} in stock: more were sold than there were. Taken as 0.");
            self.warn(row.number, Some(field), message);
        }
        quantity.max(0)
    }

    /// An article number, which no other variant of the file may have.
    pub(super) fn sku(&mut self, row: &Row<C>, field: C) -> Option<String> {
        let sku = self.short(row, field, text::code(row.get(field)))?;
        let length = sku.chars().count();
        if length > MAX_SKU {
            let message = format!("The article number has {length} characters; at most {MAX_SKU} are allowed.");
            self.error(row.number, Some(field), message);
            return None;
        }
        if number::is_ruined(&sku) {
            self.warn(row.number, Some(field), "A spreadsheet seems to have rewritten this article number. Check it.");
        }
        self.claim_sku(row.number, Some(field), &sku);
        Some(sku)
    }

    /// Notes an article number that stands in the file already.
    pub(super) fn claim_sku(&mut self, row: u64, field: Option<C>, sku: &str) {
        if let Some(first) = self.skus.get(sku).copied() {
            let message = format!(
                "The article number “{}” already stands in row {first}. Give each variant its own, or none.",
                shorten(sku)
            );
            self.error(row, field, message);
        } else {
            self.skus.insert(sku.to_owned(), row);
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
        self.short(row, field, barcode)
    }

    /// A picture's address; `None`, noted, if it cannot be used.
    pub(super) fn image_url(&mut self, row: u64, field: C, url: &str) -> Option<String> {
        if url.is_empty() {
            return None;
        }
        if let Err(reason) = text::check_image_url(url) {
            self.warn(row, Some(field), format!("The picture's address {reason}; it is left out."));
            return None;
        }
        Some(url.to_owned())
    }

    /// A cell that has to be short; `None` if it is empty.
    pub(super) fn short(&mut self, row: &Row<C>, field: C, value: String) -> Option<String> {
        if value.chars().count() > MAX_NAME {
            let message = format!("The cell has more than {MAX_NAME} characters. Shorten it.");
            self.error(row.number, Some(field), message);
            return None;
        }
        some(value)
    }

    pub(super) fn short_line(&mut self, row: &Row<C>, field: C) -> Option<String> {
        self.short(row, field, text::line(row.get(field)))
    }

    /// Tags, each once, in their order.
    pub(super) fn tags(&mut self, row: u64, field: C, tags: impl Iterator<Item = String>) -> Vec<String> {
        let mut met = HashSet::new();
        let tags: Vec<String> = tags.filter(|tag| !tag.is_empty() && met.insert(tag.to_lowercase())).collect();
        if tags.len() > MAX_TAGS {
            let message = format!("The product has {} tags; at most {MAX_TAGS} are allowed.", tags.len());
            self.error(row, Some(field), message);
        }
        if let Some(tag) = tags.iter().find(|tag| tag.chars().count() > MAX_NAME) {
            let message =
                format!("The tag “{}” has more than {MAX_NAME} characters. Separate tags with commas.", shorten(tag));
            self.error(row, Some(field), message);
        }
        tags
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
