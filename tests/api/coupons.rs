//! Coupons: kept by staff, tried by shoppers, and used no more often than they may be, however many come at once.

use std::collections::BTreeSet;

use agape::features::auth::Role;
use agape::features::coupons::{self, Found, NewRedemption, Wanted};
use agape::flows::expire::Sweep;
use agape::flows::settle::{self, Outcome};
use agape::platform::ids::OrderId;
use agape::platform::jobs::Job;
use agape::platform::text::Email;
use chrono::{DateTime, TimeDelta, Utc};
use futures::future::join_all;
use serde_json::{Value, json};

use crate::settlements::transaction;
use crate::support::{Answer, Product, TestApp, address};

const AMA: &str = "ama@example.com";

/// An id that nothing has.
const NOTHING: &str = "01900000-0000-7000-8000-000000000009";

async fn create(shop: &TestApp, staff: &str, body: &Value) -> Answer {
    shop.post("/admin/coupons").token(staff).json(body).send().await
}

/// A new coupon.
async fn coupon(shop: &TestApp, staff: &str, body: Value) -> Value {
    create(shop, staff, &body).await.expect(201)["coupon"].clone()
}

fn path(coupon: &Value) -> String {
    format!("/admin/coupons/{}", coupon["id"].as_str().unwrap())
}

async fn show(shop: &TestApp, staff: &str, coupon: &Value) -> Value {
    shop.get(&path(coupon)).token(staff).send().await.expect(200)["coupon"].clone()
}

async fn change(shop: &TestApp, staff: &str, coupon: &Value, body: Value) -> Answer {
    shop.patch(&path(coupon)).token(staff).json(&body).send().await
}

/// The codes of a list.
async fn codes(shop: &TestApp, staff: &str, query: &str) -> Vec<String> {
    let data = shop.get(&format!("/admin/coupons?{query}")).token(staff).send().await.expect(200);
    let coupons = data["coupons"].as_array().unwrap();
    coupons.iter().map(|coupon| coupon["code"].as_str().unwrap().to_owned()).collect()
}

async fn number(shop: &TestApp, sql: &'static str) -> i64 {
    shop.database.count(sql).await
}

/// How often the one coupon is used, and how often of these beyond its limit.
async fn used(shop: &TestApp) -> (i64, i64) {
    let used = number(shop, "select used_count::bigint from coupons").await;
    let counted = number(shop, "select count(*) from coupon_redemptions where returned_at is null").await;
    assert_eq!(used, counted, "the count is the number of uses");
    (used, number(shop, "select late_count::bigint from coupons").await)
}

// Staff.

#[tokio::test]
async fn staff_keep_coupons() {
    let shop = TestApp::start().await;
    let staff = shop.staff(Role::Merchant).await;
    let product = shop.product(&staff, "KENTE", 1_000, 9).await;
    let body = json!({
        "code": " welcome10 ", "description": "For the newsletter", "kind": "percentage", "percent": 12.5, "maxDiscount": 500,
        "minSubtotal": 1000.50, "startsAt": "2026-01-01T00:00:00Z", "endsAt": "2099-01-01T00:00:00+01:00", "usageLimit": 100,
        "perCustomerLimit": 2, "firstOrderOnly": true, "productIds": [product.id, product.id],
    });
    let made = coupon(&shop, &staff, body).await;
    let shown = show(&shop, &staff, &made).await;
    assert_eq!(shown, made);
    for (field, value) in [
        ("code", json!("WELCOME10")),
        ("description", json!("For the newsletter")),
        ("kind", json!("percentage")),
        ("amount", Value::Null),
        ("percent", json!(12.5)),
        ("maxDiscount", json!(500)),
        ("minSubtotal", json!(1000.5)),
        ("endsAt", json!("2098-12-31T23:00:00Z")),
        ("usageLimit", json!(100)),
        ("perCustomerLimit", json!(2)),
        ("firstOrderOnly", json!(true)),
        ("isActive", json!(true)),
        ("appliesTo", json!("selection")),
        ("productIds", json!([product.id])),
        ("categoryIds", json!([])),
        ("status", json!("active")),
        ("usedCount", json!(0)),
        ("version", json!(1)),
    ] {
        assert_eq!(made[field], value, "{field}");
    }
    // Of a new kind what the old one was worth goes; null takes a condition away, and what is left out stays.
    let body =
        json!({"version": 1, "kind": "fixed", "amount": 250, "endsAt": null, "productIds": [], "isActive": false});
    let changed = change(&shop, &staff, &made, body.clone()).await.expect(200)["coupon"].clone();
    for (field, value) in [
        ("kind", json!("fixed")),
        ("amount", json!(250)),
        ("percent", Value::Null),
        ("maxDiscount", Value::Null),
        ("endsAt", Value::Null),
        ("startsAt", made["startsAt"].clone()),
        ("minSubtotal", json!(1000.5)),
        ("appliesTo", json!("everything")),
        ("status", json!("inactive")),
        ("version", json!(2)),
    ] {
        assert_eq!(changed[field], value, "{field}");
    }
    change(&shop, &staff, &made, body).await.expect_error(409, "CONFLICT");
    let stale = shop.delete(&format!("{}?version=1", path(&made))).token(&staff).send().await;
    stale.expect_error(409, "CONFLICT");
    shop.delete(&format!("{}?version=2", path(&made))).token(&staff).send().await.expect(200);
    shop.get(&path(&made)).token(&staff).send().await.expect_error(404, "NOT_FOUND");
    assert_eq!(number(&shop, "select count(*) from coupon_products").await, 0);
}

