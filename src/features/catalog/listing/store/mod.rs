//! SQL of the lists. It is built, because every filter is optional.

pub(super) mod facets;
pub(super) mod related;
pub(super) mod search;

use serde_json::Value;
use sqlx::{PgConnection, Postgres, QueryBuilder, Row};
use uuid::Uuid;

use super::{CategoryOf, Filter, Key, Matching, Part, Position, Sort, Total};
use crate::features::catalog::model::Listed;

/// So many matches are counted, and sorted by relevance; beyond, the planner's estimate has to do.
pub(super) const COUNTED: i64 = 10_000;

/// One part of the matching products, in order, and the place behind its last one when there are more.
pub(super) async fn part(
    c: &mut PgConnection,
    filter: &Filter,
    matching: Option<&Matching>,
    sort: Sort,
    limit: i64,
    part: &Part,
) -> sqlx::Result<(Vec<Listed>, Option<Position>)> {
    // The part is cut from the narrow table first; only its rows get pictures and variants.
    let mut query = QueryBuilder::new("with part as materialized (select p.id, ");
    query.push(key_of(sort)).push(" as key, row_number() over () as place from (select p.id, p.created_at, ");
    query.push("p.price_minor, p.title, p.popularity from ");
    match (sort, matching) {
        (Sort::Relevance, Some(matching)) => search::push_ranked(&mut query, filter, matching),
        _ => {
            query.push("products p");
            push_where(&mut query, filter, matching);
            push_after(&mut query, sort, part);
            push_order(&mut query, sort);
        }
    }
    query.push(" limit ").push_bind(limit + 1);
    if let Part::Offset(offset) = part {
        query.push(" offset ").push_bind(*offset);
    }
    query.push(") p) select l.*, part.key as sort_key, part.id as sort_id from part join product_listing l on l.id = part.id order by part.place");
    let mut rows = query.build().fetch_all(c).await?;
    let more = i64::try_from(rows.len()).is_ok_and(|count| count > limit);
    if more {
        rows.pop();
    }
    let last = match rows.last() {
        Some(row) if more => Some(Position { key: read_key(row, sort)?, id: row.try_get::<Uuid, _>("sort_id")? }),
        _ => None,
    };
    let rows: Vec<Listed> = rows.iter().map(sqlx::FromRow::from_row).collect::<sqlx::Result<_>>()?;
    Ok((rows, last))
}

/// A category and all below it. Empty when there is none of that name.
pub(super) async fn categories_below(c: &mut PgConnection, category: &CategoryOf) -> sqlx::Result<Vec<Uuid>> {
    let (id, slug) = match category {
        CategoryOf::Id(id) => (Some(id.0), None),
        CategoryOf::Slug(slug) => (None, Some(slug.as_str())),
    };
    sqlx::query_scalar!(
        r#"with recursive below as (
             select id from categories where id = $1 or slug = $2
             union select category_id from category_slugs where slug = $2
             union select c.id from categories c join below on c.parent_id = below.id)
           select id as "id!" from below"#,
        id,
        slug,
    )
    .fetch_all(c)
    .await
}

fn key_of(sort: Sort) -> &'static str {
    match sort {
        Sort::Newest | Sort::Oldest | Sort::Relevance => "p.created_at",
        Sort::PriceUp | Sort::PriceDown => "p.price_minor",
        Sort::Popular => "p.popularity::bigint",
        Sort::TitleUp | Sort::TitleDown => "fold(p.title)",
    }
}

fn read_key(row: &sqlx::postgres::PgRow, sort: Sort) -> sqlx::Result<Key> {
    Ok(match sort {
        Sort::Newest | Sort::Oldest | Sort::Relevance => Key::Time(row.try_get("sort_key")?),
        Sort::PriceUp | Sort::PriceDown | Sort::Popular => Key::Number(row.try_get("sort_key")?),
        Sort::TitleUp | Sort::TitleDown => Key::Text(row.try_get("sort_key")?),
    })
}

