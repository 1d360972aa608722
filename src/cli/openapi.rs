//! `agape openapi`

use std::path::PathBuf;

use anyhow::Context;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  agape openapi\n  agape openapi --output openapi.json")]
pub(super) struct Args {
    /// The file to write; standard output when left out.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let json = crate::openapi::json()?;
    match &args.output {
        Some(path) => std::fs::write(path, json).with_context(|| format!("{} cannot be written", path.display())),
        None => {
            print!("{json}");
            Ok(())
        }
    }
}
