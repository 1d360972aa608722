//! The endpoints of the wishlist.

use std::collections::BTreeSet;

use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::service;
use super::store::{self, Wish};
use crate::app::App;
use crate::features::auth::Identity;
use crate::features::catalog::{ProductView, Shown};
use crate::flows::move_to_cart::move_to_cart;
use crate::platform::error::{Error, Result};
use crate::platform::http::envelope::Empty;
use crate::platform::http::{Answer, Body, Envelope, ErrorEnvelope, PathId, Query, Reply, created, deleted, ok};
use crate::platform::ids::{ProductId, VariantId, WishId};
use crate::platform::page::PageQuery;

/// Products that one question may name.
const MAX_ASKED: usize = 100;

/// Something to wish for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct AddWishlistItem {
    product_id: ProductId,
    /// Which of the product, if that is chosen already.
    variant_id: Option<VariantId>,
}

/// How much of an entry goes to the cart.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct MoveToCart {
    /// For an entry without one, of a product with several variants.
    variant_id: Option<VariantId>,
    #[serde(default = "one")]
    #[schema(minimum = 1, default = 1)]
    quantity: i32,
}

fn one() -> i32 {
    1
}

/// Which products.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(super) struct CheckWishlist {
    /// Ids of products, at most 100, separated by commas.
    #[serde(default)]
    product_ids: String,
}

/// Whether an entry can be bought.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) enum Availability {
    /// Now.
    Available,
    /// Not now.
    SoldOut,
    /// Not any more: the shop has taken it out of the catalogue.
    Unavailable,
}

/// A product of the list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct WishlistItemView {
    #[serde(flatten)]
    product: ProductView,
    /// The entry; `id` is the product's.
    wishlist_item_id: WishId,
    /// Which of the product, if that was chosen.
    variant_id: Option<VariantId>,
    /// Of the chosen variant, or of any.
    availability: Availability,
    added_at: DateTime<Utc>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct WishlistData {
    items: Vec<WishlistItemView>,
    /// Entries of the whole list.
    count: i64,
}

/// An entry, in short.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct WishView {
    wishlist_item_id: WishId,
    product_id: ProductId,
    variant_id: Option<VariantId>,
    added_at: DateTime<Utc>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct WishData {
    item: WishView,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ContainedData {
    /// Those of the asked products that are in the list.
    product_ids: Vec<ProductId>,
}

fn availability(wish: &Wish, shown: &Shown) -> Availability {
    let chosen = shown.stock.iter().filter(|(variant, _)| wish.variant_id.is_none_or(|chosen| chosen == *variant));
    let left = chosen.map(|(_, available)| *available).max();
    match left {
        Some(left) if shown.on_sale && left > 0 => Availability::Available,
        Some(_) if shown.on_sale => Availability::SoldOut,
        _ => Availability::Unavailable,
    }
}

/// My wishlist
///
/// Whole products, the newest entry first. What is not for sale any more stays, and says so.
#[utoipa::path(get, path = "/wishlist", tag = "Wishlist", security(("bearer" = [])), params(PageQuery), responses(
    (status = 200, body = Envelope<WishlistData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
))]
pub(super) async fn list_wishlist(
    State(app): State<App>,
    identity: Identity,
    Query(page): Query<PageQuery>,
) -> Answer<WishlistData> {
    let page = page.check(&app.config.lists)?;
    let (items, count) = service::list(&app, identity.user_id, page).await?;
    let view = |(wish, shown): (Wish, Shown)| WishlistItemView {
        availability: availability(&wish, &shown),
        product: shown.view,
        wishlist_item_id: wish.id,
        variant_id: wish.variant_id,
        added_at: wish.added_at,
    };
    Ok(ok(WishlistData { items: items.into_iter().map(view).collect(), count }).page(page.of(count)))
}

