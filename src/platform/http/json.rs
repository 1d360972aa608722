//! Reads JSON bodies and reports every wrong field at once, not only the first.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use crate::platform::error::{Error, FieldError, Result};

/// A body with more wrong fields than this gets the first of them.
const MAX_FAULTS: usize = 32;

/// Looking for every fault reads the body again and again, so a larger one gets its first fault only.
const MAX_BYTES: usize = 32 * 1024;

/// Reads `body` as a `T`.
///
/// # Errors
/// `Validation` with the path and the failure of each field.
pub fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T> {
    // Serde would take a list for an object, field by field.
    if body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[') {
        return Err(Error::field("", "the body must be an object"));
    }
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    match serde_path_to_error::deserialize(&mut deserializer) {
        Ok(value) => match deserializer.end() {
            Ok(()) => refuse_nul(body).map(|()| value),
            Err(_) => Err(Error::field("", "the body has text after its JSON")),
        },
        Err(error) => Err(match serde_json::from_slice(body) {
            Ok(_) if body.len() > MAX_BYTES => {
                let (path, message) = described(&error);
                Error::field(path, message)
            }
            Ok(value) => match faults::<T>(value) {
                // Some faults, such as a field that comes twice, are gone once the body has been read as a value.
                faults if faults.is_empty() => {
                    let (path, message) = described(&error);
                    Error::field(path, message)
                }
                faults => Error::Validation(faults),
            },
            Err(error) if error.is_eof() && body.iter().all(u8::is_ascii_whitespace) => {
                Error::field("", "the body is empty; send JSON")
            }
            Err(error) => {
                Error::field("", format!("the body is not JSON (line {}, column {})", error.line(), error.column()))
            }
        }),
    }
}

/// Tells `null` from a field that was left out: `#[serde(default, deserialize_with = "present")]`.
///
/// # Errors
/// Those of the type.
pub fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> std::result::Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// No text in the database can have a NUL. In JSON it can only stand as an escape.
fn refuse_nul(body: &[u8]) -> Result<()> {
    fn visit(value: &Value, path: String, faults: &mut Vec<FieldError>) {
        match value {
            Value::String(text) if text.contains('\0') => {
                faults.push(FieldError::new(path, "must not contain the character NUL"));
            }
            Value::Array(list) => {
                list.iter().enumerate().for_each(|(i, value)| visit(value, format!("{path}[{i}]"), faults));
            }
            Value::Object(map) => {
                for (key, value) in map {
                    let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                    if key.contains('\0') {
                        faults.push(FieldError::new(path.replace('\0', "?"), "must not contain the character NUL"));
                    }
                    visit(value, path, faults);
                }
            }
            _ => {}
        }
    }
    if !body.windows(6).any(|part| part == b"\\u0000") {
        return Ok(());
    }
    let mut faults = Vec::new();
    if let Ok(value) = serde_json::from_slice(body) {
        visit(&value, String::new(), &mut faults);
    }
    faults.truncate(MAX_FAULTS);
    if faults.is_empty() { Ok(()) } else { Err(Error::Validation(faults)) }
}

/// Serde stops at the first failure. So each failure is noted and then mended with a value that lets serde pass
/// that point, until nothing fails any more or a failure cannot be mended.
fn faults<T: DeserializeOwned>(mut body: Value) -> Vec<FieldError> {
    let mut faults: Vec<FieldError> = Vec::new();
    while let Err((path, message)) = attempt::<T>(&body) {
        if faults.len() == MAX_FAULTS || faults.iter().any(|fault| fault.field == path) {
            break;
        }
        faults.push(FieldError::new(path.clone(), message.clone()));
        let mended = candidates(&message).into_iter().find_map(|candidate| {
            let mut mended = body.clone();
            set(&mut mended, &path, candidate)?;
            match attempt::<T>(&mended) {
                Err((next, _)) if next == path => None,
                _ => Some(mended),
            }
        });
        match mended {
            Some(mended) => body = mended,
            None => break,
        }
    }
    faults
}

/// The path and the message of the first failure.
fn attempt<T: DeserializeOwned>(body: &Value) -> std::result::Result<(), (String, String)> {
    serde_path_to_error::deserialize::<_, T>(body.clone()).map(drop).map_err(|error| described(&error))
}

