//! What differs between the provider's list and our payments.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::features::payments::PaymentStatus;

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, sqlx::Type, ToSchema)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum Step {
    /// It reads the provider's list.
    Read,
    /// It asks about our money that the list does not have, and then reads the provider's list of refunds.
    Search,
    /// It compares.
    Compare,
    /// It takes in money, and refunds, that we did not hear of.
    Mend,
}

/// A kind of difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, sqlx::Type, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[sqlx(type_name = "text", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Kind {
    /// We have money that the provider does not know.
    MissingInPaystack,
    /// The provider has money of which we have no payment.
    MissingInLocal,
    /// Both have the money, and not the same amount.
    AmountMismatch,
    /// Both have the money, in different currencies.
    CurrencyMismatch,
    /// The provider's transaction is of another mode (test or live) than the shop.
    ModeMismatch,
    /// One has the money and the other has not.
    StatusMismatch,
    /// Both have the money, and not the same refunds of it.
    RefundMismatch,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::MissingInPaystack,
        Self::MissingInLocal,
        Self::AmountMismatch,
        Self::CurrencyMismatch,
        Self::ModeMismatch,
        Self::StatusMismatch,
        Self::RefundMismatch,
    ];

    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MissingInPaystack => "MISSING_IN_PAYSTACK",
            Self::MissingInLocal => "MISSING_IN_LOCAL",
            Self::AmountMismatch => "AMOUNT_MISMATCH",
            Self::CurrencyMismatch => "CURRENCY_MISMATCH",
            Self::ModeMismatch => "MODE_MISMATCH",
            Self::StatusMismatch => "STATUS_MISMATCH",
            Self::RefundMismatch => "REFUND_MISMATCH",
        }
    }
}

/// A transaction as the provider lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Theirs {
    /// In the provider's words.
    pub status: String,
    /// `test` or `live`.
    pub domain: String,
    /// ISO 4217.
    pub currency: String,
    /// What was charged, in minor units.
    pub amount_minor: i64,
    /// What of it goes back by refunds that are listed and have not failed, but for what disputes took.
    pub refunded_minor: i64,
    /// Whether we do not have all of these.
    pub has_unheard: bool,
}

impl Theirs {
    /// The same with what goes back in the place of what came, and as the list of refunds tells of it: it was taken.
    #[must_use]
    pub fn going_back(&self) -> Self {
        Self { status: "success".to_owned(), amount_minor: self.refunded_minor, ..self.clone() }
    }
}

/// A payment as we have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ours {
    /// Where it stands.
    pub status: PaymentStatus,
    /// ISO 4217.
    pub currency: String,
    /// What came, in minor units.
    pub paid_minor: i64,
    /// What goes back of it.
    pub refunded_minor: i64,
    /// What of that the provider is known to have, but for what disputes took.
    pub sent_back_minor: i64,
    /// Whether the provider does not list all of these.
    pub has_unlisted: bool,
}

impl Ours {
    /// The same with what goes back in the place of what came.
    #[must_use]
    pub fn going_back(&self) -> Self {
        Self { paid_minor: self.sent_back_minor, ..self.clone() }
    }
}

/// That something differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Difference {
    /// How.
    pub kind: Kind,
    /// Whether asking the provider and settling by its answer may mend it.
    pub mendable: bool,
}

