//! Lists of products: filters, sorts, pages and cursors, facets, search, related products.

mod cache;
mod cursor;
pub(super) mod http;
mod service;
mod store;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::platform::ids::CategoryId;

pub use cache::ListCache;
pub use service::{first_products, set_popularity};

/// What products the caller wants. Empty fields do not filter.
#[derive(Clone, Debug, Default)]
struct Filter {
    /// In any of these.
    categories: Option<Vec<Uuid>>,
    search: Option<Search>,
    min_price: Option<i64>,
    max_price: Option<i64>,
    /// Any of these.
    tags: Vec<String>,
    /// Any of these, in lower case.
    colours: Vec<String>,
    in_stock: bool,
    is_featured: Option<bool>,
}

/// A category, as a link names it. Its descendants count.
#[derive(Clone, Debug)]
pub(super) enum CategoryOf {
    Id(CategoryId),
    Slug(String),
}

/// Words of a search, of which there is at least one.
#[derive(Clone, Debug)]
struct Search {
    /// What the shopper typed.
    text: String,
    /// Its words.
    words: Vec<String>,
}

/// Words that say nothing, if there are others.
const STOP_WORDS: [&str; 14] =
    ["a", "an", "and", "at", "by", "for", "from", "in", "of", "on", "or", "the", "to", "with"];

impl Search {
    /// None when the text has no word.
    fn new(text: &str) -> Option<Self> {
        let all: Vec<String> = text
            // The iota below a letter is alphabetic, and nothing without accents.
            .split(|c: char| !c.is_alphanumeric() || c == '\u{345}')
            .filter(|word| !word.is_empty())
            .take(12)
            .map(|word| word.chars().take(40).collect())
            .collect();
        let told: Vec<String> =
            all.iter().filter(|word| !STOP_WORDS.contains(&word.to_lowercase().as_str())).cloned().collect();
        let words = if told.is_empty() { all } else { told };
        (!words.is_empty()).then(|| Self { text: text.trim().chars().take(200).collect(), words })
    }
}

/// How a search is asked of the database.
#[derive(Clone, Debug)]
enum Matching {
    /// All words, whole or as beginnings: a `tsquery`. The products are those with a sku that begins like the text.
    Words { query: String, skus: Vec<Uuid> },
    /// Titles that look like the text.
    Alike(String),
}

/// The order of a list. Each ends with the id, so that pages never overlap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    Newest,
    Oldest,
    PriceUp,
    PriceDown,
    TitleUp,
    TitleDown,
    Popular,
    /// Of a search.
    Relevance,
}

/// The sort key of a product: where a list goes on behind it.
#[derive(Clone, Debug, PartialEq)]
enum Key {
    Time(DateTime<Utc>),
    Number(i64),
    Text(String),
}

/// The product behind which a list goes on.
#[derive(Clone, Debug, PartialEq)]
struct Position {
    key: Key,
    id: Uuid,
}

/// Which part of a list.
#[derive(Clone, Debug)]
enum Part {
    /// Behind so many products.
    Offset(i64),
    /// Behind this one, at the same cost wherever it stands.
    After(Position),
}

/// How many products match.
#[derive(Clone, Copy, Debug)]
struct Total {
    count: i64,
    /// Whether the count is the planner's estimate, because there are more than are counted.
    is_estimate: bool,
}