/// Wish for a product
///
/// What is in the list already stays as it is, and is answered with 200.
#[utoipa::path(post, path = "/wishlist", tag = "Wishlist", security(("bearer" = [])), request_body = AddWishlistItem,
    responses(
    (status = 200, body = Envelope<WishData>, description = "It was there before"),
    (status = 201, body = Envelope<WishData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope, description = "No such product for sale, or not with this variant"),
    (status = 409, body = ErrorEnvelope, description = "The list is full"),
))]
pub(super) async fn add_wishlist_item(
    State(app): State<App>,
    identity: Identity,
    body: Body<AddWishlistItem>,
) -> Answer<WishData> {
    let AddWishlistItem { product_id, variant_id } = body.value;
    let (wish, is_new) = service::add(&app, identity.user_id, product_id, variant_id).await?;
    let Wish { id, product_id, variant_id, added_at } = wish;
    let answer = created(WishData { item: WishView { wishlist_item_id: id, product_id, variant_id, added_at } });
    Ok(if is_new { answer } else { Reply { status: StatusCode::OK, ..answer } })
}

/// Which products are in my wishlist
#[utoipa::path(get, path = "/wishlist/check", tag = "Wishlist", security(("bearer" = [])), params(CheckWishlist),
    responses(
    (status = 200, body = Envelope<ContainedData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
))]
pub(super) async fn check_wishlist(
    State(app): State<App>,
    identity: Identity,
    Query(asked): Query<CheckWishlist>,
) -> Answer<ContainedData> {
    let ids = asked.product_ids.split(',').map(str::trim).filter(|id| !id.is_empty()).map(str::parse::<ProductId>);
    let ids = ids.collect::<Result<BTreeSet<_>, _>>();
    let ids = ids.map_err(|_| Error::field("productIds", "must be UUIDs, separated by commas"))?;
    if ids.len() > MAX_ASKED {
        return Err(Error::field("productIds", format!("must be at most {MAX_ASKED}")));
    }
    let ids: Vec<_> = ids.into_iter().collect();
    let product_ids = store::contained(&mut *app.db.acquire().await?, identity.user_id, &ids).await?;
    Ok(ok(ContainedData { product_ids }))
}

/// Take something off my wishlist
///
/// By the id of the entry, or of the product with all its entries.
#[utoipa::path(delete, path = "/wishlist/{item}", tag = "Wishlist", security(("bearer" = [])),
    params(("item" = Uuid, Path)), responses(
    (status = 200, body = Envelope<Empty>),
    (status = 401, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
))]
pub(super) async fn remove_wishlist_item(
    State(app): State<App>,
    identity: Identity,
    PathId(id): PathId<Uuid>,
) -> Answer<Empty> {
    match store::remove(&mut *app.db.acquire().await?, identity.user_id, id).await? {
        0 => Err(Error::NotFound("The entry of the wishlist")),
        _ => Ok(deleted("It is off your wishlist.")),
    }
}

/// Empty my wishlist
#[utoipa::path(delete, path = "/wishlist", tag = "Wishlist", security(("bearer" = [])), responses(
    (status = 200, body = Envelope<Empty>),
    (status = 401, body = ErrorEnvelope),
))]
pub(super) async fn clear_wishlist(State(app): State<App>, identity: Identity) -> Answer<Empty> {
    store::erase(&mut *app.db.acquire().await?, identity.user_id).await?;
    Ok(deleted("Your wishlist is empty."))
}

/// Move something from my wishlist to my cart
///
/// Both or neither: what the cart does not take stays in the list.
#[utoipa::path(post, path = "/wishlist/{item}/move-to-cart", tag = "Wishlist", security(("bearer" = [])),
    params(("item" = WishId, Path)), request_body = MoveToCart, responses(
    (status = 200, body = Envelope<Empty>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope, description = "No such entry, or it is not for sale"),
    (status = 409, body = ErrorEnvelope, description = "More than is available, or than one may buy"),
))]
pub(super) async fn move_wishlist_item_to_cart(
    State(app): State<App>,
    identity: Identity,
    PathId(id): PathId<WishId>,
    body: Body<MoveToCart>,
) -> Answer<Empty> {
    let MoveToCart { variant_id, quantity } = body.value;
    if !(1..=1_000_000).contains(&quantity) {
        return Err(Error::field("quantity", "must be a whole number of at least 1"));
    }
    move_to_cart(&app, identity.user_id, id, variant_id, quantity).await?;
    Ok(deleted("It is in your cart."))
}
