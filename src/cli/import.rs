//! `agape import`

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressStyle};

use crate::boot::{self, Server};
use crate::features::catalog::import::Severity;
use crate::features::catalog::{ImportReport, ImportSettings, import_products};
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
    #[command(after_help = "Examples:\n  agape import products products_export.csv --format shopify --dry-run\n  \
        agape import products products_export.csv --format shopify\n\n\
        A product with an error is left out, the others are taken; the exit code is then 1.")]
    Products {
        /// The file.
        file: PathBuf,
        /// Which program wrote it.
        #[arg(long, value_enum)]
        format: Format,
        /// Check everything, store nothing.
        #[arg(long)]
        dry_run: bool,
        /// Print the report as JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// The product CSV that Shopify exports.
    Shopify,
}

pub(super) async fn run(config: Config, args: &Args) -> anyhow::Result<ExitCode> {
    let What::Products { file: path, format: Format::Shopify, dry_run, json } = &args.what;
    let file = File::open(path).with_context(|| format!("{} cannot be opened", path.display()))?;
    let size = file.metadata().map(|metadata| metadata.len()).unwrap_or(0);
    let server = Server::start(&config, true).await?;
    db::migrate(&server.url).await?;
    let app = boot::build(config, &server.url, Clock::default()).await?;
    let bar = ProgressBar::new(size).with_style(
        ProgressStyle::with_template("{bar:30} {percent:>3} %  {msg}  {elapsed} of about {duration}")
            .unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    let reader = Counted { inner: file, bar: bar.clone() };
    let settings = ImportSettings { dry_run: *dry_run };
    let result = import_products(&app, reader, settings, |row| bar.set_message(format!("row {row}"))).await;
    bar.finish_and_clear();
    app.db.close().await;
    server.stop().await?;
    let report = result.with_context(|| format!("{} could not be imported", path.display()))?;
    if *json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print(&report, *dry_run);
    }
    Ok(ExitCode::from(u8::from(report.refused > 0)))
}

/// Moves the bar as the file is read.
struct Counted {
    inner: File,
    bar: ProgressBar,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.bar.inc(u64::try_from(read).unwrap_or(0));
        Ok(read)
    }
}

fn print(report: &ImportReport, dry_run: bool) {
    for problem in &report.problems {
        let word = match problem.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let column = problem.column.as_ref().map(|column| format!(", {column}")).unwrap_or_default();
        println!("row {}{column}: {word}: {}", problem.row, problem.message);
    }
    let ImportReport { created, updated, unchanged, refused, variants, images, .. } = report;
    let mood = if dry_run { "would be " } else { "" };
    println!(
        "{created} products {mood}created, {updated} {mood}updated, {unchanged} unchanged, {refused} refused; \
         {variants} variants, {images} pictures"
    );
}
