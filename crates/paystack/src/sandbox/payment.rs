//! One transaction of the sandbox and its form in answers and webhooks.

use aws_lc_rs::digest;
use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::means::{Course, Fate, Means};
use super::money::Currency;
use super::wish::{Taken, Wish};

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
    /// What its page chose to go wrong.
    #[serde(default)]
    pub(super) wish: Wish,
    pub(super) paid: Option<Paid>,
}

/// What is taken.
#[derive(Debug, Clone, Copy)]
pub(super) struct Take {
    pub(super) taken: Taken,
    /// Added to it, in the subunit.
    pub(super) amount_delta: i64,
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
    /// The bank asks the customer something.
    Ongoing,
    /// The customer has to approve on the phone.
    Pending,
    Failed,
    Success,
    /// Given back, all of it.
    Reversed,
}

impl Status {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Abandoned => "abandoned",
            Self::Ongoing => "ongoing",
            Self::Pending => "pending",
            Self::Failed => "failed",
            Self::Success => "success",
            Self::Reversed => "reversed",
        }
    }
}

/// One try to pay.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Try {
    at: DateTime<Utc>,
    #[serde(alias = "card")]
    means: Means,
    /// The processor's words, once it is over.
    #[serde(default)]
    response: Option<String>,
}

/// What was taken when a try succeeded; it differs from what was asked for on
/// demand only.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Paid {
    pub(super) at: DateTime<Utc>,
    /// In the subunit.
    pub(super) amount: i64,
    #[serde(default)]
    taken: Taken,
}

impl Payment {
    /// Whether money was taken, whatever became of it.
    pub(super) fn is_paid(&self) -> bool {
        self.paid.is_some()
    }

    /// Begins to pay with `means`; `take` says what is taken if that succeeds at once.
    pub(super) fn begin(&mut self, means: Means, take: Take) {
        self.tries.push(Try { at: Utc::now(), means, response: None });
        if means == Means::MobileMoney {
            self.channel = "mobile_money".to_owned();
        }
        match means.course() {
            Course::Succeeds => self.succeed(take),
            Course::Fails(words) => self.fail(words),
            Course::Asks(_) => self.status = Status::Ongoing,
            Course::Waits => self.status = Status::Pending,
        }
    }

    /// The last try succeeds.
    pub(super) fn succeed(&mut self, take: Take) {
        let amount = self.requested_amount.saturating_add(take.taken.difference()).saturating_add(take.amount_delta);
        self.paid = Some(Paid { at: Utc::now(), amount: amount.max(0), taken: take.taken });
        self.end(Status::Success, "Successful");
    }

    /// The last try fails.
    pub(super) fn fail(&mut self, words: &str) {
        self.end(Status::Failed, words);
    }

    fn end(&mut self, status: Status, words: &str) {
        self.status = status;
        if let Some(last) = self.tries.last_mut() {
            last.response = Some(words.to_owned());
        }
    }

    /// The means of the last try.
    pub(super) fn means(&self) -> Option<Means> {
        self.tries.last().map(|last| last.means)
    }

    /// What becomes of its refunds.
    pub(super) fn fate_of_refund(&self) -> Fate {
        self.means().map_or(Fate::Processed, Means::fate_of_refund)
    }

    /// What was taken, or asked for while nothing was, in the subunit.
    pub(super) fn amount(&self) -> i64 {
        self.paid.as_ref().map_or(self.requested_amount, |paid| paid.amount)
    }

    /// What was taken is of this currency.
    pub(super) fn currency(&self) -> &str {
        self.paid.as_ref().map_or(self.currency.as_str(), |paid| paid.taken.currency(&self.currency))
    }

    /// The mode that the transaction claims to be of.
    pub(super) fn domain(&self) -> &'static str {
        self.paid.as_ref().map_or("test", |paid| paid.taken.domain())
    }

    /// The processor's words about the last try.
    pub(super) fn gateway_response(&self) -> &str {
        match self.status {
            Status::Abandoned => "The transaction was not completed",
            Status::Ongoing | Status::Pending => "Waiting for the customer",
            Status::Failed | Status::Success | Status::Reversed => {
                let words = self.tries.last().and_then(|last| last.response.as_deref());
                words.unwrap_or(if self.is_paid() { "Successful" } else { "Declined" })
            }
        }
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
        let currency = Currency::find(self.currency());
        let fees = self.paid.as_ref().and_then(|paid| Some(currency?.fee(paid.amount)));
        json!({
            "id": self.id,
            "domain": self.domain(),
            "status": self.status.as_str(),
            "reference": self.reference,
            "receipt_number": null,
            "amount": self.amount(),
            "message": null,
            "gateway_response": self.gateway_response(),
            "paid_at": paid_at,
            "created_at": time(self.created_at),
            "paidAt": paid_at,
            "createdAt": time(self.created_at),
            "channel": self.channel,
            "currency": self.currency(),
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
        let mut history = Vec::new();
        let mut errors = 0;
        for attempt in &self.tries {
            let mut note = |kind: &str, text: String| {
                history.push(json!({ "type": kind, "message": text, "time": since(attempt.at) }));
            };
            let way = if attempt.means.is_card() { "card" } else { "mobile money" };
            note("action", format!("Attempted to pay with {way}"));
            match &attempt.response {
                // Nothing is tried after a success.
                Some(_) if self.is_paid() && std::ptr::eq(attempt, last) => {
                    note("success", format!("Successfully paid with {way}"));
                }
                Some(words) => {
                    errors += 1;
                    note("error", format!("Error: {words}"));
                }
                None => {}
            }
        }
        json!({
            "start_time": self.created_at.timestamp(),
            "time_spent": since(last.at),
            "attempts": self.tries.len(),
            "errors": errors,
            "success": self.is_paid(),
            "mobile": false,
            "input": [],
            "history": history,
        })
    }

    fn authorization(&self, country: &str) -> Value {
        let fits = |means: &Means| self.channel == if means.is_card() { "card" } else { "mobile_money" };
        let Some(means) = self.means().filter(fits) else {
            return json!({});
        };
        let (last4, brand) = (means.last4(), means.brand());
        json!({
            "authorization_code": format!("AUTH_{}", token(&[&self.email, last4], 10)),
            "bin": means.bin(),
            "last4": last4,
            "exp_month": "12",
            "exp_year": "2030",
            "channel": self.channel,
            // Paystack really pads this one.
            "card_type": format!("{brand} "),
            "bank": "TEST BANK",
            "country_code": country,
            "brand": brand,
            "reusable": means.is_reusable(),
            "signature": format!("SIG_{}", token(&[last4], 20)),
            "account_name": null,
        })
    }

    pub(super) fn customer(&self) -> Value {
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
pub(super) fn time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// A code of `length` characters that is the same for the same parts, so that one
/// customer and one card keep theirs over all transactions.
pub(super) fn token(parts: &[&str], length: usize) -> String {
    let digest = digest::digest(&digest::SHA256, parts.join("\n").as_bytes());
    hex::encode(digest).chars().take(length).collect()
}
