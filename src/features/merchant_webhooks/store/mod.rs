//! SQL of the addresses that are told of events, and of what they are told.

pub(super) mod deliveries;
pub(super) mod endpoints;
pub(super) mod outcome;
