//! Tests of the whole application over HTTP. Each has its own database and its own server.
#![expect(clippy::unwrap_used, reason = "a test that meets an error has failed")]
#![expect(clippy::expect_used, reason = "a test that meets an error has failed")]
#![expect(unreachable_pub, reason = "the support modules are read like a library")]

mod addresses;
mod arch;
mod audit;
mod auth;
mod authz;
mod carts;
mod catalog;
mod cli;
mod concurrency;
mod crash;
mod database;
mod docs;
mod export;
mod http;
mod image_fetches;
mod import;
mod import_formats;
mod imports;
mod journey;
mod limits;
mod mail;
mod odd_input;
mod orders;
mod passwords;
mod payment_pages;
mod payments;
mod privacy;
mod readme;
mod sessions;
mod support;
mod two_factor;
