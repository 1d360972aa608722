//! The few pages the backend itself shows to people.
//!
//! Pages have no script and no inline style, so they work under a strict
//! content security policy: all styling is in [`STYLESHEET`].

use std::sync::OnceLock;

use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, Error, UndefinedBehavior};
use serde::Serialize;

use crate::platform::config::Config;
use crate::platform::format;

/// The style sheet of every page, which pages expect at `/assets/pages.css`.
pub const STYLESHEET: &str = include_str!("../../../templates/pages/pages.css");

/// The icon of every page, an SVG, which browsers expect at `/favicon.ico`.
pub const ICON: &str = include_str!("../../../templates/pages/icon.svg");

macro_rules! templates {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("../../../templates/pages/", $name)))),*]
    };
}

const TEMPLATES: [(&str, &str); 11] = templates![
    "layout.html",
    "home.html",
    "mailbox.html",
    "mail.html",
    "verify_email.html",
    "forgot_password.html",
    "reset_password.html",
    "payment_result.html",
    "message.html",
    "back_in_stock_stop.html",
    "unsubscribe.html",
];

/// Renders a page, such as `home.html`, with every value HTML-escaped.
///
/// # Errors
///
/// When there is no such template, or the context lacks a value that the
/// template shows.
pub fn render(template: &str, context: impl Serialize) -> Result<String, Error> {
    environment()?.get_template(template)?.render(Serde(context))
}

/// What a page may load: its own style sheet and pictures, nothing else.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self' http: https:; frame-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

#[derive(Serialize)]
struct Framed<'a, T> {
    store: StoreFacts<'a>,
    #[serde(flatten)]
    page: &'a T,
}

#[derive(Serialize)]
struct StoreFacts<'a> {
    name: &'a str,
    url: String,
    support_email: &'a str,
    utc_offset_minutes: i32,
}

/// Renders a page with the store's facts and answers it.
///
/// # Errors
///
/// `Internal` as [`render`].
pub fn respond(
    config: &Config,
    template: &str,
    page: &impl Serialize,
) -> Result<Response, crate::platform::error::Error> {
    let store = StoreFacts {
        name: &config.store.name,
        url: config.store_url(),
        support_email: &config.store.support_email,
        utc_offset_minutes: config.store.utc_offset_minutes,
    };
    let html = render(template, Framed { store, page }).map_err(crate::platform::error::Error::internal)?;
    Ok((
        [(CONTENT_TYPE, "text/html; charset=utf-8"), (CONTENT_SECURITY_POLICY, POLICY), (CACHE_CONTROL, "no-store")],
        html,
    )
        .into_response())
}

/// A refusal as a page, with the status and the headers of the JSON that it stands for.
pub fn refusal(config: &Config, error: crate::platform::error::Error) -> Response {
    #[derive(Serialize)]
    struct Message {
        title: &'static str,
        text: String,
    }
    let text = error.to_string();
    let mut response = error.into_response();
    let title = response.status().canonical_reason().unwrap_or("This did not work");
    if let Ok(page) = respond(config, "message.html", &Message { title, text }) {
        let (parts, body) = page.into_parts();
        *response.body_mut() = body;
        response.headers_mut().extend(parts.headers);
    }
    response
}

/// The compiled templates, built on first use.
fn environment() -> Result<&'static Environment<'static>, Error> {
    static ENVIRONMENT: OnceLock<Environment<'static>> = OnceLock::new();
    if let Some(environment) = ENVIRONMENT.get() {
        return Ok(environment);
    }
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    // A forgotten value is an error where it would be shown, but an optional
    // part of a page may ask for a value that isn't there.
    environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    format::set_up_templates(&mut environment)?;
    for (name, source) in TEMPLATES {
        environment.add_template(name, source)?;
    }
    Ok(ENVIRONMENT.get_or_init(|| environment))
}

#[cfg(test)]
mod tests {
    use minijinja::{Value, context};

    use super::*;

