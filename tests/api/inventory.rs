//! Stock as staff keep it: every change is checked, on record in the ledger, and never below what orders hold.

use std::collections::BTreeSet;

use agape::features::auth::Role;
use chrono::TimeDelta;
use futures::future::join_all;
use serde_json::{Value, json};

use crate::concurrency::assert_ledger;
use crate::support::{Answer, Product, TestApp, address};

pub async fn level(shop: &TestApp, staff: &str, product: &Product) -> Value {
    let path = format!("/admin/inventory/{}", product.variant);
    shop.get(&path).token(staff).send().await.expect(200)["level"].clone()
}

async fn patch(shop: &TestApp, staff: &str, product: &Product, body: &Value) -> Answer {
    shop.patch(&format!("/admin/inventory/{}", product.variant)).token(staff).json(body).send().await
}

async fn adjust(shop: &TestApp, staff: &str, adjustments: &Value) -> Answer {
    let body = json!({"adjustments": adjustments});
    shop.post("/admin/inventory/adjustments").token(staff).json(&body).send().await
}

async fn skus(shop: &TestApp, staff: &str, query: &str) -> Vec<String> {
    let data = shop.get(&format!("/admin/inventory?{query}")).token(staff).send().await.expect(200);
    data["levels"].as_array().unwrap().iter().map(|level| level["sku"].as_str().unwrap().to_owned()).collect()
}

async fn movements(shop: &TestApp, staff: &str, query: &str) -> Value {
    shop.get(&format!("/admin/inventory/movements?{query}")).token(staff).send().await.expect(200)["movements"].clone()
}

/// Setting, adding and taking away: the level, the ledger and what shoppers see follow at once, in one step each.
#[tokio::test]
async fn staff_change_a_level_and_the_ledger_says_why() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let keeper = shop.staff(Role::Fulfilment).await;
    let kente = shop.product(&admin, "KENTE", 1_000, 5).await;
    assert_eq!(shop.available(&kente).await, 5);
    let first = level(&shop, &keeper, &kente).await;
    assert_eq!((&first["onHand"], &first["reserved"], &first["available"]), (&json!(5), &json!(0), &json!(5)));
    assert_eq!((&first["version"], &first["threshold"], &first["isLow"]), (&json!(1), &json!(10), &json!(true)));
    assert_eq!((&first["lowStockThreshold"], &first["onSale"]), (&Value::Null, &json!(true)));

    let changes = [
        (json!({"increment": 20, "reason": "received", "note": "crate 7", "version": 1}), 25),
        (json!({"decrement": 3, "reason": "damaged"}), 22),
        (json!({"set": 30, "reason": "count", "lowStockThreshold": 4}), 30),
        (json!({"set": 31, "reason": "other", "note": "gift"}), 31),
    ];
    for (n, (change, expected)) in changes.iter().enumerate() {
        let after = patch(&shop, &keeper, &kente, change).await.expect(200)["level"].clone();
        assert_eq!((&after["onHand"], &after["version"]), (&json!(expected), &json!(n + 2)), "{change}");
        assert_eq!(shop.available(&kente).await, *expected, "what shoppers see");
    }
    // What changes nothing is no change.
    let same = patch(&shop, &keeper, &kente, &json!({"set": 31, "reason": "count"})).await.expect(200);
    assert_eq!(same["level"]["version"], 5);
    let threshold = patch(&shop, &keeper, &kente, &json!({"lowStockThreshold": null})).await.expect(200);
    assert_eq!((&threshold["level"]["threshold"], &threshold["level"]["version"]), (&json!(10), &json!(6)));

    let ledger = movements(&shop, &keeper, &format!("variant={}", kente.variant)).await;
    let found: Vec<_> = ledger.as_array().unwrap().iter().map(|m| (m["reason"].clone(), m["onHand"].clone())).collect();
    assert_eq!(json!(found), json!([["other", 1], ["count", 8], ["damaged", -3], ["received", 20], ["initial", 5]]));
    assert_eq!((&ledger[3]["note"], &ledger[3]["sku"]), (&json!("crate 7"), &json!("KENTE")));
    assert!(ledger[0]["actorId"].is_string() && ledger[4]["actorId"].is_null(), "{ledger:#}");
    assert_ledger(&shop).await;
}

