//! Stock as a CSV file, for staff: out, changed in a spreadsheet, in again.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::IntoParams;

use super::export_service;
use super::file;
use super::model::{Edit, StaffReason};
use super::service::{self, Batch, EditedData, Line, Which};
use crate::app::App;
use crate::features::auth::Identity;
use crate::platform::crypto::sha256;
use crate::platform::error::{Error, FieldError, Result};
use crate::platform::http::extract::bytes;
use crate::platform::http::keyed::{self, Keyed};
use crate::platform::http::{Envelope, ErrorEnvelope, IdempotencyHeader, Query, RequestMeta};
use crate::platform::ids::VariantId;

/// How a file is read.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(super) struct ImportInventory {
    /// Check everything, store nothing.
    dry_run: Option<bool>,
    /// The reason of rows that have none of their own: `received`, `count` (when left out), `correction`, `damaged`, `lost`,
    /// `return` or `other`.
    reason: Option<String>,
}

/// Change stock by a CSV file
///
/// The columns, in any order: `SKU`; `Quantity`, so many units are on hand, or `Change`, so many more or, below zero, less;
/// `Reason` and `Note`, which may be left out. A file of the export can be sent back with other quantities: each is then
/// taken as the difference to the export's `On hand`, so that what was sold meanwhile stays sold, and refused when staff
/// have changed that level meanwhile. All rows or none; at most 5000 rows that change something, and 1 MB. What is wrong is
/// told for each row, as a spreadsheet numbers them. With an `Idempotency-Key`, a repeated request changes nothing twice.
#[utoipa::path(post, path = "/admin/inventory/import", tag = "Inventory, staff",
    security(("bearer" = ["manage_inventory"])),
    params(ImportInventory,
        ("Idempotency-Key" = Option<String>, Header, description = "1 to 255 characters, kept for 24 hours")),
    request_body(content = String, content_type = "text/csv"), responses(
    (status = 200, body = Envelope<EditedData>),
    (status = 400, body = ErrorEnvelope, description = "It is no such file, or rows of it are wrong, which are named"),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "A sku is unknown, a version is not the current one, the stock does not allow it, or the same key is still running"),
    (status = 413, body = ErrorEnvelope),
    (status = 415, body = ErrorEnvelope),
    (status = 422, body = ErrorEnvelope, description = "The key was used with another file"),
))]
pub(super) async fn import_inventory(
    State(app): State<App>,
    identity: Identity,
    meta: RequestMeta,
    Query(which): Query<ImportInventory>,
    IdempotencyHeader(key): IdempotencyHeader,
    request: Request,
) -> Result<Keyed> {
    let mime = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !mime.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("text/csv") {
        return Err(Error::UnsupportedMediaType("Send the file as the body, with Content-Type: text/csv.".into()));
    }
    let reason = match which.reason.as_deref().map(str::trim).filter(|reason| !reason.is_empty()) {
        None => StaffReason::Count,
        Some(text) => StaffReason::ALL
            .into_iter()
            .find(|reason| reason.as_str() == text)
            .ok_or_else(|| Error::field("reason", format!("must be one of {}", StaffReason::names())))?,
    };
    let body = bytes(request, &app).await?;
    let key = keyed::key(key, identity.user_id, "POST /admin/inventory/import", reason.as_str(), &sha256(&body));
    let batch = batch(&body, reason, which.dry_run.unwrap_or(false))?;
    service::edit_many(&app, &identity, &meta, batch, key).await
}

fn batch(bytes: &[u8], reason: StaffReason, dry_run: bool) -> Result<Batch> {
    let file = file::read(bytes, reason).map_err(|fault| Error::Validation(vec![fault]))?;
    let faults: Vec<FieldError> = file.faults.into_iter().map(|(_, fault)| fault).collect();
    let lines = file.lines.into_iter().map(|line| Line {
        place: format!("rows[{}]", line.row),
        which: Which::Sku(line.sku),
        edit: Edit {
            variant_id: VariantId(uuid::Uuid::nil()),
            version: line.version,
            movement: Some(line.movement),
            threshold: None,
        },
    });
    Ok(Batch { lines: lines.collect(), faults, unchanged: file.unchanged, dry_run })
}

/// Export stock as CSV
///
/// All variants that are not removed, in the order of their skus. Change the column `Quantity`, and send the file back.
#[utoipa::path(get, path = "/admin/exports/inventory", tag = "Inventory, staff",
    security(("bearer" = ["manage_inventory"])), responses(
    (status = 200, body = String, content_type = "text/csv"),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
))]
pub(super) async fn export_inventory(
    State(app): State<App>,
    identity: Identity,
    meta: RequestMeta,
) -> Result<Response> {
    export_service::record_export(&app, &identity, &meta).await?;
    let disposition = format!("attachment; filename=\"inventory-{}.csv\"", app.clock.now().format("%Y-%m-%d"));
    let body = Body::from_stream(export_service::export(app));
    Ok(([(CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()), (CONTENT_DISPOSITION, disposition)], body)
        .into_response())
}
