//! Imports of products, for staff.

use axum::body::Body;
use axum::extract::{FromRequest, Multipart, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;
use futures::StreamExt;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::export_http::file;
use super::import_service::KEPT_PROBLEMS;
use super::import_view::{ImportData, ImportView, PicturesView, ProblemView, word};
use super::imports_service::{self as service, Upload, UploadDetails};
use crate::app::App;
use crate::features::auth::Identity;
use crate::platform::csv::{protect, table};
use crate::platform::error::{Error, Result};
use crate::platform::http::keyed::Keyed;
use crate::platform::http::{Answer, Envelope, ErrorEnvelope, IdempotencyHeader, PathId, Query, RequestMeta, ok};
use crate::platform::ids::ImportId;
use crate::platform::page::PageQuery;

/// Problems that an import's answer has; its report has more.
const SHOWN_PROBLEMS: usize = 100;

/// Types of bodies that are the file itself.
const FILE_TYPES: [&str; 10] = [
    "text/csv",
    "application/csv",
    "text/plain",
    "text/tab-separated-values",
    "application/octet-stream",
    "application/vnd.ms-excel",
    "application/x-ndjson",
    "application/ndjson",
    "application/jsonl",
    "application/jsonlines",
];

/// What is said about a file.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(super) struct CreateImport {
    /// shopify, woocommerce, agape or jsonl; found out from the file when left out.
    format: Option<String>,
    /// Check everything, store nothing.
    dry_run: Option<bool>,
    /// The file's name, where it is sent as the body.
    #[param(max_length = 200)]
    file_name: Option<String>,
}

/// A file in a form.
#[derive(Debug, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes the form, which is read piece by piece")]
pub(super) struct ImportForm {
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
    /// shopify, woocommerce, agape or jsonl; found out from the file when left out.
    format: Option<String>,
    /// Check everything, store nothing.
    dry_run: Option<bool>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ImportsData {
    imports: Vec<ImportView>,
}

/// Import products from a file
///
/// The file is the body itself, or the field `file` of a form. It is imported in the background: ask for the import to see
/// how far it is. A product with an error is left out, the others are taken; the same file again changes nothing. Send an
/// `Idempotency-Key`: a repeated request with the same key and file gets the first answer, and no second import.
#[utoipa::path(post, path = "/admin/imports", tag = "Catalogue, staff", security(("bearer" = ["manage_catalog"])),
    params(CreateImport,
        ("Idempotency-Key" = Option<String>, Header, description = "1 to 255 characters, kept for 24 hours")),
    request_body(content(
        (ImportForm = "multipart/form-data"), (String = "text/csv"), (String = "application/x-ndjson"))), responses(
    (status = 201, body = Envelope<ImportData>),
    (status = 400, body = ErrorEnvelope, description = "It is no file of products"),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "The same key is still running, or the file took so long that its beginning was forgotten"),
    (status = 413, body = ErrorEnvelope, description = "The file is larger than this shop takes"),
    (status = 415, body = ErrorEnvelope, description = "The body is neither a file nor a form with one"),
    (status = 422, body = ErrorEnvelope, description = "The key was used with another file"),
))]
pub(super) async fn create_import(
    State(app): State<App>,
    identity: Identity,
    meta: RequestMeta,
    IdempotencyHeader(key): IdempotencyHeader,
    Query(which): Query<CreateImport>,
    request: Request,
) -> Result<Keyed> {
    let mut details = UploadDetails { dry_run: which.dry_run.unwrap_or(false), ..UploadDetails::default() };
    set_format(&mut details, which.format.as_deref().unwrap_or_default())?;
    let mime = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mime = mime.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_form = mime == "multipart/form-data";
    if !is_form && !FILE_TYPES.contains(&mime.as_str()) {
        return Err(Error::UnsupportedMediaType(
            "Send the file as the body with Content-Type: text/csv, or as the field `file` of a multipart/form-data form."
                .into(),
        ));
    }
    let limit = app.config.imports.max_bytes;
    let declared = request.headers().get("content-length").and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    // A form has a little more than its file.
    if declared.is_some_and(|bytes| bytes > limit.saturating_add(if is_form { 65_536 } else { 0 })) {
        return Err(Error::PayloadTooLarge { limit });
    }
    let mut upload = Upload::begin(&app, &identity).await?;
    let received = if is_form {
        receive_form(request, &mut upload, &mut details).await
    } else {
        details.file_name = file_name(which.file_name.as_deref().unwrap_or_default());
        receive_body(request, &mut upload).await
    };
    let id = upload.id();
    let finished = match received {
        Ok(()) => upload.finish(&identity, &meta, &details, key).await,
        Err(error) => Err(error),
    };
    // A file whose import was begun is not forgotten; one that failed or came a second time is.
    service::abandon(&app, id).await?;
    finished
}

fn broken() -> Error {
    Error::field("file", "could not be read to its end; send it again")
}

async fn receive_body(request: Request, upload: &mut Upload<'_>) -> Result<()> {
    let mut body = request.into_body().into_data_stream();
    while let Some(bytes) = body.next().await {
        upload.push(&bytes.map_err(|_| broken())?).await?;
    }
    Ok(())
}

