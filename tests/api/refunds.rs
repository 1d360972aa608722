//! Money that goes back: asked for by staff, sent once, followed by whatever the provider says and in whatever order.

use agape::features::auth::Role;
use agape::features::payments::{self, REFUND_MOVES, RefundStatus};
use agape::flows::expire::Sweep;
use agape::platform::ids::RefundId;
use agape::platform::jobs::Job;
use agape::platform::money::Amount;
use chrono::TimeDelta;
use futures::future::join_all;
use paystack::{CreateRefund, ListRefunds};
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

use crate::concurrency::assert_ledger;
use crate::support::{Answer, PAYSTACK_KEY, Product, TestApp};

pub fn minor(amount: &Value) -> i64 {
    amount.to_string().parse::<Amount>().unwrap().0
}

/// What the sandbox is told past its API.
pub async fn control(shop: &TestApp, what: &str, body: &Value) {
    let path = format!("//sandbox/paystack/_control/{what}");
    let answer = shop.post(&path).token(PAYSTACK_KEY).json(body).send().await;
    assert!((200..300).contains(&answer.status), "{}", answer.text);
}

/// The refunds that the provider has of an order, the oldest first.
pub async fn at_provider(shop: &TestApp, order: &Value) -> Vec<paystack::Refund> {
    let id: uuid::Uuid = order["id"].as_str().unwrap().parse().unwrap();
    let sql =
        "select provider_transaction_id from payments where order_id = $1 and provider_transaction_id is not null";
    let transaction: i64 = sqlx::query_scalar(sql).bind(id).fetch_one(&shop.database.pool).await.unwrap();
    let query = ListRefunds { transaction: Some(u64::try_from(transaction).unwrap()), ..ListRefunds::default() };
    let mut refunds = shop.app.paystack.list_refunds(&query).await.unwrap().items;
    refunds.sort_by_key(|refund| refund.id);
    refunds
}

/// Payments are what their refunds add up to, and the stock is what its ledger says.
pub async fn assert_money(shop: &TestApp) {
    let faults = payments::refund_faults(&mut shop.app.db.acquire().await.unwrap()).await.unwrap();
    assert!(faults.is_empty(), "{faults:?}");
    assert_ledger(shop).await;
}

/// A shop, who gives its money back, and a buyer.
struct Till {
    shop: TestApp,
    admin: String,
    finance: String,
    ama: String,
    product: Product,
}

async fn till() -> Till {
    till_with(|_| {}).await
}

async fn till_with(change: impl FnOnce(&mut agape::platform::config::Config)) -> Till {
    let shop = TestApp::with(|config| {
        config.jobs.sweep_seconds = 86_400;
        change(config);
    })
    .await;
    let admin = shop.staff(Role::Admin).await;
    let finance = shop.staff(Role::Finance).await;
    let product = shop.product(&admin, "A", 1_000, 50).await;
    let ama = shop.customer("ama@example.com").await;
    Till { shop, admin, finance, ama, product }
}

impl Till {
    async fn paid(&self, units: i64) -> Value {
        self.shop.paid_order(&self.ama, &self.product, units).await
    }

    async fn ask(&self, order: &Value, body: &Value) -> Answer {
        let path = format!("/admin/orders/{}/refunds", order["id"].as_str().unwrap());
        self.shop.post(&path).token(&self.finance).json(body).send().await
    }

    async fn refund(&self, order: &Value, body: &Value) -> Value {
        self.ask(order, body).await.expect(201)["refund"].clone()
    }

    async fn seen(&self, refund: &Value) -> Value {
        let path = format!("/admin/refunds/{}", refund["id"].as_str().unwrap());
        self.shop.get(&path).token(&self.finance).send().await.expect(200)["refund"].clone()
    }

    /// Waits until a refund has a status.
    async fn wait(&self, refund: &Value, status: &str) -> Value {
        self.shop
            .wait_for(&format!("the refund to be {status}"), || async {
                let seen = self.seen(refund).await;
                (seen["status"] == status).then_some(seen)
            })
            .await
    }

    async fn order(&self, order: &Value) -> Value {
        let path = format!("/orders/{}", order["id"].as_str().unwrap());
        self.shop.get(&path).token(&self.ama).send().await.expect(200)["order"].clone()
    }

    async fn act(&self, refund: &Value, what: &str, body: &Value) -> Answer {
        let path = format!("/admin/refunds/{}/{what}", refund["id"].as_str().unwrap());
        self.shop.post(&path).token(&self.finance).json(body).send().await
    }

    /// Lets the provider move a refund, with its notice.
    async fn provider_moves(&self, refund: &Value, status: &str) {
        let number = self.seen(refund).await["providerRefundId"].clone();
        control(&self.shop, "refund", &json!({"id": number, "status": status})).await;
    }
}

