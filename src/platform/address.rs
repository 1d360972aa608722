//! Addresses as Nigeria, Ghana and their neighbours write them.

use std::borrow::Cow;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, de};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaType, Type};
use utoipa::{PartialSchema, ToSchema};

use super::error::{Error, FieldError, Result};
use super::text::{DialledPhone, Email, Text};

/// The countries that are also known by name.
const COUNTRIES: [(&str, &str); 4] = [("NG", "Nigeria"), ("GH", "Ghana"), ("KE", "Kenya"), ("ZA", "South Africa")];

/// The states of Nigeria, with its capital territory.
const STATES: [&str; 37] = [
    "Abia",
    "Adamawa",
    "Akwa Ibom",
    "Anambra",
    "Bauchi",
    "Bayelsa",
    "Benue",
    "Borno",
    "Cross River",
    "Delta",
    "Ebonyi",
    "Edo",
    "Ekiti",
    "Enugu",
    "Federal Capital Territory",
    "Gombe",
    "Imo",
    "Jigawa",
    "Kaduna",
    "Kano",
    "Katsina",
    "Kebbi",
    "Kogi",
    "Kwara",
    "Lagos",
    "Nasarawa",
    "Niger",
    "Ogun",
    "Ondo",
    "Osun",
    "Oyo",
    "Plateau",
    "Rivers",
    "Sokoto",
    "Taraba",
    "Yobe",
    "Zamfara",
];

/// The regions of Ghana since 2019.
const REGIONS: [&str; 16] = [
    "Ahafo",
    "Ashanti",
    "Bono",
    "Bono East",
    "Central",
    "Eastern",
    "Greater Accra",
    "North East",
    "Northern",
    "Oti",
    "Savannah",
    "Upper East",
    "Upper West",
    "Volta",
    "Western",
    "Western North",
];

/// Other names people write.
const ALIASES: [(&str, &str, &str); 7] = [
    ("NG", "fct", "Federal Capital Territory"),
    ("NG", "abuja", "Federal Capital Territory"),
    ("NG", "fct abuja", "Federal Capital Territory"),
    ("NG", "abuja fct", "Federal Capital Territory"),
    ("NG", "nassarawa", "Nasarawa"),
    ("GH", "accra", "Greater Accra"),
    ("GH", "brong ahafo", "Bono"),
];

/// An ISO 3166 country code of two letters. The names of the countries the shop sends to are read too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Country(String);

impl Country {
    /// The code.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name for an address, where it is one of those the shop usually sends to; else the code.
    pub fn name(&self) -> &str {
        COUNTRIES.iter().find(|(code, _)| *code == self.0).map_or(self.as_str(), |(_, name)| name)
    }

    /// The states or regions, where the shop knows them all.
    fn regions(&self) -> &'static [&'static str] {
        match self.as_str() {
            "NG" => &STATES,
            "GH" => &REGIONS,
            _ => &[],
        }
    }

    /// A state or region as it is properly written: `lagos state` is `Lagos`. None when it is none of a country whose
    /// regions are known; other countries' are taken as they come.
    pub fn region(&self, text: &str) -> Option<String> {
        if self.regions().is_empty() {
            return Some(text.to_owned());
        }
        let plain = text.to_lowercase().replace(['-', ',', '.'], " ");
        let words: Vec<&str> = plain.split_whitespace().filter(|word| !matches!(*word, "state" | "region")).collect();
        let plain = words.join(" ");
        let alias =
            ALIASES.iter().find(|(code, alias, _)| *code == self.0 && *alias == plain).map(|(_, _, name)| *name);
        let known = alias.or_else(|| self.regions().iter().find(|name| name.to_lowercase() == plain).copied());
        known.map(str::to_owned)
    }

    /// A state or region as it is properly written. Where the shop does not know all of a country, it is taken as it comes.
    ///
    /// # Errors
    /// What it must be instead, naming all there are.
    pub fn check_region(&self, text: &str) -> Result<String, String> {
        self.region(text).ok_or_else(|| {
            let kind = if self.as_str() == "NG" { "state" } else { "region" };
            format!("must be a {kind} of {}: {}", self.name(), self.regions().join(", "))
        })
    }
}