/// Every fault is named, whatever else is wrong, and nothing is written.
#[tokio::test]
async fn what_cannot_be_a_coupon_is_refused() {
    let shop = TestApp::start().await;
    let staff = shop.staff(Role::Admin).await;
    let fixed = |more: Value| {
        let mut body = json!({"code": "TEN", "kind": "fixed", "amount": 10});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    for (body, fields) in [
        (json!({}), vec!["kind"]),
        (json!({"kind": "gift"}), vec!["kind"]),
        (json!({"kind": "fixed"}), vec!["amount"]),
        (json!({"kind": "percentage", "amount": 5}), vec!["amount", "percent"]),
        (json!({"kind": "free_shipping", "percent": 5, "maxDiscount": 1}), vec!["percent", "maxDiscount"]),
        (fixed(json!({"amount": 0})), vec!["amount"]),
        (fixed(json!({"amount": -5})), vec!["amount"]),
        (fixed(json!({"amount": 0.001})), vec!["amount"]),
        (fixed(json!({"amount": 1e12})), vec!["amount"]),
        (fixed(json!({"maxDiscount": 5})), vec!["maxDiscount"]),
        (json!({"kind": "percentage", "percent": 100.01}), vec!["percent"]),
        (json!({"kind": "percentage", "percent": 0}), vec!["percent"]),
        (json!({"kind": "percentage", "percent": -10}), vec!["percent"]),
        (json!({"kind": "percentage", "percent": 0.001}), vec!["percent"]),
        (json!({"kind": "percentage", "percent": 10, "maxDiscount": 0}), vec!["maxDiscount"]),
        (fixed(json!({"code": "AB"})), vec!["code"]),
        (fixed(json!({"code": "A".repeat(41)})), vec!["code"]),
        (fixed(json!({"code": "GRÜN"})), vec!["code"]),
        (fixed(json!({"code": "ſale"})), vec!["code"]),
        (fixed(json!({"code": "A\u{0}BC"})), vec!["code"]),
        (fixed(json!({"minSubtotal": 0, "usageLimit": 0})), vec!["usageLimit"]),
        (
            fixed(json!({"minSubtotal": 0, "startsAt": "2026-02-01T00:00:00Z", "endsAt": "2026-01-01T00:00:00Z"})),
            vec!["minSubtotal", "endsAt"],
        ),
        (fixed(json!({"startsAt": "2026-02-01T00:00:00Z", "endsAt": "2026-02-01T00:00:00Z"})), vec!["endsAt"]),
        (fixed(json!({"startsAt": "+262000-01-01T00:00:00Z"})), vec!["startsAt"]),
        (fixed(json!({"usageLimit": 1.5, "perCustomerLimit": -1})), vec!["usageLimit", "perCustomerLimit"]),
        (fixed(json!({"usageLimit": 9_999_999_999_i64})), vec!["usageLimit"]),
        (fixed(json!({"description": "x".repeat(501), "usedCount": 5})), vec!["description", "usedCount"]),
        (fixed(json!({"productIds": ["x"]})), vec!["productIds[0]"]),
        (fixed(json!({"productIds": [NOTHING], "categoryIds": [NOTHING]})), vec!["productIds", "categoryIds"]),
    ] {
        // They are told in the order of the body.
        let found = BTreeSet::from_iter(create(&shop, &staff, &body).await.expect_error(400, "VALIDATION_ERROR"));
        assert_eq!(found, fields.iter().map(|field| (*field).to_owned()).collect(), "{body}");
    }
    let many: Vec<String> = (0..1_001).map(|n| format!("01900000-0000-7000-8000-{n:012}")).collect();
    let found = create(&shop, &staff, &fixed(json!({"productIds": many}))).await;
    assert_eq!(found.expect_error(400, "VALIDATION_ERROR"), ["productIds"]);
    assert_eq!(number(&shop, "select count(*) from coupons").await, 0);

    let made = coupon(&shop, &staff, fixed(json!({"endsAt": "2026-12-01T00:00:00Z"}))).await;
    for (body, fields) in [
        (json!({"amount": 5}), vec!["version"]),
        (json!({"version": 1, "amount": null}), vec!["amount"]),
        (json!({"version": 1, "percent": 5}), vec!["percent"]),
        (json!({"version": 1, "kind": "percentage"}), vec!["percent"]),
        (json!({"version": 1, "code": null}), vec!["code"]),
        (json!({"version": 1, "isActive": null}), vec!["isActive"]),
        (json!({"version": 1, "startsAt": "2026-12-02T00:00:00Z"}), vec!["endsAt"]),
        (json!({"version": 1, "categoryIds": [NOTHING]}), vec!["categoryIds"]),
        (json!({"version": 1, "id": NOTHING}), vec!["id"]),
    ] {
        let answer = change(&shop, &staff, &made, body.clone()).await;
        assert_eq!(answer.expect_error(400, "VALIDATION_ERROR"), fields, "{body}");
    }
    assert_eq!(show(&shop, &staff, &made).await, made);
    // Those who write past the program are held to the same.
    for sql in [
        "update coupons set code = 'ten'",
        "update coupons set amount_minor = -1",
        "update coupons set rate_basis_points = 5",
        "update coupons set kind = 'percentage', amount_minor = null, rate_basis_points = 10001",
        "update coupons set starts_at = ends_at",
        "update coupons set usage_limit = 1, used_count = 2",
    ] {
        assert!(sqlx::query(sql).execute(&shop.database.pool).await.is_err(), "{sql}");
    }
}

/// Of many who take a code at once, in whatever case, one has it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_is_one_coupons() {
    let shop = TestApp::start().await;
    let staff = shop.staff(Role::Admin).await;
    let bodies: Vec<_> =
        ["Sale", "SALE", "sale", "sALE"].iter().map(|code| json!({"code": code, "kind": "free_shipping"})).collect();
    let answers = join_all(bodies.iter().cycle().take(8).map(|body| create(&shop, &staff, body))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
    for answer in answers.iter().filter(|answer| answer.status != 201) {
        assert_eq!(answer.expect_error(409, "CONFLICT"), ["code"]);
    }
    let other = coupon(&shop, &staff, json!({"code": "OTHER", "kind": "free_shipping"})).await;
    let answer = change(&shop, &staff, &other, json!({"version": 1, "code": "sale"})).await;
    assert_eq!(answer.expect_error(409, "CONFLICT"), ["code"]);
    // One who lost the answer gets it again.
    let body = json!({"kind": "free_shipping"});
    let call = || shop.post("/admin/coupons").token(&staff).header("idempotency-key", "k").json(&body).send();
    let (first, again) = (call().await, call().await);
    assert_eq!((first.status, &again.text), (201, &first.text));
    assert_eq!(again.header("idempotency-replayed").as_deref(), Some("true"));
    assert_eq!(first.body["data"]["coupon"]["code"].as_str().unwrap().len(), 10, "a code was made");
    assert_eq!(number(&shop, "select count(*) from coupons").await, 3);
}

#[tokio::test]
async fn a_batch_has_codes_of_its_own() {
    let shop = TestApp::start().await;
    let staff = shop.staff(Role::Admin).await;
    let product = shop.product(&staff, "KENTE", 1_000, 9).await;
    let batch = async |body: Value| {
        shop.post("/admin/coupons/batch").token(&staff).header("idempotency-key", "b").json(&body).send().await
    };
    for (body, fields) in [
        (json!({"count": 0, "coupon": {"kind": "free_shipping"}}), vec!["count"]),
        (json!({"count": 1_001, "coupon": {"kind": "free_shipping"}}), vec!["count"]),
        (
            json!({"count": 1, "prefix": "ä", "coupon": {"kind": "fixed", "code": "ABC"}}),
            vec!["coupon.code", "prefix", "coupon.amount"],
        ),
        (json!({"count": 1, "coupon": {"kind": "free_shipping", "productIds": [NOTHING]}}), vec!["coupon.productIds"]),
    ] {
        assert_eq!(batch(body.clone()).await.expect_error(400, "VALIDATION_ERROR"), fields, "{body}");
    }
    let coupon = json!({"kind": "percentage", "percent": 20, "productIds": [product.id]});
    let body = json!({"count": 1_000, "prefix": "vip-", "coupon": coupon});
    let answer = batch(body.clone()).await;
    let (text, data) = (answer.text.clone(), answer.expect(201));
    let mut made: Vec<&str> = data["codes"].as_array().unwrap().iter().map(|code| code.as_str().unwrap()).collect();
    assert!(made.iter().all(|code| code.starts_with("VIP-") && code.len() == 14), "{made:?}");
    made.sort_unstable();
    made.dedup();
    assert_eq!(made.len(), 1_000);
    assert_eq!(number(&shop, "select count(*) from coupons where usage_limit = 1 and is_scoped").await, 1_000);
    assert_eq!(number(&shop, "select count(*) from coupon_products").await, 1_000);
    // The same request makes no more.
    assert_eq!(batch(body).await.text, text);
    assert_eq!(codes(&shop, &staff, &format!("search={}", made[7].to_lowercase())).await, [made[7]]);
}

/// Each status lists those that say they have it, at whatever time.
#[tokio::test]
async fn lists_are_filtered_as_each_coupon_says() {
    let shop = TestApp::start().await;
    let staff = shop.staff(Role::Admin).await;
    let now = shop.app.clock.now();
    let at = |hours| json!(now + TimeDelta::hours(hours));
    let product = shop.product(&staff, "KENTE", 1_000, 9).await;
    for (code, more) in [
        ("PLAIN", json!({})),
        ("BEGUN", json!({"startsAt": at(-1), "endsAt": at(9)})),
        ("LATER", json!({"startsAt": at(2)})),
        ("OVER", json!({"startsAt": at(-2), "endsAt": at(-1)})),
        ("SOON_OVER", json!({"endsAt": at(3)})),
        ("OFF", json!({"isActive": false, "endsAt": at(-1)})),
        ("ONCE", json!({"usageLimit": 1})),
        ("GONE", json!({"usageLimit": 1})),
        ("P%AIN", json!(null)),
    ] {
        let mut body = json!({"code": code, "kind": "fixed", "amount": 5});
        let Value::Object(more) = more else { continue };
        body.as_object_mut().unwrap().extend(more);
        coupon(&shop, &staff, body).await;
    }
    for code in ["ONCE", "GONE"] {
        let order = guest_order(&shop, AMA, &product).await;
        assert!(use_for(&shop, code, AMA, order).await);
    }
    let gone = shop.get("/admin/coupons?search=GONE").token(&staff).send().await.expect(200)["coupons"][0].clone();
    shop.delete(&path(&gone)).token(&staff).send().await.expect(200);
    let archived = show(&shop, &staff, &gone).await;
    assert_eq!((&archived["status"], &archived["usedCount"]), (&json!("archived"), &json!(1)));
    change(&shop, &staff, &gone, json!({"version": archived["version"]})).await.expect_error(404, "NOT_FOUND");
    for hours in [0, 2, 1] {
        shop.app.clock.advance(TimeDelta::hours(hours));
        let mut seen = Vec::new();
        for status in ["active", "scheduled", "expired", "used_up", "inactive", "archived"] {
            let token = shop.login("admin@agape.example").await;
            let list = shop.get(&format!("/admin/coupons?status={status}")).token(&token).send().await.expect(200);
            for coupon in list["coupons"].as_array().unwrap() {
                assert_eq!(coupon["status"], status, "{coupon}");
                seen.push(coupon["code"].as_str().unwrap().to_owned());
            }
        }
        seen.sort_unstable();
        assert_eq!(seen, ["BEGUN", "GONE", "LATER", "OFF", "ONCE", "OVER", "PLAIN", "SOON_OVER"], "each once");
    }
    let staff = shop.login("admin@agape.example").await;
    assert_eq!(codes(&shop, &staff, "status=scheduled").await, [""; 0]);
    assert_eq!(codes(&shop, &staff, "status=expired").await, ["SOON_OVER", "OVER"]);
    assert_eq!(codes(&shop, &staff, "").await.len(), 7, "all but the archived one");
    assert_eq!(codes(&shop, &staff, "search=o").await, ["ONCE", "OFF", "OVER"]);
    for nothing in ["search=P%25", "search=_LAIN", "search=LAIN"] {
        assert_eq!(codes(&shop, &staff, nothing).await, [""; 0], "{nothing}");
    }
    let wrong = shop.get("/admin/coupons?status=good").token(&staff).send().await;
    assert_eq!(wrong.expect_error(400, "VALIDATION_ERROR"), ["status"]);
    // With cursors, each once.
    let (mut walked, mut cursor) = (Vec::new(), String::new());
    loop {
        let answer = shop.get(&format!("/admin/coupons?limit=3{cursor}")).token(&staff).send().await;
        let next = answer.body["pagination"]["nextCursor"].as_str().map(|cursor| format!("&cursor={cursor}"));
        let data = answer.expect(200);
        walked.extend(
            data["coupons"].as_array().unwrap().iter().map(|coupon| coupon["code"].as_str().unwrap().to_owned()),
        );
        match next {
            Some(next) => cursor = next,
            None => break,
        }
    }
    assert_eq!(walked, codes(&shop, &staff, "").await);
}

// Shoppers.

async fn preview(shop: &TestApp, body: Value) -> Value {
    shop.post("/coupons/preview").json(&body).send().await.expect(200)
}

/// Whatever is in the way, the answer says so, in words and with a code.
#[tokio::test]
async fn every_refusal_is_an_answer() {
    let shop = TestApp::start().await;
    let staff = shop.staff(Role::Admin).await;
    let now = shop.app.clock.now();
    let kente = shop.product(&staff, "KENTE", 1_000, 9).await;
    let other = shop.product(&staff, "OTHER", 1_000, 9).await;
    for (code, more) in [
        ("OFF", json!({"isActive": false})),
        ("LATER", json!({"startsAt": now + TimeDelta::hours(1)})),
        ("OVER", json!({"endsAt": now - TimeDelta::hours(1)})),
        ("BIG", json!({"minSubtotal": 2_500.50})),
        ("ELSE", json!({"productIds": [other.id]})),
        ("ONCE", json!({"usageLimit": 1})),
        ("MINE", json!({"perCustomerLimit": 1})),
        ("FIRST", json!({"firstOrderOnly": true})),
    ] {
        let mut body = json!({"code": code, "kind": "fixed", "amount": 5});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        coupon(&shop, &staff, body).await;
    }
    for code in ["ONCE", "MINE"] {
        let order = guest_order(&shop, AMA, &kente).await;
        assert!(use_for(&shop, code, AMA, order).await);
    }
    let items = json!([{"variantId": kente.variant, "quantity": 2}]);
    for (code, email, reason) in [
        ("nobody", None, "unknown"),
        ("50 % off!", None, "unknown"),
        ("ＯＮＣＥ", None, "unknown"),
        ("off", None, "inactive"),
        ("later", None, "not_yet"),
        ("over", None, "expired"),
        ("big", None, "minimum_not_reached"),
        ("else", None, "nothing_in_scope"),
        ("once", None, "used_up"),
        ("mine", None, "customer_needed"),
        ("mine", Some("AMA@example.com"), "used_up_by_customer"),
        ("first", None, "customer_needed"),
        ("first", Some(AMA), "first_order_only"),
    ] {
        let mut body = json!({"code": code, "items": items});
        if let Some(email) = email {
            body["email"] = json!(email);
        }
        let data = preview(&shop, body).await;
        assert_eq!((&data["valid"], &data["reason"]["code"]), (&json!(false), &json!(reason)), "{data}");
        assert_eq!((&data["discount"], &data["freeShipping"]), (&json!(0), &json!(false)), "{data}");
        assert!(data["reason"]["message"].as_str().unwrap().ends_with('.'), "{data}");
    }
    let big = preview(&shop, json!({"code": "BIG", "items": items})).await["reason"].clone();
    assert_eq!((&big["minimum"], &big["missing"]), (&json!(2_500.5), &json!(500.5)));
    assert!(big["message"].as_str().unwrap().contains("₦500.50"), "{big}");
    let later = preview(&shop, json!({"code": "LATER", "items": items})).await["reason"].clone();
    let starts_at: DateTime<Utc> = later["startsAt"].as_str().unwrap().parse().unwrap();
    assert!((starts_at - now - TimeDelta::hours(1)).abs() < TimeDelta::milliseconds(1), "{later}");
    for code in ["MINE", "FIRST"] {
        let data = preview(&shop, json!({"code": code, "items": items, "email": "kofi@example.com"})).await;
        assert_eq!((&data["valid"], &data["discount"], &data["subtotal"]), (&json!(true), &json!(5), &json!(2_000)));
    }
    // An order that was given up is no first order.
    sqlx::query("update orders set status = 'cancelled', expires_at = null")
        .execute(&shop.database.pool)
        .await
        .unwrap();
    let data = preview(&shop, json!({"code": "FIRST", "items": items, "email": AMA})).await;
    assert_eq!(data["valid"], true, "{data}");
    // A request that is wrong is an error.
    for (body, fields) in [
        (json!({"code": ""}), vec!["code"]),
        (json!({"code": "x".repeat(101)}), vec!["code"]),
        (json!({"code": "OFF", "items": []}), vec!["items"]),
        (json!({"code": "OFF", "items": [{"quantity": 0}]}), vec!["items[0].quantity", "items[0].variantId"]),
        (json!({"code": "OFF", "items": [{"productId": kente.id, "quantity": 1, "price": 1}]}), vec!["items[0].price"]),
        (json!({"code": "OFF", "items": [{"productId": NOTHING, "quantity": 1}]}), vec!["items[0].productId"]),
        (json!({"code": "OFF", "email": "nobody"}), vec!["email"]),
    ] {
        let answer = shop.post("/coupons/preview").json(&body).send().await;
        assert_eq!(answer.expect_error(400, "VALIDATION_ERROR"), fields, "{body}");
    }
}

/// A category stands for all below it, and a coupon whose last category is removed is for nothing.
#[tokio::test]
async fn a_coupon_is_for_what_it_names() {
    let shop = TestApp::start().await;
    let staff = shop.staff(Role::Admin).await;
    let category = async |name: &str, parent: Value| {
        let body = json!({"name": name, "parentId": parent});
        shop.post("/categories").token(&staff).json(&body).send().await.expect(201)["category"]["id"].clone()
    };
    let cloths = category("Cloths", Value::Null).await;
    let woven = category("Woven", cloths.clone()).await;
    let strips = category("Strips", woven.clone()).await;
    let product = async |sku: &str, price: i64, category: &Value| {
        let body = json!({"sku": sku, "title": sku, "price": price, "inventory": 9, "categoryId": category});
        shop.post("/products").token(&staff).json(&body).send().await.expect(201)["product"].clone()
    };
    let kente = product("KENTE", 300, &strips).await;
    let lace = product("LACE", 100, &cloths).await;
    let bag = product("BAG", 50, &Value::Null).await;
    let items: Vec<_> =
        [&kente, &lace, &bag].iter().map(|product| json!({"productId": product["id"], "quantity": 1})).collect();
    let body = json!({"code": "WOVEN", "kind": "percentage", "percent": 10, "categoryIds": [woven], "productIds": [bag["id"]]});
    let woven_coupon = coupon(&shop, &staff, body).await;
    let data = preview(&shop, json!({"code": "WOVEN", "items": items})).await;
    assert_eq!((&data["discount"], &data["subtotal"]), (&json!(35), &json!(450)));
    let change_to = json!({"version": 1, "productIds": []});
    change(&shop, &staff, &woven_coupon, change_to).await.expect(200);
    assert_eq!(preview(&shop, json!({"code": "WOVEN", "items": items})).await["discount"], 30);
    let gone = format!("/categories/{}?moveTo={}", woven.as_str().unwrap(), cloths.as_str().unwrap());
    shop.delete(&gone).token(&staff).send().await.expect(200);
    let data = preview(&shop, json!({"code": "WOVEN", "items": items})).await;
    assert_eq!(data["reason"]["code"], "nothing_in_scope", "{data}");
    // Nor does a change of something else open it to everything.
    let changed = change(&shop, &staff, &woven_coupon, json!({"version": 2, "percent": 20})).await.expect(200);
    assert_eq!((&changed["coupon"]["appliesTo"], &changed["coupon"]["categoryIds"]), (&json!("selection"), &json!([])));
    assert_eq!(preview(&shop, json!({"code": "WOVEN", "items": items})).await["valid"], false);
}

/// Without items it is the caller's cart, whoever he is; an account is known by its own address.
#[tokio::test]
async fn a_coupon_is_tried_on_the_cart() {
    let shop = TestApp::start().await;
    let staff = shop.staff(Role::Admin).await;
    let kente = shop.product(&staff, "KENTE", 1_000, 9).await;
    let soon = shop.product(&staff, "SOON", 500, 9).await;
    coupon(&shop, &staff, json!({"code": "MINE", "kind": "percentage", "percent": 10, "perCustomerLimit": 1})).await;
    coupon(&shop, &staff, json!({"code": "FREE", "kind": "free_shipping"})).await;
    let empty = preview(&shop, json!({"code": "FREE"})).await;
    assert_eq!(empty["reason"]["code"], "nothing_in_scope");
    let ama = shop.customer(AMA).await;
    let mine = async |body: Value| shop.post("/coupons/preview").token(&ama).json(&body).send().await;
    for (product, quantity) in [(&kente, 2), (&soon, 1)] {
        let body = json!({"variantId": product.variant, "quantity": quantity});
        shop.post("/cart/items").token(&ama).json(&body).send().await.expect(200);
    }
    // What cannot be bought does not count.
    shop.delete(&format!("/products/{}", soon.id)).token(&staff).send().await.expect(200);
    let data = mine(json!({"code": "mine"})).await.expect(200);
    assert_eq!(data, json!({"valid": true, "code": "MINE", "subtotal": 2_000, "discount": 200, "freeShipping": false}));
    let data = mine(json!({"code": "free"})).await.expect(200);
    assert_eq!((&data["valid"], &data["discount"], &data["freeShipping"]), (&json!(true), &json!(0), &json!(true)));
    let other = mine(json!({"code": "mine", "email": "kofi@example.com"})).await;
    assert_eq!(other.expect_error(400, "VALIDATION_ERROR"), ["email"]);
    // The same address as a guest is the same customer.
    let order = guest_order(&shop, AMA, &kente).await;
    assert!(use_for(&shop, "MINE", AMA, order).await);
    let data = mine(json!({"code": "mine"})).await.expect(200);
    assert_eq!(data["reason"]["code"], "used_up_by_customer");
    // A guest has a cart too.
    let body = json!({"variantId": kente.variant, "quantity": 1});
    let token = shop.post("/cart/items").json(&body).send().await.expect(200)["cartToken"].as_str().unwrap().to_owned();
    let call = shop.post("/coupons/preview").header("x-cart-token", &token).json(&json!({"code": "free"}));
    assert_eq!(call.send().await.expect(200)["subtotal"], 1_000);
}

/// Nobody finds codes by trying, nor whether an address has ordered.
#[tokio::test]
async fn tries_are_few() {
    let shop = TestApp::with(|config| {
        config.limits.auth_per_minute = 5;
        config.server.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
    })
    .await;
    let try_from = async |ip: &str, body: Value| {
        shop.post("/coupons/preview").header("x-forwarded-for", ip).json(&body).send().await
    };
    for n in 0..5 {
        try_from("203.0.113.1", json!({"code": format!("GUESS{n}")})).await.expect(200);
    }
    try_from("203.0.113.1", json!({"code": "GUESS9"})).await.expect_error(429, "RATE_LIMIT_EXCEEDED");
    for n in 0..5 {
        try_from(&format!("203.0.113.1{n}"), json!({"code": "GUESS", "email": AMA})).await.expect(200);
    }
    let sixth = try_from("203.0.113.99", json!({"code": "GUESS", "email": AMA})).await;
    sixth.expect_error(429, "RATE_LIMIT_EXCEEDED");
}

/// An order or a quote with a code is no other way to try codes: those that are none are few, one after the other and at once, and then no
/// code is told of, right or wrong. Right codes, and coupons that cannot be used, count nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_codes_of_orders_are_few() {
    let shop = TestApp::with(|config| {
        config.limits.auth_per_minute = 5;
        config.server.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
    })
    .await;
    let staff = shop.staff(Role::Admin).await;
    let product = shop.product(&staff, "KENTE", 1_000, 100).await;
    coupon(&shop, &staff, json!({"code": "RIGHT", "kind": "fixed", "amount": 5})).await;
    coupon(&shop, &staff, json!({"code": "OFF", "kind": "fixed", "amount": 5, "isActive": false})).await;
    // In the first second of a minute, so that no border is met by chance.
    let elapsed = shop.app.clock.now().timestamp_millis().rem_euclid(60_000);
    shop.app.clock.advance(TimeDelta::milliseconds(120_000 - elapsed));
    let try_from = async |ip: &str, path: &str, code: &str| {
        let mut body =
            json!({"items": [{"variantId": product.variant, "quantity": 1}], "email": AMA, "couponCode": code});
        if path == "/orders" {
            body["shippingAddress"] = address();
        }
        shop.post(path).header("x-forwarded-for", ip).json(&body).send().await
    };
    let one = "203.0.113.1";
    for _ in 0..8 {
        try_from(one, "/orders/quote", "RIGHT").await.expect(200);
        try_from(one, "/orders/quote", "OFF").await.expect_error(400, "VALIDATION_ERROR");
    }
    try_from(one, "/orders", "RIGHT").await.expect(201);
    for (n, path) in ["/orders", "/orders/quote", "/orders", "/orders/quote", "/orders"].iter().enumerate() {
        let wrong = try_from(one, path, &format!("GUESS{n}")).await;
        assert_eq!(wrong.expect_error(400, "VALIDATION_ERROR"), ["couponCode"]);
    }
    for path in ["/orders", "/orders/quote"] {
        for code in ["GUESS9", "RIGHT", "OFF"] {
            let refused = try_from(one, path, code).await;
            refused.expect_error(429, "RATE_LIMIT_EXCEEDED");
            assert!(refused.header("retry-after").is_some(), "{refused:?}");
        }
    }
    // Whoever names no code goes on, as do others.
    let body = json!({"items": [{"variantId": product.variant, "quantity": 1}]});
    shop.post("/orders/quote").header("x-forwarded-for", one).json(&body).send().await.expect(200);
    try_from("203.0.113.2", "/orders/quote", "RIGHT").await.expect(200);
    let codes: Vec<_> = (0..20).map(|n| format!("GUESS{n}")).collect();
    let at_once = join_all(codes.iter().map(|code| try_from("203.0.113.3", "/orders/quote", code))).await;
    assert_eq!(at_once.iter().filter(|answer| answer.status == 400).count(), 5);
    assert_eq!(at_once.iter().filter(|answer| answer.status == 429).count(), 15);
    shop.app.clock.advance(TimeDelta::minutes(2));
    try_from(one, "/orders/quote", "RIGHT").await.expect(200);
}

