//! Imports as staff see them.

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::import::{RowProblem, Severity};
use super::store::runs::ImportRun;
use crate::platform::ids::{ImportId, UserId};

/// An import.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ImportView {
    id: ImportId,
    /// queued, running, completed, failed or cancelled.
    status: String,
    file_name: String,
    format: Option<String>,
    dry_run: bool,
    bytes: i64,
    /// Per cent of the file.
    progress: i64,
    /// Rows read so far.
    rows: i64,
    created: i64,
    updated: i64,
    unchanged: i64,
    /// Products that were left out because of errors.
    refused: i64,
    variants: i64,
    images: i64,
    /// Variants of which the file counts another stock than the shop, whose count was kept.
    stock_kept: i64,
    /// How many problems were found, warnings among them.
    problem_count: i64,
    /// Why the file could not be read.
    failure: Option<String>,
    created_by: Option<UserId>,
    created_at: DateTime<Utc>,
    started_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
}

impl From<ImportRun> for ImportView {
    fn from(run: ImportRun) -> Self {
        Self {
            id: run.id,
            status: run.status,
            file_name: run.file_name,
            format: run.format,
            dry_run: run.dry_run,
            bytes: run.bytes,
            progress: run.bytes_done.saturating_mul(100).checked_div(run.bytes).unwrap_or(0).min(100),
            rows: run.rows_done,
            created: run.created,
            updated: run.updated,
            unchanged: run.unchanged,
            refused: run.refused,
            variants: run.variants,
            images: run.images,
            stock_kept: run.stock_kept,
            problem_count: run.problems,
            failure: run.failure,
            created_by: run.created_by,
            created_at: run.created_at,
            started_at: run.started_at,
            finished_at: run.finished_at,
        }
    }
}

/// Something wrong in a file.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ProblemView {
    /// As a spreadsheet numbers rows: the headings are row 1.
    row: u64,
    /// The column's heading.
    column: Option<String>,
    /// `error`: the product was left out. `warning`: it was not.
    severity: &'static str,
    message: String,
}

impl From<RowProblem> for ProblemView {
    fn from(problem: RowProblem) -> Self {
        let RowProblem { row, column, message, .. } = problem;
        Self { row, column, severity: word(problem.severity), message }
    }
}

pub(super) fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ImportData {
    pub(super) import: ImportView,
    /// The first hundred.
    pub(super) problems: Vec<ProblemView>,
    /// Told where one import is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pictures: Option<PicturesView>,
}

/// What is left to do of the pictures that imports named, of all of them together. `GET /admin/products?pictures=failed` lists
/// whose they are.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PicturesView {
    /// They are fetched by and by.
    pub(super) waiting: i64,
    /// They could not be had; each says why.
    pub(super) failed: i64,
}

impl From<ImportRun> for ImportData {
    fn from(run: ImportRun) -> Self {
        Self { import: run.into(), problems: Vec::new(), pictures: None }
    }
}
