//! Where an order may go, who may send it there, and how it is given up.

use std::collections::BTreeSet;

use agape::features::auth::Role;
use agape::features::orders::{Actor, MOVES, Status};
use agape::platform::money::Amount;
use chrono::TimeDelta;
use futures::future::join_all;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

use crate::concurrency::assert_ledger;
use crate::support::{Answer, PAYSTACK_KEY, Product, TestApp, address, charge_success};

fn id(order: &Value) -> &str {
    order["id"].as_str().unwrap()
}

async fn cancel(shop: &TestApp, token: &str, order: &Value) -> Answer {
    let path = format!("/orders/{}/cancel", id(order));
    shop.post(&path).token(token).json(&json!({"reason": "changed my mind"})).send().await
}

async fn staff_cancel(shop: &TestApp, staff: &str, order: &Value, body: &Value) -> Answer {
    shop.post(&format!("/admin/orders/{}/cancel", id(order))).token(staff).json(body).send().await
}

/// The refunds that were asked for, whatever became of them: how many, and their sum in minor units.
async fn refunds(shop: &TestApp) -> (i64, i64) {
    sqlx::query_as("select count(*), coalesce(sum(amount_minor), 0)::bigint from refunds")
        .fetch_one(&shop.database.pool)
        .await
        .unwrap()
}

fn minor(amount: &Value) -> i64 {
    amount.to_string().parse::<Amount>().unwrap().0
}

/// The database and the program have the same table.
#[tokio::test]
async fn the_database_knows_the_same_moves() {
    let shop = TestApp::start().await;
    let stored: Vec<(String, String, String)> =
        sqlx::query_as("select from_status, to_status, actor_type from order_moves")
            .fetch_all(&shop.database.pool)
            .await
            .unwrap();
    let known = MOVES.iter().flat_map(|(from, to, actors)| {
        actors.iter().map(|actor| (from.as_str().to_owned(), to.as_str().to_owned(), actor.as_str().to_owned()))
    });
    assert_eq!(stored.into_iter().collect::<BTreeSet<_>>(), known.collect());
    for sql in [
        "delete from order_moves",
        "update order_moves set actor_type = 'staff'",
        "insert into order_moves values ('refunded', 'paid', 'staff')",
    ] {
        assert!(sqlx::query(sql).execute(&shop.database.pool).await.is_err(), "{sql}");
    }
}

/// Whatever the program does, the database refuses a move that is not in the table, and one that somebody else may make.
#[tokio::test]
async fn the_database_refuses_every_other_move() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 9).await;
    let ama = shop.customer("ama@example.com").await;
    shop.order(&ama, &product, 1).await;
    for from in Status::ALL {
        for to in Status::ALL {
            let mut tx = shop.database.pool.begin().await.unwrap();
            for sql in [
                "alter table orders disable trigger user".to_owned(),
                // Of such orders the table is the whole rule.
                format!(
                    "update orders set status = '{}', payment_method = 'pay_on_delivery', expires_at = null",
                    from.as_str()
                ),
                "alter table orders enable trigger user".to_owned(),
            ] {
                sqlx::query(AssertSqlSafe(sql)).execute(&mut *tx).await.unwrap();
            }
            let update = format!("update orders set status = '{}'", to.as_str());
            let moved = sqlx::query(AssertSqlSafe(update)).execute(&mut *tx).await;
            assert_eq!(moved.is_ok(), from == to || from.may_become(to), "{from:?} to {to:?}: {moved:?}");
            tx.rollback().await.unwrap();
            for actor in [Actor::Customer, Actor::Staff, Actor::System, Actor::Provider] {
                let mut tx = shop.database.pool.begin().await.unwrap();
                let insert = format!(
                    "insert into order_events (order_id, type, from_status, to_status, actor_type, at)
                     select id, 'x', '{}', '{}', '{}', now() from orders",
                    from.as_str(),
                    to.as_str(),
                    actor.as_str()
                );
                let told = sqlx::query(AssertSqlSafe(insert)).execute(&mut *tx).await;
                assert_eq!(told.is_ok(), from.may_be_moved(to, actor), "{actor:?}: {from:?} to {to:?}: {told:?}");
                tx.rollback().await.unwrap();
            }
        }
    }
}

