//! Keeping the addresses that are told of events, and what they are to be told.

use std::time::Duration;

use chrono::TimeDelta;
use serde_json::{Value, json};
use sqlx::PgConnection;
use url::Url;

use super::input::{CreateWebhook, UpdateWebhook, check_topics};
use super::store::deliveries::{self, NewDelivery};
use super::store::endpoints::{self as store, Endpoint, Terms};
use super::view::{SecretData, WebhookView};
use crate::app::App;
use crate::features::auth::Identity;
use crate::features::{audit, events};
use crate::platform::config::Config;
use crate::platform::crypto::random_token;
use crate::platform::error::{Error, FieldError, Result};
use crate::platform::fetch::{FetchError, Fetcher};
use crate::platform::http::RequestMeta;
use crate::platform::http::keyed::{self, Begun, Keyed};
use crate::platform::idempotency;
use crate::platform::ids::EndpointId;

/// Addresses of a shop: each costs a write an event.
const MAX: i64 = 20;

/// How long a secret counts after it was replaced.
const OVERLAP_HOURS: i64 = 24;

/// Events that one transaction makes deliveries of.
const STEP: i64 = 500;

/// Bytes that are kept of an answer.
const KEPT: usize = 1024;

/// What reaches the addresses, and no others.
pub fn fetcher(config: &Config) -> Fetcher {
    Fetcher {
        private_networks: config.webhooks.private_networks.clone(),
        max_bytes: KEPT,
        timeout: Duration::from_secs(config.webhooks.timeout_seconds),
    }
}

/// Refuses an address without TLS, outside of development. Gives why.
pub fn refuse_plain(config: &Config, url: &str) -> Option<&'static str> {
    let is_plain = Url::parse(url).is_ok_and(|url| url.scheme() != "https");
    (is_plain && config.is_production()).then_some("must be an https address")
}

pub(super) async fn list(app: &App) -> Result<Vec<WebhookView>> {
    let now = app.clock.now();
    let all = store::all(&mut *app.db.acquire().await?).await?;
    Ok(all.into_iter().map(|endpoint| WebhookView::new(endpoint, now)).collect())
}

pub(super) async fn get(app: &App, id: EndpointId) -> Result<WebhookView> {
    let endpoint = store::find(&mut *app.db.acquire().await?, id).await?.ok_or(Error::NotFound("The webhook"))?;
    Ok(WebhookView::new(endpoint, app.clock.now()))
}

/// The address, locked until the transaction ends.
///
/// # Errors
/// `NotFound`; `Conflict` when a version is given that is not the current one.
pub(super) async fn lock(c: &mut PgConnection, id: EndpointId, version: Option<i32>) -> Result<Endpoint> {
    let endpoint = store::lock(c, id).await?.ok_or(Error::NotFound("The webhook"))?;
    if version.is_some_and(|version| version != endpoint.version) {
        let message = "Somebody else has changed this webhook meanwhile. Load it again and repeat your change.";
        return Err(Error::conflict(message));
    }
    Ok(endpoint)
}

/// All that is wrong with the terms. An address is looked up only where it is new.
async fn check(app: &App, terms: &mut Terms, is_new_url: bool) -> Result<()> {
    let mut faults = Vec::new();
    check_topics(terms, &mut faults);
    if is_new_url {
        let plain = refuse_plain(&app.config, &terms.url).map(str::to_owned);
        let fault = match plain {
            Some(fault) => Some(fault),
            None => match fetcher(&app.config).check(&terms.url).await {
                Ok(()) => None,
                Err(FetchError::Refused(why) | FetchError::Forbidden(why) | FetchError::Failed(why)) => {
                    Some(format!("cannot be told of events: {why}"))
                }
            },
        };
        faults.extend(fault.map(|fault| FieldError::new("url", fault)));
    }
    if faults.is_empty() { Ok(()) } else { Err(Error::Validation(faults)) }
}

fn new_secret() -> Result<String> {
    Ok(format!("whsec_{}", random_token()?))
}

