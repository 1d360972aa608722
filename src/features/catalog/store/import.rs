//! SQL of the import: many products in a few statements.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::value::RawValue;
use sqlx::PgConnection;

use crate::platform::ids::{CategoryId, ProductId, VariantId};

/// Waits until no other batch of an import is being written, and keeps others waiting until the transaction ends. Two
/// imports of one file take turns with their batches, and so never meet half way.
pub(in crate::features::catalog) async fn take_turn(c: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query("select pg_advisory_xact_lock(hashtextextended('agape product import', 0))").execute(c).await?;
    Ok(())
}

/// Begins a part of the transaction that can be undone.
pub(in crate::features::catalog) async fn begin_part(c: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query("savepoint part").execute(c).await?;
    Ok(())
}

/// Ends a part: what it wrote stays, or is undone.
pub(in crate::features::catalog) async fn end_part(c: &mut PgConnection, keep: bool) -> sqlx::Result<()> {
    if !keep {
        sqlx::query("rollback to savepoint part").execute(&mut *c).await?;
    }
    sqlx::query("release savepoint part").execute(c).await?;
    Ok(())
}

/// A product that an import finds again.
#[derive(Debug)]
pub(in crate::features::catalog) struct Known {
    pub id: ProductId,
    /// The key or the slug by which it was looked for.
    pub name: String,
    /// SHA-256 of what a file last said about it.
    pub hash: Option<Vec<u8>>,
    /// Whether it was removed from the shop.
    pub is_archived: bool,
}

/// The products with these keys of imports.
pub(in crate::features::catalog) async fn known_by_key(
    c: &mut PgConnection,
    keys: &[String],
) -> sqlx::Result<Vec<Known>> {
    sqlx::query_as!(
        Known,
        r#"select id as "id: ProductId", import_handle as "name!", import_hash as hash,
                  archived_at is not null as "is_archived!"
           from products
           where import_handle = any($1)"#,
        keys,
    )
    .fetch_all(c)
    .await
}

/// The products with these slugs.
pub(in crate::features::catalog) async fn known_by_slug(
    c: &mut PgConnection,
    slugs: &[String],
) -> sqlx::Result<Vec<Known>> {
    sqlx::query_as!(
        Known,
        r#"select id as "id: ProductId", slug as name, import_hash as hash, archived_at is not null as "is_archived!"
           from products where slug = any($1)"#,
        slugs,
    )
    .fetch_all(c)
    .await
}

/// Locks products in the order of their ids, as whoever changes several of them does.
pub(in crate::features::catalog) async fn lock(c: &mut PgConnection, products: &[ProductId]) -> sqlx::Result<()> {
    let products: Vec<_> = products.iter().map(|id| id.0).collect();
    sqlx::query!("select id from products where id = any($1) order by id for no key update", &products)
        .fetch_all(c)
        .await?;
    Ok(())
}

/// Notes that products are as a file says them, so that the next run of it knows by their hashes.
pub(in crate::features::catalog) async fn remember(
    c: &mut PgConnection,
    products: &[(ProductId, [u8; 32])],
) -> sqlx::Result<()> {
    let ids: Vec<_> = products.iter().map(|(id, _)| id.0).collect();
    let hashes: Vec<_> = products.iter().map(|(_, hash)| hash.to_vec()).collect();
    sqlx::query!(
        "update products p set import_hash = f.hash from unnest($1::uuid[], $2::bytea[]) as f (id, hash)
         where p.id = f.id",
        &ids,
        &hashes,
    )
    .execute(c)
    .await?;
    Ok(())
}

/// A variant, as far as its stock is to be found.
#[derive(Debug)]
pub(in crate::features::catalog) struct KnownVariant {
    pub id: VariantId,
    pub product_id: ProductId,
    pub sku: String,
}

/// The variants of products, those that were removed too.
pub(in crate::features::catalog) async fn variants_of(
    c: &mut PgConnection,
    products: &[ProductId],
) -> sqlx::Result<Vec<KnownVariant>> {
    let products: Vec<_> = products.iter().map(|id| id.0).collect();
    sqlx::query_as!(
        KnownVariant,
        r#"select id as "id: VariantId", product_id as "product_id: ProductId", sku from variants
           where product_id = any($1)"#,
        &products,
    )
    .fetch_all(c)
    .await
}

/// A product as a file describes it. `None` leaves an existing product's value as it is.
#[derive(Debug, Serialize)]
pub(in crate::features::catalog) struct ImportRow<'a> {
    pub id: ProductId,
    /// For a new product.
    pub new_sku: &'a str,
    pub sku: Option<&'a str>,
    pub import_handle: Option<&'a str>,
    /// In hexadecimal.
    pub import_hash: String,
    pub title: &'a str,
    /// For a new product.
    pub slug: &'a str,
    pub short_description: Option<&'a str>,
    pub description: Option<&'a str>,
    pub full_story: Option<&'a str>,
    pub currency: &'a str,
    pub price_minor: i64,
    /// Whether the next is said. Otherwise the product's stays if it is above the price.
    pub says_compare_at: bool,
    pub compare_at_minor: Option<i64>,
    pub category_id: Option<CategoryId>,
    /// Whether no category means none.
    pub is_without_category: bool,
    /// Empty for none.
    pub vendor: Option<&'a str>,
    pub tags: Option<&'a [String]>,
    /// Whether the next is said.
    pub says_weight: bool,
    pub weight_grams: Option<i32>,
    /// Whether the next three are said.
    pub has_measures: bool,
    pub width: Option<f64>,
    pub length: Option<f64>,
    /// Inches when left out.
    pub dimension_unit: Option<&'a str>,
    pub weave_origin: Option<&'a str>,
    pub care_instructions: Option<&'a str>,
    pub dispatch_time: Option<&'a str>,
    pub is_featured: Option<bool>,
    pub is_limited: Option<bool>,
    pub is_active: Option<bool>,
    /// Whether a product that was removed comes back.
    pub restores: bool,
    pub metadata: Option<&'a RawValue>,
}

