//! What buyers send back: asked for, decided, received, and never more than was sent.

use agape::features::auth::Role;
use chrono::TimeDelta;
use futures::future::join_all;
use serde_json::{Value, json};

use crate::concurrency::assert_ledger;
use crate::support::{Answer, Product, TestApp, address};

struct Desk {
    shop: TestApp,
    admin: String,
    ama: String,
    product: Product,
}

async fn desk() -> Desk {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 20).await;
    let ama = shop.customer("ama@example.com").await;
    Desk { shop, admin, ama, product }
}

impl Desk {
    /// An order of three that has arrived.
    async fn arrived(&self) -> Value {
        let order = self.shop.paid_order(&self.ama, &self.product, 3).await;
        self.shop.set_status(&self.admin, &order, "shipped").await.expect(200);
        self.shop.set_status(&self.admin, &order, "delivered").await.expect(200);
        order
    }

    async fn ask(&self, order: &Value, body: &Value) -> Answer {
        let path = format!("/orders/{}/returns", order["id"].as_str().unwrap());
        self.shop.post(&path).token(&self.ama).json(body).send().await
    }

    /// Asks for one unit and withdraws that, as the return of this place.
    async fn withdraw(&self, order: &Value, place: usize) {
        let asked = self.ask(order, &wish(order, 1)).await.expect(201)["order"]["returns"][place].clone();
        let (order, back) = (order["id"].as_str().unwrap(), asked["id"].as_str().unwrap());
        let path = format!("/orders/{order}/returns/{back}/cancel");
        self.shop.post(&path).token(&self.ama).send().await.expect(200);
    }

    /// Once the clock was moved.
    async fn sign_in(&mut self) {
        self.ama = self.shop.login("ama@example.com").await;
        self.admin = self.shop.login("admin@agape.example").await;
    }

    async fn decide(&self, order: &Value, back: &Value, body: &Value) -> Answer {
        let (order, back) = (order["id"].as_str().unwrap(), back["id"].as_str().unwrap());
        let path = format!("/admin/orders/{order}/returns/{back}");
        self.shop.patch(&path).token(&self.admin).json(body).send().await
    }
}

fn wish(order: &Value, units: i64) -> Value {
    json!({"items": [{"itemId": order["items"][0]["id"], "quantity": units, "reason": "damaged"}]})
}

fn restock(order: &Value, version: i64, units: i64) -> Value {
    let items = json!([{"itemId": order["items"][0]["id"], "restock": units}]);
    json!({"version": version, "status": "received", "items": items})
}

