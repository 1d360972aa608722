//! The provider's list against our payments: what differs is found, what may be mended is, and whatever happens in between changes
//! nothing about it.

use agape::features::auth::Role;
use agape::flows::reconcile::{Reconcile, ScheduleReconciliation};
use agape::platform::ids::ReconciliationId;
use agape::platform::jobs::Job;
use agape::platform::money::Amount;
use chrono::{DateTime, TimeDelta, Utc};
use futures::future::join_all;
use paystack::CreateRefund;
use serde_json::{Value, json};

use crate::concurrency::assert_ledger;
use crate::refunds::{assert_money, control};
use crate::support::{Answer, FakePaystack, PAYSTACK_KEY, Product, TestApp, listed};

const RUN: &str = "select id::text from reconciliations order by created_at desc limit 1";

/// The time around now, with what the sandbox is about to begin.
fn around(shop: &TestApp) -> Value {
    let now = shop.app.clock.now();
    json!({"from": now - TimeDelta::hours(3), "until": now})
}

async fn start(shop: &TestApp, staff: &str, body: &Value) -> Answer {
    shop.post("/admin/reconciliations").token(staff).json(body).send().await
}

/// Has the last hours compared, and waits for the end.
pub async fn reconcile(shop: &TestApp, staff: &str) -> Value {
    let run = start(shop, staff, &around(shop)).await.expect(202)["reconciliation"].clone();
    assert_eq!((&run["status"], &run["step"]), (&json!("running"), &json!("read")));
    ended(shop, staff, run["id"].as_str().unwrap()).await
}

async fn ended(shop: &TestApp, staff: &str, id: &str) -> Value {
    shop.wait_for("the end of the reconciliation", || async {
        let path = format!("/admin/reconciliations/{id}");
        let run = shop.get(&path).token(staff).send().await.expect(200)["reconciliation"].clone();
        (run["status"] != "running").then_some(run)
    })
    .await
}

pub async fn findings(shop: &TestApp, staff: &str, query: &str) -> Vec<Value> {
    let path = format!("/admin/reconciliation-findings?{query}");
    let data = shop.get(&path).token(staff).send().await.expect(200);
    data["findings"].as_array().unwrap().clone()
}

/// An amount of an answer in minor units.
fn minor(amount: &Value) -> i64 {
    serde_json::from_value::<Amount>(amount.clone()).unwrap().0
}

fn kinds(found: &[Value]) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut kinds: Vec<_> = found.iter().map(|found| (text(&found["kind"]), text(&found["status"]))).collect();
    kinds.sort();
    kinds
}

/// Begins a transaction at the sandbox past the shop. Gives its page.
async fn begin_elsewhere(shop: &TestApp, reference: &str) -> Value {
    let body = json!({
        "email": "x@example.com", "amount": 70_000, "currency": "NGN", "reference": reference, "callback_url": shop.url,
    });
    let call = shop.post("//sandbox/paystack/transaction/initialize").token(PAYSTACK_KEY).json(&body);
    let page = call.send().await.expect(200);
    json!({"authorizationUrl": page["authorization_url"]})
}

/// Orders and pays, and the provider tells nobody.
async fn pay_in_silence(shop: &TestApp, token: &str, product: &Product) -> String {
    let payment = shop.initialize(token, &shop.order(token, product, 1).await).await;
    shop.pay(&payment).await;
    payment["reference"].as_str().unwrap().to_owned()
}

async fn set(shop: &TestApp, change: &'static str, reference: &str) {
    let sql = format!("update payments set {change} where reference = $1");
    let done = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(reference).execute(&shop.database.pool).await.unwrap();
    assert_eq!(done.rows_affected(), 1, "{change}");
}

