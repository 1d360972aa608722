//! The audit log: who did what to what, append-only.

mod store;

use serde_json::Value;

use crate::features::auth::Identity;

pub use store::record;

/// One deed.
#[derive(Debug)]
pub struct Entry<'a> {
    /// Who did it; none for the system and for people who are not signed in.
    pub actor: Option<&'a Identity>,
    /// The deed, such as `product.update`.
    pub action: &'static str,
    /// The kind of thing, such as `product`.
    pub entity: &'static str,
    /// The thing's id.
    pub entity_id: Option<String>,
    /// The thing before, where it existed.
    pub before: Option<Value>,
    /// The thing after, where it still exists.
    pub after: Option<Value>,
}
