//! Addresses of others are told of events: each at least once, of one order in order, by nobody who could be somebody else, and
//! into no network that is not theirs.

use std::collections::BTreeSet;

use agape::features::auth::Role;
use agape::features::events;
use agape::features::merchant_webhooks::{self, sign};
use agape::flows::deliver_webhooks::{DeliverWebhooks, deliver};
use agape::flows::retention::Retention;
use agape::platform::config::{Config, Environment};
use agape::platform::jobs::Job;
use chrono::TimeDelta;
use futures::future::join_all;
use serde_json::{Value, json};

use crate::support::{Product, Receiver, TestApp, Told};

const AMA: &str = "ama@example.com";

/// A shop that may tell receivers on this machine, and only does when it is asked to.
async fn shop() -> TestApp {
    TestApp::with(local).await
}

fn local(config: &mut Config) {
    config.webhooks.private_networks = vec!["127.0.0.1".parse().unwrap()];
    config.webhooks.poll_seconds = 60;
}

async fn add(shop: &TestApp, admin: &str, url: &str, topics: &[&str]) -> (String, String) {
    let body = json!({"url": url, "topics": topics});
    let data = shop.post("/admin/webhooks").token(admin).json(&body).send().await.expect(201);
    (data["webhook"]["id"].as_str().unwrap().to_owned(), data["secret"].as_str().unwrap().to_owned())
}

async fn webhook(shop: &TestApp, admin: &str, id: &str) -> Value {
    shop.get(&format!("/admin/webhooks/{id}")).token(admin).send().await.expect(200)["webhook"].clone()
}

async fn deliveries(shop: &TestApp, admin: &str, id: &str, query: &str) -> Vec<Value> {
    let path = format!("/admin/webhooks/{id}/deliveries?limit=100&{query}");
    shop.get(&path).token(admin).send().await.expect(200)["deliveries"].as_array().unwrap().clone()
}

/// Has what is due told until a condition holds: events are held back for moments by other transactions of the server.
async fn until(shop: &TestApp, what: &str, holds: impl AsyncFn() -> bool) {
    shop.wait_for(what, || async {
        deliver(&shop.app).await.unwrap();
        holds().await.then_some(())
    })
    .await;
}

async fn until_told(shop: &TestApp, receiver: &Receiver, path: &str, count: usize) -> Vec<Told> {
    until(shop, "the events", async || receiver.told(path).len() >= count).await;
    let told = receiver.told(path);
    assert_eq!(told.len(), count, "{told:#?}");
    told
}

fn topics(told: &[Told]) -> Vec<&str> {
    told.iter().map(|told| told.event["topic"].as_str().unwrap()).collect()
}

async fn cancel(shop: &TestApp, token: &str, order: &Value) {
    let path = format!("/orders/{}/cancel", order["id"].as_str().unwrap());
    shop.post(&path).token(token).json(&json!({})).send().await.expect(200);
}

async fn goods(shop: &TestApp) -> (String, Product, String) {
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 500).await;
    let ama = shop.customer(AMA).await;
    (admin, product, ama)
}

