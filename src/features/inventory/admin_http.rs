//! Stock as staff keep it.

use axum::extract::State;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::level_input::{AdjustInventory, UpdateLevel};
use super::service::{self, EditedData};
use super::store::levels::{self, Availability, Filter, Listed, Part, Sort};
use crate::app::App;
use crate::features::auth::Identity;
use crate::platform::error::{Error, Result};
use crate::platform::http::keyed::{self, Keyed};
use crate::platform::http::{Answer, Body, Envelope, ErrorEnvelope, IdempotencyHeader, PathId, Query, RequestMeta, ok};
use crate::platform::ids::{CategoryId, ProductId, VariantId};
use crate::platform::page::{PageQuery, Pagination};

/// Which levels, and in which order. Empty values do not filter.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(super) struct ListInventory {
    /// Part of the product's title, or the beginning of a sku.
    #[param(max_length = 100)]
    search: Option<String>,
    /// `low`: at or below the threshold, nothing included. `out`: nothing available. What orders sell appears here within
    /// a minute; what staff change, at once.
    status: Option<String>,
    /// A product's id.
    product: Option<String>,
    /// A category's id; its subcategories count.
    category: Option<String>,
    /// `sku`, or, with a `status`, `available`: the fewest first.
    sort_by: Option<String>,
    /// Where the last answer ended, its `nextCursor`; in the order of the sku only, and without `page`.
    cursor: Option<String>,
}

/// A variant's stock.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct LevelView {
    variant_id: VariantId,
    product_id: ProductId,
    sku: String,
    /// The product's.
    title: String,
    /// The values of its options, such as `Red / 6 yards`; empty for a product without options.
    variant_name: String,
    /// Whether shoppers can see it.
    on_sale: bool,
    /// Units, reserved ones included.
    on_hand: i32,
    /// Units set aside for unpaid orders.
    reserved: i32,
    /// Units that can be sold.
    available: i32,
    /// Its own; `null` takes the shop's.
    low_stock_threshold: Option<i32>,
    /// At this many available units or fewer, stock is low.
    threshold: i32,
    is_low: bool,
    /// People who want to hear when it is back.
    waiting: i64,
    /// For the next change.
    version: i32,
}

