//! SQL of what the rules against fraud have found, and of the staff's decisions. Whoever changes a review has locked its order
//! first.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use sqlx::types::Json;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::features::payments::risk::{Facts, Finding, score};
use crate::platform::ids::{OrderId, PaymentId, UserId};
use crate::platform::money::Amount;
use crate::platform::page::Part;

/// Where a review stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, sqlx::Type, ToSchema)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum ReviewStatus {
    /// The order goes its way.
    None,
    /// It waits for the staff.
    Pending,
    /// The staff let it go on.
    Approved,
    /// It was given up.
    Rejected,
}

/// What the rules have found about an attempt to pay, as staff see it.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PaymentReview)]
pub struct Review {
    /// That of the attempt.
    pub id: PaymentId,
    /// The order.
    pub order_id: OrderId,
    /// Its number.
    #[schema(example = "AGP2026000001H")]
    pub order_number: String,
    /// What is paid.
    pub amount: Amount,
    /// ISO 4217.
    #[schema(example = "NGN")]
    pub currency: String,
    /// The sum of the weights of the reasons.
    pub score: i32,
    /// The rules that were met.
    #[schema(value_type = Vec<Finding>)]
    pub reasons: Json<Vec<Finding>>,
    /// Where it stands.
    pub status: ReviewStatus,
    /// When the attempt began.
    pub started_at: DateTime<Utc>,
    /// Who decided; none where the order was given up otherwise.
    pub decided_by: Option<UserId>,
    /// When.
    pub decided_at: Option<DateTime<Utc>>,
    /// The words of whoever decided.
    pub note: Option<String>,
}

/// By what an attempt is counted.
#[derive(Clone, Copy, Debug)]
pub struct Looked {
    /// The attempt, which is not counted itself.
    pub payment: PaymentId,
    /// The mark of its buyer's e-mail.
    pub customer: [u8; 32],
    /// The mark of the address that it came from; where it is none, that which is stored of the attempt.
    pub ip: Option<[u8; 32]>,
    /// The buyer's account.
    pub user: Option<UserId>,
    /// How many hours buyers of one address are counted.
    pub ip_hours: i64,
    /// The time.
    pub now: DateTime<Utc>,
}

/// Lets payments of one buyer that start or settle at once follow each other, so that each counts those before it. It is the last lock
/// of a transaction.
///
/// # Errors
/// The database's.
pub async fn lock_payer(c: &mut PgConnection, customer: &[u8; 32]) -> sqlx::Result<()> {
    sqlx::query!("select pg_advisory_xact_lock(hashtextextended('payer ' || $1, 0))", hex::encode(customer))
        .execute(c)
        .await?;
    Ok(())
}

/// Counts what is known around an attempt, in one statement, and gives what was found at its start. Of one buyer and of one
/// address the last thousand attempts are looked at.
///
/// # Errors
/// The database's.
pub async fn facts(c: &mut PgConnection, looked: &Looked, currency: &str) -> sqlx::Result<(Facts, Vec<Finding>)> {
    let now = looked.now;
    let row = sqlx::query!(
        r#"with own as (
             select ip_hash, rules from payment_reviews where payment_id = $2),
           his as (
             select r.started_at, p.status, p.paid_minor, p.currency
             from (select payment_id, started_at from payment_reviews
                   where customer = $1 and started_at > $6 and payment_id <> $2
                   order by started_at desc limit 1000) r
             join payments p on p.id = r.payment_id),
           near as (
             select customer from payment_reviews
             where ip_hash = coalesce($3, (select ip_hash from own)) and started_at > $7 and customer <> $1
             order by started_at desc limit 1000)
           select (select created_at from users where id = $4) as account_since,
                  (coalesce(sum(paid_minor) filter (where status = 'success' and currency = $8 and started_at > $5), 0))::bigint
                    as "hour_paid_minor!",
                  (coalesce(sum(paid_minor) filter (where status = 'success' and currency = $8), 0))::bigint
                    as "day_paid_minor!",
                  count(*) filter (where started_at > $5) as "hour_attempts!",
                  count(*) filter (where status = 'failed') as "day_failures!",
                  (select count(distinct customer) from near) as "other_buyers!",
                  (select rules from own) as "rules: Json<Vec<Finding>>"
           from his"#,
        &looked.customer[..],
        looked.payment.0,
        looked.ip.as_ref().map(|ip| &ip[..]),
        looked.user.map(|id| id.0),
        now - TimeDelta::hours(1),
        now - TimeDelta::days(1),
        now - TimeDelta::hours(looked.ip_hours),
        currency,
    )
    .fetch_one(c)
    .await?;
    let facts = Facts {
        account_since: row.account_since,
        hour_paid_minor: row.hour_paid_minor,
        day_paid_minor: row.day_paid_minor,
        hour_attempts: row.hour_attempts,
        day_failures: row.day_failures,
        other_buyers: row.other_buyers,
    };
    Ok((facts, row.rules.map(|rules| rules.0).unwrap_or_default()))
}

