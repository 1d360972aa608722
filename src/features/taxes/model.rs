//! Components of tax, and which of them an order has.

use std::cmp::Reverse;

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use crate::platform::ids::TaxId;
use crate::platform::place::{Place, Reach};

/// A component of tax.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tax {
    /// Its id.
    pub id: TaxId,
    /// As orders and invoices show it.
    #[schema(example = "VAT")]
    pub name: String,
    /// Where it is due.
    #[serde(flatten)]
    pub place: Place,
    /// Hundredths of a percent: 750 is 7.5 %.
    pub rate_basis_points: u32,
    /// Whether prices have it in them; else it comes on top.
    #[serde(rename = "included")]
    pub is_included: bool,
    /// Whether it is due on carriage too.
    #[serde(rename = "appliesToShipping")]
    pub on_shipping: bool,
    /// When it comes into force.
    pub effective_from: DateTime<Utc>,
    /// From when on it is not in force any more; `null` while that is not known.
    pub effective_until: Option<DateTime<Utc>>,
    /// Send it back with a change.
    pub version: i32,
}

impl Tax {
    /// Whether it is in force at a time.
    pub fn is_in_force(&self, at: DateTime<Utc>) -> bool {
        self.effective_from <= at && self.effective_until.is_none_or(|until| at < until)
    }

    fn reach(&self, country: &str, region: Option<&str>, at: DateTime<Utc>) -> Option<Reach> {
        self.place.reach(country, region).filter(|_| self.is_in_force(at))
    }

    fn rate(&self) -> TaxRate {
        TaxRate {
            name: self.name.clone(),
            rate_basis_points: self.rate_basis_points,
            is_included: self.is_included,
            on_shipping: self.on_shipping,
        }
    }
}

/// What an order needs of a component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaxRate {
    /// As orders and invoices show it.
    pub name: String,
    /// Hundredths of a percent.
    pub rate_basis_points: u32,
    /// Whether prices have it in them; else it comes on top.
    pub is_included: bool,
    /// Whether it is due on carriage too.
    pub on_shipping: bool,
}

