//! `agape export`

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::pin::pin;

use anyhow::Context;
use clap::ValueEnum;
use futures::TryStreamExt;

use crate::boot::{self, Server};
use crate::features::catalog::{ExportFormat, export, record_export};
use crate::platform::clock::Clock;
use crate::platform::config::Config;
use crate::platform::db;
use crate::platform::http::RequestMeta;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Write all products into a file that `agape import products` reads again.
    #[command(after_help = "Examples:\n  agape export products --output products.csv\n  \
        agape export products --format jsonl > products.jsonl")]
    Products {
        /// In which form.
        #[arg(long, value_enum, default_value_t = Kind::Csv)]
        format: Kind,
        /// The file; standard output when left out. It is replaced once the export is complete.
        #[arg(long)]
        output: Option<PathBuf>,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    /// Rows, for spreadsheets.
    Csv,
    /// One JSON object a line, for programs.
    Jsonl,
}

pub(super) async fn run(config: Config, args: &Args) -> anyhow::Result<()> {
    let What::Products { format, output } = &args.what;
    let format = match format {
        Kind::Csv => ExportFormat::Csv,
        Kind::Jsonl => ExportFormat::Jsonl,
    };
    let server = Server::start(&config, true).await?;
    db::migrate(&server.url).await?;
    let app = boot::build(config, &server.url, Clock::default()).await?;
    record_export(&app, None, &RequestMeta::command_line(), format).await?;
    let written = match output {
        None => write(&app, format, std::io::stdout().lock()).await,
        Some(path) => {
            // What is only half written must not look like an export.
            let mut half = path.clone().into_os_string();
            half.push(".part");
            let half = PathBuf::from(half);
            async {
                write(&app, format, BufWriter::new(File::create(&half)?)).await?;
                std::fs::rename(&half, path)?;
                Ok::<_, anyhow::Error>(())
            }
            .await
            .with_context(|| format!("{} could not be written", path.display()))
        }
    };
    app.db.close().await;
    server.stop().await?;
    written
}

async fn write(app: &crate::app::App, format: ExportFormat, mut out: impl Write) -> anyhow::Result<()> {
    let mut pieces = pin!(export(app.clone(), format));
    while let Some(bytes) = pieces.try_next().await? {
        out.write_all(&bytes).map_err(super::output_error)?;
    }
    out.flush().map_err(super::output_error)
}