/// A part comes back and then the rest: what is good is on the shelf again, and the order is returned once all has come.
#[tokio::test]
async fn goods_come_back_in_two_returns() {
    let desk = desk().await;
    let order = desk.arrived().await;
    assert_eq!(desk.shop.available(&desk.product).await, 17);
    let seen = desk.ask(&order, &wish(&order, 2)).await.expect(201)["order"].clone();
    assert_eq!((&seen["status"], &seen["items"][0]["returned"]), (&json!("return_requested"), &json!(2)));
    let back = seen["returns"][0].clone();
    assert_eq!((&back["status"], &back["requestedBy"]), (&json!("requested"), &json!("customer")));
    // One at a time.
    desk.ask(&order, &wish(&order, 1)).await.expect_error(409, "CONFLICT");
    // Nobody sends goods before they are allowed to.
    desk.decide(&order, &back, &restock(&order, 1, 1)).await.expect_error(409, "CONFLICT");
    let approve = json!({"version": 1, "status": "approved", "answer": "By any courier, please"});
    let seen = desk.decide(&order, &back, &approve).await.expect(200)["order"].clone();
    assert_eq!((&seen["status"], &seen["returns"][0]["status"]), (&json!("return_requested"), &json!("approved")));
    let stale = desk.decide(&order, &back, &restock(&order, 1, 1)).await;
    assert_eq!(stale.expect_error(409, "CONFLICT"), ["version"]);
    for (items, field) in [
        (json!([]), "items"),
        (json!([{"itemId": order["items"][0]["id"], "restock": 3}]), "items[0].restock"),
        (json!([{"itemId": order["items"][0]["id"], "restock": -1}]), "items[0].restock"),
        (json!([{"itemId": uuid::Uuid::now_v7(), "restock": 1}]), "items[0].itemId"),
    ] {
        let body = json!({"version": 2, "status": "received", "items": items});
        assert_eq!(desk.decide(&order, &back, &body).await.expect_error(400, "VALIDATION_ERROR"), [field]);
    }
    // One of the two is broken.
    let seen = desk.decide(&order, &back, &restock(&order, 2, 1)).await.expect(200)["order"].clone();
    assert_eq!((&seen["status"], &seen["returns"][0]["items"][0]["restocked"]), (&json!("delivered"), &json!(1)));
    assert_eq!(desk.shop.available(&desk.product).await, 18);
    desk.decide(&order, &back, &restock(&order, 3, 1)).await.expect_error(409, "CONFLICT");

    let refused = desk.ask(&order, &wish(&order, 2)).await;
    assert_eq!(refused.expect_error(409, "CONFLICT"), ["items[0].quantity"]);
    let seen = desk.ask(&order, &wish(&order, 1)).await.expect(201)["order"].clone();
    let back = seen["returns"][1].clone();
    desk.decide(&order, &back, &json!({"version": 1, "status": "approved"})).await.expect(200);
    let seen = desk.decide(&order, &back, &restock(&order, 2, 1)).await.expect(200)["order"].clone();
    assert_eq!(seen["status"], "returned");
    desk.ask(&order, &wish(&order, 1)).await.expect_error(409, "CONFLICT");
    assert_eq!(desk.shop.available(&desk.product).await, 19);
    let back = "select sum(on_hand_delta) from stock_movements where reason = 'return' and actor_id is not null";
    assert_eq!(desk.shop.database.count(back).await, 2);
    assert_ledger(&desk.shop).await;
    let number = order["orderNumber"].as_str().unwrap();
    let mails = desk.shop.mails("order_return").await;
    let about = |rest: &str| format!("Your return of order {number}{rest}");
    assert_eq!(
        mails,
        [about(""), about(" is approved"), about(" is here"), about(""), about(" is approved"), about(" is here")]
    );
    let words = "select body_text from emails where subject like '%is approved' order by created_at, id limit 1";
    let words = desk.shop.database.text(words).await.unwrap();
    assert!(words.contains("By any courier, please") && words.contains("2 x Kente A"), "{words}");
}

/// A return that is refused or withdrawn leaves the order where its parcels are, and its units can be asked back again.
#[tokio::test]
async fn a_return_is_refused_or_withdrawn() {
    let desk = desk().await;
    let order = desk.arrived().await;
    let back = desk.ask(&order, &wish(&order, 3)).await.expect(201)["order"]["returns"][0].clone();
    let silent = desk.decide(&order, &back, &json!({"version": 1, "status": "rejected"})).await;
    assert_eq!(silent.expect_error(400, "VALIDATION_ERROR"), ["answer"]);
    let reject = json!({"version": 1, "status": "rejected", "answer": "It was worn"});
    let seen = desk.decide(&order, &back, &reject).await.expect(200)["order"].clone();
    assert_eq!((&seen["status"], &seen["items"][0]["returned"]), (&json!("delivered"), &json!(0)));
    let mine = desk.shop.get(&format!("/orders/{}", order["id"].as_str().unwrap())).token(&desk.ama).send().await;
    assert_eq!(mine.expect(200)["order"]["returns"][0]["answer"], "It was worn");

    let seen = desk.ask(&order, &wish(&order, 3)).await.expect(201)["order"].clone();
    let path = format!(
        "/orders/{}/returns/{}/cancel",
        order["id"].as_str().unwrap(),
        seen["returns"][1]["id"].as_str().unwrap()
    );
    let withdraw = async |token: &str| desk.shop.post(&path).token(token).send().await;
    let ben = desk.shop.customer("ben@example.com").await;
    withdraw(&ben).await.expect_error(404, "NOT_FOUND");
    let answers = join_all((0..4).map(|_| withdraw(&desk.ama))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1, "{answers:?}");
    let seen = answers.into_iter().find(|answer| answer.status == 200).unwrap().expect(200)["order"].clone();
    assert_eq!((&seen["status"], &seen["returns"][1]["status"]), (&json!("delivered"), &json!("cancelled")));
    assert_eq!(desk.shop.available(&desk.product).await, 17);
    // The staff's hands are tied by then too.
    let late = json!({"version": 2, "status": "approved"});
    desk.decide(&order, &seen["returns"][1], &late).await.expect_error(409, "CONFLICT");
    assert_ledger(&desk.shop).await;
}

