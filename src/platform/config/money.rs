//! How orders are paid, and who hears of it.

use std::str::FromStr;

use chrono::NaiveTime;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Faults, sections};
use crate::platform::money::MAX_MINOR;
use crate::platform::text::Email;

sections! {
    Payments {
        provider: String, paystack_secret_key: SecretString, paystack_previous_secret_key: SecretString,
        paystack_url: String, timeout_seconds: u64, breaker_failures: u32, breaker_seconds: u64, sweep_minutes: i64,
        sweep_hours: i64, reconcile_at: NaiveTime, reconcile_days: i64, finance_emails: Vec<Email>,
        auto_refund_duplicates: bool, reconcile_mail: ReconcileMail, dispute_hours: Vec<Hours>, webhook_days: i64,
        transfer_accounts: Vec<TransferAccount>,
        pay_on_delivery: bool, pay_on_delivery_limits_minor: Vec<Limit>, pay_on_delivery_open_orders: i64,
    }
    Fraud {
        review_score: i32, payment_limits_minor: Vec<Limit>, payment_weight: i32,
        hour_limits_minor: Vec<Limit>, hour_weight: i32, day_limits_minor: Vec<Limit>, day_weight: i32,
        hour_attempts: i64, attempts_weight: i32, day_failures: i64, failures_weight: i32,
        new_account_days: i64, new_account_limits_minor: Vec<Limit>, new_account_weight: i32,
        ip_hours: i64, ip_buyers: i64, ip_weight: i32, card_country_weight: i32,
        disposable_domains: Vec<String>, disposable_weight: i32, keep_days: i64,
    }
    Mail { provider: String, from: String, smtp_url: SecretString, timeout_seconds: u64, }
}

/// When a reconciliation is told by mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReconcileMail {
    /// When it has found something, or failed.
    Findings,
    /// Each time.
    Always,
    /// Not at all.
    Never,
}

/// Hours: a number, or its digits, as the environment has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "toml::Value")]
pub struct Hours(pub i32);

impl TryFrom<toml::Value> for Hours {
    type Error = &'static str;

    fn try_from(value: toml::Value) -> Result<Self, Self::Error> {
        let hours = match &value {
            toml::Value::Integer(hours) => i32::try_from(*hours).ok(),
            toml::Value::String(digits) => digits.parse().ok(),
            _ => None,
        };
        hours.map(Self).ok_or("must be whole numbers of hours")
    }
}

/// A bank account of the shop, to which buyers transfer money by hand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String")]
pub struct TransferAccount {
    /// ISO 4217.
    #[schema(example = "NGN")]
    pub currency: String,
    /// The bank's name.
    pub bank: String,
    /// Whose account it is.
    pub name: String,
    /// Its number.
    #[schema(example = "0123456789")]
    pub number: String,
    /// More, such as a sort code.
    pub note: Option<String>,
}

impl FromStr for TransferAccount {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts: Vec<&str> = text.split(';').map(str::trim).collect();
        let (parts, note) = match parts.as_slice() {
            [most @ .., note] if most.len() == 4 => (most, Some((*note).to_owned())),
            all => (all, None),
        };
        match parts {
            [currency, bank, name, number]
                if is_currency(currency)
                    && [bank, name, number].iter().all(|part| !part.is_empty())
                    && note.as_deref() != Some("") =>
            {
                Ok(Self {
                    currency: (*currency).to_owned(),
                    bank: (*bank).to_owned(),
                    name: (*name).to_owned(),
                    number: (*number).to_owned(),
                    note,
                })
            }
            _ => Err(format!("\"{text}\" must be like \"NGN; First Bank; AGAPE LOOKS LTD; 0123456789\"")),
        }
    }
}

impl TryFrom<String> for TransferAccount {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

/// The greatest sum of a currency.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Limit {
    /// ISO 4217.
    pub currency: String,
    /// In minor units.
    pub minor: i64,
}

impl Limit {
    /// The one of a currency, in minor units; none where it has none.
    pub fn of(limits: &[Self], currency: &str) -> Option<i64> {
        limits.iter().find(|limit| limit.currency == currency).map(|limit| limit.minor)
    }
}

impl TryFrom<String> for Limit {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let read = || {
            let (currency, minor) = text.trim().split_once(' ')?;
            let minor: i64 = minor.trim().parse().ok().filter(|minor| (0..=MAX_MINOR).contains(minor))?;
            is_currency(currency).then(|| Self { currency: currency.to_owned(), minor })
        };
        read().ok_or_else(|| format!("\"{text}\" must be a currency and a sum in minor units, such as \"NGN 5000000\""))
    }
}

fn is_currency(text: &str) -> bool {
    text.len() == 3 && text.bytes().all(|b| b.is_ascii_uppercase())
}

