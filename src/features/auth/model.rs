//! What an account is.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, de};
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaType, Type};
use utoipa::openapi::{KnownFormat, RefOr, SchemaFormat};
use utoipa::{PartialSchema, ToSchema};

/// What a person is to the shop. What each role may do is in `permissions.rs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, sqlx::Type, ToSchema)]
#[serde(rename_all = "lowercase")]
#[sqlx(type_name = "text", rename_all = "lowercase")]
pub enum Role {
    /// Buys.
    Customer,
    /// Everything.
    Admin,
    /// Catalogue, stock, orders, reports.
    Merchant,
    /// Packs and sends orders.
    Fulfilment,
    /// Payments, refunds, reports.
    Finance,
}

impl Role {
    /// The name, as stored and sent.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Admin => "admin",
            Self::Merchant => "merchant",
            Self::Fulfilment => "fulfilment",
            Self::Finance => "finance",
        }
    }
}

/// A new password: 8 to 128 characters with a lower-case and an upper-case letter, a digit and a special character,
/// and not one of the passwords that everybody tries first. It does not print.
#[derive(Clone)]
pub struct Password(String);

impl Password {
    /// The password, for the hash function only.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(****)")
    }
}

/// Passwords that pass the character rules and yet stand in every list of leaked ones, in lower case.
const COMMON: [&str; 24] = [
    "password1!",
    "password@1",
    "password@123",
    "password123!",
    "passw0rd!",
    "p@ssw0rd",
    "p@ssw0rd1",
    "p@ssword1",
    "p@ssword123",
    "pa$$w0rd",
    "pa$$word1",
    "admin@123",
    "admin123!",
    "welcome1!",
    "welcome@1",
    "welcome@123",
    "qwerty1!",
    "qwerty@123",
    "qwerty123!",
    "abc@1234",
    "abcd@1234",
    "aa123456@",
    "letmein1!",
    "iloveyou1!",
];

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
        if text.len() > 128 {
            return Err("must have at most 128 characters".into());
        }
        if COMMON.contains(&text.to_lowercase().as_str()) {
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
        for text in ["", "Test@12", "test@1234", "TEST@1234", "Test@abcd", "Test12345", "P@ssw0rd", "Admin@123"] {
            assert!(text.parse::<Password>().is_err(), "{text}");
        }
        let long = format!("Aa1!{}", "x".repeat(200));
        assert!(long.parse::<Password>().is_err());
    }

    #[test]
    fn a_password_does_not_print() {
        assert!(!format!("{:?}", "Test@1234".parse::<Password>().unwrap()).contains("Test"));
    }
}
