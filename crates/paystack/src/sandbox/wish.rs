//! What goes wrong with one payment: chosen on its page, asked for by its amount,
//! or set for all payments.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::control::Faults;
use super::means::Fate;

/// How much a webhook that others overtake is late.
const OVERTAKEN: Duration = Duration::from_millis(750);
/// What is taken too little or too much, in the subunit.
const DIFFERENCE: i64 = 100;

/// What happens to a webhook. In JSON a string: `"sent"`, `"none"`,
/// `"duplicate"`, `"reordered"` or `"late:500"` with milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum WebhookFault {
    /// Nothing unusual: sent at once.
    #[default]
    Sent,
    /// Never sent.
    None,
    /// Sent twice.
    Duplicate,
    /// Sent after what comes later: the events of a refund arrive in the opposite
    /// order, that of a charge after those of the next 1.5 seconds.
    Reordered,
    /// Sent after this time.
    Late(Duration),
}

impl Serialize for WebhookFault {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Sent => serializer.serialize_str("sent"),
            Self::None => serializer.serialize_str("none"),
            Self::Duplicate => serializer.serialize_str("duplicate"),
            Self::Reordered => serializer.serialize_str("reordered"),
            Self::Late(delay) => serializer.collect_str(&format_args!("late:{}", delay.as_millis())),
        }
    }
}

impl<'de> Deserialize<'de> for WebhookFault {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let late = || {
            let milliseconds = text.strip_prefix("late:")?.parse::<u32>().ok()?;
            Some(Self::Late(Duration::from_millis(milliseconds.into())))
        };
        match text.as_str() {
            "sent" => Ok(Self::Sent),
            "none" => Ok(Self::None),
            "duplicate" => Ok(Self::Duplicate),
            "reordered" => Ok(Self::Reordered),
            _ => late().ok_or_else(|| {
                D::Error::custom("webhook is \"sent\", \"none\", \"duplicate\", \"reordered\" or \"late:<ms>\"")
            }),
        }
    }
}

impl WebhookFault {
    /// After how long each copy of a webhook is sent; `later` more of the same
    /// matter will follow it.
    pub(super) fn delays(self, later: u32) -> Vec<Duration> {
        match self {
            Self::Sent => vec![Duration::ZERO],
            Self::None => Vec::new(),
            Self::Duplicate => vec![Duration::ZERO; 2],
            Self::Reordered => vec![OVERTAKEN * later],
            Self::Late(delay) => vec![delay],
        }
    }
}

/// What is taken instead of what was asked for. In JSON and in forms `exact`,
/// `less`, `more`, `other_currency`, `other_mode`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Taken {
    /// Just that.
    #[default]
    Exact,
    /// One main unit less.
    Less,
    /// One main unit more.
    More,
    /// The amount, in US dollars, or in naira where dollars were asked for.
    OtherCurrency,
    /// The amount, in the other mode: `domain` is `live`.
    OtherMode,
}

impl Taken {
    /// What is added to the amount, in the subunit.
    pub(super) fn difference(self) -> i64 {
        match self {
            Self::Less => -DIFFERENCE,
            Self::More => DIFFERENCE,
            Self::Exact | Self::OtherCurrency | Self::OtherMode => 0,
        }
    }

    pub(super) fn currency(self, asked: &str) -> &str {
        match self {
            Self::OtherCurrency if asked == "USD" => "NGN",
            Self::OtherCurrency => "USD",
            _ => asked,
        }
    }

    pub(super) fn domain(self) -> &'static str {
        if self == Self::OtherMode { "live" } else { "test" }
    }
}

/// What the page's form chose; what it left open is decided elsewhere.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Wish {
    pub(super) webhook: Option<WebhookFault>,
    pub(super) taken: Option<Taken>,
}

impl Wish {
    /// This wish, filled up by what the amount asks for, and then by the faults.
    pub(super) fn or(self, amount: i64, faults: &Faults) -> (WebhookFault, Taken) {
        let magic = Magic::of(amount, faults);
        let by_amount = magic.map(|magic| magic.effect);
        let webhook = match by_amount {
            Some(Effect::Webhook(fault)) => fault,
            _ => faults.webhook,
        };
        let taken = match by_amount {
            Some(Effect::Taken(taken)) => taken,
            _ => faults.taken,
        };
        (self.webhook.unwrap_or(webhook), self.taken.unwrap_or(taken))
    }
}

/// An amount that makes something go wrong, where [`Faults::magic_amounts`] is on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Magic {
    /// The last three digits of the amount in the subunit.
    digits: i64,
    pub(super) effect: Effect,
    /// For the payment page.
    pub(super) words: &'static str,
}

/// What a magic amount does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    Webhook(WebhookFault),
    Taken(Taken),
    Start(StartFault),
    Refund(Fate),
}

/// What goes wrong with `POST /transaction/initialize`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StartFault {
    /// It is carried out and never answered.
    NoAnswer,
    /// The first call with a reference gets HTTP 500 and changes nothing.
    Unavailable,
    /// The first call with a reference gets HTTP 429 and changes nothing.
    RateLimited,
    /// It is answered after three seconds.
    Slow,
}

const MAGIC: [Magic; 14] = [
    magic(901, Effect::Webhook(WebhookFault::None), "no webhook is sent"),
    magic(902, Effect::Webhook(WebhookFault::Duplicate), "its webhooks are sent twice"),
    magic(903, Effect::Webhook(WebhookFault::Late(Duration::from_secs(3))), "its webhooks are three seconds late"),
    magic(904, Effect::Webhook(WebhookFault::Reordered), "its webhooks are overtaken by later ones"),
    magic(911, Effect::Taken(Taken::Less), "one main unit too little is taken"),
    magic(912, Effect::Taken(Taken::More), "one main unit too much is taken"),
    magic(913, Effect::Taken(Taken::OtherCurrency), "another currency is taken"),
    magic(914, Effect::Taken(Taken::OtherMode), "it is of the live mode"),
    magic(921, Effect::Start(StartFault::NoAnswer), "its start was carried out and never answered"),
    magic(922, Effect::Start(StartFault::Unavailable), "its start was answered with HTTP 500 first"),
    magic(923, Effect::Start(StartFault::RateLimited), "its start was answered with HTTP 429 first"),
    magic(924, Effect::Start(StartFault::Slow), "its start was answered after three seconds"),
    magic(931, Effect::Refund(Fate::Failed), "its refunds fail"),
    magic(932, Effect::Refund(Fate::NeedsAttention), "its refunds need an account"),
];

const fn magic(digits: i64, effect: Effect, words: &'static str) -> Magic {
    Magic { digits, effect, words }
}

impl Magic {
    /// What `amount`, in the subunit, asks for.
    pub(super) fn of(amount: i64, faults: &Faults) -> Option<Self> {
        faults.magic_amounts.then(|| MAGIC.into_iter().find(|magic| magic.digits == amount % 1_000)).flatten()
    }
}
