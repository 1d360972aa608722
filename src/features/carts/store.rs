//! SQL of carts. Whoever changes lines holds the row of their cart; two carts are locked in the order of their ids.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;

use super::model::{CartLine, Wanted};
use super::owner::{Owner, TokenHash};
use crate::platform::ids::{CartId, CartItemId, ProductId, UserId, VariantId};

/// The lines of the owner's open cart, in the order they were added. Empty without a cart.
///
/// # Errors
/// The database's.
pub async fn open_cart_lines(c: &mut PgConnection, owner: &Owner, now: DateTime<Utc>) -> sqlx::Result<Vec<CartLine>> {
    let (user, token) = owner.columns();
    sqlx::query_as!(
        CartLine,
        r#"select c.id as "cart_id: CartId", c.version, c.expires_at, i.id as "id: CartItemId",
                  o.product_id as "product_id!: ProductId", o.variant_id as "variant_id!: VariantId", i.quantity,
                  i.seen_price_minor, o.price_minor as "price_minor!", o.currency as "currency!",
                  o.available as "available!", o.on_sale as "on_sale!", o.sku as "sku!", o.title as "title!",
                  o.slug as "slug!", o.options as "options!", o.image_url, o.grams as "grams!"
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
#[derive(Clone, Copy, Debug)]
pub(super) struct Locked {
    pub id: CartId,
    pub version: i32,
}

/// Locks the owner's open cart.
pub(super) async fn lock(c: &mut PgConnection, owner: &Owner, now: DateTime<Utc>) -> sqlx::Result<Option<Locked>> {
    let (user, token) = owner.columns();
    sqlx::query_as!(
        Locked,
        r#"select id as "id: CartId", version from carts
           where status = 'open' and (user_id = $1 or token_hash = $2) and (expires_at is null or expires_at > $3)
           for update"#,
        user.map(|id| id.0),
        token,
        now,
    )
    .fetch_optional(c)
    .await
}

/// The open carts of an account and of a guest, both locked.
pub(super) async fn lock_both(
    c: &mut PgConnection,
    user: UserId,
    guest: &TokenHash,
    now: DateTime<Utc>,
) -> sqlx::Result<(Option<Locked>, Option<Locked>)> {
    let rows = sqlx::query!(
        r#"select id as "id: CartId", version, user_id is null as "is_guest!" from carts
           where status = 'open' and (user_id = $1 or token_hash = $2) and (expires_at is null or expires_at > $3)
           order by id for update"#,
        user.0,
        &guest[..],
        now,
    )
    .fetch_all(c)
    .await?;
    let find = |is_guest| {
        let row = rows.iter().find(|row| row.is_guest == is_guest)?;
        Some(Locked { id: row.id, version: row.version })
    };
    Ok((find(false), find(true)))
}

/// Makes an open cart, unless the owner has one. Two that make it at the same time make one.
pub(super) async fn create(
    c: &mut PgConnection,
    owner: &Owner,
    expires_at: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    let (user, token) = owner.columns();
    sqlx::query!(
        "insert into carts (id, user_id, token_hash, created_at, updated_at, expires_at) values ($1, $2, $3, $4, $4, $5)
         on conflict do nothing",
        CartId::new().0,
        user.map(|id| id.0),
        token,
        now,
        expires_at,
    )
    .execute(c)
    .await?;
    Ok(())
}

/// Whether a guest's cart has anything in it.
pub(super) async fn has_lines(c: &mut PgConnection, guest: &TokenHash, now: DateTime<Utc>) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select exists (select from carts c join cart_items i on i.cart_id = c.id
                          where c.status = 'open' and c.token_hash = $1 and c.expires_at > $2) as "has!""#,
        &guest[..],
        now,
    )
    .fetch_one(c)
    .await
}

/// What could be lines of a locked cart, with quantity 0: of these variants those that are in the catalogue.
pub(super) async fn offers(c: &mut PgConnection, cart: CartId, variants: &[VariantId]) -> sqlx::Result<Vec<CartLine>> {
    let ids: Vec<_> = variants.iter().map(|id| id.0).collect();
    sqlx::query_as!(
        CartLine,
        r#"select c.id as "cart_id: CartId", c.version, c.expires_at, o.variant_id as "id!: CartItemId",
                  o.product_id as "product_id!: ProductId", o.variant_id as "variant_id!: VariantId", 0 as "quantity!",
                  o.price_minor as "seen_price_minor!", o.price_minor as "price_minor!", o.currency as "currency!",
                  o.available as "available!", o.on_sale as "on_sale!", o.sku as "sku!", o.title as "title!",
                  o.slug as "slug!", o.options as "options!", o.image_url, o.grams as "grams!"
           from carts c join variant_offers o on o.variant_id = any($2) where c.id = $1"#,
        cart.0,
        &ids,
    )
    .fetch_all(c)
    .await
}

