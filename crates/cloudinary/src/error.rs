//! What can go wrong in a call to Cloudinary.

use std::time::Duration;

/// The error of a Cloudinary call. None of its texts holds the API secret.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The client cannot be built from its configuration.
    #[error("the Cloudinary client cannot be built: {0}")]
    Configuration(String),

    /// The file is larger than one upload may be; nothing was sent.
    #[error("the file has {bytes} bytes, and an upload to Cloudinary may have {max}")]
    FileTooLarge {
        /// Size of the file, in bytes.
        bytes: usize,
        /// Largest size, in bytes.
        max: usize,
    },

    /// No complete answer came in time. The call may have been carried out.
    #[error("Cloudinary did not answer in time")]
    Timeout,

    /// No connection, or it broke. The call may have been carried out.
    #[error("Cloudinary could not be reached")]
    Network(#[source] reqwest::Error),

    /// HTTP 420 or 429: too many calls in the window.
    #[error("Cloudinary's rate limit is reached")]
    RateLimited {
        /// How long Cloudinary asks to wait, if it said so.
        retry_after: Option<Duration>,
    },

    /// Cloudinary understood the request and refused it.
    #[error("Cloudinary rejected the request (HTTP {http_status}): {message}")]
    Rejected {
        /// The HTTP status of the answer.
        http_status: u16,
        /// Cloudinary's text, for a log, not for a shopper. For a wrong signature
        /// it shows the text that was to be signed.
        message: String,
    },

    /// HTTP 5xx, or 423 for a picture that is still being worked on. The call may
    /// have been carried out.
    #[error("Cloudinary is unavailable (HTTP {http_status})")]
    Unavailable {
        /// The HTTP status of the answer.
        http_status: u16,
        /// How long the answer asks to wait, if it said so.
        retry_after: Option<Duration>,
    },

    /// The answer is not of the documented shape.
    #[error("Cloudinary's answer cannot be read: {0}")]
    Decode(String),
}

impl Error {
    /// Whether the same call may succeed later without any change.
    ///
    /// Repeating is safe: an upload names its `public_id`, so a repeat makes no
    /// second picture, and a picture that is gone is [`Destroyed::NotFound`](crate::Destroyed).
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Timeout | Self::Network(_) | Self::RateLimited { .. } | Self::Unavailable { .. } => true,
            Self::Configuration(_) | Self::FileTooLarge { .. } | Self::Rejected { .. } | Self::Decode(_) => false,
        }
    }

    /// How long Cloudinary asked to wait before the next call, if it did.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after } | Self::Unavailable { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}
