//! Signatures and events.
#![expect(clippy::unwrap_used, reason = "a test helper may panic")]

use paystack::webhook::{Event, sign, verify_signature};
use paystack::{Error, TransactionStatus};
use secrecy::SecretString;
use serde_json::json;

const BODY: &[u8] = br#"{"event":"charge.success","data":{"reference":"kente-7"}}"#;
/// HMAC-SHA512 of `BODY` under `sk_test_lagos`, computed with OpenSSL.
const SIGNATURE: &str = "b1dabd48911af6e41d5504235cee46b9c015669ffe8b3278e87a5c01bcf394fa6281b53d8e65a30e08248487397056240647f676b456e2c273391ffcd1944e66";

fn lagos() -> SecretString {
    SecretString::from("sk_test_lagos")
}

#[test]
fn a_signature_made_elsewhere_verifies() {
    assert_eq!(sign(BODY, &lagos()), SIGNATURE);
    assert!(verify_signature(BODY, SIGNATURE, &[&lagos()]));
    // The same bytes in the other spelling of hex.
    assert!(verify_signature(BODY, &SIGNATURE.to_uppercase(), &[&lagos()]));
}

#[test]
fn after_a_rotation_the_old_and_the_new_key_count() {
    let accra = SecretString::from("sk_test_accra");
    assert!(verify_signature(BODY, SIGNATURE, &[&accra, &lagos()]));
    assert!(verify_signature(BODY, SIGNATURE, &[&lagos(), &accra]));
    assert!(!verify_signature(BODY, SIGNATURE, &[&accra]));
    assert!(!verify_signature(BODY, SIGNATURE, &[]));
}

#[test]
fn anything_else_does_not_verify() {
    for header in [
        "",
        "no hex",
        &SIGNATURE[..126],
        &SIGNATURE[..127],
        &format!("{SIGNATURE}00"),
        &format!("sha512={SIGNATURE}"),
        &format!("0{}", &SIGNATURE[1..]),
    ] {
        // The last one differs from the signature only if that begins otherwise.
        assert_ne!(header, SIGNATURE);
        assert!(!verify_signature(BODY, header, &[&lagos()]), "{header}");
    }
    for index in 0..BODY.len() {
        let mut body = BODY.to_vec();
        body[index] ^= 1;
        assert!(!verify_signature(&body, SIGNATURE, &[&lagos()]), "byte {index}");
    }
    // The same JSON in other bytes.
    let spaced = br#"{"event": "charge.success", "data": {"reference": "kente-7"}}"#;
    assert!(!verify_signature(spaced, SIGNATURE, &[&lagos()]));
    // Anyone can sign with an empty key.
    let empty = SecretString::from("");
    assert!(!verify_signature(BODY, &sign(BODY, &empty), &[&empty]));
}

fn event(name: &str, data: serde_json::Value) -> Event {
    Event::parse(json!({ "event": name, "data": data }).to_string().as_bytes()).unwrap()
}

#[test]
fn a_charge_event_carries_its_transaction() {
    let data = json!({
        "id": 7, "status": "success", "reference": "k-7", "amount": 5000, "currency": "GHS",
    });
    let charge = event("charge.success", data.clone());
    assert_eq!(charge.name(), "charge.success");
    assert_eq!(charge.charge().unwrap().unwrap().status, TransactionStatus::Success);
    let broken = event("charge.success", json!({ "reference": "k-7" }));
    assert!(matches!(broken.charge(), Some(Err(Error::Decode(_)))));
    assert!(event("transfer.success", data).charge().is_none());
}

#[test]
fn the_reference_is_found_where_each_event_has_it() {
    for (data, reference) in [
        (json!({ "reference": "k-1" }), Some("k-1")),
        (json!({ "transaction_reference": "k-2" }), Some("k-2")),
        (json!({ "transaction_reference": null, "transaction": { "reference": "k-3" } }), Some("k-3")),
        (json!({ "reference": "" }), None),
        (json!({ "reference": "k\u{0}4" }), None),
        (json!({ "reference": "k".repeat(201) }), None),
        (json!({}), None),
        (json!([{ "reference": "k-4" }]), None),
        (json!(null), None),
    ] {
        assert_eq!(event("any", data.clone()).reference(), reference, "{data}");
    }
}

#[test]
fn deliveries_of_one_event_share_a_key() {
    let key = |name: &str, data| event(name, data).dedupe_key();
    assert_eq!(key("charge.success", json!({ "id": 9 })), "charge.success:id=9");
    assert_eq!(key("charge.dispute.remind", json!({ "id": "9" })), "charge.dispute.remind:id=9");
    assert_eq!(key("transfer.failed", json!({ "id": 9 })), "transfer.failed:id=9");
    let refund = |reference, amount| {
        let data = json!({
            "transaction_reference": "k-1", "refund_reference": reference, "amount": amount,
        });
        key("refund.processed", data)
    };
    assert_eq!(refund(json!("TRF_1"), json!("700")), "refund.processed:transaction=k-1:refund=TRF_1");
    // A number and a string of the same amount are the same refund.
    assert_eq!(refund(json!(null), json!("700")), refund(json!(null), json!(700)));
    assert_ne!(refund(json!(null), json!(700)), refund(json!(null), json!(800)));

    // Nothing to go by: the body itself.
    let other = key("invoice.create", json!({ "id": 9 }));
    assert_eq!(other, key("invoice.create", json!({ "id": 9 })));
    assert_ne!(other, key("invoice.create", json!({ "id": 10 })));
    assert!(other.starts_with("invoice.create:sha256="));
    assert!(key("charge.success", json!({})).starts_with("charge.success:sha256="));
    assert!(key("refund.failed", json!({ "amount": 1 })).starts_with("refund.failed:sha256="));
    assert!(key("charge.success", json!({ "id": "9".repeat(500) })).starts_with("charge.success:sha256="));
}

#[test]
fn what_is_no_event_is_an_error() {
    let long = format!(r#"{{"event":"{}"}}"#, "x".repeat(101));
    for body in [long.as_str(), "", "{", "null", "[]", "\"charge.success\"", "{}", r#"{"event":""}"#, r#"{"event":{}}"#]
    {
        assert!(matches!(Event::parse(body.as_bytes()), Err(Error::Decode(_))), "{body}");
    }
    // An event without data is one all the same.
    assert!(Event::parse(br#"{"event":"brand.new"}"#).unwrap().data().is_null());
}
