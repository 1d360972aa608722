//! What a lost dispute takes back is a refund of the payment: all of it and no more, within what was paid, and the order follows.

use agape::flows::disputes::{self, WatchDisputes};
use agape::flows::refund::send::SendRefund;
use agape::platform::ids::RefundId;
use agape::platform::jobs::Job;
use chrono::TimeDelta;
use futures::future::join_all;
use serde_json::{Value, json};

use crate::disputes::{Paid, paid};
use crate::reconciliation::{findings, reconcile};
use crate::refunds::{assert_money, control, minor};
use crate::support::{Answer, PAYSTACK_KEY, charge_success};

impl Paid {
    async fn ask(&self, body: &Value) -> Answer {
        let path = format!("/admin/orders/{}/refunds", self.order["id"].as_str().unwrap());
        self.shop.post(&path).token(&self.admin).json(body).send().await
    }

    async fn staff_order(&self) -> Value {
        let path = format!("/admin/orders/{}", self.order["id"].as_str().unwrap());
        self.shop.get(&path).token(&self.admin).send().await.expect(200)["order"].clone()
    }

    /// The provider decides.
    async fn decide(&self, number: u64, resolution: &str) {
        let body = json!({"event": "resolve", "resolution": resolution});
        self.control(&format!("disputes/{number}"), &body).await;
        self.shop
            .wait_for("the end of the dispute", || async { (self.only().await["status"] == "resolved").then_some(()) })
            .await;
        self.shop.wait_for_jobs().await;
    }

    /// The refunds as staff list them.
    async fn refunds(&self) -> Vec<Value> {
        let data = self.shop.get("/admin/refunds").token(&self.admin).send().await.expect(200);
        data["refunds"].as_array().unwrap().clone()
    }

    /// The provider tells of a refund of the payment, whichever.
    async fn tell_of_refund(&self, amount: i64) {
        let notice = json!({"event": "refund.processed", "data": {
            "status": "processed", "transaction_reference": self.reference, "refund_reference": null,
            "amount": amount.to_string(), "currency": "NGN", "domain": "test", "processor": "x",
        }});
        self.shop.deliver(&notice, PAYSTACK_KEY).await.expect(200);
    }

    /// A refund of the shop's that was not sent, or of which no answer has come.
    async fn pending(&self, amount: i64, is_sent: bool) -> RefundId {
        let id = RefundId::new();
        sqlx::query(
            "insert into refunds (id, payment_id, amount_minor, status, sent_at, created_at, updated_at)
             select $1, id, $2, 'pending', case when $3 then now() end, now(), now() from payments",
        )
        .bind(id.0)
        .bind(amount)
        .bind(is_sent)
        .execute(&self.shop.database.pool)
        .await
        .unwrap();
        id
    }

    /// What disputes have taken as the books have it, and what is left of the payment.
    async fn books(&self) -> (i64, i64) {
        let taken = "select coalesce(sum(amount_minor), 0)::bigint from refunds
                     where origin = 'dispute' and status <> 'failed'";
        let left = "select paid_minor - refunded_minor from payments";
        (self.shop.database.count(taken).await, self.shop.database.count(left).await)
    }

    fn subjects(&self, of: &[&str]) -> Vec<String> {
        let number = self.order["orderNumber"].as_str().unwrap();
        of.iter().map(|subject| format!("{subject} (order {number})")).collect()
    }
}

fn lost(at: &str) -> Value {
    json!({"status": "resolved", "resolution": "auto-accepted", "resolvedAt": at, "updated_at": at})
}

