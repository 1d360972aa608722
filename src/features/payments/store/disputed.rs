//! SQL of refunds that are what disputes took.

use sqlx::PgConnection;

use crate::platform::ids::DisputeId;

/// What is written down of what the dispute with this number of the provider's took, in minor units.
///
/// # Errors
/// The database's.
pub async fn taken_by_dispute(c: &mut PgConnection, number: i64) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"select coalesce(sum(amount_minor), 0)::bigint as "sum!" from refunds
           where dispute_number = $1 and status <> 'failed'"#,
        number,
    )
    .fetch_one(c)
    .await
}

/// Notes which dispute refunds are of whose number was told before the dispute was.
///
/// # Errors
/// The database's.
pub async fn know_dispute(c: &mut PgConnection, number: i64, dispute: DisputeId) -> sqlx::Result<()> {
    sqlx::query!(
        "update refunds set dispute_id = $2 where dispute_number = $1 and dispute_id is null",
        number,
        dispute.0,
    )
    .execute(c)
    .await?;
    Ok(())
}
