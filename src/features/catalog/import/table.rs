//! Bytes into rows: what kind of file it is, how it is separated, which
//! column holds what, and one row after the other without ever holding more
//! than one of them.

use std::io::{Chain, Cursor, Read};
use std::marker::PhantomData;

use super::Format;
use super::model::{FileProblem, RowProblem, Severity};
use crate::platform::csv::find_delimiter;

/// The largest cell that is read.
const MAX_CELL_BYTES: usize = 1024 * 1024;

/// The largest row that is read, in megabytes.
const MAX_ROW_MB: usize = 8;

/// What is put behind the last row. Where it does not come out as a row, a quotation mark is open. No cell that is read
/// has a NUL.
const END: &[u8] = b"\0end";

/// How much of the file is looked at to find out what it is.
pub(super) const SNIFF_BYTES: u64 = 64 * 1024;

/// The columns of one kind of file.
pub(super) trait Columns: Copy + Eq + 'static {
    /// How many there can be.
    const COUNT: usize;
    /// Whether cells keep the line ends and the white space that they were written with.
    const EXACT: bool = false;

    /// The column's place among [`COUNT`](Self::COUNT).
    fn slot(self) -> usize;

    /// The column with this heading, of which only letters and digits are left, in lower case.
    fn of(heading: &str) -> Option<Self>;

    /// The column of what the API calls this, such as `variants.sku`.
    fn named(path: &str) -> Option<Self>;

    /// Which program's columns they are.
    const FORMAT: Format;

    /// What to call the columns that the file needs and lacks.
    fn missing(has: &dyn Fn(Self) -> bool) -> Vec<&'static str>;

    /// What to do about columns that are missing in a file with these headings, of which only letters and digits are
    /// left.
    fn advice(headings: &[String]) -> &'static str;
}

