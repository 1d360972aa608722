//! What staff do to stock, and how it can be refused.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::platform::error::FieldError;
use crate::platform::ids::{ProductId, VariantId};

/// The most units of a variant that staff can enter.
pub const MAX_UNITS: i32 = 1_000_000;

/// Why staff change stock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StaffReason {
    /// Goods have arrived; never takes units away.
    Received,
    /// The shelf was counted.
    Count,
    /// An earlier entry was wrong.
    Correction,
    /// Units cannot be sold any more; never adds any.
    Damaged,
    /// Units are gone; never adds any.
    Lost,
    /// A customer has brought units back; never takes any away.
    Return,
    /// Anything else; needs a note.
    Other,
}

impl StaffReason {
    /// Every reason.
    pub const ALL: [Self; 7] =
        [Self::Received, Self::Count, Self::Correction, Self::Damaged, Self::Lost, Self::Return, Self::Other];

    /// As the ledger has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Count => "count",
            Self::Correction => "correction",
            Self::Damaged => "damaged",
            Self::Lost => "lost",
            Self::Return => "return",
            Self::Other => "other",
        }
    }

    /// All names, for those who have to choose one.
    pub fn names() -> String {
        Self::ALL.map(Self::as_str).join(", ")
    }
}

/// A change of what is on hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// So many are there, whatever was believed.
    Set(i32),
    /// So many more, or, below zero, less.
    By(i32),
}

impl Change {
    /// Whether any stock can be changed like that.
    pub(super) fn is_possible(self) -> bool {
        match self {
            Self::Set(units) => (0..=MAX_UNITS).contains(&units),
            Self::By(units) => units != 0 && (-MAX_UNITS..=MAX_UNITS).contains(&units),
        }
    }
}

/// A change with its entry in the ledger.
#[derive(Clone, Debug)]
pub struct Movement {
    /// What changes.
    pub change: Change,
    /// Why.
    pub reason: StaffReason,
    /// At most 500 characters.
    pub note: Option<String>,
}

impl Movement {
    /// What is wrong with it by itself, whatever the stock is: the field's name and the fault.
    pub fn fault(&self) -> Option<(&'static str, &'static str)> {
        use StaffReason::{Damaged, Lost, Other, Received, Return};
        match (self.reason, self.change) {
            (_, Change::Set(_)) if !self.change.is_possible() => Some(("quantity", "must be between 0 and 1000000")),
            (_, Change::By(_)) if !self.change.is_possible() => {
                Some(("change", "must be between -1000000 and 1000000, and not 0"))
            }
            (Received | Return, Change::By(..0)) => Some(("reason", "only adds units; take some away as correction")),
            (Damaged | Lost, Change::By(1..)) => Some(("reason", "only takes units away; add some as correction")),
            (Other, _) if self.note.is_none() => Some(("note", "is required for the reason other")),
            _ => None,
        }
    }
}

/// What staff do to one variant's level.
#[derive(Clone, Debug)]
pub struct Edit {
    /// The variant.
    pub variant_id: VariantId,
    /// The level's version that this is based on; none takes whatever it is.
    pub version: Option<i32>,
    /// The change of what is on hand.
    pub movement: Option<Movement>,
    /// The new threshold of low stock; the inner none takes the shop's.
    pub threshold: Option<Option<i32>>,
}

/// Why an edit cannot be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such variant.
    Unknown,
    /// Somebody of the staff has changed the level since.
    Stale,
    /// Less than nothing would be on hand.
    BelowZero,
    /// Less would be on hand than is set aside for orders.
    BelowReserved,
    /// More than [`MAX_UNITS`] would be on hand.
    AboveLimit,
}

/// What is there of a variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// Units, reserved ones included.
    pub on_hand: i32,
    /// Units set aside for orders.
    pub reserved: i32,
    /// At this many available units or fewer, stock is low; none takes the shop's setting.
    pub low_stock_threshold: Option<i32>,
    /// Counts edits by staff.
    pub version: i32,
}

/// One edit's outcome.
#[derive(Clone, Debug)]
pub struct Edited {
    /// The variant.
    pub variant_id: VariantId,
    /// Why it was refused. When any edit is, none is done.
    pub refusal: Option<Refusal>,
    /// The variant's product and sku, and its level before and after; none for an unknown variant.
    pub level: Option<EditedLevel>,
}

/// A level before and after an edit.
#[derive(Clone, Debug)]
pub struct EditedLevel {
    /// Whose variant it is.
    pub product_id: ProductId,
    /// The variant's sku.
    pub sku: String,
    /// The level that the edit found.
    pub before: Counts,
    /// The level as it is now; as before, if any edit was refused.
    pub after: Counts,
}

impl Edited {
    /// Whether the level is another one now.
    pub fn is_changed(&self) -> bool {
        self.level.as_ref().is_some_and(|level| level.before != level.after)
    }

    /// The refusal in words for the person who asked, as the fault of `field`.
    pub fn fault(&self, field: impl Into<String>) -> Option<FieldError> {
        let counts = self.level.as_ref().map(|level| level.before);
        let (on_hand, reserved) = counts.map_or((0, 0), |counts| (counts.on_hand, counts.reserved));
        let message = match self.refusal? {
            Refusal::Unknown => "is no variant of this shop".to_owned(),
            Refusal::Stale => format!(
                "was changed by somebody else; the current version is {}, with {on_hand} on hand",
                counts.map_or(0, |counts| counts.version)
            ),
            Refusal::BelowZero => format!("would be below zero: {on_hand} are on hand"),
            Refusal::BelowReserved => {
                format!("would be below the {reserved} that are set aside for orders: {on_hand} are on hand")
            }
            Refusal::AboveLimit => format!("would be above {MAX_UNITS}: {on_hand} are on hand"),
        };
        Some(FieldError::new(field, message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(change: Change, reason: StaffReason, note: Option<&str>) -> Option<&'static str> {
        Movement { change, reason, note: note.map(str::to_owned) }.fault().map(|(field, _)| field)
    }

    #[test]
    fn a_reason_fits_the_direction() {
        use StaffReason::{Correction, Count, Damaged, Lost, Other, Received, Return};
        for reason in [Received, Return] {
            assert_eq!(fault(Change::By(1), reason, None), None);
            assert_eq!(fault(Change::By(-1), reason, None), Some("reason"));
        }
        for reason in [Damaged, Lost] {
            assert_eq!(fault(Change::By(-1), reason, None), None);
            assert_eq!(fault(Change::By(1), reason, None), Some("reason"));
        }
        for reason in [Count, Correction] {
            assert_eq!(fault(Change::By(-1), reason, None), None);
            assert_eq!(fault(Change::By(1), reason, None), None);
        }
        assert_eq!(fault(Change::Set(0), Other, None), Some("note"));
        assert_eq!(fault(Change::Set(0), Other, Some("gift to the museum")), None);
    }

    #[test]
    fn numbers_have_bounds() {
        for units in [0, 1, MAX_UNITS] {
            assert_eq!(fault(Change::Set(units), StaffReason::Count, None), None, "{units}");
        }
        for units in [-1, MAX_UNITS + 1, i32::MAX, i32::MIN] {
            assert_eq!(fault(Change::Set(units), StaffReason::Count, None), Some("quantity"), "{units}");
        }
        for units in [0, MAX_UNITS + 1, -MAX_UNITS - 1, i32::MAX, i32::MIN] {
            assert_eq!(fault(Change::By(units), StaffReason::Count, None), Some("change"), "{units}");
        }
    }
}
