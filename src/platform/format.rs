//! Money and dates as people read them, shared by mails and pages.

use chrono::{DateTime, TimeDelta, Utc};
use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, Error, ErrorKind};

/// Writes an amount with its currency's symbol and thousands separators.
///
/// The amount is in hundredths of the currency's unit: every currency the shop
/// can charge is counted so, including XOF, which has no coins of its own but
/// which Paystack counts in hundredths as well. A currency without a symbol
/// here is shown by its code.
pub fn money(minor: i64, currency: &str) -> String {
    let symbol = match currency {
        "NGN" => "₦",
        "GHS" => "GH₵ ",
        "KES" => "KSh ",
        "ZAR" => "R ",
        "USD" => "$",
        "EUR" => "€",
        "GBP" => "£",
        code => &format!("{code} "),
    };
    let sign = if minor < 0 { "-" } else { "" };
    // The absolute value of the smallest i64 fits only the unsigned type.
    let amount = minor.unsigned_abs();
    let units = group_thousands(amount / 100);
    let cents = amount % 100;
    format!("{sign}{symbol}{units}.{cents:02}")
}

/// Writes a day in words, such as `6 October 2026`, on the clock that is
/// `utc_offset_minutes` ahead of UTC.
pub fn date(at: DateTime<Utc>, utc_offset_minutes: i32) -> String {
    local(at, utc_offset_minutes).format("%-d %B %Y").to_string()
}

/// Writes a day and time in words, such as `6 October 2026 at 14:05`, on the
/// clock that is `utc_offset_minutes` ahead of UTC.
pub fn date_time(at: DateTime<Utc>, utc_offset_minutes: i32) -> String {
    local(at, utc_offset_minutes).format("%-d %B %Y at %H:%M").to_string()
}

/// Makes the address of a picture absolute: stored addresses on this server are paths. `base` is the server's public
/// address.
pub fn absolute_url(url: &str, base: &str) -> String {
    if url.starts_with('/') { format!("{base}{url}") } else { url.to_owned() }
}

/// Sets up what all templates share: the filters `money(currency)`,
/// `date(utc_offset_minutes)` and `date_time(utc_offset_minutes)`, and a syntax
/// in which a tag alone on its line leaves no empty line behind.
///
/// The date filters take the RFC 3339 text that a serialized `DateTime<Utc>`
/// has in a template.
///
/// # Errors
///
/// None in practice: the syntax is always the same.
pub fn set_up_templates(environment: &mut Environment<'_>) -> Result<(), Error> {
    environment
        .set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true).build()?);
    environment.add_filter("money", |minor: i64, currency: &str| money(minor, currency));
    environment
        .add_filter("date", |at: &str, utc_offset_minutes: i32| Ok::<_, Error>(date(parse(at)?, utc_offset_minutes)));
    environment.add_filter("date_time", |at: &str, utc_offset_minutes: i32| {
        Ok::<_, Error>(date_time(parse(at)?, utc_offset_minutes))
    });
    Ok(())
}

fn group_thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

fn local(at: DateTime<Utc>, utc_offset_minutes: i32) -> DateTime<Utc> {
    at.checked_add_signed(TimeDelta::minutes(utc_offset_minutes.into())).unwrap_or(at)
}

fn parse(at: &str) -> Result<DateTime<Utc>, Error> {
    at.parse().map_err(|error| Error::new(ErrorKind::InvalidOperation, "not an RFC 3339 date").with_source(error))
}

#[cfg(test)]
mod tests {
    use minijinja::value::Serde;

    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().expect("a date")
    }

    #[test]
    fn money_has_symbol_separators_and_two_decimals() {
        let cases = [
            (4_500_000, "NGN", "₦45,000.00"),
            (12_050, "GHS", "GH₵ 120.50"),
            (123_456_789, "USD", "$1,234,567.89"),
            (99_999, "KES", "KSh 999.99"),
            (100_000, "ZAR", "R 1,000.00"),
            (250_000, "XOF", "XOF 2,500.00"),
            (5, "EUR", "€0.05"),
            (0, "GBP", "£0.00"),
            (-150_075, "NGN", "-₦1,500.75"),
            (i64::MIN, "NGN", "-₦92,233,720,368,547,758.08"),
            (i64::MAX, "NGN", "₦92,233,720,368,547,758.07"),
        ];
        for (minor, currency, expected) in cases {
            assert_eq!(money(minor, currency), expected);
        }
    }

    #[test]
    fn dates_are_in_words_on_the_stores_clock() {
        let late = at("2026-12-31T23:30:00Z");
        assert_eq!(date(late, 0), "31 December 2026");
        assert_eq!(date(late, 60), "1 January 2027");
        assert_eq!(date_time(late, 60), "1 January 2027 at 00:30");
        assert_eq!(date_time(late, -90), "31 December 2026 at 22:00");
    }

    #[test]
    fn an_impossible_offset_leaves_the_time_alone() {
        let end = DateTime::<Utc>::MAX_UTC;
        assert_eq!(date(end, i32::MAX), date(end, 0));
    }

    #[test]
    fn templates_have_the_filters() {
        let mut environment = Environment::new();
        set_up_templates(&mut environment).expect("set up");
        let show = |template: &str| {
            environment.render_str(
                template,
                minijinja::context! { at => Serde(at("2026-10-06T13:05:09.5Z")), minor => 4_500_000 },
            )
        };
        assert_eq!(
            show("{{ minor|money('NGN') }}, {{ at|date(60) }}, {{ at|date_time(60) }}").expect("rendered"),
            "₦45,000.00, 6 October 2026, 6 October 2026 at 14:05"
        );
        assert!(show("{{ 'soon'|date(60) }}").is_err());
    }
}
