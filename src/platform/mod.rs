//! What every feature stands on, and what knows no feature.

pub mod address;
pub mod cache;
pub mod checked;
pub mod clock;
pub mod config;
pub mod count;
pub mod crypto;
pub mod csv;
pub mod db;
pub mod error;
pub mod fetch;
pub mod format;
pub mod http;
pub mod idempotency;
pub mod ids;
pub mod jobs;
pub mod money;
pub mod network;
pub mod page;
pub mod place;
pub mod rate_limit;
pub mod redis;
pub mod retry;
pub mod signals;
pub mod telemetry;
pub mod text;
