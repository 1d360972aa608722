//! SQL of the ledger as staff read it.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, QueryBuilder};

use crate::platform::ids::{OrderId, UserId, VariantId};

/// A movement with its variant's sku.
#[derive(Debug, sqlx::FromRow)]
pub(in crate::features::inventory) struct Listed {
    pub id: i64,
    pub variant_id: VariantId,
    pub sku: String,
    pub on_hand_delta: i32,
    pub reserved_delta: i32,
    pub reason: String,
    pub order_id: Option<OrderId>,
    pub actor_id: Option<UserId>,
    pub note: Option<String>,
    pub at: DateTime<Utc>,
}

/// Which movements. What is none does not matter.
#[derive(Debug, Default)]
pub(in crate::features::inventory) struct Filter {
    pub variant: Option<VariantId>,
    pub reason: Option<&'static str>,
    pub order: Option<OrderId>,
    pub actor: Option<UserId>,
    pub from: Option<DateTime<Utc>>,
    pub until: Option<DateTime<Utc>>,
}

/// Movements before the one with the number `before`, the newest first.
pub(in crate::features::inventory) async fn list(
    c: &mut PgConnection,
    filter: &Filter,
    before: Option<i64>,
    limit: i64,
) -> sqlx::Result<Vec<Listed>> {
    let mut query = QueryBuilder::new(
        "select m.id, m.variant_id, v.sku, m.on_hand_delta, m.reserved_delta, m.reason, m.order_id, m.actor_id, m.note, m.at
         from stock_movements m join variants v on v.id = m.variant_id where true",
    );
    if let Some(variant) = filter.variant {
        query.push(" and m.variant_id = ").push_bind(variant.0);
    }
    if let Some(reason) = filter.reason {
        query.push(" and m.reason = ").push_bind(reason);
    }
    if let Some(order) = filter.order {
        query.push(" and m.order_id = ").push_bind(order.0);
    }
    if let Some(actor) = filter.actor {
        query.push(" and m.actor_id = ").push_bind(actor.0);
    }
    if let Some(from) = filter.from {
        query.push(" and m.at >= ").push_bind(from);
    }
    if let Some(until) = filter.until {
        query.push(" and m.at < ").push_bind(until);
    }
    if let Some(before) = before {
        query.push(" and m.id < ").push_bind(before);
    }
    // A walk down the numbers would pass all that came after a time that is long ago: then the index of times leads.
    let has_times = filter.from.is_some() || filter.until.is_some();
    query.push(if has_times { " order by m.id + 0 desc" } else { " order by m.id desc" });
    query.push(" limit ").push_bind(limit);
    query.build_query_as().fetch_all(c).await
}
