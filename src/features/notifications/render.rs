//! Turns what happened in the shop into a mail: subject, HTML and plain text.
//!
//! The words are in `templates/email`. Each mail has three templates named
//! after its kind: `.subject`, `.txt`, and `.mjml`, which becomes HTML that
//! mail programs of all ages can show.

use std::sync::OnceLock;

use chrono::{DateTime, Utc};
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use mrml::prelude::render::RenderOptions;
use serde::{Deserialize, Serialize};

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

/// A mail to a customer, with everything it says.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Mail {
    /// Asks a new customer to confirm their email address.
    VerifyEmail {
        /// The customer's name.
        name: String,
        /// The page that confirms the address.
        link: String,
        /// How long the link works.
        valid_hours: u32,
    },
    /// Lets somebody who asked for it choose a new password.
    PasswordReset {
        /// The customer's name.
        name: String,
        /// The page that sets the new password.
        link: String,
        /// How long the link works.
        valid_minutes: u32,
    },
    /// Tells the customer that wrong passwords have locked their account.
    AccountLocked {
        /// The customer's name.
        name: String,
        /// How many wrong passwords it took.
        failures: u32,
        /// How long the lock holds.
        lock_minutes: u32,
        /// The page to ask for a new password.
        link: String,
    },
    /// Tells the customer of a change in how their account is protected, in case somebody else made it.
    SecurityNotice {
        /// The customer's name.
        name: String,
        /// What has changed.
        change: SecurityChange,
        /// When it changed.
        at: DateTime<Utc>,
        /// The page to ask for a new password.
        link: String,
    },
    /// Tells the customer that their order is placed.
    OrderConfirmation {
        /// The order.
        order: OrderSummary,
        /// Where to pay, when payment is still to be made.
        pay_link: Option<String>,
    },
    /// Tells the customer that their payment has arrived.
    PaymentReceipt {
        /// The order paid for.
        order: OrderSummary,
        /// The payment, in the order's currency.
        payment: PaymentSummary,
    },
    /// Tells somebody who asked that a variant can be bought again.
    BackInStock {
        /// The product's title.
        title: String,
        /// The variant, such as `Gold / 6 yards`.
        variant: Option<String>,
        /// What it costs, in hundredths of the currency's unit.
        price_minor: i64,
        /// The ISO 4217 code of the price.
        currency: String,
        /// A picture of it.
        image_url: Option<String>,
        /// Where it is sold.
        link: String,
        /// The page that takes back what else was asked for.
        stop_link: String,
    },
    /// Tells the staff what has become low.
    LowStock {
        /// The first of them, the fewest first. At least one.
        lines: Vec<LowStockLine>,
        /// How many there are.
        total: usize,
    },
    /// Reminds the customer of a cart with something in it.
    AbandonedCart {
        /// The customer's name.
        name: String,
        /// What can be bought of it; at least one line.
        lines: Vec<OrderLine>,
        /// How many lines there are beside these.
        more: usize,
        /// The ISO 4217 code of all amounts.
        currency: String,
        /// Where the cart is.
        link: String,
        /// Where one click ends such mails.
        unsubscribe_link: String,
    },
}

impl Mail {
    /// The kind's name: the `kind` in its JSON and the name of its templates.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::VerifyEmail { .. } => "verify_email",
            Self::PasswordReset { .. } => "password_reset",
            Self::AccountLocked { .. } => "account_locked",
            Self::SecurityNotice { .. } => "security_notice",
            Self::OrderConfirmation { .. } => "order_confirmation",
            Self::PaymentReceipt { .. } => "payment_receipt",
            Self::BackInStock { .. } => "back_in_stock",
            Self::LowStock { .. } => "low_stock",
            Self::AbandonedCart { .. } => "abandoned_cart",
        }
    }

    /// Where one click ends mails of this kind; only those that sell have it.
    pub fn unsubscribe_link(&self) -> Option<&str> {
        match self {
            Self::AbandonedCart { unsubscribe_link, .. } => Some(unsubscribe_link),
            _ => None,
        }
    }
}

/// A variant of which little is left.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct LowStockLine {
    /// The product's title.
    pub title: String,
    /// The variant, such as `Gold / 6 yards`.
    pub variant: Option<String>,
    /// Its sku.
    pub sku: String,
    /// Units that can be sold.
    pub available: i32,
    /// The threshold at or below which that is.
    pub threshold: i32,
}

/// What changed in how an account is protected.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum SecurityChange {
    /// The account has another password.
    PasswordChanged,
    /// Signing in asks for a code, too.
    TwoFactorEnabled,
    /// Signing in asks for the password only.
    TwoFactorDisabled,
    /// New recovery codes were made, and the old ones have ended.
    RecoveryCodesReplaced,
    /// A recovery code stood in for the code of an app.
    RecoveryCodeUsed,
    /// A refresh token was used a second time, so its session was ended.
    SignInReused,
}

/// An order as mails show it. Amounts are in hundredths of the currency's unit.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct OrderSummary {
    /// The order's number, as customers see it.
    pub number: String,
    /// When it was placed.
    pub placed_at: DateTime<Utc>,
    /// The customer's name.
    pub name: String,
    /// The ISO 4217 code of all its amounts.
    pub currency: String,
    /// What was ordered.
    pub lines: Vec<OrderLine>,
    /// The sum of the lines.
    pub subtotal_minor: i64,
    /// How much less the customer pays, as a positive number.
    pub discount_minor: i64,
    /// The price of shipping.
    pub shipping_minor: i64,
    /// The tax added.
    pub tax_minor: i64,
    /// What the customer pays.
    pub total_minor: i64,
    /// Where it goes.
    pub shipping_address: ShippingAddress,
    /// How it goes there, in words.
    pub shipping_method: String,
}

/// One product in an order.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct OrderLine {
    /// The product's title.
    pub title: String,
    /// The chosen variant, such as `Gold / 6 yards`.
    pub variant: Option<String>,
    /// How many.
    pub quantity: i32,
    /// The price of one.
    pub unit_price_minor: i64,
    /// The price of all.
    pub total_minor: i64,
    /// A picture of the product.
    pub image_url: Option<String>,
}

/// Where an order goes.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct ShippingAddress {
    /// Who receives it.
    pub name: String,
    /// Street, city and so on, one line each.
    pub lines: Vec<String>,
    /// The number the courier calls.
    pub phone: Option<String>,
}

/// A payment as mails show it.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct PaymentSummary {
    /// The payment's reference.
    pub reference: String,
    /// When it was made.
    pub paid_at: DateTime<Utc>,
    /// The amount, in hundredths of the order's currency.
    pub amount_minor: i64,
    /// How it was made, such as `Visa ending 4081`.
    pub method_label: String,
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

const TEMPLATES: [(&str, &str); 33] = templates![
    "layout.mjml",
    "layout.txt",
    "order.mjml",
    "order.txt",
    "lines.mjml",
    "lines.txt",
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
    "abandoned_cart.subject",
    "abandoned_cart.mjml",
    "abandoned_cart.txt",
    "back_in_stock.subject",
    "back_in_stock.mjml",
    "back_in_stock.txt",
    "low_stock.subject",
    "low_stock.mjml",
    "low_stock.txt",
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
