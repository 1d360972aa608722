//! SQL of the address book.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use sqlx::types::Json;

use crate::platform::address::Address;
use crate::platform::ids::{AddressId, UserId};

/// An entry.
#[derive(Debug)]
pub(super) struct Entry {
    pub id: AddressId,
    pub label: String,
    pub address: Json<Address>,
    pub is_default: bool,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// The entries of an account, the default first, then the oldest.
pub(super) async fn list(c: &mut PgConnection, user: UserId) -> sqlx::Result<Vec<Entry>> {
    sqlx::query_as!(
        Entry,
        r#"select id as "id: AddressId", label, address as "address: Json<Address>", is_default, created_at, updated_at
           from user_addresses where user_id = $1 order by is_default desc, created_at, id limit 100"#,
        user.0,
    )
    .fetch_all(c)
    .await
}

pub(super) async fn find(c: &mut PgConnection, user: UserId, id: AddressId) -> sqlx::Result<Option<Entry>> {
    sqlx::query_as!(
        Entry,
        r#"select id as "id: AddressId", label, address as "address: Json<Address>", is_default, created_at, updated_at
           from user_addresses where user_id = $1 and id = $2 for update"#,
        user.0,
        id.0,
    )
    .fetch_optional(c)
    .await
}

/// Takes the account's book for this transaction, so that two changes at once follow each other, and counts its entries.
pub(super) async fn lock_book(c: &mut PgConnection, user: UserId) -> sqlx::Result<i64> {
    sqlx::query!("select pg_advisory_xact_lock(hashtextextended('addresses ' || $1::text, 0))", user.to_string())
        .execute(&mut *c)
        .await?;
    sqlx::query_scalar!(r#"select count(*) as "count!" from user_addresses where user_id = $1"#, user.0)
        .fetch_one(c)
        .await
}

/// Takes the mark from the default entry.
pub(super) async fn clear_default(c: &mut PgConnection, user: UserId) -> sqlx::Result<()> {
    sqlx::query!("update user_addresses set is_default = false where user_id = $1 and is_default", user.0)
        .execute(c)
        .await?;
    Ok(())
}

/// Stores an entry, new or changed.
pub(super) async fn save(c: &mut PgConnection, user: UserId, entry: &Entry) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into user_addresses (id, user_id, label, address, is_default, created_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, $7)
         on conflict (id) do update set label = excluded.label, address = excluded.address,
           is_default = excluded.is_default, updated_at = excluded.updated_at",
        entry.id.0,
        user.0,
        entry.label,
        Json(&entry.address.0) as _,
        entry.is_default,
        entry.created_at,
        entry.updated_at,
    )
    .execute(c)
    .await?;
    Ok(())
}

/// Removes an entry. Gives whether it was the default.
pub(super) async fn delete(c: &mut PgConnection, user: UserId, id: AddressId) -> sqlx::Result<Option<bool>> {
    sqlx::query_scalar!("delete from user_addresses where user_id = $1 and id = $2 returning is_default", user.0, id.0)
        .fetch_optional(c)
        .await
}

/// Makes the oldest entry the default.
pub(super) async fn promote_oldest(c: &mut PgConnection, user: UserId) -> sqlx::Result<()> {
    sqlx::query!(
        "update user_addresses set is_default = true
         where id = (select id from user_addresses where user_id = $1 order by created_at, id limit 1)",
        user.0,
    )
    .execute(c)
    .await?;
    Ok(())
}

/// The book, for its owner to take away.
///
/// # Errors
/// The database's.
pub async fn export(c: &mut PgConnection, user: UserId) -> sqlx::Result<Value> {
    sqlx::query_scalar!(
        r#"select coalesce(jsonb_agg(jsonb_build_object('label', label, 'address', address, 'isDefault', is_default,
                    'createdAt', created_at) order by created_at, id), '[]') as "book!"
           from user_addresses where user_id = $1"#,
        user.0,
    )
    .fetch_one(c)
    .await
}

/// Removes the whole book.
///
/// # Errors
/// The database's.
pub async fn erase(c: &mut PgConnection, user: UserId) -> sqlx::Result<()> {
    sqlx::query!("delete from user_addresses where user_id = $1", user.0).execute(c).await?;
    Ok(())
}
