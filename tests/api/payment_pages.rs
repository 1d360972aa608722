//! What a shopper sees when the payment page sends him back.

use serde_json::{Value, json};

use crate::support::{Answer, TestApp};

async fn shop_with_order() -> (TestApp, String, Value, Value) {
    let shop = TestApp::start().await;
    let staff = shop.staff(agape::features::auth::Role::Admin).await;
    let product = shop.product(&staff, "KENTE", 100, 5).await;
    let ama = shop.customer("ama@example.com").await;
    let order = shop.order(&ama, &product, 1).await;
    let payment = shop.initialize(&ama, &order).await;
    (shop, ama, order, payment)
}

async fn result_page(shop: &TestApp, payment: &Value) -> String {
    let page =
        shop.get(&format!("//payments/callback?reference={}", payment["reference"].as_str().unwrap())).send().await;
    assert_eq!(page.status, 200, "{}", page.text);
    page.text
}

async fn press(shop: &TestApp, payment: &Value, form: &'static str) -> Answer {
    shop.post(payment["authorizationUrl"].as_str().unwrap()).form(form).send().await
}

/// The links of the sandbox's page are escaped in HTML.
fn link(payment: &Value) -> String {
    payment["authorizationUrl"].as_str().unwrap().replace('/', "&#x2f;")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_leaves_or_is_declined_may_pay_again() {
    let (shop, ama, order, payment) = shop_with_order().await;

    assert_eq!(press(&shop, &payment, "action=abandon").await.status, 303);
    let page = result_page(&shop, &payment).await;
    assert!(page.contains("You have not paid yet") && page.contains(&link(&payment)), "{page}");

    assert_eq!(press(&shop, &payment, "action=decline").await.status, 303);
    let page = result_page(&shop, &payment).await;
    assert!(page.contains("did not go through") && page.contains(&link(&payment)), "{page}");

    press(&shop, &payment, "action=pay&card=success").await;
    let page = result_page(&shop, &payment).await;
    assert!(page.contains("your payment has arrived") && !page.contains(&link(&payment)), "{page}");
    let order = shop.wait_for_status(&ama, &order, "paid").await;
    let timeline: Vec<&str> =
        order["timeline"].as_array().unwrap().iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(timeline, ["placed", "payment_failed", "paid"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_of_a_cancelled_order_says_so() {
    let (shop, ama, order, payment) = shop_with_order().await;
    let path = format!("/orders/{}/cancel", order["id"].as_str().unwrap());
    shop.post(&path).token(&ama).json(&json!({})).send().await.expect(200);
    let page = result_page(&shop, &payment).await;
    assert!(page.contains("This payment is over") && !page.contains(&link(&payment)), "{page}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn money_that_does_not_fit_is_not_called_pending() {
    let (shop, _, _, payment) = shop_with_order().await;
    let reference = payment["reference"].as_str().unwrap();
    let short = crate::support::charge_success(reference, 100, 1);
    shop.deliver(&short, crate::support::PAYSTACK_KEY).await.expect(200);
    shop.wait_for_jobs().await;
    let page = result_page(&shop, &payment).await;
    assert!(page.contains("we are looking at it"), "{page}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_have_an_icon_and_a_cut_off_link_is_explained() {
    let shop = TestApp::start().await;
    let icon = shop.get("//favicon.ico").send().await;
    assert_eq!((icon.status, icon.header("content-type").as_deref()), (200, Some("image/svg+xml")));
    let page = shop.get("//verify-email").send().await;
    assert!(page.text.contains("no longer works") && !page.text.contains("<button"), "{}", page.text);
}
