//! What the shop does when its database does not.

use std::time::{Duration, Instant};

use agape::features::auth::Role;
use futures::future::join_all;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

use crate::support::{Answer, TestApp, address};

/// Connections whose server processes stand still: they take everything and answer nothing.
struct Frozen(Vec<Pid>);

impl Frozen {
    /// Stops the processes behind the shop's idle connections.
    async fn all_of(shop: &TestApp) -> Self {
        let pids: Vec<i32> = sqlx::query_scalar(
            "select pid from pg_stat_activity
             where datname = current_database() and application_name = 'agape' and state = 'idle'",
        )
        .fetch_all(&shop.database.pool)
        .await
        .unwrap();
        let frozen = Self(pids.into_iter().map(Pid::from_raw).collect());
        for pid in &frozen.0 {
            kill(*pid, Signal::SIGSTOP).unwrap();
        }
        frozen
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        for pid in &self.0 {
            // It may have been closed and gone.
            let _ = kill(*pid, Signal::SIGCONT);
        }
    }
}

/// Connections that died without a word cost the requests that were given them, and nobody has to restart anything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frozen_connections_are_replaced_within_ten_seconds() {
    let shop = TestApp::with(|config| {
        config.server.request_timeout_seconds = 1;
        config.database.acquire_timeout_ms = 1_000;
        // Each read asks the database.
        config.cache.list_bytes = 0;
    })
    .await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "FROZEN", 100, 100).await;
    let order = json!({
        "email": "buyer@example.com",
        "items": [{"variantId": product.variant, "quantity": 1}],
        "shippingAddress": address(),
    });
    let read = || shop.get("/products").send();
    // Both pools have connections, and the first reads find them fresh from use.
    shop.post("/orders").json(&order).send().await.expect(201);
    shop.wait_for_jobs().await;
    join_all((0..20).map(|_| read())).await;

    let frozen = Frozen::all_of(&shop).await;
    assert!(frozen.0.len() >= 3, "{} connections were open", frozen.0.len());
    let started = Instant::now();
    let answers = join_all((0..20).map(|_| read())).await;
    assert!(started.elapsed() < Duration::from_secs(4), "the answers took {:?}", started.elapsed());
    let failed: Vec<_> = answers.iter().filter(|answer| answer.status != 200).collect();
    assert!(!failed.is_empty());
    for answer in failed {
        answer.expect_error(503, "SERVICE_UNAVAILABLE");
    }

    // As many at once as the pool has room for: each place in it is good again.
    let places = shop.app.config.database.pool_max;
    let all_well = |answers: &[Answer]| answers.iter().all(|answer| answer.status == 200);
    while !all_well(&join_all((0..places).map(|_| read())).await) {
        assert!(started.elapsed() < Duration::from_secs(10), "the pool has not recovered");
    }
    let mut placed = shop.post("/orders").json(&order).send().await;
    while placed.status == 503 {
        assert!(started.elapsed() < Duration::from_secs(10), "orders cannot be placed again: {}", placed.text);
        placed = shop.post("/orders").json(&order).send().await;
    }
    placed.expect(201);
}