/// The lines of a locked cart, and after them, with quantity 0, what of `wanted` is for sale and not in it.
pub(super) async fn load(c: &mut PgConnection, cart: CartId, wanted: Option<&Wanted>) -> sqlx::Result<Vec<CartLine>> {
    sqlx::query_as!(
        CartLine,
        r#"select c.id as "cart_id: CartId", c.version, c.expires_at, coalesce(i.id, $4) as "id!: CartItemId",
                  o.product_id as "product_id!: ProductId", o.variant_id as "variant_id!: VariantId",
                  coalesce(i.quantity, 0) as "quantity!",
                  coalesce(i.seen_price_minor, o.price_minor) as "seen_price_minor!",
                  o.price_minor as "price_minor!", o.currency as "currency!", o.available as "available!",
                  o.on_sale as "on_sale!", o.sku as "sku!", o.title as "title!", o.slug as "slug!",
                  o.options as "options!", o.image_url, o.grams as "grams!"
           from carts c
           join variant_offers o on o.variant_id = any(array(
             select variant_id from cart_items where cart_id = $1
             union all (select w.variant_id from variant_offers w where w.variant_id = $2 and w.on_sale)
             union all (select w.variant_id from variant_offers w
                        where $2::uuid is null and w.product_id = $3 and w.on_sale limit 2)))
           left join cart_items i on i.cart_id = c.id and i.variant_id = o.variant_id
           where c.id = $1
           order by i.added_at nulls last, i.id"#,
        cart.0,
        wanted.and_then(|wanted| wanted.variant).map(|id| id.0),
        wanted.and_then(|wanted| wanted.product).map(|id| id.0),
        CartItemId::new().0,
    )
    .fetch_all(c)
    .await
}

/// What a change of lines does to their cart.
#[derive(Clone, Copy, Debug)]
pub(super) struct Change {
    pub cart: CartId,
    /// The new end of a guest's cart.
    pub expires_at: Option<DateTime<Utc>>,
    /// Whether the cart was empty before, so that its owner may be reminded of it again.
    pub was_empty: bool,
    pub now: DateTime<Utc>,
}

/// Stores lines, new ones and changed ones, and counts the change.
pub(super) async fn set_lines(c: &mut PgConnection, change: Change, lines: &[&CartLine]) -> sqlx::Result<()> {
    let ids: Vec<_> = lines.iter().map(|line| line.id.0).collect();
    let variants: Vec<_> = lines.iter().map(|line| line.variant_id.0).collect();
    let quantities: Vec<_> = lines.iter().map(|line| line.quantity).collect();
    let seen: Vec<_> = lines.iter().map(|line| line.seen_price_minor).collect();
    sqlx::query!(
        "with changed as (
           update carts set version = version + 1, updated_at = $2, expires_at = $3,
             reminded_at = case when not $4 then reminded_at end
           where id = $1)
         insert into cart_items (id, cart_id, variant_id, quantity, seen_price_minor, added_at)
         select l.id, $1, l.variant_id, l.quantity, l.seen, $2
         from unnest($5::uuid[], $6::uuid[], $7::int[], $8::bigint[]) as l (id, variant_id, quantity, seen)
         on conflict (cart_id, variant_id) do update
         set quantity = excluded.quantity, seen_price_minor = excluded.seen_price_minor",
        change.cart.0,
        change.now,
        change.expires_at,
        change.was_empty,
        &ids,
        &variants,
        &quantities,
        &seen,
    )
    .execute(c)
    .await?;
    Ok(())
}

/// Removes one line, or all without `item`, and counts the change.
pub(super) async fn remove_lines(c: &mut PgConnection, change: Change, item: Option<CartItemId>) -> sqlx::Result<()> {
    sqlx::query!(
        "with changed as (update carts set version = version + 1, updated_at = $3, expires_at = $4 where id = $1)
         delete from cart_items where cart_id = $1 and ($2::uuid is null or id = $2)",
        change.cart.0,
        item.map(|id| id.0),
        change.now,
        change.expires_at,
    )
    .execute(c)
    .await?;
    Ok(())
}

