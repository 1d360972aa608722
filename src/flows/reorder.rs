//! From an old order to the cart.

use crate::app::App;
use crate::features::auth;
use crate::features::carts::{self, LeftOut};
use crate::features::orders;
use crate::platform::error::{Error, Result};
use crate::platform::ids::{OrderId, UserId};

/// Puts what can be bought of a person's old order into his cart. Gives the lines that did not go in, or not wholly: the place
/// of each in the order, and what was left out.
///
/// # Errors
/// `NotFound` for another person's order.
pub async fn reorder(app: &App, id: OrderId, user: UserId) -> Result<Vec<(orders::OrderItem, LeftOut)>> {
    let mut tx = app.db.begin().await?;
    // The account comes first, as an erasure locks it.
    auth::hold_person(&mut tx, user).await?.ok_or_else(Error::gone)?;
    let order = orders::find(&mut tx, id).await?.filter(|order| order.user_id == Some(user));
    let order = order.ok_or(Error::NotFound("The order"))?;
    let wanted: Vec<_> = order.items.iter().map(|item| (item.variant_id, item.quantity)).collect();
    let left_out = carts::put_in_most(app, &mut tx, user, &wanted).await?;
    tx.commit().await?;
    carts::forget_empty(app, user).await;
    let told = order.items.into_iter().filter_map(|item| {
        let left = left_out.iter().find(|left| left.variant_id == item.variant_id)?;
        Some((item, *left))
    });
    Ok(told.collect())
}
