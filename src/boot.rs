//! From settings to a running server: the private database, migrations, the application, workers, the listener.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use futures::FutureExt;
use paystack::sandbox::{Sandbox, SandboxConfig};
use private_postgres::{Options, PrivatePostgres};
use secrecy::{ExposeSecret, SecretString};
use tokio::net::TcpListener;

use crate::app::App;
use crate::platform::clock::Clock;
use crate::platform::config::Config;
use crate::platform::crypto::random_token;
use crate::platform::db::{self, Db};
use crate::platform::redis::Redis;
use crate::platform::{signals, telemetry};
use crate::{jobs, router};

/// The name of the private database.
const DATABASE: &str = "agape";

/// The database to use: the configured one, or a private server that this process started or found running.
#[derive(Debug)]
pub struct Server {
    /// Its address.
    pub url: String,
    /// The server, if this process started it.
    owned: Option<PrivatePostgres>,
}

impl Server {
    /// Finds the database, starting a private server when none is configured. With `attach`, one that another
    /// process of this data directory runs is used too.
    ///
    /// # Errors
    /// When no server can be started; the message says how to mend it.
    pub async fn start(config: &Config, attach: bool) -> anyhow::Result<Self> {
        let configured = config.database.url.expose_secret();
        if !configured.is_empty() {
            return Ok(Self { url: configured.to_owned(), owned: None });
        }
        let mut options = Options::new(&config.server.data_dir);
        options.bin_dir = Some(&config.database.bin_dir).filter(|dir| !dir.is_empty()).map(PathBuf::from);
        options.search_path = std::env::var_os("PATH");
        // The details of an error quote rows, such as the address of an account that exists already.
        options.settings.push(("log_error_verbosity".into(), "terse".into()));
        let (url, admin_url, owned) = tokio::task::spawn_blocking(move || {
            if attach && let Some(running) = private_postgres::attach(&options)? {
                return Ok((running.url(DATABASE), running.url("postgres"), None));
            }
            let server = PrivatePostgres::start(&options)?;
            Ok::<_, private_postgres::Error>((server.url(DATABASE), server.url("postgres"), Some(server)))
        })
        .await??;
        db::create_if_missing(&admin_url, DATABASE).await?;
        Ok(Self { url, owned })
    }

    /// Whether this process started the server.
    pub fn is_private(&self) -> bool {
        self.owned.is_some()
    }

    /// Stops the server if this process started it.
    ///
    /// # Errors
    /// When it does not stop.
    pub async fn stop(self) -> anyhow::Result<()> {
        if let Some(server) = self.owned {
            tokio::task::spawn_blocking(move || server.stop()).await??;
        }
        Ok(())
    }
}

/// The file of the keys that sign access tokens.
pub fn signing_key(config: &Config) -> PathBuf {
    match config.auth.private_key_file.as_str() {
        "" => config.server.data_dir.join("keys/access-token.pem"),
        file => PathBuf::from(file),
    }
}

/// Builds the application on a migrated database. Without a payment key, the sandbox gets one of its own.
///
/// # Errors
/// When the database cannot be reached, or a part refuses its settings.
pub async fn build(mut config: Config, url: &str, clock: Clock) -> anyhow::Result<App> {
    if config.uses_sandbox() {
        if config.payments.paystack_secret_key.expose_secret().is_empty() {
            config.payments.paystack_secret_key = SecretString::from(format!("sk_test_{}", random_token()?));
        }
        config.payments.paystack_url = format!("{}/sandbox/paystack", config.local_url());
    }
    let key = signing_key(&config);
    let db = Db::connect(&config.database, url).await?;
    let redis = Redis::connect(&config.redis).await?;
    App::new(config, db, redis, clock, &key)
}

/// What to say when the private server of this data directory is in use: most likely somebody started AGAPE twice.
pub fn running_already(config: &Config) -> Option<anyhow::Error> {
    if !config.database.url.expose_secret().is_empty() {
        return None;
    }
    private_postgres::attach(&Options::new(&config.server.data_dir)).ok()??;
    Some(anyhow::anyhow!(
        "AGAPE runs already with the data directory {}; open {}, or stop it first. For a second shop, choose another \
         PORT and AGAPE_DATA_DIR",
        config.server.data_dir.display(),
        config.public_url()
    ))
}

