//! SQL of findings.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, Postgres, QueryBuilder};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::features::payments::PaymentStatus;
use crate::features::reconciliation::model::{Difference, Kind, Ours, Theirs};
use crate::platform::count::{self, Total};
use crate::platform::ids::{FindingId, PaymentId, ReconciliationId, UserId};
use crate::platform::money::Amount;
use crate::platform::page::Part;

/// What a run has found.
#[derive(Debug)]
pub struct Found<'a> {
    /// What differs.
    pub difference: Difference,
    /// Of which reference.
    pub reference: &'a str,
    /// The provider's number, where it has one.
    pub transaction_id: Option<i64>,
    /// What the provider has.
    pub theirs: Option<&'a Theirs>,
    /// What we have.
    pub ours: Option<&'a (PaymentId, Ours)>,
}

/// Notes a finding of a run. One that is known keeps its answer while both sides are as they were; else it is open again.
///
/// # Errors
/// The database's.
pub async fn note(
    c: &mut PgConnection,
    run: ReconciliationId,
    found: &Found<'_>,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    let ours = found.ours.map(|(_, ours)| ours);
    sqlx::query!(
        "with found as (
           insert into reconciliation_findings as f (id, kind, reference, transaction_id, payment_id, their_status,
             their_amount_minor, their_currency, our_status, our_amount_minor, our_currency, status, mendable, found_at)
           values ($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 'open', $13, $14)
           on conflict (kind, reference) do update
           set transaction_id = excluded.transaction_id, payment_id = excluded.payment_id, their_status = excluded.their_status,
               their_amount_minor = excluded.their_amount_minor, their_currency = excluded.their_currency,
               our_status = excluded.our_status, our_amount_minor = excluded.our_amount_minor,
               our_currency = excluded.our_currency, mendable = excluded.mendable,
               status = case when (f.their_status, f.their_amount_minor, f.their_currency, f.our_status, f.our_amount_minor,
                                   f.our_currency)
                               is distinct from (excluded.their_status, excluded.their_amount_minor, excluded.their_currency,
                                                 excluded.our_status, excluded.our_amount_minor, excluded.our_currency)
                               or f.status = 'mended' then 'open' else f.status end,
               closed_at = case when (f.their_status, f.their_amount_minor, f.their_currency, f.our_status, f.our_amount_minor,
                                      f.our_currency)
                                  is distinct from (excluded.their_status, excluded.their_amount_minor, excluded.their_currency,
                                                    excluded.our_status, excluded.our_amount_minor, excluded.our_currency)
                                  or f.status = 'mended' then null else f.closed_at end
           returning id)
         insert into reconciliation_hits (reconciliation_id, finding_id) select $1, id from found on conflict do nothing",
        run.0,
        FindingId::new().0,
        found.difference.kind as Kind,
        found.reference,
        found.transaction_id,
        found.ours.map(|(id, _)| id.0),
        found.theirs.map(|theirs| theirs.status.as_str()),
        found.theirs.map(|theirs| theirs.amount_minor),
        found.theirs.map(|theirs| theirs.currency.as_str()),
        ours.map(|ours| ours.status) as Option<PaymentStatus>,
        ours.map(|ours| ours.paid_minor),
        ours.map(|ours| ours.currency.as_str()),
        found.difference.mendable,
        now,
    )
    .execute(c)
    .await?;
    Ok(())
}

/// A finding that asking the provider may mend.
#[derive(Clone, Debug)]
pub struct Mendable {
    /// The finding.
    pub id: FindingId,
    /// How both sides differ.
    pub kind: Kind,
    /// The payment's name at the provider.
    pub reference: String,
}

/// Some of the findings of a run that may be mended and are not.
///
/// # Errors
/// The database's.
pub async fn mendable(c: &mut PgConnection, run: ReconciliationId, limit: i64) -> sqlx::Result<Vec<Mendable>> {
    sqlx::query_as!(
        Mendable,
        r#"select f.id as "id: FindingId", f.kind as "kind: Kind", f.reference from reconciliation_findings f
           join reconciliation_hits h on h.finding_id = f.id
           where h.reconciliation_id = $1 and f.mendable and f.status = 'open' order by f.id limit $2"#,
        run.0,
        limit,
    )
    .fetch_all(c)
    .await
}

/// Notes what came of mending: how it was mended, or that it was not and is the staff's.
///
/// # Errors
/// The database's.
pub async fn end_mending(
    c: &mut PgConnection,
    id: FindingId,
    how: Option<&str>,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update reconciliation_findings
         set mendable = false, note = coalesce($2, note), status = case when $2::text is null then status else 'mended' end,
             closed_at = case when $2::text is null then closed_at else $3 end
         where id = $1 and status = 'open'",
        id.0,
        how,
        now,
    )
    .execute(c)
    .await?;
    Ok(())
}

/// Takes a finding off a run that was none when it was looked at: the two lists were of different moments. One that no other run has met is
/// gone then; false where another has.
///
/// # Errors
/// The database's.
pub async fn drop_hit(c: &mut PgConnection, run: ReconciliationId, id: FindingId) -> sqlx::Result<bool> {
    let gone = sqlx::query!(
        "with dropped as (delete from reconciliation_hits where reconciliation_id = $1 and finding_id = $2)
         delete from reconciliation_findings
         where id = $2 and status = 'open'
           and not exists (select from reconciliation_hits where finding_id = $2 and reconciliation_id <> $1)",
        run.0,
        id.0,
    )
    .execute(c)
    .await?;
    Ok(gone.rows_affected() == 1)
}

