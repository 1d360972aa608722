//! Many buyers of one variant: their orders are written together, each as if it were alone.

use agape::features::auth::Role;
use futures::future::join_all;
use serde_json::{Value, json};
use sqlx::{Postgres, Transaction};

use crate::concurrency::assert_ledger;
use crate::support::{Answer, Call, Product, TestApp, address};

fn body(product: &Product, quantity: i64, email: &str) -> Value {
    json!({"email": email, "items": [{"variantId": product.variant, "quantity": quantity}], "shippingAddress": address()})
}

fn call(shop: &TestApp, product: &Product, quantity: i64, email: &str) -> Call {
    shop.post("/orders").json(&body(product, quantity, email))
}

/// Holds every level, so that whoever wants one waits.
async fn hold(shop: &TestApp) -> Transaction<'static, Postgres> {
    let mut tx = shop.database.pool.begin().await.unwrap();
    sqlx::query("select from stock_levels for update").execute(&mut *tx).await.unwrap();
    tx
}

/// Waits until an order is being written and so many wait behind it.
async fn queued(shop: &TestApp, count: usize) {
    shop.wait_for("orders to wait", || async {
        let locked =
            "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()";
        (shop.app.placing.waiting() == count && shop.database.count(locked).await > 0).then_some(())
    })
    .await;
}

/// Sends the first, which begins to be written, and then the others one by one, so that they wait in this order; then lets
/// them go on. Gives the answers.
async fn together(shop: &TestApp, calls: Vec<Call>) -> Vec<Answer> {
    let held = hold(shop).await;
    let mut running = Vec::new();
    for (waiting, call) in calls.into_iter().enumerate() {
        running.push(tokio::spawn(call.send()));
        queued(shop, waiting).await;
    }
    held.rollback().await.unwrap();
    join_all(running).await.into_iter().map(Result::unwrap).collect()
}

fn statuses(answers: &[Answer]) -> Vec<u16> {
    answers.iter().map(|answer| answer.status).collect()
}

/// How many transactions wrote the orders.
async fn commits(shop: &TestApp) -> i64 {
    shop.database.count("select count(distinct xmin::text) from orders").await
}

/// Those who wait are served in their order, as far as the stock goes; who wants too much takes nothing from those behind him.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn first_come_first_served() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "HOT", 1_000, 10).await;
    let quantities = [1, 3, 10, 2, 4, 3, 1];
    let calls = quantities.map(|quantity| call(&shop, &product, quantity, "ama@example.com"));
    let answers = together(&shop, calls.into()).await;
    // After the first nine are left. Ten are too many; three, two and four are nine.
    assert_eq!(statuses(&answers), [201, 201, 409, 201, 201, 409, 409]);
    assert!(
        answers[2].body["message"].as_str().unwrap().contains("Only 9 of Kente HOT are left"),
        "{}",
        answers[2].text
    );
    for late in [&answers[5], &answers[6]] {
        assert!(late.body["message"].as_str().unwrap().contains("Kente HOT is sold out"), "{}", late.text);
        assert_eq!(late.expect_error(409, "CONFLICT"), ["items[0].quantity"]);
    }
    assert_eq!(commits(&shop).await, 2, "all who waited are written by one transaction");
    assert_eq!(shop.available(&product).await, 0);
    assert_ledger(&shop).await;
}

/// Of orders that are written together each has its own coupon, for its own customer, whatever the others have.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_has_its_own_coupon() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "HOT", 1_000, 100).await;
    for coupon in [
        json!({"code": "TENTH", "kind": "percentage", "percent": 10}),
        json!({"code": "FIXED", "kind": "fixed", "amount": 200}),
        json!({"code": "FIRST", "kind": "fixed", "amount": 300, "firstOrderOnly": true}),
    ] {
        shop.post("/admin/coupons").token(&admin).json(&coupon).send().await.expect(201);
    }
    call(&shop, &product, 1, "known@example.com").send().await.expect(201);
    let with = |code: &str, email: &str| {
        let mut body = body(&product, 1, email);
        body["couponCode"] = json!(code);
        shop.post("/orders").json(&body)
    };
    let answers = together(
        &shop,
        vec![
            call(&shop, &product, 1, "a@example.com"),
            with("TENTH", "b@example.com"),
            with("NOSUCH", "c@example.com"),
            with("FIXED", "d@example.com"),
            call(&shop, &product, 1, "e@example.com"),
            with("FIRST", "known@example.com"),
            with("FIRST", "f@example.com"),
            with("TENTH", "known@example.com"),
        ],
    )
    .await;
    assert_eq!(statuses(&answers), [201, 201, 400, 201, 201, 400, 201, 201]);
    let discounts: Vec<_> = answers.iter().map(|answer| answer.body["data"]["order"]["discount"].as_i64()).collect();
    assert_eq!(discounts, [Some(0), Some(100), None, Some(200), Some(0), None, Some(300), Some(100)]);
    assert_eq!(commits(&shop).await, 3, "all who waited are written by one transaction");
}

