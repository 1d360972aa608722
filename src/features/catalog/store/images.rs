//! SQL of a product's pictures. Each change locks the product first, so that two at once do one after the other.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::platform::ids::{AssetId, ImageId, ProductId};

/// Locks a product and counts a change of it. Gives the version that it had; none when there is no such product.
pub(in super::super) async fn touch(
    c: &mut PgConnection,
    product: ProductId,
    now: DateTime<Utc>,
) -> sqlx::Result<Option<i32>> {
    sqlx::query_scalar!(
        r#"update products set version = version + 1, updated_at = $2 where id = $1 and archived_at is null
           returning version - 1 as "version!""#,
        product.0,
        now,
    )
    .fetch_optional(c)
    .await
}

#[derive(Debug)]
pub(in super::super) struct Picture<'a> {
    pub url: &'a str,
    pub alt: &'a str,
    pub kind: &'a str,
    pub asset: Option<AssetId>,
}

/// Adds a picture at the end, or before all others. There are ten places, which `product_images_ten` holds.
pub(in super::super) async fn add(
    c: &mut PgConnection,
    product: ProductId,
    picture: &Picture<'_>,
    is_first: bool,
) -> sqlx::Result<()> {
    if is_first {
        sqlx::query!("update product_images set position = position + 1 where product_id = $1", product.0)
            .execute(&mut *c)
            .await?;
    }
    sqlx::query!(
        "insert into product_images (id, product_id, url, alt, type, asset_id, position)
         values ($1, $2, $3, $4, $5, $6,
                 case when $7 then 0
                      else (select coalesce(max(position) + 1, 0) from product_images where product_id = $2) end)",
        ImageId::new().0,
        product.0,
        picture.url,
        picture.alt,
        picture.kind,
        picture.asset.map(|id| id.0),
        is_first,
    )
    .execute(c)
    .await?;
    Ok(())
}

/// Changes what is said of a picture; `None` leaves it. False when the product has no such picture.
pub(in super::super) async fn describe(
    c: &mut PgConnection,
    product: ProductId,
    image: ImageId,
    alt: Option<&str>,
    kind: Option<&str>,
) -> sqlx::Result<bool> {
    let changed = sqlx::query!(
        "update product_images set alt = coalesce($3, alt), type = coalesce($4, type) where id = $2 and product_id = $1",
        product.0,
        image.0,
        alt,
        kind,
    )
    .execute(c)
    .await?;
    Ok(changed.rows_affected() == 1)
}

/// Takes a picture off a product; those behind it move up. False when the product has no such picture.
pub(in super::super) async fn remove(c: &mut PgConnection, product: ProductId, image: ImageId) -> sqlx::Result<bool> {
    let place = sqlx::query_scalar!(
        "delete from product_images where id = $2 and product_id = $1 returning position",
        product.0,
        image.0,
    )
    .fetch_optional(&mut *c)
    .await?;
    let Some(place) = place else { return Ok(false) };
    sqlx::query!(
        "update product_images set position = position - 1 where product_id = $1 and position > $2",
        product.0,
        place,
    )
    .execute(c)
    .await?;
    Ok(true)
}

/// Puts pictures into this order. The ids must be those of all pictures of the product, each once.
pub(in super::super) async fn order(c: &mut PgConnection, product: ProductId, images: &[ImageId]) -> sqlx::Result<()> {
    let ids: Vec<_> = images.iter().map(|id| id.0).collect();
    sqlx::query!(
        "update product_images i set position = o.place - 1
         from unnest($2::uuid[]) with ordinality as o (id, place) where i.id = o.id and i.product_id = $1",
        product.0,
        &ids,
    )
    .execute(c)
    .await?;
    Ok(())
}
