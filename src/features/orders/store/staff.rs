//! SQL of orders as staff look for them.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, Postgres, QueryBuilder};
use uuid::Uuid;

use super::{Order, Which};
use crate::features::orders::fulfilment::FulfilmentState;
use crate::features::orders::status::Status;
use crate::platform::count::{self, Total};
use crate::platform::ids::UserId;
use crate::platform::page::Part;
use crate::platform::text::part_of_number;

/// Whose orders.
#[derive(Clone, Debug)]
pub(in crate::features::orders) enum Buyer {
    Account(UserId),
    /// The address that the order was placed with.
    Email(String),
}

/// Which orders. What is none does not matter.
#[derive(Clone, Debug, Default)]
pub(in crate::features::orders) struct Filter {
    /// Any of these.
    pub statuses: Option<Vec<Status>>,
    /// Whether the money has come.
    pub paid: Option<bool>,
    pub fulfilment: Option<FulfilmentState>,
    /// Not before this time.
    pub from: Option<DateTime<Utc>>,
    /// Before this time.
    pub until: Option<DateTime<Utc>>,
    pub min_total: Option<i64>,
    pub max_total: Option<i64>,
    /// The code of two letters.
    pub country: Option<String>,
    pub buyer: Option<Buyer>,
    /// Part of the number, the address, the buyer's name or telephone number, or a whole tracking number.
    pub search: Option<String>,
}

/// In which order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::features::orders) enum Sort {
    #[default]
    Newest,
    Oldest,
    /// The largest first.
    Highest,
    /// The smallest first.
    Lowest,
}

impl Sort {
    /// The column that is sorted by before the id, the comparison that leads on, and the direction.
    fn parts(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Newest => ("placed_at", "<", "desc"),
            Self::Oldest => ("placed_at", ">", "asc"),
            Self::Highest => ("total_minor", "<", "desc"),
            Self::Lowest => ("total_minor", ">", "asc"),
        }
    }
}

/// A part of the orders, and the last one's id where more follow.
pub(in crate::features::orders) async fn list(
    c: &mut PgConnection,
    filter: &Filter,
    sort: Sort,
    part: Part,
) -> sqlx::Result<(Vec<Order>, Option<Uuid>)> {
    let mut query = page(filter, sort, part);
    let ids: Vec<Uuid> = query.build_query_scalar().fetch_all(&mut *c).await?;
    let (ids, next) = part.cut(ids, |id| *id);
    let limit = i64::try_from(ids.len()).unwrap_or(i64::MAX);
    let found = super::list(c, &Which { ids: Some(ids.clone()), limit, ..Which::default() }).await?;
    let mut found: HashMap<Uuid, Order> = found.into_iter().map(|order| (order.id.0, order)).collect();
    Ok((ids.iter().filter_map(|id| found.remove(id)).collect(), next))
}

fn page(filter: &Filter, sort: Sort, part: Part) -> QueryBuilder<Postgres> {
    let (column, comparison, direction) = sort.parts();
    let mut query = QueryBuilder::new("select o.id");
    push_source(&mut query, filter);
    if let Some(id) = part.behind {
        query.push(format!(" and (o.{column}, o.id) {comparison} ((select {column} from orders where id = "));
        query.push_bind(id).push("), ").push_bind(id).push(")");
    }
    query.push(format!(" order by o.{column} {direction}, o.id {direction} limit ")).push_bind(part.page.limit + 1);
    query.push(" offset ").push_bind(part.offset());
    query
}

/// How many there are.
pub(in crate::features::orders) async fn total(c: &mut PgConnection, filter: &Filter) -> sqlx::Result<Total> {
    count::total(c, |query| push_source(query, filter)).await
}

fn push_source(query: &mut QueryBuilder<Postgres>, filter: &Filter) {
    query.push(" from orders o where true");
    match filter.statuses.as_deref() {
        None => {}
        Some([one]) => {
            query.push(" and o.status = ").push_bind(one.as_str());
        }
        Some(many) => {
            let names: Vec<&str> = many.iter().map(|status| status.as_str()).collect();
            query.push(" and o.status = any(").push_bind(names).push(")");
        }
    }
    if let Some(paid) = filter.paid {
        query.push(if paid { " and o.paid_at is not null" } else { " and o.paid_at is null" });
    }
    if let Some(state) = filter.fulfilment {
        // Written out, so that the index over the few that are sent in part is used.
        query.push(format!(" and o.fulfilment_status = '{}'", state.as_str()));
    }
    if let Some(from) = filter.from {
        query.push(" and o.placed_at >= ").push_bind(from);
    }
    if let Some(until) = filter.until {
        query.push(" and o.placed_at < ").push_bind(until);
    }
    if let Some(min) = filter.min_total {
        query.push(" and o.total_minor >= ").push_bind(min);
    }
    if let Some(max) = filter.max_total {
        query.push(" and o.total_minor <= ").push_bind(max);
    }
    if let Some(country) = &filter.country {
        query.push(" and o.shipping_address ->> 'country' = ").push_bind(country.clone());
    }
    match &filter.buyer {
        Some(Buyer::Account(id)) => {
            query.push(" and o.user_id = ").push_bind(id.0);
        }
        Some(Buyer::Email(email)) => {
            query.push(" and o.email = ").push_bind(email.clone());
        }
        None => {}
    }
    if let Some(search) = &filter.search {
        push_search(query, search);
    }
}

/// Each part has its index; an `or` would use none of them.
fn push_search(query: &mut QueryBuilder<Postgres>, search: &str) {
    let text = "order_search_text(number, email, shipping_address) like containing(";
    query.push(" and o.id in (select id from orders where ").push(text).push_bind(search.to_owned()).push(")");
    if let Some(digits) = part_of_number(search) {
        query.push(" union select id from orders where ").push(text).push_bind(digits).push(")");
    }
    query.push(" union select order_id from fulfilments where lower(tracking_number) = lower(");
    query.push_bind(search.to_owned()).push("))");
}
