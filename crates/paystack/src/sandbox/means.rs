//! The means of payment that the page offers: Paystack's test cards (Paystack
//! documentation, "Test payments") and mobile money.

use serde::{Deserialize, Serialize};

/// What the customer pays with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Means {
    #[default]
    Success,
    BankAuth,
    Pin,
    PinOtp,
    PinPhoneOtp,
    Declined,
    InsufficientFunds,
    TokenNotGenerated,
    RefundFails,
    RefundNeedsAttention,
    MobileMoney,
}

/// How a try to pay goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Course {
    /// The money is taken.
    Succeeds,
    /// The processor refuses, with these words.
    Fails(&'static str),
    /// The bank asks this first.
    Asks(&'static str),
    /// The customer has to approve on the phone.
    Waits,
}

/// What becomes of a refund.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Processed,
    Failed,
    NeedsAttention,
}

impl Means {
    pub(super) const ALL: [Self; 11] = [
        Self::Success,
        Self::BankAuth,
        Self::Pin,
        Self::PinOtp,
        Self::PinPhoneOtp,
        Self::Declined,
        Self::InsufficientFunds,
        Self::TokenNotGenerated,
        Self::RefundFails,
        Self::RefundNeedsAttention,
        Self::MobileMoney,
    ];

    /// The name in forms, and what the page calls it.
    pub(super) fn label(self) -> (&'static str, &'static str) {
        match self {
            Self::Success => ("success", "Visa 4084 0840 8408 4081 – success"),
            Self::BankAuth => ("bank_auth", "Mastercard 5192 6027 2058 4796 – the bank asks first"),
            Self::Pin => ("pin", "Verve 5078 5078 5078 5078 12 – asks for the PIN"),
            Self::PinOtp => ("pin_otp", "Verve 5060 6666 6666 6666 666 – asks for PIN and code"),
            Self::PinPhoneOtp => ("pin_phone_otp", "Verve 5078 5078 5078 5078 04 – asks for PIN, phone and code"),
            Self::Declined => ("declined", "Visa 4084 0800 0000 5408 – declined"),
            Self::InsufficientFunds => ("insufficient_funds", "Visa 4084 0800 0067 0037 – insufficient funds"),
            Self::TokenNotGenerated => ("token_not_generated", "Verve 5078 5078 5078 5078 53 – token not generated"),
            Self::RefundFails => ("refund_fails", "Visa 4084 0800 0067 1803 – success, its refund fails"),
            Self::RefundNeedsAttention => {
                ("refund_needs_attention", "Visa 4084 0800 0067 1902 – success, its refund needs an account")
            }
            Self::MobileMoney => ("mobile_money", "Mobile money 055 123 4987 – approved on the phone"),
        }
    }

    pub(super) fn course(self) -> Course {
        match self {
            Self::Success | Self::RefundFails | Self::RefundNeedsAttention => Course::Succeeds,
            Self::Declined => Course::Fails("Declined"),
            Self::InsufficientFunds => Course::Fails("Insufficient Funds"),
            Self::TokenNotGenerated => Course::Fails("Token Not Generated. Customer Not Registered on Token Platform"),
            Self::BankAuth => Course::Asks("The bank asks whether it is really you."),
            Self::Pin => Course::Asks("The bank asks for the PIN, 1111."),
            Self::PinOtp => Course::Asks("The bank asks for the PIN, 1234, and for the code it has sent, 123456."),
            Self::PinPhoneOtp => {
                Course::Asks("The bank asks for the PIN, 0000, a phone number, and the code it sends there, 123456.")
            }
            Self::MobileMoney => Course::Waits,
        }
    }

    pub(super) fn fate_of_refund(self) -> Fate {
        match self {
            Self::RefundFails => Fate::Failed,
            Self::RefundNeedsAttention => Fate::NeedsAttention,
            _ => Fate::Processed,
        }
    }

    pub(super) fn is_card(self) -> bool {
        self != Self::MobileMoney
    }

    /// The first six digits.
    pub(super) fn bin(self) -> &'static str {
        match self {
            Self::Pin | Self::PinPhoneOtp | Self::TokenNotGenerated => "507850",
            Self::PinOtp => "506066",
            Self::BankAuth => "519260",
            Self::MobileMoney => "055123",
            _ => "408408",
        }
    }

    pub(super) fn last4(self) -> &'static str {
        match self {
            Self::Success => "4081",
            Self::BankAuth => "4796",
            Self::Pin => "7812",
            Self::PinOtp => "6666",
            Self::PinPhoneOtp => "7804",
            Self::Declined => "5408",
            Self::InsufficientFunds => "0037",
            Self::TokenNotGenerated => "7853",
            Self::RefundFails => "1803",
            Self::RefundNeedsAttention => "1902",
            Self::MobileMoney => "4987",
        }
    }

    pub(super) fn brand(self) -> &'static str {
        match self {
            Self::BankAuth => "mastercard",
            Self::Pin | Self::PinOtp | Self::PinPhoneOtp | Self::TokenNotGenerated => "verve",
            Self::MobileMoney => "mtn",
            _ => "visa",
        }
    }

    /// Whether the card may be charged again without its holder.
    pub(super) fn is_reusable(self) -> bool {
        matches!(self, Self::Success | Self::BankAuth | Self::RefundFails | Self::RefundNeedsAttention)
    }
}
