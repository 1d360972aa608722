//! `agape import`

use std::fs::File;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressStyle};

use crate::boot::{self, Server};
use crate::features::catalog::import::{Format, Severity};
use crate::features::catalog::{ImportReport, ImportSettings, Progress, import_products};
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
        A product with an error is left out, the others are taken; the exit code is then 1.")]
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
    let result = Box::pin(import_products(&app, &path.as_path(), settings, progress)).await;
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

fn print(report: &ImportReport, dry_run: bool) {
    for problem in &report.problems {
        let word = match problem.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let column = problem.column.as_ref().map(|column| format!(", {column}")).unwrap_or_default();
        println!("row {}{column}: {word}: {}", problem.row, problem.message);
    }
    if report.problems_left_out > 0 {
        println!("and {} more", report.problems_left_out);
    }
    let ImportReport { created, updated, unchanged, refused, variants, images, .. } = report;
    let mood = if dry_run { "would be " } else { "" };
    println!(
        "{created} products {mood}created, {updated} {mood}updated, {unchanged} unchanged, {refused} refused; \
         {variants} variants, {images} pictures"
    );
}