/// What was given back in full had been taken: both sides count it, and it is no difference.
#[tokio::test]
async fn what_went_back_counts_on_both_sides() {
    let shop = TestApp::start().await;
    shop.app.clock.advance(TimeDelta::hours(1));
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 50).await;
    let ama = shop.customer("ama@example.com").await;
    let order = shop.paid_order(&ama, &product, 1).await;
    let path = format!("/admin/orders/{}/refunds", order["id"].as_str().unwrap());
    shop.post(&path).token(&admin).json(&json!({"reason": "sent back"})).send().await.expect(201);
    shop.wait_for_status(&ama, &order, "refunded").await;
    let run = reconcile(&shop, &admin).await;
    let sums = &run["sums"][0];
    assert_eq!((&sums["theirCount"], &sums["ourCount"]), (&json!(1), &json!(1)), "{run:#}");
    assert_eq!(
        (minor(&sums["theirTotal"]), minor(&sums["ourTotal"])),
        (minor(&order["total"]), minor(&order["total"]))
    );
    assert_eq!(findings(&shop, &admin, "").await, Vec::<Value>::new());
}

/// Every kind of difference is found in a list of three pages, with the values of both sides; a success that was not heard of is taken
/// in, and nothing else is touched. The next run finds the same and makes nothing new of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_difference_is_found_and_a_missed_success_is_mended() {
    let shop = TestApp::start().await;
    // The sandbox has the real clock, and whatever it begins has to be past for the shop.
    shop.app.clock.advance(TimeDelta::hours(1));
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 50).await;
    let ama = shop.customer("ama@example.com").await;
    shop.sandbox_faults(&json!({"webhook": "none"})).await;
    let silent = pay_in_silence(&shop, &ama, &product).await;
    shop.sandbox_faults(&json!({})).await;
    let mut references = Vec::new();
    for _ in 0..4 {
        let order = shop.paid_order(&ama, &product, 1).await;
        let sql = "select reference from payments where order_id::text = $1";
        let id = order["id"].as_str().unwrap();
        references.push(sqlx::query_scalar::<_, String>(sql).bind(id).fetch_one(&shop.database.pool).await.unwrap());
    }
    let [whole, amount, currency, renamed] = &references[..] else { unreachable!() };
    set(&shop, "paid_minor = paid_minor - 100", amount).await;
    set(&shop, "currency = 'GHS'", currency).await;
    set(&shop, "reference = 'nobody-knows-me'", renamed).await;
    let open = shop.initialize(&ama, &shop.order(&ama, &product, 1).await).await;
    let unpaid = open["reference"].as_str().unwrap();
    set(&shop, "status = 'success', paid_minor = amount_minor", unpaid).await;
    for i in 0..230 {
        begin_elsewhere(&shop, &format!("elsewhere-{i}")).await;
    }
    shop.pay(&begin_elsewhere(&shop, "elsewhere-paid").await).await;
    shop.wait_for_jobs().await;

    let run = reconcile(&shop, &admin).await;
    assert_eq!(
        (&run["status"], &run["pages"], &run["failure"]),
        (&json!("completed"), &json!(3), &Value::Null),
        "{run:#}"
    );
    let id = run["id"].as_str().unwrap();
    let found = findings(&shop, &admin, &format!("reconciliation={id}&limit=100")).await;
    let expected = [
        ("AMOUNT_MISMATCH", "open"),
        ("CURRENCY_MISMATCH", "open"),
        ("MISSING_IN_LOCAL", "open"),
        ("MISSING_IN_LOCAL", "open"),
        ("MISSING_IN_PAYSTACK", "open"),
        ("STATUS_MISMATCH", "mended"),
        ("STATUS_MISMATCH", "open"),
    ];
    assert_eq!(kinds(&found), expected.map(|(kind, status)| (kind.to_owned(), status.to_owned())), "{found:#?}");
    let of = |reference: &str| found.iter().find(|found| found["reference"] == reference).unwrap();
    assert!(found.iter().all(|found| found["reference"] != whole.as_str()));
    let less = of(amount);
    let paid = minor(&less["theirs"]["amount"]);
    assert_eq!(minor(&less["ours"]["amount"]), paid - 100);
    assert_eq!(
        (&of(currency)["theirs"]["currency"], &of(currency)["ours"]["currency"]),
        (&json!("NGN"), &json!("GHS"))
    );
    assert_eq!((&of("nobody-knows-me")["theirs"], &of(renamed)["ours"]), (&Value::Null, &Value::Null));
    assert_eq!(
        (&of(unpaid)["theirs"]["status"], &of(unpaid)["ours"]["status"]),
        (&json!("abandoned"), &json!("success"))
    );
    assert_eq!(of(&silent)["note"], "The order is paid.");
    let status = "select o.status from orders o join payments p on p.order_id = o.id where p.reference = $1";
    let status: String = sqlx::query_scalar(status).bind(&silent).fetch_one(&shop.database.pool).await.unwrap();
    assert_eq!(status, "paid");
    assert_ledger(&shop).await;
    // Six successes at the provider; ours: five of the same references, of which one in another currency, and the renamed one.
    let sums = &run["sums"];
    assert_eq!(
        (&sums[0]["currency"], &sums[0]["ourCount"], &sums[0]["theirCount"]),
        (&json!("GHS"), &json!(1), &json!(0))
    );
    assert_eq!(
        (&sums[1]["currency"], &sums[1]["ourCount"], &sums[1]["theirCount"]),
        (&json!("NGN"), &json!(5), &json!(6))
    );
    assert_eq!(minor(&sums[1]["theirTotal"]), paid * 5 + 70_000);
    assert_eq!(shop.database.count("select count(*) from reconciliation_items").await, 0);
    assert_eq!(shop.mails("reconciliation").await, ["Reconciliation: 7 findings, 6 open"]);

    let resolve = format!("/admin/reconciliation-findings/{}/resolve", of("elsewhere-paid")["id"].as_str().unwrap());
    let note = json!({"note": "=cmd|' /C calc'!A0"});
    let closed = shop.post(&resolve).token(&admin).json(&note).send().await.expect(200);
    assert_eq!(closed["finding"]["status"], "resolved");
    shop.post(&resolve).token(&admin).json(&note).send().await.expect_error(409, "CONFLICT");
    let again = reconcile(&shop, &admin).await;
    let id = again["id"].as_str().unwrap();
    let same = findings(&shop, &admin, &format!("reconciliation={id}&limit=100")).await;
    // The mended one differs no more, the resolved one is met again and stays so.
    assert_eq!(same.len(), 6);
    assert_eq!(findings(&shop, &admin, "status=open").await.len(), 5);
    assert_eq!(findings(&shop, &admin, "status=open&kind=MISSING_IN_LOCAL").await.len(), 1);
    assert_eq!(shop.database.count("select count(*) from reconciliation_findings").await, 7);
    let report = shop.get(&format!("/admin/reconciliations/{id}/report")).token(&admin).send().await;
    assert_eq!((report.status, report.text.lines().count()), (200, 7), "{}", report.text);
    assert!(
        report.text.contains("\"'=cmd|' /C calc'!A0\"") || report.text.contains(",'=cmd|' /C calc'!A0,"),
        "{}",
        report.text
    );
    let all = shop.get("/admin/reconciliations?limit=1").token(&admin).send().await;
    assert_eq!(
        (all.body["pagination"]["total"].clone(), all.body["data"]["reconciliations"][0]["id"].clone()),
        (json!(2), json!(id))
    );
    // One that was closed opens again when one side changes.
    let resolve = format!("/admin/reconciliation-findings/{}/resolve", less["id"].as_str().unwrap());
    shop.post(&resolve).token(&admin).json(&json!({"note": "a fee"})).send().await.expect(200);
    set(&shop, "paid_minor = paid_minor - 100", amount).await;
    reconcile(&shop, &admin).await;
    let open = findings(&shop, &admin, "status=open&kind=AMOUNT_MISMATCH").await;
    assert_eq!((open.len(), minor(&open[0]["ours"]["amount"])), (1, paid - 200));
    for (query, field) in [("kind=THEFT", "kind"), ("status=new", "status"), ("reconciliation=x", "reconciliation")] {
        let answer = shop.get(&format!("/admin/reconciliation-findings?{query}")).token(&admin).send().await;
        assert_eq!(answer.expect_error(400, "VALIDATION_ERROR"), [field]);
    }
}

