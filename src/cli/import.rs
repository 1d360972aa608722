//! `agape import`

use std::fmt::Write as _;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressStyle};

use crate::boot::{self, Server};
use crate::features::catalog::import::{Format, Severity};
use crate::features::catalog::{ImportReport, ImportSettings, Progress, import_products_until};
use crate::platform::clock::Clock;
use crate::platform::config::Config;
use crate::platform::db;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Import products. A second run of the same file changes nothing; stock is only set for new variants.
    #[command(after_help = "Examples:\n  agape import products products_export.csv --dry-run\n  \
        agape import products products_export.csv --format woocommerce\n\n\
        A product with an error is left out, the others are taken; the exit code is then 1.\n\
        Ctrl-C ends it after the batch that is being stored, with the report so far and the exit code 130;\n\
        the same command goes on from there. A second Ctrl-C ends it at once.")]
    Products {
        /// The file.
        file: PathBuf,
        /// Which program wrote it.
        #[arg(long, value_enum, default_value_t = Kind::Auto)]
        format: Kind,
        /// Check everything, store nothing.
        #[arg(long)]
        dry_run: bool,
        /// Print the report as JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    /// Found out from the file.
    Auto,
    /// The product CSV that Shopify exports.
    Shopify,
    /// The product CSV that WooCommerce exports.
    #[value(name = "woocommerce")]
    WooCommerce,
    /// The product CSV that AGAPE exports.
    Agape,
    /// The lines of JSON that AGAPE exports.
    Jsonl,
}

impl Kind {
    fn format(self) -> Option<Format> {
        match self {
            Self::Auto => None,
            Self::Shopify => Some(Format::Shopify),
            Self::WooCommerce => Some(Format::WooCommerce),
            Self::Agape => Some(Format::Agape),
            Self::Jsonl => Some(Format::Jsonl),
        }
    }
}

pub(super) async fn run(config: Config, args: &Args) -> anyhow::Result<ExitCode> {
    let What::Products { file: path, format, dry_run, json } = &args.what;
    // A second reading of the file must be possible, so it is none that can be read once only.
    let metadata = File::open(path).and_then(|file| file.metadata());
    let metadata = metadata.with_context(|| format!("{} cannot be opened", path.display()))?;
    anyhow::ensure!(metadata.is_file(), "{} is not a file; store the products in one first", path.display());
    let size = metadata.len();
    let server = Server::start(&config, true).await?;
    db::migrate(&server.url).await?;
    let app = boot::build(config, &server.url, Clock::default()).await?;
    let bar = ProgressBar::new(size).with_style(
        ProgressStyle::with_template("{bar:30} {percent:>3} %  {msg}  {elapsed} of about {duration}")
            .unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    let settings = ImportSettings { dry_run: *dry_run, format: format.format() };
    let progress = |read: Progress| {
        bar.set_position(read.bytes.min(size));
        bar.set_message(format!("row {}", read.rows));
    };
    let stop = Arc::new(AtomicBool::new(false));
    let stopping = stop_gently(Arc::clone(&stop));
    let source = path.as_path();
    let result = tokio::select! {
        result = Box::pin(import_products_until(&app, &source, settings, &stop, progress)) => Some(result),
        () = stopping => None,
    };
    bar.finish_and_clear();
    let Some(result) = result else {
        // A statement that waits for somebody would keep its connection from being closed.
        server.stop().await?;
        eprintln!("agape: stopped in the middle of a batch, of which nothing is stored. {GO_ON}");
        return Ok(ExitCode::from(INTERRUPTED));
    };
    app.db.close().await;
    server.stop().await?;
    let report = result.with_context(|| format!("{} could not be imported", path.display()))?;
    let text = if *json { serde_json::to_string_pretty(&report)? + "\n" } else { told(&report, *dry_run, path)? };
    super::print(&text)?;
    Ok(ExitCode::from(if report.stopped { INTERRUPTED } else { u8::from(report.refused > 0) }))
}

/// What shells give a program that Ctrl-C ended: 128 and the signal's number.
const INTERRUPTED: u8 = 130;

const GO_ON: &str = "The same command goes on; what is stored already is then unchanged.";

/// Sets `stop` at the first signal, and ends at the second.
async fn stop_gently(stop: Arc<AtomicBool>) {
    super::serve::stop_signal().await;
    stop.store(true, Ordering::Relaxed);
    eprintln!("Stopping after the batch that is being stored …");
    super::serve::stop_signal().await;
}

/// The report as a person reads it.
fn told(report: &ImportReport, dry_run: bool, path: &Path) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    for problem in &report.problems {
        let word = match problem.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let column = problem.column.as_ref().map(|column| format!(", {column}")).unwrap_or_default();
        writeln!(text, "row {}{column}: {word}: {}", problem.row, problem.message)?;
    }
    if report.problems_left_out > 0 {
        writeln!(text, "and {} more", report.problems_left_out)?;
    }
    let ImportReport { created, updated, unchanged, refused, variants, images, stock_kept, .. } = report;
    let mood = if dry_run { "would be " } else { "" };
    writeln!(
        text,
        "{created} products {mood}created, {updated} {mood}updated, {unchanged} unchanged, {refused} refused; \
         {variants} variants, {images} pictures"
    )?;
    if *stock_kept > 0 {
        writeln!(text, "The stock of {stock_kept} variants is another one in the file; the shop's was kept.")?;
    }
    if report.stopped {
        let done = if dry_run { "checked" } else { "stored" };
        writeln!(text, "Stopped before the end of {}: what is counted here is {done}. {GO_ON}", path.display())?;
    }
    Ok(text)
}
