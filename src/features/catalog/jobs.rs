//! Works on an import that staff started, a slice at a time. What a slice did is stored with how far it came, so a
//! process may be killed at any moment: the next slice goes on where the last batch ended.

use std::io::Read;
use std::time::Duration;

use async_trait::async_trait;
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::import::{self, FileProblem, Options, ProductGroup, Source};
use super::import_service::{self, Importer, Progress, Run, Step};
use super::imports_service::enqueue;
use super::store::runs::{self, ImportRun};
use crate::app::App;
use crate::features::audit;
use crate::features::auth::Identity;
use crate::flows::fetch_images::FetchImages;
use crate::platform::error::{Error, Result};
use crate::platform::http::RequestMeta;
use crate::platform::ids::ImportId;
use crate::platform::jobs::{self, Job, JobError};

/// Products read ahead of the database.
const AHEAD: usize = 256;

/// The longest slice.
const SLICE: Duration = Duration::from_secs(10);

/// Tries without progress after which an import is given up.
const MAX_FAILURES: i32 = 5;

/// Does the next slice of an import.
#[derive(Debug, Serialize, Deserialize)]
pub struct RunImport {
    /// Which.
    pub import: ImportId,
}

#[async_trait]
impl Job<App> for RunImport {
    const KIND: &'static str = "run_import";

    async fn run(self, app: &App) -> Result<(), JobError> {
        let Some(run) = runs::find(&mut *app.db.acquire().await?, self.import).await? else { return Ok(()) };
        if !matches!(run.status.as_str(), "queued" | "running") {
            return Ok(());
        }
        match Box::pin(slice(app, &run)).await {
            Ok(Slice::Ended) => Ok(end(app, &run, None).await?),
            Ok(Slice::Unreadable(why)) => Ok(end(app, &run, Some(&why)).await?),
            Ok(Slice::Stopped) => Ok(()),
            Ok(Slice::Unfinished) => {
                let mut tx = app.db.begin().await?;
                enqueue(app, &mut tx, self.import).await?;
                tx.commit().await?;
                app.waker.wake();
                Ok(())
            }
            Err(error) => Ok(try_again(app, &run, error).await?),
        }
    }
}

/// Has a slice that failed done once more, a little later. The queue counts the tries of one job, but here those since the
/// last progress count, however many jobs they were.
async fn try_again(app: &App, run: &ImportRun, error: Error) -> Result<()> {
    let mut tx = app.db.begin().await?;
    let failures = runs::count_failure(&mut tx, run.id).await?;
    if failures >= MAX_FAILURES || matches!(error, Error::Internal(_)) {
        tx.commit().await?;
        tracing::error!(import = %run.id, error = format!("{:#}", anyhow::Error::from(error)), "an import is given up");
        let why = "Something went wrong on our side. What was imported stays; start the import again.";
        return end(app, run, Some(why)).await;
    }
    tracing::warn!(import = %run.id, error = format!("{:#}", anyhow::Error::from(error)), "an import is tried again");
    let wait = TimeDelta::seconds(i64::try_from(app.config.jobs.retry_seconds).unwrap_or(60) * i64::from(failures));
    let again = RunImport { import: run.id };
    jobs::enqueue_at(&mut tx, &again, app.config.jobs.max_attempts, Some(app.clock.now() + wait)).await?;
    tx.commit().await
}

/// How a slice ended.
enum Slice {
    /// With the file.
    Ended,
    /// With its time.
    Unfinished,
    /// With a file that cannot be read any further, and why.
    Unreadable(String),
    /// Because the import was cancelled, or another worker is ahead.
    Stopped,
}

