//! What a `kill -9` leaves behind, with the real program.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use agape::features::auth::Role;
use serde_json::json;

use crate::concurrency::assert_ledger;
use crate::support::{PAYSTACK_KEY, Product, TestApp, charge_success};

/// The program, serving. It is killed when it is dropped.
pub struct Agape(Child);

impl Agape {
    pub fn serve(database: &str, data_dir: &Path, port: u16, extra: &[(&str, &str)]) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_agape"))
            .arg("serve")
            .env("DATABASE_URL", database)
            .env("AGAPE_SERVER__DATA_DIR", data_dir)
            .env("PORT", port.to_string())
            .env("PAYSTACK_SECRET_KEY", PAYSTACK_KEY)
            .env("AGAPE_PAYMENTS__TIMEOUT_SECONDS", "1")
            .env("AGAPE_WEBHOOKS__TIMEOUT_SECONDS", "1")
            .env("AGAPE_JOBS__TIMEOUT_SECONDS", "2")
            .env("AGAPE_JOBS__RESCUE_SECONDS", "3")
            .env("AGAPE_JOBS__RETRY_SECONDS", "1")
            .envs(extra.iter().copied())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self(child)
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    pub fn terminate(&mut self) -> Option<i32> {
        let pid = i32::try_from(self.0.id()).unwrap();
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGTERM).unwrap();
        self.0.wait().unwrap().code()
    }
}

impl Drop for Agape {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

pub async fn wait_until_ready(shop: &TestApp, port: u16) {
    let url = format!("http://127.0.0.1:{port}/readyz");
    shop.wait_for("the program to be ready", || async {
        shop.http.get(&url).send().await.ok().filter(|answer| answer.status() == 200).map(drop)
    })
    .await;
}

/// An order waits for its money. The program stores the webhook and is killed before it has worked on it; after a
/// restart the order is paid, and one receipt is sent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stored_webhook_survives_a_kill() {
    // This shop only prepares and looks; the killed program does the work.
    let mut shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 5).await;
    let ama = shop.customer("ama@example.com").await;
    let order = shop.order(&ama, &product, 2).await;
    let payment = shop.initialize(&ama, &order).await;
    let reference = payment["reference"].as_str().unwrap().to_owned();
    let total = shop.database.count("select total_minor from orders").await;
    shop.wait_for_jobs().await;
    shop.stop().await;

    let (port, data) = (free_port(), tempfile::tempdir().unwrap());
    // A lock on the order keeps the job from finishing, so that the kill surely comes between receipt and work.
    let mut blocker = shop.database.pool.begin().await.unwrap();
    sqlx::query("select from orders for update").execute(&mut *blocker).await.unwrap();
    let mut program = Agape::serve(&shop.database.url, data.path(), port, &[]);
    wait_until_ready(&shop, port).await;
    let bytes = serde_json::to_vec(&charge_success(&reference, total, 5)).unwrap();
    let answer = shop
        .http
        .post(format!("http://127.0.0.1:{port}/api/v1/webhooks/paystack"))
        .header("content-type", "application/json")
        .header("x-paystack-signature", paystack::webhook::sign(&bytes, &PAYSTACK_KEY.into()))
        .body(bytes)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    shop.wait_for("the job to run", || async {
        let running = "select count(*) from river_job where kind = 'process_webhook' and state = 'running'";
        (shop.database.count(running).await == 1).then_some(())
    })
    .await;
    program.kill();
    blocker.rollback().await.unwrap();
    assert_eq!(shop.database.text("select status from orders").await.unwrap(), "pending_payment");

    let mut program = Agape::serve(&shop.database.url, data.path(), port, &[]);
    wait_until_ready(&shop, port).await;
    shop.wait_for("the receipt", || async {
        let mails = shop.database.count("select count(*) from emails where kind = 'payment_receipt'").await;
        (mails == 1).then_some(())
    })
    .await;
    shop.wait_for_jobs().await;
    assert_eq!(shop.database.text("select status from orders").await.unwrap(), "paid");
    assert_eq!(shop.database.count("select count(*) from order_events where type = 'paid'").await, 1);
    assert_eq!(shop.database.count("select count(*) from emails where kind = 'payment_receipt'").await, 1);
    assert_eq!(program.terminate(), Some(0), "a graceful stop exits with 0");
    let mut connection = shop.database.pool.acquire().await.unwrap();
    let faults = agape::features::inventory::ledger_faults(&mut connection).await.unwrap();
    assert!(faults.is_empty(), "{faults:#?}");
}

/// A stop lets the request under way finish: the order that was being placed is there, and its answer arrives.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_graceful_stop_finishes_what_is_under_way() {
    let mut shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 5).await;
    let mut blocker = shop.database.pool.begin().await.unwrap();
    sqlx::query("select from stock_levels for update").execute(&mut *blocker).await.unwrap();
    let body = json!({"email": "a@example.com", "items": [{"variantId": product.variant, "quantity": 1}],
                      "shippingAddress": crate::support::address()});
    let under_way = tokio::spawn(shop.post("/orders").json(&body).send());
    shop.wait_for("the order to wait for the lock", || async {
        let waiting = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' \
                       and datname = current_database()";
        (shop.database.count(waiting).await > 0).then_some(())
    })
    .await;
    let app = shop.app.clone();
    let stopping = async {
        while !app.is_stopping() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        blocker.rollback().await.unwrap();
    };
    tokio::join!(shop.stop(), stopping);
    assert_eq!(under_way.await.unwrap().status, 201);
    assert_eq!(shop.database.count("select count(*) from orders").await, 1);
}

