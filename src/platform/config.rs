//! Settings: `config/default.toml`, then a file, then the environment. All faults are reported together.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use toml::{Table, Value};

const DEFAULTS: &str = include_str!("../../config/default.toml");

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

/// The effective settings. Each field is described in `config/default.toml`.
#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "config/default.toml describes every key, and is what an operator reads")]
pub struct Config {
    pub server: Server,
    pub log: Log,
    pub database: Database,
    pub redis: Redis,
    pub store: Store,
    pub auth: Auth,
    pub limits: Limits,
    pub privacy: Privacy,
    pub cart: Cart,
    pub orders: Orders,
    pub shipping: Shipping,
    pub tax: Tax,
    pub payments: Payments,
    pub mail: Mail,
    pub jobs: Jobs,
    pub cache: Cache,
    pub lists: Lists,
    pub inventory: Inventory,
    pub media: Media,
    pub imports: Imports,
}

macro_rules! sections {
    ($($name:ident { $($field:ident: $type:ty,)+ })+) => {$(
        /// A section of `config/default.toml`.
        #[derive(Clone, Debug, Deserialize)]
        #[expect(missing_docs, reason = "config/default.toml describes every key")]
        pub struct $name { $(pub $field: $type,)+ }
    )+};
}

sections! {
    Server {
        environment: Environment, host: IpAddr, port: u16, public_url: String, data_dir: PathBuf,
        request_timeout_seconds: u64, shutdown_seconds: u64, body_limit_bytes: usize,
        cors_origins: Vec<String>, trusted_proxies: Vec<crate::platform::network::Network>,
    }
    Log { filter: String, format: LogFormat, }
    Database {
        url: SecretString, pool_min: u32, pool_max: u32, hot_pool_max: u32, acquire_timeout_ms: u64,
        statement_timeout_ms: u64, lock_timeout_ms: u64, idle_in_transaction_timeout_ms: u64, bin_dir: String,
    }
    Redis { url: SecretString, prefix: String, timeout_ms: u64, }
    Store {
        name: String, url: String, currency: String, support_email: String, accent: String, logo_url: String, address: String,
        utc_offset_minutes: i32, demo_data: bool,
    }
    Auth {
        issuer: String, audience: String, private_key_file: String, access_token_minutes: i64,
        refresh_token_days: i64, refresh_grace_seconds: i64, lock_after_failures: i32, lock_minutes: i64,
        verification_hours: i64, verify_email_url: String, reset_minutes: i64, reset_password_url: String,
        hash_memory_kib: u32, hash_passes: u32, hash_concurrency: usize, hash_queue: usize,
        encryption_key: SecretString, previous_encryption_key: SecretString,
        challenge_minutes: i64, staff_two_factor: bool, session_check_seconds: u64,
    }
    Limits { public_per_minute: u32, auth_per_minute: u32, admin_per_minute: u32, clients: usize, }
    Privacy {
        unverified_account_days: i64, inactive_account_days: i64, ended_session_days: i64, mail_days: i64,
        visitor_consent_days: i64,
        audit_origin_days: i64,
    }
    Cart { guest_hours: i64, max_quantity: i32, }
    Orders { reservation_minutes: i64, unpaid_minutes: i64, max_lines: usize, }
    Shipping { standard_minor: i64, express_minor: i64, overnight_minor: i64, free_from_minor: i64, }
    Tax { name: String, rate_basis_points: u32, }
    Payments {
        provider: String, paystack_secret_key: SecretString, paystack_previous_secret_key: SecretString,
        paystack_url: String, timeout_seconds: u64,
    }
    Mail { provider: String, from: String, smtp_url: SecretString, timeout_seconds: u64, }
    Jobs {
        concurrency: usize, max_attempts: i16, retry_seconds: u64, timeout_seconds: u64, rescue_seconds: u64,
        sweep_seconds: u64,
    }
    Cache { products: u64, product_seconds: u64, list_bytes: u64, }
    Lists { limit: i64, max_limit: i64, popular_days: i64, }
    Inventory { low_stock: i32, }
    Media {
        provider: String, max_bytes: usize, upload_seconds: u64, timeout_seconds: u64, unattached_days: i64,
        cache_bytes: u64, signing_key: SecretString, cloudinary_url: SecretString, cloudinary_api_url: String,
        cloudinary_delivery_url: String, s3_endpoint: String,
        s3_region: String, s3_bucket: String, s3_path_style: bool, s3_access_key: String, s3_secret_key: SecretString,
        s3_public_url: String,
    }
    Imports {
        max_bytes: usize, upload_seconds: u64, keep_days: i64, fetch_images: bool, image_seconds: u64,
        private_networks: Vec<crate::platform::network::Network>,
    }
}