/// A part goes back and then the rest: the provider has both, the order follows, and the buyer sees and hears of it.
#[tokio::test]
async fn money_goes_back_and_the_order_follows() {
    let till = till().await;
    let order = till.paid(2).await;
    let total = minor(&order["total"]);
    let part = till.refund(&order, &json!({"amount": 150.50, "reason": "The hem was loose"})).await;
    assert_eq!(
        (&part["origin"], &part["amount"], &part["orderNumber"]),
        (&json!("staff"), &json!(150.50), &order["orderNumber"])
    );
    till.wait(&part, "processed").await;
    let seen = till.shop.wait_for_status(&till.ama, &order, "partially_refunded").await;
    assert_eq!((&seen["refunds"][0]["amount"], &seen["refunds"][0]["status"]), (&json!(150.50), &json!("processed")));
    let rest = till.refund(&order, &json!({})).await;
    assert_eq!(minor(&rest["amount"]), total - 15_050);
    till.wait(&rest, "processed").await;
    let seen = till.shop.wait_for_status(&till.ama, &order, "refunded").await;
    assert_eq!(seen["refunds"].as_array().unwrap().len(), 2);
    till.ask(&order, &json!({})).await.expect_error(409, "CONFLICT");

    let theirs = at_provider(&till.shop, &order).await;
    assert_eq!(theirs.iter().map(|refund| refund.amount).collect::<Vec<_>>(), [15_050, total - 15_050]);
    for (refund, theirs) in [&part, &rest].iter().zip(&theirs) {
        let note = payments::merchant_note(refund["id"].as_str().unwrap().parse::<RefundId>().unwrap());
        assert_eq!(theirs.merchant_note.as_ref(), Some(&note));
    }
    let number = order["orderNumber"].as_str().unwrap();
    let mut mails = till.shop.mails("order_refund").await;
    mails.sort();
    let (goes, went) = (format!("Your money for order {number} goes back"), format!("Your refund for order {number}"));
    assert_eq!(mails, [goes.clone(), goes, went.clone(), went]);
    let words = "select body_text from emails where kind = 'order_refund' order by created_at, id limit 1";
    let words = till.shop.database.text(words).await.unwrap();
    assert!(words.contains("The hem was loose") && words.contains("150.50"), "{words}");
    let events = "select string_agg(type, ' ' order by id) from order_events where type like '%refund%'";
    let events = till.shop.database.text(events).await.unwrap();
    for topic in ["refund_pending", "refund_processed", "partially_refunded", "refunded"] {
        assert!(events.split(' ').any(|event| event == topic), "{events}");
    }
    assert_money(&till.shop).await;
}

/// However many ask at once, the shop never gives back more than it was paid; a repeated key asks once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn never_more_goes_back_than_was_paid() {
    let till = till().await;
    let order = till.paid(3).await;
    let total = minor(&order["total"]);
    let share = json!({"amount": Amount(total * 2 / 5)});
    let answers = join_all((0..8).map(|_| till.ask(&order, &share))).await;
    let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 201, 409, 409, 409, 409, 409, 409]);
    let refused = answers.iter().find(|answer| answer.status == 409).unwrap();
    assert_eq!(refused.expect_error(409, "CONFLICT"), ["amount"]);
    for answer in answers.into_iter().filter(|answer| answer.status == 201) {
        till.wait(&answer.body["data"]["refund"], "processed").await;
    }
    let path = format!("/admin/orders/{}/refunds", order["id"].as_str().unwrap());
    let keyed =
        || till.shop.post(&path).token(&till.finance).header("idempotency-key", "k").json(&json!({"amount": 1})).send();
    let first = keyed().await;
    assert_eq!(first.status, 201, "{}", first.text);
    assert_eq!(keyed().await.text, first.text);
    let given: i64 = at_provider(&till.shop, &order).await.iter().map(|refund| refund.amount).sum();
    assert!(given <= 2 * (total * 2 / 5) + 100, "{given}");
    let past_the_rules = "insert into refunds (id, payment_id, amount_minor, status, created_at, updated_at)
                          select gen_random_uuid(), id, paid_minor - refunded_minor + 1, 'pending', now(), now() from payments";
    assert!(sqlx::query(past_the_rules).execute(&till.shop.database.pool).await.is_err());
    till.shop.wait_for_jobs().await;
    assert_money(&till.shop).await;
}

