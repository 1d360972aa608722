//! What a coupon is, and what it takes off. Pure rules: the database keeps the limits when a coupon is redeemed.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize, de};
use utoipa::ToSchema;

use super::refusal::Refusal;
use crate::platform::ids::CouponId;
use crate::platform::money::Amount;

/// What a shopper types: 3 to 40 letters, digits, hyphens and low lines. In upper case, so that it is one however it is typed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, sqlx::Type)]
#[serde(transparent)]
#[sqlx(transparent)]
pub struct Code(String);

impl Code {
    /// The code.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Code {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let code = text.trim().to_ascii_uppercase();
        let fits = (3..=40).contains(&code.len())
            && code.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_'));
        if fits { Ok(Self(code)) } else { Err("must have 3 to 40 letters from A to Z, digits, - and _") }
    }
}

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// What kind of coupon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Takes off an amount.
    Fixed,
    /// Takes off a share.
    Percentage,
    /// The order travels for nothing.
    FreeShipping,
}

impl Kind {
    /// The name, as stored and sent.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fixed => "fixed",
            Self::Percentage => "percentage",
            Self::FreeShipping => "free_shipping",
        }
    }
}

/// What a coupon is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Worth {
    /// This amount, of goods in its scope and never more than they cost.
    Fixed(Amount),
    /// A share of the goods in its scope.
    Percentage {
        /// 10,000 is all.
        rate_basis_points: u32,
        /// At most this.
        max: Option<Amount>,
    },
    /// Carriage.
    FreeShipping,
}

impl Worth {
    /// Its kind.
    pub fn kind(self) -> Kind {
        match self {
            Self::Fixed(_) => Kind::Fixed,
            Self::Percentage { .. } => Kind::Percentage,
            Self::FreeShipping => Kind::FreeShipping,
        }
    }
}

/// A coupon, as far as a price depends on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coupon {
    /// The coupon.
    pub id: CouponId,
    /// What is typed.
    pub code: Code,
    /// Raised by each change of the staff, not by uses. A redemption names the one it was calculated by.
    pub version: i32,
    /// What it takes off.
    pub worth: Worth,
    /// What all goods of the order must cost at least, whatever the coupon is for.
    pub min_subtotal: Option<Amount>,
    /// From then on.
    pub starts_at: Option<DateTime<Utc>>,
    /// Before then.
    pub ends_at: Option<DateTime<Utc>>,
    /// Orders that may use it.
    pub usage_limit: Option<i32>,
    /// Orders of one customer that may use it.
    pub per_customer_limit: Option<i32>,
    /// Only for a customer's first order.
    pub first_order_only: bool,
    /// Whether the staff want it to work.
    pub is_active: bool,
    /// Orders that use it.
    pub used_count: i32,
}

/// Whether a coupon can be used, whoever wants to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It can be used.
    Active,
    /// Its time begins later.
    Scheduled,
    /// Its time is over.
    Expired,
    /// As many orders as may use it do.
    UsedUp,
    /// The staff have switched it off.
    Inactive,
    /// It was removed after it had been used.
    Archived,
}

impl Status {
    /// Every status.
    pub const ALL: [Self; 6] =
        [Self::Active, Self::Scheduled, Self::Expired, Self::UsedUp, Self::Inactive, Self::Archived];

    /// The name, as it is sent.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Scheduled => "scheduled",
            Self::Expired => "expired",
            Self::UsedUp => "used_up",
            Self::Inactive => "inactive",
            Self::Archived => "archived",
        }
    }
}

impl FromStr for Status {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.into_iter().find(|status| status.as_str() == text);
        known.ok_or("must be active, scheduled, expired, used_up, inactive or archived")
    }
}

impl Coupon {
    /// Where an unarchived coupon stands.
    pub fn status(&self, now: DateTime<Utc>) -> Status {
        if !self.is_active {
            Status::Inactive
        } else if self.ends_at.is_some_and(|end| end <= now) {
            Status::Expired
        } else if self.starts_at.is_some_and(|start| start > now) {
            Status::Scheduled
        } else if self.usage_limit.is_some_and(|limit| limit <= self.used_count) {
            Status::UsedUp
        } else {
            Status::Active
        }
    }

    /// How often one customer may use it. A customer has one first order.
    fn most_of_customer(&self) -> Option<i32> {
        if self.first_order_only { Some(1) } else { self.per_customer_limit }
    }
}