impl FromStr for Country {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        if let Some((code, _)) = COUNTRIES.iter().find(|(_, name)| name.eq_ignore_ascii_case(text)) {
            Ok(Self((*code).to_owned()))
        } else if text.len() == 2 && text.bytes().all(|b| b.is_ascii_alphabetic()) {
            Ok(Self(text.to_uppercase()))
        } else {
            Err("must be a country code of two letters, such as NG or GH")
        }
    }
}

impl<'de> Deserialize<'de> for Country {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<str>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl PartialSchema for Country {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(SchemaType::Type(Type::String))
            .description(Some("ISO 3166 code of two letters"))
            .examples([serde_json::json!("NG")])
            .build()
            .into()
    }
}

impl ToSchema for Country {}

/// Where goods go.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Address {
    /// Given name.
    #[schema(value_type = String, min_length = 1, max_length = 80)]
    pub first_name: Text<1, 80>,
    /// Family name.
    #[schema(value_type = String, min_length = 1, max_length = 80)]
    pub last_name: Text<1, 80>,
    /// For mails about the order; the account's when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<Email>,
    /// For the courier, as it is dialled in the country or with its country code.
    pub phone: DialledPhone,
    /// Street and number.
    #[schema(value_type = String, min_length = 1, max_length = 200)]
    pub address_line1: Text<1, 200>,
    /// Flat, floor.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, max_length = 200)]
    pub address_line2: Option<Text<0, 200>>,
    /// What the courier looks out for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, max_length = 200)]
    pub landmark: Option<Text<0, 200>>,
    /// City or local government area.
    #[schema(value_type = String, min_length = 1, max_length = 100)]
    pub city: Text<1, 100>,
    /// State (Nigeria) or region (Ghana).
    #[schema(value_type = String, min_length = 1, max_length = 100)]
    pub region: Text<1, 100>,
    /// Where the country has them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, max_length = 20)]
    pub postal_code: Option<Text<0, 20>>,
    /// The country.
    pub country: Country,
    /// For the courier.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, max_length = 500)]
    pub notes: Option<Text<0, 500>>,
}

/// What becomes of a state or region that the shop does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownRegion {
    /// It is kept as it was written.
    Keep,
    /// It is refused.
    Refuse,
}

impl Address {
    /// Writes number and region in their one proper form, by the rules of the country. `field` is where the address
    /// stands in the request.
    ///
    /// # Errors
    /// `Validation` with each field that the country does not know.
    pub fn resolve(mut self, field: &str, unknown: UnknownRegion) -> Result<Self> {
        let mut faults = Vec::new();
        match self.phone.in_country(&self.country) {
            Ok(phone) => self.phone = phone.into(),
            Err(message) => faults.push(FieldError::new(format!("{field}.phone"), message)),
        }
        match self.country.check_region(self.region.as_str()).and_then(|region| region.parse()) {
            Ok(region) => self.region = region,
            Err(_) if unknown == UnknownRegion::Keep => {}
            Err(message) => faults.push(FieldError::new(format!("{field}.region"), message)),
        }
        if faults.is_empty() { Ok(self) } else { Err(Error::Validation(faults)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn countries_are_codes() {
        assert_eq!("Nigeria".parse::<Country>().unwrap().as_str(), "NG");
        assert_eq!("gh".parse::<Country>().unwrap().as_str(), "GH");
        assert!("Wakanda".parse::<Country>().is_err());
    }

    #[test]
    fn a_region_has_one_spelling() {
        let region = |country: &str, text: &str| country.parse::<Country>().unwrap().region(text);
        for (country, text, name) in [
            ("NG", "lagos", "Lagos"),
            ("NG", "Lagos State", "Lagos"),
            ("NG", "akwa-ibom", "Akwa Ibom"),
            ("NG", "Abuja, FCT", "Federal Capital Territory"),
            ("NG", "FCT", "Federal Capital Territory"),
            ("GH", "GREATER ACCRA REGION", "Greater Accra"),
            ("GH", "Accra", "Greater Accra"),
            ("KE", "Nairobi", "Nairobi"),
        ] {
            assert_eq!(region(country, text).as_deref(), Some(name), "{text}");
        }
        assert_eq!(region("NG", "Ashanti"), None);
        assert_eq!(region("GH", "Lagos"), None);
    }
}
