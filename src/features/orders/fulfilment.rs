//! Parcels: what is in one, where it is, and who carries it.

use std::borrow::Cow;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize, de};
use utoipa::ToSchema;

use super::status::Status;
use crate::platform::ids::{FulfilmentId, OrderItemId};

/// How much of an order has left the house.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, sqlx::Type, ToSchema)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum FulfilmentState {
    /// Nothing.
    Unfulfilled,
    /// A part.
    Partial,
    /// All.
    Fulfilled,
}

impl FulfilmentState {
    /// Every state.
    pub const ALL: [Self; 3] = [Self::Unfulfilled, Self::Partial, Self::Fulfilled];

    /// The name, as stored and sent.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unfulfilled => "unfulfilled",
            Self::Partial => "partial",
            Self::Fulfilled => "fulfilled",
        }
    }
}

/// Where a parcel is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, sqlx::Type, ToSchema)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum ParcelStatus {
    /// In the house.
    Packed,
    /// On its way.
    Shipped,
    /// Arrived.
    Delivered,
    /// Unpacked again.
    Cancelled,
}

impl ParcelStatus {
    /// What a parcel may become. The database has the same rule, `fulfilments_moves`.
    pub fn next(self) -> &'static [Self] {
        match self {
            Self::Packed => &[Self::Shipped, Self::Cancelled],
            Self::Shipped => &[Self::Delivered],
            Self::Delivered | Self::Cancelled => &[],
        }
    }

    /// The name, as stored and sent.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Packed => "packed",
            Self::Shipped => "shipped",
            Self::Delivered => "delivered",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Who carries a parcel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, sqlx::Type, ToSchema)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum Carrier {
    /// DHL.
    Dhl,
    /// `FedEx`.
    Fedex,
    /// UPS.
    Ups,
    /// GIG Logistics.
    GigLogistics,
    /// Nigerian Postal Service.
    Nipost,
    /// Ghana Post.
    GhanaPost,
    /// Express Mail Service of the posts.
    Ems,
    /// Aramex.
    Aramex,
    /// Somebody else.
    Other,
}

impl Carrier {
    /// The name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dhl => "DHL",
            Self::Fedex => "FedEx",
            Self::Ups => "UPS",
            Self::GigLogistics => "GIG Logistics",
            Self::Nipost => "NIPOST",
            Self::GhanaPost => "Ghana Post",
            Self::Ems => "EMS",
            Self::Aramex => "Aramex",
            Self::Other => "Courier",
        }
    }

    /// The public page that tells where a parcel is, of those carriers that have one for every number.
    pub fn tracking_link(self, number: &str) -> Option<String> {
        let page = match self {
            Self::Dhl => "https://www.dhl.com/global-en/home/tracking.html?tracking-id=",
            Self::Fedex => "https://www.fedex.com/fedextrack/?trknbr=",
            Self::Ups => "https://www.ups.com/track?tracknum=",
            _ => return None,
        };
        let number: String = url::form_urlencoded::byte_serialize(number.as_bytes()).collect();
        Some(format!("{page}{number}"))
    }
}

/// The address of a page about a parcel: https, at most 500 characters, without a user's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TrackingLink(String);

impl TrackingLink {
    /// The address, owned.
    pub(super) fn into_string(self) -> String {
        self.0
    }
}

impl FromStr for TrackingLink {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let url = url::Url::parse(text.trim()).ok();
        let is_fit = |url: &url::Url| url.scheme() == "https" && url.has_host() && url.username().is_empty();
        let url = url.filter(|url| is_fit(url) && url.password().is_none() && url.as_str().len() <= 500);
        url.map(|url| Self(url.into())).ok_or("must be an https address of at most 500 characters")
    }
}

impl<'de> Deserialize<'de> for TrackingLink {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<str>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// A parcel.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the fields are the columns of `fulfilments`, described in the migration")]
pub struct Fulfilment {
    pub id: FulfilmentId,
    pub number: i32,
    pub status: ParcelStatus,
    pub carrier: Option<Carrier>,
    pub tracking_number: Option<String>,
    pub tracking_url: Option<String>,
    pub note: Option<String>,
    pub version: i32,
    pub created_at: DateTime<Utc>,
    pub shipped_at: Option<DateTime<Utc>>,
    pub delivered_at: Option<DateTime<Utc>>,
    pub items: Vec<ParcelItem>,
}

impl Fulfilment {
    /// Whether it is on its way or has arrived.
    pub fn is_sent(&self) -> bool {
        self.shipped_at.is_some()
    }