/// Two members of the staff who start from the same version: the second is told, with the current one. Orders do not count.
#[tokio::test]
async fn a_stale_version_is_refused_with_the_current_one() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let kente = shop.product(&admin, "KENTE", 1_000, 5).await;
    let ama = shop.customer("ama@example.com").await;
    shop.order(&ama, &kente, 1).await;
    patch(&shop, &admin, &kente, &json!({"set": 9, "reason": "count", "version": 1})).await.expect(200);
    let stale = patch(&shop, &admin, &kente, &json!({"set": 7, "reason": "count", "version": 1})).await;
    assert_eq!(stale.expect_error(409, "CONFLICT"), ["version"]);
    assert!(stale.text.contains("the current version is 2, with 9 on hand"), "{}", stale.text);
    assert_eq!(level(&shop, &admin, &kente).await["onHand"], 9);
    let stale =
        adjust(&shop, &admin, &json!([{"sku": "KENTE", "increment": 1, "reason": "count", "version": 1}])).await;
    assert_eq!(stale.expect_error(409, "CONFLICT"), ["adjustments[0]"]);
}

/// What orders hold stays on hand, whatever staff enter; and no number leaves what the database can hold.
#[tokio::test]
async fn a_level_keeps_within_its_bounds() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let kente = shop.product(&admin, "KENTE", 1_000, 5).await;
    let ama = shop.customer("ama@example.com").await;
    shop.order(&ama, &kente, 3).await;
    for change in [
        json!({"set": 2, "reason": "count"}),
        json!({"decrement": 3, "reason": "lost"}),
        json!({"decrement": 6, "reason": "lost"}),
        json!({"increment": 1_000_000, "reason": "received"}),
    ] {
        let refused = patch(&shop, &admin, &kente, &change).await;
        assert_eq!(refused.expect_error(409, "CONFLICT"), ["quantity"], "{change}");
    }
    patch(&shop, &admin, &kente, &json!({"set": 3, "reason": "count"})).await.expect(200);
    assert_eq!(shop.available(&kente).await, 0);
    for (change, fields) in [
        (json!({}), vec!["set"]),
        (json!({"set": 1}), vec!["reason"]),
        (json!({"set": -1, "reason": "count"}), vec!["set"]),
        (json!({"set": 1_000_001, "reason": "count"}), vec!["set"]),
        (json!({"increment": 0, "reason": "count"}), vec!["increment"]),
        (json!({"decrement": -1, "reason": "count"}), vec!["decrement"]),
        (json!({"decrement": i32::MIN, "reason": "count"}), vec!["decrement"]),
        (json!({"increment": i32::MAX, "reason": "count"}), vec!["increment"]),
        (json!({"set": 1, "increment": 1, "reason": "count"}), vec!["set"]),
        (json!({"reason": "count"}), vec!["set"]),
        (json!({"decrement": 1, "reason": "received"}), vec!["reason"]),
        (json!({"increment": 1, "reason": "damaged"}), vec!["reason"]),
        (json!({"set": 1, "reason": "other"}), vec!["note"]),
        (json!({"lowStockThreshold": -1}), vec!["lowStockThreshold"]),
        (json!({"set": 1, "reason": "sold"}), vec!["reason"]),
        (json!({"set": 1.5, "reason": "count", "price": 3}), vec!["set", "price"]),
        (json!({"set": 4_294_967_296_i64, "reason": "count"}), vec!["set"]),
        (json!({"set": 1, "reason": "count", "note": "x".repeat(501)}), vec!["note"]),
        (json!({"set": 1, "reason": "count", "note": ""}), vec!["note"]),
    ] {
        let refused = patch(&shop, &admin, &kente, &change).await;
        let told: BTreeSet<_> = refused.expect_error(400, "VALIDATION_ERROR").into_iter().collect();
        assert_eq!(told, fields.into_iter().map(str::to_owned).collect(), "{change}: {}", refused.text);
    }
    let nobody = Product { variant: uuid::Uuid::now_v7().to_string(), ..kente.clone() };
    patch(&shop, &admin, &nobody, &json!({"set": 1, "reason": "count"})).await.expect_error(404, "NOT_FOUND");
    assert_ledger(&shop).await;
}

