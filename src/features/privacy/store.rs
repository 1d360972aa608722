//! SQL of the consent log.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::PgConnection;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::platform::ids::{ConsentId, UserId};

/// What a person may agree to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, sqlx::Type, ToSchema)]
#[serde(rename_all = "lowercase")]
#[sqlx(type_name = "text", rename_all = "lowercase")]
pub(super) enum ConsentKind {
    /// Mails that sell.
    Marketing,
    /// Counting what visitors do.
    Analytics,
    /// Cookies beyond those that the shop needs.
    Cookies,
}

/// Who answered: an account, or a visitor by an id that the storefront made.
#[derive(Clone, Copy, Debug)]
pub(super) enum Person {
    User(UserId),
    Visitor(Uuid),
}

impl Person {
    fn columns(self) -> (Option<Uuid>, Option<Uuid>) {
        match self {
            Self::User(id) => (Some(id.0), None),
            Self::Visitor(id) => (None, Some(id)),
        }
    }
}

/// One answer.
#[derive(Debug)]
pub(super) struct Consent {
    pub id: ConsentId,
    pub kind: ConsentKind,
    pub granted: bool,
    pub wording: String,
    pub at: DateTime<Utc>,
}

pub(super) async fn insert(c: &mut PgConnection, person: Person, consent: &Consent) -> sqlx::Result<()> {
    let (user, visitor) = person.columns();
    sqlx::query!(
        "insert into consents (id, user_id, visitor_id, kind, granted, wording, at) values ($1, $2, $3, $4, $5, $6, $7)",
        consent.id.0,
        user,
        visitor,
        consent.kind as ConsentKind,
        consent.granted,
        consent.wording,
        consent.at,
    )
    .execute(c)
    .await?;
    Ok(())
}

/// The last answer of each kind.
pub(super) async fn current(c: &mut PgConnection, person: Person) -> sqlx::Result<Vec<Consent>> {
    let (user, visitor) = person.columns();
    sqlx::query_as!(
        Consent,
        r#"select distinct on (kind) id as "id: ConsentId", kind as "kind: ConsentKind", granted, wording, at
           from consents where user_id = $1 or visitor_id = $2 order by kind, at desc, id desc"#,
        user,
        visitor,
    )
    .fetch_all(c)
    .await
}

/// Those of these accounts whose last answer allows mails that sell.
///
/// # Errors
/// The database's.
pub async fn agreeing_to_marketing(c: &mut PgConnection, users: &[UserId]) -> sqlx::Result<Vec<UserId>> {
    let ids: Vec<_> = users.iter().map(|id| id.0).collect();
    sqlx::query_scalar!(
        r#"select u.id as "id!: UserId" from unnest($1::uuid[]) as u (id)
           where (select c.granted from consents c where c.user_id = u.id and c.kind = 'marketing'
                  order by c.at desc, c.id desc limit 1)"#,
        &ids,
    )
    .fetch_all(c)
    .await
}

/// Every answer of an account, for its owner to take away.
///
/// # Errors
/// The database's.
pub async fn export(c: &mut PgConnection, user: UserId) -> sqlx::Result<Value> {
    sqlx::query_scalar!(
        r#"select coalesce(jsonb_agg(jsonb_build_object('kind', kind, 'granted', granted, 'wording', wording, 'at', at)
                    order by at, id), '[]') as "consents!"
           from (select * from consents where user_id = $1 order by at desc limit 10000) mine"#,
        user.0,
    )
    .fetch_one(c)
    .await
}

/// Removes answers of visitors that are older than `before`, at most `limit`. Gives how many.
///
/// # Errors
/// The database's.
pub async fn sweep_visitors(c: &mut PgConnection, before: DateTime<Utc>, limit: i64) -> sqlx::Result<u64> {
    let removed = sqlx::query!(
        "delete from consents where id in
           (select id from consents where visitor_id is not null and at < $1 order by at limit $2)",
        before,
        limit,
    )
    .execute(c)
    .await?;
    Ok(removed.rows_affected())
}
