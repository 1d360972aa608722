//! The one error type of the server. It knows nothing of HTTP; `platform::http` turns it into an answer.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use utoipa::ToSchema;

use super::rate_limit::Class;

/// When to try again what is busy, where nobody knows better.
const SOON: Duration = Duration::from_secs(5);

/// What went wrong with one field of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, serde::Deserialize, ToSchema)]
pub struct FieldError {
    /// The path of the field, for example `items[0].quantity`.
    pub field: String,
    /// What it must be.
    pub message: String,
}

impl FieldError {
    /// A failure of `field`.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}

/// Why a request could not be served. Every message is fit to be shown to the person who asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request is wrong; every failure is listed.
    #[error("{}", summary(.0))]
    Validation(Vec<FieldError>),
    /// Nobody is signed in, or the proof is not accepted.
    #[error("{0}")]
    Unauthenticated(String),
    /// Signed in, but not allowed.
    #[error("{0}")]
    Forbidden(String),
    /// It does not exist, or not for this caller.
    #[error("{0} was not found.")]
    NotFound(&'static str),
    /// The state of things forbids it. Details name the lines or fields concerned.
    #[error("{message}")]
    Conflict {
        /// What is in the way and what to do.
        message: String,
        /// The fields or lines concerned.
        details: Vec<FieldError>,
    },
    /// An Idempotency-Key came again with another request.
    #[error("This Idempotency-Key was used with a different request. Use a new key for a new request.")]
    IdempotencyMismatch,
    /// The payment cannot be made or is not accepted.
    #[error("{0}")]
    Payment(String),
    /// The body is larger than the limit.
    #[error("The request is larger than {limit} bytes.")]
    PayloadTooLarge {
        /// Bytes allowed.
        limit: usize,
    },
    /// The body is not in a format that this route reads.
    #[error("{0}")]
    UnsupportedMediaType(String),
    /// The route exists, the method does not.
    #[error("This address does not answer to {0} requests.")]
    MethodNotAllowed(String),
    /// Too much at once.
    #[error("Too many requests. Try again in {} seconds.", retry_after.as_secs())]
    RateLimited {
        /// Which limit.
        class: Class,
        /// Requests that it allows in a minute.
        limit: u32,
        /// When to try again, in whole seconds.
        retry_after: Duration,
    },
    /// A provider does not answer as it should.
    #[error("{service} is not available at the moment. Nothing was charged; try again in a minute.")]
    External {
        /// The provider's name.
        service: &'static str,
        /// What happened, for the log.
        #[source]
        source: anyhow::Error,
    },
    /// This server cannot do it now.
    #[error("The service is busy. Try again in a moment.")]
    Unavailable(#[source] anyhow::Error),
    /// A defect. The cause goes to the log, never into the answer.
    #[error(
        "Something went wrong on our side. Nothing was changed; try again, and tell us the request id if it stays."
    )]
    Internal(#[source] anyhow::Error),
}

/// The server's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A refusal that concerns one field.
    pub fn field(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Validation(vec![FieldError::new(field, message)])
    }

    /// A refusal because of the state of things.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::Conflict { message: message.into(), details: Vec::new() }
    }

    /// The caller's account was erased while he was signed in.
    pub fn gone() -> Self {
        Self::Unauthenticated("This account does not exist any more.".into())
    }

    /// The error of each of several who waited for the same thing.
    pub fn shared(error: &Arc<Self>) -> Self {
        match &**error {
            Self::Unavailable(_) => Self::Unavailable(Arc::clone(error).into()),
            _ => Self::internal(Arc::clone(error)),
        }
    }

    /// After how many whole seconds the same request may be served; none where waiting changes nothing. A provider that is not asked at
    /// the moment, or that wants fewer questions, is worth asking again only when its time is over.
    pub fn retry_seconds(&self) -> Option<u64> {
        let wait = match self {
            Self::External { source, .. } => {
                source.downcast_ref::<paystack::Error>().and_then(paystack::Error::retry_after).unwrap_or(SOON)
            }
            Self::Unavailable(_) => SOON,
            _ => return None,
        };
        Some((wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1))
    }

    /// A defect.
    pub fn internal(cause: impl Into<anyhow::Error>) -> Self {
        Self::Internal(cause.into())
    }
}

fn summary(fields: &[FieldError]) -> String {
    match fields {
        [] => "The request is not valid.".into(),
        [one] if one.field.is_empty() => format!("The request is not valid: {}.", one.message),
        [one] => format!("{}: {}.", one.field, one.message.trim_end_matches('.')),
        [first, rest @ ..] => {
            format!("{}: {} (and {} more).", first.field, first.message.trim_end_matches('.'), rest.len())
        }
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        // Whatever belongs to an account is refused by the database once the account is gone.
        let of_nobody = error.as_database_error().is_some_and(|database| {
            database.is_foreign_key_violation()
                && database.constraint().is_some_and(|name| name.ends_with("_user_id_fkey"))
        });
        if of_nobody {
            return Self::gone();
        }
        // 57014 query_canceled and 55P03 lock_not_available come from our own timeouts; 57P01 to 57P03 from a
        // server that restarts; 40001 and 40P01 from a conflict with another transaction.
        const TEMPORARY: [&str; 7] = ["57014", "55P03", "57P01", "57P02", "57P03", "40001", "40P01"];
        let temporary = match &error {
            sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::Io(_) | sqlx::Error::WorkerCrashed => {
                true
            }
            sqlx::Error::Database(database) => database.code().is_some_and(|code| TEMPORARY.contains(&code.as_ref())),
            _ => false,
        };
        if temporary { Self::Unavailable(error.into()) } else { Self::Internal(error.into()) }
    }
}

impl From<crate::platform::money::Overflow> for Error {
    fn from(_: crate::platform::money::Overflow) -> Self {
        Self::field("items", "the total is larger than this shop can sell in one order")
    }
}

/// The name of the constraint that a statement violated, if that is why it failed.
pub fn violated_constraint(error: &sqlx::Error) -> Option<&str> {
    error.as_database_error().and_then(|database| database.constraint())
}
