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
    /// Make an account for a member of the staff. The password is read from the first line of standard input.
    #[command(
        after_help = "Examples:\n  echo 'Long#Password9' | agape admin create --email boss@example.com --name Boss\n  \
        agape admin create --email ama@example.com --name Ama --role fulfilment < password.txt"
    )]
    Create {
        /// The e-mail address to sign in with.
        #[arg(long)]
        email: String,
        /// The person's name.
        #[arg(long)]
        name: String,
        /// admin, merchant, fulfilment or finance.
        #[arg(long, default_value = "admin")]
        role: Role,
    },
    /// Take away the second factor of an account whose owner has lost it, and end its sessions and its lock.
    #[command(after_help = "Example:\n  agape admin reset-2fa --email boss@example.com")]
    #[command(name = "reset-2fa")]
    ResetTwoFactor {
        /// The account's e-mail address.
        #[arg(long)]
        email: String,
    },
}

pub(super) async fn run(config: Config, args: &Args) -> anyhow::Result<()> {
    let (Command::Create { email, .. } | Command::ResetTwoFactor { email }) = &args.command;
    let email: Email = email.parse().map_err(|e| anyhow::anyhow!("--email {e}"))?;
    let password = match &args.command {
        Command::Create { role: Role::Customer, .. } => {
            anyhow::bail!("--role must be admin, merchant, fulfilment or finance; customers register themselves")
        }
        Command::Create { .. } => Some(read_password()?),
        Command::ResetTwoFactor { .. } => None,
    };
    let server = Server::start(&config, true).await?;
    db::migrate(&server.url).await?;
    let app = boot::build(config, &server.url, Clock::default()).await?;
    let done = match (&args.command, password) {
        (Command::Create { name, role, .. }, Some(password)) => {
            auth::create_staff(&app, &email, &password, name, *role)
                .await
                .map(|id| format!("{email} is {} and has the id {id}", role.as_str()))
        }
        _ => auth::reset_two_factor_of(&app, email.as_str())
            .await
            .map(|()| format!("two-factor sign-in is off for {email}; its sessions have ended")),
    };
    app.db.close().await;
    server.stop().await?;
    println!("{}", done?);
    Ok(())
}

fn read_password() -> anyhow::Result<Password> {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    line.trim_end_matches(['\r', '\n']).parse().map_err(|e| anyhow::anyhow!("the password {e}"))
}
