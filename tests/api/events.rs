//! Events: what is told of orders, money and stock, in which order, and that none is missed.

use agape::features::auth::Role;
use agape::features::events::{self, Position};
use futures::future::join_all;
use serde_json::{Value, json};
use sqlx::{Connection, Executor};

use crate::support::{TestApp, connect};

const AMA: &str = "ama@example.com";

/// Events by a query, with the cursor.
pub async fn read(shop: &TestApp, staff: &str, query: &str) -> (Vec<Value>, String, bool) {
    let data = shop.get(&format!("/admin/events?{query}")).token(staff).send().await.expect(200);
    let events = data["events"].as_array().unwrap().clone();
    (events, data["cursor"].as_str().unwrap().to_owned(), data["hasMore"].as_bool().unwrap())
}

fn topics(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["topic"].as_str().unwrap()).collect()
}

/// Waits until so many events of a query can be read: other transactions of the server hold them back for a moment.
async fn wait_for(shop: &TestApp, staff: &str, query: &str, count: usize) -> Vec<Value> {
    shop.wait_for("the events", || async {
        let (events, ..) = read(shop, staff, query).await;
        assert!(events.len() <= count, "{events:#?}");
        (events.len() == count).then_some(events)
    })
    .await
}

/// The life of an order with its money and its stock, without a word about the buyer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_tells_what_becomes_of_it() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 9).await;
    let ama = shop.customer(AMA).await;
    let order = shop.order(&ama, &product, 2).await;
    let payment = shop.initialize(&ama, &order).await;
    shop.pay(&payment).await;
    shop.wait_for_status(&ama, &order, "paid").await;
    let id = order["id"].as_str().unwrap();
    shop.sandbox_faults(&json!({"refunds": "held"})).await;
    let note = json!({"text": "call Ama first"});
    shop.post(&format!("/admin/orders/{id}/notes")).token(&admin).json(&note).send().await.expect(201);
    shop.post(&format!("/orders/{id}/cancel"))
        .token(&ama)
        .json(&json!({"reason": "sorry, Ama"}))
        .send()
        .await
        .expect(200);

    let events = wait_for(&shop, &admin, &format!("order={id}"), 8).await;
    let stock = "stock.changed";
    let expected =
        ["order.placed", stock, "order.paid", stock, "order.cancelled", "refund.pending", stock, "refund.processing"];
    assert_eq!(topics(&events), expected, "{events:#?}");
    let text = json!(events).to_string();
    for personal in ["Ama", "ama@", "Broad Street", "0803"] {
        assert!(!text.contains(personal), "{text}");
    }
    for event in &events {
        assert_eq!((&event["version"], &event["orderId"]), (&json!(1), &order["id"]));
        assert_eq!(event["orderNumber"], order["orderNumber"]);
    }
    let total = &order["total"];
    let placed =
        json!({"from": null, "to": "pending_payment", "actor": "customer", "amount": total, "currency": "NGN"});
    assert_eq!(events[0]["data"], placed);
    let paid =
        json!({"from": "pending_payment", "to": "paid", "actor": "provider", "amount": total, "currency": "NGN"});
    assert_eq!(events[2]["data"], paid);
    let back = json!({"from": null, "to": null, "actor": "system", "amount": total, "currency": "NGN"});
    assert_eq!(events[5]["data"], back);
    let reserved =
        json!({"variantId": product.variant, "sku": "A", "onHandChange": 0, "reservedChange": 2, "reason": "reserve"});
    assert_eq!(events[1]["data"], reserved);
    assert_eq!((&events[3]["data"]["onHandChange"], &events[6]["data"]["onHandChange"]), (&json!(-2), &json!(2)));
    // The timeline of the buyer shows moves; refunds stand with his payments.
    let timeline = shop.get(&format!("/orders/{id}")).token(&ama).send().await.expect(200)["order"]["timeline"].clone();
    let steps: Vec<_> = timeline.as_array().unwrap().iter().map(|entry| entry["type"].clone()).collect();
    assert_eq!(steps, ["placed", "paid", "cancelled"]);

    // One by one they are the same, and so is one topic among all.
    let (mut cursor, mut seen) = (String::new(), Vec::new());
    loop {
        let (some, next, has_more) = read(&shop, &admin, &format!("order={id}&limit=1&after={cursor}")).await;
        assert!(some.len() <= 1);
        seen.extend(some);
        cursor = next;
        if !has_more {
            break;
        }
    }
    assert_eq!(seen, events);
    let (refunds, ..) = read(&shop, &admin, "topic=refund.pending").await;
    assert_eq!(refunds, events[5..6]);
    let (stock, next, has_more) = read(&shop, &admin, "topic=stock.changed&limit=1").await;
    assert!(has_more && stock[0]["data"]["reason"] == "initial" && stock[0]["orderId"].is_null(), "{stock:#?}");
    let (stock, ..) = read(&shop, &admin, &format!("topic=stock.changed&limit=1&after={next}")).await;
    assert_eq!(stock, events[1..2]);
}