/// Gives money back in the provider's dashboard, and nobody is told.
pub async fn give_back_in_silence(shop: &TestApp, reference: &str, amount: i64) {
    shop.sandbox_faults(&json!({"webhook": "none", "refunds": "held"})).await;
    let request = CreateRefund {
        transaction: reference.to_owned(),
        amount,
        currency: "NGN".into(),
        customer_note: None,
        merchant_note: None,
    };
    let refund = shop.app.paystack.create_refund(&request).await.unwrap();
    control(shop, "refund", &json!({"id": refund.id, "status": "processed"})).await;
}

async fn reference_of(shop: &TestApp, order: &Value) -> String {
    let sql = "select reference from payments where order_id::text = $1";
    sqlx::query_scalar(sql).bind(order["id"].as_str().unwrap()).fetch_one(&shop.database.pool).await.unwrap()
}

/// Refunds that nobody told of are taken in, and orders follow; what only one side has is found with both sums, and stays.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refunds_are_compared_too() {
    let shop = TestApp::start().await;
    shop.app.clock.advance(TimeDelta::hours(1));
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 50).await;
    let ama = shop.customer("ama@example.com").await;
    let mut paid = Vec::new();
    for _ in 0..4 {
        let order = shop.paid_order(&ama, &product, 1).await;
        let reference = reference_of(&shop, &order).await;
        paid.push((order, reference));
    }
    let [part, whole, same, ours] = &paid[..] else { unreachable!() };
    // One refund that both know, sent and done, before the silence.
    let path = format!("/admin/orders/{}/refunds", same.0["id"].as_str().unwrap());
    shop.post(&path).token(&admin).json(&json!({"amount": 100})).send().await.expect(201);
    shop.wait_for_status(&ama, &same.0, "partially_refunded").await;
    shop.wait_for_jobs().await;
    give_back_in_silence(&shop, &part.1, 20_000).await;
    give_back_in_silence(&shop, &part.1, 5_000).await;
    give_back_in_silence(&shop, &whole.1, minor(&whole.0["total"])).await;
    sqlx::query(
        "insert into refunds (id, payment_id, amount_minor, status, origin, provider_refund_id, processed_at, created_at, updated_at)
         select gen_random_uuid(), id, 700, 'processed', 'provider', 1, now(), now(), now() from payments where reference = $1",
    )
    .bind(&ours.1)
    .execute(&shop.database.pool)
    .await
    .unwrap();

    let run = reconcile(&shop, &admin).await;
    assert_eq!((&run["status"], &run["failure"]), (&json!("completed"), &Value::Null), "{run:#}");
    let found = findings(&shop, &admin, "").await;
    let expected = [("REFUND_MISMATCH", "mended"), ("REFUND_MISMATCH", "mended"), ("REFUND_MISMATCH", "open")];
    assert_eq!(kinds(&found), expected.map(|(kind, status)| (kind.to_owned(), status.to_owned())), "{found:#?}");
    let of = |reference: &str| found.iter().find(|found| found["reference"] == reference).unwrap();
    let sums = |found: &Value| (minor(&found["theirs"]["amount"]), minor(&found["ours"]["amount"]));
    assert_eq!(sums(of(&part.1)), (25_000, 0));
    assert_eq!(sums(of(&whole.1)), (minor(&whole.0["total"]), 0));
    assert_eq!(sums(of(&ours.1)), (0, 700));
    assert_eq!(of(&part.1)["note"], "The refunds are as the provider says.");
    for ((order, _), status) in [(part, "partially_refunded"), (whole, "refunded"), (same, "partially_refunded")] {
        shop.wait_for_status(&ama, order, status).await;
    }
    let known = "select count(*) from refunds where origin = 'provider' and status = 'processed'";
    assert_eq!(shop.database.count(known).await, 4);
    assert_eq!(shop.mails("reconciliation").await, ["Reconciliation: 3 findings, 1 open"]);
    assert_eq!(shop.database.count("select count(*) from reconciliation_refunds").await, 0);

    // The next one meets what is left, and nothing more.
    let again = reconcile(&shop, &admin).await;
    let query = format!("reconciliation={}&kind=REFUND_MISMATCH", again["id"].as_str().unwrap());
    let left = findings(&shop, &admin, &query).await;
    assert_eq!((left.len(), &left[0]["reference"], &left[0]["status"]), (1, &json!(ours.1), &json!("open")));
    assert_money(&shop).await;
}