/// The path and the message of a failure.
fn described(error: &serde_path_to_error::Error<serde_json::Error>) -> (String, String) {
    let mut path = error.path().to_string();
    let message = error.inner().to_string();
    // Where in the bytes it stands is of no use to a person.
    let message = message.split(" at line ").next().unwrap_or_default();
    // Serde reports a missing field at its parent.
    if let Some(name) = quoted(message, "missing field `") {
        path = if path == "." { name } else { format!("{path}.{name}") };
        return (path, "is required".into());
    }
    if let Some(name) = quoted(message, "duplicate field `") {
        path = if path == "." { name } else { path };
        return (path, "is there twice".into());
    }
    if let Some(name) = quoted(message, "unknown field `") {
        if path == "." {
            path = name;
        } else if path.rsplit('.').next() != Some(&name) {
            path = format!("{path}.{name}");
        }
        return (path, "is not a field of this request".into());
    }
    let path = if path == "." { String::new() } else { path };
    (path, readable(message))
}

fn quoted(message: &str, before: &str) -> Option<String> {
    let rest = message.strip_prefix(before)?;
    Some(rest[..rest.find('`')?].to_owned())
}

/// Serde's words for a wrong value, in the words of the person who sent it.
fn readable(message: &str) -> String {
    if message.starts_with("invalid value: integer") {
        return "is out of range".into();
    }
    if message.starts_with("UUID parsing failed") {
        return "must be a UUID".into();
    }
    if message.starts_with("data did not match any variant") {
        return "has none of the shapes that are allowed here".into();
    }
    if let Some(rest) = message.strip_prefix("unknown variant ") {
        return match rest.split_once("expected ") {
            Some((_, allowed)) => {
                let allowed = allowed.trim_start_matches("one of ").replace('`', "\"");
                format!("must be {}", allowed.replace(", ", " or "))
            }
            None => "is not an allowed value".into(),
        };
    }
    let is_serdes =
        ["invalid type: ", "invalid value: ", "invalid length "].iter().any(|start| message.starts_with(start));
    match message.rsplit_once(", expected ").filter(|_| is_serdes) {
        Some((_, expected)) => format!("must be {}", kind(expected)),
        None => message.to_owned(),
    }
}

/// What serde expected, without the names of the program's own types.
fn kind(expected: &str) -> &str {
    match expected {
        "a string" | "a borrowed string" | "string" => "a text",
        "a boolean" => "true or false",
        "a map" => "an object",
        "a sequence" => "a list",
        "i8" | "i16" | "i32" | "i64" | "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number",
        "f32" | "f64" | "a number" => "a number",
        "unit" => "null",
        e if e.starts_with("struct ") || e.contains("tagged enum ") => "an object",
        e if e == "string or map" || e.starts_with("enum ") => "one of its names",
        e if e.starts_with("a tuple ") || e.starts_with("an array ") => "a list",
        e if e.contains("UUID") => "a UUID",
        e if e.contains("date and time") => "a time, such as 2026-11-28T14:00:00Z",
        e => e,
    }
}

/// Values that may stand where a failure was; `null` removes an unknown field.
fn candidates(message: &str) -> Vec<Value> {
    if message == "is not a field of this request" {
        return vec![Value::Null];
    }
    vec![
        json!(""),
        json!("x"),
        json!(1),
        json!(false),
        json!([]),
        json!({}),
        json!("a@example.com"),
        json!("+2348031234567"),
        json!("00000000-0000-7000-8000-000000000000"),
        json!("Mended#Value1"),
        json!("NG"),
        json!("2026-01-01T00:00:00Z"),
    ]
}

