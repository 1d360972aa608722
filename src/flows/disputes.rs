//! What the provider tells of disputes, and the mails about their time.
//!
//! Its notices come late, twice and out of order. So each is taken in as far as it is news, which may be all that is ever heard, and
//! then the provider is asked how the dispute stands: an answer that was asked for after the last change is the truth.

use async_trait::async_trait;
use chrono::TimeDelta;
use futures::future::join_all;
use paystack::{DisputeStatus, Domain, ListDisputes};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;

use super::finance_mail;
use super::refund::dispute::{write_down, write_down_missing};
use super::refund::follow;
use super::settle::{self, Outcome, expected_domain};
use crate::app::App;
use crate::features::disputes::{self, Known, State, Status, Terms, threshold};
use crate::features::notifications::{DisputeTurn, Mail};
use crate::features::orders::{self, Actor};
use crate::features::payments::{self, Payment, Refund, RefundOrigin};
use crate::platform::db::Tx;
use crate::platform::error::{Error, Result};
use crate::platform::ids::DisputeId;
use crate::platform::jobs::{Job, JobError};

/// So often the provider is asked when something changes in the moment of its answer.
const ASKS: usize = 3;

/// Disputes that one run tells of, or asks about.
const BATCH: i64 = 100;

/// Questions to the provider at the same time.
const AT_ONCE: usize = 8;

/// Disputes on a page of the provider's list, and pages that are read.
const PER_PAGE: u32 = 100;
const MAX_PAGES: u32 = 10;

/// Takes in what the provider tells of a dispute.
///
/// # Errors
/// `External` when the provider does not answer. What it has told is stored by then, but for a dispute of money that is not known to
/// have come.
pub async fn hear(app: &App, told: &paystack::Dispute) -> Result<Outcome> {
    if i64::try_from(told.id).is_err() {
        tracing::error!("a dispute whose number no dispute has is not believed");
        return Ok(Outcome::Ignored("the dispute's number is out of range"));
    }
    // A shortened notice does not name its mode; then only the provider's answer counts.
    let is_shortened = matches!(&told.domain, Domain::Other(domain) if domain.is_empty());
    if !is_shortened {
        if told.domain != expected_domain(app) {
            return Ok(Outcome::Ignored("the dispute belongs to another mode (test or live)"));
        }
        ask_about_money(app, told).await?;
        take_in(app, told, None).await?;
    }
    refresh(app, number(told)?).await?;
    Ok(Outcome::Settled)
}

/// Asks the provider how a dispute stands.
///
/// # Errors
/// `External` when it does not answer.
pub(super) async fn refresh(app: &App, number: i64) -> Result<()> {
    let id = u64::try_from(number).map_err(Error::internal)?;
    for _ in 0..ASKS {
        let known = disputes::find_by_number(&mut *app.db.acquire().await?, number).await?;
        let truth = match app.paystack.fetch_dispute(id).await {
            Ok(truth) => truth,
            // Then its notice is all that there is.
            Err(paystack::Error::NotFound) => return Ok(()),
            Err(error) => return Err(unavailable(error)),
        };
        ask_about_money(app, &truth).await?;
        if take_in(app, &truth, known.map(|known| known.version)).await? {
            return Ok(());
        }
    }
    Err(Error::Unavailable(anyhow::anyhow!("dispute {number} changes while it is asked about")))
}

/// Only what has come is disputed. Where it is not known to be here, its notice was late or lost; what a lost dispute takes is written
/// down of money only that is here.
async fn ask_about_money(app: &App, told: &paystack::Dispute) -> Result<()> {
    let mut connection = app.db.acquire().await?;
    let Some(payment) = payment(&mut connection, told).await? else { return Ok(()) };
    if payment.provider_transaction_id.is_none() {
        drop(connection);
        settle::ask(app, &payment.reference).await?;
        return Ok(());
    }
    if !state(told).is_lost() {
        return Ok(());
    }
    // A refund that somebody else began may be this very money: only the provider's list says of which dispute it is.
    let refunds = payments::refunds_of_payment(&mut connection, payment.id).await?;
    drop(connection);
    let is_anybodys = |refund: &Refund| refund.origin == RefundOrigin::Provider && refund.dispute_number.is_none();
    if refunds.iter().any(is_anybodys) {
        Box::pin(follow::compare(app, payment.id)).await?;
    }
    Ok(())
}

fn number(dispute: &paystack::Dispute) -> Result<i64> {
    i64::try_from(dispute.id).map_err(Error::internal)
}

/// What the provider says, in the shop's words.
fn state(told: &paystack::Dispute) -> State {
    State {
        status: match &told.status {
            DisputeStatus::AwaitingMerchantFeedback => Status::AwaitingMerchant,
            DisputeStatus::AwaitingBankFeedback => Status::AwaitingBank,
            DisputeStatus::Pending => Status::Pending,
            DisputeStatus::Resolved => Status::Resolved,
            DisputeStatus::Archived => Status::Archived,
            DisputeStatus::Other(_) => Status::Other,
        },
        resolution: told.resolution.clone(),
        category: told.category.clone(),
        amount_minor: told.refund_amount.filter(|amount| *amount >= 0),
        currency: told.currency.clone(),
        due_at: told.due_at,
        changed_at: told.updated_at,
        resolved_at: told.resolved_at,
    }
}

