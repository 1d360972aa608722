//! SQL of the delivery log.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;

use super::NewMail;
use super::render::Rendered;
use crate::platform::ids::EmailId;

/// False when this mail was sent before.
pub(super) async fn insert_sent(
    c: &mut PgConnection,
    id: EmailId,
    new: &NewMail,
    rendered: &Rendered,
    provider: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let inserted = sqlx::query!(
        "insert into emails (id, dedupe_key, kind, user_id, order_id, recipient, subject, html, body_text,
                             status, provider, created_at, sent_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'sent', $10, $11, $11)
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
    )
    .execute(c)
    .await?;
    Ok(inserted.rows_affected() == 1)
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

/// Blanks the stored copies of mails with links that have ended.
pub(super) async fn blank_links(c: &mut PgConnection, before: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!(
        "update emails set html = '', body_text = '(removed: the link has ended)'
         where kind = 'verify_email' and created_at < $1 and html <> ''",
        before,
    )
    .execute(c)
    .await?;
    Ok(())
}