/// How many products match: exactly up to [`COUNTED`], beyond that by the planner's estimate.
pub(super) async fn total(c: &mut PgConnection, filter: &Filter, matching: Option<&Matching>) -> sqlx::Result<Total> {
    let mut query = QueryBuilder::new("select count(*) from (select from products p");
    push_where(&mut query, filter, matching);
    query.push(" limit ").push_bind(COUNTED + 1).push(") counted");
    let count: i64 = query.build_query_scalar().fetch_one(&mut *c).await?;
    if count <= COUNTED {
        return Ok(Total { count, is_estimate: false });
    }
    let mut query = QueryBuilder::new("explain (format json) select from products p");
    push_where(&mut query, filter, matching);
    let plan: Value = query.build_query_scalar().fetch_one(c).await?;
    let estimate = plan[0]["Plan"]["Plan Rows"].as_i64().unwrap_or(count);
    Ok(Total { count: estimate.max(count), is_estimate: true })
}

/// The conditions.
pub(super) fn push_where(query: &mut QueryBuilder<Postgres>, filter: &Filter, matching: Option<&Matching>) {
    query.push(" where p.archived_at is null and p.is_active");
    if let Some(categories) = &filter.categories {
        query.push(" and p.category_id = any(").push_bind(categories.clone()).push(")");
    }
    if let Some(matching) = matching {
        search::push_matching(query, matching);
    }
    if let Some(price) = filter.min_price {
        query.push(" and p.price_minor >= ").push_bind(price);
    }
    if let Some(price) = filter.max_price {
        query.push(" and p.price_minor <= ").push_bind(price);
    }
    if !filter.tags.is_empty() {
        query.push(" and p.tags && ").push_bind(filter.tags.clone());
    }
    if !filter.colours.is_empty() {
        query.push(" and p.colours && ").push_bind(filter.colours.clone());
    }
    if filter.in_stock {
        query.push(
            " and exists (select from variants v join stock_levels s on s.variant_id = v.id
                          where v.product_id = p.id and v.archived_at is null and s.on_hand > s.reserved)",
        );
    }
    if let Some(featured) = filter.is_featured {
        query.push(" and p.is_featured = ").push_bind(featured);
    }
}

/// Only what comes behind a position. A comparison of rows, so that an index leads there.
fn push_after(query: &mut QueryBuilder<Postgres>, sort: Sort, part: &Part) {
    let Part::After(Position { key, id }) = part else { return };
    let sign = match sort {
        Sort::Newest | Sort::PriceDown | Sort::TitleDown | Sort::Popular | Sort::Relevance => "<",
        Sort::Oldest | Sort::PriceUp | Sort::TitleUp => ">",
    };
    let column = if sort == Sort::Popular { "p.popularity" } else { key_of(sort) };
    query.push(" and (").push(column).push(", p.id) ").push(sign).push(" (");
    match key {
        Key::Time(time) => query.push_bind(*time),
        Key::Number(number) => query.push_bind(*number),
        Key::Text(text) => query.push_bind(text.clone()),
    };
    query.push(", ").push_bind(*id).push(")");
}

fn push_order(query: &mut QueryBuilder<Postgres>, sort: Sort) {
    query.push(match sort {
        Sort::Newest | Sort::Relevance => " order by p.created_at desc, p.id desc",
        Sort::Oldest => " order by p.created_at, p.id",
        Sort::PriceUp => " order by p.price_minor, p.id",
        Sort::PriceDown => " order by p.price_minor desc, p.id desc",
        Sort::TitleUp => " order by fold(p.title), p.id",
        Sort::TitleDown => " order by fold(p.title) desc, p.id desc",
        Sort::Popular => " order by p.popularity desc, p.id desc",
    });
}

/// What is kept about how often products are sold, for those that are.
pub(super) async fn popularity(c: &mut PgConnection) -> sqlx::Result<Vec<(Uuid, i32)>> {
    let rows = sqlx::query!("select id, popularity from products where popularity > 0").fetch_all(c).await?;
    Ok(rows.into_iter().map(|row| (row.id, row.popularity)).collect())
}

/// Sets how often these products are sold. They are locked in the order of their ids, as everywhere.
pub(super) async fn set_popularity(c: &mut PgConnection, ids: &[Uuid], units: &[i32]) -> sqlx::Result<()> {
    sqlx::query!("select id from products where id = any($1) order by id for no key update", ids)
        .fetch_all(&mut *c)
        .await?;
    sqlx::query!(
        "update products p set popularity = s.units from unnest($1::uuid[], $2::int[]) s (id, units) where p.id = s.id",
        ids,
        units,
    )
    .execute(c)
    .await?;
    Ok(())
}