/// Stores how a dispute stands. With the version that was there when the provider was asked it is the truth, and false says that the
/// dispute has changed since; without, it counts as far as it is newer than what is known.
async fn take_in(app: &App, told: &paystack::Dispute, asked_at: Option<i32>) -> Result<bool> {
    let (now, number, state) = (app.clock.now(), number(told)?, state(told));
    let mut tx = app.db.begin().await?;
    let mut paid_by = payment(&mut tx, told).await?;
    if let Some(found) = &paid_by {
        orders::lock(&mut tx, found.order_id).await?.ok_or(Error::NotFound("The order"))?;
        // Its money may have come while this waited.
        paid_by = payment(&mut tx, told).await?;
    }
    let payment = paid_by;
    let known = disputes::lock_by_number(&mut tx, number).await?;
    let at_stake = state.amount_minor.or(known.as_ref().and_then(|known| known.amount_minor));
    let at_stake = at_stake.or(payment.as_ref().map(Payment::at_stake_minor)).unwrap_or_default();
    let lost = if state.is_lost() { at_stake } else { 0 };
    let Some(known) = known else {
        let terms = Terms {
            number,
            payment: payment.as_ref().map(|payment| (payment.id, payment.order_id)),
            reference: told.transaction_reference.as_deref(),
            transaction_id: told.transaction_id.and_then(|id| i64::try_from(id).ok()),
            opened_at: told.created_at.unwrap_or(now),
        };
        // The first mail says when it is due; the next one comes at a later threshold.
        let hours = app.config.payments.dispute_hours.iter().map(|hours| hours.0);
        let told_hours = state.due_at.and_then(|due_at| threshold(due_at, now, hours));
        if !disputes::insert(&mut tx, &terms, &state, (lost, told_hours), now).await? {
            return Ok(false);
        }
        tell(app, &mut tx, (told, &state, payment.as_ref()), true).await?;
        take_back(app, &mut tx, number, payment.as_ref()).await?;
        commit(app, tx).await?;
        return Ok(true);
    };
    let is_news = match asked_at {
        Some(version) if version != known.version => return Ok(false),
        Some(_) => is_news(&state, &known),
        None => state.is_newer_than(known.status, known.changed_at),
    };
    if is_news && state.may_follow(known.status, known.resolution.as_deref()) {
        disputes::update(&mut tx, known.id, &state, lost, now).await?;
        if is_decided(&state) {
            tell(app, &mut tx, (told, &state, payment.as_ref()), false).await?;
            take_back(app, &mut tx, number, payment.as_ref()).await?;
        }
        commit(app, tx).await?;
    }
    Ok(true)
}

/// What was lost is a refund of the payment, in the transaction that says so.
async fn take_back(app: &App, tx: &mut Tx, number: i64, payment: Option<&Payment>) -> Result<()> {
    let Some(payment) = payment else { return Ok(()) };
    let Some(loss) = disputes::loss_by_number(tx, number).await? else { return Ok(()) };
    write_down(app, tx, (payment.order_id, payment.id), &loss).await
}

/// Whether the truth is another one than what is known.
fn is_news(state: &State, known: &Known) -> bool {
    state.status != known.status
        || state.changed_at != known.changed_at
        || state.due_at != known.due_at
        || state.resolution != known.resolution
}

/// Whether it is over and known how.
fn is_decided(state: &State) -> bool {
    state.status.is_over() && state.resolution.is_some()
}

async fn commit(app: &App, tx: Tx) -> Result<()> {
    tx.commit().await?;
    app.waker.wake();
    Ok(())
}

async fn payment(c: &mut PgConnection, told: &paystack::Dispute) -> Result<Option<Payment>> {
    let Some(reference) = told.transaction_reference.as_deref() else { return Ok(None) };
    let payment = payments::find_by_reference(c, reference).await?;
    Ok(payment.filter(|payment| payment.reference == reference))
}

