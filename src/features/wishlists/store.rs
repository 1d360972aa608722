//! SQL of wishlists. The owner is in every statement.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;

use crate::platform::ids::{ProductId, UserId, VariantId, WishId};

/// An entry of a wishlist.
#[derive(Clone, Copy, Debug)]
pub struct Wish {
    /// The entry.
    pub id: WishId,
    /// What is wished for.
    pub product_id: ProductId,
    /// Which of it, if that was chosen.
    pub variant_id: Option<VariantId>,
    /// When it was added.
    pub added_at: DateTime<Utc>,
}

/// Takes the list for this transaction, so that two additions at once follow each other, and counts its entries.
pub(super) async fn lock_list(c: &mut PgConnection, user: UserId) -> sqlx::Result<i64> {
    sqlx::query!("select pg_advisory_xact_lock(hashtextextended('wishlist ' || $1::text, 0))", user.to_string())
        .execute(&mut *c)
        .await?;
    count(c, user).await
}

pub(super) async fn count(c: &mut PgConnection, user: UserId) -> sqlx::Result<i64> {
    sqlx::query_scalar!(r#"select count(*) as "count!" from wishlist_items where user_id = $1"#, user.0)
        .fetch_one(c)
        .await
}

/// The entry of a product, or of one variant of it.
pub(super) async fn find(
    c: &mut PgConnection,
    user: UserId,
    product: ProductId,
    variant: Option<VariantId>,
) -> sqlx::Result<Option<Wish>> {
    sqlx::query_as!(
        Wish,
        r#"select id as "id: WishId", product_id as "product_id: ProductId", variant_id as "variant_id: VariantId", added_at
           from wishlist_items where user_id = $1 and product_id = $2 and variant_id is not distinct from $3"#,
        user.0,
        product.0,
        variant.map(|id| id.0),
    )
    .fetch_optional(c)
    .await
}

/// Stores an entry. False when no such product is for sale, or not with this variant.
pub(super) async fn insert(c: &mut PgConnection, user: UserId, wish: &Wish) -> sqlx::Result<bool> {
    let inserted = sqlx::query!(
        "insert into wishlist_items (id, user_id, product_id, variant_id, added_at)
         select $1, $2, $3, $4, $5
         where exists (select from variant_offers
                       where product_id = $3 and on_sale and ($4::uuid is null or variant_id = $4))",
        wish.id.0,
        user.0,
        wish.product_id.0,
        wish.variant_id.map(|id| id.0),
        wish.added_at,
    )
    .execute(c)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// A page of a list, the newest first.
pub(super) async fn list(c: &mut PgConnection, user: UserId, limit: i64, offset: i64) -> sqlx::Result<Vec<Wish>> {
    sqlx::query_as!(
        Wish,
        r#"select id as "id: WishId", product_id as "product_id: ProductId", variant_id as "variant_id: VariantId", added_at
           from wishlist_items where user_id = $1 order by added_at desc, id desc limit $2 offset $3"#,
        user.0,
        limit,
        offset,
    )
    .fetch_all(c)
    .await
}

/// Which of these products are in the list.
pub(super) async fn contained(
    c: &mut PgConnection,
    user: UserId,
    products: &[ProductId],
) -> sqlx::Result<Vec<ProductId>> {
    let ids: Vec<_> = products.iter().map(|id| id.0).collect();
    sqlx::query_scalar!(
        r#"select distinct product_id as "id: ProductId" from wishlist_items
           where user_id = $1 and product_id = any($2) order by 1"#,
        user.0,
        &ids,
    )
    .fetch_all(c)
    .await
}

/// Removes the entry with this id, or all entries of the product with this id. Gives how many.
pub(super) async fn remove(c: &mut PgConnection, user: UserId, id: uuid::Uuid) -> sqlx::Result<u64> {
    let removed =
        sqlx::query!("delete from wishlist_items where user_id = $1 and (id = $2 or product_id = $2)", user.0, id)
            .execute(c)
            .await?;
    Ok(removed.rows_affected())
}

/// Takes an entry off the list, to be put elsewhere in the same transaction.
///
/// # Errors
/// The database's.
pub async fn take(c: &mut PgConnection, user: UserId, id: WishId) -> sqlx::Result<Option<Wish>> {
    sqlx::query_as!(
        Wish,
        r#"delete from wishlist_items where user_id = $1 and id = $2
           returning id as "id: WishId", product_id as "product_id: ProductId", variant_id as "variant_id: VariantId",
                     added_at"#,
        user.0,
        id.0,
    )
    .fetch_optional(c)
    .await
}

/// What a person wishes for, for him to take away.
///
/// # Errors
/// The database's.
pub async fn export(c: &mut PgConnection, user: UserId) -> sqlx::Result<Value> {
    sqlx::query_scalar!(
        r#"select coalesce(jsonb_agg(jsonb_build_object('productId', w.product_id, 'variantId', w.variant_id,
                    'title', l.title, 'addedAt', w.added_at) order by w.added_at, w.id), '[]') as "items!"
           from wishlist_items w join product_listing l on l.id = w.product_id where w.user_id = $1"#,
        user.0,
    )
    .fetch_one(c)
    .await
}

/// Removes the whole list. Gives how many entries it had.
///
/// # Errors
/// The database's.
pub async fn erase(c: &mut PgConnection, user: UserId) -> sqlx::Result<u64> {
    let removed = sqlx::query!("delete from wishlist_items where user_id = $1", user.0).execute(c).await?;
    Ok(removed.rows_affected())
}
