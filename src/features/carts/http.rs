//! The endpoints of the cart.

use axum::extract::State;
use axum_extra::extract::cookie::{Cookie, CookieJar, SameSite};
use cookie::time;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::model::CartView;
use super::owner::{CART_COOKIE, Owner};
use super::service;
use crate::app::App;
use crate::platform::crypto::{random_token, sha256};
use crate::platform::error::{Error, Result};
use crate::platform::http::{Answer, Body, Envelope, ErrorEnvelope, PathId, Reply, ok};
use crate::platform::ids::{CartItemId, ProductId, VariantId};

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct CartData {
    cart: CartView,
    /// A new guest's token: it is in the cookie `agape_cart` too. Clients without cookies send it as `X-Cart-Token`.
    #[serde(skip_serializing_if = "Option::is_none")]
    cart_token: Option<String>,
}

/// Something to put in the cart. The price is the shop's; a price in the request is refused.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct AddCartItem {
    /// May be left out for a product with one variant.
    variant_id: Option<VariantId>,
    product_id: Option<ProductId>,
    /// Added to what the cart has.
    #[schema(minimum = 1)]
    quantity: i32,
}

/// A new quantity.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct UpdateCartItem {
    #[schema(minimum = 1)]
    quantity: i32,
    /// The version that the change is based on; refused when the cart has another. May be left out.
    version: Option<i32>,
}

fn data(cart: CartView) -> Reply<CartData> {
    ok(CartData { cart, cart_token: None })
}

/// My cart
///
/// Of the account, or of the guest who sends the cookie or `X-Cart-Token`. Empty when there is none.
#[utoipa::path(get, path = "/cart", tag = "Cart", security((), ("bearer" = [])), responses(
    (status = 200, body = Envelope<CartData>),
))]
pub(super) async fn get_cart(State(app): State<App>, owner: Owner) -> Answer<CartData> {
    Ok(data(service::get_cart(&app, &owner).await?))
}

/// Put something in the cart
#[utoipa::path(post, path = "/cart/items", tag = "Cart", security((), ("bearer" = [])),
    request_body = AddCartItem, responses(
    (status = 200, body = Envelope<CartData>),
    (status = 400, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope, description = "No such product for sale"),
    (status = 409, body = ErrorEnvelope, description = "More than is available, or than one may buy"),
))]
pub(super) async fn add_cart_item(
    State(app): State<App>,
    owner: Owner,
    jar: CookieJar,
    body: Body<AddCartItem>,
) -> Result<(CookieJar, Reply<CartData>)> {
    let AddCartItem { variant_id, product_id, quantity } = body.value;
    check_quantity(quantity)?;
    if variant_id.is_none() && product_id.is_none() {
        return Err(Error::field("variantId", "is required, or productId for a product with one variant"));
    }
    let (owner, token) = match owner {
        Owner::Stranger => {
            let token = random_token()?;
            (Owner::Guest(sha256(token.as_bytes())), Some(token))
        }
        owner => (owner, None),
    };
    let cart = service::add_item(&app, &owner, variant_id, product_id, quantity).await?;
    let jar = match &token {
        Some(token) => jar.add(
            Cookie::build((CART_COOKIE, token.clone()))
                .path("/")
                .http_only(true)
                .same_site(SameSite::Lax)
                .secure(app.config.public_url().starts_with("https://"))
                .max_age(time::Duration::days(30))
                .build(),
        ),
        None => jar,
    };
    Ok((jar, ok(CartData { cart, cart_token: token })))
}

/// Change the quantity of a line
#[utoipa::path(patch, path = "/cart/items/{item}", tag = "Cart", security((), ("bearer" = [])),
    params(("item" = CartItemId, Path)), request_body = UpdateCartItem, responses(
    (status = 200, body = Envelope<CartData>),
    (status = 400, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope),
))]
pub(super) async fn update_cart_item(
    State(app): State<App>,
    owner: Owner,
    PathId(item): PathId<CartItemId>,
    body: Body<UpdateCartItem>,
) -> Answer<CartData> {
    check_quantity(body.value.quantity)?;
    Ok(data(service::update_item(&app, &owner, item, body.value.quantity, body.value.version).await?))
}

/// Remove a line
#[utoipa::path(delete, path = "/cart/items/{item}", tag = "Cart", security((), ("bearer" = [])),
    params(("item" = CartItemId, Path)), responses(
    (status = 200, body = Envelope<CartData>),
    (status = 404, body = ErrorEnvelope),
))]
pub(super) async fn remove_cart_item(
    State(app): State<App>,
    owner: Owner,
    PathId(item): PathId<CartItemId>,
) -> Answer<CartData> {
    Ok(data(service::remove_item(&app, &owner, item).await?))
}

/// Empty the cart
#[utoipa::path(delete, path = "/cart", tag = "Cart", security((), ("bearer" = [])), responses(
    (status = 200, body = Envelope<CartData>),
))]
pub(super) async fn clear_cart(State(app): State<App>, owner: Owner) -> Answer<CartData> {
    Ok(data(service::clear(&app, &owner).await?))
}

fn check_quantity(quantity: i32) -> Result<()> {
    if (1..=1_000_000).contains(&quantity) {
        Ok(())
    } else {
        Err(Error::field("quantity", "must be a whole number of at least 1"))
    }
}