/// The components of an order to this place at this time, the highest rate first, then by name. `country` is a code, `region` in
/// its proper form.
///
/// An order has the components of its country and of its region. One of the region stands in place of the country's of the same
/// name. Where there are neither, an order has those of `*`.
pub fn in_force(all: &[Tax], country: &str, region: Option<&str>, at: DateTime<Utc>) -> Vec<TaxRate> {
    let reaching = |tax| Some((Tax::reach(tax, country, region, at)?, tax));
    let mut found: Vec<(Reach, &Tax)> = all.iter().filter_map(reaching).collect();
    if found.iter().any(|(reach, _)| *reach > Reach::Elsewhere) {
        found.retain(|(reach, _)| *reach > Reach::Elsewhere);
    }
    let regional: Vec<String> =
        found.iter().filter(|(reach, _)| *reach == Reach::Region).map(|(_, tax)| tax.name.to_lowercase()).collect();
    found.retain(|(reach, tax)| *reach == Reach::Region || !regional.contains(&tax.name.to_lowercase()));
    found.sort_by_key(|(_, tax)| (Reverse(tax.rate_basis_points), &tax.name));
    found.into_iter().map(|(_, tax)| tax.rate()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        format!("{text}T00:00:00Z").parse().unwrap()
    }

    fn tax(name: &str, country: &str, region: Option<&str>, rate: u32) -> Tax {
        Tax {
            id: TaxId::new(),
            name: name.into(),
            place: Place::stored(country.into(), region.map(str::to_owned)),
            rate_basis_points: rate,
            is_included: false,
            on_shipping: false,
            effective_from: at("2020-01-01"),
            effective_until: None,
            version: 1,
        }
    }

    fn names(all: &[Tax], country: &str, region: Option<&str>, day: &str) -> Vec<(String, u32)> {
        in_force(all, country, region, at(day)).into_iter().map(|rate| (rate.name, rate.rate_basis_points)).collect()
    }

    fn named(rates: &[(&str, u32)]) -> Vec<(String, u32)> {
        rates.iter().map(|(name, rate)| ((*name).to_owned(), *rate)).collect()
    }

    #[test]
    fn components_of_a_country_add_up_in_one_order() {
        let mut all =
            vec![tax("NHIL", "GH", None, 250), tax("GETFund", "GH", None, 250), tax("VAT", "GH", None, 1_500)];
        let expected = named(&[("VAT", 1_500), ("GETFund", 250), ("NHIL", 250)]);
        assert_eq!(names(&all, "GH", Some("Ashanti"), "2026-01-01"), expected);
        all.reverse();
        assert_eq!(names(&all, "GH", None, "2026-01-01"), expected);
        assert_eq!(names(&all, "NG", None, "2026-01-01"), []);
    }

    #[test]
    fn a_region_adds_to_its_country_or_takes_the_place_of_a_component() {
        let all = [
            tax("VAT", "NG", None, 750),
            tax("Consumption", "NG", Some("Lagos"), 500),
            tax("vat", "NG", Some("Kano"), 0),
        ];
        assert_eq!(names(&all, "NG", Some("Lagos"), "2026-01-01"), named(&[("VAT", 750), ("Consumption", 500)]));
        assert_eq!(names(&all, "NG", Some("Kano"), "2026-01-01"), named(&[("vat", 0)]));
        assert_eq!(names(&all, "NG", Some("Oyo"), "2026-01-01"), named(&[("VAT", 750)]));
        assert_eq!(names(&all, "NG", None, "2026-01-01"), named(&[("VAT", 750)]));
    }

    #[test]
    fn everywhere_else_is_where_nothing_else_is_in_force() {
        let mut all = [tax("VAT", "NG", None, 750), tax("Duty", "*", None, 1_000)];
        assert_eq!(names(&all, "NG", None, "2026-01-01"), named(&[("VAT", 750)]));
        assert_eq!(names(&all, "KE", Some("Nairobi"), "2026-01-01"), named(&[("Duty", 1_000)]));
        all[0].effective_until = Some(at("2025-01-01"));
        assert_eq!(names(&all, "NG", None, "2026-01-01"), named(&[("Duty", 1_000)]));
    }

    #[test]
    fn a_component_is_in_force_from_its_beginning_until_before_its_end() {
        let mut old = tax("VAT", "NG", None, 500);
        let mut new = tax("VAT", "NG", None, 750);
        old.effective_until = Some(at("2020-02-01"));
        new.effective_from = at("2020-02-01");
        let all = [new, old];
        for (day, expected) in
            [("2019-12-31", &[][..]), ("2020-01-01", &[("VAT", 500)]), ("2020-02-01", &[("VAT", 750)])]
        {
            assert_eq!(names(&all, "NG", None, day), named(expected), "{day}");
        }
    }

    proptest! {
        /// What an order pays depends on the components, never on the order in which they were read.
        #[test]
        fn the_order_of_reading_makes_no_difference(
            rates in proptest::collection::vec((0u32..3, 0usize..4, 0usize..3), 0..12), turn in 0usize..12,
        ) {
            let places = [("*", None), ("NG", None), ("NG", Some("Lagos")), ("GH", None)];
            let mut all: Vec<Tax> = Vec::new();
            for (rate, place, name) in rates {
                let new = tax(["VAT", "NHIL", "Duty"][name], places[place].0, places[place].1, rate * 250);
                // As in the table: one of a name in a place at a time.
                if !all.iter().any(|tax| tax.name == new.name && tax.place == new.place) {
                    all.push(new);
                }
            }
            let before = in_force(&all, "NG", Some("Lagos"), at("2026-01-01"));
            if !all.is_empty() {
                let turn = turn % all.len();
                all.rotate_left(turn);
            }
            prop_assert_eq!(before, in_force(&all, "NG", Some("Lagos"), at("2026-01-01")));
        }
    }
}