/// Right codes are in nobody's way, however many orders wait at once, and whoever repeats an order under its key gets his answer when
/// no code may be tried any more. A key is no way to try codes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn right_codes_are_in_nobodys_way() {
    let shop = TestApp::with(|config| config.limits.auth_per_minute = 5).await;
    let staff = shop.staff(Role::Admin).await;
    let product = shop.product(&staff, "KENTE", 1_000, 100).await;
    coupon(&shop, &staff, json!({"code": "RIGHT", "kind": "fixed", "amount": 5})).await;
    // In the first second of a minute, so that no border is met by chance.
    let elapsed = shop.app.clock.now().timestamp_millis().rem_euclid(60_000);
    shop.app.clock.advance(TimeDelta::milliseconds(120_000 - elapsed));
    let order = async |code: &str, key: Option<&str>| {
        let body = json!({"items": [{"variantId": product.variant, "quantity": 1}], "email": AMA, "couponCode": code,
                          "shippingAddress": address()});
        let call = shop.post("/orders").json(&body);
        key.into_iter().fold(call, |call, key| call.header("idempotency-key", key)).send().await
    };
    // All of them wait: the first for the level, the others for it.
    let mut blocker = shop.database.pool.begin().await.unwrap();
    sqlx::query("select from stock_levels for update").execute(&mut *blocker).await.unwrap();
    let release = async {
        let all = || async { (shop.app.placing.waiting() == 11).then_some(()) };
        shop.wait_for("twelve orders to wait", all).await;
        blocker.rollback().await.unwrap();
    };
    let (answers, ()) = tokio::join!(join_all((0..12).map(|_| order("RIGHT", None))), release);
    assert!(answers.iter().all(|answer| answer.status == 201), "{answers:#?}");

    let first = order("RIGHT", Some("k")).await;
    assert_eq!(first.status, 201, "{}", first.text);
    for n in 0..5 {
        order(&format!("GUESS{n}"), None).await.expect_error(400, "VALIDATION_ERROR");
    }
    order("RIGHT", None).await.expect_error(429, "RATE_LIMIT_EXCEEDED");
    let again = order("RIGHT", Some("k")).await;
    assert_eq!((again.status, &again.text), (201, &first.text));
    assert_eq!(again.header("idempotency-replayed").as_deref(), Some("true"));
    order("GUESS9", Some("k")).await.expect_error(422, "VALIDATION_ERROR");
    order("RIGHT", Some("l")).await.expect_error(429, "RATE_LIMIT_EXCEEDED");
    assert_eq!(number(&shop, "select count(*) from orders").await, 13);
}

