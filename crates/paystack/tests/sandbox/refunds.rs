//! Money that goes back, over real HTTP: the client, the sandbox and its webhooks.
#![expect(clippy::unwrap_used, reason = "a test helper may panic")]

use std::time::Duration;

use crate::common::{Receiver, client, control, controlled, key, paid, start_sandbox, wait_for};
use chrono::Utc;
use paystack::{
    Client, ClientConfig, CreateRefund, Error, ListBanks, ListRefunds, Refund, RefundAccount, RefundEvent,
    RefundStatus, TransactionStatus,
};
use serde_json::json;

fn refund(reference: &str, amount: i64) -> CreateRefund {
    CreateRefund {
        transaction: reference.to_owned(),
        amount,
        currency: "NGN".to_owned(),
        customer_note: Some("Sorry".to_owned()),
        merchant_note: Some(format!("R-{amount}")),
    }
}

fn account() -> RefundAccount {
    RefundAccount { currency: "NGN".to_owned(), account_number: "0123456789".to_owned(), bank_id: "9".to_owned() }
}

async fn until(client: &Client, id: u64, status: RefundStatus) -> Refund {
    wait_for(|| async { Some(client.fetch_refund(id).await.unwrap()).filter(|refund| refund.status == status) }).await
}

async fn next_refund(receiver: &mut Receiver) -> RefundEvent {
    loop {
        if let Some(refund) = receiver.next().await.refund() {
            return refund.unwrap();
        }
    }
}

#[tokio::test]
async fn a_refund_goes_its_way_and_each_step_is_told() {
    let mut receiver = Receiver::start(0).await;
    let url = start_sandbox(Some(receiver.url.clone()), None).await;
    let client = client(&url);
    let transaction = paid(&url, "r-1", "success").await;

    let first = client.create_refund(&refund("r-1", 100_000)).await.unwrap();
    assert_eq!((first.amount, &first.status), (100_000, &RefundStatus::Pending));
    assert_eq!((first.transaction, first.transaction_reference.as_deref()), (Some(transaction.id), Some("r-1")));
    for status in [RefundStatus::Pending, RefundStatus::Processing, RefundStatus::Processed] {
        let event = next_refund(&mut receiver).await;
        assert_eq!(event.refund_reference.is_some(), status == RefundStatus::Processed);
        assert_eq!((event.status, event.amount, event.id), (status, 100_000, None));
        assert_eq!(event.transaction_reference, "r-1");
    }
    let done = until(&client, first.id, RefundStatus::Processed).await;
    assert_eq!((done.merchant_note.as_deref(), done.customer_note.as_deref()), (Some("R-100000"), Some("Sorry")));
    assert!(done.refunded_at.unwrap() >= done.created_at.unwrap());
    // A part: the transaction is still a success.
    assert_eq!(client.verify("r-1").await.unwrap().status, TransactionStatus::Success);

    // The rest, by the transaction's id.
    let rest = client.create_refund(&refund(&transaction.id.to_string(), 300_000)).await.unwrap();
    until(&client, rest.id, RefundStatus::Processed).await;
    assert_eq!(client.verify("r-1").await.unwrap().status, TransactionStatus::Reversed);
    let error = client.create_refund(&refund("r-1", 1)).await.unwrap_err();
    assert!(
        matches!(&error, Error::Rejected { http_status: 400, code: Some(code), .. } if code == "transaction_reversed"),
        "{error:?}"
    );
}