/// What is wrong with one order is told to its buyer, and the others do not notice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_order_spoils_no_other() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let (product, other) =
        (shop.product(&admin, "HOT", 1_000, 100).await, shop.product(&admin, "OLD", 1_000, 100).await);
    // A defect that shows itself in the middle of writing.
    let defect = "create function defect() returns trigger language plpgsql as $$ begin
                    if new.email = 'defect@example.com' then raise exception 'defect'; end if; return new; end $$;
                  create trigger defect before insert on orders for each row execute function defect()";
    sqlx::raw_sql(defect).execute(&shop.database.pool).await.unwrap();
    let path = format!("/products/{}", other.id);
    shop.patch(&path).token(&admin).json(&json!({"version": 1, "isActive": false})).send().await.expect(200);
    let gone = json!({"email": "a@example.com", "shippingAddress": address(), "items": [
        {"variantId": product.variant, "quantity": 1}, {"variantId": other.variant, "quantity": 1}]});
    let keyed = |key: &str| call(&shop, &product, 1, "kofi@example.com").header("idempotency-key", key);
    let calls = vec![
        call(&shop, &product, 1, "ama@example.com"),
        call(&shop, &product, 1, "defect@example.com"),
        shop.post("/orders").json(&gone),
        keyed("one"),
        keyed("two"),
        keyed("one"),
    ];
    let answers = together(&shop, calls).await;
    assert_eq!(statuses(&answers), [201, 500, 400, 201, 201, 201]);
    answers[1].expect_error(500, "INTERNAL_ERROR");
    assert!(!answers[1].text.contains("defect\""), "{}", answers[1].text);
    assert_eq!(answers[5].text, answers[3].text, "the same key twice at once is one order");
    assert_eq!(answers[5].header("idempotency-replayed").as_deref(), Some("true"));
    assert_eq!(shop.database.count("select count(*) from orders").await, 3);
    assert_eq!(shop.available(&product).await, 97);
    assert_ledger(&shop).await;
}

/// Carts are closed by their own orders, an account's order goes to its address, and a price that changes meanwhile counts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn carts_and_accounts_are_written_together() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "HOT", 1_000, 100).await;
    let mut calls = vec![call(&shop, &product, 1, "first@example.com")];
    let from_cart = json!({"shippingAddress": address()});
    for i in 0..5 {
        let person = shop.customer(&format!("person-{i}@example.com")).await;
        let line = json!({"variantId": product.variant, "quantity": 2});
        shop.post("/cart/items").token(&person).json(&line).send().await.expect(200);
        calls.push(shop.post("/orders").token(&person).json(&from_cart));
        if i == 0 {
            // A double click without a key: the cart is ordered once.
            calls.push(shop.post("/orders").token(&person).json(&from_cart));
        }
    }
    let held = hold(&shop).await;
    let mut running = Vec::new();
    for (waiting, call) in calls.into_iter().enumerate() {
        running.push(tokio::spawn(call.send()));
        queued(&shop, waiting).await;
    }
    let path = format!("/products/{}", product.id);
    shop.patch(&path).token(&admin).json(&json!({"version": 1, "price": 2_000})).send().await.expect(200);
    held.rollback().await.unwrap();
    let answers: Vec<Answer> = join_all(running).await.into_iter().map(Result::unwrap).collect();
    let mut all = statuses(&answers);
    // Which of the two clicks counts is open.
    all[1..3].sort_unstable();
    assert_eq!(all, [201, 201, 400, 201, 201, 201, 201]);
    for answer in answers.iter().filter(|answer| answer.status == 201).skip(1) {
        let order = &answer.body["data"]["order"];
        assert_eq!(order["subtotal"], 4_000, "the price of now");
        assert!(order["email"].as_str().unwrap().starts_with("person-"), "{}", answer.text);
    }
    assert_eq!(shop.database.count("select count(*) from carts where status = 'ordered'").await, 5);
    assert_eq!(shop.available(&product).await, 89);
    assert_ledger(&shop).await;
}

/// Whoever goes away has his order if it was begun, and none if he still waited. His key tells him either way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_goes_away_neither_loses_nor_doubles() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "HOT", 1_000, 100).await;
    let keyed = |key: &str| call(&shop, &product, 1, "ama@example.com").header("idempotency-key", key);
    let held = hold(&shop).await;
    let mut running = Vec::new();
    for (waiting, key) in ["begun", "waits", "stays"].into_iter().enumerate() {
        running.push(tokio::spawn(keyed(key).send()));
        queued(&shop, waiting).await;
    }
    for gone in &running[..2] {
        gone.abort();
    }
    held.rollback().await.unwrap();
    let stays = running.pop().unwrap().await.unwrap();
    assert_eq!(stays.status, 201, "{}", stays.text);
    for (key, replayed) in [("begun", Some("true")), ("stays", Some("true"))] {
        let again = keyed(key).send().await;
        assert_eq!((again.status, again.header("idempotency-replayed").as_deref()), (201, replayed), "{key}");
    }
    keyed("waits").send().await.expect(201);
    assert_eq!(shop.database.count("select count(*) from orders").await, 3);
    assert_eq!(shop.available(&product).await, 97);
    assert_ledger(&shop).await;
}