/// Whoever asks and withdraws again and again fills nobody's mailbox: staff get one mail of an order a day, and after five withdrawn
/// returns he asks no more. The staff still may.
#[tokio::test]
async fn asking_and_withdrawing_ends() {
    let mut desk = desk().await;
    let (order, other) = (desk.arrived().await, desk.arrived().await);
    // In the first hours of a day, so that no border is met by chance.
    let elapsed = desk.shop.app.clock.now().timestamp_millis().rem_euclid(86_400_000);
    desk.shop.app.clock.advance(TimeDelta::milliseconds(86_400_000 - elapsed) + TimeDelta::hours(1));
    desk.sign_in().await;
    for n in 0..4 {
        desk.withdraw(&order, n).await;
    }
    assert_eq!(desk.shop.mails("return_requested").await.len(), 1);
    desk.withdraw(&other, 0).await;
    assert_eq!(desk.shop.mails("return_requested").await.len(), 2);
    desk.shop.app.clock.advance(TimeDelta::days(1));
    desk.sign_in().await;
    desk.withdraw(&order, 4).await;
    assert_eq!(desk.shop.mails("return_requested").await.len(), 3);
    let refused = desk.ask(&order, &wish(&order, 1)).await;
    refused.expect_error(409, "CONFLICT");
    assert!(refused.body["message"].as_str().unwrap().contains("5 returns"), "{}", refused.text);
    desk.withdraw(&other, 1).await;
    let path = format!("/admin/orders/{}/returns", order["id"].as_str().unwrap());
    desk.shop.post(&path).token(&desk.admin).json(&wish(&order, 1)).send().await.expect(201);
    assert_ledger(&desk.shop).await;
}

/// The same units asked back many times at once are asked back once, and received once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn units_come_back_once() {
    let desk = desk().await;
    for _ in 0..3 {
        let order = desk.arrived().await;
        let before = desk.shop.available(&desk.product).await;
        let body = wish(&order, 2);
        let answers = join_all((0..6).map(|_| desk.ask(&order, &body))).await;
        assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1, "{answers:?}");
        let asked = answers.into_iter().find(|answer| answer.status == 201).unwrap().expect(201)["order"].clone();
        let back = &asked["returns"][0];
        desk.decide(&order, back, &json!({"version": 1, "status": "approved"})).await.expect(200);
        let body = restock(&order, 2, 2);
        let answers = join_all((0..6).map(|_| desk.decide(&order, back, &body))).await;
        assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1, "{answers:?}");
        assert_eq!(desk.shop.available(&desk.product).await, before + 2);
    }
    let order = desk.arrived().await;
    desk.ask(&order, &wish(&order, 3)).await.expect(201);
    for sql in [
        "insert into returns (id, order_id, number, requested_by, created_at, updated_at)
         select gen_random_uuid(), order_id, 9, 'staff', now(), now() from returns where status = 'requested'",
        "update returns set status = 'received', received_at = now() where status = 'requested'",
        "update return_items set quantity = 1",
        "update return_items set restocked = quantity + 1 where restocked is null",
        "update return_items set restocked = 0 where restocked is not null",
        "delete from return_items",
        "insert into return_items (return_id, order_item_id, quantity, reason)
         select r.id, i.id, 1, 'other' from returns r join order_items i on i.order_id <> r.order_id
         where r.status = 'requested'",
    ] {
        assert!(sqlx::query(sql).execute(&desk.shop.database.pool).await.is_err(), "the database accepted: {sql}");
    }
    assert_ledger(&desk.shop).await;
}