/// What is told is the event as it is read, signed with every secret that is in force and with no other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_is_told_signed_and_as_it_is_read() {
    let shop = shop().await;
    let (admin, product, ama) = goods(&shop).await;
    let receiver = Receiver::start().await;
    let before = shop.order(&ama, &product, 1).await;
    // Whatever was open then has ended, so that the order before is not told.
    shop.wait_for("the first order", || async {
        let path = format!("/admin/events?topic=order.placed&order={}", before["id"].as_str().unwrap());
        let data = shop.get(&path).token(&admin).send().await.expect(200);
        (data["events"].as_array().unwrap().len() == 1).then_some(())
    })
    .await;
    let (id, secret) =
        add(&shop, &admin, &format!("{}/orders", receiver.url), &["order.placed", "order.cancelled"]).await;
    let all = add(&shop, &admin, &format!("{}/all", receiver.url), &[]).await.1;
    let order = shop.order(&ama, &product, 1).await;
    let told = until_told(&shop, &receiver, "/orders", 1).await.remove(0);
    assert_eq!(topics(&until_told(&shop, &receiver, "/all", 2).await), ["order.placed", "stock.changed"]);
    let path = format!("/admin/events?order={}&limit=1", order["id"].as_str().unwrap());
    let read = shop.get(&path).token(&admin).send().await.expect(200)["events"][0].clone();
    assert_eq!(told.event, read);
    assert_eq!(
        (told.header("agape-event-id"), told.header("agape-topic")),
        (read["id"].as_str().unwrap(), "order.placed")
    );
    assert_eq!((told.header("user-agent"), told.header("content-type")), ("agape", "application/json"));
    assert!(told.is_signed_with(&secret) && !told.is_signed_with(&all), "{told:#?}");
    assert_eq!(told.signatures(), 1);

    // While a secret is replaced both count, afterwards the new one does.
    let rotated = shop.post(&format!("/admin/webhooks/{id}/secret")).token(&admin).send().await.expect(200);
    let new = rotated["secret"].as_str().unwrap();
    assert!(new != secret && rotated["webhook"]["previousSecretUntil"].is_string(), "{rotated}");
    cancel(&shop, &ama, &order).await;
    let told = until_told(&shop, &receiver, "/orders", 2).await.remove(1);
    assert!(told.is_signed_with(&secret) && told.is_signed_with(new) && told.signatures() == 2, "{told:#?}");
    shop.app.clock.advance(TimeDelta::hours(25));
    let (admin, ama) = (shop.login("admin@agape.example").await, shop.login(AMA).await);
    shop.order(&ama, &product, 1).await;
    let told = until_told(&shop, &receiver, "/orders", 3).await.remove(2);
    assert!(!told.is_signed_with(&secret) && told.is_signed_with(new) && told.signatures() == 1, "{told:#?}");
    assert_eq!(webhook(&shop, &admin, &id).await["previousSecretUntil"], Value::Null);

    // Neither secret stands anywhere as it is.
    for secret in [secret.as_str(), new] {
        assert_eq!(crate::privacy::places(&shop, secret).await, Vec::<String>::new());
    }
    let log = deliveries(&shop, &admin, &id, "").await;
    assert_eq!(log.len(), 3);
    assert_eq!(
        (&log[0]["status"], &log[0]["attempts"], &log[0]["responseStatus"]),
        (&json!("delivered"), &json!(1), &json!(200))
    );
    assert_eq!(log[0]["response"].as_str().unwrap().len(), 1024);
}