/// Where this process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Environment {
    /// A developer's machine; everything has a default.
    Development,
    /// A shop; what a shop must choose has no default.
    Production,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Pretty on a terminal, else JSON.
    Auto,
    /// For eyes.
    Pretty,
    /// For machines.
    Json,
}

/// All that is wrong with the settings.
#[derive(Debug)]
pub struct Faults(pub Vec<String>);

impl std::error::Error for Faults {}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "the configuration has {} fault(s):", self.0.len())?;
        for fault in &self.0 {
            writeln!(f, "  - {fault}")?;
        }
        write!(f, "config/default.toml describes every setting; `agape config` shows the effective values")
    }
}

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
        config.check(&mut faults);
        if faults.is_empty() { Ok(config) } else { Err(Faults(faults)) }
    }
}

fn check_section(name: &str, section: &Value) -> Result<(), String> {
    fn parse<T: for<'a> Deserialize<'a>>(name: &str, section: &Value) -> Result<(), String> {
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
    match name {
        "server" => parse::<Server>(name, section),
        "log" => parse::<Log>(name, section),
        "database" => parse::<Database>(name, section),
        "redis" => parse::<Redis>(name, section),
        "store" => parse::<Store>(name, section),
        "auth" => parse::<Auth>(name, section),
        "limits" => parse::<Limits>(name, section),
        "privacy" => parse::<Privacy>(name, section),
        "cart" => parse::<Cart>(name, section),
        "orders" => parse::<Orders>(name, section),
        "shipping" => parse::<Shipping>(name, section),
        "tax" => parse::<Tax>(name, section),
        "payments" => parse::<Payments>(name, section),
        "mail" => parse::<Mail>(name, section),
        "jobs" => parse::<Jobs>(name, section),
        "cache" => parse::<Cache>(name, section),
        "lists" => parse::<Lists>(name, section),
        "inventory" => parse::<Inventory>(name, section),
        "media" => parse::<Media>(name, section),
        "imports" => parse::<Imports>(name, section),
        _ => Ok(()),
    }
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

impl Config {
    /// The settings of a test or of `make run`: the defaults and nothing else.
    pub fn defaults() -> Result<Self, Faults> {
        Settings::load(None, &BTreeMap::new())?.config()
    }

    /// Whether this is a shop with real money.
    pub fn is_production(&self) -> bool {
        self.server.environment == Environment::Production
    }

    /// Whether payments go to the built-in sandbox.
    pub fn uses_sandbox(&self) -> bool {
        matches!(self.payments.provider.as_str(), "" | "sandbox")
    }

    /// The address of this server for shoppers, without a trailing slash.
    pub fn public_url(&self) -> String {
        match self.server.public_url.trim_end_matches('/') {
            "" => format!("http://localhost:{}", self.server.port),
            url => url.to_owned(),
        }
    }

    /// The address under which this process reaches itself.
    pub fn local_url(&self) -> String {
        let host = match self.server.host {
            host if host.is_unspecified() => "localhost".to_owned(),
            IpAddr::V6(host) => format!("[{host}]"),
            host => host.to_string(),
        };
        format!("http://{host}:{}", self.server.port)
    }

    /// The address of the shop's own pages: the storefront, or this server where there is none.
    pub fn store_url(&self) -> String {
        match self.store.url.trim_end_matches('/') {
            "" => self.public_url(),
            url => url.to_owned(),
        }
    }

    /// The request timeout.
    pub fn request_timeout(&self) -> Duration {
        Duration::from_secs(self.server.request_timeout_seconds)
    }

    /// How long a request that brings pictures may take.
    pub fn upload_timeout(&self) -> Duration {
        Duration::from_secs(self.media.upload_seconds)
    }

    fn check(&self, faults: &mut Vec<String>) {
        let mut require = |ok: bool, fault: &str| {
            if !ok {
                faults.push(fault.to_owned());
            }
        };
        let url = &self.server.public_url;
        require(
            url.is_empty() || url::Url::parse(url).is_ok_and(|u| matches!(u.scheme(), "http" | "https")),
            "server.public_url: must be an http or https address",
        );
        // Without the parser's message, which may quote the password.
        let database = self.database.url.expose_secret();
        require(
            database.is_empty()
                || url::Url::parse(database).is_ok_and(|u| matches!(u.scheme(), "postgres" | "postgresql"))
                    && database.parse::<sqlx::postgres::PgConnectOptions>().is_ok(),
            "database.url: must be like postgres://user:password@host/database (DATABASE_URL)",
        );
        let redis = self.redis.url.expose_secret();
        require(
            redis.is_empty()
                || url::Url::parse(redis)
                    .is_ok_and(|u| matches!(u.scheme(), "redis" | "rediss" | "unix" | "redis+unix"))
                    && redis::IntoConnectionInfo::into_connection_info(redis).is_ok(),
            "redis.url: must be like redis://user:password@host:6379/0, rediss://… with TLS, or unix:///path (REDIS_URL)",
        );
        require(
            !self.redis.prefix.is_empty() && self.redis.prefix.bytes().all(|b| b.is_ascii_graphic()),
            "redis.prefix: must be one word",
        );
        require((1..=5_000).contains(&self.redis.timeout_ms), "redis.timeout_ms: must be 1 to 5000");
        require(self.database.pool_min <= self.database.pool_max, "database.pool_min: must not exceed pool_max");
        require(self.database.pool_max >= 2, "database.pool_max: must be at least 2");
        require(self.database.hot_pool_max >= 1, "database.hot_pool_max: must be at least 1");
        require(
            self.store.currency.len() == 3 && self.store.currency.bytes().all(|b| b.is_ascii_uppercase()),
            "store.currency: must be three capital letters, such as NGN",
        );
        require(
            matches!(self.payments.provider.as_str(), "" | "sandbox" | "paystack"),
            "payments.provider: must be \"sandbox\" or \"paystack\"",
        );
        require(
            matches!(self.mail.provider.as_str(), "" | "local" | "smtp"),
            "mail.provider: must be \"local\" or \"smtp\"",
        );
        let smtp = url::Url::parse(self.mail.smtp_url.expose_secret());
        if self.mail.provider == "smtp" {
            require(
                smtp.as_ref().is_ok_and(|url| matches!(url.scheme(), "smtp" | "smtps") && url.has_host()),
                "mail.smtp_url: must be like smtps://user:password@host:465, or \
                 smtp://user:password@host:587?tls=required (AGAPE_MAIL__SMTP_URL)",
            );
        }
        require(
            self.mail.provider != "smtp" || (1..self.jobs.timeout_seconds).contains(&self.mail.timeout_seconds),
            "mail.timeout_seconds: must be at least 1 and below jobs.timeout_seconds",
        );
        let key = self.payments.paystack_secret_key.expose_secret();
        if self.payments.provider == "paystack" {
            require(
                key.starts_with("sk_test_") || key.starts_with("sk_live_"),
                "payments.paystack_secret_key: must be a key that starts with sk_test_ or sk_live_ \
                 (PAYSTACK_SECRET_KEY)",
            );
        }
        self.media.check(&mut require);
        require(
            !matches!(self.media.provider.as_str(), "s3" | "cloudinary")
                || self.media.timeout_seconds < self.server.request_timeout_seconds.min(self.jobs.timeout_seconds),
            "media.timeout_seconds: must be below server.request_timeout_seconds and jobs.timeout_seconds",
        );
        require(
            self.media.upload_seconds >= self.server.request_timeout_seconds,
            "media.upload_seconds: must be at least server.request_timeout_seconds",
        );
        require(
            self.jobs.rescue_seconds > self.jobs.timeout_seconds,
            "jobs.rescue_seconds: must exceed jobs.timeout_seconds",
        );
        require(
            self.payments.timeout_seconds < self.server.request_timeout_seconds.min(self.jobs.timeout_seconds),
            "payments.timeout_seconds: must be below server.request_timeout_seconds and jobs.timeout_seconds",
        );
        require(self.jobs.concurrency > 0, "jobs.concurrency: must be at least 1");
        require(self.jobs.max_attempts > 0, "jobs.max_attempts: must be at least 1");
        require(self.cart.max_quantity > 0, "cart.max_quantity: must be at least 1");
        require(
            self.orders.reservation_minutes > 0 && self.orders.unpaid_minutes >= self.orders.reservation_minutes,
            "orders.unpaid_minutes: must be at least reservation_minutes, which must be at least 1",
        );
        require(
            self.lists.limit > 0 && self.lists.limit <= self.lists.max_limit,
            "lists.limit: must be 1 to max_limit",
        );
        require((1..=3_650).contains(&self.lists.popular_days), "lists.popular_days: must be 1 to 3650");
        require(
            self.auth.hash_memory_kib >= 8_192 && self.auth.hash_passes >= 1,
            "auth.hash_memory_kib: must be at least 8192, with at least one pass",
        );
        for (key, secret) in [
            ("auth.encryption_key", &self.auth.encryption_key),
            ("auth.previous_encryption_key", &self.auth.previous_encryption_key),
        ] {
            let text = secret.expose_secret();
            require(
                text.is_empty() || text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()),
                &format!("{key}: must be 64 hexadecimal digits (openssl rand -hex 32)"),
            );
        }
        for (key, url) in [
            ("auth.verify_email_url", &self.auth.verify_email_url),
            ("auth.reset_password_url", &self.auth.reset_password_url),
        ] {
            require(
                url.is_empty() || url::Url::parse(url).is_ok_and(|u| matches!(u.scheme(), "http" | "https")),
                &format!("{key}: must be an http or https address"),
            );
        }
        let auth = &self.auth;
        let times = [
            auth.access_token_minutes,
            auth.refresh_token_days,
            auth.lock_minutes,
            auth.verification_hours,
            auth.reset_minutes,
            auth.challenge_minutes,
            i64::from(auth.lock_after_failures),
        ];
        require(times.iter().all(|time| *time > 0), "auth: times and lock_after_failures must be at least 1");
        require(auth.refresh_grace_seconds >= 0, "auth.refresh_grace_seconds: must not be negative");
        require(auth.session_check_seconds <= 60, "auth.session_check_seconds: must be at most 60");
        require(self.limits.clients > 0, "limits.clients: must be at least 1");
        let privacy = &self.privacy;
        let days = [
            privacy.unverified_account_days,
            privacy.inactive_account_days,
            privacy.ended_session_days,
            privacy.visitor_consent_days,
            privacy.mail_days,
            privacy.audit_origin_days,
        ];
        require(days.iter().all(|days| *days >= 0), "privacy: days must not be negative; 0 keeps for ever");
        let fees = [self.shipping.standard_minor, self.shipping.express_minor, self.shipping.overnight_minor];
        require(fees.iter().all(|fee| *fee >= 0), "shipping: fees must not be negative");
        require(self.tax.rate_basis_points <= 10_000, "tax.rate_basis_points: must be at most 10000 (100 %)");
        if self.is_production() {
            require(
                url.starts_with("https://"),
                "server.public_url: production needs the https address that shoppers use (AGAPE_SERVER__PUBLIC_URL)",
            );
            require(
                !self.database.url.expose_secret().is_empty(),
                "database.url: production needs its own PostgreSQL (DATABASE_URL)",
            );
            require(
                self.server.cors_origins.iter().all(|origin| origin.starts_with("https://")),
                "server.cors_origins: production needs the https addresses of its storefronts, or an empty list \
                 (AGAPE_SERVER__CORS_ORIGINS)",
            );
            require(
                !self.auth.private_key_file.is_empty(),
                "auth.private_key_file: production needs a key file (AGAPE_AUTH__PRIVATE_KEY_FILE)",
            );
            require(
                !self.auth.encryption_key.expose_secret().is_empty(),
                "auth.encryption_key: production needs a key of 64 hexadecimal digits (AGAPE_AUTH__ENCRYPTION_KEY; \
                 openssl rand -hex 32)",
            );
            require(
                !self.payments.provider.is_empty(),
                "payments.provider: production must choose \"paystack\", or \"sandbox\" for a rehearsal \
                 (AGAPE_PAYMENTS__PROVIDER)",
            );
            require(
                !self.mail.provider.is_empty(),
                "mail.provider: production must choose how mail leaves (AGAPE_MAIL__PROVIDER)",
            );
            require(
                !self.media.provider.is_empty(),
                "media.provider: production must choose where pictures are kept: \"local\" (a disk that is backed up and \
                 that all processes share), \"s3\" or \"cloudinary\" (AGAPE_MEDIA__PROVIDER)",
            );
            require(
                self.media.provider == "cloudinary" || !self.media.signing_key.expose_secret().is_empty(),
                "media.signing_key: production needs a key of 64 hexadecimal digits (AGAPE_MEDIA__SIGNING_KEY; openssl \
                 rand -hex 32)",
            );
            let is_private = smtp.is_ok_and(|url| {
                url.scheme() == "smtps"
                    || url.query().is_some_and(|query| query.contains("tls=required"))
                    || matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"))
            });
            require(
                self.mail.provider != "smtp" || is_private,
                "mail.smtp_url: production needs TLS to a mail server on another machine (smtps://, or tls=required)",
            );
        }
    }
}

impl Media {
    fn check(&self, require: &mut impl FnMut(bool, &str)) {
        require(
            matches!(self.provider.as_str(), "" | "local" | "s3" | "cloudinary"),
            "media.provider: must be \"local\", \"s3\" or \"cloudinary\"",
        );
        require(
            (1..=50 * 1024 * 1024).contains(&self.max_bytes),
            "media.max_bytes: must be between 1 and 52428800 (50 MB)",
        );
        require(self.timeout_seconds >= 1, "media.timeout_seconds: must be at least 1");
        require(self.unattached_days >= 0, "media.unattached_days: must not be negative; 0 keeps for ever");
        let key = self.signing_key.expose_secret();
        require(
            key.is_empty() || key.len() == 64 && key.bytes().all(|b| b.is_ascii_hexdigit()),
            "media.signing_key: must be 64 hexadecimal digits (openssl rand -hex 32)",
        );
        // Without the parser's message, which may quote the secret.
        let cloudinary = url::Url::parse(self.cloudinary_url.expose_secret());
        require(
            self.provider != "cloudinary" && self.cloudinary_url.expose_secret().is_empty()
                || cloudinary.is_ok_and(|url| {
                    url.scheme() == "cloudinary"
                        && url.has_host()
                        && !url.username().is_empty()
                        && url.password().is_some_and(|secret| !secret.is_empty())
                }),
            "media.cloudinary_url: must be like cloudinary://key:secret@cloud (CLOUDINARY_URL)",
        );
        let is_web = |url: &str| url::Url::parse(url).is_ok_and(|u| matches!(u.scheme(), "http" | "https"));
        for (name, url) in [
            ("cloudinary_api_url", &self.cloudinary_api_url),
            ("cloudinary_delivery_url", &self.cloudinary_delivery_url),
        ] {
            require(is_web(url), &format!("media.{name}: must be an http or https address"));
        }
        if self.provider == "s3" || !self.s3_endpoint.is_empty() {
            require(is_web(&self.s3_endpoint), "media.s3_endpoint: must be an http or https address");
            for (name, value) in [
                ("s3_region", self.s3_region.as_str()),
                ("s3_bucket", &self.s3_bucket),
                ("s3_access_key", &self.s3_access_key),
                ("s3_secret_key", self.s3_secret_key.expose_secret()),
            ] {
                require(!value.is_empty(), &format!("media.{name}: is needed where there is an s3_endpoint"));
            }
        }
        require(
            self.s3_public_url.is_empty() || is_web(&self.s3_public_url),
            "media.s3_public_url: must be an http or https address, or empty",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn the_defaults_are_valid() {
        let config = Config::defaults().unwrap();
        assert_eq!(config.public_url(), "http://localhost:3000");
        assert!(config.uses_sandbox());
    }

    #[test]
    fn the_environment_overrides_a_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "[server]\nport = 4000\n[cart]\nmax_quantity = 3\n").unwrap();
        let vars = env(&[("PORT", "4100"), ("AGAPE_CART__GUEST_HOURS", "48"), ("HOME", "/root")]);
        let config = Settings::load(Some(file.path()), &vars).unwrap().config().unwrap();
        assert_eq!((config.server.port, config.cart.max_quantity, config.cart.guest_hours), (4100, 3, 48));
    }

    #[test]
    fn every_fault_of_a_source_is_listed() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "[server]\nport = \"x\"\nprot = 1\n[sevrer]\n").unwrap();
        let vars = env(&[("PORT", "many"), ("AGAPE_CART__MAX", "3")]);
        let faults = Settings::load(Some(file.path()), &vars).unwrap_err().0;
        assert_eq!(faults.len(), 5, "{faults:#?}");
    }

    #[test]
    fn a_number_out_of_range_names_its_setting() {
        let vars = env(&[("PORT", "80000"), ("AGAPE_CART__MAX_QUANTITY", "99999999999"), ("DATABASE_URL", "x")]);
        let faults = Settings::load(None, &vars).unwrap().config().unwrap_err().0;
        assert_eq!(faults, ["cart.max_quantity: 99999999999 is out of range", "server.port: 80000 is out of range"]);
        let faults = Settings::load(None, &env(&[("DATABASE_URL", "x")])).unwrap().config().unwrap_err().0;
        assert!(faults[0].starts_with("database.url: must be like"), "{faults:?}");
    }

    #[test]
    fn the_address_of_redis_is_checked_and_never_quoted() {
        for good in ["redis://localhost", "rediss://:secret@cache.example.com:6380/2", "unix:///run/redis.sock"] {
            assert!(Settings::load(None, &env(&[("REDIS_URL", good)])).unwrap().config().is_ok(), "{good}");
        }
        for bad in ["http://:secret@h", "secret", "redis://h/secret"] {
            let faults = Settings::load(None, &env(&[("REDIS_URL", bad)])).unwrap().config().unwrap_err().0;
            assert!(faults[0].starts_with("redis.url: must be like"), "{bad}: {faults:?}");
            assert!(!faults[0].contains("secret"), "{faults:?}");
        }
    }

    #[test]
    fn production_lists_everything_that_is_missing() {
        let settings = Settings::load(None, &env(&[("AGAPE_ENV", "production")])).unwrap();
        let faults = settings.config().unwrap_err().0;
        for key in [
            "server.public_url",
            "server.cors_origins",
            "database.url",
            "auth.private_key_file",
            "auth.encryption_key",
            "payments.provider",
            "mail.provider",
            "media.provider",
            "media.signing_key",
        ] {
            assert!(faults.iter().any(|fault| fault.starts_with(key)), "{key}: {faults:#?}");
        }
    }

    #[test]
    fn a_media_provider_needs_all_of_its_settings() {
        let faults = |pairs: &[(&str, &str)]| match Settings::load(None, &env(pairs)).unwrap().config() {
            Ok(_) => Vec::new(),
            Err(faults) => faults.0.iter().map(|fault| fault.split(':').next().unwrap().to_owned()).collect(),
        };
        assert_eq!(faults(&[("AGAPE_MEDIA__PROVIDER", "ftp")]), ["media.provider"]);
        assert_eq!(faults(&[("AGAPE_MEDIA__PROVIDER", "cloudinary")]), ["media.cloudinary_url"]);
        assert_eq!(faults(&[("CLOUDINARY_URL", "https://key:hunter2@cloud")]), ["media.cloudinary_url"]);
        assert!(
            faults(&[("AGAPE_MEDIA__PROVIDER", "cloudinary"), ("CLOUDINARY_URL", "cloudinary://k:s@c")]).is_empty()
        );
        assert_eq!(
            faults(&[("AGAPE_MEDIA__PROVIDER", "s3"), ("AGAPE_MEDIA__S3_REGION", "")]),
            ["media.s3_endpoint", "media.s3_region", "media.s3_bucket", "media.s3_access_key", "media.s3_secret_key"]
        );
        let slow = [
            ("AGAPE_MEDIA__PROVIDER", "cloudinary"),
            ("CLOUDINARY_URL", "cloudinary://k:s@c"),
            ("AGAPE_MEDIA__TIMEOUT_SECONDS", "30"),
        ];
        assert_eq!(faults(&slow), ["media.timeout_seconds"]);
        let many = [("AGAPE_MEDIA__MAX_BYTES", "0"), ("AGAPE_MEDIA__SIGNING_KEY", "abc")];
        assert_eq!(faults(&many), ["media.max_bytes", "media.signing_key"]);
    }

    #[test]
    fn secrets_do_not_print() {
        let vars = env(&[
            ("DATABASE_URL", "postgres://u:hunter2@h/d"),
            ("REDIS_URL", "rediss://:hunter2@h/0"),
            ("PAYSTACK_SECRET_KEY", "sk_test_hunter2"),
        ]);
        let settings = Settings::load(None, &vars).unwrap();
        assert!(!settings.masked().contains("hunter2"));
        assert!(!format!("{:?}", settings.config().unwrap()).contains("hunter2"));
    }
}
