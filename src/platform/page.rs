//! Lists in pages.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use uuid::Uuid;

use super::count::{COUNTED, Total};
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
        self.check_with(lists, Vec::new())
    }

    /// The same, where other things of the request may be wrong too.
    pub fn check_with(self, lists: &super::config::Lists, mut faults: Vec<FieldError>) -> Result<Page> {
        let (number, limit) = (self.page.unwrap_or(1), self.limit.unwrap_or(lists.limit));
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

    /// The same, where the total may be an estimate and a cursor may lead on.
    pub fn of_total(self, total: Total, next_cursor: Option<String>) -> Pagination {
        Pagination { next_cursor, total_is_estimate: total.is_estimate.then_some(true), ..self.of(total.count) }
    }
}

/// Which part of a list that has cursors the caller wants.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct PartQuery {
    /// 1 is the first page.
    #[param(minimum = 1)]
    pub page: Option<i64>,
    /// Items on a page: 20 by default, 100 at most.
    #[param(minimum = 1, maximum = 100)]
    pub limit: Option<i64>,
    /// `pagination.nextCursor` of the answer before, with the same filters. Instead of `page`.
    pub cursor: Option<String>,
}

/// A checked part of a list whose order ends with the id: a page, or what comes behind an item.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    /// The first one behind a cursor.
    pub page: Page,
    /// The item that the caller has seen last.
    pub behind: Option<Uuid>,
}

impl PartQuery {
    /// Checks page, limit and cursor.
    ///
    /// # Errors
    /// `Validation` of each that is wrong.
    pub fn check(self, lists: &super::config::Lists) -> Result<Part> {
        let mut faults = Vec::new();
        let cursor = self.cursor.filter(|cursor| !cursor.is_empty());
        let behind = cursor.as_deref().map(Uuid::try_parse);
        if let Some(Err(_)) = behind {
            faults.push(FieldError::new("cursor", "is not one of this list; begin again without it"));
        }
        if cursor.is_some() && self.page.is_some() {
            faults.push(FieldError::new("page", WITH_CURSOR));
        }
        let page = PageQuery { page: self.page, limit: self.limit }.check_with(lists, faults)?;
        Ok(Part { page, behind: behind.and_then(|id| id.ok()) })
    }
}

/// What is said of a page beside a cursor.
pub const WITH_CURSOR: &str = "must be left out with a cursor";

impl Part {
    /// Items before this part that have to be read past.
    pub fn offset(self) -> i64 {
        self.page.offset()
    }

    /// Refuses a page that only a cursor leads to. `total` is of a page, and none behind a cursor, where nothing is counted.
    ///
    /// # Errors
    /// `Validation` of the page.
    pub fn check_depth(self, total: Option<Total>) -> Result<()> {
        match total {
            Some(total) if total.is_estimate && self.offset() >= COUNTED => Err(too_deep()),
            _ => Ok(()),
        }
    }

    /// Takes off the item that was read beyond the limit. Gives the id of the last one then, because more follow.
    pub fn cut<T>(self, mut items: Vec<T>, id: impl Fn(&T) -> Uuid) -> (Vec<T>, Option<Uuid>) {
        let more = i64::try_from(items.len()).is_ok_and(|count| count > self.page.limit);
        if more {
            items.pop();
        }
        let last = items.last().filter(|_| more).map(id);
        (items, last)
    }

    /// The description of this part. `next` is the last item shown, where more follow.
    pub fn pagination(self, total: Option<Total>, next: Option<Uuid>) -> Pagination {
        let next = next.map(|id| id.to_string());
        match total {
            Some(total) => self.page.of_total(total, next),
            None => Pagination::behind_cursor(self.page.limit, next),
        }
    }
}

/// The refusal of a page that only a cursor leads to: counting to it costs as much as reading all before it.
pub fn too_deep() -> Error {
    Error::field("page", format!("must not be behind {COUNTED} items of a long list; go on with `cursor`"))
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
