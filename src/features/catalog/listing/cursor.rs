//! Cursors: the sort key and id of the last product seen, as text that clients hand back unread.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::DateTime;
use uuid::Uuid;

use super::{Key, Position, Sort};

/// The letter that a cursor begins with, so that one of another order is not believed.
fn letter(sort: Sort) -> Option<char> {
    match sort {
        Sort::Newest => Some('n'),
        Sort::Oldest => Some('o'),
        Sort::PriceUp => Some('p'),
        Sort::PriceDown => Some('q'),
        Sort::TitleUp => Some('t'),
        Sort::TitleDown => Some('u'),
        Sort::Popular => Some('s'),
        // A rank is not a place in an index.
        Sort::Relevance => None,
    }
}

/// None for a sort that has no cursors.
pub(super) fn encode(sort: Sort, position: &Position) -> Option<String> {
    let key = match &position.key {
        Key::Time(time) => time.timestamp_micros().to_string(),
        Key::Number(number) => number.to_string(),
        Key::Text(text) => text.clone(),
    };
    letter(sort).map(|letter| URL_SAFE_NO_PAD.encode(format!("{letter}{}{key}", position.id.simple())))
}

/// None for what [`encode`] did not make for this sort.
pub(super) fn decode(sort: Sort, cursor: &str) -> Option<Position> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
    let rest = text.strip_prefix(letter(sort)?)?;
    let (id, key) = rest.split_at_checked(32)?;
    let key = match sort {
        Sort::Newest | Sort::Oldest => Key::Time(DateTime::from_timestamp_micros(key.parse().ok()?)?),
        Sort::PriceUp | Sort::PriceDown | Sort::Popular => Key::Number(key.parse().ok()?),
        _ if key.contains('\0') => return None,
        _ => Key::Text(key.to_owned()),
    };
    Some(Position { key, id: Uuid::try_parse(id).ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SORTS: [Sort; 7] =
        [Sort::Newest, Sort::Oldest, Sort::PriceUp, Sort::PriceDown, Sort::TitleUp, Sort::TitleDown, Sort::Popular];

    fn key(sort: Sort) -> Key {
        match sort {
            Sort::Newest | Sort::Oldest => Key::Time(DateTime::from_timestamp_micros(1_700_000_000_123_456).unwrap()),
            Sort::TitleUp | Sort::TitleDown => Key::Text("àdìrẹ / 1".into()),
            _ => Key::Number(-5),
        }
    }

    #[test]
    fn a_cursor_is_read_by_the_sort_that_made_it() {
        for sort in SORTS {
            let position = Position { key: key(sort), id: Uuid::from_u128(7) };
            let cursor = encode(sort, &position).unwrap();
            assert_eq!(decode(sort, &cursor), Some(position));
            for other in SORTS.into_iter().filter(|other| *other != sort) {
                assert_eq!(decode(other, &cursor), None, "{sort:?} {other:?}");
            }
        }
        assert_eq!(encode(Sort::Relevance, &Position { key: Key::Number(1), id: Uuid::nil() }), None);
    }

    #[test]
    fn what_is_no_cursor_is_not_read() {
        for text in ["", "n", "bm90aGluZw", "!", "AAAA", "\u{fffd}"] {
            for sort in SORTS {
                assert_eq!(decode(sort, text).filter(|p| p.key != Key::Text(String::new())), None, "{text} {sort:?}");
            }
        }
    }
}
