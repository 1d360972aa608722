//! Attempts of which nothing is heard are asked about, until they are paid or their time is over.

use agape::features::auth::Role;
use agape::flows::expire::Sweep;
use agape::flows::sweep_payments::SweepPayments;
use agape::platform::jobs::Job;
use chrono::TimeDelta;
use futures::future::join_all;
use serde_json::{Value, json};

use crate::concurrency::assert_ledger;
use crate::reconciliation::give_back_in_silence;
use crate::support::{Product, TestApp};

/// A shop whose clock does nothing by itself, with a product and a customer.
async fn shop() -> (TestApp, Product, String) {
    let shop = TestApp::with(|config| {
        config.jobs.sweep_seconds = 86_400;
        config.database.lock_timeout_ms = 500;
        config.payments.breaker_failures = 0;
    })
    .await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 100).await;
    let ama = shop.customer("ama@example.com").await;
    shop.sandbox_faults(&json!({"webhook": "none"})).await;
    (shop, product, ama)
}

async fn sweep(shop: &TestApp) {
    SweepPayments {}.run(&shop.app).await.unwrap();
}

/// The minutes until the next look at the only payment.
async fn minutes_left(shop: &TestApp) -> Option<i64> {
    let at = sqlx::query_scalar::<_, Option<chrono::DateTime<chrono::Utc>>>("select next_look_at from payments");
    let at = at.fetch_one(&shop.database.pool).await.unwrap();
    at.map(|at| ((at - shop.app.clock.now()).num_seconds() + 30) / 60)
}

async fn count(shop: &TestApp, what: &'static str) -> i64 {
    shop.database.count(what).await
}

const PAID: &str = "select count(*) from orders where status = 'paid'";

/// A payment whose webhook is lost is found after five minutes, and not asked about before.
#[tokio::test]
async fn a_lost_webhook_is_made_up_for() {
    let (shop, product, ama) = shop().await;
    let order = shop.order(&ama, &product, 2).await;
    shop.pay(&shop.initialize(&ama, &order).await).await;
    shop.app.clock.advance(TimeDelta::minutes(4));
    sweep(&shop).await;
    assert_eq!(count(&shop, "select looks::bigint from payments").await, 0);
    shop.app.clock.advance(TimeDelta::minutes(1));
    sweep(&shop).await;
    assert_eq!(count(&shop, PAID).await, 1);
    sweep(&shop).await;
    assert_eq!(count(&shop, "select looks::bigint from payments").await, 1);
    assert_eq!(shop.mails("payment_receipt").await.len(), 1);
    assert_ledger(&shop).await;
}

/// What went back of such a payment meanwhile is heard of with it.
#[tokio::test]
async fn a_lost_webhook_is_made_up_for_with_its_refunds() {
    let (shop, product, ama) = shop().await;
    let payment = shop.initialize(&ama, &shop.order(&ama, &product, 2).await).await;
    shop.pay(&payment).await;
    give_back_in_silence(&shop, payment["reference"].as_str().unwrap(), 4_500).await;
    shop.app.clock.advance(TimeDelta::minutes(6));
    sweep(&shop).await;
    assert_eq!(count(&shop, "select count(*) from orders where status = 'partially_refunded'").await, 1);
    assert_eq!(count(&shop, "select refunded_minor from payments").await, 4_500);
    assert_ledger(&shop).await;
}

/// The waits double up to an hour. An attempt that was given up with its order is still asked about, as its page may still be paid,
/// and let go three days later.
#[tokio::test]
async fn an_attempt_is_asked_about_until_its_time_is_over() {
    let (shop, product, ama) = shop().await;
    let order = shop.order(&ama, &product, 2).await;
    let payment = shop.initialize(&ama, &order).await;
    // The minutes until a look, and those until the next one after it.
    for (left, next) in [(5, 10), (10, 20), (20, 40), (40, 60), (60, 60)] {
        shop.app.clock.advance(TimeDelta::minutes(left) + TimeDelta::seconds(1));
        sweep(&shop).await;
        assert_eq!(minutes_left(&shop).await, Some(next));
    }
    Sweep {}.run(&shop.app).await.unwrap();
    assert_eq!(count(&shop, "select count(*) from payments where status = 'abandoned'").await, 1);
    shop.app.clock.advance(TimeDelta::minutes(61));
    sweep(&shop).await;
    assert_eq!(minutes_left(&shop).await, Some(60));
    // The shopper pays the page that he left open.
    shop.pay(&payment).await;
    shop.app.clock.advance(TimeDelta::minutes(61));
    sweep(&shop).await;
    assert_eq!(count(&shop, "select count(*) from payments where status in ('success', 'flagged')").await, 1);
    assert_ledger(&shop).await;

    let ama = shop.login("ama@example.com").await;
    // The last look comes after the time, so that it is not lost with a process that dies.
    shop.initialize(&ama, &shop.order(&ama, &product, 1).await).await;
    shop.app.clock.advance(TimeDelta::minutes(31));
    Sweep {}.run(&shop.app).await.unwrap();
    shop.app.clock.advance(TimeDelta::hours(73));
    sweep(&shop).await;
    let waiting = "select count(*) from payments where status = 'abandoned' and next_look_at is not null";
    assert_eq!(count(&shop, waiting).await, 0);
}