/// Many adjustments are all done or none, and each that is wrong is named by its place.
#[tokio::test]
async fn many_adjustments_are_one() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let (one, two) = (shop.product(&admin, "ONE", 1_000, 5).await, shop.product(&admin, "TWO", 1_000, 5).await);
    shop.available(&two).await;
    let done = adjust(
        &shop,
        &admin,
        &json!([
            {"sku": "TWO", "increment": 4, "reason": "received"},
            {"variantId": one.variant, "set": 5, "reason": "count"},
        ]),
    )
    .await
    .expect(200);
    assert_eq!((&done["changed"], &done["unchanged"], &done["dryRun"]), (&json!(1), &json!(1), &json!(false)));
    let changed = json!([{
        "variantId": two.variant, "sku": "TWO", "onHandBefore": 5, "onHand": 9, "reserved": 0, "available": 9, "version": 2
    }]);
    assert_eq!(done["levels"], changed);
    assert_eq!(shop.available(&two).await, 9, "what shoppers see");

    let refused = adjust(
        &shop,
        &admin,
        &json!([
            {"sku": "ONE", "increment": 1, "reason": "received"},
            {"sku": "NONE", "increment": 1, "reason": "received"},
            {"variantId": two.variant, "decrement": 50, "reason": "lost"},
            {"variantId": one.variant, "increment": 1, "reason": "received"},
            {"variantId": uuid::Uuid::now_v7(), "increment": 1, "reason": "received"},
            {"sku": "TWO", "variantId": two.variant, "set": 1, "increment": -1, "reason": "other"},
            {"reason": "count"},
        ]),
    )
    .await;
    let told: BTreeSet<_> = refused.expect_error(400, "VALIDATION_ERROR").into_iter().collect();
    let expected = [
        "adjustments[1].sku",
        "adjustments[2]",
        "adjustments[3]",
        "adjustments[4]",
        "adjustments[5].increment",
        "adjustments[5].set",
        "adjustments[5].variantId",
        "adjustments[6].set",
        "adjustments[6].variantId",
    ];
    assert_eq!(told, expected.into_iter().map(str::to_owned).collect(), "{}", refused.text);
    let refused = adjust(
        &shop,
        &admin,
        &json!([
            {"sku": "ONE", "increment": 1, "reason": "received"},
            {"sku": "TWO", "decrement": 50, "reason": "lost"},
        ]),
    )
    .await;
    assert_eq!(refused.expect_error(409, "CONFLICT"), ["adjustments[1]"]);
    assert_eq!(level(&shop, &admin, &one).await["onHand"], 5);

    let many = |count: usize| {
        json!((0..count).map(|_| json!({"sku": "ONE", "increment": 1, "reason": "count"})).collect::<Vec<_>>())
    };
    for count in [0, 1_001] {
        assert_eq!(adjust(&shop, &admin, &many(count)).await.expect_error(400, "VALIDATION_ERROR"), ["adjustments"]);
    }
    let unknown = json!({"adjustments": [{"sku": "ONE", "increment": 1, "reason": "count", "cost": 3}], "all": true});
    let refused = shop.post("/admin/inventory/adjustments").token(&admin).json(&unknown).send().await;
    assert_eq!(refused.expect_error(400, "VALIDATION_ERROR").len(), 2);
    assert_eq!(shop.database.count("select count(*) from stock_movements").await, 3);
    assert_ledger(&shop).await;
}

/// A thousand levels are one request.
#[tokio::test]
async fn a_thousand_adjustments_are_few_statements() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let one = shop.product(&admin, "ONE", 1_000, 5).await;
    sqlx::query(
        "with p as (
           insert into products (id, sku, title, slug, currency, price_minor, created_at, updated_at)
           select gen_random_uuid(), 'M' || n, 'Mass ' || n, 'mass-' || n, 'NGN', 100, now(), now()
           from generate_series(2, 1000) n returning id, sku),
         v as (insert into variants (id, product_id, sku, price_minor, position)
               select gen_random_uuid(), id, sku, 100, 0 from p returning id)
         insert into stock_levels (variant_id) select id from v",
    )
    .execute(&shop.database.pool)
    .await
    .unwrap();
    let mut adjustments = vec![json!({"variantId": one.variant, "increment": 1, "reason": "received"})];
    adjustments.extend((2..=1_000).map(|n| json!({"sku": format!("M{n}"), "set": n, "reason": "count"})));
    let done = adjust(&shop, &admin, &json!(adjustments)).await.expect(200);
    assert_eq!(done["changed"], 1_000);
    assert_eq!(shop.database.count("select sum(on_hand)::bigint from stock_levels").await, 500_499 + 6);
    assert_ledger(&shop).await;
}

