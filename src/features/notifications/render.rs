//! Turns what happened in the shop into a mail: subject, HTML and plain text.
//!
//! The words are in `templates/email`. Each mail has three templates named
//! after its kind: `.subject`, `.txt`, and `.mjml`, which becomes HTML that
//! mail programs of all ages can show.

use std::sync::OnceLock;

use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use mrml::prelude::render::RenderOptions;
use serde::Serialize;

use super::mail::Mail;
use crate::platform::format;

/// Store facts every mail shows.
#[derive(Serialize, Clone, Copy, Debug)]
pub(super) struct Store<'a> {
    /// The store's name.
    pub name: &'a str,
    /// The address of the store's logo, shown instead of its name.
    pub logo_url: Option<&'a str>,
    /// The colour of buttons and of the band on top, as `#rrggbb`.
    pub accent: &'a str,
    /// Where customers get help.
    pub support_email: &'a str,
    /// The address of the shop's site.
    pub url: &'a str,
    /// The store's postal address, in one line.
    pub address: &'a str,
    /// How far the store's clock is ahead of UTC.
    pub utc_offset_minutes: i32,
}

/// A mail ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rendered {
    /// The subject, always a single line.
    pub subject: String,
    /// The HTML part.
    pub html: String,
    /// The plain text part, which says the same.
    pub text: String,
}

/// Why a mail could not be rendered.
#[derive(Debug, thiserror::Error)]
pub(super) enum RenderError {
    /// A template is broken or shows a value that isn't there.
    #[error("mail template: {0}")]
    Template(#[from] minijinja::Error),
    /// The filled-in template is not valid MJML.
    #[error("mail markup: {0}")]
    Markup(#[from] mrml::prelude::parser::Error),
    /// The MJML could not be made into HTML.
    #[error("mail HTML: {0}")]
    Html(#[from] mrml::prelude::render::Error),
}

#[derive(Serialize)]
struct Context<'a> {
    store: &'a Store<'a>,
    on_accent: &'a str,
    subject: &'a str,
    mail: &'a Mail,
}

/// Renders a mail. The same store and mail always give the same bytes.
///
/// # Errors
///
/// When the mail's templates are broken.
pub(super) fn render(store: &Store<'_>, mail: &Mail) -> Result<Rendered, RenderError> {
    let environment = environment()?;
    let kind = mail.kind();
    let fill = |extension: &str, subject: &str| {
        environment.get_template(&format!("{kind}.{extension}"))?.render(Serde(Context {
            store,
            on_accent: text_colour_on(store.accent),
            subject,
            mail,
        }))
    };
    let subject = one_line(&fill("subject", "")?);
    let text = fill("txt", &subject)?;
    // Characters that XML forbids would make the whole mail unreadable.
    let mjml = fill("mjml", &subject)?
        .replace(|c: char| c.is_control() && c != '\n' || matches!(c, '\u{fffe}' | '\u{ffff}'), " ");
    let html = mrml::parse(mjml)?.element.render(&RenderOptions {
        // Reading a mail fetches no fonts from others' servers.
        fonts: Default::default(),
        ..RenderOptions::default()
    })?;
    Ok(Rendered { subject, html, text })
}

macro_rules! templates {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("../../../templates/email/", $name)))),*]
    };
}

const TEMPLATES: [(&str, &str); 68] = templates![
    "layout.mjml",
    "layout.txt",
    "order.mjml",
    "order.txt",
    "lines.mjml",
    "lines.txt",
    "units.mjml",
    "units.txt",
    "verify_email.subject",
    "verify_email.mjml",
    "verify_email.txt",
    "password_reset.subject",
    "password_reset.mjml",
    "password_reset.txt",
    "account_locked.subject",
    "account_locked.mjml",
    "account_locked.txt",
    "security_notice.subject",
    "security_notice.mjml",
    "security_notice.txt",
    "order_confirmation.subject",
    "order_confirmation.mjml",
    "order_confirmation.txt",
    "payment_receipt.subject",
    "payment_receipt.mjml",
    "payment_receipt.txt",
    "order_shipped.subject",
    "order_shipped.mjml",
    "order_shipped.txt",
    "order_delivered.subject",
    "order_delivered.mjml",
    "order_delivered.txt",
    "order_cancelled.subject",
    "order_cancelled.mjml",
    "order_cancelled.txt",
    "order_return.subject",
    "order_return.mjml",
    "order_return.txt",
    "order_refund.subject",
    "order_refund.mjml",
    "order_refund.txt",
    "money_alert.subject",
    "money_alert.mjml",
    "money_alert.txt",
    "abandoned_cart.subject",
    "abandoned_cart.mjml",
    "abandoned_cart.txt",
    "back_in_stock.subject",
    "back_in_stock.mjml",
    "back_in_stock.txt",
    "order_on_review.subject",
    "order_on_review.mjml",
    "order_on_review.txt",
    "return_requested.subject",
    "return_requested.mjml",
    "return_requested.txt",
    "webhook_disabled.subject",
    "webhook_disabled.mjml",
    "webhook_disabled.txt",
    "low_stock.subject",
    "low_stock.mjml",
    "low_stock.txt",
    "reconciliation.subject",
    "reconciliation.mjml",
    "reconciliation.txt",
    "dispute.subject",
    "dispute.mjml",
    "dispute.txt",
];

/// The compiled templates, built on first use.
fn environment() -> Result<&'static Environment<'static>, minijinja::Error> {
    static ENVIRONMENT: OnceLock<Environment<'static>> = OnceLock::new();
    if let Some(environment) = ENVIRONMENT.get() {
        return Ok(environment);
    }
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(
        |name| {
            if name.ends_with(".mjml") { AutoEscape::Html } else { AutoEscape::None }
        },
    );
    format::set_up_templates(&mut environment)?;
    environment.add_filter("one_line", one_line);
    environment.add_filter("greeting", greeting);
    environment.add_filter("duration", duration);
    for (name, source) in TEMPLATES {
        environment.add_template(name, source)?;
    }
    Ok(ENVIRONMENT.get_or_init(|| environment))
}

/// Puts text on one line, so that a value can neither start a new header nor
/// pass for a paragraph of the mail's own.
fn one_line(text: &str) -> String {
    text.split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

/// Greets a customer by name.
///
/// Anybody can have a mail sent to anybody by signing up with their address,
/// so a "name" that carries an advertisement or a link is left out.
fn greeting(name: &str) -> String {
    let name = one_line(name);
    let has_link = name.contains(['/', '@', ':'])
        || name.split('.').skip(1).any(|rest| rest.starts_with(|c: char| c.is_alphanumeric()));
    if name.is_empty() || name.chars().count() > 60 || has_link { "Hello".to_owned() } else { format!("Hello {name}") }
}

/// Writes a number of minutes as people say it: `90 minutes`, but `2 hours`.
fn duration(minutes: u32) -> String {
    let (count, unit) =
        if minutes > 0 && minutes.is_multiple_of(60) { (minutes / 60, "hour") } else { (minutes, "minute") };
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural}")
}

/// Black or white, whichever is easier to read on a `#rrggbb` colour.
fn text_colour_on(colour: &str) -> &'static str {
    let channel = |range| u32::from_str_radix(colour.get(range)?, 16).ok();
    match (channel(1..3), channel(3..5), channel(5..7)) {
        // The eye's sensitivity to each channel, in thousandths.
        (Some(red), Some(green), Some(blue)) if red * 299 + green * 587 + blue * 114 > 150 * 1000 => "#1c1815",
        _ => "#ffffff",
    }
}

#[cfg(test)]
#[path = "render_tests.rs"]
mod tests;
