//! Notices that come late: what they tell was true when they were written, and the provider may say something else by now.

use agape::features::auth::Role;
use agape::flows::expire::Sweep;
use agape::flows::sweep_payments::SweepPayments;
use agape::platform::jobs::Job;
use chrono::TimeDelta;
use paystack::CreateRefund;
use serde_json::{Value, json};

use crate::concurrency::assert_ledger;
use crate::refunds::{assert_money, control};
use crate::support::{PAYSTACK_KEY, Product, TestApp, charge_success};

/// A shop whose clock does nothing by itself, with an order whose payment page is open.
struct Open {
    shop: TestApp,
    ama: String,
    product: Product,
    order: Value,
    payment: Value,
    reference: String,
    /// Minor units.
    total: i64,
}

async fn open() -> Open {
    let shop = TestApp::with(|config| {
        config.jobs.sweep_seconds = 86_400;
        config.payments.breaker_failures = 0;
    })
    .await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 5).await;
    let ama = shop.customer("ama@example.com").await;
    let order = shop.order(&ama, &product, 2).await;
    let payment = shop.initialize(&ama, &order).await;
    let reference = payment["reference"].as_str().unwrap().to_owned();
    let total = shop.database.count("select total_minor from orders").await;
    Open { shop, ama, product, order, payment, reference, total }
}

impl Open {
    /// The payment is refused, and the shop knows.
    async fn refused(&self) {
        let page = self.payment["authorizationUrl"].as_str().unwrap();
        assert_eq!(self.shop.post(page).form("action=decline").send().await.status, 303);
        let path = format!("/payments/{}/verify", self.reference);
        assert_eq!(self.shop.post(&path).token(&self.ama).send().await.expect(200)["status"], "failed");
    }

    /// Nobody pays in time, and the clock gives the order up.
    async fn expired(&self) {
        self.shop.app.clock.advance(TimeDelta::minutes(31));
        Sweep {}.run(&self.shop.app).await.unwrap();
        assert_eq!(self.statuses().await, ("cancelled".into(), "abandoned".into()));
    }

    /// It is paid after all, and nobody is told. The provider's notice of it is on its way.
    async fn paid_in_silence(&self) -> Value {
        self.shop.pay_in_silence(&self.payment).await;
        let number = self.shop.app.paystack.verify(&self.reference).await.unwrap().id;
        charge_success(&self.reference, self.total, i64::try_from(number).unwrap())
    }

    async fn statuses(&self) -> (String, String) {
        let text = async |sql: &'static str| self.shop.database.text(sql).await.unwrap();
        (text("select status from orders").await, text("select status from payments").await)
    }

    /// What is stored of the only event of this family: where it stands and what came of it.
    async fn event(&self, family: &str) -> (String, Option<String>) {
        sqlx::query_as("select status, outcome from webhook_events where event like $1 || '%'")
            .bind(family)
            .fetch_one(&self.shop.database.pool)
            .await
            .unwrap()
    }

    fn refund_notice(&self, amount: i64) -> Value {
        json!({"event": "refund.processed", "data": {
            "status": "processed", "transaction_reference": self.reference, "refund_reference": null,
            "amount": amount.to_string(), "currency": "NGN", "domain": "test", "processor": "x",
        }})
    }

    /// Gives some of the money back in the provider's dashboard, and nobody is told.
    async fn give_back(&self, amount: i64) {
        self.shop.sandbox_faults(&json!({"webhook": "none", "refunds": "held"})).await;
        self.refund(amount).await;
    }

    /// What happens in the dashboard for that.
    async fn refund(&self, amount: i64) {
        let request = CreateRefund {
            transaction: self.reference.clone(),
            amount,
            currency: "NGN".into(),
            customer_note: None,
            merchant_note: None,
        };
        let refund = self.shop.app.paystack.create_refund(&request).await.unwrap();
        control(&self.shop, "refund", &json!({"id": refund.id, "status": "processed"})).await;
    }
}

