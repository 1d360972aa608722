//! What the process itself needs: where it listens, what it logs, and what it is connected to.

use std::net::IpAddr;
use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::{Faults, is_web, sections};
use crate::platform::network::Network;

sections! {
    Server {
        environment: Environment, host: IpAddr, port: u16, public_url: String, data_dir: PathBuf,
        request_timeout_seconds: u64, shutdown_seconds: u64, body_limit_bytes: usize,
        cors_origins: Vec<String>, trusted_proxies: Vec<Network>,
    }
    Log { filter: String, format: LogFormat, }
    Database {
        url: SecretString, pool_min: u32, pool_max: u32, hot_pool_max: u32, acquire_timeout_ms: u64,
        statement_timeout_ms: u64, lock_timeout_ms: u64, idle_in_transaction_timeout_ms: u64, bin_dir: String,
    }
    Redis { url: SecretString, prefix: String, timeout_ms: u64, }
    Webhooks {
        poll_seconds: u64, timeout_seconds: u64, tries: i32, retry_seconds: i64, disable_days: i64, keep_days: i64,
        private_networks: Vec<Network>,
    }
    Jobs {
        concurrency: usize, max_attempts: i16, retry_seconds: u64, timeout_seconds: u64, rescue_seconds: u64,
        sweep_seconds: u64,
    }
    Cache { products: u64, product_seconds: u64, list_bytes: u64, }
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

impl Server {
    pub(super) fn check(&self, faults: &mut Faults) {
        faults.require(
            self.public_url.is_empty() || is_web(&self.public_url),
            "server.public_url: must be an http or https address",
        );
    }
}

impl Database {
    pub(super) fn check(&self, faults: &mut Faults) {
        // Without the parser's message, which may quote the password.
        let url = self.url.expose_secret();
        faults.require(
            url.is_empty()
                || url::Url::parse(url).is_ok_and(|u| matches!(u.scheme(), "postgres" | "postgresql"))
                    && url.parse::<sqlx::postgres::PgConnectOptions>().is_ok(),
            "database.url: must be like postgres://user:password@host/database (DATABASE_URL)",
        );
        faults.require(self.pool_min <= self.pool_max, "database.pool_min: must not exceed pool_max");
        faults.require(self.pool_max >= 2, "database.pool_max: must be at least 2");
        faults.require(self.hot_pool_max >= 1, "database.hot_pool_max: must be at least 1");
    }
}

impl Redis {
    pub(super) fn check(&self, faults: &mut Faults) {
        let url = self.url.expose_secret();
        faults.require(
            url.is_empty()
                || url::Url::parse(url).is_ok_and(|u| matches!(u.scheme(), "redis" | "rediss" | "unix" | "redis+unix"))
                    && redis::IntoConnectionInfo::into_connection_info(url).is_ok(),
            "redis.url: must be like redis://user:password@host:6379/0, rediss://… with TLS, or unix:///path (REDIS_URL)",
        );
        faults.require(
            !self.prefix.is_empty() && self.prefix.bytes().all(|b| b.is_ascii_graphic()),
            "redis.prefix: must be one word",
        );
        faults.require((1..=5_000).contains(&self.timeout_ms), "redis.timeout_ms: must be 1 to 5000");
    }
}

impl Webhooks {
    pub(super) fn check(&self, faults: &mut Faults) {
        faults.require((1..=60).contains(&self.poll_seconds), "webhooks.poll_seconds: must be 1 to 60");
        faults.require(self.timeout_seconds >= 1, "webhooks.timeout_seconds: must be at least 1");
        faults.require((1..=20).contains(&self.tries), "webhooks.tries: must be 1 to 20");
        faults
            .require((1..=3_600).contains(&self.retry_seconds), "webhooks.retry_seconds: must be 1 to 3600 (an hour)");
        faults.require((1..=365).contains(&self.disable_days), "webhooks.disable_days: must be 1 to 365");
        faults.require(self.keep_days >= 0, "webhooks.keep_days: must not be negative; 0 keeps for ever");
    }
}

impl Jobs {
    pub(super) fn check(&self, faults: &mut Faults) {
        faults.require(
            self.rescue_seconds > self.timeout_seconds,
            "jobs.rescue_seconds: must exceed jobs.timeout_seconds",
        );
        faults.require(self.concurrency > 0, "jobs.concurrency: must be at least 1");
        faults.require(self.max_attempts > 0, "jobs.max_attempts: must be at least 1");
    }
}
