//! The client against the sandbox, over real HTTP.

mod api;
mod common;
mod faults;
mod payment;
