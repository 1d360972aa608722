//! The daily clean-up: what is personal and no longer needed goes, after the days that the settings say.

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::erase;
use crate::app::App;
use crate::features::{audit, auth, notifications, orders};
use crate::platform::error::{Error, Result};
use crate::platform::http::RequestMeta;
use crate::platform::jobs::{Job, JobError};

/// Accounts that one statement looks for.
const BATCH: i64 = 500;

/// Runs once a day, in one process of the cluster.
#[derive(Debug, Serialize, Deserialize)]
pub struct Retention {}

#[async_trait]
impl Job<App> for Retention {
    const KIND: &'static str = "retention";

    async fn run(self, app: &App) -> Result<(), JobError> {
        // One that fails must not keep the others from their work.
        let results = [forget_accounts(app).await, forget_traces(app).await];
        results.into_iter().collect::<Result<()>>().map_err(JobError::from)
    }
}

/// The time before which something is no longer needed. None keeps it for ever.
fn before(now: DateTime<Utc>, days: i64) -> Option<DateTime<Utc>> {
    (days > 0).then(|| now - TimeDelta::days(days))
}

/// Removes sessions, links, mails, and where audit entries came from.
async fn forget_traces(app: &App) -> Result<()> {
    let (config, now) = (&app.config.privacy, app.clock.now());
    let mut tx = app.db.begin().await?;
    auth::sweep_tokens(&mut tx, now).await?;
    if let Some(before) = before(now, config.ended_session_days) {
        auth::sweep_sessions(&mut tx, before, now).await?;
    }
    if let Some(before) = before(now, config.mail_days) {
        notifications::sweep(&mut tx, before).await?;
    }
    if let Some(before) = before(now, config.audit_origin_days) {
        audit::forget_origins(&mut tx, before).await?;
    }
    tx.commit().await
}

/// Removes customers who never proved their address, and those who have not come for long. Whoever has bought something
/// stays, until he asks himself.
async fn forget_accounts(app: &App) -> Result<()> {
    let (config, now) = (&app.config.privacy, app.clock.now());
    let (unverified, unseen) = (before(now, config.unverified_account_days), before(now, config.inactive_account_days));
    let mut last = None;
    let mut failure = None;
    loop {
        let people = {
            let mut connection = app.db.acquire().await?;
            let people = auth::forgettable(&mut connection, unverified, unseen, last, BATCH).await?;
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
            match erase::erase(app, person.id, None, &RequestMeta::system()).await {
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
