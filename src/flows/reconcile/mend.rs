//! The last step of a run: what we did not hear of is taken in.

use chrono::{DateTime, Utc};
use futures::future::join_all;

use super::end::finish;
use super::steps::{AT_ONCE, counts};
use crate::app::App;
use crate::features::payments::{self, Payment, Refund, RefundStatus};
use crate::features::reconciliation::{self, Kind, Mendable, Run};
use crate::flows::refund::follow;
use crate::flows::settle::{self, Outcome};
use crate::flows::sweep_payments::is_silence;
use crate::platform::error::{Error, Result};

/// Takes in money and refunds that we did not hear of, by their one transition, some payments at a time; ends the run when there is no
/// more.
pub(super) async fn mend(app: &App, run: &Run) -> Result<bool> {
    let mendable = reconciliation::mendable(&mut *app.db.acquire().await?, run.id, AT_ONCE).await?;
    if mendable.is_empty() {
        finish(app, run).await?;
        return Ok(false);
    }
    let results = join_all(mendable.iter().map(|finding| mend_one(app, run, finding))).await;
    let mut failure = None;
    for (finding, result) in mendable.iter().zip(results) {
        match result {
            Ok(()) => {}
            Err(error) if is_silence(&error) || matches!(error, Error::Unavailable(_)) => failure = Some(error),
            // One that cannot be mended is the staff's, and keeps no other from it.
            Err(error) => {
                let cause = format!("{:#}", anyhow::Error::from(error));
                tracing::error!(finding = %finding.id, cause, "a finding could not be mended");
                reconciliation::end_mending(&mut *app.db.acquire().await?, finding.id, None, app.clock.now()).await?;
            }
        }
    }
    match failure {
        Some(error) => Err(error),
        None => Ok(reconciliation::note_progress(&mut *app.db.acquire().await?, run.id).await?),
    }
}

/// What came of mending a finding.
enum Mended {
    /// Both sides say the same now, in these words.
    Yes(String),
    /// They do not; it is the staff's.
    No,
    /// They did already: the lists were of different moments.
    Needless,
}

/// How refunds are mended.
const AS_THEY_SAY: &str = "The refunds are as the provider says.";

async fn mend_one(app: &App, run: &Run, finding: &Mendable) -> Result<()> {
    let mended = match finding.kind {
        Kind::RefundMismatch => mend_refunds(app, &finding.reference).await?,
        _ => mend_money(app, &finding.reference).await?,
    };
    let mut tx = app.db.begin().await?;
    let how = match mended {
        Mended::Yes(how) => Some(how),
        Mended::No => None,
        Mended::Needless => {
            if reconciliation::drop_hit(&mut tx, run.id, finding.id).await? {
                return tx.commit().await;
            }
            // An earlier run has met it, and it is none any more.
            Some(AS_THEY_SAY.to_owned())
        }
    };
    reconciliation::end_mending(&mut tx, finding.id, how.as_deref(), app.clock.now()).await?;
    tx.commit().await
}

async fn find(app: &App, reference: &str) -> Result<Option<Payment>> {
    let found = payments::find_by_reference(&mut *app.db.acquire().await?, reference).await?;
    Ok(found.filter(|payment| payment.reference == reference))
}

/// Takes in money, and what of it went back meanwhile.
async fn mend_money(app: &App, reference: &str) -> Result<Mended> {
    let outcome = settle::ask(app, reference).await?;
    let how = match outcome {
        Outcome::Paid => "The order is paid.".to_owned(),
        Outcome::Settled => "The money was taken in meanwhile.".to_owned(),
        Outcome::Flagged(reason) => format!("The money was taken in, and staff has to decide: {reason}."),
        // The provider says something else by now.
        Outcome::Failed | Outcome::Pending | Outcome::Left | Outcome::Ignored(_) => return Ok(Mended::No),
    };
    // What failed stays settled without money.
    let here = find(app, reference).await?.filter(|payment| payment.provider_transaction_id.is_some());
    let Some(payment) = here else { return Ok(Mended::No) };
    Box::pin(follow::compare(app, payment.id)).await?;
    Ok(Mended::Yes(how))
}

/// Takes in what the provider says of the refunds of a payment now. It is mended if both sides have the same then.
async fn mend_refunds(app: &App, reference: &str) -> Result<Mended> {
    let Some(payment) = find(app, reference).await? else { return Ok(Mended::No) };
    let asked_at = app.clock.now();
    let before = payments::refunds_of_payment(&mut *app.db.acquire().await?, payment.id).await?;
    let listed = Box::pin(follow::compare(app, payment.id)).await?;
    if agree(&listed, &before, asked_at) {
        return Ok(Mended::Needless);
    }
    let after = payments::refunds_of_payment(&mut *app.db.acquire().await?, payment.id).await?;
    Ok(if agree(&listed, &after, asked_at) { Mended::Yes(AS_THEY_SAY.to_owned()) } else { Mended::No })
}

/// Whether both sides have the same refunds, by the provider's numbers. What failed, or went by a dispute, does not count, nor do those
/// of ours that may have been sent after the list.
fn agree(listed: &[paystack::Refund], ours: &[Refund], asked_at: DateTime<Utc>) -> bool {
    let theirs: Vec<_> =
        listed.iter().filter(|said| counts(said)).map(|said| (i64::try_from(said.id).ok(), said.amount)).collect();
    let is_there = |refund: &&Refund| refund.status != RefundStatus::Failed && refund.dispute_number.is_none();
    let pair = |refund: &Refund| (refund.provider_refund_id, refund.amount_minor);
    let was_sent = |refund: &&Refund| {
        refund.provider_refund_id.is_some() && refund.sent_at.is_none_or(|sent_at| sent_at < asked_at)
    };
    theirs.iter().all(|said| ours.iter().filter(is_there).any(|refund| pair(refund) == *said))
        && ours.iter().filter(is_there).filter(was_sent).all(|refund| theirs.contains(&pair(refund)))
}
