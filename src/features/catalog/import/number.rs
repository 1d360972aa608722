//! Amounts, quantities and weights as people and programs write them, read
//! with integer arithmetic only.

use crate::platform::money::MAX_MINOR;

/// The most pieces of one variant a shop can have.
const MAX_QUANTITY: i64 = 1_000_000_000;

/// An amount of money as read from a cell.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Amount {
    /// The amount in minor units.
    pub(super) minor: i64,
    /// The currency mark that stood beside it, such as `₦` or `NGN`.
    pub(super) mark: Option<String>,
}

/// Reads `45000`, `1,234.50`, `₦45,000.00`, `45.5`, `.5`, `1.234,50`.
///
/// Where both `,` and `.` occur, the last one is the decimal sign. A single
/// comma before exactly three digits groups thousands; otherwise it is the
/// decimal sign. A single full stop is always the decimal sign. Whatever
/// cannot be read in one way only is refused: a wrong price is worse than a
/// product that has to be imported again.
///
/// # Errors
/// The reason, as the second half of a sentence about the cell.
pub(super) fn amount(text: &str, exponent: u32) -> Result<Amount, String> {
    let not_an_amount = || "is not an amount; write it like 45000.00".to_owned();

    let is_mark = |c: char| c.is_alphabetic() || is_currency_symbol(c);
    let (signed, text) = take_sign(text.trim());
    let body = text.trim_start_matches(|c: char| is_mark(c) || c.is_whitespace());
    let before = text.len().saturating_sub(body.len());
    let prefix = text.get(..before).unwrap_or_default().trim();
    let number = body.trim_end_matches(|c: char| is_mark(c) || c.is_whitespace());
    let suffix = body.get(number.len()..).unwrap_or_default().trim();
    let (signed_inside, number) = take_sign(number);
    let mark = format!("{prefix}{suffix}");
    // “Rs.50” is fifty, not half of one: a stop right after a mark is refused.
    if mark.chars().count() > 4 || (!prefix.is_empty() && number.starts_with('.')) {
        return Err(not_an_amount());
    }

    let (whole, fraction) = split_decimals(number);
    let whole = ungroup(whole).ok_or_else(not_an_amount)?;
    if let Some(fraction) = fraction {
        if fraction.is_empty() || !fraction.bytes().all(|b| b.is_ascii_digit()) {
            return Err(not_an_amount());
        }
    } else if whole.is_empty() {
        return Err(not_an_amount());
    }
    if signed || signed_inside {
        return Err("is negative; a price is 0 or more".to_owned());
    }
    let fraction = fraction.unwrap_or_default();
    let decimals = u32::try_from(fraction.len()).unwrap_or(u32::MAX);
    let Some(missing_decimals) = exponent.checked_sub(decimals) else {
        return Err(format!("has {decimals} decimals, but the shop's currency has {exponent}"));
    };

    let digits = format!("{whole}{fraction}");
    let minor = digits
        .parse::<i64>()
        .ok()
        .and_then(|n| n.checked_mul(10_i64.checked_pow(missing_decimals)?))
        .filter(|n| *n <= MAX_MINOR)
        .ok_or_else(|| "is larger than any price the shop can hold".to_owned())?;
    Ok(Amount { minor, mark: Some(mark).filter(|m| !m.is_empty()) })
}

fn is_currency_symbol(c: char) -> bool {
    matches!(c, '$' | '£' | '¢' | '¥' | '\u{20A0}'..='\u{20CF}')
}

fn take_sign(text: &str) -> (bool, &str) {
    match text.strip_prefix(['-', '\u{2212}']) {
        Some(rest) => (true, rest.trim_start()),
        None => (false, text),
    }
}

/// The part before the decimal sign and, if there is one, the part after it.
fn split_decimals(number: &str) -> (&str, Option<&str>) {
    let at = match (number.rfind('.'), number.rfind(',')) {
        (None, None) => None,
        (Some(dot), Some(comma)) => Some(dot.max(comma)),
        (Some(dot), None) => (number.find('.') == Some(dot)).then_some(dot),
        (None, Some(comma)) => {
            let groups = number.len().saturating_sub(comma) == 4;
            (number.find(',') == Some(comma) && !groups).then_some(comma)
        }
    };
    match at.and_then(|at| number.split_at_checked(at)) {
        Some((whole, rest)) => (whole, rest.get(1..)),
        None => (number, None),
    }
}

