//! SQL of pictures that are fetched from where a file says.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::platform::ids::{ImageId, ProductId};

/// A picture that waits to be fetched.
#[derive(Debug)]
pub struct WaitingImage {
    /// Which.
    pub id: ImageId,
    /// Whose.
    pub product_id: ProductId,
    /// Where it is.
    pub source_url: String,
    /// How often that was tried.
    pub tries: i32,
}

/// Takes pictures whose turn it is, which come to nobody else before `until`: whoever dies with them loses no more than
/// that time.
///
/// # Errors
/// The database's.
pub async fn claim_waiting_images(
    c: &mut PgConnection,
    now: DateTime<Utc>,
    until: DateTime<Utc>,
    limit: i64,
) -> sqlx::Result<Vec<WaitingImage>> {
    sqlx::query_as!(
        WaitingImage,
        r#"update product_images set fetch_after = $2
           where id in (select id from product_images
                        where fetch_status = 'waiting' and (fetch_after is null or fetch_after <= $1)
                        order by fetch_after nulls first, id limit $3 for update skip locked)
           returning id as "id: ImageId", product_id as "product_id: ProductId", source_url as "source_url!",
                     fetch_tries as tries"#,
        now,
        until,
        limit,
    )
    .fetch_all(c)
    .await
}

/// Shows a picture from where it is kept now, and the variants that showed it from where it came. False when it is gone
/// or has been kept already.
///
/// # Errors
/// The database's.
pub async fn image_kept(c: &mut PgConnection, image: &WaitingImage, url: &str) -> sqlx::Result<bool> {
    // Whoever changes a product's parts holds its row.
    sqlx::query!("select id from products where id = $1 for no key update", image.product_id.0)
        .fetch_optional(&mut *c)
        .await?;
    let kept = sqlx::query!(
        "update product_images set url = $2, fetch_status = 'kept', fetch_error = null
         where id = $1 and fetch_status = 'waiting' and source_url = $3",
        image.id.0,
        url,
        image.source_url,
    )
    .execute(&mut *c)
    .await?;
    if kept.rows_affected() == 0 {
        return Ok(false);
    }
    sqlx::query!(
        "update variants set image_url = $2 where product_id = $1 and image_url = $3",
        image.product_id.0,
        url,
        image.source_url,
    )
    .execute(c)
    .await?;
    Ok(true)
}

/// Notes that a picture could not be had: for good, or until `again`.
///
/// # Errors
/// The database's.
pub async fn image_not_kept(
    c: &mut PgConnection,
    image: &WaitingImage,
    why: &str,
    again: Option<DateTime<Utc>>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update product_images
         set fetch_tries = fetch_tries + 1, fetch_error = $2, fetch_after = $3,
             fetch_status = case when $3::timestamptz is null then 'failed' else fetch_status end
         where id = $1 and fetch_status = 'waiting'",
        image.id.0,
        why,
        again,
    )
    .execute(c)
    .await?;
    Ok(())
}
