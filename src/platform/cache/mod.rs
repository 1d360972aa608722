//! What caches are made of. Nothing is true only here: a cache may lose everything at any moment.

mod epochs;
mod flights;
mod shared;

pub use epochs::{Epoch, Epochs};
pub use flights::Flights;
pub use shared::{Found, SharedCache, Token};