/// Nonsense, others' lines, and those who may not.
#[tokio::test]
async fn nonsense_is_refused_and_so_are_others() {
    let till = till().await;
    let (order, other) = (till.paid(2).await, till.paid(1).await);
    let item = order["items"][0]["id"].clone();
    let line = |id: &Value, quantity: i64| json!([{"orderItemId": id, "quantity": quantity}]);
    for (body, fields) in [
        (json!({"amount": 0}), vec!["amount"]),
        (json!({"amount": -5}), vec!["amount"]),
        (json!({"amount": "5"}), vec!["amount"]),
        (json!({"amount": 1.005}), vec!["amount"]),
        (json!({"amount": 99_999_999_999_i64}), vec!["amount"]),
        (json!({"amount": 1, "to": "me"}), vec!["to"]),
        (json!({"items": line(&item, 0)}), vec!["items[0].quantity"]),
        (json!({"items": line(&other["items"][0]["id"], 1)}), vec!["items[0].orderItemId"]),
        (json!({"items": [line(&item, 1)[0], line(&item, 1)[0]]}), vec!["items[1].orderItemId"]),
        (json!({"restock": true}), vec!["restock"]),
        (json!({"returnId": uuid::Uuid::now_v7()}), vec!["returnId"]),
        (json!({"returnId": uuid::Uuid::now_v7(), "items": line(&item, 1)}), vec!["items"]),
    ] {
        assert_eq!(till.ask(&order, &body).await.expect_error(400, "VALIDATION_ERROR"), fields, "{body}");
    }
    assert_eq!(
        till.ask(&order, &json!({"items": line(&item, 3)})).await.expect_error(409, "CONFLICT"),
        ["items[0].quantity"]
    );
    let beyond = json!({"amount": Amount(minor(&order["total"]) + 1)});
    assert_eq!(till.ask(&order, &beyond).await.expect_error(409, "CONFLICT"), ["amount"]);
    till.ask(&json!({"id": uuid::Uuid::now_v7()}), &json!({})).await.expect_error(404, "NOT_FOUND");
    let unpaid = till.shop.order(&till.ama, &till.product, 1).await;
    till.ask(&unpaid, &json!({})).await.expect_error(409, "CONFLICT");

    let path = format!("/admin/orders/{}/refunds", order["id"].as_str().unwrap());
    let merchant = till.shop.staff(Role::Merchant).await;
    let packer = till.shop.staff(Role::Fulfilment).await;
    for token in [&till.ama, &packer, &merchant] {
        till.shop.post(&path).token(token).json(&json!({})).send().await.expect_error(403, "AUTHORIZATION_ERROR");
    }
    let offer = till.shop.get(&path).token(&merchant).send().await.expect(200);
    assert_eq!((&offer["refundable"], &offer["refunds"]), (&order["total"], &json!([])));
    till.shop.get(&path).token(&packer).send().await.expect_error(403, "AUTHORIZATION_ERROR");
    for query in ["status=lost", "order=x", "origin=x", "cursor=x", "from=-4713-01-01T00:00:00Z"] {
        let answer = till.shop.get(&format!("/admin/refunds?{query}")).token(&till.finance).send().await;
        let field = query.split('=').next().unwrap();
        assert_eq!(answer.expect_error(400, "VALIDATION_ERROR"), [field], "{query}");
    }
    assert_eq!(till.shop.database.count("select count(*) from refunds").await, 0);
}

/// The provider takes a refund and its answer is lost: it is looked for, found, and not sent twice.
#[tokio::test]
async fn a_refund_whose_answer_was_lost_is_found() {
    let till = till_with(|config| config.payments.timeout_seconds = 1).await;
    let order = till.paid(1).await;
    till.shop.sandbox_faults(&json!({"timeout": 1, "calls": "POST /refund"})).await;
    let refund = till.refund(&order, &json!({"amount": 300})).await;
    let seen = till.wait(&refund, "processed").await;
    assert_eq!(seen["attempts"], 1);
    assert_eq!(at_provider(&till.shop, &order).await.len(), 1);
    till.shop.wait_for_jobs().await;
    assert_money(&till.shop).await;
}

/// A call that failed may still be carried out for a minute; only then is the refund sent again. What was refused for coming too
/// often was not taken.
#[tokio::test]
async fn a_refund_that_never_arrived_is_sent_again() {
    let till = till().await;
    let order = till.paid(1).await;
    till.shop.sandbox_faults(&json!({"fail_next": {"status": 503, "count": 1}, "calls": "POST /refund"})).await;
    let refund = till.refund(&order, &json!({"amount": 300})).await;
    till.shop
        .wait_for("the look that is not believed", || async {
            let words = till.seen(&refund).await["lastError"].as_str().unwrap_or_default().to_owned();
            words.contains("may still take it").then_some(())
        })
        .await;
    assert_eq!(till.seen(&refund).await["attempts"], 1);
    assert_eq!(at_provider(&till.shop, &order).await.len(), 0);
    till.shop.app.clock.advance(TimeDelta::seconds(61));
    let seen = till.wait(&refund, "processed").await;
    assert_eq!(seen["attempts"], 2);

    till.shop
        .sandbox_faults(&json!({"fail_next": {"status": 429, "count": 1, "reset": 1}, "calls": "POST /refund"}))
        .await;
    let refund = till.refund(&order, &json!({"amount": 20})).await;
    assert_eq!(till.wait(&refund, "processed").await["attempts"], 2);
    assert_eq!(at_provider(&till.shop, &order).await.len(), 2);
    assert_money(&till.shop).await;
}

/// A process dies after the provider has taken the refund and before it has noted so, and its job is gone too.
#[tokio::test]
async fn a_refund_outlives_who_sent_it() {
    let till = till().await;
    let order = till.paid(1).await;
    let (id, reference) = (RefundId::new(), till.shop.database.text("select reference from payments").await.unwrap());
    let now = till.shop.app.clock.now();
    sqlx::query(
        "insert into refunds (id, payment_id, amount_minor, status, attempts, sent_at, claimed_at, created_at, updated_at)
         select $1, id, 20000, 'pending', 1, $2, $2, $2, $2 from payments",
    )
    .bind(id.0)
    .bind(now)
    .execute(&till.shop.database.pool)
    .await
    .unwrap();
    let request = CreateRefund {
        transaction: reference,
        amount: 20_000,
        currency: "NGN".into(),
        customer_note: None,
        merchant_note: Some(payments::merchant_note(id)),
    };
    till.shop.sandbox_faults(&json!({"webhook": "none", "refunds": "held"})).await;
    till.shop.app.paystack.create_refund(&request).await.unwrap();
    // Another refund waits until it is known what became of this one.
    let other = till.refund(&order, &json!({"amount": 7})).await;
    till.shop
        .wait_for("the other one to wait", || async {
            let words = till.seen(&other).await["lastError"].as_str().unwrap_or_default().to_owned();
            words.contains("on its way").then_some(())
        })
        .await;
    till.shop.app.clock.advance(TimeDelta::minutes(6));
    let till = Till { finance: till.shop.login("finance@agape.example").await, ..till };
    Sweep {}.run(&till.shop.app).await.unwrap();
    till.wait(&json!({"id": id}), "processing").await;
    till.wait(&other, "processing").await;
    let theirs = at_provider(&till.shop, &order).await;
    assert_eq!(theirs.iter().map(|refund| refund.amount).collect::<Vec<_>>(), [20_000, 700]);
    // No notice comes. After an hour the provider is asked.
    for refund in &theirs {
        control(&till.shop, "refund", &json!({"id": refund.id, "status": "processed"})).await;
    }
    till.shop.app.clock.advance(TimeDelta::minutes(61));
    let till = Till { finance: till.shop.login("finance@agape.example").await, ..till };
    Sweep {}.run(&till.shop.app).await.unwrap();
    till.wait(&json!({"id": id}), "processed").await;
    till.wait(&other, "processed").await;
    till.shop.wait_for_jobs().await;
    assert_money(&till.shop).await;
}

