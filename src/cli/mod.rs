//! The command line. One file a command.

mod admin;
mod config;
mod doctor;
mod export;
mod import;
mod keys;
mod migrate;
mod openapi;
mod sandbox;
mod serve;
mod totp;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::platform::config::{Config, Faults, Settings};
use crate::platform::telemetry;

/// AGAPE: a commerce backend in one binary on PostgreSQL.
#[derive(Debug, Parser)]
#[command(
    name = "agape",
    version,
    after_help = "Without any setting, `agape serve` starts a complete demo shop.\n\
    Settings come from --config and the environment; config/default.toml describes them."
)]
struct Cli {
    /// A TOML file with settings.
    #[arg(long, global = true, env = "AGAPE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start the server and its workers.
    Serve,
    /// Start the payment sandbox alone, as another server's Paystack.
    Sandbox(sandbox::Args),
    /// Look after the database's schema.
    Migrate(migrate::Args),
    /// Read products from a file.
    Import(import::Args),
    /// Write products into a file.
    Export(export::Args),
    /// Check everything that the server depends on, and say how to mend it. Exits with 1 when something is wrong.
    #[command(after_help = "Example:\n  agape doctor")]
    Doctor,
    /// Look after the keys that sign access tokens.
    Keys(keys::Args),
    /// Print the six digits that belong to a two-factor secret now. For scripts and tests.
    Totp(totp::Args),
    /// Make accounts for the staff.
    Admin(admin::Args),
    /// Print the effective settings, with secrets masked.
    Config,
    /// Write the OpenAPI document.
    Openapi(openapi::Args),
    /// Print shell completions.
    #[command(after_help = "Example:\n  agape completions bash > /etc/bash_completion.d/agape")]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// Runs the command of this process's arguments. Exit codes: 0 done, 1 failed, 2 wrong settings or arguments, 130
/// interrupted, 141 nobody read the output to its end.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(run(cli)),
        Err(error) => Err(error.into()),
    };
    telemetry::flush_logs();
    match result {
        Ok(code) => code,
        // As the system would have ended it: 128 and the number of SIGPIPE.
        Err(error) if error.is::<OutputClosed>() => ExitCode::from(141),
        Err(error) => {
            eprintln!("agape: {}", told(&error));
            ExitCode::from(if error.is::<Faults>() { 2 } else { 1 })
        }
    }
}

/// Nobody reads the standard output any more, as behind `| head`.
#[derive(Debug, thiserror::Error)]
#[error("nobody reads the output any more")]
struct OutputClosed;

/// What writing to the standard output failed with.
fn output_error(error: std::io::Error) -> anyhow::Error {
    match error.kind() {
        std::io::ErrorKind::BrokenPipe => OutputClosed.into(),
        _ => anyhow::Error::from(error).context("the output could not be written"),
    }
}

/// Writes to the standard output.
fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(output_error)
}

/// An error with its causes. Many print their cause themselves, which is not repeated.
fn told(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |told, cause| match told.as_str() {
        "" => cause,
        _ if told.ends_with(&cause) => told,
        _ => format!("{told}: {cause}"),
    })
}

async fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command {
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "agape", &mut std::io::stdout());
        }
        Command::Openapi(args) => openapi::run(&args)?,
        Command::Config => config::run(&settings(cli.config)?)?,
        Command::Serve => Box::pin(serve::run(load(cli.config)?)).await?,
        Command::Sandbox(args) => sandbox::run(&load(cli.config)?.log, args).await?,
        Command::Migrate(args) => return migrate::run(&load(cli.config)?, &args).await,
        Command::Import(args) => return import::run(load(cli.config)?, &args).await,
        Command::Export(args) => export::run(load(cli.config)?, &args).await?,
        Command::Doctor => return Box::pin(doctor::run(load(cli.config)?)).await,
        Command::Keys(args) => keys::run(&load(cli.config)?, &args)?,
        Command::Totp(args) => totp::run(&args)?,
        Command::Admin(args) => admin::run(load(cli.config)?, &args).await?,
    }
    Ok(ExitCode::SUCCESS)
}

fn settings(file: Option<PathBuf>) -> Result<Settings, Faults> {
    // A variable that is not UTF-8 cannot be one of ours.
    let env: BTreeMap<String, String> =
        std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?))).collect();
    Settings::load(file.as_deref(), &env)
}

fn load(file: Option<PathBuf>) -> Result<Config, Faults> {
    settings(file)?.config()
}