/// Many at once, in any order of the variants, neither lose a change nor wait in a circle, with orders among them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parallel_adjustments_and_orders_lose_nothing() {
    // Whoever has to wait for the others waits: what is looked for here is a circle, and not the patience.
    let shop = TestApp::with(|config| {
        config.database.acquire_timeout_ms = 25_000;
        config.database.lock_timeout_ms = 25_000;
        config.database.statement_timeout_ms = 25_000;
    })
    .await;
    let admin = shop.staff(Role::Admin).await;
    let (one, two) = (shop.product(&admin, "ONE", 1_000, 100).await, shop.product(&admin, "TWO", 1_000, 100).await);
    let calls = (0..24).map(|n| {
        let (first, second) = if n % 2 == 0 { ("ONE", "TWO") } else { ("TWO", "ONE") };
        let body = json!({"adjustments": [
            {"sku": first, "increment": 2, "reason": "received"}, {"sku": second, "decrement": 1, "reason": "lost"},
        ]});
        shop.post("/admin/inventory/adjustments").token(&admin).json(&body).send()
    });
    let order = json!({
        "email": "buyer@example.com",
        "items": [{"variantId": two.variant, "quantity": 1}, {"variantId": one.variant, "quantity": 1}],
        "shippingAddress": address(),
    });
    let orders = (0..12).map(|_| shop.post("/orders").json(&order).send());
    let (adjusted, ordered) = tokio::join!(join_all(calls), join_all(orders));
    adjusted.into_iter().for_each(|answer| drop(answer.expect(200)));
    ordered.into_iter().for_each(|answer| drop(answer.expect(201)));
    for product in [&one, &two] {
        let level = level(&shop, &admin, product).await;
        assert_eq!((&level["onHand"], &level["reserved"]), (&json!(112), &json!(12)));
        assert_eq!((&level["version"], shop.available(product).await), (&json!(25), 100));
    }
    assert_ledger(&shop).await;
}

/// Twenty who set from the same version: one wins.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_twenty_with_one_version_one_wins() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let one = shop.product(&admin, "ONE", 1_000, 100).await;
    let path = format!("/admin/inventory/{}", one.variant);
    let calls = (0..20).map(|n| {
        let body = json!({"set": n, "reason": "count", "version": 1});
        shop.patch(&path).token(&admin).json(&body).send()
    });
    let answers = join_all(calls).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    assert_eq!(answers.iter().filter(|answer| answer.status == 409).count(), 19);
    assert_eq!(level(&shop, &admin, &one).await["version"], 2);
    assert_ledger(&shop).await;
}

/// A repeated request with its key adds once, also ten at once; another body under the key is refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeated_adjustment_is_done_once() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let one = shop.product(&admin, "ONE", 1_000, 100).await;
    let body = json!({"adjustments": [{"sku": "ONE", "increment": 5, "reason": "received"}]});
    let call = |body: &Value| {
        shop.post("/admin/inventory/adjustments").token(&admin).header("idempotency-key", "crate-7").json(body).send()
    };
    let answers = join_all((0..10).map(|_| call(&body))).await;
    assert!(answers.iter().all(|answer| matches!(answer.status, 200 | 409)), "{answers:#?}");
    let again = call(&body).await;
    assert_eq!(again.header("idempotency-replayed").as_deref(), Some("true"));
    assert_eq!(again.expect(200)["levels"][0]["onHand"], 105);
    let other = json!({"adjustments": [{"sku": "ONE", "increment": 6, "reason": "received"}]});
    call(&other).await.expect_error(422, "VALIDATION_ERROR");
    assert_eq!(level(&shop, &admin, &one).await["onHand"], 105);
    // A refusal is not kept: the key may be used again once the reason is gone.
    let refused = json!({"adjustments": [{"sku": "ONE", "decrement": 500, "reason": "lost"}]});
    let call = |body: &Value| {
        shop.post("/admin/inventory/adjustments").token(&admin).header("idempotency-key", "crate-8").json(body).send()
    };
    call(&refused).await.expect_error(409, "CONFLICT");
    patch(&shop, &admin, &one, &json!({"set": 600, "reason": "count"})).await.expect(200);
    call(&refused).await.expect(200);
    assert_eq!(level(&shop, &admin, &one).await["onHand"], 100);
    assert_ledger(&shop).await;
}

