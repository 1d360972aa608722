//! The client against the sandbox, over real HTTP.

mod api;
mod breaker;
mod common;
mod disputes;
mod docs;
mod faults;
mod means;
mod payment;
mod refunds;
