//! The name of a picture.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Longest public id (Cloudinary, "Upload API reference", `public_id`).
const MAX_LEN: usize = 255;

/// The public id of a picture: 1 to 255 bytes of letters and digits of any language,
/// `-`, `_` and `.`, in folders if need be, such as `products/shirt`. Cloudinary
/// refuses some other characters and replaces the rest by `_`, which would make it
/// another name (Cloudinary, "Permitted naming conventions"). A picture's file extension
/// is not part of it; a raw file's is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicId(String);

/// The text is no [`PublicId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a Cloudinary public id has 1 to 255 bytes of letters, digits, '-', '_', '.' and single '/', and no folder \
     that looks like a version, such as v1"
)]
pub struct InvalidPublicId;

impl PublicId {
    /// Takes `text` as a public id.
    ///
    /// # Errors
    /// [`InvalidPublicId`] for another length or character, for an empty folder, for `.`
    /// and `..`, which a URL path cannot carry, and for a folder such as `v12`, which
    /// a delivery URL would take for the version.
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidPublicId> {
        let text = text.into();
        let charset = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
        let part = |part: &str| !matches!(part, "" | "." | "..") && part.chars().all(charset);
        let folders = text.rsplit_once('/').map_or("", |(folders, _)| folders);
        let fits = text.len() <= MAX_LEN && text.split('/').all(part) && !folders.split('/').any(is_version);
        if fits { Ok(Self(text)) } else { Err(InvalidPublicId) }
    }

    /// The public id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether a path segment reads as a version.
pub(crate) fn is_version(segment: &str) -> bool {
    let digits = |digits: &str| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    segment.strip_prefix('v').is_some_and(digits)
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
        for text in ["shirt", "products/shirt.new", "Käse/v12", "v/c_fill", "v1a/b", "上衣", &"a".repeat(255)] {
            assert_eq!(PublicId::new(text).unwrap().as_str(), text);
        }
        let long = "a".repeat(256);
        for text in [
            "", " a", "a ", "a b", "/a", "a/", "a//b", "a/../b", ".", "..", "a?b", "a&b", "a#b", "a\\b", "a%b", "a<b",
            "a>b", "a+b", "a,b", "a'b", "a\nb", "a\0b", "v12/a", "a/v1/b", &long,
        ] {
            assert_eq!(PublicId::new(text), Err(InvalidPublicId), "{text:?}");
            assert!(serde_json::from_value::<PublicId>(text.into()).is_err(), "{text:?}");
        }
    }
}
