//! How many rows a list has, without reading all of a large table.

use serde_json::Value;
use sqlx::{PgConnection, Postgres, QueryBuilder};

/// So many rows are counted; beyond, the planner's estimate has to do.
pub const COUNTED: i64 = 10_000;

/// How many rows match.
#[derive(Clone, Copy, Debug)]
pub struct Total {
    /// So many.
    pub count: i64,
    /// Whether the count is the planner's estimate, because there are more than [`COUNTED`].
    pub is_estimate: bool,
}

/// Counts what `push_source` selects, which appends ` from … where …`.
///
/// # Errors
/// The database's.
pub async fn total(c: &mut PgConnection, push_source: impl Fn(&mut QueryBuilder<Postgres>)) -> sqlx::Result<Total> {
    let mut query = QueryBuilder::new("select count(*) from (select");
    push_source(&mut query);
    query.push(" limit ").push_bind(COUNTED + 1).push(") counted");
    let count: i64 = query.build_query_scalar().fetch_one(&mut *c).await?;
    if count <= COUNTED {
        return Ok(Total { count, is_estimate: false });
    }
    let mut query = QueryBuilder::new("explain (format json) select");
    push_source(&mut query);
    let plan: Value = query.build_query_scalar().fetch_one(c).await?;
    let estimate = plan[0]["Plan"]["Plan Rows"].as_i64().unwrap_or(count);
    Ok(Total { count: estimate.max(count), is_estimate: true })
}