/// Events of an order wait for the one that fails; those of other orders do not. What is given up lets the rest go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_keeps_its_order_when_one_fails() {
    let shop = TestApp::with(|config| {
        local(config);
        config.webhooks.tries = 3;
    })
    .await;
    let (admin, product, ama) = goods(&shop).await;
    let receiver = Receiver::start().await;
    let wanted = ["order.placed", "order.cancelled"];
    let (id, _) = add(&shop, &admin, &format!("{}/a", receiver.url), &wanted).await;
    let (bad, good) = (shop.order(&ama, &product, 1).await, shop.order(&ama, &product, 1).await);
    receiver.answer(bad["id"].as_str().unwrap(), 500);
    cancel(&shop, &ama, &bad).await;
    cancel(&shop, &ama, &good).await;
    let of = |order: &Value| {
        let told = receiver.told("/a");
        told.into_iter().filter(|told| told.event["orderId"] == order["id"]).collect::<Vec<_>>()
    };
    until(&shop, "the good one", async || of(&good).len() == 2 && !of(&bad).is_empty()).await;
    assert_eq!(topics(&of(&good)), wanted);
    assert_eq!(topics(&of(&bad)), ["order.placed"], "the second waits for the first");
    let pending = deliveries(&shop, &admin, &id, "status=pending").await;
    assert_eq!(pending.len(), 2);
    assert_eq!((&pending[1]["attempts"], &pending[1]["error"]), (&json!(1), &json!("the server answers 500")));

    // Not before its time, and then the same event again.
    deliver(&shop.app).await.unwrap();
    assert_eq!(of(&bad).len(), 1);
    shop.app.clock.advance(TimeDelta::seconds(90));
    deliver(&shop.app).await.unwrap();
    assert_eq!(topics(&of(&bad)), ["order.placed"; 2]);
    assert_eq!(of(&bad)[0].body, of(&bad)[1].body);
    // The third try is the last; then the order goes on.
    shop.app.clock.advance(TimeDelta::seconds(270));
    deliver(&shop.app).await.unwrap();
    assert_eq!(topics(&of(&bad)), ["order.placed", "order.placed", "order.placed", "order.cancelled"]);
    let admin = shop.login("admin@agape.example").await;
    let failed = deliveries(&shop, &admin, &id, "status=failed").await;
    assert_eq!((failed.len(), &failed[0]["attempts"], &failed[0]["topic"]), (1, &json!(3), &json!("order.placed")));
    receiver.answer(bad["id"].as_str().unwrap(), 204);
    shop.app.clock.advance(TimeDelta::seconds(90));
    deliver(&shop.app).await.unwrap();
    let admin = shop.login("admin@agape.example").await;
    assert_eq!(webhook(&shop, &admin, &id).await["failingSince"], Value::Null);
    assert!(deliveries(&shop, &admin, &id, "status=pending").await.is_empty());
}

/// A receiver that does not answer holds nobody else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_receiver_holds_nobody() {
    let shop = TestApp::with(|config| {
        local(config);
        config.webhooks.timeout_seconds = 20;
    })
    .await;
    let (admin, product, ama) = goods(&shop).await;
    let receiver = Receiver::start().await;
    add(&shop, &admin, &format!("{}/hang", receiver.url), &["order.placed"]).await;
    add(&shop, &admin, &format!("{}/fast", receiver.url), &["order.placed"]).await;
    let orders = 20;
    join_all((0..orders).map(|_| shop.order(&ama, &product, 1))).await;
    let pending = "select count(*) from webhook_deliveries";
    shop.wait_for("the events", || async {
        merchant_webhooks::collect(&shop.app).await.unwrap();
        (shop.database.count(pending).await == 2 * orders).then_some(())
    })
    .await;
    let app = shop.app.clone();
    let at_it = tokio::spawn(async move { deliver(&app).await });
    shop.wait_for("the fast one", || async { (receiver.told("/fast").len() == 20).then_some(()) }).await;
    let log = "select count(*) from webhook_deliveries d join webhook_endpoints e on e.id = d.endpoint_id
               where e.url like '%/hang' and d.leased_until is not null and d.attempts = 1";
    // The shop's own job is at it too: four by each of the two.
    let under_way = shop.database.count(log).await;
    assert!((4..=8).contains(&under_way), "{under_way} of the slow one are under way");
    assert!((1..=8).contains(&receiver.told("/hang").len()));
    receiver.release();
    at_it.await.unwrap().unwrap();
    until_told(&shop, &receiver, "/hang", 20).await;
}

/// An answer that does not come in time is a failure, and the event is told again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_must_come_in_time() {
    let shop = TestApp::with(|config| {
        local(config);
        config.webhooks.timeout_seconds = 1;
    })
    .await;
    let (admin, product, ama) = goods(&shop).await;
    let receiver = Receiver::start().await;
    let (id, _) = add(&shop, &admin, &format!("{}/hang", receiver.url), &["order.placed"]).await;
    shop.order(&ama, &product, 1).await;
    until_told(&shop, &receiver, "/hang", 1).await;
    let log = deliveries(&shop, &admin, &id, "").await;
    assert_eq!((&log[0]["status"], &log[0]["responseStatus"]), (&json!("pending"), &Value::Null));
    assert_eq!(log[0]["error"], "it took longer than 1 seconds");
    receiver.release();
    shop.app.clock.advance(TimeDelta::seconds(90));
    until_told(&shop, &receiver, "/hang", 2).await;
    let log = deliveries(&shop, &admin, &id, "").await;
    assert_eq!(
        (&log[0]["status"], &log[0]["attempts"], &log[0]["error"]),
        (&json!("delivered"), &json!(2), &Value::Null)
    );
}

