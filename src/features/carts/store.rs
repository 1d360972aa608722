//! SQL of carts.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;

use super::owner::Owner;
use crate::platform::ids::{CartId, CartItemId, ProductId, UserId, VariantId};

/// A line of a cart with what the shop says about it now.
#[derive(Debug)]
pub struct CartLine {
    /// The cart.
    pub cart_id: CartId,
    /// Counts the changes of the cart.
    pub version: i32,
    /// The line.
    pub id: CartItemId,
    /// Product of the variant.
    pub product_id: ProductId,
    /// What is to be bought.
    pub variant_id: VariantId,
    /// Units.
    pub quantity: i32,
    /// The price when the shopper last changed the line.
    pub seen_price_minor: i64,
    /// The price now.
    pub price_minor: i64,
    /// ISO 4217.
    pub currency: String,
    /// What is available now.
    pub available: i32,
    /// Whether it can be bought at all.
    pub on_sale: bool,
    /// The variant's sku.
    pub sku: String,
    /// The product's title.
    pub title: String,
    /// The product's slug.
    pub slug: String,
    /// The variant's options: `[{name, value}]`.
    pub options: Value,
    /// The variant's picture or the product's first.
    pub image_url: Option<String>,
}

/// The lines of the owner's open cart, in the order they were added. Empty without a cart.
///
/// # Errors
/// The database's.
pub async fn open_cart_lines(c: &mut PgConnection, owner: &Owner, now: DateTime<Utc>) -> sqlx::Result<Vec<CartLine>> {
    let (user, token) = owner.columns();
    sqlx::query_as!(
        CartLine,
        r#"select c.id as "cart_id: CartId", c.version, i.id as "id: CartItemId", o.product_id as "product_id!: ProductId",
                  o.variant_id as "variant_id!: VariantId", i.quantity, i.seen_price_minor,
                  o.price_minor as "price_minor!", o.currency as "currency!", o.available as "available!",
                  o.on_sale as "on_sale!", o.sku as "sku!", o.title as "title!", o.slug as "slug!",
                  o.options as "options!", o.image_url
           from carts c join cart_items i on i.cart_id = c.id join variant_offers o on o.variant_id = i.variant_id
           where c.status = 'open' and (c.user_id = $1 or c.token_hash = $2)
             and (c.expires_at is null or c.expires_at > $3)
           order by i.added_at, i.id"#,
        user.map(|id| id.0),
        token,
        now,
    )
    .fetch_all(c)
    .await
}

/// An open cart, locked until the transaction ends.
#[derive(Debug)]
pub(super) struct Locked {
    pub id: CartId,
    pub version: i32,
}

