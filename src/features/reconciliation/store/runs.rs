//! SQL of runs. A step names the progress that it comes from, so that of two workers one goes on.

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::PgConnection;

use crate::features::reconciliation::model::Step;
use crate::platform::count::{self, Total};
use crate::platform::ids::{ReconciliationId, UserId};
use crate::platform::page::Part;

/// A run to begin.
#[derive(Debug)]
pub struct NewRun {
    /// Its id.
    pub id: ReconciliationId,
    /// The shop's day for which the clock orders it.
    pub day: Option<NaiveDate>,
    /// Transactions that were begun from then
    pub from: DateTime<Utc>,
    /// to before then.
    pub until: DateTime<Utc>,
    /// The member of the staff who orders it.
    pub created_by: Option<UserId>,
}

/// A run.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Run {
    /// Its id.
    pub id: ReconciliationId,
    /// The shop's day for which the clock ordered it; none where staff did.
    pub day: Option<NaiveDate>,
    /// Transactions that were begun from then
    pub from_at: DateTime<Utc>,
    /// to before then.
    pub until_at: DateTime<Utc>,
    /// `running`, `completed` or `failed`.
    pub status: String,
    /// What it does now, or did last.
    pub step: Step,
    /// How often the list was begun.
    pub round: i32,
    /// Transactions that were known when this round began.
    pub kept: i64,
    /// Pages read in this round.
    pub pages: i32,
    /// Pages of the list, as far as the provider says.
    pub page_count: Option<i32>,
    /// Pages of the list of refunds that are read.
    pub refund_pages: i32,
    /// Whether that list is read to its end.
    pub refunds_read: bool,
    /// The last transaction that was compared.
    pub compared: i64,
    /// Why it was given up.
    pub failure: Option<String>,
    /// The member of the staff who ordered it.
    pub created_by: Option<UserId>,
    /// When it was ordered.
    pub created_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
}

