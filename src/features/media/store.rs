//! SQL of pictures and of files that are not one yet, or not any more.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::model::{Asset, Place, Provider};
use crate::platform::count::{self, Total};
use crate::platform::ids::{AssetId, ProductId, UserId};
use crate::platform::page::Part;

/// A file that belongs to no picture.
#[derive(Debug)]
pub(super) struct Loose {
    pub id: AssetId,
    pub provider: Provider,
    pub key: String,
}

/// Makes a file known before it is written. At `remove_at` it counts as left behind.
pub(super) async fn announce(c: &mut PgConnection, loose: &Loose, remove_at: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into media_loose (id, provider, key, purpose, remove_at) values ($1, $2, $3, 'writing', $4)",
        loose.id.0,
        loose.provider as Provider,
        loose.key,
        remove_at,
    )
    .execute(c)
    .await?;
    Ok(())
}

/// What a browser said that it is going to send.
#[derive(Debug)]
pub(super) struct Announced {
    pub content_type: String,
    pub bytes: i64,
}

/// Makes known what a browser may send.
pub(super) async fn announce_upload(
    c: &mut PgConnection,
    loose: &Loose,
    announced: &Announced,
    remove_at: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into media_loose (id, provider, key, purpose, announced_type, announced_bytes, remove_at)
         values ($1, $2, $3, 'upload', $4, $5, $6)",
        loose.id.0,
        loose.provider as Provider,
        loose.key,
        announced.content_type,
        announced.bytes,
        remove_at,
    )
    .execute(c)
    .await?;
    Ok(())
}

/// Takes a written file out of the loose ones. False when the clean-up has it already.
pub(super) async fn take(c: &mut PgConnection, id: AssetId) -> sqlx::Result<bool> {
    let taken = sqlx::query!("delete from media_loose where id = $1 and purpose = 'writing'", id.0).execute(c).await?;
    Ok(taken.rows_affected() == 1)
}

/// An upload that waits for its confirmation, and what was announced where that is known.
pub(super) async fn find_upload(
    c: &mut PgConnection,
    id: AssetId,
    now: DateTime<Utc>,
) -> sqlx::Result<Option<(Loose, Option<Announced>)>> {
    let row = sqlx::query!(
        r#"select id as "id: AssetId", provider as "provider: Provider", key, announced_type, announced_bytes
           from media_loose where id = $1 and purpose = 'upload' and remove_at > $2"#,
        id.0,
        now,
    )
    .fetch_optional(c)
    .await?;
    Ok(row.map(|row| {
        let loose = Loose { id: row.id, provider: row.provider, key: row.key };
        let announced = row.announced_type.zip(row.announced_bytes);
        (loose, announced.map(|(content_type, bytes)| Announced { content_type, bytes }))
    }))
}

/// Ends an upload. What was sent is removed at `remove_at`, when nobody can send it again. False when somebody else has ended it.
pub(super) async fn close_upload(c: &mut PgConnection, id: AssetId, remove_at: DateTime<Utc>) -> sqlx::Result<bool> {
    let closed = sqlx::query!(
        "update media_loose set purpose = 'removal', remove_at = $2 where id = $1 and purpose = 'upload'",
        id.0,
        remove_at,
    )
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

/// A picture, and whether a product or a variant shows it.
pub(super) async fn find(c: &mut PgConnection, id: AssetId) -> sqlx::Result<Option<(Asset, bool)>> {
    let row = sqlx::query_as!(
        Row,
        r#"select a.id as "id: AssetId", a.provider as "provider: Provider", a.key, a.version, a.url, a.content_type,
                  a.bytes, a.width, a.height, a.sha256, a.alt, a.created_by as "created_by: UserId", a.created_at,
                  exists (select from media_uses u where u.asset_id = a.id) as "is_attached!"
           from media_assets a where a.id = $1"#,
        id.0,
    )
    .fetch_optional(c)
    .await?;
    Ok(row.map(Row::split))
}

/// Pictures, the newest first, each with whether a product or a variant shows it, and the last one's id where more follow.
pub(super) async fn list(
    c: &mut PgConnection,
    attached: Option<bool>,
    part: Part,
) -> sqlx::Result<(Vec<(Asset, bool)>, Option<Uuid>)> {
    let rows = sqlx::query_as!(
        Row,
        r#"select a.id as "id: AssetId", a.provider as "provider: Provider", a.key, a.version, a.url, a.content_type,
                  a.bytes, a.width, a.height, a.sha256, a.alt, a.created_by as "created_by: UserId", a.created_at,
                  exists (select from media_uses u where u.asset_id = a.id) as "is_attached!"
           from media_assets a
           where ($1::boolean is null or exists (select from media_uses u where u.asset_id = a.id) = $1)
             and ($4::uuid is null or a.id < $4)
           order by a.id desc limit $2 offset $3"#,
        attached,
        part.page.limit + 1,
        part.offset(),
        part.behind,
    )
    .fetch_all(c)
    .await?;
    Ok(part.cut(rows.into_iter().map(Row::split).collect(), |(asset, _)| asset.id.0))
}

/// How many pictures there are.
pub(super) async fn total(c: &mut PgConnection, attached: Option<bool>) -> sqlx::Result<Total> {
    count::total(c, |query| {
        query.push(" from media_assets a");
        if let Some(attached) = attached {
            query.push(" where exists (select from media_uses u where u.asset_id = a.id) = ").push_bind(attached);
        }
    })
    .await
}

/// Deletes a picture and leaves its file, under `loose`, to be removed now. False when there is no such picture, or, with
/// `only_unused`, a product or a variant ever showed it. Violates `product_images_asset_id_fkey` or
/// `variants_asset_id_fkey` while one shows it.
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

/// A place where a picture is shown.
#[derive(Debug)]
pub(super) struct Use {
    pub product_id: ProductId,
    pub product_title: String,
    /// Where a variant shows it.
    pub variant_sku: Option<String>,
}

/// Where a picture is shown, the first places of it, and how many there are.
pub(super) async fn uses(c: &mut PgConnection, id: AssetId, limit: i64) -> sqlx::Result<(Vec<Use>, i64)> {
    let rows = sqlx::query!(
        r#"select product_id as "product_id!: ProductId", product_title as "product_title!", variant_sku,
                  count(*) over () as "total!"
           from media_uses where asset_id = $1 order by product_id, variant_sku nulls first limit $2"#,
        id.0,
        limit,
    )
    .fetch_all(c)
    .await?;
    let total = rows.first().map_or(0, |row| row.total);
    let uses = rows.into_iter().map(|row| Use {
        product_id: row.product_id,
        product_title: row.product_title,
        variant_sku: row.variant_sku,
    });
    Ok((uses.collect(), total))
}

/// Whether a file on the disk or in a bucket is still a picture's.
pub(super) async fn is_kept(c: &mut PgConnection, key: &str) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select exists (select from media_assets where provider in ('local', 's3') and key = $1) as "kept!""#,
        key,
    )
    .fetch_one(c)
    .await
}

/// Pictures from before a time that nothing ever showed.
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