/// Whether each currency is named once.
fn is_clear(limits: &[Limit]) -> bool {
    limits.iter().enumerate().all(|(i, limit)| !limits.iter().skip(i + 1).any(|other| other.currency == limit.currency))
}

impl Payments {
    /// The accounts for transfers in a currency.
    pub fn accounts(&self, currency: &str) -> Vec<TransferAccount> {
        self.transfer_accounts.iter().filter(|account| account.currency == currency).cloned().collect()
    }

    pub(super) fn check(&self, faults: &mut Faults) {
        faults.require(
            matches!(self.provider.as_str(), "" | "sandbox" | "paystack"),
            "payments.provider: must be \"sandbox\" or \"paystack\"",
        );
        faults.require(self.timeout_seconds >= 1, "payments.timeout_seconds: must be at least 1");
        faults.require(
            (1..=3_600).contains(&self.breaker_seconds),
            "payments.breaker_seconds: must be between 1 and 3600",
        );
        let key = self.paystack_secret_key.expose_secret();
        faults.require(
            self.provider != "paystack" || key.starts_with("sk_test_") || key.starts_with("sk_live_"),
            "payments.paystack_secret_key: must be a key that starts with sk_test_ or sk_live_ (PAYSTACK_SECRET_KEY)",
        );
        faults.require((1..=60).contains(&self.sweep_minutes), "payments.sweep_minutes: must be 1 to 60");
        faults.require((1..=720).contains(&self.sweep_hours), "payments.sweep_hours: must be 1 to 720 (a month)");
        faults.require((1..=31).contains(&self.reconcile_days), "payments.reconcile_days: must be 1 to 31");
        faults.require(
            self.dispute_hours.len() <= 10 && self.dispute_hours.iter().all(|hours| (1..=720).contains(&hours.0)),
            "payments.dispute_hours: must be at most ten numbers from 1 to 720",
        );
        faults.require(self.webhook_days >= 0, "payments.webhook_days: must not be negative; 0 keeps for ever");
        faults.require(
            is_clear(&self.pay_on_delivery_limits_minor),
            "payments.pay_on_delivery_limits_minor: must name a currency once",
        );
        faults.require(
            (1..=1_000).contains(&self.pay_on_delivery_open_orders),
            "payments.pay_on_delivery_open_orders: must be 1 to 1000",
        );
    }
}

impl Fraud {
    pub(super) fn check(&self, faults: &mut Faults) {
        for (key, limits) in [
            ("payment_limits_minor", &self.payment_limits_minor),
            ("hour_limits_minor", &self.hour_limits_minor),
            ("day_limits_minor", &self.day_limits_minor),
            ("new_account_limits_minor", &self.new_account_limits_minor),
        ] {
            faults.require(is_clear(limits), &format!("fraud.{key}: must name a currency once"));
        }
        for (key, weight) in [
            ("payment_weight", self.payment_weight),
            ("hour_weight", self.hour_weight),
            ("day_weight", self.day_weight),
            ("attempts_weight", self.attempts_weight),
            ("failures_weight", self.failures_weight),
            ("new_account_weight", self.new_account_weight),
            ("ip_weight", self.ip_weight),
            ("card_country_weight", self.card_country_weight),
            ("disposable_weight", self.disposable_weight),
        ] {
            faults.require((0..=100).contains(&weight), &format!("fraud.{key}: must be 0 to 100"));
        }
        faults.require(self.review_score > 0, "fraud.review_score: must be at least 1");
        let counts = [self.hour_attempts, self.day_failures, self.new_account_days, self.ip_buyers, self.keep_days];
        faults.require(counts.iter().all(|count| *count >= 0), "fraud: counts and days must not be negative");
        faults.require((1..=168).contains(&self.ip_hours), "fraud.ip_hours: must be 1 to 168 (a week)");
    }
}

impl Mail {
    pub(super) fn check(&self, faults: &mut Faults) {
        faults.require(
            matches!(self.provider.as_str(), "" | "local" | "smtp"),
            "mail.provider: must be \"local\" or \"smtp\"",
        );
        let is_server = url::Url::parse(self.smtp_url.expose_secret())
            .is_ok_and(|url| matches!(url.scheme(), "smtp" | "smtps") && url.has_host());
        faults.require(
            self.provider != "smtp" || is_server,
            "mail.smtp_url: must be like smtps://user:password@host:465, or \
             smtp://user:password@host:587?tls=required (AGAPE_MAIL__SMTP_URL)",
        );
    }

    /// Whether what is handed to the mail server is not read on the way.
    pub(super) fn is_private(&self) -> bool {
        url::Url::parse(self.smtp_url.expose_secret()).is_ok_and(|url| {
            url.scheme() == "smtps"
                || url.query().is_some_and(|query| query.contains("tls=required"))
                || matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"))
        })
    }
}