async fn slice(app: &App, run: &ImportRun) -> Result<Slice> {
    let format = run.format.as_deref().and_then(|format| format.parse().ok());
    // Prices of the day when it was handed in, so that every slice reads the same.
    let options = import_service::options(format, run.created_at);
    let skip = u64::try_from(run.products_done).map_err(Error::internal)?;
    let (sender, mut products) = mpsc::channel(AHEAD);
    let source = Chunks { app: app.clone(), import: run.id, runtime: tokio::runtime::Handle::current() };
    tokio::task::spawn_blocking(move || read_ahead(&source, &options, skip, &sender));
    let stock_kept = u64::try_from(run.stock_kept).map_err(Error::internal)?;
    let position = Run { id: run.id, done: run.products_done, stock_kept };
    let mut importer = Importer::new(app, run.dry_run, Some(position));
    let length = SLICE.min(Duration::from_secs(app.config.jobs.timeout_seconds) / 3);
    // Passing over what is done does not count, so that each slice gets on.
    let mut deadline = None;
    while let Some(next) = products.recv().await {
        let deadline = *deadline.get_or_insert_with(|| Instant::now() + length);
        match next {
            Ok((group, read)) => match importer.take(group, read).await? {
                Step::Stopped => return Ok(Slice::Stopped),
                Step::Stored if Instant::now() >= deadline => return Ok(Slice::Unfinished),
                Step::Stored | Step::Waiting => {}
            },
            Err(FileProblem::Io(error)) => return Err(Error::Unavailable(error.into())),
            Err(problem) => {
                return Ok(match importer.flush().await? {
                    Step::Stopped => Slice::Stopped,
                    _ => Slice::Unreadable(problem.to_string()),
                });
            }
        }
    }
    Ok(match importer.flush().await? {
        Step::Stopped => Slice::Stopped,
        _ => Slice::Ended,
    })
}

/// A product with how far the file was read for it.
type Next = Result<(ProductGroup, Progress), FileProblem>;

/// Reads the file, on a thread of its own, until nobody listens any more.
fn read_ahead(source: &Chunks, options: &Options, skip: u64, sender: &mpsc::Sender<Next>) {
    let mut products = match import::read(source, options) {
        Ok(products) => products,
        Err(problem) => {
            let _ = sender.blocking_send(Err(problem));
            return;
        }
    };
    let mut met: u64 = 0;
    while let Some(group) = products.next() {
        let read = Progress { rows: products.rows(), bytes: products.bytes() };
        met += 1;
        if (met > skip || group.is_err()) && sender.blocking_send(group.map(|group| (group, read))).is_err() {
            return;
        }
        if sender.is_closed() {
            return;
        }
    }
}

/// Ends an import, with `failure` if its file could not be read.
async fn end(app: &App, run: &ImportRun, failure: Option<&str>) -> Result<()> {
    let now = app.clock.now();
    let status = if failure.is_some() { "failed" } else { "completed" };
    let mut tx = app.db.begin().await?;
    if !runs::finish(&mut tx, run.id, status, failure, now).await? {
        return Ok(());
    }
    let Some(done) = runs::find(&mut tx, run.id).await? else { return Ok(()) };
    if !done.dry_run {
        let actor = match (done.created_by, done.actor_role.parse()) {
            (Some(user_id), Ok(role)) => Some(Identity { user_id, role, session_id: done.session_id }),
            _ => None,
        };
        let entry = audit::Entry {
            actor: actor.as_ref(),
            action: "product.import",
            entity: "import",
            entity_id: Some(done.id.to_string()),
            before: None,
            after: Some(json!({
                "fileName": done.file_name, "created": done.created, "updated": done.updated,
                "unchanged": done.unchanged, "refused": done.refused, "variants": done.variants,
                "images": done.images, "stockKept": done.stock_kept, "failure": done.failure,
            })),
        };
        jobs::enqueue(&mut tx, &FetchImages {}, app.config.jobs.max_attempts).await?;
        audit::record(&mut tx, entry, &RequestMeta::system(), now).await?;
    }
    tx.commit().await?;
    app.waker.wake();
    Ok(())
}

/// A file in the database. It is read outside of the runtime's own threads.
struct Chunks {
    app: App,
    import: ImportId,
    runtime: tokio::runtime::Handle,
}

impl Source for Chunks {
    type Reader = ChunkReader;

    fn open(&self) -> std::io::Result<ChunkReader> {
        let Self { app, import, runtime } = self;
        Ok(ChunkReader {
            app: app.clone(),
            import: *import,
            runtime: runtime.clone(),
            next: 0,
            chunk: std::io::Cursor::default(),
        })
    }
}

/// Reads one piece after the other.
struct ChunkReader {
    app: App,
    import: ImportId,
    runtime: tokio::runtime::Handle,
    next: i32,
    chunk: std::io::Cursor<Vec<u8>>,
}

impl Read for ChunkReader {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.chunk.read(buffer)?;
        if read > 0 || buffer.is_empty() {
            return Ok(read);
        }
        let chunk = self.runtime.block_on(async {
            let mut connection = self.app.db.acquire().await?;
            Ok::<_, Error>(runs::chunk(&mut connection, self.import, self.next).await?)
        });
        let Some(chunk) = chunk.map_err(std::io::Error::other)? else { return Ok(0) };
        self.next += 1;
        self.chunk = std::io::Cursor::new(chunk);
        self.chunk.read(buffer)
    }
}
