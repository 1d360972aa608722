//! Stores what a product file says, in batches. A batch is one transaction, so a run that is cut off leaves whole
//! products behind, and the next run of the same file skips them.

use std::sync::atomic::{AtomicBool, Ordering};

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::json;

use super::import::{self, Format, ImportedProduct, Options, ProductGroup, RowProblem, Severity, Source};
use super::import_batch::{self, Done, Outcome};
use super::store;
use crate::app::App;
use crate::features::audit;
use crate::platform::error::{Error, Result};
use crate::platform::http::RequestMeta;
use crate::platform::ids::{ImportId, ProductId};

/// Problems that a report keeps. All are counted.
pub(super) const KEPT_PROBLEMS: usize = 1_000;

/// A batch is written when it has this many products or variants.
const BATCH_PRODUCTS: usize = 200;
const BATCH_VARIANTS: usize = 1_000;

/// Variants of a file of which a report says that their stock was not taken over. All are counted.
const TOLD_STOCK: u64 = 20;

/// Decimals of the shop's amounts.
const EXPONENT: u32 = 2;

/// How often a batch is tried while the database is busy.
const TRIES: u32 = 4;

/// How a file is imported.
#[derive(Clone, Copy, Debug, Default)]
pub struct ImportSettings {
    /// Read and check everything, store nothing.
    pub dry_run: bool,
    /// Which program wrote the file; found out where nobody says.
    pub format: Option<Format>,
}

/// What an import did.
#[derive(Debug, Default, Serialize)]
pub struct ImportReport {
    /// Products that are new.
    pub created: u64,
    /// Products that the file changes.
    pub updated: u64,
    /// Products that are stored as the file has them.
    pub unchanged: u64,
    /// Products that were refused because of errors.
    pub refused: u64,
    /// Variants of the products that were taken.
    pub variants: u64,
    /// Pictures of the products that were taken.
    pub images: u64,
    /// Variants of which the file counts another stock than the shop, whose count was kept.
    pub stock_kept: u64,
    /// Whether the import was told to stop before the end of the file.
    pub stopped: bool,
    /// What was found in the file, in the order of its products; the first thousand.
    pub problems: Vec<RowProblem>,
    /// How many more were found.
    pub problems_left_out: u64,
}

impl ImportReport {
    fn add(&mut self, other: Self) {
        self.created += other.created;
        self.updated += other.updated;
        self.unchanged += other.unchanged;
        self.refused += other.refused;
        self.variants += other.variants;
        self.images += other.images;
        self.stock_kept += other.stock_kept;
        self.problems_left_out += other.problems_left_out;
        for problem in other.problems {
            if self.problems.len() < KEPT_PROBLEMS {
                self.problems.push(problem);
            } else {
                self.problems_left_out += 1;
            }
        }
    }
}

/// How far a file has been read.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    /// Rows, the heading row included.
    pub rows: u64,
    /// Bytes, about.
    pub bytes: u64,
}

/// How a file of this shop is read.
pub(super) fn options(format: Option<Format>, now: DateTime<Utc>) -> Options {
    Options { format, exponent: EXPONENT, today: now.date_naive() }
}

/// Imports a product file from the command line. `progress` is called after each batch.
///
/// # Errors
/// When the file as a whole cannot be read, with the reader's message; what was stored before stays.
pub async fn import_products<S: Source>(
    app: &App,
    source: &S,
    settings: ImportSettings,
    progress: impl FnMut(Progress),
) -> anyhow::Result<ImportReport> {
    import_products_until(app, source, settings, &AtomicBool::new(false), progress).await
}