// Uses.

async fn guest_order(shop: &TestApp, email: &str, product: &Product) -> OrderId {
    let body = json!({"email": email, "items": [{"variantId": product.variant, "quantity": 1}],
                      "shippingAddress": address()});
    let order = shop.post("/orders").json(&body).send().await.expect(201)["order"].clone();
    order["id"].as_str().unwrap().parse().unwrap()
}

/// A guest's order of each of these addresses.
async fn guest_orders(shop: &TestApp, emails: &[String], product: &Product) -> Vec<OrderId> {
    join_all(emails.iter().map(|email| guest_order(shop, email, product))).await
}

async fn find(shop: &TestApp, code: &str, email: &str) -> Found {
    let email: Email = email.parse().unwrap();
    let mut connection = shop.app.db.acquire().await.unwrap();
    let code = code.parse().unwrap();
    let wanted = Wanted { code: &code, user: None, email: Some(&email) };
    coupons::find(&mut connection, wanted, &[]).await.unwrap().unwrap()
}

/// A use of a coupon as it is found.
async fn redemption(shop: &TestApp, code: &str, email: &str, order: OrderId) -> NewRedemption {
    let found = find(shop, code, email).await;
    NewRedemption {
        coupon_id: found.coupon.id,
        coupon_version: found.coupon.version,
        order_id: order,
        customer: found.customer.map(|customer| customer.key),
        discount_minor: 500,
    }
}

