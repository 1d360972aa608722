//! Exports of products, for staff.

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::IntoParams;

use super::export_service::{self, ExportFormat};
use crate::app::App;
use crate::features::auth::Identity;
use crate::platform::error::{Error, Result};
use crate::platform::http::{ErrorEnvelope, Query, RequestMeta};

/// Which form.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ExportProducts {
    /// csv or jsonl; csv when left out.
    format: Option<String>,
}

/// Export all products
///
/// In AGAPE's own form, which an import reads again to the letter. Removed products are left out.
#[utoipa::path(get, path = "/admin/exports/products", tag = "Catalogue, staff",
    security(("bearer" = ["manage_catalog"])), params(ExportProducts), responses(
    (status = 200, content((String = "text/csv"), (String = "application/x-ndjson"))),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
))]
pub(super) async fn export_products(
    State(app): State<App>,
    identity: Identity,
    meta: RequestMeta,
    Query(which): Query<ExportProducts>,
) -> Result<Response> {
    let format = which.format.as_deref().filter(|format| !format.is_empty()).unwrap_or("csv");
    let format: ExportFormat = format.parse().map_err(|message: String| Error::field("format", message))?;
    let mime = match format {
        ExportFormat::Csv => "text/csv; charset=utf-8",
        ExportFormat::Jsonl => "application/x-ndjson",
    };
    export_service::record_export(&app, Some(&identity), &meta, format).await?;
    let name = format!("products-{}.{}", app.clock.now().format("%Y-%m-%d"), format.as_str());
    Ok(file(mime, &name, Body::from_stream(export_service::export(app, format))))
}

/// A file to keep.
pub(super) fn file(mime: &'static str, name: &str, body: Body) -> Response {
    let disposition = format!("attachment; filename=\"{name}\"");
    ([(CONTENT_TYPE, mime.to_owned()), (CONTENT_DISPOSITION, disposition)], body).into_response()
}
