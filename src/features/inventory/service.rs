//! What staff do to stock. Each is one transaction: the levels, their movements, the answer under its key, the audit entry.

use std::collections::{HashMap, HashSet};

use serde::Serialize;
use serde_json::{Map, Value, json};
use sqlx::PgConnection;
use utoipa::ToSchema;

use super::model::{Counts, Edit, Edited, EditedLevel, Refusal};
use super::store::{self, levels::Listed};
use crate::app::App;
use crate::features::audit;
use crate::features::auth::Identity;
use crate::platform::error::{Error, FieldError, Result};
use crate::platform::http::RequestMeta;
use crate::platform::http::keyed::{self, Begun, Keyed, Once};
use crate::platform::idempotency;
use crate::platform::ids::{ProductId, VariantId};

/// Which variant.
#[derive(Clone, Debug)]
pub(super) enum Which {
    Id(VariantId),
    Sku(String),
}

/// One of many edits, as it was sent.
#[derive(Debug)]
pub(super) struct Line {
    /// Its path in the request, such as `adjustments[3]`.
    pub place: String,
    pub which: Which,
    /// Of whichever variant; the id is put in once it is known.
    pub edit: Edit,
}

/// A request to do many edits.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub lines: Vec<Line>,
    /// What is wrong with other parts of the request already: then nothing is done, but all that is wrong is told.
    pub faults: Vec<FieldError>,
    /// Parts of the request that change nothing.
    pub unchanged: usize,
    /// Check everything, change nothing.
    pub dry_run: bool,
}

/// A level that was changed, or, in a dry run, would be.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ChangedLevel {
    variant_id: VariantId,
    sku: String,
    /// Units on hand before.
    on_hand_before: i32,
    /// Units on hand, reserved ones included.
    on_hand: i32,
    /// Units set aside for orders.
    reserved: i32,
    /// Units that can be sold.
    available: i32,
    /// For the next change.
    version: i32,
}

/// What many edits did.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct EditedData {
    /// Nothing was stored; this is what would be.
    dry_run: bool,
    /// How many levels are other ones now.
    changed: usize,
    /// How many were so already.
    unchanged: usize,
    /// Those that were changed.
    levels: Vec<ChangedLevel>,
}

/// Edits one level.
///
/// # Errors
/// `NotFound`; `Conflict` when the version is not the current one or the stock does not allow it; nothing is done then.
pub(super) async fn edit(app: &App, actor: &Identity, meta: &RequestMeta, edit: Edit) -> Result<Listed> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let edited = edit_and_note(app, &mut tx, actor, std::slice::from_ref(&edit)).await?;
    let [edited] = edited.as_slice() else { return Err(Error::internal(anyhow::anyhow!("one edit has one outcome"))) };
    if let Some(refusal) = edited.refusal {
        return Err(refused(edited, refusal));
    }
    let listed = store::levels::find(&mut tx, edit.variant_id).await?.ok_or(Error::NotFound("The variant"))?;
    let Some(level) = edited.level.as_ref().filter(|_| edited.is_changed()) else { return Ok(listed) };
    let entry = audit::Entry {
        actor: Some(actor),
        action: "inventory.update",
        entity: "inventory",
        entity_id: Some(edit.variant_id.to_string()),
        before: Some(json!(level.before)),
        after: Some(json!(level.after)),
    };
    audit::record(&mut tx, entry, meta, now).await?;
    tx.commit().await?;
    app.product_cache.forget(&[level.product_id]).await;
    Ok(listed)
}

fn refused(edited: &Edited, refusal: Refusal) -> Error {
    if refusal == Refusal::Unknown {
        return Error::NotFound("The variant");
    }
    let field = if refusal == Refusal::Stale { "version" } else { "quantity" };
    let details: Vec<_> = edited.fault(field).into_iter().collect();
    let message = match refusal {
        Refusal::Stale => "Somebody else has changed this level meanwhile. Look at it again, then repeat your change.",
        _ => "The stock does not allow this change. Nothing was changed.",
    };
    Error::Conflict { message: message.into(), details }
}

/// Edits the levels, and notes which are low. That somebody sets a threshold is no news to the staff; that stock falls is.
async fn edit_and_note(app: &App, tx: &mut PgConnection, actor: &Identity, edits: &[Edit]) -> Result<Vec<Edited>> {
    let now = app.clock.now();
    let edited = store::edit::edit_levels(tx, edits, Some(actor.user_id), now).await?;
    let changed = edited.iter().filter_map(|edited| edited.level.as_ref().map(|level| (edited.variant_id, level)));
    let mut looked: Vec<_> = changed
        .filter(|(_, level)| level.before != level.after)
        .map(|(id, level)| (id, level.before.on_hand != level.after.on_hand))
        .collect();
    looked.sort_unstable();
    if !looked.is_empty() {
        store::low::note(tx, &looked, app.config.inventory.low_stock, now).await?;
    }
    Ok(edited)
}

