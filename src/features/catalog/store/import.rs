//! SQL of the import: many products in a few statements.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use sqlx::PgConnection;

use super::Upserted;
use crate::platform::ids::{CategoryId, ImageId, ProductId, VariantId};

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
}

/// The products with these keys of imports.
pub(in crate::features::catalog) async fn known_by_key(
    c: &mut PgConnection,
    keys: &[String],
) -> sqlx::Result<Vec<Known>> {
    sqlx::query_as!(
        Known,
        r#"select id as "id: ProductId", import_handle as "name!", import_hash as hash from products
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
        r#"select id as "id: ProductId", slug as name, import_hash as hash from products where slug = any($1)"#,
        slugs,
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
    pub short_description: &'a str,
    pub description: &'a str,
    pub full_story: Option<&'a str>,
    pub currency: &'a str,
    pub price_minor: i64,
    pub compare_at_minor: Option<i64>,
    pub category_id: Option<CategoryId>,
    /// Whether no category means none.
    pub sets_category: bool,
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
         select id, new_sku, import_handle, decode(import_hash, 'hex'), title, slug, short_description, description,
                coalesce(full_story, ''), currency, price_minor, compare_at_minor, category_id, vendor, tags,
                weight_grams, width, length, dimension_unit, weave_origin, care_instructions, dispatch_time,
                is_featured, is_limited, is_active, coalesce(metadata, '{}'), $2, $2
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

/// Updates products, and brings back those that were removed. `rows` is a JSON array of [`ImportRow`].
pub(in crate::features::catalog) async fn update_products(
    c: &mut PgConnection,
    rows: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    // In the order of their ids, as whoever changes several products locks them.
    sqlx::query!(
        "select id from products where id in (select (row ->> 'id')::uuid from jsonb_array_elements($1::text::jsonb) row)
         order by id for no key update",
        rows,
    )
    .fetch_all(&mut *c)
    .await?;
    sqlx::query!(
        "update products p
         set sku = coalesce(f.sku, p.sku), import_hash = decode(f.import_hash, 'hex'), title = f.title,
             short_description = f.short_description, description = f.description,
             full_story = coalesce(f.full_story, p.full_story), currency = f.currency, price_minor = f.price_minor,
             compare_at_minor = f.compare_at_minor,
             category_id = case when f.sets_category then f.category_id else coalesce(f.category_id, p.category_id) end,
             vendor = f.vendor, tags = f.tags, weight_grams = f.weight_grams, width = f.width, length = f.length,
             dimension_unit = f.dimension_unit, weave_origin = f.weave_origin,
             care_instructions = f.care_instructions, dispatch_time = f.dispatch_time, is_featured = f.is_featured,
             is_limited = f.is_limited, is_active = f.is_active, metadata = coalesce(f.metadata, p.metadata),
             archived_at = null, version = p.version + 1, updated_at = $2
         from jsonb_to_recordset($1::text::jsonb) as f
           (id uuid, sku text, import_hash text, title text, short_description text, description text, full_story text,
            currency text, price_minor bigint, compare_at_minor bigint, category_id uuid, sets_category boolean,
            vendor text, tags text[], weight_grams int, width double precision, length double precision,
            dimension_unit text, weave_origin text, care_instructions text, dispatch_time text, is_featured boolean,
            is_limited boolean, is_active boolean, metadata jsonb)
         where p.id = f.id",
        rows,
        now,
    )
    .execute(c)
    .await?;
    Ok(())
}

/// A picture of one of many products.
#[derive(Debug)]
pub(in crate::features::catalog) struct ImageRow<'a> {
    pub product: ProductId,
    pub url: &'a str,
    pub alt: &'a str,
    pub kind: &'a str,
    pub position: i32,
}

/// Makes these the pictures of products, of which `existing` may have others. A picture that stays keeps its id and what
/// was fetched of it. With `fetch`, new ones from elsewhere wait to be fetched.
pub(in crate::features::catalog) async fn replace_images(
    c: &mut PgConnection,
    existing: &[ProductId],
    images: &[ImageRow<'_>],
    fetch: bool,
) -> sqlx::Result<()> {
    let existing: Vec<_> = existing.iter().map(|id| id.0).collect();
    let ids: Vec<_> = images.iter().map(|_| ImageId::new().0).collect();
    let of: Vec<_> = images.iter().map(|image| image.product.0).collect();
    let urls: Vec<_> = images.iter().map(|image| image.url.to_owned()).collect();
    let alts: Vec<_> = images.iter().map(|image| image.alt.to_owned()).collect();
    let kinds: Vec<_> = images.iter().map(|image| image.kind.to_owned()).collect();
    let positions: Vec<_> = images.iter().map(|image| image.position).collect();
    sqlx::query!(
        "with file as (
           select f.*, row_number() over (partition by f.product_id, f.url order by f.position) as n
           from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::int[])
             as f (id, product_id, url, alt, type, position)),
         old as (
           select i.id as old_id, i.product_id, coalesce(i.source_url, i.url) as url,
                  row_number() over (partition by i.product_id, coalesce(i.source_url, i.url)
                                     order by i.position, i.id) as n
           from product_images i where i.product_id = any($7)),
         gone as (
           delete from product_images i using old left join file f using (product_id, url, n)
           where i.id = old.old_id and f.id is null),
         stayed as (
           update product_images i set alt = f.alt, type = f.type, position = f.position
           from old join file f using (product_id, url, n) where i.id = old.old_id)
         insert into product_images (id, product_id, url, alt, type, position, source_url, fetch_status)
         select f.id, f.product_id, f.url, f.alt, f.type, f.position, w.source, case when w.source <> '' then 'waiting' end
         from file f left join old using (product_id, url, n)
           cross join lateral (select case when $8 and f.url ~* '^https?://' then f.url end as source) w
         where old.old_id is null",
        &ids,
        &of,
        &urls,
        &alts,
        &kinds,
        &positions,
        &existing,
        fetch,
    )
    .execute(c)
    .await?;
    Ok(())
}

