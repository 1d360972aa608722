//! Zones, methods, and what carriage costs.

use serde::Serialize;
use utoipa::ToSchema;

use crate::platform::ids::{MethodId, ZoneId};
use crate::platform::money::Amount;
use crate::platform::place::{Place, Reach};

/// A part of the world that is shipped to by the same methods.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = ShippingZone)]
pub struct Zone {
    /// Its id.
    pub id: ZoneId,
    /// For the staff.
    pub name: String,
    /// Where it is. A place is in one zone; of two that an address is in, the one that names its region counts, then the one that
    /// names its country.
    pub places: Vec<Place>,
    /// In the order in which shoppers see them.
    pub methods: Vec<Method>,
    /// Send it back with a change of name or places.
    pub version: i32,
}

/// A way of shipping.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ZoneMethod)]
pub struct Method {
    /// Its id.
    pub id: MethodId,
    /// What an order names it by, once in a zone.
    #[schema(example = "standard")]
    pub code: String,
    /// For shoppers.
    #[schema(example = "Standard (5–7 days)")]
    pub name: String,
    /// What it costs where no tier says otherwise.
    pub price: Amount,
    /// Other prices, by what the order weighs and costs.
    pub tiers: Vec<Tier>,
    /// The fewest days on the way.
    pub min_days: i32,
    /// The most days on the way.
    pub max_days: i32,
    /// Goods that cost so much after discount travel free; `null`: never.
    pub free_from: Option<Amount>,
    /// Whether the order may be paid when it arrives.
    pub pays_on_delivery: bool,
    /// Whether the shopper comes for it: nothing is carried.
    pub is_pickup: bool,
    /// Where and how, for whoever comes.
    pub pickup_details: Option<String>,
    /// What is heavier is not carried; `null`: no limit.
    pub max_grams: Option<i64>,
    /// Whether shoppers are offered it.
    pub is_active: bool,
    /// Its place among the methods of the zone; the lowest comes first.
    pub position: i32,
    /// Send it back with a change.
    pub version: i32,
}

/// A price from a weight and a total on. Of those that an order reaches, the one with the greatest weight, then with the greatest
/// total, counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ShippingTier)]
pub struct Tier {
    /// Goods after discount that cost so much reach it.
    pub from_total: Amount,
    /// Goods that weigh so much reach it.
    pub from_grams: i64,
    /// What carriage costs then.
    pub price: Amount,
}

/// A method as it is offered for an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ShippingOption {
    /// What an order names it by.
    #[schema(example = "standard")]
    pub code: String,
    /// For shoppers.
    #[schema(example = "Standard (5–7 days)")]
    pub name: String,
    /// What carriage of this order costs.
    pub price: Amount,
    /// The fewest days on the way.
    pub min_days: i32,
    /// The most days on the way.
    pub max_days: i32,
    /// Whether the order may be paid when it arrives.
    pub pays_on_delivery: bool,
    /// Whether the shopper comes for it.
    pub is_pickup: bool,
    /// Where and how, for whoever comes.
    pub pickup_details: Option<String>,
    /// Whose method it is.
    #[serde(skip)]
    pub zone_id: ZoneId,
    /// The method.
    #[serde(skip)]
    pub method_id: MethodId,
}

impl Method {
    /// What carriage costs. `goods` is what they cost after discount, `grams` what they weigh.
    pub fn price_of(&self, goods: Amount, grams: i64) -> Amount {
        if self.free_from.is_some_and(|from| goods >= from) {
            return Amount(0);
        }
        let reached = self.tiers.iter().filter(|tier| tier.from_total <= goods && tier.from_grams <= grams);
        reached.max_by_key(|tier| (tier.from_grams, tier.from_total)).map_or(self.price, |tier| tier.price)
    }

    fn is_offered(&self, grams: i64) -> bool {
        self.is_active && self.max_grams.is_none_or(|most| grams <= most)
    }