/// The encryption key of the shop can be replaced: the clean-up seals the secrets anew, and forgets those that have ended.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_outlive_the_key_that_seals_them() {
    let (old, new) = ("ab".repeat(32), "cd".repeat(32));
    let shop = TestApp::with(|config| {
        local(config);
        config.auth.encryption_key = old.as_str().into();
    })
    .await;
    let admin = shop.staff(Role::Admin).await;
    let receiver = Receiver::start().await;
    let (id, first) = add(&shop, &admin, &format!("{}/a", receiver.url), &[]).await;
    let second = shop.post(&format!("/admin/webhooks/{id}/secret")).token(&admin).send().await.expect(200);
    let second = second["secret"].as_str().unwrap().to_owned();
    let shop = shop
        .restart(|config| {
            local(config);
            config.auth.encryption_key = new.as_str().into();
            config.auth.previous_encryption_key = old.as_str().into();
        })
        .await;
    Retention {}.run(&shop.app).await.unwrap();
    let shop = shop
        .restart(|config| {
            local(config);
            config.auth.encryption_key = new.as_str().into();
        })
        .await;
    shop.post(&format!("/admin/webhooks/{id}/test")).token(&admin).send().await.expect(202);
    let told = until_told(&shop, &receiver, "/a", 1).await.remove(0);
    assert!(told.is_signed_with(&first) && told.is_signed_with(&second), "{told:#?}");
    shop.app.clock.advance(TimeDelta::hours(25));
    Retention {}.run(&shop.app).await.unwrap();
    let kept = "select count(*) from webhook_endpoints where previous_secret is not null";
    assert_eq!(shop.database.count(kept).await, 0);
    // With neither key the delivery says what to do, and nothing is sent unsigned.
    let shop = shop
        .restart(|config| {
            local(config);
            config.auth.encryption_key = "ef".repeat(32).as_str().into();
        })
        .await;
    let admin = shop.login("admin@agape.example").await;
    shop.post(&format!("/admin/webhooks/{id}/test")).token(&admin).send().await.expect(202);
    until(&shop, "the failure", async || {
        deliveries(&shop, &admin, &id, "").await[0]["error"] == "its secret cannot be read; replace it"
    })
    .await;
    assert_eq!(receiver.told("/a").len(), 1);
}

/// However many are at it, each event is told once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_who_deliver_tell_each_event_once() {
    let shop = shop().await;
    let (admin, product, ama) = goods(&shop).await;
    let other = shop.another(local).await;
    let receiver = Receiver::start().await;
    let (id, _) = add(&shop, &admin, &format!("{}/a", receiver.url), &[]).await;
    let orders: Vec<_> = join_all((0..15).map(|_| shop.order(&ama, &product, 1))).await;
    join_all(orders.iter().map(|order| cancel(&shop, &ama, order))).await;
    let count = 15 * 4;
    // The goods' arrival is told too where a transaction elsewhere on the server kept it back until the address was there.
    let of_orders =
        || receiver.told("/a").into_iter().filter(|told| !told.event["orderId"].is_null()).collect::<Vec<_>>();
    shop.wait_for("the events", || async {
        join_all([deliver(&shop.app), deliver(&other.app), deliver(&shop.app), deliver(&other.app)]).await;
        (of_orders().len() >= count).then_some(())
    })
    .await;
    let told = of_orders();
    let ids: BTreeSet<_> = told.iter().map(|told| told.header("agape-event-id").to_owned()).collect();
    assert_eq!((told.len(), ids.len()), (count, count));
    for order in &orders {
        let of: Vec<_> = told.iter().filter(|told| told.event["orderId"] == order["id"]).cloned().collect();
        assert_eq!(topics(&of), ["order.placed", "stock.changed", "order.cancelled", "stock.changed"]);
    }
    let delivered = deliveries(&shop, &admin, &id, "status=delivered").await.len();
    assert_eq!(delivered, receiver.told("/a").len());
    DeliverWebhooks {}.run(&shop.app).await.unwrap();
    assert_eq!(receiver.told("/a").len(), delivered);
}