/// In a transaction of its own.
async fn redeem(shop: &TestApp, all: &[NewRedemption]) -> Vec<bool> {
    let mut tx = shop.app.db.begin().await.unwrap();
    let redeemed = coupons::redeem_all(&mut tx, all, shop.app.clock.now()).await.unwrap();
    tx.commit().await.unwrap();
    redeemed
}

async fn use_for(shop: &TestApp, code: &str, email: &str, order: OrderId) -> bool {
    let new = redemption(shop, code, email, order).await;
    redeem(shop, &[new]).await == [true]
}

/// As whoever gives an order up does it.
async fn give_back(shop: &TestApp, order: OrderId) -> bool {
    let mut tx = shop.app.db.begin().await.unwrap();
    agape::features::orders::lock(&mut tx, order).await.unwrap();
    let returned = coupons::return_use(&mut tx, order, shop.app.clock.now()).await.unwrap();
    tx.commit().await.unwrap();
    returned
}

fn emails(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("buyer{n}@example.com")).collect()
}

/// Fifty orders at once, each in a transaction of its own, of a coupon for ten: ten have it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_at_once_of_a_coupon_for_ten() {
    let shop = TestApp::start().await;
    let staff = shop.staff(Role::Admin).await;
    let product = shop.product(&staff, "KENTE", 1_000, 100).await;
    let made = coupon(&shop, &staff, json!({"code": "TEN", "kind": "fixed", "amount": 5, "usageLimit": 10})).await;
    let emails = emails(50);
    let orders = guest_orders(&shop, &emails, &product).await;
    let uses = emails.iter().zip(&orders).map(|(email, order)| use_for(&shop, "TEN", email, *order));
    let redeemed = join_all(uses).await;
    assert_eq!(redeemed.iter().filter(|redeemed| **redeemed).count(), 10);
    assert_eq!(used(&shop).await, (10, 0));
    let shown = show(&shop, &staff, &made).await;
    assert_eq!(
        (&shown["usedCount"], &shown["discountTotal"], &shown["status"]),
        (&json!(10), &json!(50), &json!("used_up"))
    );
    assert_eq!(shown["version"], 1, "uses do not raise the version");
    // A limit below the uses is refused, whoever sets it.
    let answer = change(&shop, &staff, &made, json!({"version": 1, "usageLimit": 9})).await;
    assert_eq!(answer.expect_error(400, "VALIDATION_ERROR"), ["usageLimit"]);
    assert!(sqlx::query("update coupons set usage_limit = 9").execute(&shop.database.pool).await.is_err());
    // The list of uses has each once.
    let first = shop.get(&format!("{}/redemptions?limit=7", path(&made))).token(&staff).send().await;
    assert_eq!(first.body["pagination"]["total"], 10);
    let cursor = first.body["pagination"]["nextCursor"].as_str().unwrap().to_owned();
    let rest = shop.get(&format!("{}/redemptions?cursor={cursor}", path(&made))).token(&staff).send().await.expect(200);
    let first = first.expect(200);
    let mut ids: Vec<&str> = [&first, &rest]
        .iter()
        .flat_map(|data| data["redemptions"].as_array().unwrap())
        .map(|one| one["orderId"].as_str().unwrap())
        .collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 10);
    assert_eq!((&rest["redemptions"][0]["discount"], &rest["redemptions"][0]["returnedAt"]), (&json!(5), &Value::Null));
}

