//! Levels as a CSV file: written for staff, who change the quantities and hand it in again.
//!
//! Read are the columns `SKU`, `Quantity` (so many are on hand), `Change` (so many more, or, below zero, less), `Reason`
//! and `Note`, in any order, with commas, semicolons or tabs between them. Where a row has the `On hand` of an export, its
//! quantity is understood as the difference to that, so that what was sold meanwhile stays sold, and its `Version`
//! refuses it if somebody else of the staff was there meanwhile. Rows whose quantity is empty, or as it was, change nothing.

use std::collections::HashMap;
use std::str::FromStr;

use super::model::{Change, Movement, StaffReason};
use crate::platform::csv::{find_delimiter, protect, table, unprotect};
use crate::platform::error::FieldError;
use crate::platform::text::Text;

/// The most rows of one file that can change something.
pub(super) const MAX_CHANGES: usize = 5_000;

/// The columns of an export.
const HEADINGS: [&str; 9] = ["SKU", "Title", "Variant", "Reserved", "On hand", "Quantity", "Reason", "Note", "Version"];

/// A level to write.
#[derive(Debug)]
pub(super) struct Row<'a> {
    /// The variant's sku.
    pub sku: &'a str,
    /// The product's title.
    pub title: &'a str,
    /// The variant's name.
    pub variant: &'a str,
    /// Units set aside for orders.
    pub reserved: i32,
    /// Units, reserved ones included.
    pub on_hand: i32,
    /// The level's version.
    pub version: i32,
}

/// Writes levels. `with_headings` begins a file.
///
/// # Errors
/// None that is known; the memory has no others.
pub(super) fn write<'a>(rows: impl Iterator<Item = Row<'a>>, with_headings: bool) -> std::io::Result<Vec<u8>> {
    let rows = rows.map(|row| {
        let number = |number: i32| number.to_string();
        [
            protect(row.sku),
            protect(row.title),
            protect(row.variant),
            number(row.reserved),
            number(row.on_hand),
            number(row.on_hand),
            String::new(),
            String::new(),
            number(row.version),
        ]
    });
    table(with_headings.then_some(HEADINGS), rows)
}

/// A row that changes something.
#[derive(Debug)]
pub(super) struct Line {
    /// As a spreadsheet numbers rows: the headings are row 1.
    pub row: u64,
    /// The variant's sku.
    pub sku: String,
    /// The version that an export had.
    pub version: Option<i32>,
    /// What it changes.
    pub movement: Movement,
}

/// A file that was read.
#[derive(Debug, Default)]
pub(super) struct File {
    /// What it changes.
    pub lines: Vec<Line>,
    /// Rows that change nothing.
    pub unchanged: usize,
    /// What is wrong, by row.
    pub faults: Vec<(u64, FieldError)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Column {
    Sku,
    Quantity,
    Change,
    OnHand,
    Reason,
    Note,
    Version,
    /// An export's, for the eye only.
    Shown,
}

impl Column {
    fn of(heading: &str) -> Option<Self> {
        let letters: String = heading.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
        Some(match letters.as_str() {
            "sku" => Self::Sku,
            "quantity" => Self::Quantity,
            "change" => Self::Change,
            "onhand" => Self::OnHand,
            "reason" => Self::Reason,
            "note" => Self::Note,
            "version" => Self::Version,
            // Some spreadsheets end each row with a separator.
            "title" | "variant" | "reserved" | "" => Self::Shown,
            _ => return None,
        })
    }
}

/// Reads a file. `reason` is that of rows which have none of their own.
///
/// # Errors
/// What is wrong with the file as a whole, so that no row can be read.
pub(super) fn read(bytes: &[u8], reason: StaffReason) -> Result<File, FieldError> {
    let fault = |message: String| FieldError::new("file", message);
    let text = std::str::from_utf8(bytes)
        .map_err(|_| fault("is not UTF-8 text; save the table as “CSV UTF-8” and send that".into()))?;
    if text.contains('\0') {
        return Err(fault("is not CSV; save the table as “CSV UTF-8” and send that".into()));
    }
    let text = text.trim_start_matches('\u{feff}').replace("\r\n", "\n").replace('\r', "\n") + "\n";
    let mut csv = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(find_delimiter(text.as_bytes()))
        .from_reader(text.as_bytes());
    let mut record = csv::StringRecord::new();
    let broken = |_| fault("cannot be read as CSV".into());
    csv.read_record(&mut record).map_err(broken)?;
    let columns = columns(&record)?;
    let mut reader = Reader { file: File::default(), columns, reason, seen: HashMap::new() };
    let mut breaks = breaks_in(&record);
    while csv.read_record(&mut record).map_err(broken)? {
        breaks += breaks_in(&record);
        // Each line ends with one break, so those passed, less those inside cells, are the rows passed.
        let row = csv.position().line().saturating_sub(1).saturating_sub(breaks);
        reader.read(row, &record);
    }
    if reader.file.lines.len() > MAX_CHANGES {
        return Err(fault(format!("changes more than {MAX_CHANGES} levels; split it into several files")));
    }
    Ok(reader.file)
}

fn breaks_in(record: &csv::StringRecord) -> u64 {
    record.iter().map(|cell| cell.bytes().filter(|byte| *byte == b'\n').count() as u64).sum()
}

fn columns(headings: &csv::StringRecord) -> Result<Vec<Column>, FieldError> {
    let fault = |message: String| Err(FieldError::new("file", message));
    let mut columns = Vec::new();
    for heading in headings {
        let Some(column) = Column::of(heading) else {
            let shown: String = heading.chars().take(60).collect();
            return fault(format!(
                "has the column “{shown}”, which is none of: SKU, Quantity, Change, Reason, Note, and those of an export"
            ));
        };
        if column != Column::Shown && columns.contains(&column) {
            return fault(format!("has the column “{heading}” twice"));
        }
        columns.push(column);
    }
    if !columns.contains(&Column::Sku) {
        return fault("must have a column SKU".into());
    }
    if !columns.contains(&Column::Quantity) && !columns.contains(&Column::Change) {
        return fault("must have a column Quantity or Change".into());
    }
    Ok(columns)
}

struct Reader {
    file: File,
    columns: Vec<Column>,
    reason: StaffReason,
    /// The row that has a sku.
    seen: HashMap<String, u64>,
}

impl Reader {
    fn read(&mut self, row: u64, record: &csv::StringRecord) {
        if record.iter().all(|cell| cell.trim().is_empty()) {
            return;
        }
        let mut faults = Vec::new();
        let line = self.line(row, record, &mut faults);
        match line {
            _ if !faults.is_empty() => {
                let faults = faults.into_iter().map(|(column, message)| {
                    let field =
                        if column.is_empty() { format!("rows[{row}]") } else { format!("rows[{row}].{column}") };
                    (row, FieldError::new(field, message))
                });
                self.file.faults.extend(faults);
            }
            Some(line) => self.file.lines.push(line),
            None => self.file.unchanged += 1,
        }
    }