async fn receive_form(request: Request, upload: &mut Upload<'_>, details: &mut UploadDetails) -> Result<()> {
    let mut form = Multipart::from_request(request, &()).await.map_err(|_| broken())?;
    let mut has_file = false;
    while let Some(mut field) = form.next_field().await.map_err(|_| broken())? {
        let name = field.name().unwrap_or_default().to_owned();
        if name == "file" && !has_file {
            has_file = true;
            details.file_name = file_name(field.file_name().unwrap_or_default());
            while let Some(bytes) = field.chunk().await.map_err(|_| broken())? {
                upload.push(&bytes).await?;
            }
            continue;
        }
        let mut value = Vec::new();
        while let Some(bytes) = field.chunk().await.map_err(|_| broken())? {
            value.extend_from_slice(&bytes);
            if value.len() > 1_024 {
                return Err(Error::field(name, "is too long"));
            }
        }
        let value = String::from_utf8_lossy(&value).trim().to_owned();
        match name.as_str() {
            "format" => set_format(details, &value)?,
            "dryRun" => {
                details.dry_run = match value.as_str() {
                    "true" | "on" | "1" => true,
                    "false" | "off" | "0" | "" => false,
                    _ => return Err(Error::field("dryRun", "must be true or false")),
                };
            }
            "file" => return Err(Error::field("file", "must be there once")),
            _ => return Err(Error::field(name, "is not a field of this form")),
        }
    }
    if has_file { Ok(()) } else { Err(Error::field("file", "is missing")) }
}

fn set_format(details: &mut UploadDetails, text: &str) -> Result<()> {
    if !matches!(text, "" | "auto") {
        details.format = Some(text.parse().map_err(|message: String| Error::field("format", message))?);
    }
    Ok(())
}

/// A file's name, without the folders before it.
fn file_name(written: &str) -> String {
    let name = written.rsplit(['/', '\\']).next().unwrap_or_default();
    let name: String = name.chars().filter(|c| !c.is_control()).take(200).collect();
    if name.is_empty() { "products".into() } else { name }
}

/// List imports
///
/// The newest first.
#[utoipa::path(get, path = "/admin/imports", tag = "Catalogue, staff", security(("bearer" = ["manage_catalog"])),
    params(PageQuery), responses(
    (status = 200, body = Envelope<ImportsData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
))]
pub(super) async fn list_imports(State(app): State<App>, Query(page): Query<PageQuery>) -> Answer<ImportsData> {
    let (runs, pagination) = service::list(&app, page.check(&app.config.lists)?).await?;
    Ok(ok(ImportsData { imports: runs.into_iter().map(ImportView::from).collect() }).page(pagination))
}

/// Get an import
///
/// How far it is, what it has done, and the first of its problems.
#[utoipa::path(get, path = "/admin/imports/{import}", tag = "Catalogue, staff",
    security(("bearer" = ["manage_catalog"])), params(("import" = ImportId, Path)), responses(
    (status = 200, body = Envelope<ImportData>),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
))]
pub(super) async fn get_import(State(app): State<App>, PathId(id): PathId<ImportId>) -> Answer<ImportData> {
    let (run, problems) = service::find(&app, id, SHOWN_PROBLEMS).await?;
    let problems = problems.into_iter().map(ProblemView::from).collect();
    let (waiting, failed) = service::unfetched_pictures(&app).await?;
    Ok(ok(ImportData { import: run.into(), problems, pictures: Some(PicturesView { waiting, failed }) }))
}

/// The problems of an import as CSV
///
/// The first thousand.
#[utoipa::path(get, path = "/admin/imports/{import}/report", tag = "Catalogue, staff",
    security(("bearer" = ["manage_catalog"])), params(("import" = ImportId, Path)), responses(
    (status = 200, body = String, content_type = "text/csv"),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
))]
pub(super) async fn get_import_report(State(app): State<App>, PathId(id): PathId<ImportId>) -> Result<Response> {
    let (_, problems) = service::find(&app, id, KEPT_PROBLEMS).await?;
    let rows = problems.iter().map(|problem| {
        let column = problem.column.as_deref().unwrap_or_default();
        [&problem.row.to_string(), column, word(problem.severity), &problem.message].map(protect)
    });
    let csv = table(Some(["Row", "Column", "Severity", "Message"]), rows).map_err(Error::internal)?;
    Ok(file("text/csv; charset=utf-8", &format!("import-{id}.csv"), Body::from(csv)))
}

/// Stop an import
///
/// What it has stored stays.
#[utoipa::path(post, path = "/admin/imports/{import}/cancel", tag = "Catalogue, staff",
    security(("bearer" = ["manage_catalog"])), params(("import" = ImportId, Path)), responses(
    (status = 200, body = Envelope<ImportData>),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "It has ended already"),
))]
pub(super) async fn cancel_import(
    State(app): State<App>,
    identity: Identity,
    meta: RequestMeta,
    PathId(id): PathId<ImportId>,
) -> Answer<ImportData> {
    let run = service::cancel(&app, &identity, &meta, id).await?;
    Ok(ok(run.into()))
}
