//! Why a coupon cannot be used, for programs and for shoppers.

use chrono::{DateTime, Utc};

use crate::platform::config::Store;
use crate::platform::format::{date_time, money};
use crate::platform::money::Amount;

/// Why a coupon cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No coupon has this code.
    Unknown,
    /// It is switched off.
    Inactive,
    /// Its time begins later.
    NotYet {
        /// When.
        starts_at: DateTime<Utc>,
    },
    /// Its time is over.
    Expired,
    /// As many orders as may use it do.
    UsedUp,
    /// It is for other goods than these.
    NothingInScope,
    /// All goods together cost too little.
    MinimumNotReached {
        /// What they must cost.
        minimum: Amount,
        /// How much that is more than they do.
        missing: Amount,
    },
    /// It depends on who orders, and that is not known yet.
    CustomerNeeded,
    /// It is for a first order, and the customer has one.
    FirstOrderOnly,
    /// As many orders of this customer as may use it do.
    UsedUpByCustomer {
        /// So many.
        most: i32,
    },
}

impl Refusal {
    /// The name, for programs.
    pub fn code(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Inactive => "inactive",
            Self::NotYet { .. } => "not_yet",
            Self::Expired => "expired",
            Self::UsedUp => "used_up",
            Self::NothingInScope => "nothing_in_scope",
            Self::MinimumNotReached { .. } => "minimum_not_reached",
            Self::CustomerNeeded => "customer_needed",
            Self::FirstOrderOnly => "first_order_only",
            Self::UsedUpByCustomer { .. } => "used_up_by_customer",
        }
    }

    /// What happened and what to do, for the shopper, with amounts and times as the shop writes them.
    pub fn message(self, store: &Store) -> String {
        match self {
            Self::Unknown => "There is no coupon with this code. Check how it is written.".into(),
            Self::Inactive => "This coupon does not work any more.".into(),
            Self::NotYet { starts_at } => {
                format!("This coupon can be used from {} on.", date_time(starts_at, store.utc_offset_minutes))
            }
            Self::Expired => "The time of this coupon is over.".into(),
            Self::UsedUp => "This coupon has been used as often as it can be.".into(),
            Self::NothingInScope => "This coupon is for other goods than these.".into(),
            Self::MinimumNotReached { minimum, missing } => format!(
                "This coupon is for orders of {} and more. Add something for {}.",
                money(minimum.0, &store.currency),
                money(missing.0, &store.currency)
            ),
            Self::CustomerNeeded => "Sign in or give your e-mail address to use this coupon.".into(),
            Self::FirstOrderOnly => "This coupon is for a first order.".into(),
            Self::UsedUpByCustomer { most: 1 } => "You have used this coupon already.".into(),
            Self::UsedUpByCustomer { most } => format!("You have used this coupon {most} times, which is the most."),
        }
    }
}