/// All of the money is gone: the order is refunded, staff and buyer see it, nothing more can be given back, and the provider's list is
/// no other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_dispute_is_a_refund() {
    let paid = paid().await;
    let number = paid.open(json!({})).await;
    paid.decide(number, "auto-accepted").await;
    let hers = paid.shop.wait_for_status(&paid.ama, &paid.order, "refunded").await;
    assert_eq!((&hers["refunds"][0]["amount"], &hers["refunds"][0]["status"]), (&hers["total"], &json!("processed")));
    let refunds = paid.refunds().await;
    assert_eq!(refunds.len(), 1, "{refunds:#?}");
    assert_eq!((&refunds[0]["origin"], &refunds[0]["amount"]), (&json!("dispute"), &paid.order["total"]));
    assert_eq!((&refunds[0]["disputeId"], &refunds[0]["attempts"]), (&paid.only().await["id"], &json!(0)));
    let order = paid.staff_order().await;
    assert_eq!(order["payments"][0]["refunds"][0]["origin"], "dispute", "{order:#}");
    let refused = paid.ask(&json!({"amount": 1})).await;
    refused.expect_error(409, "CONFLICT");
    assert!(refused.text.contains("by a dispute that was lost"), "{}", refused.text);
    // The notice comes again, and a later one.
    for at in ["2026-11-25T18:00:02.000Z", "2026-11-25T18:00:02.000Z", "2099-11-25T18:00:02.000Z"] {
        let mut told = lost(at);
        told["refund_amount"] = json!(paid.total);
        let told = paystack::Dispute::try_from(&paid.dispute(number, told)).unwrap();
        disputes::hear(&paid.shop.app, &told).await.unwrap();
    }
    assert_eq!(paid.refunds().await.len(), 1);
    // The provider's list has it as a refund of the dispute, whose notice writes down nothing more.
    paid.tell_of_refund(paid.total).await;
    paid.shop.wait_for_jobs().await;
    let refunds = paid.refunds().await;
    assert_eq!((refunds.len(), refunds[0]["providerRefundId"].is_number()), (1, true), "{refunds:#?}");
    // The buyer's bank gives it; nobody writes to him, and nothing is odd.
    assert!(paid.shop.mails("order_refund").await.is_empty());
    assert!(paid.shop.mails("money_alert").await.is_empty());
    reconcile(&paid.shop, &paid.admin).await;
    assert_eq!(findings(&paid.shop, &paid.admin, "").await, Vec::<Value>::new());
    for past_the_rules in [
        "update refunds set dispute_number = dispute_number + 1",
        "update refunds set dispute_id = null",
        "insert into refunds (id, payment_id, amount_minor, status, origin, processed_at, created_at, updated_at)
         select gen_random_uuid(), payment_id, 1, 'processed', 'dispute', now(), now(), now() from disputes",
    ] {
        let done = sqlx::query(past_the_rules).execute(&paid.shop.database.pool).await;
        assert!(done.is_err(), "the database accepted: {past_the_rules}");
    }
    assert_money(&paid.shop).await;
}

/// The provider tells of the refund before it tells how the dispute ended: it is the dispute's, and the end adds nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_refund_of_a_dispute_may_come_first() {
    let paid = paid().await;
    let number = paid.open(json!({"refund_amount": 25_000})).await;
    // The end is not told.
    paid.shop.sandbox_faults(&json!({"webhook": "none"})).await;
    paid.control(&format!("disputes/{number}"), &json!({"event": "resolve"})).await;
    paid.tell_of_refund(25_000).await;
    paid.shop.wait_for_status(&paid.ama, &paid.order, "partially_refunded").await;
    let mut told = lost("2099-11-25T18:00:02.000Z");
    told["refund_amount"] = json!(25_000);
    let told = paystack::Dispute::try_from(&paid.dispute(number, told)).unwrap();
    disputes::hear(&paid.shop.app, &told).await.unwrap();
    assert_eq!(paid.only().await["lost"], json!(250));
    let refunds = paid.refunds().await;
    assert_eq!((refunds.len(), &refunds[0]["origin"], &refunds[0]["amount"]), (1, &json!("dispute"), &json!(250)));
    assert_eq!(refunds[0]["disputeId"], paid.only().await["id"]);
    assert!(paid.shop.mails("money_alert").await.is_empty());
    assert_money(&paid.shop).await;
}

/// A dispute that the shop has won takes nothing.
#[tokio::test]
async fn a_won_dispute_takes_nothing() {
    let paid = paid().await;
    let number = paid.open(json!({})).await;
    paid.decide(number, "declined").await;
    assert_eq!(paid.refunds().await, Vec::<Value>::new());
    assert_eq!(paid.staff_order().await["status"], "paid");
}