/// A heading as [`Columns::of`] wants it.
pub(super) fn letters(heading: &str) -> String {
    heading.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// One row that has at least one cell with something in it.
#[derive(Debug)]
pub(super) struct Row<C> {
    pub(super) number: u64,
    /// Slots and texts of the cells that are not empty, by slot.
    values: Vec<(usize, String)>,
    /// What was wrong with the row as a row.
    pub(super) problems: Vec<RowProblem>,
    columns: PhantomData<C>,
}

impl<C: Columns> Row<C> {
    /// The cell's text without white space around it; empty if the file has
    /// no such column.
    pub(super) fn get(&self, field: C) -> &str {
        self.exact(field).trim()
    }

    /// The cell's text as it is written.
    pub(super) fn exact(&self, field: C) -> &str {
        let found = self.values.binary_search_by_key(&field.slot(), |(slot, _)| *slot);
        found.ok().and_then(|at| self.values.get(at)).map_or("", |(_, text)| text.as_str())
    }
}

/// The head of a file, the rest of it, and a line break behind all.
type Source<R> = Chain<Lines<Chain<Cursor<Vec<u8>>, R>>, &'static [u8]>;

/// The rows of a file.
pub(super) struct Table<R: Read, C> {
    csv: csv::Reader<Source<R>>,
    record: csv::ByteRecord,
    headings: Vec<String>,
    /// For each field the column that holds it.
    columns: Vec<Option<usize>>,
    /// The number of the last row read, empty rows counted.
    row: u64,
    /// Line breaks inside the cells read so far.
    breaks_in_cells: u64,
    kind: PhantomData<C>,
}

impl<R: Read, C: Columns> Table<R, C> {
    /// Finds out what the file is and reads its heading row.
    pub(super) fn open(mut input: R) -> Result<Self, FileProblem> {
        let mut head = Vec::new();
        input.by_ref().take(SNIFF_BYTES).read_to_end(&mut head)?;
        refuse_other_kinds(&head)?;
        if head.starts_with(b"\xEF\xBB\xBF") {
            head.drain(..3);
        }
        let delimiter = find_delimiter(&head);
        let csv = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(delimiter)
            .from_reader(Lines::new(Cursor::new(head).chain(input), C::EXACT).chain(END));
        let mut table = Self {
            csv,
            record: csv::ByteRecord::new(),
            headings: Vec::new(),
            columns: Vec::new(),
            row: 0,
            breaks_in_cells: 0,
            kind: PhantomData,
        };
        if !table.advance()? {
            return Err(FileProblem::Empty);
        }
        for cell in &table.record {
            let heading = std::str::from_utf8(cell).map_err(|_| FileProblem::NotUtf8)?;
            table.headings.push(heading.trim().to_owned());
        }
        table.columns = find_columns::<C>(&table.headings)?;
        Ok(table)
    }

    /// The number of the last row read.
    pub(super) fn rows(&self) -> u64 {
        self.row
    }

    /// About how many bytes of the file have been read.
    pub(super) fn bytes(&self) -> u64 {
        self.csv.position().byte()
    }

    /// For each column's slot the heading that it has in this file.
    pub(super) fn headings(&self) -> Vec<Option<String>> {
        self.columns.iter().map(|column| self.headings.get((*column)?).cloned()).collect()
    }

    /// Headings of columns that are not read.
    pub(super) fn ignored(&self) -> Vec<String> {
        self.headings
            .iter()
            .enumerate()
            .filter(|(n, heading)| !heading.is_empty() && !self.columns.contains(&Some(*n)))
            .map(|(_, heading)| heading.clone())
            .collect()
    }

    /// The next row that is not empty.
    pub(super) fn next_row(&mut self) -> Result<Option<Row<C>>, FileProblem> {
        while self.advance()? {
            let is_empty = |cell: &[u8]| cell.trim_ascii().is_empty();
            if self.record.iter().all(is_empty) {
                continue;
            }
            let mut row = Row { number: self.row, values: Vec::new(), problems: Vec::new(), columns: PhantomData };
            let (has, wants) = (self.record.len(), self.headings.len());
            // Spreadsheets like to add empty cells at the end: no harm.
            if has < wants || !self.record.iter().skip(wants).all(is_empty) {
                let hint = if self.record.iter().any(|cell| cell.contains(&b'\n')) {
                    "A quotation mark may be missing or unclosed."
                } else if has < wants {
                    "Empty cells must be there too, between their separators."
                } else {
                    "A cell that contains the separator must stand in quotation marks."
                };
                row.problems.push(RowProblem {
                    row: self.row,
                    column: None,
                    severity: Severity::Error,
                    message: format!("The row has {has} cells where the heading row has {wants}. {hint}"),
                });
            }
            for (slot, column) in self.columns.iter().enumerate() {
                let Some(column) = *column else {
                    continue;
                };
                let cell = self.record.get(column).unwrap_or_default();
                match read_cell(cell) {
                    Ok("") => {}
                    Ok(text) => row.values.push((slot, text.to_owned())),
                    Err(message) => row.problems.push(RowProblem {
                        row: self.row,
                        column: self.headings.get(column).cloned(),
                        severity: Severity::Error,
                        message: message.to_owned(),
                    }),
                }
            }
            return Ok(Some(row));
        }
        Ok(None)
    }

    /// Reads one record and works out which row it is.
    fn advance(&mut self) -> Result<bool, FileProblem> {
        self.csv.get_mut().get_mut().0.since_record = 0;
        let read = self.csv.read_byte_record(&mut self.record);
        if self.csv.get_ref().get_ref().0.too_large {
            return Err(FileProblem::RowTooLarge { row: self.row.saturating_add(1), limit_mb: MAX_ROW_MB });
        }
        if !read.map_err(std::io::Error::from)? {
            return Ok(false);
        }
        let breaks = self.record.iter().map(|cell| cell.iter().filter(|b| **b == b'\n').count()).sum::<usize>();
        self.breaks_in_cells = self.breaks_in_cells.saturating_add(u64::try_from(breaks).unwrap_or(u64::MAX));
        // `Lines` ends every line, the last one too, with one `\n`. So the
        // line breaks passed, less those inside cells, are the rows passed.
        let lines = self.csv.position().line().saturating_sub(1);
        let rows = lines.saturating_sub(self.breaks_in_cells);
        if self.record.iter().next_back().is_some_and(|cell| cell.ends_with(END)) {
            let is_apart = self.record.len() == 1 && self.record.get(0) == Some(END);
            // Where it is part of a cell, that cell's quotation mark is open.
            return if is_apart { Ok(false) } else { Err(FileProblem::OpenQuote { row: rows.saturating_add(1) }) };
        }
        self.row = rows;
        Ok(true)
    }
}

fn read_cell(cell: &[u8]) -> Result<&str, &'static str> {
    if cell.len() > MAX_CELL_BYTES {
        return Err("The cell is larger than 1 MB. Shorten it.");
    }
    if cell.contains(&0) {
        return Err("The cell contains a NUL byte. Export the file again.");
    }
    std::str::from_utf8(cell)
        .map_err(|_| "The cell is not UTF-8 text. Save the file as “CSV UTF-8” and import it again.")
}

