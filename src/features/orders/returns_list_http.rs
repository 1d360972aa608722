//! What buyers send back, as staff find it.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::returns::{ReturnStatus, ReturnView};
use super::store::returns::{self as store, ListedReturn};
use crate::app::App;
use crate::platform::error::Error;
use crate::platform::http::{Answer, Envelope, ErrorEnvelope, Query, ok};
use crate::platform::ids::OrderId;
use crate::platform::page::PartQuery;

/// Which returns. Empty values do not filter.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(super) struct ReturnFilter {
    /// Any of `requested`, `approved`, `rejected`, `received` and `cancelled`, separated by commas.
    status: Option<String>,
}

impl ReturnFilter {
    fn check(&self) -> Result<Option<Vec<ReturnStatus>>, Error> {
        let names =
            self.status.as_deref().unwrap_or_default().split(',').map(str::trim).filter(|name| !name.is_empty());
        let statuses = names.map(|name| ReturnStatus::ALL.into_iter().find(|status| status.as_str() == name));
        let statuses = statuses.collect::<Option<Vec<_>>>().ok_or_else(|| {
            Error::field("status", format!("must be of {}", ReturnStatus::ALL.map(ReturnStatus::as_str).join(", ")))
        })?;
        Ok(Some(statuses).filter(|statuses| !statuses.is_empty()))
    }
}

/// A return with its order.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ListedReturnView {
    #[serde(flatten)]
    back: ReturnView,
    order_id: OrderId,
    order_number: String,
}

impl From<ListedReturn> for ListedReturnView {
    fn from(listed: ListedReturn) -> Self {
        let ListedReturn { order_id, order_number, back } = listed;
        Self { back: back.into(), order_id, order_number }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ReturnsData {
    returns: Vec<ListedReturnView>,
}

/// List all returns
///
/// The newest first, in pages or with `cursor`; `status=requested,approved` are those about which something is to be done.
#[utoipa::path(get, path = "/admin/returns", tag = "Orders, staff", security(("bearer" = ["read_orders"])),
    params(PartQuery, ReturnFilter), responses(
    (status = 200, body = Envelope<ReturnsData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
))]
pub(super) async fn list_returns(
    State(app): State<App>,
    Query(part): Query<PartQuery>,
    Query(filter): Query<ReturnFilter>,
) -> Answer<ReturnsData> {
    let statuses = filter.check()?;
    let part = part.check(&app.config.lists)?;
    let mut connection = app.db.acquire().await?;
    let total = match part.behind {
        None => Some(store::total(&mut connection, statuses.as_deref()).await?),
        Some(_) => None,
    };
    part.check_depth(total)?;
    let (rows, next) = store::list(&mut connection, statuses.as_deref(), part).await?;
    let returns = rows.into_iter().map(ListedReturnView::from).collect();
    Ok(ok(ReturnsData { returns }).page(part.pagination(total, next)))
}
