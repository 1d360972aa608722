//! From `initialize` over the hosted page to the webhook, over real HTTP.

use crate::common::{Receiver, browser, client, in_time, request, start_sandbox, submit};
use paystack::{Domain, InitializeTransaction, Metadata, TransactionStatus};
use serde_json::{Map, json};

#[tokio::test]
async fn a_payment_is_verified_and_announced_once() {
    let mut receiver = Receiver::start(0).await;
    let url = start_sandbox(Some(receiver.url.clone()), None).await;
    let client = client(&url);

    let fields = Map::from_iter([("order".to_owned(), json!("A-17"))]);
    let metadata = Metadata { cancel_action: None, fields };
    let started = client.initialize(&InitializeTransaction { metadata, ..request("a-1") }).await.unwrap();
    assert_eq!(started.reference, "a-1");
    assert_eq!(started.authorization_url, format!("{url}/checkout/{}", started.access_code));

    let before = client.verify("a-1").await.unwrap();
    assert_eq!(before.status, TransactionStatus::Abandoned);
    assert_eq!((before.amount, before.paid_at, before.fees), (400_000, None, None));
    assert_eq!(before.authorization, None);

    let (status, location) = submit(&started.authorization_url, "action=pay&card=success").await;
    assert_eq!(status, 303);
    assert_eq!(location, "http://shop.example/paid?lang=en&trxref=a-1&reference=a-1");

    let after = client.verify("a-1").await.unwrap();
    assert_eq!(after.status, TransactionStatus::Success);
    assert_eq!(after.domain, Domain::Test);
    assert!(after.id > u64::from(u32::MAX));
    assert_eq!((after.amount, after.requested_amount), (400_000, Some(400_000)));
    // 1.5 % and NGN 100.
    assert_eq!(after.fees, Some(16_000));
    assert_eq!(after.metadata, json!({ "order": "A-17" }));
    let authorization = after.authorization.clone().unwrap();
    assert_eq!(authorization.card_type.as_deref(), Some("visa"));
    assert_eq!(authorization.last4.as_deref(), Some("4081"));
    let customer = after.customer.clone().unwrap();
    assert_eq!(customer.email.as_deref(), Some("ama@example.com"));

    let event = receiver.next().await;
    assert_eq!(event.name(), "charge.success");
    assert_eq!(event.reference(), Some("a-1"));
    assert_eq!(event.charge().unwrap().unwrap(), after);
    assert_eq!(event.dedupe_key(), format!("charge.success:id={}", after.id));

    // Whatever is pressed afterwards changes nothing and announces nothing.
    for form in ["action=pay", "action=decline", "action=abandon"] {
        let (status, again) = submit(&started.authorization_url, form).await;
        assert_eq!((status.as_u16(), &again), (303, &location), "{form}");
    }
    assert_eq!(client.verify("a-1").await.unwrap(), after);
    // The next webhook is that of the next payment.
    let next = client.initialize(&request("a-2")).await.unwrap();
    submit(&next.authorization_url, "action=pay").await;
    assert_eq!(receiver.next().await.reference(), Some("a-2"));
}

#[tokio::test]
async fn a_declined_payment_stays_on_the_page_and_can_be_tried_again() {
    let mut receiver = Receiver::start(0).await;
    let url = start_sandbox(Some(receiver.url.clone()), None).await;
    let client = client(&url);
    let page = client.initialize(&request("b-1")).await.unwrap().authorization_url;

    for (form, words) in [
        ("action=decline", "Declined"),
        ("action=pay&card=insufficient_funds", "Insufficient Funds"),
        ("action=pay&card=declined", "Declined"),
    ] {
        let (status, location) = submit(&page, form).await;
        assert_eq!((status.as_u16(), &location), (303, &page), "{form}");
        let failed = client.verify("b-1").await.unwrap();
        assert_eq!(failed.status, TransactionStatus::Failed);
        assert_eq!(failed.gateway_response.as_deref(), Some(words));
        let html = browser().get(&page).send().await.unwrap().text().await.unwrap();
        assert!(html.contains(&format!("The payment failed: {words}")), "{html}");
    }

    submit(&page, "action=pay").await;
    assert_eq!(client.verify("b-1").await.unwrap().status, TransactionStatus::Success);
    // The first webhook is the success: the failures sent none.
    assert_eq!(receiver.next().await.charge().unwrap().unwrap().reference, "b-1");
    assert!(receiver.is_empty());
}

