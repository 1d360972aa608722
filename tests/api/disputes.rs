//! Disputes: what the provider tells of them in whatever order, who is told in time, and how they are answered.

use agape::features::auth::Role;
use agape::flows::disputes::WatchDisputes;
use agape::platform::jobs::Job;
use agape::platform::money::Amount;
use chrono::{DateTime, TimeDelta, Utc};
use futures::future::join_all;
use serde_json::{Value, json};

use crate::support::{Answer, PAYSTACK_KEY, TestApp};

/// A shop with a paid order.
pub struct Paid {
    pub shop: TestApp,
    pub admin: String,
    pub ama: String,
    pub order: Value,
    pub reference: String,
    /// Minor units.
    pub total: i64,
}

pub async fn paid() -> Paid {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 9).await;
    let ama = shop.customer("ama@example.com").await;
    let order = shop.paid_order(&ama, &product, 1).await;
    let reference = shop.database.text("select reference from payments").await.unwrap();
    let total = shop.database.count("select total_minor from orders").await;
    shop.wait_for_jobs().await;
    Paid { shop, admin, ama, order, reference, total }
}

impl Paid {
    pub async fn control(&self, path: &str, body: &Value) -> Value {
        let call = self.shop.post(&format!("//sandbox/paystack/_control/{path}")).token(PAYSTACK_KEY).json(body);
        call.send().await.expect(200)
    }

    /// The buyer disputes the payment at the provider. Gives the provider's number.
    pub async fn open(&self, more: Value) -> u64 {
        let mut body = json!({"reference": self.reference});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let number = self.control("disputes", &body).await["id"].as_u64().unwrap();
        self.shop
            .wait_for("the dispute", || async {
                (self.shop.database.count("select count(*) from disputes").await > 0).then_some(())
            })
            .await;
        self.shop.wait_for_jobs().await;
        number
    }

    async fn list(&self, query: &str) -> Vec<Value> {
        let data = self.shop.get(&format!("/admin/disputes?{query}")).token(&self.admin).send().await.expect(200);
        data["disputes"].as_array().unwrap().clone()
    }

    pub async fn only(&self) -> Value {
        let all = self.list("").await;
        assert_eq!(all.len(), 1, "{all:#?}");
        all[0].clone()
    }

    async fn answer(&self, body: &Value) -> Answer {
        let id = self.only().await["id"].as_str().unwrap().to_owned();
        self.shop.post(&format!("/admin/disputes/{id}/resolve")).token(&self.admin).json(body).send().await
    }

    /// Delivers a notice about a dispute that the provider's API does not know, and waits until it is worked on.
    pub async fn tell(&self, event: &str, number: u64, change: Value) {
        let data = self.dispute(number, change);
        self.shop.deliver(&json!({"event": event, "data": data}), PAYSTACK_KEY).await.expect(200);
        self.shop.wait_for_jobs().await;
    }

    /// A dispute of the payment, as notices describe it.
    pub fn dispute(&self, number: u64, change: Value) -> Value {
        let mut data = json!({
            "id": number, "refund_amount": 5_800, "currency": "NGN", "status": "awaiting-merchant-feedback",
            "resolution": null, "domain": "test", "transaction": {"id": 1, "reference": self.reference}, "category": "chargeback",
            "transaction_reference": null, "dueAt": null, "resolvedAt": null, "created_at": "2026-11-24T13:46:57.000Z",
            "updated_at": "2026-11-24T13:46:57.000Z", "messages": [{"sender": "ama@example.com", "body": "no goods"}],
        });
        data.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        data
    }
}