/// Writes what has happened on the order's timeline, and to the staff.
async fn tell(
    app: &App,
    tx: &mut Tx,
    (told, state, payment): (&paystack::Dispute, &State, Option<&Payment>),
    is_new: bool,
) -> Result<()> {
    let now = app.clock.now();
    let is_over = is_decided(state);
    if let Some(payment) = payment {
        let events = [("dispute_created", is_new), ("dispute_resolved", is_over)];
        for (event, _) in events.into_iter().filter(|(_, happened)| *happened) {
            orders::record_event(tx, payment.order_id, event, (Actor::Provider, None), None, now).await?;
        }
    }
    if state.status.is_over() && !is_over {
        return Ok(());
    }
    let turn = match is_over {
        true if state.is_lost() => DisputeTurn::Lost,
        true => DisputeTurn::Won,
        false => DisputeTurn::Opened,
    };
    metrics::counter!("agape_disputes_total", "result" => match turn {
        DisputeTurn::Lost => "lost",
        DisputeTurn::Won => "won",
        DisputeTurn::Opened | DisputeTurn::Due => "opened",
    })
    .increment(1);
    let currency = state.currency.clone().or_else(|| payment.map(|payment| payment.currency.clone()));
    let mail = Mail::Dispute {
        number: told.id.to_string(),
        turn,
        order_number: payment.map(|payment| payment.order_number.clone()),
        reference: told.transaction_reference.clone(),
        category: state.category.clone(),
        amount_minor: state.amount_minor,
        currency: currency.unwrap_or_else(|| app.config.store.currency.clone()),
        due_at: state.due_at,
        resolution: state.resolution.clone(),
    };
    let key = format!("dispute/{}/{}", told.id, if is_over { "over" } else { "opened" });
    finance_mail::send(app, tx, &key, payment.map(|payment| payment.order_id), &mail).await
}

/// Asks the provider about once an hour which disputes wait for the shop, because a notice may be lost, and how those stand that are
/// open here. What lost ones took and nobody has written down is written down.
async fn look_around(app: &App) -> Result<()> {
    let now = app.clock.now();
    if !disputes::claim_look(&mut *app.db.acquire().await?, now, now - TimeDelta::hours(1)).await? {
        return Ok(());
    }
    for page in 1..=MAX_PAGES {
        let wanted = ListDisputes {
            page: Some(page),
            per_page: Some(PER_PAGE),
            status: Some(DisputeStatus::AwaitingMerchantFeedback),
            ..ListDisputes::default()
        };
        let listed = app.paystack.list_disputes(&wanted).await.map_err(unavailable)?.items;
        for told in listed.iter().filter(|told| told.domain == expected_domain(app)) {
            take_in(app, told, None).await?;
        }
        if listed.len() < PER_PAGE as usize {
            break;
        }
    }
    let open = disputes::open_numbers(&mut *app.db.acquire().await?, BATCH).await?;
    for some in open.chunks(AT_ONCE) {
        join_all(some.iter().map(|number| refresh(app, *number))).await.into_iter().collect::<Result<()>>()?;
    }
    // Last: there may be many of them.
    Box::pin(write_down_missing(app)).await
}

fn unavailable(error: paystack::Error) -> Error {
    Error::External { service: "The payment provider", source: error.into() }
}

/// Writes to the staff before disputes are due, and looks for those that nobody told of. Runs each minute, in one process of the cluster.
#[derive(Debug, Serialize, Deserialize)]
pub struct WatchDisputes {}

#[async_trait]
impl Job<App> for WatchDisputes {
    const KIND: &'static str = "watch_disputes";

    async fn run(self, app: &App) -> Result<(), JobError> {
        let now = app.clock.now();
        let hours: Vec<_> = app.config.payments.dispute_hours.iter().map(|hours| hours.0).collect();
        let due = disputes::due_within(&mut *app.db.acquire().await?, now, &hours, BATCH).await?;
        let mut failure = look_around(app).await.err();
        for id in due {
            // One that fails must not keep the others from their mails.
            if let Err(error) = remind(app, id).await {
                tracing::error!(dispute = %id, %error, "nobody was told that a dispute is due");
                failure = Some(error);
            }
        }
        Ok(failure.map_or(Ok(()), Err)?)
    }
}

/// Tells once of each threshold; the mail and that it was told are one transaction.
async fn remind(app: &App, id: DisputeId) -> Result<()> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let Some(dispute) = disputes::lock(&mut tx, id).await? else { return Ok(()) };
    let is_open = dispute.status == Status::AwaitingMerchant;
    let hours = app.config.payments.dispute_hours.iter().map(|hours| hours.0);
    let reached = dispute.due_at.filter(|_| is_open).and_then(|due_at| threshold(due_at, now, hours));
    let Some(hours) = reached.filter(|hours| dispute.told_hours.is_none_or(|told| *hours < told)) else {
        return Ok(());
    };
    disputes::note_told(&mut tx, id, hours).await?;
    let payment = match &dispute.reference {
        Some(reference) => payments::find_by_reference(&mut tx, reference).await?,
        None => None,
    };
    let due = dispute.due_at.unwrap_or(now);
    let mail = Mail::Dispute {
        number: dispute.provider_id.to_string(),
        turn: DisputeTurn::Due,
        order_number: payment.map(|payment| payment.order_number),
        reference: dispute.reference,
        category: dispute.category,
        amount_minor: dispute.amount_minor,
        currency: dispute.currency.unwrap_or_else(|| app.config.store.currency.clone()),
        due_at: dispute.due_at,
        resolution: None,
    };
    let key = format!("dispute/{}/{hours}/{}", dispute.provider_id, due.timestamp());
    finance_mail::send(app, &mut tx, &key, dispute.order_id, &mail).await?;
    commit(app, tx).await
}
