//! Lists: pages, filters of time, and the answer's shape.

use axum::Json;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::Invalid;

const DEFAULT_PER_PAGE: usize = 50;

/// The query that all lists share; everything as text, so that a bad value gets
/// Paystack's error. `status` and `transaction` are for lists that have them.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ListQuery {
    per_page: Option<String>,
    page: Option<String>,
    from: Option<String>,
    to: Option<String>,
    pub(super) status: Option<String>,
    pub(super) transaction: Option<String>,
}

/// A query whose values make sense.
pub(super) struct Window {
    page: usize,
    per_page: usize,
    from: Option<DateTime<Utc>>,
    to: Option<DateTime<Utc>>,
}

impl ListQuery {
    pub(super) fn window(&self) -> Result<Window, Invalid> {
        let last_second = NaiveTime::from_hms_opt(23, 59, 59).unwrap_or_default();
        Ok(Window {
            page: positive(self.page.as_deref(), 1)?,
            per_page: positive(self.per_page.as_deref(), DEFAULT_PER_PAGE)?,
            from: self.from.as_deref().map(|text| read_time(text, NaiveTime::MIN)).transpose()?,
            to: self.to.as_deref().map(|text| read_time(text, last_second)).transpose()?,
        })
    }
}

impl Window {
    pub(super) fn contains(&self, time: DateTime<Utc>) -> bool {
        self.from.is_none_or(|from| time >= from) && self.to.is_none_or(|to| time <= to)
    }

    /// The page of `found`, which is newest first.
    pub(super) fn answer<T>(&self, message: &str, found: Vec<T>, to_json: impl Fn(T) -> Value) -> Response {
        let skipped = self.page.saturating_sub(1).saturating_mul(self.per_page);
        let total = found.len();
        let data: Vec<_> = found.into_iter().skip(skipped).take(self.per_page).map(to_json).collect();
        let meta = json!({
            "total": total,
            "skipped": skipped,
            "perPage": self.per_page,
            "page": self.page,
            "pageCount": total.div_ceil(self.per_page),
        });
        Json(json!({ "status": true, "message": message, "data": data, "meta": meta })).into_response()
    }
}

fn positive(text: Option<&str>, default: usize) -> Result<usize, Invalid> {
    let Some(text) = text else { return Ok(default) };
    let number = text.parse().ok().filter(|number| *number > 0);
    number.ok_or_else(|| Invalid::params("page and perPage count from 1"))
}

/// A time, or a date that stands for `time_of_day` on it.
fn read_time(text: &str, time_of_day: NaiveTime) -> Result<DateTime<Utc>, Invalid> {
    let time = DateTime::parse_from_rfc3339(text).map(|time| time.to_utc());
    let date = || text.parse::<NaiveDate>().map(|date| date.and_time(time_of_day).and_utc());
    time.or_else(|_| date()).map_err(|_| Invalid::params("from and to are ISO 8601 times"))
}
