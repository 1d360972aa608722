//! CSV as spreadsheets write and read it.

/// What starts a formula in some spreadsheet, and the apostrophe that keeps it from being one.
const PROTECTED: [char; 8] = ['=', '+', '-', '@', '\t', '\r', '\n', '\''];

/// A text as it is written into a cell: with an apostrophe in front where a spreadsheet would run it.
pub fn protect(text: &str) -> String {
    if text.starts_with(PROTECTED) { format!("'{text}") } else { text.to_owned() }
}

/// A cell's text as it was before [`protect`].
pub fn unprotect(cell: &str) -> &str {
    match cell.strip_prefix('\'') {
        Some(rest) if rest.starts_with(PROTECTED) => rest,
        _ => cell,
    }
}

/// A table as CSV, or, without headings, the next part of one. Its cells are [protected](protect) already.
///
/// # Errors
/// None that is known; the memory has no others.
pub fn table<const N: usize>(
    headings: Option<[&str; N]>,
    rows: impl Iterator<Item = [String; N]>,
) -> std::io::Result<Vec<u8>> {
    let mut csv = csv::Writer::from_writer(Vec::new());
    if let Some(headings) = headings {
        csv.write_record(headings)?;
    }
    for row in rows {
        csv.write_record(row)?;
    }
    csv.into_inner().map_err(|error| std::io::Error::other(error.to_string()))
}

/// The separator that occurs most in the first line that is not empty,
/// outside quotes; a comma if none does.
pub fn find_delimiter(head: &[u8]) -> u8 {
    let line =
        head.split(|b| matches!(b, b'\n' | b'\r')).find(|line| !line.trim_ascii().is_empty()).unwrap_or_default();
    let mut best = (b',', 0);
    for candidate in [b',', b';', b'\t'] {
        let mut quoted = false;
        let count = line
            .iter()
            .filter(|b| {
                quoted ^= **b == b'"';
                !quoted && **b == candidate
            })
            .count();
        if count > best.1 {
            best = (candidate, count);
        }
    }
    best.0
}
