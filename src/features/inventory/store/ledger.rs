//! SQL of the proof that the ledger is right.

use sqlx::PgConnection;

use crate::platform::ids::VariantId;

/// Levels that one statement compares, so that none takes long, however large the ledger is.
const STEP: i64 = 1_000;

/// So many differences are told.
const TOLD: usize = 1_000;

/// A level that differs from its ledger.
#[derive(Debug)]
pub struct Level {
    /// The variant.
    pub variant_id: VariantId,
    /// What the level says.
    pub on_hand: i32,
    /// What the movements add up to.
    pub on_hand_moved: i64,
    /// What the level says.
    pub reserved: i32,
    /// What the movements add up to.
    pub reserved_moved: i64,
    /// What live reservations add up to.
    pub held: i64,
}

/// The levels that differ from the sum of their movements or of their live reservations, the first thousand. Empty in a
/// sound shop. Orders may go on meanwhile: each level is compared as of one moment.
///
/// # Errors
/// The database's.
pub async fn ledger_faults(c: &mut PgConnection) -> sqlx::Result<Vec<Level>> {
    let (mut faults, mut last) = (Vec::new(), uuid::Uuid::nil());
    loop {
        let end = sqlx::query_scalar!(
            r#"select variant_id as "id!" from (
                 select variant_id from stock_levels where variant_id > $1 order by variant_id limit $2) step
               order by variant_id desc limit 1"#,
            last,
            STEP,
        )
        .fetch_optional(&mut *c)
        .await?;
        let Some(end) = end.filter(|_| faults.len() < TOLD) else { return Ok(faults) };
        // Each sum by the index of its variant: a join with the sums of all would read the whole ledger at each step.
        let step = sqlx::query_as!(
            Level,
            r#"select s.variant_id as "variant_id: VariantId", s.on_hand, s.reserved,
                      m.on_hand as "on_hand_moved!", m.reserved as "reserved_moved!", r.held as "held!"
               from stock_levels s
               cross join lateral (
                 select coalesce(sum(on_hand_delta), 0) as on_hand, coalesce(sum(reserved_delta), 0) as reserved
                 from stock_movements where variant_id = s.variant_id) m
               cross join lateral (
                 select coalesce(sum(quantity), 0) as held from reservations
                 where variant_id = s.variant_id and status = 'held') r
               where s.variant_id > $1 and s.variant_id <= $2
                 and (s.on_hand <> m.on_hand or s.reserved <> m.reserved or s.reserved <> r.held)
               order by s.variant_id"#,
            last,
            end,
        )
        .fetch_all(&mut *c)
        .await?;
        faults.extend(step);
        last = end;
    }
}

/// How many levels there are.
///
/// # Errors
/// The database's.
pub async fn count_levels(c: &mut PgConnection) -> sqlx::Result<i64> {
    sqlx::query_scalar!(r#"select count(*) as "n!" from stock_levels"#).fetch_one(c).await
}