/// While the provider does not answer, one round is lost and no attempt; nothing is counted as a look.
#[tokio::test]
async fn a_provider_that_is_away_costs_a_minute() {
    let (shop, product, ama) = shop().await;
    for _ in 0..12 {
        shop.pay(&shop.initialize(&ama, &shop.order(&ama, &product, 1).await).await).await;
    }
    shop.app.clock.advance(TimeDelta::minutes(6));
    shop.sandbox_faults(&json!({"webhook": "none", "fail_next": {"status": 503, "count": 1000}})).await;
    sweep(&shop).await;
    assert_eq!(count(&shop, "select count(*) from payments where looks = 0").await, 12);
    let due = "select count(*) from payments where next_look_at > now() + interval '8 minutes'";
    assert_eq!(count(&shop, due).await, 0);
    shop.sandbox_faults(&json!({"webhook": "none", "fail_next": {"status": 429, "count": 1000, "reset": 60}})).await;
    shop.app.clock.advance(TimeDelta::minutes(2));
    sweep(&shop).await;
    assert_eq!(count(&shop, PAID).await, 0);
    shop.sandbox_faults(&json!({"webhook": "none"})).await;
    shop.app.clock.advance(TimeDelta::minutes(2));
    shop.wait_for("the provider", || async {
        sweep(&shop).await;
        shop.app.clock.advance(TimeDelta::minutes(1));
        (count(&shop, PAID).await == 12).then_some(())
    })
    .await;
    assert_ledger(&shop).await;
}

/// One that cannot be settled keeps no other from it, and comes again in its turn.
#[tokio::test]
async fn one_that_fails_stops_no_other() {
    let (shop, product, ama) = shop().await;
    let stuck = shop.order(&ama, &product, 1).await;
    shop.pay(&shop.initialize(&ama, &stuck).await).await;
    for _ in 0..3 {
        shop.pay(&shop.initialize(&ama, &shop.order(&ama, &product, 1).await).await).await;
    }
    let id: uuid::Uuid = stuck["id"].as_str().unwrap().parse().unwrap();
    let mut blocker = shop.database.pool.begin().await.unwrap();
    sqlx::query("select from orders where id = $1 for update").bind(id).execute(&mut *blocker).await.unwrap();
    shop.app.clock.advance(TimeDelta::minutes(6));
    sweep(&shop).await;
    assert_eq!(count(&shop, PAID).await, 3);
    blocker.rollback().await.unwrap();
    shop.app.clock.advance(TimeDelta::minutes(11));
    sweep(&shop).await;
    assert_eq!(count(&shop, PAID).await, 4);
}

/// An attempt that the provider was never told of stays while its order may be paid, and is closed with it.
#[tokio::test]
async fn an_attempt_that_the_provider_does_not_know_ends_with_its_order() {
    let (shop, product, ama) = shop().await;
    let order = shop.order(&ama, &product, 1).await;
    shop.sandbox_faults(&json!({"fail_next": {"status": 503, "count": 1}})).await;
    let body = json!({"orderId": order["id"]});
    shop.post("/payments/initialize").token(&ama).json(&body).send().await.expect_error(503, "EXTERNAL_SERVICE_ERROR");
    shop.app.clock.advance(TimeDelta::minutes(6));
    sweep(&shop).await;
    assert_eq!(count(&shop, "select count(*) from payments where status = 'created' and looks = 1").await, 1);
    // The clock that gives up orders stands still; this one sees that the order's time is over.
    shop.app.clock.advance(TimeDelta::minutes(40));
    sweep(&shop).await;
    let closed = "select count(*) from payments where status = 'abandoned' and next_look_at is null";
    assert_eq!(count(&shop, closed).await, 1);
}

/// Four at it at the same time ask about each attempt once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_attempt_is_asked_about_once() {
    let (shop, product, ama) = shop().await;
    let mut orders: Vec<Value> = Vec::new();
    for _ in 0..20 {
        orders.push(shop.order(&ama, &product, 1).await);
    }
    for order in &orders {
        shop.pay(&shop.initialize(&ama, order).await).await;
    }
    shop.app.clock.advance(TimeDelta::minutes(6));
    for swept in join_all((0..4).map(|_| SweepPayments {}.run(&shop.app))).await {
        swept.unwrap();
    }
    assert_eq!(count(&shop, PAID).await, 20);
    assert_eq!(count(&shop, "select count(*) from payments where looks = 1").await, 20);
    assert_eq!(shop.mails("payment_receipt").await.len(), 20);
    assert_ledger(&shop).await;
}