    fn store() -> Value {
        context! {
            name => "AGAPE <LOOKS>",
            url => "https://agapelooks.example",
            support_email => "hello@agapelooks.example",
            utc_offset_minutes => 60,
        }
    }

    fn page(template: &str, context: Value) -> String {
        let html = render(template, context! { store => store(), ..context }).expect(template);
        assert!(html.starts_with("<!doctype html>"));
        assert!(html.contains("AGAPE &lt;LOOKS&gt;"));
        // Neither passes a strict content security policy.
        assert!(!html.contains("<script") && !html.contains("style="));
        html
    }

    #[test]
    fn every_template_compiles_and_none_other_exists() {
        let environment = environment().expect("templates compile");
        for (name, _) in TEMPLATES {
            assert!(environment.get_template(name).is_ok());
        }
        assert!(render("nothing.html", ()).is_err());
    }

    #[test]
    fn home_shows_products_or_says_there_are_none() {
        let product = context! {
            title => "Kente \"Bonwire\" <script>",
            image_url => "/media/kente.png",
            price_minor => 4_500_000,
            currency => "NGN",
            url => "/api/v1/products/kente",
        };
        let html = page("home.html", context! { products => [product] });
        assert!(html.contains("Kente &quot;Bonwire&quot; &lt;script&gt;"));
        assert!(html.contains("<span class=\"price\">₦45,000.00</span>"));
        for link in ["/docs", "/openapi.json", "/dev/mail", "/api/v1/products"] {
            assert!(html.contains(&format!("href=\"{link}\"")), "{link}");
        }
        let empty = page("home.html", context! { products => Vec::<Value>::new() });
        assert!(empty.contains("There are no products yet."));
    }

    fn mail() -> Value {
        context! {
            id => 7,
            from => "AGAPE LOOKS <shop@agapelooks.example>",
            to => "ann@example.com",
            subject => "Your <b>order</b>",
            kind => "order_confirmation",
            sent_at => "2026-11-22T23:30:00Z",
            text => "1 < 2 & so on",
        }
    }

    #[test]
    fn mailbox_lists_mails_with_paging() {
        let html = page("mailbox.html", context! { mails => [mail()], older_url => "/dev/mail?before=7" });
        assert!(html.contains("href=\"/dev/mail/7\""));
        assert!(html.contains("Your &lt;b&gt;order&lt;&#x2f;b&gt;"));
        assert!(html.contains("Order confirmation") && html.contains("23 November 2026 at 00:30"));
        assert!(html.contains("Older") && !html.contains("Newer"));
        let empty = page("mailbox.html", context! { mails => Vec::<Value>::new() });
        assert!(empty.contains("No mail yet.") && !empty.contains("class=\"paging\""));
    }

    #[test]
    fn a_mail_is_shown_in_a_sandbox_or_as_text() {
        let html = page("mail.html", context! { mail => mail(), show_text => false });
        assert!(html.contains("src=\"/dev/mail/7/html\"") && html.contains(" sandbox=\""));
        assert!(!html.contains("allow-scripts") && !html.contains("allow-same-origin"));
        let text = page("mail.html", context! { mail => mail(), show_text => true });
        assert!(text.contains("1 &lt; 2 &amp; so on") && !text.contains("<iframe"));
    }

    #[test]
    fn an_address_is_confirmed_by_a_button() {
        let ask = page(
            "verify_email.html",
            context! { state => "ask", action => "/verify-email", again => "/forgot-password", token => "a\"b" },
        );
        assert!(ask.contains("<form method=\"post\" action=\"&#x2f;verify-email\">"));
        assert!(ask.contains("name=\"token\" value=\"a&quot;b\""));
        let done = page("verify_email.html", context! { state => "done" });
        assert!(done.contains("your address is confirmed") && !done.contains("<form"));
        let invalid = page("verify_email.html", context! { state => "invalid" });
        assert!(invalid.contains("no longer works"));
    }

