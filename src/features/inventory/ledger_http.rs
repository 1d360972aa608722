//! The ledger of stock, and sums over all stock, as staff read them.

use axum::extract::State;
use chrono::{DateTime, Datelike, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::store::{movements, statistics};
use crate::app::App;
use crate::platform::error::{Error, FieldError, Result};
use crate::platform::http::{Answer, Envelope, ErrorEnvelope, Query, ok};
use crate::platform::ids::{OrderId, UserId, VariantId};
use crate::platform::money::Amount;
use crate::platform::page::{PageQuery, Pagination};

/// Why stock moves: what the shop itself writes, and what staff can choose.
const REASONS: [&str; 13] = [
    "initial",
    "import",
    "reserve",
    "commit",
    "release",
    "cancel",
    "received",
    "count",
    "correction",
    "damaged",
    "lost",
    "return",
    "other",
];

/// The longest time that movements are summed up over.
const MAX_DAYS: i64 = 366;

/// Which movements.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(super) struct ListMovements {
    /// Of this variant.
    variant: Option<VariantId>,
    /// `initial`, `import`, `reserve` (an order was placed), `commit` (it was paid), `release` (it was given up unpaid),
    /// `cancel` (it was paid and given up), or one of the staff's: `received`, `count`, `correction`, `damaged`, `lost`, `return`, `other`.
    reason: Option<String>,
    /// Of this order.
    order: Option<OrderId>,
    /// By this member of the staff.
    actor: Option<UserId>,
    /// Not before this time.
    from: Option<DateTime<Utc>>,
    /// Before this time.
    until: Option<DateTime<Utc>>,
    /// Movements on a page: 20 by default, 100 at most.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<i64>,
    /// Where the last answer ended, its `nextCursor`.
    cursor: Option<String>,
}

/// A change of a level.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct MovementView {
    /// Its number in the ledger.
    id: i64,
    variant_id: VariantId,
    sku: String,
    /// Units more, or, below zero, less on hand.
    on_hand: i32,
    /// Units more, or, below zero, less set aside.
    reserved: i32,
    reason: String,
    order_id: Option<OrderId>,
    /// None for the shop itself.
    actor_id: Option<UserId>,
    note: Option<String>,
    at: DateTime<Utc>,
}

impl From<movements::Listed> for MovementView {
    fn from(movement: movements::Listed) -> Self {
        Self {
            id: movement.id,
            variant_id: movement.variant_id,
            sku: movement.sku,
            on_hand: movement.on_hand_delta,
            reserved: movement.reserved_delta,
            reason: movement.reason,
            order_id: movement.order_id,
            actor_id: movement.actor_id,
            note: movement.note,
            at: movement.at,
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MovementsData {
    movements: Vec<MovementView>,
}

/// The time that movements are summed up over.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(super) struct GetStatistics {
    /// 30 days before `until` when left out.
    from: Option<DateTime<Utc>>,
    /// Now when left out.
    until: Option<DateTime<Utc>>,
}

/// What is on hand at its prices.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ValueView {
    currency: String,
    value: Amount,
}

/// The movements of one reason.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct MovedView {
    reason: String,
    movements: i64,
    /// Units more, or, below zero, less on hand.
    on_hand: i64,
    /// Units more, or, below zero, less set aside.
    reserved: i64,
}

/// All stock of variants that are not removed.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct StatisticsData {
    variants: i64,
    /// Units, reserved ones included.
    on_hand: i64,
    /// Units set aside for unpaid orders.
    reserved: i64,
    /// Units that can be sold.
    available: i64,
    /// Variants of which something is set aside.
    variants_reserved: i64,
    /// Variants at or below their threshold, those with nothing included.
    variants_low: i64,
    /// Variants of which nothing is available.
    variants_out: i64,
    /// One for each currency.
    values: Vec<ValueView>,
    from: DateTime<Utc>,
    until: DateTime<Utc>,
    /// What has moved between these times, one for each reason.
    moved: Vec<MovedView>,
}

