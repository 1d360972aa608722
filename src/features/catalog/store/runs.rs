//! SQL of the imports that staff starts: their files, their progress, their reports.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::features::catalog::import::{RowProblem, Severity};
use crate::features::catalog::import_service::ImportReport;
use crate::platform::ids::{ImportId, SessionId, UserId};

/// An import.
#[derive(Debug)]
pub(in crate::features::catalog) struct ImportRun {
    pub id: ImportId,
    pub status: String,
    pub file_name: String,
    pub format: Option<String>,
    pub dry_run: bool,
    pub bytes: i64,
    pub products_done: i64,
    pub rows_done: i64,
    pub bytes_done: i64,
    pub created: i64,
    pub updated: i64,
    pub unchanged: i64,
    pub refused: i64,
    pub variants: i64,
    pub images: i64,
    pub stock_kept: i64,
    pub problems: i64,
    pub failure: Option<String>,
    pub created_by: Option<UserId>,
    pub actor_role: String,
    pub session_id: SessionId,
    pub created_at: DateTime<Utc>,
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
}

/// A file that is about to come.
#[derive(Debug)]
pub(in crate::features::catalog) struct NewRun<'a> {
    pub id: ImportId,
    pub user: UserId,
    pub role: &'a str,
    pub session: SessionId,
}

/// Makes room for a file.
pub(in crate::features::catalog) async fn insert(
    c: &mut PgConnection,
    new: &NewRun<'_>,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into imports (id, status, file_name, dry_run, created_by, actor_role, session_id, created_at)
         values ($1, 'uploading', '', false, $2, $3, $4, $5)",
        new.id.0,
        new.user.0,
        new.role,
        new.session.0,
        now,
    )
    .execute(c)
    .await?;
    Ok(())
}

/// Stores the next piece of a file.
pub(in crate::features::catalog) async fn insert_chunk(
    c: &mut PgConnection,
    id: ImportId,
    n: i32,
    bytes: &[u8],
) -> sqlx::Result<()> {
    sqlx::query!("insert into import_chunks (import_id, n, bytes) values ($1, $2, $3)", id.0, n, bytes)
        .execute(c)
        .await?;
    Ok(())
}

/// A piece of a file; none past its end.
pub(in crate::features::catalog) async fn chunk(
    c: &mut PgConnection,
    id: ImportId,
    n: i32,
) -> sqlx::Result<Option<Vec<u8>>> {
    sqlx::query_scalar!("select bytes from import_chunks where import_id = $1 and n = $2", id.0, n)
        .fetch_optional(c)
        .await
}

/// Marks a file as complete. False when it is gone.
pub(in crate::features::catalog) async fn queue(
    c: &mut PgConnection,
    id: ImportId,
    file_name: &str,
    format: &str,
    dry_run: bool,
    bytes: i64,
) -> sqlx::Result<bool> {
    let queued = sqlx::query!(
        "update imports set status = 'queued', file_name = $2, format = $3, dry_run = $4, bytes = $5
         where id = $1 and status = 'uploading'",
        id.0,
        file_name,
        format,
        dry_run,
        bytes,
    )
    .execute(c)
    .await?;
    Ok(queued.rows_affected() == 1)
}

/// Forgets a file that did not come whole.
pub(in crate::features::catalog) async fn abandon(c: &mut PgConnection, id: ImportId) -> sqlx::Result<()> {
    sqlx::query!("delete from imports where id = $1 and status = 'uploading'", id.0).execute(c).await?;
    Ok(())
}

/// Selects [`ImportRun`]s whose files have come whole and for which a condition holds.
macro_rules! import_runs {
    ($condition:literal, $($value:expr),+) => {
        sqlx::query_as!(
            ImportRun,
            r#"select id as "id: ImportId", status, file_name, format, dry_run, bytes, products_done, rows_done,
                  bytes_done, created, updated, unchanged, refused, variants, images, stock_kept, problems, failure,
                  created_by as "created_by: UserId", actor_role, session_id as "session_id: SessionId", created_at,
                  started_at, finished_at
           from imports where status <> 'uploading' "# + $condition,
            $($value),+
        )
    };
}

/// An import whose file has come whole.
pub(in crate::features::catalog) async fn find(c: &mut PgConnection, id: ImportId) -> sqlx::Result<Option<ImportRun>> {
    import_runs!("and id = $1", id.0).fetch_optional(c).await
}

