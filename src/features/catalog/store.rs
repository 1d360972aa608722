//! SQL of products and their parts.

pub(super) mod export;
pub(super) mod fetches;
pub(super) mod import;
pub(super) mod runs;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use sqlx::types::Json;

use super::model::{Listed, ListedImage, ListedVariant};
use crate::platform::ids::{CategoryId, ImageId, ProductId, VariantId};

/// A product by its id or slug. Those not for sale only with `all`.
pub(super) async fn find(
    c: &mut PgConnection,
    id: Option<ProductId>,
    slug: &str,
    all: bool,
) -> sqlx::Result<Option<Listed>> {
    sqlx::query_file_as!(Listed, "src/features/catalog/find.sql", id.map(|id| id.0), slug, all,).fetch_optional(c).await
}

#[derive(Debug)]
pub(super) struct ProductFields<'a> {
    pub id: ProductId,
    pub sku: &'a str,
    pub title: &'a str,
    pub slug: &'a str,
    pub short_description: &'a str,
    pub description: &'a str,
    pub full_story: &'a str,
    pub currency: &'a str,
    pub price_minor: i64,
    pub compare_at_minor: Option<i64>,
    pub category_id: Option<CategoryId>,
    pub vendor: Option<&'a str>,
    pub tags: &'a [String],
    pub weight_grams: Option<i32>,
    pub width: Option<f64>,
    pub length: Option<f64>,
    pub dimension_unit: &'a str,
    pub weave_origin: &'a str,
    pub care_instructions: &'a str,
    pub dispatch_time: &'a str,
    pub is_featured: bool,
    pub is_limited: bool,
    pub is_active: bool,
    pub metadata: &'a Value,
}

/// Inserts a product.
pub(super) async fn insert_product(
    c: &mut PgConnection,
    p: &ProductFields<'_>,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into products
             (id, sku, title, slug, short_description, description, full_story, currency,
              price_minor, compare_at_minor, category_id, vendor, tags, weight_grams, width, length, dimension_unit,
              weave_origin, care_instructions, dispatch_time, is_featured, is_limited, is_active, metadata,
              created_at, updated_at)
           values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21,
                   $22, $23, $24, $25, $25)",
        p.id.0,
        p.sku,
        p.title,
        p.slug,
        p.short_description,
        p.description,
        p.full_story,
        p.currency,
        p.price_minor,
        p.compare_at_minor,
        p.category_id.map(|id| id.0),
        p.vendor,
        p.tags,
        p.weight_grams,
        p.width,
        p.length,
        p.dimension_unit,
        p.weave_origin,
        p.care_instructions,
        p.dispatch_time,
        p.is_featured,
        p.is_limited,
        p.is_active,
        p.metadata,
        now,
    )
    .execute(c)
    .await?;
    Ok(())
}

/// A change of a product; `None` leaves a field as it is, and the outer `Some(None)` empties it.
#[derive(Debug, Default)]
pub(super) struct ProductChange {
    pub sku: Option<String>,
    pub title: Option<String>,
    pub slug: Option<String>,
    pub short_description: Option<String>,
    pub description: Option<String>,
    pub full_story: Option<String>,
    pub price_minor: Option<i64>,
    pub compare_at_minor: Option<Option<i64>>,
    pub category_id: Option<Option<CategoryId>>,
    pub tags: Option<Vec<String>>,
    pub weave_origin: Option<String>,
    pub care_instructions: Option<String>,
    pub dispatch_time: Option<String>,
    pub is_featured: Option<bool>,
    pub is_limited: Option<bool>,
    pub is_active: Option<bool>,
}