/// Every pair of statuses through the endpoint of the staff: what the table allows happens, all else is refused with what is
/// allowed from there, and changes nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn staff_make_the_moves_of_the_table_and_no_other() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 100).await;
    let ama = shop.customer("ama@example.com").await;
    let probe = shop.paid_order(&ama, &product, 1).await;
    for from in Status::ALL {
        let allowed: Vec<&str> = from.settable().map(Status::as_str).collect();
        for to in Status::ALL {
            let by_name = matches!(to, Status::Processing | Status::Shipped | Status::Delivered | Status::Cancelled);
            let is_allowed = by_name && from.may_be_moved(to, Actor::Staff) && from != Status::ReturnRequested;
            assert_eq!(allowed.contains(&to.as_str()), is_allowed, "{from:?} to {to:?}");
            let order = match (is_allowed, from.awaits_payment()) {
                (false, _) => probe.clone(),
                (true, true) => shop.order(&ama, &product, 1).await,
                (true, false) => shop.paid_order(&ama, &product, 1).await,
            };
            shop.force_status(&order, from.as_str()).await;
            let answer = shop.set_status(&admin, &order, to.as_str()).await;
            if is_allowed {
                let order = answer.expect(200)["order"].clone();
                assert_eq!(order["status"], to.as_str(), "{from:?} to {to:?}");
                let last = order["timeline"].as_array().unwrap().last().unwrap().clone();
                assert_eq!((&last["from"], &last["to"]), (&json!(from.as_str()), &json!(to.as_str())));
                assert_eq!((&last["actor"], last["actorId"].is_string()), (&json!("staff"), true));
                continue;
            }
            answer.expect_error(409, "CONFLICT");
            let message = answer.body["message"].as_str().unwrap();
            for name in &allowed {
                assert!(message.contains(name), "{from:?} to {to:?}: {message}");
            }
            let path = format!("/admin/orders/{}", id(&order));
            let order = shop.get(&path).token(&admin).send().await.expect(200)["order"].clone();
            assert_eq!((&order["status"], &order["nextStatuses"]), (&json!(from.as_str()), &json!(allowed)));
        }
    }
    let nonsense = shop.set_status(&admin, &probe, "lost").await;
    assert_eq!(nonsense.expect_error(400, "VALIDATION_ERROR"), ["status"]);
    let nobody = json!({"id": uuid::Uuid::now_v7()});
    shop.set_status(&admin, &nobody, "shipped").await.expect_error(404, "NOT_FOUND");
}

/// The buyer gives up what is paid and not begun: the order is over, its goods are on the shelf, its money is asked back, once,
/// however often he presses.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paid_order_is_given_back_once() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 9).await;
    let ama = shop.customer("ama@example.com").await;
    let order = shop.paid_order(&ama, &product, 4).await;
    assert_eq!(shop.available(&product).await, 5);
    let answers = join_all((0..6).map(|_| cancel(&shop, &ama, &order))).await;
    let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409, 409, 409, 409, 409]);
    let path = format!("/admin/orders/{}", id(&order));
    let seen = shop.get(&path).token(&admin).send().await.expect(200)["order"].clone();
    assert_eq!((&seen["status"], &seen["paymentStatus"]), (&json!("cancelled"), &json!("completed")));
    assert_eq!(seen["payments"][0]["refunds"][0]["origin"], "system");
    assert_eq!(seen["payments"][0]["refunded"], order["total"]);
    assert_eq!(refunds(&shop).await, (1, minor(&order["total"])));
    assert_eq!(shop.available(&product).await, 9);
    let back = "select sum(on_hand_delta) from stock_movements where reason = 'cancel'";
    assert_eq!(shop.database.count(back).await, 4);
    assert_ledger(&shop).await;
    let subjects = shop.mails("order_cancelled").await;
    assert_eq!(subjects, [format!("Your order {} was cancelled", order["orderNumber"].as_str().unwrap())]);
    let body = shop.database.text("select body_text from emails where kind = 'order_cancelled'").await.unwrap();
    assert!(body.contains("You get back") && body.contains("changed my mind"), "{body}");
}

