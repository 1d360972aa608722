//! What staff do with reconciliations and their findings.

use bytes::Bytes;
use futures::Stream;
use serde_json::{Value, json};
use sqlx::PgConnection;

use super::store::findings::{self, Filter, FindingStatus, Listed, Sum};
use super::store::runs;
use super::view::{CountView, FindingView, ReconciliationView};
use crate::app::App;
use crate::features::audit;
use crate::features::auth::Identity;
use crate::platform::csv::{protect, table};
use crate::platform::error::{Error, Result};
use crate::platform::http::RequestMeta;
use crate::platform::ids::{FindingId, ReconciliationId};
use crate::platform::money::Amount;
use crate::platform::page::{Page, Pagination, Part};

/// Findings that are written to a file at once.
const BATCH: i64 = 500;

/// The headings of a report.
const HEADINGS: [&str; 14] = [
    "Kind",
    "Reference",
    "Transaction",
    "Payment",
    "Their status",
    "Their amount",
    "Their currency",
    "Our status",
    "Our amount",
    "Our currency",
    "Status",
    "Note",
    "Found at",
    "Closed at",
];

/// Runs, the newest first.
///
/// # Errors
/// `Validation` of a page that only a cursor leads to.
pub(super) async fn list(app: &App, part: Part) -> Result<(Vec<ReconciliationView>, Pagination)> {
    let mut connection = app.db.acquire().await?;
    let total = if part.behind.is_none() { Some(runs::total(&mut connection).await?) } else { None };
    part.check_depth(total)?;
    let (rows, next) = runs::list(&mut connection, part).await?;
    let ids: Vec<_> = rows.iter().map(|run| run.id.0).collect();
    let mut sums = findings::sums_of(&mut connection, &ids).await?;
    let views = rows.into_iter().map(|run| {
        let id = run.id;
        let own = sums.extract_if(.., |(of, _)| *of == id).map(|(_, sum)| sum).collect();
        ReconciliationView::new(run, own, None)
    });
    Ok((views.collect(), part.pagination(total, next)))
}

/// A run with its sums and what it has found.
///
/// # Errors
/// `NotFound`.
pub async fn view(c: &mut PgConnection, id: ReconciliationId) -> Result<ReconciliationView> {
    let run = runs::find(c, id).await?.ok_or(Error::NotFound("The reconciliation"))?;
    let sums = totals(c, id).await?;
    let counts = findings::summary(c, id).await?.into_iter();
    let counts = counts.map(|(kind, count, open)| CountView { kind, count, open }).collect();
    Ok(ReconciliationView::new(run, sums, Some(counts)))
}

/// The sums of a run, by currency.
///
/// # Errors
/// The database's.
pub async fn totals(c: &mut PgConnection, id: ReconciliationId) -> Result<Vec<Sum>> {
    Ok(findings::sums_of(c, &[id.0]).await?.into_iter().map(|(_, sum)| sum).collect())
}

/// Findings, the newest first.
///
/// # Errors
/// `Validation` of a page that only a cursor leads to.
pub(super) async fn list_findings(app: &App, filter: Filter, part: Part) -> Result<(Vec<FindingView>, Pagination)> {
    let mut connection = app.db.acquire().await?;
    let total = if part.behind.is_none() { Some(findings::total(&mut connection, filter).await?) } else { None };
    part.check_depth(total)?;
    let (rows, next) = findings::list(&mut connection, filter, part).await?;
    Ok((rows.into_iter().map(FindingView::from).collect(), part.pagination(total, next)))
}

