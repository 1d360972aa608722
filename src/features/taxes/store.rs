//! SQL of taxes.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::model::Tax;
use crate::platform::ids::TaxId;
use crate::platform::place::Place;

struct Row {
    id: Uuid,
    name: String,
    country: String,
    region: Option<String>,
    rate_basis_points: i32,
    is_included: bool,
    on_shipping: bool,
    effective_from: DateTime<Utc>,
    effective_until: Option<DateTime<Utc>>,
    version: i32,
}

impl From<Row> for Tax {
    fn from(row: Row) -> Self {
        Self {
            id: TaxId(row.id),
            name: row.name,
            place: Place::stored(row.country, row.region),
            rate_basis_points: row.rate_basis_points.unsigned_abs(),
            is_included: row.is_included,
            on_shipping: row.on_shipping,
            effective_from: row.effective_from,
            effective_until: row.effective_until,
            version: row.version,
        }
    }
}

/// All components, past and future ones too, by place, name and time. The service keeps them few.
pub async fn all(c: &mut PgConnection) -> sqlx::Result<Vec<Tax>> {
    let rows = sqlx::query_as!(
        Row,
        "select id, name, country, region, rate_basis_points, is_included, on_shipping, effective_from, effective_until,
                version
         from taxes order by country, region nulls first, lower(name), effective_from, id",
    )
    .fetch_all(c)
    .await?;
    Ok(rows.into_iter().map(Tax::from).collect())
}

/// Waits until nobody else is changing taxes or shipping.
pub(super) async fn lock(c: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!("select lock_rates()").execute(c).await?;
    Ok(())
}

pub(super) async fn insert(c: &mut PgConnection, tax: &Tax) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into taxes (id, name, country, region, rate_basis_points, is_included, on_shipping, effective_from,
                            effective_until, version)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        tax.id.0,
        tax.name,
        tax.place.country(),
        tax.place.region(),
        tax.rate_basis_points.cast_signed(),
        tax.is_included,
        tax.on_shipping,
        tax.effective_from,
        tax.effective_until,
        tax.version,
    )
    .execute(c)
    .await?;
    Ok(())
}

/// Stores a component as it is, but for its place, which does not change.
pub(super) async fn update(c: &mut PgConnection, tax: &Tax) -> sqlx::Result<()> {
    sqlx::query!(
        "update taxes set name = $2, rate_basis_points = $3, is_included = $4, on_shipping = $5, effective_from = $6,
                          effective_until = $7, version = $8
         where id = $1",
        tax.id.0,
        tax.name,
        tax.rate_basis_points.cast_signed(),
        tax.is_included,
        tax.on_shipping,
        tax.effective_from,
        tax.effective_until,
        tax.version,
    )
    .execute(c)
    .await?;
    Ok(())
}

pub(super) async fn delete(c: &mut PgConnection, id: TaxId) -> sqlx::Result<()> {
    sqlx::query!("delete from taxes where id = $1", id.0).execute(c).await?;
    Ok(())
}
