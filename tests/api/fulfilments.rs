//! Parcels: packed, sent and arrived, by several of the staff at once, and never more than was ordered.

use agape::features::auth::Role;
use futures::future::join_all;
use serde_json::{Value, json};

use crate::concurrency::assert_ledger;
use crate::support::{Answer, Product, TestApp, address};

struct Desk {
    shop: TestApp,
    admin: String,
    ama: String,
    product: Product,
    other: Product,
}

async fn desk() -> Desk {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let (product, other) = (shop.product(&admin, "A", 1_000, 100).await, shop.product(&admin, "B", 500, 100).await);
    let ama = shop.customer("ama@example.com").await;
    Desk { shop, admin, ama, product, other }
}

impl Desk {
    /// A paid order of three A and two B.
    async fn order(&self) -> Value {
        let body = json!({
            "items": [{"variantId": self.product.variant, "quantity": 3}, {"variantId": self.other.variant, "quantity": 2}],
            "shippingAddress": address(),
        });
        let order = self.shop.post("/orders").token(&self.ama).json(&body).send().await.expect(201)["order"].clone();
        self.shop.pay(&self.shop.initialize(&self.ama, &order).await).await;
        self.shop.wait_for_status(&self.ama, &order, "paid").await
    }

    async fn pack(&self, order: &Value, body: &Value) -> Answer {
        let path = format!("/admin/orders/{}/fulfilments", order["id"].as_str().unwrap());
        self.shop.post(&path).token(&self.admin).json(body).send().await
    }

    async fn update(&self, order: &Value, parcel: &Value, body: &Value) -> Answer {
        let (order, parcel) = (order["id"].as_str().unwrap(), parcel["id"].as_str().unwrap());
        let path = format!("/admin/orders/{order}/fulfilments/{parcel}");
        self.shop.patch(&path).token(&self.admin).json(body).send().await
    }

    async fn track(&self, order: &Value, body: &Value) -> Answer {
        let path = format!("/admin/orders/{}/tracking", order["id"].as_str().unwrap());
        self.shop.patch(&path).token(&self.admin).json(body).send().await
    }

    async fn seen(&self, order: &Value) -> Value {
        let path = format!("/admin/orders/{}", order["id"].as_str().unwrap());
        self.shop.get(&path).token(&self.admin).send().await.expect(200)["order"].clone()
    }
}

/// These units of the lines of an order.
fn items(order: &Value, units: &[i64]) -> Value {
    let lines = order["items"].as_array().unwrap().iter().zip(units).filter(|(_, units)| **units != 0);
    Value::Array(lines.map(|(line, units)| json!({"itemId": line["id"], "quantity": units})).collect())
}

fn state(order: &Value) -> (&str, &str) {
    (order["status"].as_str().unwrap(), order["fulfilmentStatus"].as_str().unwrap())
}