/// Changes a product if it still has `version`. A changed price moves its variants' prices along, and a variant
/// without options keeps having the product's sku. False when the product is gone or has another version.
pub(super) async fn update_product(
    c: &mut PgConnection,
    id: ProductId,
    version: i32,
    change: &ProductChange,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let updated = sqlx::query_scalar!(
        r#"with old as (select id, price_minor from products where id = $1 and version = $2 and archived_at is null
                        for update),
           changed as (
             update products p
             set sku = coalesce($3, p.sku), title = coalesce($4, p.title), slug = coalesce($5, p.slug),
                 short_description = coalesce($6, p.short_description), description = coalesce($7, p.description),
                 full_story = coalesce($8, p.full_story), price_minor = coalesce($9, p.price_minor),
                 compare_at_minor = case when $10 then $11 else p.compare_at_minor end,
                 category_id = case when $12 then $13 else p.category_id end, tags = coalesce($14, p.tags),
                 weave_origin = coalesce($15, p.weave_origin),
                 care_instructions = coalesce($16, p.care_instructions),
                 dispatch_time = coalesce($17, p.dispatch_time), is_featured = coalesce($18, p.is_featured),
                 is_limited = coalesce($19, p.is_limited), is_active = coalesce($20, p.is_active),
                 version = p.version + 1, updated_at = $21
             from old where p.id = old.id
             returning p.id, p.price_minor - old.price_minor as difference),
           followed as (
             update variants v
             set price_minor = v.price_minor + changed.difference,
                 sku = case when v.options = '[]' then coalesce($3, v.sku) else v.sku end
             from changed
             where v.product_id = changed.id and v.archived_at is null and (changed.difference <> 0 or v.options = '[]' and $3 <> v.sku))
           select id from changed"#,
        id.0,
        version,
        change.sku,
        change.title,
        change.slug,
        change.short_description,
        change.description,
        change.full_story,
        change.price_minor,
        change.compare_at_minor.is_some(),
        change.compare_at_minor.flatten(),
        change.category_id.is_some(),
        change.category_id.flatten().map(|id| id.0),
        change.tags.as_deref(),
        change.weave_origin,
        change.care_instructions,
        change.dispatch_time,
        change.is_featured,
        change.is_limited,
        change.is_active,
        now,
    )
    .fetch_optional(c)
    .await?;
    Ok(updated.is_some())
}

/// Takes a product off sale for good; orders keep pointing at it. False when it is gone already.
pub(super) async fn archive_product(c: &mut PgConnection, id: ProductId, now: DateTime<Utc>) -> sqlx::Result<bool> {
    let archived = sqlx::query!(
        "update products set archived_at = $2, is_active = false, updated_at = $2, version = version + 1
         where id = $1 and archived_at is null",
        id.0,
        now,
    )
    .execute(c)
    .await?;
    Ok(archived.rows_affected() == 1)
}

#[derive(Debug)]
pub(super) struct NewImage<'a> {
    pub url: &'a str,
    pub alt: &'a str,
    pub kind: &'a str,
}

/// Replaces all pictures of a product.
pub(super) async fn replace_images(
    c: &mut PgConnection,
    product: ProductId,
    images: &[NewImage<'_>],
) -> sqlx::Result<()> {
    sqlx::query!("delete from product_images where product_id = $1", product.0).execute(&mut *c).await?;
    let ids: Vec<_> = images.iter().map(|_| ImageId::new().0).collect();
    let urls: Vec<_> = images.iter().map(|image| image.url.to_owned()).collect();
    let alts: Vec<_> = images.iter().map(|image| image.alt.to_owned()).collect();
    let kinds: Vec<_> = images.iter().map(|image| image.kind.to_owned()).collect();
    sqlx::query!(
        "insert into product_images (id, product_id, url, alt, type, position)
         select i.id, $1, i.url, i.alt, i.type, i.position - 1
         from unnest($2::uuid[], $3::text[], $4::text[], $5::text[]) with ordinality
           as i (id, url, alt, type, position)",
        product.0,
        &ids,
        &urls,
        &alts,
        &kinds,
    )
    .execute(c)
    .await?;
    Ok(())
}

#[derive(Debug)]
pub(super) struct VariantFields<'a> {
    pub sku: &'a str,
    pub options: Value,
    pub price_minor: i64,
    pub compare_at_minor: Option<i64>,
    pub barcode: Option<&'a str>,
    pub weight_grams: Option<i32>,
    pub image_url: Option<&'a str>,
}

/// A variant after [`upsert_variants`].
#[derive(Debug)]
pub(super) struct Upserted {
    pub id: VariantId,
    pub sku: String,
    /// Whether it did not exist before.
    pub is_new: bool,
}