/// Search, filters, orders, pages and cursors of the list.
#[tokio::test]
async fn the_list_finds_and_sorts() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let category = shop.post("/categories").token(&admin).json(&json!({"name": "Cloths"})).send().await.expect(201);
    let category = category["category"]["id"].clone();
    let below = json!({"name": "Lace", "parentId": category});
    let below = shop.post("/categories").token(&admin).json(&below).send().await.expect(201)["category"]["id"].clone();
    for (sku, stock, category) in
        [("B-1", 0, &Value::Null), ("A-1", 3, &below), ("C-1", 50, &category), ("A-2", 11, &Value::Null)]
    {
        let body = json!({"sku": sku, "title": format!("Cloth {sku}"), "price": 10, "inventory": stock, "categoryId": category});
        shop.post("/products").token(&admin).json(&body).send().await.expect(201);
    }
    assert_eq!(skus(&shop, &admin, "").await, ["A-1", "A-2", "B-1", "C-1"]);
    assert_eq!(skus(&shop, &admin, "search=a-").await, ["A-1", "A-2"]);
    assert_eq!(skus(&shop, &admin, "search=OTH%20c").await, ["C-1"]);
    assert_eq!(skus(&shop, &admin, "search=%25").await, [""; 0]);
    assert_eq!(skus(&shop, &admin, &format!("category={}", category.as_str().unwrap())).await, ["A-1", "C-1"]);
    crate::stock_watch::watch(&shop).await;
    assert_eq!(skus(&shop, &admin, "status=low").await, ["A-1", "B-1"]);
    assert_eq!(skus(&shop, &admin, "status=low&sortBy=available").await, ["B-1", "A-1"]);
    assert_eq!(skus(&shop, &admin, "status=out").await, ["B-1"]);
    // What staff change is there at once, without a look of the watch.
    let lower = json!([{"sku": "C-1", "set": 1, "reason": "count"}, {"sku": "B-1", "set": 90, "reason": "received"}]);
    adjust(&shop, &admin, &lower).await.expect(200);
    assert_eq!(skus(&shop, &admin, "status=low&sortBy=available").await, ["C-1", "A-1"]);
    assert_eq!(skus(&shop, &admin, "status=out").await, [""; 0]);

    let first = shop.get("/admin/inventory?limit=3").token(&admin).send().await;
    let pagination = first.body["pagination"].clone();
    assert_eq!((&pagination["total"], &pagination["totalPages"]), (&json!(4), &json!(2)));
    let cursor = pagination["nextCursor"].as_str().unwrap();
    assert_eq!(skus(&shop, &admin, &format!("limit=3&cursor={cursor}")).await, ["C-1"]);
    assert_eq!(skus(&shop, &admin, "limit=3&page=2").await, ["C-1"]);
    for (query, field) in [
        ("status=full", "status"),
        ("sortBy=price", "sortBy"),
        ("sortBy=available", "sortBy"),
        ("product=x", "product"),
        ("cursor=!", "cursor"),
        ("cursor=QQ&page=2", "cursor"),
        ("limit=101", "limit"),
    ] {
        let refused = shop.get(&format!("/admin/inventory?{query}")).token(&admin).send().await;
        assert_eq!(refused.expect_error(400, "VALIDATION_ERROR"), [field], "{query}");
    }
    let long = shop.get(&format!("/admin/inventory?search={}", "x".repeat(101))).token(&admin).send().await;
    assert_eq!(long.expect_error(400, "VALIDATION_ERROR"), ["search"]);
}

