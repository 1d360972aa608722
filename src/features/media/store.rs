//! SQL of pictures and of files that are not one yet, or not any more.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;

use super::model::{Asset, Place, Provider};
use crate::platform::ids::{AssetId, UserId};

/// Why a file is in `media_loose`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "lowercase")]
pub(super) enum Purpose {
    Writing,
    Upload,
}

/// A file that belongs to no picture.
#[derive(Debug)]
pub(super) struct Loose {
    pub id: AssetId,
    pub provider: Provider,
    pub key: String,
}

/// Makes a file known before it is written. At `remove_at` it counts as left behind.
pub(super) async fn announce(
    c: &mut PgConnection,
    loose: &Loose,
    purpose: Purpose,
    remove_at: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into media_loose (id, provider, key, purpose, remove_at) values ($1, $2, $3, $4, $5)",
        loose.id.0,
        loose.provider as Provider,
        loose.key,
        purpose as Purpose,
        remove_at,
    )
    .execute(c)
    .await?;
    Ok(())
}

/// Takes a written file out of the loose ones. False when the clean-up has it already.
pub(super) async fn take(c: &mut PgConnection, id: AssetId, purpose: Purpose) -> sqlx::Result<bool> {
    let taken = sqlx::query!("delete from media_loose where id = $1 and purpose = $2", id.0, purpose as Purpose)
        .execute(c)
        .await?;
    Ok(taken.rows_affected() == 1)
}

/// An upload that waits for its confirmation.
pub(super) async fn find_upload(c: &mut PgConnection, id: AssetId, now: DateTime<Utc>) -> sqlx::Result<Option<Loose>> {
    sqlx::query_as!(
        Loose,
        r#"select id as "id: AssetId", provider as "provider: Provider", key from media_loose
           where id = $1 and purpose = 'upload' and remove_at > $2"#,
        id.0,
        now,
    )
    .fetch_optional(c)
    .await
}

/// Ends an upload. What was sent is removed when nobody can send it again. False when somebody else has ended it.
pub(super) async fn close_upload(c: &mut PgConnection, id: AssetId) -> sqlx::Result<bool> {
    let closed = sqlx::query!("update media_loose set purpose = 'removal' where id = $1 and purpose = 'upload'", id.0)
        .execute(c)
        .await?;
    Ok(closed.rows_affected() == 1)
}

/// Gives files up: they are to be removed now.
pub(super) async fn discard(c: &mut PgConnection, ids: &[AssetId], now: DateTime<Utc>) -> sqlx::Result<()> {
    let ids: Vec<_> = ids.iter().map(|id| id.0).collect();
    sqlx::query!("update media_loose set purpose = 'removal', remove_at = $2 where id = any($1)", &ids, now)
        .execute(c)
        .await?;
    Ok(())
}

/// Takes files that are due, or the one that is named and was given up, for a caller who removes them now. They are due
/// again in an hour, if they are still there.
pub(super) async fn claim_removals(
    c: &mut PgConnection,
    only: Option<AssetId>,
    now: DateTime<Utc>,
    limit: i64,
) -> sqlx::Result<Vec<Loose>> {
    sqlx::query_as!(
        Loose,
        r#"update media_loose set purpose = 'removal', remove_at = $3
           where id in (select id from media_loose
                        where id = $1 and purpose = 'removal' or $1::uuid is null and remove_at <= $2
                        order by remove_at limit $4 for update skip locked)
           returning id as "id: AssetId", provider as "provider: Provider", key"#,
        only.map(|id| id.0),
        now,
        now + TimeDelta::hours(1),
        limit,
    )
    .fetch_all(c)
    .await
}

/// Forgets a file that is gone.
pub(super) async fn forget(c: &mut PgConnection, id: AssetId) -> sqlx::Result<()> {
    sqlx::query!("delete from media_loose where id = $1 and purpose = 'removal'", id.0).execute(c).await?;
    Ok(())
}

pub(super) async fn insert(c: &mut PgConnection, asset: &Asset) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into media_assets
           (id, provider, key, version, url, content_type, bytes, width, height, sha256, alt, created_by, created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
        asset.id.0,
        asset.place.provider as Provider,
        asset.place.key,
        asset.place.version,
        asset.url,
        asset.content_type,
        asset.bytes,
        asset.width,
        asset.height,
        asset.sha256,
        asset.alt,
        asset.created_by.map(|id| id.0),
        asset.created_at,
    )
    .execute(c)
    .await?;
    Ok(())
}

