//! WooCommerce's product CSV.
//!
//! A variation has a row of its own that names its parent by article number or `id:12`, and may stand before or far
//! after it. So the file is read twice: first to count the variations of each parent, then to give each product out
//! as soon as all its rows have been met. What is in memory is therefore the numbers, article numbers and names of
//! all products, and the rows of those products that are not complete yet: a few in most files, all of them only
//! where all variations stand at the end.

use std::collections::{HashMap, HashSet};
use std::io::Read;

use chrono::NaiveDate;

use super::checks::Checks;
use super::model::{FileProblem, ProductGroup, Severity};
use super::table::{Columns, Row, Table, letters};
use super::text;
use super::woo_columns::Field;
use super::{Options, Source};

/// What a row is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Simple,
    Variable,
    Variation,
    Grouped,
    External,
    /// Something a plug-in brought.
    Other(String),
}

pub(super) fn kind(row: &Row<Field>) -> Kind {
    let written = row.get(Field::Type).to_lowercase();
    // “simple, downloadable, virtual”
    let mut kinds = written.split(',').map(str::trim).filter(|kind| !matches!(*kind, "downloadable" | "virtual" | ""));
    match kinds.next() {
        None if !row.get(Field::Parent).is_empty() => Kind::Variation,
        None | Some("simple") => Kind::Simple,
        Some(kind) if kind.ends_with("variation") => Kind::Variation,
        Some(kind) if kind.starts_with("variable") => Kind::Variable,
        Some("grouped") => Kind::Grouped,
        Some("external") => Kind::External,
        Some(other) => Kind::Other(other.to_owned()),
    }
}

/// What the first reading of the file finds.
#[derive(Debug, Default)]
struct Index {
    /// Rows of products by their number and article number.
    by_id: HashMap<String, u64>,
    by_sku: HashMap<String, u64>,
    /// How many variations name a parent with these words.
    waiting: HashMap<String, u64>,
    /// Names in addresses that more than one product would get.
    shared_slugs: HashSet<String>,
}

impl Index {
    fn read<R: Read>(mut table: Table<R, Field>) -> Result<Self, FileProblem> {
        let mut index = Self::default();
        let mut slugs = HashSet::new();
        let mut rows: u64 = 0;
        while let Some(row) = table.next_row()? {
            rows = rows.saturating_add(1);
            if !row.problems.is_empty() {
                continue;
            }
            if kind(&row) == Kind::Variation {
                let count = index.waiting.entry(text::code(row.get(Field::Parent))).or_default();
                *count = count.saturating_add(1);
                continue;
            }
            let (id, sku) = (row.get(Field::Id), text::code(row.get(Field::Sku)));
            if !id.is_empty() {
                index.by_id.entry(id.to_owned()).or_insert(row.number);
            }
            if !sku.is_empty() {
                index.by_sku.entry(sku).or_insert(row.number);
            }
            let slug = text::slug(&text::line(row.get(Field::Name)));
            if !slugs.insert(slug.clone()) {
                index.shared_slugs.insert(slug);
            }
        }
        if rows == 0 { Err(FileProblem::NoRows) } else { Ok(index) }
    }

    /// The row of the product that a variation names.
    fn parent(&self, written: &str) -> Option<u64> {
        let id = written.strip_prefix("id:").map(str::trim);
        let by_sku = || self.by_sku.get(written).or_else(|| self.by_id.get(written));
        id.map_or_else(by_sku, |id| self.by_id.get(id)).copied()
    }
}

/// What is known of the file while its products are read.
pub(super) struct File {
    pub(super) checks: Checks<Field>,
    pub(super) today: NaiveDate,
    /// Names in addresses that more than one product would get.
    pub(super) shared_slugs: HashSet<String>,
    /// The units that the headings name, such as `kg` and `cm`.
    pub(super) weight_unit: String,
    pub(super) length_unit: String,
    /// Whether it has been said that further categories are left out.
    pub(super) noted_categories: bool,
}

/// A product whose rows have not all been met.
#[derive(Default)]
struct Pending {
    product: Option<Row<Field>>,
    variations: Vec<Row<Field>>,
}

/// The products of a file, one at a time. An `Err` item is the last one.
pub struct ProductReader<R: Read> {
    table: Table<R, Field>,
    file: File,
    index: Index,
    /// How many variations each product has, by the product's row.
    expected: HashMap<u64, u64>,
    pending: HashMap<u64, Pending>,
    is_over: bool,
}

impl<R: Read> std::fmt::Debug for ProductReader<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProductReader").field("rows", &self.table.rows()).finish_non_exhaustive()
    }
}

