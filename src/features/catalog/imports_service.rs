//! Product files that staff hand in: their way into the database, and what is told of them.

use sqlx::PgConnection;

use super::import::{self, Format, RowProblem};
use super::import_service::KEPT_PROBLEMS;
use super::import_view::ImportData;
use super::jobs::RunImport;
use super::store::fetches;
use super::store::runs::{self, ImportRun, NewRun};
use crate::app::App;
use crate::features::audit;
use crate::features::auth::Identity;
use crate::platform::crypto::Sha256;
use crate::platform::error::{Error, Result};
use crate::platform::http::RequestMeta;
use crate::platform::http::keyed::{self, Begun, Keyed, Once};
use crate::platform::ids::ImportId;
use crate::platform::jobs;
use crate::platform::page::{Page, Pagination};

/// Bytes of a file that are stored together.
const CHUNK: usize = 256 * 1024;

/// What is said about a file that is handed in.
#[derive(Debug, Default)]
pub(super) struct UploadDetails {
    pub(super) file_name: String,
    pub(super) format: Option<Format>,
    pub(super) dry_run: bool,
}

/// A file that is coming in.
pub(super) struct Upload<'a> {
    app: &'a App,
    id: ImportId,
    /// The start of the file, which tells what it is.
    head: Vec<u8>,
    waiting: Vec<u8>,
    /// Of the file, for the key of a repeated request.
    hash: Sha256,
    chunks: i32,
    bytes: usize,
}

impl<'a> Upload<'a> {
    pub(super) async fn begin(app: &'a App, actor: &Identity) -> Result<Self> {
        let id = ImportId::new();
        let new = NewRun { id, user: actor.user_id, role: actor.role.as_str(), session: actor.session_id };
        runs::insert(&mut *app.db.acquire().await?, &new, app.clock.now()).await?;
        Ok(Self { app, id, head: Vec::new(), waiting: Vec::new(), hash: Sha256::default(), chunks: 0, bytes: 0 })
    }

    /// Takes the next bytes of the file.
    pub(super) async fn push(&mut self, mut bytes: &[u8]) -> Result<()> {
        let limit = self.app.config.imports.max_bytes;
        self.bytes += bytes.len();
        if self.bytes > limit {
            return Err(Error::PayloadTooLarge { limit });
        }
        self.hash.update(bytes);
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(CHUNK - self.waiting.len()));
            self.waiting.extend_from_slice(now);
            bytes = later;
            if self.waiting.len() == CHUNK {
                self.store().await?;
            }
        }
        Ok(())
    }

    async fn store(&mut self) -> Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        if self.chunks == 0 {
            self.head = self.waiting.clone();
            // What is no text is refused before more of it comes.
            import::detect(&self.head).map_err(|problem| Error::field("file", problem.to_string()))?;
        }
        runs::insert_chunk(&mut *self.app.db.acquire().await?, self.id, self.chunks, &self.waiting).await?;
        self.chunks += 1;
        self.waiting.clear();
        Ok(())
    }

    /// The file is whole: its import begins, unless the request was served before.
    pub(super) async fn finish(
        mut self,
        actor: &Identity,
        meta: &RequestMeta,
        details: &UploadDetails,
        key: Option<String>,
    ) -> Result<Keyed> {
        self.store().await?;
        let format = import::check_head(&self.head, details.format)
            .map_err(|problem| Error::field("file", problem.to_string()))?;
        // The same file in another form or under another boundary is the same request.
        let about = format!("{}\0{:?}\0{}", details.file_name, details.format, details.dry_run);
        let fingerprint = self.hash.clone().finish();
        let key = keyed::key(key, actor.user_id, "POST /admin/imports", &about, &fingerprint);
        let mut tx = match keyed::begin(&self.app.db, key.as_ref(), self.app.clock.now()).await? {
            Begun::Given(answer) => return Ok(answer),
            Begun::Open(tx) => tx,
        };
        let done = self.queue(&mut tx, (actor, meta), details, format).await;
        let answer = tx.end(done).await?;
        self.app.waker.wake();
        Ok(answer)
    }

    async fn queue(
        &self,
        tx: &mut Once<'_>,
        (actor, meta): (&Identity, &RequestMeta),
        details: &UploadDetails,
        format: Format,
    ) -> Result<Keyed> {
        let bytes = i64::try_from(self.bytes).map_err(Error::internal)?;
        if !runs::queue(tx, self.id, &details.file_name, format.as_str(), details.dry_run, bytes).await? {
            return Err(Error::conflict("The file took too long and was forgotten. Send it again."));
        }
        enqueue(self.app, tx, self.id).await?;
        let run = runs::find(tx, self.id).await?.ok_or(Error::NotFound("The import"))?;
        let after = serde_json::json!({
            "fileName": run.file_name, "format": run.format, "dryRun": run.dry_run, "bytes": run.bytes,
        });
        let answer = tx.answer(201, ImportData::from(run)).await?;
        record(self.app, tx, actor, meta, "import.start", self.id, Some(after)).await?;
        Ok(answer)
    }

    pub(super) fn id(&self) -> ImportId {
        self.id
    }
}

