//! The endpoints of invoices.

use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Datelike, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::model::Invoice;
use super::service::{self, Issued};
use super::store::{self, Filter};
use crate::app::App;
use crate::features::auth::{self, Identity, Permission};
use crate::features::orders::{self, TrackOrder};
use crate::platform::error::{Error, FieldError, Result};
use crate::platform::http::{Answer, Body, Envelope, ErrorEnvelope, PathId, Query, ok};
use crate::platform::ids::OrderId;
use crate::platform::money::Amount;
use crate::platform::page::PartQuery;

/// Get the invoice of an order
///
/// The PDF file. Of one's own order; staff get every one. An order has an invoice once it is paid or, where it is paid on delivery,
/// accepted.
#[utoipa::path(get, path = "/orders/{order}/invoice", tag = "Orders", security(("bearer" = [])),
    params(("order" = OrderId, Path)), responses(
    (status = 200, body = Vec<u8>, content_type = "application/pdf"),
    (status = 401, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope, description = "Unknown, or another person's"),
    (status = 409, body = ErrorEnvelope, description = "The order is not paid yet"),
))]
pub(super) async fn get_invoice(
    State(app): State<App>,
    identity: Identity,
    PathId(id): PathId<OrderId>,
) -> Result<Response> {
    let is_staff = auth::permits(&app, &identity, Permission::ReadOrders).await?;
    let owner = if is_staff { None } else { Some(identity.user_id) };
    let order = orders::find_of(&mut *app.db.acquire().await?, id, owner).await?;
    Ok(file(service::invoice(&app, &order).await?))
}

/// Get the invoice of an order without an account
///
/// The PDF file, by the order's number and the e-mail address it was placed with. Tries are counted by the address.
#[utoipa::path(post, path = "/orders/track/invoice", tag = "Orders", security(()), request_body = TrackOrder, responses(
    (status = 200, body = Vec<u8>, content_type = "application/pdf"),
    (status = 400, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope, description = "No order has this number and address"),
    (status = 409, body = ErrorEnvelope, description = "The order is not paid yet"),
    (status = 429, body = ErrorEnvelope),
))]
pub(super) async fn get_tracked_invoice(State(app): State<App>, body: Body<TrackOrder>) -> Result<Response> {
    let order = orders::find_tracked(&app, &body.value).await?;
    Ok(file(service::invoice(&app, &order).await?))
}

fn file(issued: Issued) -> Response {
    // A number has letters, digits and hyphens only.
    let disposition = format!("attachment; filename=\"{}.pdf\"", issued.invoice.number);
    let headers = [
        (CONTENT_TYPE, "application/pdf".to_owned()),
        (CONTENT_DISPOSITION, disposition),
        (CACHE_CONTROL, "private, no-store".to_owned()),
    ];
    (headers, issued.bytes).into_response()
}

/// Which invoices.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(super) struct InvoiceFilter {
    /// Issued not before this time.
    from: Option<DateTime<Utc>>,
    /// Issued before this time.
    until: Option<DateTime<Utc>>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct InvoicesData {
    invoices: Vec<InvoiceView>,
}

/// An invoice.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct InvoiceView {
    /// Without a gap within its year.
    #[schema(example = "INV-2026-000001")]
    number: String,
    order_id: OrderId,
    #[schema(example = "AGP2026000001H")]
    order_number: String,
    currency: String,
    total: Amount,
    /// Within the total.
    tax: Amount,
    issued_at: DateTime<Utc>,
}

impl From<Invoice> for InvoiceView {
    fn from(invoice: Invoice) -> Self {
        Self {
            number: invoice.number,
            order_id: invoice.order_id,
            order_number: invoice.order_number,
            currency: invoice.currency,
            total: Amount(invoice.total_minor),
            tax: Amount(invoice.tax_minor),
            issued_at: invoice.issued_at,
        }
    }
}

/// List invoices
///
/// The newest first.
#[utoipa::path(get, path = "/admin/invoices", tag = "Orders, staff", security(("bearer" = ["read_orders"])),
    params(PartQuery, InvoiceFilter), responses(
    (status = 200, body = Envelope<InvoicesData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
))]
pub(super) async fn list_invoices(
    State(app): State<App>,
    Query(part): Query<PartQuery>,
    Query(InvoiceFilter { from, until }): Query<InvoiceFilter>,
) -> Answer<InvoicesData> {
    let odd = |at: Option<DateTime<Utc>>| at.is_some_and(|at| !(1..=9_999).contains(&at.year()));
    let faults = [("from", from), ("until", until)].into_iter().filter(|(_, at)| odd(*at));
    let faults: Vec<_> = faults.map(|(field, _)| FieldError::new(field, "must be in the years 1 to 9999")).collect();
    if !faults.is_empty() {
        return Err(Error::Validation(faults));
    }
    let (part, filter) = (part.check(&app.config.lists)?, Filter { from, until });
    let mut connection = app.db.acquire().await?;
    let total = match part.behind {
        None => Some(store::total(&mut connection, &filter).await?),
        Some(_) => None,
    };
    part.check_depth(total)?;
    let (invoices, next) = store::list(&mut connection, &filter, part).await?;
    let invoices = invoices.into_iter().map(InvoiceView::from).collect();
    Ok(ok(InvoicesData { invoices }).page(part.pagination(total, next)))
}
