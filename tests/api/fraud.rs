//! The rules against fraud: what they count, what they hold, and who decides about it.

use agape::features::auth::Role;
use agape::flows::retention::Retention;
use agape::platform::jobs::Job;
use chrono::TimeDelta;
use futures::future::join_all;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

use crate::concurrency::assert_ledger;
use crate::support::{Answer, PASSWORD, Product, TestApp, address};

const AMA: &str = "ama@example.com";

/// A shop that believes its proxy, and where two reasons hold an order: much for a new account, and much at all.
async fn shop() -> TestApp {
    TestApp::with(|config| {
        config.server.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
        config.fraud.payment_limits_minor = vec!["NGN 10000000".to_owned().try_into().unwrap()];
        config.fraud.new_account_limits_minor = vec!["NGN 10000000".to_owned().try_into().unwrap()];
        config.orders.cancel_paid = true;
    })
    .await
}

fn id(order: &Value) -> &str {
    order["id"].as_str().unwrap()
}

async fn seen(shop: &TestApp, staff: &str, order: &Value) -> Value {
    shop.get(&format!("/admin/orders/{}", id(order))).token(staff).send().await.expect(200)["order"].clone()
}

async fn queue(shop: &TestApp, staff: &str, query: &str) -> Vec<Value> {
    let data = shop.get(&format!("/admin/reviews{query}")).token(staff).send().await.expect(200);
    data["reviews"].as_array().unwrap().clone()
}

async fn decide(shop: &TestApp, staff: &str, review: &Value, how: &str) -> Answer {
    let path = format!("/admin/reviews/{}/{how}", review["id"].as_str().unwrap());
    shop.post(&path).token(staff).json(&json!({"note": "has called the buyer"})).send().await
}

/// Starts a payment of an order from an address of the internet.
async fn start_from(shop: &TestApp, token: &str, order: &Value, ip: &str) -> Value {
    let call = shop.post("/payments/initialize").token(token).header("x-forwarded-for", ip);
    call.json(&json!({"orderId": order["id"]})).send().await.expect(200)
}

/// The rules that the last attempt has met, in their order.
async fn last_rules(shop: &TestApp) -> Vec<String> {
    let sql = "select coalesce(array_agg(rule ->> 'rule'), '{}') from jsonb_array_elements(
                 (select rules from payment_reviews order by payment_id desc limit 1)) rule";
    sqlx::query_scalar(sql).fetch_one(&shop.database.pool).await.unwrap()
}

/// An order with two reasons waits once it is paid: it stays `paid`, the buyer reads a neutral line, the staff get a mail and see it
/// in their queue. No endpoint packs or sends it, and the database neither.
#[tokio::test]
async fn a_held_order_goes_nowhere() {
    let shop = shop().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 200_000, 9).await;
    let ama = shop.customer(AMA).await;
    let order = shop.paid_order(&ama, &product, 1).await;
    assert_eq!(order["notice"], "We are checking your order. It goes on as soon as that is done.");
    let told: Vec<_> = order["timeline"].as_array().unwrap().iter().map(|event| event["type"].clone()).collect();
    assert_eq!(told, ["placed", "paid"], "not that it is on review");
    assert!(order.get("onReview").is_none());
    let staffs = seen(&shop, &admin, &order).await;
    assert_eq!((&staffs["status"], &staffs["onReview"]), (&json!("paid"), &json!(true)));
    assert_eq!(staffs["nextStatuses"], json!(["cancelled"]));
    let waiting = queue(&shop, &admin, "").await;
    assert_eq!(waiting.len(), 1);
    let review = &waiting[0];
    assert_eq!((&review["orderId"], &review["status"]), (&order["id"], &json!("pending")));
    assert_eq!((&review["amount"], &review["score"]), (&order["total"], &json!(60)));
    let rules: Vec<_> = review["reasons"].as_array().unwrap().iter().map(|reason| reason["rule"].clone()).collect();
    assert_eq!(rules, ["payment_limit", "new_account"]);
    let subject = format!("A paid order waits for you: {}", order["orderNumber"].as_str().unwrap());
    assert_eq!(shop.mails("order_on_review").await, [subject]);
    assert_eq!(shop.mails("payment_receipt").await.len(), 1, "the buyer has his receipt all the same");

    let path = format!("/admin/orders/{}", id(&order));
    for (call, body) in [
        (shop.post(&format!("{path}/fulfilments")), json!({})),
        (shop.post(&format!("{path}/fulfilments")), json!({"shipped": true})),
        (shop.patch(&format!("{path}/tracking")), json!({"trackingNumber": "TRK-1"})),
        (shop.patch(&format!("{path}/status")), json!({"status": "processing"})),
        (shop.patch(&format!("{path}/status")), json!({"status": "shipped"})),
        (shop.patch(&format!("{path}/status")), json!({"status": "delivered"})),
    ] {
        call.token(&admin).json(&body).send().await.expect_error(409, "CONFLICT");
    }
    let order_id = id(&order);
    for sql in [
        "update orders set status = 'processing'".to_owned(),
        "update orders set status = 'shipped'".to_owned(),
        format!(
            "insert into fulfilments (id, order_id, number, created_at, updated_at)
             values (gen_random_uuid(), '{order_id}', 1, now(), now())"
        ),
    ] {
        assert!(sqlx::query(AssertSqlSafe(sql.clone())).execute(&shop.database.pool).await.is_err(), "{sql}");
    }
    assert_eq!(seen(&shop, &admin, &order).await["fulfilments"], json!([]));

    let approved = decide(&shop, &admin, review, "approve").await.expect(200)["review"].clone();
    assert_eq!((&approved["status"], &approved["note"]), (&json!("approved"), &json!("has called the buyer")));
    assert!(queue(&shop, &admin, "").await.is_empty());
    assert_eq!(queue(&shop, &admin, "?status=approved").await.len(), 1);
    let sent = shop.set_status(&admin, &order, "shipped").await.expect(200)["order"].clone();
    assert_eq!((&sent["status"], &sent["onReview"]), (&json!("shipped"), &json!(false)));
    let mine = shop.get(&format!("/orders/{}", id(&order))).token(&ama).send().await;
    assert!(!mine.text.contains("review") && !mine.text.contains("checking"), "{}", mine.text);
}