/// Who dies between sending and noting has told without a note: the same event is told again, once his claim has run out. What he
/// notes late changes nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_of_the_dead_runs_out() {
    let shop = shop().await;
    let (admin, product, ama) = goods(&shop).await;
    let receiver = Receiver::start().await;
    let (id, _) = add(&shop, &admin, &format!("{}/a", receiver.url), &["order.placed"]).await;
    shop.order(&ama, &product, 1).await;
    let claim = async || {
        let (mut connection, now) = (shop.app.db.acquire().await.unwrap(), shop.app.clock.now());
        merchant_webhooks::claim(&mut connection, now, now + TimeDelta::seconds(30), 4, 32).await.unwrap()
    };
    let claimed = shop
        .wait_for("the event", || async {
            merchant_webhooks::collect(&shop.app).await.unwrap();
            claim().await.pop()
        })
        .await;
    deliver(&shop.app).await.unwrap();
    assert!(receiver.told("/a").is_empty() && claim().await.is_empty(), "somebody else is at it");
    shop.app.clock.advance(TimeDelta::seconds(31));
    deliver(&shop.app).await.unwrap();
    let told = receiver.told("/a");
    assert_eq!((told.len(), &told[0].body), (1, &claimed.body));
    let late = merchant_webhooks::Attempt { status: Some(500), response: None, error: None, duration_ms: 1 };
    let retries = merchant_webhooks::Retries { tries: 8, first: TimeDelta::seconds(80), patience: TimeDelta::days(3) };
    let mut tx = shop.app.db.begin().await.unwrap();
    let noted = merchant_webhooks::note(&mut tx, &claimed, &late, (retries, 0), shop.app.clock.now()).await.unwrap();
    assert_eq!(noted, merchant_webhooks::Noted::Stale);
    tx.commit().await.unwrap();
    let log = deliveries(&shop, &admin, &id, "").await;
    assert_eq!((&log[0]["status"], &log[0]["attempts"]), (&json!("delivered"), &json!(2)));
}

