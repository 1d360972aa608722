//! What staff decide about a coupon, and what of it goes together.

use chrono::{DateTime, Datelike, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::value::RawValue;
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaType, Type};
use utoipa::openapi::{KnownFormat, RefOr, SchemaFormat};
use utoipa::{PartialSchema, ToSchema};

use super::model::{Kind, Worth};
use crate::platform::error::FieldError;
use crate::platform::ids::{CategoryId, ProductId};
use crate::platform::money::{Amount, ParseAmountError};

/// Products that a coupon may be limited to.
const MAX_PRODUCTS: usize = 1_000;

/// Categories that a coupon may be limited to.
const MAX_CATEGORIES: usize = 100;

/// A share in per cent, with at most two decimals: whole basis points. On the wire a number, such as 12.5.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Percent(pub u32);

impl Serialize for Percent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Hundredths are written alike, of a currency or of a per cent.
        Amount(self.0.into()).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Percent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        let points = match raw.get().parse::<Amount>() {
            Ok(hundredths) => u32::try_from(hundredths.0).ok().filter(|points| (1..=10_000).contains(points)),
            Err(ParseAmountError::NotANumber) => return Err(de::Error::custom("must be a number, such as 12.5")),
            Err(ParseAmountError::TooManyDecimals) => return Err(de::Error::custom("must have at most two decimals")),
            Err(_) => None,
        };
        points.map(Self).ok_or_else(|| de::Error::custom("must be more than 0 and at most 100"))
    }
}

impl PartialSchema for Percent {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(SchemaType::Type(Type::Number))
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Double)))
            .minimum(Some(0.01))
            .maximum(Some(100.0))
            .description(Some("Per cent, at most two decimals"))
            .examples([serde_json::json!(12.5)])
            .build()
            .into()
    }
}

impl ToSchema for Percent {}

/// Who may use a coupon, when, how often and for what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rules {
    /// For staff.
    pub description: String,
    pub min_subtotal: Option<Amount>,
    pub starts_at: Option<DateTime<Utc>>,
    pub ends_at: Option<DateTime<Utc>>,
    pub usage_limit: Option<i32>,
    pub per_customer_limit: Option<i32>,
    pub first_order_only: bool,
    pub is_active: bool,
    /// Whether it is for some goods only: these products and categories, of which none may be left in the shop.
    pub is_scoped: bool,
    pub products: Vec<ProductId>,
    pub categories: Vec<CategoryId>,
}

/// Checked terms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Terms {
    pub worth: Worth,
    pub rules: Rules,
}

/// Terms as they were sent, field by field.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub kind: Kind,
    pub amount: Option<Amount>,
    pub percent: Option<Percent>,
    pub max_discount: Option<Amount>,
    pub rules: Rules,
}

impl Draft {
    /// The draft of terms that hold.
    pub(super) fn of(Terms { worth, rules }: Terms) -> Self {
        let (amount, percent, max_discount) = match worth {
            Worth::Fixed(amount) => (Some(amount), None, None),
            Worth::Percentage { rate_basis_points, max } => (None, Some(Percent(rate_basis_points)), max),
            Worth::FreeShipping => (None, None, None),
        };
        Self { kind: worth.kind(), amount, percent, max_discount, rules }
    }

    /// Checks all of it together.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub(super) fn check(mut self) -> Result<Terms, Vec<FieldError>> {
        let mut faults = Vec::new();
        let worth = self.check_worth(&mut faults);
        let rules = &mut self.rules;
        let mut check = |is_fine: bool, field: &str, message: String| {
            if !is_fine {
                faults.push(FieldError::new(field, message));
            }
        };
        check(rules.min_subtotal.is_none_or(|minimum| minimum.0 > 0), "minSubtotal", MORE_THAN_NOTHING.into());
        for (field, time) in [("startsAt", rules.starts_at), ("endsAt", rules.ends_at)] {
            // Far outside of these the database has no times.
            let is_fine = time.is_none_or(|time| (1970..=9999).contains(&time.year()));
            check(is_fine, field, "must be a time such as 2026-11-28T14:00:00Z".into());
        }
        let is_fine = rules.starts_at.zip(rules.ends_at).is_none_or(|(start, end)| start < end);
        check(is_fine, "endsAt", "must be after startsAt".into());
        rules.products.sort_unstable();
        rules.products.dedup();
        rules.categories.sort_unstable();
        rules.categories.dedup();
        check(rules.products.len() <= MAX_PRODUCTS, "productIds", format!("must be at most {MAX_PRODUCTS}"));
        check(rules.categories.len() <= MAX_CATEGORIES, "categoryIds", format!("must be at most {MAX_CATEGORIES}"));
        match worth.filter(|_| faults.is_empty()) {
            Some(worth) => Ok(Terms { worth, rules: self.rules }),
            None => Err(faults),
        }
    }

    /// What it is worth, if what says so goes together.
    fn check_worth(&self, faults: &mut Vec<FieldError>) -> Option<Worth> {
        let mut fault = |field: &str, message: String| faults.push(FieldError::new(field, message));
        let kind = self.kind.as_str();
        let given = [
            ("amount", self.amount.is_some(), self.kind == Kind::Fixed),
            ("percent", self.percent.is_some(), self.kind == Kind::Percentage),
            ("maxDiscount", self.max_discount.is_some(), self.kind == Kind::Percentage),
        ];
        for (field, ..) in given.iter().filter(|(_, is_given, belongs)| *is_given && !belongs) {
            fault(field, format!("must be left out for the kind {kind}"));
        }
        match self.kind {
            Kind::Fixed => match self.amount {
                Some(amount) if amount.0 > 0 => return Some(Worth::Fixed(amount)),
                Some(_) => fault("amount", MORE_THAN_NOTHING.into()),
                None => fault("amount", format!("is required for the kind {kind}")),
            },
            Kind::Percentage => {
                let max = self.max_discount;
                if max.is_some_and(|max| max.0 == 0) {
                    fault("maxDiscount", MORE_THAN_NOTHING.into());
                }
                match self.percent {
                    Some(Percent(rate_basis_points)) => return Some(Worth::Percentage { rate_basis_points, max }),
                    None => fault("percent", format!("is required for the kind {kind}")),
                }
            }
            Kind::FreeShipping => return Some(Worth::FreeShipping),
        }
        None
    }
}

const MORE_THAN_NOTHING: &str = "must be more than 0";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn per_cents_are_whole_basis_points() {
        for (text, points) in [("12.5", 1_250), ("100", 10_000), ("0.01", 1), ("7.50", 750)] {
            assert_eq!(serde_json::from_str::<Percent>(text).unwrap(), Percent(points), "{text}");
        }
        for text in ["0", "100.01", "-5", "0.001", "1e1", "\"10\"", "null"] {
            assert!(serde_json::from_str::<Percent>(text).is_err(), "{text}");
        }
        assert_eq!(serde_json::to_string(&[Percent(1_250), Percent(1_000)]).unwrap(), "[12.50,10]");
    }
}