fn notice(event: &str, reference: &str, amount: i64) -> Value {
    let status = event.trim_start_matches("refund.");
    json!({"event": event, "data": {"status": status, "transaction_reference": reference, "refund_reference": null,
           "amount": amount.to_string(), "currency": "NGN", "domain": "test", "processor": "x"}})
}

/// Two refunds of one amount, whose notices look alike, early, late and again: each ends as the provider says, and what is final
/// stays.
#[tokio::test]
async fn notices_may_come_in_any_order() {
    let till = till().await;
    let order = till.paid(2).await;
    till.shop.sandbox_faults(&json!({"refunds": "held"})).await;
    let first = till.refund(&order, &json!({"amount": 100})).await;
    let second = till.refund(&order, &json!({"amount": 100})).await;
    till.wait(&first, "processing").await;
    till.wait(&second, "processing").await;
    till.provider_moves(&second, "processed").await;
    till.wait(&second, "processed").await;
    assert_eq!(till.seen(&first).await["status"], "processing");

    let reference = till.shop.database.text("select reference from payments").await.unwrap();
    for (event, amount) in [("refund.pending", 10_000), ("refund.processing", 10_000), ("refund.processed", 10_000)] {
        for _ in 0..2 {
            till.shop.deliver(&notice(event, &reference, amount), PAYSTACK_KEY).await.expect(200);
        }
    }
    // Of another mode, and of a payment that is not ours.
    let mut live = notice("refund.processed", &reference, 100);
    live["data"]["domain"] = json!("live");
    till.shop.deliver(&live, PAYSTACK_KEY).await.expect(200);
    till.shop.deliver(&notice("refund.processed", "somebody-elses", 100), PAYSTACK_KEY).await.expect(200);
    till.shop.wait_for_jobs().await;
    let (one, two) = (till.seen(&first).await, till.seen(&second).await);
    assert_eq!((&one["status"], &two["status"]), (&json!("processing"), &json!("processed")));
    assert_eq!(till.shop.database.count("select count(*) from webhook_events where status = 'ignored'").await, 2);

    till.provider_moves(&first, "failed").await;
    till.wait(&first, "failed").await;
    // The provider changes its mind about what is final: nothing moves, and somebody looks at it.
    till.provider_moves(&second, "failed").await;
    let told = "select subject from emails where subject like 'A refund is not what it was%' limit 1";
    till.shop.wait_for("somebody to be told", || async { till.shop.database.text(told).await }).await;
    assert_eq!(till.seen(&second).await["status"], "processed");
    let number = order["orderNumber"].as_str().unwrap();
    let mut alerts = till.shop.mails("money_alert").await;
    alerts.sort();
    alerts.dedup();
    assert_eq!(
        alerts,
        [format!("A refund has failed (order {number})"), format!("A refund is not what it was (order {number})")]
    );
    assert_eq!(till.order(&order).await["status"], "partially_refunded");
    assert_money(&till.shop).await;
}

/// A refund that somebody gives in the provider's dashboard is written down, so that the sums are true.
#[tokio::test]
async fn a_refund_of_the_dashboard_is_written_down() {
    let till = till().await;
    let order = till.paid(1).await;
    let total = minor(&order["total"]);
    let request = CreateRefund {
        transaction: till.shop.database.text("select reference from payments").await.unwrap(),
        amount: total - 100,
        currency: "NGN".into(),
        customer_note: None,
        merchant_note: None,
    };
    till.shop.app.paystack.create_refund(&request).await.unwrap();
    till.shop.wait_for_status(&till.ama, &order, "partially_refunded").await;
    let path = "/admin/refunds?origin=provider";
    let listed = till.shop.get(path).token(&till.finance).send().await.expect(200)["refunds"].clone();
    assert_eq!((listed.as_array().unwrap().len(), minor(&listed[0]["amount"])), (1, total - 100));
    assert_eq!(till.ask(&order, &json!({"amount": 2})).await.expect_error(409, "CONFLICT"), ["amount"]);
    let rest = till.refund(&order, &json!({})).await;
    assert_eq!(minor(&rest["amount"]), 100);
    till.wait(&rest, "processed").await;
    till.shop.wait_for_status(&till.ama, &order, "refunded").await;

    // The money that a refund of ours was to give is gone by the time it is sent: theirs counts once, as ours or beside ours, which fails.
    let order = till.paid(1).await;
    till.shop
        .sandbox_faults(&json!({"fail_next": {"status": 429, "count": 1, "reset": 1}, "calls": "POST /refund"}))
        .await;
    let ours = till.refund(&order, &json!({})).await;
    till.shop.wait_for("the refusal", || async { till.seen(&ours).await["lastError"].as_str().map(|_| ()) }).await;
    let sql = "select reference from payments order by created_at desc limit 1";
    let request = CreateRefund {
        transaction: till.shop.database.text(sql).await.unwrap(),
        amount: minor(&order["total"]),
        ..request
    };
    let raced = till.shop.app.paystack.create_refund(&request).await;
    let ours = till
        .shop
        .wait_for("ours to end", || async {
            let seen = till.seen(&ours).await;
            ["processed", "failed"].iter().any(|end| seen["status"] == *end).then_some(seen)
        })
        .await;
    assert!(raced.is_ok() || ours["status"] == "processed", "{ours}");
    till.shop.wait_for_status(&till.ama, &order, "refunded").await;
    till.shop.wait_for_jobs().await;
    assert_money(&till.shop).await;
}