/// Keeps what was found about an attempt at its start or, in its place, at its end.
///
/// # Errors
/// The database's.
pub async fn keep_review(
    c: &mut PgConnection,
    looked: &Looked,
    order: OrderId,
    findings: &[Finding],
    status: ReviewStatus,
) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into payment_reviews (payment_id, order_id, customer, ip_hash, score, rules, status, started_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8)
         on conflict (payment_id) do update set score = excluded.score, rules = excluded.rules, status = excluded.status",
        looked.payment.0,
        order.0,
        &looked.customer[..],
        looked.ip.as_ref().map(|ip| &ip[..]),
        score(findings),
        Json(findings) as _,
        status as ReviewStatus,
        looked.now,
    )
    .execute(c)
    .await?;
    Ok(())
}

/// Reviews of a status, the oldest first, and the last one's id where more follow.
///
/// # Errors
/// The database's.
pub async fn reviews(
    c: &mut PgConnection,
    status: ReviewStatus,
    part: Part,
) -> sqlx::Result<(Vec<Review>, Option<Uuid>)> {
    let rows = sqlx::query_as!(
        Review,
        r#"select r.payment_id as "id: PaymentId", r.order_id as "order_id: OrderId", p.order_number,
                  p.amount_minor as "amount: Amount", p.currency, r.score, r.rules as "reasons: Json<Vec<Finding>>",
                  r.status as "status: ReviewStatus", r.started_at, r.decided_by as "decided_by: UserId", r.decided_at, r.note
           from payment_reviews r join payments p on p.id = r.payment_id
           where r.status = $1 and r.status <> 'none' and ($2::uuid is null or r.payment_id > $2)
           order by r.payment_id limit $3 offset $4"#,
        status as ReviewStatus,
        part.behind,
        part.page.limit + 1,
        part.offset(),
    )
    .fetch_all(c)
    .await?;
    Ok(part.cut(rows, |review| review.id.0))
}

/// A review that the staff were asked for.
///
/// # Errors
/// The database's.
pub async fn find_review(c: &mut PgConnection, id: PaymentId) -> sqlx::Result<Option<Review>> {
    sqlx::query_as!(
        Review,
        r#"select r.payment_id as "id: PaymentId", r.order_id as "order_id: OrderId", p.order_number,
                  p.amount_minor as "amount: Amount", p.currency, r.score, r.rules as "reasons: Json<Vec<Finding>>",
                  r.status as "status: ReviewStatus", r.started_at, r.decided_by as "decided_by: UserId", r.decided_at, r.note
           from payment_reviews r join payments p on p.id = r.payment_id
           where r.payment_id = $1 and r.status <> 'none'"#,
        id.0,
    )
    .fetch_optional(c)
    .await
}

/// A decision of the staff.
#[derive(Clone, Copy, Debug)]
pub struct ReviewDecision<'a> {
    /// Whether the order goes on.
    pub is_approved: bool,
    /// Who decided.
    pub by: UserId,
    /// His words.
    pub note: Option<&'a str>,
}

/// Decides a review that waits. False when it waits no more.
///
/// # Errors
/// The database's.
pub async fn decide_review(
    c: &mut PgConnection,
    id: PaymentId,
    decision: &ReviewDecision<'_>,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let status = if decision.is_approved { ReviewStatus::Approved } else { ReviewStatus::Rejected };
    let decided = sqlx::query!(
        "update payment_reviews set status = $2, decided_by = $3, decided_at = $4, note = $5
         where payment_id = $1 and status = 'pending'",
        id.0,
        status as ReviewStatus,
        decision.by.0,
        now,
        decision.note,
    )
    .execute(c)
    .await?;
    Ok(decided.rows_affected() == 1)
}

/// Forgets whose attempts to pay these orders were, from where they came, and what was written about him.
pub(in crate::features::payments) async fn forget(c: &mut PgConnection, orders: &[OrderId]) -> sqlx::Result<()> {
    let orders: Vec<Uuid> = orders.iter().map(|id| id.0).collect();
    sqlx::query!(
        "update payment_reviews set customer = null, ip_hash = null, note = null where order_id = any($1)",
        &orders,
    )
    .execute(c)
    .await?;
    Ok(())
}

/// Forgets whose attempts they were that began before this time, and from where they came. Gives how many those were, at most
/// `limit`.
///
/// # Errors
/// The database's.
pub async fn forget_payers(c: &mut PgConnection, before: DateTime<Utc>, limit: i64) -> sqlx::Result<u64> {
    let forgotten = sqlx::query!(
        "update payment_reviews set customer = null, ip_hash = null
         where payment_id in (select payment_id from payment_reviews
                              where started_at < $1 and (customer is not null or ip_hash is not null)
                              order by started_at limit $2)",
        before,
        limit,
    )
    .execute(c)
    .await?;
    Ok(forgotten.rows_affected())
}
