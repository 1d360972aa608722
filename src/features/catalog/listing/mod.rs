//! Lists of products: filters, sorts, pages and cursors, facets, search, related products.

mod cache;
mod cursor;
pub(super) mod http;
mod query;
pub(super) mod search_http;
mod service;
mod store;
mod view;

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
    /// Any of these, in any case.
    tags: Vec<String>,
    /// Any of these, in lower case.
    colours: Vec<String>,
    /// What can be bought now, or what cannot.
    in_stock: Option<bool>,
    is_featured: Option<bool>,
}

/// A category, as a link names it. Its descendants count.
#[derive(Clone, Debug)]
pub(super) enum CategoryOf {
    Id(CategoryId),
    Slug(String),
}

impl CategoryOf {
    pub(super) fn named(name: &str) -> Self {
        name.parse().map_or_else(|_| Self::Slug(name.to_owned()), Self::Id)
    }
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

/// What words are made of. The iota below a letter is alphabetic, and nothing without accents.
fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() && c != '\u{345}'
}

fn words_of(text: &str) -> impl Iterator<Item = String> {
    text.split(|c| !is_of_word(c)).filter(|word| !word.is_empty()).take(12).map(|word| word.chars().take(40).collect())
}

impl Search {
    /// None when the text has no word.
    fn new(text: &str) -> Option<Self> {
        let all: Vec<String> = words_of(text).collect();
        let told: Vec<String> =
            all.iter().filter(|word| !STOP_WORDS.contains(&word.to_lowercase().as_str())).cloned().collect();
        let words = if told.is_empty() { all } else { told };
        (!words.is_empty()).then(|| Self { text: text.trim().chars().take(200).collect(), words })
    }

    /// The last word, which may be unfinished, and all that stands before it, as it was typed.
    fn unfinished(&self) -> (&str, &str) {
        let text = self.text.trim_end_matches(|c| !is_of_word(c));
        let start =
            text.rfind(|c| !is_of_word(c)).map_or(0, |i| i + text[i..].chars().next().map_or(1, char::len_utf8));
        text.split_at(start)
    }

    /// The parts of the text if it may be a sku: those have digits, or signs between their parts.
    fn sku_parts(&self) -> Option<Vec<String>> {
        let joined = self.text.contains(['-', '_', '/', '.', '#']) && !self.text.contains(char::is_whitespace);
        let may_be = self.text.chars().count() >= 3 && (joined || self.text.contains(|c: char| c.is_ascii_digit()));
        may_be.then(|| words_of(&self.text).collect())
    }
}

/// How a search is asked of the database.
#[derive(Clone, Debug)]
enum Matching {
    /// Words, whole or as beginnings, or a sku.
    Words(Words),
    /// Titles that look like the text.
    Alike(String),
}

/// Words as the database looks for them.
#[derive(Clone, Debug)]
struct Words {
    /// A `tsquery`: all words are there.
    query: String,
    /// A `tsquery`: all words are in the title.
    in_title: String,
    /// The words as they may follow each other in a title. None for a single word.
    phrase: Option<String>,
    /// Products with a variant whose sku has all the parts of the text.
    skus: Vec<Uuid>,
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
    Rank(Rank),
}

/// How well a product matches a search.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Rank {
    stage: Stage,
    /// None where so many match that they come by their popularity.
    score: Option<f64>,
    popularity: i32,
}

/// Which matches a search shows. Ranking all of very many takes long, so there those with the words in their titles come first, and
/// then the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    All,
    Title,
    Rest,
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

#[cfg(test)]
mod tests {
    use super::Search;

    #[test]
    fn the_last_word_may_be_unfinished() {
        for (text, before, last) in [
            ("ken", "", "ken"),
            ("royal K", "royal ", "K"),
            ("bag for wom", "bag for ", "wom"),
            ("bag for ", "bag ", "for"),
            ("«aṣọ–òk»", "«aṣọ–", "òk"),
        ] {
            assert_eq!(Search::new(text).unwrap().unfinished(), (before, last), "{text}");
        }
    }

    #[test]
    fn a_sku_has_digits_or_signs() {
        for text in ["GLD-06", "3PC", "AGP LACE 3PC", "AGP-LACE", "lac003"] {
            assert!(Search::new(text).unwrap().sku_parts().is_some(), "{text}");
        }
        for text in ["lace", "royal kente", "06", "white - lace"] {
            assert_eq!(Search::new(text).unwrap().sku_parts(), None, "{text}");
        }
    }
}