/// The provider wants the buyer's bank account: staff name it, it is handed on, and only its end is kept anywhere.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bank_account_is_named_and_not_kept() {
    let till = till().await;
    let order = till.paid(1).await;
    till.shop.sandbox_faults(&json!({"refunds": "held"})).await;
    let refund = till.refund(&order, &json!({"amount": 500})).await;
    till.wait(&refund, "processing").await;
    let account = json!({"accountNumber": "0123454321", "bankId": 9});
    till.act(&refund, "bank-details", &account).await.expect_error(409, "CONFLICT");
    till.provider_moves(&refund, "needs-attention").await;
    till.wait(&refund, "needs_attention").await;
    let alerts = till.shop.mails("money_alert").await;
    assert!(
        alerts.iter().all(|alert| alert.starts_with("A refund needs a bank account")) && !alerts.is_empty(),
        "{alerts:?}"
    );
    assert_eq!(till.order(&order).await["refunds"][0]["status"], "processing");
    for (body, field) in [
        (json!({"accountNumber": "12345", "bankId": 9}), "accountNumber"),
        (json!({"accountNumber": "01234x4321", "bankId": 9}), "accountNumber"),
        (json!({"accountNumber": "0123454321", "bankId": 0}), "bankId"),
        (json!({"accountNumber": "0123454321", "bankId": 9, "name": "x"}), "name"),
    ] {
        assert_eq!(till.act(&refund, "bank-details", &body).await.expect_error(400, "VALIDATION_ERROR"), [field]);
    }
    let banks = till.shop.get("/admin/payments/banks?currency=NGN").token(&till.finance).send().await.expect(200);
    let bank = banks["banks"][0]["id"].clone();
    assert!(bank.is_u64(), "{banks}");
    let account = json!({"accountNumber": "0123454321", "bankId": bank});
    let answers = join_all((0..4).map(|_| till.act(&refund, "bank-details", &account))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1, "{answers:?}");
    assert!(answers.iter().all(|answer| matches!(answer.status, 200 | 409)), "{answers:?}");
    till.provider_moves(&refund, "processed").await;
    let seen = till.wait(&refund, "processed").await;
    assert_eq!(seen["accountLast4"], "4321");
    till.shop.wait_for_jobs().await;
    for table in ["refunds", "audit_log", "audit_parts", "emails", "order_events", "webhook_events", "idempotency_keys"]
    {
        let sql = format!("select count(*) from {table} t where t::text like '%0123454321%'");
        let found: i64 = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&till.shop.database.pool).await.unwrap();
        assert_eq!(found, 0, "{table}");
    }
    assert_money(&till.shop).await;
}

/// A refund that failed gives its amount free, is tried again once, or is made up for by hand.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_refund_is_made_up_for() {
    let till = till_with(|config| config.payments.finance_emails = vec!["money@agape.example".parse().unwrap()]).await;
    let order = till.paid(2).await;
    let total = minor(&order["total"]);
    till.shop.sandbox_faults(&json!({"refunds": "held"})).await;
    let refund =
        till.refund(&order, &json!({"items": [{"orderItemId": order["items"][0]["id"], "quantity": 1}]})).await;
    till.wait(&refund, "processing").await;
    till.act(&refund, "retry", &json!({})).await.expect_error(409, "CONFLICT");
    till.provider_moves(&refund, "failed").await;
    till.wait(&refund, "failed").await;
    assert_eq!(till.shop.database.count("select refunded_minor from payments").await, 0);
    let told =
        till.shop.database.text("select string_agg(recipient, ' ') from emails where kind = 'money_alert'").await;
    till.shop.wait_for_jobs().await;
    assert_eq!(told.as_deref(), Some("money@agape.example"));

    let empty = json!({});
    let answers = join_all((0..5).map(|_| till.act(&refund, "retry", &empty))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1, "{answers:?}");
    let again = answers.into_iter().find(|answer| answer.status == 201).unwrap().expect(201)["refund"].clone();
    assert_eq!(
        (&again["retryOf"], &again["amount"], &again["items"][0]["quantity"]),
        (&refund["id"], &refund["amount"], &json!(1))
    );
    till.wait(&again, "processing").await;
    till.provider_moves(&again, "failed").await;
    till.wait(&again, "failed").await;
    assert_eq!(till.act(&again, "manual", &json!({})).await.expect_error(400, "VALIDATION_ERROR"), ["note"]);
    let by_hand = json!({"note": "GTB transfer of 28 November"});
    let made_up = till.act(&again, "manual", &by_hand).await.expect(201)["refund"].clone();
    assert_eq!((&made_up["origin"], &made_up["status"]), (&json!("manual"), &json!("processed")));
    till.act(&again, "manual", &by_hand).await.expect_error(409, "CONFLICT");
    let seen = till.order(&order).await;
    assert_eq!(seen["status"], "partially_refunded");
    // The buyer sees one refund, not the tries, and not the staff's words.
    assert_eq!((seen["refunds"].as_array().unwrap().len(), &seen["refunds"][0]["status"]), (1, &json!("processed")));
    assert!(!seen.to_string().contains("GTB"));
    assert_eq!(till.shop.database.count("select refunded_minor from payments").await, minor(&refund["amount"]));
    assert!(minor(&refund["amount"]) < total);
    assert_money(&till.shop).await;
}