/// The router with the payment sandbox where it is used.
///
/// # Errors
/// When the sandbox cannot read what it stored.
pub fn routes(app: &App) -> anyhow::Result<Router> {
    if !app.config.uses_sandbox() {
        return router::router(app, None);
    }
    let sandbox = Sandbox::new(SandboxConfig {
        secret_key: app.config.payments.paystack_secret_key.clone(),
        public_url: format!("{}/sandbox/paystack", app.config.public_url()),
        webhook_url: Some(format!("{}/api/v1/webhooks/paystack", app.config.local_url())),
        state_file: Some(app.config.server.data_dir.join("paystack-sandbox.json")),
        store_name: app.config.store.name.clone(),
    })
    .context("the payment sandbox cannot read paystack-sandbox.json in the data directory")?;
    router::router(app, Some(sandbox.router()))
}

/// Opens the port.
///
/// # Errors
/// When it is taken or not allowed; the message says which setting to change.
pub async fn listen(config: &Config) -> anyhow::Result<TcpListener> {
    let address = SocketAddr::new(config.server.host, config.server.port);
    let port = config.server.port;
    match TcpListener::bind(address).await {
        Ok(listener) => Ok(listener),
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            if is_agape(config).await {
                anyhow::bail!(
                    "AGAPE is already running at {}; stop it first, or choose another PORT",
                    config.local_url()
                );
            }
            anyhow::bail!(
                "port {port} is taken by another program; stop it, or choose another with PORT or server.port"
            );
        }
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            anyhow::bail!("port {port} needs more rights than this user has; choose one above 1023")
        }
        Err(error) => anyhow::bail!("{address} cannot be listened on: {error} (server.host, server.port)"),
    }
}

/// Whether what listens on our port answers as this program does.
async fn is_agape(config: &Config) -> bool {
    let ask = async {
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(2)).build()?;
        let keys = client.get(format!("{}/.well-known/jwks.json", config.local_url())).send().await?;
        Ok::<_, reqwest::Error>(keys.headers().contains_key("x-request-id") && keys.status().is_success())
    };
    ask.await.unwrap_or(false)
}

/// Serves until `stop` resolves, then stops: not ready, requests and jobs under way finish, at most the configured
/// time, and what is left goes back to the queue.
///
/// # Errors
/// When the listener or the workers cannot start.
pub async fn serve(
    app: &App,
    listener: TcpListener,
    routes: Router,
    stop: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    let limit = Duration::from_secs(app.config.server.shutdown_seconds);
    let waker = tokio::spawn(app.waker.clone().run(app.db.clone()));
    let upkeep = tokio::spawn(telemetry::keep_up(app.metrics.clone()));
    let keys = app.clone();
    let keys = tokio::spawn(async move { keys.token_keys.keep_fresh().await });
    let hearer = app.clone();
    let hear = move |heard| hearer.clone().hear(heard).boxed();
    let ears = tokio::spawn(signals::listen(app.db.clone(), app.hearing.clone(), hear));
    let workers = jobs::start(app)?;
    let (drained, drain) = tokio::sync::oneshot::channel::<()>();
    let stopping = app.clone();
    let service = routes.into_make_service_with_connect_info::<SocketAddr>();
    let server = axum::serve(listener, service).with_graceful_shutdown(async move {
        stop.await;
        stopping.begin_stop();
        tracing::info!("stopping");
        let _ = drained.send(());
    });
    let mut server = tokio::spawn(async move { server.await });
    let mut deadline = tokio::time::Instant::now() + limit;
    tokio::select! {
        ended = &mut server => ended??,
        _ = drain => {
            // One deadline for all of it: who waits for this process to end counts from the signal.
            deadline = tokio::time::Instant::now() + limit;
            // Requests first: they may still enqueue.
            if tokio::time::timeout_at(deadline, &mut server).await.is_err() {
                tracing::warn!("some requests took longer than {limit:?} and were cut off");
                server.abort();
            }
        }
    }
    workers.stop(deadline).await;
    waker.abort();
    upkeep.abort();
    keys.abort();
    ears.abort();
    // A request that was cut off may still hold a connection.
    let _ = tokio::time::timeout(Duration::from_secs(2), app.db.close()).await;
    Ok(())
}
