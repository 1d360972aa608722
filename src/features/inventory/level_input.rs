//! Changes of stock as staff send them.

use serde::Deserialize;
use utoipa::ToSchema;

use super::model::{Change, Edit, MAX_UNITS, Movement, StaffReason};
use super::service::{Batch, Line, Which};
use crate::platform::error::{Error, FieldError, Result};
use crate::platform::http::json;
use crate::platform::ids::VariantId;
use crate::platform::text::Text;

/// Adjustments in one request.
const MAX_ADJUSTMENTS: usize = 1_000;

/// A change of a variant's stock. One of `set`, `increment` and `decrement`, with its reason, or a threshold, or both.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct UpdateLevel {
    /// The level's version that this is based on; refused when staff have changed it since. Orders do not raise it. Left out,
    /// the change is made whatever the level is.
    version: Option<i32>,
    /// So many units are on hand, reserved ones included.
    #[schema(minimum = 0, maximum = 1000000)]
    set: Option<i32>,
    /// So many units more.
    #[schema(minimum = 1, maximum = 1000000)]
    increment: Option<i32>,
    /// So many units less.
    #[schema(minimum = 1, maximum = 1000000)]
    decrement: Option<i32>,
    /// Required with a change of units.
    reason: Option<StaffReason>,
    /// Required for the reason `other`.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 500)]
    note: Option<Text<1, 500>>,
    /// Warn at this many available units or fewer; `null` takes the shop's setting.
    #[serde(default, deserialize_with = "json::present")]
    #[schema(value_type = Option<i32>, minimum = 0, maximum = 1000000)]
    low_stock_threshold: Option<Option<i32>>,
}

/// A change of one variant's units: one of `set`, `increment` and `decrement`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Adjustment {
    /// Or its sku.
    variant_id: Option<VariantId>,
    /// Or its id.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 64)]
    sku: Option<Text<1, 64>>,
    /// The level's version that this is based on; refused when staff have changed it since.
    version: Option<i32>,
    /// So many units are on hand, reserved ones included.
    #[schema(minimum = 0, maximum = 1000000)]
    set: Option<i32>,
    /// So many units more.
    #[schema(minimum = 1, maximum = 1000000)]
    increment: Option<i32>,
    /// So many units less.
    #[schema(minimum = 1, maximum = 1000000)]
    decrement: Option<i32>,
    reason: StaffReason,
    /// Required for the reason `other`.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 500)]
    note: Option<Text<1, 500>>,
}

/// Changes of many variants' units.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct AdjustInventory {
    /// 1 to 1000, each about another variant.
    #[schema(min_items = 1, max_items = 1000)]
    adjustments: Vec<Adjustment>,
}

/// Reads the change of units, if one is asked for.
fn movement(
    (set, increment, decrement): (Option<i32>, Option<i32>, Option<i32>),
    reason: Option<StaffReason>,
    note: Option<Text<1, 500>>,
    mut fault: impl FnMut(&str, &str),
) -> Option<Movement> {
    let given = [set, increment, decrement].into_iter().flatten().count();
    let (field, change) = match (set, increment, decrement) {
        (Some(units), _, _) => ("set", Change::Set(units)),
        (None, Some(units), _) => ("increment", Change::By(units)),
        (None, None, Some(units)) => ("decrement", Change::By(units.saturating_neg())),
        (None, None, None) => {
            if reason.is_some() || note.is_some() {
                fault("set", "or increment or decrement is required with a reason or a note");
            }
            return None;
        }
    };
    if given > 1 {
        fault(field, "must be the only one of set, increment and decrement");
    }
    let is_positive = increment.or(decrement).is_none_or(|units| units > 0);
    if !is_positive {
        fault(if increment.is_some() { "increment" } else { "decrement" }, "must be above 0");
    }
    let Some(reason) = reason else {
        fault("reason", &format!("is required: {}", StaffReason::names()));
        return None;
    };
    let movement = Movement { change, reason, note: note.map(Text::into_string) };
    if let Some((of, message)) = movement.fault().filter(|_| is_positive) {
        fault(if matches!(of, "quantity" | "change") { field } else { of }, message);
    }
    Some(movement)
}

impl UpdateLevel {
    /// Checks it.
    pub(super) fn into_edit(self, variant_id: VariantId) -> Result<Edit> {
        let mut faults = Vec::new();
        let mut fault = |field: &str, message: &str| faults.push(FieldError::new(field, message));
        let units = self.set.or(self.increment).or(self.decrement);
        if units.is_none() && self.low_stock_threshold.is_none() && self.reason.is_none() && self.note.is_none() {
            fault("set", "or increment, decrement or lowStockThreshold is required");
        }
        let movement = movement((self.set, self.increment, self.decrement), self.reason, self.note, &mut fault);
        if self.low_stock_threshold.flatten().is_some_and(|units| !(0..=MAX_UNITS).contains(&units)) {
            fault("lowStockThreshold", "must be between 0 and 1000000");
        }
        if !faults.is_empty() {
            return Err(Error::Validation(faults));
        }
        Ok(Edit { variant_id, version: self.version, movement, threshold: self.low_stock_threshold })
    }
}

impl AdjustInventory {
    /// Checks them.
    pub(super) fn into_batch(self) -> Result<Batch> {
        if !(1..=MAX_ADJUSTMENTS).contains(&self.adjustments.len()) {
            return Err(Error::field("adjustments", "must be 1 to 1000"));
        }
        let mut batch = Batch::default();
        for (n, adjustment) in self.adjustments.into_iter().enumerate() {
            let place = format!("adjustments[{n}]");
            let Adjustment { variant_id, sku, version, set, increment, decrement, reason, note } = adjustment;
            let mut faults = Vec::new();
            let mut fault = |field: &str, message: &str| {
                faults.push(FieldError::new(format!("{place}.{field}"), message));
            };
            let movement = if set.or(increment).or(decrement).is_none() {
                fault("set", "or increment or decrement is required");
                None
            } else {
                movement((set, increment, decrement), Some(reason), note, &mut fault)
            };
            let which = match (variant_id, sku) {
                (Some(id), None) => Some(Which::Id(id)),
                (None, Some(sku)) => Some(Which::Sku(sku.into_string())),
                _ => {
                    fault("variantId", "or sku is required, and not both");
                    None
                }
            };
            // One that is wrong by itself is not tried; the others are, so that all faults are told at once.
            match which {
                Some(which) if faults.is_empty() => {
                    let edit = Edit { variant_id: VariantId(uuid::Uuid::nil()), version, movement, threshold: None };
                    batch.lines.push(Line { place, which, edit });
                }
                _ => batch.faults.extend(faults),
            }
        }
        Ok(batch)
    }
}
