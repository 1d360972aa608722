//! SQL of products and their parts.

pub(super) mod bulk;
pub(super) mod categories;
pub(super) mod export;
pub(super) mod fetches;
pub(super) mod images;
pub(super) mod import;
pub(super) mod import_parts;
pub(super) mod runs;
pub(super) mod slugs;
pub(super) mod staff;
pub(super) mod variants;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use sqlx::types::Json;

use super::images_model::ListedImage;
use super::model::{Listed, ListedVariant};
use crate::platform::ids::{CategoryId, ImageId, ProductId, VariantId};

/// A product by its id or slug. Those not for sale, or archived, only with `all`.
pub(super) async fn find(
    c: &mut PgConnection,
    id: Option<ProductId>,
    slug: &str,
    all: bool,
) -> sqlx::Result<Option<Listed>> {
    sqlx::query_file_as!(Listed, "src/features/catalog/find.sql", id.map(|id| id.0), slug, all,).fetch_optional(c).await
}

/// The products with these ids, all of them, in this order and as often as they are named.
pub(super) async fn find_many(c: &mut PgConnection, ids: &[ProductId]) -> sqlx::Result<Vec<Listed>> {
    let ids: Vec<_> = ids.iter().map(|id| id.0).collect();
    sqlx::query_as(
        "select l.* from unnest($1::uuid[]) with ordinality as w (id, place) join product_listing l on l.id = w.id
         order by w.place",
    )
    .bind(ids)
    .fetch_all(c)
    .await
}

/// What a product says of itself.
#[derive(Debug)]
pub(super) struct ProductFields {
    pub sku: String,
    pub title: String,
    pub short_description: String,
    pub description: String,
    pub full_story: String,
    pub price_minor: i64,
    pub compare_at_minor: Option<i64>,
    pub category_id: Option<CategoryId>,
    pub vendor: Option<String>,
    pub tags: Vec<String>,
    pub weight_grams: Option<i32>,
    pub width: Option<f64>,
    pub length: Option<f64>,
    pub dimension_unit: String,
    pub weave_origin: String,
    pub care_instructions: String,
    pub dispatch_time: String,
    pub is_featured: bool,
    pub is_limited: bool,
    pub is_active: bool,
    pub metadata: Value,
}

/// Inserts a product with a name in addresses and the currency of its amounts.
pub(super) async fn insert_product(
    c: &mut PgConnection,
    id: ProductId,
    (slug, currency): (&str, &str),
    p: &ProductFields,
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
        id.0,
        p.sku,
        p.title,
        slug,
        p.short_description,
        p.description,
        p.full_story,
        currency,
        p.price_minor,
        p.compare_at_minor,
        p.category_id.map(|id| id.0),
        p.vendor,
        &p.tags,
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
