//! SQL of what payments know of the people who made them.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::reviews;
use crate::platform::ids::OrderId;

/// The attempts to pay these orders, for the buyer to take away.
///
/// # Errors
/// The database's.
pub async fn export(c: &mut PgConnection, orders: &[OrderId]) -> sqlx::Result<Value> {
    let orders: Vec<Uuid> = orders.iter().map(|id| id.0).collect();
    sqlx::query_scalar!(
        r#"select coalesce(jsonb_agg(jsonb_build_object('id', id, 'orderNumber', order_number, 'provider', provider,
                    'reference', reference, 'status', status, 'amount', amount_minor / 100.0, 'currency', currency,
                    'channel', channel, 'cardBrand', card_brand, 'cardLast4', card_last4, 'paidAt', paid_at,
                    'createdAt', created_at, 'receivedReference', received_reference, 'check', checked, 'refunds', refunds)
                    order by created_at, id), '[]') as "payments!"
           from (select p.*, (select jsonb_build_object('status', status, 'startedAt', started_at, 'decidedAt', decided_at,
                                'addressKept', ip_hash is not null)
                              from payment_reviews where payment_id = p.id) as checked,
                        (select coalesce(jsonb_agg(jsonb_build_object('amount', r.amount_minor / 100.0, 'status', r.status,
                           'reason', case when r.origin <> 'manual' then r.reason end, 'createdAt', r.created_at,
                           'processedAt', r.processed_at) order by r.created_at, r.id), '[]')
                         from refunds r where r.payment_id = p.id) as refunds
                 from payments p where order_id = any($1) order by created_at desc limit 10000) mine"#,
        &orders,
    )
    .fetch_one(c)
    .await
}

/// Takes out what the provider and the staff said about the person who paid these orders and about his money, and by what he is
/// known again. Amounts and references stay. Gives the references, under which the provider's events are stored.
///
/// # Errors
/// The database's.
pub async fn erase_answers(c: &mut PgConnection, orders: &[OrderId], now: DateTime<Utc>) -> sqlx::Result<Vec<String>> {
    reviews::forget(c, orders).await?;
    let orders: Vec<Uuid> = orders.iter().map(|id| id.0).collect();
    sqlx::query!(
        "update refunds r set reason = null, last_error = null, account_last4 = null, updated_at = $2
         from payments p
         where p.order_id = any($1) and r.payment_id = p.id and num_nonnulls(r.reason, r.last_error, r.account_last4) > 0",
        &orders,
        now,
    )
    .execute(&mut *c)
    .await?;
    sqlx::query_scalar!(
        "update payments
         set authorization_url = null, access_code = null, channel = null, card_brand = null, card_last4 = null,
             gateway_response = null, received_reference = null, decision_note = null, updated_at = $2
         where order_id = any($1) returning reference",
        &orders,
        now,
    )
    .fetch_all(c)
    .await
}