/// Two of the staff decide at once, differently: one decision counts. A rejected order is cancelled, with its goods on the shelf, its
/// money on the way back, and a mail that says no more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_review_is_decided_once() {
    let shop = shop().await;
    let (admin, finance) = (shop.staff(Role::Admin).await, shop.staff(Role::Finance).await);
    let product = shop.product(&admin, "A", 200_000, 9).await;
    let ama = shop.customer(AMA).await;
    let mut rejected = 0;
    for _ in 0..3 {
        let order = shop.paid_order(&ama, &product, 1).await;
        let review = queue(&shop, &admin, "").await.remove(0);
        let deeds = ["approve", "reject", "reject", "approve"];
        let calls = deeds.iter().zip([&admin, &finance, &admin, &finance]);
        let answers = join_all(calls.map(|(how, staff)| decide(&shop, staff, &review, how))).await;
        assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1, "{answers:#?}");
        assert_eq!(answers.iter().filter(|answer| answer.status == 409).count(), 3, "{answers:#?}");
        let is_rejected = answers.iter().zip(deeds).any(|(answer, how)| answer.status == 200 && how == "reject");
        rejected += i64::from(is_rejected);
        let after = seen(&shop, &admin, &order).await;
        assert_eq!(after["status"], if is_rejected { "cancelled" } else { "paid" });
        assert_eq!(after["onReview"], false);
    }
    let order = shop.paid_order(&ama, &product, 1).await;
    let review = queue(&shop, &admin, "").await.remove(0);
    decide(&shop, &finance, &review, "reject").await.expect(200);
    decide(&shop, &finance, &review, "approve").await.expect_error(409, "CONFLICT");
    rejected += 1;
    let after = seen(&shop, &admin, &order).await;
    assert_eq!((&after["status"], &after["payments"][0]["refunded"]), (&json!("cancelled"), &order["total"]));
    assert_eq!(shop.database.count("select count(*) from refunds where status <> 'failed'").await, rejected);
    assert_eq!(shop.available(&product).await, 9 - (4 - rejected));
    assert_eq!(i64::try_from(shop.mails("order_cancelled").await.len()).unwrap(), rejected);
    let mails =
        shop.database.text("select string_agg(body_text, ' ') from emails where kind = 'order_cancelled'").await;
    let mails = mails.unwrap();
    assert!(mails.contains("You get back") && !mails.contains("called") && !mails.contains("review"), "{mails}");
    assert_ledger(&shop).await;
}

