//! Reading transactions in all the shapes Paystack gives them.
#![expect(clippy::unwrap_used, reason = "a test helper may panic")]

use paystack::{Domain, Error, InvalidReference, Reference, Transaction, TransactionStatus};
use serde_json::{Value, json};

/// The least a transaction can have, with `key` set to `value`.
fn with(key: &str, value: Value) -> Value {
    let mut data = json!({
        "id": 5_123_456_789_u64,
        "status": "success",
        "reference": "adire-3",
        "amount": 250_000,
        "currency": "NGN",
    });
    data[key] = value;
    data
}

fn read(data: &Value) -> Transaction {
    Transaction::try_from(data).unwrap()
}

#[test]
fn a_full_transaction_is_read() {
    let transaction = read(&json!({
        "id": 5_123_456_789_u64,
        "domain": "live",
        "status": "success",
        "reference": "adire-3",
        "amount": 255_000,
        "requested_amount": 250_000,
        "currency": "GHS",
        "fees": 4973,
        "channel": "mobile_money",
        "gateway_response": "Approved",
        "paid_at": "2026-02-03T10:11:12.345Z",
        "createdAt": "2026-02-03T10:10:00.000Z",
        "metadata": { "order": 12 },
        "authorization": {
            "authorization_code": "AUTH_k2", "bin": "055XXX", "last4": "X987", "exp_month": 12,
            "card_type": "visa ", "bank": "Some Bank", "reusable": 0, "signature": null,
        },
        "customer": { "id": 3, "email": "kofi@example.com", "customer_code": "CUS_k", "phone": "" },
        "plan": {},
        "something_new": [1, 2, 3],
    }));
    assert_eq!(transaction.id, 5_123_456_789);
    assert_eq!(transaction.domain, Domain::Live);
    assert_eq!((transaction.amount, transaction.requested_amount), (255_000, Some(250_000)));
    assert_eq!(transaction.fees, Some(4973));
    assert_eq!(transaction.paid_at.unwrap().timestamp_millis(), 1_770_113_472_345);
    assert_eq!(transaction.created_at.unwrap().timestamp(), 1_770_113_400);
    assert_eq!(transaction.metadata["order"], 12);
    let authorization = transaction.authorization.unwrap();
    assert_eq!(authorization.exp_month.as_deref(), Some("12"));
    assert_eq!(authorization.card_type.as_deref(), Some("visa"));
    assert_eq!(authorization.reusable, Some(false));
    assert_eq!(authorization.signature, None);
    let customer = transaction.customer.unwrap();
    assert_eq!(customer.email.as_deref(), Some("kofi@example.com"));
    assert_eq!(customer.phone, None);
}

#[test]
fn absent_objects_come_in_many_shapes() {
    for nothing in [json!({}), json!(null), json!(0), json!(""), json!([]), json!("x")] {
        for key in ["authorization", "customer"] {
            let transaction = read(&with(key, nothing.clone()));
            assert!(transaction.authorization.is_none() && transaction.customer.is_none());
        }
        for key in ["plan", "log", "split", "paid_at", "domain", "channel", "subaccount"] {
            read(&with(key, nothing.clone()));
        }
    }
    let bare = read(&with("metadata", json!(null)));
    assert_eq!((bare.metadata, bare.paid_at, bare.fees), (Value::Null, None, None));
    assert_eq!(bare.domain, Domain::Other(String::new()));
    for metadata in [json!(""), json!(0), json!("{\"a\":1}")] {
        assert_eq!(read(&with("metadata", metadata.clone())).metadata, metadata);
    }
}

#[test]
fn numbers_may_be_strings() {
    assert_eq!(read(&with("amount", json!("250000"))).amount, 250_000);
    assert_eq!(read(&with("id", json!("5123456789"))).id, 5_123_456_789);
    assert_eq!(read(&with("id", json!(u64::MAX))).id, u64::MAX);
}

#[test]
fn what_money_hangs_on_must_be_there() {
    for (key, value) in [
        ("amount", json!("2,500")),
        ("amount", json!(2500.5)),
        ("amount", json!(null)),
        ("amount", json!(-1)),
        ("amount", json!("-250000")),
        ("currency", json!("")),
        ("status", json!(true)),
        ("reference", json!(null)),
        ("id", json!(-1)),
    ] {
        let error = Transaction::try_from(&with(key, value)).unwrap_err();
        assert!(matches!(&error, Error::Decode(text) if text.contains(key)), "{error}");
    }
    for data in [json!(null), json!([]), json!("success")] {
        assert!(Transaction::try_from(&data).is_err());
    }
}

#[test]
fn no_text_holds_what_a_database_refuses() {
    assert_eq!(read(&with("channel", json!("ca\u{0}rd"))).channel.as_deref(), Some("card"));
    assert_eq!(read(&with("gateway_response", json!("\u{0}"))).gateway_response, None);
}

#[test]
fn an_unknown_status_is_kept() {
    for known in ["success", "failed", "abandoned", "ongoing", "pending", "processing", "queued", "reversed"] {
        let status = TransactionStatus::from(known);
        assert_eq!(status.as_str(), known);
        assert!(!matches!(status, TransactionStatus::Other(_)));
        assert_eq!(status.is_final(), matches!(known, "success" | "failed" | "reversed"));
    }
    let status = read(&with("status", json!("frozen"))).status;
    assert_eq!(status, TransactionStatus::Other("frozen".to_owned()));
    assert!(!status.is_final());
}

#[test]
fn a_reference_has_paystacks_characters() {
    for good in ["a", "A-1.b=2", "0", &"x".repeat(50), "..."] {
        assert_eq!(Reference::new(good).unwrap().as_str(), good);
    }
    for bad in ["", ".", "..", "a_1", "a/1", "a b", "a#1", "é", "a\n", &"x".repeat(51)] {
        assert_eq!(Reference::new(bad), Err(InvalidReference), "{bad}");
    }
    assert_eq!("k-1".parse::<Reference>().unwrap().to_string(), "k-1");
}
