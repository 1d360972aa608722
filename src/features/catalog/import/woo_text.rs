//! Texts and lists as WooCommerce writes them into cells.

use super::{html, text};

/// A description: line breaks are written as `\n`, and what would be a formula has a `'` in front.
pub(super) fn description(written: &str) -> String {
    let written = match written.strip_prefix('\'') {
        Some(rest) if text::looks_like_formula(rest) => rest,
        _ => written,
    };
    // “\\n” stands for the two characters themselves.
    let parts: Vec<String> = written.split("\\\\n").map(|part| part.replace("\\n", "\n")).collect();
    html::to_text(&parts.join("\\n"))
}

/// Values separated by commas; `\,` is a comma.
pub(super) fn list(written: &str) -> Vec<String> {
    let written = match written.trim().strip_prefix('\'') {
        Some(rest) if text::looks_like_formula(rest) => rest,
        _ => written,
    };
    let (mut values, mut value) = (Vec::new(), String::new());
    let mut chars = written.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' if chars.peek() == Some(&',') => {
                value.push(',');
                chars.next();
            }
            ',' => values.push(std::mem::take(&mut value)),
            c => value.push(c),
        }
    }
    values.push(value);
    values.into_iter().map(|value| value.trim().to_owned()).filter(|value| !value.is_empty()).collect()
}
