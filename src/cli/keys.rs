//! `agape keys`

use chrono::TimeDelta;

use crate::boot;
use crate::features::auth::TokenKeys;
use crate::platform::clock::Clock;
use crate::platform::config::Config;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List the keys of the key file and what they are for now.
    List,
    /// Add a new key. It is published at once, signs after a wait, and the old one is accepted until its last token is
    /// over: nobody is signed out. Servers that run read the file by themselves.
    #[command(after_help = "Examples:\n  agape keys rotate\n  agape keys rotate --wait-minutes 60\n\n\
        Where several servers have copies of the file, wait long enough to bring the new file to all of them.")]
    Rotate {
        /// Minutes until the new key signs; every server must have the file by then.
        #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(i64).range(1..=10_080))]
        wait_minutes: i64,
    },
}

pub(super) fn run(config: &Config, args: &Args) -> anyhow::Result<()> {
    let keys = TokenKeys::load(&boot::signing_key(config), false, &config.auth)?;
    let now = Clock::default().now();
    if let Command::Rotate { wait_minutes } = args.command {
        let from = now + TimeDelta::minutes(wait_minutes);
        let kid = keys.rotate(from, now)?;
        println!("{kid} signs from {} on", from.format("%Y-%m-%d %H:%M:%S UTC"));
        return Ok(());
    }
    for key in keys.states(now) {
        let from = key.not_before.map(|from| from.format("  signs from %Y-%m-%d %H:%M:%S UTC on").to_string());
        println!("{:<9} {}{}", key.state, key.kid, from.unwrap_or_default());
    }
    Ok(())
}
