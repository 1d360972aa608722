//! The endpoints of the cart.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum_extra::extract::cookie::CookieJar;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::model::{CartLine, Wanted};
use super::owner::{self, Carried, Owner};
use super::service::{self, Key};
use super::view_http::{CartMergeView, CartView};
use crate::app::App;
use crate::features::auth::Identity;
use crate::platform::error::{Error, Result};
use crate::platform::http::{Answer, Body, Envelope, ErrorEnvelope, IdempotencyHeader, PathId, Query, Reply, ok};
use crate::platform::ids::{CartItemId, ProductId, VariantId};
use crate::platform::money::Amount;

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct CartData {
    cart: CartView,
    /// A new guest's token, in place of any that was sent: it is in the cookie `agape_cart` too. Clients without cookies send
    /// it as `X-Cart-Token`.
    #[serde(skip_serializing_if = "Option::is_none")]
    cart_token: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MergedCartData {
    cart: CartView,
    merge: CartMergeView,
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
    /// The version that the change is based on; refused when the cart has another. May be left out.
    version: Option<i32>,
}

/// A new quantity.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct UpdateCartItem {
    /// 0 removes the line.
    #[schema(minimum = 0)]
    quantity: i32,
    /// As when adding.
    version: Option<i32>,
}

/// On which state a removal is based.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct AtVersion {
    /// The version that the change is based on; refused when the cart has another.
    version: Option<i32>,
}

/// The prices that the shopper was shown.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AcknowledgeCartPrices {
    /// Lines that the cart does not have are passed over.
    items: Vec<ShownPrice>,
}

/// The price of a line as it was shown.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ShownPrice {
    id: CartItemId,
    price: Amount,
}

/// Which guest's cart to take over.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(super) struct MergeCarts {
    /// That of the cookie or of `X-Cart-Token` when left out.
    cart_token: Option<String>,
    /// The version of the account's cart that the change is based on. May be left out.
    version: Option<i32>,
}

async fn answer(app: &App, lines: Vec<CartLine>) -> Answer<CartData> {
    let rates = app.rates.current().await?;
    Ok(ok(CartData { cart: CartView::new(app, &rates, lines)?, cart_token: None }))
}

/// My cart
///
/// Of the account, or of the guest who sends the cookie or `X-Cart-Token`. Empty when there is none. Looking at a guest's cart
/// keeps it for another day.
#[utoipa::path(get, path = "/cart", tag = "Cart", security((), ("bearer" = [])), responses(
    (status = 200, body = Envelope<CartData>),
    (status = 400, body = ErrorEnvelope, description = "`X-Cart-Token` is not a token"),
))]
pub(super) async fn get_cart(State(app): State<App>, owner: Owner) -> Answer<CartData> {
    answer(&app, service::get_cart(&app, &owner).await?).await
}

/// Put something in the cart
///
/// A guest without a cart gets one, and its token. Send an `Idempotency-Key`: a repeated request with the same key and body
/// gets the first answer, and adds nothing.
#[utoipa::path(post, path = "/cart/items", tag = "Cart", security((), ("bearer" = [])),
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 255 characters, kept for 24 hours")),
    request_body = AddCartItem, responses(
    (status = 200, body = Envelope<CartData>),
    (status = 400, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope, description = "No such product for sale"),
    (status = 409, body = ErrorEnvelope, description = "More than is available, or than one may buy; the cart has another version; or the same key is still running"),
    (status = 422, body = ErrorEnvelope, description = "The key was used with another body"),
))]
pub(super) async fn add_cart_item(
    State(app): State<App>,
    owner: Owner,
    jar: CookieJar,
    IdempotencyHeader(key): IdempotencyHeader,
    body: Body<AddCartItem>,
) -> Result<Response> {
    let AddCartItem { variant_id, product_id, quantity, version } = body.value;
    check_quantity(quantity, 1)?;
    if variant_id.is_none() && product_id.is_none() {
        return Err(Error::field("variantId", "is required, or productId for a product with one variant"));
    }
    let wanted = Wanted { variant: variant_id, product: product_id, quantity };
    let key = key.map(|key| Key { key, fingerprint: body.fingerprint });
    let rates = app.rates.current().await?;
    let view = |lines, token: Option<&str>| {
        Ok(CartData { cart: CartView::new(&app, &rates, lines)?, cart_token: token.map(str::to_owned) })
    };
    let added = service::add_item(&app, &owner, &wanted, version, key.as_ref(), view).await?;
    let jar = match added.token {
        Some(token) => jar.add(owner::cookie(&app, token)),
        None => jar,
    };
    Ok((jar, added.answer).into_response())
}