/// An address that is gone, or has taken nothing for days, is turned off; the administrators are told. Turned on, it misses nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_takes_nothing_is_turned_off() {
    let shop = shop().await;
    let (admin, product, ama) = goods(&shop).await;
    shop.staff(Role::Merchant).await;
    let receiver = Receiver::start().await;
    let (gone, _) = add(&shop, &admin, &format!("{}/gone", receiver.url), &["order.placed"]).await;
    let (dead, _) = add(&shop, &admin, &format!("{}/dead", receiver.url), &["order.placed"]).await;
    receiver.answer("/gone", 410);
    receiver.answer("/dead", 503);
    let first = shop.order(&ama, &product, 1).await;
    until(&shop, "both", async || receiver.told("/gone").len() == 1 && receiver.told("/dead").len() == 1).await;
    let state = webhook(&shop, &admin, &gone).await;
    assert_eq!((&state["isActive"], &state["version"]), (&json!(false), &json!(2)));
    assert!(state["disabledReason"].as_str().unwrap().contains("410"), "{state}");
    shop.post(&format!("/admin/webhooks/{gone}/test")).token(&admin).send().await.expect_error(409, "CONFLICT");
    assert_eq!(webhook(&shop, &admin, &dead).await["isActive"], true);
    shop.app.clock.advance(TimeDelta::days(3));
    deliver(&shop.app).await.unwrap();
    let admin = shop.login("admin@agape.example").await;
    let state = webhook(&shop, &admin, &dead).await;
    assert_eq!(state["disabledReason"], "Nothing has arrived for 3 days; the last time, the server answers 503.");
    assert_eq!(shop.mails("webhook_disabled").await.len(), 2, "the administrator for each, and nobody else");

    // Off, nothing is sent; on, all that was missed is, in order.
    let ama = shop.login(AMA).await;
    let second = shop.order(&ama, &product, 1).await;
    for _ in 0..3 {
        deliver(&shop.app).await.unwrap();
    }
    assert_eq!((receiver.told("/gone").len(), receiver.told("/dead").len()), (1, 2));
    receiver.answer("/gone", 200);
    let on = json!({"version": 2, "isActive": true});
    let state = shop.patch(&format!("/admin/webhooks/{gone}")).token(&admin).json(&on).send().await.expect(200);
    assert_eq!((&state["webhook"]["disabledReason"], &state["webhook"]["failingSince"]), (&Value::Null, &Value::Null));
    shop.app.clock.advance(TimeDelta::minutes(5));
    let told = until_told(&shop, &receiver, "/gone", 3).await;
    let orders: BTreeSet<_> = told.iter().map(|told| told.event["orderId"].as_str().unwrap().to_owned()).collect();
    assert_eq!(orders, [&first, &second].map(|order| order["id"].as_str().unwrap().to_owned()).into());
}

/// No address leads into a network that is not public: neither when it is added, nor when it is told, nor by a redirect.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_address_leads_inside() {
    let shop = shop().await;
    let (admin, product, ama) = goods(&shop).await;
    for url in [
        "http://10.0.0.1/x",
        "http://169.254.169.254/latest/meta-data/",
        "https://[::1]/x",
        "https://[::ffff:10.0.0.1]/x",
        "https://0x0a000001/",
        "https://10.1.2.3:8443/",
        "https://93.184.216.34:22/",
        "https://user:password@93.184.216.34/",
        "ftp://93.184.216.34/",
        "file:///etc/passwd",
        "nonsense",
    ] {
        let answer = shop.post("/admin/webhooks").token(&admin).json(&json!({"url": url})).send().await;
        assert_eq!(answer.expect_error(400, "VALIDATION_ERROR"), ["url"], "{url}");
    }
    let body = json!({"url": "http://10.0.0.1/", "topics": ["order.paid", "order.unknown", "note"]});
    let answer = shop.post("/admin/webhooks").token(&admin).json(&body).send().await;
    assert_eq!(answer.expect_error(400, "VALIDATION_ERROR"), ["topics[1]", "topics[2]", "url"]);

    let receiver = Receiver::start().await;
    let (away, _) = add(&shop, &admin, &format!("{}/away", receiver.url), &["order.placed"]).await;
    let (inside, _) = add(&shop, &admin, &format!("{}/inside", receiver.url), &["order.placed"]).await;
    let change = json!({"version": 1, "url": "http://192.168.1.1/"});
    let answer = shop.patch(&format!("/admin/webhooks/{inside}")).token(&admin).json(&change).send().await;
    assert_eq!(answer.expect_error(400, "VALIDATION_ERROR"), ["url"]);
    shop.order(&ama, &product, 1).await;
    until_told(&shop, &receiver, "/away", 1).await;
    assert!(receiver.told("/stolen").is_empty());
    assert_eq!(deliveries(&shop, &admin, &away, "").await[0]["error"], "the server answers 302");
    // The settings no longer name the network that the address leads into.
    let told = receiver.told("/inside").len();
    let shop = shop.restart(|config| config.webhooks.poll_seconds = 60).await;
    shop.post(&format!("/admin/webhooks/{inside}/test")).token(&admin).send().await.expect(202);
    until(&shop, "the refusal", async || {
        deliveries(&shop, &admin, &inside, "").await[0]["error"] == "it leads into a network that is not public"
    })
    .await;
    assert_eq!(receiver.told("/inside").len(), told);
    // Outside of development there is no address without TLS.
    let shop = shop
        .restart(|config| {
            local(config);
            config.server.environment = Environment::Production;
        })
        .await;
    let body = json!({"url": format!("{}/plain", receiver.url)});
    let answer = shop.post("/admin/webhooks").token(&admin).json(&body).send().await;
    assert_eq!(answer.expect_error(400, "VALIDATION_ERROR"), ["url"]);
    shop.app.clock.advance(TimeDelta::minutes(5));
    let admin = shop.login("admin@agape.example").await;
    until(&shop, "the refusal", async || {
        deliveries(&shop, &admin, &inside, "").await[0]["error"] == "it must be an https address"
    })
    .await;
    assert_eq!(receiver.told("/inside").len(), told);
}