/// What is not right is told, all at once; who may not read is refused.
#[tokio::test]
async fn only_whoever_may_reads_and_nonsense_is_refused() {
    let shop = TestApp::start().await;
    let merchant = shop.staff(Role::Merchant).await;
    let answer = shop.get("/admin/events?after=nonsense&limit=501&topic=x").token(&merchant).send().await;
    assert_eq!(answer.expect_error(400, "VALIDATION_ERROR"), ["after", "limit", "topic"]);
    let far = Position { txid: i64::MAX, ..Position::START }.encode();
    let answer = shop.get(&format!("/admin/events?after={far}")).token(&merchant).send().await;
    assert_eq!(answer.expect_error(400, "VALIDATION_ERROR"), ["after"]);
    shop.get("/admin/events?order=1").token(&merchant).send().await.expect_error(400, "VALIDATION_ERROR");
    let (events, cursor, has_more) = read(&shop, &merchant, "").await;
    assert!(events.is_empty() && !has_more);
    let (events, again, _) = read(&shop, &merchant, &format!("after={cursor}")).await;
    assert_eq!((events.len(), again), (0, cursor));
    for role in [Role::Fulfilment, Role::Finance, Role::Customer] {
        let token = shop.staff(role).await;
        shop.get("/admin/events").token(&token).send().await.expect_error(403, "AUTHORIZATION_ERROR");
    }
}

/// An event that was written before others and is committed after them is not missed: they wait for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_commit_is_not_missed() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 9).await;
    let ama = shop.customer(AMA).await;
    let first = shop.order(&ama, &product, 1).await;
    wait_for(&shop, &admin, "", 3).await;
    let (_, cursor, _) = read(&shop, &admin, "").await;

    let mut late = shop.database.pool.begin().await.unwrap();
    let write = "insert into order_events (order_id, type, actor_type, at) select id, 'payment_flagged', 'provider', now() from orders";
    late.execute(write).await.unwrap();
    let second = shop.order(&ama, &product, 1).await;
    let (events, again, _) = read(&shop, &admin, &format!("after={cursor}")).await;
    assert_eq!((events.len(), &again), (0, &cursor), "what is behind an open transaction waits");
    late.commit().await.unwrap();
    let events = wait_for(&shop, &admin, &format!("after={cursor}"), 3).await;
    assert_eq!(topics(&events), ["payment.flagged", "order.placed", "stock.changed"]);
    assert_eq!((&events[0]["orderId"], &events[1]["orderId"]), (&first["id"], &second["id"]));
}

/// A transaction that another database leaves open holds nothing back.
#[tokio::test]
async fn other_databases_hold_nothing_back() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 9).await;
    let mut elsewhere = connect("postgres").await;
    let mut open = elsewhere.begin().await.unwrap();
    let (number, oldest): (String, String) =
        sqlx::query_as("select pg_current_xact_id()::text, pg_snapshot_xmin(pg_current_snapshot())::text")
            .fetch_one(&mut *open)
            .await
            .unwrap();
    shop.order(&shop.customer(AMA).await, &product, 1).await;
    wait_for(&shop, &admin, "", 3).await;
    let still = "select pg_snapshot_xmin(pg_current_snapshot())::text";
    let now: String = sqlx::query_scalar(still).fetch_one(&shop.database.pool).await.unwrap();
    let (number, oldest, now) =
        (number.parse::<i64>().unwrap(), oldest.parse::<i64>().unwrap(), now.parse::<i64>().unwrap());
    assert!(oldest <= number && now <= number, "it is open all the while");
    open.rollback().await.unwrap();
}

