//! A shop for a test: its own database, its own server with workers and payment sandbox, and a client.

mod client;
mod database;
mod fake_paystack;
pub mod pictures;
mod receiver;
mod redis;
mod s3;
mod seed;
mod smtp;
mod wire;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use agape::app::App;
use agape::boot;
use agape::features::auth::TokenKeys;
use agape::platform::clock::Clock;
use agape::platform::config::Config;
use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub use client::{Answer, Call};
pub use database::{TestDatabase, connect};
pub use fake_paystack::{FakePaystack, listed};
pub use receiver::{Receiver, Told};
pub use redis::TestRedis;
pub use s3::{FakeS3, Fault};
pub use seed::{PASSWORD, Product, address, charge_success};
pub use smtp::FakeSmtp;
pub use wire::Wire;

/// The secret key of the sandbox.
pub const PAYSTACK_KEY: &str = "sk_test_0000000000000000000000000000000000000000";

/// A running shop. When it is dropped, its database and files are gone.
pub struct TestApp {
    pub app: App,
    pub url: String,
    pub http: reqwest::Client,
    pub database: Arc<TestDatabase>,
    data_dir: Arc<tempfile::TempDir>,
    stop: Option<oneshot::Sender<()>>,
    server: Option<JoinHandle<anyhow::Result<()>>>,
}

impl TestApp {
    /// A shop without products.
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// A shop with other settings.
    pub async fn with(change: impl FnOnce(&mut Config)) -> Self {
        Self::on_database(TestDatabase::create().await, change).await
    }

    /// A shop on this database.
    pub async fn on_database(database: TestDatabase, change: impl FnOnce(&mut Config)) -> Self {
        let data_dir = Arc::new(tempfile::tempdir().unwrap());
        Self::on(Arc::new(database), data_dir, Clock::default(), change).await
    }

    /// Another server of this shop, on its database and with its clock, beside the first.
    pub async fn another(&self, change: impl FnOnce(&mut Config)) -> Self {
        let url = self.app.config.public_url();
        let change = |config: &mut Config| {
            config.server.public_url = url;
            change(config);
        };
        Self::on(self.database.clone(), self.data_dir.clone(), self.app.clock.clone(), change).await
    }

    /// Stops this shop and starts another on its database and its files, with other settings. The clock goes on.
    pub async fn restart(mut self, change: impl FnOnce(&mut Config)) -> Self {
        self.stop().await;
        let clock = self.app.clock.clone();
        Self::on(self.database.clone(), self.data_dir.clone(), clock, change).await
    }

    async fn on(
        database: Arc<TestDatabase>,
        data_dir: Arc<tempfile::TempDir>,
        clock: Clock,
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        let mut config = Config::defaults().unwrap();
        config.server.port = address.port();
        config.server.host = address.ip();
        config.server.public_url = format!("http://{address}");
        config.server.data_dir = data_dir.path().to_owned();
        config.server.shutdown_seconds = 5;
        config.auth.private_key_file = signing_key().display().to_string();
        // The cheapest hash that is allowed: what is tested is not argon2.
        config.auth.hash_memory_kib = 8_192;
        config.auth.hash_passes = 1;
        config.payments.paystack_secret_key = SecretString::from(PAYSTACK_KEY);
        config.jobs.retry_seconds = 1;
        // All tests come from one address.
        config.limits.public_per_minute = 0;
        config.limits.auth_per_minute = 0;
        config.limits.admin_per_minute = 0;
        // All tests run with Redis too: see scripts/test.sh.
        if let Ok(redis) = std::env::var("AGAPE_TEST_REDIS") {
            config.redis.url = redis.into();
            config.redis.prefix = database.name.clone();
        }
        change(&mut config);
        let app = boot::build(config, &database.url, clock).await.unwrap();
        let routes = boot::routes(&app).unwrap();
        let (stop, stopped) = oneshot::channel();
        let served = app.clone();
        let server = tokio::spawn(async move {
            let stopped = async {
                let _ = stopped.await;
            };
            boot::serve(&served, listener, routes, stopped).await
        });
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self { app, url: format!("http://{address}"), http, database, data_dir, stop: Some(stop), server: Some(server) }
    }

    /// Stops the server as SIGTERM does, and waits for its end.
    pub async fn stop(&mut self) {
        if let (Some(stop), Some(server)) = (self.stop.take(), self.server.take()) {
            let _ = stop.send(());
            server.await.unwrap().unwrap();
        }
    }

    /// Where this shop keeps its files.
    pub fn data_dir(&self) -> &Path {
        self.data_dir.path()
    }

    /// Waits until `look` gives a value, and fails after a minute.
    pub async fn wait_for<T, F: Future<Output = Option<T>>>(&self, what: &str, look: impl Fn() -> F) -> T {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
        loop {
            if let Some(value) = look().await {
                return value;
            }
            assert!(tokio::time::Instant::now() < deadline, "waited too long for {what}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Changes taxes or shipping in the database, as the staff do.
    pub async fn set_rates(&self, sql: &'static str) {
        sqlx::query(sql).execute(&self.database.pool).await.unwrap();
        self.app.rates.forget().await;
    }

    /// Waits until no job is left to do now. Jobs that are due later do not count.
    pub async fn wait_for_jobs(&self) {
        self.wait_for("the jobs", || async {
            let open: i64 = self
                .database
                .count("select count(*) from river_job where state in ('available', 'running', 'retryable')")
                .await;
            (open == 0).then_some(())
        })
        .await;
    }

    /// The subjects of the mails of one kind, the oldest first, once no job is left that may send more.
    pub async fn mails(&self, kind: &str) -> Vec<String> {
        self.wait_for_jobs().await;
        sqlx::query_scalar("select subject from emails where kind = $1 order by created_at, id")
            .bind(kind)
            .fetch_all(&self.database.pool)
            .await
            .unwrap()
    }
}

/// One signing key for all tests: making one takes longer than most of them.
fn signing_key() -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("access-token.pem");
    TokenKeys::load(&path, true, &Config::defaults().unwrap().auth).unwrap();
    path
}