/// Refunds are told apart by their numbers: as much on both sides proves nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn equal_sums_of_other_refunds_are_a_difference() {
    let shop = TestApp::start().await;
    shop.app.clock.advance(TimeDelta::hours(1));
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 50).await;
    let ama = shop.customer("ama@example.com").await;
    shop.paid_order(&ama, &product, 1).await;
    shop.wait_for_jobs().await;
    let reference = shop.database.text("select reference from payments").await.unwrap();
    give_back_in_silence(&shop, &reference, 700).await;
    sqlx::query(
        "insert into refunds (id, payment_id, amount_minor, status, origin, provider_refund_id, processed_at, created_at, updated_at)
         select gen_random_uuid(), id, 700, 'processed', 'provider', 1, now(), now(), now() from payments",
    )
    .execute(&shop.database.pool)
    .await
    .unwrap();
    reconcile(&shop, &admin).await;
    let found = findings(&shop, &admin, "").await;
    assert_eq!(kinds(&found), [("REFUND_MISMATCH".to_owned(), "open".to_owned())], "{found:#?}");
    // What the provider has is here now; what it has not stays for the staff.
    assert_eq!(shop.database.count("select refunded_minor from payments").await, 1_400);
    let sent = "select count(*) from refunds where origin = 'provider' and sent_at is not null";
    assert_eq!(shop.database.count(sent).await, 1);
    assert_money(&shop).await;
}

