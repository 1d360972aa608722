//! `agape totp`

use crate::features::auth;
use crate::platform::clock::Clock;

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  agape totp JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP")]
pub(super) struct Args {
    /// The secret in base32, as `/api/v1/auth/2fa/setup` gives it.
    secret: String,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    println!("{}", auth::current_code(&args.secret, Clock::default().now())?);
    Ok(())
}