/// An order in two parcels: it follows them, and its buyer hears of each, once.
#[tokio::test]
async fn an_order_follows_its_parcels() {
    let desk = desk().await;
    let order = desk.order().await;
    assert_eq!(state(&order), ("paid", "unfulfilled"));
    let body =
        json!({"items": items(&order, &[2, 0]), "carrier": "dhl", "trackingNumber": "JD 01&x", "note": "Fragile"});
    let seen = desk.pack(&order, &body).await.expect(201)["order"].clone();
    assert_eq!(state(&seen), ("processing", "unfulfilled"));
    let first = seen["fulfilments"][0].clone();
    assert_eq!((&first["number"], &first["status"], &first["version"]), (&json!(1), &json!("packed"), &json!(1)));
    let link = "https://www.dhl.com/global-en/home/tracking.html?tracking-id=JD+01%26x";
    assert_eq!((&first["trackingUrl"], &seen["trackingNumber"]), (&json!(link), &json!("JD 01&x")));
    let ship = json!({"version": 1, "status": "shipped"});
    let seen = desk.update(&order, &first, &ship).await.expect(200)["order"].clone();
    assert_eq!(state(&seen), ("processing", "partial"));
    // Whoever presses again has an old state before him, and one parcel leaves once.
    let again = desk.update(&order, &first, &ship).await;
    again.expect_error(409, "CONFLICT");
    let wrong = desk.update(&order, &first, &json!({"version": 1, "note": "Mind the dog"})).await;
    assert_eq!(wrong.expect_error(409, "CONFLICT"), ["version"]);
    // The rest, all at once.
    let seen = desk.pack(&order, &json!({"shipped": true})).await.expect(201)["order"].clone();
    assert_eq!(state(&seen), ("shipped", "fulfilled"));
    let second = seen["fulfilments"][1].clone();
    assert_eq!(second["items"], items(&order, &[1, 2]));
    assert_eq!(seen["items"][0]["shipped"], 3);
    desk.pack(&order, &json!({})).await.expect_error(409, "CONFLICT");
    let arrived = json!({"version": 2, "status": "delivered"});
    let seen = desk.update(&order, &second, &arrived).await.expect(200)["order"].clone();
    assert_eq!(state(&seen), ("shipped", "fulfilled"));
    let seen = desk.update(&order, &first, &arrived).await.expect(200)["order"].clone();
    assert_eq!(state(&seen), ("delivered", "fulfilled"));
    desk.update(&order, &first, &json!({"version": 3, "status": "shipped"})).await.expect_error(409, "CONFLICT");

    // The buyer sees parcels and steps, not who of the staff has done it.
    let path = format!("/orders/{}", order["id"].as_str().unwrap());
    let mine = desk.shop.get(&path).token(&desk.ama).send().await.expect(200)["order"].clone();
    assert_eq!(mine["fulfilments"][0]["note"], "Fragile");
    let steps: Vec<&str> = mine["timeline"].as_array().unwrap().iter().map(|e| e["type"].as_str().unwrap()).collect();
    let expected = [
        "placed",
        "paid",
        "parcel_packed",
        "processing",
        "parcel_shipped",
        "parcel_packed",
        "parcel_shipped",
        "shipped",
        "parcel_delivered",
        "parcel_delivered",
        "delivered",
    ];
    assert_eq!(steps, expected);
    assert!(mine["timeline"].as_array().unwrap().iter().all(|event| event["actorId"].is_null()), "{mine:#}");
    let track = json!({"orderNumber": order["orderNumber"], "email": "ama@example.com"});
    let tracked = desk.shop.post("/orders/track").json(&track).send().await.expect(200)["order"].clone();
    assert_eq!(tracked["fulfilments"][0]["trackingUrl"], link);

    let number = order["orderNumber"].as_str().unwrap();
    assert_eq!(desk.shop.mails("order_shipped").await, vec![format!("Your order {number} is on its way"); 2]);
    assert_eq!(desk.shop.mails("order_delivered").await, vec![format!("Your order {number} has arrived"); 2]);
    let mail = "select body_text from emails where kind = 'order_shipped' order by created_at, id limit 1";
    let mail = desk.shop.database.text(mail).await.unwrap();
    for part in ["2 x Kente A", "DHL", "JD 01&x", link, "Fragile", "1 Broad Street"] {
        assert!(mail.contains(part), "{part} is missing in {mail}");
    }
    assert!(!mail.contains("Kente B"), "{mail}");
    assert_ledger(&desk.shop).await;
}