/// A refund of a payment from before the time that is compared is taken in as well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refunds_of_older_payments_are_taken_in() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 50).await;
    let ama = shop.customer("ama@example.com").await;
    shop.paid_order(&ama, &product, 1).await;
    shop.wait_for_jobs().await;
    let reference = shop.database.text("select reference from payments").await.unwrap();
    let from = shop.app.clock.now();
    give_back_in_silence(&shop, &reference, 20_000).await;
    shop.app.clock.advance(TimeDelta::hours(1));
    let admin = shop.login("admin@agape.example").await;
    let until = shop.app.clock.now();
    let run = start(&shop, &admin, &json!({"from": from, "until": until})).await.expect(202)["reconciliation"].clone();
    let run = ended(&shop, &admin, run["id"].as_str().unwrap()).await;
    assert_eq!((&run["status"], &run["sums"]), (&json!("completed"), &json!([])), "no transaction is of this time");
    let found = findings(&shop, &admin, "").await;
    assert_eq!(kinds(&found), [("REFUND_MISMATCH".to_owned(), "mended".to_owned())], "{found:#?}");
    assert_eq!(
        (&found[0]["reference"], minor(&found[0]["theirs"]["amount"]), minor(&found[0]["ours"]["amount"])),
        (&json!(reference), 20_000, 0)
    );
    assert_eq!(shop.database.text("select status from orders").await.as_deref(), Some("partially_refunded"));
    assert_money(&shop).await;
}

/// What went back of money that was not heard of is heard of with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn money_that_is_mended_comes_with_its_refunds() {
    let shop = TestApp::start().await;
    shop.app.clock.advance(TimeDelta::hours(1));
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 50).await;
    let ama = shop.customer("ama@example.com").await;
    shop.sandbox_faults(&json!({"webhook": "none"})).await;
    let reference = pay_in_silence(&shop, &ama, &product).await;
    give_back_in_silence(&shop, &reference, 5_000).await;
    reconcile(&shop, &admin).await;
    let found = findings(&shop, &admin, "").await;
    assert_eq!(kinds(&found), [("STATUS_MISMATCH".to_owned(), "mended".to_owned())], "{found:#?}");
    assert_eq!(shop.database.count("select refunded_minor from payments").await, 5_000);
    assert_eq!(shop.database.text("select status from orders").await.as_deref(), Some("partially_refunded"));
    assert_money(&shop).await;
}

