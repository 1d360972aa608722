//! SQL of the version of taxes and shipping.

use sqlx::PgConnection;

/// How often taxes and shipping have changed.
pub(super) async fn version(c: &mut PgConnection) -> sqlx::Result<i64> {
    sqlx::query_scalar!("select version from rates_version").fetch_one(c).await
}

/// Lets all that this transaction reads be of one moment. Its first statement.
pub(super) async fn begin_snapshot(c: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!("set transaction isolation level repeatable read, read only").execute(c).await?;
    Ok(())
}
