//! The client against the fake, over real HTTP.

mod common;
mod delivery;
mod direct;
mod faults;
mod upload;