/// A dispute comes to the staff's list, the order, its events and the finance's mail, and not to the buyer's timeline; a second notice
/// changes nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dispute_is_told_to_whom_it_concerns() {
    let paid = paid().await;
    let number = paid.open(json!({"category": "fraud"})).await;
    paid.control(&format!("disputes/{number}"), &json!({"event": "remind"})).await;
    paid.shop.wait_for_jobs().await;
    let dispute = paid.only().await;
    assert_eq!((&dispute["number"], &dispute["status"]), (&json!(number), &json!("awaiting_merchant")));
    assert_eq!((&dispute["category"], &dispute["orderId"]), (&json!("fraud"), &paid.order["id"]));
    assert_eq!((&dispute["amount"], &dispute["currency"]), (&paid.order["total"], &json!("NGN")));
    assert!(dispute["dueAt"].is_string() && dispute["isOverdue"] == false, "{dispute:#}");
    let number = paid.order["orderNumber"].as_str().unwrap();
    assert_eq!(paid.shop.mails("dispute").await, [format!("A dispute about order {number}")]);
    let path = format!("/admin/orders/{}", paid.order["id"].as_str().unwrap());
    let order = paid.shop.get(&path).token(&paid.admin).send().await.expect(200)["order"].clone();
    assert_eq!(order["disputes"][0]["id"], dispute["id"]);
    let types =
        |order: &Value| order["timeline"].as_array().unwrap().iter().map(|e| e["type"].clone()).collect::<Vec<_>>();
    assert_eq!(types(&order).last(), Some(&json!("dispute_created")));
    let path = format!("/orders/{}", paid.order["id"].as_str().unwrap());
    let hers = paid.shop.get(&path).token(&paid.ama).send().await.expect(200)["order"].clone();
    assert!(!types(&hers).contains(&json!("dispute_created")) && hers["disputes"].is_null(), "{hers:#}");
    // Other transactions of the server hold it back for a moment.
    let told = || async {
        let feed = paid.shop.get("/admin/events?topic=dispute.created").token(&paid.admin).send().await.expect(200);
        (feed["events"].as_array().unwrap().len() == 1).then_some(())
    };
    paid.shop.wait_for("the event", told).await;
}

/// Notices that come late, twice and out of order end in the same state; what is over stays over.
#[tokio::test]
async fn the_order_of_the_notices_does_not_matter() {
    let later = json!({"status": "awaiting-bank-feedback", "updated_at": "2026-11-24T15:00:00.000Z"});
    let over = json!({
        "status": "resolved", "resolution": "auto-accepted", "resolvedAt": "2026-11-25T18:00:02.000Z",
        "updated_at": "2026-11-25T18:00:02.000Z",
    });
    let notices =
        [("charge.dispute.create", json!({})), ("charge.dispute.remind", later), ("charge.dispute.resolve", over)];
    let paid = paid().await;
    let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    for (number, order) in (900_000..).zip(orders) {
        for i in order.into_iter().chain(order) {
            let (event, change) = &notices[i];
            paid.tell(event, number, change.clone()).await;
        }
    }
    let all = paid.list("limit=100").await;
    assert_eq!(all.len(), orders.len());
    for dispute in &all {
        assert_eq!((&dispute["status"], &dispute["resolution"]), (&json!("resolved"), &json!("auto-accepted")));
        assert_eq!((&dispute["lost"], &dispute["amount"]), (&json!(58), &json!(58)));
    }
    let twice = "select count(*) from (select order_id, type from order_events where type = 'dispute_resolved') e";
    assert_eq!(paid.shop.database.count(twice).await, 6);
    let failed = "select count(*) from webhook_events where status <> 'processed' and event like 'charge.dispute%'";
    assert_eq!(paid.shop.database.count(failed).await, 0);
    let reopen = "update disputes set status = 'pending'";
    assert!(
        sqlx::query(reopen)
            .execute(&paid.shop.database.pool)
            .await
            .unwrap_err()
            .to_string()
            .contains("not opened again")
    );
}

/// A dispute of a payment that the shop does not know is kept, one of another mode is not believed, and what makes no sense is put aside.
#[tokio::test]
async fn odd_disputes_are_kept_or_put_aside() {
    let paid = paid().await;
    paid.tell("charge.dispute.create", 1, json!({"transaction": {"id": 1, "reference": "elsewhere"}})).await;
    let dispute = paid.only().await;
    assert_eq!((&dispute["orderId"], &dispute["paymentId"]), (&Value::Null, &Value::Null));
    assert_eq!(dispute["reference"], "elsewhere");
    paid.tell("charge.dispute.create", 2, json!({"domain": "live"})).await;
    paid.tell("charge.dispute.create", 3, json!({"status": "news", "refund_amount": -5, "transaction": 7})).await;
    assert_eq!(paid.list("").await.len(), 2);
    let other = paid.list("").await[0].clone();
    assert_eq!(
        (&other["status"], &other["amount"], &other["transactionId"]),
        (&json!("other"), &Value::Null, &json!(7))
    );
    let body = json!({"event": "charge.dispute.create", "data": {"status": "pending"}});
    paid.shop.deliver(&body, PAYSTACK_KEY).await.expect(200);
    paid.shop.wait_for_jobs().await;
    let failed = "select count(*) from webhook_events where status = 'failed'";
    assert_eq!(paid.shop.database.count(failed).await, 1);
    for (query, field) in [("status=late", "status"), ("order=x", "order"), ("cursor=x", "cursor")] {
        let answer = paid.shop.get(&format!("/admin/disputes?{query}")).token(&paid.admin).send().await;
        assert_eq!(answer.expect_error(400, "VALIDATION_ERROR"), [field]);
    }
}