/// Change the quantity of a line
///
/// 0 removes it. The shopper is taken to have seen the line's price.
#[utoipa::path(patch, path = "/cart/items/{item}", tag = "Cart", security((), ("bearer" = [])),
    params(("item" = CartItemId, Path)), request_body = UpdateCartItem, responses(
    (status = 200, body = Envelope<CartData>),
    (status = 400, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "More than is available, or than one may buy; or the cart has another version"),
))]
pub(super) async fn update_cart_item(
    State(app): State<App>,
    owner: Owner,
    PathId(item): PathId<CartItemId>,
    body: Body<UpdateCartItem>,
) -> Answer<CartData> {
    let UpdateCartItem { quantity, version } = body.value;
    check_quantity(quantity, 0)?;
    answer(&app, service::update_item(&app, &owner, item, quantity, version).await?).await
}

/// Remove a line
#[utoipa::path(delete, path = "/cart/items/{item}", tag = "Cart", security((), ("bearer" = [])),
    params(("item" = CartItemId, Path), AtVersion), responses(
    (status = 200, body = Envelope<CartData>),
    (status = 404, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "The cart has another version"),
))]
pub(super) async fn remove_cart_item(
    State(app): State<App>,
    owner: Owner,
    PathId(item): PathId<CartItemId>,
    Query(at): Query<AtVersion>,
) -> Answer<CartData> {
    answer(&app, service::remove(&app, &owner, Some(item), at.version).await?).await
}

/// Empty the cart
#[utoipa::path(delete, path = "/cart", tag = "Cart", security((), ("bearer" = [])), params(AtVersion), responses(
    (status = 200, body = Envelope<CartData>),
    (status = 409, body = ErrorEnvelope, description = "The cart has another version"),
))]
pub(super) async fn clear_cart(State(app): State<App>, owner: Owner, Query(at): Query<AtVersion>) -> Answer<CartData> {
    answer(&app, service::remove(&app, &owner, None, at.version).await?).await
}

/// Say which prices the shopper has seen
///
/// Ends the notice `priceChanged` of lines that still have the price that was shown.
#[utoipa::path(post, path = "/cart/acknowledge", tag = "Cart", security((), ("bearer" = [])),
    request_body = AcknowledgeCartPrices, responses(
    (status = 200, body = Envelope<CartData>),
    (status = 400, body = ErrorEnvelope),
))]
pub(super) async fn acknowledge_cart_prices(
    State(app): State<App>,
    owner: Owner,
    body: Body<AcknowledgeCartPrices>,
) -> Answer<CartData> {
    let max = app.config.orders.max_lines;
    let items = body.value.items;
    if items.len() > max {
        return Err(Error::field("items", format!("must have at most {max} lines")));
    }
    let shown: Vec<_> = items.iter().map(|item| (item.id, item.price.0)).collect();
    answer(&app, service::acknowledge(&app, &owner, &shown).await?).await
}

/// Take over a guest's cart
///
/// Its lines are added to those of the account's cart, as many as one cart may have, and the guest's cart ends. Signing in does
/// this by itself with the cart of the request's cookie or `X-Cart-Token`. A repeated request adds nothing.
#[utoipa::path(post, path = "/cart/merge", tag = "Cart", security(("bearer" = [])), request_body = MergeCarts, responses(
    (status = 200, body = Envelope<MergedCartData>),
    (status = 400, body = ErrorEnvelope, description = "Not a token, or none"),
    (status = 401, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "The account's cart has another version"),
))]
pub(super) async fn merge_carts(
    State(app): State<App>,
    identity: Identity,
    carried: Carried,
    jar: CookieJar,
    body: Body<MergeCarts>,
) -> Result<(CookieJar, Reply<MergedCartData>)> {
    let MergeCarts { cart_token, version } = body.value;
    let guest = match cart_token {
        Some(token) => owner::hash_of(&token),
        None => carried.0,
    };
    let guest = guest.ok_or_else(|| Error::field("cartToken", "must be the cartToken of a guest's cart"))?;
    let user = identity.user_id;
    let (lines, merge) = match service::merge(&app, user, &guest, version).await? {
        Some(merged) => (merged.lines, CartMergeView::new(merged.changed, merged.capped)),
        None => (service::get_cart(&app, &Owner::User(user)).await?, CartMergeView::new(0, Vec::new())),
    };
    let rates = app.rates.current().await?;
    let data = MergedCartData { cart: CartView::new(&app, &rates, lines)?, merge };
    // The browser's own cart is not touched by the merge of another one.
    let jar = if carried.0 == Some(guest) { jar.add(owner::no_cookie(&app)) } else { jar };
    Ok((jar, ok(data)))
}

fn check_quantity(quantity: i32, min: i32) -> Result<()> {
    if (min..=1_000_000).contains(&quantity) {
        Ok(())
    } else {
        Err(Error::field("quantity", format!("must be a whole number of at least {min}")))
    }
}