/// Goods come back within the days of the shop, once they were sent; nonsense and others' orders are refused. A key asks once.
#[tokio::test]
async fn a_return_has_its_time_and_its_order() {
    let desk = desk().await;
    let order = desk.shop.paid_order(&desk.ama, &desk.product, 3).await;
    desk.ask(&order, &wish(&order, 1)).await.expect_error(409, "CONFLICT");
    desk.shop.set_status(&desk.admin, &order, "shipped").await.expect(200);
    let other = desk.arrived().await;
    for (body, field) in [
        (json!({"items": []}), "items"),
        (json!({}), "items"),
        (wish(&order, 0), "items[0].quantity"),
        (wish(&order, -2_147_483_648), "items[0].quantity"),
        (wish(&other, 1), "items[0].itemId"),
        (json!({"items": [{"itemId": order["items"][0]["id"], "quantity": 1, "reason": "bored"}]}), "items[0].reason"),
        (json!({"items": [{"itemId": order["items"][0]["id"], "quantity": 1, "reason": "other"}]}), "note"),
        (json!({"items": wish(&order, 1)["items"], "refund": 5}), "refund"),
        (json!({"items": [wish(&order, 1)["items"][0], wish(&order, 1)["items"][0]]}), "items[1].itemId"),
    ] {
        assert_eq!(desk.ask(&order, &body).await.expect_error(400, "VALIDATION_ERROR"), [field], "{body}");
    }
    assert_eq!(
        desk.ask(&order, &wish(&order, 2_147_483_647)).await.expect_error(409, "CONFLICT"),
        ["items[0].quantity"]
    );
    let path = format!("/orders/{}/returns", order["id"].as_str().unwrap());
    let keyed = || desk.shop.post(&path).token(&desk.ama).header("idempotency-key", "k").json(&wish(&order, 1)).send();
    let first = keyed().await;
    assert_eq!(first.status, 201, "{}", first.text);
    let again = keyed().await;
    assert_eq!(
        (again.text.as_str(), again.header("idempotency-replayed").as_deref()),
        (first.text.as_str(), Some("true"))
    );

    // Fourteen days after the arrival it is too late, but not for the staff.
    desk.shop.app.clock.advance(TimeDelta::days(14) + TimeDelta::seconds(1));
    let ama = desk.shop.login("ama@example.com").await;
    let admin = desk.shop.login("admin@agape.example").await;
    let path = format!("/orders/{}/returns", other["id"].as_str().unwrap());
    let late = desk.shop.post(&path).token(&ama).json(&wish(&other, 1)).send().await;
    late.expect_error(409, "CONFLICT");
    assert!(late.body["message"].as_str().unwrap().contains("14 days"), "{}", late.text);
    let noted = desk.shop.post(&format!("/admin{path}")).token(&admin).json(&wish(&other, 1)).send().await.expect(201);
    assert_eq!(noted["order"]["returns"][0]["requestedBy"], "staff");
}

/// A guest has no account to ask from: the staff notes it for him, and he sees it by number and address.
#[tokio::test]
async fn the_staff_notes_a_guests_return() {
    let desk = desk().await;
    let body = json!({"email": "kofi@example.com", "items": [{"variantId": desk.product.variant, "quantity": 1}],
                      "shippingAddress": address()});
    let order = desk.shop.post("/orders").json(&body).send().await.expect(201)["order"].clone();
    let pay = json!({"orderId": order["id"], "email": "kofi@example.com"});
    let page = desk.shop.post("/payments/initialize").json(&pay).send().await.expect(200);
    desk.shop.pay(&page).await;
    desk.shop.wait_for_paid(&order).await;
    desk.shop.set_status(&desk.admin, &order, "shipped").await.expect(200);
    let path = format!("/admin/orders/{}/returns", order["id"].as_str().unwrap());
    desk.shop.post(&path).token(&desk.admin).json(&wish(&order, 1)).send().await.expect(201);
    let track = json!({"orderNumber": order["orderNumber"], "email": "kofi@example.com"});
    let seen = desk.shop.post("/orders/track").json(&track).send().await.expect(200)["order"].clone();
    assert_eq!((&seen["status"], &seen["returns"][0]["items"][0]["quantity"]), (&json!("return_requested"), &json!(1)));
}

/// A repeated key gives the first answer to the buyer, and to nobody else who has the same key and wish.
#[tokio::test]
async fn a_repeated_key_gives_its_answer_to_the_buyer_only() {
    let desk = desk().await;
    let order = desk.arrived().await;
    let path = format!("/orders/{}/returns", order["id"].as_str().unwrap());
    let ask = |token: &str| desk.shop.post(&path).token(token).header("idempotency-key", "k").json(&wish(&order, 1));
    let first = ask(&desk.ama).send().await;
    assert_eq!(first.status, 201, "{}", first.text);
    let kofi = desk.shop.customer("kofi@example.com").await;
    ask(&kofi).send().await.expect_error(404, "NOT_FOUND");
    let again = ask(&desk.ama).send().await;
    assert_eq!((again.status, &again.text), (201, &first.text));
    assert_eq!(again.header("idempotency-replayed").as_deref(), Some("true"));
}

