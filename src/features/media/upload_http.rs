//! Pictures that staff send through the server, as a form.

use axum::extract::multipart::{Field, MultipartError};
use axum::extract::{DefaultBodyLimit, FromRequest, Multipart, Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_LENGTH;
use bytes::{Bytes, BytesMut};
use utoipa::ToSchema;

use super::model::{Alt, MAX_FILES};
use super::service::{self, Caller, Written};
use super::views::AssetsData;
use crate::app::App;
use crate::features::auth::Identity;
use crate::platform::crypto::sha256;
use crate::platform::error::{Error, FieldError, Result};
use crate::platform::http::keyed::{self, Keyed};
use crate::platform::http::{Envelope, ErrorEnvelope, IdempotencyHeader, RequestMeta};
use crate::platform::idempotency;

/// Bytes that a form may have beside its files.
const FORM: usize = 64 * 1024;

/// The route as keys know it.
const ROUTE: &str = "POST /admin/media";

/// A form with files.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the form is read part by part; this describes it")]
pub(super) struct UploadMedia {
    /// One to ten pictures: JPEG, PNG, WebP or GIF, at most 10 MB each.
    #[schema(value_type = Vec<String>, format = Binary)]
    file: Vec<Bytes>,
    /// What they show, for people who do not see them.
    #[schema(max_length = 300)]
    alt: Option<String>,
}

/// Upload pictures
///
/// All of them are taken, or none. Each is written anew, upright and without what was hidden in it. With an `Idempotency-Key`,
/// the same pictures and words again get the first answer; names of files and the form's boundary do not matter.
#[utoipa::path(post, path = "/admin/media", tag = "Media, staff", security(("bearer" = ["manage_catalog"])),
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 255 characters, kept for 24 hours")),
    request_body(content = UploadMedia, content_type = "multipart/form-data"), responses(
    (status = 201, body = Envelope<AssetsData>),
    (status = 400, body = ErrorEnvelope, description = "A file is no picture, too large in pixels, or damaged"),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "The same key is still running"),
    (status = 413, body = ErrorEnvelope),
    (status = 415, body = ErrorEnvelope, description = "The body is no form"),
    (status = 422, body = ErrorEnvelope, description = "The key was used with other pictures or words"),
    (status = 503, body = ErrorEnvelope, description = "The store does not answer, too many pictures are being worked on, or the upload took too long"),
))]
pub(super) async fn upload_media(
    State(app): State<App>,
    identity: Identity,
    meta: RequestMeta,
    IdempotencyHeader(key): IdempotencyHeader,
    mut request: Request,
) -> Result<Keyed> {
    let limit = app.config.media.max_bytes;
    let whole = limit.saturating_mul(MAX_FILES).saturating_add(FORM);
    let declared = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if declared.is_some_and(|declared| declared > whole) {
        return Err(Error::PayloadTooLarge { limit: whole });
    }
    DefaultBodyLimit::max(whole).apply(&mut request);
    let form = Multipart::from_request(request, &app).await.map_err(|_| {
        Error::UnsupportedMediaType("Send the files as a form, with Content-Type: multipart/form-data.".into())
    })?;
    let mut intake = Intake::new(&app, &identity, is_known(&app, &identity, key.as_deref()).await?);
    if let Err(error) = intake.take(form).await {
        service::discard(&app, &intake.written).await?;
        return Err(error);
    }
    let key = keyed::key(key, identity.user_id, ROUTE, "", &sha256(&intake.seen));
    let caller = Caller { identity: &identity, meta: &meta, key: key.as_ref() };
    if intake.only_looks {
        return keyed::find(&mut *app.db.acquire().await?, caller.key, app.clock.now()).await?.ok_or_else(|| {
            Error::conflict("The answer under this Idempotency-Key is over. Send the request with another.")
        });
    }
    service::keep(&app, caller, intake.written, &intake.alt).await
}

/// Whether the request was served before, so that nothing has to be written to answer it.
async fn is_known(app: &App, identity: &Identity, key: Option<&str>) -> Result<bool> {
    let Some(key) = key else { return Ok(false) };
    let (caller, now) = (identity.user_id.to_string(), app.clock.now());
    idempotency::is_known(&mut *app.db.acquire().await?, &caller, ROUTE, key, now).await
}

/// A form that is read part by part, so that no more than one file is in memory.
struct Intake<'a> {
    app: &'a App,
    identity: &'a Identity,
    /// Nothing is written; only what the key covers is looked at.
    only_looks: bool,
    /// Names and SHA-256 of the parts so far: what makes two forms the same.
    seen: Vec<u8>,
    files: usize,
    /// What was written so far, even if a later part is refused.
    written: Vec<Written>,
    alt: String,
    faults: Vec<FieldError>,
}

impl<'a> Intake<'a> {
    fn new(app: &'a App, identity: &'a Identity, only_looks: bool) -> Self {
        let (seen, written, alt, faults) = (Vec::new(), Vec::new(), String::new(), Vec::new());
        Self { app, identity, only_looks, seen, files: 0, written, alt, faults }
    }

    async fn take(&mut self, mut form: Multipart) -> Result<()> {
        let limit = self.app.config.media.max_bytes;
        while let Some(part) = form.next_field().await.map_err(|error| unreadable(&error, limit))? {
            match part.name() {
                Some("file") if self.files == MAX_FILES => {
                    return Err(Error::field("file", format!("must be at most {MAX_FILES} in one request")));
                }
                Some("file") => self.take_file(read(part, limit).await?).await?,
                Some("alt") => self.take_alt(&read(part, FORM).await?),
                other => self.faults.push(FieldError::new(other.unwrap_or_default(), "is not a field of this request")),
            }
        }
        if self.files == 0 {
            self.faults.push(FieldError::new("file", "is required"));
        }
        if self.faults.is_empty() { Ok(()) } else { Err(Error::Validation(std::mem::take(&mut self.faults))) }
    }

    async fn take_file(&mut self, bytes: Bytes) -> Result<()> {
        let field = format!("file[{}]", self.files);
        self.files += 1;
        self.see(b"file", &bytes);
        if bytes.is_empty() {
            self.faults.push(FieldError::new(field, "is empty"));
        } else if !self.only_looks {
            let (by, now) = (Some(self.identity.user_id), self.app.clock.now());
            match service::write(self.app, bytes, by, now).await? {
                Ok(file) => self.written.push(file),
                Err(refusal) => self.faults.push(FieldError::new(field, refusal.to_string())),
            }
        }
        Ok(())
    }

    fn take_alt(&mut self, text: &[u8]) {
        self.see(b"alt", text);
        match std::str::from_utf8(text).map_err(|_| "must be UTF-8".to_owned()).and_then(str::parse::<Alt>) {
            Ok(text) => self.alt = text.into_string(),
            Err(fault) => self.faults.push(FieldError::new("alt", fault)),
        }
    }

    fn see(&mut self, name: &[u8], content: &[u8]) {
        self.seen.extend_from_slice(name);
        self.seen.push(0);
        self.seen.extend_from_slice(&sha256(content));
    }
}

fn unreadable(error: &MultipartError, limit: usize) -> Error {
    if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
        Error::PayloadTooLarge { limit }
    } else {
        Error::field("", "the form could not be read to its end")
    }
}

/// One part, at most `limit` bytes of it.
async fn read(mut part: Field<'_>, limit: usize) -> Result<Bytes> {
    let mut bytes = BytesMut::new();
    while let Some(chunk) = part.chunk().await.map_err(|error| unreadable(&error, limit))? {
        if bytes.len() + chunk.len() > limit {
            return Err(Error::PayloadTooLarge { limit });
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes.freeze())
}
