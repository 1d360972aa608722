//! Money: integers of the minor unit, never a float.

use std::cmp::Reverse;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};
use serde_json::value::RawValue;
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaType, Type};
use utoipa::openapi::{KnownFormat, RefOr, SchemaFormat};
use utoipa::{PartialSchema, ToSchema};

/// The largest amount that AGAPE handles: ten thousand million in main units. Sums of a hundred lines of it fit an i64.
pub const MAX_MINOR: i64 = 1_000_000_000_000;

/// An amount in minor units (kobo, pesewas) of a currency that stands beside it.
///
/// On the wire it is a JSON number in main units with at most two decimals: 4500000 is `45000`, 4500050 is `45000.50`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, sqlx::Type)]
#[sqlx(transparent)]
pub struct Amount(pub i64);

/// A sum or product that leaves the range of an amount.
#[derive(Debug, thiserror::Error)]
#[error("the amount is too large")]
pub struct Overflow;

impl Amount {
    /// The sum, or `Overflow`.
    pub fn checked_add(self, other: Self) -> Result<Self, Overflow> {
        self.0.checked_add(other.0).map(Self).ok_or(Overflow)
    }

    /// The difference, or `Overflow`.
    pub fn checked_sub(self, other: Self) -> Result<Self, Overflow> {
        self.0.checked_sub(other.0).map(Self).ok_or(Overflow)
    }

    /// This amount `count` times, or `Overflow`.
    pub fn times(self, count: i32) -> Result<Self, Overflow> {
        self.0.checked_mul(i64::from(count)).map(Self).ok_or(Overflow)
    }

    /// `numerator / denominator` of the amount, rounded half to even: the one rounding rule for money. Nothing of nothing: a
    /// denominator of 0 gives 0.
    pub fn part(self, numerator: u32, denominator: u32) -> Result<Self, Overflow> {
        let (product, denominator) = (i128::from(self.0) * i128::from(numerator), i128::from(denominator));
        if denominator == 0 {
            return Ok(Self(0));
        }
        let (quotient, rest) = (product.div_euclid(denominator), product.rem_euclid(denominator));
        let up = 2 * rest > denominator || (2 * rest == denominator && quotient % 2 != 0);
        i64::try_from(quotient + i128::from(up)).map(Self).map_err(|_| Overflow)
    }

    /// This share of the amount, as [`Amount::part`].
    pub fn basis_points(self, rate: u32) -> Result<Self, Overflow> {
        self.part(rate, 10_000)
    }

    /// Spreads the amount over lines in proportion to them. The shares add up to the amount, and none is more than its line: each is
    /// rounded down, and the units that are left go to those that lost most by it, among equals to the first. Of an amount
    /// that is more than all lines together each gets the whole line. Nothing here may be negative.
    pub fn spread_over(self, lines: &[Self]) -> Vec<Self> {
        let whole: i128 = lines.iter().map(|line| i128::from(line.0)).sum();
        if whole <= 0 {
            return vec![Self(0); lines.len()];
        }
        let amount = i128::from(self.0).min(whole);
        let exact: Vec<_> = lines.iter().map(|line| amount * i128::from(line.0)).collect();
        let mut shares: Vec<_> = exact.iter().map(|product| product.div_euclid(whole)).collect();
        let left = usize::try_from(amount - shares.iter().sum::<i128>()).unwrap_or_default();
        let mut by_loss: Vec<_> = exact.iter().map(|product| product.rem_euclid(whole)).zip(&mut shares).collect();
        by_loss.sort_by_key(|(lost, _)| Reverse(*lost));
        for (_, share) in by_loss.into_iter().take(left) {
            *share += 1;
        }
        // A share is at most its line, so it fits.
        shares.iter().zip(lines).map(|(share, line)| i64::try_from(*share).map_or(*line, Self)).collect()
    }
}

/// Writes main units: `45000` or `45000.50`.
impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, minor) = (if self.0 < 0 { "-" } else { "" }, self.0.unsigned_abs());
        match minor % 100 {
            0 => write!(f, "{sign}{}", minor / 100),
            cents => write!(f, "{sign}{}.{cents:02}", minor / 100),
        }
    }
}

/// Why a text is not an amount.
#[derive(Debug, thiserror::Error)]
pub enum ParseAmountError {
    /// Not digits with at most one point.
    #[error("must be a number in main units, such as 45000 or 45000.50")]
    NotANumber,
    /// More digits than the currency has.
    #[error("must have at most two decimals")]
    TooManyDecimals,
    /// Below zero.
    #[error("must not be negative")]
    Negative,
    /// Above [`MAX_MINOR`].
    #[error("must be at most 10000000000")]
    TooLarge,
}

