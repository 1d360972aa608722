//! What a password must be.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use serde::{Deserialize, Deserializer, de};
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaType, Type};
use utoipa::openapi::{KnownFormat, RefOr, SchemaFormat};
use utoipa::{PartialSchema, ToSchema};

/// A new password: 8 to 128 characters with a lower-case and an upper-case letter, a digit and a special character,
/// and not one of those that everybody tries first. It does not print.
#[derive(Clone)]
pub struct Password(String);

impl Password {
    /// The password, for the hash function only.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Refuses a password that has its owner's address in it.
    ///
    /// # Errors
    /// What is wrong, to follow the field's name.
    pub(super) fn differs_from(&self, email: &str) -> Result<(), &'static str> {
        if self.0.to_lowercase().contains(email) { Err("must not contain the e-mail address") } else { Ok(()) }
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(****)")
    }
}

/// The words that most leaked passwords are made of, in order: names, months, clubs, cities, prayers, rows of keys. A password
/// that is one of them with digits and signs around it, some of its letters written as signs, is guessed first, although
/// it has every kind of character (NIST SP 800-63B, 5.1.1.2).
const COMMON: &str = include_str!("common_words.txt");

/// Letters around which digits and signs are no secret: fewer than this.
const MIN_LETTERS: usize = 3;

fn is_common(word: &str) -> bool {
    static WORDS: LazyLock<HashSet<&str>> = LazyLock::new(|| COMMON.lines().collect());
    WORDS.contains(word)
}

/// Whether these digits are what everybody types: a run such as 1234 or 9876, one digit again and again, or a year.
fn is_plain_number(digits: &[u8]) -> bool {
    let step = |by: i16| digits.windows(2).all(|pair| i16::from(pair[1]) - i16::from(pair[0]) == by);
    let year = matches!(digits, [b'1', b'9', _, _] | [b'2', b'0', _, _]);
    year || [0, 1, -1].into_iter().any(step) || digits.windows(3).all(|three| three[0] == three[2])
}

/// The word in a password: in lower case, signs read as the letters they stand for, digits and signs around it cut off.
fn word_in(text: &str) -> String {
    let letters = text.to_lowercase();
    let core = letters.trim_matches(|c: char| !c.is_alphabetic() && !matches!(c, '@' | '$'));
    let read = |c| match c {
        '@' | '4' => 'a',
        '0' => 'o',
        '1' | '!' => 'i',
        '3' => 'e',
        '$' | '5' => 's',
        '7' => 't',
        c => c,
    };
    core.chars().map(read).collect::<String>().trim_matches(|c: char| !c.is_alphabetic()).to_owned()
}

/// Whether a password is among the first that are tried: a common word in disguise, or hardly a letter and a plain number.
fn is_guessed_first(text: &str) -> bool {
    let plain = text.trim_end_matches(|c: char| !c.is_alphabetic());
    let letters: String = text.to_lowercase().chars().filter(|c| c.is_alphabetic()).collect();
    // A word twice, or two of them, is no better than one: LoveLove, GodIsGood.
    let twice = letters.len().is_multiple_of(2)
        && letters.is_char_boundary(letters.len() / 2)
        && letters[..letters.len() / 2] == letters[letters.len() / 2..];
    let half = if twice { &letters[..letters.len() / 2] } else { letters.as_str() };
    if [word_in(text), word_in(plain), letters.clone(), half.to_owned()].iter().any(|word| is_common(word)) {
        return true;
    }
    let mut kinds: Vec<char> = letters.chars().collect();
    kinds.dedup();
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_digit).collect();
    kinds.len() < MIN_LETTERS && letters.chars().count() < 8 && is_plain_number(&digits)
}

impl FromStr for Password {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut missing = Vec::new();
        if text.chars().count() < 8 {
            missing.push("8 characters");
        }
        if !text.chars().any(char::is_lowercase) {
            missing.push("a lower-case letter");
        }
        if !text.chars().any(char::is_uppercase) {
            missing.push("an upper-case letter");
        }
        if !text.chars().any(|c| c.is_ascii_digit()) {
            missing.push("a digit");
        }
        if !text.chars().any(|c| !c.is_alphanumeric() && !c.is_whitespace()) {
            missing.push("a special character such as ! or @");
        }
        if !missing.is_empty() {
            return Err(format!("must have at least {}", missing.join(", ")));
        }
        if text.chars().count() > 128 {
            return Err("must have at most 128 characters".into());
        }
        if is_guessed_first(text) {
            return Err("is one of the passwords that everybody tries first; choose another".into());
        }
        Ok(Self(text.to_owned()))
    }
}

impl<'de> Deserialize<'de> for Password {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<str>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl PartialSchema for Password {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(SchemaType::Type(Type::String))
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Password)))
            .min_length(Some(8))
            .max_length(Some(128))
            .description(Some("A lower-case and an upper-case letter, a digit and a special character"))
            .examples([serde_json::json!("Test@1234")])
            .build()
            .into()
    }
}

impl ToSchema for Password {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_has_every_kind_of_character() {
        assert!("Test@1234".parse::<Password>().is_ok());
        assert!("Ọ̀ṣun River 7!".parse::<Password>().is_ok());
        for text in ["", "Test@12", "test@1234", "TEST@1234", "Test@abcd", "Test12345", "P@ssw0rd"] {
            assert!(text.parse::<Password>().is_err(), "{text}");
        }
        assert!(format!("Aa1!{}", "ọ".repeat(124)).parse::<Password>().is_ok());
        let long = format!("Aa1!{}", "x".repeat(125));
        assert!(long.parse::<Password>().is_err());
    }

    #[test]
    fn what_everybody_tries_first_is_refused() {
        for text in [
            "P@ssw0rd",
            "Admin@123",
            "Password1!",
            "Passw0rd2026#",
            "W3lcome@1",
            "Qwerty123!",
            "Abcd@1234",
            "!Nigeria1960",
            "Lagos@2026",
            "Pa$$w0rd9",
            "Summer2024!",
            "Aa@123456",
            "Qwer@1234",
            "Chelsea@1",
            "LoveLove#1",
            "1Qaz!2wsx",
            "@Emeka2001",
            "G0dIsG00d!1",
            "December_25",
            "Ab#111111",
        ] {
            assert!(text.parse::<Password>().is_err(), "{text}");
        }
        for text in [
            "Test@1234",
            "Long#Password9",
            "Kofi&Ama2026",
            "Demo-abcDEF123-1a",
            "Blue-Kente-77",
            "Mango#Tree8",
            "x7!Kq29z",
        ] {
            assert!(text.parse::<Password>().is_ok(), "{text}");
        }
    }

    #[test]
    fn the_list_of_words_is_in_order_and_can_be_met() {
        let words: Vec<&str> = COMMON.lines().collect();
        assert!(words.is_sorted_by(|a, b| a < b));
        assert!(words.iter().all(|word| word.bytes().all(|b| b.is_ascii_lowercase())), "{words:?}");
        for word in words {
            let (first, rest) = word.split_at(1);
            let disguised = format!("{}{rest}#2024{}", first.to_uppercase(), "!".repeat(3));
            assert!(disguised.parse::<Password>().is_err(), "{disguised}");
        }
    }

    #[test]
    fn a_password_does_not_print() {
        assert!(!format!("{:?}", "Test@1234".parse::<Password>().unwrap()).contains("Test"));
    }
}
