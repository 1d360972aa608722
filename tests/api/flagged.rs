//! Money that does not fit its order: staff decide, or it goes back by itself.

use agape::features::auth::Role;
use agape::flows::expire::Sweep;
use agape::platform::jobs::Job;
use chrono::TimeDelta;
use futures::future::join_all;
use serde_json::{Value, json};

use crate::refunds::{assert_money, at_provider, minor};
use crate::support::{Answer, Product, TestApp};

struct Till {
    shop: TestApp,
    admin: String,
    finance: String,
    ama: String,
    product: Product,
}

async fn till(stock: i64) -> Till {
    let shop = TestApp::with(|config| config.jobs.sweep_seconds = 86_400).await;
    let admin = shop.staff(Role::Admin).await;
    let finance = shop.staff(Role::Finance).await;
    let product = shop.product(&admin, "A", 1_000, stock).await;
    let ama = shop.customer("ama@example.com").await;
    Till { shop, admin, finance, ama, product }
}

impl Till {
    /// An order that was paid with so much more or less than its total, in minor units.
    async fn odd(&self, delta: i64) -> (Value, Value) {
        let order = self.shop.order(&self.ama, &self.product, 2).await;
        let page = self.shop.initialize(&self.ama, &order).await;
        self.shop.sandbox_faults(&json!({"amount_delta": delta})).await;
        self.shop.pay(&page).await;
        self.shop.sandbox_faults(&json!({})).await;
        (order, self.flagged().await)
    }

    /// The payment that waits for a decision.
    async fn flagged(&self) -> Value {
        self.shop
            .wait_for("the flagged payment", || async {
                let path = "/admin/payments?status=flagged&undecided=true";
                let listed = self.shop.get(path).token(&self.finance).send().await.expect(200);
                listed["payments"].as_array().unwrap().first().cloned()
            })
            .await
    }

    async fn decide(&self, payment: &Value, what: &str, body: &Value) -> Answer {
        let path = format!("/admin/payments/{}/{what}", payment["id"].as_str().unwrap());
        self.shop.post(&path).token(&self.finance).json(body).send().await
    }

    async fn seen(&self, payment: &Value) -> Value {
        let path = format!("/admin/payments/{}", payment["id"].as_str().unwrap());
        self.shop.get(&path).token(&self.finance).send().await.expect(200)
    }

    async fn order(&self, order: &Value) -> Value {
        let path = format!("/orders/{}", order["id"].as_str().unwrap());
        self.shop.get(&path).token(&self.ama).send().await.expect(200)["order"].clone()
    }

    /// Waits until all that came under this payment has gone back.
    async fn wait_for_money(&self, payment: &Value) -> Value {
        self.shop
            .wait_for("the money to go back", || async {
                let seen = self.seen(payment).await;
                let gone = seen["refunds"][0]["status"] == "processed"
                    && seen["payment"]["refunded"] == seen["payment"]["paid"];
                gone.then_some(seen)
            })
            .await
    }
}

/// Too little is taken for the order by a member of the staff, of two at once by one: it is paid, its goods are sold, and who
/// decided and why is on record.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_little_is_accepted_by_one() {
    let till = till(9).await;
    let (order, payment) = till.odd(-5_000).await;
    assert_eq!((&payment["flagReason"], &payment["orderId"]), (&json!("paid too little"), &order["id"]));
    assert_eq!(minor(&payment["paid"]), minor(&order["total"]) - 5_000);
    let number = order["orderNumber"].as_str().unwrap();
    let mut alerts = till.shop.mails("money_alert").await;
    alerts.dedup();
    assert_eq!(alerts, [format!("Money that does not fit (order {number})")]);
    assert_eq!(till.decide(&payment, "accept", &json!({})).await.expect_error(400, "VALIDATION_ERROR"), ["note"]);
    for token in [&till.ama, &till.shop.staff(Role::Merchant).await] {
        let path = format!("/admin/payments/{}/accept", payment["id"].as_str().unwrap());
        till.shop
            .post(&path)
            .token(token)
            .json(&json!({"note": "x"}))
            .send()
            .await
            .expect_error(403, "AUTHORIZATION_ERROR");
    }
    let accept = json!({"note": "She brings the rest in cash"});
    let answers = join_all((0..4).map(|_| till.decide(&payment, "accept", &accept))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1, "{answers:?}");
    assert!(answers.iter().all(|answer| matches!(answer.status, 200 | 409)), "{answers:?}");
    let seen = till.order(&order).await;
    assert_eq!((&seen["status"], &seen["paymentStatus"]), (&json!("paid"), &json!("completed")));
    assert!(!seen.to_string().contains("in cash"));
    let decided = till.seen(&payment).await["payment"].clone();
    assert_eq!((&decided["status"], &decided["decision"]), (&json!("success"), &json!("accept")));
    assert_eq!(decided["decisionNote"], "She brings the rest in cash");
    assert_eq!(till.shop.available(&till.product).await, 7);
    assert_eq!(till.shop.mails("payment_receipt").await.len(), 1);
    till.decide(&payment, "refund", &json!({})).await.expect_error(409, "CONFLICT");
    let audited = "select count(*) from audit_log where action = 'payment.accept'";
    assert_eq!(till.shop.database.count(audited).await, 1);
    assert_money(&till.shop).await;
}