/// What is not the order's, more than is left, and nonsense are refused, all of it at once, and nothing is packed.
#[tokio::test]
async fn a_parcel_holds_what_is_left_of_its_order() {
    let desk = desk().await;
    let (order, foreign) = (desk.order().await, desk.order().await);
    let stray = json!([{"itemId": foreign["items"][0]["id"], "quantity": 1}]);
    let refused = desk.pack(&order, &json!({"items": stray})).await;
    assert_eq!(refused.expect_error(400, "VALIDATION_ERROR"), ["items[0].itemId"]);
    let twice = json!([items(&order, &[1, 0])[0], items(&order, &[1, 0])[0]]);
    assert_eq!(
        desk.pack(&order, &json!({"items": twice})).await.expect_error(400, "VALIDATION_ERROR"),
        ["items[1].itemId"]
    );
    let more = desk.pack(&order, &json!({"items": items(&order, &[4, 3])})).await;
    assert_eq!(more.expect_error(409, "CONFLICT"), ["items[0].quantity", "items[1].quantity"]);
    for (body, field) in [
        (json!({"items": []}), "items"),
        (json!({"items": items(&order, &[-1, 0])}), "items[0].quantity"),
        (json!({"items": items(&order, &[2_147_483_647, 0])}), ""),
        (json!({"carrier": "pigeon"}), "carrier"),
        (json!({"trackingUrl": "http://courier.example/1"}), "trackingUrl"),
        (json!({"trackingUrl": "javascript:alert(1)"}), "trackingUrl"),
        (json!({"trackingNumber": "a\nb"}), "trackingNumber"),
        (json!({"trackingNumber": "x".repeat(101)}), "trackingNumber"),
        (json!({"weight": 1}), "weight"),
    ] {
        let answer = desk.pack(&order, &body).await;
        if field.is_empty() {
            answer.expect_error(409, "CONFLICT");
        } else {
            assert_eq!(answer.expect_error(400, "VALIDATION_ERROR"), [field], "{body}");
        }
    }
    let unpaid = desk.shop.order(&desk.ama, &desk.product, 1).await;
    desk.pack(&unpaid, &json!({})).await.expect_error(409, "CONFLICT");
    desk.track(&unpaid, &json!({"trackingNumber": "1"})).await.expect_error(409, "CONFLICT");
    let nobody = json!({"id": uuid::Uuid::now_v7()});
    desk.pack(&nobody, &json!({})).await.expect_error(404, "NOT_FOUND");
    desk.update(&order, &nobody, &json!({"version": 1, "note": null})).await.expect_error(404, "NOT_FOUND");
    // A parcel is found in its own order only.
    let seen = desk.pack(&foreign, &json!({})).await.expect(201)["order"].clone();
    let parcel = &seen["fulfilments"][0];
    desk.update(&order, parcel, &json!({"version": 1, "note": "x"})).await.expect_error(404, "NOT_FOUND");
    assert_eq!(desk.shop.database.count("select count(*) from fulfilments").await, 1);
    assert_eq!(state(&desk.seen(&order).await), ("paid", "unfulfilled"));
}

/// What is packed and not sent can be unpacked, and is left to pack again.
#[tokio::test]
async fn a_parcel_is_unpacked_again() {
    let desk = desk().await;
    let order = desk.order().await;
    let seen = desk.pack(&order, &json!({})).await.expect(201)["order"].clone();
    let parcel = seen["fulfilments"][0].clone();
    desk.update(&order, &parcel, &json!({"version": 1, "status": "cancelled"})).await.expect(200);
    desk.update(&order, &parcel, &json!({"version": 2, "status": "shipped"})).await.expect_error(409, "CONFLICT");
    let seen = desk.pack(&order, &json!({"shipped": true})).await.expect(201)["order"].clone();
    assert_eq!(state(&seen), ("shipped", "fulfilled"));
    assert_eq!((&seen["fulfilments"][1]["number"], seen["fulfilments"].as_array().unwrap().len()), (&json!(2), 2));
    assert_eq!(desk.shop.mails("order_shipped").await.len(), 1);
}

