//! SQL of the export.

use serde::Deserialize;
use sqlx::PgConnection;
use sqlx::types::Json;

use crate::features::catalog::import::ImportedOption;
use crate::platform::ids::{CategoryId, ProductId, VariantId};

/// A product with its parts.
#[derive(Debug)]
pub(in crate::features::catalog) struct ExportRow {
    pub id: ProductId,
    pub slug: String,
    pub sku: String,
    pub title: String,
    pub short_description: String,
    pub description: String,
    pub full_story: String,
    pub currency: String,
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
    pub metadata: String,
    pub is_archived: bool,
    pub images: Json<Vec<ExportImage>>,
    pub variants: Json<Vec<ExportVariant>>,
}

/// A picture.
#[derive(Debug, Deserialize)]
pub(in crate::features::catalog) struct ExportImage {
    pub url: String,
    pub alt: String,
    #[serde(rename = "type")]
    pub kind: String,
    /// Where it came from, if it was fetched or waits to be.
    pub source_url: Option<String>,
}

/// A variant.
#[derive(Debug, Deserialize)]
pub(in crate::features::catalog) struct ExportVariant {
    pub id: VariantId,
    pub sku: String,
    pub options: Vec<ImportedOption>,
    pub price_minor: i64,
    pub compare_at_minor: Option<i64>,
    pub barcode: Option<String>,
    pub weight_grams: Option<i32>,
    pub image_url: Option<String>,
}

/// Selects [`ExportRow`]s of the products `p` for which a condition holds.
macro_rules! export_rows {
    ($condition:literal, $($value:expr),+) => {
        sqlx::query_as!(
            ExportRow,
            r#"select p.id as "id: ProductId", p.slug, p.sku, p.title, p.short_description, p.description, p.full_story,
                  p.currency, p.price_minor, p.compare_at_minor, p.category_id as "category_id: CategoryId", p.vendor,
                  p.tags, p.weight_grams, p.width, p.length, p.dimension_unit, p.weave_origin, p.care_instructions,
                  p.dispatch_time, p.is_featured, p.is_limited, p.is_active, p.metadata::text as "metadata!",
                  p.archived_at is not null as "is_archived!",
                  coalesce((select jsonb_agg(jsonb_build_object('url', i.url, 'alt', i.alt, 'type', i.type,
                                                                'source_url', i.source_url)
                                             order by i.position, i.id)
                            from product_images i where i.product_id = p.id), '[]') as "images!: Json<Vec<ExportImage>>",
                  coalesce((select jsonb_agg(jsonb_build_object(
                                               'id', v.id, 'sku', v.sku, 'options', v.options,
                                               'price_minor', v.price_minor, 'compare_at_minor', v.compare_at_minor,
                                               'barcode', v.barcode, 'weight_grams', v.weight_grams,
                                               'image_url', v.image_url) order by v.position, v.id)
                            from variants v where v.product_id = p.id and v.archived_at is null), '[]')
                    as "variants!: Json<Vec<ExportVariant>>"
           from products p where "# + $condition,
            $($value),+
        )
    };
}

/// The next products in the order of their ids.
pub(in crate::features::catalog) async fn products(
    c: &mut PgConnection,
    after: Option<ProductId>,
    limit: i64,
) -> sqlx::Result<Vec<ExportRow>> {
    export_rows!(
        "p.archived_at is null and ($1::uuid is null or p.id > $1) order by p.id limit $2",
        after.map(|id| id.0),
        limit
    )
    .fetch_all(c)
    .await
}

/// These products, those that were removed too.
pub(in crate::features::catalog) async fn products_of(
    c: &mut PgConnection,
    products: &[ProductId],
) -> sqlx::Result<Vec<ExportRow>> {
    let products: Vec<_> = products.iter().map(|id| id.0).collect();
    export_rows!("p.id = any($1)", &products).fetch_all(c).await
}
