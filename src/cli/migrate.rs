//! `agape migrate`

use std::process::ExitCode;

use anyhow::Context;

use crate::boot::Server;
use crate::platform::config::Config;
use crate::platform::db::{self, MigrationState};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  agape migrate status\n  DATABASE_URL=postgres://… agape migrate up")]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Apply what is missing. Safe beside running servers.
    Up,
    /// List the migrations. Exits with 1 when some are missing, or were changed after they were applied.
    Status,
}

pub(super) async fn run(config: &Config, args: &Args) -> anyhow::Result<ExitCode> {
    let server = Server::start(config, true).await?;
    let code = match args.command {
        Command::Up => {
            db::migrate(&server.url).await.context("the migration failed; nothing of it stays")?;
            println!("the database is up to date");
            ExitCode::SUCCESS
        }
        Command::Status => {
            let status = db::migration_status(&server.url).await?;
            for migration in &status {
                let word = match migration.state {
                    MigrationState::Applied => "applied",
                    MigrationState::Missing => "missing",
                    MigrationState::Changed => "changed",
                };
                println!("{word}  {}  {}", migration.version, migration.description);
            }
            ExitCode::from(u8::from(status.iter().any(|migration| migration.state != MigrationState::Applied)))
        }
    };
    server.stop().await?;
    Ok(code)
}