/// Goods that are in no parcel go back on the shelf with their money, each once; the rest of the order is whole without them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn goods_go_back_on_the_shelf_once() {
    let till = till().await;
    let order = till.paid(4).await;
    let item = order["items"][0]["id"].clone();
    let one = json!({"items": [{"orderItemId": item, "quantity": 1, "restock": true}]});
    let pack = json!({"items": [{"itemId": item, "quantity": 2}], "shipped": true});
    let packing = format!("/admin/orders/{}/fulfilments", order["id"].as_str().unwrap());
    till.shop.post(&packing).token(&till.admin).json(&pack).send().await.expect(201);
    assert_eq!(till.shop.available(&till.product).await, 46);
    let answers = join_all((0..6).map(|_| till.ask(&order, &one))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 2, "{answers:?}");
    let refused = answers.iter().find(|answer| answer.status != 201).unwrap();
    assert_eq!(refused.expect_error(409, "CONFLICT"), ["items[0].quantity"]);
    assert_eq!(till.shop.available(&till.product).await, 48);
    let seen = till.order(&order).await;
    assert_eq!((&seen["items"][0]["cancelled"], &seen["fulfilmentStatus"]), (&json!(2), &json!("fulfilled")));
    let more = till.shop.post(&packing).token(&till.admin).json(&json!({})).send().await;
    more.expect_error(409, "CONFLICT");
    // The money of the units that were sent may go back too; they come back as a return.
    let two = json!({"items": [{"orderItemId": item, "quantity": 2, "restock": true}]});
    assert_eq!(till.ask(&order, &two).await.expect_error(409, "CONFLICT"), ["items[0].quantity"]);

    // What is on the shelf already is not put there again by giving the order up.
    till.shop.wait_for_jobs().await;
    till.shop.sandbox_faults(&json!({"refunds": "held"})).await;
    let order = till.paid(3).await;
    let one = json!({"items": [{"orderItemId": order["items"][0]["id"], "quantity": 1}], "restock": true, "notifyCustomer": false});
    till.refund(&order, &one).await;
    assert_eq!(till.shop.available(&till.product).await, 46);
    let path = format!("/orders/{}/cancel", order["id"].as_str().unwrap());
    till.shop.post(&path).token(&till.ama).json(&json!({})).send().await.expect(200);
    assert_eq!(till.shop.available(&till.product).await, 48);
    till.shop.wait_for_jobs().await;
    assert_money(&till.shop).await;
}

/// What a return is worth is what the buyer has paid for its units, to the last kobo, and it is paid once.
#[tokio::test]
async fn a_return_is_paid_once() {
    let till = till().await;
    let order = till.paid(3).await;
    till.shop.set_status(&till.admin, &order, "shipped").await.expect(200);
    till.shop.set_status(&till.admin, &order, "delivered").await.expect(200);
    let base = format!("/orders/{}", order["id"].as_str().unwrap());
    let wish = json!({"items": [{"itemId": order["items"][0]["id"], "quantity": 2, "reason": "damaged"}]});
    let asked = till.shop.post(&format!("{base}/returns")).token(&till.ama).json(&wish).send().await.expect(201);
    let back = asked["order"]["returns"][0]["id"].as_str().unwrap().to_owned();
    till.ask(&order, &json!({"returnId": back})).await.expect_error(409, "CONFLICT");
    let path = format!("/admin{base}/returns/{back}");
    till.shop
        .patch(&path)
        .token(&till.admin)
        .json(&json!({"version": 1, "status": "approved"}))
        .send()
        .await
        .expect(200);
    let received =
        json!({"version": 2, "status": "received", "items": [{"itemId": order["items"][0]["id"], "restock": 2}]});
    till.shop.patch(&path).token(&till.admin).json(&received).send().await.expect(200);
    let stock = till.shop.available(&till.product).await;

    let offer = till.shop.get(&format!("/admin{base}/refunds")).token(&till.finance).send().await.expect(200);
    let line = &order["items"][0];
    let paid = minor(&line["total"]) - minor(&line["discount"]) + minor(&line["tax"]);
    assert_eq!(offer["returns"][0]["returnId"], back);
    let suggested = minor(&offer["returns"][0]["suggested"]);
    let refund = till.refund(&order, &json!({"returnId": back})).await;
    assert_eq!((minor(&refund["amount"]), &refund["returnId"]), (suggested, &json!(back)));
    till.ask(&order, &json!({"returnId": back, "amount": 1})).await.expect_error(409, "CONFLICT");
    let last = till.refund(&order, &json!({"items": [{"orderItemId": line["id"], "quantity": 1}]})).await;
    assert_eq!(suggested + minor(&last["amount"]), paid);
    till.wait(&last, "processed").await;
    till.wait(&refund, "processed").await;
    assert_eq!(till.shop.available(&till.product).await, stock);
    till.shop.wait_for_jobs().await;
    let all_of_it = paid == minor(&order["total"]);
    let status = if all_of_it { "refunded" } else { "partially_refunded" };
    assert_eq!(till.order(&order).await["status"], status);
    assert_money(&till.shop).await;
}