/// Whoever pays an order twice, and has given it up meanwhile, gets no goods for the second payment.
#[tokio::test]
async fn late_money_does_not_revive_what_was_given_back() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 9).await;
    let ama = shop.customer("ama@example.com").await;
    let order = shop.order(&ama, &product, 1).await;
    let first = shop.initialize(&ama, &order).await;
    shop.post(first["authorizationUrl"].as_str().unwrap()).form("action=decline").send().await;
    let reference = first["reference"].as_str().unwrap();
    shop.post(&format!("/payments/{reference}/verify")).token(&ama).send().await.expect(200);
    let second = shop.initialize(&ama, &order).await;
    assert_ne!(second["reference"], first["reference"]);
    shop.pay(&second).await;
    shop.wait_for_status(&ama, &order, "paid").await;
    cancel(&shop, &ama, &order).await.expect(200);
    shop.pay_in_silence(&first).await;
    shop.deliver(&charge_success(reference, minor(&order["total"]), 77), PAYSTACK_KEY).await.expect(200);
    shop.wait_for_jobs().await;
    let flag = shop.database.text("select flag_reason from payments where flag_reason is not null").await;
    assert_eq!(flag.as_deref(), Some("the order was paid before by another attempt"));
    assert_eq!(shop.database.text("select status from orders").await.as_deref(), Some("cancelled"));
    assert_eq!(shop.available(&product).await, 9);
    assert_ledger(&shop).await;
}

/// A shop may keep what is paid; once somebody has begun to pack, only the staff gives an order up.
#[tokio::test]
async fn a_buyer_comes_too_late() {
    let shop = TestApp::with(|config| config.orders.cancel_paid = false).await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 9).await;
    let ama = shop.customer("ama@example.com").await;
    let order = shop.paid_order(&ama, &product, 1).await;
    cancel(&shop, &ama, &order).await.expect_error(409, "CONFLICT");
    let shop = shop.restart(|_| {}).await;
    let processing = shop.set_status(&admin, &order, "processing").await.expect(200)["order"].clone();
    cancel(&shop, &ama, &order).await.expect_error(409, "CONFLICT");
    // Whoever of the staff has an older state before him is told.
    let stale = json!({"version": 1});
    let refused = staff_cancel(&shop, &admin, &order, &stale).await;
    assert_eq!(refused.expect_error(409, "CONFLICT"), ["version"]);
    let body = json!({"version": processing["version"], "restock": false, "reason": "Burnt in the warehouse"});
    let seen = staff_cancel(&shop, &admin, &order, &body).await.expect(200)["order"].clone();
    assert_eq!(seen["status"], "cancelled");
    // What is burnt does not come back; the money does.
    assert_eq!(shop.available(&product).await, 8);
    assert_eq!(refunds(&shop).await, (1, minor(&order["total"])));
    assert_ledger(&shop).await;
    let body = {
        shop.wait_for_jobs().await;
        shop.database.text("select body_text from emails where kind = 'order_cancelled'").await.unwrap()
    };
    assert!(body.contains("Burnt in the warehouse"), "{body}");
    staff_cancel(&shop, &admin, &order, &json!({})).await.expect_error(409, "CONFLICT");
    let odd = json!({"reason": "x", "refund": 5});
    assert_eq!(staff_cancel(&shop, &admin, &order, &odd).await.expect_error(400, "VALIDATION_ERROR"), ["refund"]);
}

