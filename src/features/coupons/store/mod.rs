//! SQL of coupons.

pub(super) mod find;
pub(super) mod redemptions;
pub(super) mod staff;

use crate::features::coupons::model::Worth;
use crate::platform::money::Amount;

/// What a coupon is worth, of its columns. The kind stands in the table for people: which column is set tells it
/// (`coupons_worth_fits_kind`).
fn worth(amount: Option<i64>, rate: Option<i32>, max: Option<i64>) -> Worth {
    match (amount, rate) {
        (Some(amount), _) => Worth::Fixed(Amount(amount)),
        (None, Some(rate)) => Worth::Percentage { rate_basis_points: rate.unsigned_abs(), max: max.map(Amount) },
        (None, None) => Worth::FreeShipping,
    }
}

/// The columns of what a coupon is worth: kind, amount, rate and maximum.
fn columns(worth: Worth) -> (&'static str, Option<i64>, Option<i32>, Option<i64>) {
    let kind = worth.kind().as_str();
    match worth {
        Worth::Fixed(amount) => (kind, Some(amount.0), None, None),
        Worth::Percentage { rate_basis_points, max } => {
            (kind, None, i32::try_from(rate_basis_points).ok(), max.map(|max| max.0))
        }
        Worth::FreeShipping => (kind, None, None, None),
    }
}