/// As [`import_products`], until `stop` is set: then the batch that is being stored is the last one, and the report says what
/// was done.
///
/// # Errors
/// As [`import_products`].
pub async fn import_products_until<S: Source>(
    app: &App,
    source: &S,
    settings: ImportSettings,
    stop: &AtomicBool,
    mut progress: impl FnMut(Progress),
) -> anyhow::Result<ImportReport> {
    let mut products = import::read(source, &options(settings.format, app.clock.now()))?;
    let mut importer = Importer::new(app, settings.dry_run, None);
    while let Some(group) = products.next() {
        if stop.load(Ordering::Relaxed) {
            importer.report.stopped = true;
            break;
        }
        let read = Progress { rows: products.rows(), bytes: products.bytes() };
        match group {
            Ok(group) => {
                if importer.take(group, read).await? == Step::Stored {
                    progress(read);
                }
            }
            Err(problem) => {
                importer.flush().await?;
                return Err(problem.into());
            }
        }
    }
    if !importer.report.stopped {
        importer.flush().await?;
    }
    let report = importer.report;
    if !settings.dry_run {
        let mut tx = app.db.begin().await?;
        let entry = audit::Entry {
            actor: None,
            action: "product.import",
            entity: "import",
            entity_id: None,
            before: None,
            after: Some(counts(&report)),
        };
        audit::record(&mut tx, entry, &RequestMeta::command_line(), app.clock.now()).await?;
        tx.commit().await?;
    }
    Ok(report)
}

/// What the audit log keeps of a report.
pub(super) fn counts(report: &ImportReport) -> serde_json::Value {
    json!({
        "created": report.created, "updated": report.updated, "unchanged": report.unchanged,
        "refused": report.refused, "variants": report.variants, "images": report.images,
        "stockKept": report.stock_kept, "stopped": report.stopped,
    })
}

/// What became of a product that was handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It waits for its batch.
    Waiting,
    /// Its batch has been stored.
    Stored,
    /// The import is not to go on: it was cancelled, or another worker is ahead.
    Stopped,
}

/// Where an import that staff started keeps its progress.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    pub(super) id: ImportId,
    /// Products that earlier batches dealt with.
    pub(super) done: i64,
    /// Variants of theirs whose stock was not taken over.
    pub(super) stock_kept: u64,
}

/// Takes the products of a file and writes them in batches.
pub(super) struct Importer<'a> {
    app: &'a App,
    dry_run: bool,
    run: Option<Run>,
    pending: Vec<ProductGroup>,
    variants: usize,
    read: Progress,
    pub(super) report: ImportReport,
}

impl<'a> Importer<'a> {
    pub(super) fn new(app: &'a App, dry_run: bool, run: Option<Run>) -> Self {
        Self {
            app,
            dry_run,
            run,
            pending: Vec::new(),
            variants: 0,
            read: Progress::default(),
            report: ImportReport::default(),
        }
    }

    /// Takes a product. `read` is how far the file was read for it.
    pub(super) async fn take(&mut self, mut group: ProductGroup, read: Progress) -> Result<Step> {
        if let Some(product) = &mut group.product {
            // What an export of this shop says is on this server.
            let urls = product.images.iter_mut().map(|image| &mut image.url);
            let of_variants = product.variants.iter_mut().filter_map(|variant| variant.image_url.as_mut());
            urls.chain(of_variants).for_each(|url| *url = self.app.media.stored_url(url));
        }
        self.variants += group.product.as_ref().map_or(0, |product| product.variants.len());
        self.pending.push(group);
        self.read = read;
        if self.pending.len() >= BATCH_PRODUCTS || self.variants >= BATCH_VARIANTS {
            return self.flush().await;
        }
        Ok(Step::Waiting)
    }

    /// Writes what waits.
    pub(super) async fn flush(&mut self) -> Result<Step> {
        let groups = std::mem::take(&mut self.pending);
        self.variants = 0;
        if groups.is_empty() {
            return Ok(Step::Stored);
        }
        let mut tries = 1;
        let stored = loop {
            match self.store(&groups).await {
                // Another writer was in the way; the batch was undone.
                Err(Error::Unavailable(cause)) if tries < TRIES => {
                    tracing::warn!(error = format!("{cause:#}"), "a batch of an import is tried again");
                    tries += 1;
                }
                other => break other?,
            }
        };
        let Some((report, touched)) = stored else { return Ok(Step::Stopped) };
        self.app.product_cache.forget(&touched).await;
        self.report.add(report);
        if let Some(run) = &mut self.run {
            run.done += i64::try_from(groups.len()).map_err(Error::internal)?;
        }
        Ok(Step::Stored)
    }