#[tokio::test]
async fn leaving_goes_to_the_cancel_action_or_back_to_the_shop() {
    let url = start_sandbox(None, None).await;
    let client = client(&url);
    let cancel = |url: &str| Metadata { cancel_action: Some(url.to_owned()), ..Metadata::default() };
    let callback =
        |reference: &str| format!("http://shop.example/paid?lang=en&trxref={reference}&reference={reference}");
    for (reference, metadata, target) in [
        ("c-1", Metadata::default(), callback("c-1")),
        ("c-2", cancel("http://shop.example/cart"), "http://shop.example/cart".to_owned()),
        ("c-3", cancel("javascript:alert(1)"), callback("c-3")),
    ] {
        let request = InitializeTransaction { metadata, ..request(reference) };
        let page = client.initialize(&request).await.unwrap().authorization_url;
        assert_eq!(submit(&page, "action=abandon").await, (303.try_into().unwrap(), target));
        let left = client.verify(reference).await.unwrap();
        assert_eq!(left.status, TransactionStatus::Abandoned);
    }

    let nowhere = InitializeTransaction { callback_url: None, ..request("c-4") };
    let page = client.initialize(&nowhere).await.unwrap().authorization_url;
    assert_eq!(submit(&page, "action=abandon").await.0, 200);
    assert_eq!(submit(&page, "action=pay").await.0, 200);
}

#[tokio::test]
async fn the_page_says_it_is_a_test_and_escapes_what_it_shows() {
    let url = start_sandbox(None, None).await;
    let client = client(&url);
    let email = "\"><b>x@example.com".to_owned();
    let started = client.initialize(&InitializeTransaction { email, ..request("d-1") }).await;
    let page = started.unwrap().authorization_url;

    let html = browser().get(&page).send().await.unwrap().text().await.unwrap();
    for part in ["no real money moves", "₦4,000.00", "Kente &amp; Co &lt;Accra&gt;", "d-1"] {
        assert!(html.contains(part), "{part} in {html}");
    }
    assert!(!html.contains("<b>") && !html.contains("<script"), "{html}");
    assert_eq!(html.matches("<form method=\"post\"").count(), 3);

    submit(&page, "action=pay").await;
    let html = browser().get(&page).send().await.unwrap().text().await.unwrap();
    assert!(html.contains("Already paid") && html.contains("shop.example"), "{html}");

    let unknown = browser().get(format!("{url}/checkout/none")).send().await.unwrap();
    assert_eq!(unknown.status(), 404);
    assert!(unknown.text().await.unwrap().contains("Payment not found"));
    assert_eq!(submit(&format!("{url}/checkout/none"), "action=pay").await.0, 404);

    let style = browser().get(format!("{url}/style.css")).send().await.unwrap();
    assert_eq!(style.headers()["content-type"], "text/css; charset=utf-8");
}

#[test]
fn a_restart_keeps_transactions_and_sends_what_was_left() {
    let folder = tempfile::tempdir().unwrap();
    // In a folder that does not exist yet.
    let file = folder.path().join("sandbox").join("state.json");
    let runtime = || tokio::runtime::Runtime::new().unwrap();

    // The first process has a receiver that refuses everything, and ends abruptly:
    // its tasks are dropped where they stand.
    let first = runtime();
    let (paid, open) = first.block_on(async {
        let refusing = Receiver::start(usize::MAX).await;
        let url = start_sandbox(Some(refusing.url), Some(file.clone())).await;
        let client = client(&url);
        let page = client.initialize(&request("e-1")).await.unwrap().authorization_url;
        submit(&page, "action=pay").await;
        client.initialize(&request("e-2")).await.unwrap();
        (client.verify("e-1").await.unwrap(), client.verify("e-2").await.unwrap())
    });
    first.shutdown_timeout(crate::common::DEADLINE);

    runtime().block_on(async {
        let mut receiver = Receiver::start(1).await;
        let url = start_sandbox(Some(receiver.url.clone()), Some(file.clone())).await;
        let client = client(&url);
        assert_eq!(client.verify("e-1").await.unwrap(), paid);
        assert_eq!(client.verify("e-2").await.unwrap(), open);
        assert!(client.initialize(&request("e-1")).await.unwrap_err().is_duplicate_reference());
        assert_eq!(receiver.next().await.charge().unwrap().unwrap(), paid);
        // Once delivered it is forgotten, so that no restart sends it again.
        in_time(async {
            while std::fs::read_to_string(&file).expect("a state file").contains("charge.success") {
                tokio::task::yield_now().await;
            }
        })
        .await;
    });
}
