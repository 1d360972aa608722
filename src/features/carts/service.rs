//! Filling and emptying a cart. Every change locks the cart, so changes at the same time follow each other.

use chrono::{DateTime, TimeDelta, Utc};

use super::cache::Known;
use super::model::CartView;
use super::owner::Owner;
use super::store::{self, Locked};
use crate::app::App;
use crate::platform::db::Tx;
use crate::platform::error::{Error, FieldError, Result};
use crate::platform::ids::{CartItemId, ProductId, VariantId};

pub(super) async fn get_cart(app: &App, owner: &Owner) -> Result<CartView> {
    let token = match app.empty_carts.find(owner).await {
        Known::Empty => return view(app, Vec::new()),
        Known::Nothing(token) => token,
    };
    let lines = store::open_cart_lines(&mut *app.db.acquire().await?, owner, app.clock.now()).await?;
    if let Some(token) = token.filter(|_| lines.is_empty()) {
        app.empty_carts.put(owner, &token).await;
    }
    view(app, lines)
}

fn view(app: &App, lines: Vec<store::CartLine>) -> Result<CartView> {
    CartView::new(lines, app.config.tax.rate_basis_points, &app.config.store.currency, &app.config.public_url())
}

fn expiry(app: &App, owner: &Owner, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    match owner {
        Owner::User(_) => None,
        Owner::Guest(_) | Owner::Stranger => Some(now + TimeDelta::hours(app.config.cart.guest_hours)),
    }
}

/// Refuses a change that is based on an older state, if the client says on which.
fn check_version(cart: &Locked, version: Option<i32>) -> Result<()> {
    match version {
        Some(version) if version != cart.version => {
            Err(Error::conflict("Your cart has changed meanwhile. Load it again and repeat your change."))
        }
        _ => Ok(()),
    }
}

pub(super) async fn add_item(
    app: &App,
    owner: &Owner,
    variant: Option<VariantId>,
    product: Option<ProductId>,
    quantity: i32,
) -> Result<CartView> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let cart = store::lock_or_create(&mut tx, owner, expiry(app, owner, now), now).await?;
    let offers = store::offers(&mut tx, variant, product).await?;
    let offer = match &offers[..] {
        [] => return Err(Error::NotFound("The product")),
        [offer] => offer,
        _ => return Err(Error::field("variantId", "is required, because this product has several variants")),
    };
    let have = store::quantity_of(&mut tx, cart.id, offer.variant_id).await?;
    let max_lines = app.config.orders.max_lines;
    if have == 0 && store::count_lines(&mut tx, cart.id).await? >= max_lines {
        return Err(Error::conflict(format!("A cart has at most {max_lines} lines. Order these first.")));
    }
    let sum = have.saturating_add(quantity);
    check_quantity(app, sum, have, offer.available)?;
    store::set_line(&mut tx, cart.id, offer, sum, now).await?;
    finish(app, tx, owner, now).await
}

fn check_quantity(app: &App, quantity: i32, have: i32, available: i32) -> Result<()> {
    let max = app.config.cart.max_quantity;
    let refuse = |message: String, detail: String| {
        Err(Error::Conflict { message, details: vec![FieldError::new("quantity", detail)] })
    };
    let have_text = if have > 0 { format!(" Your cart has {have} already.") } else { String::new() };
    if available <= 0 {
        refuse("This is sold out at the moment.".into(), "none are available".into())
    } else if quantity > available {
        refuse(format!("Only {available} of this are left.{have_text}"), format!("must be at most {available} in all"))
    } else if quantity > max {
        refuse(
            format!("You can buy at most {max} of this at once.{have_text}"),
            format!("must be at most {max} in all"),
        )
    } else {
        Ok(())
    }
}

pub(super) async fn update_item(
    app: &App,
    owner: &Owner,
    item: CartItemId,
    quantity: i32,
    version: Option<i32>,
) -> Result<CartView> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let cart =
        store::lock(&mut tx, owner, expiry(app, owner, now), now).await?.ok_or(Error::NotFound("The cart line"))?;
    check_version(&cart, version)?;
    let variant = store::variant_of_line(&mut tx, cart.id, item).await?.ok_or(Error::NotFound("The cart line"))?;
    let offers = store::offers(&mut tx, Some(variant), None).await?;
    let offer =
        offers.first().ok_or_else(|| Error::conflict("This cannot be bought any more. Remove it from your cart."))?;
    check_quantity(app, quantity, 0, offer.available)?;
    store::set_line(&mut tx, cart.id, offer, quantity, now).await?;
    finish(app, tx, owner, now).await
}

pub(super) async fn remove_item(app: &App, owner: &Owner, item: CartItemId) -> Result<CartView> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let cart =
        store::lock(&mut tx, owner, expiry(app, owner, now), now).await?.ok_or(Error::NotFound("The cart line"))?;
    if store::remove_lines(&mut tx, cart.id, Some(item)).await? == 0 {
        return Err(Error::NotFound("The cart line"));
    }
    finish(app, tx, owner, now).await
}

pub(super) async fn clear(app: &App, owner: &Owner) -> Result<CartView> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    if let Some(cart) = store::lock(&mut tx, owner, expiry(app, owner, now), now).await? {
        store::remove_lines(&mut tx, cart.id, None).await?;
    }
    finish(app, tx, owner, now).await
}

async fn finish(app: &App, mut tx: Tx, owner: &Owner, now: DateTime<Utc>) -> Result<CartView> {
    let lines = store::open_cart_lines(&mut tx, owner, now).await?;
    tx.commit().await?;
    if !lines.is_empty() {
        app.empty_carts.forget(owner).await;
    }
    view(app, lines)
}