/// What commits while a reader's statement runs is neither read by it nor passed over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_bound_is_of_what_a_reader_sees() {
    let shop = TestApp::start().await;
    let database: String =
        sqlx::query_scalar("select current_database()::text").fetch_one(&shop.database.pool).await.unwrap();
    let (mut gate, mut reader, mut early) =
        (connect(&database).await, connect(&database).await, connect(&database).await);
    gate.execute("select pg_advisory_lock(7)").await.unwrap();
    let mut early = early.begin().await.unwrap();
    let number: String = sqlx::query_scalar("select pg_current_xact_id()::text").fetch_one(&mut *early).await.unwrap();
    let reading = tokio::spawn(async move {
        let sql = "with opened as materialized (select pg_advisory_lock(7)), late as materialized (select count(*) from opened)
                   select (select first_open_txid() from late)::text";
        sqlx::query_scalar::<_, String>(sql).fetch_one(&mut reader).await.unwrap()
    });
    shop.wait_for("the reader to wait", || async {
        let waiting = "select count(*) from pg_locks l join pg_database d on d.oid = l.database
                       where d.datname = current_database() and l.locktype = 'advisory' and not l.granted and l.objid = 7";
        (shop.database.count(waiting).await == 1).then_some(())
    })
    .await;
    early.commit().await.unwrap();
    gate.execute("select pg_advisory_unlock(7)").await.unwrap();
    let bound = reading.await.unwrap();
    assert!(bound.parse::<i64>().unwrap() <= number.parse::<i64>().unwrap(), "{bound} passes over {number}");
}

/// A transaction that had its number before it waited for the order stands behind what it has waited for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_order_of_an_order_is_that_of_its_writers() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 9).await;
    let ama = shop.customer(AMA).await;
    let order = shop.order(&ama, &product, 1).await;
    let write = |event: &str| {
        sqlx::AssertSqlSafe(format!(
            "insert into order_events (order_id, type, actor_type, at) select id, '{event}', 'staff', now() from orders"
        ))
    };
    let mut early = shop.database.pool.begin().await.unwrap();
    early.execute("select pg_current_xact_id()").await.unwrap();
    shop.database.pool.execute(write("parcel_packed")).await.unwrap();
    early.execute(write("parcel_shipped")).await.unwrap();
    early.commit().await.unwrap();
    shop.database.pool.execute(write("parcel_delivered")).await.unwrap();
    let events = wait_for(&shop, &admin, &format!("order={}", order["id"].as_str().unwrap()), 5).await;
    let expected = ["order.placed", "stock.changed", "parcel.packed", "parcel.shipped", "parcel.delivered"];
    assert_eq!(topics(&events), expected);
}

/// Whoever reads while many write reads each event once, and those of an order as they happened.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_beside_many_writers_misses_nothing() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 1_000).await;
    let ama = shop.customer(AMA).await;
    let write = async {
        join_all((0..24).map(|_| async {
            let order = shop.order(&ama, &product, 1).await;
            let path = format!("/orders/{}/cancel", order["id"].as_str().unwrap());
            shop.post(&path).token(&ama).json(&json!({})).send().await.expect(200);
        }))
        .await;
    };
    let follow = async {
        let (mut cursor, mut seen) = (String::new(), Vec::new());
        // The first stock, and of each order: placed, reserved, cancelled, released.
        while seen.len() < 1 + 24 * 4 {
            let (some, next, _) = read(&shop, &admin, &format!("limit=7&after={cursor}")).await;
            seen.extend(some);
            cursor = next;
        }
        seen
    };
    let (_, seen) = futures::join!(write, tokio::time::timeout(std::time::Duration::from_secs(60), follow));
    let seen = seen.expect("all events within a minute");
    let mut ids: Vec<_> = seen.iter().map(|event| event["id"].as_str().unwrap()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), seen.len(), "none twice");
    for placed in seen.iter().filter(|event| event["topic"] == "order.placed") {
        let of: Vec<_> = seen.iter().filter(|event| event["orderId"] == placed["orderId"]).cloned().collect();
        assert_eq!(topics(&of), ["order.placed", "stock.changed", "order.cancelled", "stock.changed"]);
    }
}

