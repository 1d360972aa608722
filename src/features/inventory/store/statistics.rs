//! SQL of sums over all stock.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

/// All levels together. Those of removed variants and products are left out.
#[derive(Debug, Default)]
pub(in crate::features::inventory) struct Sums {
    pub variants: i64,
    pub on_hand: i64,
    pub reserved: i64,
    /// Variants of which something is set aside.
    pub with_reserved: i64,
    /// At or below the threshold, those with nothing included.
    pub low: i64,
    pub out: i64,
    /// What is on hand at its prices, in minor units.
    pub values: Vec<(String, i64)>,
}

pub(in crate::features::inventory) async fn sums(c: &mut PgConnection, low_stock: i32) -> sqlx::Result<Sums> {
    // A shop cannot have more money than that; a sum that no number holds would be no answer at all.
    let rows = sqlx::query!(
        r#"select p.currency, count(*) as "variants!", sum(s.on_hand) as "on_hand!", sum(s.reserved) as "reserved!",
                  count(*) filter (where s.reserved > 0) as "with_reserved!",
                  count(*) filter (where s.on_hand - s.reserved <= coalesce(s.low_stock_threshold, $1)) as "low!",
                  count(*) filter (where s.on_hand - s.reserved <= 0) as "out!",
                  least(sum(s.on_hand * v.price_minor::numeric), 9000000000000000000)::bigint as "value!"
           from stock_levels s join variants v on v.id = s.variant_id join products p on p.id = v.product_id
           where v.archived_at is null and p.archived_at is null
           group by p.currency order by p.currency"#,
        low_stock,
    )
    .fetch_all(c)
    .await?;
    let mut sums = Sums::default();
    for row in rows {
        sums.variants += row.variants;
        sums.on_hand += row.on_hand;
        sums.reserved += row.reserved;
        sums.with_reserved += row.with_reserved;
        sums.low += row.low;
        sums.out += row.out;
        sums.values.push((row.currency, row.value));
    }
    Ok(sums)
}

/// The movements of one reason.
#[derive(Debug)]
pub(in crate::features::inventory) struct Moved {
    pub reason: String,
    pub movements: i64,
    pub on_hand: i64,
    pub reserved: i64,
}

pub(in crate::features::inventory) async fn moved(
    c: &mut PgConnection,
    from: DateTime<Utc>,
    until: DateTime<Utc>,
) -> sqlx::Result<Vec<Moved>> {
    sqlx::query_as!(
        Moved,
        r#"select reason, count(*) as "movements!", sum(on_hand_delta) as "on_hand!", sum(reserved_delta) as "reserved!"
           from stock_movements where at >= $1 and at < $2 group by reason order by reason"#,
        from,
        until,
    )
    .fetch_all(c)
    .await
}
