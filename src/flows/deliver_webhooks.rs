//! Tells addresses of events.
//!
//! A try is claimed before it is made, and noted after it: whoever dies between has told without a note, and the claim runs out, so
//! the same event is told again, under the same id. Nothing is told twice at the same time.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use chrono::TimeDelta;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::features::auth::{self, Permission};
use crate::features::merchant_webhooks::{self as webhooks, Attempt, Claimed, Noted, Retries};
use crate::features::notifications::{self, Mail, NewMail};
use crate::platform::db::Tx;
use crate::platform::error::{Error, Result};
use crate::platform::fetch::FetchError;
use crate::platform::jobs::{self, Job, JobError};

/// Deliveries of one address that are under way at the same time.
const OF_ONE: i64 = 4;

/// Deliveries that one process has under way.
const AT_ONCE: usize = 32;

/// Looks for new events and tells of them, in one process of the cluster at a time.
#[derive(Debug, Serialize, Deserialize)]
pub struct DeliverWebhooks {}

#[async_trait]
impl Job<App> for DeliverWebhooks {
    const KIND: &'static str = "deliver_webhooks";

    async fn run(self, app: &App) -> Result<(), JobError> {
        // This one counts too. Another that is at it finds what this one would.
        if jobs::waiting::<App, _>(&mut *app.db.acquire().await?, &self).await? > 1 {
            return Ok(());
        }
        deliver(app).await.map_err(JobError::from)
    }
}

/// Delivers what is due, until nothing is or the time of a job is almost over. Several may be at it.
///
/// # Errors
/// When the database does not answer. What an address does is noted with the delivery.
pub async fn deliver(app: &App) -> Result<()> {
    let config = &app.config.webhooks;
    // Whatever was begun before then ends in the time of a job, with its notes.
    let spare = app.config.jobs.timeout_seconds.saturating_sub(config.timeout_seconds);
    let until = Instant::now() + Duration::from_secs(spare.saturating_sub(5.min(spare / 2)));
    let mut under_way = FuturesUnordered::new();
    let mut failure = None;
    webhooks::collect(app).await?;
    loop {
        if Instant::now() < until && !app.is_stopping() {
            let room = i64::try_from(AT_ONCE.saturating_sub(under_way.len())).map_err(Error::internal)?;
            for claimed in claim(app, room).await? {
                under_way.push(attempt(app, claimed));
            }
        }
        match under_way.next().await {
            // One that cannot be noted must not keep the others from it.
            Some(Err(error)) => {
                tracing::error!(%error, "what came of a delivery could not be noted; it is made again");
                failure = Some(error);
            }
            Some(Ok(())) => {}
            None => return failure.map_or(Ok(()), Err),
        }
    }
}

async fn claim(app: &App, room: i64) -> Result<Vec<Claimed>> {
    let now = app.clock.now();
    // Longer than a try may take, with its notes.
    let seconds = i64::try_from(app.config.webhooks.timeout_seconds).map_err(Error::internal)?.saturating_add(20);
    let until = now + TimeDelta::try_seconds(seconds).unwrap_or(TimeDelta::MAX);
    Ok(webhooks::claim(&mut *app.db.acquire().await?, now, until, OF_ONE, room).await?)
}

/// Makes one try and notes what came of it.
async fn attempt(app: &App, claimed: Claimed) -> Result<()> {
    let begun = Instant::now();
    let answer = send(app, &claimed).await;
    let duration_ms = i32::try_from(begun.elapsed().as_millis()).unwrap_or(i32::MAX);
    let attempt = match answer {
        Ok(posted) => {
            // What the database cannot store is left out.
            let text: String =
                String::from_utf8_lossy(&posted.body).chars().filter(|c| *c != '\0').take(1024).collect();
            Attempt { status: Some(posted.status), response: Some(text), error: None, duration_ms }
        }
        Err(error) => Attempt { status: None, response: None, error: Some(error), duration_ms },
    };
    let result = if attempt.is_success() { "delivered" } else { "failed" };
    metrics::counter!("agape_webhook_tries_total", "result" => result).increment(1);
    let config = &app.config.webhooks;
    let retries = Retries {
        tries: config.tries,
        first: TimeDelta::seconds(config.retry_seconds),
        patience: TimeDelta::days(config.disable_days),
    };
    let mut tx = app.db.begin().await?;
    let jitter = rand::random_range(0..=100);
    let noted = webhooks::note(&mut tx, &claimed, &attempt, (retries, jitter), app.clock.now()).await?;
    if let Noted::Disabled(reason) = &noted {
        tracing::warn!(webhook = %claimed.endpoint_id, "a webhook is turned off");
        tell_staff(app, &mut tx, &claimed, reason).await?;
    }
    tx.commit().await?;
    app.waker.wake();
    Ok(())
}

/// Sends a delivery. The words of an error are for the staff.
async fn send(app: &App, claimed: &Claimed) -> Result<crate::platform::fetch::Posted, String> {
    if let Some(why) = webhooks::refuse_plain(&app.config, &claimed.url) {
        return Err(format!("it {why}"));
    }
    let owner = claimed.endpoint_id.0.as_bytes();
    let open = |sealed: &[u8]| {
        app.vault.open(owner, sealed).map_err(|error| {
            let cause = anyhow::Error::from(error);
            tracing::error!(webhook = %claimed.endpoint_id, error = format!("{cause:#}"), "a webhook cannot be signed");
            "its secret cannot be read; replace it".to_owned()
        })
    };
    let mut secrets = vec![open(&claimed.secret)?];
    if let Some(previous) = &claimed.previous_secret {
        secrets.push(open(previous)?);
    }
    let signature = webhooks::sign(secrets.iter().map(Vec::as_slice), app.clock.now().timestamp(), &claimed.body);
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    for (name, value) in
        [("agape-signature", &signature), ("agape-event-id", &claimed.event_id), ("agape-topic", &claimed.topic)]
    {
        let value = HeaderValue::from_str(value).map_err(|_| format!("the header {name} cannot be sent"))?;
        headers.insert(HeaderName::from_static(name), value);
    }
    let sent = webhooks::fetcher(&app.config).post(&claimed.url, headers, claimed.body.clone()).await;
    sent.map_err(|(FetchError::Refused(why) | FetchError::Forbidden(why) | FetchError::Failed(why))| why)
}

async fn tell_staff(app: &App, tx: &mut Tx, claimed: &Claimed, reason: &str) -> Result<()> {
    let mail = Mail::WebhookDisabled { url: claimed.url.clone(), reason: reason.to_owned() };
    for (user_id, recipient) in auth::staff_addresses(tx, Permission::ManageWebhooks).await? {
        // One mail each time: the delivery is not tried again before somebody has turned it on.
        let dedupe_key = format!("webhook_disabled/{}/{}/{recipient}", claimed.id, claimed.attempts);
        let mail = NewMail { dedupe_key, recipient, user_id, order_id: None, mail: mail.clone() };
        notifications::send(app, tx, mail).await?;
    }
    Ok(())
}
