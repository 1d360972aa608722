//! Sends refunds to the provider, each once.
//!
//! The provider knows no idempotency for refunds. So one is claimed, noted as sent and committed before the call; whoever finds
//! one that was sent and has no answer looks for it at the provider before he sends it again.

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use paystack::CreateRefund;
use serde::{Deserialize, Serialize};

use super::follow;
use crate::app::App;
use crate::features::payments::{self, Refund, RefundNews, RefundStatus, merchant_note};
use crate::platform::error::{Error, Result, violated_constraint};
use crate::platform::ids::RefundId;
use crate::platform::jobs::{Job, JobError};

/// Whoever has claimed a refund for longer has died: longer than a job may take.
pub(super) const DEAD_AFTER: TimeDelta = TimeDelta::minutes(2);

/// How long a call that was not answered may still be carried out. Not finding it means nothing before.
const UNSURE: TimeDelta = TimeDelta::minutes(1);

/// Sends one refund.
#[derive(Debug, Serialize, Deserialize)]
pub struct SendRefund {
    /// Which.
    pub refund_id: RefundId,
}

impl SendRefund {
    /// Somebody waits for his money, so it is tried for hours; the clock begins anew after that.
    pub const TRIES: i16 = 20;
}

#[async_trait]
impl Job<App> for SendRefund {
    const KIND: &'static str = "send_refund";

    async fn run(self, app: &App) -> Result<(), JobError> {
        let now = app.clock.now();
        let mut connection = app.db.acquire().await?;
        let Some(refund) = payments::find_refund(&mut connection, self.refund_id).await? else {
            return Err(JobError::Fail(anyhow::anyhow!("there is no refund {}", self.refund_id)));
        };
        if refund.status != RefundStatus::Pending {
            return Ok(());
        }
        let dead = now - DEAD_AFTER;
        let claim = payments::claim_refund(&mut connection, refund.id, RefundStatus::Pending, dead, now).await?;
        drop(connection);
        match claim {
            Some(claim) => send(app, (&refund, now), claim.unanswered_since).await,
            None => Err(later("somebody else is at it")),
        }
    }
}

fn later(words: &'static str) -> JobError {
    JobError::Retry(anyhow::anyhow!(words))
}

/// A refund with the time at which it was claimed. Whoever works on it after its claim was taken over changes nothing.
type Claimed<'a> = (&'a Refund, DateTime<Utc>);

/// Sends a claimed refund.
async fn send(app: &App, claimed: Claimed<'_>, unanswered_since: Option<DateTime<Utc>>) -> Result<(), JobError> {
    let (refund, claimed_at) = claimed;
    if refund.provider_transaction_id.is_none() {
        let words = "The payment did not come through the provider. Give the money back by hand.";
        return Ok(refuse(app, refund.id, words).await?);
    }
    if let Some(since) = unanswered_since {
        let asked_at = app.clock.now();
        if let Err(error) = follow::compare(app, refund.payment_id).await {
            return let_go(app, claimed, error.into(), false).await;
        }
        if is_answered(app, refund.id).await? {
            return Ok(());
        }
        if asked_at - since < UNSURE {
            return let_go(app, claimed, anyhow::anyhow!("it was sent, and the provider may still take it"), false)
                .await;
        }
    }
    let begun = payments::begin_sending(&mut *app.db.acquire().await?, refund.id, claimed_at, app.clock.now()).await;
    match begun {
        Ok(true) => {}
        Ok(false) => return Ok(()),
        Err(error) if violated_constraint(&error) == Some("refunds_one_sent") => {
            let words = anyhow::anyhow!("another refund of this payment is on its way");
            return let_go(app, claimed, words, true).await;
        }
        Err(error) => return Err(error.into()),
    }
    let request = CreateRefund {
        transaction: refund.reference.clone(),
        amount: refund.amount_minor,
        currency: refund.currency.clone(),
        customer_note: None,
        merchant_note: Some(merchant_note(refund.id)),
    };
    match app.paystack.create_refund(&request).await {
        Ok(said) => Ok(follow::hear(app, refund.id, &said).await?),
        Err(error) => match fate(&error) {
            Fate::Unsent => let_go(app, claimed, error.into(), true).await,
            Fate::Unknown => let_go(app, claimed, error.into(), false).await,
            Fate::Refused(words) => settle_refusal(app, claimed, &words).await,
        },
    }
}

/// What has become of a call that was not answered well.
enum Fate {
    /// The provider has not taken it.
    Unsent,
    /// Nobody knows.
    Unknown,
    /// The provider does not do it, in its words.
    Refused(String),
}

fn fate(error: &paystack::Error) -> Fate {
    use paystack::Error::{CircuitOpen, Configuration, NotFound, RateLimited, Rejected};
    match error {
        // A key that is wrong is the shop's fault, and can be mended.
        CircuitOpen { .. } | RateLimited { .. } | Configuration(_) | Rejected { http_status: 401 | 403, .. } => {
            Fate::Unsent
        }
        // A proxy's words, not the provider's.
        Rejected { http_status: 408, .. } => Fate::Unknown,
        Rejected { code: None, message, .. } if message == "no message" => Fate::Unknown,
        Rejected { message, .. } => Fate::Refused(message.clone()),
        NotFound => Fate::Refused("the provider does not know the payment".into()),
        _ => Fate::Unknown,
    }
}

/// The provider says no. It may be because this very refund, or another one that the shop did not know of, has taken the money.
async fn settle_refusal(app: &App, claimed: Claimed<'_>, words: &str) -> Result<(), JobError> {
    let refund = claimed.0;
    if let Err(error) = follow::compare(app, refund.payment_id).await {
        return let_go(app, claimed, error.into(), false).await;
    }
    if !is_answered(app, refund.id).await? {
        refuse(app, refund.id, words).await?;
        // What it stood in the way of can be written down now.
        if let Err(error) = follow::compare(app, refund.payment_id).await {
            tracing::warn!(refund = %refund.id, error = %error, "the refunds of its payment are compared later");
        }
    }
    Ok(())
}

async fn is_answered(app: &App, id: RefundId) -> Result<bool> {
    let found = payments::find_refund(&mut *app.db.acquire().await?, id).await?;
    Ok(found.is_none_or(|refund| refund.status != RefundStatus::Pending))
}

/// It will not go this way.
async fn refuse(app: &App, id: RefundId, words: &str) -> Result<()> {
    let mut tx = app.db.begin().await?;
    let (order, refund) = super::lock(&mut tx, id).await?;
    let news = RefundNews { words: Some(words), ..RefundNews::default() };
    follow::turn(app, &mut tx, (&order, &refund), RefundStatus::Failed, &news).await?;
    tx.commit().await?;
    app.waker.wake();
    Ok(())
}

/// Leaves it to the next try.
async fn let_go(app: &App, claimed: Claimed<'_>, why: anyhow::Error, is_unsent: bool) -> Result<(), JobError> {
    let words = format!("{why:#}");
    let (refund, claimed_at) = claimed;
    payments::let_go(&mut *app.db.acquire().await?, refund.id, claimed_at, (&words, is_unsent)).await?;
    Err(JobError::Retry(why))
}

/// What the provider's fault is for whoever asked.
pub(super) fn unavailable(error: paystack::Error) -> Error {
    Error::External { service: "The payment provider", source: error.into() }
}