/// A dispute of a part leaves the rest, which can be given back, and no more.
#[tokio::test]
async fn a_part_may_be_lost() {
    let paid = paid().await;
    let number = paid.open(json!({"refund_amount": 30_000})).await;
    paid.decide(number, "merchant-accepted").await;
    paid.shop.wait_for_status(&paid.ama, &paid.order, "partially_refunded").await;
    let all = json!({"amount": paid.order["total"]});
    assert_eq!(paid.ask(&all).await.expect_error(409, "CONFLICT"), ["amount"]);
    reconcile(&paid.shop, &paid.admin).await;
    assert_eq!(findings(&paid.shop, &paid.admin, "").await, Vec::<Value>::new());
    let rest = paid.ask(&json!({})).await.expect(201)["refund"].clone();
    assert_eq!(minor(&rest["amount"]), paid.total - 30_000);
    paid.shop.wait_for_status(&paid.ama, &paid.order, "refunded").await;
    paid.shop.wait_for_jobs().await;
    assert_money(&paid.shop).await;
}

/// Several hear of the end at once, of a dispute that is known and of one that is not: the money is written down once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_notices_at_once_are_one_refund() {
    let paid = paid().await;
    paid.tell("charge.dispute.create", 1, json!({})).await;
    for (number, expected) in [(1, 1), (2, 2)] {
        let told = paid.dispute(number, lost("2026-11-25T18:00:02.000Z"));
        let told = paystack::Dispute::try_from(&told).unwrap();
        let mut blocker = paid.shop.database.pool.begin().await.unwrap();
        sqlx::query("select from orders for update").execute(&mut *blocker).await.unwrap();
        let hearing = (0..2).map(|_| {
            let (app, told) = (paid.shop.app.clone(), told.clone());
            tokio::spawn(async move { disputes::hear(&app, &told).await.unwrap() })
        });
        let hearing: Vec<_> = hearing.collect();
        paid.shop
            .wait_for("both to wait for the order", || async {
                let waiting = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' \
                               and datname = current_database()";
                (paid.shop.database.count(waiting).await >= 2).then_some(())
            })
            .await;
        blocker.rollback().await.unwrap();
        for heard in join_all(hearing).await {
            heard.unwrap();
        }
        let refunds = "select count(*) from refunds where origin = 'dispute' and amount_minor = 5800";
        assert_eq!(paid.shop.database.count(refunds).await, expected);
    }
    paid.shop.wait_for_jobs().await;
    assert_eq!(paid.staff_order().await["status"], "partially_refunded");
    assert_money(&paid.shop).await;
}

/// The money is on its way back already when the dispute is lost: the books hold it once, and somebody is told that it may go twice. When
/// the refund fails after all, the dispute's money is whole in the books, and nobody can give it again.
#[tokio::test]
async fn money_that_may_go_back_twice_is_told_of() {
    let paid = paid().await;
    let number = paid.open(json!({})).await;
    paid.shop.sandbox_faults(&json!({"refunds": "held"})).await;
    let asked = paid.ask(&json!({"amount": 300})).await.expect(201)["refund"].clone();
    let sent = || async {
        let sent = "select provider_refund_id from refunds where status = 'processing'";
        sqlx::query_scalar::<_, i64>(sent).fetch_optional(&paid.shop.database.pool).await.unwrap()
    };
    let sent = paid.shop.wait_for("the provider to have the refund", sent).await;
    paid.decide(number, "auto-accepted").await;
    let mut refunds = paid.refunds().await;
    refunds.sort_by_key(|refund| minor(&refund["amount"]));
    let seen: Vec<_> = refunds.iter().map(|refund| (refund["origin"].clone(), minor(&refund["amount"]))).collect();
    assert_eq!(seen, [(json!("staff"), 30_000), (json!("dispute"), paid.total - 30_000)]);
    assert_eq!(paid.shop.mails("money_alert").await, paid.subjects(&["Money may go back twice"]));
    assert_eq!(paid.books().await, (paid.total - 30_000, 0));
    assert_money(&paid.shop).await;

    control(&paid.shop, "refund", &json!({"id": sent, "status": "failed"})).await;
    paid.shop.wait_for_status(&paid.ama, &paid.order, "refunded").await;
    paid.shop.wait_for_jobs().await;
    assert_eq!(paid.books().await, (paid.total, 0));
    let both = paid.subjects(&["Money may go back twice", "A refund has failed"]);
    assert_eq!(paid.shop.mails("money_alert").await, both);
    let retry = format!("/admin/refunds/{}/retry", asked["id"].as_str().unwrap());
    paid.shop.post(&retry).token(&paid.admin).json(&json!({})).send().await.expect_error(409, "CONFLICT");
    // Whoever compares both sides again finds nothing to write.
    paid.tell_of_refund(paid.total).await;
    paid.shop.wait_for_jobs().await;
    assert_eq!(paid.refunds().await.len(), 3);
    assert_money(&paid.shop).await;
}

