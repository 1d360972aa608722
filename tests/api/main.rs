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
mod categories;
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
mod limit_stores;
mod limits;
mod lists;
mod mail;
mod media;
mod media_cloudinary;
mod media_direct;
mod media_s3;
mod nodes;
mod odd_input;
mod orders;
mod passwords;
mod payment_pages;
mod payments;
mod privacy;
mod product_images;
mod products;
mod readme;
mod redis;
mod search;
mod sessions;
mod support;
mod two_factor;
