//! What orders cost: taxes, shipping and coupons, in a quote and in the order itself.

use agape::features::auth::Role;
use futures::future::join_all;
use serde_json::{Value, json};

use crate::concurrency::assert_ledger;
use crate::support::{Answer, Product, TestApp, address};

const SUMS: [&str; 7] = ["subtotal", "discount", "shipping", "tax", "taxIncluded", "total", "taxes"];

fn in_ghana() -> Value {
    let mut address = address();
    address["country"] = json!("GH");
    address["region"] = json!("Accra");
    address["phone"] = json!("0241234567");
    address
}

fn items(product: &Product, quantity: i32) -> Value {
    json!([{"variantId": product.variant, "quantity": quantity}])
}

async fn quote(shop: &TestApp, body: &Value) -> Answer {
    shop.post("/orders/quote").json(body).send().await
}

async fn quoted(shop: &TestApp, body: &Value) -> Value {
    quote(shop, body).await.expect(200)["quote"].clone()
}

async fn place(shop: &TestApp, body: &Value) -> Answer {
    shop.post("/orders").json(body).send().await
}

async fn coupon(shop: &TestApp, staff: &str, body: Value) -> Value {
    shop.post("/admin/coupons").token(staff).json(&body).send().await.expect(201)["coupon"].clone()
}

/// Uses of all coupons, by their counts and by their redemptions.
async fn uses(shop: &TestApp) -> (i64, i64) {
    (
        shop.database.count("select coalesce(sum(used_count), 0)::bigint from coupons").await,
        shop.database.count("select count(*) from coupon_redemptions where returned_at is null").await,
    )
}

/// A quote and the order that follows have the same sums, to either country, with and without a coupon.
#[tokio::test]
async fn a_quote_is_what_the_order_costs() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let (odd, round) = (shop.product(&admin, "ODD", 333, 9).await, shop.product(&admin, "ROUND", 20_000, 9).await);
    coupon(&shop, &admin, json!({"code": "SEVENTH", "kind": "percentage", "percent": 14.29})).await;
    let items = json!([{"variantId": odd.variant, "quantity": 2}, {"variantId": round.variant, "quantity": 1}]);
    for (address, taxes) in [(address(), 1), (in_ghana(), 3)] {
        for (code, method) in [(None, "standard"), (Some("seventh"), "express")] {
            let to = json!({"country": address["country"], "region": address["region"]});
            let asked = json!({"items": items, "shippingAddress": to, "shippingMethod": method, "couponCode": code});
            let quote = quoted(&shop, &asked).await;
            assert_eq!(quote["taxes"].as_array().unwrap().len(), taxes, "{quote:#}");
            assert_eq!(quote["shippingOptions"].as_array().unwrap().len(), 3);
            assert_eq!(quote["items"][1]["available"], shop.available(&round).await);
            assert_eq!(quote["discount"] == json!(0), code.is_none());
            let wanted = json!({"items": items, "email": "ama@example.com", "shippingAddress": address,
                                "shippingMethod": method, "couponCode": code});
            let order = place(&shop, &wanted).await.expect(201)["order"].clone();
            for sum in SUMS {
                assert_eq!(quote[sum], order[sum], "{sum}: {quote:#} {order:#}");
            }
            for (quoted, ordered) in quote["items"].as_array().unwrap().iter().zip(order["items"].as_array().unwrap()) {
                for sum in ["total", "discount", "tax", "taxIncluded"] {
                    assert_eq!(quoted[sum], ordered[sum], "{sum}");
                }
            }
            let code = code.map(str::to_uppercase);
            assert_eq!(order["couponCode"], json!(code));
        }
    }
}

/// Ghana's components have one base; what is due on carriage is on carriage too; what is within prices is not added.
#[tokio::test]
async fn taxes_are_those_of_the_place() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "KENTE", 10_000, 9).await;
    let body = json!({"items": items(&product, 1), "shippingAddress": {"country": "GH"}});
    let taxes = |quote: &Value| {
        let taxes = quote["taxes"].as_array().unwrap().iter();
        taxes.map(|tax| (tax["name"].as_str().unwrap().to_owned(), tax["amount"].clone())).collect::<Vec<_>>()
    };
    let named = |sums: [(&str, i64); 3]| sums.map(|(name, sum)| (name.to_owned(), json!(sum))).to_vec();
    let first = quoted(&shop, &body).await;
    assert_eq!(taxes(&first), named([("VAT", 1_500), ("GETFund", 250), ("NHIL", 250)]));
    assert_eq!(first["total"], 10_000 + 2_500 + 2_000);
    shop.set_rates("update taxes set on_shipping = true where name = 'VAT'").await;
    let carried = quoted(&shop, &body).await;
    assert_eq!(taxes(&carried), named([("VAT", 1_875), ("GETFund", 250), ("NHIL", 250)]));
    assert_eq!((&carried["items"][0]["tax"], &carried["tax"]), (&json!(2_000), &json!(2_375)));
    shop.set_rates("update taxes set on_shipping = false, is_included = true").await;
    let within = quoted(&shop, &json!({"items": items(&product, 1), "shippingAddress": {"country": "NG"}})).await;
    assert_eq!((&within["tax"], &within["taxIncluded"]), (&json!(0), &json!(697.67)));
    assert_eq!(within["total"], 12_500);
    // Nowhere else is there a tax.
    let abroad = quoted(&shop, &json!({"items": items(&product, 1), "shippingAddress": {"country": "KE"}})).await;
    assert_eq!((&abroad["taxes"], &abroad["total"]), (&json!([]), &json!(12_500)));
}