/// What was sent is sent again: some, or all of a time; of this address only. A test is sent whatever is wanted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deliveries_are_sent_again() {
    let shop = shop().await;
    let (admin, product, ama) = goods(&shop).await;
    let receiver = Receiver::start().await;
    let (id, _) = add(&shop, &admin, &format!("{}/a", receiver.url), &["order.placed"]).await;
    let (other, _) = add(&shop, &admin, &format!("{}/b", receiver.url), &["order.placed"]).await;
    let from = shop.app.clock.now();
    for _ in 0..3 {
        shop.order(&ama, &product, 1).await;
    }
    let first = until_told(&shop, &receiver, "/a", 3).await;
    until_told(&shop, &receiver, "/b", 3).await;
    let path = format!("/admin/webhooks/{id}");
    let log = deliveries(&shop, &admin, &id, "").await;
    let replay = async |body: &Value| shop.post(&format!("{path}/replay")).token(&admin).json(body).send().await;
    let one = json!({"deliveryIds": [log[0]["id"], log[0]["id"]]});
    assert_eq!(replay(&one).await.expect(202)["replayed"], 1);
    let again = until_told(&shop, &receiver, "/a", 4).await.remove(3);
    let event = log[0]["eventId"].as_str().unwrap();
    assert_eq!(again.header("agape-event-id"), event);
    assert!(first.iter().any(|told| told.body == again.body));
    let until_now = shop.app.clock.now() + TimeDelta::seconds(1);
    let all = json!({"from": from, "until": until_now});
    assert_eq!(replay(&all).await.expect(202)["replayed"], 3, "each event once, though one was replayed");
    until_told(&shop, &receiver, "/a", 7).await;
    assert_eq!(receiver.told("/b").len(), 3);

    let foreign = deliveries(&shop, &admin, &other, "").await[0]["id"].clone();
    replay(&json!({"deliveryIds": [log[0]["id"], foreign]})).await.expect_error(404, "NOT_FOUND");
    replay(&json!({"deliveryIds": []})).await.expect_error(400, "VALIDATION_ERROR");
    assert_eq!(replay(&json!({})).await.expect_error(400, "VALIDATION_ERROR"), ["from", "until"]);
    let both = json!({"deliveryIds": [log[0]["id"]], "from": from});
    assert_eq!(replay(&both).await.expect_error(400, "VALIDATION_ERROR"), ["from"]);
    let turned = json!({"from": until_now, "until": from});
    assert_eq!(replay(&turned).await.expect_error(400, "VALIDATION_ERROR"), ["until"]);
    assert_eq!(deliveries(&shop, &admin, &id, "").await.len(), 7, "what was refused has left nothing");

    let ping = shop.post(&format!("{path}/test")).token(&admin).send().await.expect(202);
    assert_eq!(ping["delivery"]["topic"], "ping");
    let told = until_told(&shop, &receiver, "/a", 8).await.remove(7);
    assert_eq!((told.header("agape-topic"), &told.event["data"]), ("ping", &json!({})));

    // In pages and by cursor; what has ended long ago is forgotten.
    let page = shop.get(&format!("{path}/deliveries?limit=3")).token(&admin).send().await;
    assert_eq!((&page.body["pagination"]["total"], &page.body["pagination"]["totalPages"]), (&json!(8), &json!(3)));
    let next = page.body["pagination"]["nextCursor"].as_str().unwrap();
    let rest = shop.get(&format!("{path}/deliveries?limit=5&cursor={next}")).token(&admin).send().await.expect(200);
    assert_eq!(rest["deliveries"].as_array().unwrap().len(), 5);
    shop.app.clock.advance(TimeDelta::days(31));
    Retention {}.run(&shop.app).await.unwrap();
    assert_eq!(shop.database.count("select count(*) from webhook_deliveries").await, 0);
}