/// Takes the thousands signs out of `1,234,567`; `None` if they do not stand
/// where thousands signs stand.
fn ungroup(whole: &str) -> Option<String> {
    let is_sign = |c: char| matches!(c, ',' | '.' | '\'' | '\u{2019}') || c.is_whitespace();
    let mut signs = whole.chars().filter(|c| is_sign(*c));
    let sign = signs.next();
    if signs.any(|other| Some(other) != sign) {
        return None;
    }
    let mut digits = String::with_capacity(whole.len());
    for (n, group) in whole.split(is_sign).enumerate() {
        let well_placed = match (sign, n) {
            (None, _) => true,
            (Some(_), 0) => (1..=3).contains(&group.len()) && !group.starts_with('0'),
            (Some(_), _) => group.len() == 3,
        };
        if !well_placed || !group.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        digits.push_str(group);
    }
    Some(digits)
}

/// A quantity, which may be negative: a shop that sold more than it had.
///
/// # Errors
/// The reason, as the second half of a sentence about the cell.
pub(super) fn quantity(text: &str) -> Result<i32, String> {
    let text = text.trim();
    // Some exports write whole numbers as “12.0”.
    let whole = match text.split_once('.') {
        Some((whole, zeros)) if !zeros.is_empty() && zeros.bytes().all(|b| b == b'0') => whole,
        _ => text,
    };
    let digits = whole.strip_prefix(['-', '+']).unwrap_or(whole);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err("is not a whole number; write it like 12".to_owned());
    }
    whole
        .parse::<i64>()
        .ok()
        .filter(|n| (-MAX_QUANTITY..=MAX_QUANTITY).contains(n))
        .and_then(|n| i32::try_from(n).ok())
        .ok_or_else(|| "is more than the shop can count (1,000,000,000)".to_owned())
}

/// A weight in grams, rounded to the nearest gram. `None` if it is no weight.
pub(super) fn grams(text: &str) -> Option<i32> {
    let (whole, fraction) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
    let all_digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if !all_digits(whole) || !all_digits(fraction) || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    let whole = if whole.is_empty() { "0" } else { whole };
    let round_up = fraction.bytes().next().is_some_and(|b| b >= b'5');
    whole.parse::<i32>().ok()?.checked_add(i32::from(round_up))
}