/// What differs, if anything does; of several things that which explains the others. `domain` is the shop's mode. Attempts of
/// which neither has money are nobody's business.
pub fn compare(theirs: &Theirs, ours: Option<&Ours>, domain: &str) -> Option<Difference> {
    let has_money = |ours: &Ours| matches!(ours.status, PaymentStatus::Success | PaymentStatus::Flagged);
    let (came, went_back) = (theirs.status == "success", theirs.status == "reversed");
    let (kind, mendable) = match ours {
        _ if theirs.domain != domain => match came || ours.is_some_and(has_money) {
            true => (Kind::ModeMismatch, false),
            false => return None,
        },
        None if came || went_back => (Kind::MissingInLocal, false),
        None => return None,
        Some(ours) if came && !has_money(ours) => (Kind::StatusMismatch, true),
        // Some went back that we did not hear of.
        Some(ours) if went_back && has_money(ours) && theirs.has_unheard => (Kind::RefundMismatch, true),
        // It went back, and we do not know of all of it.
        Some(ours) if went_back && has_money(ours) && ours.refunded_minor < ours.paid_minor => {
            (Kind::StatusMismatch, false)
        }
        Some(ours) if !came && !went_back && has_money(ours) => (Kind::StatusMismatch, false),
        // What does not fit its order is with the staff already.
        Some(ours) if came && ours.status == PaymentStatus::Success && ours.currency != theirs.currency => {
            (Kind::CurrencyMismatch, false)
        }
        Some(ours) if came && ours.paid_minor != theirs.amount_minor => (Kind::AmountMismatch, false),
        Some(ours) if has_money(ours) && (theirs.has_unheard || ours.has_unlisted) => (Kind::RefundMismatch, true),
        Some(_) => return None,
    };
    Some(Difference { kind, mendable })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn theirs(status: &str) -> Theirs {
        Theirs {
            status: status.into(),
            domain: "test".into(),
            currency: "NGN".into(),
            amount_minor: 5_000,
            refunded_minor: 0,
            has_unheard: false,
        }
    }

    fn ours(status: PaymentStatus, refunded_minor: i64) -> Ours {
        let has_money = matches!(status, PaymentStatus::Success | PaymentStatus::Flagged);
        let paid_minor = if has_money { 5_000 } else { 0 };
        Ours { status, currency: "NGN".into(), paid_minor, refunded_minor, sent_back_minor: 0, has_unlisted: false }
    }

    fn kind(theirs: &Theirs, ours: Option<&Ours>) -> Option<(Kind, bool)> {
        compare(theirs, ours, "test").map(|difference| (difference.kind, difference.mendable))
    }

    #[test]
    fn only_money_counts() {
        use PaymentStatus::{Abandoned, Created, Failed, Flagged, Open, Success};
        for status in ["failed", "abandoned", "ongoing", "pending", "processing", "queued", "news"] {
            assert_eq!(kind(&theirs(status), None), None, "{status}");
            for unpaid in [Created, Open, Failed, Abandoned] {
                assert_eq!(kind(&theirs(status), Some(&ours(unpaid, 0))), None, "{status} {unpaid:?}");
            }
            for paid in [Success, Flagged] {
                let found = kind(&theirs(status), Some(&ours(paid, 0)));
                assert_eq!(found, Some((Kind::StatusMismatch, false)), "{status} {paid:?}");
            }
        }
        for unpaid in [Created, Open, Failed, Abandoned] {
            assert_eq!(kind(&theirs("success"), Some(&ours(unpaid, 0))), Some((Kind::StatusMismatch, true)));
            assert_eq!(kind(&theirs("reversed"), Some(&ours(unpaid, 0))), None);
        }
        for paid in [Success, Flagged] {
            assert_eq!(kind(&theirs("success"), Some(&ours(paid, 0))), None);
            assert_eq!(kind(&theirs("reversed"), Some(&ours(paid, 4_999))), Some((Kind::StatusMismatch, false)));
            assert_eq!(kind(&theirs("reversed"), Some(&ours(paid, 5_000))), None);
        }
        assert_eq!(kind(&theirs("success"), None), Some((Kind::MissingInLocal, false)));
        assert_eq!(kind(&theirs("reversed"), None), Some((Kind::MissingInLocal, false)));
    }

    #[test]
    fn amount_currency_and_mode_are_compared() {
        let paid = ours(PaymentStatus::Success, 0);
        let less = Theirs { amount_minor: 4_999, ..theirs("success") };
        assert_eq!(kind(&less, Some(&paid)), Some((Kind::AmountMismatch, false)));
        let cedis = Theirs { currency: "GHS".into(), ..theirs("success") };
        assert_eq!(kind(&cedis, Some(&paid)), Some((Kind::CurrencyMismatch, false)));
        assert_eq!(kind(&cedis, Some(&ours(PaymentStatus::Flagged, 0))), None);
        let live = Theirs { domain: "live".into(), ..theirs("success") };
        assert_eq!(kind(&live, Some(&paid)), Some((Kind::ModeMismatch, false)));
        assert_eq!(kind(&live, None), Some((Kind::ModeMismatch, false)));
        assert_eq!(kind(&Theirs { domain: "live".into(), ..theirs("failed") }, None), None);
    }

    #[test]
    fn what_goes_back_is_compared_where_both_have_the_money() {
        use PaymentStatus::{Failed, Flagged, Success};
        let back = |status: &str, refunded_minor, has_unheard| Theirs { refunded_minor, has_unheard, ..theirs(status) };
        let sent = |status, sent_back_minor, has_unlisted| {
            let ours = ours(status, sent_back_minor);
            Ours { sent_back_minor, has_unlisted, ..ours }
        };
        let found = Some((Kind::RefundMismatch, true));
        for paid in [Success, Flagged] {
            // Refunds are told apart by their numbers: equal sums prove nothing.
            for (is_unheard, is_unlisted) in [(true, false), (false, true), (true, true)] {
                let (theirs, ours) = (back("success", 700, is_unheard), sent(paid, 700, is_unlisted));
                assert_eq!(kind(&theirs, Some(&ours)), found, "{is_unheard} {is_unlisted}");
            }
            // One of ours came after the list.
            assert_eq!(kind(&back("success", 700, false), Some(&sent(paid, 900, false))), None);
            assert_eq!(kind(&back("reversed", 5_000, true), Some(&sent(paid, 0, false))), found);
            assert_eq!(kind(&back("reversed", 5_000, false), Some(&sent(paid, 5_000, false))), None);
            // A dispute took it: no refund on either side.
            assert_eq!(kind(&back("reversed", 0, false), Some(&ours(paid, 5_000))), None);
        }
        // What explains it goes before it.
        let less = Theirs { amount_minor: 4_999, ..back("success", 700, true) };
        assert_eq!(kind(&less, Some(&sent(Success, 0, false))), Some((Kind::AmountMismatch, false)));
        assert_eq!(kind(&back("success", 700, true), Some(&ours(Failed, 0))), Some((Kind::StatusMismatch, true)));
        let (theirs, ours) = (back("success", 700, true).going_back(), sent(Success, 30, false).going_back());
        assert_eq!((theirs.amount_minor, ours.paid_minor), (700, 30));
    }

    #[test]
    fn kinds_have_their_names_everywhere() {
        for kind in Kind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
    }
}