/// Whoever has no permission does not even see the queue, and what does not exist is not decided.
#[tokio::test]
async fn the_queue_is_for_few() {
    let shop = shop().await;
    let (admin, packer) = (shop.staff(Role::Admin).await, shop.staff(Role::Fulfilment).await);
    let product = shop.product(&admin, "A", 200_000, 9).await;
    let ama = shop.customer(AMA).await;
    let held = shop.paid_order(&ama, &product, 1).await;
    let review = queue(&shop, &admin, "").await.remove(0);
    for token in [&ama, &packer] {
        shop.get("/admin/reviews").token(token).send().await.expect_error(403, "AUTHORIZATION_ERROR");
        for how in ["approve", "reject"] {
            decide(&shop, token, &review, how).await.expect_error(403, "AUTHORIZATION_ERROR");
        }
    }
    let nobody = json!({"id": uuid::Uuid::now_v7()});
    decide(&shop, &admin, &nobody, "approve").await.expect_error(404, "NOT_FOUND");
    // An attempt that nobody has to look at is no review.
    let small = shop.product(&admin, "B", 10, 9).await;
    shop.paid_order(&ama, &small, 1).await;
    let passed = shop.database.text("select payment_id::text from payment_reviews where status = 'none'").await;
    let passed = json!({"id": passed.unwrap()});
    decide(&shop, &admin, &passed, "reject").await.expect_error(404, "NOT_FOUND");
    let odd = shop.get("/admin/reviews?status=odd").token(&admin).send().await;
    odd.expect_error(400, "VALIDATION_ERROR");
    assert!(queue(&shop, &admin, "?status=none").await.is_empty());
    // The buyer gives it up himself: there is nothing left to decide.
    shop.post(&format!("/orders/{}/cancel", id(&held))).token(&ama).json(&json!({})).send().await.expect(200);
    decide(&shop, &admin, &review, "approve").await.expect_error(409, "CONFLICT");
    assert_eq!(seen(&shop, &admin, &held).await["status"], "cancelled");
    let ended = queue(&shop, &admin, "?status=rejected").await;
    assert_eq!((&ended[0]["decidedBy"], &ended[0]["note"]), (&Value::Null, &json!("the order was cancelled")));
    // The queue goes on behind its cursor.
    for _ in 0..2 {
        shop.paid_order(&ama, &product, 1).await;
    }
    let first = shop.get("/admin/reviews?limit=1").token(&admin).send().await;
    let cursor = first.body["pagination"]["nextCursor"].as_str().unwrap();
    let second = queue(&shop, &admin, &format!("?limit=1&cursor={cursor}")).await;
    assert_ne!(first.body["data"]["reviews"][0]["id"], second[0]["id"]);
}

/// Of an order on review whose money went back in part, the rest goes back when it is rejected, and it is never packed. One whose
/// money went back wholly is waited for no more.
#[tokio::test]
async fn a_review_ends_with_its_money() {
    let shop = shop().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 200_000, 9).await;
    let ama = shop.customer(AMA).await;
    let order = shop.paid_order(&ama, &product, 1).await;
    shop.force_status(&order, "partially_refunded").await;
    let review = queue(&shop, &admin, "").await.remove(0);
    decide(&shop, &admin, &review, "reject").await.expect(200);
    let after = seen(&shop, &admin, &order).await;
    assert_eq!((&after["status"], &after["onReview"]), (&json!("partially_refunded"), &json!(true)));
    assert_eq!(after["payments"][0]["refunded"], order["total"]);
    assert_eq!(shop.available(&product).await, 9);
    shop.set_status(&admin, &order, "shipped").await.expect_error(409, "CONFLICT");
    let order = shop.paid_order(&ama, &product, 1).await;
    let refund = "update orders set status = 'refunded', on_review = false where status = 'paid'";
    sqlx::query(refund).execute(&shop.database.pool).await.unwrap();
    assert!(queue(&shop, &admin, "").await.is_empty());
    let ended = queue(&shop, &admin, "?status=rejected").await;
    assert_eq!((&ended[1]["orderId"], &ended[1]["note"]), (&order["id"], &json!("the order was refunded")));
    assert_ledger(&shop).await;
}