/// How many findings of each kind a run has, and how many of them are open.
///
/// # Errors
/// The database's.
pub async fn summary(c: &mut PgConnection, run: ReconciliationId) -> sqlx::Result<Vec<(Kind, i64, i64)>> {
    let rows = sqlx::query!(
        r#"select f.kind as "kind: Kind", count(*) as "count!", count(*) filter (where f.status = 'open') as "open!"
           from reconciliation_hits h join reconciliation_findings f on f.id = h.finding_id
           where h.reconciliation_id = $1 group by f.kind order by f.kind"#,
        run.0,
    )
    .fetch_all(c)
    .await?;
    Ok(rows.into_iter().map(|row| (row.kind, row.count, row.open)).collect())
}

/// The sums of a run in one currency.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Sum {
    /// ISO 4217.
    pub currency: String,
    /// Successful transactions of the provider.
    pub their_count: i64,
    /// What they add up to.
    pub their_total: Amount,
    /// What the provider has charged for them.
    pub their_fees: Amount,
    /// Payments of ours with money.
    pub our_count: i64,
    /// What they add up to.
    pub our_total: Amount,
}

/// The sums of runs, by currency.
pub(in crate::features::reconciliation) async fn sums_of(
    c: &mut PgConnection,
    runs: &[Uuid],
) -> sqlx::Result<Vec<(ReconciliationId, Sum)>> {
    let rows = sqlx::query!(
        r#"select reconciliation_id as "run: ReconciliationId", currency, their_count, their_minor, their_fees_minor, our_count,
                  our_minor
           from reconciliation_sums where reconciliation_id = any($1) order by reconciliation_id, currency"#,
        runs,
    )
    .fetch_all(c)
    .await?;
    let sums = rows.into_iter().map(|row| {
        let sum = Sum {
            currency: row.currency,
            their_count: row.their_count,
            their_total: Amount(row.their_minor),
            their_fees: Amount(row.their_fees_minor),
            our_count: row.our_count,
            our_total: Amount(row.our_minor),
        };
        (row.run, sum)
    });
    Ok(sums.collect())
}

/// Where a finding stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, sqlx::Type, ToSchema)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub(in crate::features::reconciliation) enum FindingStatus {
    /// Somebody has to look at it.
    Open,
    /// The shop has mended it by itself.
    Mended,
    /// Somebody has, and wrote what came of it.
    Resolved,
}

/// A finding as staff see it.
#[derive(Debug, sqlx::FromRow)]
pub(in crate::features::reconciliation) struct Listed {
    pub id: FindingId,
    pub kind: Kind,
    pub reference: String,
    pub transaction_id: Option<i64>,
    pub payment_id: Option<PaymentId>,
    pub their_status: Option<String>,
    pub their_amount_minor: Option<i64>,
    pub their_currency: Option<String>,
    pub our_status: Option<String>,
    pub our_amount_minor: Option<i64>,
    pub our_currency: Option<String>,
    pub status: FindingStatus,
    pub note: Option<String>,
    pub resolved_by: Option<UserId>,
    pub found_at: DateTime<Utc>,
    pub closed_at: Option<DateTime<Utc>>,
}

/// Which findings.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::features::reconciliation) struct Filter {
    pub run: Option<ReconciliationId>,
    pub kind: Option<Kind>,
    pub status: Option<FindingStatus>,
}

/// Findings, the newest first, and the last one's id where more follow.
pub(in crate::features::reconciliation) async fn list(
    c: &mut PgConnection,
    filter: Filter,
    part: Part,
) -> sqlx::Result<(Vec<Listed>, Option<Uuid>)> {
    let mut query = QueryBuilder::new("select f.*");
    push_source(&mut query, filter);
    if let Some(id) = part.behind {
        query.push(" and f.id < ").push_bind(id);
    }
    query.push(" order by f.id desc limit ").push_bind(part.page.limit + 1);
    query.push(" offset ").push_bind(part.offset());
    let rows = query.build_query_as().fetch_all(c).await?;
    Ok(part.cut(rows, |row: &Listed| row.id.0))
}

/// How many there are.
pub(in crate::features::reconciliation) async fn total(c: &mut PgConnection, filter: Filter) -> sqlx::Result<Total> {
    count::total(c, |query| push_source(query, filter)).await
}

fn push_source(query: &mut QueryBuilder<Postgres>, filter: Filter) {
    query.push(" from reconciliation_findings f where true");
    if let Some(run) = filter.run {
        query.push(
            " and exists (select from reconciliation_hits h where h.finding_id = f.id and h.reconciliation_id = ",
        );
        query.push_bind(run.0).push(")");
    }
    if let Some(kind) = filter.kind {
        query.push(" and f.kind = ").push_bind(kind);
    }
    if let Some(status) = filter.status {
        query.push(" and f.status = ").push_bind(status);
    }
}

/// One finding, locked until the transaction ends.
pub(in crate::features::reconciliation) async fn lock(
    c: &mut PgConnection,
    id: FindingId,
) -> sqlx::Result<Option<Listed>> {
    sqlx::query_as("select * from reconciliation_findings where id = $1 for update").bind(id.0).fetch_optional(c).await
}

/// Closes an open finding with a note.
pub(in crate::features::reconciliation) async fn resolve(
    c: &mut PgConnection,
    id: FindingId,
    actor: UserId,
    note: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update reconciliation_findings set status = 'resolved', note = $2, resolved_by = $3, closed_at = $4
         where id = $1 and status = 'open'",
        id.0,
        note,
        actor.0,
        now,
    )
    .execute(c)
    .await?;
    Ok(())
}