/// That something is sold out is told without touching its level: at once, while somebody holds it, and without a number.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn losers_are_told_at_once() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "HOT", 1_000, 1).await;
    call(&shop, &product, 1, "ama@example.com").send().await.expect(201);
    let number = shop.database.count("select last_value from order_number_seq").await;
    let held = hold(&shop).await;
    let answers = join_all((0..50).map(|i| {
        let call = call(&shop, &product, 1, "ben@example.com");
        let call = if i % 2 == 0 { call } else { call.header("idempotency-key", &format!("key-{i}")) };
        call.send()
    }))
    .await;
    for answer in &answers {
        assert_eq!(answer.expect_error(409, "CONFLICT"), ["items[0].quantity"]);
    }
    held.rollback().await.unwrap();
    assert_eq!(shop.database.count("select last_value from order_number_seq").await, number);
    assert_eq!(shop.database.count("select count(*) from idempotency_keys").await, 0);
    // A piece that comes back is for sale in the same moment.
    let order = shop.database.text("select id::text from orders").await.unwrap();
    let (id, now) = (order.parse().unwrap(), shop.app.clock.now());
    let mut c = shop.app.db.acquire().await.unwrap();
    agape::features::inventory::release_reservations(&mut c, id, now).await.unwrap();
    call(&shop, &product, 1, "ben@example.com").send().await.expect(201);
    assert_ledger(&shop).await;
}

/// A level that somebody holds for too long costs those who want it a try, not a defect; others buy on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_level_that_is_held_for_long_is_told_as_busy() {
    let shop = TestApp::with(|config| config.database.lock_timeout_ms = 200).await;
    let admin = shop.staff(Role::Admin).await;
    let (product, other) = (shop.product(&admin, "HOT", 1_000, 9).await, shop.product(&admin, "COLD", 1_000, 9).await);
    let mut held = shop.database.pool.begin().await.unwrap();
    sqlx::query("select from stock_levels where variant_id = $1::uuid for update")
        .bind(uuid::Uuid::parse_str(&product.variant).unwrap())
        .execute(&mut *held)
        .await
        .unwrap();
    let calls = (0..6).map(|_| call(&shop, &product, 1, "ama@example.com").send());
    let (answers, cold) = tokio::join!(join_all(calls), call(&shop, &other, 1, "ama@example.com").send());
    for answer in &answers {
        answer.expect_error(503, "SERVICE_UNAVAILABLE");
        assert!(answer.body["message"].as_str().unwrap().contains("Try again"), "{}", answer.text);
    }
    cold.expect(201);
    held.rollback().await.unwrap();
    assert_eq!(shop.database.count("select count(*) from orders").await, 1);
    call(&shop, &product, 1, "ama@example.com").send().await.expect(201);
    assert_ledger(&shop).await;
}

/// Several servers, hundreds of buyers of one, two or three pieces, with and without keys: the stock is sold, and no more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_servers_sell_exactly_the_stock() {
    let one = TestApp::start().await;
    let two = one.another(|_| {}).await;
    let plain = one.another(|config| config.orders.batch = 1).await;
    let admin = one.staff(Role::Admin).await;
    let (hot, warm) = (one.product(&admin, "HOT", 1_000, 100).await, one.product(&admin, "WARM", 1_000, 100).await);
    let calls = (0..300).map(|i: i64| {
        let shop = [&one, &two, &plain][usize::try_from(i % 3).unwrap()];
        let (first, second) = if i % 2 == 0 { (&hot, &warm) } else { (&warm, &hot) };
        let mut items = vec![json!({"variantId": first.variant, "quantity": 1 + i % 3})];
        if i % 5 == 0 {
            items.push(json!({"variantId": second.variant, "quantity": 1}));
        }
        let body = json!({"email": format!("buyer-{i}@example.com"), "items": items, "shippingAddress": address()});
        let call = move || {
            let call = shop.post("/orders").json(&body);
            if i % 4 == 0 { call.header("idempotency-key", "key") } else { call }
        };
        async move {
            let mut answer = call().send().await;
            // A busy machine may let somebody wait for too long.
            while answer.status == 503 {
                answer = call().send().await;
            }
            answer
        }
    });
    for answer in join_all(calls).await {
        if answer.status != 201 {
            answer.expect_error(409, "CONFLICT");
        }
    }
    // Nobody was refused before fewer were left than he wanted, which were three at most.
    let most_left = "select max(on_hand - reserved)::bigint from stock_levels";
    assert!(one.database.count(most_left).await <= 2);
    let (sold, left) =
        ("select sum(quantity)::bigint from order_items", "select sum(on_hand - reserved)::bigint from stock_levels");
    assert_eq!(one.database.count(sold).await + one.database.count(left).await, 200);
    assert_ledger(&one).await;
}