/// One customer's twenty orders at once, of a coupon for two of each customer's: two have it, and another customer is not in the way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_customers_limit_holds_when_his_orders_come_at_once() {
    let shop = TestApp::start().await;
    let staff = shop.staff(Role::Admin).await;
    let product = shop.product(&staff, "KENTE", 1_000, 100).await;
    coupon(&shop, &staff, json!({"code": "TWO", "kind": "fixed", "amount": 5, "perCustomerLimit": 2})).await;
    coupon(&shop, &staff, json!({"code": "FIRST", "kind": "fixed", "amount": 5, "firstOrderOnly": true})).await;
    let orders = join_all((0..20).map(|_| guest_order(&shop, AMA, &product))).await;
    let redeemed = join_all(orders.iter().map(|order| use_for(&shop, "TWO", AMA, *order))).await;
    assert_eq!(redeemed.iter().filter(|redeemed| **redeemed).count(), 2);
    assert_eq!(find(&shop, "TWO", AMA).await.customer.unwrap().uses, 2);
    let other = guest_order(&shop, "kofi@example.com", &product).await;
    assert!(use_for(&shop, "TWO", "kofi@example.com", other).await);
    // A customer has one first order, however many he begins at once.
    let free: Vec<_> =
        orders.iter().zip(&redeemed).filter(|(_, redeemed)| !**redeemed).map(|(order, _)| *order).collect();
    let first = join_all(free.iter().map(|order| use_for(&shop, "FIRST", AMA, *order))).await;
    assert_eq!(first.iter().filter(|redeemed| **redeemed).count(), 1);
    // Nobody in particular is nobody's customer.
    let nobody = guest_order(&shop, "esi@example.com", &product).await;
    let new = NewRedemption { customer: None, ..redemption(&shop, "TWO", "esi@example.com", nobody).await };
    assert_eq!(redeem(&shop, &[new]).await, [false]);
}

/// Several uses in one call are counted one after the other, in their order, and calls with the same coupons in other orders do not wait
/// in a circle.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_uses_in_one_call_are_counted() {
    let shop = TestApp::start().await;
    let staff = shop.staff(Role::Admin).await;
    let product = shop.product(&staff, "KENTE", 1_000, 200).await;
    coupon(&shop, &staff, json!({"code": "AAA", "kind": "fixed", "amount": 5, "usageLimit": 3, "perCustomerLimit": 1}))
        .await;
    let emails = emails(6);
    let orders = guest_orders(&shop, &emails, &product).await;
    let mut all = Vec::new();
    // The second order is the first customer's again.
    for (order, email) in orders.iter().zip([0, 0, 1, 2, 3, 4].map(|i| &emails[i])) {
        all.push(redemption(&shop, "AAA", email, *order).await);
    }
    assert_eq!(redeem(&shop, &all).await, [true, false, true, true, false, false]);
    assert_eq!(used(&shop).await, (3, 0));

    for code in ["BBB", "CCC"] {
        coupon(&shop, &staff, json!({"code": code, "kind": "fixed", "amount": 5})).await;
    }
    let orders = join_all((0..40).map(|_| guest_order(&shop, AMA, &product))).await;
    let mut calls = Vec::new();
    for (i, pair) in orders.chunks(2).enumerate() {
        let codes = if i % 2 == 0 { ["BBB", "CCC"] } else { ["CCC", "BBB"] };
        let (one, other) = (redemption(&shop, codes[0], AMA, pair[0]), redemption(&shop, codes[1], AMA, pair[1]));
        calls.push([one.await, other.await]);
    }
    let redeemed = join_all(calls.iter().map(|call| redeem(&shop, call))).await;
    assert!(redeemed.iter().all(|redeemed| *redeemed == [true, true]), "{redeemed:?}");
}