    #[test]
    fn a_new_password_is_asked_for_by_address() {
        let ask = |faults: Vec<&'static str>| {
            page("forgot_password.html", context! { state => "ask", action => "/forgot-password", faults })
        };
        let first = ask(Vec::new());
        assert!(first.contains("<form method=\"post\" action=\"&#x2f;forgot-password\">"));
        assert!(first.contains("<label for=\"email\">"));
        assert!(first.contains("id=\"email\" type=\"email\" name=\"email\""));
        assert!(first.contains("autocomplete=\"username\"") && !first.contains("value="));
        assert!(!first.contains("role=\"alert\""));
        let again = ask(vec!["Type an <address>"]);
        assert!(again.contains("role=\"alert\"") && again.contains("<li>Type an &lt;address&gt;</li>"));
        let typed = page(
            "forgot_password.html",
            context! { state => "ask", action => "/forgot-password", email => "a\"b", faults => ["Once more"] },
        );
        assert!(typed.contains("value=\"a&quot;b\""));
        let sent = |minutes: i64| page("forgot_password.html", context! { state => "sent", minutes });
        assert!(sent(60).contains("works for 60 minutes") && sent(1).contains("works for 1 minute."));
        // The same words whether or not the address has an account.
        assert!(sent(60).contains("If the address has an account") && !sent(60).contains("<form"));
    }

    #[test]
    fn a_new_password_is_typed_twice() {
        let ask = |faults: Vec<&'static str>| {
            page(
                "reset_password.html",
                context! { state => "ask", action => "/reset-password", token => "a\"b", faults },
            )
        };
        let first = ask(Vec::new());
        assert!(first.contains("<form method=\"post\" action=\"&#x2f;reset-password\">"));
        assert!(first.contains("type=\"hidden\" name=\"token\" value=\"a&quot;b\""));
        for name in ["password", "repeat"] {
            assert!(first.contains(&format!("<label for=\"{name}\">")), "{name}");
            assert!(first.contains(&format!("id=\"{name}\" type=\"password\" name=\"{name}\"")), "{name}");
        }
        assert_eq!(first.matches("autocomplete=\"new-password\" minlength=\"8\" maxlength=\"128\"").count(), 2);
        assert!(!first.contains("role=\"alert\""));
        let again = ask(vec!["Both must be the same", "<b>"]);
        assert!(again.contains("role=\"alert\"") && again.contains("<li>Both must be the same</li>"));
        assert!(again.contains("<li>&lt;b&gt;</li>"));
        let done = page("reset_password.html", context! { state => "done" });
        assert!(done.contains("signed out") && done.contains("Go to the shop") && !done.contains("<form"));
        let invalid = page("reset_password.html", context! { state => "invalid", again => "/forgot-password" });
        assert!(invalid.contains("no longer works") && invalid.contains("href=\"&#x2f;forgot-password\""));
        assert!(!invalid.contains("<form"));
    }

    #[test]
    fn a_payments_result_says_what_happens_next() {
        let result = |state: &str, pay_link: Option<&str>| {
            page(
                "payment_result.html",
                context! {
                    state, pay_link,
                    order_number => "AG-100042", amount_minor => 12_050, currency => "GHS",
                },
            )
        };
        let paid = result("paid", None);
        assert!(paid.contains("AG-100042") && paid.contains("GH₵ 120.50"));
        assert!(paid.contains("receipt comes by mail"));
        assert!(result("pending", None).contains("Check again"));
        let failed = result("failed", Some("https://pay.example/x1"));
        assert!(failed.contains("Pay again") && failed.contains("pay.example"));
        assert!(!result("failed", None).contains("Pay again"));
    }

    #[test]
    fn a_message_needs_its_text() {
        let html = page("message.html", context! { title => "Not found", text => "A & B" });
        assert!(html.contains("<h1>Not found</h1>") && html.contains("A &amp; B"));
        assert!(render("message.html", context! { store => store() }).is_err());
    }
}
