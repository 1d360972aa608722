//! The daily clean-up: what is personal and no longer needed goes, after the days that the settings say.

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::erase::{self, Idle};
use crate::app::App;
use crate::features::{
    audit, auth, catalog, inventory, invoices, merchant_webhooks, notifications, orders, payments, privacy, webhooks,
};
use crate::platform::error::{Error, Result};
use crate::platform::http::RequestMeta;
use crate::platform::jobs::{Job, JobError};

/// Accounts that one statement looks for.
const BATCH: i64 = 500;

/// Rows that one step removes.
const STEP: i64 = 5_000;

/// Runs once a day, in one process of the cluster.
#[derive(Debug, Serialize, Deserialize)]
pub struct Retention {}

#[async_trait]
impl Job<App> for Retention {
    const KIND: &'static str = "retention";

    async fn run(self, app: &App) -> Result<(), JobError> {
        // One that fails must not keep the others from their work; accounts may be many, so they come last.
        let seals = [merchant_webhooks::renew_seals(app).await, webhooks::renew_seals(app).await];
        let results = [
            seals.into_iter().collect(),
            forget_traces(app).await,
            invoices::forget_names(app).await,
            forget_accounts(app).await,
        ];
        results.into_iter().collect::<Result<()>>().map_err(JobError::from)
    }
}

/// The time before which something is no longer needed. None keeps it for ever.
fn before(now: DateTime<Utc>, days: i64) -> Option<DateTime<Utc>> {
    (days > 0).then(|| now - TimeDelta::days(days))
}

/// What the clean-up removes that was there before a time.
#[derive(Clone, Copy)]
enum Trace {
    RefreshTokens,
    Sessions,
    Mails,
    VisitorConsents,
    Origins,
    Imports,
    StockRequests,
    Webhooks,
    ProviderEvents,
    Payers,
}

/// Removes sessions, links, mails, visitors' consents, imports, requests to hear of stock, deliveries of events, bodies of the
/// provider's events, and where audit entries and payments came from: each kind in steps, so that no statement takes long.
async fn forget_traces(app: &App) -> Result<()> {
    let (config, now) = (&app.config.privacy, app.clock.now());
    auth::sweep_tokens(&mut *app.db.acquire().await?, now).await?;
    let traces = [
        (Trace::RefreshTokens, Some(now)),
        (Trace::Sessions, before(now, config.ended_session_days)),
        (Trace::Mails, before(now, config.mail_days)),
        (Trace::VisitorConsents, before(now, config.visitor_consent_days)),
        (Trace::Origins, before(now, config.audit_origin_days)),
        (Trace::Imports, Some(before(now, app.config.imports.keep_days).unwrap_or(DateTime::UNIX_EPOCH))),
        (Trace::StockRequests, before(now, app.config.inventory.request_days)),
        (Trace::Webhooks, before(now, app.config.webhooks.keep_days)),
        (Trace::ProviderEvents, before(now, app.config.payments.webhook_days)),
        (Trace::Payers, before(now, app.config.fraud.keep_days)),
    ];
    for (trace, before) in traces {
        let Some(before) = before else { continue };
        while forget_some(app, trace, before).await? >= STEP {}
    }
    Ok(())
}

/// One step. Gives how many rows it removed.
async fn forget_some(app: &App, trace: Trace, before: DateTime<Utc>) -> Result<i64> {
    let mut tx = app.db.begin().await?;
    let removed = match trace {
        Trace::RefreshTokens => auth::sweep_refresh_tokens(&mut tx, before, STEP).await?,
        Trace::Sessions => auth::sweep_sessions(&mut tx, before, STEP).await?,
        Trace::Mails => notifications::sweep(&mut tx, before, STEP).await?,
        Trace::VisitorConsents => privacy::sweep_visitors(&mut tx, before, STEP).await?,
        Trace::Origins => audit::forget_origins(&mut tx, before, STEP).await?,
        Trace::Imports => {
            // An upload that has not ended after a day never will.
            let abandoned = app.clock.now() - TimeDelta::days(1);
            catalog::sweep_imports(&mut tx, before, abandoned, STEP).await?
        }
        Trace::StockRequests => inventory::sweep_requests(&mut tx, before, STEP).await?,
        Trace::Webhooks => merchant_webhooks::sweep(&mut tx, before, STEP).await?,
        Trace::ProviderEvents => webhooks::empty_bodies(&mut tx, before, STEP).await?,
        Trace::Payers => payments::forget_payers(&mut tx, before, STEP).await?,
    };
    tx.commit().await?;
    i64::try_from(removed).map_err(Error::internal)
}

/// Removes customers who never proved their address, and those who have not come for long. Whoever has bought something
/// stays, until he asks himself.
async fn forget_accounts(app: &App) -> Result<()> {
    let (config, now) = (&app.config.privacy, app.clock.now());
    let idle = Idle {
        unverified_before: before(now, config.unverified_account_days),
        unseen_before: before(now, config.inactive_account_days),
    };
    let mut last = None;
    let mut failure = None;
    loop {
        let people = {
            let mut connection = app.db.acquire().await?;
            let people =
                auth::forgettable(&mut connection, idle.unverified_before, idle.unseen_before, last, BATCH).await?;
            let ids: Vec<_> = people.iter().map(|person| person.id).collect();
            let emails: Vec<_> = people.iter().map(|person| person.email.clone()).collect();
            let (buyers, guests) = orders::buyers(&mut connection, &ids, &emails).await?;
            last = ids.last().copied().or(last);
            if people.is_empty() {
                break;
            }
            people.into_iter().filter(move |person| !buyers.contains(&person.id) && !guests.contains(&person.email))
        };
        for person in people {
            match erase::erase(app, person.id, None, &RequestMeta::system(), Some(idle)).await {
                Ok(()) | Err(Error::NotFound(_)) => {}
                Err(error) => {
                    tracing::error!(user = %person.id, error = %error, "an account could not be forgotten");
                    failure = Some(error);
                }
            }
        }
    }
    failure.map_or(Ok(()), Err)
}
