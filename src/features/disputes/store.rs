//! SQL of disputes. Whoever changes one has locked its order first.

pub(super) mod answers;
pub(super) mod lost;
pub(super) mod staff;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::model::{Answer, State, Status};
use crate::platform::ids::{DisputeId, OrderId, PaymentId, UserId};

/// What a dispute is about, which never changes.
#[derive(Debug)]
pub struct Terms<'a> {
    /// The provider's number of it.
    pub number: i64,
    /// The payment, if it is known, and its order.
    pub payment: Option<(PaymentId, OrderId)>,
    /// The payment's name at the provider.
    pub reference: Option<&'a str>,
    /// The provider's number of the transaction.
    pub transaction_id: Option<i64>,
    /// When it was opened.
    pub opened_at: DateTime<Utc>,
}

/// What has to be known of a dispute to change it.
#[derive(Clone, Debug)]
pub struct Known {
    /// Its id.
    pub id: DisputeId,
    /// Where it stands.
    pub status: Status,
    /// When the provider changed it last.
    pub changed_at: Option<DateTime<Utc>>,
    /// Until when it has to be answered.
    pub due_at: Option<DateTime<Utc>>,
    /// How it ended.
    pub resolution: Option<String>,
    /// What is asked back, in minor units.
    pub amount_minor: Option<i64>,
    /// Counts its changes.
    pub version: i32,
}

/// A dispute.
#[derive(Clone, Debug, sqlx::FromRow)]
#[expect(missing_docs, reason = "the view describes each field")]
pub struct Dispute {
    pub id: DisputeId,
    pub provider_id: i64,
    pub payment_id: Option<PaymentId>,
    pub order_id: Option<OrderId>,
    pub reference: Option<String>,
    pub transaction_id: Option<i64>,
    pub status: Status,
    pub resolution: Option<String>,
    pub category: Option<String>,
    pub amount_minor: Option<i64>,
    pub currency: Option<String>,
    pub lost_minor: i64,
    pub due_at: Option<DateTime<Utc>>,
    pub told_hours: Option<i32>,
    pub opened_at: DateTime<Utc>,
    pub resolved_at: Option<DateTime<Utc>>,
    pub answer: Option<Answer>,
    pub answer_message: Option<String>,
    pub answered_by: Option<UserId>,
    pub answered_at: Option<DateTime<Utc>>,
    pub answering_until: Option<DateTime<Utc>>,
    pub version: i32,
}

/// Stores a dispute. False when it is known already.
///
/// # Errors
/// The database's.
pub async fn insert(
    c: &mut PgConnection,
    terms: &Terms<'_>,
    state: &State,
    (lost_minor, told_hours): (i64, Option<i32>),
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let inserted = sqlx::query!(
        "insert into disputes (id, provider_id, payment_id, order_id, reference, transaction_id, status, resolution, category,
           amount_minor, currency, lost_minor, due_at, told_hours, opened_at, changed_at, resolved_at, created_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $18)
         on conflict (provider_id) do nothing",
        DisputeId::new().0,
        terms.number,
        terms.payment.map(|(payment, _)| payment.0),
        terms.payment.map(|(_, order)| order.0),
        terms.reference,
        terms.transaction_id,
        state.status as Status,
        state.resolution,
        state.category,
        state.amount_minor,
        state.currency,
        lost_minor,
        state.due_at,
        told_hours,
        terms.opened_at,
        state.changed_at,
        state.resolved_at,
        now,
    )
    .execute(c)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// What is known of the dispute with this number of the provider's.
///
/// # Errors
/// The database's.
pub async fn find_by_number(c: &mut PgConnection, number: i64) -> sqlx::Result<Option<Known>> {
    sqlx::query_as!(
        Known,
        r#"select id as "id: DisputeId", status as "status: Status", changed_at, due_at, resolution, amount_minor, version
           from disputes where provider_id = $1"#,
        number,
    )
    .fetch_optional(c)
    .await
}

/// The same, locked until the transaction ends.
///
/// # Errors
/// The database's.
pub async fn lock_by_number(c: &mut PgConnection, number: i64) -> sqlx::Result<Option<Known>> {
    sqlx::query_as!(
        Known,
        r#"select id as "id: DisputeId", status as "status: Status", changed_at, due_at, resolution, amount_minor, version
           from disputes where provider_id = $1 for update"#,
        number,
    )
    .fetch_optional(c)
    .await
}

/// A dispute, locked until the transaction ends.
///
/// # Errors
/// The database's.
pub async fn lock(c: &mut PgConnection, id: DisputeId) -> sqlx::Result<Option<Dispute>> {
    sqlx::query_as("select * from disputes where id = $1 for update").bind(id.0).fetch_optional(c).await
}