/// Does all edits of a batch, or none.
///
/// # Errors
/// `Validation` and `Conflict` with every fault.
pub(super) async fn edit_many(
    app: &App,
    actor: &Identity,
    meta: &RequestMeta,
    batch: Batch,
    key: Option<idempotency::Request>,
) -> Result<Keyed> {
    let key = key.filter(|_| !batch.dry_run);
    let mut tx = match keyed::begin(&app.db, key.as_ref(), app.clock.now()).await? {
        Begun::Given(answer) => return Ok(answer),
        Begun::Open(tx) => tx,
    };
    let dry_run = batch.dry_run;
    let done = edit_many_in(&mut tx, app, (actor, meta), batch).await;
    if dry_run {
        tx.undo().await?;
        return done.map(|(_, answer)| answer);
    }
    let (products, answer) = tx.end(done).await?;
    app.product_cache.forget(&products).await;
    Ok(answer)
}

async fn edit_many_in(
    tx: &mut Once<'_>,
    app: &App,
    (actor, meta): (&Identity, &RequestMeta),
    batch: Batch,
) -> Result<(Vec<ProductId>, Keyed)> {
    let now = app.clock.now();
    let Batch { lines, faults: mut invalid, unchanged, dry_run } = batch;
    let (places, edits) = resolve(tx, lines, &mut invalid).await?;
    let edited = edit_and_note(app, tx, actor, &edits).await?;
    let refused = edited.iter().zip(&places).filter_map(|(edited, place)| edited.fault(place.as_str()));
    if !invalid.is_empty() {
        invalid.extend(refused);
        return Err(Error::Validation(invalid));
    }
    let details: Vec<_> = refused.collect();
    if !details.is_empty() {
        let message = "Nothing was changed, because the stock does not allow all of these changes.".to_owned();
        return Err(Error::Conflict { message, details });
    }
    let changed: Vec<_> = edited
        .iter()
        .filter(|edited| edited.is_changed())
        .filter_map(|edited| edited.level.as_ref().map(|level| (edited.variant_id, level)))
        .collect();
    let data = EditedData {
        dry_run,
        changed: changed.len(),
        unchanged: unchanged + edited.len() - changed.len(),
        levels: changed.iter().map(|(id, level)| shown(*id, level)).collect(),
    };
    let answer = tx.answer(200, data).await?;
    if changed.is_empty() || dry_run {
        return Ok((Vec::new(), answer));
    }
    let by_sku = |counts: fn(&EditedLevel) -> Counts| {
        Value::Object(changed.iter().map(|(_, l)| (l.sku.clone(), json!(counts(l)))).collect::<Map<_, _>>())
    };
    let entry = audit::Entry {
        actor: Some(actor),
        action: "inventory.adjust",
        entity: "inventory",
        entity_id: None,
        before: Some(by_sku(|level| level.before)),
        after: Some(by_sku(|level| level.after)),
    };
    audit::record(tx, entry, meta, now).await?;
    let products: HashSet<_> = changed.iter().map(|(_, level)| level.product_id).collect();
    Ok((products.into_iter().collect(), answer))
}

/// Finds the variants, and leaves out what cannot be done whatever the stock is.
async fn resolve(
    tx: &mut PgConnection,
    lines: Vec<Line>,
    faults: &mut Vec<FieldError>,
) -> Result<(Vec<String>, Vec<Edit>)> {
    let skus: Vec<_> = lines
        .iter()
        .filter_map(|line| if let Which::Sku(sku) = &line.which { Some(sku.clone()) } else { None })
        .collect();
    let known = if skus.is_empty() { HashMap::new() } else { store::levels::variants_of_skus(tx, &skus).await? };
    let (mut places, mut edits, mut seen) = (Vec::new(), Vec::new(), HashMap::new());
    for Line { place, which, mut edit } in lines {
        edit.variant_id = match &which {
            Which::Id(id) => *id,
            Which::Sku(sku) => match known.get(sku) {
                Some(id) => *id,
                None => {
                    faults.push(FieldError::new(format!("{place}.sku"), "is the sku of no variant"));
                    continue;
                }
            },
        };
        if let Some(first) = seen.insert(edit.variant_id, place.clone()) {
            faults.push(FieldError::new(place, format!("is about the variant of {first}")));
            continue;
        }
        places.push(place);
        edits.push(edit);
    }
    Ok((places, edits))
}

fn shown(variant_id: VariantId, level: &EditedLevel) -> ChangedLevel {
    let Counts { on_hand, reserved, version, .. } = level.after;
    ChangedLevel {
        variant_id,
        sku: level.sku.clone(),
        on_hand_before: level.before.on_hand,
        on_hand,
        reserved,
        available: on_hand - reserved,
        version,
    }
}
