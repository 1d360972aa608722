//! Five ways lead to one settlement: the return page, the verify call, the webhook, the look at what is still open, and the
//! comparison with the provider's list. In whatever order they come and however often, an order is paid once.

use agape::app::App;
use agape::features::auth::Role;
use agape::features::webhooks::ProcessWebhook;
use agape::flows::settle;
use agape::platform::ids::WebhookEventId;
use agape::platform::jobs::Job;
use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use paystack::ListTransactions;
use serde_json::json;

use crate::concurrency::assert_ledger;
use crate::support::{PAYSTACK_KEY, Product, TestApp, charge_success};

/// How the shop hears of money.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// The shopper comes back from the payment page.
    Page,
    /// The storefront asks.
    Verify,
    /// The provider tells, and the job works on it.
    Webhook,
    /// The clock asks about what is still open.
    Sweeper,
    /// The provider's list is compared.
    Reconciliation,
}

impl Way {
    const ALL: [Self; 5] = [Self::Page, Self::Verify, Self::Webhook, Self::Sweeper, Self::Reconciliation];
}

/// An order whose money the provider has, and of which the shop has not heard yet.
#[derive(Clone, Debug)]
struct Paid {
    order: String,
    reference: String,
    /// Minor units.
    amount: i64,
    /// The provider's number.
    transaction: i64,
}

/// Pieces of one order.
const QUANTITY: i64 = 2;

async fn pay(shop: &TestApp, ama: &str, product: &Product) -> Paid {
    let order = shop.order(ama, product, QUANTITY).await;
    let payment = shop.initialize(ama, &order).await;
    shop.pay(&payment).await;
    let reference = payment["reference"].as_str().unwrap().to_owned();
    let transaction = shop.app.paystack.verify(&reference).await.unwrap();
    Paid {
        order: order["id"].as_str().unwrap().to_owned(),
        reference,
        amount: transaction.amount,
        transaction: i64::try_from(transaction.id).unwrap(),
    }
}

/// Stores a webhook and works on it, whoever else does.
async fn deliver(shop_webhook: BoxFuture<'static, ()>, app: App, pool: sqlx::PgPool, reference: String) {
    shop_webhook.await;
    let event: uuid::Uuid = sqlx::query_scalar("select id from webhook_events where reference = $1")
        .bind(&reference)
        .fetch_one(&pool)
        .await
        .unwrap();
    ProcessWebhook { event_id: WebhookEventId(event) }.run(&app).await.unwrap();
}

/// Lets the shop hear of it in one way, to its end.
fn hear(shop: &TestApp, ama: &str, way: Way, paid: &Paid) -> BoxFuture<'static, ()> {
    let (app, reference) = (shop.app.clone(), paid.reference.clone());
    match way {
        Way::Page => {
            let call = shop.get(&format!("//payments/callback?reference={reference}"));
            async move { assert_eq!(call.send().await.status, 200) }.boxed()
        }
        Way::Verify => {
            let call = shop.post(&format!("/payments/{reference}/verify")).token(ama);
            async move { assert_eq!(call.send().await.expect(200)["status"], "success") }.boxed()
        }
        Way::Webhook => {
            let bytes = serde_json::to_vec(&charge_success(&reference, paid.amount, paid.transaction)).unwrap();
            let signature = paystack::webhook::sign(&bytes, &PAYSTACK_KEY.into());
            let call = shop.post("/webhooks/paystack").header("x-paystack-signature", &signature).raw(bytes);
            let sent = async move { drop(call.send().await.expect(200)) }.boxed();
            deliver(sent, app, shop.database.pool.clone(), reference).boxed()
        }
        Way::Sweeper => async move { _ = settle::ask(&app, &reference).await.unwrap() }.boxed(),
        Way::Reconciliation => async move {
            let list = ListTransactions { per_page: Some(100), ..ListTransactions::default() };
            let page = app.paystack.list(&list).await.unwrap();
            let found = page.items.into_iter().find(|transaction| transaction.reference == reference).unwrap();
            settle::settle(&app, &found).await.unwrap();
        }
        .boxed(),
    }
}

