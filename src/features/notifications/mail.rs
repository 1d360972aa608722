//! What a mail says, before it is rendered.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

pub use super::mail_money::{MoneyAlert, RefundSummary, RefundTurn};
pub use super::mail_order::{
    AccountSummary, OrderLine, OrderSummary, ParcelSummary, PaymentSummary, ReturnSummary, ReturnTurn, ReturnedLine,
    ShippingAddress,
};

/// A mail to a customer, with everything it says.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Mail {
    /// Asks a new customer to confirm their email address.
    VerifyEmail {
        /// The customer's name.
        name: String,
        /// The page that confirms the address.
        link: String,
        /// How long the link works.
        valid_hours: u32,
    },
    /// Lets somebody who asked for it choose a new password.
    PasswordReset {
        /// The customer's name.
        name: String,
        /// The page that sets the new password.
        link: String,
        /// How long the link works.
        valid_minutes: u32,
    },
    /// Tells the customer that wrong passwords have locked their account.
    AccountLocked {
        /// The customer's name.
        name: String,
        /// How many wrong passwords it took.
        failures: u32,
        /// How long the lock holds.
        lock_minutes: u32,
        /// The page to ask for a new password.
        link: String,
    },
    /// Tells the customer of a change in how their account is protected, in case somebody else made it.
    SecurityNotice {
        /// The customer's name.
        name: String,
        /// What has changed.
        change: SecurityChange,
        /// When it changed.
        at: DateTime<Utc>,
        /// The page to ask for a new password.
        link: String,
    },
    /// Tells the customer that their order is placed.
    OrderConfirmation {
        /// The order.
        order: OrderSummary,
        /// Where to pay, when payment is still to be made.
        pay_link: Option<String>,
        /// The accounts for a transfer, when it is paid by one.
        transfer: Vec<AccountSummary>,
        /// Whether it is paid when it arrives.
        on_delivery: bool,
    },
    /// Tells the customer that their payment has arrived.
    PaymentReceipt {
        /// The order paid for.
        order: OrderSummary,
        /// The payment, in the order's currency.
        payment: PaymentSummary,
    },
    /// Tells the customer that a parcel is on its way.
    OrderShipped {
        /// The order.
        order: OrderSummary,
        /// The parcel.
        parcel: ParcelSummary,
    },
    /// Tells the customer that a parcel has arrived.
    OrderDelivered {
        /// The order.
        order: OrderSummary,
        /// The parcel.
        parcel: ParcelSummary,
    },
    /// Tells the customer that their order was cancelled.
    OrderCancelled {
        /// The order.
        order: OrderSummary,
        /// The words of whoever cancelled it.
        reason: Option<String>,
        /// What they get back, in hundredths of the order's unit; 0 when nothing was paid.
        refund_minor: i64,
    },
    /// Tells the customer how a return goes on.
    OrderReturn {
        /// The order.
        order: OrderSummary,
        /// The return.
        back: ReturnSummary,
    },
    /// Tells the customer that money goes back.
    OrderRefund {
        /// The order.
        order: OrderSummary,
        /// The money.
        refund: RefundSummary,
    },
    /// Tells those who look after the money that they have to look at something.
    MoneyAlert {
        /// What has happened.
        alert: MoneyAlert,
        /// The order's number.
        order_number: String,
        /// The money, in hundredths of the currency's unit.
        amount_minor: i64,
        /// The ISO 4217 code of the amount.
        currency: String,
        /// More words, such as the provider's.
        words: Option<String>,
    },
    /// Tells somebody who asked that a variant can be bought again.
    BackInStock {
        /// The product's title.
        title: String,
        /// The variant, such as `Gold / 6 yards`.
        variant: Option<String>,
        /// What it costs, in hundredths of the currency's unit.
        price_minor: i64,
        /// The ISO 4217 code of the price.
        currency: String,
        /// A picture of it.
        image_url: Option<String>,
        /// Where it is sold.
        link: String,
        /// The page that takes back what else was asked for.
        stop_link: String,
    },
    /// Tells the staff what has become low.
    LowStock {
        /// The first of them, the fewest first. At least one.
        lines: Vec<LowStockLine>,
        /// How many there are.
        total: usize,
    },
    /// Tells the staff that a paid order waits for their review.
    OrderOnReview {
        /// The order's number.
        order_number: String,
        /// What was paid, in hundredths of the currency's unit.
        amount_minor: i64,
        /// ISO 4217.
        currency: String,
        /// The score.
        score: i32,
        /// What is odd about it.
        reasons: Vec<String>,
    },
    /// Tells the staff that a buyer wants to send something back.
    ReturnRequested {
        /// The order's number.
        order_number: String,
        /// What he wants to send back. At least one line.
        lines: Vec<ReturnedLine>,
    },
    /// Tells the staff that an address is not told of events any more.
    WebhookDisabled {
        /// The address.
        url: String,
        /// Why.
        reason: String,
    },
    /// Tells the staff how the provider's list compares with the shop's payments.
    Reconciliation {
        /// The reconciliation's id.
        id: String,
        /// Transactions that were begun from then
        from: DateTime<Utc>,
        /// to before then.
        until: DateTime<Utc>,
        /// What both sides add up to, for each currency.
        sums: Vec<ReconciledSum>,
        /// How many findings of each kind there are.
        findings: Vec<(String, i64)>,
        /// How many there are in all.
        found: i64,
        /// How many of them somebody has to look at.
        open: i64,
        /// Why it was given up.
        failure: Option<String>,
    },
    /// Tells the staff that a dispute has to be answered, or how it ended.
    Dispute {
        /// The provider's number of it.
        number: String,
        /// What has happened.
        turn: DisputeTurn,
        /// The order's number, where the payment is known.
        order_number: Option<String>,
        /// The payment's name at the provider.
        reference: Option<String>,
        /// The provider's word for what it is about.
        category: Option<String>,
        /// What is asked back, in hundredths of the currency's unit.
        amount_minor: Option<i64>,
        /// ISO 4217.
        currency: String,
        /// Until when it has to be answered.
        due_at: Option<DateTime<Utc>>,
        /// The provider's word for how it ended.
        resolution: Option<String>,
    },
    /// Reminds the customer of a cart with something in it.
    AbandonedCart {
        /// The customer's name.
        name: String,
        /// What can be bought of it; at least one line.
        lines: Vec<OrderLine>,
        /// How many lines there are beside these.
        more: usize,
        /// The ISO 4217 code of all amounts.
        currency: String,
        /// Where the cart is.
        link: String,
        /// Where one click ends such mails.
        unsubscribe_link: String,
    },
}