/// The finance hears once of each threshold, however many look, and again when it is due at another time; not of what was answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_finance_is_told_in_time_and_once() {
    let paid = paid().await;
    let at = |hours: i64| (paid.shop.app.clock.now() + TimeDelta::hours(hours)).to_rfc3339();
    paid.tell("charge.dispute.create", 5, json!({"dueAt": at(40)})).await;
    let watch = async || {
        for watched in join_all((0..3).map(|_| WatchDisputes {}.run(&paid.shop.app))).await {
            watched.unwrap();
        }
        paid.shop.mails("dispute").await.len()
    };
    assert_eq!(watch().await, 1, "it was opened");
    paid.shop.app.clock.advance(TimeDelta::hours(17));
    assert_eq!((watch().await, watch().await), (2, 2), "24 hours");
    paid.shop.app.clock.advance(TimeDelta::hours(20));
    assert_eq!((watch().await, watch().await), (3, 3), "4 hours");
    let later =
        json!({"dueAt": at(30), "status": "awaiting-merchant-feedback", "updated_at": "2026-11-24T16:00:00.000Z"});
    paid.tell("charge.dispute.remind", 5, later).await;
    paid.shop.app.clock.advance(TimeDelta::hours(7));
    assert_eq!(watch().await, 4, "24 hours before another time");
    paid.shop.app.clock.advance(TimeDelta::hours(30));
    assert_eq!(watch().await, 4, "nothing after it");
    let admin = paid.shop.login("admin@agape.example").await;
    let overdue = paid.shop.get("/admin/disputes?status=overdue").token(&admin).send().await.expect(200);
    assert_eq!(
        (overdue["disputes"].as_array().unwrap().len(), &overdue["disputes"][0]["isOverdue"]),
        (1, &json!(true))
    );
    // One that is opened within the last hours is told of once.
    paid.tell("charge.dispute.create", 6, json!({"dueAt": at(3)})).await;
    assert_eq!(watch().await, 5);
}

/// A dispute whose notice was lost is found by asking about once an hour, and so is its end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dispute_that_nobody_told_of_is_found() {
    let paid = paid().await;
    let watch = async || {
        for watched in join_all((0..3).map(|_| WatchDisputes {}.run(&paid.shop.app))).await {
            watched.unwrap();
        }
        paid.shop.database.text("select status from disputes").await
    };
    watch().await;
    paid.shop.sandbox_faults(&json!({"webhook": "none"})).await;
    let number = paid.control("disputes", &json!({"reference": paid.reference})).await["id"].as_u64().unwrap();
    assert_eq!(watch().await, None);
    paid.shop.app.clock.advance(TimeDelta::minutes(61));
    assert_eq!(watch().await.as_deref(), Some("awaiting_merchant"));
    paid.control(&format!("disputes/{number}"), &json!({"event": "resolve"})).await;
    assert_eq!(watch().await.as_deref(), Some("awaiting_merchant"));
    paid.shop.app.clock.advance(TimeDelta::minutes(61));
    assert_eq!(watch().await.as_deref(), Some("resolved"));
    let subjects = paid.shop.mails("dispute").await;
    assert!(subjects.len() == 2 && subjects[1].ends_with("is lost"), "{subjects:?}");
}

/// What ended without a word of how is open to that word, and to no other; what a dispute has cost is what it asked for.
#[tokio::test]
async fn how_a_dispute_ended_may_come_later() {
    let paid = paid().await;
    paid.tell("charge.dispute.create", 7, json!({})).await;
    let over = |resolution: Value, at: &str| json!({"status": "resolved", "resolution": resolution, "refund_amount": null, "updated_at": at});
    paid.tell("charge.dispute.resolve", 7, over(Value::Null, "2026-11-25T10:00:00.000Z")).await;
    assert_eq!((&paid.only().await["status"], &paid.only().await["lost"]), (&json!("resolved"), &json!(0)));
    assert_eq!(paid.shop.mails("dispute").await.len(), 1);
    paid.tell("charge.dispute.remind", 7, over(json!("auto-accepted"), "2026-11-25T11:00:00.000Z")).await;
    assert_eq!(paid.only().await["lost"], json!(58));
    assert!(paid.shop.mails("dispute").await[1].ends_with("is lost"));
}

