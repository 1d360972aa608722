//! The local mailbox: pages that show the mails a shop with a provider would have sent. Never in production.

use axum::Router;
use axum::extract::State;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_FRAME_OPTIONS};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::store::{self, Listed};
use crate::app::App;
use crate::platform::error::{Error, Result};
use crate::platform::http::pages;
use crate::platform::http::{PathId, Query};
use crate::platform::ids::EmailId;

/// Mails on a page of the mailbox.
const LIMIT: i64 = 50;

/// The pages under `/dev/mail`.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/dev/mail", get(mailbox))
        .route("/dev/mail/{id}", get(mail))
        .route("/dev/mail/{id}/html", get(mail_html))
}

#[derive(Debug, Deserialize)]
struct Which {
    #[serde(default)]
    page: u32,
    #[serde(default)]
    part: String,
}

#[derive(Debug, Serialize)]
struct MailboxPage {
    mails: Vec<Listed>,
    newer_url: Option<String>,
    older_url: Option<String>,
}

async fn mailbox(State(app): State<App>, Query(which): Query<Which>) -> Result<Response> {
    let page = i64::from(which.page.max(1));
    let mut mails = store::list(&mut *app.db.acquire().await?, LIMIT + 1, (page - 1) * LIMIT).await?;
    let more = i64::try_from(mails.len()).is_ok_and(|n| n > LIMIT);
    mails.truncate(50);
    let context = MailboxPage {
        mails,
        newer_url: (page > 1).then(|| format!("/dev/mail?page={}", page - 1)),
        older_url: more.then(|| format!("/dev/mail?page={}", page + 1)),
    };
    pages::respond(&app.config, "mailbox.html", &context)
}

#[derive(Debug, Serialize)]
struct MailPage<'a> {
    mail: MailView<'a>,
    show_text: bool,
}

#[derive(Debug, Serialize)]
struct MailView<'a> {
    id: EmailId,
    from: &'a str,
    to: String,
    subject: String,
    kind: String,
    sent_at: Option<DateTime<Utc>>,
    text: String,
}

async fn mail(State(app): State<App>, PathId(id): PathId<EmailId>, Query(which): Query<Which>) -> Result<Response> {
    let mail = store::find(&mut *app.db.acquire().await?, id).await?.ok_or(Error::NotFound("The mail"))?;
    let view = MailView {
        id: mail.id,
        from: &app.config.mail.from,
        to: mail.recipient,
        subject: mail.subject,
        kind: mail.kind,
        sent_at: mail.sent_at,
        text: mail.body_text,
    };
    pages::respond(&app.config, "mail.html", &MailPage { mail: view, show_text: which.part == "text" })
}

async fn mail_html(State(app): State<App>, PathId(id): PathId<EmailId>) -> Result<Response> {
    let mail = store::find(&mut *app.db.acquire().await?, id).await?.ok_or(Error::NotFound("The mail"))?;
    // A mail styles itself; it runs nothing, and only the mailbox may frame it.
    let policy = "default-src 'none'; style-src 'unsafe-inline'; img-src http: https: data:; frame-ancestors 'self'; \
                  sandbox allow-popups allow-popups-to-escape-sandbox";
    Ok((
        [
            (CONTENT_TYPE, "text/html; charset=utf-8"),
            (CONTENT_SECURITY_POLICY, policy),
            (X_FRAME_OPTIONS, "SAMEORIGIN"),
        ],
        mail.html,
    )
        .into_response())
}
