//! Reading refunds, disputes and banks in all the shapes Paystack gives them.
#![expect(clippy::unwrap_used, reason = "a test helper may panic")]

use paystack::webhook::Event;
use paystack::{Bank, Dispute, DisputeStatus, Domain, Error, Refund, RefundAccount, RefundStatus};
use paystack::{CreateRefund, Resolution, ResolveDispute};
use serde_json::{Value, json};

fn event(name: &str, data: &Value) -> Event {
    Event::parse(json!({ "event": name, "data": data }).to_string().as_bytes()).unwrap()
}

#[test]
fn a_created_refund_holds_its_transaction() {
    let refund = Refund::try_from(&json!({
        "transaction": { "id": 7_004_723_697_u64, "reference": "adire-3", "amount": 10_000, "customer": {} },
        "id": 3_018_284, "status": "pending", "amount": 4_000, "currency": "NGN", "domain": "test",
        "merchant_note": "R-1", "customer_note": "Sorry", "fully_deducted": false, "deducted_amount": 0,
        "createdAt": "2026-02-03T10:10:00.000Z", "channel": null,
    }))
    .unwrap();
    assert_eq!(refund.transaction, Some(7_004_723_697));
    assert_eq!(refund.transaction_reference.as_deref(), Some("adire-3"));
    assert_eq!((refund.id, refund.amount, refund.status), (3_018_284, 4_000, RefundStatus::Pending));
    assert_eq!(refund.merchant_note.as_deref(), Some("R-1"));
    assert_eq!(refund.created_at.unwrap().timestamp(), 1_770_113_400);
    assert_eq!(refund.refunded_at, None);
}

#[test]
fn a_listed_refund_names_its_transaction_by_number() {
    let data = json!({
        "id": "12", "transaction": 1641, "amount": "500000", "status": "processed", "fully_deducted": 1,
        "created_at": "2026-02-03T10:10:00.000Z", "refunded_at": "2026-02-04T10:10:00.000Z", "currency": null,
    });
    let refund = Refund::try_from(&data).unwrap();
    assert_eq!((refund.id, refund.transaction, refund.transaction_reference), (12, Some(1641), None));
    assert_eq!((refund.amount, refund.currency, refund.status), (500_000, None, RefundStatus::Processed));
    assert!(refund.created_at.unwrap() < refund.refunded_at.unwrap());
}

#[test]
fn what_a_refund_hangs_on_must_be_there() {
    let whole = json!({ "id": 1, "amount": 5, "status": "failed" });
    assert!(Refund::try_from(&whole).is_ok());
    for key in ["id", "amount", "status"] {
        let mut data = whole.clone();
        data[key] = json!({});
        let error = Refund::try_from(&data).unwrap_err();
        assert!(matches!(&error, Error::Decode(text) if text.contains(key)), "{error}");
    }
}

/// Amounts are texts in some events and numbers in others; only one kind has an id, as a text.
#[test]
fn refund_events_are_read_whatever_their_types() {
    for (name, amount, extra) in [
        ("pending", json!("10000"), json!({ "refund_reference": null })),
        ("processing", json!("10000"), json!({ "refund_reference": null })),
        ("processed", json!("10000"), json!({ "refund_reference": "132013318360" })),
        ("failed", json!(10_000), json!({ "refund_reference": "TRF_1" })),
        (
            "needs-attention",
            json!(10_000),
            json!({ "refund_reference": "TRF_1", "id": "123456", "merchant_note": "R-1" }),
        ),
    ] {
        let mut data = extra.clone();
        data["status"] = json!(name);
        data["transaction_reference"] = json!("adire-3");
        data["amount"] = amount;
        data["domain"] = json!("live");
        data["customer"] = json!({ "first_name": null });
        let event = event(&format!("refund.{name}"), &data);
        assert_eq!(event.reference(), Some("adire-3"));
        let refund = event.refund().unwrap().unwrap();
        assert_eq!((refund.amount, refund.status.as_str(), refund.domain), (10_000, name, Domain::Live));
        assert_eq!(refund.refund_reference.as_deref(), extra["refund_reference"].as_str());
        assert_eq!(refund.id, extra["id"].as_str().map(|id| id.parse().unwrap()));
        assert_eq!(refund.merchant_note.as_deref(), extra["merchant_note"].as_str());
        assert!(!matches!(refund.status, RefundStatus::Other(_)));
        assert!(event.charge().is_none() && event.dispute().is_none());
    }
    assert!(matches!(event("refund.failed", &json!({})).refund(), Some(Err(Error::Decode(_)))));
    assert!(event("charge.success", &json!({})).refund().is_none());
    assert_eq!(RefundStatus::from("lost").to_string(), "lost");
}

