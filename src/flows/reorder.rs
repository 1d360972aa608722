//! From an old order to the cart.

use serde::Serialize;
use sqlx::PgConnection;

use crate::app::App;
use crate::features::auth;
use crate::features::carts::{self, LeftOut};
use crate::features::orders;
use crate::platform::error::{Error, Result};
use crate::platform::http::Reply;
use crate::platform::http::keyed::{self, Begun, Keyed};
use crate::platform::idempotency;
use crate::platform::ids::{OrderId, UserId};

/// Puts what can be bought of a person's old order into his cart. `view` makes the answer of the lines that did not go in, or not
/// wholly: each line of the order, and what of it was left out.
///
/// # Errors
/// `NotFound` for another person's order; what [`idempotency::claim`] refuses.
pub async fn reorder<T: Serialize>(
    app: &App,
    id: OrderId,
    user: UserId,
    key: Option<idempotency::Request>,
    view: impl FnOnce(Vec<(orders::OrderItem, LeftOut)>) -> Reply<T>,
) -> Result<Keyed> {
    let now = app.clock.now();
    let mut tx = match keyed::begin(&app.db, key.as_ref(), now).await? {
        Begun::Given(answer) => return Ok(answer),
        Begun::Open(tx) => tx,
    };
    let done = async {
        let left_out = fill(app, &mut tx, id, user).await?;
        tx.reply(&view(left_out)).await
    }
    .await;
    let answer = tx.end(done).await?;
    carts::forget_empty(app, user).await;
    Ok(answer)
}

async fn fill(
    app: &App,
    tx: &mut PgConnection,
    id: OrderId,
    user: UserId,
) -> Result<Vec<(orders::OrderItem, LeftOut)>> {
    // The account comes first, as an erasure locks it.
    auth::hold_person(tx, user).await?.ok_or_else(Error::gone)?;
    let order = orders::find(tx, id).await?.filter(|order| order.user_id == Some(user));
    let order = order.ok_or(Error::NotFound("The order"))?;
    let wanted: Vec<_> = order.items.iter().map(|item| (item.variant_id, item.quantity)).collect();
    let left_out = carts::put_in_most(app, tx, user, &wanted).await?;
    let told = order.items.into_iter().filter_map(|item| {
        let left = left_out.iter().find(|left| left.variant_id == item.variant_id)?;
        Some((item, *left))
    });
    Ok(told.collect())
}