impl LevelView {
    fn new(level: Listed, low_stock: i32) -> Self {
        let available = level.on_hand - level.reserved;
        let threshold = level.low_stock_threshold.unwrap_or(low_stock);
        Self {
            variant_id: level.variant_id,
            product_id: level.product_id,
            sku: level.sku,
            title: level.title,
            variant_name: level.variant_name,
            on_sale: level.on_sale,
            on_hand: level.on_hand,
            reserved: level.reserved,
            available,
            low_stock_threshold: level.low_stock_threshold,
            threshold,
            is_low: available <= threshold,
            waiting: level.waiting,
            version: level.version,
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LevelsData {
    levels: Vec<LevelView>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LevelData {
    level: LevelView,
}

fn given(text: Option<&String>) -> Option<&str> {
    text.map(|text| text.trim()).filter(|text| !text.is_empty())
}

fn id<T: std::str::FromStr>(field: &str, text: Option<&String>) -> Result<Option<T>> {
    given(text).map(|text| text.parse().map_err(|_| Error::field(field, "must be a UUID"))).transpose()
}

impl ListInventory {
    fn check(&self) -> Result<(Filter, Sort)> {
        let search = given(self.search.as_ref());
        if search.is_some_and(|text| text.chars().count() > 100) {
            return Err(Error::field("search", "must have at most 100 characters"));
        }
        let availability = match given(self.status.as_ref()) {
            None => None,
            Some("low") => Some(Availability::Low),
            Some("out") => Some(Availability::Out),
            Some(_) => return Err(Error::field("status", "must be low or out")),
        };
        let sort = match given(self.sort_by.as_ref()) {
            None | Some("sku") => Sort::Sku,
            // Of all levels it would have to sort all.
            Some("available") if availability.is_some() => Sort::Available,
            Some("available") => return Err(Error::field("sortBy", "can be available with a status only")),
            Some(_) => return Err(Error::field("sortBy", "must be sku or available")),
        };
        let filter = Filter {
            search: search.map(str::to_owned),
            availability,
            product: id("product", self.product.as_ref())?,
            category: id::<CategoryId>("category", self.category.as_ref())?,
        };
        Ok((filter, sort))
    }
}

/// List stock
///
/// All variants that are not removed, also of products that are not shown. Beyond 10,000, `total` is an estimate and says so.
#[utoipa::path(get, path = "/admin/inventory", tag = "Inventory, staff", security(("bearer" = ["manage_inventory"])),
    params(PageQuery, ListInventory), responses(
    (status = 200, body = Envelope<LevelsData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
))]
pub(super) async fn list_inventory(
    State(app): State<App>,
    Query(page): Query<PageQuery>,
    Query(which): Query<ListInventory>,
) -> Answer<LevelsData> {
    let (filter, sort) = which.check()?;
    let low_stock = app.config.inventory.low_stock;
    let cursor = given(which.cursor.as_ref());
    if cursor.is_some() && (page.page.is_some() || sort != Sort::Sku) {
        return Err(Error::field("cursor", "goes with the order of the sku, and without page"));
    }
    let wanted = page.check(&app.config.lists)?;
    let mut connection = app.db.acquire().await?;
    let part = match cursor {
        Some(cursor) => Part::After(decode(cursor).ok_or_else(|| Error::field("cursor", "is none that was given"))?),
        None => Part::Offset(wanted.offset()),
    };
    let (levels, more) = levels::list(&mut connection, &filter, low_stock, sort, &part, wanted.limit).await?;
    let next_cursor =
        levels.last().filter(|_| more && sort == Sort::Sku).map(|level| URL_SAFE_NO_PAD.encode(&level.sku));
    let pagination = if cursor.is_some() {
        Pagination::behind_cursor(wanted.limit, next_cursor)
    } else {
        let (total, is_estimate) = levels::count(&mut connection, &filter, low_stock).await?;
        Pagination { next_cursor, total_is_estimate: is_estimate.then_some(true), ..wanted.of(total) }
    };
    let levels = levels.into_iter().map(|level| LevelView::new(level, low_stock)).collect();
    Ok(ok(LevelsData { levels }).page(pagination))
}

fn decode(cursor: &str) -> Option<String> {
    String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok().filter(|sku| !sku.contains('\0'))
}

/// Get a variant's stock
#[utoipa::path(get, path = "/admin/inventory/{variant}", tag = "Inventory, staff",
    security(("bearer" = ["manage_inventory"])), params(("variant" = VariantId, Path)), responses(
    (status = 200, body = Envelope<LevelData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
))]
pub(super) async fn get_level(State(app): State<App>, PathId(id): PathId<VariantId>) -> Answer<LevelData> {
    let level = levels::find(&mut *app.db.acquire().await?, id).await?.ok_or(Error::NotFound("The variant"))?;
    Ok(ok(LevelData { level: LevelView::new(level, app.config.inventory.low_stock) }))
}

/// Change a variant's stock
///
/// Each change of units is an entry of the ledger, with its reason, note and author. Less than what is set aside for orders
/// cannot be on hand. A change that leaves everything as it is raises no version.
#[utoipa::path(patch, path = "/admin/inventory/{variant}", tag = "Inventory, staff",
    security(("bearer" = ["manage_inventory"])), params(("variant" = VariantId, Path)), request_body = UpdateLevel,
    responses(
    (status = 200, body = Envelope<LevelData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "The version is not the current one, which is named, or the stock does not allow it"),
))]
pub(super) async fn update_level(
    State(app): State<App>,
    identity: Identity,
    PathId(id): PathId<VariantId>,
    meta: RequestMeta,
    body: Body<UpdateLevel>,
) -> Answer<LevelData> {
    let level = service::edit(&app, &identity, &meta, body.value.into_edit(id)?).await?;
    Ok(ok(LevelData { level: LevelView::new(level, app.config.inventory.low_stock) }))
}

/// Change the stock of many variants
///
/// All or none, in one transaction; whatever is wrong is told for each by its place. With an `Idempotency-Key`, a repeated
/// request changes nothing twice.
#[utoipa::path(post, path = "/admin/inventory/adjustments", tag = "Inventory, staff",
    security(("bearer" = ["manage_inventory"])),
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 255 characters, kept for 24 hours")),
    request_body = AdjustInventory, responses(
    (status = 200, body = Envelope<EditedData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "A version is not the current one, a variant is unknown, the stock does not allow it, or the same key is still running"),
    (status = 422, body = ErrorEnvelope, description = "The key was used with another body"),
))]
pub(super) async fn adjust_inventory(
    State(app): State<App>,
    identity: Identity,
    meta: RequestMeta,
    IdempotencyHeader(key): IdempotencyHeader,
    body: Body<AdjustInventory>,
) -> Result<Keyed> {
    let key = keyed::key(key, identity.user_id, "POST /admin/inventory/adjustments", "", &body.fingerprint);
    service::edit_many(&app, &identity, &meta, body.value.into_batch()?, key).await
}
