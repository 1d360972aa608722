//! What is known of a stored event, and what staff may see of its body.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// Where a stored event stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, sqlx::Type, ToSchema)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub(super) enum EventStatus {
    /// A job works on it, or will.
    Received,
    /// It was worked on.
    Processed,
    /// There is nothing to do about it.
    Ignored,
    /// It cannot be worked on; somebody has to look at it.
    Failed,
}

/// Whether each delivery of an event is work. Two refunds of one amount have notices that look alike, and a dispute is reminded of
/// more than once under one number.
pub(super) fn is_always_work(event: &str) -> bool {
    ["refund.", "charge.dispute."].iter().any(|group| event.starts_with(group))
}

/// The body of an event whose person was erased, or whose time is over.
pub(super) const EMPTIED: &[u8] = b"{}";

/// Fields whose texts and numbers staff may see. All others may be about the person who paid, or open his card.
const SHOWN: [&str; 37] = [
    "amount",
    "brand",
    "card_type",
    "category",
    "channel",
    "country_code",
    "created_at",
    "createdAt",
    "currency",
    "domain",
    "due_at",
    "dueAt",
    "event",
    "fees",
    "gateway_response",
    "id",
    "last4",
    "merchant_transaction_reference",
    "message_type",
    "paid_at",
    "paidAt",
    "processor",
    "reference",
    "refund_amount",
    "refund_reference",
    "requested_amount",
    "resolution",
    "resolved_at",
    "resolvedAt",
    "reusable",
    "status",
    "transaction_reference",
    "transferred_at",
    "type",
    "updated_at",
    "updatedAt",
    "fully_deducted",
];

/// What stands where something is not shown.
const HIDDEN: &str = "[hidden]";

/// A body without what may be personal or secret. Its shape stays; free fields such as `metadata` go as a whole.
pub(super) fn mask(body: Value) -> Value {
    match body {
        Value::Object(fields) => Value::Object(fields.into_iter().map(|(key, value)| mask_field(key, value)).collect()),
        Value::Array(items) => Value::Array(items.into_iter().map(mask).collect()),
        Value::Null | Value::Bool(_) => body,
        Value::Number(_) | Value::String(_) => HIDDEN.into(),
    }
}

fn mask_field(key: String, value: Value) -> (String, Value) {
    let value = match value {
        Value::Number(_) | Value::String(_) if SHOWN.contains(&key.as_str()) => value,
        Value::Object(_) | Value::Array(_) if matches!(key.as_str(), "metadata" | "log" | "custom_fields") => {
            HIDDEN.into()
        }
        value => mask(value),
    };
    (key, value)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nothing_personal_or_secret_is_shown() {
        let body = json!({
            "event": "charge.success",
            "data": {
                "id": 7, "reference": "AGP-1", "amount": 5000, "ip_address": "203.0.113.1", "metadata": {"id": "Ama"},
                "customer": {"id": 9, "email": "ama@example.com", "phone": null, "first_name": "Ama"},
                "authorization": {"authorization_code": "AUTH_x", "bin": "408408", "last4": "4081", "reusable": true},
                "messages": [{"sender": "ama@example.com", "body": "no goods", "createdAt": "2026-11-28T10:00:00Z"}],
            },
        });
        let expected = json!({
            "event": "charge.success",
            "data": {
                "id": 7, "reference": "AGP-1", "amount": 5000, "ip_address": "[hidden]", "metadata": "[hidden]",
                "customer": {"id": 9, "email": "[hidden]", "phone": null, "first_name": "[hidden]"},
                "authorization": {"authorization_code": "[hidden]", "bin": "[hidden]", "last4": "4081", "reusable": true},
                "messages": [{"sender": "[hidden]", "body": "[hidden]", "createdAt": "2026-11-28T10:00:00Z"}],
            },
        });
        assert_eq!(mask(body), expected);
    }

    #[test]
    fn what_is_no_object_is_hidden() {
        assert_eq!(mask(json!("ama@example.com")), json!("[hidden]"));
        assert_eq!(mask(json!(["ama@example.com", null])), json!(["[hidden]", null]));
    }
}