/// The private database of a killed program goes away with it, and the next start finds everything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_private_database_survives_a_kill() {
    let shop = TestApp::start().await;
    let folder = tempfile::tempdir().unwrap();
    // The database's server runs as another user when this runs as root.
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let data = folder.path().join("data");
    let (port, user) = (free_port(), json!({"email": "a@example.com", "password": "Test@1234", "name": "A"}));
    let mut program = Agape::serve("", &data, port, &[]);
    wait_until_ready(&shop, port).await;
    let base = format!("http://127.0.0.1:{port}/api/v1");
    let registered = shop.http.post(format!("{base}/auth/register")).json(&user).send().await.unwrap();
    assert_eq!(registered.status(), 201);
    program.kill();

    let mut program = Agape::serve("", &data, port, &[]);
    wait_until_ready(&shop, port).await;
    let login = json!({"email": "a@example.com", "password": "Test@1234"});
    let signed_in = shop.http.post(format!("{base}/auth/login")).json(&login).send().await.unwrap();
    assert_eq!(signed_in.status(), 200);
    let products: serde_json::Value =
        shop.http.get(format!("{base}/products?limit=100")).send().await.unwrap().json().await.unwrap();
    assert!(products["data"]["products"].as_array().unwrap().len() >= 12, "the demo catalogue is loaded once");
    assert_eq!(program.terminate(), Some(0));
    assert!(!data.join("postgres/postmaster.pid").exists(), "the database stops with the program");
    assert_ledger(&shop).await;
}

/// A buyer who repeats his request under its key until it is answered, whatever happens to the program. Gives the order's id.
async fn buy(shop: &TestApp, url: &str, email: &str, key: &str, product: &Product) -> String {
    let body = json!({"email": email, "items": [{"variantId": product.variant, "quantity": 1}],
                      "shippingAddress": crate::support::address()});
    shop.wait_for("an order", || async {
        let sent = shop.http.post(url).header("idempotency-key", key).json(&body).send().await;
        let answer = sent.ok()?;
        match answer.status().as_u16() {
            201 => {
                let body: serde_json::Value = answer.json().await.ok()?;
                Some(body["data"]["order"]["id"].as_str().unwrap().to_owned())
            }
            // The database has not noticed yet that the first request with this key is dead.
            409 | 503 => None,
            other => panic!("{other}: {}", answer.text().await.unwrap()),
        }
    })
    .await
}

/// The program is killed again and again while it writes orders of one variant together. Every buyer repeats his request
/// until he has an answer, and has one order for each then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_within_a_batch_loses_no_order_and_doubles_none() {
    const BUYERS: usize = 20;
    const ORDERS: usize = 8;
    let mut shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "HOT", 1_000, 1_000).await;
    shop.stop().await;
    let (port, data) = (free_port(), tempfile::tempdir().unwrap());
    let unlimited = [("AGAPE_LIMITS__PUBLIC_PER_MINUTE", "0")];
    let mut program = Agape::serve(&shop.database.url, data.path(), port, &unlimited);
    wait_until_ready(&shop, port).await;
    let url = format!("http://127.0.0.1:{port}/api/v1/orders");
    let buyers = futures::future::join_all((0..BUYERS).map(|buyer| {
        let (shop, url, product) = (&shop, &url, &product);
        async move {
            let email = format!("buyer-{buyer}@example.com");
            let mut ids = Vec::new();
            for number in 0..ORDERS {
                ids.push(buy(shop, url, &email, &format!("key-{number}"), product).await);
            }
            // Once more, for the last.
            assert_eq!(buy(shop, url, &email, &format!("key-{}", ORDERS - 1), product).await, ids[ORDERS - 1]);
            ids
        }
    }));
    let killer = async {
        for kill in 1..=4 {
            shop.wait_for("some orders", || async {
                (shop.database.count("select count(*) from orders").await >= kill * 25).then_some(())
            })
            .await;
            // Nobody gets past this lock, so that some are being written, and others wait for them.
            let mut blocker = shop.database.pool.begin().await.unwrap();
            sqlx::query("select from stock_levels for update").execute(&mut *blocker).await.unwrap();
            shop.wait_for("orders to be written", || async {
                let waiting = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' \
                               and datname = current_database() and application_name = 'agape'";
                (shop.database.count(waiting).await > 0).then_some(())
            })
            .await;
            program.kill();
            blocker.rollback().await.unwrap();
            program = Agape::serve(&shop.database.url, data.path(), port, &unlimited);
            wait_until_ready(&shop, port).await;
        }
    };
    let (ids, ()) = tokio::join!(buyers, killer);
    let ids: std::collections::BTreeSet<String> = ids.into_iter().flatten().collect();
    assert_eq!(ids.len(), BUYERS * ORDERS);
    let count = i64::try_from(ids.len()).unwrap();
    assert_eq!(shop.database.count("select count(*) from orders").await, count);
    assert_eq!(shop.database.count("select reserved::bigint from stock_levels").await, count);
    assert_eq!(shop.database.count("select count(*) from idempotency_keys").await, count);
    drop(program);
    let mut connection = shop.database.pool.acquire().await.unwrap();
    let faults = agape::features::inventory::ledger_faults(&mut connection).await.unwrap();
    assert!(faults.is_empty(), "{faults:#?}");
}
