//! The merchant's own id of one payment attempt.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

/// Longest reference this crate sends. Paystack documents no limit; 50 fits the
/// ids in use and every place they are shown.
const MAX_LEN: usize = 50;

/// A transaction reference that Paystack accepts: 1 to 50 characters out of
/// ASCII letters, digits, `-`, `.` and `=` (Paystack API reference, "Initialize
/// Transaction").
///
/// It is unique for ever per integration and mode, and there is no idempotency
/// key beside it: make one per payment attempt and store it before the call.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Reference(String);

/// The text is no [`Reference`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a Paystack reference has 1 to 50 letters, digits, '-', '.' or '='")]
pub struct InvalidReference;

impl Reference {
    /// Takes `text` as a reference.
    ///
    /// # Errors
    /// [`InvalidReference`] for another length or character, and for `.` and
    /// `..`, which a URL path cannot carry.
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidReference> {
        let text = text.into();
        let charset = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'=');
        let fits = (1..=MAX_LEN).contains(&text.len()) && text.bytes().all(charset);
        if fits && !is_dot_segment(&text) { Ok(Self(text)) } else { Err(InvalidReference) }
    }

    /// The reference as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether a URL parser would drop `text` as a path segment.
pub(crate) fn is_dot_segment(text: &str) -> bool {
    matches!(text, "." | "..")
}

impl FromStr for Reference {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
