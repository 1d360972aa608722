//! What mails say about money that goes back, or does not fit.

use serde::{Deserialize, Serialize};

/// What has come of money that goes back.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum RefundTurn {
    /// It is on its way.
    Requested,
    /// It went.
    Processed,
    /// It did not go; the shop sees to it.
    Failed,
}

impl RefundTurn {
    /// The name, as stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Processed => "processed",
            Self::Failed => "failed",
        }
    }
}

/// Money that goes back, as mails show it.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct RefundSummary {
    /// What has come of it.
    pub turn: RefundTurn,
    /// How much, in hundredths of the currency's unit.
    pub amount_minor: i64,
    /// The ISO 4217 code of the amount.
    pub currency: String,
    /// Why, in the shop's words.
    pub words: Option<String>,
}

/// Why somebody has to look at money.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum MoneyAlert {
    /// A payment does not fit its order; somebody has to decide.
    PaymentFlagged,
    /// A payment did not fit its order, and goes back by itself.
    PaymentReturned,
    /// A refund has failed; the buyer waits for his money.
    RefundFailed,
    /// The provider needs the buyer's bank account.
    RefundNeedsAttention,
    /// The provider says another thing than it did.
    RefundContradicted,
    /// More goes back by the provider's dashboard than is left.
    RefundBeyond,
    /// A lost dispute takes more than is left: the same money may go back by a refund too.
    DisputeBeyond,
    /// Money goes back in another currency than it came in, so that it is not written down.
    OtherCurrency,
}

impl MoneyAlert {
    /// The name, as stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PaymentFlagged => "payment_flagged",
            Self::PaymentReturned => "payment_returned",
            Self::RefundFailed => "refund_failed",
            Self::RefundNeedsAttention => "refund_needs_attention",
            Self::RefundContradicted => "refund_contradicted",
            Self::RefundBeyond => "refund_beyond",
            Self::DisputeBeyond => "dispute_beyond",
            Self::OtherCurrency => "other_currency",
        }
    }
}
