//! `agape serve`

use std::io::Write;

use anyhow::Context;

use crate::boot::{self, Server};
use crate::features::auth::{self, Password, Role};
use crate::features::catalog::{self, ImportSettings, demo};
use crate::platform::clock::Clock;
use crate::platform::config::Config;
use crate::platform::{crypto, db, telemetry};

const DEMO_ADMIN: &str = "admin@agapelooks.example";

pub(super) async fn run(config: Config) -> anyhow::Result<()> {
    telemetry::init_logs(&config.log)?;
    // The port comes first: a second server beside a running one must not touch its database.
    let listener = match boot::listen(&config).await {
        Ok(listener) => listener,
        Err(error) => return Err(boot::running_already(&config).unwrap_or(error)),
    };
    let server = Server::start(&config, false).await?;
    let result = serve(config, &server, listener).await;
    let stopped = server.stop().await;
    result.and(stopped)
}

async fn serve(config: Config, server: &Server, listener: tokio::net::TcpListener) -> anyhow::Result<()> {
    db::migrate(&server.url).await.context("the database is not ready")?;
    let app = boot::build(config, &server.url, Clock::default()).await?;
    let demo_password = if server.is_private() && app.config.store.demo_data { load_demo(&app).await? } else { None };
    let routes = boot::routes(&app)?;
    print_welcome(&app.config, demo_password.as_deref());
    boot::serve(&app, listener, routes, stop_signal()).await
}

/// Loads the demo catalogue into an empty shop, and makes a demo administrator. Gives his password, once.
async fn load_demo(app: &crate::app::App) -> anyhow::Result<Option<String>> {
    if catalog::count_products(app).await? == 0 {
        let settings = ImportSettings::default();
        let report = catalog::import_products(app, &demo::PRODUCTS_CSV.as_bytes(), settings, |_| {}).await?;
        tracing::info!(products = report.created, "demo catalogue loaded");
    }
    if auth::has_admin(app).await? {
        return Ok(None);
    }
    let password = format!("Demo-{}-1a", crypto::random_name(9)?);
    let parsed: Password = password.parse().map_err(anyhow::Error::msg)?;
    let email = DEMO_ADMIN.parse().map_err(anyhow::Error::msg)?;
    auth::create_staff(app, &email, &parsed, "Demo Administrator", Role::Admin).await?;
    Ok(Some(password))
}

fn print_welcome(config: &Config, demo_password: Option<&str>) {
    // Whoever has closed our standard output does not want to read this; the server serves all the same.
    let _ = std::io::stdout().write_all(welcome(config, demo_password).as_bytes());
}

fn welcome(config: &Config, demo_password: Option<&str>) -> String {
    let url = config.public_url();
    let mut lines = vec![
        format!("\n  {} is open at {url}\n", config.store.name),
        format!("    products   {url}/api/v1/products"),
        format!("    API docs   {url}/docs"),
    ];
    if !config.is_production() && config.mail.provider != "smtp" {
        lines.push(format!("    mailbox    {url}/dev/mail"));
    }
    if config.uses_sandbox() {
        lines.push("    payments   go to the built-in sandbox; no money moves".into());
    }
    if let Some(password) = demo_password {
        lines.push(format!("\n    administrator   {DEMO_ADMIN}"));
        lines.push(format!("    password        {password}   (shown only now)"));
    }
    lines.push("\n  Ctrl-C stops it.\n\n".into());
    lines.join("\n")
}

/// Waits until the operator or the system wants the program to end.
pub(super) async fn stop_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let terminate = async {
        match signal(SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(error) => {
                tracing::warn!(error = %error, "SIGTERM cannot be caught");
                std::future::pending::<()>().await;
            }
        }
    };
    tokio::select! {
        () = terminate => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}
