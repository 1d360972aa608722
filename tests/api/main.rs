//! Tests of the whole application over HTTP. Each has its own database and its own server.
#![expect(clippy::unwrap_used, reason = "a test that meets an error has failed")]
#![expect(clippy::expect_used, reason = "a test that meets an error has failed")]
#![expect(unreachable_pub, reason = "the support modules are read like a library")]

mod arch;
mod auth;
mod carts;
mod catalog;
mod cli;
mod concurrency;
mod crash;
mod database;
mod http;
mod import;
mod journey;
mod limits;
mod odd_input;
mod orders;
mod payment_pages;
mod payments;
mod readme;
mod support;