/// A variant of one of many products.
#[derive(Debug)]
pub(in crate::features::catalog) struct VariantRow<'a> {
    pub product: ProductId,
    pub sku: &'a str,
    pub options: Value,
    pub price_minor: i64,
    pub compare_at_minor: Option<i64>,
    pub barcode: Option<&'a str>,
    pub weight_grams: Option<i32>,
    pub image_url: Option<&'a str>,
    pub position: i32,
}

/// Inserts or updates variants, and archives those of `existing` products that are not among them. A variant is known
/// by its sku; one that another product has is left out of the answer. All are archived first, so that two may exchange
/// their options.
pub(in crate::features::catalog) async fn upsert_variants_of_many(
    c: &mut PgConnection,
    existing: &[ProductId],
    variants: &[VariantRow<'_>],
    now: DateTime<Utc>,
) -> sqlx::Result<Vec<Upserted>> {
    let existing: Vec<_> = existing.iter().map(|id| id.0).collect();
    if !existing.is_empty() {
        sqlx::query!(
            "update variants set archived_at = $2 where product_id = any($1) and archived_at is null",
            &existing,
            now,
        )
        .execute(&mut *c)
        .await?;
    }
    let ids: Vec<_> = variants.iter().map(|_| VariantId::new().0).collect();
    let products: Vec<_> = variants.iter().map(|v| v.product.0).collect();
    let skus: Vec<_> = variants.iter().map(|v| v.sku.to_owned()).collect();
    let options: Vec<_> = variants.iter().map(|v| v.options.clone()).collect();
    let prices: Vec<_> = variants.iter().map(|v| v.price_minor).collect();
    let compare: Vec<_> = variants.iter().map(|v| v.compare_at_minor).collect();
    let barcodes: Vec<_> = variants.iter().map(|v| v.barcode.map(str::to_owned)).collect();
    let weights: Vec<_> = variants.iter().map(|v| v.weight_grams).collect();
    let images: Vec<_> = variants.iter().map(|v| v.image_url.map(str::to_owned)).collect();
    let positions: Vec<_> = variants.iter().map(|v| v.position).collect();
    sqlx::query_as!(
        Upserted,
        r#"insert into variants (id, product_id, sku, options, price_minor, compare_at_minor, barcode, weight_grams,
                                 image_url, position)
           select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::jsonb[], $5::bigint[], $6::bigint[], $7::text[],
                                $8::int[], $9::text[], $10::int[])
           on conflict (sku) do update
           set options = excluded.options, price_minor = excluded.price_minor,
               compare_at_minor = excluded.compare_at_minor, barcode = excluded.barcode,
               weight_grams = excluded.weight_grams, image_url = excluded.image_url, position = excluded.position,
               archived_at = null
           where variants.product_id = excluded.product_id
           returning id as "id: VariantId", sku, (xmax = 0) as "is_new!""#,
        &ids,
        &products,
        &skus,
        &options,
        &prices,
        &compare as &[Option<i64>],
        &barcodes as &[Option<String>],
        &weights as &[Option<i32>],
        &images as &[Option<String>],
        &positions,
    )
    .fetch_all(c)
    .await
}

/// Shows the variants of these products, whose pictures were just set to where they came from, from where those are kept.
pub(in crate::features::catalog) async fn show_kept_images(
    c: &mut PgConnection,
    products: &[ProductId],
) -> sqlx::Result<()> {
    let products: Vec<_> = products.iter().map(|id| id.0).collect();
    sqlx::query!(
        "update variants v set image_url = i.url from product_images i
         where v.product_id = any($1) and i.product_id = v.product_id and i.source_url = v.image_url
           and i.fetch_status = 'kept'",
        &products,
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
