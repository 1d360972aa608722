//! SQL of the lists. It is built, because every filter is optional.

pub(super) mod facets;
mod ranked;
pub(super) mod related;
pub(super) mod search;

use sqlx::postgres::PgRow;
use sqlx::{FromRow, PgConnection, Postgres, QueryBuilder, Row};
use uuid::Uuid;

use super::{Filter, Key, Matching, Part, Position, Sort};
use crate::features::catalog::model::Listed;
use crate::platform::count::{self, Total};

/// One part of the matching products, in order, and the place behind its last one when there are more.
pub(super) async fn part(
    c: &mut PgConnection,
    filter: &Filter,
    matching: Option<&Matching>,
    sort: Sort,
    limit: i64,
    part: &Part,
) -> sqlx::Result<(Vec<Listed>, Option<Position>)> {
    if let (Sort::Relevance, Some(matching)) = (sort, matching) {
        return ranked::part(c, filter, matching, limit, part).await;
    }
    let order = Order::of(sort, filter);
    // The part is cut from the narrow tables first; only its rows get pictures and variants.
    let mut query =
        QueryBuilder::new("with part as materialized (select id, key, row_number() over () as place from (select ");
    query.push(order.id).push(" as id, ").push(order.key).push(" as key");
    push_source(&mut query, filter, matching);
    order.push_after(&mut query, part);
    order.push_to(&mut query);
    query.push(" limit ").push_bind(limit + 1);
    if let Part::Offset(offset) = part {
        query.push(" offset ").push_bind(*offset);
    }
    query.push(
        ") p) select l.*, part.key as sort_key from part join product_listing l on l.id = part.id order by part.place",
    );
    let mut rows = query.build().fetch_all(c).await?;
    let more = cut(&mut rows, limit);
    let last = match rows.last() {
        Some(row) if more => Some(Position { key: read_key(row, sort)?, id: row.try_get("id")? }),
        _ => None,
    };
    Ok((listed(&rows)?, last))
}

/// Takes off what was read beyond the limit. Gives whether there was something.
fn cut(rows: &mut Vec<PgRow>, limit: i64) -> bool {
    let more = i64::try_from(rows.len()).is_ok_and(|count| count > limit);
    if more {
        rows.pop();
    }
    more
}

fn listed(rows: &[PgRow]) -> sqlx::Result<Vec<Listed>> {
    rows.iter().map(Listed::from_row).collect()
}

/// By what a list is ordered. What is in stock, or is not, is ordered in the table that knows it, whose indexes begin with that.
struct Order {
    key: &'static str,
    id: &'static str,
    is_down: bool,
}

impl Order {
    fn of(sort: Sort, filter: &Filter) -> Self {
        let of_stock = filter.in_stock.is_some();
        let (key, is_down) = match sort {
            // Of what nobody searches for, relevance is the newest.
            Sort::Newest | Sort::Relevance => (if of_stock { "f.created_at" } else { "p.created_at" }, true),
            Sort::Oldest => (if of_stock { "f.created_at" } else { "p.created_at" }, false),
            Sort::PriceUp => (if of_stock { "f.price_minor" } else { "p.price_minor" }, false),
            Sort::PriceDown => (if of_stock { "f.price_minor" } else { "p.price_minor" }, true),
            Sort::TitleUp => (if of_stock { "f.title" } else { "fold(p.title)" }, false),
            Sort::TitleDown => (if of_stock { "f.title" } else { "fold(p.title)" }, true),
            Sort::Popular => (if of_stock { "f.popularity" } else { "p.popularity" }, true),
        };
        Self { key, id: if of_stock { "f.product_id" } else { "p.id" }, is_down }
    }

    /// Only what comes behind a position. A comparison of rows, so that an index leads there.
    fn push_after(&self, query: &mut QueryBuilder<Postgres>, part: &Part) {
        let Part::After(Position { key, id }) = part else { return };
        query.push(" and (").push(self.key).push(", ").push(self.id);
        query.push(if self.is_down { ") < (" } else { ") > (" });
        match key {
            Key::Time(time) => query.push_bind(*time),
            Key::Number(number) => query.push_bind(*number),
            Key::Text(text) => query.push_bind(text.clone()),
            Key::Rank(rank) => query.push_bind(rank.popularity),
        };
        query.push(", ").push_bind(*id).push(")");
    }

    fn push_to(&self, query: &mut QueryBuilder<Postgres>) {
        let direction = if self.is_down { " desc" } else { "" };
        query.push(" order by ").push(self.key).push(direction).push(", ").push(self.id).push(direction);
    }
}

fn read_key(row: &PgRow, sort: Sort) -> sqlx::Result<Key> {
    Ok(match sort {
        Sort::Newest | Sort::Oldest | Sort::Relevance => Key::Time(row.try_get("sort_key")?),
        Sort::PriceUp | Sort::PriceDown => Key::Number(row.try_get("sort_key")?),
        Sort::Popular => Key::Number(row.try_get::<i32, _>("sort_key")?.into()),
        Sort::TitleUp | Sort::TitleDown => Key::Text(row.try_get("sort_key")?),
    })
}

/// How many products match.
pub(super) async fn total(c: &mut PgConnection, filter: &Filter, matching: Option<&Matching>) -> sqlx::Result<Total> {
    count::total(c, |query| push_source(query, filter, matching)).await
}

/// Whether any product matches.
pub(super) async fn exists(c: &mut PgConnection, filter: &Filter, matching: &Matching) -> sqlx::Result<bool> {
    let mut query = QueryBuilder::new("select exists (select");
    push_source(&mut query, filter, Some(matching));
    query.push(")").build_query_scalar().fetch_one(c).await
}

/// The products that are for sale and pass the filter: ` from … where …`, with the products as `p`.
pub(super) fn push_source(query: &mut QueryBuilder<Postgres>, filter: &Filter, matching: Option<&Matching>) {
    query.push(match filter.in_stock {
        None => " from products p where",
        Some(true) => {
            " from product_stock f join products p on p.id = f.product_id where f.is_listed and f.in_stock and"
        }
        Some(false) => {
            " from product_stock f join products p on p.id = f.product_id where f.is_listed and not f.in_stock and"
        }
    });
    query.push(" p.archived_at is null and p.is_active");
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
        query.push(" and lower_all(p.tags) && lower_all(").push_bind(filter.tags.clone()).push(")");
    }
    if !filter.colours.is_empty() {
        query.push(" and p.colours && ").push_bind(filter.colours.clone());
    }
    if let Some(featured) = filter.is_featured {
        query.push(" and p.is_featured = ").push_bind(featured);
    }
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
