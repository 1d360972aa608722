//! Lenient reading of Paystack's JSON objects.
//!
//! The same field comes as a number in one event and as a string in another,
//! and an absent object as `{}`, `null`, `0` or `""`. Only what the caller
//! declares as required makes an error.

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::Error;

/// One JSON object and the readers of its fields.
#[derive(Clone, Copy)]
pub(crate) struct Fields<'a>(pub(crate) &'a Value);

impl<'a> Fields<'a> {
    /// The field's raw value; a JSON null counts as absent.
    pub(crate) fn value(self, key: &str) -> Option<&'a Value> {
        self.0.get(key).filter(|value| !value.is_null())
    }

    /// A string without its outer blanks, or a number as text; empty is absent. NUL
    /// is left out, which databases do not keep in a text.
    pub(crate) fn text(self, key: &str) -> Option<String> {
        match self.value(key)? {
            Value::String(text) => Some(text.trim().replace('\0', "")).filter(|text| !text.is_empty()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }

    /// A whole number, also as a decimal string.
    pub(crate) fn integer(self, key: &str) -> Option<i64> {
        match self.value(key)? {
            Value::Number(number) => number.as_i64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    /// An amount in the subunit, from zero, also as a decimal string.
    pub(crate) fn amount(self, key: &str) -> Option<i64> {
        self.integer(key).filter(|amount| *amount >= 0)
    }

    /// A whole number from zero, also as a decimal string.
    pub(crate) fn unsigned(self, key: &str) -> Option<u64> {
        match self.value(key)? {
            Value::Number(number) => number.as_u64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    /// A yes or no, as a boolean, 0 or 1, or the words "true" and "false".
    pub(crate) fn flag(self, key: &str) -> Option<bool> {
        match self.value(key)? {
            Value::Bool(flag) => Some(*flag),
            Value::Number(number) => number.as_u64().map(|number| number != 0),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    /// The first of `keys` that holds an ISO 8601 time.
    pub(crate) fn time(self, keys: [&str; 2]) -> Option<DateTime<Utc>> {
        keys.into_iter().find_map(|key| {
            let time = DateTime::parse_from_rfc3339(self.value(key)?.as_str()?).ok()?;
            Some(time.to_utc())
        })
    }

    /// A nested object with at least one field.
    pub(crate) fn object(self, key: &str) -> Option<Fields<'a>> {
        let value = self.value(key)?;
        let filled = value.as_object().is_some_and(|object| !object.is_empty());
        filled.then_some(Fields(value))
    }
}

/// Turns an absent or unusable required field into an error that names it.
pub(crate) fn required<T>(field: Option<T>, key: &str) -> Result<T, Error> {
    field.ok_or_else(|| Error::Decode(format!("`{key}` is missing or has another type")))
}

/// Moves a field out of an object; JSON null if there is none.
pub(crate) fn take(object: &mut Value, key: &str) -> Value {
    object.get_mut(key).map(Value::take).unwrap_or_default()
}