/// Staff find what is to be decided, in pages and with cursors; those who keep orders are told by mail once a buyer asks, and not of what
/// they have noted themselves.
#[tokio::test]
async fn staff_find_returns_and_are_told_of_new_ones() {
    let desk = desk().await;
    let fulfilment = desk.shop.staff(Role::Fulfilment).await;
    desk.shop.staff(Role::Finance).await;
    let list =
        async |token: &str, query: &str| desk.shop.get(&format!("/admin/returns?{query}")).token(token).send().await;
    let orders_of = |data: &Value| -> Vec<Value> {
        data["returns"].as_array().unwrap().iter().map(|back| back["orderId"].clone()).collect()
    };
    let (first, second, third) = (desk.arrived().await, desk.arrived().await, desk.arrived().await);
    assert_eq!(orders_of(&list(&fulfilment, "").await.expect(200)), [Value::Null; 0]);
    desk.ask(&first, &wish(&first, 1)).await.expect(201);
    let asked = desk.ask(&second, &wish(&second, 2)).await.expect(201)["order"].clone();
    let path = format!("/admin/orders/{}/returns", third["id"].as_str().unwrap());
    desk.shop.post(&path).token(&desk.admin).json(&wish(&third, 1)).send().await.expect(201);
    let approve = json!({"version": 1, "status": "approved"});
    desk.decide(&second, &asked["returns"][0], &approve).await.expect(200);

    let all = list(&fulfilment, "").await;
    assert_eq!(all.body["pagination"]["total"], 3);
    let all = all.expect(200);
    assert_eq!(orders_of(&all), [&third, &second, &first].map(|order| order["id"].clone()));
    let newest = &all["returns"][0];
    assert_eq!((&newest["orderNumber"], &newest["requestedBy"]), (&third["orderNumber"], &json!("staff")));
    assert_eq!((&newest["status"], &newest["items"][0]["quantity"]), (&json!("requested"), &json!(1)));
    let requested = list(&fulfilment, "status=requested").await.expect(200);
    assert_eq!(orders_of(&requested), [&third, &first].map(|order| order["id"].clone()));
    let open = list(&fulfilment, "status=requested,approved&limit=2").await;
    let cursor = open.body["pagination"]["nextCursor"].as_str().unwrap().to_owned();
    assert_eq!(orders_of(&open.expect(200)), [&third, &second].map(|order| order["id"].clone()));
    let rest = list(&fulfilment, &format!("status=requested,approved&cursor={cursor}")).await;
    assert_eq!(rest.body["pagination"]["nextCursor"], Value::Null);
    assert_eq!(orders_of(&rest.expect(200)), [first["id"].clone()]);
    assert_eq!(orders_of(&list(&fulfilment, "status=received").await.expect(200)), [Value::Null; 0]);
    assert_eq!(list(&fulfilment, "status=lost").await.expect_error(400, "VALIDATION_ERROR"), ["status"]);
    list(&desk.ama, "").await.expect_error(403, "AUTHORIZATION_ERROR");

    let mut subjects = desk.shop.mails("return_requested").await;
    subjects.sort_unstable();
    let subject = |order: &Value| format!("A return waits for you: {}", order["orderNumber"].as_str().unwrap());
    let mut told = vec![subject(&first), subject(&first), subject(&second), subject(&second)];
    told.sort_unstable();
    assert_eq!(subjects, told, "to two, of two");
    let to =
        "select string_agg(distinct recipient, ' ' order by recipient) from emails where kind = 'return_requested'";
    assert_eq!(desk.shop.database.text(to).await.as_deref(), Some("admin@agape.example fulfilment@agape.example"));
}

/// A shop may name who is told.
#[tokio::test]
async fn a_shop_names_who_is_told_of_returns() {
    let shop = TestApp::with(|config| config.orders.return_emails = vec!["back@shop.example".parse().unwrap()]).await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 20).await;
    let ama = shop.customer("ama@example.com").await;
    let desk = Desk { shop, admin, ama, product };
    let order = desk.arrived().await;
    desk.ask(&order, &wish(&order, 1)).await.expect(201);
    assert_eq!(desk.shop.mails("return_requested").await.len(), 1);
    let mail = "select recipient || ' ' || body_text from emails where kind = 'return_requested'";
    let mail = desk.shop.database.text(mail).await.unwrap();
    assert!(mail.starts_with("back@shop.example") && mail.contains("1 × Kente A: damaged"), "{mail}");
}