/// Several payments of one buyer settle at once, each below the sum of an hour: those that go beyond it together are found.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn payments_at_once_count_each_other() {
    let shop = TestApp::with(|config| {
        config.fraud.hour_limits_minor = vec!["NGN 1500000".to_owned().try_into().unwrap()];
        config.fraud.review_score = 30;
    })
    .await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 4_000, 9).await;
    let ama = shop.customer(AMA).await;
    let mut charges = Vec::new();
    for number in 1..=4 {
        let order = shop.order(&ama, &product, 1).await;
        let minor = order["total"].to_string().parse::<agape::platform::money::Amount>().unwrap().0;
        assert!((500_001..750_000).contains(&minor), "two are below the limit and three are not: {minor}");
        let payment = shop.initialize(&ama, &order).await;
        charges.push(crate::support::charge_success(payment["reference"].as_str().unwrap(), minor, number));
    }
    let settled = charges.iter().map(|charge| {
        let transaction = paystack::Transaction::try_from(&charge["data"]).unwrap();
        let app = shop.app.clone();
        async move { agape::flows::settle::settle(&app, &transaction).await.unwrap() }
    });
    join_all(settled).await;
    assert_eq!(shop.database.count("select count(*) from orders where status = 'paid'").await, 4);
    assert_eq!(shop.database.count("select count(*) from orders where on_review").await, 2);
}

/// Many payments of one buyer start in the same moment, and are paid so: each counts those before it, as if they had come one by one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn starts_at_once_count_each_other() {
    let shop = TestApp::with(|config| {
        config.fraud.hour_attempts = 4;
        config.fraud.hour_limits_minor = vec!["NGN 1500000".to_owned().try_into().unwrap()];
    })
    .await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 4_000, 20).await;
    let ama = shop.customer(AMA).await;
    let mut orders = Vec::new();
    for _ in 0..8 {
        orders.push(shop.order(&ama, &product, 1).await);
    }
    let pages = join_all(orders.iter().map(|order| shop.initialize(&ama, order))).await;
    let many = "select count(*) from payment_reviews where rules @> '[{\"rule\": \"attempts\"}]'";
    assert_eq!(shop.database.count(many).await, 4);
    let odd = "select count(*) from payment_reviews where rules = '[]'";
    assert_eq!(shop.database.count(odd).await, 4);
    let first: Vec<String> = sqlx::query_scalar(
        "select p.reference from payments p join payment_reviews r on r.payment_id = p.id where rules = '[]'",
    )
    .fetch_all(&shop.database.pool)
    .await
    .unwrap();
    let first: Vec<_> =
        pages.iter().filter(|page| first.iter().any(|reference| page["reference"] == reference.as_str())).collect();
    assert_eq!(first.len(), 4);
    // Two of them are below the sum of an hour, and three are not.
    join_all(first.iter().map(|page| shop.pay(page))).await;
    let paid = "select count(*) from orders where paid_at is not null";
    shop.wait_for("the money", || async { (shop.database.count(paid).await == 4).then_some(()) }).await;
    shop.wait_for_jobs().await;
    let summed = "select count(*) from payment_reviews where rules @> '[{\"rule\": \"hour_limit\"}]'";
    assert_eq!(shop.database.count(summed).await, 2);
}

async fn attempt(shop: &TestApp, token: &str, product: &Product, ip: &str) -> (Value, Value) {
    let order = shop.order(token, product, 1).await;
    let payment = start_from(shop, token, &order, ip).await;
    (order, payment)
}

