//! From the wishlist to the cart.

use crate::app::App;
use crate::features::auth;
use crate::features::carts::{self, Wanted};
use crate::features::wishlists;
use crate::platform::error::{Error, Result};
use crate::platform::ids::{UserId, VariantId, WishId};

/// Puts what an entry of a wishlist stands for into its owner's cart, and takes the entry off the list: both or neither. A
/// repeated request finds no entry, and adds nothing. `variant` is for an entry that names none.
///
/// # Errors
/// `NotFound`; `Validation` of `variantId`; `Conflict` as for putting anything into a cart.
pub async fn move_to_cart(
    app: &App,
    user: UserId,
    entry: WishId,
    variant: Option<VariantId>,
    quantity: i32,
) -> Result<()> {
    let mut tx = app.db.begin().await?;
    // The account comes first, as an erasure locks it.
    auth::hold_person(&mut tx, user).await?.ok_or_else(Error::gone)?;
    let wish = wishlists::take(&mut tx, user, entry).await?.ok_or(Error::NotFound("The entry of the wishlist"))?;
    if wish.variant_id.is_some() && variant.is_some_and(|variant| Some(variant) != wish.variant_id) {
        return Err(Error::field("variantId", "is another one than the entry's; leave it out"));
    }
    let wanted = Wanted { variant: wish.variant_id.or(variant), product: Some(wish.product_id), quantity };
    carts::put_in(app, &mut tx, user, &wanted).await?;
    tx.commit().await?;
    carts::forget_empty(app, user).await;
    Ok(())
}
