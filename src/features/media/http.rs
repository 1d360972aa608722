//! Pictures as browsers fetch them, and the one address to which they send them. Names are read by strict rules, and
//! paths are made of what was read, so there is no way out of the folder.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};

use super::direct_service;
use super::model::FileName;
use super::storage::Key;
use crate::app::App;
use crate::platform::error::{Error, Result};
use crate::platform::http::extract;
use crate::platform::http::tags::is_known;

/// What has a name that is never used twice does not change.
const FOR_EVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

/// The routes beside the API, under `/media`.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/media/{file}", get(get_file))
        .route("/media/t/{signature}/{size}/{file}", get(get_size))
        .route("/media/uploads/{token}", put(receive_upload))
}

fn missing() -> Error {
    Error::NotFound("The picture")
}

fn answer(headers: &HeaderMap, name: &str, content_type: &'static str, bytes: Bytes) -> Result<Response> {
    let tag = HeaderValue::try_from(format!("\"{name}\"")).map_err(Error::internal)?;
    let known = is_known(headers.get_all(IF_NONE_MATCH), &tag);
    let head = [(ETAG, tag), (CACHE_CONTROL, FOR_EVER)];
    if known {
        return Ok((StatusCode::NOT_MODIFIED, head).into_response());
    }
    Ok((head, [(CONTENT_TYPE, content_type)], bytes).into_response())
}

async fn get_file(State(app): State<App>, Path(file): Path<String>, headers: HeaderMap) -> Result<Response> {
    let name: FileName = file.parse().map_err(|()| missing())?;
    let bytes = app.media.original(name).await?;
    answer(&headers, &file, name.format().content_type(), bytes)
}

async fn get_size(
    State(app): State<App>,
    Path((signature, size, file)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Result<Response> {
    let name: FileName = file.strip_suffix(".webp").and_then(|file| file.parse().ok()).ok_or_else(missing)?;
    let fits = size.parse().map_err(|()| missing())?;
    if !app.media.signer.allows(&signature, fits, name) {
        return Err(missing());
    }
    let bytes = app.media.resized(name, fits).await?;
    answer(&headers, &format!("{size}/{file}"), "image/webp", bytes)
}

/// Takes the one file that a ticket allows. What it is, is looked at when the upload is confirmed.
async fn receive_upload(State(app): State<App>, Path(token): Path<String>, mut request: Request) -> Result<Response> {
    let closed = || Error::Forbidden("This upload address is over or was never given out. Ask for a new one.".into());
    let ticket = app.media.signer.read_ticket(&token, app.clock.now()).ok_or_else(closed)?;
    let limit = usize::try_from(ticket.bytes).map_err(Error::internal)?;
    let wrong_size = || Error::field("", format!("this upload was announced with {limit} bytes"));
    let declared = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|declared| declared > ticket.bytes) {
        return Err(Error::PayloadTooLarge { limit });
    }
    if !direct_service::is_open(&app, ticket.upload).await? {
        return Err(closed());
    }
    DefaultBodyLimit::max(limit).apply(&mut request);
    let bytes = extract::bytes(request, &app).await.map_err(|error| match error {
        Error::PayloadTooLarge { .. } => Error::PayloadTooLarge { limit },
        other => other,
    })?;
    if bytes.len() != limit {
        return Err(wrong_size());
    }
    if app.media.storage.local.put_once(Key::Incoming(ticket.upload), bytes).await? {
        Ok(StatusCode::NO_CONTENT.into_response())
    } else {
        Err(Error::conflict("This upload has its file already. Confirm it, or ask for a new upload."))
    }
}
