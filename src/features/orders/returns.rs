//! What buyers send back.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::status::Actor;
use crate::platform::ids::{OrderItemId, ReturnId, VariantId};

/// Where a return stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, sqlx::Type, ToSchema)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum ReturnStatus {
    /// The staff has to decide.
    Requested,
    /// The goods may be sent.
    Approved,
    /// They may not, or were not fit to be taken back.
    Rejected,
    /// The goods are here.
    Received,
    /// Withdrawn.
    Cancelled,
}

impl ReturnStatus {
    /// Every status.
    pub const ALL: [Self; 5] = [Self::Requested, Self::Approved, Self::Rejected, Self::Received, Self::Cancelled];

    /// What staff may make of a return. The database has the same rule, `returns_moves`.
    pub fn next(self) -> &'static [Self] {
        match self {
            Self::Requested => &[Self::Approved, Self::Rejected, Self::Cancelled],
            Self::Approved => &[Self::Received, Self::Rejected, Self::Cancelled],
            Self::Rejected | Self::Received | Self::Cancelled => &[],
        }
    }

    /// The name, as stored and sent.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Received => "received",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Why goods are sent back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, sqlx::Type, ToSchema)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum ReturnReason {
    /// It came broken.
    Damaged,
    /// It is another thing than was ordered.
    WrongItem,
    /// It is not what the shop said.
    NotAsDescribed,
    /// It is not wanted any more.
    ChangedMind,
    /// The words say it.
    Other,
}

/// What is sent back of an order.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the fields are the columns of `returns`, described in the migration")]
pub struct Return {
    pub id: ReturnId,
    pub number: i32,
    pub status: ReturnStatus,
    pub requested_by: Actor,
    pub note: Option<String>,
    pub answer: Option<String>,
    pub version: i32,
    pub created_at: DateTime<Utc>,
    pub received_at: Option<DateTime<Utc>>,
    pub items: Vec<ReturnItem>,
}

/// Units of a line that are sent back.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct ReturnItem {
    /// The line of the order.
    pub order_item_id: OrderItemId,
    /// What was bought.
    pub variant_id: VariantId,
    /// Units.
    pub quantity: i32,
    /// Why.
    pub reason: ReturnReason,
    /// Units that went back on the shelf; none until the goods are here.
    pub restocked: Option<i32>,
}

/// A return as it is shown.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ReturnView {
    id: ReturnId,
    /// Counts the returns of the order.
    number: i32,
    status: ReturnStatus,
    requested_by: Actor,
    /// The words of whoever asked.
    note: Option<String>,
    /// The shop's words about it.
    answer: Option<String>,
    items: Vec<ReturnItemView>,
    created_at: DateTime<Utc>,
    received_at: Option<DateTime<Utc>>,
    /// For the next change.
    version: i32,
}

/// Units of a line that are sent back.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ReturnItemView {
    /// The line of the order.
    item_id: OrderItemId,
    quantity: i32,
    reason: ReturnReason,
    /// Units that went back on the shelf; `null` until the goods are here.
    restocked: Option<i32>,
}

impl From<Return> for ReturnView {
    fn from(back: Return) -> Self {
        Self {
            id: back.id,
            number: back.number,
            status: back.status,
            requested_by: back.requested_by,
            note: back.note,
            answer: back.answer,
            items: back
                .items
                .iter()
                .map(|item| ReturnItemView {
                    item_id: item.order_item_id,
                    quantity: item.quantity,
                    reason: item.reason,
                    restocked: item.restocked,
                })
                .collect(),
            created_at: back.created_at,
            received_at: back.received_at,
            version: back.version,
        }
    }
}

impl ReturnReason {
    /// The name, as stored and sent.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Damaged => "damaged",
            Self::WrongItem => "wrong_item",
            Self::NotAsDescribed => "not_as_described",
            Self::ChangedMind => "changed_mind",
            Self::Other => "other",
        }
    }
}
