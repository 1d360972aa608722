//! Texts that are checked where they enter: whoever holds one of these types holds a valid value.

mod email;
mod phone;

use std::borrow::Cow;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, de};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaType, Type};
use utoipa::{PartialSchema, ToSchema};

pub use email::Email;
pub use phone::{DialledPhone, Phone, part_of_number};

/// A text without surrounding white space or control characters, of `MIN` to `MAX` characters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Text<const MIN: usize, const MAX: usize>(String);

impl<const MIN: usize, const MAX: usize> Text<MIN, MAX> {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text, owned.
    pub fn into_string(self) -> String {
        self.0
    }
}

impl<const MIN: usize, const MAX: usize> FromStr for Text<MIN, MAX> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let length = text.chars().count();
        if length < MIN && MIN == 1 {
            Err("must not be empty".into())
        } else if !(MIN..=MAX).contains(&length) {
            Err(format!("must have {MIN} to {MAX} characters"))
        } else if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t') || is_override(c)) {
            Err("must not contain control characters".into())
        } else {
            Ok(Self(text.to_owned()))
        }
    }
}

/// Whether a character makes what stands behind it run the other way, so that a name looks like another one.
fn is_override(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}')
}

impl<'de, const MIN: usize, const MAX: usize> Deserialize<'de> for Text<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<str>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl<const MIN: usize, const MAX: usize> PartialSchema for Text<MIN, MAX> {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(SchemaType::Type(Type::String))
            .min_length(Some(MIN))
            .max_length(Some(MAX))
            .build()
            .into()
    }
}

impl<const MIN: usize, const MAX: usize> ToSchema for Text<MIN, MAX> {
    fn name() -> Cow<'static, str> {
        Cow::Owned(format!("Text{MIN}To{MAX}"))
    }
}

/// The part of a URL that names a thing: lower-case letters and digits, joined by single hyphens. Empty when the text
/// has neither.
pub fn slugify(text: &str) -> String {
    let mut slug = String::new();
    for c in text.chars().flat_map(char::to_lowercase) {
        let plain = match c {
            'à' | 'á' | 'â' | 'ã' | 'ä' | 'å' | 'ạ' => "a",
            'è' | 'é' | 'ê' | 'ë' | 'ẹ' | 'ɛ' => "e",
            'ì' | 'í' | 'î' | 'ï' | 'ị' => "i",
            'ò' | 'ó' | 'ô' | 'õ' | 'ö' | 'ọ' | 'ɔ' => "o",
            'ù' | 'ú' | 'û' | 'ü' | 'ụ' => "u",
            'ç' => "c",
            'ñ' | 'ŋ' | 'ṅ' => "n",
            'ṣ' => "s",
            'ß' => "ss",
            c if c.is_ascii_alphanumeric() => {
                slug.push(c);
                continue;
            }
            // Apostrophes and combining accents vanish: "men's" is "mens".
            '\'' | '’' | '\u{300}'..='\u{36f}' => continue,
            _ if slug.is_empty() || slug.ends_with('-') => continue,
            _ => "-",
        };
        slug.push_str(plain);
    }
    slug.truncate(120);
    slug.trim_end_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_are_plain() {
        for (text, slug) in [
            ("Aṣọ-Òkè  (Gold)", "aso-oke-gold"),
            ("Men’s Agbádá", "mens-agbada"),
            ("--", ""),
            ("Kente / 6 yards", "kente-6-yards"),
        ] {
            assert_eq!(slugify(text), slug);
        }
    }

    proptest::proptest! {
        #[test]
        fn a_slug_is_its_own_slug(text in ".{0,80}") {
            let slug = slugify(&text);
            proptest::prop_assert_eq!(slugify(&slug), slug);
        }

        #[test]
        fn parsing_never_panics(text in ".{0,80}") {
            let _ = (text.parse::<Email>(), text.parse::<Phone>(), text.parse::<Text<1, 20>>());
        }
    }
}