/// Forgets a file whose import was not begun.
pub(super) async fn abandon(app: &App, id: ImportId) -> Result<()> {
    Ok(runs::abandon(&mut *app.db.acquire().await?, id).await?)
}

/// Puts imports back to work that are not over and have no job any more.
///
/// # Errors
/// The database's.
pub async fn requeue_forgotten_imports(app: &App) -> Result<()> {
    let unfinished = runs::unfinished(&mut *app.db.acquire().await?).await?;
    for import in unfinished {
        let mut tx = app.db.begin().await?;
        if !jobs::is_waiting::<App, _>(&mut tx, &RunImport { import }).await? {
            tracing::warn!(%import, "an import had no job any more; it gets a new one");
            enqueue(app, &mut tx, import).await?;
        }
        tx.commit().await?;
    }
    app.waker.wake();
    Ok(())
}

/// Has the next part of an import done.
pub(super) async fn enqueue(app: &App, tx: &mut PgConnection, id: ImportId) -> Result<()> {
    jobs::enqueue(tx, &RunImport { import: id }, app.config.jobs.max_attempts).await
}

async fn record(
    app: &App,
    tx: &mut PgConnection,
    actor: &Identity,
    meta: &RequestMeta,
    action: &'static str,
    id: ImportId,
    after: Option<serde_json::Value>,
) -> Result<()> {
    let entry = audit::Entry {
        actor: Some(actor),
        action,
        entity: "import",
        entity_id: Some(id.to_string()),
        before: None,
        after,
    };
    audit::record(tx, entry, meta, app.clock.now()).await
}

pub(super) async fn list(app: &App, page: Page) -> Result<(Vec<ImportRun>, Pagination)> {
    let (found, total) = runs::list(&mut *app.db.acquire().await?, page.limit, page.offset()).await?;
    Ok((found, page.of(total)))
}

/// An import with the first of its problems.
pub(super) async fn find(app: &App, id: ImportId, problems: usize) -> Result<(ImportRun, Vec<RowProblem>)> {
    let mut connection = app.db.acquire().await?;
    let run = runs::find(&mut connection, id).await?.ok_or(Error::NotFound("The import"))?;
    let limit = i64::try_from(problems.min(KEPT_PROBLEMS)).map_err(Error::internal)?;
    let problems = runs::problems(&mut connection, id, limit).await?;
    Ok((run, problems))
}

/// How many pictures of imports wait to be fetched, and how many could not be had.
pub(super) async fn unfetched_pictures(app: &App) -> Result<(i64, i64)> {
    Ok(fetches::count_unfetched(&mut *app.db.acquire().await?).await?)
}

/// Stops an import. What it has stored stays.
pub(super) async fn cancel(app: &App, actor: &Identity, meta: &RequestMeta, id: ImportId) -> Result<ImportRun> {
    let mut tx = app.db.begin().await?;
    let ended = runs::finish(&mut tx, id, "cancelled", None, app.clock.now()).await?;
    let run = runs::find(&mut tx, id).await?.ok_or(Error::NotFound("The import"))?;
    if !ended {
        return Err(Error::conflict("The import has ended already."));
    }
    record(app, &mut tx, actor, meta, "import.cancel", id, None).await?;
    tx.commit().await?;
    Ok(run)
}
