//! Transactions that the database gave up in favour of others.

use super::error::{Error, Result};

/// So often a transaction is begun.
const TRIES: usize = 3;

/// Runs a transaction, and again when the database ended it because it and another one waited for each other. `run` has to begin the
/// transaction and may do nothing outside of it that must not happen twice.
///
/// # Errors
/// Those of the last try.
pub async fn on_deadlock<T, F: Future<Output = Result<T>>>(mut run: impl FnMut() -> F) -> Result<T> {
    for _ in 1..TRIES {
        match run().await {
            Err(error) if is_deadlock(&error) => {
                tracing::debug!("a transaction was given up in a deadlock and begins again")
            }
            done => return done,
        }
    }
    run().await
}

/// 40P01 deadlock_detected and 40001 serialization_failure.
fn is_deadlock(error: &Error) -> bool {
    let Error::Unavailable(cause) = error else { return false };
    let database = cause.downcast_ref::<sqlx::Error>().and_then(sqlx::Error::as_database_error);
    database.and_then(|error| error.code()).is_some_and(|code| matches!(code.as_ref(), "40P01" | "40001"))
}
