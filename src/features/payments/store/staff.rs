//! SQL of payments and refunds as staff look for them.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, Postgres, QueryBuilder};
use uuid::Uuid;

use super::refunds::{self, Which};
use crate::features::payments::model::{Decision, PaymentStatus, StaffPayment};
use crate::features::payments::refunds::{Refund, RefundOrigin};
use crate::platform::count::{self, Total};
use crate::platform::ids::{OrderId, PaymentId, UserId};
use crate::platform::money::Amount;
use crate::platform::page::Part;

/// Which refunds, or which payments. What is none does not matter.
#[derive(Clone, Debug, Default)]
pub(in crate::features::payments) struct Filter {
    /// Any of these, by their names.
    pub statuses: Option<Vec<&'static str>>,
    /// Who asked, by the name; of refunds.
    pub origin: Option<RefundOrigin>,
    /// Whether somebody has to decide; of payments.
    pub undecided: bool,
    pub order: Option<OrderId>,
    /// The whole number of an order, or the whole reference of a payment.
    pub search: Option<String>,
    /// Not before this time.
    pub from: Option<DateTime<Utc>>,
    /// Before this time.
    pub until: Option<DateTime<Utc>>,
}

/// A part of the refunds, the newest first, and the last one's id where more follow.
pub(in crate::features::payments) async fn list_refunds(
    c: &mut PgConnection,
    filter: &Filter,
    part: Part,
) -> sqlx::Result<(Vec<Refund>, Option<Uuid>)> {
    let mut query = QueryBuilder::new("select r.id");
    push_refunds(&mut query, filter);
    let ids: Vec<Uuid> = page(query, "refunds", 'r', part).build_query_scalar().fetch_all(&mut *c).await?;
    let (ids, next) = part.cut(ids, |id| *id);
    let found = refunds::all(c, &Which { ids: Some(ids.clone()), ..Which::default() }).await?;
    let mut found: HashMap<Uuid, Refund> = found.into_iter().map(|refund| (refund.id.0, refund)).collect();
    Ok((ids.iter().filter_map(|id| found.remove(id)).collect(), next))
}

/// A part of the payments, the newest first, and the last one's id where more follow.
pub(in crate::features::payments) async fn list_payments(
    c: &mut PgConnection,
    filter: &Filter,
    part: Part,
) -> sqlx::Result<(Vec<StaffPayment>, Option<Uuid>)> {
    let mut query = QueryBuilder::new("select p.id");
    push_payments(&mut query, filter);
    let ids: Vec<Uuid> = page(query, "payments", 'p', part).build_query_scalar().fetch_all(&mut *c).await?;
    let (ids, next) = part.cut(ids, |id| *id);
    Ok((payments(c, &ids).await?, next))
}

/// A payment as staff see it.
pub(in crate::features::payments) async fn find_payment(
    c: &mut PgConnection,
    id: PaymentId,
) -> sqlx::Result<Option<StaffPayment>> {
    Ok(payments(c, &[id.0]).await?.pop())
}

/// In the order of the ids.
async fn payments(c: &mut PgConnection, ids: &[Uuid]) -> sqlx::Result<Vec<StaffPayment>> {
    sqlx::query_as!(
        StaffPayment,
        r#"select p.id as "id: PaymentId", p.order_id as "order_id: OrderId", p.order_number, p.provider, p.reference,
                  p.status as "status: PaymentStatus", p.amount_minor as "amount: Amount", p.currency,
                  p.paid_minor as "paid: Amount", coalesce(p.paid_currency, p.currency) as "paid_currency!",
                  p.refunded_minor as "refunded: Amount", p.channel, p.card_brand, p.card_last4, p.gateway_response,
                  p.flag_reason, p.decision as "decision: Decision", p.decided_by as "decided_by: UserId", p.decided_at,
                  p.decision_note, p.created_at, p.paid_at
           from unnest($1::uuid[]) with ordinality as w (id, place) join payments p on p.id = w.id order by w.place"#,
        ids,
    )
    .fetch_all(c)
    .await
}

/// How many refunds there are.
pub(in crate::features::payments) async fn total_refunds(c: &mut PgConnection, filter: &Filter) -> sqlx::Result<Total> {
    count::total(c, |query| push_refunds(query, filter)).await
}

/// How many payments there are.
pub(in crate::features::payments) async fn total_payments(
    c: &mut PgConnection,
    filter: &Filter,
) -> sqlx::Result<Total> {
    count::total(c, |query| push_payments(query, filter)).await
}

fn page(mut query: QueryBuilder<Postgres>, table: &str, row: char, part: Part) -> QueryBuilder<Postgres> {
    if let Some(id) = part.behind {
        query.push(format!(" and ({row}.created_at, {row}.id) < ((select created_at from {table} where id = "));
        query.push_bind(id).push("), ").push_bind(id).push(")");
    }
    query.push(format!(" order by {row}.created_at desc, {row}.id desc limit ")).push_bind(part.page.limit + 1);
    query.push(" offset ").push_bind(part.offset());
    query
}

fn push_refunds(query: &mut QueryBuilder<Postgres>, filter: &Filter) {
    query.push(" from refunds r join payments p on p.id = r.payment_id where true");
    if let Some(statuses) = &filter.statuses {
        query.push(" and r.status = any(").push_bind(statuses.clone()).push(")");
    }
    if let Some(origin) = filter.origin {
        query.push(" and r.origin = ").push_bind(origin.as_str());
    }
    push_common(query, filter, 'r');
}

fn push_payments(query: &mut QueryBuilder<Postgres>, filter: &Filter) {
    query.push(" from payments p where true");
    if let Some(statuses) = &filter.statuses {
        query.push(" and p.status = any(").push_bind(statuses.clone()).push(")");
    }
    if filter.undecided {
        // Written out, so that the index over the few that are open is used.
        query.push(" and p.status = 'flagged' and p.decision is null");
    }
    push_common(query, filter, 'p');
}

fn push_common(query: &mut QueryBuilder<Postgres>, filter: &Filter, row: char) {
    if let Some(order) = filter.order {
        query.push(" and p.order_id = ").push_bind(order.0);
    }
    if let Some(search) = &filter.search {
        query.push(" and (p.order_number = upper(").push_bind(search.clone());
        query.push(") or p.reference = ").push_bind(search.clone()).push(")");
    }
    if let Some(from) = filter.from {
        query.push(format!(" and {row}.created_at >= ")).push_bind(from);
    }
    if let Some(until) = filter.until {
        query.push(format!(" and {row}.created_at < ")).push_bind(until);
    }
}