    /// One try at a batch. None when the import is not to go on.
    async fn store(&self, groups: &[ProductGroup]) -> Result<Option<(ImportReport, Vec<ProductId>)>> {
        let products: Vec<_> = groups.iter().filter_map(|group| group.product.as_ref()).collect();
        let mut tx = self.app.db.begin().await?;
        let done = Box::pin(import_batch::write(self.app, &mut tx, &products)).await?;
        let (mut report, mut touched) = (ImportReport::default(), Vec::new());
        let mut done = done.into_iter();
        for group in groups {
            let mut problems = group.problems.clone();
            match group.product.as_ref().and_then(|product| Some((product, done.next()?))) {
                None => report.refused += 1,
                Some((product, done)) => {
                    let told = self.stock_kept() + report.stock_kept;
                    problems.extend(remarks(product, &done, TOLD_STOCK.saturating_sub(told)));
                    match done.outcome {
                        // Lists that are kept do not have it.
                        Outcome::Created(id) => {
                            report.created += 1;
                            touched.push(id);
                        }
                        Outcome::Updated(id) => {
                            report.updated += 1;
                            touched.push(id);
                        }
                        Outcome::Unchanged => report.unchanged += 1,
                        Outcome::Refused(_) => report.refused += 1,
                    }
                    if !matches!(done.outcome, Outcome::Refused(_)) {
                        report.variants += u64::try_from(product.variants.len()).map_err(Error::internal)?;
                        report.images += u64::try_from(product.images.len()).map_err(Error::internal)?;
                        report.stock_kept += u64::try_from(done.other_stock.len()).map_err(Error::internal)?;
                    }
                }
            }
            report.add(ImportReport { problems, ..ImportReport::default() });
        }
        if self.dry_run {
            // Everything was tried, so that the report is true; nothing stays but the report.
            tx.rollback().await?;
            tx = self.app.db.begin().await?;
            touched.clear();
        }
        if let Some(run) = self.run {
            let step = store::runs::Advance {
                products: i64::try_from(groups.len()).map_err(Error::internal)?,
                rows: self.read.rows,
                bytes: self.read.bytes,
                report: &report,
            };
            if !store::runs::advance(&mut tx, run.id, run.done, &step, self.app.clock.now()).await? {
                tx.rollback().await?;
                return Ok(None);
            }
        }
        tx.commit().await?;
        Ok(Some((report, touched)))
    }

    /// Variants so far whose stock was not taken over.
    fn stock_kept(&self) -> u64 {
        self.report.stock_kept + self.run.map_or(0, |run| run.stock_kept)
    }
}

/// What a report says of a product that the database dealt with, `stock` lines at most about its stock.
fn remarks(product: &ImportedProduct, done: &Done, stock: u64) -> Vec<RowProblem> {
    let at = |row: u64, severity: Severity, message: String| RowProblem { row, column: None, severity, message };
    let mut remarks = Vec::new();
    if let Outcome::Refused(why) = &done.outcome {
        remarks.push(at(product.row, Severity::Error, format!("{}: {why}", product.handle)));
    } else if done.is_archived {
        let message = format!(
            "“{}” was removed from the shop. It stays removed; restore it there, or say TRUE under Restore in a file of \
             AGAPE's own form.",
            product.title
        );
        remarks.push(at(product.row, Severity::Warning, message));
    }
    for other in done.other_stock.iter().take(usize::try_from(stock).unwrap_or(usize::MAX)) {
        let message = format!(
            "{}: the file counts {}, the shop {}. The shop's count stays, which knows what was sold.",
            other.sku, other.of_file, other.of_shop
        );
        remarks.push(at(other.row, Severity::Warning, message));
    }
    remarks
}
