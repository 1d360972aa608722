//! Tests of the whole application over HTTP. Each has its own database and its own server.
#![expect(clippy::unwrap_used, reason = "a test that meets an error has failed")]
#![expect(clippy::expect_used, reason = "a test that meets an error has failed")]
#![expect(unreachable_pub, reason = "the support modules are read like a library")]

mod arch;
mod concurrency;
mod journey;
mod odd_input;
mod payment_pages;
mod readme;
mod support;