/// Inserts or updates the variants of a product, in the given order, and archives those that are not among them.
/// A variant is known by its sku. All are archived first, so that two of them may exchange their options.
pub(super) async fn upsert_variants(
    c: &mut PgConnection,
    product: ProductId,
    variants: &[VariantFields<'_>],
    now: DateTime<Utc>,
) -> sqlx::Result<Vec<Upserted>> {
    let skus: Vec<_> = variants.iter().map(|v| v.sku.to_owned()).collect();
    sqlx::query!("update variants set archived_at = $2 where product_id = $1 and archived_at is null", product.0, now,)
        .execute(&mut *c)
        .await?;
    let ids: Vec<_> = variants.iter().map(|_| VariantId::new().0).collect();
    let options: Vec<_> = variants.iter().map(|v| v.options.clone()).collect();
    let prices: Vec<_> = variants.iter().map(|v| v.price_minor).collect();
    let compare: Vec<_> = variants.iter().map(|v| v.compare_at_minor).collect();
    let barcodes: Vec<_> = variants.iter().map(|v| v.barcode.map(str::to_owned)).collect();
    let weights: Vec<_> = variants.iter().map(|v| v.weight_grams).collect();
    let images: Vec<_> = variants.iter().map(|v| v.image_url.map(str::to_owned)).collect();
    sqlx::query_as!(
        Upserted,
        r#"insert into variants (id, product_id, sku, options, price_minor, compare_at_minor, barcode, weight_grams,
                                 image_url, position)
           select v.id, $1, v.sku, v.options, v.price, v.compare, v.barcode, v.weight, v.image, v.position - 1
           from unnest($2::uuid[], $3::text[], $4::jsonb[], $5::bigint[], $6::bigint[], $7::text[], $8::int[],
                       $9::text[]) with ordinality
             as v (id, sku, options, price, compare, barcode, weight, image, position)
           on conflict (sku) do update
           set options = excluded.options, price_minor = excluded.price_minor,
               compare_at_minor = excluded.compare_at_minor, barcode = excluded.barcode,
               weight_grams = excluded.weight_grams, image_url = excluded.image_url, position = excluded.position,
               archived_at = null
           where variants.product_id = excluded.product_id
           returning id as "id: VariantId", sku, (xmax = 0) as "is_new!""#,
        product.0,
        &ids,
        &skus,
        &options,
        &prices,
        &compare as &[Option<i64>],
        &barcodes as &[Option<String>],
        &weights as &[Option<i32>],
        &images as &[Option<String>],
    )
    .fetch_all(c)
    .await
}

pub(super) async fn count_products(c: &mut PgConnection) -> sqlx::Result<i64> {
    sqlx::query_scalar!(r#"select count(*) as "count!" from products"#).fetch_one(c).await
}

#[derive(Debug)]
pub(super) struct CategoryRow {
    pub id: CategoryId,
    pub parent_id: Option<CategoryId>,
    pub name: String,
    pub slug: String,
    pub position: i32,
    pub products: i64,
}

pub(super) async fn list_categories(c: &mut PgConnection) -> sqlx::Result<Vec<CategoryRow>> {
    sqlx::query_as!(
        CategoryRow,
        r#"select c.id as "id: CategoryId", c.parent_id as "parent_id: CategoryId", c.name, c.slug, c.position,
                  (select count(*) from products p
                   where p.category_id = c.id and p.archived_at is null and p.is_active) as "products!"
           from categories c order by c.position, c.name, c.id limit 1000"#,
    )
    .fetch_all(c)
    .await
}

pub(super) async fn insert_category(
    c: &mut PgConnection,
    id: CategoryId,
    parent: Option<CategoryId>,
    name: &str,
    slug: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into categories (id, parent_id, name, slug, position, created_at)
         values ($1, $2, $3, $4, (select coalesce(max(position) + 1, 0) from categories), $5)",
        id.0,
        parent.map(|id| id.0),
        name,
        slug,
        now,
    )
    .execute(c)
    .await?;
    Ok(())
}
