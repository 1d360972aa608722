//! Orders as staff find them and take them away.

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Datelike, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::detail::StaffOrderView;
use super::fulfilment::FulfilmentState;
use super::staff_service;
use super::status::Status;
use super::store::staff::{self, Buyer, Filter, Sort};
use crate::app::App;
use crate::features::auth::Identity;
use crate::platform::address::Country;
use crate::platform::error::{Error, FieldError, Result};
use crate::platform::http::{Answer, Envelope, ErrorEnvelope, Query, RequestMeta, ok};
use crate::platform::money::Amount;
use crate::platform::page::PartQuery;
use crate::platform::text::Email;

/// Which orders. Empty values do not filter.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(super) struct OrderFilter {
    /// Any of these statuses, separated by commas.
    status: Option<String>,
    /// `pending`, `completed` or `failed`.
    payment_status: Option<String>,
    /// `unfulfilled`, `partial` or `fulfilled`.
    fulfilment_status: Option<String>,
    /// Placed not before this time.
    from: Option<DateTime<Utc>>,
    /// Placed before this time.
    until: Option<DateTime<Utc>>,
    /// In main units.
    min_total: Option<String>,
    /// In main units.
    max_total: Option<String>,
    /// Where it goes: a code of two letters.
    country: Option<String>,
    /// The id of an account, or the e-mail address that orders were placed with.
    customer: Option<String>,
    /// Part of the number, the e-mail address, the buyer's name or telephone number, or a whole tracking number.
    #[param(max_length = 100)]
    search: Option<String>,
}

/// In which order.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(super) struct OrderSort {
    /// `newest` (when left out), `oldest`, `highest` or `lowest` total.
    sort: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct StaffOrdersData {
    orders: Vec<StaffOrderView>,
}

fn given(text: Option<&String>) -> Option<&str> {
    text.map(|text| text.trim()).filter(|text| !text.is_empty())
}

/// Reads a value, and notes what is wrong with it.
fn read<T, E: ToString>(
    faults: &mut Vec<FieldError>,
    field: &str,
    text: Option<&String>,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Option<T> {
    let read = parse(given(text)?);
    read.map_err(|error| faults.push(FieldError::new(field, error.to_string()))).ok()
}

fn status(text: &str) -> Result<Status, String> {
    Status::ALL
        .into_iter()
        .find(|status| status.as_str() == text)
        .ok_or_else(|| format!("must be of {}", Status::ALL.map(Status::as_str).join(", ")))
}

impl OrderFilter {
    fn check(&self) -> Result<Filter> {
        let mut faults = Vec::new();
        let mut statuses = read(&mut faults, "status", self.status.as_ref(), |text| {
            text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(status).collect::<Result<Vec<_>, _>>()
        });
        let (paid, allowed) = read(&mut faults, "paymentStatus", self.payment_status.as_ref(), |text| match text {
            "completed" => Ok((Some(true), None)),
            "pending" => Ok((Some(false), Some([Status::Pending, Status::PendingPayment]))),
            "failed" => Ok((Some(false), Some([Status::PaymentFailed, Status::Cancelled]))),
            _ => Err("must be pending, completed or failed"),
        })
        .unwrap_or_default();
        if let Some(allowed) = allowed {
            let mut wanted = statuses.unwrap_or_else(|| allowed.to_vec());
            wanted.retain(|status| allowed.contains(status));
            statuses = Some(wanted);
        }
        let fulfilment = read(&mut faults, "fulfilmentStatus", self.fulfilment_status.as_ref(), |text| {
            let known = FulfilmentState::ALL.into_iter().find(|state| state.as_str() == text);
            known.ok_or("must be unfulfilled, partial or fulfilled")
        });
        let min_total = read(&mut faults, "minTotal", self.min_total.as_ref(), str::parse::<Amount>);
        let max_total = read(&mut faults, "maxTotal", self.max_total.as_ref(), str::parse::<Amount>);
        let country = read(&mut faults, "country", self.country.as_ref(), str::parse::<Country>);
        let buyer = read(&mut faults, "customer", self.customer.as_ref(), |text| match text.parse() {
            Ok(id) => Ok(Buyer::Account(id)),
            Err(_) => text.parse::<Email>().map(|email| Buyer::Email(email.to_string())),
        });
        let search = read(&mut faults, "search", self.search.as_ref(), |text| {
            if text.chars().count() > 100 { Err("must have at most 100 characters") } else { Ok(text.to_owned()) }
        });
        for (field, at) in [("from", self.from), ("until", self.until)] {
            // What the database can hold.
            if at.is_some_and(|at| !(1..=9_999).contains(&at.year())) {
                faults.push(FieldError::new(field, "must be in the years 1 to 9999"));
            }
        }
        if !faults.is_empty() {
            return Err(Error::Validation(faults));
        }
        Ok(Filter {
            statuses,
            paid,
            fulfilment,
            from: self.from,
            until: self.until,
            min_total: min_total.map(|amount| amount.0),
            max_total: max_total.map(|amount| amount.0),
            country: country.map(|country| country.as_str().to_owned()),
            buyer,
            search,
        })
    }
}

/// List all orders
///
/// Beyond 10,000, `total` is an estimate and says so.
#[utoipa::path(get, path = "/admin/orders", tag = "Orders, staff", security(("bearer" = ["read_orders"])),
    params(PartQuery, OrderFilter, OrderSort), responses(
    (status = 200, body = Envelope<StaffOrdersData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
))]
pub(super) async fn list_all_orders(
    State(app): State<App>,
    Query(part): Query<PartQuery>,
    Query(filter): Query<OrderFilter>,
    Query(sort): Query<OrderSort>,
) -> Answer<StaffOrdersData> {
    let filter = filter.check()?;
    let sort = match given(sort.sort.as_ref()) {
        None | Some("newest") => Sort::Newest,
        Some("oldest") => Sort::Oldest,
        Some("highest") => Sort::Highest,
        Some("lowest") => Sort::Lowest,
        Some(_) => return Err(Error::field("sort", "must be newest, oldest, highest or lowest")),
    };
    let part = part.check(&app.config.lists)?;
    let mut connection = app.db.acquire().await?;
    let total = match part.behind {
        None => Some(staff::total(&mut connection, &filter).await?),
        Some(_) => None,
    };
    part.check_depth(total)?;
    let (orders, next) = staff::list(&mut connection, &filter, sort, part).await?;
    let base = app.config.public_url();
    let orders = orders.iter().map(|order| StaffOrderView::new(order, &base)).collect();
    Ok(ok(StaffOrdersData { orders }).page(part.pagination(total, next)))
}

/// Export orders as CSV
///
/// Those that match, the oldest first.
#[utoipa::path(get, path = "/admin/exports/orders", tag = "Orders, staff", security(("bearer" = ["read_orders"])),
    params(OrderFilter), responses(
    (status = 200, body = String, content_type = "text/csv"),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
))]
pub(super) async fn export_orders(
    State(app): State<App>,
    identity: Identity,
    meta: RequestMeta,
    Query(filter): Query<OrderFilter>,
) -> Result<Response> {
    let filter = filter.check()?;
    staff_service::record_export(&app, &identity, &meta).await?;
    let disposition = format!("attachment; filename=\"orders-{}.csv\"", app.clock.now().format("%Y-%m-%d"));
    let body = Body::from_stream(staff_service::export(app, filter));
    Ok(([(CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()), (CONTENT_DISPOSITION, disposition)], body)
        .into_response())
}
