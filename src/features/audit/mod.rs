//! The audit log: who did what to what, append-only and chained by hashes.

mod http;
mod store;

use serde_json::{Map, Value};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::features::auth::Identity;

pub use store::{Chain, check_chain, erase_subject, export, forget_origins, record};

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

/// The fields of two objects that differ, of each. When it was written is no change of its own.
pub fn changed(before: &Value, after: &Value) -> (Value, Value) {
    let (mut old, mut new) = (Map::new(), Map::new());
    for (name, value) in after.as_object().into_iter().flatten() {
        let was = before.get(name).unwrap_or(&Value::Null);
        if was != value && name != "updatedAt" {
            old.insert(name.clone(), was.clone());
            new.insert(name.clone(), value.clone());
        }
    }
    (Value::Object(old), Value::Object(new))
}

/// The routes under `/api/v1`.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(http::list_audit)).routes(routes!(http::check_audit))
}
