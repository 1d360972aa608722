//! The filtered list of products. Its SQL is built, because every filter is optional.

use sqlx::{PgConnection, Postgres, QueryBuilder};

use super::model::Listed;
use crate::platform::ids::CategoryId;
use crate::platform::page::Page;

/// What products the caller wants. Empty fields do not filter.
#[derive(Clone, Debug, Default)]
pub(super) struct Filter {
    pub category: Option<CategoryOf>,
    pub search: Option<Search>,
    pub min_price: Option<i64>,
    pub max_price: Option<i64>,
    /// Any of these.
    pub tags: Vec<String>,
    /// Any of these, in lower case.
    pub colours: Vec<String>,
    pub in_stock: bool,
    pub is_featured: Option<bool>,
}

/// A category, as a link names it. Its descendants count.
#[derive(Clone, Debug)]
pub(super) enum CategoryOf {
    Id(CategoryId),
    Slug(String),
}

/// A search as the database reads it.
#[derive(Clone, Debug)]
pub(super) struct Search {
    /// What the shopper typed.
    pub text: String,
    /// Its words, each the beginning of one, for a search while typing.
    pub words: Vec<String>,
}

impl Search {
    /// None when the text has no word.
    pub(super) fn new(text: &str) -> Option<Self> {
        let words: Vec<String> = text
            .split(|c: char| !c.is_alphanumeric())
            .filter(|word| !word.is_empty())
            .take(12)
            .map(str::to_owned)
            .collect();
        (!words.is_empty()).then(|| Self { text: text.chars().take(200).collect(), words })
    }
}

/// The order of the list. Each ends with the id, so that pages never overlap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    Newest,
    Oldest,
    PriceUp,
    PriceDown,
    TitleUp,
    TitleDown,
    Relevance,
}

/// One page of the matching products, and how many match.
pub(super) async fn list(
    c: &mut PgConnection,
    filter: &Filter,
    sort: Sort,
    page: Page,
) -> sqlx::Result<(Vec<Listed>, i64)> {
    // The page is cut from the narrow table first; only its rows get pictures and variants.
    let mut query = QueryBuilder::new(
        "select l.* from (select p.id, row_number() over () as place from (select p.id from products p",
    );
    push_where(&mut query, filter);
    push_order(&mut query, filter, sort);
    query.push(" limit ").push_bind(page.limit).push(" offset ").push_bind(page.offset());
    query.push(") p) page join product_listing l on l.id = page.id order by page.place");
    let rows = query.build_query_as().fetch_all(&mut *c).await?;
    let seen = i64::try_from(rows.len()).unwrap_or(0);
    // A short page is the last one: then the total is known without counting.
    if seen < page.limit && (seen > 0 || page.number == 1) {
        return Ok((rows, page.offset() + seen));
    }
    let mut query = QueryBuilder::new("select count(*) from products p");
    push_where(&mut query, filter);
    let total = query.build_query_scalar().fetch_one(c).await?;
    Ok((rows, total))
}

fn push_where(query: &mut QueryBuilder<Postgres>, filter: &Filter) {
    query.push(" where p.archived_at is null and p.is_active");
    if let Some(category) = &filter.category {
        query.push(" and p.category_id in (with recursive below as (select id from categories where ");
        match category {
            CategoryOf::Id(id) => query.push("id = ").push_bind(id.0),
            CategoryOf::Slug(slug) => query.push("slug = ").push_bind(slug.clone()),
        };
        query.push(" union select c.id from categories c join below on c.parent_id = below.id) select id from below)");
    }
    if let Some(search) = &filter.search {
        query.push(" and (p.search @@ websearch_to_tsquery('english', fold(").push_bind(search.text.clone());
        query.push(")) or p.search @@ ");
        push_prefixes(query, search);
        query.push(" or fold(").push_bind(search.text.clone()).push(") <% fold(p.title))");
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
        query.push(
            " and exists (select from variants v, jsonb_array_elements(v.options) o
                          where v.product_id = p.id and v.archived_at is null
                            and lower(o ->> 'name') in ('color', 'colour') and lower(o ->> 'value') = any(",
        );
        query.push_bind(filter.colours.clone()).push("))");
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

/// All words as prefixes, `'ken':* & 'clo':*`. They are quoted after folding, because folding makes colons and
/// apostrophes out of some letters.
fn push_prefixes(query: &mut QueryBuilder<Postgres>, search: &Search) {
    query.push("to_tsquery('simple', (select string_agg(quote_literal(fold(w)) || ':*', ' & ') from unnest(");
    query.push_bind(search.words.clone()).push("::text[]) w))");
}

fn push_order(query: &mut QueryBuilder<Postgres>, filter: &Filter, sort: Sort) {
    match (sort, &filter.search) {
        (Sort::Relevance, Some(search)) => {
            query.push(" order by ts_rank(p.search, websearch_to_tsquery('english', fold(");
            query.push_bind(search.text.clone()).push("))) + ts_rank(p.search, ");
            push_prefixes(query, search);
            query.push(") + word_similarity(fold(");
            query.push_bind(search.text.clone()).push("), fold(p.title)) desc, p.id desc");
        }
        (Sort::Newest | Sort::Relevance, _) => {
            query.push(" order by p.created_at desc, p.id desc");
        }
        (Sort::Oldest, _) => {
            query.push(" order by p.created_at, p.id");
        }
        (Sort::PriceUp, _) => {
            query.push(" order by p.price_minor, p.id");
        }
        (Sort::PriceDown, _) => {
            query.push(" order by p.price_minor desc, p.id desc");
        }
        (Sort::TitleUp, _) => {
            query.push(" order by fold(p.title), p.id");
        }
        (Sort::TitleDown, _) => {
            query.push(" order by fold(p.title) desc, p.id desc");
        }
    }
}
