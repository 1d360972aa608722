//! Shopify's product CSV.
//!
//! A product stands in as many rows as it has variants or pictures, whichever
//! is more. All of its rows carry the same handle; what belongs to the
//! product stands in the first of them. Three generations of headings are in
//! circulation and all are read: `Handle, Title, Body (HTML), … Variant
//! Price`, the same with `Product Category` and `Status`, and the newest,
//! `Title, URL handle, Description, … Price`.
//!
//! [`read`] gives the products one after the other, so the size of the file
//! does not matter: only one product is in memory at a time, besides the
//! handles and article numbers already met, which must not come again.

use std::collections::HashMap;
use std::io::Read;

use super::checks::Checks;
use super::group::Group;
use super::model::{FileProblem, ProductGroup};
use super::shopify_columns::Field;
use super::table::{Row, Table};
use super::text;

/// Rows of one product that are looked at. Shopify allows 2,048 variants.
const MAX_ROWS: usize = 5_000;

/// Opens a Shopify product CSV. `exponent` is the number of decimals of the
/// shop's currency, in which the file's prices are taken to be.
///
/// # Errors
/// If the file is not a product CSV at all or has no rows.
pub fn read<R: Read>(input: R, exponent: u32) -> Result<ProductReader<R>, FileProblem> {
    let mut table = Table::open(input)?;
    let Some(first) = table.next_row()? else {
        return Err(FileProblem::NoRows);
    };
    Ok(ProductReader {
        file: File { checks: Checks::of_table(&table, exponent, Field::Quantity), table },
        pending: Some(first),
        handles: HashMap::new(),
    })
}

/// The products of a file, one at a time.
///
/// An `Err` item is the last one: the file cannot be read any further, and
/// the product being read when it happened is not given out.
///
/// A handle whose rows are scattered over the file is noticed at its second
/// appearance, when the first rows have been given out already. Who wants to
/// import all or nothing reads the file twice.
pub struct ProductReader<R: Read> {
    file: File<R>,
    /// The row after the last product given out.
    pending: Option<Row<Field>>,
    /// Handles met, and the row each began in.
    handles: HashMap<String, u64>,
}

/// What is known of the file while its products are read.
pub(super) struct File<R: Read> {
    pub(super) table: Table<R, Field>,
    pub(super) checks: Checks<Field>,
}

impl<R: Read> std::fmt::Debug for ProductReader<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProductReader").field("rows", &self.rows()).finish_non_exhaustive()
    }
}

impl<R: Read> ProductReader<R> {
    /// The number of the last row read so far, the heading row included. At
    /// the end: how many rows the file has.
    pub fn rows(&self) -> u64 {
        self.file.table.rows()
    }

    /// About how many bytes of the file have been read.
    pub fn bytes(&self) -> u64 {
        self.file.table.bytes()
    }
}

impl<R: Read> Iterator for ProductReader<R> {
    type Item = Result<ProductGroup, FileProblem>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut first = self.pending.take()?;
        let begins = first.number;
        let handle = text::slug(first.get(Field::Handle));
        let met = self.handles.get(&handle).copied();
        if met.is_none() && !handle.is_empty() {
            self.handles.insert(handle.clone(), begins);
        }
        let mut group = Group::new(&mut self.file, handle, begins);
        if let Some(met) = met {
            let message = format!(
                "Rows with this handle already stand further up, from row {met} on. \
                 Put all rows of a product next to each other."
            );
            group.error(begins, Some(Field::Handle), message);
        }
        group.add(&mut first);
        let mut count: usize = 1;
        loop {
            match group.file.table.next_row() {
                Err(problem) => return Some(Err(problem)),
                Ok(None) => break,
                Ok(Some(row)) if !continues(&group.handle, &row) => {
                    self.pending = Some(row);
                    break;
                }
                Ok(Some(mut row)) => {
                    count = count.saturating_add(1);
                    if count <= MAX_ROWS {
                        group.add(&mut row);
                    }
                }
            }
        }
        if count > MAX_ROWS {
            let message = format!("The product has {count} rows; at most {MAX_ROWS} can be read. Split it.");
            group.error(begins, Some(Field::Handle), message);
        }
        Some(Ok(group.finish(&first)))
    }
}

/// Whether a row belongs to the product of the row before it: it has the same
/// handle, or none and no title either.
fn continues(handle: &str, row: &Row<Field>) -> bool {
    match row.get(Field::Handle) {
        "" => row.get(Field::Title).is_empty(),
        // Two handles of which nothing is left are not the same handle.
        own => !handle.is_empty() && text::slug(own) == handle,
    }
}

#[cfg(test)]
#[path = "shopify_tests.rs"]
mod tests;
