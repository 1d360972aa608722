//! The name of a picture.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Longest public id (Cloudinary, "Upload API reference", `public_id`).
const MAX_LEN: usize = 255;

/// The public id of a picture: 1 to 255 bytes, without control characters and
/// without any of `?` `&` `#` `\` `%` `<` `>` `+`, which Cloudinary refuses. It may
/// have folders, separated by single slashes, such as `products/shirt`. It carries
/// no file extension.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicId(String);

/// The text is no [`PublicId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a Cloudinary public id has 1 to 255 bytes without ?&#\\%<>+, blanks around it and empty folders")]
pub struct InvalidPublicId;

impl PublicId {
    /// Takes `text` as a public id.
    ///
    /// # Errors
    /// [`InvalidPublicId`] for another length or character, for blanks around it,
    /// and for an empty folder, `.` and `..`, which a URL path cannot carry.
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidPublicId> {
        let text = text.into();
        let charset = |c: char| !c.is_control() && !"?&#\\%<>+".contains(c);
        let folders = |text: &str| !text.split('/').any(|part| matches!(part, "" | "." | ".."));
        let fits = text.len() <= MAX_LEN && text.trim() == text && text.chars().all(charset) && folders(&text);
        if fits { Ok(Self(text)) } else { Err(InvalidPublicId) }
    }

    /// The public id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for PublicId {
    type Error = InvalidPublicId;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::new(text)
    }
}

impl From<PublicId> for String {
    fn from(id: PublicId) -> Self {
        id.0
    }
}

impl FromStr for PublicId {
    type Err = InvalidPublicId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

impl fmt::Display for PublicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cloudinary_or_a_url_would_refuse_is_no_public_id() {
        for text in ["shirt", "products/shirt", "Käse und Brot", "v12/c_fill", &"a".repeat(255)] {
            assert_eq!(PublicId::new(text).unwrap().as_str(), text);
        }
        let long = "a".repeat(256);
        for text in [
            "", " a", "a ", "/a", "a/", "a//b", "a/../b", ".", "..", "a?b", "a&b", "a#b", "a\\b", "a%b", "a<b", "a>b",
            "a+b", "a\nb", "a\0b", &long,
        ] {
            assert_eq!(PublicId::new(text), Err(InvalidPublicId), "{text:?}");
            assert!(serde_json::from_value::<PublicId>(text.into()).is_err(), "{text:?}");
        }
    }
}