/// Stores what has become of a dispute. Where it is due at another time, staff are told of that anew.
///
/// # Errors
/// The database's; a check violation where one that is over would be opened again.
pub async fn update(
    c: &mut PgConnection,
    id: DisputeId,
    state: &State,
    lost_minor: i64,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update disputes
         set status = $2, resolution = coalesce($3, resolution), category = coalesce($4, category),
             amount_minor = coalesce($5, amount_minor), currency = coalesce($6, currency), lost_minor = $7,
             told_hours = case when due_at is distinct from coalesce($8, due_at) then null else told_hours end,
             due_at = coalesce($8, due_at), changed_at = coalesce($9, changed_at), resolved_at = coalesce($10, resolved_at),
             version = version + 1, updated_at = $11
         where id = $1",
        id.0,
        state.status as Status,
        state.resolution,
        state.category,
        state.amount_minor,
        state.currency,
        lost_minor,
        state.due_at,
        state.changed_at,
        state.resolved_at,
        now,
    )
    .execute(c)
    .await?;
    Ok(())
}

/// Disputes that are due within one of these numbers of hours, of which staff were not told yet; the first due first. What was
/// answered here and has not arrived at the provider is due still.
///
/// # Errors
/// The database's.
pub async fn due_within(
    c: &mut PgConnection,
    now: DateTime<Utc>,
    hours: &[i32],
    limit: i64,
) -> sqlx::Result<Vec<DisputeId>> {
    sqlx::query_scalar!(
        r#"select id as "id: DisputeId" from disputes
           where status = 'awaiting_merchant' and due_at > $1
             and exists (select from unnest($2::int[]) h
                         where due_at <= $1 + make_interval(hours => h) and (told_hours is null or h < told_hours))
           order by due_at limit $3"#,
        now,
        hours,
        limit,
    )
    .fetch_all(c)
    .await
}

/// Staff were told that it is due within so many hours.
///
/// # Errors
/// The database's.
pub async fn note_told(c: &mut PgConnection, id: DisputeId, hours: i32) -> sqlx::Result<()> {
    sqlx::query!("update disputes set told_hours = $2 where id = $1", id.0, hours).execute(c).await?;
    Ok(())
}

/// Whether the provider is to be asked which disputes there are: nobody has asked since `before`. In a shop that begins there are none.
///
/// # Errors
/// The database's.
pub async fn claim_look(c: &mut PgConnection, now: DateTime<Utc>, before: DateTime<Utc>) -> sqlx::Result<bool> {
    let claimed = sqlx::query_scalar!(
        r#"insert into dispute_looks as l (at) values ($1) on conflict (single) do update set at = excluded.at where l.at <= $2
           returning xmax <> 0 as "is_due!""#,
        now,
        before,
    )
    .fetch_optional(c)
    .await?;
    Ok(claimed.unwrap_or(false))
}

/// The provider's numbers of disputes that are not over, those that have not changed for longest first.
///
/// # Errors
/// The database's.
pub async fn open_numbers(c: &mut PgConnection, limit: i64) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar!(
        "select provider_id from disputes where status not in ('resolved', 'archived') order by updated_at limit $1",
        limit,
    )
    .fetch_all(c)
    .await
}

/// Takes out the words that staff have written about the disputes of these orders.
///
/// # Errors
/// The database's.
pub async fn erase(c: &mut PgConnection, orders: &[OrderId]) -> sqlx::Result<()> {
    let orders: Vec<Uuid> = orders.iter().map(|id| id.0).collect();
    sqlx::query!(
        "with gone as (delete from dispute_notes where dispute_id in (select id from disputes where order_id = any($1)))
         update disputes set answer_message = null where order_id = any($1) and answer_message is not null",
        &orders,
    )
    .execute(c)
    .await?;
    Ok(())
}

/// The disputes of these orders, for the buyer to take away.
///
/// # Errors
/// The database's.
pub async fn export(c: &mut PgConnection, orders: &[OrderId]) -> sqlx::Result<Value> {
    let orders: Vec<Uuid> = orders.iter().map(|id| id.0).collect();
    sqlx::query_scalar!(
        r#"select coalesce(jsonb_agg(jsonb_build_object('reference', reference, 'status', status, 'resolution', resolution,
                    'category', category, 'amount', amount_minor / 100.0, 'currency', currency, 'openedAt', opened_at,
                    'resolvedAt', resolved_at) order by opened_at, id), '[]') as "disputes!"
           from (select * from disputes where order_id = any($1) order by opened_at desc limit 10000) mine"#,
        &orders,
    )
    .fetch_one(c)
    .await
}
