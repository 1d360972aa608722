//! HTTP as every feature speaks it: the envelope, the extractors, the steps around handlers.

pub mod envelope;
pub mod extract;
pub mod json;
pub mod keyed;
pub mod layers;
pub mod pages;
pub mod tags;

pub use envelope::{Answer, Envelope, ErrorEnvelope, Reply, created, deleted, ok};
pub use extract::{Body, IdempotencyHeader, PathId, PathIds, PathName, Query, RequestMeta};