/// All orders of all elements.
fn permutations(left: &[Way]) -> Vec<Vec<Way>> {
    if left.is_empty() {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for first in left {
        let others: Vec<Way> = left.iter().copied().filter(|way| way != first).collect();
        all.extend(permutations(&others).into_iter().map(|rest| [vec![*first], rest].concat()));
    }
    all
}

async fn shop() -> (TestApp, String, Product) {
    let shop = TestApp::with(|config| config.jobs.sweep_seconds = 86_400).await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "WAYS", 1_000, 10_000).await;
    let ama = shop.customer("ama@example.com").await;
    // What the provider tells comes when the test says so.
    shop.sandbox_faults(&json!({"webhook": "none"})).await;
    (shop, ama, product)
}

/// Each of these orders is paid once, by one payment; its pieces are sold once; one receipt and one event tell of it.
async fn assert_paid_once(shop: &TestApp, product: &Product, orders: &[Paid]) {
    shop.wait_for_jobs().await;
    let count = i64::try_from(orders.len()).unwrap();
    let of_all = |sql: &'static str| shop.database.count(sql);
    assert_eq!(of_all("select count(*) from orders where status = 'paid'").await, count);
    assert_eq!(of_all("select count(*) from payments where status = 'success'").await, count);
    assert_eq!(of_all("select count(*) from payments where status = 'flagged'").await, 0);
    let wrong = "select count(*) from orders o where
                   (select count(*) from payments p where p.order_id = o.id and p.paid_minor = o.total_minor) <> 1
                   or (select count(*) from order_events e where e.order_id = o.id and e.type = 'paid') <> 1
                   or (select count(*) from emails m where m.order_id = o.id and m.kind = 'payment_receipt') <> 1
                   or (select count(*) from stock_movements s where s.order_id = o.id and s.reason = 'commit') <> 1";
    assert_eq!(of_all(wrong).await, 0, "of {orders:#?}");
    assert_eq!(shop.available(product).await, 10_000 - QUANTITY * count);
    assert_eq!(of_all("select on_hand::bigint from stock_levels").await, 10_000 - QUANTITY * count);
    assert_ledger(shop).await;
}

/// All 120 orders in which the five may come, one after the other, and every pair of one with itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_order_of_the_five_ways_pays_once() {
    let (shop, ama, product) = shop().await;
    let (shop, ama, product) = (&shop, ama.as_str(), &product);
    let mut courses = permutations(&Way::ALL);
    assert_eq!(courses.len(), 120);
    courses.extend(Way::ALL.map(|way| vec![way, way]));
    let mut orders = Vec::new();
    // Some at a time, so that the pool of connections is not what is tested.
    for some in courses.chunks(5) {
        orders.extend(
            join_all(some.iter().map(|course| async move {
                let paid = pay(shop, ama, product).await;
                for (step, way) in course.iter().enumerate() {
                    hear(shop, ama, *way, &paid).await;
                    let status: String = sqlx::query_scalar("select status from orders where id = $1")
                        .bind(paid.order.parse::<uuid::Uuid>().unwrap())
                        .fetch_one(&shop.database.pool)
                        .await
                        .unwrap();
                    assert_eq!(status, "paid", "{course:?} after step {step}");
                }
                paid
            }))
            .await,
        );
    }
    assert_paid_once(shop, product, &orders).await;
}

