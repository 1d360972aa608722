//! SQL of requests to hear when something is back.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::platform::ids::{ProductId, UserId, VariantId};

/// A variant somebody asks about.
#[derive(Debug)]
pub(in crate::features::inventory) struct Asked {
    pub variant_id: VariantId,
    pub available: i32,
}

/// The variants of a product that are for sale: the one with this id, or all.
pub(in crate::features::inventory) async fn variants_for_sale(
    c: &mut PgConnection,
    product: ProductId,
    variant: Option<VariantId>,
) -> sqlx::Result<Vec<Asked>> {
    sqlx::query_as!(
        Asked,
        r#"select variant_id as "variant_id!: VariantId", available as "available!" from variant_offers
           where product_id = $1 and on_sale and ($2::uuid is null or variant_id = $2)"#,
        product.0,
        variant.map(|id| id.0) as Option<Uuid>,
    )
    .fetch_all(c)
    .await
}

/// Notes a request, once for a variant and an address. False when the address waits for `limit` variants already. Requests of
/// one address take turns, so that many at once do not pass the limit.
pub(in crate::features::inventory) async fn add(
    c: &mut PgConnection,
    variant: VariantId,
    email: &str,
    user: Option<UserId>,
    limit: i64,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    // In a statement of its own, so that the next one sees what its last holder committed.
    sqlx::query!("select pg_advisory_xact_lock(hashtextextended('back in stock ' || $1, 0))", email)
        .fetch_one(&mut *c)
        .await?;
    let waiting = sqlx::query_scalar!(r#"select count(*) as "n!" from back_in_stock_requests where email = $1"#, email)
        .fetch_one(&mut *c)
        .await?;
    if waiting >= limit {
        return Ok(false);
    }
    sqlx::query!(
        "insert into back_in_stock_requests (id, variant_id, email, user_id, created_at) values ($1, $2, $3, $4, $5)
         on conflict (variant_id, email) do nothing",
        Uuid::now_v7(),
        variant.0,
        email,
        user.map(|id| id.0) as Option<Uuid>,
        now,
    )
    .execute(c)
    .await?;
    Ok(true)
}

/// Requests for what can be bought now, in the order in which they were made, at most `limit`, each with its account.
///
/// # Errors
/// The database's.
pub async fn due_requests(c: &mut PgConnection, limit: i64) -> sqlx::Result<Vec<(Uuid, Option<UserId>)>> {
    let rows = sqlx::query!(
        r#"with back as materialized (
             select variant_id from (select distinct variant_id from back_in_stock_requests) w
             join stock_levels s using (variant_id) join variant_offers o using (variant_id)
             where s.on_hand > s.reserved and o.on_sale)
           select id, user_id as "user_id: UserId" from back_in_stock_requests
           where variant_id in (select variant_id from back) order by created_at, id limit $1"#,
        limit,
    )
    .fetch_all(c)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.user_id)).collect())
}

/// A request whose time has come.
#[derive(Debug)]
pub struct Request {
    /// Who asked.
    pub email: String,
    /// The product's title.
    pub title: String,
    /// Its slug.
    pub slug: String,
    /// The variant's options, `[{"name": …, "value": …}]`.
    pub options: Value,
    /// What it costs, in minor units.
    pub price_minor: i64,
    /// The currency of the price.
    pub currency: String,
    /// Its picture.
    pub image_url: Option<String>,
}

/// Takes a request, if nobody else has and the variant can still be bought. It is gone with the transaction of its mail.
///
/// # Errors
/// The database's.
pub async fn take_request(c: &mut PgConnection, id: Uuid) -> sqlx::Result<Option<Request>> {
    sqlx::query_as!(
        Request,
        r#"delete from back_in_stock_requests r using variant_offers o
           where r.id = $1 and o.variant_id = r.variant_id and o.on_sale and o.available > 0
           returning r.email, o.title as "title!", o.slug as "slug!", o.options as "options!",
                     o.price_minor as "price_minor!", o.currency as "currency!", o.image_url"#,
        id,
    )
    .fetch_optional(c)
    .await
}

/// Forgets all requests of an address. Gives how many there were.
pub(in crate::features::inventory) async fn forget_address(c: &mut PgConnection, email: &str) -> sqlx::Result<u64> {
    Ok(sqlx::query!("delete from back_in_stock_requests where email = $1", email).execute(c).await?.rows_affected())
}

/// A person's requests, for him to take away: of the account, and of the address where it is proven to be his.
///
/// # Errors
/// The database's.
pub async fn export_requests(c: &mut PgConnection, user: UserId, email: Option<&str>) -> sqlx::Result<Value> {
    sqlx::query_scalar!(
        r#"select coalesce(jsonb_agg(jsonb_build_object('sku', v.sku, 'email', r.email, 'createdAt', r.created_at)
                                     order by r.created_at, r.id), '[]') as "requests!"
           from back_in_stock_requests r join variants v on v.id = r.variant_id where r.user_id = $1 or r.email = $2"#,
        user.0,
        email,
    )
    .fetch_one(c)
    .await
}

/// Removes a person's requests: of the account, and of the address where it is proven to be his.
///
/// # Errors
/// The database's.
pub async fn erase_requests(c: &mut PgConnection, user: UserId, email: Option<&str>) -> sqlx::Result<()> {
    sqlx::query!("delete from back_in_stock_requests where user_id = $1 or email = $2", user.0, email)
        .execute(c)
        .await?;
    Ok(())
}

/// Removes at most `limit` requests from before `before`. Gives how many.
///
/// # Errors
/// The database's.
pub async fn sweep_requests(c: &mut PgConnection, before: DateTime<Utc>, limit: i64) -> sqlx::Result<u64> {
    let swept = sqlx::query!(
        "delete from back_in_stock_requests where id in (
           select id from back_in_stock_requests where created_at < $1 order by created_at limit $2)",
        before,
        limit,
    )
    .execute(c)
    .await?;
    Ok(swept.rows_affected())
}
