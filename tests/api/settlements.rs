//! Two things happen to one unpaid order in the same moment: its stock is sold or freed once, whatever they are and whoever
//! comes first.

use agape::app::App;
use agape::features::orders::PaymentMethod;
use agape::features::payments::PaymentStatus;
use agape::features::{auth, carts::Owner, inventory, orders, payments};
use agape::flows::expire::Sweep;
use agape::flows::quote::Destination;
use agape::flows::start_payment::{self, Payer, Started};
use agape::flows::{cancel, place, settle};
use agape::platform::ids::{OrderId, UserId, VariantId};
use agape::platform::jobs::Job;
use chrono::TimeDelta;
use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::json;

use crate::concurrency::assert_ledger;
use crate::support::{PAYSTACK_KEY, Product, TestApp, address, charge_success};

/// What may happen to an order.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Event {
    /// The shopper comes back from the payment page, or asks whether he has paid.
    Callback,
    /// The provider tells that he has.
    Webhook,
    /// The provider tells that he was refused.
    Refusal,
    /// The shopper gives up.
    Cancel,
    /// He opens the payment page again.
    Extend,
    /// The clock.
    Sweep,
}

impl Event {
    const ALL: [Self; 6] = [Self::Callback, Self::Webhook, Self::Refusal, Self::Cancel, Self::Extend, Self::Sweep];
}

/// An unpaid order whose payment page is open.
#[derive(Clone, Debug)]
struct Open {
    id: OrderId,
    user: UserId,
    reference: String,
    amount: i64,
}

/// A request to order so many of a variant, as an account.
pub fn request(user: UserId, lines: &[(VariantId, i32)]) -> place::Request {
    place::Request {
        user: Some(user),
        owner: Owner::User(user),
        items: Some(
            lines
                .iter()
                .map(|(variant, quantity)| place::Item { variant: Some(*variant), product: None, quantity: *quantity })
                .collect(),
        ),
        email: None,
        address: serde_json::from_value(address()).unwrap(),
        destination: Destination { country: "NG".into(), region: Some("Lagos".into()) },
        shipping_method: None,
        coupon: None,
        payment_method: PaymentMethod::Paystack,
        notes: None,
    }
}

/// Places an order and gives its id.
pub async fn order(app: &App, user: UserId, lines: &[(VariantId, i32)]) -> agape::platform::error::Result<OrderId> {
    let view = |order: &orders::Order| serde_json::to_string(&order.id);
    let answer = place::place(app, request(user, lines), None, view).await?;
    Ok(serde_json::from_str(&answer.body).unwrap())
}

/// What the provider says about a payment.
pub fn transaction(reference: &str, amount: i64, status: &str) -> paystack::Transaction {
    let mut data = charge_success(reference, amount, 1)["data"].clone();
    data["status"] = json!(status);
    paystack::Transaction::try_from(&data).unwrap()
}

async fn open(shop: &TestApp, user: UserId, product: &Product) -> Open {
    let id = order(&shop.app, user, &[(product.variant.parse().unwrap(), 2)]).await.unwrap();
    let payer = Payer { user: Some(user), ..Payer::default() };
    let answer = start_payment::start(&shop.app, id, payer).await.unwrap();
    let Started::Page(payment) = answer.started else { panic!("no page") };
    assert_eq!(payment.status, PaymentStatus::Open);
    Open { id, user, reference: payment.reference, amount: payment.amount_minor }
}

/// The provider's number of the order's transaction.
fn number(open: &Open) -> i64 {
    i64::from_be_bytes(open.id.0.as_bytes()[8..].try_into().unwrap()) & 0xffff_ffff
}