/// Every pair of ways at the same moment, and all five twice at the same moment.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_ways_may_come_at_once() {
    let (shop, ama, product) = shop().await;
    let mut groups: Vec<Vec<Way>> =
        Way::ALL.iter().flat_map(|first| Way::ALL.map(|second| vec![*first, second])).collect();
    groups.extend((0..5).map(|_| [Way::ALL, Way::ALL].concat()));
    let mut orders = Vec::new();
    for group in groups {
        let paid = pay(&shop, &ama, &product).await;
        // Nobody gets at the order before all have begun.
        let mut blocker = shop.database.pool.begin().await.unwrap();
        sqlx::query("select from orders where id = $1 for update")
            .bind(paid.order.parse::<uuid::Uuid>().unwrap())
            .execute(&mut *blocker)
            .await
            .unwrap();
        let all: Vec<_> = group.iter().map(|way| tokio::spawn(hear(&shop, &ama, *way, &paid))).collect();
        shop.wait_for("two of them to wait for the order", || async {
            let waiting = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' \
                           and datname = current_database()";
            (shop.database.count(waiting).await >= 2).then_some(())
        })
        .await;
        blocker.rollback().await.unwrap();
        for one in all {
            one.await.unwrap();
        }
        orders.push(paid);
    }
    assert_paid_once(&shop, &product, &orders).await;
}

/// What is paid stays paid, whatever is told of its reference later: failures, other numbers, other amounts, again and again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_is_told_later_changes_what_is_paid() {
    let (shop, ama, product) = shop().await;
    let paid = pay(&shop, &ama, &product).await;
    let told = charge_success(&paid.reference, paid.amount, paid.transaction);
    shop.deliver(&told, PAYSTACK_KEY).await.expect(200);
    shop.wait_for_jobs().await;
    let later = [
        ("status", json!("failed")),
        ("status", json!("reversed")),
        ("currency", json!("USD")),
        ("domain", json!("live")),
        ("amount", json!(1)),
        ("metadata", json!([1, {"a": null}])),
    ];
    for (number, (field, value)) in (1..).zip(later) {
        let mut event = told.clone();
        event["data"][field] = value;
        // Another number, or it would be the same event.
        event["data"]["id"] = json!(paid.transaction + number);
        for event in [&event, &told, &event] {
            shop.deliver(event, PAYSTACK_KEY).await.expect(200);
        }
        shop.wait_for_jobs().await;
    }
    assert_eq!(shop.database.count("select count(*) from webhook_events").await, 7);
    // A stranger's signature, and none.
    shop.deliver(&told, "sk_test_somebody_elses").await.expect_error(401, "AUTHENTICATION_ERROR");
    shop.deliver(&told, "").await.expect_error(401, "AUTHENTICATION_ERROR");
    assert_eq!(
        shop.database.count("select count(*) from webhook_events where status in ('received', 'failed')").await,
        0
    );
    assert_paid_once(&shop, &product, &[paid]).await;
}

/// Success is honoured after a failure and after the shopper had left, in whichever way it is heard of.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_success_after_a_failure_pays() {
    let (shop, ama, product) = shop().await;
    let mut orders = Vec::new();
    for way in Way::ALL {
        for before in ["action=decline", "action=abandon", "action=pay&card=mobile_money"] {
            let order = shop.order(&ama, &product, QUANTITY).await;
            let payment = shop.initialize(&ama, &order).await;
            let (page, reference) =
                (payment["authorizationUrl"].as_str().unwrap(), payment["reference"].as_str().unwrap());
            assert_eq!(shop.post(page).form(before).send().await.status, 303);
            let seen = shop.post(&format!("/payments/{reference}/verify")).token(&ama).send().await.expect(200);
            assert_eq!(seen["status"], if before == "action=decline" { "failed" } else { "pending" });
            shop.pay(&payment).await;
            let transaction = shop.app.paystack.verify(reference).await.unwrap();
            let paid = Paid {
                order: order["id"].as_str().unwrap().to_owned(),
                reference: reference.to_owned(),
                amount: transaction.amount,
                transaction: i64::try_from(transaction.id).unwrap(),
            };
            hear(&shop, &ama, way, &paid).await;
            orders.push(paid);
        }
    }
    assert_paid_once(&shop, &product, &orders).await;
}