/// A shop has at most twenty, however many come at once; of two changes of one version one holds; a removed one is gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn webhooks_are_kept_by_administrators() {
    let shop = shop().await;
    let admin = shop.staff(Role::Admin).await;
    let body = json!({"url": "http://127.0.0.1:9/x", "description": "ERP", "topics": ["order.paid", "order.paid"]});
    let answers = join_all((0..25).map(|_| shop.post("/admin/webhooks").token(&admin).json(&body).send())).await;
    let made: Vec<_> = answers.iter().filter(|answer| answer.status == 201).collect();
    assert_eq!(made.len(), 20);
    answers.iter().find(|answer| answer.status != 201).unwrap().expect_error(409, "CONFLICT");
    let all = shop.get("/admin/webhooks").token(&admin).send().await.expect(200)["webhooks"].clone();
    assert_eq!((all.as_array().unwrap().len(), &all[0]["topics"]), (20, &json!(["order.paid"])));
    assert!(!all.to_string().contains("whsec_"));
    let path = format!("/admin/webhooks/{}", all[0]["id"].as_str().unwrap());
    let change = json!({"version": 1, "topics": [], "description": "all"});
    let answers = join_all((0..4).map(|_| shop.patch(&path).token(&admin).json(&change).send())).await;
    let mut statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409, 409, 409]);
    let unknown = json!({"version": 2, "secret": "mine"});
    shop.patch(&path).token(&admin).json(&unknown).send().await.expect_error(400, "VALIDATION_ERROR");
    shop.delete(&format!("{path}?version=1")).token(&admin).send().await.expect_error(409, "CONFLICT");
    shop.delete(&format!("{path}?version=2")).token(&admin).send().await.expect(200);
    shop.get(&path).token(&admin).send().await.expect_error(404, "NOT_FOUND");
    shop.delete(&path).token(&admin).send().await.expect_error(404, "NOT_FOUND");
    let merchant = shop.staff(Role::Merchant).await;
    shop.get("/admin/webhooks").token(&merchant).send().await.expect_error(403, "AUTHORIZATION_ERROR");
}

/// The document lists the topics that there are, and its worked example is right.
#[test]
fn the_document_is_right() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/webhooks.md");
    let text = std::fs::read_to_string(path).unwrap();
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |").map(|(name, _)| name));
    let listed: BTreeSet<_> = rows.filter(|name| name.contains('.') && !name.contains(' ')).collect();
    assert_eq!(listed, events::topics().collect::<BTreeSet<_>>());
    let blocks: Vec<_> =
        text.split("```").skip(1).step_by(2).map(|block| block.split_once('\n').unwrap().1.trim()).collect();
    let [body, secret, header] = blocks[..] else { panic!("{blocks:#?}") };
    let at = header.strip_prefix("t=").unwrap().split_once(',').unwrap().0.parse().unwrap();
    assert_eq!(sign([secret.as_bytes()], at, body), header);
}
