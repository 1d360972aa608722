//! How often an order waits for PostgreSQL, counted on the wire between the shop and its database.

use agape::features::auth::Role;
use serde_json::{Value, json};

use crate::support::{TestApp, TestDatabase, Wire, address};

/// One way to order.
struct Case {
    name: &'static str,
    /// From the cart of an account, or else items of a guest.
    from_cart: bool,
    with_key: bool,
    with_coupon: bool,
    /// How often it waits, on the connection on which it is placed.
    round_trips: usize,
}

const fn case(name: &'static str, from_cart: bool, with_key: bool, with_coupon: bool, round_trips: usize) -> Case {
    Case { name, from_cart, with_key, with_coupon, round_trips }
}

/// The offers, or the cart, and the statement that places the order. With a key or a coupon there are a begin and a commit around it;
/// a key is claimed and its answer stored; a coupon is read and redeemed, behind a statement that locks the account and the cart. What
/// is asked before on ordinary connections, whether there is a code and whether a key has an answer, is not counted here.
const CASES: [Case; 8] = [
    case("items", false, false, false, 2),
    case("items with a key", false, true, false, 6),
    case("items with a coupon", false, false, true, 6),
    case("items with both", false, true, true, 8),
    case("a cart", true, false, false, 2),
    case("a cart with a key", true, true, false, 6),
    case("a cart with a coupon", true, false, true, 7),
    case("a cart with both", true, true, true, 9),
];

/// The first order of a kind has its statements prepared, and a connection that was left alone for a second is asked whether it lives.
/// The least of some orders has neither.
const TRIES: usize = 6;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_waits_no_more_often_than_the_table_says() {
    let mut database = TestDatabase::create().await;
    let wire = Wire::before(&mut database).await;
    // One connection, so that all is prepared on it.
    let shop = TestApp::on_database(database, |config| config.database.hot_pool_max = 1).await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "KENTE", 1_000, 1_000).await;
    let coupon = json!({"code": "TEN", "kind": "fixed", "amount": 10});
    shop.post("/admin/coupons").token(&admin).json(&coupon).send().await.expect(201);
    let ama = shop.customer("ama@example.com").await;
    let line = json!({"variantId": product.variant, "quantity": 1});

    let mut measured = Vec::new();
    for case in &CASES {
        let mut body = json!({"shippingAddress": address()});
        if !case.from_cart {
            body["items"] = json!([line]);
            body["email"] = json!("kofi@example.com");
        }
        if case.with_coupon {
            body["couponCode"] = json!("TEN");
        }
        let mut least = usize::MAX;
        for n in 0..TRIES {
            let mut call = shop.post("/orders");
            if case.from_cart {
                shop.post("/cart/items").token(&ama).json(&line).send().await.expect(200);
                call = call.token(&ama);
            }
            if case.with_key {
                call = call.header("idempotency-key", &format!("{} {n}", case.name));
            }
            let before = wire.answers();
            let order = call.json(&body).send().await.expect(201)["order"].clone();
            least = least.min(wire.answers() - before);
            let discount = if case.with_coupon { json!(10) } else { json!(0) };
            assert_eq!(order["discount"], discount, "{}", case.name);
        }
        measured.push((case.name, least));
    }
    let told: Vec<_> = CASES.iter().map(|case| (case.name, case.round_trips)).collect();
    assert_eq!(measured, told);
}

/// Goods, price and coupon of an order that is there already are nobody's business any more: whoever repeats it under its key gets
/// its answer, and whoever asks for something else under it is refused for that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeated_order_is_given_again_whatever_has_changed() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "LAST", 1_000, 1).await;
    let coupon = json!({"code": "ONCE", "kind": "fixed", "amount": 10, "usageLimit": 1});
    shop.post("/admin/coupons").token(&admin).json(&coupon).send().await.expect(201);
    let body = |code: &str| {
        json!({"email": "kofi@example.com", "items": [{"variantId": product.variant, "quantity": 1}],
               "shippingAddress": address(), "couponCode": code})
    };
    let call = |body: &Value| shop.post("/orders").header("idempotency-key", "k").json(body).send();
    let first = call(&body("ONCE")).await;
    assert_eq!(first.status, 201, "{}", first.text);
    // By now it is sold out and the coupon is used up, and that is no reason to refuse.
    let again = call(&body("ONCE")).await;
    assert_eq!((again.status, &again.text), (201, &first.text));
    assert_eq!(again.header("idempotency-replayed").as_deref(), Some("true"));
    call(&body("NONE")).await.expect_error(422, "VALIDATION_ERROR");
    // There are goods again, so nothing is in its way, and it is not placed twice.
    sqlx::query("update stock_levels set on_hand = on_hand + 5").execute(&shop.database.pool).await.unwrap();
    sqlx::query("update coupons set usage_limit = 9").execute(&shop.database.pool).await.unwrap();
    let again = call(&body("ONCE")).await;
    assert_eq!((again.status, &again.text), (201, &first.text));
    call(&json!({"email": "kofi@example.com", "shippingAddress": address(),
                 "items": [{"variantId": product.variant, "quantity": 2}]}))
    .await
    .expect_error(422, "VALIDATION_ERROR");
    assert_eq!(shop.database.count("select count(*) from orders").await, 1);
    assert_eq!(shop.database.count("select used_count::bigint from coupons").await, 1);
}
