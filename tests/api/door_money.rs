//! Money of another sum for an order that is paid on delivery: staff take it for the order, or it goes back by hand.

use agape::features::auth::Role;
use agape::platform::money::Amount;
use futures::future::join_all;
use serde_json::{Value, json};

use crate::payment_methods::{id, placed, record, seen, shop};
use crate::refunds::{assert_money, minor};
use crate::support::{Answer, TestApp};

async fn decide(shop: &TestApp, staff: &str, payment: &Value, what: &str) -> Answer {
    let path = format!("/admin/payments/{}/{what}", payment["id"].as_str().unwrap());
    shop.post(&path).token(staff).json(&json!({"note": "rider 7 says so"})).send().await
}

/// What the books say came for an order, in minor units.
async fn paid_minor(shop: &TestApp, order: &Value) -> i64 {
    let sql = "select paid_minor from orders where id::text = $1";
    sqlx::query_scalar(sql).bind(id(order)).fetch_one(&shop.database.pool).await.unwrap()
}

/// Too little and too much are taken for the order by one of several: it is paid once, by what came, wherever its parcels are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_sum_is_taken_once() {
    let shop = shop().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 9).await;
    let ama = shop.customer("ama@example.com").await;
    for (delta, reason, status) in [(-5_000, "paid too little", "processing"), (7_000, "paid too much", "delivered")] {
        let order = placed(&shop, &ama, &product, "pay_on_delivery").await;
        if status == "delivered" {
            shop.set_status(&admin, &order, "shipped").await.expect(200);
            shop.set_status(&admin, &order, "delivered").await.expect(200);
        }
        let came = minor(&order["total"]) + delta;
        let money = json!({"amount": Amount(came)});
        let flagged = record(&shop, &admin, &order, &money).await.expect(201)["order"].clone();
        assert_eq!((&flagged["status"], &flagged["paidAt"]), (&json!(status), &Value::Null));
        let payment = &flagged["payments"][0];
        assert_eq!((&payment["flagReason"], minor(&payment["paid"])), (&json!(reason), came));
        // As long as nobody has decided, the rest cannot be recorded beside it.
        let rest = record(&shop, &admin, &order, &json!({"amount": order["total"]})).await;
        rest.expect_error(409, "CONFLICT");
        let answers = join_all((0..4).map(|_| decide(&shop, &admin, payment, "accept"))).await;
        let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 409, 409, 409]);
        let paid = seen(&shop, &admin, &order).await;
        assert_eq!((&paid["status"], &paid["paymentStatus"]), (&json!(status), &json!("completed")));
        assert!(paid["paidAt"].is_string());
        assert_eq!(paid_minor(&shop, &order).await, came);
        let types: Vec<_> = paid["timeline"].as_array().unwrap().iter().map(|event| event["type"].clone()).collect();
        for once in ["payment_flagged", "payment_accepted", "paid"] {
            assert_eq!(types.iter().filter(|kind| *kind == once).count(), 1, "{types:?}");
        }
        let again = record(&shop, &admin, &order, &json!({"amount": order["total"]})).await;
        again.expect_error(409, "CONFLICT");
    }
    assert_eq!(shop.mails("payment_receipt").await.len(), 2);
    assert_eq!(shop.available(&product).await, 7);
    assert_money(&shop).await;
}

/// It goes back: the order is still owed, and is paid by the right sum once the first one is with the buyer again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_sum_goes_back_by_hand() {
    let shop = shop().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 9).await;
    let ama = shop.customer("ama@example.com").await;
    let order = placed(&shop, &ama, &product, "pay_on_delivery").await;
    let flagged = record(&shop, &admin, &order, &json!({"amount": 5})).await.expect(201)["order"].clone();
    decide(&shop, &admin, &flagged["payments"][0], "refund").await.expect(200);
    // The provider never had it, so somebody has to give it.
    let failed = shop
        .wait_for("the refund that nobody can send", || async {
            let data = shop.get("/admin/refunds?status=failed").token(&admin).send().await.expect(200);
            data["refunds"].as_array().unwrap().first().cloned()
        })
        .await;
    let money = json!({"amount": order["total"]});
    record(&shop, &admin, &order, &money).await.expect_error(409, "CONFLICT");
    let path = format!("/admin/refunds/{}/manual", failed["id"].as_str().unwrap());
    shop.post(&path).token(&admin).json(&json!({"note": "given to her at the door"})).send().await.expect(201);
    let owed = seen(&shop, &admin, &order).await;
    assert_eq!((&owed["status"], &owed["paymentStatus"]), (&json!("processing"), &json!("pending")));
    let paid = record(&shop, &admin, &order, &money).await.expect(201)["order"].clone();
    assert_eq!((&paid["status"], &paid["paymentStatus"]), (&json!("processing"), &json!("completed")));
    assert_eq!(paid_minor(&shop, &order).await, minor(&order["total"]));
    assert_eq!(shop.mails("payment_receipt").await.len(), 1);
    assert_money(&shop).await;
}

/// Some take it and some give it back at the same moment: one of them does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_decision_about_another_sum_counts() {
    let shop = shop().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 9).await;
    let ama = shop.customer("ama@example.com").await;
    let order = placed(&shop, &ama, &product, "pay_on_delivery").await;
    let flagged = record(&shop, &admin, &order, &json!({"amount": 5})).await.expect(201)["order"].clone();
    let payment = &flagged["payments"][0];
    let ways = ["accept", "refund", "accept", "refund"];
    let answers = join_all(ways.map(|what| decide(&shop, &admin, payment, what))).await;
    let won: Vec<_> = ways.iter().zip(&answers).filter(|(_, answer)| answer.status == 200).collect();
    assert_eq!(won.len(), 1, "{answers:?}");
    assert!(answers.iter().all(|answer| matches!(answer.status, 200 | 409)), "{answers:?}");
    shop.wait_for_jobs().await;
    let (paid, back) = if *won[0].0 == "accept" { (500, 0) } else { (0, 1) };
    assert_eq!(paid_minor(&shop, &order).await, paid);
    assert_eq!(shop.database.count("select count(*) from refunds").await, back);
    assert_eq!(shop.mails("payment_receipt").await.len(), usize::from(paid > 0));
    assert_money(&shop).await;
}
