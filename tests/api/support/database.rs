//! Databases for tests, cloned from one migrated template on one private server.

use agape::platform::crypto::sha256;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection};

/// Connections of a test, besides the shop's.
const CONNECTIONS: u32 = 2;

/// A migrated database of its own. It is dropped with this value.
pub struct TestDatabase {
    pub url: String,
    pub pool: PgPool,
    pub name: String,
}

/// The server that `make test` starts.
fn server() -> String {
    std::env::var("AGAPE_TEST_POSTGRES").expect(
        "these tests need a PostgreSQL server: run `make test`, or \
         `cargo run -p private-postgres --bin with-postgres -- cargo test`",
    )
}

pub async fn connect(database: &str) -> PgConnection {
    let options: PgConnectOptions = server().parse().unwrap();
    options.database(database).connect().await.unwrap()
}

fn url_of(name: &str) -> String {
    let mut url = url::Url::parse(&server()).unwrap();
    url.set_path(name);
    url.to_string()
}

/// The name of the template, made by whichever test comes first. Other migrations make another one, so that a server may
/// serve several checkouts.
async fn template() -> String {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let all: Vec<u8> = files.iter().flat_map(|file| std::fs::read(file).unwrap()).collect();
    let name = format!("agape_template_{}", hex::encode(&sha256(&all)[..8]));
    let mut admin = connect("postgres").await;
    // Tests run in processes of their own, so the lock is the server's.
    admin.execute("select pg_advisory_lock(4711)").await.unwrap();
    let exists: bool = sqlx::query_scalar("select exists (select from pg_database where datname = $1)")
        .bind(&name)
        .fetch_one(&mut admin)
        .await
        .unwrap();
    if !exists {
        let half = format!("{name}_half");
        admin.execute(AssertSqlSafe(format!("drop database if exists {half} with (force)"))).await.unwrap();
        admin.execute(AssertSqlSafe(format!("create database {half}"))).await.unwrap();
        agape::platform::db::migrate(&url_of(&half)).await.unwrap();
        admin.execute(AssertSqlSafe(format!("alter database {half} rename to {name}"))).await.unwrap();
    }
    admin.close().await.unwrap();
    name
}

impl TestDatabase {
    pub async fn create() -> Self {
        let template = template().await;
        let name = format!("t_{}", uuid::Uuid::now_v7().simple());
        let mut admin = connect("postgres").await;
        admin
            .execute(AssertSqlSafe(format!("create database {name} template {template} strategy file_copy")))
            .await
            .unwrap();
        admin.close().await.unwrap();
        let url = url_of(&name);
        let pool = PgPoolOptions::new().max_connections(CONNECTIONS).connect(&url).await.unwrap();
        Self { url, pool, name }
    }

    /// Counts what this test has read itself: its connections report that later else, and it would be taken for the shop's.
    pub async fn report_reads(&self) {
        let mut all = Vec::new();
        for _ in 0..CONNECTIONS {
            all.push(self.pool.acquire().await.unwrap());
        }
        for connection in &mut all {
            connection.execute("select pg_stat_force_next_flush()").await.unwrap();
        }
    }

    /// The number that a query gives.
    pub async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&self.pool).await.unwrap()
    }

    /// The text that a query gives.
    pub async fn text(&self, sql: &'static str) -> Option<String> {
        sqlx::query_scalar(sql).fetch_optional(&self.pool).await.unwrap()
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let name = self.name.clone();
        // A thread of its own, because a test's runtime cannot wait while it drops.
        let dropped = std::thread::spawn(move || {
            tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
                let mut admin = connect("postgres").await;
                admin.execute(AssertSqlSafe(format!("drop database if exists {name} with (force)"))).await.unwrap();
            });
        })
        .join();
        if dropped.is_err() && !std::thread::panicking() {
            panic!("a test's database could not be dropped");
        }
    }
}
