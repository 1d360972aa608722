//! Input that no honest client sends: it is refused with a clear answer, never with a failure of ours.

use serde_json::json;

use crate::support::{TestApp, address};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn zero_bytes_are_refused_wherever_they_stand() {
    let shop = TestApp::start().await;
    for path in [
        "/products/%00",
        "/products/a%00b",
        "//media/demo/%00.png",
        "/products?category=%00",
        "/products?search=a%00",
        "/products/search?q=%00",
        "//payments/callback?reference=%00",
    ] {
        shop.get(path).send().await.expect_error(400, "VALIDATION_ERROR");
    }
    shop.post("/payments/%00/verify").send().await.expect_error(400, "VALIDATION_ERROR");
    shop.get("/products/%FF").send().await.expect_error(404, "NOT_FOUND");
    shop.post("/payments/%FF/verify").send().await.expect_error(404, "NOT_FOUND");
    let staff = shop.staff(agape::features::auth::Role::Admin).await;
    let body = json!({"sku": "Z", "title": "Z", "price": 1, "inventory": 1, "metadata": {"weaver": "a\u{0}"}});
    let fields = shop.post("/products").token(&staff).json(&body).send().await.expect_error(400, "VALIDATION_ERROR");
    assert_eq!(fields, ["metadata.weaver"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ghanaian_orders_with_the_number_as_it_is_dialled() {
    let shop = TestApp::start().await;
    let staff = shop.staff(agape::features::auth::Role::Admin).await;
    let product = shop.product(&staff, "KENTE", 100, 5).await;
    let mut address = address();
    address["phone"] = json!("024 123 4567");
    address["country"] = json!("Ghana");
    let body = json!({
        "email": "kofi@example.com",
        "items": [{"variantId": product.variant, "quantity": 1}],
        "shippingAddress": address,
    });
    let order = shop.post("/orders").json(&body).send().await.expect(201)["order"].clone();
    assert_eq!(order["shippingAddress"]["phone"], "+233241234567");
    assert_eq!(order["shippingAddress"]["country"], "GH");
    shop.wait_for_jobs().await;
    let mail = shop.database.text("select body_text from emails where kind = 'order_confirmation'").await.unwrap();
    assert!(mail.contains("Ghana"), "{mail}");
}

#[tokio::test]
async fn a_list_is_not_taken_for_an_object() {
    let shop = TestApp::start().await;
    for body in [r#"["arr@example.com","Test@1234","Array",null,null]"#, " []"] {
        let answer = shop.post("/auth/register").raw(body).send().await;
        answer.expect_error(400, "VALIDATION_ERROR");
        assert!(answer.body["message"].as_str().unwrap().contains("must be an object"), "{}", answer.text);
    }
    assert_eq!(shop.database.count("select count(*) from users").await, 0);
}

#[tokio::test]
async fn answers_with_tokens_are_not_kept() {
    let shop = TestApp::start().await;
    let body = json!({"email": "ama@example.com", "password": "Test@1234", "name": "Ama"});
    let answer = shop.post("/auth/register").json(&body).send().await;
    assert_eq!(answer.header("cache-control").as_deref(), Some("no-store"));
}
