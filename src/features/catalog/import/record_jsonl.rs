//! AGAPE's own JSON: one product an object, one object a line.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read};

use super::checks::Checks;
use super::model::{FileProblem, ProductGroup};
use super::record::{Places, Record, finish};
use super::record_columns::{FIELDS, Field};

/// The longest line.
const MAX_LINE_MB: usize = 8;

/// The products of a file, one at a time. An `Err` item is the last one. Rows are lines.
pub struct ProductReader<R: Read> {
    lines: BufReader<R>,
    checks: Checks<Field>,
    line: u64,
    bytes: u64,
    /// Slugs met, and the line of each.
    slugs: HashMap<String, u64>,
    is_over: bool,
}

impl<R: Read> std::fmt::Debug for ProductReader<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProductReader").field("line", &self.line).finish_non_exhaustive()
    }
}

/// Opens a file of such lines.
pub(super) fn read<R: Read>(input: R, exponent: u32) -> ProductReader<R> {
    let headings = FIELDS.iter().map(|(field, heading)| Some(name(*field, heading))).collect();
    ProductReader {
        lines: BufReader::new(input),
        checks: Checks::new(headings, exponent),
        line: 0,
        bytes: 0,
        slugs: HashMap::new(),
        is_over: false,
    }
}

/// What the objects call a column.
fn name(field: Field, heading: &str) -> String {
    match field {
        Field::OptionName(_) | Field::OptionValue(_) => "variants.options".into(),
        Field::CategoryNames => "category".into(),
        Field::Featured | Field::Limited | Field::Active => format!("is{heading}"),
        Field::VariantStock => "variants.stock".into(),
        Field::ImageAlt => "images.alt".into(),
        _ => {
            let plain = heading.replace(" (g)", "").replace("-at", "At").replace("SKU", "Sku").replace("URL", "Url");
            let mut words = plain.split(' ').map(str::to_owned).collect::<Vec<_>>();
            let part = match words.first().map(String::as_str) {
                Some("Variant") => Some("variants"),
                Some("Image") => Some("images"),
                _ => None,
            };
            if part.is_some() {
                words.remove(0);
            }
            if let Some(first) = words.first_mut() {
                let lower = first.chars().next().map(|c| c.to_ascii_lowercase());
                *first = lower.into_iter().chain(first.chars().skip(1)).collect();
            }
            part.into_iter().map(str::to_owned).chain([words.concat()]).collect::<Vec<_>>().join(".")
        }
    }
}

impl<R: Read> ProductReader<R> {
    /// The number of the last line read so far.
    pub fn rows(&self) -> u64 {
        self.line
    }

    /// How many bytes of the file have been read.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The next line that is not empty.
    fn next_line(&mut self) -> Result<Option<Vec<u8>>, FileProblem> {
        let limit = MAX_LINE_MB.saturating_mul(1024 * 1024);
        loop {
            let mut line = Vec::new();
            let most = u64::try_from(limit).unwrap_or(u64::MAX);
            self.lines.by_ref().take(most).read_until(b'\n', &mut line)?;
            if line.is_empty() {
                return Ok(None);
            }
            self.line = self.line.saturating_add(1);
            if line.len() >= limit && !line.ends_with(b"\n") {
                return Err(FileProblem::RowTooLarge { row: self.line, limit_mb: MAX_LINE_MB });
            }
            self.bytes = self.bytes.saturating_add(u64::try_from(line.len()).unwrap_or(u64::MAX));
            if self.line == 1 && line.starts_with(b"\xEF\xBB\xBF") {
                line.drain(..3);
            }
            if !line.trim_ascii().is_empty() {
                return Ok(Some(line));
            }
        }
    }
}

impl<R: Read> Iterator for ProductReader<R> {
    type Item = Result<ProductGroup, FileProblem>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let line = match self.next_line() {
            Ok(Some(line)) => line,
            Ok(None) => {
                self.is_over = true;
                return None;
            }
            Err(problem) => {
                self.is_over = true;
                return Some(Err(problem));
            }
        };
        let record: Option<Record> = match serde_json::from_slice(&line) {
            Ok(record) => Some(record),
            Err(error) => {
                let (text, column) = (error.to_string(), error.column());
                let what = text.split(" at line ").next().unwrap_or(&text);
                let message = format!("The line is not a product as AGAPE exports it: {what} (character {column}).");
                self.checks.error(self.line, None, message);
                None
            }
        };
        let slug = record.as_ref().map(|record| record.slug.clone()).unwrap_or_default();
        if !slug.is_empty() {
            if let Some(met) = self.slugs.get(&slug) {
                let message = format!("The slug already stands in line {met}.");
                self.checks.error(self.line, Some(Field::Slug), message);
            } else {
                self.slugs.insert(slug.clone(), self.line);
            }
        }
        let (images, variants) = record.as_ref().map_or((0, 0), |record| (record.images.len(), record.variants.len()));
        let places = Places { first: self.line, images: vec![self.line; images], variants: vec![self.line; variants] };
        Some(Ok(finish(&mut self.checks, record, &slug, &places)))
    }
}
