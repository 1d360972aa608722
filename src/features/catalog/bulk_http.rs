//! Changes to many products at once, as staff send them.

use std::collections::BTreeMap;

use axum::extract::State;
use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::json;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::bulk_service::{self as service, Action, Adjustment, BulkData, Targets};
use super::rules::{Faults, MAX_TAGS};
use crate::app::App;
use crate::features::auth::Identity;
use crate::platform::checked::Line;
use crate::platform::error::Result;
use crate::platform::http::json as read;
use crate::platform::http::keyed::{self, Keyed};
use crate::platform::http::{Body, Envelope, ErrorEnvelope, IdempotencyHeader, RequestMeta};
use crate::platform::ids::{CategoryId, ProductId};
use crate::platform::money::Amount;

/// Products in one request.
const MAX_IDS: usize = 200;

/// What is done to each product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) enum BulkAction {
    /// Shows them to shoppers.
    Activate,
    /// Hides them.
    Deactivate,
    /// Removes them from the shop.
    Archive,
    /// Brings them back, hidden.
    Restore,
    /// Puts them into `categoryId`, or, with `null`, into none.
    SetCategory,
    /// Adds `tags`.
    AddTags,
    /// Takes `tags` away.
    RemoveTags,
    /// Changes the prices of products and variants by `basisPoints` or by `amount`.
    AdjustPrice,
    /// Features them.
    Feature,
    /// Ends that.
    Unfeature,
}

/// An amount that may be below zero.
#[derive(Clone, Copy, Debug)]
pub(super) struct Difference(i64);

impl<'de> Deserialize<'de> for Difference {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        let (sign, text) = raw.get().strip_prefix('-').map_or((1, raw.get()), |text| (-1, text));
        text.parse::<Amount>().map(|amount| Self(sign * amount.0)).map_err(de::Error::custom)
    }
}

/// A change of many products.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct BulkProducts {
    action: BulkAction,
    /// 1 to 200, each once.
    #[schema(min_items = 1, max_items = 200)]
    ids: Vec<ProductId>,
    /// The versions that the change is based on, by id. When one is not the current one, nothing is changed (409). Products that
    /// are left out are changed whatever their version is.
    #[serde(default)]
    #[schema(value_type = BTreeMap<String, i32>)]
    versions: BTreeMap<ProductId, i32>,
    /// For `setCategory`; `null` means none.
    #[serde(default, deserialize_with = "read::present")]
    #[schema(value_type = Option<CategoryId>)]
    category_id: Option<Option<CategoryId>>,
    /// For `addTags` and `removeTags`.
    #[schema(value_type = Option<Vec<String>>)]
    tags: Option<Vec<Line<1, 60>>>,
    /// For `adjustPrice`: hundredths of a per cent, such as -1500 for 15 % off. Rounded half to even, each price by itself.
    #[schema(minimum = -10000, maximum = 100000)]
    basis_points: Option<i32>,
    /// For `adjustPrice`: main units, below zero for cheaper.
    #[schema(value_type = Option<f64>)]
    amount: Option<Difference>,
}

impl BulkProducts {
    fn check(&self) -> Result<()> {
        use BulkAction::{AddTags, AdjustPrice, RemoveTags, SetCategory};
        let mut faults = Faults::default();
        faults.check((1..=MAX_IDS).contains(&self.ids.len()), "ids", "must be 1 to 200");
        for (i, id) in self.ids.iter().enumerate().take(MAX_IDS) {
            faults.check(!self.ids[..i].contains(id), &format!("ids[{i}]"), "is there twice");
        }
        let foreign = self.versions.keys().any(|id| !self.ids.contains(id));
        faults.check(!foreign, "versions", "must be of products among the ids");
        let of_category = self.action == SetCategory;
        faults.check(
            self.category_id.is_some() == of_category,
            "categoryId",
            "is required for setCategory, and for it only",
        );
        let of_tags = matches!(self.action, AddTags | RemoveTags);
        faults.check(
            self.tags.is_some() == of_tags,
            "tags",
            "are required for addTags and removeTags, and for them only",
        );
        let count = self.tags.as_ref().map_or(1, Vec::len);
        faults.check((1..=MAX_TAGS).contains(&count), "tags", "must be 1 to 100");
        let of_price = self.action == AdjustPrice;
        let given = usize::from(self.basis_points.is_some()) + usize::from(self.amount.is_some());
        faults.check(!of_price || given == 1, "basisPoints", "or amount is required, and not both");
        faults.check(of_price || self.basis_points.is_none(), "basisPoints", "is for adjustPrice only");
        faults.check(of_price || self.amount.is_none(), "amount", "is for adjustPrice only");
        let fits = self.basis_points.is_none_or(|points| (-10_000..=100_000).contains(&points));
        faults.check(fits, "basisPoints", "must be between -10000 and 100000");
        faults.finish()
    }

    fn action(&self) -> Action {
        let tags = || {
            let mut distinct: Vec<String> = Vec::new();
            for tag in self.tags.iter().flatten().map(Line::as_str) {
                if !distinct.iter().any(|known| known == tag) {
                    distinct.push(tag.to_owned());
                }
            }
            distinct
        };
        match self.action {
            BulkAction::Activate => Action::Activate(true),
            BulkAction::Deactivate => Action::Activate(false),
            BulkAction::Feature => Action::Feature(true),
            BulkAction::Unfeature => Action::Feature(false),
            BulkAction::Archive => Action::Archive,
            BulkAction::Restore => Action::Restore,
            BulkAction::SetCategory => Action::SetCategory(self.category_id.flatten()),
            BulkAction::AddTags => Action::AddTags(tags()),
            BulkAction::RemoveTags => Action::RemoveTags(tags()),
            BulkAction::AdjustPrice => Action::AdjustPrice(match (self.basis_points, self.amount) {
                (Some(points), _) => Adjustment::BasisPoints(points),
                (None, amount) => Adjustment::Minor(amount.map_or(0, |amount| amount.0)),
            }),
        }
    }
}

/// Change many products at once
///
/// All in one transaction; the answer tells of each whether it was changed. A price to compare with that is not above the
/// new price any more is removed. With an `Idempotency-Key`, a repeated request changes nothing twice.
#[utoipa::path(post, path = "/admin/products/bulk", tag = "Catalogue, staff",
    security(("bearer" = ["manage_catalog"])),
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 255 characters, kept for 24 hours")),
    request_body = BulkProducts, responses(
    (status = 200, body = Envelope<BulkData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "It cannot be done to some of them, or they have other versions; they are named, and it was done to none. Or the same key is still running"),
    (status = 422, body = ErrorEnvelope, description = "The key was used with another body"),
))]
pub(super) async fn bulk_products(
    State(app): State<App>,
    identity: Identity,
    meta: RequestMeta,
    IdempotencyHeader(key): IdempotencyHeader,
    body: Body<BulkProducts>,
) -> Result<Keyed> {
    body.value.check()?;
    let key = keyed::key(key, identity.user_id, "POST /admin/products/bulk", "", &body.fingerprint);
    let body = body.value;
    let request = json!({
        "action": body.action,
        "categoryId": body.category_id,
        "tags": body.tags,
        "basisPoints": body.basis_points,
        "amountMinor": body.amount.map(|amount| amount.0),
    });
    let targets = Targets { ids: &body.ids, versions: &body.versions };
    service::change(&app, &identity, &meta, targets, (body.action(), request), key).await
}