/// Too much is taken, and what is beyond the total given back: the order stays paid.
#[tokio::test]
async fn what_is_too_much_goes_back_alone() {
    let till = till(9).await;
    let (order, payment) = till.odd(7_000).await;
    till.decide(&payment, "accept", &json!({"note": "the rest goes back"})).await.expect(200);
    let path = format!("/admin/orders/{}/refunds", order["id"].as_str().unwrap());
    let refund = till.shop.post(&path).token(&till.finance).json(&json!({"amount": 70})).send().await.expect(201);
    let path = format!("/admin/refunds/{}", refund["refund"]["id"].as_str().unwrap());
    till.shop
        .wait_for("the refund", || async {
            let seen = till.shop.get(&path).token(&till.finance).send().await.expect(200);
            (seen["refund"]["status"] == "processed").then_some(())
        })
        .await;
    assert_eq!(till.order(&order).await["status"], "paid");
    assert_money(&till.shop).await;
}

/// All of it goes back, with an order that still waits for its money.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn odd_money_goes_back_with_its_order() {
    let till = till(9).await;
    let (order, payment) = till.odd(-5_000).await;
    let body = json!({"note": "no"});
    let answers = join_all((0..4).map(|_| till.decide(&payment, "refund", &body))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1, "{answers:?}");
    let seen = till.wait_for_money(&payment).await;
    assert_eq!((&seen["payment"]["status"], &seen["payment"]["decision"]), (&json!("flagged"), &json!("refund")));
    assert_eq!(till.order(&order).await["status"], "cancelled");
    assert_eq!(till.shop.available(&till.product).await, 9);
    assert_eq!(till.shop.mails("order_cancelled").await.len(), 1);
    assert_eq!(at_provider(&till.shop, &order).await.len(), 1);
    let listed = till.shop.get("/admin/payments?undecided=true").token(&till.finance).send().await.expect(200);
    assert_eq!(listed["payments"], json!([]));
    till.decide(&payment, "accept", &json!({"note": "x"})).await.expect_error(409, "CONFLICT");
    assert_money(&till.shop).await;
}

/// An order that is paid twice keeps one payment; the other goes back by itself, or waits where the shop wants to decide.
#[tokio::test]
async fn a_second_payment_goes_back_by_itself() {
    for auto in [true, false] {
        let till = till(9).await;
        let shop = till.shop.restart(|config| {
            config.jobs.sweep_seconds = 86_400;
            config.payments.auto_refund_duplicates = auto;
        });
        let till = Till { shop: shop.await, ..till };
        let order = till.shop.order(&till.ama, &till.product, 2).await;
        let first = till.shop.initialize(&till.ama, &order).await;
        let page = first["authorizationUrl"].as_str().unwrap().to_owned();
        till.shop.post(&page).form("action=decline").send().await;
        let verify = format!("/payments/{}/verify", first["reference"].as_str().unwrap());
        till.shop.post(&verify).token(&till.ama).send().await.expect(200);
        let second = till.shop.initialize(&till.ama, &order).await;
        till.shop.pay(&second).await;
        till.shop.wait_for_status(&till.ama, &order, "paid").await;
        till.shop.pay(&first).await;
        let payment = json!({"id": first["paymentId"]});
        if auto {
            let seen = till.wait_for_money(&payment).await;
            assert_eq!(seen["payment"]["flagReason"], "the order was paid before by another attempt");
            assert_eq!((&seen["payment"]["decision"], &seen["payment"]["decidedBy"]), (&json!("refund"), &Value::Null));
            let verdict = till.shop.post(&verify).token(&till.ama).send().await.expect(200);
            assert_eq!(verdict["status"], "failed");
            let page =
                till.shop.get(&format!("//payments/callback?reference={}", first["reference"].as_str().unwrap()));
            assert!(page.send().await.text.contains("Your money goes back to you"));
            let mails = till.shop.mails("order_refund").await;
            assert_eq!(mails.len(), 2, "{mails:?}");
        } else {
            let flagged = till.flagged().await;
            assert_eq!(flagged["id"], payment["id"]);
            till.decide(&flagged, "accept", &json!({"note": "x"})).await.expect_error(409, "CONFLICT");
            till.decide(&flagged, "refund", &json!({})).await.expect(200);
            till.wait_for_money(&flagged).await;
        }
        till.shop.wait_for_jobs().await;
        let seen = till.order(&order).await;
        assert_eq!((&seen["status"], minor(&seen["refunds"][0]["amount"])), (&json!("paid"), minor(&order["total"])));
        assert_eq!(till.shop.available(&till.product).await, 7);
        assert_money(&till.shop).await;
    }
}

