//! `agape sandbox`

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use anyhow::Context;
use paystack::sandbox::{Faults, Sandbox, SandboxConfig};
use secrecy::{ExposeSecret, SecretString};
use tokio::net::TcpListener;

use crate::platform::config::Log;
use crate::platform::crypto::random_token;
use crate::platform::telemetry;

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  agape sandbox --port 4100 --key sk_test_mine\n  \
    AGAPE_PAYMENTS__PROVIDER=paystack AGAPE_PAYMENTS__PAYSTACK_URL=http://localhost:4100 \\\n    \
    PAYSTACK_SECRET_KEY=sk_test_mine agape serve\n\ndocs/sandbox.md lists its paths, cards, amounts and faults.")]
pub(super) struct Args {
    /// The port to listen on; 0 takes a free one.
    #[arg(long, default_value_t = 4100)]
    port: u16,
    /// The address to listen on.
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    host: IpAddr,
    /// The secret key that callers present and that signs the webhooks. Without it, one is made up.
    #[arg(long, env = "PAYSTACK_SECRET_KEY", hide_env_values = true)]
    key: Option<SecretString>,
    /// Where its webhooks go. An empty text sends none.
    #[arg(long, default_value = "http://localhost:3000/api/v1/webhooks/paystack")]
    webhook_url: String,
    /// Where browsers reach it, if not at this port of this machine.
    #[arg(long)]
    public_url: Option<String>,
    /// A file that keeps its payments over a restart. Without it they are kept in memory.
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// Let the last three digits of an amount choose what goes wrong with it.
    #[arg(long)]
    magic_amounts: bool,
}

pub(super) async fn run(log: &Log, args: Args) -> anyhow::Result<()> {
    telemetry::init_logs(log)?;
    let address = SocketAddr::new(args.host, args.port);
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("{address} cannot be listened on; choose another with --port and --host"))?;
    let port = listener.local_addr()?.port();
    let secret_key = match args.key.filter(|key| !key.expose_secret().is_empty()) {
        Some(key) => key,
        None => SecretString::from(format!("sk_test_{}", random_token()?)),
    };
    let public_url = args.public_url.unwrap_or_else(|| format!("http://localhost:{port}"));
    let public_url = public_url.trim_end_matches('/').to_owned();
    let webhook_url = Some(args.webhook_url).filter(|url| !url.is_empty());
    super::print(&welcome(&public_url, secret_key.expose_secret(), webhook_url.as_deref()))?;
    let sandbox = Sandbox::new(SandboxConfig {
        secret_key,
        public_url,
        webhook_url,
        state_file: args.state,
        store_name: "Sandbox".into(),
    })
    .context("the sandbox cannot read its state file (--state)")?;
    if args.magic_amounts {
        sandbox.set_faults(Faults { magic_amounts: true, ..Faults::default() });
    }
    axum::serve(listener, sandbox.router()).with_graceful_shutdown(super::serve::stop_signal()).await?;
    Ok(())
}

fn welcome(url: &str, key: &str, webhook_url: Option<&str>) -> String {
    format!(
        "\n  The Paystack sandbox is open at {url}; no money moves\n
    key        {key}
    webhooks   {}

  A shop that uses it:

    AGAPE_PAYMENTS__PROVIDER=paystack AGAPE_PAYMENTS__PAYSTACK_URL={url} PAYSTACK_SECRET_KEY={key} agape serve

  What goes wrong with the next payments:

    curl -X POST {url}/_control/faults -H 'Authorization: Bearer {key}' \\
      -H 'Content-Type: application/json' -d '{{\"webhook\":\"late:5000\"}}'

  Ctrl-C stops it.\n\n",
        webhook_url.unwrap_or("are not sent")
    )
}
