//! SQL of products as staff keep and list them.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{PgConnection, Postgres, QueryBuilder};
use uuid::Uuid;

use crate::features::catalog::images_model::FetchStatus;
use crate::features::catalog::model::{Listed, ProductStatus};
use crate::platform::count::{self, Total};
use crate::platform::ids::{CategoryId, ProductId};
use crate::platform::page::Part;

/// A change of a product; `None` leaves a field as it is, and the outer `Some(None)` empties it.
#[derive(Debug, Default)]
pub(in crate::features::catalog) struct ProductChange {
    pub sku: Option<String>,
    pub title: Option<String>,
    pub slug: Option<String>,
    pub short_description: Option<String>,
    pub description: Option<String>,
    pub full_story: Option<String>,
    pub price_minor: Option<i64>,
    pub compare_at_minor: Option<Option<i64>>,
    pub category_id: Option<Option<CategoryId>>,
    pub vendor: Option<Option<String>>,
    pub tags: Option<Vec<String>>,
    pub weight_grams: Option<Option<i32>>,
    pub dimensions: Option<Measures>,
    pub weave_origin: Option<String>,
    pub care_instructions: Option<String>,
    pub dispatch_time: Option<String>,
    pub is_featured: Option<bool>,
    pub is_limited: Option<bool>,
    pub is_active: Option<bool>,
    pub metadata: Option<Value>,
}

/// Width and length in a unit.
#[derive(Debug)]
pub(in crate::features::catalog) struct Measures {
    pub width: Option<f64>,
    pub length: Option<f64>,
    pub unit: String,
}

/// Changes a product if it still has `version`. A changed price moves its variants' prices along, and a variant
/// without options keeps being what the product is. False when the product is gone or has another version.
pub(in crate::features::catalog) async fn update_product(
    c: &mut PgConnection,
    id: ProductId,
    version: i32,
    change: &ProductChange,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let measures = change.dimensions.as_ref();
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
                 vendor = case when $21 then $22 else p.vendor end,
                 weight_grams = case when $23 then $24 else p.weight_grams end,
                 width = case when $25 then $26 else p.width end, length = case when $25 then $27 else p.length end,
                 dimension_unit = coalesce($28, p.dimension_unit), metadata = coalesce($29, p.metadata),
                 version = p.version + 1, updated_at = $30
             from old where p.id = old.id
             returning p.id, p.price_minor - old.price_minor as difference),
           followed as (
             update variants v
             set price_minor = v.price_minor + changed.difference,
                 sku = case when v.options = '[]' then coalesce($3, v.sku) else v.sku end,
                 compare_at_minor = case when v.options = '[]' and $10 then $11 else v.compare_at_minor end
             from changed
             where v.product_id = changed.id and v.archived_at is null
               and (changed.difference <> 0 or v.options = '[]' and ($3 <> v.sku or $10)))
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
        change.vendor.is_some(),
        change.vendor.as_ref().and_then(Option::as_deref),
        change.weight_grams.is_some(),
        change.weight_grams.flatten(),
        measures.is_some(),
        measures.and_then(|measures| measures.width),
        measures.and_then(|measures| measures.length),
        measures.map(|measures| measures.unit.as_str()),
        change.metadata,
        now,
    )
    .fetch_optional(c)
    .await?;
    Ok(updated.is_some())
}

/// Takes a product off sale; orders keep pointing at it. False when it is archived already, or has another version than
/// the given one.
pub(in crate::features::catalog) async fn archive_product(
    c: &mut PgConnection,
    id: ProductId,
    version: Option<i32>,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let archived = sqlx::query!(
        "update products set archived_at = $3, is_active = false, updated_at = $3, version = version + 1
         where id = $1 and archived_at is null and ($2::int is null or version = $2)",
        id.0,
        version,
        now,
    )
    .execute(c)
    .await?;
    Ok(archived.rows_affected() == 1)
}

/// Brings an archived product back, hidden from shoppers. False when it is not archived.
pub(in crate::features::catalog) async fn restore_product(
    c: &mut PgConnection,
    id: ProductId,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let restored = sqlx::query!(
        "update products set archived_at = null, updated_at = $2, version = version + 1
         where id = $1 and archived_at is not null",
        id.0,
        now,
    )
    .execute(c)
    .await?;
    Ok(restored.rows_affected() == 1)
}

/// Which products. What is none does not matter.
#[derive(Debug, Default)]
pub(in crate::features::catalog) struct Filter<'a> {
    pub status: Option<ProductStatus>,
    /// Part of the title, or the beginning of a sku.
    pub search: Option<&'a str>,
    /// In any of these.
    pub categories: Option<Vec<Uuid>>,
    /// Those with a picture that waits to be fetched, or could not be had.
    pub pictures: Option<FetchStatus>,
}

/// Products of whatever status, the newest first, and the last one's id where more follow.
pub(in crate::features::catalog) async fn list(
    c: &mut PgConnection,
    filter: &Filter<'_>,
    part: Part,
) -> sqlx::Result<(Vec<Listed>, Option<Uuid>)> {
    let mut query = QueryBuilder::new("select l.* from (select p.id, row_number() over () as place from (select p.id");
    push_source(&mut query, filter);
    if let Some(id) = part.behind {
        query.push(" and (p.created_at, p.id) < ((select created_at from products where id = ").push_bind(id);
        query.push("), ").push_bind(id).push(")");
    }
    query.push(" order by p.created_at desc, p.id desc limit ").push_bind(part.page.limit + 1);
    query.push(" offset ").push_bind(part.offset());
    query.push(") p) page join product_listing l on l.id = page.id order by page.place");
    let rows = query.build_query_as().fetch_all(&mut *c).await?;
    Ok(part.cut(rows, |row: &Listed| row.id.0))
}

/// How many there are.
pub(in crate::features::catalog) async fn total(c: &mut PgConnection, filter: &Filter<'_>) -> sqlx::Result<Total> {
    count::total(c, |query| push_source(query, filter)).await
}

fn push_source(query: &mut QueryBuilder<Postgres>, filter: &Filter<'_>) {
    query.push(" from products p where true");
    push_filter(query, filter);
}

fn push_filter(query: &mut QueryBuilder<Postgres>, filter: &Filter<'_>) {
    match filter.status {
        Some(ProductStatus::Active) => query.push(" and p.archived_at is null and p.is_active"),
        // In the words of the index of what is not for sale.
        Some(ProductStatus::Inactive) => query
            .push(" and p.archived_at is null and not p.is_active and (p.archived_at is not null or not p.is_active)"),
        Some(ProductStatus::Archived) => {
            query.push(" and p.archived_at is not null and (p.archived_at is not null or not p.is_active)")
        }
        None => query,
    };
    if let Some(search) = filter.search {
        // Each part has its index; an `or` would use none of them.
        query
            .push(" and p.id in (select id from products where fold(title) like containing(")
            .push_bind(search.to_owned());
        query
            .push(") union select id from products where fold(sku) like substr(containing(")
            .push_bind(search.to_owned());
        query.push("), 2) union select product_id from variants where archived_at is null and fold(sku) like substr(containing(");
        query.push_bind(search.to_owned()).push("), 2))");
    }
    if let Some(categories) = &filter.categories {
        query.push(" and p.category_id = any(").push_bind(categories.clone()).push(")");
    }
    if let Some(pictures) = filter.pictures {
        // Written out, so that the index over these few rows is used.
        query.push(format!(
            " and p.id in (select product_id from product_images where fetch_status = '{}')",
            pictures.as_str()
        ));
    }
}
