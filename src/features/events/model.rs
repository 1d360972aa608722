//! What an event is, and what it is called.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use crate::platform::ids::{OrderId, VariantId};
use crate::platform::money::Amount;

/// What an entry of an order's timeline is called as an event. Entries that are not here, such as notes, are none.
pub const ORDER_TOPICS: [(&str, &str); 30] = [
    ("placed", "order.placed"),
    ("accepted", "order.accepted"),
    ("paid", "order.paid"),
    ("processing", "order.processing"),
    ("shipped", "order.shipped"),
    ("delivered", "order.delivered"),
    ("cancelled", "order.cancelled"),
    ("expired", "order.expired"),
    ("reservation_ended", "order.reservation_ended"),
    ("returned", "order.returned"),
    ("partially_refunded", "order.partially_refunded"),
    ("refunded", "order.refunded"),
    ("review_pending", "review.pending"),
    ("review_approved", "review.approved"),
    ("review_rejected", "review.rejected"),
    ("payment_failed", "payment.failed"),
    ("payment_flagged", "payment.flagged"),
    ("payment_retried", "payment.retried"),
    ("refund_pending", "refund.pending"),
    ("refund_processing", "refund.processing"),
    ("refund_processed", "refund.processed"),
    ("refund_failed", "refund.failed"),
    ("refund_needs_attention", "refund.needs_attention"),
    ("parcel_packed", "parcel.packed"),
    ("parcel_shipped", "parcel.shipped"),
    ("parcel_delivered", "parcel.delivered"),
    ("parcel_cancelled", "parcel.cancelled"),
    ("return_requested", "return.requested"),
    ("dispute_created", "dispute.created"),
    ("dispute_resolved", "dispute.resolved"),
];

/// A return was withdrawn or refused, and the order is again what it was before.
pub const RETURN_CLOSED: &str = "return.closed";

/// A movement of stock.
pub const STOCK_CHANGED: &str = "stock.changed";

/// Every topic.
pub fn topics() -> impl Iterator<Item = &'static str> {
    ORDER_TOPICS.into_iter().map(|(_, topic)| topic).chain([RETURN_CLOSED, STOCK_CHANGED])
}

/// The topic of an entry of a timeline, by its name and the status before.
pub(super) fn topic_of(entry: &str, from: Option<&str>) -> Option<&'static str> {
    if from == Some("return_requested") && matches!(entry, "shipped" | "delivered") {
        return Some(RETURN_CLOSED);
    }
    ORDER_TOPICS.into_iter().find(|(known, _)| *known == entry).map(|(_, topic)| topic)
}

/// Where an event is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stream {
    /// The timeline of the orders.
    Orders,
    /// The ledger of the stock.
    Stock,
}

impl Stream {
    /// The number, as stored: of one transaction, events of orders come first.
    pub fn number(self) -> i16 {
        match self {
            Self::Orders => 0,
            Self::Stock => 1,
        }
    }

    /// None for what is no number of a stream.
    pub fn of_number(number: i16) -> Option<Self> {
        [Self::Orders, Self::Stock].into_iter().find(|stream| stream.number() == number)
    }
}

/// The place of an event among all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The transaction that it is filed under.
    pub txid: i64,
    /// Where it is kept.
    pub stream: Stream,
    /// Its number there.
    pub id: i64,
}

impl Position {
    /// Before all events.
    pub const START: Self = Self { txid: 0, stream: Stream::Orders, id: 0 };

    /// As text that clients hand back unread.
    pub fn encode(self) -> String {
        URL_SAFE_NO_PAD.encode(format!("1.{}.{}.{}", self.txid, self.stream.number(), self.id))
    }