/// Lets it happen. What is refused is refused; the end is looked at later.
fn happen(shop: &TestApp, event: Event, open: Open) -> BoxFuture<'static, ()> {
    let app = shop.app.clone();
    // What the provider tells it also answers when it is asked, as it is of a payment that was refused before.
    let pay = shop
        .post("//sandbox/paystack/_control/payment")
        .token(PAYSTACK_KEY)
        .json(&json!({"reference": open.reference, "action": "pay", "webhook": "none"}));
    let deliver = {
        // A transaction has one number, by which a second delivery is known.
        let body = charge_success(&open.reference, open.amount, number(&open));
        let bytes = serde_json::to_vec(&body).unwrap();
        let signature = paystack::webhook::sign(&bytes, &PAYSTACK_KEY.into());
        shop.post("/webhooks/paystack").header("x-paystack-signature", &signature).raw(bytes)
    };
    async move {
        match event {
            Event::Callback => {
                settle::settle(&app, &transaction(&open.reference, open.amount, "success")).await.unwrap();
            }
            Event::Webhook => {
                pay.send().await.expect(200);
                deliver.send().await.expect(200);
            }
            Event::Refusal => {
                settle::settle(&app, &transaction(&open.reference, open.amount, "failed")).await.unwrap();
            }
            Event::Cancel => drop(cancel::by_customer(&app, open.id, open.user, None).await),
            Event::Extend => {
                let payer = Payer { user: Some(open.user), ..Payer::default() };
                drop(start_payment::start(&app, open.id, payer).await);
            }
            Event::Sweep => Sweep {}.run(&app).await.unwrap(),
        }
    }
    .boxed()
}

/// Waits until so many wait for a row that somebody else has locked.
async fn waiting(shop: &TestApp, count: i64) {
    shop.wait_for("the events to meet at the order", || async {
        let sql =
            "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()";
        (shop.database.count(sql).await >= count).then_some(())
    })
    .await;
}

/// Every pair of events in both orders: both have begun before either may touch the order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_pair_of_events_ends_in_one_sale_or_none() {
    let shop = TestApp::with(|config| {
        config.jobs.sweep_seconds = 86_400;
        // What is paid stays sold here.
        config.orders.cancel_paid = false;
    })
    .await;
    let admin = shop.staff(auth::Role::Admin).await;
    let product = shop.product(&admin, "PAIR", 1_000, 1_000).await;
    shop.customer("ama@example.com").await;
    let user: UserId = shop
        .database
        .text("select id::text from users where email = 'ama@example.com'")
        .await
        .unwrap()
        .parse()
        .unwrap();
    let mut sold = 0;
    // Before anything is due; when the reservation has ended; when the order has.
    for age in [0, 16, 31] {
        for first in Event::ALL {
            for second in Event::ALL {
                let what = format!("{first:?} before {second:?} after {age} minutes");
                let open = open(&shop, user, &product).await;
                shop.app.clock.advance(TimeDelta::minutes(age));
                let mut blocker = shop.database.pool.begin().await.unwrap();
                sqlx::query("select from orders where id = $1 for update")
                    .bind(open.id.0)
                    .execute(&mut *blocker)
                    .await
                    .unwrap();
                // The clock does nothing before something is due, and an event that is told twice is worked on once.
                let is_idle = |event, running: usize| {
                    event == Event::Sweep && age == 0 || event == Event::Webhook && first == event && running == 1
                };
                let mut running = Vec::new();
                let mut met = 0;
                for event in [first, second] {
                    running.push(tokio::spawn(happen(&shop, event, open.clone())));
                    if !is_idle(event, running.len() - 1) {
                        met += 1;
                        waiting(&shop, met).await;
                    }
                }
                blocker.commit().await.unwrap();
                for event in running {
                    event.await.unwrap();
                }
                shop.wait_for_jobs().await;
                let has_money = [first, second].iter().any(|event| matches!(event, Event::Callback | Event::Webhook));
                sold += check(&shop, &open, has_money, &what).await;
            }
        }
    }
    assert_ledger(&shop).await;
    assert_eq!(shop.database.count("select on_hand::bigint from stock_levels").await, 1_000 - 2 * sold);
    assert!(sold > 0);
}