/// The dispute has taken the money before a refund of the same is sent: the provider refuses that, and what it stood in the way of is
/// written down.
#[tokio::test]
async fn a_refund_that_comes_after_the_dispute_makes_room_for_it() {
    let paid = paid().await;
    let refund_id = paid.pending(30_000, false).await;
    let number = paid.open(json!({"refund_amount": paid.total - 20_000})).await;
    paid.decide(number, "auto-accepted").await;
    assert_eq!(paid.books().await, (paid.total - 30_000, 0));
    SendRefund { refund_id }.run(&paid.shop.app).await.unwrap();
    assert_eq!(paid.books().await, (paid.total - 20_000, 20_000));
    let failed = "select count(*) from refunds where status = 'failed' and amount_minor = 30000";
    assert_eq!(paid.shop.database.count(failed).await, 1);
    let all = json!({"amount": 300});
    assert_eq!(paid.ask(&all).await.expect_error(409, "CONFLICT"), ["amount"]);
    let rest = paid.ask(&json!({})).await.expect(201)["refund"].clone();
    assert_eq!(minor(&rest["amount"]), 20_000);
    paid.shop.wait_for_status(&paid.ama, &paid.order, "refunded").await;
    paid.shop.wait_for_jobs().await;
    assert_money(&paid.shop).await;
}

/// The provider lists the refund of a dispute of which the shop has never heard: it is the dispute's, nobody is written to, and the
/// dispute adds nothing once it is known.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_refund_of_an_unknown_dispute_is_counted_once() {
    let paid = paid().await;
    paid.shop.sandbox_faults(&json!({"webhook": "none"})).await;
    let opened = json!({"reference": paid.reference, "refund_amount": 25_000});
    let number = paid.control("disputes", &opened).await["id"].as_u64().unwrap();
    paid.control(&format!("disputes/{number}"), &json!({"event": "resolve"})).await;
    // One of ours of the same amount is on its way, and is not taken for it.
    let ours = paid.pending(25_000, true).await;
    paid.tell_of_refund(25_000).await;
    paid.shop.wait_for_status(&paid.ama, &paid.order, "partially_refunded").await;
    paid.shop.wait_for_jobs().await;
    let unanswered = "select id::text from refunds where status = 'pending' and provider_refund_id is null";
    assert_eq!(paid.shop.database.text(unanswered).await, Some(ours.to_string()));
    let of_dispute = |refunds: &[Value]| -> Vec<Value> {
        refunds.iter().filter(|refund| refund["origin"] == "dispute").cloned().collect()
    };
    let first = of_dispute(&paid.refunds().await);
    assert_eq!((first.len(), &first[0]["amount"], &first[0]["disputeId"]), (1, &json!(250), &Value::Null));
    let mut told = lost("2099-11-25T18:00:02.000Z");
    told["refund_amount"] = json!(25_000);
    let told = paystack::Dispute::try_from(&paid.dispute(number, told)).unwrap();
    disputes::hear(&paid.shop.app, &told).await.unwrap();
    let then = of_dispute(&paid.refunds().await);
    assert_eq!((then.len(), &then[0]["disputeId"]), (1, &paid.only().await["id"]));
    assert_eq!((&then[0]["id"], paid.books().await.0), (&first[0]["id"], 25_000));
    assert!(paid.shop.mails("order_refund").await.is_empty());
    reconcile(&paid.shop, &paid.admin).await;
    assert_eq!(findings(&paid.shop, &paid.admin, "").await, Vec::<Value>::new());
    assert_money(&paid.shop).await;
}