/// Begins a run. False when there was one for its day, or one is running.
///
/// # Errors
/// The database's.
pub async fn insert(c: &mut PgConnection, new: &NewRun, now: DateTime<Utc>) -> sqlx::Result<bool> {
    let inserted = sqlx::query!(
        "insert into reconciliations (id, day, from_at, until_at, status, step, created_by, created_at)
         values ($1, $2, $3, $4, 'running', 'read', $5, $6) on conflict do nothing",
        new.id.0,
        new.day,
        new.from,
        new.until,
        new.created_by.map(|id| id.0),
        now,
    )
    .execute(c)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// Orders the run of a day, once. Gives the day that was ordered before, locked until the transaction ends; none where this
/// day or a later one was ordered, or nothing ever was: a shop that begins has nothing to compare yet.
///
/// # Errors
/// The database's.
pub async fn order_day(c: &mut PgConnection, day: NaiveDate) -> sqlx::Result<Option<NaiveDate>> {
    let before = sqlx::query_scalar!("select day from reconciliation_days for update").fetch_optional(&mut *c).await?;
    match before {
        Some(before) if before < day => {
            sqlx::query!("update reconciliation_days set day = $1", day).execute(c).await?;
            Ok(Some(before))
        }
        Some(_) => Ok(None),
        None => {
            sqlx::query!("insert into reconciliation_days (day) values ($1) on conflict do nothing", day)
                .execute(c)
                .await?;
            Ok(None)
        }
    }
}

/// One run.
///
/// # Errors
/// The database's.
pub async fn find(c: &mut PgConnection, id: ReconciliationId) -> sqlx::Result<Option<Run>> {
    sqlx::query_as!(
        Run,
        r#"select id as "id: ReconciliationId", day, from_at, until_at, status, step as "step: Step", round, kept, pages, page_count,
                  refund_pages, refunds_read, compared, failure, created_by as "created_by: UserId", created_at, finished_at
           from reconciliations where id = $1"#,
        id.0,
    )
    .fetch_optional(c)
    .await
}

/// The run that is under way.
///
/// # Errors
/// The database's.
pub async fn running(c: &mut PgConnection) -> sqlx::Result<Option<ReconciliationId>> {
    sqlx::query_scalar!(r#"select id as "id: ReconciliationId" from reconciliations where status = 'running'"#)
        .fetch_optional(c)
        .await
}

/// Runs, the newest first, and whether more follow.
pub(in crate::features::reconciliation) async fn list(
    c: &mut PgConnection,
    part: Part,
) -> sqlx::Result<(Vec<Run>, Option<uuid::Uuid>)> {
    let rows = sqlx::query_as!(
        Run,
        r#"select id as "id: ReconciliationId", day, from_at, until_at, status, step as "step: Step", round, kept, pages, page_count,
                  refund_pages, refunds_read, compared, failure, created_by as "created_by: UserId", created_at, finished_at
           from reconciliations where $1::uuid is null or id < $1 order by id desc limit $2 offset $3"#,
        part.behind,
        part.page.limit + 1,
        part.offset(),
    )
    .fetch_all(c)
    .await?;
    Ok(part.cut(rows, |run| run.id.0))
}

/// How many there are.
pub(in crate::features::reconciliation) async fn total(c: &mut PgConnection) -> sqlx::Result<Total> {
    count::total(c, |query| {
        query.push(" from reconciliations");
    })
    .await
}

/// A page was read. False when somebody else was ahead.
///
/// # Errors
/// The database's.
pub async fn note_page(c: &mut PgConnection, run: &Run, page_count: Option<i32>) -> sqlx::Result<bool> {
    let noted = sqlx::query!(
        "update reconciliations set pages = pages + 1, page_count = coalesce($4, page_count), failures = 0
         where id = $1 and status = 'running' and step = 'read' and round = $2 and pages = $3",
        run.id.0,
        run.round,
        run.pages,
        page_count,
    )
    .execute(c)
    .await?;
    Ok(noted.rows_affected() == 1)
}

/// A page of the list of refunds was read, the last one or not. False when somebody else was ahead.
///
/// # Errors
/// The database's.
pub async fn note_refund_page(c: &mut PgConnection, run: &Run, is_last: bool) -> sqlx::Result<bool> {
    let noted = sqlx::query!(
        "update reconciliations set refund_pages = refund_pages + 1, refunds_read = $3, failures = 0
         where id = $1 and status = 'running' and step = 'search' and refund_pages = $2",
        run.id.0,
        run.refund_pages,
        is_last,
    )
    .execute(c)
    .await?;
    Ok(noted.rows_affected() == 1)
}

/// The list is read from its beginning once more.
///
/// # Errors
/// The database's.
pub async fn begin_again(c: &mut PgConnection, id: ReconciliationId, kept: i64) -> sqlx::Result<()> {
    sqlx::query!(
        "update reconciliations set round = round + 1, pages = 0, kept = $2 where id = $1 and step = 'read'",
        id.0,
        kept,
    )
    .execute(c)
    .await?;
    Ok(())
}

/// Goes from one step to the next. False when somebody else was ahead.
///
/// # Errors
/// The database's.
pub async fn begin_step(c: &mut PgConnection, id: ReconciliationId, from: Step, to: Step) -> sqlx::Result<bool> {
    let begun = sqlx::query!(
        "update reconciliations set step = $3, failures = 0 where id = $1 and status = 'running' and step = $2",
        id.0,
        from as Step,
        to as Step,
    )
    .execute(c)
    .await?;
    Ok(begun.rows_affected() == 1)
}

/// Transactions up to this one were compared. False when somebody else was ahead.
///
/// # Errors
/// The database's.
pub async fn note_compared(c: &mut PgConnection, run: &Run, last: i64) -> sqlx::Result<bool> {
    let noted = sqlx::query!(
        "update reconciliations set compared = $3, failures = 0
         where id = $1 and status = 'running' and step = 'compare' and compared = $2",
        run.id.0,
        run.compared,
        last,
    )
    .execute(c)
    .await?;
    Ok(noted.rows_affected() == 1)
}

/// Something was done: tries that failed before it count no more. False when the run has ended.
///
/// # Errors
/// The database's.
pub async fn note_progress(c: &mut PgConnection, id: ReconciliationId) -> sqlx::Result<bool> {
    let noted = sqlx::query!("update reconciliations set failures = 0 where id = $1 and status = 'running'", id.0)
        .execute(c)
        .await?;
    Ok(noted.rows_affected() == 1)
}

/// Counts a try that failed. Gives how many have since the last progress.
///
/// # Errors
/// The database's.
pub async fn count_failure(c: &mut PgConnection, id: ReconciliationId) -> sqlx::Result<i32> {
    sqlx::query_scalar!("update reconciliations set failures = failures + 1 where id = $1 returning failures", id.0)
        .fetch_one(c)
        .await
}

/// Ends a run, with what it failed by. False when it had ended.
///
/// # Errors
/// The database's.
pub async fn end(
    c: &mut PgConnection,
    id: ReconciliationId,
    failure: Option<&str>,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let ended = sqlx::query!(
        "update reconciliations
         set status = case when $2::text is null then 'completed' else 'failed' end, failure = $2, finished_at = $3
         where id = $1 and status = 'running'",
        id.0,
        failure,
        now,
    )
    .execute(c)
    .await?;
    Ok(ended.rows_affected() == 1)
}