/// Adds an address. It is told of what happens from now on. The answer has its secret, so it is kept sealed under its key.
///
/// # Errors
/// `Validation`; `Conflict` when there are too many; what [`idempotency::claim`] refuses.
pub(super) async fn create(
    app: &App,
    actor: &Identity,
    meta: &RequestMeta,
    new: CreateWebhook,
    key: Option<idempotency::Request>,
) -> Result<Keyed> {
    let (id, now, secret) = (EndpointId::new(), app.clock.now(), new_secret()?);
    // Before the network is asked about an address that may be gone by now.
    if let Some(answer) = keyed::find(&mut *app.db.acquire().await?, key.as_ref(), now).await? {
        return answer.open(&app.vault, key.as_ref());
    }
    let mut terms = new.into_terms();
    check(app, &mut terms, true).await?;
    let sealed = app.vault.seal(id.0.as_bytes(), secret.as_bytes())?;
    let mut tx = match keyed::begin(&app.db, key.as_ref(), now).await? {
        Begun::Given(answer) => return answer.open(&app.vault, key.as_ref()),
        Begun::Open(tx) => tx,
    };
    let done = async {
        if store::lock_count(&mut tx).await? >= MAX {
            return Err(Error::conflict(format!(
                "A shop has at most {MAX} webhooks. Remove one that is not needed first."
            )));
        }
        let seen = events::head(&mut tx).await?;
        store::insert(&mut tx, id, &terms, &sealed, seen, now).await?;
        let webhook = WebhookView::new(lock(&mut tx, id, None).await?, now);
        let after = json!(webhook);
        let data = SecretData { webhook, secret };
        let answer = tx.answer_sealed(&app.vault, 201, data).await?;
        record(&mut tx, app, (actor, meta), ("webhook.create", id), (None, Some(after))).await?;
        Ok(answer)
    }
    .await;
    tx.end(done).await
}

/// Changes an address.
///
/// # Errors
/// `NotFound`; `Validation`; `Conflict` when the version is not the current one.
pub(super) async fn update(
    app: &App,
    actor: &Identity,
    meta: &RequestMeta,
    id: EndpointId,
    change: UpdateWebhook,
) -> Result<WebhookView> {
    let (version, now) = (change.version, app.clock.now());
    let found = store::find(&mut *app.db.acquire().await?, id).await?.ok_or(Error::NotFound("The webhook"))?;
    let old_url = found.url.clone();
    let old =
        Terms { url: found.url, description: found.description, topics: found.topics, is_active: found.is_active };
    let mut terms = change.apply(old);
    // The network is asked before the transaction; the version tells whether the terms are still those.
    let is_moved = terms.url != old_url;
    check(app, &mut terms, is_moved).await?;
    let mut tx = app.db.begin().await?;
    let before = json!(WebhookView::new(lock(&mut tx, id, Some(version)).await?, now));
    if found.version != version {
        return Err(Error::conflict(
            "Somebody else has changed this webhook meanwhile. Load it again and repeat your change.",
        ));
    }
    store::update(&mut tx, id, &terms, now).await?;
    let webhook = WebhookView::new(lock(&mut tx, id, None).await?, now);
    let (before, after) = audit::changed(&before, &json!(webhook));
    record(&mut tx, app, (actor, meta), ("webhook.update", id), (Some(before), Some(after))).await?;
    tx.commit().await?;
    Ok(webhook)
}

/// Gives an address another secret. The one that it has counts for a day more. The answer is kept sealed under its key.
///
/// # Errors
/// `NotFound`; what [`idempotency::claim`] refuses.
pub(super) async fn rotate(
    app: &App,
    actor: &Identity,
    meta: &RequestMeta,
    id: EndpointId,
    key: Option<idempotency::Request>,
) -> Result<Keyed> {
    let (now, secret) = (app.clock.now(), new_secret()?);
    let sealed = app.vault.seal(id.0.as_bytes(), secret.as_bytes())?;
    let until = now + TimeDelta::hours(OVERLAP_HOURS);
    let mut tx = match keyed::begin(&app.db, key.as_ref(), now).await? {
        Begun::Given(answer) => return answer.open(&app.vault, key.as_ref()),
        Begun::Open(tx) => tx,
    };
    let done = async {
        lock(&mut tx, id, None).await?;
        store::rotate(&mut tx, id, &sealed, until, now).await?;
        let data = SecretData { webhook: WebhookView::new(lock(&mut tx, id, None).await?, now), secret };
        let answer = tx.answer_sealed(&app.vault, 200, data).await?;
        let after = json!({"previousSecretUntil": until});
        record(&mut tx, app, (actor, meta), ("webhook.rotate_secret", id), (None, Some(after))).await?;
        Ok(answer)
    }
    .await;
    tx.end(done).await
}

