//! Places that the rules of a shop are about: a region, a country, or wherever there is no other rule.

use std::borrow::Cow;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, de};
use utoipa::ToSchema;

use super::address::Country;

/// What stands for the country of everywhere else.
const ELSEWHERE: &str = "*";

/// The country of a place, as it is sent: its code or name, or `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlaceCountry(Option<Country>);

impl FromStr for PlaceCountry {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.trim() == ELSEWHERE {
            return Ok(Self(None));
        }
        let fault = "must be a country code of two letters, such as NG or GH, or * for everywhere else";
        text.parse().map(|country| Self(Some(country))).map_err(|_| fault)
    }
}

impl<'de> Deserialize<'de> for PlaceCountry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<str>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// Where a rule applies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Place {
    /// ISO 3166 code of two letters, or `*`: wherever there is no other.
    #[schema(example = "NG")]
    country: String,
    /// A state or region of the country; `null` for all of it.
    region: Option<String>,
}

/// How closely a place names an address; the last is the closest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// As one of everywhere else.
    Elsewhere,
    /// By its country.
    Country,
    /// By its region.
    Region,
}

impl Place {
    /// A place, its region in the one proper form.
    ///
    /// # Errors
    /// What the region must be.
    pub fn new(country: PlaceCountry, region: Option<&str>) -> Result<Self, String> {
        match (country.0, region) {
            (None, None) => Ok(Self::stored(ELSEWHERE.to_owned(), None)),
            (None, Some(_)) => Err("must be left out with the country *, which has no regions".into()),
            (Some(country), region) => {
                let region = region.map(|region| country.check_region(region)).transpose()?;
                Ok(Self::stored(country.as_str().to_owned(), region))
            }
        }
    }

    /// A place as a table has it: checked when it was written.
    pub fn stored(country: String, region: Option<String>) -> Self {
        Self { country, region }
    }

    /// The country's code, or `*`.
    pub fn country(&self) -> &str {
        &self.country
    }

    /// The region, if it is not the whole country.
    pub fn region(&self) -> Option<&str> {
        self.region.as_deref()
    }

    /// How this place names an address; not at all, if it is elsewhere. `country` is a code, `region` in its proper form.
    pub fn reach(&self, country: &str, region: Option<&str>) -> Option<Reach> {
        if self.country == ELSEWHERE {
            return Some(Reach::Elsewhere);
        }
        match (self.region(), region) {
            _ if self.country != country => None,
            (None, _) => Some(Reach::Country),
            (Some(mine), Some(region)) if is_same_region(mine, region) => Some(Reach::Region),
            _ => None,
        }
    }

    /// Whether both are the same place.
    pub fn is(&self, other: &Self) -> bool {
        let same_region = match (self.region(), other.region()) {
            (None, None) => true,
            (Some(mine), Some(other)) => is_same_region(mine, other),
            _ => false,
        };
        self.country == other.country && same_region
    }
}

/// Regions that the shop does not know are written in one case or another.
fn is_same_region(one: &str, other: &str) -> bool {
    one == other || one.chars().flat_map(char::to_lowercase).eq(other.chars().flat_map(char::to_lowercase))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(country: &str, region: Option<&str>) -> Result<Place, String> {
        Place::new(country.parse().unwrap(), region)
    }

    #[test]
    fn a_place_is_written_properly() {
        let lagos = place("Nigeria", Some("lagos state")).unwrap();
        assert_eq!((lagos.country(), lagos.region()), ("NG", Some("Lagos")));
        assert_eq!(place("*", None).unwrap().country(), "*");
        assert!(place("NG", Some("Ashanti")).unwrap_err().contains("Abia, Adamawa"));
        assert!(place("*", Some("Lagos")).is_err());
        assert!("Wakanda".parse::<PlaceCountry>().is_err() && "**".parse::<PlaceCountry>().is_err());
    }

    #[test]
    fn the_closest_name_of_an_address_is_its_region() {
        let reach = |country, region, of: (&str, Option<&str>)| place(country, region).unwrap().reach(of.0, of.1);
        let lagos = ("NG", Some("Lagos"));
        assert_eq!(reach("NG", Some("Lagos"), lagos), Some(Reach::Region));
        assert_eq!(reach("NG", None, lagos), Some(Reach::Country));
        assert_eq!(reach("*", None, lagos), Some(Reach::Elsewhere));
        assert_eq!(reach("NG", Some("Kano"), lagos), None);
        assert_eq!(reach("NG", Some("Lagos"), ("NG", None)), None);
        assert_eq!(reach("GH", None, lagos), None);
        assert_eq!(reach("KE", Some("Nairobi"), ("KE", Some("NAIROBI"))), Some(Reach::Region));
        assert!(Reach::Elsewhere < Reach::Country && Reach::Country < Reach::Region);
    }

    #[test]
    fn a_place_is_itself_however_its_region_is_written() {
        let (nairobi, same) = (place("KE", Some("Nairobi")).unwrap(), place("KE", Some("nairobi")).unwrap());
        assert!(nairobi.is(&same) && !nairobi.is(&place("KE", None).unwrap()));
        assert!(!place("KE", None).unwrap().is(&place("NG", None).unwrap()));
    }
}