/// Staff accept or decline at the provider. Whatever is wrong with the answer is told, and nothing is sent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn staff_answer_a_dispute() {
    let paid = paid().await;
    paid.open(json!({})).await;
    let too_much = Amount(paid.total + 1);
    for (body, fields) in [
        (json!({"resolution": "merchant-accepted", "message": "yes"}), vec!["refundAmount"]),
        (json!({"resolution": "merchant-accepted", "message": "yes", "refundAmount": 0}), vec!["refundAmount"]),
        (json!({"resolution": "merchant-accepted", "message": "yes", "refundAmount": too_much}), vec!["refundAmount"]),
        (json!({"resolution": "declined", "message": "no", "refundAmount": 5}), vec!["refundAmount"]),
        (json!({"resolution": "auto-accepted", "message": " "}), vec!["message", "resolution"]),
        (json!({"resolution": "declined", "message": "no", "amount": 5}), vec!["amount"]),
    ] {
        let mut found = paid.answer(&body).await.expect_error(400, "VALIDATION_ERROR");
        found.sort();
        assert_eq!(found, fields, "{body}");
    }
    assert_eq!(paid.only().await["status"], "awaiting_merchant");
    let body = json!({"resolution": "declined", "message": "It was handed over to her on Tuesday."});
    // Five at once: the answer is given once. Who finds it changed each time he asks is to come again.
    let answers = join_all((0..5).map(|_| paid.answer(&body))).await;
    assert!(answers.iter().all(|answer| matches!(answer.status, 200 | 409 | 503)), "{answers:#?}");
    let answered = answers.into_iter().find(|answer| answer.status == 200).unwrap().expect(200)["dispute"].clone();
    assert_eq!((&answered["status"], &answered["resolution"]), (&json!("resolved"), &json!("declined")));
    assert_eq!((&answered["answer"], &answered["lost"]), (&json!("declined"), &json!(0)));
    assert_eq!(paid.answer(&body).await.expect(200)["dispute"], answered, "a repeated answer is the same");
    let other = json!({"resolution": "merchant-accepted", "message": "yes", "refundAmount": 1});
    paid.answer(&other).await.expect_error(409, "CONFLICT");
    let subjects = paid.shop.mails("dispute").await;
    assert!(subjects.len() == 2 && subjects[1].ends_with("is won"), "{subjects:?}");
    let words = "select count(*) from audit_parts where content::text like '%Tuesday%'";
    assert_eq!(paid.shop.database.count(words).await, 0, "the log knows nothing of the words");
}

/// An answer whose own answer was lost is looked for before it is sent again; one that never arrived is sent then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_is_never_given_twice() {
    let paid = paid().await;
    paid.open(json!({})).await;
    let body = json!({"resolution": "merchant-accepted", "message": "Sorry.", "refundAmount": paid.order["total"]});
    paid.shop.sandbox_faults(&json!({"fail_next": {"status": 503, "count": 1}, "calls": "PUT /dispute"})).await;
    paid.answer(&body).await.expect_error(503, "EXTERNAL_SERVICE_ERROR");
    assert_eq!(paid.only().await["status"], "awaiting_merchant");
    paid.shop.sandbox_faults(&json!({})).await;
    let answered = paid.answer(&body).await.expect(200)["dispute"].clone();
    assert_eq!((&answered["resolution"], &answered["lost"]), (&json!("merchant-accepted"), &paid.order["total"]));
    // The provider has it, and the shop does not know: as after a crash.
    let forget = "alter table disputes disable trigger user; update disputes set status = 'awaiting_merchant', resolution = null,
                  lost_minor = 0; alter table disputes enable trigger user";
    sqlx::raw_sql(forget).execute(&paid.shop.database.pool).await.unwrap();
    let again = paid.answer(&body).await.expect(200)["dispute"].clone();
    assert_eq!((&again["status"], &again["lost"]), (&json!("resolved"), &paid.order["total"]));
}

