//! Where an order stands, and where it may go from there.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::platform::error::Error;

/// Where an order stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, sqlx::Type, ToSchema)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum Status {
    /// Not complete yet.
    Pending,
    /// Stock is set aside and the shop waits for the money.
    PendingPayment,
    /// A payment was tried and refused; another may follow.
    PaymentFailed,
    /// The money is here.
    Paid,
    /// Being packed.
    Processing,
    /// On its way.
    Shipped,
    /// Arrived.
    Delivered,
    /// Given up, by the shopper, the staff or the clock.
    Cancelled,
    /// A part of the money went back.
    PartiallyRefunded,
    /// All money went back.
    Refunded,
    /// The shopper wants to send goods back.
    ReturnRequested,
    /// Goods came back.
    Returned,
}

/// Who makes something happen to an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, sqlx::Type, ToSchema)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum Actor {
    /// Its buyer.
    Customer,
    /// Somebody of the shop.
    Staff,
    /// The clock.
    System,
    /// The payment provider.
    Provider,
}

use self::Actor::{Customer, Provider, Staff, System};
use self::Status::{
    Cancelled, Delivered, Paid, PartiallyRefunded, PaymentFailed, Pending, PendingPayment, Processing, Refunded,
    ReturnRequested, Returned, Shipped,
};

/// The moves that an order may make, and who may make each: the whole table. The database has the same, `order_moves`.
pub const MOVES: [(Status, Status, &[Actor]); 36] = [
    (Pending, PendingPayment, &[Customer, System]),
    (Pending, Cancelled, &[Customer, Staff, System]),
    (PendingPayment, PaymentFailed, &[Provider]),
    // Staff, where they see the money themselves.
    (PendingPayment, Paid, &[Provider, Staff]),
    // It is paid when it arrives; the database refuses it of all others.
    (PendingPayment, Processing, &[System]),
    (PendingPayment, Cancelled, &[Customer, Staff, System]),
    (PaymentFailed, PendingPayment, &[Customer]),
    (PaymentFailed, Paid, &[Provider, Staff]),
    (PaymentFailed, Cancelled, &[Customer, Staff, System]),
    // Money that arrives after the order was given up revives it, if its goods are still there.
    (Cancelled, Paid, &[Provider, Staff]),
    (Paid, Processing, &[Staff]),
    (Paid, Shipped, &[Staff]),
    (Paid, Cancelled, &[Customer, Staff]),
    (Paid, PartiallyRefunded, &[Staff, System, Provider]),
    (Paid, Refunded, &[Staff, System, Provider]),
    (Processing, Shipped, &[Staff]),
    // A buyer only what is not paid and not packed.
    (Processing, Cancelled, &[Customer, Staff]),
    (Processing, PartiallyRefunded, &[Staff, System, Provider]),
    (Processing, Refunded, &[Staff, System, Provider]),
    (Shipped, Delivered, &[Staff]),
    (Shipped, ReturnRequested, &[Customer, Staff]),
    (Shipped, PartiallyRefunded, &[Staff, System, Provider]),
    (Shipped, Refunded, &[Staff, System, Provider]),
    (Delivered, ReturnRequested, &[Customer, Staff]),
    (Delivered, PartiallyRefunded, &[Staff, System, Provider]),
    (Delivered, Refunded, &[Staff, System, Provider]),
    (ReturnRequested, Returned, &[Staff]),
    // A return was refused, withdrawn, or was of a part only.
    (ReturnRequested, Shipped, &[Customer, Staff]),
    (ReturnRequested, Delivered, &[Customer, Staff]),
    (Returned, PartiallyRefunded, &[Staff, System, Provider]),
    (Returned, Refunded, &[Staff, System, Provider]),
    (PartiallyRefunded, Processing, &[Staff]),
    (PartiallyRefunded, Shipped, &[Staff]),
    (PartiallyRefunded, Delivered, &[Staff]),
    (PartiallyRefunded, ReturnRequested, &[Customer, Staff]),
    (PartiallyRefunded, Refunded, &[Staff, System, Provider]),
];