/// Money that comes after the clock has given an order up revives it while its goods are there; else it goes back at once, as it
/// does where the buyer has given it up himself.
#[tokio::test]
async fn late_money_revives_or_goes_back() {
    for (given_up, sold) in [(false, false), (false, true), (true, false)] {
        let till = till(3).await;
        let order = till.shop.order(&till.ama, &till.product, 2).await;
        let page = till.shop.initialize(&till.ama, &order).await;
        if given_up {
            let path = format!("/orders/{}/cancel", order["id"].as_str().unwrap());
            till.shop.post(&path).token(&till.ama).json(&json!({})).send().await.expect(200);
        } else {
            till.shop.app.clock.advance(TimeDelta::minutes(31));
            Sweep {}.run(&till.shop.app).await.unwrap();
        }
        let (ama, finance) = (till.shop.login("ama@example.com").await, till.shop.login("finance@agape.example").await);
        let till = Till { ama, finance, ..till };
        assert_eq!(till.order(&order).await["status"], "cancelled");
        if sold {
            let ben = till.shop.customer("ben@example.com").await;
            till.shop.order(&ben, &till.product, 2).await;
        }
        till.shop.pay(&page).await;
        if given_up || sold {
            let payment = json!({"id": page["paymentId"]});
            let seen = till.wait_for_money(&payment).await;
            let why = if sold {
                "paid after the goods were sold to somebody else"
            } else {
                "the order was given up before the money came"
            };
            assert_eq!(seen["payment"]["flagReason"], why);
            assert_eq!(till.order(&order).await["status"], "cancelled");
            assert_eq!(at_provider(&till.shop, &order).await.len(), 1);
            let mails = till.shop.mails("order_refund").await;
            assert_eq!(mails.len(), 2, "{mails:?}");
            let alerts = till.shop.mails("money_alert").await;
            assert!(
                !alerts.is_empty() && alerts.iter().all(|alert| alert.starts_with("Money goes back by itself")),
                "{alerts:?}"
            );
        } else {
            till.shop.wait_for_status(&till.ama, &order, "paid").await;
        }
        till.shop.wait_for_jobs().await;
        let left = if given_up { 3 } else { 1 };
        assert_eq!(till.shop.available(&till.product).await, left);
        assert_money(&till.shop).await;
    }
}

/// A guest does not send flagged money back by giving his order up; money that went back by the dashboard is decided about still.
#[tokio::test]
async fn a_guest_moves_no_money() {
    let till = till(9).await;
    let body = json!({"email": "kofi@example.com", "items": [{"variantId": till.product.variant, "quantity": 1}],
                      "shippingAddress": crate::support::address()});
    let order = till.shop.post("/orders").json(&body).send().await.expect(201)["order"].clone();
    let pay = json!({"orderId": order["id"], "email": "kofi@example.com"});
    let page = till.shop.post("/payments/initialize").json(&pay).send().await.expect(200);
    till.shop.sandbox_faults(&json!({"amount_delta": -5_000})).await;
    till.shop.pay(&page).await;
    till.shop.sandbox_faults(&json!({})).await;
    let payment = till.flagged().await;
    let give_up = json!({"orderNumber": order["orderNumber"], "email": "kofi@example.com"});
    let refused = till.shop.post("/orders/track/cancel").json(&give_up).send().await;
    refused.expect_error(409, "CONFLICT");
    let request = paystack::CreateRefund {
        transaction: payment["reference"].as_str().unwrap().to_owned(),
        amount: minor(&payment["paid"]),
        currency: "NGN".into(),
        customer_note: None,
        merchant_note: None,
    };
    till.shop.app.paystack.create_refund(&request).await.unwrap();
    till.wait_for_money(&payment).await;
    till.decide(&payment, "refund", &json!({})).await.expect(200);
    assert_eq!(till.seen(&payment).await["refunds"].as_array().unwrap().len(), 1);
    till.shop.wait_for_jobs().await;
    assert_money(&till.shop).await;
}

