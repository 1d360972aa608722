//! The page's means of payment, and what may be chosen to go wrong.
#![expect(clippy::unwrap_used, reason = "a test helper may panic")]

use crate::common::{Receiver, browser, client, control, paid, request, start_sandbox, submit};
use paystack::{Domain, InitializeTransaction, TransactionStatus};
use serde_json::json;

async fn html(page: &str) -> String {
    browser().get(page).send().await.unwrap().text().await.unwrap()
}

#[tokio::test]
async fn some_cards_ask_first() {
    let url = start_sandbox(None, None).await;
    let client = client(&url);
    for (card, last4, brand) in
        [("pin", "7812", "verve"), ("pin_otp", "6666", "verve"), ("bank_auth", "4796", "mastercard")]
    {
        let page = client.initialize(&request(card.replace('_', "-").as_str())).await.unwrap();
        let (reference, page) = (page.reference, page.authorization_url);
        let form = format!("action=pay&card={card}").leak();
        assert_eq!(submit(&page, form).await.1, page);
        assert_eq!(client.verify(&reference).await.unwrap().status, TransactionStatus::Ongoing);
        let shown = html(&page).await;
        assert!(shown.contains("The bank asks") && shown.contains("Confirm"), "{shown}");
        submit(&page, "action=confirm").await;
        let done = client.verify(&reference).await.unwrap();
        let authorization = done.authorization.unwrap();
        assert_eq!(done.status, TransactionStatus::Success);
        assert_eq!((authorization.last4.as_deref(), authorization.brand.as_deref()), (Some(last4), Some(brand)));
    }
    // Nothing to confirm: nothing happens.
    let page = client.initialize(&request("x-1")).await.unwrap().authorization_url;
    for form in ["action=confirm", "action=approve", "action=time_out"] {
        submit(&page, form).await;
        assert_eq!(client.verify("x-1").await.unwrap().status, TransactionStatus::Abandoned, "{form}");
    }
}

#[tokio::test]
async fn mobile_money_waits_for_the_phone() {
    let mut receiver = Receiver::start(0).await;
    let url = start_sandbox(Some(receiver.url.clone()), None).await;
    let client = client(&url);
    let waiting = paid(&url, "m-1", "mobile_money").await;
    assert_eq!((waiting.status, waiting.paid_at), (TransactionStatus::Pending, None));
    assert!(receiver.is_empty());
    // Leaving the page does not take the request off the phone.
    assert_eq!(control(&url, "payment", json!({ "reference": "m-1", "action": "abandon" })).await, 200);
    assert_eq!(client.verify("m-1").await.unwrap().status, TransactionStatus::Pending);
    assert_eq!(control(&url, "payment", json!({ "reference": "m-1", "action": "approve" })).await, 200);
    let charged = receiver.next().await.charge().unwrap().unwrap();
    assert_eq!((charged.status, charged.channel.as_deref()), (TransactionStatus::Success, Some("mobile_money")));

    paid(&url, "m-2", "mobile_money").await;
    control(&url, "payment", json!({ "reference": "m-2", "action": "time_out" })).await;
    let late = client.verify("m-2").await.unwrap();
    assert_eq!((late.status, late.gateway_response.as_deref()), (TransactionStatus::Failed, Some("Timed out")));
    assert_eq!(control(&url, "payment", json!({ "reference": "m-3", "action": "pay" })).await, 404);
    for body in [json!({ "action": "steal" }), json!({ "action": "pay", "crad": "success" }), json!({})] {
        let mut body = body;
        body["reference"] = json!("m-2");
        assert_eq!(control(&url, "payment", body.clone()).await, 400, "{body}");
    }
}

#[tokio::test]
async fn the_page_chooses_what_goes_wrong() {
    let mut receiver = Receiver::start(0).await;
    let url = start_sandbox(Some(receiver.url.clone()), None).await;
    let client = client(&url);
    let choices = [
        ("action=pay&webhook=&taken=", 400_000, "NGN", Domain::Test),
        ("action=pay&taken=exact", 400_000, "NGN", Domain::Test),
        ("action=pay&taken=less", 399_900, "NGN", Domain::Test),
        ("action=pay&taken=more", 400_100, "NGN", Domain::Test),
        ("action=pay&taken=other_currency", 400_000, "USD", Domain::Test),
        ("action=pay&taken=other_mode", 400_000, "NGN", Domain::Live),
    ];
    for (number, (form, amount, currency, domain)) in choices.into_iter().enumerate() {
        let reference = format!("t-{number}");
        let page = client.initialize(&request(&reference)).await.unwrap().authorization_url;
        submit(&page, form).await;
        let charged = receiver.next().await.charge().unwrap().unwrap();
        assert_eq!((charged.amount, charged.currency.as_str(), &charged.domain), (amount, currency, &domain), "{form}");
        assert_eq!(client.verify(&reference).await.unwrap(), charged);
    }
    // The page is stronger than what is set for all.
    control(&url, "faults", json!({ "webhook": "none", "taken": "less" })).await;
    let page = client.initialize(&request("w-1")).await.unwrap().authorization_url;
    submit(&page, "action=pay&webhook=duplicate").await;
    let (one, two) = (receiver.next().await, receiver.next().await);
    assert_eq!((one.charge().unwrap().unwrap().amount, &one), (399_900, &two));
    // What a form does not know is refused, and nothing happens.
    let page = client.initialize(&request("w-2")).await.unwrap().authorization_url;
    for form in ["action=pay&taken=all", "action=pay&webhook=never", "action=pay&card=gold", "card=success"] {
        assert_eq!(submit(&page, form).await.0, 422, "{form}");
    }
    assert_eq!(client.verify("w-2").await.unwrap().status, TransactionStatus::Abandoned);
}

#[tokio::test]
async fn an_amount_may_ask_for_a_fault() {
    let mut receiver = Receiver::start(0).await;
    let url = start_sandbox(Some(receiver.url.clone()), None).await;
    let client = client(&url);
    let start = |reference: &'static str, amount: i64| {
        let client = client.clone();
        async move { client.initialize(&InitializeTransaction { amount, ..request(reference) }).await }
    };
    // Only where it is switched on.
    let page = start("a-1", 400_911).await.unwrap().authorization_url;
    submit(&page, "action=pay").await;
    assert_eq!(receiver.next().await.charge().unwrap().unwrap().amount, 400_911);

    control(&url, "faults", json!({ "magic_amounts": true })).await;
    let page = start("a-2", 400_911).await.unwrap().authorization_url;
    assert!(html(&page).await.contains("one main unit too little"));
    submit(&page, "action=pay").await;
    assert_eq!(receiver.next().await.charge().unwrap().unwrap().amount, 400_811);
    let page = start("a-3", 400_902).await.unwrap().authorization_url;
    submit(&page, "action=pay").await;
    assert_eq!(receiver.next().await, receiver.next().await);

    // A start that is refused once is not refused again.
    for (reference, amount) in [("a-4", 400_922), ("a-5", 400_923)] {
        assert!(start(reference, amount).await.unwrap_err().is_transient());
        start(reference, amount).await.unwrap();
    }
    let page = start("a-6", 400_901).await.unwrap().authorization_url;
    submit(&page, "action=pay").await;
    let page = start("a-7", 400_000).await.unwrap().authorization_url;
    submit(&page, "action=pay").await;
    assert_eq!(receiver.next().await.reference(), Some("a-7"));
}
