//! SQL of the watch over low stock.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::platform::ids::VariantId;

/// Levels that one step of a walk looks at.
const STEP: i64 = 5_000;

/// Compares these variants' levels with their thresholds: those that are low are noted, those that are not any more are
/// forgotten, and may be told of anew. `low_stock` is the shop's threshold. Of those newly low, mails tell where `tell` says so.
///
/// # Errors
/// The database's.
pub(in crate::features::inventory) async fn note(
    c: &mut PgConnection,
    variants: &[(VariantId, bool)],
    low_stock: i32,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    let ids: Vec<_> = variants.iter().map(|(id, _)| id.0).collect();
    let tell: Vec<_> = variants.iter().map(|(_, tell)| *tell).collect();
    // Each in the order of the ids, so that two who note the same do not wait in a circle.
    sqlx::query!(
        "with looked as (
           select s.variant_id, l.tell, s.on_hand - s.reserved <= coalesce(s.low_stock_threshold, $3) as is_low
           from unnest($1::uuid[], $2::bool[]) as l (variant_id, tell) join stock_levels s using (variant_id)),
         risen as (
           select l.variant_id from stock_low l join looked using (variant_id) where not is_low
           order by l.variant_id for update of l),
         forgotten as (delete from stock_low l using risen where l.variant_id = risen.variant_id)
         insert into stock_low (variant_id, since, untold)
         select variant_id, $4, tell from looked where is_low order by variant_id
         on conflict (variant_id) do nothing",
        &ids,
        &tell,
        low_stock,
        now,
    )
    .execute(c)
    .await?;
    Ok(())
}

/// A look at the ledger, in one process of the cluster at a time.
#[derive(Debug)]
pub struct Look {
    /// Movements up to this one have been looked at.
    looked_id: i64,
    /// The last one that there was at the beginning.
    last_id: i64,
    /// Whether all transactions that were open at the look before had ended at the beginning.
    is_settled: bool,
}

/// Begins a look; none while another process is at it. It lasts as long as the transaction.
///
/// # Errors
/// The database's.
pub async fn begin_look(c: &mut PgConnection) -> sqlx::Result<Option<Look>> {
    let row = sqlx::query!(
        r#"select settled_id, (select coalesce(max(id), 0) from stock_movements) as "last_id!",
                  first_open_txid() >= seen_before as "is_settled!"
           from stock_watch for update skip locked"#
    )
    .fetch_optional(c)
    .await?;
    Ok(row.map(|row| Look { looked_id: row.settled_id, last_id: row.last_id, is_settled: row.is_settled }))
}

impl Look {
    /// Whether all movements have been looked at.
    pub fn is_done(&self) -> bool {
        self.looked_id >= self.last_id
    }
}

/// Looks at the variants of the next `step` movements. A variant that has just begun low is no news.
///
/// # Errors
/// The database's.
pub async fn look_on(
    c: &mut PgConnection,
    look: &mut Look,
    step: i64,
    low_stock: i32,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    let until = look.last_id.min(look.looked_id.saturating_add(step));
    let rows = sqlx::query!(
        r#"select variant_id as "id: VariantId", bool_or(reason not in ('initial', 'import')) as "is_news!"
           from stock_movements where id > $1 and id <= $2 group by variant_id order by variant_id"#,
        look.looked_id,
        until,
    )
    .fetch_all(&mut *c)
    .await?;
    let moved: Vec<_> = rows.into_iter().map(|row| (row.id, row.is_news)).collect();
    look.looked_id = until;
    note(c, &moved, low_stock, now).await
}

/// Writes down how far the look came. What was seen at the look before is settled if all transactions that were open then
/// had ended when this one began: it has looked at their movements, which may have smaller numbers.
///
/// # Errors
/// The database's.
pub async fn end_look(c: &mut PgConnection, look: &Look) -> sqlx::Result<()> {
    sqlx::query!(
        "update stock_watch set settled_id = case when $2 then seen_id else settled_id end, seen_id = $1,
           seen_before = pg_snapshot_xmax(pg_current_snapshot())",
        look.last_id,
        look.is_settled,
    )
    .execute(c)
    .await?;
    Ok(())
}

/// Looks at all levels, step by step, for what no movement tells: another threshold in the settings, a variant that began
/// with nothing. Nobody gets a mail about it. Gives the last variant of the step, and nothing at the end.
///
/// # Errors
/// The database's.
pub async fn walk(
    c: &mut PgConnection,
    after: Option<VariantId>,
    low_stock: i32,
    now: DateTime<Utc>,
) -> sqlx::Result<Option<VariantId>> {
    let ids = sqlx::query_scalar!(
        r#"select variant_id as "id: VariantId" from stock_levels
           where variant_id > coalesce($1, '00000000-0000-0000-0000-000000000000'::uuid) order by variant_id limit $2"#,
        after.map(|id| id.0) as Option<Uuid>,
        STEP,
    )
    .fetch_all(&mut *c)
    .await?;
    let quiet: Vec<_> = ids.iter().map(|id| (*id, false)).collect();
    note(c, &quiet, low_stock, now).await?;
    Ok(ids.last().copied())
}

/// When all levels were last looked at.
///
/// # Errors
/// The database's.
pub async fn walked_at(c: &mut PgConnection) -> sqlx::Result<Option<DateTime<Utc>>> {
    sqlx::query_scalar!("select walked_at from stock_watch").fetch_one(c).await
}

/// Writes down that all levels have been looked at.
///
/// # Errors
/// The database's.
pub async fn end_walk(c: &mut PgConnection, now: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!("update stock_watch set walked_at = $1", now).execute(c).await?;
    Ok(())
}

/// A variant that has become low.
#[derive(Debug)]
pub struct LowVariant {
    /// The product's title.
    pub title: String,
    /// The variant's options, `[{"name": …, "value": …}]`.
    pub options: Value,
    /// Its sku.
    pub sku: String,
    /// Units that can be sold.
    pub available: i32,
    /// The threshold at or below which that is.
    pub threshold: i32,
}

/// What has become low and nobody was told of, the fewest first: of what shoppers can see, and still is. Nobody is told of
/// it again until it has risen.
///
/// # Errors
/// The database's.
pub async fn take_untold(c: &mut PgConnection, low_stock: i32) -> sqlx::Result<Vec<LowVariant>> {
    sqlx::query_as!(
        LowVariant,
        r#"with told as (update stock_low set untold = false where untold returning variant_id)
           select o.title as "title!", o.options as "options!", o.sku as "sku!", o.available as "available!",
                  coalesce(s.low_stock_threshold, $1) as "threshold!"
           from told join stock_levels s using (variant_id) join variant_offers o using (variant_id)
           where o.on_sale and o.available <= coalesce(s.low_stock_threshold, $1)
           order by o.available, o.sku"#,
        low_stock,
    )
    .fetch_all(c)
    .await
}