/// The goods of an order that is still alive were sold meanwhile: it is over, and its money goes back.
#[tokio::test]
async fn goods_that_were_sold_meanwhile_end_the_order() {
    let till = till(2).await;
    let order = till.shop.order(&till.ama, &till.product, 2).await;
    let page = till.shop.initialize(&till.ama, &order).await;
    till.shop.app.clock.advance(TimeDelta::minutes(16));
    Sweep {}.run(&till.shop.app).await.unwrap();
    let (ama, finance) = (till.shop.login("ama@example.com").await, till.shop.login("finance@agape.example").await);
    let till = Till { ama, finance, ..till };
    let ben = till.shop.customer("ben@example.com").await;
    till.shop.paid_order(&ben, &till.product, 1).await;
    till.shop.pay(&page).await;
    till.wait_for_money(&json!({"id": page["paymentId"]})).await;
    assert_eq!(till.order(&order).await["status"], "cancelled");
    assert_eq!(till.shop.available(&till.product).await, 1);
    till.shop.wait_for_jobs().await;
    assert_money(&till.shop).await;
}

/// The lists of payments are filtered and go on with a cursor.
#[tokio::test]
async fn payments_are_listed() {
    let till = till(40).await;
    for _ in 0..3 {
        till.shop.paid_order(&till.ama, &till.product, 1).await;
    }
    let waiting = till.shop.order(&till.ama, &till.product, 1).await;
    till.shop.initialize(&till.ama, &waiting).await;
    let list = async |query: &str| {
        let answer = till.shop.get(&format!("/admin/payments?{query}")).token(&till.finance).send().await;
        let pagination = answer.body["pagination"].clone();
        (answer.expect(200)["payments"].as_array().unwrap().clone(), pagination)
    };
    let (all, pagination) = list("").await;
    assert_eq!((all.len(), &pagination["total"]), (4, &json!(4)));
    let (first, pagination) = list("limit=3").await;
    let (rest, _) = list(&format!("limit=3&cursor={}", pagination["nextCursor"].as_str().unwrap())).await;
    assert_eq!([first, rest].concat(), all);
    assert_eq!(list("status=success").await.0.len(), 3);
    assert_eq!(list("status=open,created").await.0.len(), 1);
    let number = waiting["orderNumber"].as_str().unwrap();
    assert_eq!(list(&format!("search={}", number.to_lowercase())).await.0[0]["orderNumber"], number);
    assert_eq!(list(&format!("search={}", all[2]["reference"].as_str().unwrap())).await.0, all[2..3]);
    assert_eq!(list(&format!("order={}", waiting["id"].as_str().unwrap())).await.0.len(), 1);
    assert_eq!(list("from=2100-01-01T00:00:00Z").await.0.len(), 0);
    assert_eq!(list("undecided=true").await.0.len(), 0);
    for query in ["status=paid", "order=x", "cursor=x", "limit=0"] {
        let answer = till.shop.get(&format!("/admin/payments?{query}")).token(&till.finance).send().await;
        assert_eq!(answer.expect_error(400, "VALIDATION_ERROR"), [query.split('=').next().unwrap()], "{query}");
    }
    for token in [&till.ama, &till.shop.staff(Role::Fulfilment).await] {
        till.shop.get("/admin/payments").token(token).send().await.expect_error(403, "AUTHORIZATION_ERROR");
    }
    let missing = till.seen_nothing().await;
    missing.expect_error(404, "NOT_FOUND");
    assert_eq!(till.shop.get("/admin/payments").token(&till.admin).send().await.status, 200);
}

impl Till {
    async fn seen_nothing(&self) -> Answer {
        self.shop.get(&format!("/admin/payments/{}", uuid::Uuid::now_v7())).token(&self.finance).send().await
    }
}
