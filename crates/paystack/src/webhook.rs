//! Paystack's webhooks: the signature and the event.

use aws_lc_rs::{digest, hmac};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use crate::fields::{Fields, required, take};
use crate::{Dispute, Error, RefundEvent, Transaction};

/// The request header that carries the signature.
pub const SIGNATURE_HEADER: &str = "x-paystack-signature";

/// Signs `body` as Paystack does: HMAC-SHA512 over the raw bytes under the secret
/// key, as lower-case hex (Paystack documentation, "Webhooks").
#[must_use]
pub fn sign(body: &[u8], key: &SecretString) -> String {
    hex::encode(hmac::sign(&hmac_key(key), body))
}

/// Whether `header` is the signature of `body` under one of `keys`.
///
/// `body` must be the bytes as received. Several keys are for the 72 hours after a
/// key rotation, in which Paystack may still repeat older events. The comparison
/// takes constant time; hex digits count in either case. An empty key never matches.
#[must_use]
pub fn verify_signature(body: &[u8], header: &str, keys: &[&SecretString]) -> bool {
    let Ok(signature) = hex::decode(header) else {
        return false;
    };
    keys.iter()
        .filter(|key| !key.expose_secret().is_empty())
        .any(|key| hmac::verify(&hmac_key(key), body, &signature).is_ok())
}

fn hmac_key(key: &SecretString) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA512, key.expose_secret().as_bytes())
}

/// Longest name of an event, in bytes.
const LONGEST_NAME: usize = 100;
/// Longest reference, and longest identity in a dedupe key, in bytes: they are
/// indexed.
const LONGEST_IDENTITY: usize = 200;

/// One event. Paystack may send it late, more than once and out of order.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    name: String,
    data: Value,
    body_sha256: String,
}

impl Event {
    /// Reads a webhook's raw body. Verify the signature first.
    ///
    /// # Errors
    /// [`Error::Decode`] if the body is no JSON object with an `event` name of at
    /// most 100 bytes. Unknown events and any `data` are accepted.
    pub fn parse(body: &[u8]) -> Result<Self, Error> {
        let mut event: Value = serde_json::from_slice(body).map_err(|error| Error::Decode(error.to_string()))?;
        let name = Fields(&event).text("event").filter(|name| name.len() <= LONGEST_NAME);
        Ok(Self {
            name: required(name, "event")?,
            data: take(&mut event, "data"),
            body_sha256: hex::encode(digest::digest(&digest::SHA256, body)),
        })
    }

    /// The event's name, such as `charge.success`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the event is about; an object for all events but a few.
    #[must_use]
    pub fn data(&self) -> &Value {
        &self.data
    }

    /// The merchant's reference of the transaction: of the charge itself, of the
    /// one refunded, or of the one disputed.
    #[must_use]
    pub fn reference(&self) -> Option<&str> {
        ["/reference", "/transaction_reference", "/transaction/reference"]
            .into_iter()
            .find_map(|path| self.data.pointer(path)?.as_str())
            .filter(|reference| (1..=LONGEST_IDENTITY).contains(&reference.len()))
            // Which is in no text of a database.
            .filter(|reference| !reference.contains('\0'))
    }

    /// The transaction of a `charge.success`, `None` for any other event.
    ///
    /// Some of Paystack's examples leave out the currency, which makes an error
    /// here: `verify` the [`reference`](Self::reference) then.
    #[must_use]
    pub fn charge(&self) -> Option<Result<Transaction, Error>> {
        (self.name == "charge.success").then(|| Transaction::try_from(&self.data))
    }

    /// What a `refund.*` event says, `None` for any other event.
    ///
    /// It tells where a refund stood when it was sent. Events come out of order, so
    /// `GET /refund` decides where there is a doubt.
    #[must_use]
    pub fn refund(&self) -> Option<Result<RefundEvent, Error>> {
        self.name.starts_with("refund.").then(|| RefundEvent::try_from(&self.data))
    }

    /// The dispute of a `charge.dispute.*` event, `None` for any other event.
    #[must_use]
    pub fn dispute(&self) -> Option<Result<Dispute, Error>> {
        self.name.starts_with("charge.dispute.").then(|| Dispute::try_from(&self.data))
    }

    /// A key that is the same for every delivery of the same event. Paystack sends
    /// no delivery id, so it is made of the event's name and
    /// - of `data.id` for charges, disputes and transfers;
    /// - of the transaction's reference with the refund's reference, or while that
    ///   is unknown with the amount, for refunds: two pending refunds of one
    ///   amount look alike, and only the API tells them apart;
    /// - of the SHA-256 of the body for everything else.
    #[must_use]
    pub fn dedupe_key(&self) -> String {
        let data = Fields(&self.data);
        let identity = match self.name.split_once('.').map(|(group, _)| group) {
            Some("charge" | "transfer") => data.text("id").map(|id| format!("id={id}")),
            Some("refund") => data.text("transaction_reference").and_then(|transaction| {
                let refund = data.text("refund_reference").map(|text| format!("refund={text}"));
                let amount = || data.text("amount").map(|amount| format!("amount={amount}"));
                Some(format!("transaction={transaction}:{}", refund.or_else(amount)?))
            }),
            _ => None,
        };
        let identity = identity.filter(|identity| identity.len() <= LONGEST_IDENTITY);
        let identity = identity.unwrap_or_else(|| format!("sha256={}", self.body_sha256));
        format!("{}:{identity}", self.name)
    }
}