/// Opens a WooCommerce product CSV and reads it once.
///
/// # Errors
/// If the file is not one, has no rows, or cannot be read to its end.
pub(super) fn read<S: Source>(source: &S, options: &Options) -> Result<ProductReader<S::Reader>, FileProblem> {
    let index = Index::read(Table::open(source.open()?)?)?;
    let table = Table::open(source.open()?)?;
    let mut expected: HashMap<u64, u64> = HashMap::new();
    for (written, count) in &index.waiting {
        if let Some(parent) = index.parent(written) {
            let sum = expected.entry(parent).or_default();
            *sum = sum.saturating_add(*count);
        }
    }
    let headings = table.headings();
    let unit = |field: Field| {
        let heading = headings.get(Columns::slot(field)).cloned().flatten().unwrap_or_default();
        heading.split_once('(').map(|(_, unit)| letters(unit)).unwrap_or_default()
    };
    let file = File {
        today: options.today,
        shared_slugs: index.shared_slugs.clone(),
        weight_unit: unit(Field::Weight),
        length_unit: unit(Field::Length),
        noted_categories: false,
        checks: Checks::of_table(&table, options.exponent, Field::Stock),
    };
    Ok(ProductReader { table, file, index, expected, pending: HashMap::new(), is_over: false })
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

    /// Takes a row in. Gives the product that it completes.
    fn take(&mut self, mut row: Row<Field>) -> Option<ProductGroup> {
        let number = row.number;
        if !row.problems.is_empty() {
            // Its cells may stand in the wrong columns, so it belongs to nobody; a product that waits for it ends with
            // the file.
            self.file.checks.add(&mut row.problems);
            return Some(self.refused(&row));
        }
        let of = if kind(&row) == Kind::Variation {
            let written = text::code(row.get(Field::Parent));
            let Some(parent) = self.index.parent(&written) else {
                let message = if written.is_empty() {
                    "The variation does not say which product it belongs to.".to_owned()
                } else {
                    format!(
                        "There is no product “{}” in the file for this variation.",
                        super::checks::shorten(&written)
                    )
                };
                self.file.checks.error(number, Some(Field::Parent), message);
                return Some(self.refused(&row));
            };
            self.pending.entry(parent).or_default().variations.push(row);
            parent
        } else {
            let is_repeated = |index: Option<&u64>| index.is_some_and(|first| *first != number);
            let id = row.get(Field::Id);
            if is_repeated(self.index.by_id.get(id)) {
                let message = format!("The number {} stands in the file twice.", super::checks::shorten(id));
                self.file.checks.error(number, Some(Field::Id), message);
                return Some(self.refused(&row));
            }
            if is_repeated(self.index.by_sku.get(&text::code(row.get(Field::Sku)))) {
                let first = self.index.by_sku.get(&text::code(row.get(Field::Sku))).copied().unwrap_or_default();
                let message = format!("The article number already stands in row {first}. Give each product its own.");
                self.file.checks.error(number, Some(Field::Sku), message);
                return Some(self.refused(&row));
            }
            self.pending.entry(number).or_default().product = Some(row);
            number
        };
        let waiting = self.pending.get(&of)?;
        let met = u64::try_from(waiting.variations.len()).unwrap_or(u64::MAX);
        if waiting.product.is_none() || met < self.expected.get(&of).copied().unwrap_or_default() {
            return None;
        }
        self.complete(of)
    }

    fn complete(&mut self, of: u64) -> Option<ProductGroup> {
        let Pending { product, variations } = self.pending.remove(&of)?;
        Some(super::woo_product::build(&mut self.file, &product?, variations))
    }

    /// What is given out for a row that belongs to no product.
    fn refused(&mut self, row: &Row<Field>) -> ProductGroup {
        let problems = self.file.checks.take_problems();
        debug_assert!(problems.iter().any(|problem| problem.severity == Severity::Error));
        ProductGroup { row: row.number, handle: String::new(), title: None, product: None, problems }
    }
}

impl<R: Read> Iterator for ProductReader<R> {
    type Item = Result<ProductGroup, FileProblem>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.is_over {
            match self.table.next_row() {
                Ok(Some(row)) => {
                    if let Some(group) = self.take(row) {
                        return Some(Ok(group));
                    }
                }
                Ok(None) => self.is_over = true,
                Err(problem) => {
                    self.is_over = true;
                    self.pending.clear();
                    return Some(Err(problem));
                }
            }
        }
        // Products that lack a variation whose row could not be read.
        while let Some(of) = self.pending.keys().min().copied() {
            if let Some(group) = self.complete(of) {
                return Some(Ok(group));
            }
        }
        None
    }
}

#[cfg(test)]
#[path = "woo_tests.rs"]
mod tests;