pub(super) fn refuse_other_kinds(head: &[u8]) -> Result<(), FileProblem> {
    const KINDS: &[(&[u8], &str, &str)] = &[
        (
            b"PK",
            "a ZIP archive or an Excel or LibreOffice workbook",
            "Unpack it, or open it in the spreadsheet program and save it as “CSV UTF-8”.",
        ),
        (
            b"\xD0\xCF\x11\xE0",
            "an old Excel workbook",
            "Open it in the spreadsheet program and save it as “CSV UTF-8”.",
        ),
        (b"\x1F\x8B", "a gzip archive", "Unpack it first."),
        (b"%PDF", "a PDF document", "Export the products as CSV."),
        (b"\xFF\xFE", "UTF-16 text", "Save the file as “CSV UTF-8”."),
        (b"\xFE\xFF", "UTF-16 text", "Save the file as “CSV UTF-8”."),
        (b"<", "a web page or XML", "Export the products as CSV."),
        (b"{", "JSON", "Export the products as CSV."),
    ];
    for &(magic, what, advice) in KINDS {
        // “PK…” may begin a heading; an archive goes on with control bytes.
        let is_archive = head.get(2).is_some_and(|b| *b < 9);
        if head.starts_with(magic) && (magic != b"PK" || is_archive) {
            return Err(FileProblem::NotCsv { what, advice });
        }
    }
    Ok(())
}

fn find_columns<C: Columns>(headings: &[String]) -> Result<Vec<Option<usize>>, FileProblem> {
    let mut columns: Vec<Option<usize>> = vec![None; C::COUNT];
    for (n, heading) in headings.iter().enumerate() {
        let Some(slot) = C::of(&letters(heading)).and_then(|field| columns.get_mut(field.slot())) else {
            continue;
        };
        if let Some(first) = *slot {
            return Err(FileProblem::RepeatedColumn {
                first: headings.get(first).cloned().unwrap_or_default(),
                second: heading.clone(),
            });
        }
        *slot = Some(n);
    }
    let missing = C::missing(&|field| columns.get(field.slot()).copied().flatten().is_some());
    if missing.is_empty() {
        return Ok(columns);
    }
    let all: Vec<String> = headings.iter().map(|heading| letters(heading)).collect();
    let (program, advice) = (C::FORMAT.program(), C::advice(&all));
    Err(FileProblem::MissingColumn { program, missing, found: shown(headings), advice })
}

/// Headings for a message: enough of them to recognise the file.
pub(super) fn shown(headings: &[String]) -> Vec<String> {
    let named = headings.iter().map(|heading| heading.trim()).filter(|heading| !heading.is_empty());
    named.take(60).map(|heading| heading.chars().take(60).collect()).collect()
}

/// The headings of a file that starts like this, as they are written.
pub(super) fn headings(head: &[u8]) -> Result<Vec<String>, FileProblem> {
    let line = head.split(|b| matches!(b, b'\n' | b'\r')).find(|line| !line.trim_ascii().is_empty());
    let line = line.unwrap_or_default();
    let mut csv = csv::ReaderBuilder::new().has_headers(false).delimiter(find_delimiter(line)).from_reader(line);
    let mut record = csv::ByteRecord::new();
    // A heading row that cannot be read is told by the reader of the file.
    let _ = csv.read_byte_record(&mut record);
    let text = |cell: &[u8]| std::str::from_utf8(cell).map(str::to_owned).map_err(|_| FileProblem::NotUtf8);
    record.iter().map(text).collect()
}

/// Passes a file on with every line end as one `\n`, including the last
/// line's, and stops a row that does not end. With `exact`, what stands in
/// quotation marks passes as it is.
struct Lines<R> {
    inner: R,
    exact: bool,
    quoted: bool,
    last: u8,
    ended: bool,
    /// Bytes handed out since the reader began a record.
    since_record: usize,
    too_large: bool,
}

impl<R> Lines<R> {
    fn new(inner: R, exact: bool) -> Self {
        Self { inner, exact, quoted: false, last: b'\n', ended: false, since_record: 0, too_large: false }
    }
}

impl<R: Read> Read for Lines<R> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        if self.since_record > MAX_ROW_MB.saturating_mul(1024 * 1024) {
            self.too_large = true;
            return Err(std::io::Error::other("row too large"));
        }
        let mut kept: usize = 0;
        while kept == 0 && !self.ended && !buf.is_empty() {
            let read = self.inner.read(buf)?;
            if read == 0 {
                self.ended = true;
                if !matches!(self.last, b'\n' | b'\r')
                    && let Some(first) = buf.first_mut()
                {
                    *first = b'\n';
                    kept = 1;
                }
                break;
            }
            for at in 0..read {
                let Some(&byte) = buf.get(at) else { break };
                self.quoted ^= self.exact && byte == b'"';
                let is_second_half = byte == b'\n' && self.last == b'\r' && !self.quoted;
                self.last = byte;
                if !is_second_half && let Some(slot) = buf.get_mut(kept) {
                    *slot = if byte == b'\r' && !self.quoted { b'\n' } else { byte };
                    kept = kept.saturating_add(1);
                }
            }
        }
        self.since_record = self.since_record.saturating_add(kept);
        Ok(kept)
    }
}