/// The ledger by variant, reason, order, author and time, in parts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_ledger_is_read_by_what_one_looks_for() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let (one, two) = (shop.product(&admin, "ONE", 1_000, 5).await, shop.product(&admin, "TWO", 1_000, 5).await);
    let ama = shop.customer("ama@example.com").await;
    let order = shop.order(&ama, &one, 2).await;
    let before = shop.app.clock.now();
    shop.app.clock.advance(TimeDelta::minutes(1));
    let later = shop.app.clock.now();
    patch(&shop, &admin, &two, &json!({"decrement": 1, "reason": "lost"})).await.expect(200);
    let me = shop.get("/auth/me").token(&admin).send().await.expect(200)["user"]["id"].as_str().unwrap().to_owned();
    let count = async |query: String| movements(&shop, &admin, &query).await.as_array().unwrap().len();
    assert_eq!(count(String::new()).await, 4);
    assert_eq!(count(format!("variant={}", one.variant)).await, 2);
    assert_eq!(count("reason=lost".into()).await, 1);
    assert_eq!(count("reason=reserve".into()).await, 1);
    assert_eq!(count(format!("order={}", order["id"].as_str().unwrap())).await, 1);
    assert_eq!(count(format!("actor={me}")).await, 1);
    let time = |time: chrono::DateTime<chrono::Utc>| time.to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
    assert_eq!(count(format!("from={}", time(later))).await, 1);
    assert_eq!(count(format!("until={}", time(before + TimeDelta::seconds(1)))).await, 3);
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let answer = shop.get(&format!("/admin/inventory/movements?limit=3{cursor}")).token(&admin).send().await;
        let next = answer.body["pagination"]["nextCursor"].as_str().map(str::to_owned);
        seen.extend(answer.expect(200)["movements"].as_array().unwrap().iter().map(|m| m["id"].as_i64().unwrap()));
        let Some(next) = next else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(seen, [4, 3, 2, 1]);
    for (query, field) in [
        ("reason=stolen", "reason"),
        ("cursor=x", "cursor"),
        ("from=-1000-01-01T00:00:00Z", "from"),
        ("limit=0", "limit"),
    ] {
        let refused = shop.get(&format!("/admin/inventory/movements?{query}")).token(&admin).send().await;
        assert_eq!(refused.expect_error(400, "VALIDATION_ERROR"), [field], "{query}");
    }
}

/// Units, their value, and what has moved in a time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statistics_add_up() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let one = shop.product(&admin, "ONE", 100, 20).await;
    shop.product(&admin, "TWO", 7, 0).await;
    let gone = shop.product(&admin, "GONE", 1_000, 9).await;
    shop.delete(&format!("/products/{}", gone.id)).token(&admin).send().await.expect(200);
    let ama = shop.customer("ama@example.com").await;
    shop.order(&ama, &one, 2).await;
    patch(&shop, &admin, &one, &json!({"decrement": 4, "reason": "damaged"})).await.expect(200);
    let data = shop.get("/admin/inventory/statistics").token(&admin).send().await.expect(200);
    for (name, value) in [
        ("variants", 2),
        ("onHand", 16),
        ("reserved", 2),
        ("available", 14),
        ("variantsReserved", 1),
        ("variantsLow", 1),
        ("variantsOut", 1),
    ] {
        assert_eq!(data[name], value, "{name}: {data:#}");
    }
    assert_eq!(data["values"], json!([{"currency": "NGN", "value": 1_600}]));
    assert_eq!(
        data["moved"],
        json!([
            {"reason": "damaged", "movements": 1, "onHand": -4, "reserved": 0},
            {"reason": "initial", "movements": 2, "onHand": 29, "reserved": 0},
            {"reason": "reserve", "movements": 1, "onHand": 0, "reserved": 2},
        ])
    );
    for query in ["from=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z", "from=2020-01-01T00:00:00Z"] {
        let refused = shop.get(&format!("/admin/inventory/statistics?{query}")).token(&admin).send().await;
        assert_eq!(refused.expect_error(400, "VALIDATION_ERROR"), ["from"], "{query}");
    }
}