/// Each rule that counts others' or earlier attempts sees them, by buyer, by time and by address.
#[tokio::test]
async fn earlier_attempts_count() {
    let shop = TestApp::with(|config| {
        config.server.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
        config.fraud.hour_attempts = 2;
        config.fraud.day_failures = 1;
        config.fraud.ip_buyers = 2;
        config.fraud.hour_limits_minor = vec!["NGN 1000000".to_owned().try_into().unwrap()];
        config.fraud.disposable_domains = vec!["throwaway.example".into()];
        // What is counted is looked at here, not what is held.
        config.fraud.review_score = 1_000;
    })
    .await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 4_000, 99).await;
    let ama = shop.customer(AMA).await;
    for _ in 0..2 {
        let (_, payment) = attempt(&shop, &ama, &product, "203.0.113.9").await;
        assert!(last_rules(&shop).await.is_empty());
        shop.post(payment["authorizationUrl"].as_str().unwrap()).form("action=decline").send().await;
        let reference = payment["reference"].as_str().unwrap();
        shop.post(&format!("/payments/{reference}/verify")).token(&ama).send().await.expect(200);
    }
    let (order, payment) = attempt(&shop, &ama, &product, "203.0.113.9").await;
    assert_eq!(last_rules(&shop).await, ["attempts", "failures"]);
    // An attempt that can still be paid is given again, and is no new one.
    assert_eq!(start_from(&shop, &ama, &order, "203.0.113.9").await["reference"], payment["reference"]);
    assert_eq!(shop.database.count("select count(*) from payment_reviews").await, 3);
    // At the end, what was found at the start counts too.
    shop.app.clock.advance(TimeDelta::minutes(20));
    shop.pay(&payment).await;
    shop.wait_for_paid(&order).await;
    assert_eq!(last_rules(&shop).await, ["attempts", "failures"]);
    shop.app.clock.advance(TimeDelta::minutes(30));
    let ama = shop.login(AMA).await;
    let _ = attempt(&shop, &ama, &product, "203.0.113.9").await;
    assert_eq!(last_rules(&shop).await, ["hour_limit", "attempts", "failures"]);
    // Hours later only the refusals of the day count, and then not even these.
    shop.app.clock.advance(TimeDelta::minutes(70));
    let ama = shop.login(AMA).await;
    let _ = attempt(&shop, &ama, &product, "203.0.113.9").await;
    assert_eq!(last_rules(&shop).await, ["failures"]);
    shop.app.clock.advance(TimeDelta::hours(24));
    let ama = shop.login(AMA).await;
    let _ = attempt(&shop, &ama, &product, "203.0.113.9").await;
    assert!(last_rules(&shop).await.is_empty());

    // Three buyers at one address, in whatever way it is written, and of IPv6 in one network.
    for (addresses, odd) in [
        (["198.51.100.1", "198.51.100.1", "::ffff:198.51.100.1"], true),
        (["198.51.100.2", "198.51.100.3", "198.51.100.4"], false),
        (["2001:db8:1::1", "2001:db8:1::2", "2001:db8:1:0:ffff::3"], true),
        (["2001:db8:1:1::1", "2001:db8:1:2::1", "2001:db8:1:3::1"], false),
    ] {
        for (i, ip) in addresses.into_iter().enumerate() {
            let buyer = shop.customer(&format!("b{i}@{}.example", addresses[2].replace([':', '.'], "x"))).await;
            let _ = attempt(&shop, &buyer, &product, ip).await;
            let rules = last_rules(&shop).await;
            assert_eq!(rules == ["shared_address"], odd && i == 2, "{ip}: {rules:?}");
        }
    }
    let thrown = shop.customer("x@throwaway.example").await;
    let _ = attempt(&shop, &thrown, &product, "203.0.113.77").await;
    assert_eq!(last_rules(&shop).await, ["disposable_email"]);
}

/// The card is known when the money comes: one of another country is a reason then.
#[tokio::test]
async fn the_card_is_looked_at_when_it_is_known() {
    let shop = TestApp::with(|config| config.fraud.review_score = 30).await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 9).await;
    let ama = shop.customer(AMA).await;
    for (country, held) in [("NG", false), ("GB", true)] {
        let order = shop.order(&ama, &product, 1).await;
        let payment = shop.initialize(&ama, &order).await;
        let minor = order["total"].to_string().parse::<agape::platform::money::Amount>().unwrap().0;
        let number = if held { 2 } else { 1 };
        let mut charge = crate::support::charge_success(payment["reference"].as_str().unwrap(), minor, number);
        charge["data"]["authorization"]["country_code"] = json!(country);
        shop.deliver(&charge, crate::support::PAYSTACK_KEY).await.expect(200);
        shop.wait_for_paid(&order).await;
        let after = seen(&shop, &admin, &order).await;
        assert_eq!((&after["status"], &after["onReview"]), (&json!("paid"), &json!(held)), "{country}");
    }
    assert_eq!(last_rules(&shop).await, ["card_country"]);
}

