//! Where settings come from: the defaults, a file, the environment.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use toml::{Table, Value};

use super::{Config, Faults, check_section};

const DEFAULTS: &str = include_str!("../../../config/default.toml");

/// Names that operators and platforms use anyway.
const WELL_KNOWN: [(&str, &str); 8] = [
    ("AGAPE_ENV", "server.environment"),
    ("PORT", "server.port"),
    ("DATABASE_URL", "database.url"),
    ("PG_BIN", "database.bin_dir"),
    ("REDIS_URL", "redis.url"),
    ("PAYSTACK_SECRET_KEY", "payments.paystack_secret_key"),
    ("AGAPE_DATA_DIR", "server.data_dir"),
    ("CLOUDINARY_URL", "media.cloudinary_url"),
];

/// Keys whose values never print.
const SECRETS: [&str; 10] = [
    "mail.smtp_url",
    "database.url",
    "redis.url",
    "auth.encryption_key",
    "auth.previous_encryption_key",
    "payments.paystack_secret_key",
    "payments.paystack_previous_secret_key",
    "media.signing_key",
    "media.cloudinary_url",
    "media.s3_secret_key",
];

/// The merged settings before they are typed; what `agape config` prints.
#[derive(Debug)]
pub struct Settings(Table);

impl Settings {
    /// Merges the defaults, the file and the environment. Unknown keys and values of a wrong type are faults.
    pub fn load(file: Option<&Path>, env: &BTreeMap<String, String>) -> Result<Self, Faults> {
        let mut faults = Vec::new();
        let mut table: Table = match DEFAULTS.parse() {
            Ok(table) => table,
            Err(error) => return Err(Faults(vec![format!("config/default.toml: {error}")])),
        };
        if let Some(path) = file {
            match std::fs::read_to_string(path)
                .map_err(|e| e.to_string())
                .and_then(|text| text.parse::<Table>().map_err(|e| e.to_string().trim_end().to_owned()))
            {
                Ok(overrides) => merge(&mut table, &overrides, path, &mut faults),
                Err(error) => faults.push(format!("{}: {error}", path.display())),
            }
        }
        for (name, text) in env {
            let key = match WELL_KNOWN.iter().find(|(known, _)| known == name) {
                Some((_, key)) => (*key).to_owned(),
                None => match name.strip_prefix("AGAPE_").filter(|rest| rest.contains("__")) {
                    Some(rest) => rest.to_lowercase().replacen("__", ".", 1),
                    None => continue,
                },
            };
            let slot =
                key.split_once('.').and_then(|(section, field)| table.get_mut(section)?.as_table_mut()?.get_mut(field));
            match slot {
                None => faults.push(format!("{name}: there is no setting {key}")),
                Some(slot) => match parse_like(slot, text) {
                    Ok(value) => *slot = value,
                    Err(expected) => faults.push(format!("{name}: must be {expected}")),
                },
            }
        }
        if faults.is_empty() { Ok(Self(table)) } else { Err(Faults(faults)) }
    }

    /// The settings as TOML, with secrets masked.
    pub fn masked(&self) -> String {
        let mut table = self.0.clone();
        for key in SECRETS {
            if let Some((section, field)) = key.split_once('.')
                && let Some(Value::String(text)) =
                    table.get_mut(section).and_then(Value::as_table_mut).and_then(|s| s.get_mut(field))
                && !text.is_empty()
            {
                *text = "********".into();
            }
        }
        table.to_string()
    }

    /// The typed settings, checked across fields.
    pub fn config(&self) -> Result<Config, Faults> {
        let mut faults = Vec::new();
        // Section by section, so that one wrong section does not hide another.
        for (name, section) in &self.0 {
            if let Err(error) = check_section(name, section) {
                faults.push(error);
            }
        }
        if !faults.is_empty() {
            return Err(Faults(faults));
        }
        let config = Config::deserialize(Value::Table(self.0.clone())).map_err(|e| Faults(vec![e.to_string()]))?;
        let mut faults = Faults(faults);
        config.check(&mut faults);
        if faults.0.is_empty() { Ok(config) } else { Err(faults) }
    }
}

/// Reads a section as `T`. The fault names the key.
pub(super) fn check<T: for<'a> Deserialize<'a>>(name: &str, section: &Value) -> Result<(), String> {
    T::deserialize(section.clone()).map(drop).map_err(|e| {
        let text = e.to_string();
        // "invalid value: integer `80000`, expected u16\nin `port`\n"
        let (message, key) = match text.trim_end().rsplit_once("\nin `") {
            Some((message, key)) => (message, key.trim_end_matches('`')),
            None => (text.trim_end(), "?"),
        };
        let message = match message.split_once("integer `").and_then(|(_, rest)| rest.split_once('`')) {
            Some((number, _)) => format!("{number} is out of range"),
            None => message.to_owned(),
        };
        format!("{name}.{key}: {message}")
    })
}

fn merge(base: &mut Table, overrides: &Table, path: &Path, faults: &mut Vec<String>) {
    for (section, values) in overrides {
        let (Some(known), Some(values)) = (base.get_mut(section).and_then(Value::as_table_mut), values.as_table())
        else {
            faults.push(format!("{}: there is no section [{section}]", path.display()));
            continue;
        };
        for (key, value) in values {
            match known.get_mut(key) {
                None => faults.push(format!("{}: there is no setting {section}.{key}", path.display())),
                Some(slot) if slot.same_type(value) => *slot = value.clone(),
                Some(slot) => {
                    faults.push(format!("{}: {section}.{key} must be {}", path.display(), kind(slot)));
                }
            }
        }
    }
}

fn parse_like(example: &Value, text: &str) -> Result<Value, &'static str> {
    let value = match example {
        Value::Integer(_) => text.trim().parse().map(Value::Integer).ok(),
        Value::Boolean(_) => text.trim().parse().map(Value::Boolean).ok(),
        Value::Array(_) => Some(Value::Array(
            text.split(',').map(str::trim).filter(|t| !t.is_empty()).map(|t| Value::String(t.into())).collect(),
        )),
        _ => Some(Value::String(text.to_owned())),
    };
    value.ok_or(kind(example))
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Integer(_) => "a whole number",
        Value::Boolean(_) => "true or false",
        Value::Array(_) => "a list",
        _ => "a text",
    }
}