/// What staff have changed since a discount was calculated is not redeemed by it, nor what they have removed.
#[tokio::test]
async fn a_coupon_that_was_changed_meanwhile_is_not_redeemed() {
    let shop = TestApp::start().await;
    let staff = shop.staff(Role::Admin).await;
    let product = shop.product(&staff, "KENTE", 1_000, 9).await;
    let made = coupon(&shop, &staff, json!({"code": "TEN", "kind": "fixed", "amount": 5})).await;
    let order = guest_order(&shop, AMA, &product).await;
    let before = redemption(&shop, "TEN", AMA, order).await;
    change(&shop, &staff, &made, json!({"version": 1, "amount": 4})).await.expect(200);
    assert_eq!(redeem(&shop, &[before]).await, [false]);
    let now = redemption(&shop, "TEN", AMA, order).await;
    assert_eq!(redeem(&shop, &[now]).await, [true]);
    let other = guest_order(&shop, AMA, &product).await;
    let late = redemption(&shop, "TEN", AMA, other).await;
    shop.delete(&path(&made)).token(&staff).send().await.expect(200);
    assert_eq!(redeem(&shop, &[late]).await, [false]);
    assert_eq!(used(&shop).await, (1, 0));
    // Its code is free for another one.
    coupon(&shop, &staff, json!({"code": "TEN", "kind": "free_shipping"})).await;
}

/// A use belongs to an order: one whose order is not written is taken back, or nothing of the transaction lasts.
#[tokio::test]
async fn a_use_without_its_order_does_not_last() {
    let shop = TestApp::start().await;
    let staff = shop.staff(Role::Admin).await;
    coupon(&shop, &staff, json!({"code": "ONE", "kind": "fixed", "amount": 5, "usageLimit": 1})).await;
    let (ghost, other) = (OrderId::new(), OrderId::new());
    let now = shop.app.clock.now();
    let new = redemption(&shop, "ONE", AMA, ghost).await;
    let mut tx = shop.app.db.begin().await.unwrap();
    assert_eq!(coupons::redeem_all(&mut tx, &[new], now).await.unwrap(), [true]);
    assert!(tx.commit().await.is_err());
    assert_eq!(used(&shop).await, (0, 0));
    let mut tx = shop.app.db.begin().await.unwrap();
    let second = NewRedemption { order_id: other, ..new };
    assert_eq!(coupons::redeem_all(&mut tx, &[new, second], now).await.unwrap(), [true, false]);
    coupons::take_back(&mut tx, &[ghost, other]).await.unwrap();
    // It is free for the next one at once.
    assert_eq!(coupons::redeem_all(&mut tx, &[second], now).await.unwrap(), [true]);
    coupons::take_back(&mut tx, &[other]).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(used(&shop).await, (0, 0));
}

/// A use that is given back many times at once is free once, for one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_use_is_given_back_once() {
    let shop = TestApp::start().await;
    let staff = shop.staff(Role::Admin).await;
    let product = shop.product(&staff, "KENTE", 1_000, 100).await;
    let body = json!({"code": "TWO", "kind": "fixed", "amount": 5, "usageLimit": 2, "perCustomerLimit": 1});
    coupon(&shop, &staff, body).await;
    let emails = emails(12);
    let orders = guest_orders(&shop, &emails, &product).await;
    for i in [0, 1] {
        assert!(use_for(&shop, "TWO", &emails[i], orders[i]).await);
    }
    let returned = join_all((0..10).map(|_| give_back(&shop, orders[0]))).await;
    assert_eq!(returned.iter().filter(|returned| **returned).count(), 1);
    assert_eq!(used(&shop).await, (1, 0));
    let uses = (2..12).map(|i| use_for(&shop, "TWO", &emails[i], orders[i]));
    let redeemed = join_all(uses).await;
    assert_eq!(redeemed.iter().filter(|redeemed| **redeemed).count(), 1);
    // His own is free for him again too, once there is one.
    let second = guest_order(&shop, &emails[0], &product).await;
    assert!(!use_for(&shop, "TWO", &emails[0], second).await);
    assert!(give_back(&shop, orders[1]).await);
    assert!(use_for(&shop, "TWO", &emails[0], second).await);
    assert_eq!(used(&shop).await, (2, 0));
    // What a use was cannot be changed.
    let other = "update coupon_redemptions set discount_minor = 1";
    assert!(sqlx::query(other).execute(&shop.database.pool).await.is_err());
}

/// Whoever cancels, or lets the time run out, gives his coupon back, once, whatever comes at the same time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_order_gives_its_coupon_back() {
    let shop = TestApp::with(|config| config.jobs.sweep_seconds = 86_400).await;
    let staff = shop.staff(Role::Admin).await;
    let product = shop.product(&staff, "KENTE", 1_000, 100).await;
    coupon(&shop, &staff, json!({"code": "TEN", "kind": "fixed", "amount": 5, "usageLimit": 2})).await;
    let ama = shop.customer(AMA).await;
    let order = shop.order(&ama, &product, 1).await;
    let id = order["id"].as_str().unwrap();
    assert!(use_for(&shop, "TEN", AMA, id.parse().unwrap()).await);
    let other = guest_order(&shop, "kofi@example.com", &product).await;
    assert!(use_for(&shop, "TEN", "kofi@example.com", other).await);
    let cancel = || shop.post(&format!("/orders/{id}/cancel")).token(&ama).json(&json!({})).send();
    let answers = join_all((0..5).map(|_| cancel())).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    assert_eq!(used(&shop).await, (1, 0));
    shop.app.clock.advance(TimeDelta::days(1));
    let sweeps = join_all((0..3).map(|_| Sweep {}.run(&shop.app))).await;
    assert!(sweeps.iter().all(|done| done.is_ok()), "{sweeps:?}");
    assert_eq!(used(&shop).await, (0, 0));
    assert_eq!(number(&shop, "select count(*) from coupon_redemptions where returned_at is not null").await, 2);
}

/// Money that comes after the order was given up is for the price that was promised, whoever has the coupon by then; the limit is as it was
/// for all who come later.
#[tokio::test]
async fn a_late_payment_keeps_its_discount() {
    let shop = TestApp::with(|config| config.jobs.sweep_seconds = 86_400).await;
    let staff = shop.staff(Role::Admin).await;
    let product = shop.product(&staff, "KENTE", 1_000, 9).await;
    let made = coupon(&shop, &staff, json!({"code": "ONE", "kind": "fixed", "amount": 5, "usageLimit": 1})).await;
    let ama = shop.customer(AMA).await;
    let order = shop.order(&ama, &product, 1).await;
    let payment = shop.initialize(&ama, &order).await;
    assert!(use_for(&shop, "ONE", AMA, order["id"].as_str().unwrap().parse().unwrap()).await);
    shop.app.clock.advance(TimeDelta::hours(1));
    Sweep {}.run(&shop.app).await.unwrap();
    assert_eq!(used(&shop).await, (0, 0));
    let kofis = guest_order(&shop, "kofi@example.com", &product).await;
    assert!(use_for(&shop, "ONE", "kofi@example.com", kofis).await);

    let amount = number(&shop, "select amount_minor from payments").await;
    let paid = transaction(payment["reference"].as_str().unwrap(), amount, "success");
    assert_eq!(settle::settle(&shop.app, &paid).await.unwrap(), Outcome::Paid);
    assert_eq!(used(&shop).await, (2, 1));
    assert_eq!(settle::settle(&shop.app, &paid).await.unwrap(), Outcome::Settled);
    assert_eq!(used(&shop).await, (2, 1));
    let esis = guest_order(&shop, "esi@example.com", &product).await;
    assert!(!use_for(&shop, "ONE", "esi@example.com", esis).await);
    // Of two uses one is given back: the one that is left is the limit.
    assert!(give_back(&shop, kofis).await);
    assert_eq!(used(&shop).await, (1, 0));
    assert!(!use_for(&shop, "ONE", "esi@example.com", esis).await);
    // The limit may be left as it is, or raised, and what is beyond it is within the new one.
    let staff = shop.login("admin@agape.example").await;
    change(&shop, &staff, &made, json!({"version": 1, "usageLimit": 2})).await.expect(200);
    assert!(use_for(&shop, "ONE", "esi@example.com", esis).await);
    assert_eq!(used(&shop).await, (2, 0));
}