/// Of a payment that has failed the provider is asked: a success that it still calls one pays.
#[tokio::test]
async fn a_late_success_that_still_is_one_pays() {
    let open = open().await;
    open.refused().await;
    let notice = open.paid_in_silence().await;
    open.shop.deliver(&notice, PAYSTACK_KEY).await.expect(200);
    open.shop.wait_for_jobs().await;
    assert_eq!(open.statuses().await, ("paid".into(), "success".into()));
    assert_eq!(open.event("charge").await, ("processed".into(), Some("Paid".into())));
    assert_eq!(open.shop.mails("payment_receipt").await.len(), 1);
    assert_eq!(open.shop.available(&open.product).await, 3);
    assert_ledger(&open.shop).await;
}

/// One whose money has gone back since pays nothing, however often it is told.
#[tokio::test]
async fn a_late_success_that_was_reversed_pays_nothing() {
    let open = open().await;
    open.refused().await;
    let notice = open.paid_in_silence().await;
    open.give_back(open.total).await;
    let said = open.shop.app.paystack.verify(&open.reference).await.unwrap().status;
    assert_eq!(said, paystack::TransactionStatus::Reversed);
    for _ in 0..2 {
        open.shop.deliver(&notice, PAYSTACK_KEY).await.expect(200);
        open.shop.wait_for_jobs().await;
        assert_eq!(open.statuses().await, ("payment_failed".into(), "failed".into()));
    }
    assert_eq!(open.event("charge").await, ("processed".into(), Some("Settled".into())));
    assert!(open.shop.mails("payment_receipt").await.is_empty());
    assert_ledger(&open.shop).await;
}

/// One of an order that the clock gave up pays if the provider still calls it one, and nothing if its money has gone back since.
#[tokio::test]
async fn a_late_success_of_an_expired_order_is_asked_about() {
    for is_back in [false, true] {
        let open = open().await;
        open.expired().await;
        let notice = open.paid_in_silence().await;
        if is_back {
            open.give_back(open.total).await;
        }
        open.shop.deliver(&notice, PAYSTACK_KEY).await.expect(200);
        open.shop.wait_for_jobs().await;
        let (order, payment, outcome) =
            if is_back { ("cancelled", "abandoned", "Settled") } else { ("paid", "success", "Paid") };
        assert_eq!(open.statuses().await, (order.to_owned(), payment.to_owned()));
        assert_eq!(open.event("charge").await, ("processed".into(), Some(outcome.into())));
        assert_eq!(open.shop.mails("payment_receipt").await.len(), usize::from(!is_back));
        assert_ledger(&open.shop).await;
    }
}

/// Of money that is taken in late some may have gone back before: it is asked about, and the order follows.
#[tokio::test]
async fn what_went_back_of_late_money_is_heard_of() {
    let open = open().await;
    open.expired().await;
    let notice = open.paid_in_silence().await;
    open.give_back(12_300).await;
    open.shop.deliver(&notice, PAYSTACK_KEY).await.expect(200);
    open.shop.wait_for_jobs().await;
    assert_eq!(open.statuses().await, ("partially_refunded".into(), "success".into()));
    assert_eq!(open.shop.database.count("select refunded_minor from payments").await, 12_300);
    assert_money(&open.shop).await;
}

/// The provider tells of a success that it does not show yet: the notice waits for it, as long as the money is awaited at all.
#[tokio::test]
async fn a_late_success_waits_until_it_is_shown() {
    let open = open().await;
    open.expired().await;
    open.shop.deliver(&charge_success(&open.reference, open.total, 900_001), PAYSTACK_KEY).await.expect(200);
    open.shop
        .wait_for("the notice to wait", || async {
            let waiting = "select count(*) from river_job where kind = 'process_webhook' and cardinality(errors) > 0";
            (open.shop.database.count(waiting).await == 1).then_some(())
        })
        .await;
    assert_eq!(open.event("charge").await, ("received".into(), None));
    open.shop.pay_in_silence(&open.payment).await;
    open.shop.wait_for("the money", || async { (open.statuses().await.0 == "paid").then_some(()) }).await;
    open.shop.wait_for_jobs().await;
    assert_eq!(open.event("charge").await, ("processed".into(), Some("Paid".into())));
    assert_ledger(&open.shop).await;
}