/// A row of a list.
#[derive(Debug)]
struct Row {
    id: AssetId,
    provider: Provider,
    key: String,
    version: Option<i64>,
    url: String,
    content_type: String,
    bytes: i64,
    width: i32,
    height: i32,
    sha256: Vec<u8>,
    alt: String,
    created_by: Option<UserId>,
    created_at: DateTime<Utc>,
    is_attached: bool,
}

impl Row {
    fn split(self) -> (Asset, bool) {
        let asset = Asset {
            id: self.id,
            place: Place { provider: self.provider, key: self.key, version: self.version },
            url: self.url,
            content_type: self.content_type,
            bytes: self.bytes,
            width: self.width,
            height: self.height,
            sha256: self.sha256,
            alt: self.alt,
            created_by: self.created_by,
            created_at: self.created_at,
        };
        (asset, self.is_attached)
    }
}

/// A picture, and whether a product shows it.
pub(super) async fn find(c: &mut PgConnection, id: AssetId) -> sqlx::Result<Option<(Asset, bool)>> {
    let row = sqlx::query_as!(
        Row,
        r#"select a.id as "id: AssetId", a.provider as "provider: Provider", a.key, a.version, a.url, a.content_type,
                  a.bytes, a.width, a.height, a.sha256, a.alt, a.created_by as "created_by: UserId", a.created_at,
                  exists (select from product_images i where i.asset_id = a.id) as "is_attached!"
           from media_assets a where a.id = $1"#,
        id.0,
    )
    .fetch_optional(c)
    .await?;
    Ok(row.map(Row::split))
}

/// A page of the pictures, the newest first, each with whether a product shows it; and how many there are.
pub(super) async fn list(
    c: &mut PgConnection,
    attached: Option<bool>,
    limit: i64,
    offset: i64,
) -> sqlx::Result<(Vec<(Asset, bool)>, i64)> {
    let rows = sqlx::query_as!(
        Row,
        r#"select a.id as "id: AssetId", a.provider as "provider: Provider", a.key, a.version, a.url, a.content_type,
                  a.bytes, a.width, a.height, a.sha256, a.alt, a.created_by as "created_by: UserId", a.created_at,
                  exists (select from product_images i where i.asset_id = a.id) as "is_attached!"
           from media_assets a
           where $1::boolean is null or exists (select from product_images i where i.asset_id = a.id) = $1
           order by a.id desc limit $2 offset $3"#,
        attached,
        limit,
        offset,
    )
    .fetch_all(&mut *c)
    .await?;
    let total = sqlx::query_scalar!(
        r#"select count(*) as "count!" from media_assets a
           where $1::boolean is null or exists (select from product_images i where i.asset_id = a.id) = $1"#,
        attached,
    )
    .fetch_one(c)
    .await?;
    Ok((rows.into_iter().map(Row::split).collect(), total))
}

/// Deletes a picture and leaves its file, under `loose`, to be removed now. False when there is no such picture, or, with
/// `only_unused`, a product or a variant ever showed it. Violates `product_images_asset_id_fkey` while a product shows it.
pub(super) async fn delete(
    c: &mut PgConnection,
    id: AssetId,
    loose: AssetId,
    only_unused: bool,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let deleted = sqlx::query!(
        "with gone as (delete from media_assets where id = $1 and (not was_attached or not $4)
                       returning provider, key)
         insert into media_loose (id, provider, key, purpose, remove_at) select $2, provider, key, 'removal', $3 from gone",
        id.0,
        loose.0,
        now,
        only_unused,
    )
    .execute(c)
    .await?;
    Ok(deleted.rows_affected() == 1)
}

/// Pictures from before a time that no product ever showed.
pub(super) async fn never_attached(
    c: &mut PgConnection,
    before: DateTime<Utc>,
    limit: i64,
) -> sqlx::Result<Vec<AssetId>> {
    sqlx::query_scalar!(
        r#"select id as "id: AssetId" from media_assets where not was_attached and created_at < $1
           order by created_at limit $2"#,
        before,
        limit,
    )
    .fetch_all(c)
    .await
}