/// A list of refunds that was not read to its end, as by an older server, tells nothing; and what only the list lacks is no finding once
/// the provider shows it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_list_of_refunds_lacks_may_be_no_difference() {
    let shop = TestApp::start().await;
    shop.app.clock.advance(TimeDelta::hours(1));
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 50).await;
    let ama = shop.customer("ama@example.com").await;
    let order = shop.paid_order(&ama, &product, 1).await;
    let path = format!("/admin/orders/{}/refunds", order["id"].as_str().unwrap());
    shop.post(&path).token(&admin).json(&json!({"amount": 100})).send().await.expect(201);
    shop.wait_for_status(&ama, &order, "partially_refunded").await;
    shop.wait_for_jobs().await;
    for is_read in [false, true] {
        let id = ReconciliationId::new();
        // It is about to compare a list that has no refund.
        sqlx::query(
            "with run as (
               insert into reconciliations (id, from_at, until_at, status, step, refunds_read, created_at)
               values ($1, $2 - interval '3 hours', $2, 'running', 'compare', $3, $2 + interval '10 minutes') returning id)
             insert into reconciliation_items (reconciliation_id, transaction_id, reference, status, domain, currency, amount_minor)
             select run.id, p.provider_transaction_id, p.reference, 'success', 'test', p.currency, p.paid_minor
             from run, payments p",
        )
        .bind(id.0)
        .bind(shop.app.clock.now())
        .bind(is_read)
        .execute(&shop.database.pool)
        .await
        .unwrap();
        Reconcile { reconciliation: id }.run(&shop.app).await.unwrap();
        let run = ended(&shop, &admin, &id.to_string()).await;
        assert_eq!((&run["status"], &run["findings"]), (&json!("completed"), &json!([])), "{run:#}");
        assert_eq!(findings(&shop, &admin, "").await, Vec::<Value>::new(), "{is_read}");
    }
}

/// The list of refunds is read in pages; a run that is cut off goes on with the one that it has not read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refunds_are_read_page_by_page() {
    let shop = TestApp::with(|config| config.payments.breaker_failures = 0).await;
    shop.app.clock.advance(TimeDelta::hours(1));
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 50).await;
    let ama = shop.customer("ama@example.com").await;
    let order = shop.paid_order(&ama, &product, 1).await;
    shop.wait_for_jobs().await;
    // Behind a page of others, of one kobo each.
    give_back_in_silence(&shop, &reference_of(&shop, &order).await, 130).await;
    shop.pay(&begin_elsewhere(&shop, "elsewhere").await).await;
    for _ in 0..101 {
        give_back_in_silence(&shop, "elsewhere", 1).await;
    }
    // The first page of refunds is not given at first.
    let away = json!({"webhook": "none", "fail_next": {"status": 503, "count": 3}, "calls": "GET /refund"});
    shop.sandbox_faults(&away).await;
    let run = start(&shop, &admin, &around(&shop)).await.expect(202)["reconciliation"].clone();
    // The next try is timed by the shop's clock, which is ahead of the queue's.
    shop.wait_for("the run to be cut off", || async {
        let due = "with due as (update river_job set scheduled_at = now()
                                where kind = 'reconcile' and state = 'scheduled' returning 1)
                   select count(*) from due";
        (shop.database.count(due).await > 0).then_some(())
    })
    .await;
    let run = ended(&shop, &admin, run["id"].as_str().unwrap()).await;
    assert_eq!(run["status"], "completed", "{run:#}");
    assert_eq!(shop.database.count("select refund_pages::bigint from reconciliations").await, 2);
    let found = findings(&shop, &admin, "kind=REFUND_MISMATCH").await;
    assert_eq!((found.len(), minor(&found[0]["theirs"]["amount"]), &found[0]["status"]), (1, 130, &json!("mended")));
    assert_eq!(shop.database.count("select refunded_minor from payments").await, 130);
    assert_money(&shop).await;
}

/// A shop whose provider is the fake.
async fn with_fake(fake: &FakePaystack) -> TestApp {
    let url = fake.url.clone();
    TestApp::with(|config| {
        config.payments.provider = "paystack".into();
        config.payments.paystack_url = url;
        config.payments.breaker_failures = 0;
    })
    .await
}

fn many(count: u64) -> Vec<Value> {
    (1..=count).rev().map(|id| listed(id, &format!("r-{id}"), "success", 1_000)).collect()
}