/// Money that did not fit an order goes back with it, when the staff gives it up.
#[tokio::test]
async fn flagged_money_goes_back_with_its_order() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 9).await;
    let ama = shop.customer("ama@example.com").await;
    let order = shop.order(&ama, &product, 1).await;
    let payment = shop.initialize(&ama, &order).await;
    let short = charge_success(payment["reference"].as_str().unwrap(), 100, 5);
    shop.deliver(&short, PAYSTACK_KEY).await.expect(200);
    shop.wait_for_jobs().await;
    staff_cancel(&shop, &admin, &order, &json!({})).await.expect(200);
    assert_eq!(refunds(&shop).await, (1, 100));
    assert_eq!(shop.available(&product).await, 9);
    assert_ledger(&shop).await;
}

async fn guest_order(shop: &TestApp, email: &str, product: &Product) -> Value {
    let body = json!({"email": email, "items": [{"variantId": product.variant, "quantity": 2}],
                      "shippingAddress": address()});
    shop.post("/orders").json(&body).send().await.expect(201)["order"].clone()
}

/// A guest gives up his unpaid order by its number and his address. Whoever lacks one of them hears the same as of an order
/// that does not exist, an account's order is not found, and tries are counted by the address.
#[tokio::test]
async fn a_guest_gives_up_his_own_order() {
    let shop = TestApp::with(|config| config.limits.auth_per_minute = 6).await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 9).await;
    let ama = shop.customer("ama@example.com").await;
    let hers = shop.order(&ama, &product, 1).await;
    let order = guest_order(&shop, "kofi@example.com", &product).await;
    let paid = guest_order(&shop, "yaa@example.com", &product).await;
    let pay = json!({"orderId": paid["id"], "email": "yaa@example.com"});
    let page = shop.post("/payments/initialize").json(&pay).send().await.expect(200);
    shop.pay(&page).await;
    shop.wait_for_paid(&paid).await;
    // Into a minute in which nothing counts yet.
    let elapsed = shop.app.clock.now().timestamp_millis().rem_euclid(60_000);
    shop.app.clock.advance(TimeDelta::milliseconds(120_000 - elapsed));
    let give_up = |number: &Value, email: &str| {
        let body = json!({"orderNumber": number, "email": email, "reason": "too slow"});
        let call = shop.post("/orders/track/cancel").json(&body);
        async move { call.send().await }
    };
    let number = &order["orderNumber"];
    let plain = |answer: Answer| {
        answer.expect_error(404, "NOT_FOUND");
        answer.body["message"].clone()
    };
    let unknown = plain(give_up(&json!("AGP2026999999A"), "kofi@example.com").await);
    assert_eq!(plain(give_up(number, "yaa@example.com").await), unknown);
    assert_eq!(plain(give_up(&hers["orderNumber"], "ama@example.com").await), unknown);
    // Knowing both moves no money.
    give_up(&paid["orderNumber"], "yaa@example.com").await.expect_error(409, "CONFLICT");
    assert_eq!(shop.available(&product).await, 4);
    let cancelled = give_up(number, "Kofi@Example.com").await.expect(200)["order"].clone();
    assert_eq!((&cancelled["status"], &cancelled["timeline"][1]["note"]), (&json!("cancelled"), &json!("too slow")));
    assert_eq!(shop.available(&product).await, 6);
    give_up(number, "kofi@example.com").await.expect_error(409, "CONFLICT");
    assert_ledger(&shop).await;
    // Three more tries of the address, by whichever route, and then none, while others go on.
    let track = json!({"orderNumber": number, "email": "kofi@example.com"});
    for _ in 0..3 {
        shop.post("/orders/track").json(&track).send().await.expect(200);
    }
    shop.post("/orders/track").json(&track).send().await.expect_error(429, "RATE_LIMIT_EXCEEDED");
    give_up(number, "kofi@example.com").await.expect_error(429, "RATE_LIMIT_EXCEEDED");
    give_up(number, "esi@example.com").await.expect_error(404, "NOT_FOUND");
}
