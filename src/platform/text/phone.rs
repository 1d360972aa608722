//! Telephone numbers.

use std::borrow::Cow;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, de};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaType, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::platform::address::Country;

/// A telephone number in E.164, for example `+2348031234567`. National numbers are read as Nigerian:
/// 0803…, 803…, 234803… and +234803… are one number; 024… and 05… are Ghanaian. Kenya's and South Africa's are alike, so
/// they need their country: see [`DialledPhone`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Phone(String);

/// The numbering of a country: ISO code, calling code, digits of a national number without its leading 0.
const NUMBERING: [(&str, &str, usize); 4] = [("NG", "234", 10), ("GH", "233", 9), ("KE", "254", 9), ("ZA", "27", 9)];

/// The digits of a number, and whether it was written with its calling code.
fn dialled(text: &str) -> Option<(bool, String)> {
    let plain: String = text.chars().filter(|c| !matches!(c, ' ' | '-' | '(' | ')' | '.' | '/')).collect();
    let (international, digits) = match plain.strip_prefix('+').or_else(|| plain.strip_prefix("00")) {
        Some(rest) => (true, rest),
        None => (false, plain.as_str()),
    };
    let valid = !digits.is_empty() && digits.len() <= 15 && digits.bytes().all(|b| b.is_ascii_digit());
    valid.then(|| (international, digits.to_owned()))
}

impl Phone {
    /// The number.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A number with its calling code. Of the countries whose numbering is known, it must have the right length.
    fn international(digits: &str) -> Option<Self> {
        let known = NUMBERING.iter().find(|(_, code, _)| digits.starts_with(code));
        let valid = match known {
            Some((_, code, length)) => {
                // Some write the leading 0 after the calling code.
                let national = &digits[code.len()..];
                let national = national.strip_prefix('0').unwrap_or(national);
                if national.len() == *length {
                    return Some(Self(format!("+{code}{national}")));
                }
                false
            }
            None => (8..=15).contains(&digits.len()) && !digits.starts_with('0'),
        };
        valid.then(|| Self(format!("+{digits}")))
    }

    /// A number as it is dialled in a country.
    fn national(digits: &str, country: &str) -> Option<Self> {
        let (_, code, length) = NUMBERING.iter().find(|(iso, _, _)| *iso == country)?;
        let national = digits.strip_prefix('0').unwrap_or(digits);
        let valid = national.len() == *length && !national.starts_with('0');
        valid.then(|| Self(format!("+{code}{national}")))
    }
}

impl FromStr for Phone {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const INVALID: &str = "must be a telephone number, such as 0803 123 4567 or +233 24 123 4567";
        let (international, digits) = dialled(text).ok_or(INVALID)?;
        let phone = match digits.len() {
            _ if international => Self::international(&digits),
            11 if digits.starts_with('0') => Self::national(&digits, "NG"),
            // Ghana's mobile numbers, as they are dialled there; no Nigerian number has this shape.
            10 if digits.starts_with("02") || digits.starts_with("05") => Self::national(&digits, "GH"),
            10 if !digits.starts_with('0') => Self::national(&digits, "NG"),
            11..=13 if !digits.starts_with('0') => Self::international(&digits),
            _ => None,
        };
        phone.ok_or(INVALID)
    }
}

impl<'de> Deserialize<'de> for Phone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<str>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl PartialSchema for Phone {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(SchemaType::Type(Type::String))
            .max_length(Some(32))
            .examples([serde_json::json!("0803 123 4567")])
            .build()
            .into()
    }
}

impl ToSchema for Phone {}

/// A telephone number as it was dialled, whose meaning may depend on a country that stands beside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct DialledPhone(String);

impl DialledPhone {
    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The number in E.164, where a national one is of `country`.
    ///
    /// # Errors
    /// What it must be, to follow the field's name.
    pub fn in_country(&self, country: &Country) -> Result<Phone, String> {
        let invalid = || {
            let name = country.name();
            format!("must be a telephone number of {name}, or one with its country code, such as +234 803 123 4567")
        };
        let (international, digits) = dialled(&self.0).ok_or_else(invalid)?;
        if international {
            return Phone::international(&digits).ok_or_else(invalid);
        }
        Phone::national(&digits, country.as_str())
            .or_else(|| {
                let code = NUMBERING.iter().find(|(iso, _, _)| *iso == country.as_str()).map(|(_, code, _)| *code)?;
                digits.starts_with(code).then(|| Phone::international(&digits)).flatten()
            })
            // Somebody who sends a gift gives his own number.
            .or_else(|| self.0.parse().ok())
            .ok_or_else(invalid)
    }
}

impl From<Phone> for DialledPhone {
    fn from(phone: Phone) -> Self {
        Self(phone.0)
    }
}

impl FromStr for DialledPhone {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match dialled(text) {
            Some((_, digits)) if digits.len() >= 7 => Ok(Self(text.trim().to_owned())),
            _ => Err("must be a telephone number, such as 0803 123 4567 or +233 24 123 4567"),
        }
    }
}

impl<'de> Deserialize<'de> for DialledPhone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<str>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl PartialSchema for DialledPhone {
    fn schema() -> RefOr<Schema> {
        Phone::schema()
    }
}

impl ToSchema for DialledPhone {}

/// The digits of a telephone number as they are stored, if the text may be a part of one: without the 0 in front.
pub fn part_of_number(text: &str) -> Option<String> {
    let is_number = text.chars().all(|c| c.is_ascii_digit() || " +-().".contains(c));
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let digits = digits.trim_start_matches('0');
    (is_number && digits.len() >= 3).then(|| digits.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_number_has_one_spelling() {
        for text in ["08031234567", "8031234567", "2348031234567", "+234 803 123 4567", "00234-803-1234567"] {
            assert_eq!(text.parse::<Phone>().unwrap().as_str(), "+2348031234567", "{text}");
        }
        for text in ["+233 24 123 4567", "024 123 4567", "0241234567", "233241234567"] {
            assert_eq!(text.parse::<Phone>().unwrap().as_str(), "+233241234567", "{text}");
        }
        for text in ["", "12", "phone", "+0803", "0803123456789", "+23480312345678", "0712345678", "0821234567"] {
            assert!(text.parse::<Phone>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_country_says_what_was_dialled() {
        let resolve = |text: &str, country: &str| {
            let phone: DialledPhone = text.parse().unwrap();
            phone.in_country(&country.parse().unwrap()).map(|phone| phone.as_str().to_owned())
        };
        for (country, text, number) in [
            ("NG", "0803 123 4567", "+2348031234567"),
            ("NG", "803-123-4567", "+2348031234567"),
            ("NG", "+234 (0) 803 123 4567", "+2348031234567"),
            ("GH", "024 123 4567", "+233241234567"),
            ("GH", "24 123 4567", "+233241234567"),
            ("KE", "0712 345 678", "+254712345678"),
            ("KE", "254712345678", "+254712345678"),
            ("ZA", "082 123 4567", "+27821234567"),
            ("ZA", "071 234 5678", "+27712345678"),
            ("ZA", "27821234567", "+27821234567"),
            // A gift from Lagos to Accra.
            ("GH", "0803 123 4567", "+2348031234567"),
            ("GB", "+44 20 7946 0958", "+442079460958"),
        ] {
            assert_eq!(resolve(text, country).as_deref(), Ok(number), "{country} {text}");
        }
        for (country, text) in
            [("KE", "071234567"), ("ZA", "08212345678901"), ("NG", "0703 123 456"), ("GB", "020 7946")]
        {
            assert!(resolve(text, country).is_err(), "{country} {text}");
        }
    }
}
