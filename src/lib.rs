//! AGAPE: a commerce backend in one binary on PostgreSQL.
//!
//! `docs/architecture.md` is the map of this crate.

pub mod app;
pub mod boot;
pub mod cli;
pub mod features;
pub mod flows;
pub mod jobs;
pub mod limits;
pub mod openapi;
mod pipeline;
pub mod platform;
pub mod router;
