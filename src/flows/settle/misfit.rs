//! Whether money that has come fits its order.

use std::cmp::Ordering;

use chrono::{DateTime, Utc};
use paystack::Transaction;
use sqlx::PgConnection;

use crate::app::App;
use crate::features::orders::{self, Actor, LockedOrder, Status};
use crate::features::payments::{self, Payment, Proof};
use crate::features::{coupons, inventory};
use crate::platform::error::Result;

/// Why money does not fit its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Misfit {
    Erased,
    PaidBefore,
    GivenUp,
    Closed,
    OtherCurrency,
    TooLittle,
    TooMuch,
    SoldOut,
}

impl Misfit {
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Erased => "the buyer has erased his account; the money is to be given back",
            Self::PaidBefore => "the order was paid before by another attempt",
            Self::GivenUp => "the order was given up before the money came",
            Self::Closed => "the order is closed",
            Self::OtherCurrency => "paid in another currency",
            Self::TooLittle => "paid too little",
            Self::TooMuch => "paid too much",
            Self::SoldOut => "paid after the goods were sold to somebody else",
        }
    }

    /// Whether there is nothing to decide: the order has no use for this money.
    pub(super) fn goes_back(self, app: &App) -> bool {
        match self {
            Self::Erased | Self::GivenUp | Self::SoldOut => true,
            Self::PaidBefore => app.config.payments.auto_refund_duplicates,
            Self::Closed | Self::OtherCurrency | Self::TooLittle | Self::TooMuch => false,
        }
    }

    /// What is wrong with the sum that the provider tells of.
    pub(super) fn of_transaction(payment: &Payment, transaction: &Transaction) -> Option<Self> {
        if transaction.currency != payment.currency {
            return Some(Self::OtherCurrency);
        }
        // Where the shopper bears the fees, they come on top of what was asked for.
        let with_fees = transaction.requested_amount == Some(payment.amount_minor)
            && Some(transaction.amount) == payment.amount_minor.checked_add(transaction.fees.unwrap_or(0));
        Self::of_sum(payment, transaction.amount).filter(|misfit| *misfit != Self::TooMuch || !with_fees)
    }

    /// What is wrong with the sum that staff have seen come.
    pub(super) fn of_hand(payment: &Payment, proof: &Proof) -> Option<Self> {
        Self::of_sum(payment, proof.amount_minor)
    }

    fn of_sum(payment: &Payment, amount_minor: i64) -> Option<Self> {
        match amount_minor.cmp(&payment.amount_minor) {
            Ordering::Less => Some(Self::TooLittle),
            Ordering::Equal => None,
            Ordering::Greater => Some(Self::TooMuch),
        }
    }
}

/// Why the money does not fit the order, or none, and then its stock is sold.
pub(super) async fn find_or_sell(
    tx: &mut PgConnection,
    order: &LockedOrder,
    wrong_sum: Option<Misfit>,
    now: DateTime<Utc>,
) -> Result<Option<Misfit>> {
    if order.is_erased() {
        return Ok(Some(Misfit::Erased));
    }
    if payments::has_success(tx, order.id).await? {
        return Ok(Some(Misfit::PaidBefore));
    }
    // Who gave it up on purpose does not want it any more; the clock may have been too fast.
    if order.status == Status::Cancelled && orders::cancelled_by(tx, order.id).await? != Some(Actor::System) {
        return Ok(Some(Misfit::GivenUp));
    }
    if !order.status.may_become(Status::Paid) {
        return Ok(Some(Misfit::Closed));
    }
    if wrong_sum.is_some() {
        return Ok(wrong_sum);
    }
    Ok(if sell(tx, order, now).await? { None } else { Some(Misfit::SoldOut) })
}

/// Sells the stock of an order whose money is here, and uses a coupon again that was given back. False where something is sold
/// out; nothing is changed then.
///
/// # Errors
/// The database's.
pub(in crate::flows) async fn sell(tx: &mut PgConnection, order: &LockedOrder, now: DateTime<Utc>) -> Result<bool> {
    if order.status.awaits_payment() && inventory::commit_reservations(tx, order.id, now).await? > 0 {
        return Ok(true);
    }
    // Before the stock, as a placing locks them: its coupon is used again, or given back where the goods are gone.
    coupons::lock_coupons_of(tx, &[order.id]).await?;
    let sold = inventory::take_for_late_payment(tx, order.id, now).await?;
    if sold && order.status == Status::Cancelled {
        coupons::redeem_again(tx, order.id).await?;
    }
    Ok(sold)
}