/// Closes a finding with what came of it.
///
/// # Errors
/// `NotFound`; `Conflict` when it is closed already.
pub(super) async fn resolve(
    app: &App,
    actor: &Identity,
    meta: &RequestMeta,
    id: FindingId,
    note: &str,
) -> Result<FindingView> {
    const MISSING: Error = Error::NotFound("The finding");
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let before = findings::lock(&mut tx, id).await?.ok_or(MISSING)?;
    if before.status != FindingStatus::Open {
        return Err(Error::conflict("This finding is closed already. It opens again by itself if something changes."));
    }
    findings::resolve(&mut tx, id, actor.user_id, note, now).await?;
    let after = findings::lock(&mut tx, id).await?.ok_or(MISSING)?;
    let entry = audit::Entry {
        actor: Some(actor),
        action: "reconciliation_finding.resolve",
        entity: "reconciliation_finding",
        entity_id: Some(id.to_string()),
        before: Some(json!({"status": before.status})),
        after: Some(json!({"status": after.status, "kind": after.kind, "reference": after.reference})),
    };
    audit::record(&mut tx, entry, meta, now).await?;
    tx.commit().await?;
    Ok(after.into())
}

/// Writes the entry of who began a run, as the last write of its transaction.
///
/// # Errors
/// The database's.
pub async fn record_start(
    c: &mut PgConnection,
    app: &App,
    (actor, meta): (&Identity, &RequestMeta),
    id: ReconciliationId,
    after: Value,
) -> Result<()> {
    record(c, app, (actor, meta), "reconciliation.start", (id, Some(after))).await
}

async fn record(
    c: &mut PgConnection,
    app: &App,
    (actor, meta): (&Identity, &RequestMeta),
    action: &'static str,
    (id, after): (ReconciliationId, Option<Value>),
) -> Result<()> {
    let entity_id = Some(id.to_string());
    let entry = audit::Entry { actor: Some(actor), action, entity: "reconciliation", entity_id, before: None, after };
    audit::record(c, entry, meta, app.clock.now()).await
}

/// Puts on record that somebody takes a report away.
///
/// # Errors
/// `NotFound`.
pub(super) async fn record_report(app: &App, actor: &Identity, meta: &RequestMeta, id: ReconciliationId) -> Result<()> {
    let mut tx = app.db.begin().await?;
    runs::find(&mut tx, id).await?.ok_or(Error::NotFound("The reconciliation"))?;
    record(&mut tx, app, (actor, meta), "reconciliation.export", (id, None)).await?;
    tx.commit().await
}

/// The findings of a run as CSV, piece by piece.
pub(super) fn report(app: App, run: ReconciliationId) -> impl Stream<Item = Result<Bytes>> + Send + 'static {
    let filter = Filter { run: Some(run), ..Filter::default() };
    // What comes next: the beginning, what is behind a finding, or nothing.
    futures::stream::try_unfold((app, Some(None)), move |(app, next)| async move {
        let Some(behind) = next else { return Ok(None) };
        let part = Part { page: Page { number: 1, limit: BATCH }, behind };
        let mut connection = app.db.acquire().await?;
        let (rows, next) = findings::list(&mut connection, filter, part).await?;
        drop(connection);
        let headings = behind.is_none().then_some(HEADINGS);
        let csv = table(headings, rows.iter().map(cells)).map_err(Error::internal)?;
        Ok(Some((Bytes::from(csv), (app, next.map(Some)))))
    })
}

fn cells(found: &Listed) -> [String; HEADINGS.len()] {
    let text = |text: &Option<String>| protect(text.as_deref().unwrap_or_default());
    let amount = |minor: Option<i64>| minor.map(|minor| Amount(minor).to_string()).unwrap_or_default();
    let status = match found.status {
        FindingStatus::Open => "open",
        FindingStatus::Mended => "mended",
        FindingStatus::Resolved => "resolved",
    };
    [
        found.kind.as_str().to_owned(),
        protect(&found.reference),
        found.transaction_id.map(|id| id.to_string()).unwrap_or_default(),
        found.payment_id.map(|id| id.to_string()).unwrap_or_default(),
        text(&found.their_status),
        amount(found.their_amount_minor),
        text(&found.their_currency),
        text(&found.our_status),
        amount(found.our_amount_minor),
        text(&found.our_currency),
        status.to_owned(),
        text(&found.note),
        found.found_at.to_rfc3339(),
        found.closed_at.map(|at| at.to_rfc3339()).unwrap_or_default(),
    ]
}
