//! SQL of reconciliations: runs, what the provider lists, and what differs.

pub(super) mod findings;
pub(super) mod items;
pub(super) mod runs;