    /// None for a row that changes nothing, or has faults.
    fn line(&mut self, row: u64, record: &csv::StringRecord, faults: &mut Vec<(&'static str, String)>) -> Option<Line> {
        if record.iter().skip(self.columns.len()).any(|cell| !cell.trim().is_empty()) {
            faults.push((
                "",
                "has more cells than the headings; put a text with the separator in quotation marks".into(),
            ));
            return None;
        }
        let cell = |column: Column| {
            let at = self.columns.iter().position(|known| *known == column);
            unprotect(at.and_then(|at| record.get(at)).unwrap_or_default().trim())
        };
        let sku = cell(Column::Sku).to_owned();
        if sku.is_empty() {
            faults.push(("sku", "is empty".into()));
        } else if let Some(first) = self.seen.insert(sku.clone(), row) {
            faults.push(("sku", format!("is in row {first} already")));
        }
        let mut number = |column: Column, name: &'static str| match cell(column) {
            "" => None,
            text => whole(text).map_err(|message| faults.push((name, message.into()))).ok(),
        };
        let (quantity, change) = (number(Column::Quantity, "quantity"), number(Column::Change, "change"));
        let (on_hand, version) = (number(Column::OnHand, "onHand"), number(Column::Version, "version"));
        let note = match cell(Column::Note) {
            "" => None,
            text => Text::<1, 500>::from_str(text).map_err(|message| faults.push(("note", message))).ok(),
        };
        let reason = match cell(Column::Reason).to_ascii_lowercase().as_str() {
            "" => Some(self.reason),
            text => StaffReason::ALL.into_iter().find(|reason| reason.as_str() == text),
        };
        let reason = reason.unwrap_or_else(|| {
            faults.push(("reason", format!("must be one of {}", StaffReason::names())));
            self.reason
        });
        let change = match (quantity, change, on_hand) {
            (Some(_), Some(_), _) => {
                faults.push(("change", "must be empty where there is a quantity".into()));
                return None;
            }
            (Some(quantity), None, Some(on_hand)) if quantity == on_hand => return None,
            // A quantity has bounds of its own, whatever it was before.
            (Some(quantity), None, Some(on_hand)) if Change::Set(quantity).is_possible() => {
                Change::By(quantity.saturating_sub(on_hand))
            }
            (Some(quantity), None, _) => Change::Set(quantity),
            (None, Some(0), _) => return None,
            (None, Some(change), _) => Change::By(change),
            (None, None, _) => return None,
        };
        let movement = Movement { change, reason, note: note.map(Text::into_string) };
        if let Some((field, message)) = movement.fault() {
            faults.push((field, message.into()));
        }
        Some(Line { row, sku, version, movement })
    }
}

/// A whole number, as spreadsheets write it: `12`, `+5`, `-3`, `12.0`.
fn whole(text: &str) -> Result<i32, &'static str> {
    let digits = match text.split_once('.') {
        Some((whole, zeros)) if !zeros.is_empty() && zeros.bytes().all(|byte| byte == b'0') => whole,
        _ => text,
    };
    let unsigned = digits.strip_prefix(['-', '+']).unwrap_or(digits);
    if unsigned.is_empty() || !unsigned.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("must be a whole number such as 12");
    }
    digits.parse().map_err(|_| "is larger than any stock")
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
