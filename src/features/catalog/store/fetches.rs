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
        "update product_images set url = $2, fetch_status = 'kept', fetch_error = null, is_hidden = false
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

/// Notes that a picture could not be had: for good, or until `again`. With `hide`, its address is one that nobody may be led
/// to, so shoppers are not shown it any more.
///
/// # Errors
/// The database's.
pub async fn image_not_kept(
    c: &mut PgConnection,
    image: &WaitingImage,
    why: &str,
    again: Option<DateTime<Utc>>,
    hide: bool,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update product_images
         set fetch_tries = fetch_tries + 1, fetch_error = $2, fetch_after = $3,
             fetch_status = case when $3::timestamptz is null then 'failed' else fetch_status end,
             is_hidden = is_hidden or $4
         where id = $1 and fetch_status = 'waiting'",
        image.id.0,
        why,
        again,
        hide,
    )
    .execute(c)
    .await?;
    Ok(())
}

/// Has pictures that could not be had tried again from the start: one, or all of a product. Locks the product. Gives which.
///
/// # Errors
/// The database's.
pub async fn retry_failed_images(
    c: &mut PgConnection,
    product: ProductId,
    only: Option<ImageId>,
) -> sqlx::Result<Vec<ImageId>> {
    sqlx::query!("select id from products where id = $1 for no key update", product.0).fetch_optional(&mut *c).await?;
    sqlx::query_scalar!(
        r#"update product_images
           set fetch_status = 'waiting', fetch_tries = 0, fetch_after = null, fetch_error = null
           where product_id = $1 and fetch_status = 'failed' and ($2::uuid is null or id = $2)
           returning id as "id: ImageId""#,
        product.0,
        only.map(|id| id.0),
    )
    .fetch_all(c)
    .await
}

/// Whether there is such a product, and has this picture if one is named.
///
/// # Errors
/// The database's.
pub async fn has_image(c: &mut PgConnection, product: ProductId, image: Option<ImageId>) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select exists (select from products p where p.id = $1
             and ($2::uuid is null or exists (select from product_images i where i.product_id = p.id and i.id = $2)))
             as "known!""#,
        product.0,
        image.map(|id| id.0),
    )
    .fetch_one(c)
    .await
}

/// How many pictures of the whole catalogue wait to be fetched, and how many could not be had.
pub(in super::super) async fn count_unfetched(c: &mut PgConnection) -> sqlx::Result<(i64, i64)> {
    // One statement each, so that each has its small index.
    let row = sqlx::query!(
        r#"select (select count(*) from product_images where fetch_status = 'waiting') as "waiting!",
                  (select count(*) from product_images where fetch_status = 'failed') as "failed!""#
    )
    .fetch_one(c)
    .await?;
    Ok((row.waiting, row.failed))
}