#[tokio::test]
async fn never_more_goes_back_than_was_paid() {
    let url = start_sandbox(None, None).await;
    let client = client(&url);
    paid(&url, "r-1", "success").await;
    let refused = |amount: i64| {
        let (client, url) = (client.clone(), url.clone());
        async move {
            let error = client.create_refund(&refund("r-1", amount)).await.unwrap_err();
            assert!(matches!(error, Error::Rejected { http_status: 400, .. }), "{amount} at {url}: {error:?}");
        }
    };
    refused(400_001).await;
    refused(0).await;
    refused(-1).await;
    client.create_refund(&refund("r-1", 399_999)).await.unwrap();
    refused(2).await;
    client.create_refund(&refund("r-1", 1)).await.unwrap();

    let other = CreateRefund { currency: "GHS".to_owned(), ..refund("r-2", 1) };
    paid(&url, "r-2", "success").await;
    assert!(matches!(client.create_refund(&other).await, Err(Error::Rejected { http_status: 400, .. })));
    paid(&url, "r-3", "declined").await;
    assert!(matches!(client.create_refund(&refund("r-3", 1)).await, Err(Error::Rejected { http_status: 400, .. })));
    assert!(matches!(client.create_refund(&refund("r-4", 1)).await, Err(Error::NotFound)));
}

#[tokio::test]
async fn a_card_decides_how_its_refund_ends() {
    let mut receiver = Receiver::start(0).await;
    let url = start_sandbox(Some(receiver.url.clone()), None).await;
    let client = client(&url);
    paid(&url, "f-1", "refund_fails").await;
    let failing = client.create_refund(&refund("f-1", 400_000)).await.unwrap();
    until(&client, failing.id, RefundStatus::Failed).await;
    // The merchant has the money again, and may give it back another way.
    assert_eq!(client.verify("f-1").await.unwrap().status, TransactionStatus::Success);
    client.create_refund(&refund("f-1", 400_000)).await.unwrap();

    paid(&url, "n-1", "refund_needs_attention").await;
    let stuck = client.create_refund(&refund("n-1", 5_000)).await.unwrap();
    assert!(matches!(client.retry_refund(stuck.id, &account()).await, Err(Error::Rejected { http_status: 422, .. })));
    until(&client, stuck.id, RefundStatus::NeedsAttention).await;
    let event = loop {
        let event = next_refund(&mut receiver).await;
        if event.status == RefundStatus::NeedsAttention {
            break event;
        }
    };
    assert_eq!((event.id, event.merchant_note.as_deref()), (Some(stuck.id), Some("R-5000")));
    let retried = client.retry_refund(stuck.id, &account()).await.unwrap();
    assert_eq!((retried.id, retried.status), (stuck.id, RefundStatus::Processing));
    until(&client, stuck.id, RefundStatus::Processed).await;
    assert!(matches!(client.retry_refund(1, &account()).await, Err(Error::NotFound)));
}

#[tokio::test]
async fn a_lost_answer_is_found_by_its_note() {
    let url = start_sandbox(None, None).await;
    let transaction = paid(&url, "r-1", "success").await;
    let config = ClientConfig { timeout: Duration::from_millis(300), ..ClientConfig::new(key()) };
    let hasty = Client::new(ClientConfig { base_url: url.clone(), ..config }).unwrap();
    // Only that call: reading in between is answered.
    control(&url, "faults", json!({ "timeout": 1, "calls": "POST /refund" })).await;
    client(&url).verify("r-1").await.unwrap();
    assert!(matches!(hasty.create_refund(&refund("r-1", 7_000)).await, Err(Error::Timeout)));
    let list = ListRefunds { transaction: Some(transaction.id), ..ListRefunds::default() };
    let found = client(&url).list_refunds(&list).await.unwrap();
    assert_eq!(found.total, Some(1));
    assert_eq!(found.items[0].merchant_note.as_deref(), Some("R-7000"));
}

