//! SQL of the import: the pictures and variants of many products.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;

use super::Upserted;
use crate::features::catalog::import::FileColumns;
use crate::platform::ids::{ImageId, ProductId, VariantId};

/// A picture of one of many products.
#[derive(Debug)]
pub(in crate::features::catalog) struct ImageRow<'a> {
    pub product: ProductId,
    pub url: &'a str,
    pub alt: &'a str,
    pub kind: &'a str,
    pub position: i32,
}

/// Makes these the pictures of products, of which `existing` may have others. A picture that stays, known by where it came
/// from or where it is shown, keeps its id and what was fetched of it. With `fetch`, new ones from elsewhere wait to be fetched.
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
           select o.*, row_number() over (partition by o.product_id, o.url order by o.position, o.old_id) as n
           from (select i.id as old_id, i.product_id, i.position,
                        case when (i.product_id, i.url) in (select product_id, url from file) then i.url
                             else coalesce(i.source_url, i.url) end as url
                 from product_images i where i.product_id = any($7)) o),
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
/// their options. A variant that is there keeps what the file has no column for.
pub(in crate::features::catalog) async fn upsert_variants_of_many(
    c: &mut PgConnection,
    existing: &[ProductId],
    variants: &[VariantRow<'_>],
    columns: FileColumns,
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
               compare_at_minor = case when $11 then excluded.compare_at_minor
                                       when variants.compare_at_minor > excluded.price_minor
                                       then variants.compare_at_minor end,
               barcode = case when $12 then excluded.barcode else variants.barcode end,
               weight_grams = case when $13 then excluded.weight_grams else variants.weight_grams end,
               image_url = case when $14 then excluded.image_url else variants.image_url end,
               position = excluded.position, archived_at = null
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
        columns.compare_at,
        columns.barcode,
        columns.weight,
        columns.variant_image,
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