/// Locks the owner's open cart, makes it if there is none, and moves its end forward. Two that make it at the same
/// time get the same one.
pub(super) async fn lock_or_create(
    c: &mut PgConnection,
    owner: &Owner,
    expires_at: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> sqlx::Result<Locked> {
    if let Some(cart) = lock(&mut *c, owner, expires_at, now).await? {
        return Ok(cart);
    }
    let (user, token) = owner.columns();
    // A cart whose time is over still stands in the unique index; it is emptied and used again.
    sqlx::query!(
        "delete from carts where status = 'open' and expires_at <= $3 and (user_id = $1 or token_hash = $2)",
        user.map(|id| id.0),
        token,
        now,
    )
    .execute(&mut *c)
    .await?;
    sqlx::query!(
        "insert into carts (id, user_id, token_hash, created_at, updated_at, expires_at) values ($1, $2, $3, $4, $4, $5)
         on conflict do nothing",
        CartId::new().0,
        user.map(|id| id.0),
        token,
        now,
        expires_at,
    )
    .execute(&mut *c)
    .await?;
    lock(c, owner, expires_at, now).await?.ok_or(sqlx::Error::RowNotFound)
}

/// Locks the owner's open cart and moves its end forward.
pub(super) async fn lock(
    c: &mut PgConnection,
    owner: &Owner,
    expires_at: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> sqlx::Result<Option<Locked>> {
    let (user, token) = owner.columns();
    sqlx::query_as!(
        Locked,
        r#"update carts set expires_at = $3, updated_at = $4
           where status = 'open' and (user_id = $1 or token_hash = $2) and (expires_at is null or expires_at > $4)
           returning id as "id: CartId", version"#,
        user.map(|id| id.0),
        token,
        expires_at,
        now,
    )
    .fetch_optional(c)
    .await
}

/// A variant as a cart needs to know it.
#[derive(Debug)]
pub(super) struct Offer {
    pub variant_id: VariantId,
    pub price_minor: i64,
    pub available: i32,
}

/// What can be bought under this variant, or, without one, under a product with a single variant.
pub(super) async fn offers(
    c: &mut PgConnection,
    variant: Option<VariantId>,
    product: Option<ProductId>,
) -> sqlx::Result<Vec<Offer>> {
    sqlx::query_as!(
        Offer,
        r#"select variant_id as "variant_id!: VariantId", price_minor as "price_minor!", available as "available!"
           from variant_offers
           where on_sale and case when $1::uuid is not null
                                  then variant_id = $1 and ($2::uuid is null or product_id = $2)
                                  else product_id = $2 end
           limit 2"#,
        variant.map(|id| id.0),
        product.map(|id| id.0),
    )
    .fetch_all(c)
    .await
}

/// How many of a variant the cart has.
pub(super) async fn quantity_of(c: &mut PgConnection, cart: CartId, variant: VariantId) -> sqlx::Result<i32> {
    let quantity = sqlx::query_scalar!(
        "select quantity from cart_items where cart_id = $1 and variant_id = $2",
        cart.0,
        variant.0
    )
    .fetch_optional(c)
    .await?;
    Ok(quantity.unwrap_or(0))
}

/// How many lines the cart has.
pub(super) async fn count_lines(c: &mut PgConnection, cart: CartId) -> sqlx::Result<usize> {
    let lines = sqlx::query_scalar!(r#"select count(*) as "count!" from cart_items where cart_id = $1"#, cart.0)
        .fetch_one(c)
        .await?;
    Ok(usize::try_from(lines).unwrap_or(usize::MAX))
}

/// Sets how many of a variant the cart has, and counts the change.
pub(super) async fn set_line(
    c: &mut PgConnection,
    cart: CartId,
    offer: &Offer,
    quantity: i32,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "with changed as (update carts set version = version + 1 where id = $2)
         insert into cart_items (id, cart_id, variant_id, quantity, seen_price_minor, added_at)
         values ($1, $2, $3, $4, $5, $6)
         on conflict (cart_id, variant_id) do update
         set quantity = excluded.quantity, seen_price_minor = excluded.seen_price_minor",
        CartItemId::new().0,
        cart.0,
        offer.variant_id.0,
        quantity,
        offer.price_minor,
        now,
    )
    .execute(c)
    .await?;
    Ok(())
}

/// The variant of a line of this cart.
pub(super) async fn variant_of_line(
    c: &mut PgConnection,
    cart: CartId,
    item: CartItemId,
) -> sqlx::Result<Option<VariantId>> {
    sqlx::query_scalar!(
        r#"select variant_id as "id: VariantId" from cart_items where cart_id = $1 and id = $2"#,
        cart.0,
        item.0,
    )
    .fetch_optional(c)
    .await
}

/// Removes one line, or all without `item`. Gives how many were removed.
pub(super) async fn remove_lines(c: &mut PgConnection, cart: CartId, item: Option<CartItemId>) -> sqlx::Result<u64> {
    let removed = sqlx::query!(
        "with changed as (update carts set version = version + 1 where id = $1)
         delete from cart_items where cart_id = $1 and ($2::uuid is null or id = $2)",
        cart.0,
        item.map(|id| id.0),
    )
    .execute(c)
    .await?;
    Ok(removed.rows_affected())
}

/// Removes guests' carts whose time is over.
///
/// # Errors
/// The database's.
pub async fn sweep_expired(c: &mut PgConnection, now: DateTime<Utc>) -> sqlx::Result<u64> {
    let swept = sqlx::query!("delete from carts where status = 'open' and expires_at <= $1", now).execute(c).await?;
    Ok(swept.rows_affected())
}

/// What is in a person's cart, for him to take away.
///
/// # Errors
/// The database's.
pub async fn export(c: &mut PgConnection, user: UserId) -> sqlx::Result<Value> {
    sqlx::query_scalar!(
        r#"select coalesce(jsonb_agg(jsonb_build_object('sku', o.sku, 'title', o.title, 'quantity', i.quantity,
                    'addedAt', i.added_at) order by i.added_at, i.id), '[]') as "items!"
           from carts c join cart_items i on i.cart_id = c.id join variant_offers o on o.variant_id = i.variant_id
           where c.user_id = $1 and c.status = 'open'"#,
        user.0,
    )
    .fetch_one(c)
    .await
}

/// Empties a person's carts and removes those that no order came from.
///
/// # Errors
/// The database's.
pub async fn erase(c: &mut PgConnection, user: UserId) -> sqlx::Result<()> {
    // The cart before its lines, as whoever changes one does it.
    sqlx::query!("select id from carts where user_id = $1 order by id for update", user.0).fetch_all(&mut *c).await?;
    sqlx::query!("delete from cart_items where cart_id in (select id from carts where user_id = $1)", user.0)
        .execute(&mut *c)
        .await?;
    sqlx::query!("delete from carts where user_id = $1 and status = 'open'", user.0).execute(c).await?;
    Ok(())
}
