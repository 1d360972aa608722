//! Lists in pages.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::error::{Error, FieldError, Result};

/// Which page of a list the caller wants.
#[derive(Clone, Copy, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// 1 is the first page.
    #[param(minimum = 1)]
    pub page: Option<i64>,
    /// Items on a page: 20 by default, 100 at most.
    #[param(minimum = 1, maximum = 100)]
    pub limit: Option<i64>,
}

/// A checked page.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// 1 is the first.
    pub number: i64,
    /// Items on it.
    pub limit: i64,
}

impl PageQuery {
    /// Checks the page against the list limits of the configuration.
    pub fn check(self, lists: &super::config::Lists) -> Result<Page> {
        let (number, limit) = (self.page.unwrap_or(1), self.limit.unwrap_or(lists.limit));
        let mut faults = Vec::new();
        if !(1..=1_000_000).contains(&number) {
            faults.push(FieldError::new("page", "must be between 1 and 1000000"));
        }
        if !(1..=lists.max_limit).contains(&limit) {
            faults.push(FieldError::new("limit", format!("must be between 1 and {}", lists.max_limit)));
        }
        if faults.is_empty() { Ok(Page { number, limit }) } else { Err(Error::Validation(faults)) }
    }
}

impl Page {
    /// Items before this page.
    pub fn offset(self) -> i64 {
        (self.number - 1) * self.limit
    }

    /// The description of this page of `total` items.
    pub fn of(self, total: i64) -> Pagination {
        let total_pages = total.div_euclid(self.limit) + i64::from(total.rem_euclid(self.limit) > 0);
        Pagination {
            page: Some(self.number),
            limit: self.limit,
            total: Some(total),
            total_pages: Some(total_pages),
            total_is_estimate: None,
            next_cursor: None,
        }
    }
}

/// Where a page stands in its list.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Pagination {
    /// 1 is the first page. Not behind a cursor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page: Option<i64>,
    /// Items on a page.
    pub limit: i64,
    /// Items in the whole list. Not behind a cursor, where nothing is counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<i64>,
    /// Pages in the whole list. Not behind a cursor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_pages: Option<i64>,
    /// `true` when there are too many items to count, and `total` is about right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_is_estimate: Option<bool>,
    /// Give it as `cursor` to get what comes next, at the same cost however deep. Only in lists that have cursors, and not
    /// at their end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

impl Pagination {
    /// The description of a part behind a cursor.
    pub fn behind_cursor(limit: i64, next_cursor: Option<String>) -> Self {
        Self { page: None, limit, total: None, total_pages: None, total_is_estimate: None, next_cursor }
    }
}