/// The number by which an order is looked for is its last parcel's; where none is packed, all of it is.
#[tokio::test]
async fn a_tracking_number_is_of_the_last_parcel() {
    let desk = desk().await;
    let order = desk.order().await;
    let seen = desk.track(&order, &json!({"trackingNumber": "GIG-1", "carrier": "gig_logistics"})).await;
    let seen = seen.expect(200)["order"].clone();
    assert_eq!((state(&seen), &seen["trackingNumber"]), (("processing", "unfulfilled"), &json!("GIG-1")));
    assert_eq!(seen["fulfilments"][0]["items"], items(&order, &[3, 2]));
    assert_eq!(seen["fulfilments"][0]["trackingUrl"], Value::Null);
    let stale = desk.track(&order, &json!({"trackingNumber": "X", "version": 1})).await;
    assert_eq!(stale.expect_error(409, "CONFLICT"), ["version"]);
    let body = json!({"trackingNumber": "GIG-2", "link": "https://gig.example/GIG-2", "version": seen["version"]});
    let seen = desk.track(&order, &body).await.expect(200)["order"].clone();
    let parcel = &seen["fulfilments"][0];
    assert_eq!(
        (&parcel["carrier"], &parcel["trackingUrl"]),
        (&json!("gig_logistics"), &json!("https://gig.example/GIG-2"))
    );
    desk.shop.set_status(&desk.admin, &order, "shipped").await.expect(200);
    let list = desk.shop.get("/orders").token(&desk.ama).send().await.expect(200)["orders"].clone();
    assert_eq!(list[0]["trackingNumber"], "GIG-2");
    assert_eq!(desk.shop.mails("order_shipped").await.len(), 1);
}

/// A repeated request with its key packs once and gets the first answer; another body under the key is refused.
#[tokio::test]
async fn a_key_packs_once() {
    let desk = desk().await;
    let order = desk.order().await;
    let path = format!("/admin/orders/{}/fulfilments", order["id"].as_str().unwrap());
    let pack = |units: i64| {
        let body = json!({"items": items(&order, &[units, 0])});
        let call = desk.shop.post(&path).token(&desk.admin).header("idempotency-key", "one").json(&body);
        async move { call.send().await }
    };
    let answers = join_all((0..4).map(|_| pack(1))).await;
    assert!(answers.iter().all(|answer| matches!(answer.status, 201 | 409)), "{answers:?}");
    let first = answers.iter().find(|answer| answer.status == 201).unwrap();
    let again = pack(1).await;
    assert_eq!((&again.text, again.header("idempotency-replayed").as_deref()), (&first.text, Some("true")));
    assert_eq!(pack(2).await.status, 422);
    assert_eq!(desk.shop.database.count("select count(*) from fulfilments").await, 1);
}

/// Many pack the same units at the same moment: no unit is packed twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_of_the_staff_never_send_the_same_units() {
    let desk = desk().await;
    for _ in 0..3 {
        let order = desk.order().await;
        let body = json!({"items": items(&order, &[2, 1]), "shipped": true});
        let answers = join_all((0..6).map(|_| desk.pack(&order, &body))).await;
        let packed = answers.iter().filter(|answer| answer.status == 201).count();
        assert_eq!(packed, 1, "three units hold two once: {answers:?}");
        assert!(answers.iter().all(|answer| matches!(answer.status, 201 | 409)), "{answers:?}");
        let seen = desk.seen(&order).await;
        assert_eq!((&seen["items"][0]["shipped"], &seen["items"][1]["shipped"]), (&json!(2), &json!(1)));
        // One parcel leaves once, whoever sends it.
        let seen = desk.pack(&order, &json!({})).await.expect(201)["order"].clone();
        let parcel = &seen["fulfilments"][1];
        let ship = json!({"version": 1, "status": "shipped"});
        let answers = join_all((0..6).map(|_| desk.update(&order, parcel, &ship))).await;
        assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1, "{answers:?}");
        assert_eq!(state(&desk.seen(&order).await), ("shipped", "fulfilled"));
    }
    assert_eq!(desk.shop.mails("order_shipped").await.len(), 6);
}

