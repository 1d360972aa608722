//! SQL of the delivery log.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::PgConnection;

use super::NewMail;
use super::render::Rendered;
use crate::platform::ids::{EmailId, OrderId, UserId};

/// Stores a mail, delivered or to be delivered. False when it was there before.
pub(super) async fn insert(
    c: &mut PgConnection,
    id: EmailId,
    new: &NewMail,
    rendered: &Rendered,
    provider: &str,
    delivered: bool,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let inserted = sqlx::query!(
        "insert into emails (id, dedupe_key, kind, user_id, order_id, recipient, subject, html, body_text,
                             status, provider, created_at, sent_at, unsubscribe_url)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, case when $12::timestamptz is null then 'queued' else 'sent' end,
                 $10, $11, $12, $13)
         on conflict (dedupe_key) do nothing",
        id.0,
        new.dedupe_key,
        new.mail.kind(),
        new.user_id.map(|id| id.0),
        new.order_id.map(|id| id.0),
        new.recipient,
        rendered.subject,
        rendered.html,
        rendered.text,
        provider,
        now,
        delivered.then_some(now),
        new.mail.unsubscribe_link(),
    )
    .execute(c)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// A mail that waits to be delivered.
#[derive(Debug)]
pub(super) struct Queued {
    pub recipient: String,
    pub subject: String,
    pub html: String,
    pub body_text: String,
    pub created_at: DateTime<Utc>,
    /// Where one click ends such mails.
    pub unsubscribe_url: Option<String>,
}

pub(super) async fn find_queued(c: &mut PgConnection, id: EmailId) -> sqlx::Result<Option<Queued>> {
    sqlx::query_as!(
        Queued,
        "select recipient, subject, html, body_text, created_at, unsubscribe_url from emails
         where id = $1 and status = 'queued'",
        id.0,
    )
    .fetch_optional(c)
    .await
}

/// What became of a mail that waited: delivered, or why it cannot be.
pub(super) async fn finish(
    c: &mut PgConnection,
    id: EmailId,
    error: Option<&str>,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update emails set status = case when $2::text is null then 'sent' else 'failed' end, error = $2,
           sent_at = case when $2::text is null then $3::timestamptz end
         where id = $1 and status = 'queued'",
        id.0,
        error,
        now,
    )
    .execute(c)
    .await?;
    Ok(())
}

/// Marks mails as failed that wait since before `before`: their job has used up its tries.
///
/// # Errors
/// The database's.
pub async fn give_up(c: &mut PgConnection, before: DateTime<Utc>) -> sqlx::Result<u64> {
    let given_up = sqlx::query!(
        "update emails set status = 'failed', error = 'the mail server could not be reached in time'
         where status = 'queued' and created_at < $1",
        before,
    )
    .execute(c)
    .await?;
    Ok(given_up.rows_affected())
}

/// A mail in the mailbox's list.
#[derive(Debug, Serialize)]
pub(super) struct Listed {
    pub id: EmailId,
    pub to: String,
    pub subject: String,
    pub kind: String,
    pub sent_at: Option<DateTime<Utc>>,
}

pub(super) async fn list(c: &mut PgConnection, limit: i64, offset: i64) -> sqlx::Result<Vec<Listed>> {
    sqlx::query_as!(
        Listed,
        r#"select id as "id: EmailId", recipient as "to", subject, kind, sent_at from emails
           where provider = 'local' order by created_at desc, id desc limit $1 offset $2"#,
        limit,
        offset,
    )
    .fetch_all(c)
    .await
}

/// A whole mail.
#[derive(Debug)]
pub(super) struct Stored {
    pub id: EmailId,
    pub recipient: String,
    pub subject: String,
    pub kind: String,
    pub html: String,
    pub body_text: String,
    pub sent_at: Option<DateTime<Utc>>,
}

pub(super) async fn find(c: &mut PgConnection, id: EmailId) -> sqlx::Result<Option<Stored>> {
    sqlx::query_as!(
        Stored,
        r#"select id as "id: EmailId", recipient, subject, kind, html, body_text, sent_at
           from emails where id = $1 and provider = 'local'"#,
        id.0,
    )
    .fetch_optional(c)
    .await
}

/// Blanks the stored copies of mails of one kind with links that have ended.
pub(super) async fn blank_links(c: &mut PgConnection, kind: &str, before: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!(
        "update emails set html = '', body_text = '(removed: the link has ended)'
         where kind = $2 and created_at < $1 and html <> '' and status <> 'queued'",
        before,
        kind,
    )
    .execute(c)
    .await?;
    Ok(())
}

/// The mails to a person, for him to take away: of the account, and to the address where it is proven to be his.
///
/// # Errors
/// The database's.
pub async fn export(c: &mut PgConnection, user: UserId, recipient: Option<&str>) -> sqlx::Result<Value> {
    sqlx::query_scalar!(
        r#"select coalesce(jsonb_agg(jsonb_build_object('kind', kind, 'recipient', recipient, 'subject', subject,
                    'status', status, 'sentAt', sent_at, 'text', body_text) order by created_at, id), '[]') as "mails!"
           from (select * from emails where (user_id = $1 or recipient = $2)
                 and kind not in ('verify_email', 'password_reset') order by created_at desc limit 10000) mine"#,
        user.0,
        recipient,
    )
    .fetch_one(c)
    .await
}

/// How many copies of a mail about an order were written since then: the first one, and those that were sent again, whose
/// keys begin with the first one's.
///
/// # Errors
/// The database's.
pub async fn sent_since(
    c: &mut PgConnection,
    order: OrderId,
    dedupe_key: &str,
    since: DateTime<Utc>,
) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"select count(*) as "n!" from emails
           where order_id = $1 and starts_with(dedupe_key, $2) and created_at >= $3"#,
        order.0,
        dedupe_key,
        since,
    )
    .fetch_one(c)
    .await
}

/// Removes the mails to a person: of the account, to the address where it is proven to be his, about these orders.
///
/// # Errors
/// The database's.
pub async fn erase(
    c: &mut PgConnection,
    user: UserId,
    recipient: Option<&str>,
    orders: &[OrderId],
) -> sqlx::Result<()> {
    let orders: Vec<uuid::Uuid> = orders.iter().map(|id| id.0).collect();
    sqlx::query!(
        "delete from emails where user_id = $1 or recipient = $2 or order_id = any($3)",
        user.0,
        recipient,
        &orders,
    )
    .execute(c)
    .await?;
    Ok(())
}

/// Removes mails from before `before`, at most `limit`. Gives how many.
///
/// # Errors
/// The database's.
pub async fn sweep(c: &mut PgConnection, before: DateTime<Utc>, limit: i64) -> sqlx::Result<u64> {
    let swept = sqlx::query!(
        "delete from emails where id = any(array(select id from emails where created_at < $1 limit $2))",
        before,
        limit,
    )
    .execute(c)
    .await?;
    Ok(swept.rows_affected())
}
