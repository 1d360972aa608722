//! The clock's part of refunds.

use chrono::TimeDelta;

use super::follow::hear;
use super::send::{SendRefund, unavailable};
use crate::app::App;
use crate::features::payments;
use crate::platform::error::{Error, Result};
use crate::platform::jobs;

/// The provider is asked about refunds of which nothing was heard for so long.
const SILENT: TimeDelta = TimeDelta::hours(1);

/// Pending refunds that have no job any more get one, and the provider is asked about those of which nothing
/// was heard for an hour. It ends with the first question that is not answered.
///
/// # Errors
/// The database's, and `External`.
pub(in crate::flows) async fn sweep(app: &App) -> Result<()> {
    let now = app.clock.now();
    let stranded = payments::stranded_refunds(&mut *app.db.acquire().await?, now - TimeDelta::minutes(5)).await?;
    for refund_id in stranded {
        let mut tx = app.db.begin().await?;
        let job = SendRefund { refund_id };
        if !jobs::is_waiting::<App, _>(&mut tx, &job).await? {
            tracing::warn!(refund = %refund_id, "a refund had no job any more; it gets a new one");
            jobs::enqueue::<App, _>(&mut tx, &job, SendRefund::TRIES).await?;
        }
        tx.commit().await?;
    }
    app.waker.wake();
    let silent = payments::unanswered_refunds(&mut *app.db.acquire().await?, now - SILENT).await?;
    for (id, number) in silent {
        let said = app.paystack.fetch_refund(u64::try_from(number).map_err(Error::internal)?).await;
        match said {
            Ok(said) => hear(app, id, &said).await?,
            Err(error) if error.is_transient() => return Err(unavailable(error)),
            Err(error) => {
                tracing::error!(refund = %id, error = %error, "the provider does not tell of a refund");
                payments::note_look(&mut *app.db.acquire().await?, id, now).await?;
            }
        }
    }
    Ok(())
}
