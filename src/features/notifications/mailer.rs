//! How a mail leaves the house.

use std::fmt;
use std::time::Duration;

use anyhow::Context;
use chrono::{DateTime, Utc};
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use secrecy::ExposeSecret;

use super::store::Queued;
use crate::platform::config::Mail as Config;
use crate::platform::ids::EmailId;

/// Delivers mails as the settings say.
pub struct Mailer {
    from: Mailbox,
    /// None keeps mails in the local mailbox.
    smtp: Option<AsyncSmtpTransport<Tokio1Executor>>,
    timeout: Duration,
}

impl fmt::Debug for Mailer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailer").field("name", &self.name()).finish_non_exhaustive()
    }
}

fn is_our_fault(error: &lettre::transport::smtp::Error) -> bool {
    error.status().is_some_and(|code| matches!(code.to_string().as_str(), "530" | "534" | "535" | "538"))
}

/// Why a mail was not delivered.
#[derive(Debug)]
pub(super) enum Undelivered {
    /// The server does not take this mail.
    Refused(anyhow::Error),
    /// It may take it later. What it did, without its words.
    Later(String),
}

impl Mailer {
    /// Takes provider and server from the settings. Nothing is connected yet.
    ///
    /// # Errors
    /// When the sender or the server's address cannot be read; without the password.
    pub fn new(config: &Config) -> anyhow::Result<Self> {
        let from = config.from.parse().context("mail.from must be like Shop <orders@example.com>")?;
        let timeout = Duration::from_secs(config.timeout_seconds);
        let smtp = match config.provider.as_str() {
            "smtp" => {
                let builder = AsyncSmtpTransport::<Tokio1Executor>::from_url(config.smtp_url.expose_secret())
                    .map_err(|_| anyhow::anyhow!("mail.smtp_url cannot be read"))?;
                Some(builder.timeout(Some(timeout)).build())
            }
            _ => None,
        };
        Ok(Self { from, smtp, timeout })
    }

    /// Whether mails stay in the local mailbox.
    pub(super) fn is_local(&self) -> bool {
        self.smtp.is_none()
    }

    /// The name in the delivery log.
    pub(super) fn name(&self) -> &'static str {
        if self.is_local() { "local" } else { "smtp" }
    }

    /// Hands a mail to the server. Its Message-ID is made of its id, so that a mail which arrives twice, because an answer
    /// was lost, is seen to be one (RFC 5322, 3.6.4).
    pub(super) async fn deliver(&self, id: EmailId, mail: &Queued) -> Result<(), Undelivered> {
        let message = self.message(id, mail).map_err(Undelivered::Refused)?;
        let Some(smtp) = &self.smtp else { return Ok(()) };
        let sent = tokio::time::timeout(self.timeout, smtp.send(message)).await;
        match sent {
            Ok(Ok(_)) => Ok(()),
            // A wrong password of ours is no fault of the mail (RFC 4954, 6).
            Ok(Err(error)) if error.is_permanent() && !is_our_fault(&error) => Err(Undelivered::Refused(error.into())),
            Ok(Err(error)) => Err(Undelivered::Later(match error.status() {
                Some(code) => format!("answered {code}"),
                None => "cannot be reached".into(),
            })),
            Err(_) => Err(Undelivered::Later(format!("did not answer within {:?}", self.timeout))),
        }
    }

    fn message(&self, id: EmailId, mail: &Queued) -> anyhow::Result<Message> {
        let at: DateTime<Utc> = mail.created_at;
        let mut head = Message::builder();
        if let Some(url) = &mail.unsubscribe_url {
            // Mail programs show a button that posts to this address (RFC 8058).
            let header = |name, value: String| HeaderValue::new(HeaderName::new_from_ascii_str(name), value);
            head = head
                .raw_header(header("List-Unsubscribe", format!("<{url}>")))
                .raw_header(header("List-Unsubscribe-Post", "List-Unsubscribe=One-Click".into()));
        }
        Ok(head
            .from(self.from.clone())
            .to(Mailbox::new(None, mail.recipient.parse()?))
            .subject(mail.subject.as_str())
            .message_id(Some(format!("<{id}@{}>", self.from.email.domain())))
            .date(at.into())
            .multipart(MultiPart::alternative_plain_html(mail.body_text.clone(), mail.html.clone()))?)
    }

    /// Says where mails go, after a look whether the server answers.
    ///
    /// # Errors
    /// When it does not, or refuses the password.
    pub async fn check(&self) -> anyhow::Result<String> {
        let Some(smtp) = &self.smtp else { return Ok("stays in the local mailbox".into()) };
        let works = tokio::time::timeout(self.timeout, smtp.test_connection()).await;
        match works.context("the mail server does not answer")?? {
            true => Ok("the mail server answers".into()),
            false => anyhow::bail!("the mail server does not take the connection"),
        }
    }
}