/// A weight in grams, rounded to the nearest, from a number in `unit`, such as `.5` or `0,5` in `lbs`. `None` if it is
/// no weight, or the unit is not known.
pub(super) fn weight(text: &str, unit: &str) -> Option<i32> {
    // Grams as a fraction; pound and ounce are defined by their kilograms.
    let (over, under): (i128, i128) = match unit {
        "kg" => (1_000, 1),
        "g" | "" => (1, 1),
        "lbs" | "lb" => (45_359_237, 100_000),
        "oz" => (28_349_523_125, 1_000_000_000),
        _ => return None,
    };
    let (whole, fraction) = text.trim().split_once(['.', ',']).unwrap_or((text.trim(), ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || digits.len() > 15 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let scale = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let (over, under) = (digits.parse::<i128>().ok()?.checked_mul(over)?, under.checked_mul(scale)?);
    i32::try_from(over.checked_mul(2)?.checked_add(under)?.div_euclid(under.checked_mul(2)?)).ok()
}

/// A length such as `5.5`. `None` if it is not a length worth storing.
pub(super) fn length(text: &str) -> Option<f64> {
    text.trim().replace(',', ".").parse::<f64>().ok().filter(|n| n.is_finite() && *n > 0.0 && *n <= 1_000_000.0)
}

/// Whether a spreadsheet has turned a long number into `3.65275E+11`, which
/// loses its last digits for good.
pub(super) fn is_ruined(text: &str) -> bool {
    let Some((mantissa, exponent)) = text.trim().split_once(['E', 'e']) else {
        return false;
    };
    let Some(exponent) = exponent.strip_prefix('+') else {
        return false;
    };
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    digits(exponent) && digits(&mantissa.replacen(['.', ','], "", 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minor(text: &str) -> Option<i64> {
        amount(text, 2).ok().map(|a| a.minor)
    }

    #[test]
    fn amounts_are_read_as_written() {
        for (text, expected) in [
            ("45000", 4_500_000),
            ("45000.00", 4_500_000),
            ("1,234.50", 123_450),
            ("₦45,000.00", 4_500_000),
            ("NGN 45,000", 4_500_000),
            ("45 000.00 GH₵", 4_500_000),
            ("1\u{202f}234,50", 123_450),
            ("45.5", 4550),
            (".5", 50),
            ("0", 0),
            ("0.05", 5),
            ("45,5", 4550),
            ("45,000", 4_500_000),
            ("1.234,50", 123_450),
            ("1.234.567", 123_456_700),
            ("1,234,567", 123_456_700),
        ] {
            assert_eq!(minor(text), Some(expected), "{text}");
        }
        assert_eq!(amount("1500", 0).map(|a| a.minor), Ok(1500));
        assert_eq!(amount("₦ 5", 2), Ok(Amount { minor: 500, mark: Some("₦".into()) }));
    }

    #[test]
    fn amounts_that_could_mean_two_things_are_refused() {
        for text in [
            "",
            "abc",
            "₦",
            "-",
            ".",
            "5.",
            "1.2.3",
            "12,34,56",
            "1,2345",
            "0,500",
            "1.234",
            "1,23.45,6",
            "4.5E+4",
            "Rs.50",
            "1-2",
            "５",
            "1,,000",
            "NAIRAS 5",
            "12 34",
        ] {
            assert_eq!(minor(text), None, "{text}");
        }
        assert!(amount("-5", 2).is_err_and(|m| m.contains("negative")));
        assert!(amount("₦-5", 2).is_err_and(|m| m.contains("negative")));
        assert!(amount("-₦5", 2).is_err_and(|m| m.contains("negative")));
        assert!(amount("1.005", 2).is_err_and(|m| m.contains("3 decimals")));
        assert!(amount("1.5", 0).is_err_and(|m| m.contains("1 decimals")));
        assert!(amount("9999999999999999999999", 2).is_err_and(|m| m.contains("larger")));
        assert!(amount("1", 400).is_err());
    }

    #[test]
    fn quantities_are_whole_numbers() {
        assert_eq!(quantity("12"), Ok(12));
        assert_eq!(quantity(" 12.0 "), Ok(12));
        assert_eq!(quantity("-3"), Ok(-3));
        for text in ["1.5", "", "many", "1,000", "--1", "1.", "2000000000", "99999999999999999999"] {
            assert!(quantity(text).is_err(), "{text}");
        }
    }

    #[test]
    fn weights_are_rounded_to_grams() {
        assert_eq!(grams("283.4952313"), Some(283));
        assert_eq!(grams("396.8"), Some(397));
        assert_eq!(grams("0"), Some(0));
        assert_eq!(grams(".6"), Some(1));
        for text in ["", ".", "-1", "1kg", "99999999999", "2147483647.9"] {
            assert_eq!(grams(text), None, "{text}");
        }
    }

    #[test]
    fn weights_of_any_unit_become_grams() {
        for (text, unit, grams) in [
            (".5", "lbs", Some(227)),
            ("0,5", "kg", Some(500)),
            ("1.25", "kg", Some(1250)),
            ("8", "oz", Some(227)),
            ("250", "g", Some(250)),
            ("0", "kg", Some(0)),
            ("2.0005", "kg", Some(2001)),
            ("1", "stone", None),
            ("-1", "kg", None),
            ("1.2.3", "kg", None),
            ("", "kg", None),
            ("99999999999", "kg", None),
        ] {
            assert_eq!(weight(text, unit), grams, "{text} {unit}");
        }
    }

    #[test]
    fn numbers_a_spreadsheet_ruined_are_recognised() {
        assert!(is_ruined("3.65275E+11"));
        assert!(is_ruined("4E+12"));
        assert!(is_ruined("3,65E+11"));
        assert!(!is_ruined("365275000001"));
        assert!(!is_ruined("SHOE+1"));
        assert!(!is_ruined("12E4"));
    }
}
