//! Disputes, over real HTTP.
#![expect(clippy::unwrap_used, reason = "a test helper may panic")]

use crate::common::{Receiver, client, control, controlled, paid, start_sandbox};
use paystack::webhook::Event;
use paystack::{
    Dispute, DisputeStatus, Error, ListDisputes, ListRefunds, RefundStatus, Resolution, ResolveDispute,
    TransactionStatus,
};
use serde_json::{Value, json};

fn answer(resolution: Resolution, refund_amount: i64) -> ResolveDispute {
    ResolveDispute {
        resolution,
        message: "We have looked at it".to_owned(),
        refund_amount,
        uploaded_filename: String::new(),
        evidence: None,
    }
}

async fn next_dispute(receiver: &mut Receiver) -> (Event, Dispute) {
    loop {
        let event = receiver.next().await;
        if let Some(dispute) = event.dispute() {
            return (event, dispute.unwrap());
        }
    }
}

async fn open(url: &str, body: Value) -> u64 {
    let (status, data) = controlled(url, "disputes", body).await;
    assert_eq!(status, 200, "{data}");
    data["id"].as_u64().unwrap()
}

#[tokio::test]
async fn a_dispute_is_told_reminded_of_and_answered() {
    let mut receiver = Receiver::start(0).await;
    let url = start_sandbox(Some(receiver.url.clone()), None).await;
    let client = client(&url);
    let transaction = paid(&url, "d-1", "success").await;
    let id = open(&url, json!({ "reference": "d-1", "category": "fraud", "due_in_hours": 4 })).await;

    let (event, told) = next_dispute(&mut receiver).await;
    assert_eq!((event.name(), event.reference()), ("charge.dispute.create", Some("d-1")));
    assert_eq!(told, client.fetch_dispute(id).await.unwrap());
    assert_eq!((told.id, told.refund_amount, told.category.as_deref()), (id, Some(400_000), Some("fraud")));
    assert_eq!(told.status, DisputeStatus::AwaitingMerchantFeedback);
    assert_eq!((told.transaction_id, told.transaction_reference.as_deref()), (Some(transaction.id), Some("d-1")));
    assert_eq!((told.due_at.unwrap() - told.created_at.unwrap()).num_hours(), 4);

    assert_eq!(control(&url, &format!("disputes/{id}"), json!({ "event": "remind" })).await, 200);
    assert_eq!(next_dispute(&mut receiver).await.0.name(), "charge.dispute.remind");

    let resolved = client.resolve_dispute(id, &answer(Resolution::MerchantAccepted, 400_000)).await.unwrap();
    assert_eq!(resolved.status, DisputeStatus::Resolved);
    assert_eq!(resolved.resolution.as_deref(), Some("merchant-accepted"));
    assert!(resolved.resolved_at.is_some());
    let (event, told) = next_dispute(&mut receiver).await;
    assert_eq!((event.name(), told), ("charge.dispute.resolve", resolved));
    // All of it went back.
    assert_eq!(client.verify("d-1").await.unwrap().status, TransactionStatus::Reversed);
    let again = client.resolve_dispute(id, &answer(Resolution::Declined, 0)).await.unwrap_err();
    assert!(matches!(again, Error::Rejected { http_status: 400, .. }), "{again:?}");
}

#[tokio::test]
async fn what_nobody_answers_is_accepted_and_what_is_declined_is_kept() {
    let url = start_sandbox(None, None).await;
    let client = client(&url);
    for reference in ["d-1", "d-2"] {
        paid(&url, reference, "success").await;
    }
    let first = open(&url, json!({ "reference": "d-1", "refund_amount": 1_000 })).await;
    let second = open(&url, json!({ "reference": "d-2" })).await;
    assert_eq!(control(&url, &format!("disputes/{first}"), json!({ "event": "resolve" })).await, 200);
    let ended = client.fetch_dispute(first).await.unwrap();
    assert_eq!((ended.resolution.as_deref(), ended.refund_amount), (Some("auto-accepted"), Some(1_000)));
    // A part of the money: the transaction is still a success, and the part is a refund of the dispute.
    assert_eq!(client.verify("d-1").await.unwrap().status, TransactionStatus::Success);
    let refunds = client.list_refunds(&ListRefunds::default()).await.unwrap().items;
    assert_eq!(refunds.len(), 1);
    assert_eq!((refunds[0].dispute, refunds[0].amount), (Some(first), 1_000));
    assert_eq!((&refunds[0].status, refunds[0].transaction), (&RefundStatus::Processed, ended.transaction_id));

    let too_much = client.resolve_dispute(second, &answer(Resolution::MerchantAccepted, 400_001)).await;
    assert!(matches!(too_much, Err(Error::Rejected { http_status: 400, .. })), "{too_much:?}");
    client.resolve_dispute(second, &answer(Resolution::Declined, 0)).await.unwrap();
    assert_eq!(client.verify("d-2").await.unwrap().status, TransactionStatus::Success);
}

#[tokio::test]
async fn disputes_are_listed_and_unknown_ones_refused() {
    let url = start_sandbox(None, None).await;
    let client = client(&url);
    let transaction = paid(&url, "d-1", "success").await;
    paid(&url, "d-2", "success").await;
    let (first, second) =
        (open(&url, json!({ "reference": "d-1" })).await, open(&url, json!({ "reference": "d-2" })).await);
    client.resolve_dispute(first, &answer(Resolution::Declined, 0)).await.unwrap();
    let ids = |list: ListDisputes| {
        let client = client.clone();
        async move {
            let page = client.list_disputes(&list).await.unwrap();
            (page.items.iter().map(|dispute| dispute.id).collect::<Vec<_>>(), page.total)
        }
    };
    let all = ListDisputes::default();
    assert_eq!(ids(all.clone()).await, (vec![second, first], Some(2)));
    assert_eq!(ids(ListDisputes { per_page: Some(1), ..all.clone() }).await, (vec![second], Some(2)));
    let open = ListDisputes { status: Some(DisputeStatus::AwaitingMerchantFeedback), ..all.clone() };
    assert_eq!(ids(open).await.0, [second]);
    assert_eq!(ids(ListDisputes { transaction: Some(transaction.id), ..all }).await.0, [first]);

    assert!(matches!(client.fetch_dispute(1).await, Err(Error::NotFound)));
    let unknown = client.resolve_dispute(1, &answer(Resolution::Declined, 0)).await;
    assert!(matches!(unknown, Err(Error::NotFound)), "{unknown:?}");
    client.initialize(&crate::common::request("d-3")).await.unwrap();
    for (path, body) in [
        ("disputes", json!({ "reference": "unknown" })),
        ("disputes", json!({ "reference": "d-3" })),
        ("disputes/1", json!({ "event": "remind" })),
    ] {
        assert_eq!(control(&url, path, body.clone()).await, 404, "{path} {body}");
    }
    for body in [json!({ "event": "forget" }), json!({}), json!({ "event": "remind", "by": "mail" })] {
        assert_eq!(control(&url, &format!("disputes/{second}"), body.clone()).await, 400, "{body}");
    }
}
