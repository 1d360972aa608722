//! Settings: `config/default.toml`, then a file, then the environment. All faults are reported together.
//!
//! Each section is a struct beside those that it has to do with; its `check` says what its values must be, and
//! `production.rs` what a shop must choose itself.

mod accounts;
mod load;
mod media;
mod money;
mod process;
mod production;
mod shop;

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use serde::Deserialize;

pub use accounts::{Auth, Limits, Privacy};
pub use load::Settings;
pub use media::{Imports, Media};
pub use money::{Fraud, Hours, Limit, Mail, Payments, ReconcileMail, TransferAccount};
pub use process::{Cache, Database, Environment, Jobs, Log, LogFormat, Redis, Server, Webhooks};
pub use shop::{Cart, Inventory, Invoices, Lists, Orders, Store, Wishlist};

/// Makes the struct of all sections, and the function that reads one of them.
macro_rules! config {
    ($($section:ident: $type:ident,)+) => {
        /// The effective settings. Each field is described in `config/default.toml`.
        #[derive(Clone, Debug, Deserialize)]
        #[expect(missing_docs, reason = "config/default.toml describes every key, and is what an operator reads")]
        pub struct Config { $(pub $section: $type,)+ }

        /// Whether each value of a section has the type and the range of its field.
        fn check_section(name: &str, section: &toml::Value) -> Result<(), String> {
            match name {
                $(stringify!($section) => load::check::<$type>(name, section),)+
                _ => Ok(()),
            }
        }
    };
}

config! {
    server: Server,
    log: Log,
    database: Database,
    redis: Redis,
    store: Store,
    auth: Auth,
    limits: Limits,
    privacy: Privacy,
    cart: Cart,
    wishlist: Wishlist,
    orders: Orders,
    invoices: Invoices,
    payments: Payments,
    fraud: Fraud,
    mail: Mail,
    jobs: Jobs,
    cache: Cache,
    lists: Lists,
    inventory: Inventory,
    media: Media,
    imports: Imports,
    webhooks: Webhooks,
}

/// Makes the structs of sections.
macro_rules! sections {
    ($($name:ident { $($field:ident: $type:ty,)+ })+) => {$(
        /// A section of `config/default.toml`.
        #[derive(Clone, Debug, Deserialize)]
        #[expect(missing_docs, reason = "config/default.toml describes every key")]
        pub struct $name { $(pub $field: $type,)+ }
    )+};
}
use sections;

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

impl Faults {
    fn require(&mut self, ok: bool, fault: &str) {
        if !ok {
            self.0.push(fault.to_owned());
        }
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

    /// The page of a product.
    pub fn product_url(&self, slug: &str) -> String {
        match self.store.product_url.as_str() {
            "" => self.store_url(),
            url => url.replace("{slug}", slug),
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

    /// What is wrong with values, by themselves and together.
    fn check(&self, faults: &mut Faults) {
        self.server.check(faults);
        self.database.check(faults);
        self.redis.check(faults);
        self.store.check(faults);
        self.payments.check(faults);
        self.fraud.check(faults);
        self.mail.check(faults);
        self.media.check(faults);
        self.jobs.check(faults);
        self.webhooks.check(faults);
        self.cart.check(faults);
        self.wishlist.check(faults);
        self.orders.check(faults);
        self.invoices.check(faults);
        self.lists.check(faults);
        self.inventory.check(faults);
        self.auth.check(faults);
        self.limits.check(faults);
        self.privacy.check(faults);
        self.check_times(faults);
        if self.is_production() {
            production::check(self, faults);
        }
    }

    /// Times of one section that those of another have to contain.
    fn check_times(&self, faults: &mut Faults) {
        // Whoever has worked on a refund for two minutes is taken for dead.
        faults.require(self.jobs.timeout_seconds < 120, "jobs.timeout_seconds: must be below 120");
        let shortest = self.server.request_timeout_seconds.min(self.jobs.timeout_seconds);
        faults.require(
            self.mail.provider != "smtp" || (1..self.jobs.timeout_seconds).contains(&self.mail.timeout_seconds),
            "mail.timeout_seconds: must be at least 1 and below jobs.timeout_seconds",
        );
        faults.require(
            !matches!(self.media.provider.as_str(), "s3" | "cloudinary") || self.media.timeout_seconds < shortest,
            "media.timeout_seconds: must be below server.request_timeout_seconds and jobs.timeout_seconds",
        );
        faults.require(
            self.media.upload_seconds >= self.server.request_timeout_seconds,
            "media.upload_seconds: must be at least server.request_timeout_seconds",
        );
        faults.require(
            self.webhooks.timeout_seconds < self.jobs.timeout_seconds,
            "webhooks.timeout_seconds: must be below jobs.timeout_seconds",
        );
        faults.require(
            self.payments.timeout_seconds < shortest,
            "payments.timeout_seconds: must be below server.request_timeout_seconds and jobs.timeout_seconds",
        );
    }
}

/// Whether it is an address of the web.
fn is_web(url: &str) -> bool {
    url::Url::parse(url).is_ok_and(|u| matches!(u.scheme(), "http" | "https"))
}

/// Whether it is a key of 32 bytes in hexadecimal digits, or empty.
fn is_key_or_empty(text: &str) -> bool {
    text.is_empty() || text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests;
