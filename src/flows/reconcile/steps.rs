//! The steps of a run. Each gives whether the run goes on: not, when it has ended or another worker is ahead.

use chrono::TimeDelta;
use futures::future::join_all;
use paystack::{Domain, ListTransactions, Transaction};

use super::end::{fail, finish};
use crate::app::App;
use crate::features::reconciliation::{
    self, Difference, Found, Item, Kind, Mendable, Run, Step, Theirs, Unlisted, compare,
};
use crate::flows::settle::{self, Outcome};
use crate::flows::sweep_payments::is_silence;
use crate::platform::error::{Error, Result};

/// Transactions on a page: as many as the provider gives.
const PER_PAGE: u32 = 100;

/// Pages that a run reads: two million transactions.
const MAX_PAGES: i32 = 20_000;

/// So often the list is read when each round brings something new.
const MAX_ROUNDS: i32 = 5;

/// Questions to the provider at the same time.
const AT_ONCE: i64 = 8;

/// Transactions that one transaction of ours compares.
const BATCH: i64 = 500;

fn unavailable(error: paystack::Error) -> Error {
    Error::External { service: "The payment provider", source: error.into() }
}

fn word(domain: &Domain) -> &str {
    match domain {
        Domain::Test => "test",
        Domain::Live => "live",
        Domain::Other(domain) => domain,
    }
}

fn item(transaction: &Transaction) -> Result<Item> {
    Ok(Item {
        transaction_id: i64::try_from(transaction.id).map_err(Error::internal)?,
        reference: transaction.reference.clone(),
        theirs: Theirs {
            status: transaction.status.as_str().to_owned(),
            domain: word(&transaction.domain).to_owned(),
            currency: transaction.currency.clone(),
            amount_minor: transaction.amount,
        },
        fees_minor: transaction.fees,
    })
}

/// Reads the next page. What moves to a later page while they are read is met twice and kept once. What moves to one that was read is
/// passed over; so a list of several pages is read again until a whole round brings nothing new.
pub(super) async fn read_page(app: &App, run: &Run) -> Result<bool> {
    let query = ListTransactions {
        page: u32::try_from(run.pages + 1).ok(),
        per_page: Some(PER_PAGE),
        from: Some(run.from_at),
        // The provider's end belongs to its list, and ours does not.
        to: Some(run.until_at - TimeDelta::milliseconds(1)),
        status: None,
    };
    let page = app.paystack.list(&query).await.map_err(unavailable)?;
    let items = page.items.iter().map(item).collect::<Result<Vec<_>>>()?;
    let page_count = page.page_count.and_then(|count| i32::try_from(count).ok());
    let is_last = match page_count {
        _ if items.is_empty() => true,
        Some(count) => run.pages + 1 >= count,
        None => items.len() < PER_PAGE as usize,
    };
    let mut tx = app.db.begin().await?;
    reconciliation::insert_items(&mut tx, run.id, &items).await?;
    if !reconciliation::note_page(&mut tx, run, page_count).await? {
        return Ok(false);
    }
    if is_last {
        let kept = reconciliation::count_items(&mut tx, run.id).await?;
        let has_grown = run.pages > 0 && kept > run.kept;
        if has_grown && run.round >= MAX_ROUNDS {
            drop(tx);
            return fail(app, run.id, "The provider's list changes each time that it is read. Start again later.")
                .await;
        }
        if has_grown {
            reconciliation::begin_again(&mut tx, run.id, kept).await?;
        } else {
            reconciliation::begin_step(&mut tx, run.id, Step::Read, Step::Search).await?;
        }
    } else if run.pages + 1 >= MAX_PAGES {
        drop(tx);
        return fail(app, run.id, "The provider's list is too long. Start again with a shorter time.").await;
    }
    tx.commit().await?;
    Ok(true)
}

