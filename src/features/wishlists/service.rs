//! Keeping a wishlist.

use super::store::{self, Wish};
use crate::app::App;
use crate::features::catalog::{self, Shown};
use crate::platform::error::{Error, Result};
use crate::platform::ids::{ProductId, UserId, VariantId, WishId};
use crate::platform::page::Page;

/// Adds a product, or one variant of it. What is there already stays as it is; then `false` comes with it.
///
/// # Errors
/// `NotFound` when it is not for sale; `Conflict` when the list is full.
pub(super) async fn add(
    app: &App,
    user: UserId,
    product: ProductId,
    variant: Option<VariantId>,
) -> Result<(Wish, bool)> {
    let mut tx = app.db.begin().await?;
    let entries = store::lock_list(&mut tx, user).await?;
    if let Some(known) = store::find(&mut tx, user, product, variant).await? {
        return Ok((known, false));
    }
    let max = app.config.wishlist.max_items;
    if entries >= max {
        return Err(Error::conflict(format!("A wishlist has at most {max} entries. Remove one first.")));
    }
    let wish = Wish { id: WishId::new(), product_id: product, variant_id: variant, added_at: app.clock.now() };
    if !store::insert(&mut tx, user, &wish).await? {
        return Err(Error::NotFound("The product"));
    }
    tx.commit().await?;
    Ok((wish, true))
}

/// A page of a list with its products, and how many entries the list has.
pub(super) async fn list(app: &App, user: UserId, page: Page) -> Result<(Vec<(Wish, Shown)>, i64)> {
    let mut connection = app.db.acquire().await?;
    let wishes = store::list(&mut connection, user, page.limit, page.offset()).await?;
    let total = store::count(&mut connection, user).await?;
    let products: Vec<_> = wishes.iter().map(|wish| wish.product_id).collect();
    let shown = catalog::show_products(app, &mut connection, &products).await?;
    Ok((wishes.into_iter().zip(shown).collect(), total))
}
