//! Slugs that are made of a name where nobody chose one.

use sqlx::PgConnection;

use super::rules::{RESERVED_CATEGORIES, RESERVED_PRODUCTS, is_reserved};
use super::store::slugs::{self, Of};
use crate::platform::error::{Error, Result};
use crate::platform::retry;
use crate::platform::text::slugify;

/// How often a made slug may be taken meanwhile by somebody who chose it.
const TRIES: usize = 3;

/// The slug that was chosen, or one made of the name that is free.
///
/// # Errors
/// `Validation` of a name that no slug can be made of, `Conflict` when all are taken.
pub(super) async fn chosen_or_made(c: &mut PgConnection, of: Of, chosen: Option<&str>, name: &str) -> Result<String> {
    if let Some(slug) = chosen {
        return Ok(slug.to_owned());
    }
    let base = slugify(name);
    if base.is_empty() {
        return Err(Error::field("slug", "is required, because the name has no letter from a to z and no digit"));
    }
    let reserved = if of == Of::Products { RESERVED_PRODUCTS } else { RESERVED_CATEGORIES };
    slugs::free(c, of, &base, is_reserved(&base, reserved))
        .await?
        .ok_or_else(|| Error::conflict("Too many have this name. Choose a slug."))
}

/// Runs a transaction that makes a slug, again when somebody has chosen the same one meanwhile.
///
/// # Errors
/// Those of the transaction.
pub(super) async fn with_made<T, F: Future<Output = Result<T>>>(
    is_made: bool,
    mut run: impl FnMut() -> F,
) -> Result<T> {
    let mut tries = 1;
    loop {
        match retry::on_deadlock(&mut run).await {
            Err(Error::Conflict { details, .. })
                if is_made && tries < TRIES && details.iter().any(|fault| fault.field == "slug") =>
            {
                tries += 1;
            }
            done => return done,
        }
    }
}