/// A late payment that cannot have its goods leaves the coupon to others.
#[tokio::test]
async fn a_late_payment_without_goods_takes_no_coupon() {
    let shop = TestApp::with(|config| config.jobs.sweep_seconds = 86_400).await;
    let staff = shop.staff(Role::Admin).await;
    let product = shop.product(&staff, "LAST", 1_000, 1).await;
    coupon(&shop, &staff, json!({"code": "ONE", "kind": "fixed", "amount": 5, "usageLimit": 1})).await;
    let ama = shop.customer(AMA).await;
    let order = shop.order(&ama, &product, 1).await;
    let payment = shop.initialize(&ama, &order).await;
    assert!(use_for(&shop, "ONE", AMA, order["id"].as_str().unwrap().parse().unwrap()).await);
    shop.app.clock.advance(TimeDelta::hours(1));
    Sweep {}.run(&shop.app).await.unwrap();
    guest_order(&shop, "kofi@example.com", &product).await;
    let amount = number(&shop, "select amount_minor from payments").await;
    let paid = transaction(payment["reference"].as_str().unwrap(), amount, "success");
    let outcome = settle::settle(&shop.app, &paid).await.unwrap();
    assert!(matches!(outcome, Outcome::Flagged(_)), "{outcome:?}");
    assert_eq!(used(&shop).await, (0, 0));
}

/// A person takes away which coupons he used; erased, he is nobody's customer, and the count stays true.
#[tokio::test]
async fn a_persons_uses_are_exported_and_forgotten() {
    let shop = TestApp::start().await;
    let staff = shop.staff(Role::Admin).await;
    let product = shop.product(&staff, "KENTE", 1_000, 9).await;
    for code in ["MINE", "MORE"] {
        coupon(&shop, &staff, json!({"code": code, "kind": "fixed", "amount": 5, "perCustomerLimit": 1})).await;
    }
    let ama = shop.customer(AMA).await;
    let (kept, unpaid) = (shop.order(&ama, &product, 1).await, shop.order(&ama, &product, 1).await);
    for (code, order) in [("MINE", &kept), ("MORE", &unpaid)] {
        assert!(use_for(&shop, code, AMA, order["id"].as_str().unwrap().parse().unwrap()).await);
    }
    let kofis = guest_order(&shop, "kofi@example.com", &product).await;
    assert!(use_for(&shop, "MINE", "kofi@example.com", kofis).await);
    for status in ["paid", "shipped", "delivered"] {
        sqlx::query("update orders set status = $1, expires_at = null where number = $2")
            .bind(status)
            .bind(kept["orderNumber"].as_str().unwrap())
            .execute(&shop.database.pool)
            .await
            .unwrap();
    }
    let data = shop.get("/privacy/export").token(&ama).send().await.expect(200)["coupons"].clone();
    let uses = data.as_array().unwrap();
    assert_eq!(uses.len(), 2, "{data}");
    assert_eq!((&uses[0]["code"], &uses[0]["orderId"]), (&json!("MINE"), &kept["id"]));
    assert_eq!((&uses[0]["discountMinor"], &uses[0]["returnedAt"]), (&json!(500), &Value::Null));
    assert!(uses[0].get("customer").is_none(), "{data}");

    shop.wait_for_jobs().await;
    let body = json!({"password": crate::support::PASSWORD});
    shop.post("/privacy/erase").token(&ama).json(&body).send().await.expect(200);
    let known = "select string_agg(encode(customer, 'hex'), ' ') from coupon_redemptions";
    let kofi = hex::encode(find(&shop, "MINE", "kofi@example.com").await.customer.unwrap().key.0);
    assert_eq!(shop.database.text(known).await, Some(kofi), "only Kofi is known");
    let counts = "select string_agg(code || used_count, ' ' order by code) from coupons";
    assert_eq!(shop.database.text(counts).await.as_deref(), Some("MINE2 MORE0"));
    assert_eq!(find(&shop, "MINE", AMA).await.customer.unwrap().uses, 0);
}

/// Of one customer's orders at once, as an account and as a guest, each with another coupon for first orders, one has its discount; one
/// that is given up leaves it to the next. Another customer is not in the way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_customer_has_one_first_order_whichever_coupons_he_tries() {
    let shop = TestApp::with(|config| config.orders.batch = 1).await;
    let second = shop.another(|_| {}).await;
    let staff = shop.staff(Role::Admin).await;
    let product = shop.product(&staff, "KENTE", 1_000, 100).await;
    for n in 0..6 {
        let body = json!({"code": format!("FIRST{n}"), "kind": "fixed", "amount": 5, "firstOrderOnly": true});
        coupon(&shop, &staff, body).await;
    }
    let ama = shop.customer(AMA).await;
    let body = |n: usize, email: &str| {
        json!({"items": [{"variantId": product.variant, "quantity": 1}], "shippingAddress": address(), "email": email,
               "couponCode": format!("FIRST{n}")})
    };
    let calls = (0..6).map(|n| {
        let shop = if n % 2 == 0 { &shop } else { &second };
        let call = shop.post("/orders").json(&body(n, AMA));
        if n < 3 { call.token(&ama).send() } else { call.send() }
    });
    let answers = join_all(calls).await;
    let placed: Vec<_> = answers.iter().filter(|answer| answer.status == 201).collect();
    assert_eq!(placed.len(), 1, "{answers:#?}");
    for refused in answers.iter().filter(|answer| answer.status != 201) {
        assert_eq!(refused.expect_error(400, "VALIDATION_ERROR"), ["couponCode"]);
        assert!(refused.body["message"].as_str().unwrap().contains("first order"), "{}", refused.text);
    }
    assert_eq!(number(&shop, "select count(*) from coupon_redemptions where returned_at is null").await, 1);
    shop.post("/orders").json(&body(1, "kofi@example.com")).send().await.expect(201);

    // The trigger says so whoever writes, in one call too.
    let orders = join_all((0..2).map(|_| guest_order(&shop, "esi@example.com", &product))).await;
    let mut both = Vec::new();
    for (n, order) in orders.iter().enumerate() {
        both.push(redemption(&shop, &format!("FIRST{n}"), "esi@example.com", *order).await);
    }
    let redeemed = redeem(&shop, &both).await;
    assert_eq!(redeemed.iter().filter(|redeemed| **redeemed).count(), 1);
    let (had, other) = if redeemed[0] { (0, 1) } else { (1, 0) };
    assert!(give_back(&shop, orders[had]).await);
    assert_eq!(redeem(&shop, &[both[other]]).await, [true]);
}
