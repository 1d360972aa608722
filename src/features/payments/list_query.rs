//! What staff's lists of payments and refunds are asked for.

use chrono::{DateTime, Datelike, Utc};
use serde::Deserialize;
use utoipa::IntoParams;

use super::refunds::RefundOrigin;
use super::store::staff::Filter;
use crate::platform::error::{Error, FieldError, Result};
use crate::platform::ids::OrderId;

/// Which of them. Empty values do not filter.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// Any of these statuses, separated by commas.
    status: Option<String>,
    /// The id of an order.
    order: Option<String>,
    /// The whole number of an order, or the whole reference of a payment.
    #[param(max_length = 100)]
    search: Option<String>,
    /// Begun not before this time.
    from: Option<DateTime<Utc>>,
    /// Begun before this time.
    until: Option<DateTime<Utc>>,
}

fn given(text: Option<&String>) -> Option<&str> {
    text.map(|text| text.trim()).filter(|text| !text.is_empty())
}

impl ListQuery {
    /// Checks it against the statuses that there are. `origin` is of refunds.
    pub(super) fn check(&self, statuses: &[&'static str], origin: Option<&String>) -> Result<Filter> {
        let mut faults = Vec::new();
        let mut named = None;
        if let Some(text) = given(self.status.as_ref()) {
            let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
            let found: Option<Vec<_>> =
                names.map(|name| statuses.iter().copied().find(|known| *known == name)).collect();
            if found.is_none() {
                faults.push(FieldError::new("status", format!("must be of {}", statuses.join(", "))));
            }
            named = found;
        }
        let order = given(self.order.as_ref()).map(str::parse::<OrderId>);
        if let Some(Err(_)) = order {
            faults.push(FieldError::new("order", "must be the id of an order"));
        }
        let search = given(self.search.as_ref());
        if search.is_some_and(|text| text.chars().count() > 100) {
            faults.push(FieldError::new("search", "must have at most 100 characters"));
        }
        let origin = given(origin).map(|text| RefundOrigin::ALL.into_iter().find(|known| known.as_str() == text));
        if let Some(None) = origin {
            let names = RefundOrigin::ALL.map(RefundOrigin::as_str).join(", ");
            faults.push(FieldError::new("origin", format!("must be of {names}")));
        }
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
            statuses: named,
            origin: origin.flatten(),
            undecided: false,
            order: order.and_then(|id| id.ok()),
            search: search.map(str::to_owned),
            from: self.from,
            until: self.until,
        })
    }
}