/// The money of a return's units was given back before: there is nothing more to give for it, and never the order's whole rest.
#[tokio::test]
async fn a_return_whose_units_were_paid_gives_nothing() {
    let till = till().await;
    let order = till.paid(1).await;
    till.shop.set_status(&till.admin, &order, "shipped").await.expect(200);
    till.shop.set_status(&till.admin, &order, "delivered").await.expect(200);
    let base = format!("/orders/{}", order["id"].as_str().unwrap());
    let item = &order["items"][0]["id"];
    let wish = json!({"items": [{"itemId": item, "quantity": 1, "reason": "damaged"}]});
    let asked = till.shop.post(&format!("{base}/returns")).token(&till.ama).json(&wish).send().await.expect(201);
    let back = asked["order"]["returns"][0]["id"].clone();
    let path = format!("/admin{base}/returns/{}", back.as_str().unwrap());
    till.shop
        .patch(&path)
        .token(&till.admin)
        .json(&json!({"version": 1, "status": "approved"}))
        .send()
        .await
        .expect(200);
    let paid = till.refund(&order, &json!({"items": [{"orderItemId": item, "quantity": 1}]})).await;
    let received = json!({"version": 2, "status": "received", "items": [{"itemId": item, "restock": 1}]});
    till.shop.patch(&path).token(&till.admin).json(&received).send().await.expect(200);
    till.ask(&order, &json!({"returnId": back})).await.expect_error(409, "CONFLICT");
    assert_eq!(till.shop.database.count("select refunded_minor from payments").await, minor(&paid["amount"]));
    till.wait(&paid, "processed").await;
    assert_money(&till.shop).await;
}

/// All money goes back while a return is under way: the order is refunded once the buyer has withdrawn it.
#[tokio::test]
async fn an_order_follows_its_money_after_its_return() {
    let till = till().await;
    let order = till.paid(1).await;
    till.shop.set_status(&till.admin, &order, "shipped").await.expect(200);
    let base = format!("/orders/{}/returns", order["id"].as_str().unwrap());
    let wish = json!({"items": [{"itemId": order["items"][0]["id"], "quantity": 1, "reason": "damaged"}]});
    let asked = till.shop.post(&base).token(&till.ama).json(&wish).send().await.expect(201)["order"].clone();
    let refund = till.refund(&order, &json!({})).await;
    till.wait(&refund, "processed").await;
    assert_eq!(till.order(&order).await["status"], "return_requested");
    let path = format!("{base}/{}/cancel", asked["returns"][0]["id"].as_str().unwrap());
    let seen = till.shop.post(&path).token(&till.ama).send().await.expect(200)["order"].clone();
    assert_eq!(seen["status"], "refunded");
    assert_money(&till.shop).await;
}

/// A refund that failed is not tried again once another one gives the money of its units.
#[tokio::test]
async fn units_are_given_back_once_whatever_failed() {
    let till = till().await;
    let order = till.paid(1).await;
    till.shop.sandbox_faults(&json!({"refunds": "held"})).await;
    let unit = json!({"items": [{"orderItemId": order["items"][0]["id"], "quantity": 1}], "amount": 100});
    let failed = till.refund(&order, &unit).await;
    till.wait(&failed, "processing").await;
    till.provider_moves(&failed, "failed").await;
    till.wait(&failed, "failed").await;
    till.refund(&order, &unit).await;
    let again = till.act(&failed, "retry", &json!({})).await;
    assert_eq!(again.expect_error(409, "CONFLICT"), ["items[0].quantity"]);
    let by_hand = till.act(&failed, "manual", &json!({"note": "cash"})).await;
    assert_eq!(by_hand.expect_error(409, "CONFLICT"), ["items[0].quantity"]);
    assert_eq!(till.shop.database.count("select refunded_minor from payments").await, 10_000);
}

/// All that is not taken out of the order has arrived: it is delivered.
#[tokio::test]
async fn the_rest_of_an_order_may_have_arrived() {
    let till = till().await;
    till.shop.sandbox_faults(&json!({"refunds": "held"})).await;
    let order = till.paid(3).await;
    let item = &order["items"][0]["id"];
    let path = format!("/admin/orders/{}/fulfilments", order["id"].as_str().unwrap());
    let pack = json!({"items": [{"itemId": item, "quantity": 2}], "shipped": true});
    let packed = till.shop.post(&path).token(&till.admin).json(&pack).send().await.expect(201)["order"].clone();
    let parcel = &packed["fulfilments"][0];
    let path = format!("{path}/{}", parcel["id"].as_str().unwrap());
    let arrived = json!({"version": parcel["version"], "status": "delivered"});
    let seen = till.shop.patch(&path).token(&till.admin).json(&arrived).send().await.expect(200)["order"].clone();
    assert_eq!(seen["status"], "processing");
    till.refund(&order, &json!({"items": [{"orderItemId": item, "quantity": 1}], "restock": true})).await;
    assert_eq!(till.order(&order).await["status"], "delivered");
    assert_money(&till.shop).await;
}