/// Reads main units as a client writes them: not negative, at most two decimals.
impl FromStr for Amount {
    type Err = ParseAmountError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(rest) = text.strip_prefix('-') {
            return Err(if rest.starts_with(|c: char| c.is_ascii_digit()) {
                ParseAmountError::Negative
            } else {
                ParseAmountError::NotANumber
            });
        }
        let (whole, cents) = text.split_once('.').unwrap_or((text, ""));
        if whole.is_empty() || !whole.bytes().chain(cents.bytes()).all(|b| b.is_ascii_digit()) {
            return Err(ParseAmountError::NotANumber);
        }
        let cents = cents.trim_end_matches('0');
        if cents.len() > 2 {
            return Err(ParseAmountError::TooManyDecimals);
        }
        let digits = format!("{whole}{cents:0<2}");
        match digits.parse::<i64>() {
            Ok(minor) if minor <= MAX_MINOR => Ok(Self(minor)),
            _ => Err(ParseAmountError::TooLarge),
        }
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        RawValue::from_string(self.to_string()).map_err(ser::Error::custom)?.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        raw.get().parse().map_err(de::Error::custom)
    }
}

impl PartialSchema for Amount {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(SchemaType::Type(Type::Number))
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Double)))
            .description(Some("Main units of the currency, at most two decimals"))
            .examples([serde_json::json!(45000)])
            .build()
            .into()
    }
}

impl ToSchema for Amount {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn writes_and_reads_main_units() {
        for (minor, text) in [(0, "0"), (5, "0.05"), (50, "0.50"), (4_500_000, "45000"), (4_500_050, "45000.50")] {
            assert_eq!(serde_json::to_string(&Amount(minor)).unwrap(), text);
            assert_eq!(serde_json::from_str::<Amount>(text).unwrap(), Amount(minor));
            assert_eq!(serde_json::from_value::<Amount>(serde_json::from_str(text).unwrap()).unwrap(), Amount(minor));
        }
        assert_eq!(serde_json::from_str::<Amount>("1.500").unwrap(), Amount(150));
    }

    #[test]
    fn refuses_what_is_not_an_amount() {
        for text in ["-1", "1.005", "1e3", "\"5\"", "null", "true", "[1]", "99999999999999999999", "10000000000.01"] {
            assert!(serde_json::from_str::<Amount>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn rounds_half_to_even() {
        // 7.5 % of 20 is 1.5 and of 100 is 7.5 and of 60 is 4.5.
        assert_eq!(Amount(20).basis_points(750).unwrap(), Amount(2));
        assert_eq!(Amount(100).basis_points(750).unwrap(), Amount(8));
        assert_eq!(Amount(60).basis_points(750).unwrap(), Amount(4));
    }

    #[test]
    fn what_is_left_goes_to_those_that_lost_most() {
        let spread = |amount, lines: &[i64]| {
            let lines: Vec<_> = lines.iter().copied().map(Amount).collect();
            Amount(amount).spread_over(&lines).iter().map(|share| share.0).collect::<Vec<_>>()
        };
        // 3.33, 3.33 and 3.33; then 1.43, 2.86 and 5.71.
        assert_eq!(spread(10, &[7, 7, 7]), [4, 3, 3]);
        assert_eq!(spread(10, &[10, 20, 40]), [1, 3, 6]);
        assert_eq!(spread(100, &[7, 0, 3]), [7, 0, 3]);
        assert_eq!(spread(5, &[0, 0]), [0, 0]);
        assert_eq!(spread(5, &[]), [0; 0]);
    }

    proptest! {
        #[test]
        fn shares_are_exact_and_within_their_lines(
            amount in 0..=MAX_MINOR,
            lines in proptest::collection::vec(0..=MAX_MINOR, 0..50),
        ) {
            let lines: Vec<_> = lines.into_iter().map(Amount).collect();
            let shares = Amount(amount).spread_over(&lines);
            prop_assert_eq!(shares.len(), lines.len());
            prop_assert!(shares.iter().zip(&lines).all(|(share, line)| share.0 >= 0 && share <= line));
            let (sum, whole) = (shares.iter().map(|s| s.0).sum::<i64>(), lines.iter().map(|l| l.0).sum::<i64>());
            prop_assert_eq!(sum, amount.min(whole));
        }

        #[test]
        fn survives_the_wire(minor in 0..=MAX_MINOR) {
            let json = serde_json::to_string(&Amount(minor)).unwrap();
            prop_assert_eq!(serde_json::from_str::<Amount>(&json).unwrap(), Amount(minor));
        }

        #[test]
        fn a_share_is_within_half_a_unit(minor in 0..=MAX_MINOR, rate in 0u32..10_000) {
            let share = i128::from(Amount(minor).basis_points(rate).unwrap().0) * 10_000;
            prop_assert!((share - i128::from(minor) * i128::from(rate)).abs() <= 5_000);
        }
    }
}