    /// None for what [`Self::encode`] did not make.
    pub fn decode(cursor: &str) -> Option<Self> {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
        let mut parts = text.strip_prefix("1.")?.split('.');
        let (txid, stream, id) = (parts.next()?, parts.next()?, parts.next()?);
        let number = |text: &str| text.parse::<i64>().ok().filter(|number| *number >= 0);
        let stream = Stream::of_number(stream.parse().ok()?)?;
        let position = Self { txid: number(txid)?, stream, id: number(id)? };
        // Only one way to write each.
        (position.encode() == cursor).then_some(position)
    }
}

/// Something that has happened. It never changes.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// The same wherever and however often the event is told.
    #[schema(example = "o42")]
    pub id: String,
    /// Of this shape. Fields may be added to it; with any other change the number rises.
    #[schema(example = 1)]
    pub version: u8,
    /// What happened.
    #[schema(example = "order.paid")]
    pub topic: &'static str,
    /// When.
    pub occurred_at: DateTime<Utc>,
    /// The order that it concerns.
    pub order_id: Option<OrderId>,
    /// Its number.
    #[schema(example = "AGP2026000001H")]
    pub order_number: Option<String>,
    /// Facts of the event; nothing about persons.
    pub data: EventData,
    /// Its place.
    #[serde(skip)]
    pub position: Position,
}

/// Facts of an event.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum EventData {
    /// Of an order, its money, its parcels and returns.
    #[serde(rename_all = "camelCase")]
    Order {
        /// The order's status before, where it changed.
        from: Option<String>,
        /// The order's status after, where it changed.
        to: Option<String>,
        /// Who made it happen: customer, staff, system or provider.
        actor: String,
        /// The order's total for `order.placed`, the money that came or goes back for others.
        amount: Option<Amount>,
        /// The currency of the amount.
        currency: String,
    },
    /// Of the stock.
    #[serde(rename_all = "camelCase")]
    Stock {
        /// What is sold.
        variant_id: VariantId,
        /// Its sku at the moment.
        sku: String,
        /// By how much the units on hand change.
        on_hand_change: i32,
        /// By how much the units set aside for orders change.
        reserved_change: i32,
        /// Why: reserve, commit, release, received, count …
        reason: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::orders::{ParcelStatus, Status};

    #[test]
    fn a_cursor_is_read_as_it_was_written() {
        for position in [
            Position::START,
            Position { txid: 7, stream: Stream::Stock, id: 9 },
            Position { txid: i64::MAX, stream: Stream::Orders, id: i64::MAX },
        ] {
            assert_eq!(Position::decode(&position.encode()), Some(position));
        }
        for text in
            ["", "1.1.0.1", "1.-1.0.1", "1.1.2.1", "1.1.0.1.1", "1.01.0.1", "2.1.0.1", "1.9223372036854775808.0.1"]
        {
            assert_eq!(Position::decode(text), None);
            let made_up = URL_SAFE_NO_PAD.encode(text);
            assert_eq!(Position::decode(&made_up).is_some(), text == "1.1.0.1", "{text}");
        }
    }

    #[test]
    fn every_move_of_an_order_or_a_parcel_is_an_event() {
        for status in Status::ALL {
            // An order begins with the one, and comes back to the other with `payment_retried`.
            let has_other_name = matches!(status, Status::Pending | Status::PendingPayment);
            assert_eq!(topic_of(status.as_str(), None).is_none(), has_other_name, "{status:?}");
        }
        for status in [ParcelStatus::Packed, ParcelStatus::Shipped, ParcelStatus::Delivered, ParcelStatus::Cancelled] {
            assert!(topic_of(&format!("parcel_{}", status.as_str()), None).is_some(), "{status:?}");
        }
        assert_eq!(topic_of("shipped", Some("return_requested")), Some(RETURN_CLOSED));
        assert_eq!(topic_of("note", None), None);
    }

    #[test]
    fn no_topic_has_two_meanings() {
        let mut all: Vec<_> = topics().collect();
        all.sort_unstable();
        let count = all.len();
        all.dedup();
        assert_eq!(all.len(), count);
    }
}