/// As long as money is on its way to a buyer, somebody has to know who he is.
#[tokio::test]
async fn a_buyer_is_not_erased_before_his_money_is_there() {
    let till = till().await;
    till.shop.sandbox_faults(&json!({"refunds": "held"})).await;
    let order = till.paid(1).await;
    let path = format!("/orders/{}/cancel", order["id"].as_str().unwrap());
    till.shop.post(&path).token(&till.ama).json(&json!({})).send().await.expect(200);
    let erase = async || {
        let body = json!({"password": crate::support::PASSWORD});
        till.shop.post("/privacy/erase").token(&till.ama).json(&body).send().await
    };
    erase().await.expect_error(409, "CONFLICT");
    let listed = till.shop.get("/admin/refunds").token(&till.finance).send().await.expect(200)["refunds"].clone();
    till.wait(&listed[0], "processing").await;
    till.provider_moves(&listed[0], "processed").await;
    till.wait(&listed[0], "processed").await;
    till.shop.wait_for_jobs().await;
    erase().await.expect(200);
    let words = "select count(*) from refunds where num_nonnulls(reason, last_error, account_last4) > 0";
    assert_eq!(till.shop.database.count(words).await, 0);
    assert_money(&till.shop).await;
}

/// Whoever gives his order up sees his money go, and so does the order: it stays cancelled.
#[tokio::test]
async fn the_money_of_a_cancelled_order_goes_back() {
    let till = till().await;
    let order = till.paid(2).await;
    let path = format!("/orders/{}/cancel", order["id"].as_str().unwrap());
    till.shop.post(&path).token(&till.ama).json(&json!({})).send().await.expect(200);
    let seen = till
        .shop
        .wait_for("the money", || async {
            let seen = till.order(&order).await;
            (seen["refunds"][0]["status"] == "processed").then_some(seen)
        })
        .await;
    assert_eq!((&seen["status"], &seen["refunds"][0]["amount"]), (&json!("cancelled"), &order["total"]));
    assert_eq!(at_provider(&till.shop, &order).await.len(), 1);
    till.shop.wait_for_jobs().await;
    assert_money(&till.shop).await;
}

/// The database has the same table of moves, refuses all others, and lets nobody change what a refund gives.
#[tokio::test]
async fn the_database_guards_refunds() {
    let till = till().await;
    let stored: Vec<(String, String)> = sqlx::query_as("select from_status, to_status from refund_moves")
        .fetch_all(&till.shop.database.pool)
        .await
        .unwrap();
    let known: Vec<_> =
        REFUND_MOVES.iter().map(|(from, to)| (from.as_str().to_owned(), to.as_str().to_owned())).collect();
    assert!(stored.len() == known.len() && stored.iter().all(|pair| known.contains(pair)), "{stored:?}");
    till.paid(1).await;
    let number = till.shop.database.count("select count(*) from refunds").await;
    assert_eq!(number, 0);
    for from in RefundStatus::ALL {
        for to in RefundStatus::ALL {
            let mut tx = till.shop.database.pool.begin().await.unwrap();
            let new = format!(
                "insert into refunds (id, payment_id, amount_minor, status, origin, processed_at, created_at, updated_at)
                 select gen_random_uuid(), id, 1, '{0}', '{2}', {1}, now(), now() from payments",
                from.as_str(),
                if from == RefundStatus::Processed { "now()" } else { "null" },
                if from == RefundStatus::Pending { "system" } else { "provider" },
            );
            sqlx::query(AssertSqlSafe(new)).execute(&mut *tx).await.unwrap();
            let time = if to == RefundStatus::Processed { "now()" } else { "null" };
            let update = format!("update refunds set status = '{}', processed_at = {time}", to.as_str());
            let moved = sqlx::query(AssertSqlSafe(update)).execute(&mut *tx).await;
            assert_eq!(moved.is_ok(), from == to || from.may_become(to), "{from:?} to {to:?}: {moved:?}");
            tx.rollback().await.unwrap();
        }
    }
    sqlx::query(
        "insert into refunds (id, payment_id, amount_minor, status, created_at, updated_at)
         select gen_random_uuid(), id, 5, 'pending', now(), now() from payments",
    )
    .execute(&till.shop.database.pool)
    .await
    .unwrap();
    for sql in [
        "update refunds set amount_minor = 4",
        "update refunds set origin = 'manual'",
        "update refunds set status = 'processed'",
        "update refunds set account_last4 = '012345'",
        "insert into refund_moves values ('processed', 'failed')",
        "insert into refund_items (refund_id, order_item_id, quantity, restocked)
         select r.id, i.id, 99, true from refunds r, order_items i",
        "insert into refunds (id, payment_id, amount_minor, status, created_at, updated_at)
         select gen_random_uuid(), id, 5, 'processing', now(), now() from payments",
        "insert into refunds (id, payment_id, amount_minor, status, sent_at, created_at, updated_at)
         select gen_random_uuid(), id, 5, 'pending', now(), now(), now() from payments, generate_series(1, 2)",
    ] {
        assert!(sqlx::query(sql).execute(&till.shop.database.pool).await.is_err(), "the database accepted: {sql}");
    }
}
