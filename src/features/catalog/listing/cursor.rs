//! Cursors: the sort key and id of the last product seen, as text that clients hand back unread.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Key, Position, Rank, Sort, Stage};

/// The letter that a cursor begins with, so that one of another order is not believed.
fn letter(sort: Sort) -> char {
    match sort {
        Sort::Newest => 'n',
        Sort::Oldest => 'o',
        Sort::PriceUp => 'p',
        Sort::PriceDown => 'q',
        Sort::TitleUp => 't',
        Sort::TitleDown => 'u',
        Sort::Popular => 's',
        Sort::Relevance => 'r',
    }
}

pub(super) fn encode(sort: Sort, position: &Position) -> String {
    let key = match &position.key {
        Key::Time(time) => time.timestamp_micros().to_string(),
        Key::Number(number) => number.to_string(),
        Key::Text(text) => text.clone(),
        Key::Rank(Rank { stage, score, popularity }) => {
            let stage = match stage {
                Stage::All => 'a',
                Stage::Title => 't',
                Stage::Rest => 'r',
            };
            // All bits of the score, because a rounded one stands before or behind its product.
            let score = score.map(|score| format!("{:x}", score.to_bits())).unwrap_or_default();
            format!("{stage}{popularity},{score}")
        }
    };
    URL_SAFE_NO_PAD.encode(format!("{}{}{key}", letter(sort), position.id.simple()))
}

/// None for what [`encode`] did not make for this sort.
pub(super) fn decode(sort: Sort, cursor: &str) -> Option<Position> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
    let rest = text.strip_prefix(letter(sort))?;
    let (id, key) = rest.split_at_checked(32)?;
    let key = match sort {
        Sort::Newest | Sort::Oldest => Key::Time(time(key)?),
        Sort::PriceUp | Sort::PriceDown | Sort::Popular => Key::Number(key.parse().ok()?),
        Sort::Relevance => Key::Rank(decode_rank(key)?),
        Sort::TitleUp | Sort::TitleDown if key.contains('\0') => return None,
        Sort::TitleUp | Sort::TitleDown => Key::Text(key.to_owned()),
    };
    Some(Position { key, id: Uuid::try_parse(id).ok()? })
}

/// A time that the database can hold, whatever somebody makes up.
fn time(micros: &str) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_micros(
        micros.parse().ok().filter(|micros| (0..=253_402_300_799_999_999).contains(micros))?,
    )
}

fn decode_rank(key: &str) -> Option<Rank> {
    let stage = match key.chars().next()? {
        'a' => Stage::All,
        't' => Stage::Title,
        'r' => Stage::Rest,
        _ => return None,
    };
    let (popularity, score) = key.get(1..)?.split_once(',')?;
    let score = match score {
        "" => None,
        bits => Some(f64::from_bits(u64::from_str_radix(bits, 16).ok()?)).filter(|score| score.is_finite()),
    };
    // What looks like a score and is none makes no cursor.
    (score.is_some() || key.ends_with(',')).then_some(Rank { stage, score, popularity: popularity.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SORTS: [Sort; 8] = [
        Sort::Newest,
        Sort::Oldest,
        Sort::PriceUp,
        Sort::PriceDown,
        Sort::TitleUp,
        Sort::TitleDown,
        Sort::Popular,
        Sort::Relevance,
    ];

    fn key(sort: Sort) -> Key {
        match sort {
            Sort::Newest | Sort::Oldest => Key::Time(DateTime::from_timestamp_micros(1_700_000_000_123_456).unwrap()),
            Sort::TitleUp | Sort::TitleDown => Key::Text("àdìrẹ / 1".into()),
            Sort::Relevance => {
                Key::Rank(Rank { stage: Stage::Title, score: Some(0.300_000_000_000_000_04), popularity: 3 })
            }
            _ => Key::Number(-5),
        }
    }

    #[test]
    fn a_cursor_is_read_by_the_sort_that_made_it() {
        for sort in SORTS {
            let position = Position { key: key(sort), id: Uuid::from_u128(7) };
            let cursor = encode(sort, &position);
            assert_eq!(decode(sort, &cursor), Some(position));
            let walked = Key::Rank(Rank { stage: Stage::Rest, score: None, popularity: 0 });
            let walked = Position { key: walked, id: Uuid::from_u128(7) };
            assert_eq!(decode(Sort::Relevance, &encode(Sort::Relevance, &walked)), Some(walked));
            for other in SORTS.into_iter().filter(|other| *other != sort) {
                assert_eq!(decode(other, &cursor), None, "{sort:?} {other:?}");
            }
        }
    }

    #[test]
    fn what_is_no_cursor_is_not_read() {
        let nan = URL_SAFE_NO_PAD.encode(format!("r{}a0,{:x}", Uuid::nil().simple(), f64::NAN.to_bits()));
        for text in ["", "n", "bm90aGluZw", "!", "AAAA", "\u{fffd}", &nan] {
            for sort in SORTS {
                assert_eq!(decode(sort, text).filter(|p| p.key != Key::Text(String::new())), None, "{text} {sort:?}");
            }
        }
    }
}