    /// Where it can be looked for: the page that staff gave, or the carrier's.
    pub fn link(&self) -> Option<String> {
        let by_number = || self.carrier?.tracking_link(self.tracking_number.as_deref()?);
        self.tracking_url.clone().or_else(by_number)
    }
}

/// Units of a line in a parcel.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct ParcelItem {
    /// The line of the order.
    pub order_item_id: OrderItemId,
    /// Units.
    pub quantity: i32,
}

/// A parcel as it is shown.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct FulfilmentView {
    id: FulfilmentId,
    /// Counts the parcels of the order.
    number: i32,
    status: ParcelStatus,
    carrier: Option<Carrier>,
    tracking_number: Option<String>,
    /// Where the parcel can be looked for.
    tracking_url: Option<String>,
    /// For the buyer.
    note: Option<String>,
    items: Vec<ParcelItemView>,
    created_at: DateTime<Utc>,
    shipped_at: Option<DateTime<Utc>>,
    delivered_at: Option<DateTime<Utc>>,
    /// For the next change.
    version: i32,
}

/// Units of a line in a parcel.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ParcelItemView {
    /// The line of the order.
    item_id: OrderItemId,
    quantity: i32,
}

impl From<Fulfilment> for FulfilmentView {
    fn from(parcel: Fulfilment) -> Self {
        let tracking_url = parcel.link();
        Self {
            id: parcel.id,
            number: parcel.number,
            status: parcel.status,
            carrier: parcel.carrier,
            tracking_number: parcel.tracking_number,
            tracking_url,
            note: parcel.note,
            items: parcel
                .items
                .iter()
                .map(|item| ParcelItemView { item_id: item.order_item_id, quantity: item.quantity })
                .collect(),
            created_at: parcel.created_at,
            shipped_at: parcel.shipped_at,
            delivered_at: parcel.delivered_at,
            version: parcel.version,
        }
    }
}

/// Units of all lines of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Units {
    /// Ordered, but for those that are not sent as their money goes back.
    pub ordered: i64,
    /// In parcels that were not unpacked.
    pub packed: i64,
    /// In parcels that are on their way or have arrived.
    pub shipped: i64,
    /// In parcels that have arrived.
    pub delivered: i64,
    /// Sent back and here.
    pub received: i64,
}

impl Units {
    /// Where an order stands by its parcels; none while nothing is packed.
    pub fn status(self) -> Option<Status> {
        if self.packed == 0 {
            None
        } else if self.delivered >= self.ordered {
            Some(Status::Delivered)
        } else if self.shipped >= self.ordered {
            Some(Status::Shipped)
        } else {
            Some(Status::Processing)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_a_public_page() {
        for text in ["https://example.com/track?n=1", " https://gigl.example/AB-1 "] {
            assert!(text.parse::<TrackingLink>().is_ok(), "{text}");
        }
        let long = format!("https://example.com/{}", "x".repeat(500));
        for text in ["http://example.com", "javascript:alert(1)", "https://", "https://me:pw@example.com", "x", &long] {
            assert!(text.parse::<TrackingLink>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_number_cannot_leave_its_place_in_a_link() {
        let link = Carrier::Dhl.tracking_link("1&x=2#y").unwrap();
        assert_eq!(link, "https://www.dhl.com/global-en/home/tracking.html?tracking-id=1%26x%3D2%23y");
        assert_eq!(Carrier::GigLogistics.tracking_link("1"), None);
    }

    #[test]
    fn an_order_stands_where_its_parcels_are() {
        let units = |packed, shipped, delivered| Units { ordered: 3, packed, shipped, delivered, received: 0 }.status();
        assert_eq!(units(0, 0, 0), None);
        assert_eq!(units(1, 0, 0), Some(Status::Processing));
        assert_eq!(units(3, 2, 1), Some(Status::Processing));
        assert_eq!(units(3, 3, 2), Some(Status::Shipped));
        assert_eq!(units(3, 3, 3), Some(Status::Delivered));
    }
}
