//! The steps of a run. Each gives whether the run goes on: not, when it has ended or another worker is ahead.

use chrono::TimeDelta;
use futures::future::join_all;
use paystack::{Domain, ListRefunds, ListTransactions, Page, Transaction};
use sqlx::PgConnection;

use super::end::fail;
use crate::app::App;
use crate::features::reconciliation::{
    self, Difference, Found, Item, Kind, Older, Run, Step, TheirRefund, Theirs, Unlisted, compare,
};
use crate::flows::settle;
use crate::platform::error::{Error, Result};

/// Transactions on a page: as many as the provider gives.
const PER_PAGE: u32 = 100;

/// Pages that a run reads: two million transactions.
const MAX_PAGES: i32 = 20_000;

/// So often the list is read when each round brings something new.
const MAX_ROUNDS: i32 = 5;

/// Questions to the provider at the same time.
pub(super) const AT_ONCE: i64 = 8;

/// Clocks differ.
const SKEW: TimeDelta = TimeDelta::minutes(5);

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
            // Told by another list.
            refunded_minor: 0,
            has_unheard: false,
        },
        fees_minor: transaction.fees,
    })
}

/// Whether nothing follows a page of this number.
fn is_last<T>(page: &Page<T>, number: i32) -> bool {
    match page.page_count.and_then(|count| i32::try_from(count).ok()) {
        _ if page.items.is_empty() => true,
        Some(count) => number >= count,
        None => page.items.len() < PER_PAGE as usize,
    }
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
    let is_last = is_last(&page, run.pages + 1);
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

/// Asks the provider about money of ours that its list does not have: it may only stand in the list of another time. Once there is no
/// more, the list of refunds is read.
pub(super) async fn search(app: &App, run: &Run) -> Result<bool> {
    let time = (run.from_at, run.until_at);
    let unlisted = reconciliation::unlisted(&mut *app.db.acquire().await?, run.id, time, AT_ONCE).await?;
    if unlisted.is_empty() {
        return read_refunds(app, run).await;
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

/// Reads the next page of the refunds that were begun since the first transaction of the run: all refunds of its transactions are
/// among them. They end with the time at which the run was ordered, so that no page moves while they are read. What disputes took is
/// compared by its disputes. It is a part of the step before it, whose name servers of an older version know.
async fn read_refunds(app: &App, run: &Run) -> Result<bool> {
    let query = ListRefunds {
        transaction: None,
        from: Some(run.from_at),
        to: Some(run.created_at),
        page: u32::try_from(run.refund_pages + 1).ok(),
        per_page: Some(PER_PAGE),
    };
    let page = app.paystack.list_refunds(&query).await.map_err(unavailable)?;
    let refunds: Vec<_> = page.items.iter().filter(|said| counts(said)).filter_map(their_refund).collect();
    let mut tx = app.db.begin().await?;
    reconciliation::insert_refunds(&mut tx, run.id, &refunds).await?;
    let is_last = is_last(&page, run.refund_pages + 1);
    if !reconciliation::note_refund_page(&mut tx, run, is_last).await? {
        return Ok(false);
    }
    if is_last {
        reconciliation::begin_step(&mut tx, run.id, Step::Search, Step::Compare).await?;
    } else if run.refund_pages + 1 >= MAX_PAGES {
        drop(tx);
        return fail(app, run.id, "The provider's list of refunds is too long. Start again with a shorter time.").await;
    }
    tx.commit().await?;
    Ok(true)
}

/// Whether a refund of the provider's is money that goes back, and by no dispute.
pub(super) fn counts(said: &paystack::Refund) -> bool {
    said.status != paystack::RefundStatus::Failed && said.dispute.is_none()
}

fn their_refund(said: &paystack::Refund) -> Option<TheirRefund> {
    Some(TheirRefund {
        id: i64::try_from(said.id).ok()?,
        transaction_id: i64::try_from(said.transaction?).ok()?,
        amount_minor: said.amount,
    })
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
    // An older server may have begun to compare without that list. What was sent within five minutes of its ends may stand there or not,
    // as clocks differ.
    let listed = run.refunds_read.then(|| (run.from_at + SKEW, run.created_at - SKEW));
    let pairs = reconciliation::pairs(&mut tx, run.id, (run.compared, BATCH), listed).await?;
    for pair in &pairs {
        let ours = pair.ours.as_ref().map(|(_, ours)| ours);
        let Some(difference) = compare(&pair.item.theirs, ours, word(&domain)) else { continue };
        let of_refunds = difference.kind == Kind::RefundMismatch;
        let theirs = if of_refunds { pair.item.theirs.going_back() } else { pair.item.theirs.clone() };
        let ours = pair.ours.clone().map(|(id, ours)| (id, if of_refunds { ours.going_back() } else { ours }));
        let found = Found {
            difference,
            reference: &pair.item.reference,
            transaction_id: Some(pair.item.transaction_id),
            theirs: Some(&theirs),
            ours: ours.as_ref(),
        };
        reconciliation::note(&mut tx, run.id, &found, now).await?;
    }
    let goes_on = if let Some(last) = pairs.last() {
        reconciliation::note_compared(&mut tx, run, last.item.transaction_id).await?
    } else if run.refunds_read && note_older(app, &mut tx, run).await? {
        reconciliation::note_progress(&mut tx, run.id).await?
    } else {
        reconciliation::begin_step(&mut tx, run.id, Step::Compare, Step::Mend).await?
    };
    if goes_on {
        tx.commit().await?;
    }
    Ok(goes_on)
}

/// Notes some payments of another time of which refunds are listed that we did not hear of: the list is of all refunds of the time of a
/// run. Gives whether there were any.
async fn note_older(app: &App, tx: &mut PgConnection, run: &Run) -> Result<bool> {
    let (now, domain) = (app.clock.now(), settle::expected_domain(app));
    let older = reconciliation::older(tx, run.id, BATCH).await?;
    for payment in &older {
        let Older { id, reference, transaction_id, their_refunded_minor, ours } = payment;
        // Their list does not say how its transactions stand, but that they were taken.
        let theirs = Theirs {
            status: "success".to_owned(),
            domain: word(&domain).to_owned(),
            currency: ours.currency.clone(),
            amount_minor: *their_refunded_minor,
            refunded_minor: *their_refunded_minor,
            has_unheard: true,
        };
        let found = Found {
            difference: Difference { kind: Kind::RefundMismatch, mendable: true },
            reference,
            transaction_id: Some(*transaction_id),
            theirs: Some(&theirs),
            ours: Some(&(*id, ours.going_back())),
        };
        reconciliation::note(tx, run.id, &found, now).await?;
    }
    Ok(!older.is_empty())
}