/// Going on costs the same however much there is: both halves are read by their indexes.
#[tokio::test]
async fn a_reader_goes_on_by_the_indexes() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 9).await;
    let ama = shop.customer(AMA).await;
    shop.order(&ama, &product, 1).await;
    for sql in [
        "insert into order_events (order_id, type, actor_type, at)
         select o.id, 'payment_retried', 'customer', now() from orders o, generate_series(1, 5000)",
        "insert into stock_movements (variant_id, on_hand_delta, reserved_delta, reason, at)
         select v.id, 1, 0, 'received', now() from variants v, generate_series(1, 5000)",
        "analyze",
    ] {
        shop.database.pool.execute(sql).await.unwrap();
    }
    let mut connection = shop.database.pool.acquire().await.unwrap();
    let c = &mut *connection;
    let reads = "select sum(seq_scan)::bigint, sum(idx_tup_fetch)::bigint from pg_stat_user_tables
                 where relname in ('order_events', 'stock_movements')";
    c.execute("select pg_stat_force_next_flush()").await.unwrap();
    let (scans, before): (i64, i64) = sqlx::query_as(reads).fetch_one(&mut *c).await.unwrap();
    let mut position = Position::START;
    for _ in 0..5 {
        let feed = events::read(&mut *c, position, None, 100).await.unwrap();
        assert!(feed.last > position && feed.is_full && feed.events.len() == 100, "{feed:#?}");
        position = feed.last;
    }
    c.execute("select pg_stat_force_next_flush()").await.unwrap();
    let (scans_after, after): (i64, i64) = sqlx::query_as(reads).fetch_one(&mut *c).await.unwrap();
    assert_eq!(scans_after, scans);
    assert!(after - before <= 5 * 2 * 101, "{}", after - before);
}

/// After a dump was restored on a server whose transactions have lower numbers, the doctor's statement brings the events back.
#[tokio::test]
async fn events_of_another_server_are_filed_anew() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 9).await;
    let ama = shop.customer(AMA).await;
    shop.order(&ama, &product, 1).await;
    let before = wait_for(&shop, &admin, "", 3).await;
    for sql in [
        "alter table order_events disable trigger user",
        "alter table stock_movements disable trigger user",
        "update order_events set txid = (txid::text::bigint + 1000000000)::text::xid8",
        "update stock_movements set txid = (txid::text::bigint + 1000000000)::text::xid8",
        "alter table order_events enable trigger user",
        "alter table stock_movements enable trigger user",
    ] {
        shop.database.pool.execute(sql).await.unwrap();
    }
    let misplaced = async || events::misplaced(&mut shop.app.db.acquire().await.unwrap()).await.unwrap();
    assert_eq!(misplaced().await, 3);
    assert_eq!(read(&shop, &admin, "").await.0, Vec::<Value>::new());
    shop.database.pool.execute("select refile_events()").await.unwrap();
    assert_eq!(misplaced().await, 0);
    let mut after = wait_for(&shop, &admin, "", 3).await;
    // All are of one transaction now, and orders come first in it.
    let by_id = |events: &mut Vec<Value>| events.sort_by_key(|event| event["id"].to_string());
    let mut before = before;
    by_id(&mut before);
    by_id(&mut after);
    assert_eq!(after, before);
    let forbidden = shop.database.pool.execute("update order_events set txid = '1'").await;
    assert!(forbidden.is_err(), "the timeline is closed again");
}