impl Status {
    /// Every status.
    pub const ALL: [Self; 12] = [
        Self::Pending,
        Self::PendingPayment,
        Self::PaymentFailed,
        Self::Paid,
        Self::Processing,
        Self::Shipped,
        Self::Delivered,
        Self::Cancelled,
        Self::PartiallyRefunded,
        Self::Refunded,
        Self::ReturnRequested,
        Self::Returned,
    ];

    /// Whether an order may make this move, whoever makes it.
    pub fn may_become(self, next: Self) -> bool {
        MOVES.iter().any(|(from, to, _)| (*from, *to) == (self, next))
    }

    /// Whether this actor may make this move.
    pub fn may_be_moved(self, next: Self, by: Actor) -> bool {
        MOVES.iter().any(|(from, to, actors)| (*from, *to) == (self, next) && actors.contains(&by))
    }

    /// The statuses that staff may set by name. A return and a refund end by themselves.
    pub fn settable(self) -> impl Iterator<Item = Self> {
        let by_name = [Processing, Shipped, Delivered, Cancelled];
        by_name.into_iter().filter(move |next| self != ReturnRequested && self.may_be_moved(*next, Staff))
    }

    /// What staff are told who may not set this status.
    pub fn refusal(self, next: Self) -> Error {
        let names: Vec<&str> = self.settable().map(Self::as_str).collect();
        let (from, to) = (self.as_str(), next.as_str());
        let rest = match names.as_slice() {
            _ if self == ReturnRequested => "Decide its return first.".to_owned(),
            [] => "Nothing can be set from here.".to_owned(),
            names => format!("From here it can become {}.", names.join(" or ")),
        };
        Error::conflict(format!("This order is {from} and cannot be made {to}. {rest}"))
    }

    /// Whether the shop still waits for money.
    pub fn awaits_payment(self) -> bool {
        matches!(self, Self::Pending | Self::PendingPayment | Self::PaymentFailed)
    }

    /// Whether parcels may be packed and sent.
    pub fn may_be_fulfilled(self) -> bool {
        matches!(self, Self::Paid | Self::Processing | Self::PartiallyRefunded)
    }

    /// The name, as stored and sent.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::PendingPayment => "pending_payment",
            Self::PaymentFailed => "payment_failed",
            Self::Paid => "paid",
            Self::Processing => "processing",
            Self::Shipped => "shipped",
            Self::Delivered => "delivered",
            Self::Cancelled => "cancelled",
            Self::PartiallyRefunded => "partially_refunded",
            Self::Refunded => "refunded",
            Self::ReturnRequested => "return_requested",
            Self::Returned => "returned",
        }
    }
}

impl Actor {
    /// The name, as stored and sent.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Staff => "staff",
            Self::System => "system",
            Self::Provider => "provider",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finished_order_does_not_come_back() {
        for next in Status::ALL {
            assert!(!Refunded.may_become(next));
            assert!(!next.may_become(next), "{next:?} to itself");
        }
        assert!(!Paid.may_become(PendingPayment));
        assert!(!Cancelled.may_become(PendingPayment));
        assert!(!Delivered.may_become(Cancelled));
    }

    #[test]
    fn a_move_is_in_the_table_once_and_somebody_makes_it() {
        for (i, (from, to, actors)) in MOVES.iter().enumerate() {
            assert!(!actors.is_empty(), "{from:?} to {to:?}");
            assert!(!MOVES.iter().skip(i + 1).any(|(f, t, _)| (f, t) == (from, to)), "{from:?} to {to:?}");
        }
        // Money comes with a payment: by no name that somebody sets, and never by a buyer's or the clock's word.
        assert!(Status::ALL.iter().all(|status| status.settable().all(|next| next != Paid)));
        let is_paid = |by: &Actor| matches!(by, Provider | Staff);
        assert!(MOVES.iter().all(|(_, to, actors)| *to != Paid || actors.iter().all(is_paid)));
    }

    #[test]
    fn every_status_is_stored_by_its_wire_name() {
        for status in Status::ALL {
            assert_eq!(serde_json::to_value(status).unwrap(), status.as_str());
        }
        for actor in [Customer, Staff, System, Provider] {
            assert_eq!(serde_json::to_value(actor).unwrap(), actor.as_str());
        }
    }
}