/// A notice whose time is over waits no longer, and the provider is asked again for a while.
#[tokio::test]
async fn a_late_success_that_is_not_shown_is_asked_about_again() {
    let open = open().await;
    open.expired().await;
    sqlx::query("update payments set next_look_at = null").execute(&open.shop.database.pool).await.unwrap();
    open.shop.deliver(&charge_success(&open.reference, open.total, 900_001), PAYSTACK_KEY).await.expect(200);
    open.shop.wait_for_jobs().await;
    assert_eq!(open.event("charge").await, ("processed".into(), Some("Left".into())));
    assert_eq!(open.statuses().await, ("cancelled".into(), "abandoned".into()));
    // The provider is asked for a while again.
    open.paid_in_silence().await;
    SweepPayments {}.run(&open.shop.app).await.unwrap();
    assert_eq!(open.statuses().await, ("paid".into(), "success".into()));
}

/// While the provider does not answer, nothing is decided; the notice is worked on again.
#[tokio::test]
async fn a_late_success_waits_for_the_provider() {
    let open = open().await;
    open.refused().await;
    let notice = open.paid_in_silence().await;
    // As many as one question has tries.
    open.shop
        .sandbox_faults(&json!({"fail_next": {"status": 503, "count": 3}, "calls": "GET /transaction/verify"}))
        .await;
    open.shop.deliver(&notice, PAYSTACK_KEY).await.expect(200);
    open.shop.wait_for_status(&open.ama, &open.order, "paid").await;
    open.shop.wait_for_jobs().await;
    let tries = "select attempt::bigint from river_job where kind = 'process_webhook'";
    assert_eq!(open.shop.database.count(tries).await, 2);
}

/// Money goes back before anybody has told that it came: the provider is asked, and both are taken in.
#[tokio::test]
async fn a_refund_that_overtakes_its_payment_is_taken_in() {
    let open = open().await;
    open.refused().await;
    open.paid_in_silence().await;
    open.give_back(12_300).await;
    open.shop.deliver(&open.refund_notice(12_300), PAYSTACK_KEY).await.expect(200);
    open.shop.wait_for_status(&open.ama, &open.order, "partially_refunded").await;
    open.shop.wait_for_jobs().await;
    let refund =
        "select count(*) from refunds where amount_minor = 12300 and origin = 'provider' and status = 'processed'";
    assert_eq!(open.shop.database.count(refund).await, 1);
    assert_eq!(open.event("refund").await.0, "processed");
    assert_money(&open.shop).await;
}

/// The provider tells of a refund and does not show the payment as taken yet: the notice waits until it does.
#[tokio::test]
async fn a_refund_waits_for_its_payment() {
    let open = open().await;
    open.shop.deliver(&open.refund_notice(4_500), PAYSTACK_KEY).await.expect(200);
    open.shop
        .wait_for("the notice to wait", || async {
            let waiting = "select count(*) from river_job where kind = 'process_webhook' and cardinality(errors) > 0";
            (open.shop.database.count(waiting).await == 1).then_some(())
        })
        .await;
    assert_eq!(open.event("refund").await, ("received".into(), None));
    // Whoever asks in between gets no answer, so that nobody sees the money without its refund.
    let silence = json!({"webhook": "none", "refunds": "held", "fail_next": {"status": 503, "count": 1_000},
                         "calls": "GET /transaction/verify"});
    open.shop.sandbox_faults(&silence).await;
    open.shop.pay(&open.payment).await;
    open.refund(4_500).await;
    open.shop.sandbox_faults(&json!({"webhook": "none"})).await;
    open.shop.wait_for_status(&open.ama, &open.order, "partially_refunded").await;
    open.shop.wait_for_jobs().await;
    assert_eq!(open.event("refund").await.0, "processed");
    assert_money(&open.shop).await;
}

/// A refund of what the provider calls no success is nobody's business.
#[tokio::test]
async fn a_refund_of_no_success_is_put_aside() {
    let open = open().await;
    open.refused().await;
    open.shop.deliver(&open.refund_notice(100), PAYSTACK_KEY).await.expect(200);
    open.shop.wait_for_jobs().await;
    let reason = "the payment has no money that could go back";
    assert_eq!(open.event("refund").await, ("ignored".into(), Some(reason.into())));
    assert_eq!(open.shop.database.count("select count(*) from refunds").await, 0);
}
