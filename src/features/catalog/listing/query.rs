//! Reading what a list is asked for.

use serde::Deserialize;
use utoipa::IntoParams;

use super::{CategoryOf, Filter, Position, Search, Sort, cursor};
use crate::platform::config::Lists;
use crate::platform::error::{FieldError, Result};
use crate::platform::money::Amount;
use crate::platform::page::{Page, PageQuery, WITH_CURSOR};

/// What is said of a search without a letter or a digit.
pub(super) const WITHOUT_WORD: &str = "must have a word to search for";

/// Filters of the list. Empty values do not filter.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", default)]
#[into_params(parameter_in = Query)]
pub(in crate::features::catalog) struct ListQuery {
    /// A category's id or slug; its subcategories count.
    category: Option<String>,
    /// Words to search for.
    search: Option<String>,
    /// Main units, such as 5000 or 5000.50.
    min_price: Option<String>,
    /// Main units.
    max_price: Option<String>,
    /// Products with any of these tags, in any case. Separated by commas; a comma inside of a tag is written `\,` and a backslash
    /// `\\`.
    tags: Option<String>,
    /// Products with a variant in any of these colours, written as `tags` are.
    colors: Option<String>,
    /// `true`: only what can be bought now. `false`: only what is sold out.
    in_stock: Option<String>,
    /// `true` or `false`.
    is_featured: Option<String>,
    /// `newest`, `created_at`, `price`, `title`, `popular` or `relevance`. Without it a search is by relevance, another list by newest.
    sort_by: Option<String>,
    /// `asc` or `desc`. Without it `newest` and `created_at` begin with the newest, `price` with the lowest and `title` with A.
    /// `popular` and `relevance` have the best first, so that `asc` is refused there.
    sort_order: Option<String>,
    /// `true`: count what further filters would leave.
    facets: Option<String>,
    /// `pagination.nextCursor` of the answer before, with the same filters and order. Instead of `page`.
    cursor: Option<String>,
    #[param(minimum = 1)]
    page: Option<String>,
    #[param(minimum = 1, maximum = 100)]
    limit: Option<String>,
}

/// Which part of a list is asked for, and how it is ordered and filtered.
#[derive(Debug)]
pub(super) struct Asked {
    pub category: Option<CategoryOf>,
    pub filter: Filter,
    pub sort: Sort,
    pub facets: bool,
    pub page: Page,
    /// Instead of the page.
    pub after: Option<Position>,
}

/// Reads values and notes every wrong one.
struct Reader(Vec<FieldError>);

impl Reader {
    fn refuse(&mut self, field: &str, message: &str) {
        self.0.push(FieldError::new(field, message));
    }

    fn value<T>(
        &mut self,
        field: &str,
        text: Option<String>,
        what: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let text = some(text)?;
        let value = read(&text);
        if value.is_none() {
            self.refuse(field, what);
        }
        value
    }

    fn flag(&mut self, field: &str, text: Option<String>) -> Option<bool> {
        self.value(field, text, "must be true or false", |text| text.parse().ok())
    }

    fn number(&mut self, field: &str, text: Option<String>) -> Option<i64> {
        self.value(field, text, "must be a whole number", |text| text.parse().ok())
    }

    /// In minor units.
    fn price(&mut self, field: &str, text: Option<String>) -> Option<i64> {
        let what = "must be a number in main units, such as 45000 or 45000.50";
        self.value(field, text, what, |text| text.parse().ok().map(|Amount(minor)| minor))
    }

    fn search(&mut self, text: Option<String>) -> Option<Search> {
        self.value("search", text, WITHOUT_WORD, Search::new)
    }

    fn sort(&mut self, by: Option<String>, order: Option<String>, is_search: bool) -> Sort {
        let what = "must be newest, created_at, price, title, popular or relevance";
        let by = self.value("sortBy", by, what, |text| match text {
            "newest" | "created_at" | "createdAt" => Some(Sort::Newest),
            "price" => Some(Sort::PriceUp),
            "title" => Some(Sort::TitleUp),
            "popular" => Some(Sort::Popular),
            "relevance" => Some(Sort::Relevance),
            _ => None,
        });
        let is_down = self.value("sortOrder", order, "must be asc or desc", |text| match text {
            "asc" => Some(false),
            "desc" => Some(true),
            _ => None,
        });
        let best_first = if is_search { Sort::Relevance } else { Sort::Newest };
        match (by.filter(|by| *by != Sort::Relevance).unwrap_or(best_first), is_down) {
            (Sort::Newest, Some(false)) => Sort::Oldest,
            (Sort::PriceUp, Some(true)) => Sort::PriceDown,
            (Sort::TitleUp, Some(true)) => Sort::TitleDown,
            (sort @ (Sort::Popular | Sort::Relevance), Some(false)) => {
                self.refuse("sortOrder", "must be left out or desc, because popular and relevance have the best first");
                sort
            }
            (sort, _) => sort,
        }
    }
}