/// A rate that another server has changed without this one's knowing is in the next order nevertheless, and an order keeps the rate it
/// was placed at.
#[tokio::test]
async fn an_order_has_the_rate_of_its_moment() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "KENTE", 1_000, 9).await;
    let body = json!({"items": items(&product, 1), "email": "ama@example.com", "shippingAddress": address()});
    let before = place(&shop, &body).await.expect(201)["order"].clone();
    assert_eq!(before["tax"], 75);
    sqlx::query("update taxes set rate_basis_points = 1000, name = 'Sales tax' where country = 'NG'")
        .execute(&shop.database.pool)
        .await
        .unwrap();
    let after = place(&shop, &body).await.expect(201)["order"].clone();
    assert_eq!(
        after["taxes"][0],
        json!({"name": "Sales tax", "rateBasisPoints": 1_000, "included": false, "amount": 100})
    );
    let path = format!("/orders/{}", before["id"].as_str().unwrap());
    let kept = shop.get(&path).token(&admin).send().await.expect(200)["order"].clone();
    assert_eq!(kept["taxes"], before["taxes"]);
    assert_ledger(&shop).await;
}

/// Goods go where a zone is, as heavy as its methods carry, at the price of their weight and total.
#[tokio::test]
async fn shipping_is_priced_by_place_weight_and_total() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "KENTE", 1_000, 9).await;
    shop.set_rates(
        "with light as (update shipping_methods m set max_grams = 3000 from shipping_zones z
                        where z.id = m.zone_id and z.name = 'Nigeria' and m.code <> 'express' returning m.id, m.code),
              tiers as (insert into shipping_tiers (method_id, from_grams, from_total_minor, price_minor)
                        select id, 1000, 0, 400000 from light where code = 'standard')
         update products set weight_grams = 500",
    )
    .await;
    let ask = |quantity, to: Value, method: Value| {
        let body = json!({"items": items(&product, quantity), "shippingAddress": to, "shippingMethod": method});
        let shop = &shop;
        async move { quote(shop, &body).await }
    };
    let lagos = json!({"country": "NG", "region": "lagos"});
    for (quantity, method, shipping) in [(1, Value::Null, 2_500), (2, Value::Null, 4_000), (7, Value::Null, 5_000)] {
        let answer = ask(quantity, lagos.clone(), method).await.expect(200);
        assert_eq!(answer["quote"]["shipping"], shipping, "{quantity}");
    }
    assert_eq!(
        ask(7, lagos.clone(), json!("standard")).await.expect_error(400, "VALIDATION_ERROR"),
        ["shippingMethod"]
    );
    assert_eq!(ask(1, lagos, json!("drone")).await.expect_error(400, "VALIDATION_ERROR"), ["shippingMethod"]);
    shop.set_rates("delete from shipping_places where country = '*'").await;
    let abroad = ask(1, json!({"country": "KE"}), Value::Null).await;
    assert_eq!(abroad.expect_error(400, "VALIDATION_ERROR"), ["shippingAddress"]);
    let body = json!({"items": items(&product, 1), "email": "a@example.com", "shippingAddress": address(), "shippingMethod": "drone"});
    assert_eq!(place(&shop, &body).await.expect_error(400, "VALIDATION_ERROR"), ["shippingMethod"]);
    assert_eq!(shop.available(&product).await, 9);
}

/// A coupon that cannot be used is told and never left out in silence, in a quote and in an order.
#[tokio::test]
async fn a_wrong_coupon_is_refused() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "KENTE", 1_000, 9).await;
    coupon(&shop, &admin, json!({"code": "LARGE", "kind": "fixed", "amount": 100, "minSubtotal": 5_000})).await;
    coupon(&shop, &admin, json!({"code": "OVER", "kind": "fixed", "amount": 100, "endsAt": "2020-01-01T00:00:00Z"}))
        .await;
    for code in ["LARGE", "OVER", "NOSUCH", "'; drop table coupons"] {
        let mut body = json!({"items": items(&product, 1), "email": "a@example.com", "couponCode": code});
        assert_eq!(quote(&shop, &body).await.expect_error(400, "VALIDATION_ERROR"), ["couponCode"], "{code}");
        body["shippingAddress"] = address();
        assert_eq!(place(&shop, &body).await.expect_error(400, "VALIDATION_ERROR"), ["couponCode"], "{code}");
    }
    assert_eq!((shop.available(&product).await, uses(&shop).await), (9, (0, 0)));
    coupon(&shop, &admin, json!({"code": "CARRIED", "kind": "free_shipping"})).await;
    let body = json!({"items": items(&product, 1), "couponCode": "carried"});
    let carried = quoted(&shop, &body).await;
    assert_eq!((&carried["shipping"], &carried["discount"], &carried["total"]), (&json!(0), &json!(0), &json!(1_075)));
}