/// A page of imports, the newest first, and how many there are.
pub(in crate::features::catalog) async fn list(
    c: &mut PgConnection,
    limit: i64,
    offset: i64,
) -> sqlx::Result<(Vec<ImportRun>, i64)> {
    let runs =
        import_runs!("order by created_at desc, id desc limit $1 offset $2", limit, offset).fetch_all(&mut *c).await?;
    let total = sqlx::query_scalar!(r#"select count(*) as "count!" from imports where status <> 'uploading'"#)
        .fetch_one(c)
        .await?;
    Ok((runs, total))
}

/// What a batch did.
#[derive(Debug)]
pub(in crate::features::catalog) struct Advance<'a> {
    pub products: i64,
    pub rows: u64,
    pub bytes: u64,
    pub report: &'a ImportReport,
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Notes what a batch did, if the import is as far as the batch began and still runs. False when it is not.
pub(in crate::features::catalog) async fn advance(
    c: &mut PgConnection,
    id: ImportId,
    done: i64,
    step: &Advance<'_>,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let report = step.report;
    let found =
        signed(u64::try_from(report.problems.len()).unwrap_or(u64::MAX).saturating_add(report.problems_left_out));
    let before = sqlx::query_scalar!(
        "update imports
         set status = 'running', started_at = coalesce(started_at, $3), products_done = products_done + $4,
             rows_done = $5, bytes_done = least($6, bytes), created = created + $7, updated = updated + $8,
             unchanged = unchanged + $9, refused = refused + $10, variants = variants + $11, images = images + $12,
             problems = problems + $13, stock_kept = stock_kept + $14, failures = 0
         where id = $1 and products_done = $2 and status in ('queued', 'running')
         returning problems - $13",
        id.0,
        done,
        now,
        step.products,
        signed(step.rows),
        signed(step.bytes),
        signed(report.created),
        signed(report.updated),
        signed(report.unchanged),
        signed(report.refused),
        signed(report.variants),
        signed(report.images),
        found,
        signed(report.stock_kept),
    )
    .fetch_optional(&mut *c)
    .await?;
    let Some(before) = before.map(Option::unwrap_or_default) else { return Ok(false) };
    let kept: Vec<&RowProblem> = report.problems.iter().take(usize::try_from(1_000 - before).unwrap_or(0)).collect();
    if kept.is_empty() {
        return Ok(true);
    }
    let rows: Vec<_> = kept.iter().map(|problem| signed(problem.row)).collect();
    let headings: Vec<_> =
        kept.iter().map(|problem| problem.column.as_ref().map(|heading| heading.replace('\0', ""))).collect();
    let severities: Vec<_> = kept.iter().map(|problem| severity(problem.severity).to_owned()).collect();
    // A heading may be anything; a text of the database has no NUL.
    let messages: Vec<_> = kept.iter().map(|problem| problem.message.replace('\0', "")).collect();
    sqlx::query!(
        "insert into import_problems (import_id, n, row_number, heading, severity, message)
         select $1, $2 + p.n - 1, p.row_number, p.heading, p.severity, p.message
         from unnest($3::bigint[], $4::text[], $5::text[], $6::text[]) with ordinality
           as p (row_number, heading, severity, message, n)",
        id.0,
        before,
        &rows,
        &headings as &[Option<String>],
        &severities,
        &messages,
    )
    .execute(c)
    .await?;
    Ok(true)
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

/// Problems of an import, in their order.
pub(in crate::features::catalog) async fn problems(
    c: &mut PgConnection,
    id: ImportId,
    limit: i64,
) -> sqlx::Result<Vec<RowProblem>> {
    let rows = sqlx::query!(
        "select row_number, heading, severity, message from import_problems where import_id = $1 order by n limit $2",
        id.0,
        limit,
    )
    .fetch_all(c)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| RowProblem {
            row: u64::try_from(row.row_number).unwrap_or_default(),
            column: row.heading,
            severity: if row.severity == "error" { Severity::Error } else { Severity::Warning },
            message: row.message,
        })
        .collect())
}

/// Ends an import that runs or waits, and forgets its file. False when it has ended already.
pub(in crate::features::catalog) async fn finish(
    c: &mut PgConnection,
    id: ImportId,
    status: &str,
    failure: Option<&str>,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let ended = sqlx::query!(
        "update imports
         set status = $2, failure = $3, finished_at = $4, started_at = coalesce(started_at, $4),
             bytes_done = case when $2 = 'completed' then bytes else bytes_done end
         where id = $1 and status in ('queued', 'running')",
        id.0,
        status,
        failure,
        now,
    )
    .execute(&mut *c)
    .await?;
    if ended.rows_affected() == 0 {
        return Ok(false);
    }
    sqlx::query!("delete from import_chunks where import_id = $1", id.0).execute(c).await?;
    Ok(true)
}

/// Counts a try that failed. Gives how many have since the last progress.
pub(in crate::features::catalog) async fn count_failure(c: &mut PgConnection, id: ImportId) -> sqlx::Result<i32> {
    let failures =
        sqlx::query_scalar!("update imports set failures = failures + 1 where id = $1 returning failures", id.0)
            .fetch_optional(c)
            .await?;
    Ok(failures.unwrap_or_default())
}

/// Forgets imports that ended before `before`, and files that began to come before `abandoned` and never ended, at most
/// `limit`. Gives how many.
///
/// # Errors
/// The database's.
pub async fn sweep(
    c: &mut PgConnection,
    before: DateTime<Utc>,
    abandoned: DateTime<Utc>,
    limit: i64,
) -> sqlx::Result<u64> {
    let swept = sqlx::query!(
        "delete from imports where id in
           (select id from imports
            where finished_at < $1 or status = 'uploading' and created_at < $2 limit $3)",
        before,
        abandoned,
        limit,
    )
    .execute(c)
    .await?;
    Ok(swept.rows_affected())
}

/// Imports that are not over.
pub(in crate::features::catalog) async fn unfinished(c: &mut PgConnection) -> sqlx::Result<Vec<ImportId>> {
    sqlx::query_scalar!(
        r#"select id as "id: ImportId" from imports where status in ('queued', 'running') order by id limit 100"#
    )
    .fetch_all(c)
    .await
}