/// Asks the provider about money of ours that its list does not have: it may only stand in the list of another time.
pub(super) async fn search(app: &App, run: &Run) -> Result<bool> {
    let time = (run.from_at, run.until_at);
    let unlisted = reconciliation::unlisted(&mut *app.db.acquire().await?, run.id, time, AT_ONCE).await?;
    if unlisted.is_empty() {
        let mut connection = app.db.acquire().await?;
        return Ok(reconciliation::begin_step(&mut connection, run.id, Step::Search, Step::Compare).await?);
    }
    let answers = join_all(unlisted.iter().map(|payment| app.paystack.verify(&payment.reference))).await;
    let mut failure = None;
    for (payment, answer) in unlisted.into_iter().zip(answers) {
        match answer {
            Ok(transaction) => {
                let items = [item(&transaction)?];
                reconciliation::insert_items(&mut *app.db.acquire().await?, run.id, &items).await?;
            }
            Err(paystack::Error::NotFound) => missing(app, run, payment).await?,
            Err(error) => failure = Some(unavailable(error)),
        }
    }
    match failure {
        Some(error) => Err(error),
        None => Ok(reconciliation::note_progress(&mut *app.db.acquire().await?, run.id).await?),
    }
}

async fn missing(app: &App, run: &Run, payment: Unlisted) -> Result<()> {
    let found = Found {
        difference: Difference { kind: Kind::MissingInPaystack, mendable: false },
        reference: &payment.reference,
        transaction_id: None,
        theirs: None,
        ours: Some(&(payment.id, payment.ours)),
    };
    Ok(reconciliation::note(&mut *app.db.acquire().await?, run.id, &found, app.clock.now()).await?)
}

pub(super) async fn compare_some(app: &App, run: &Run) -> Result<bool> {
    let now = app.clock.now();
    let domain = settle::expected_domain(app);
    let mut tx = app.db.begin().await?;
    let pairs = reconciliation::pairs(&mut tx, run.id, run.compared, BATCH).await?;
    for pair in &pairs {
        let ours = pair.ours.as_ref().map(|(_, ours)| ours);
        let Some(difference) = compare(&pair.item.theirs, ours, word(&domain)) else { continue };
        let found = Found {
            difference,
            reference: &pair.item.reference,
            transaction_id: Some(pair.item.transaction_id),
            theirs: Some(&pair.item.theirs),
            ours: pair.ours.as_ref(),
        };
        reconciliation::note(&mut tx, run.id, &found, now).await?;
    }
    let goes_on = match pairs.last() {
        Some(last) => reconciliation::note_compared(&mut tx, run, last.item.transaction_id).await?,
        None => reconciliation::begin_step(&mut tx, run.id, Step::Compare, Step::Mend).await?,
    };
    if goes_on {
        tx.commit().await?;
    }
    Ok(goes_on)
}

/// Takes in money that we did not hear of, by the one transition, some payments at a time; ends the run when there is no more.
pub(super) async fn mend(app: &App, run: &Run) -> Result<bool> {
    let mendable = reconciliation::mendable(&mut *app.db.acquire().await?, run.id, AT_ONCE).await?;
    if mendable.is_empty() {
        finish(app, run).await?;
        return Ok(false);
    }
    let results = join_all(mendable.iter().map(|finding| mend_one(app, finding))).await;
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

async fn mend_one(app: &App, finding: &Mendable) -> Result<()> {
    let how = match settle::ask(app, &finding.reference).await? {
        Outcome::Paid => Some("The order is paid.".to_owned()),
        Outcome::Settled => Some("The money was taken in meanwhile.".to_owned()),
        Outcome::Flagged(reason) => Some(format!("The money was taken in, and staff has to decide: {reason}.")),
        // The provider says something else by now.
        Outcome::Failed | Outcome::Pending | Outcome::Left | Outcome::Ignored(_) => None,
    };
    let mut connection = app.db.acquire().await?;
    Ok(reconciliation::end_mending(&mut connection, finding.id, how.as_deref(), app.clock.now()).await?)
}