#[test]
fn a_dispute_is_read_from_an_answer_and_from_an_event() {
    let data = json!({
        "id": 358_950, "refund_amount": 5_800, "currency": "NGN", "status": "awaiting-merchant-feedback",
        "resolution": null, "domain": "live", "category": "chargeback", "transaction_reference": null,
        "transaction": { "id": 896_467_688, "reference": "adire-3", "status": "success", "metadata": "" },
        "dueAt": "2026-02-05T10:10:00.000Z", "resolvedAt": null, "attachments": null,
        "created_at": "2026-02-03T10:10:00.000Z", "updated_at": "2026-02-03T10:11:00.000Z",
    });
    let dispute = Dispute::try_from(&data).unwrap();
    assert_eq!((dispute.id, dispute.refund_amount), (358_950, Some(5_800)));
    assert_eq!(dispute.status, DisputeStatus::AwaitingMerchantFeedback);
    assert_eq!(dispute.transaction_id, Some(896_467_688));
    assert_eq!(dispute.transaction_reference.as_deref(), Some("adire-3"));
    assert!(dispute.created_at.unwrap() < dispute.due_at.unwrap() && dispute.updated_at.is_some());
    assert_eq!((&dispute.resolution, dispute.resolved_at), (&None, None));
    assert_eq!(event("charge.dispute.create", &data).dispute().unwrap().unwrap(), dispute);
    assert!(event("charge.dispute.create", &data).charge().is_none());
    assert!(event("charge.success", &data).dispute().is_none());

    // Some answers give the number only, and leave out nearly everything.
    let bare = Dispute::try_from(&json!({
        "id": 1, "status": "archived", "transaction": 5, "merchant_transaction_reference": "adire-4", "category": null,
    }))
    .unwrap();
    assert_eq!((bare.transaction_id, bare.transaction_reference.as_deref()), (Some(5), Some("adire-4")));
    assert_eq!(bare.status, DisputeStatus::Archived);
    for word in ["awaiting-bank-feedback", "pending", "resolved", "strange"] {
        assert_eq!(DisputeStatus::from(word).to_string(), word);
    }
    for key in ["id", "status"] {
        let mut broken = data.clone();
        broken[key] = json!(null);
        assert!(matches!(Dispute::try_from(&broken), Err(Error::Decode(text)) if text.contains(key)));
    }
}

#[test]
fn a_bank_is_read() {
    let data = json!({
        "id": 174, "name": "Abbey Mortgage Bank", "code": "801", "country": "Nigeria", "currency": "NGN",
        "type": "nuban", "active": true, "is_deleted": null, "longcode": "", "gateway": null,
    });
    let bank = Bank::try_from(&data).unwrap();
    assert_eq!((bank.id, bank.name.as_str(), bank.code.as_str()), (174, "Abbey Mortgage Bank", "801"));
    assert_eq!((bank.currency.as_deref(), bank.kind.as_deref(), bank.is_active), (Some("NGN"), Some("nuban"), true));
    for (key, value) in [("active", json!(false)), ("is_deleted", json!(1))] {
        let mut data = data.clone();
        data[key] = value;
        assert!(!Bank::try_from(&data).unwrap().is_active);
    }
}

#[test]
fn what_is_sent_has_paystacks_names() {
    let refund = CreateRefund {
        transaction: "adire-3".to_owned(),
        amount: 4_000,
        currency: "NGN".to_owned(),
        customer_note: None,
        merchant_note: Some("R-1".to_owned()),
    };
    let sent = json!({ "transaction": "adire-3", "amount": 4_000, "currency": "NGN", "merchant_note": "R-1" });
    assert_eq!(serde_json::to_value(refund).unwrap(), sent);
    let answer = ResolveDispute {
        resolution: Resolution::MerchantAccepted,
        message: "We agree".to_owned(),
        refund_amount: 4_000,
        uploaded_filename: String::new(),
        evidence: None,
    };
    let sent = json!({
        "resolution": "merchant-accepted", "message": "We agree", "refund_amount": 4_000, "uploaded_filename": "",
    });
    assert_eq!(serde_json::to_value(answer).unwrap(), sent);
    assert_eq!(serde_json::to_value(Resolution::Declined).unwrap(), "declined");
    let account =
        RefundAccount { currency: "NGN".to_owned(), account_number: "0123456789".to_owned(), bank_id: "9".to_owned() };
    assert!(!format!("{account:?}").contains("0123456789"));
}
