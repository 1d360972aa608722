//! Every family of events that Paystack sends is answered with 200, stored, and worked on or kept. None keeps a job going.

use agape::features::auth::Role;
use serde_json::{Value, json};

use crate::support::{PAYSTACK_KEY, TestApp, charge_success};

/// A body of each family, with the types in which it comes.
fn families() -> Vec<(&'static str, Value)> {
    let customer = json!({"id": 84_312, "email": "ama@example.com", "first_name": null, "metadata": null});
    let refund = |status: &str, amount: Value| {
        json!({"status": status, "transaction_reference": "T685_made_elsewhere", "refund_reference": null,
               "amount": amount, "currency": "NGN", "processor": "instant-transfer", "customer": customer,
               "integration": 412_829, "domain": "test"})
    };
    let dispute = |status: &str| {
        json!({"id": 358_950, "refund_amount": 5_800, "currency": "NGN", "status": status, "resolution": null,
               "domain": "test", "transaction": {"id": 896_467_688_u64, "reference": "v3mjfgbnc19v97x"},
               "transaction_reference": null, "category": "chargeback", "dueAt": "2026-11-30T18:00:00.000Z",
               "resolvedAt": null, "attachments": null, "created_at": "2026-11-24T13:46:57.000Z"})
    };
    let preauthorization = |status: &str| {
        json!({"id": 3_099, "reference": "pre_11b0qw12", "domain": "test", "status": status, "amount": 1_000,
               "currency": "ZAR", "metadata": null, "fees": 0})
    };
    let mut needs_attention = refund("needs-attention", json!(5_306));
    needs_attention["id"] = json!("123456");
    vec![
        // Without a currency, as where a payment is split; the provider does not know it.
        (
            "charge.success",
            json!({"id": 1, "domain": "test", "status": "success", "reference": "12k81tq3my", "amount": 10_000}),
        ),
        ("charge.dispute.create", dispute("awaiting-merchant-feedback")),
        ("charge.dispute.remind", dispute("awaiting-merchant-feedback")),
        ("charge.dispute.resolve", dispute("resolved")),
        ("refund.pending", refund("pending", json!("10000"))),
        ("refund.processing", refund("processing", json!("10000"))),
        ("refund.processed", refund("processed", json!("5000"))),
        ("refund.failed", refund("failed", json!(20_000))),
        ("refund.needs-attention", needs_attention),
        (
            "bank.transfer.rejected",
            json!({"bank_transfer": {"amount": "30000", "message_type": "INCORRECT_AMOUNT",
            "message": "incorrect amount sent", "transaction_id": "3103959930"}, "customer": customer}),
        ),
        (
            "transfer.success",
            json!({"id": 2, "reference": "acv_9ee55786", "amount": 100_000, "status": "success", "createdAt": "2026-11-24T13:46:57.000Z"}),
        ),
        (
            "transfer.failed",
            json!({"id": 2, "reference": "1976435206", "amount": 200_000, "status": "failed", "created_at": null}),
        ),
        (
            "transfer.reversed",
            json!({"id": 2, "reference": "jvrjckwenm", "amount": 10_000, "status": "reversed", "session": {"id": null}}),
        ),
        ("customeridentification.success", json!({"customer_id": "82796315", "identification": {"type": "bvn"}})),
        ("customeridentification.failed", json!({"customer_id": 82_796_315, "reason": "names do not match"})),
        ("dedicatedaccount.assign.success", json!({"customer": customer, "identification": {"status": "success"}})),
        ("dedicatedaccount.assign.failed", json!({"customer": customer, "dedicated_account": null})),
        ("invoice.create", json!({"domain": "test", "invoice_code": "INV_1", "amount": 50_000, "paid": true})),
        ("invoice.update", json!({"domain": "test", "invoice_code": "INV_1", "amount": 50_000, "paid": 1})),
        (
            "invoice.payment_failed",
            json!({"domain": "test", "invoice_code": "INV_1", "paid": false, "transaction": {}}),
        ),
        ("paymentrequest.pending", json!({"id": 1_089_700, "amount": 10_000_000, "paid_at": null, "metadata": null})),
        (
            "paymentrequest.success",
            json!({"id": 1_089_700, "amount": 10_000_000, "paid_at": "2026-06-21T15:26:10.000Z"}),
        ),
        (
            "subscription.create",
            json!({"domain": "test", "status": "active", "plan": {"plan_code": "PLN_1"}, "customer": customer}),
        ),
        (
            "subscription.disable",
            json!({"domain": "test", "status": "complete", "authorization": {}, "customer": customer}),
        ),
        ("subscription.not_renew", json!({"id": 317_617, "domain": "test", "status": "non-renewing", "plan": null})),
        ("subscription.expiring_cards", json!([{"expiry_date": "12/2021", "brand": "visa", "customer": customer}])),
        ("preauthorization.reserve.success", preauthorization("authorized")),
        ("preauthorization.capture.success", preauthorization("captured")),
        ("preauthorization.capture.failed", preauthorization("capture_failed")),
        ("preauthorization.release.success", preauthorization("released")),
        ("preauthorization.release.failed", preauthorization("release_failed")),
        // What nobody has heard of yet, and what is hardly anything.
        ("loyalty.points.expired", json!({"points": 1.5e300, "reference": ["a"], "transaction": 7})),
        ("weather.changed", Value::Null),
        ("number.called", json!(7)),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_family_is_stored_and_worked_on_or_kept() {
    let shop = TestApp::start().await;
    let families = families();
    for (event, data) in &families {
        let body = json!({"event": event, "data": data});
        // Twice, as what is not answered in time comes again.
        for _ in 0..2 {
            shop.deliver(&body, PAYSTACK_KEY).await.expect(200);
        }
    }
    // One without any data.
    shop.deliver(&json!({"event": "maintenance.begins"}), PAYSTACK_KEY).await.expect(200);
    shop.wait_for_jobs().await;
    let stored: Vec<(String, String, i32)> =
        sqlx::query_as("select event, status, deliveries from webhook_events order by received_at")
            .fetch_all(&shop.database.pool)
            .await
            .unwrap();
    assert_eq!(stored.len(), families.len() + 1);
    for (event, status, deliveries) in &stored {
        assert!(matches!(status.as_str(), "processed" | "ignored"), "{event} is {status}");
        assert_eq!(*deliveries, if event == "maintenance.begins" { 1 } else { 2 }, "{event}");
    }
    assert_no_job_is_left(&shop).await;
}

/// No job of a webhook waits for another try, and none was given up.
async fn assert_no_job_is_left(shop: &TestApp) {
    let left = "select count(*) from river_job where kind = 'process_webhook' and state <> 'completed'";
    assert_eq!(shop.database.count(left).await, 0);
}

/// A charge is understood whatever its types: numbers as texts, metadata of any kind, absent objects of any kind.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_charge_is_understood_in_all_its_shapes() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 100).await;
    let ama = shop.customer("ama@example.com").await;
    let absent = [json!(null), json!(0), json!(""), json!({}), json!([])];
    let mut changes: Vec<(&str, Value)> = vec![
        ("metadata", json!({"cart_id": 398, "custom_fields": [{"value": 1}]})),
        ("metadata", json!("{\"cart_id\":398}")),
        ("metadata", json!("not json {")),
        ("metadata", json!([1, [2, [3]]])),
        ("metadata", json!(-1.5)),
        ("metadata", json!(false)),
        ("id", json!("9007199254740993")),
        ("fees", json!("153")),
        ("fees", json!(-1)),
        ("gateway_response", json!("Appro\u{0}ved")),
        ("paid_at", json!("yesterday")),
        ("paid_at", json!(0)),
        ("something_new", json!({"a": [{}]})),
    ];
    for key in ["metadata", "authorization", "customer", "channel", "gateway_response", "log", "plan", "split"] {
        changes.extend(absent.iter().map(|nothing| (key, nothing.clone())));
    }
    for (number, (key, value)) in (1..).zip(&changes) {
        let order = shop.order(&ama, &product, 1).await;
        let payment = shop.initialize(&ama, &order).await;
        let total: i64 = sqlx::query_scalar("select amount_minor from payments where reference = $1")
            .bind(payment["reference"].as_str().unwrap())
            .fetch_one(&shop.database.pool)
            .await
            .unwrap();
        let mut event = charge_success(payment["reference"].as_str().unwrap(), total, number);
        event["data"]["amount"] = if number % 2 == 0 { json!(total.to_string()) } else { json!(total) };
        event["data"][*key] = value.clone();
        shop.deliver(&event, PAYSTACK_KEY).await.expect(200);
    }
    shop.wait_for_jobs().await;
    let count = i64::try_from(changes.len()).unwrap();
    let unpaid = "select count(*) from orders where status <> 'paid'";
    assert_eq!((shop.database.count(unpaid).await, shop.available(&product).await), (0, 100 - count));
    assert_no_job_is_left(&shop).await;
}

/// What no charge can be, though it is signed, is asked about or kept; it neither pays an order nor keeps a job going.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nonsense_that_is_signed_pays_nothing() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 100).await;
    let ama = shop.customer("ama@example.com").await;
    let order = shop.order(&ama, &product, 1).await;
    let payment = shop.initialize(&ama, &order).await;
    let reference = payment["reference"].as_str().unwrap();
    let total = shop.database.count("select total_minor from orders").await;
    let changes = [
        ("amount", json!(-total)),
        ("amount", json!(f64::MAX)),
        ("amount", json!(u64::MAX)),
        ("amount", json!("1e9")),
        ("amount", json!([total])),
        ("id", json!(u64::MAX)),
        ("id", json!({"$gt": 0})),
        ("currency", json!(["NGN"])),
        ("status", json!({"success": true})),
        ("status", json!("SUCCESS")),
        ("domain", json!("TEST")),
        ("reference", json!(reference.to_lowercase())),
        ("reference", json!(format!("{reference}' or 1=1"))),
        ("reference", json!("x".repeat(100_000))),
    ];
    for (number, (key, value)) in (1..).zip(&changes) {
        let mut event = charge_success(reference, total, number);
        event["data"][*key] = value.clone();
        shop.deliver(&event, PAYSTACK_KEY).await.expect(200);
    }
    shop.wait_for_jobs().await;
    let done = "select count(*) from webhook_events where status in ('processed', 'ignored')";
    assert_eq!(shop.database.count(done).await, i64::try_from(changes.len()).unwrap());
    assert_eq!(shop.database.text("select status from orders").await.unwrap(), "pending_payment");
    assert_eq!(shop.database.text("select status from payments").await.unwrap(), "open");
    assert_no_job_is_left(&shop).await;
}

/// What no dispute and no currency can be is put aside, and keeps no job going.
#[tokio::test]
async fn what_cannot_be_is_put_aside() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 5).await;
    let ama = shop.customer("ama@example.com").await;
    let payment = shop.initialize(&ama, &shop.order(&ama, &product, 1).await).await;
    let mut odd = charge_success(payment["reference"].as_str().unwrap(), 100_000, 900_001);
    odd["data"]["currency"] = json!("NAIRA");
    let dispute = json!({"id": u64::MAX, "status": "pending", "domain": "test", "currency": "NGN",
                         "transaction": {"id": 1, "reference": payment["reference"]}});
    for body in [odd, json!({"event": "charge.dispute.create", "data": dispute})] {
        shop.deliver(&body, PAYSTACK_KEY).await.expect(200);
    }
    shop.wait_for_jobs().await;
    let ends = "select string_agg(outcome, '; ' order by outcome) from webhook_events where status = 'ignored'";
    let told = "the dispute's number is out of range; the transaction's currency is none";
    assert_eq!(shop.database.text(ends).await.as_deref(), Some(told));
    assert_eq!(shop.database.count("select count(*) from payments where status = 'open'").await, 1);
    assert_eq!(shop.database.count("select count(*) from disputes").await, 0);
}