/// What moves to another page while the list is read is counted once, and what is passed over by that is read in the next round.
#[tokio::test]
async fn transactions_that_move_between_pages_are_met_once() {
    let fake = FakePaystack::start(many(250)).await;
    let mut came = 0;
    // Behind the first two pages a new one comes in front, so that the next page begins with the last one of this.
    fake.then(move |_, all| {
        if came < 2 {
            came += 1;
            all.insert(0, listed(1_000 + came, &format!("r-{}", 1_000 + came), "success", 1_000));
        }
    });
    let shop = with_fake(&fake).await;
    let admin = shop.staff(Role::Admin).await;
    let run = reconcile(&shop, &admin).await;
    assert_eq!((&run["status"], &run["sums"][0]["theirCount"]), (&json!("completed"), &json!(252)), "{run:#}");
    assert_eq!(run["sums"][0]["theirTotal"], 2_520);
    assert_eq!(fake.asked(), [1, 2, 3, 1, 2, 3, 1, 2, 3]);

    let fake = FakePaystack::start(many(250)).await;
    let mut is_first = true;
    // One goes from the front, so that the next page begins behind one that nobody has seen.
    fake.then(move |_, all| {
        if std::mem::take(&mut is_first) {
            all.remove(0);
        }
    });
    let shop = with_fake(&fake).await;
    let admin = shop.staff(Role::Admin).await;
    let run = reconcile(&shop, &admin).await;
    // With the one that went.
    assert_eq!((&run["status"], &run["sums"][0]["theirCount"]), (&json!("completed"), &json!(250)), "{run:#}");
    assert_eq!(fake.asked(), [1, 2, 3, 1, 2, 3, 1, 2, 3]);

    // One that never rests is no list.
    let fake = FakePaystack::start(many(250)).await;
    let mut came = 0;
    fake.then(move |_, all| {
        came += 1;
        all.insert(0, listed(1_000 + came, &format!("r-{}", 1_000 + came), "success", 1_000));
    });
    let shop = with_fake(&fake).await;
    let admin = shop.staff(Role::Admin).await;
    let run = reconcile(&shop, &admin).await;
    assert_eq!(run["status"], "failed", "{run:#}");
    assert_eq!(shop.database.count("select count(*) from reconciliation_items").await, 0);
}

/// A page that is not given is asked for again, also after a restart in between; nothing is read or told twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_goes_on_where_it_was_cut_off() {
    let fake = FakePaystack::start(many(250)).await;
    fake.down_from(Some(2));
    let shop = with_fake(&fake).await;
    let admin = shop.staff(Role::Admin).await;
    let id =
        start(&shop, &admin, &around(&shop)).await.expect(202)["reconciliation"]["id"].as_str().unwrap().to_owned();
    shop.wait_for("the failure", || async {
        let failed = shop.database.count("select count(*) from reconciliations where pages = 1 and failures > 0").await;
        (failed == 1).then_some(())
    })
    .await;
    start(&shop, &admin, &around(&shop)).await.expect_error(409, "CONFLICT");
    let url = fake.url.clone();
    let shop = shop
        .restart(|config| {
            config.payments.provider = "paystack".into();
            config.payments.paystack_url = url;
            config.payments.breaker_failures = 0;
        })
        .await;
    fake.down_from(None);
    let admin = shop.login("admin@agape.example").await;
    let run = ended(&shop, &admin, &id).await;
    assert_eq!((&run["status"], &run["pages"]), (&json!("completed"), &json!(3)), "{run:#}");
    // Once in each round.
    assert_eq!(fake.asked().iter().filter(|page| **page == 1).count(), 2);
    assert_eq!(run["sums"][0]["theirCount"], 250);
    assert_eq!(shop.mails("reconciliation").await.len(), 1);
}

/// A provider that talks nonsense makes the run fail, which the staff are told, and the next one may begin.
#[tokio::test]
async fn a_run_that_cannot_be_made_is_given_up() {
    let fake = FakePaystack::start(many(1)).await;
    fake.talk_nonsense();
    let shop = with_fake(&fake).await;
    let finance = shop.staff(Role::Finance).await;
    let run = reconcile(&shop, &finance).await;
    assert_eq!(run["status"], "failed", "{run:#}");
    assert!(run["failure"].as_str().unwrap().contains("payment provider"), "{run:#}");
    assert_eq!(shop.mails("reconciliation").await, ["The reconciliation has failed"]);
    start(&shop, &finance, &around(&shop)).await.expect(202);
}

