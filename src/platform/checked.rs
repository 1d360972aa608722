//! Values that are checked where they enter, besides the texts of [`super::text`].

use std::borrow::Cow;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, de};
use uuid::Uuid;

use super::text::{Text, slugify};

/// A title or a name: a [`Text`] on one line, without characters that change the direction or break the line of what stands beside
/// it, so that nothing can look like something else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Line<const MIN: usize, const MAX: usize>(Text<MIN, MAX>);

impl<const MIN: usize, const MAX: usize> Line<MIN, MAX> {
    /// The text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The text, owned.
    pub fn into_string(self) -> String {
        self.0.into_string()
    }
}

/// Whether a character has no place in a line: controls, breaks, and what embeds, overrides or isolates a direction.
pub fn is_unfit_for_line(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

impl<const MIN: usize, const MAX: usize> FromStr for Line<MIN, MAX> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.trim().contains(is_unfit_for_line) {
            return Err("must not contain line breaks, control characters or marks of direction".into());
        }
        text.parse().map(Self)
    }
}

impl<'de, const MIN: usize, const MAX: usize> Deserialize<'de> for Line<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<str>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// A longer text of at most `MAX` characters, as it was written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Prose<const MAX: usize>(String);

impl<const MAX: usize> Prose<MAX> {
    /// The text, owned.
    pub fn into_string(self) -> String {
        self.0
    }
}

impl<const MAX: usize> FromStr for Prose<MAX> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_long = text.chars().nth(MAX).is_some();
        if is_long { Err(format!("must have at most {MAX} characters")) } else { Ok(Self(text.to_owned())) }
    }
}

impl<'de, const MAX: usize> Deserialize<'de> for Prose<MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<str>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// The part of an address that names something: lower-case letters and digits, joined by single hyphens, and no id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Slug(String);

impl Slug {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text, owned.
    pub fn into_string(self) -> String {
        self.0
    }
}

impl FromStr for Slug {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        if text.is_empty() || text != slugify(text) {
            Err("must have at most 120 lower-case letters and digits, joined by single hyphens")
        } else if Uuid::try_parse(text).is_ok() {
            Err("must not read as an id, which would be looked for instead")
        } else {
            Ok(Self(text.to_owned()))
        }
    }
}

impl<'de> Deserialize<'de> for Slug {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<str>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// A whole number between two others, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Whole<const MIN: i32, const MAX: i32>(i32);

impl<const MIN: i32, const MAX: i32> Whole<MIN, MAX> {
    /// The number.
    pub fn get(self) -> i32 {
        self.0
    }
}

impl<const MAX: i32> Default for Whole<0, MAX> {
    fn default() -> Self {
        Self(0)
    }
}

impl<const MIN: i32, const MAX: i32> TryFrom<i64> for Whole<MIN, MAX> {
    type Error = String;

    fn try_from(number: i64) -> Result<Self, String> {
        let fits = i32::try_from(number).ok().filter(|number| (MIN..=MAX).contains(number));
        fits.map(Self).ok_or_else(|| format!("must be between {MIN} and {MAX}"))
    }
}

impl<'de, const MIN: i32, const MAX: i32> Deserialize<'de> for Whole<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        i64::deserialize(deserializer)?.try_into().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_and_reads_as_it_is() {
        for text in ["Royal Kente", " Àdìrẹ Ẹlẹ́kọ ", "كنتي ملكي", "👩‍🦱 wig"] {
            assert!(text.parse::<Line<1, 60>>().is_ok(), "{text}");
        }
        for text in
            ["", "Kente\nLace", "Kente\tLace", "\u{202e}etneK", "a\u{2066}b", "a\u{2028}b", "a\u{7}b", "a\u{feff}b"]
        {
            assert!(text.parse::<Line<1, 60>>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_slug_is_no_id() {
        assert_eq!(" royal-kente-2 ".parse::<Slug>().unwrap().as_str(), "royal-kente-2");
        for text in [
            "",
            "Royal",
            "royal--kente",
            "-royal",
            "01900000-0000-7000-8000-000000000001",
            "01900000000070008000000000000001",
        ] {
            assert!(text.parse::<Slug>().is_err(), "{text}");
        }
        assert!("a".repeat(121).parse::<Slug>().is_err());
    }

    #[test]
    fn a_whole_number_keeps_its_bounds() {
        let read = |text: &str| serde_json::from_str::<Whole<0, 10>>(text).map(Whole::get).ok();
        assert_eq!(
            [read("0"), read("10"), read("11"), read("-1"), read("99999999999"), read("1.5")],
            [Some(0), Some(10), None, None, None, None]
        );
    }
}