/// What was lost before the shop wrote such refunds down, or through a server that does not, is written down within the hour, once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_loss_that_nobody_wrote_down_is_made_up_for() {
    let paid = paid().await;
    let watch = async || {
        for watched in join_all((0..3).map(|_| WatchDisputes {}.run(&paid.shop.app))).await {
            watched.unwrap();
        }
        paid.books().await
    };
    watch().await;
    // The provider's API knows nothing of it, so that only the look can write it down.
    paid.tell("charge.dispute.create", 7, json!({})).await;
    let ended = "update disputes set status = 'resolved', resolution = 'auto-accepted', lost_minor = 5800,
                 version = version + 1";
    sqlx::query(ended).execute(&paid.shop.database.pool).await.unwrap();
    assert_eq!(watch().await, (0, paid.total));
    for _ in 0..2 {
        paid.shop.app.clock.advance(TimeDelta::minutes(61));
        assert_eq!(watch().await, (5_800, paid.total - 5_800));
    }
    let refunds = "select count(*) from refunds r join disputes d on d.id = r.dispute_id where r.status = 'processed'";
    assert_eq!(paid.shop.database.count(refunds).await, 1);
    assert_eq!(paid.shop.database.text("select status from orders").await.as_deref(), Some("partially_refunded"));
    assert_money(&paid.shop).await;
}

/// A loss in another currency is not written down, which somebody is told once.
#[tokio::test]
async fn a_loss_in_another_currency_is_told_of() {
    let paid = paid().await;
    for at in ["2026-11-25T18:00:02.000Z", "2026-11-25T19:00:02.000Z"] {
        let mut told = lost(at);
        told["currency"] = json!("USD");
        paid.tell("charge.dispute.resolve", 8, told).await;
    }
    assert_eq!((paid.only().await["lost"].clone(), paid.books().await), (json!(58), (0, paid.total)));
    let subject = paid.subjects(&["Money goes back in another currency"]);
    assert_eq!(paid.shop.mails("money_alert").await, subject);
}

/// Where the provider does not say how much is asked back, it is what came, not what was to come.
#[tokio::test]
async fn what_came_is_at_stake() {
    let paid = paid().await;
    let product = paid.shop.product(&paid.admin, "B", 1_000, 9).await;
    let order = paid.shop.order(&paid.ama, &product, 1).await;
    let payment = paid.shop.initialize(&paid.ama, &order).await;
    let reference = payment["reference"].as_str().unwrap().to_owned();
    let came = minor(&order["total"]) + 700;
    paid.shop.deliver(&charge_success(&reference, came, 900_001), PAYSTACK_KEY).await.expect(200);
    paid.shop.wait_for_jobs().await;
    let flagged = Paid { reference, order, ..paid };
    let mut told = lost("2026-11-25T18:00:02.000Z");
    told["refund_amount"] = Value::Null;
    flagged.tell("charge.dispute.resolve", 9, told).await;
    assert_eq!(minor(&flagged.only().await["lost"]), came);
    let taken = "select amount_minor from refunds where origin = 'dispute'";
    assert_eq!(flagged.shop.database.count(taken).await, came);
    assert_money(&flagged.shop).await;
}

/// A dispute of money that nobody had told of makes the shop hear of the money first.
#[tokio::test]
async fn disputed_money_is_heard_of_first() {
    let paid = paid().await;
    let product = paid.shop.product(&paid.admin, "B", 1_000, 9).await;
    let order = paid.shop.order(&paid.ama, &product, 1).await;
    let payment = paid.shop.initialize(&paid.ama, &order).await;
    paid.shop.pay_in_silence(&payment).await;
    let silent = Paid { reference: payment["reference"].as_str().unwrap().to_owned(), order: order.clone(), ..paid };
    let number = silent.open(json!({"refund_amount": 20_000})).await;
    silent.shop.wait_for_status(&silent.ama, &order, "paid").await;
    silent.decide(number, "auto-accepted").await;
    silent.shop.wait_for_status(&silent.ama, &order, "partially_refunded").await;
    assert_money(&silent.shop).await;
}