/// Removes an address, with what was to be sent there.
///
/// # Errors
/// `NotFound`; `Conflict` when a version is given that is not the current one.
pub(super) async fn delete(
    app: &App,
    actor: &Identity,
    meta: &RequestMeta,
    (id, version): (EndpointId, Option<i32>),
) -> Result<()> {
    let mut tx = app.db.begin().await?;
    let before = json!(WebhookView::new(lock(&mut tx, id, version).await?, app.clock.now()));
    store::delete(&mut tx, id).await?;
    record(&mut tx, app, (actor, meta), ("webhook.delete", id), (Some(before), None)).await?;
    tx.commit().await
}

/// Removes secrets that have ended, and seals with the current key what is sealed with the previous one, so that that one can go.
///
/// # Errors
/// `Internal` when a secret cannot be opened with either.
pub async fn renew_seals(app: &App) -> Result<()> {
    let mut tx = app.db.begin().await?;
    for mut sealed in store::secrets(&mut tx, app.clock.now()).await? {
        let owner = *sealed.id.0.as_bytes();
        let renew = |secret: &[u8]| app.vault.seal(&owner, &app.vault.open(&owner, secret)?);
        let all = [Some(&sealed.secret), sealed.previous_secret.as_ref()];
        if all.into_iter().flatten().any(|secret| app.vault.is_outdated(&owner, secret)) {
            sealed.secret = renew(&sealed.secret)?;
            sealed.previous_secret = sealed.previous_secret.as_deref().map(renew).transpose()?;
            store::reseal(&mut tx, &sealed).await?;
        }
    }
    tx.commit().await
}

/// Makes deliveries of the events that the addresses have not seen. Each step is one transaction; of two who are at it, one does
/// an address's.
///
/// # Errors
/// The database's.
pub async fn collect(app: &App) -> Result<()> {
    let active = store::active(&mut *app.db.acquire().await?).await?;
    for id in active {
        while collect_some(app, id).await? {}
    }
    Ok(())
}

/// One step. Gives whether there may be more.
async fn collect_some(app: &App, id: EndpointId) -> Result<bool> {
    let mut tx = app.db.begin().await?;
    let Some((seen, topics)) = store::lock_seen(&mut tx, id).await? else { return Ok(false) };
    let feed = events::read(&mut tx, seen, None, STEP).await?;
    if feed.last == seen {
        return Ok(false);
    }
    let wanted = |topic: &str| topics.is_empty() || topics.iter().any(|known| known == topic);
    let mut new = Vec::new();
    for event in feed.events.into_iter().filter(|event| wanted(event.topic)) {
        new.push(NewDelivery {
            body: serde_json::to_string(&event).map_err(Error::internal)?,
            event_id: event.id,
            topic: event.topic.to_owned(),
            order_id: event.order_id,
        });
    }
    if !new.is_empty() {
        deliveries::insert(&mut tx, id, &new, false, app.clock.now()).await?;
    }
    store::set_seen(&mut tx, id, feed.last).await?;
    tx.commit().await?;
    Ok(feed.is_full)
}

/// Writes the entry of a deed, as the last write of its transaction.
pub(super) async fn record(
    tx: &mut PgConnection,
    app: &App,
    (actor, meta): (&Identity, &RequestMeta),
    (action, id): (&'static str, EndpointId),
    (before, after): (Option<Value>, Option<Value>),
) -> Result<()> {
    let entry =
        audit::Entry { actor: Some(actor), action, entity: "webhook", entity_id: Some(id.to_string()), before, after };
    audit::record(tx, entry, meta, app.clock.now()).await
}