    fn option(&self, zone_id: ZoneId, goods: Amount, grams: i64) -> ShippingOption {
        ShippingOption {
            code: self.code.clone(),
            name: self.name.clone(),
            price: self.price_of(goods, grams),
            min_days: self.min_days,
            max_days: self.max_days,
            pays_on_delivery: self.pays_on_delivery,
            is_pickup: self.is_pickup,
            pickup_details: self.pickup_details.clone(),
            zone_id,
            method_id: self.id,
        }
    }
}

/// How an order may be shipped, in the order of the shop; nothing when it carries nothing there. `country` is a code, `region` in
/// its proper form, `goods` what they cost after discount, `grams` what they weigh.
pub fn options(zones: &[Zone], country: &str, region: Option<&str>, goods: Amount, grams: i64) -> Vec<ShippingOption> {
    let Some(zone) = zone_of(zones, country, region) else { return Vec::new() };
    let mut methods: Vec<_> = zone.methods.iter().filter(|method| method.is_offered(grams)).collect();
    methods.sort_by_key(|method| (method.position, &method.code));
    methods.into_iter().map(|method| method.option(zone.id, goods, grams)).collect()
}

/// The zone that names an address most closely.
fn zone_of<'a>(zones: &'a [Zone], country: &str, region: Option<&str>) -> Option<&'a Zone> {
    let reach =
        |zone: &Zone| -> Option<Reach> { zone.places.iter().filter_map(|place| place.reach(country, region)).max() };
    zones.iter().filter_map(|zone| Some((reach(zone)?, zone))).max_by_key(|(reach, _)| *reach).map(|(_, zone)| zone)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn method(code: &str, price: i64) -> Method {
        Method {
            id: MethodId::new(),
            code: code.into(),
            name: code.to_uppercase(),
            price: Amount(price),
            tiers: Vec::new(),
            min_days: 1,
            max_days: 2,
            free_from: None,
            pays_on_delivery: false,
            is_pickup: false,
            pickup_details: None,
            max_grams: None,
            is_active: true,
            position: 0,
            version: 1,
        }
    }

    fn zone(name: &str, places: &[(&str, Option<&str>)], methods: Vec<Method>) -> Zone {
        let places = places.iter().map(|(country, region)| Place::stored((*country).into(), region.map(str::to_owned)));
        Zone { id: ZoneId::new(), name: name.into(), places: places.collect(), methods, version: 1 }
    }

    fn tier(from_total: i64, from_grams: i64, price: i64) -> Tier {
        Tier { from_total: Amount(from_total), from_grams, price: Amount(price) }
    }

    fn codes(zones: &[Zone], country: &str, region: Option<&str>, grams: i64) -> Vec<String> {
        options(zones, country, region, Amount(1_000), grams).into_iter().map(|option| option.code).collect()
    }

    #[test]
    fn the_zone_that_names_an_address_most_closely_counts() {
        let zones = [
            zone("World", &[("*", None)], vec![method("air", 1)]),
            zone("West", &[("NG", None), ("GH", None)], vec![method("road", 1)]),
            zone("Lagos", &[("NG", Some("Lagos")), ("KE", Some("Nairobi"))], vec![method("bike", 1)]),
            zone("Islands", &[], vec![method("boat", 1)]),
        ];
        for (country, region, code) in [
            ("NG", Some("Lagos"), "bike"),
            ("NG", Some("Kano"), "road"),
            ("NG", None, "road"),
            ("GH", Some("Lagos"), "road"),
            ("KE", Some("nairobi"), "bike"),
            ("KE", Some("Mombasa"), "air"),
            ("US", None, "air"),
        ] {
            assert_eq!(codes(&zones, country, region, 0), [code], "{country} {region:?}");
        }
        assert!(codes(&zones[1..], "US", None, 0).is_empty());
    }

    #[test]
    fn what_is_too_heavy_or_switched_off_is_not_offered() {
        let mut methods = vec![method("lorry", 3), method("van", 2), method("bike", 1), method("off", 1)];
        (methods[2].max_grams, methods[3].is_active) = (Some(5_000), false);
        for (place, method) in methods.iter_mut().enumerate() {
            method.position = 3 - i32::try_from(place).unwrap();
        }
        let zones = [zone("World", &[("*", None)], methods)];
        assert_eq!(codes(&zones, "NG", None, 5_000), ["bike", "van", "lorry"]);
        assert_eq!(codes(&zones, "NG", None, 5_001), ["van", "lorry"]);
    }

    #[test]
    fn the_heaviest_tier_that_is_reached_counts_and_of_those_the_dearest_total() {
        let mut standard = method("standard", 2_500);
        standard.tiers = vec![tier(50_000, 0, 1_500), tier(0, 5_000, 4_000), tier(50_000, 5_000, 3_000)];
        for (goods, grams, price) in [
            (0, 0, 2_500),
            (49_999, 4_999, 2_500),
            (50_000, 4_999, 1_500),
            (49_999, 5_000, 4_000),
            (50_000, 5_000, 3_000),
            (i64::MAX, i64::MAX, 3_000),
        ] {
            assert_eq!(standard.price_of(Amount(goods), grams), Amount(price), "{goods} {grams}");
        }
        standard.free_from = Some(Amount(100_000));
        assert_eq!(standard.price_of(Amount(99_999), 5_000), Amount(3_000));
        assert_eq!(standard.price_of(Amount(100_000), 5_000), Amount(0));
    }

    /// Tiers as the table keeps them: each bound once, and not nothing.
    fn tiers() -> impl Strategy<Value = Vec<Tier>> {
        proptest::collection::btree_map((0i64..6, 0i64..6), 0i64..1_000, 0..10).prop_map(|tiers| {
            let above_nothing = tiers.into_iter().filter(|(bound, _)| *bound != (0, 0));
            above_nothing.map(|((grams, total), price)| tier(total, grams, price)).collect()
        })
    }

    proptest! {
        #[test]
        fn a_price_is_one_that_the_shop_has_named(tiers in tiers(), goods in 0i64..8, grams in 0i64..8, free in 1i64..8) {
            let method = Method { tiers, free_from: Some(Amount(free)), ..method("standard", 77) };
            let price = method.price_of(Amount(goods), grams);
            if goods >= free {
                prop_assert_eq!(price, Amount(0));
            } else {
                prop_assert!(price == Amount(77) || method.tiers.iter().any(|tier| tier.price == price));
            }
        }

        #[test]
        fn the_order_of_the_tiers_makes_no_difference(
            tiers in tiers(), turn in 0usize..10, goods in 0i64..8, grams in 0i64..8,
        ) {
            let mut method = Method { tiers, ..method("standard", 77) };
            let price = method.price_of(Amount(goods), grams);
            if !method.tiers.is_empty() {
                let turn = turn % method.tiers.len();
                method.tiers.rotate_left(turn);
            }
            prop_assert_eq!(price, method.price_of(Amount(goods), grams));
        }

        /// Where each next bound, by weight and then by total, has a higher price, nobody pays less for sending more.
        #[test]
        fn more_never_costs_less_where_prices_rise(
            tiers in tiers(), goods in 0i64..8, grams in 0i64..8, more_goods in 0i64..4, more_grams in 0i64..4,
        ) {
            let mut method = Method { tiers, ..method("standard", 10) };
            method.tiers.sort_by_key(|tier| (tier.from_grams, tier.from_total));
            for (place, tier) in method.tiers.iter_mut().enumerate() {
                tier.price = Amount(11 + i64::try_from(place).unwrap());
            }
            let less = method.price_of(Amount(goods), grams);
            prop_assert!(less <= method.price_of(Amount(goods + more_goods), grams + more_grams));
        }
    }
}