/// Notes are the staff's, and go with the buyer, as do the words of an answer.
#[tokio::test]
async fn words_about_a_buyer_go_with_him() {
    let paid = paid().await;
    paid.tell("charge.dispute.create", 9, json!({})).await;
    let id = paid.only().await["id"].as_str().unwrap().to_owned();
    let path = format!("/admin/disputes/{id}");
    let note = json!({"text": "Zipporah says that it was stolen"});
    let noted = paid.shop.post(&format!("{path}/notes")).token(&paid.admin).json(&note).send().await.expect(201);
    assert_eq!(noted["notes"][0]["text"], note["text"]);
    let merchant = paid.shop.staff(Role::Merchant).await;
    paid.shop.get(&path).token(&merchant).send().await.expect(200);
    paid.shop
        .post(&format!("{path}/notes"))
        .token(&merchant)
        .json(&note)
        .send()
        .await
        .expect_error(403, "AUTHORIZATION_ERROR");
    let export = paid.shop.get("/privacy/export").token(&paid.ama).send().await;
    assert!(export.text.contains("chargeback") && !export.text.contains("stolen"), "{}", export.text);
    let said = "update disputes set answer = 'declined', answer_message = 'Zipporah has it', answered_at = now()";
    sqlx::query(said).execute(&paid.shop.database.pool).await.unwrap();
    paid.shop.force_status(&paid.order, "delivered").await;
    let erase = json!({"password": crate::support::PASSWORD});
    paid.shop.post("/privacy/erase").token(&paid.ama).json(&erase).send().await.expect(200);
    assert!(crate::privacy::places(&paid.shop, "zipporah").await.is_empty());
    assert_eq!(paid.list("").await.len(), 1);
    // Nor is anything written about him again, on whichever way.
    let notes = format!("{path}/notes");
    let refused = paid.shop.post(&notes).token(&paid.admin).json(&note).send().await;
    refused.expect_error(409, "CONFLICT");
    let late = paid.control("disputes", &json!({"reference": paid.reference})).await["id"].clone();
    paid.shop
        .wait_for("the dispute of an erased buyer", || async { (paid.list("").await.len() == 2).then_some(()) })
        .await;
    let late = paid.list("").await.into_iter().find(|dispute| dispute["number"] == late).unwrap();
    let answer = json!({"resolution": "declined", "message": "Zipporah has signed for it"});
    let resolve = format!("/admin/disputes/{}/resolve", late["id"].as_str().unwrap());
    paid.shop.post(&resolve).token(&paid.admin).json(&answer).send().await.expect(200);
    paid.shop.wait_for_jobs().await;
    let kept = "select count(*) from disputes where answer_message is not null";
    assert_eq!(paid.shop.database.count(kept).await, 0);
}

/// A note and the erasure of its buyer at the same moment: the note goes with him or is not written.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_note_does_not_outlive_its_buyer() {
    let paid = paid().await;
    paid.tell("charge.dispute.create", 9, json!({})).await;
    paid.shop.force_status(&paid.order, "delivered").await;
    let path = format!("/admin/disputes/{}/notes", paid.only().await["id"].as_str().unwrap());
    // Whoever erases him holds the order already, and has seen which notes there are.
    let mut erasing = paid.shop.database.pool.begin().await.unwrap();
    sqlx::query("select from orders for update").execute(&mut *erasing).await.unwrap();
    let note = json!({"text": "Zipporah says that it was stolen"});
    let writing = tokio::spawn(paid.shop.post(&path).token(&paid.admin).json(&note).send());
    paid.shop
        .wait_for("the note to wait for the order", || async {
            let waiting = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' \
                           and datname = current_database()";
            (paid.shop.database.count(waiting).await == 1).then_some(())
        })
        .await;
    let gone = "update orders set email = 'erased-1@erased.invalid', updated_at = now()";
    sqlx::query(gone).execute(&mut *erasing).await.unwrap();
    erasing.commit().await.unwrap();
    writing.await.unwrap().expect_error(409, "CONFLICT");
    assert_eq!(paid.shop.database.count("select count(*) from dispute_notes").await, 0);
}

/// What is due is a time, whatever the provider writes.
#[tokio::test]
async fn a_dispute_is_due_when_the_provider_says() {
    let paid = paid().await;
    paid.tell("charge.dispute.create", 4, json!({"dueAt": "2026-12-25T18:00:00.000Z"})).await;
    let due: DateTime<Utc> = paid.only().await["dueAt"].as_str().unwrap().parse().unwrap();
    assert_eq!(due.to_rfc3339(), "2026-12-25T18:00:00+00:00");
}