/// Of many who begin at once one does; of many workers on one run each step is one's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_run_is_made_at_a_time() {
    let fake = FakePaystack::start(many(350)).await;
    let shop = with_fake(&fake).await;
    let admin = shop.staff(Role::Admin).await;
    let body = around(&shop);
    let keyed = |key: &'static str| {
        shop.post("/admin/reconciliations").token(&admin).header("idempotency-key", key).json(&body).send()
    };
    fake.down_from(Some(1));
    let answers = join_all(["a", "b", "c", "d", "e", "f"].map(keyed)).await;
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 202).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 409).count(), 5, "{statuses:?}");
    let won = ["a", "b", "c", "d", "e", "f"][statuses.iter().position(|status| *status == 202).unwrap()];
    let again = keyed(won).await;
    assert_eq!(again.header("idempotency-replayed").as_deref(), Some("true"));
    fake.down_from(None);
    let id: ReconciliationId = shop.database.text(RUN).await.unwrap().parse().unwrap();
    let workers = (0..4).map(|_| Reconcile { reconciliation: id }.run(&shop.app));
    for worked in join_all(workers).await {
        worked.unwrap();
    }
    let run = ended(&shop, &admin, &id.to_string()).await;
    assert_eq!((&run["status"], &run["pages"]), (&json!("completed"), &json!(4)), "{run:#}");
    assert_eq!(run["sums"][0]["theirCount"], 350);
    assert_eq!(findings(&shop, &admin, "status=open&limit=100").await.len(), 100);
    assert_eq!(shop.database.count("select count(*) from reconciliation_findings").await, 350);
    assert_eq!(shop.mails("reconciliation").await.len(), 1);

    for (body, fields) in [
        (json!({"from": "2026-11-02T00:00:00Z", "until": "2026-11-01T00:00:00Z"}), vec!["from"]),
        (json!({"from": "2020-11-02T00:00:00Z", "until": "2026-11-01T00:00:00Z"}), vec!["from"]),
        (json!({"from": "9000-01-01T00:00:00Z", "until": "9000-01-02T00:00:00Z"}), vec!["until"]),
        (json!({"from": "2026-11-01T00:00:00Z", "to": "2026-11-02T00:00:00Z"}), vec!["to", "until"]),
    ] {
        let mut found = start(&shop, &admin, &body).await.expect_error(400, "VALIDATION_ERROR");
        found.sort();
        assert_eq!(found, fields, "{body}");
    }
}

/// The clock orders one run a day, after its time in the shop, for yesterday and the days before; not on the day on which the shop
/// begins to look.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_clock_orders_one_run_a_day() {
    let fake = FakePaystack::start(Vec::new()).await;
    let shop = with_fake(&fake).await;
    shop.staff(Role::Admin).await;
    let order = || join_all((0..4).map(|_| ScheduleReconciliation {}.run(&shop.app)));
    let runs = "select count(*) from reconciliations";
    order().await.into_iter().for_each(|ordered| ordered.unwrap());
    assert_eq!(shop.database.count(runs).await, 0);
    shop.app.clock.advance(TimeDelta::days(1));
    for _ in 0..2 {
        order().await.into_iter().for_each(|ordered| ordered.unwrap());
    }
    assert_eq!(shop.database.count(runs).await, 1);
    let admin = shop.login("admin@agape.example").await;
    let run = ended(&shop, &admin, &shop.database.text(RUN).await.unwrap()).await;
    let at = |value: &Value| value.as_str().unwrap().parse::<DateTime<Utc>>().unwrap();
    let (from, until) = (at(&run["from"]), at(&run["until"]));
    assert_eq!(until - from, TimeDelta::days(4));
    // Midnight in Lagos.
    assert_eq!(until.format("%H:%M:%S").to_string(), "23:00:00");
    assert!(until <= shop.app.clock.now() && run["day"].is_string(), "{run:#}");
    // Nothing differs, so nobody is written to.
    assert!(shop.mails("reconciliation").await.is_empty());
}