/// Refuses times far outside of which the database has none.
fn check_times(from: Option<DateTime<Utc>>, until: Option<DateTime<Utc>>) -> Result<()> {
    let faults: Vec<_> = [("from", from), ("until", until)]
        .into_iter()
        .filter(|(_, time)| time.is_some_and(|time| !(1970..=9999).contains(&time.year())))
        .map(|(field, _)| FieldError::new(field, "must be a time such as 2026-11-24T18:00:00Z"))
        .collect();
    if faults.is_empty() { Ok(()) } else { Err(Error::Validation(faults)) }
}

/// The ledger of stock
///
/// Every change of what is on hand or set aside, the newest first.
#[utoipa::path(get, path = "/admin/inventory/movements", tag = "Inventory, staff",
    security(("bearer" = ["manage_inventory"])), params(ListMovements), responses(
    (status = 200, body = Envelope<MovementsData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
))]
pub(super) async fn list_movements(
    State(app): State<App>,
    Query(which): Query<ListMovements>,
) -> Answer<MovementsData> {
    check_times(which.from, which.until)?;
    let limit = PageQuery { page: None, limit: which.limit }.check(&app.config.lists)?.limit;
    let text = |text: Option<String>| text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    let reason = text(which.reason).map(|reason| {
        let known = REASONS.into_iter().find(|known| *known == reason);
        known.ok_or_else(|| Error::field("reason", format!("must be one of {}", REASONS.join(", "))))
    });
    let before = text(which.cursor)
        .map(|cursor| cursor.parse::<i64>().map_err(|_| Error::field("cursor", "is none that was given")))
        .transpose()?;
    let filter = movements::Filter {
        variant: which.variant,
        reason: reason.transpose()?,
        order: which.order,
        actor: which.actor,
        from: which.from,
        until: which.until,
    };
    let mut listed = movements::list(&mut *app.db.acquire().await?, &filter, before, limit + 1).await?;
    let more = i64::try_from(listed.len()).is_ok_and(|count| count > limit);
    if more {
        listed.pop();
    }
    let next = listed.last().filter(|_| more).map(|movement| movement.id.to_string());
    let movements = listed.into_iter().map(MovementView::from).collect();
    Ok(ok(MovementsData { movements }).page(Pagination::behind_cursor(limit, next)))
}

/// Sums over all stock
///
/// Units, their value at the variants' prices, and what has moved in a time of at most 366 days.
#[utoipa::path(get, path = "/admin/inventory/statistics", tag = "Inventory, staff",
    security(("bearer" = ["manage_inventory"])), params(GetStatistics), responses(
    (status = 200, body = Envelope<StatisticsData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
))]
pub(super) async fn get_statistics(
    State(app): State<App>,
    Query(period): Query<GetStatistics>,
) -> Answer<StatisticsData> {
    check_times(period.from, period.until)?;
    let until = period.until.unwrap_or_else(|| app.clock.now());
    let from = period.from.unwrap_or_else(|| until - TimeDelta::days(30));
    if from >= until || until - from > TimeDelta::days(MAX_DAYS) {
        return Err(Error::field("from", "must be before until, by at most 366 days"));
    }
    let mut connection = app.db.acquire().await?;
    let sums = statistics::sums(&mut connection, app.config.inventory.low_stock).await?;
    let moved = statistics::moved(&mut connection, from, until).await?;
    Ok(ok(StatisticsData {
        variants: sums.variants,
        on_hand: sums.on_hand,
        reserved: sums.reserved,
        available: sums.on_hand - sums.reserved,
        variants_reserved: sums.with_reserved,
        variants_low: sums.low,
        variants_out: sums.out,
        values: sums.values.into_iter().map(|(currency, value)| ValueView { currency, value: Amount(value) }).collect(),
        from,
        until,
        moved: moved
            .into_iter()
            .map(|moved| MovedView {
                reason: moved.reason,
                movements: moved.movements,
                on_hand: moved.on_hand,
                reserved: moved.reserved,
            })
            .collect(),
    }))
}
