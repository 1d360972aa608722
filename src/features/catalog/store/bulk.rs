//! SQL of changes to many products at once: one statement each, however many they are.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::platform::ids::{CategoryId, ProductId, VariantId};

/// What of a product these changes are about.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::features::catalog) struct State {
    pub id: ProductId,
    pub sku: String,
    pub version: i32,
    pub is_active: bool,
    pub is_featured: bool,
    pub is_archived: bool,
    pub category_id: Option<CategoryId>,
    pub tags: Vec<String>,
    pub price_minor: i64,
    pub compare_at_minor: Option<i64>,
}

/// Locks products, in the order of their ids, and reads them. Those that do not exist are left out.
pub(in crate::features::catalog) async fn lock(c: &mut PgConnection, ids: &[ProductId]) -> sqlx::Result<Vec<State>> {
    sqlx::query_as!(
        State,
        r#"select id as "id: ProductId", sku, version, is_active, is_featured, archived_at is not null as "is_archived!",
                  category_id as "category_id: CategoryId", tags, price_minor, compare_at_minor
           from products where id = any($1) order by id for no key update"#,
        &uuids(ids),
    )
    .fetch_all(c)
    .await
}

/// Writes the new state of products that were locked. Each gets its next version.
pub(in crate::features::catalog) async fn write(
    c: &mut PgConnection,
    states: &[State],
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    let ids: Vec<_> = states.iter().map(|state| state.id.0).collect();
    let active: Vec<_> = states.iter().map(|state| state.is_active).collect();
    let featured: Vec<_> = states.iter().map(|state| state.is_featured).collect();
    let archived: Vec<_> = states.iter().map(|state| state.is_archived).collect();
    let categories: Vec<_> = states.iter().map(|state| state.category_id.map(|id| id.0)).collect();
    let prices: Vec<_> = states.iter().map(|state| state.price_minor).collect();
    let compared: Vec<_> = states.iter().map(|state| state.compare_at_minor).collect();
    sqlx::query!(
        "update products p
         set is_active = n.active, is_featured = n.featured, category_id = n.category, price_minor = n.price,
             compare_at_minor = n.compared, version = p.version + 1, updated_at = $8,
             archived_at = case when n.archived then coalesce(p.archived_at, $8) end
         from unnest($1::uuid[], $2::bool[], $3::bool[], $4::bool[], $5::uuid[], $6::bigint[], $7::bigint[])
           as n (id, active, featured, archived, category, price, compared)
         where p.id = n.id",
        &ids,
        &active,
        &featured,
        &archived,
        &categories as &[Option<Uuid>],
        &prices,
        &compared as &[Option<i64>],
        now,
    )
    .execute(c)
    .await?;
    Ok(())
}

/// Writes the tags of products that were locked: as they are, without `removed`, and then those of `added` that they lack.
pub(in crate::features::catalog) async fn write_tags(
    c: &mut PgConnection,
    ids: &[ProductId],
    removed: &[String],
    added: &[String],
) -> sqlx::Result<()> {
    sqlx::query!(
        "update products p
         set tags = array(select t from unnest(p.tags) with ordinality as o (t, n) where t <> all($2) order by n)
                 || array(select t from unnest($3::text[]) with ordinality as o (t, n) where t <> all(p.tags) order by n)
         where p.id = any($1)",
        &uuids(ids),
        removed,
        added,
    )
    .execute(c)
    .await?;
    Ok(())
}

/// A variant's prices.
#[derive(Debug)]
pub(in crate::features::catalog) struct VariantPrice {
    pub id: VariantId,
    pub product_id: ProductId,
    pub price_minor: i64,
    pub compare_at_minor: Option<i64>,
}

/// The prices of the live variants of products that were locked.
pub(in crate::features::catalog) async fn variant_prices(
    c: &mut PgConnection,
    products: &[ProductId],
) -> sqlx::Result<Vec<VariantPrice>> {
    sqlx::query_as!(
        VariantPrice,
        r#"select id as "id: VariantId", product_id as "product_id: ProductId", price_minor, compare_at_minor
           from variants where product_id = any($1) and archived_at is null order by id"#,
        &uuids(products),
    )
    .fetch_all(c)
    .await
}

pub(in crate::features::catalog) async fn write_variant_prices(
    c: &mut PgConnection,
    variants: &[VariantPrice],
) -> sqlx::Result<()> {
    let ids: Vec<_> = variants.iter().map(|variant| variant.id.0).collect();
    let prices: Vec<_> = variants.iter().map(|variant| variant.price_minor).collect();
    let compared: Vec<_> = variants.iter().map(|variant| variant.compare_at_minor).collect();
    sqlx::query!(
        "update variants v set price_minor = n.price, compare_at_minor = n.compared
         from unnest($1::uuid[], $2::bigint[], $3::bigint[]) as n (id, price, compared) where v.id = n.id",
        &ids,
        &prices,
        &compared as &[Option<i64>],
    )
    .execute(c)
    .await?;
    Ok(())
}

fn uuids(ids: &[ProductId]) -> Vec<Uuid> {
    ids.iter().map(|id| id.0).collect()
}
