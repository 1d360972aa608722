//! SQL of levels as staff read them.

use std::collections::HashMap;

use serde_json::Value;
use sqlx::{PgConnection, Postgres, QueryBuilder};

use crate::platform::ids::{CategoryId, ProductId, VariantId};

/// So many levels are counted; beyond, the planner's estimate has to do.
const COUNTED: i64 = 10_000;

/// A level with what staff need to recognise it.
#[derive(Debug, sqlx::FromRow)]
pub(in crate::features::inventory) struct Listed {
    pub variant_id: VariantId,
    pub product_id: ProductId,
    pub sku: String,
    pub title: String,
    /// The values of its options; empty for a product without options.
    pub variant_name: String,
    /// Whether shoppers see it.
    pub on_sale: bool,
    pub on_hand: i32,
    pub reserved: i32,
    pub low_stock_threshold: Option<i32>,
    pub version: i32,
    /// People who want to hear when it is back.
    pub waiting: i64,
}

/// The columns of [`Listed`], of `s`, `v` and `p`.
const LISTED: &str = "
    v.id as variant_id, v.product_id, v.sku, p.title,
    coalesce((select string_agg(o.value ->> 'value', ' / ' order by o.place)
              from jsonb_array_elements(v.options) with ordinality as o (value, place)), '') as variant_name,
    v.archived_at is null and p.archived_at is null and p.is_active as on_sale,
    s.on_hand, s.reserved, s.low_stock_threshold, s.version,
    (select count(*) from back_in_stock_requests r where r.variant_id = v.id) as waiting";

const TABLES: &str = "stock_levels s join variants v on v.id = s.variant_id join products p on p.id = v.product_id";

/// What is there of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::features::inventory) enum Availability {
    /// At or below the threshold, nothing included.
    Low,
    /// Nothing is available.
    Out,
}

/// In which order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::features::inventory) enum Sort {
    Sku,
    /// The fewest first.
    Available,
}

/// Which levels. What is none does not matter. Those of removed variants and products are left out.
#[derive(Debug, Default)]
pub(in crate::features::inventory) struct Filter {
    /// Part of the title, or the beginning of a sku.
    pub search: Option<String>,
    pub availability: Option<Availability>,
    pub product: Option<ProductId>,
    /// With the categories below it.
    pub category: Option<CategoryId>,
}

/// Which part of a list.
#[derive(Debug)]
pub(in crate::features::inventory) enum Part {
    Offset(i64),
    /// Behind this sku.
    After(String),
}

/// A part of the levels, and whether there are more. `low_stock` is the shop's threshold.
pub(in crate::features::inventory) async fn list(
    c: &mut PgConnection,
    filter: &Filter,
    low_stock: i32,
    sort: Sort,
    part: &Part,
    limit: i64,
) -> sqlx::Result<(Vec<Listed>, bool)> {
    let mut query = QueryBuilder::new("select ");
    query.push(LISTED).push(" from ").push(TABLES);
    push_where(&mut query, filter, low_stock);
    if let Part::After(sku) = part {
        query.push(" and v.sku > ").push_bind(sku.clone());
    }
    query.push(match sort {
        Sort::Sku => " order by v.sku",
        Sort::Available => " order by s.on_hand - s.reserved, v.sku",
    });
    query.push(" limit ").push_bind(limit + 1);
    if let Part::Offset(offset) = part {
        query.push(" offset ").push_bind(*offset);
    }
    let mut rows: Vec<Listed> = query.build_query_as().fetch_all(c).await?;
    let more = i64::try_from(rows.len()).is_ok_and(|count| count > limit);
    rows.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok((rows, more))
}

/// How many levels match, and whether that is an estimate because there are more than [`COUNTED`].
pub(in crate::features::inventory) async fn count(
    c: &mut PgConnection,
    filter: &Filter,
    low_stock: i32,
) -> sqlx::Result<(i64, bool)> {
    let mut query = QueryBuilder::new("select count(*) from (select from ");
    query.push(TABLES);
    push_where(&mut query, filter, low_stock);
    query.push(" limit ").push_bind(COUNTED + 1).push(") counted");
    let count: i64 = query.build_query_scalar().fetch_one(&mut *c).await?;
    if count <= COUNTED {
        return Ok((count, false));
    }
    let mut query = QueryBuilder::new("explain (format json) select from ");
    query.push(TABLES);
    push_where(&mut query, filter, low_stock);
    let plan: Value = query.build_query_scalar().fetch_one(c).await?;
    Ok((plan[0]["Plan"]["Plan Rows"].as_i64().unwrap_or(count).max(count), true))
}

fn push_where(query: &mut QueryBuilder<Postgres>, filter: &Filter, low_stock: i32) {
    query.push(" where v.archived_at is null and p.archived_at is null");
    if let Some(availability) = filter.availability {
        // The watch knows the few that are low; what they are at this moment, their levels say.
        query.push(" and s.variant_id in (select variant_id from stock_low) and s.on_hand - s.reserved <= ");
        match availability {
            Availability::Out => query.push("0"),
            Availability::Low => query.push("coalesce(s.low_stock_threshold, ").push_bind(low_stock).push(")"),
        };
    }
    if let Some(product) = filter.product {
        query.push(" and v.product_id = ").push_bind(product.0);
    }
    if let Some(category) = filter.category {
        query
            .push(" and p.category_id in (with recursive below as (select id from categories where id = ")
            .push_bind(category.0)
            .push(" union select c.id from categories c join below on c.parent_id = below.id) select id from below)");
    }
    if let Some(search) = &filter.search {
        // Each part has its index; an `or` would use none of them.
        query
            .push(" and v.id in (select id from variants where fold(sku) like substr(containing(")
            .push_bind(search.clone())
            .push("), 2) union select id from variants where product_id in (select id from products where fold(title) like containing(")
            .push_bind(search.clone())
            .push(") union select id from products where fold(sku) like substr(containing(")
            .push_bind(search.clone())
            .push("), 2)))");
    }
}

/// One level, of a removed variant too.
pub(in crate::features::inventory) async fn find(
    c: &mut PgConnection,
    variant: VariantId,
) -> sqlx::Result<Option<Listed>> {
    let mut query = QueryBuilder::new("select ");
    query.push(LISTED).push(" from ").push(TABLES).push(" where s.variant_id = ").push_bind(variant.0);
    query.build_query_as().fetch_optional(c).await
}

/// The variants with these skus.
pub(in crate::features::inventory) async fn variants_of_skus(
    c: &mut PgConnection,
    skus: &[String],
) -> sqlx::Result<HashMap<String, VariantId>> {
    let rows = sqlx::query!(r#"select sku, id as "id: VariantId" from variants where sku = any($1)"#, skus)
        .fetch_all(c)
        .await?;
    Ok(rows.into_iter().map(|row| (row.sku, row.id)).collect())
}