/// Puts `value` at `path` (`items[0].quantity`); null removes an object's key.
fn set(root: &mut Value, path: &str, value: Value) -> Option<()> {
    let mut at = root;
    let mut steps = path.split(['.', '[']).map(|s| s.trim_end_matches(']')).filter(|s| !s.is_empty()).peekable();
    if steps.peek().is_none() {
        *at = value;
        return Some(());
    }
    while let Some(step) = steps.next() {
        let last = steps.peek().is_none();
        match at {
            Value::Object(map) if last => {
                if value.is_null() {
                    map.remove(step);
                } else {
                    map.insert(step.to_owned(), value);
                }
                return Some(());
            }
            Value::Object(map) => at = map.get_mut(step)?,
            Value::Array(list) => {
                let slot = list.get_mut(step.parse::<usize>().ok()?)?;
                if last {
                    *slot = value;
                    return Some(());
                }
                at = slot;
            }
            _ => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::text::{Email, Text};

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "camelCase")]
    #[expect(dead_code, reason = "only its reading is tested")]
    struct Order {
        email: Email,
        note: Option<Text<1, 5>>,
        items: Vec<Item>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "camelCase")]
    #[expect(dead_code, reason = "only its reading is tested")]
    struct Item {
        product_id: uuid::Uuid,
        quantity: i32,
    }

    fn fields(body: &str) -> Vec<(String, String)> {
        match parse::<Order>(body.as_bytes()) {
            Err(Error::Validation(faults)) => faults.into_iter().map(|f| (f.field, f.message)).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_wrong_field_is_reported() {
        let faults = fields(
            r#"{"email": "ama", "note": "too long", "total": 5, "items": [{"productId": "x", "quantity": "two"}, {"price": 1}]}"#,
        );
        let paths: Vec<&str> = faults.iter().map(|(path, _)| path.as_str()).collect();
        for path in [
            "email",
            "note",
            "total",
            "items[0].productId",
            "items[0].quantity",
            "items[1].price",
            "items[1].productId",
            "items[1].quantity",
        ] {
            assert!(paths.contains(&path), "{path} is missing in {faults:#?}");
        }
    }

    /// Nobody who sends JSON knows the types of this program, or the library that reads them.
    #[test]
    fn wrong_values_are_told_in_plain_words() {
        #[derive(Debug, Deserialize)]
        #[serde(rename_all = "lowercase")]
        enum Colour {
            Red,
            Gold,
        }
        #[derive(Debug, Deserialize)]
        #[serde(untagged)]
        #[expect(dead_code, reason = "only its reading is tested")]
        enum Either {
            Item(Item),
            Number(f64),
        }
        #[derive(Debug, Deserialize)]
        #[expect(dead_code, reason = "only its reading is tested")]
        struct All {
            colour: Option<Colour>,
            either: Option<Either>,
            width: Option<f64>,
            count: Option<u8>,
            pair: Option<(i32, i32)>,
            item: Option<Item>,
            at: Option<chrono::DateTime<chrono::Utc>>,
            id: Option<uuid::Uuid>,
        }
        for (body, message) in [
            (r#"{"colour": "blue"}"#, "must be \"red\" or \"gold\""),
            (r#"{"colour": 5}"#, "must be one of its names"),
            (r#"{"either": "x"}"#, "has none of the shapes that are allowed here"),
            (r#"{"width": "x"}"#, "must be a number"),
            (r#"{"count": "x"}"#, "must be a whole number"),
            (r#"{"count": 256}"#, "is out of range"),
            (r#"{"pair": [1]}"#, "must be a list"),
            (r#"{"pair": "x"}"#, "must be a list"),
            (r#"{"item": "x"}"#, "must be an object"),
            (r#"{"at": 5}"#, "must be a time, such as 2026-11-28T14:00:00Z"),
            (r#"{"id": "x"}"#, "must be a UUID"),
            (r#"{"id": true}"#, "must be a UUID"),
        ] {
            match parse::<All>(body.as_bytes()) {
                Err(Error::Validation(faults)) => assert_eq!(faults[0].message, message, "{body}"),
                other => panic!("{body}: {other:?}"),
            }
        }
    }

    #[test]
    fn what_is_not_json_is_said() {
        for body in ["", " ", "{", "nonsense", "{\"email\":}", "[]", "null", "5", "{} {}", "\u{0}"] {
            let faults = fields(body);
            assert!(!faults.is_empty(), "{body}");
        }
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(body in ".{0,120}") {
            let _ = parse::<Order>(body.as_bytes());
        }
    }
}