/// By what a customer is known: the SHA-256 of his e-mail address, so that an account and a guest with its address are one. Only
/// [`super::find`] makes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CustomerKey(pub [u8; 32]);

/// What is known of whoever wants to use a coupon.
#[derive(Clone, Copy, Debug)]
pub struct Customer {
    /// Who it is.
    pub key: CustomerKey,
    /// Orders of his that use the coupon.
    pub uses: i64,
    /// Whether he has no order, but for those that were given up.
    pub is_first_order: bool,
}

/// What a discount depends on beside the coupon and the goods.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    /// The time.
    pub now: DateTime<Utc>,
    /// None as long as nobody has said who he is.
    pub customer: Option<Customer>,
}

/// A line of an order.
#[derive(Clone, Copy, Debug)]
pub(super) struct CouponLine {
    /// What it costs.
    pub total: Amount,
    /// Whether the coupon is for it.
    pub in_scope: bool,
}

/// What a coupon takes off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discount {
    /// Of each line, never more than it costs.
    pub lines: Vec<Amount>,
    /// Whether the order travels for nothing.
    pub free_shipping: bool,
}

impl Discount {
    /// Of all lines together.
    pub fn total(&self) -> Amount {
        Amount(self.lines.iter().map(|line| line.0).sum())
    }
}

/// What a coupon takes off these lines, whose totals are not negative and add up to an amount. A share is rounded half to even line by
/// line; an amount, and a share that is more than it may be, is spread over the lines in scope as [`Amount::spread_over`] does.
///
/// # Errors
/// Why it cannot be used: first what no basket can mend, then what is wrong with the goods, then with the customer.
pub(super) fn discount(coupon: &Coupon, lines: &[CouponLine], facts: &Facts) -> Result<Discount, Refusal> {
    check_coupon(coupon, facts.now)?;
    check_goods(coupon, lines)?;
    check_customer(coupon, facts.customer.as_ref())?;
    let in_scope: Vec<_> = lines.iter().map(|line| if line.in_scope { line.total } else { Amount(0) }).collect();
    let lines = match coupon.worth {
        Worth::Fixed(amount) => amount.spread_over(&in_scope),
        Worth::Percentage { rate_basis_points, max } => {
            // A share of at most all of a line is no larger than the line.
            let shares = in_scope.iter().map(|line| line.basis_points(rate_basis_points).unwrap_or(*line).min(*line));
            let shares: Vec<_> = shares.collect();
            match max.filter(|max| max.0 < shares.iter().map(|share| share.0).sum::<i64>()) {
                Some(max) => max.spread_over(&in_scope),
                None => shares,
            }
        }
        Worth::FreeShipping => vec![Amount(0); lines.len()],
    };
    Ok(Discount { lines, free_shipping: coupon.worth == Worth::FreeShipping })
}

fn check_coupon(coupon: &Coupon, now: DateTime<Utc>) -> Result<(), Refusal> {
    match coupon.status(now) {
        Status::Active => Ok(()),
        Status::Scheduled => Err(Refusal::NotYet { starts_at: coupon.starts_at.unwrap_or(now) }),
        Status::Expired => Err(Refusal::Expired),
        Status::UsedUp => Err(Refusal::UsedUp),
        Status::Inactive | Status::Archived => Err(Refusal::Inactive),
    }
}

fn check_goods(coupon: &Coupon, lines: &[CouponLine]) -> Result<(), Refusal> {
    if !lines.iter().any(|line| line.in_scope && line.total.0 > 0) {
        return Err(Refusal::NothingInScope);
    }
    let subtotal: i64 = lines.iter().map(|line| line.total.0).sum();
    match coupon.min_subtotal {
        Some(minimum) if minimum.0 > subtotal => {
            Err(Refusal::MinimumNotReached { minimum, missing: Amount(minimum.0 - subtotal) })
        }
        _ => Ok(()),
    }
}

fn check_customer(coupon: &Coupon, customer: Option<&Customer>) -> Result<(), Refusal> {
    let Some(most) = coupon.most_of_customer() else { return Ok(()) };
    let Some(customer) = customer else { return Err(Refusal::CustomerNeeded) };
    if coupon.first_order_only && !customer.is_first_order {
        Err(Refusal::FirstOrderOnly)
    } else if customer.uses >= i64::from(most) {
        Err(Refusal::UsedUpByCustomer { most })
    } else {
        Ok(())
    }
}

#[cfg(test)]
#[path = "model_tests.rs"]
mod tests;