#[tokio::test]
async fn refunds_are_listed_by_transaction_and_time() {
    let url = start_sandbox(None, None).await;
    let client = client(&url);
    let first = paid(&url, "l-1", "success").await;
    paid(&url, "l-2", "success").await;
    for (reference, amount) in [("l-1", 1_000), ("l-2", 2_000), ("l-1", 3_000)] {
        client.create_refund(&refund(reference, amount)).await.unwrap();
    }
    let amounts = |list: ListRefunds| {
        let client = client.clone();
        async move {
            let page = client.list_refunds(&list).await.unwrap();
            page.items.iter().map(|refund| refund.amount).collect::<Vec<_>>()
        }
    };
    let all = ListRefunds::default();
    assert_eq!(amounts(all.clone()).await, [3_000, 2_000, 1_000]);
    assert_eq!(amounts(ListRefunds { transaction: Some(first.id), ..all.clone() }).await, [3_000, 1_000]);
    assert_eq!(amounts(ListRefunds { transaction: Some(1), ..all.clone() }).await, Vec::<i64>::new());
    assert_eq!(amounts(ListRefunds { page: Some(2), per_page: Some(2), ..all.clone() }).await, [1_000]);
    let hour = chrono::Duration::hours(1);
    assert_eq!(amounts(ListRefunds { from: Some(Utc::now() + hour), ..all.clone() }).await, Vec::<i64>::new());
    assert_eq!(amounts(ListRefunds { to: Some(Utc::now() + hour), ..all }).await.len(), 3);
    assert!(matches!(client.fetch_refund(1).await, Err(Error::NotFound)));
}

#[tokio::test]
async fn held_refunds_move_by_hand_and_events_may_arrive_backwards() {
    let mut receiver = Receiver::start(0).await;
    let url = start_sandbox(Some(receiver.url.clone()), None).await;
    let client = client(&url);
    paid(&url, "h-1", "success").await;
    control(&url, "faults", json!({ "refunds": "held" })).await;
    let held = client.create_refund(&refund("h-1", 400_000)).await.unwrap();
    assert_eq!(next_refund(&mut receiver).await.status, RefundStatus::Pending);
    for status in ["failed", "processed"] {
        assert_eq!(control(&url, "refund", json!({ "id": held.id, "status": status })).await, 200);
        assert_eq!(next_refund(&mut receiver).await.status.as_str(), status);
        assert_eq!(client.fetch_refund(held.id).await.unwrap().status.as_str(), status);
    }
    assert_eq!(client.verify("h-1").await.unwrap().status, TransactionStatus::Reversed);
    assert_eq!(control(&url, "refund", json!({ "id": 1, "status": "failed" })).await, 404);
    assert_eq!(control(&url, "refund", json!({ "id": held.id, "status": "lost" })).await, 400);

    paid(&url, "h-2", "success").await;
    let waiting = client.create_refund(&refund("h-2", 5_000)).await.unwrap();
    assert_eq!(next_refund(&mut receiver).await.status, RefundStatus::Pending);
    // Let go, it goes on, and its events are overtaken by the later ones.
    control(&url, "faults", json!({ "webhook": "reordered" })).await;
    until(&client, waiting.id, RefundStatus::Processed).await;
    assert_eq!(next_refund(&mut receiver).await.status, RefundStatus::Processed);
    assert_eq!(next_refund(&mut receiver).await.status, RefundStatus::Processing);
}

#[tokio::test]
async fn banks_are_listed_by_country_and_currency() {
    let url = start_sandbox(None, None).await;
    let client = client(&url);
    let count = |country: Option<&str>, currency: Option<&str>| {
        let list = ListBanks {
            country: country.map(str::to_owned),
            currency: currency.map(str::to_owned),
            ..ListBanks::default()
        };
        let client = client.clone();
        async move { client.banks(&list).await.unwrap() }
    };
    let naira = count(None, Some("NGN")).await;
    assert!(naira.iter().any(|bank| bank.id == 21 && bank.name == "Zenith Bank" && bank.code == "057"));
    assert!(naira.iter().all(|bank| bank.currency.as_deref() == Some("NGN") && bank.is_active));
    assert_eq!(count(Some("nigeria"), None).await, naira);
    assert_eq!(count(Some("south africa"), None).await.len(), 1);
    assert!(count(None, None).await.len() > naira.len());
    let (status, _) = controlled(&url, "faults", json!({})).await;
    assert_eq!(status, 200);
}