impl Mail {
    /// The kind's name: the `kind` in its JSON and the name of its templates.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::VerifyEmail { .. } => "verify_email",
            Self::PasswordReset { .. } => "password_reset",
            Self::AccountLocked { .. } => "account_locked",
            Self::SecurityNotice { .. } => "security_notice",
            Self::OrderConfirmation { .. } => "order_confirmation",
            Self::PaymentReceipt { .. } => "payment_receipt",
            Self::OrderShipped { .. } => "order_shipped",
            Self::OrderDelivered { .. } => "order_delivered",
            Self::OrderCancelled { .. } => "order_cancelled",
            Self::OrderReturn { .. } => "order_return",
            Self::OrderRefund { .. } => "order_refund",
            Self::MoneyAlert { .. } => "money_alert",
            Self::BackInStock { .. } => "back_in_stock",
            Self::LowStock { .. } => "low_stock",
            Self::OrderOnReview { .. } => "order_on_review",
            Self::ReturnRequested { .. } => "return_requested",
            Self::WebhookDisabled { .. } => "webhook_disabled",
            Self::Reconciliation { .. } => "reconciliation",
            Self::Dispute { .. } => "dispute",
            Self::AbandonedCart { .. } => "abandoned_cart",
        }
    }

    /// Where one click ends mails of this kind; only those that sell have it.
    pub fn unsubscribe_link(&self) -> Option<&str> {
        match self {
            Self::AbandonedCart { unsubscribe_link, .. } => Some(unsubscribe_link),
            _ => None,
        }
    }
}

/// A variant of which little is left.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct LowStockLine {
    /// The product's title.
    pub title: String,
    /// The variant, such as `Gold / 6 yards`.
    pub variant: Option<String>,
    /// Its sku.
    pub sku: String,
    /// Units that can be sold.
    pub available: i32,
    /// The threshold at or below which that is.
    pub threshold: i32,
}

/// What the provider and the shop have in one currency. Amounts are in hundredths of its unit.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct ReconciledSum {
    /// ISO 4217.
    pub currency: String,
    /// Successful transactions of the provider.
    pub their_count: i64,
    /// What they add up to.
    pub their_minor: i64,
    /// What the provider charges for them.
    pub their_fees_minor: i64,
    /// Payments of the shop.
    pub our_count: i64,
    /// What they add up to.
    pub our_minor: i64,
}

/// What has happened to a dispute.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum DisputeTurn {
    /// It was opened.
    Opened,
    /// Its answer is due soon.
    Due,
    /// It is over, and the money went back.
    Lost,
    /// It is over, and the money stays.
    Won,
}

/// What changed in how an account is protected.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum SecurityChange {
    /// The account has another password.
    PasswordChanged,
    /// Signing in asks for a code, too.
    TwoFactorEnabled,
    /// Signing in asks for the password only.
    TwoFactorDisabled,
    /// New recovery codes were made, and the old ones have ended.
    RecoveryCodesReplaced,
    /// A recovery code stood in for the code of an app.
    RecoveryCodeUsed,
    /// A refresh token was used a second time, so its session was ended.
    SignInReused,
}