/// Reads the filters.
///
/// # Errors
/// `Validation` of every wrong one.
pub(super) fn read(query: ListQuery, lists: &Lists) -> Result<Asked> {
    let mut reader = Reader(Vec::new());
    let search = reader.search(query.search);
    let sort = reader.sort(query.sort_by, query.sort_order, search.is_some());
    let filter = Filter {
        categories: None,
        search,
        min_price: reader.price("minPrice", query.min_price),
        max_price: reader.price("maxPrice", query.max_price),
        tags: listed(query.tags),
        colours: listed(query.colors).into_iter().map(|colour| colour.to_lowercase()).collect(),
        in_stock: reader.flag("inStock", query.in_stock),
        is_featured: reader.flag("isFeatured", query.is_featured),
    };
    let facets = reader.flag("facets", query.facets) == Some(true);
    let page = PageQuery { page: reader.number("page", query.page), limit: reader.number("limit", query.limit) };
    let (page, after) = check_part(sort, page, query.cursor, lists, reader.0)?;
    let category = some(query.category).as_deref().map(CategoryOf::named);
    Ok(Asked { category, filter, sort, facets, page, after })
}

/// Checks a page or a cursor, beside what else is wrong.
///
/// # Errors
/// `Validation` of all of it.
pub(super) fn check_part(
    sort: Sort,
    page: PageQuery,
    cursor: Option<String>,
    lists: &Lists,
    mut faults: Vec<FieldError>,
) -> Result<(Page, Option<Position>)> {
    let after = some(cursor).map(|text| cursor::decode(sort, &text));
    if let Some(None) = after {
        faults.push(FieldError::new("cursor", "is not one of this list in this order; begin again without it"));
    } else if after.is_some() && page.page.is_some() {
        faults.push(FieldError::new("page", WITH_CURSOR));
    }
    Ok((page.check_with(lists, faults)?, after.flatten()))
}

fn some(text: Option<String>) -> Option<String> {
    text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// The values of a list that is separated by commas. `\,` is a comma inside of a value, and `\\` a backslash.
fn listed(text: Option<String>) -> Vec<String> {
    let mut values = vec![String::new()];
    let text = text.unwrap_or_default();
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match (letter, letters.peek(), values.last_mut()) {
            (',', ..) => values.push(String::new()),
            ('\\', Some(next @ (',' | '\\')), Some(value)) => {
                value.push(*next);
                letters.next();
            }
            (letter, _, Some(value)) => value.push(letter),
            _ => {}
        }
    }
    values.into_iter().map(|value| value.trim().to_owned()).filter(|value| !value.is_empty()).take(50).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_may_have_commas_in_its_values() {
        for (text, values) in [
            ("a,b", &["a", "b"][..]),
            (" a , ,b ", &["a", "b"]),
            (r"red\, white,blue", &["red, white", "blue"]),
            (r"a\\,b", &[r"a\", "b"]),
            (r"a\b\", &[r"a\b\"]),
            ("", &[]),
        ] {
            assert_eq!(listed(Some(text.into())), values, "{text}");
        }
    }

    #[test]
    fn an_order_that_makes_no_sense_is_refused() {
        let sort = |by: &str, order: &str, is_search| {
            let mut reader = Reader(Vec::new());
            let sort = reader.sort(Some(by.into()), Some(order.into()), is_search);
            (sort, reader.0.into_iter().map(|fault| fault.field).collect::<Vec<_>>())
        };
        for by in ["popular", "relevance", ""] {
            assert_eq!(sort(by, "asc", true).1, ["sortOrder"], "{by}");
            assert!(sort(by, "desc", true).1.is_empty(), "{by}");
        }
        assert_eq!(sort("", "asc", false), (Sort::Oldest, vec![]));
        assert_eq!(sort("relevance", "", false), (Sort::Newest, vec![]));
        assert_eq!(sort("price", "desc", true), (Sort::PriceDown, vec![]));
        assert_eq!(sort("weight", "up", true).1, ["sortBy", "sortOrder"]);
    }
}
