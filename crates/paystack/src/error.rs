//! What can go wrong in a call to Paystack.

use std::time::Duration;

/// The error of a Paystack call. None of its texts holds the secret key.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The client cannot be built from its configuration.
    #[error("the Paystack client cannot be built: {0}")]
    Configuration(String),

    /// No complete answer came in time. The call may have been carried out: ask
    /// for what it would have made before anything else.
    #[error("Paystack did not answer in time")]
    Timeout,

    /// No connection, or it broke. The call may have been carried out.
    #[error("Paystack could not be reached")]
    Network(#[source] reqwest::Error),

    /// Nothing was sent: Paystack did not answer the calls before this one, and the
    /// pause after them is not over.
    #[error("Paystack did not answer lately; the next call goes out in {} ms", retry_after.as_millis())]
    CircuitOpen {
        /// How long until a call is sent again.
        retry_after: Duration,
    },

    /// HTTP 429: too many calls in the window (Paystack API reference, "Rate limits").
    #[error("Paystack's rate limit is reached")]
    RateLimited {
        /// How long Paystack asks to wait, if it said so.
        retry_after: Option<Duration>,
    },

    /// Paystack knows nothing of this reference or id, in the key's mode.
    #[error("Paystack does not know what was asked for")]
    NotFound,

    /// Paystack understood the request and refused it: 4xx, or `status: false`.
    #[error("Paystack rejected the request (HTTP {http_status}): {message}")]
    Rejected {
        /// The HTTP status of the answer.
        http_status: u16,
        /// Paystack's machine-readable code, absent in its older errors.
        code: Option<String>,
        /// Paystack's text, for a log, not for a shopper.
        message: String,
    },

    /// HTTP 5xx. The call may have been carried out.
    #[error("Paystack is unavailable (HTTP {http_status})")]
    Unavailable {
        /// The HTTP status of the answer.
        http_status: u16,
        /// How long the answer asks to wait, if it said so.
        retry_after: Option<Duration>,
    },

    /// The answer, or a webhook body, is not of the documented shape.
    #[error("Paystack's data cannot be read: {0}")]
    Decode(String),
}

impl Error {
    /// Whether the same call may succeed later without any change.
    ///
    /// It does not say that repeating is safe: what was to be changed may be.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Timeout
            | Self::Network(_)
            | Self::CircuitOpen { .. }
            | Self::RateLimited { .. }
            | Self::Unavailable { .. } => true,
            Self::Configuration(_) | Self::NotFound | Self::Rejected { .. } | Self::Decode(_) => false,
        }
    }

    /// Whether `initialize` was refused because its reference is already used.
    #[must_use]
    pub fn is_duplicate_reference(&self) -> bool {
        match self {
            Self::Rejected { code, message, .. } => {
                code.as_deref() == Some("duplicate_reference")
                    || message.to_ascii_lowercase().contains("duplicate transaction reference")
            }
            _ => false,
        }
    }

    /// How long to wait before the next call, if that is known.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::CircuitOpen { retry_after } => Some(*retry_after),
            Self::RateLimited { retry_after } | Self::Unavailable { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}