/// The database counts for itself: past the program, no more is packed than was ordered, nothing of another order, and
/// nothing for an order that is not paid.
#[tokio::test]
async fn the_database_refuses_what_nobody_ordered() {
    let desk = desk().await;
    let order = desk.order().await;
    desk.pack(&order, &json!({"items": items(&order, &[2, 0])})).await.expect(201);
    desk.shop.order(&desk.ama, &desk.product, 1).await;
    for sql in [
        // Two of three are packed.
        "with f as (insert into fulfilments (id, order_id, number, created_at, updated_at)
                    select gen_random_uuid(), id, 7, now(), now() from orders where status = 'processing' returning id, order_id)
         insert into fulfilment_items select f.id, i.id, 2 from f join order_items i using (order_id) where i.sku = 'A'",
        "insert into fulfilments (id, order_id, number, created_at, updated_at)
         select gen_random_uuid(), id, 1, now(), now() from orders where status = 'pending_payment'",
        "insert into fulfilment_items select f.id, i.id, 1 from fulfilments f, order_items i where i.order_id <> f.order_id",
        "update fulfilments set status = 'delivered', shipped_at = now(), delivered_at = now()",
        "update fulfilment_items set quantity = 1",
        "delete from fulfilment_items",
        "update orders set status = 'cancelled' where status = 'processing'",
        "update order_items set shipped_quantity = fulfilled_quantity + 1",
        "update order_items set returned_quantity = 1",
    ] {
        assert!(sqlx::raw_sql(sql).execute(&desk.shop.database.pool).await.is_err(), "the database accepted: {sql}");
    }
}

/// An order is cancelled and packed in the same moment: one of them happens, and the stock says which.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_is_cancelled_or_packed() {
    let desk = desk().await;
    let (mut cancelled, mut sent) = (0, 0);
    for round in 0..6 {
        let order = desk.order().await;
        let path = format!("/admin/orders/{}/cancel", order["id"].as_str().unwrap());
        let (body, ship) = (json!({}), json!({"shipped": true}));
        let cancel = async || desk.shop.post(&path).token(&desk.admin).json(&body).send().await;
        let (first, second) = if round % 2 == 0 {
            let (pack, cancel) = tokio::join!(desk.pack(&order, &ship), cancel());
            (cancel, pack)
        } else {
            tokio::join!(cancel(), desk.pack(&order, &ship))
        };
        match (first.status, second.status) {
            (200, 409) => cancelled += 1,
            (409, 201) => sent += 1,
            other => panic!("round {round}: {other:?}: {} {}", first.text, second.text),
        }
        let status = if first.status == 200 { ("cancelled", "unfulfilled") } else { ("shipped", "fulfilled") };
        assert_eq!(state(&desk.seen(&order).await), status, "round {round}");
    }
    let back = "select coalesce(sum(on_hand_delta), 0)::bigint from stock_movements where reason = 'cancel'";
    assert_eq!(desk.shop.database.count(back).await, 5 * cancelled);
    assert_eq!(desk.shop.database.count("select count(*) from refunds").await, cancelled);
    assert_eq!(desk.shop.database.count("select count(*) from fulfilments where status = 'shipped'").await, sent);
    assert_ledger(&desk.shop).await;
}

/// What is packed is unpacked when its order is cancelled; what has left the house cannot be.
#[tokio::test]
async fn packed_orders_are_cancelled_and_sent_ones_are_not() {
    let desk = desk().await;
    let (packed, partly) = (desk.order().await, desk.order().await);
    desk.pack(&packed, &json!({})).await.expect(201);
    desk.pack(&partly, &json!({"items": items(&partly, &[1, 0]), "shipped": true})).await.expect(201);
    let seen = desk.shop.set_status(&desk.admin, &packed, "cancelled").await.expect(200)["order"].clone();
    assert_eq!(seen["fulfilments"][0]["status"], "cancelled");
    let refused = desk.shop.set_status(&desk.admin, &partly, "cancelled").await;
    refused.expect_error(409, "CONFLICT");
    assert!(refused.body["message"].as_str().unwrap().contains("has left the house"), "{}", refused.text);
    assert_eq!(desk.shop.available(&desk.product).await, 97);
    assert_ledger(&desk.shop).await;
}