/// Of whose attempt it was and where it came from only keyed hashes are kept, and they go: on request, and after their days.
#[tokio::test]
async fn what_is_personal_goes() {
    let shop = shop().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 200_000, 9).await;
    let ama = shop.customer(AMA).await;
    let (order, payment) = attempt(&shop, &ama, &product, "203.0.113.9").await;
    shop.pay(&payment).await;
    shop.wait_for_paid(&order).await;
    let stored = shop.database.text("select to_jsonb(r)::text from payment_reviews r").await.unwrap();
    let plain = hex::encode(agape::platform::crypto::sha256(&[203, 0, 113, 9]));
    assert!(!stored.contains("203.0.113.9") && !stored.contains(AMA) && !stored.contains(&plain), "{stored}");
    let kept = "select count(*) from payment_reviews where customer is not null and ip_hash is not null";
    assert_eq!(shop.database.count(kept).await, 1);
    let export = shop.get("/privacy/export").token(&ama).send().await.expect(200);
    let check = &export["payments"][0]["check"];
    assert_eq!((&check["status"], &check["addressKept"]), (&json!("pending"), &json!(true)));

    let review = queue(&shop, &admin, "").await.remove(0);
    decide(&shop, &admin, &review, "reject").await.expect(200);
    let gone = "select count(*) from refunds where status = 'processed'";
    shop.wait_for("the money to be back", || async { (shop.database.count(gone).await == 1).then_some(()) }).await;
    shop.post("/privacy/erase").token(&ama).json(&json!({"password": PASSWORD})).send().await.expect(200);
    let left = "select count(*) from payment_reviews where coalesce(customer, ip_hash) is not null or note is not null";
    assert_eq!(shop.database.count(left).await, 0);

    let kofi = shop.customer("kofi@example.com").await;
    let _ = attempt(&shop, &kofi, &product, "203.0.113.9").await;
    assert_eq!(shop.database.count(kept).await, 1);
    shop.app.clock.advance(TimeDelta::days(shop.app.config.fraud.keep_days) - TimeDelta::hours(1));
    Retention {}.run(&shop.app).await.unwrap();
    assert_eq!(shop.database.count(kept).await, 1);
    shop.app.clock.advance(TimeDelta::hours(2));
    Retention {}.run(&shop.app).await.unwrap();
    assert_eq!(shop.database.count(kept).await, 0);
    assert_eq!(shop.database.count("select count(*) from payment_reviews").await, 2, "the score stays");
}

/// What is counted is found by an index, whatever else is there.
#[tokio::test]
async fn no_rule_reads_all_attempts() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 9).await;
    let ama = shop.customer(AMA).await;
    shop.order(&ama, &product, 1).await;
    for sql in [
        "insert into payments (id, order_id, order_number, provider, reference, status, amount_minor, currency, created_at, updated_at)
         select gen_random_uuid(), (select id from orders), 'x', 'paystack', 'r' || n, 'failed', 1, 'NGN', now(), now()
         from generate_series(1, 20000) n",
        "insert into payment_reviews (payment_id, order_id, customer, ip_hash, score, rules, status, started_at)
         select id, order_id, sha256((n % 5000)::text::bytea), sha256((n % 4000)::text::bytea), 0, '[]', 'none',
                now() - n * interval '1 minute'
         from (select id, order_id, row_number() over () n from payments) p",
        "analyze payments, payment_reviews",
    ] {
        sqlx::query(sql).execute(&shop.database.pool).await.unwrap();
    }
    let (one, since) = ("sha256('7'::bytea)", "now() - interval '1 day'");
    for (question, index) in [
        (format!("customer = {one} and started_at > {since} order by started_at desc limit 1000"), "payment_reviews_customer"),
        (format!("ip_hash = {one} and started_at > {since} order by started_at desc limit 1000"), "payment_reviews_ip_hash"),
        ("status = 'pending' and status <> 'none' order by payment_id limit 21".into(), "payment_reviews_queue"),
        ("started_at < now() - interval '13 days' and (customer is not null or ip_hash is not null) order by started_at limit 100".into(), "payment_reviews_personal"),
    ] {
        let sql = format!("explain select payment_id from payment_reviews where {question}");
        let plan: Vec<String> = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(&shop.database.pool).await.unwrap();
        let plan = plan.join("\n");
        assert!(plan.contains(index) && !plan.contains("Seq Scan"), "{question}:\n{plan}");
    }
}

/// A guest's order is counted by his address, as an account's, and a second address is another buyer.
#[tokio::test]
async fn guests_are_looked_at_too() {
    let shop = shop().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 200_000, 9).await;
    let body = json!({"items": [{"variantId": product.variant, "quantity": 1}], "email": "kofi@example.com",
                      "shippingAddress": address()});
    let order = shop.post("/orders").json(&body).send().await.expect(201)["order"].clone();
    let start = json!({"orderId": order["id"], "email": "kofi@example.com"});
    let payment = shop.post("/payments/initialize").json(&start).send().await.expect(200);
    shop.pay(&payment).await;
    shop.wait_for_paid(&order).await;
    let review = queue(&shop, &admin, "").await.remove(0);
    assert!(review["reasons"][1]["reason"].as_str().unwrap().starts_with("A guest pays"), "{review}");
    let known = json!({"orderNumber": order["orderNumber"], "email": "kofi@example.com"});
    shop.post("/orders/track/cancel").json(&known).send().await.expect_error(409, "CONFLICT");
}
