//! `agape admin`

use crate::boot::{self, Server};
use crate::features::auth::{self, Password, Role};
use crate::platform::clock::Clock;
use crate::platform::config::Config;
use crate::platform::db;
use crate::platform::text::Email;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Make an administrator. The password is read from the first line of standard input.
    #[command(
        after_help = "Example:\n  echo 'Long#Password9' | agape admin create --email boss@example.com --name Boss"
    )]
    Create {
        /// The e-mail address to sign in with.
        #[arg(long)]
        email: String,
        /// The person's name.
        #[arg(long)]
        name: String,
    },
}

pub(super) async fn run(config: Config, args: &Args) -> anyhow::Result<()> {
    let Command::Create { email, name } = &args.command;
    let email: Email = email.parse().map_err(|e| anyhow::anyhow!("--email {e}"))?;
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    let password: Password =
        line.trim_end_matches(['\r', '\n']).parse().map_err(|e| anyhow::anyhow!("the password {e}"))?;
    let server = Server::start(&config, true).await?;
    db::migrate(&server.url).await?;
    let app = boot::build(config, &server.url, Clock::default()).await?;
    let id = auth::create_staff(&app, &email, &password, name, Role::Admin).await?;
    println!("administrator {email} has the id {id}");
    app.db.close().await;
    server.stop().await
}
