//! SQL of the facets: how many of the matching products each further choice would leave.

use sqlx::{PgConnection, Postgres, QueryBuilder};
use uuid::Uuid;

use super::{Order, push_source};
use crate::features::catalog::listing::{Filter, Matching, Sort};

/// So many matches are looked at.
pub(in crate::features::catalog::listing) const SAMPLE: i64 = 10_000;
/// Values of one facet, the most frequent first.
const VALUES: i64 = 50;

/// How many products a value is in.
#[derive(Debug, sqlx::FromRow)]
pub(in crate::features::catalog::listing) struct Counted {
    pub value: String,
    pub count: i64,
}

/// How many products are directly in a category.
#[derive(Debug, sqlx::FromRow)]
pub(in crate::features::catalog::listing) struct InCategory {
    pub id: Uuid,
    pub name: String,
    pub slug: String,
    pub count: i64,
}

/// The cheapest and the dearest, what can be bought now, and how many products were looked at.
#[derive(Debug, sqlx::FromRow)]
pub(in crate::features::catalog::listing) struct Bounds {
    pub lowest: Option<i64>,
    pub highest: Option<i64>,
    pub in_stock: i64,
    pub looked_at: i64,
}

/// A facet that is a list of texts on the product.
#[derive(Clone, Copy, Debug)]
pub(in crate::features::catalog::listing) enum Listed {
    Tags,
    Colours,
}

/// Values and counts. What the facet itself filters is left out of the conditions, so that further values can be chosen.
pub(in crate::features::catalog::listing) async fn values(
    c: &mut PgConnection,
    facet: Listed,
    filter: &Filter,
    matching: Option<&Matching>,
) -> sqlx::Result<Vec<Counted>> {
    let mut filter = filter.clone();
    let column = match facet {
        Listed::Tags => {
            filter.tags.clear();
            "p.tags"
        }
        Listed::Colours => {
            filter.colours.clear();
            "p.colours"
        }
    };
    let mut query = QueryBuilder::new("select min(value) as value, count(*) from (select ");
    query.push(column).push(" as found");
    push_source(&mut query, &filter, matching);
    // However its case differs, a value is one, and of a product it counts once.
    push_sample(&mut query).push(") p, lateral (select min(v) as value from unnest(p.found) v group by lower(v)) v ");
    query.push("group by lower(value) order by 2 desc, 1 limit ");
    query.push_bind(VALUES).build_query_as().fetch_all(c).await
}

/// Categories and counts, without the filter of the category.
pub(in crate::features::catalog::listing) async fn categories(
    c: &mut PgConnection,
    filter: &Filter,
    matching: Option<&Matching>,
) -> sqlx::Result<Vec<InCategory>> {
    let filter = Filter { categories: None, ..filter.clone() };
    let mut query =
        QueryBuilder::new("select c.id, c.name, c.slug, n.count from (select category_id, count(*) from (select ");
    query.push("p.category_id");
    push_source(&mut query, &filter, matching);
    push_sample(&mut query).push(") p group by category_id) n join categories c on c.id = n.category_id ");
    query.push("order by n.count desc, c.name, c.id limit ").push_bind(VALUES).build_query_as().fetch_all(c).await
}

/// Prices, without the filter of the price, and stock.
pub(in crate::features::catalog::listing) async fn bounds(
    c: &mut PgConnection,
    filter: &Filter,
    matching: Option<&Matching>,
) -> sqlx::Result<Bounds> {
    let filter = Filter { min_price: None, max_price: None, ..filter.clone() };
    let mut query = QueryBuilder::new("select (select p.price_minor");
    push_source(&mut query, &filter, matching);
    Order::of(Sort::PriceUp, &filter).push_to(&mut query);
    query.push(" limit 1) as lowest, (select p.price_minor");
    push_source(&mut query, &filter, matching);
    Order::of(Sort::PriceDown, &filter).push_to(&mut query);
    query.push(" limit 1) as highest, count(*) as looked_at, ");
    query.push("count(*) filter (where s.in_stock) as in_stock from (select p.id");
    push_source(&mut query, &filter, matching);
    push_sample(&mut query).push(") p join product_stock s on s.product_id = p.id").build_query_as().fetch_one(c).await
}

/// Some of the matches, in an order that has nothing to do with what is counted; always the same ones.
fn push_sample(query: &mut QueryBuilder<Postgres>) -> &mut QueryBuilder<Postgres> {
    query.push(" order by uuid_hash(p.id) limit ").push_bind(SAMPLE)
}
