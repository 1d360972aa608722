//! What a password must be.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

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

/// What most leaked passwords are made of. A password that is one of these words with digits and signs around it, some of
/// its letters written as signs, is guessed first, although it has every kind of character (NIST SP 800-63B, 5.1.1.2).
const COMMON: [&str; 48] = [
    "password",
    "passwort",
    "passwd",
    "pass",
    "passphrase",
    "parola",
    "admin",
    "administrator",
    "root",
    "user",
    "guest",
    "login",
    "welcome",
    "letmein",
    "changeme",
    "default",
    "secret",
    "master",
    "monkey",
    "dragon",
    "sunshine",
    "princess",
    "football",
    "baseball",
    "iloveyou",
    "iloveu",
    "trustno",
    "superman",
    "batman",
    "shadow",
    "michael",
    "jesus",
    "blessed",
    "blessing",
    "godisgood",
    "nigeria",
    "ghana",
    "lagos",
    "accra",
    "kente",
    "ankara",
    "agape",
    "qwerty",
    "qwertyuiop",
    "qwertyui",
    "asdfgh",
    "abc",
    "abcd",
];

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
        let (word, plain) = (word_in(text), text.trim_end_matches(|c: char| !c.is_alphabetic()));
        if COMMON.contains(&word.as_str()) || COMMON.contains(&word_in(plain).as_str()) {
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
        ] {
            assert!(text.parse::<Password>().is_err(), "{text}");
        }
        for text in ["Test@1234", "Long#Password9", "Kofi&Ama2026", "Demo-abcDEF123-1a", "Blue-Kente-77"] {
            assert!(text.parse::<Password>().is_ok(), "{text}");
        }
    }

    #[test]
    fn a_password_does_not_print() {
        assert!(!format!("{:?}", "Test@1234".parse::<Password>().unwrap()).contains("Test"));
    }
}
