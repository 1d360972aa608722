//! One transaction of the sandbox and its form in answers and webhooks.

use aws_lc_rs::digest;
use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::money::Currency;

/// A transaction as the state file keeps it; the rest of Paystack's fields follow
/// from these.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Payment {
    pub(super) id: u64,
    pub(super) access_code: String,
    pub(super) reference: String,
    pub(super) email: String,
    /// What was asked for, in the subunit.
    pub(super) requested_amount: i64,
    pub(super) currency: String,
    pub(super) callback_url: Option<String>,
    /// The first one that the page was asked to offer.
    #[serde(default = "card")]
    pub(super) channel: String,
    /// As sent; `""` if nothing was.
    pub(super) metadata: Value,
    pub(super) created_at: DateTime<Utc>,
    pub(super) status: Status,
    pub(super) tries: Vec<Try>,
    pub(super) paid: Option<Paid>,
}

/// What a page offers first that was asked for nothing.
pub(super) fn card() -> String {
    "card".to_owned()
}

/// Where a transaction stands. A new one is abandoned until something happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
    Abandoned,
    Failed,
    Success,
}

impl Status {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Abandoned => "abandoned",
            Self::Failed => "failed",
            Self::Success => "success",
        }
    }
}

/// One try to pay.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Try {
    at: DateTime<Utc>,
    card: Card,
}

/// What was taken when a try succeeded.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Paid {
    at: DateTime<Utc>,
    /// In the subunit; differs from the requested amount on demand only.
    amount: i64,
}

/// The test cards of the payment page (Paystack documentation, "Test payments").
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Card {
    #[default]
    Success,
    Declined,
    InsufficientFunds,
}

impl Card {
    fn last4(self) -> &'static str {
        match self {
            Self::Success => "4081",
            Self::Declined => "5408",
            Self::InsufficientFunds => "0037",
        }
    }

    fn gateway_response(self) -> &'static str {
        match self {
            Self::Success => "Successful",
            Self::Declined => "Declined",
            Self::InsufficientFunds => "Insufficient Funds",
        }
    }
}

impl Payment {
    /// Tries to pay with `card`; `amount_delta` is added to what is taken.
    pub(super) fn pay(&mut self, card: Card, amount_delta: i64) {
        let at = Utc::now();
        self.tries.push(Try { at, card });
        if card == Card::Success {
            let amount = self.requested_amount.saturating_add(amount_delta).max(0);
            self.paid = Some(Paid { at, amount });
            self.status = Status::Success;
        } else {
            self.status = Status::Failed;
        }
    }

    /// The processor's words about the last try.
    pub(super) fn gateway_response(&self) -> &'static str {
        let last = self.tries.last().filter(|_| self.status != Status::Abandoned);
        last.map_or("The transaction was not completed", |last| last.card.gateway_response())
    }

    /// The page to go to if the customer cancels, from the metadata, which may be
    /// an object or an object as a JSON string.
    pub(super) fn cancel_action(&self) -> Option<String> {
        let action = |metadata: &Value| metadata.get("cancel_action")?.as_str().map(str::to_owned);
        match &self.metadata {
            Value::String(text) => action(&serde_json::from_str(text).ok()?),
            metadata => action(metadata),
        }
    }

    /// The transaction as `verify`, `list` and `charge.success` show it.
    pub(super) fn to_json(&self) -> Value {
        let paid_at = self.paid.as_ref().map(|paid| time(paid.at));
        let amount = self.paid.as_ref().map_or(self.requested_amount, |paid| paid.amount);
        let currency = Currency::find(&self.currency);
        let fees = self.paid.as_ref().and_then(|paid| Some(currency?.fee(paid.amount)));
        json!({
            "id": self.id,
            "domain": "test",
            "status": self.status.as_str(),
            "reference": self.reference,
            "receipt_number": null,
            "amount": amount,
            "message": null,
            "gateway_response": self.gateway_response(),
            "paid_at": paid_at,
            "created_at": time(self.created_at),
            "paidAt": paid_at,
            "createdAt": time(self.created_at),
            "channel": self.channel,
            "currency": self.currency,
            "ip_address": "127.0.0.1",
            "metadata": self.metadata,
            "log": self.log(),
            "fees": fees,
            "fees_split": null,
            "authorization": self.authorization(currency.map_or("NG", |currency| currency.country)),
            "customer": self.customer(),
            "plan": null,
            "split": {},
            "subaccount": {},
            "order_id": null,
            "requested_amount": self.requested_amount,
            "pos_transaction_data": null,
            "source": {
                "type": "api",
                "source": "merchant_api",
                "entry_point": "transaction_initialize",
                "identifier": null,
            },
            "fees_breakdown": null,
            "connect": null,
            "transaction_date": time(self.created_at),
        })
    }

    /// What the customer did on the page, in seconds since it began.
    fn log(&self) -> Value {
        let Some(last) = self.tries.last() else {
            return Value::Null;
        };
        let since = |at: DateTime<Utc>| (at - self.created_at).num_seconds();
        let history: Vec<_> = self
            .tries
            .iter()
            .flat_map(|attempt| {
                let (kind, outcome) = match attempt.card {
                    Card::Success => ("success", "Successfully paid with card"),
                    _ => ("error", "Error: Declined"),
                };
                [("action", "Attempted to pay with card"), (kind, outcome)]
                    .map(|(kind, text)| json!({ "type": kind, "message": text, "time": since(attempt.at) }))
            })
            .collect();
        let errors = self.tries.iter().filter(|attempt| attempt.card != Card::Success).count();
        json!({
            "start_time": self.created_at.timestamp(),
            "time_spent": since(last.at),
            "attempts": self.tries.len(),
            "errors": errors,
            "success": self.paid.is_some(),
            "mobile": false,
            "input": [],
            "history": history,
        })
    }

    fn authorization(&self, country: &str) -> Value {
        let Some(last) = self.tries.last().filter(|_| self.channel == card()) else {
            return json!({});
        };
        let last4 = last.card.last4();
        json!({
            "authorization_code": format!("AUTH_{}", token(&[&self.email, last4], 10)),
            "bin": "408408",
            "last4": last4,
            "exp_month": "12",
            "exp_year": "2030",
            "channel": "card",
            // Paystack really pads this one.
            "card_type": "visa ",
            "bank": "TEST BANK",
            "country_code": country,
            "brand": "visa",
            "reusable": last.card == Card::Success,
            "signature": format!("SIG_{}", token(&[last4], 20)),
            "account_name": null,
        })
    }

    fn customer(&self) -> Value {
        let number = digest::digest(&digest::SHA256, self.email.as_bytes());
        let id = number.as_ref().iter().take(4).fold(0_u64, |id, byte| id << 8 | u64::from(*byte));
        json!({
            "id": id,
            "first_name": null,
            "last_name": null,
            "email": self.email,
            "customer_code": format!("CUS_{}", token(&[&self.email], 15)),
            "phone": null,
            "metadata": null,
            "risk_action": "default",
            "international_format_phone": null,
        })
    }
}

/// ISO 8601 in UTC with milliseconds, as Paystack writes times.
fn time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// A code of `length` characters that is the same for the same parts, so that one
/// customer and one card keep theirs over all transactions.
fn token(parts: &[&str], length: usize) -> String {
    let digest = digest::digest(&digest::SHA256, parts.join("\n").as_bytes());
    hex::encode(digest).chars().take(length).collect()
}
