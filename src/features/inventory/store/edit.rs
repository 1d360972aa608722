//! SQL of what staff do to levels.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::features::inventory::model::{Change, Counts, Edit, Edited, EditedLevel, MAX_UNITS, Refusal};
use crate::platform::ids::{ProductId, UserId, VariantId};

/// Does all of these edits or, where one is refused, none, in one statement: the levels are locked in the order of their
/// ids, and each change of what is on hand comes with its movement. No variant may be there twice. Gives the outcome of
/// each edit, in their order. An edit that changes nothing leaves the version as it is.
///
/// The new level is made of the values that were locked, as in [`super::extend_reservations`].
///
/// # Errors
/// The database's.
pub async fn edit_levels(
    c: &mut PgConnection,
    edits: &[Edit],
    actor: Option<UserId>,
    now: DateTime<Utc>,
) -> sqlx::Result<Vec<Edited>> {
    let ids: Vec<_> = edits.iter().map(|edit| edit.variant_id.0).collect();
    let versions: Vec<_> = edits.iter().map(|edit| edit.version).collect();
    let change = |edit: &Edit| edit.movement.as_ref().map(|movement| movement.change);
    let sets: Vec<_> = edits.iter().map(|edit| change(edit).and_then(set_to)).collect();
    let differences: Vec<_> = edits.iter().map(|edit| change(edit).and_then(difference)).collect();
    let reasons: Vec<_> = edits.iter().map(|edit| edit.movement.as_ref().map(|m| m.reason.as_str())).collect();
    let notes: Vec<_> = edits.iter().map(|edit| edit.movement.as_ref().and_then(|m| m.note.as_deref())).collect();
    let with_threshold: Vec<_> = edits.iter().map(|edit| edit.threshold.is_some()).collect();
    let thresholds: Vec<_> = edits.iter().map(|edit| edit.threshold.flatten()).collect();
    let rows = sqlx::query!(
        r#"with want as (
             select * from unnest($1::uuid[], $2::int[], $3::int[], $4::int[], $5::text[], $6::text[], $7::bool[], $8::int[])
               with ordinality
               as w (variant_id, version, set_to, difference, reason, note, with_threshold, threshold, place)),
           locked as (
             select variant_id, on_hand, reserved, low_stock_threshold, version from stock_levels
             where variant_id = any($1) order by variant_id for update),
           next as (
             select w.variant_id, w.reason, w.note, w.place, l.on_hand, l.reserved, l.low_stock_threshold,
                    l.version as current, l.variant_id is null as unknown, w.version <> l.version as stale,
                    coalesce(w.set_to::bigint, l.on_hand::bigint + coalesce(w.difference, 0)) as next_on_hand,
                    case when w.with_threshold then w.threshold else l.low_stock_threshold end as next_threshold
             from want w left join locked l using (variant_id)),
           judged as (
             select *, next_on_hand <> on_hand or next_threshold is distinct from low_stock_threshold as differs,
                    case when unknown then 'unknown' when stale then 'stale' when next_on_hand < 0 then 'below_zero'
                         when next_on_hand < reserved then 'below_reserved'
                         when next_on_hand > $9::int and next_on_hand > on_hand then 'above_limit' end as refusal
             from next),
           done as (
             select * from judged where differs and not exists (select from judged where refusal is not null)),
           changed as (
             update stock_levels s
             set on_hand = d.next_on_hand::int, reserved = d.reserved, low_stock_threshold = d.next_threshold,
                 version = d.current + 1
             from done d where s.variant_id = d.variant_id),
           moved as (
             insert into stock_movements (variant_id, on_hand_delta, reserved_delta, reason, actor_id, note, at)
             select variant_id, next_on_hand::int - on_hand, 0, reason, $10, note, $11 from done
             where next_on_hand <> on_hand)
           select j.variant_id as "variant_id!: VariantId", j.refusal, v.product_id as "product_id?: ProductId",
                  v.sku as "sku?", j.on_hand as "on_hand?", j.reserved as "reserved?", j.low_stock_threshold,
                  j.current as "version?", d.place is not null as "done!", d.next_on_hand::int as next_on_hand,
                  d.next_threshold
           from judged j left join done d using (place) left join variants v on v.id = j.variant_id
           order by j.place"#,
        &ids,
        &versions as &[Option<i32>],
        &sets as &[Option<i32>],
        &differences as &[Option<i32>],
        &reasons as &[Option<&str>],
        &notes as &[Option<&str>],
        &with_threshold,
        &thresholds as &[Option<i32>],
        MAX_UNITS,
        actor.map(|actor| actor.0) as Option<Uuid>,
        now,
    )
    .fetch_all(c)
    .await?;
    let outcomes = rows.into_iter().map(|row| {
        let before = row.on_hand.zip(row.reserved).zip(row.version).map(|((on_hand, reserved), version)| Counts {
            on_hand,
            reserved,
            low_stock_threshold: row.low_stock_threshold,
            version,
        });
        let after = before.map(|before| match row.next_on_hand {
            Some(on_hand) if row.done => {
                Counts { on_hand, low_stock_threshold: row.next_threshold, version: before.version + 1, ..before }
            }
            _ => before,
        });
        let level = before.zip(after).zip(row.product_id).zip(row.sku);
        Edited {
            variant_id: row.variant_id,
            refusal: row.refusal.as_deref().map(refusal),
            level: level.map(|(((before, after), product_id), sku)| EditedLevel { product_id, sku, before, after }),
        }
    });
    Ok(outcomes.collect())
}

fn set_to(change: Change) -> Option<i32> {
    if let Change::Set(units) = change { Some(units) } else { None }
}

fn difference(change: Change) -> Option<i32> {
    if let Change::By(units) = change { Some(units) } else { None }
}

/// In the words of the statement above.
fn refusal(word: &str) -> Refusal {
    match word {
        "stale" => Refusal::Stale,
        "below_zero" => Refusal::BelowZero,
        "below_reserved" => Refusal::BelowReserved,
        "above_limit" => Refusal::AboveLimit,
        _ => Refusal::Unknown,
    }
}