/// Whether the order's two units are sold; they are sold, held or free, and the money fits.
async fn check(shop: &TestApp, open: &Open, has_money: bool, what: &str) -> i64 {
    let mut c = shop.app.db.acquire().await.unwrap();
    let order = orders::find(&mut c, open.id).await.unwrap().unwrap();
    let is_paid = payments::has_success(&mut c, open.id).await.unwrap();
    let (status, reserved, commits): (String, i64, i64) = sqlx::query_as(
        "select r.status, (select sum(reserved_delta) from stock_movements where order_id = $1),
                (select count(*) from stock_movements where order_id = $1 and reason = 'commit')
         from reservations r where r.order_id = $1",
    )
    .bind(open.id.0)
    .fetch_one(&shop.database.pool)
    .await
    .unwrap();
    let told: i64 = sqlx::query_scalar("select count(*) from order_events where order_id = $1 and to_status = 'paid'")
        .bind(open.id.0)
        .fetch_one(&shop.database.pool)
        .await
        .unwrap();
    use orders::Status::{Cancelled, Paid, PaymentFailed, PendingPayment};
    let expected = match (order.status, is_paid) {
        (Paid, true) => ("committed", 0, 1, 1),
        (Cancelled, false) => ("released", 0, 0, 0),
        (PendingPayment | PaymentFailed, false) if status == "held" => ("held", 2, 0, 0),
        (PendingPayment | PaymentFailed, false) => ("released", 0, 0, 0),
        other => panic!("{what}: {other:?}"),
    };
    assert_eq!((status.as_str(), reserved, commits, told), expected, "{what}: {:?}", order.status);
    // Money that came was either taken for the order or is kept for the staff.
    let taken: i64 =
        sqlx::query_scalar("select count(*) from payments where order_id = $1 and status in ('success', 'flagged')")
            .bind(open.id.0)
            .fetch_one(&shop.database.pool)
            .await
            .unwrap();
    assert_eq!(taken, i64::from(has_money), "{what}");
    i64::from(is_paid)
}

/// The last piece comes back while a late payment already waits for its level: it is sold, though the payment's statement began
/// when there was none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_freed_at_that_moment_is_sold() {
    let shop = TestApp::with(|config| config.jobs.sweep_seconds = 86_400).await;
    let admin = shop.staff(auth::Role::Admin).await;
    let product = shop.product(&admin, "LAST", 1_000, 2).await;
    shop.customer("ama@example.com").await;
    let user = shop.database.text("select id::text from users where email = 'ama@example.com'").await;
    let user: UserId = user.unwrap().parse().unwrap();
    let late = open(&shop, user, &product).await;
    shop.app.clock.advance(TimeDelta::minutes(16));
    Sweep {}.run(&shop.app).await.unwrap();
    let other = open(&shop, user, &product).await;

    let mut freeing = shop.app.db.begin().await.unwrap();
    let now = shop.app.clock.now();
    assert_eq!(inventory::release_reservations(&mut freeing, other.id, now).await.unwrap(), 1);
    let paying = tokio::spawn(happen(&shop, Event::Callback, late.clone()));
    waiting(&shop, 1).await;
    freeing.commit().await.unwrap();
    paying.await.unwrap();
    assert_eq!(check(&shop, &late, true, "the late one").await, 1);
    assert_ledger(&shop).await;
}

/// An order that is paid by bank transfer waits longer, with its stock and by itself.
#[tokio::test]
async fn a_bank_transfer_has_more_time() {
    let shop = TestApp::with(|config| config.jobs.sweep_seconds = 86_400).await;
    let admin = shop.staff(auth::Role::Admin).await;
    let product = shop.product(&admin, "SLOW", 1_000, 9).await;
    let ama = shop.customer("ama@example.com").await;
    let body = |method: &str| {
        json!({"items": [{"variantId": product.variant, "quantity": 1}], "shippingAddress": address(),
               "paymentMethod": method})
    };
    let mut orders = Vec::new();
    for method in ["card", "bank_transfer"] {
        let placed = shop.post("/orders").token(&ama).json(&body(method)).send().await.expect(201)["order"].clone();
        orders.push(placed);
    }
    let page = shop.initialize(&ama, &orders[1]).await;
    for (minutes, left, open) in [(16, 8, 2), (15, 8, 1), (30, 9, 1), (60, 9, 0)] {
        shop.app.clock.advance(TimeDelta::minutes(minutes));
        Sweep {}.run(&shop.app).await.unwrap();
        assert_eq!(shop.available(&product).await, left, "after {minutes} more minutes");
        assert_eq!(shop.database.count("select count(*) from orders where expires_at is not null").await, open);
    }
    // Money that comes even later is taken, as the goods are still there.
    shop.pay(&page).await;
    let ama = shop.login("ama@example.com").await;
    shop.wait_for_status(&ama, &orders[1], "paid").await;
    let channel = shop.database.text("select channel from payments").await;
    assert_eq!(channel.as_deref(), Some("bank_transfer"));
    shop.post("/orders").token(&ama).json(&body("cheque")).send().await.expect_error(400, "VALIDATION_ERROR");
    assert_ledger(&shop).await;
}