/// Inserts new products. `rows` is a JSON array of [`ImportRow`].
pub(in crate::features::catalog) async fn insert_products(
    c: &mut PgConnection,
    rows: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into products
           (id, sku, import_handle, import_hash, title, slug, short_description, description, full_story, currency,
            price_minor, compare_at_minor, category_id, vendor, tags, weight_grams, width, length, dimension_unit,
            weave_origin, care_instructions, dispatch_time, is_featured, is_limited, is_active, metadata,
            created_at, updated_at)
         select id, new_sku, import_handle, decode(import_hash, 'hex'), title, slug, coalesce(short_description, ''),
                coalesce(description, ''), coalesce(full_story, ''), currency, price_minor, compare_at_minor, category_id,
                nullif(vendor, ''), coalesce(tags, '{}'), weight_grams, width, length,
                coalesce(dimension_unit, 'inches'), coalesce(weave_origin, ''), coalesce(care_instructions, ''),
                coalesce(dispatch_time, ''), coalesce(is_featured, false), coalesce(is_limited, false),
                coalesce(is_active, true), coalesce(metadata, '{}'), $2, $2
         from jsonb_to_recordset($1::text::jsonb) as f
           (id uuid, new_sku text, import_handle text, import_hash text, title text, slug text,
            short_description text, description text, full_story text, currency text, price_minor bigint,
            compare_at_minor bigint, category_id uuid, vendor text, tags text[], weight_grams int,
            width double precision, length double precision, dimension_unit text, weave_origin text,
            care_instructions text, dispatch_time text, is_featured boolean, is_limited boolean, is_active boolean,
            metadata jsonb)",
        rows,
        now,
    )
    .execute(c)
    .await?;
    Ok(())
}

/// Updates products, which are [locked](lock). `rows` is a JSON array of [`ImportRow`].
pub(in crate::features::catalog) async fn update_products(
    c: &mut PgConnection,
    rows: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update products p
         set sku = coalesce(f.sku, p.sku), import_hash = decode(f.import_hash, 'hex'), title = f.title,
             short_description = coalesce(f.short_description, p.short_description),
             description = coalesce(f.description, p.description), full_story = coalesce(f.full_story, p.full_story),
             currency = f.currency, price_minor = f.price_minor,
             compare_at_minor = case when f.says_compare_at then f.compare_at_minor
                                     when p.compare_at_minor > f.price_minor then p.compare_at_minor end,
             category_id = case when f.is_without_category then null else coalesce(f.category_id, p.category_id) end,
             vendor = nullif(coalesce(f.vendor, p.vendor), ''), tags = coalesce(f.tags, p.tags),
             weight_grams = case when f.says_weight then f.weight_grams else p.weight_grams end,
             width = case when f.has_measures then f.width else p.width end,
             length = case when f.has_measures then f.length else p.length end,
             dimension_unit = case when f.has_measures then coalesce(f.dimension_unit, 'inches')
                                   else p.dimension_unit end,
             weave_origin = coalesce(f.weave_origin, p.weave_origin),
             care_instructions = coalesce(f.care_instructions, p.care_instructions),
             dispatch_time = coalesce(f.dispatch_time, p.dispatch_time),
             is_featured = coalesce(f.is_featured, p.is_featured), is_limited = coalesce(f.is_limited, p.is_limited),
             is_active = coalesce(f.is_active, p.is_active), metadata = coalesce(f.metadata, p.metadata),
             archived_at = case when f.restores then null else p.archived_at end,
             version = p.version + 1, updated_at = $2
         from jsonb_to_recordset($1::text::jsonb) as f
           (id uuid, sku text, import_hash text, title text, short_description text, description text, full_story text,
            currency text, price_minor bigint, says_compare_at boolean, compare_at_minor bigint, category_id uuid,
            is_without_category boolean, vendor text, tags text[], says_weight boolean, weight_grams int, has_measures boolean, width double precision,
            length double precision, dimension_unit text, weave_origin text, care_instructions text,
            dispatch_time text, is_featured boolean, is_limited boolean, is_active boolean, restores boolean,
            metadata jsonb)
         where p.id = f.id",
        rows,
        now,
    )
    .execute(c)
    .await?;
    Ok(())
}

/// A category as the import needs it.
#[derive(Debug, Clone)]
pub(in crate::features::catalog) struct CategoryNode {
    pub id: CategoryId,
    pub parent_id: Option<CategoryId>,
    pub name: String,
    pub slug: String,
}

pub(in crate::features::catalog) async fn category_nodes(c: &mut PgConnection) -> sqlx::Result<Vec<CategoryNode>> {
    sqlx::query_as!(
        CategoryNode,
        r#"select id as "id: CategoryId", parent_id as "parent_id: CategoryId", name, slug from categories"#,
    )
    .fetch_all(c)
    .await
}
