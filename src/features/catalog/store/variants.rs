//! SQL of variants, one by one. Whoever writes them locks their product first, by taking its next version.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use sqlx::types::Json;

use crate::features::catalog::model::OptionValue;
use crate::platform::ids::{ProductId, VariantId};

/// What of a product its variants depend on.
#[derive(Debug)]
pub(in crate::features::catalog) struct Parent {
    pub sku: String,
    pub price_minor: i64,
    pub compare_at_minor: Option<i64>,
}

/// Locks a product that has this version and gives it the next one. None when it is gone or has another version.
pub(in crate::features::catalog) async fn next_version(
    c: &mut PgConnection,
    product: ProductId,
    version: i32,
    now: DateTime<Utc>,
) -> sqlx::Result<Option<Parent>> {
    sqlx::query_as!(
        Parent,
        "update products set version = version + 1, updated_at = $3
         where id = $1 and version = $2 and archived_at is null returning sku, price_minor, compare_at_minor",
        product.0,
        version,
        now,
    )
    .fetch_optional(c)
    .await
}

/// A variant as it is stored.
#[derive(Debug)]
pub(in crate::features::catalog) struct Variant {
    pub id: VariantId,
    pub sku: String,
    pub options: Json<Vec<OptionValue>>,
    pub price_minor: i64,
    pub compare_at_minor: Option<i64>,
    pub barcode: Option<String>,
    pub weight_grams: Option<i32>,
    pub image_url: Option<String>,
    pub position: i32,
}

/// The live variants of a product, in their order.
pub(in crate::features::catalog) async fn of_product(
    c: &mut PgConnection,
    product: ProductId,
) -> sqlx::Result<Vec<Variant>> {
    sqlx::query_as!(
        Variant,
        r#"select id as "id: VariantId", sku, options as "options: Json<Vec<OptionValue>>", price_minor, compare_at_minor,
                  barcode, weight_grams, image_url, position
           from variants where product_id = $1 and archived_at is null order by position, id"#,
        product.0,
    )
    .fetch_all(c)
    .await
}

/// A variant to add or to change.
#[derive(Debug)]
pub(in crate::features::catalog) struct Fields<'a> {
    pub sku: &'a str,
    pub options: Value,
    pub price_minor: i64,
    pub compare_at_minor: Option<i64>,
    pub barcode: Option<&'a str>,
    pub weight_grams: Option<i32>,
    pub image_url: Option<&'a str>,
}

/// Adds a variant, or brings back the archived one of this product that has this sku. None when the sku is another
/// variant's. Tells whether it is a new one.
pub(in crate::features::catalog) async fn add(
    c: &mut PgConnection,
    product: ProductId,
    fields: &Fields<'_>,
    position: i32,
) -> sqlx::Result<Option<(VariantId, bool)>> {
    let added = sqlx::query!(
        r#"insert into variants (id, product_id, sku, options, price_minor, compare_at_minor, barcode, weight_grams,
                                 image_url, position)
           values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
           on conflict (sku) do update
           set options = excluded.options, price_minor = excluded.price_minor,
               compare_at_minor = excluded.compare_at_minor, barcode = excluded.barcode,
               weight_grams = excluded.weight_grams, image_url = excluded.image_url, position = excluded.position,
               archived_at = null
           where variants.product_id = excluded.product_id and variants.archived_at is not null
           returning id as "id: VariantId", (xmax = 0) as "is_new!""#,
        VariantId::new().0,
        product.0,
        fields.sku,
        fields.options,
        fields.price_minor,
        fields.compare_at_minor,
        fields.barcode,
        fields.weight_grams,
        fields.image_url,
        position,
    )
    .fetch_optional(c)
    .await?;
    Ok(added.map(|row| (row.id, row.is_new)))
}

pub(in crate::features::catalog) async fn update(
    c: &mut PgConnection,
    id: VariantId,
    fields: &Fields<'_>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update variants set sku = $2, options = $3, price_minor = $4, compare_at_minor = $5, barcode = $6,
           weight_grams = $7, image_url = $8 where id = $1",
        id.0,
        fields.sku,
        fields.options,
        fields.price_minor,
        fields.compare_at_minor,
        fields.barcode,
        fields.weight_grams,
        fields.image_url,
    )
    .execute(c)
    .await?;
    Ok(())
}

pub(in crate::features::catalog) async fn archive(
    c: &mut PgConnection,
    id: VariantId,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!("update variants set archived_at = $2 where id = $1", id.0, now).execute(c).await?;
    Ok(())
}

/// Puts variants into the given order.
pub(in crate::features::catalog) async fn set_order(c: &mut PgConnection, ids: &[VariantId]) -> sqlx::Result<()> {
    let ids: Vec<_> = ids.iter().map(|id| id.0).collect();
    sqlx::query!(
        "update variants v set position = o.position - 1
         from unnest($1::uuid[]) with ordinality as o (id, position) where v.id = o.id",
        &ids,
    )
    .execute(c)
    .await?;
    Ok(())
}