/// Of many who want the last uses of a coupon so many get them as there are; the others are told, and nobody of them has an order.
/// An order that fails for another reason uses nothing, a repeated one only once, and one that is given up gives its use back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_uses_of_a_coupon_are_used_once() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "KENTE", 1_000, 20).await;
    coupon(&shop, &admin, json!({"code": "THREE", "kind": "fixed", "amount": 200, "usageLimit": 3})).await;
    let body = |buyer: usize, quantity: i32| {
        json!({"items": items(&product, quantity), "email": format!("buyer{buyer}@example.com"),
               "shippingAddress": address(), "couponCode": "THREE"})
    };
    let all = join_all((0..8).map(|buyer| {
        let call = shop.post("/orders").header("idempotency-key", &format!("k{buyer}")).json(&body(buyer, 1));
        async move { call.send().await }
    }))
    .await;
    let placed: Vec<_> = all.iter().enumerate().filter(|(_, answer)| answer.status == 201).collect();
    assert_eq!(placed.len(), 3, "{:?}", all.iter().map(|answer| &answer.text).collect::<Vec<_>>());
    for answer in &all {
        match answer.status {
            201 => assert_eq!(answer.body["data"]["order"]["discount"], 200),
            _ => assert_eq!(answer.expect_error(400, "VALIDATION_ERROR"), ["couponCode"]),
        }
    }
    assert_eq!((uses(&shop).await, shop.available(&product).await), ((3, 3), 17));
    let (buyer, first) = placed[0];
    let again = shop.post("/orders").header("idempotency-key", &format!("k{buyer}")).json(&body(buyer, 1)).send().await;
    assert_eq!(again.expect(201)["order"]["id"], first.body["data"]["order"]["id"]);
    assert_eq!(uses(&shop).await, (3, 3));
    let number = &first.body["data"]["order"]["orderNumber"];
    let cancel = json!({"orderNumber": number, "email": format!("buyer{buyer}@example.com")});
    shop.post("/orders/track/cancel").json(&cancel).send().await.expect(200);
    assert_eq!(uses(&shop).await, (2, 2));
    // Too many of the goods: the use stays free.
    let mut large = body(50, 10);
    large["items"] = json!([{"variantId": product.variant, "quantity": 10}]);
    sqlx::query("update stock_levels set on_hand = reserved + 1").execute(&shop.database.pool).await.unwrap();
    assert_eq!(place(&shop, &large).await.expect_error(409, "CONFLICT"), ["items[0].quantity"]);
    assert_eq!(uses(&shop).await, (2, 2));
    place(&shop, &body(51, 1)).await.expect(201);
    assert_eq!(uses(&shop).await, (3, 3));
}

/// The page's price is read and does not count.
#[tokio::test]
async fn a_price_in_the_request_makes_no_difference() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "KENTE", 1_000, 9).await;
    for price in [json!(1), json!(0), json!(-5), json!("free"), Value::Null] {
        let body = json!({"items": [{"productId": product.id, "variantId": product.variant, "quantity": 1, "price": price}],
                          "email": "ama@example.com", "shippingAddress": address()});
        let order = place(&shop, &body).await.expect(201)["order"].clone();
        assert_eq!((&order["subtotal"], &order["total"]), (&json!(1_000), &json!(3_575)), "{price}");
    }
}

/// A quote sets nothing aside, tells what is sold out, and refuses what is wrong.
#[tokio::test]
async fn a_quote_writes_nothing() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "KENTE", 1_000, 2).await;
    let quote_of = quoted(&shop, &json!({"items": items(&product, 5)})).await;
    assert_eq!((&quote_of["items"][0]["quantity"], &quote_of["items"][0]["available"]), (&json!(5), &json!(2)));
    assert_eq!(quote(&shop, &json!({})).await.expect_error(400, "VALIDATION_ERROR"), ["items"]);
    assert_eq!(quote(&shop, &json!({"items": []})).await.expect_error(400, "VALIDATION_ERROR"), ["items"]);
    let body = json!({"items": items(&product, 1), "total": 1});
    assert_eq!(quote(&shop, &body).await.expect_error(400, "VALIDATION_ERROR"), ["total"]);
    let body = json!({"items": items(&product, 1), "shippingAddress": {"country": "Wakanda"}});
    assert_eq!(quote(&shop, &body).await.expect_error(400, "VALIDATION_ERROR"), ["shippingAddress.country"]);
    let ama = shop.customer("ama@example.com").await;
    let body = json!({"variantId": product.variant, "quantity": 2});
    shop.post("/cart/items").token(&ama).json(&body).send().await.expect(200);
    let of_cart = shop.post("/orders/quote").token(&ama).json(&json!({})).send().await.expect(200)["quote"].clone();
    assert_eq!(of_cart["total"], 2_000 + 2_500 + 150);
    assert_eq!((shop.available(&product).await, shop.database.count("select count(*) from orders").await), (2, 0));
}