/// Notes the prices that the shopper was shown, of lines of his open cart whose price is still that one. Each is a line and
/// a price in minor units.
pub(super) async fn acknowledge(
    c: &mut PgConnection,
    owner: &Owner,
    shown: &[(CartItemId, i64)],
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    let (user, token) = owner.columns();
    let (ids, prices): (Vec<_>, Vec<_>) = shown.iter().map(|(id, price)| (id.0, *price)).unzip();
    sqlx::query!(
        "update cart_items i set seen_price_minor = s.price
         from carts c, variant_offers o, unnest($4::uuid[], $5::bigint[]) as s (id, price)
         where i.id = s.id and c.id = i.cart_id and o.variant_id = i.variant_id and o.price_minor = s.price
           and c.status = 'open' and (c.user_id = $1 or c.token_hash = $2)
           and (c.expires_at is null or c.expires_at > $3)",
        user.map(|id| id.0),
        token,
        now,
        &ids,
        &prices,
    )
    .execute(c)
    .await?;
    Ok(())
}

/// Moves the end of a guest's cart.
pub(super) async fn touch(c: &mut PgConnection, cart: CartId, expires_at: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!(
        "update carts set expires_at = $2 where id = $1 and status = 'open' and expires_at < $2",
        cart.0,
        expires_at,
    )
    .execute(c)
    .await?;
    Ok(())
}

/// Removes a locked cart with its lines.
pub(super) async fn remove(c: &mut PgConnection, cart: CartId) -> sqlx::Result<()> {
    sqlx::query!("delete from carts where id = $1", cart.0).execute(c).await?;
    Ok(())
}

/// Removes guests' carts whose time is over.
///
/// # Errors
/// The database's.
pub async fn sweep_expired(c: &mut PgConnection, now: DateTime<Utc>) -> sqlx::Result<u64> {
    let swept = sqlx::query!("delete from carts where status = 'open' and expires_at <= $1", now).execute(c).await?;
    Ok(swept.rows_affected())
}

/// An account's cart that was left with something in it.
#[derive(Clone, Copy, Debug)]
pub struct LeftCart {
    /// The cart.
    pub id: CartId,
    /// Whose it is.
    pub user_id: UserId,
    /// Its last change.
    pub updated_at: DateTime<Utc>,
}

/// Carts of accounts that have something in them and were last changed between two times, and of which their owners were
/// not reminded: those behind `after`, the oldest first.
///
/// # Errors
/// The database's.
pub async fn left_carts(
    c: &mut PgConnection,
    since: DateTime<Utc>,
    until: DateTime<Utc>,
    after: Option<&LeftCart>,
    limit: i64,
) -> sqlx::Result<Vec<LeftCart>> {
    sqlx::query_as!(
        LeftCart,
        r#"select id as "id: CartId", user_id as "user_id!: UserId", updated_at from carts c
           where status = 'open' and user_id is not null and reminded_at is null
             and updated_at between $1 and $2 and ($3::timestamptz is null or (updated_at, id) > ($3, $4))
             and exists (select from cart_items i where i.cart_id = c.id)
           order by updated_at, id limit $5"#,
        since,
        until,
        after.map(|cart| cart.updated_at),
        after.map(|cart| cart.id.0),
        limit,
    )
    .fetch_all(c)
    .await
}

/// Marks a cart as one of which its owner was reminded, and gives its lines. None when it has changed, was ordered, or is
/// marked already: one of several who ask gets it.
///
/// # Errors
/// The database's.
pub async fn mark_reminded(
    c: &mut PgConnection,
    cart: &LeftCart,
    now: DateTime<Utc>,
) -> sqlx::Result<Option<Vec<CartLine>>> {
    let marked = sqlx::query!(
        "update carts set reminded_at = $3
         where id = $1 and status = 'open' and reminded_at is null and updated_at = $2",
        cart.id.0,
        cart.updated_at,
        now,
    )
    .execute(&mut *c)
    .await?;
    if marked.rows_affected() == 0 {
        return Ok(None);
    }
    load(c, cart.id, None).await.map(Some)
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
