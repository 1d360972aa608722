//! The pages behind the links of mails, without scripts. Opening one changes nothing, because mail scanners open links;
//! its button does.

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use serde::{Deserialize, Serialize};

use super::{password_service, profile_service};
use crate::app::App;
use crate::limits;
use crate::platform::error::{Error, Result};
use crate::platform::http::pages;
use crate::platform::http::{Query, RequestMeta};
use crate::platform::text::Email;

#[derive(Deserialize)]
struct Link {
    #[serde(default)]
    token: String,
}

#[derive(Serialize)]
struct Page<'a> {
    state: &'a str,
    token: &'a str,
    action: &'a str,
    /// What was wrong with what was sent, in whole sentences.
    faults: Vec<String>,
    /// The page to ask for a new mail.
    again: &'a str,
    minutes: i64,
    email: &'a str,
}

impl Page<'_> {
    const NONE: Page<'static> =
        Page { state: "", token: "", action: "", faults: Vec::new(), again: FORGOT, minutes: 0, email: "" };
}

const VERIFY: &str = "/verify-email";
const RESET: &str = "/reset-password";
const FORGOT: &str = "/forgot-password";

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route(VERIFY, get(ask_to_verify).post(verify))
        .route(RESET, get(ask_for_password).post(reset))
        .route(FORGOT, get(ask_for_address).post(send_link))
}

async fn ask_to_verify(State(app): State<App>, Query(link): Query<Link>) -> Result<Response> {
    // A link that a mail program has cut off.
    let state = if link.token.is_empty() { "invalid" } else { "ask" };
    pages::respond(&app.config, "verify_email.html", &Page { state, token: &link.token, action: VERIFY, ..Page::NONE })
}

async fn verify(State(app): State<App>, form: axum::Form<Link>) -> Result<Response> {
    let state = match profile_service::verify_email(&app, &form.token, None).await {
        Ok(()) => "done",
        Err(Error::Validation(_)) => "invalid",
        Err(error) => return Err(error),
    };
    pages::respond(&app.config, "verify_email.html", &Page { state, ..Page::NONE })
}

async fn ask_for_password(State(app): State<App>, Query(link): Query<Link>) -> Result<Response> {
    let state = if password_service::is_reset_token(&app, &link.token).await? { "ask" } else { "invalid" };
    let page = Page { state, token: &link.token, action: RESET, ..Page::NONE };
    pages::respond(&app.config, "reset_password.html", &page)
}

#[derive(Deserialize)]
struct NewPassword {
    #[serde(default)]
    token: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    repeat: String,
}

async fn reset(State(app): State<App>, meta: RequestMeta, form: axum::Form<NewPassword>) -> Result<Response> {
    let respond = |state, faults| {
        let page = Page { state, token: &form.token, action: RESET, faults, ..Page::NONE };
        pages::respond(&app.config, "reset_password.html", &page)
    };
    if form.password != form.repeat {
        return respond("ask", vec!["The two passwords are not the same.".into()]);
    }
    let password = match form.password.parse() {
        Ok(password) => password,
        Err(message) => return respond("ask", vec![format!("The password {message}.")]),
    };
    match password_service::reset(&app, &form.token, &password, &meta).await {
        Ok(()) => respond("done", Vec::new()),
        Err(Error::Validation(faults)) => match faults.iter().find(|fault| fault.field == "password") {
            Some(fault) => respond("ask", vec![format!("The password {}.", fault.message)]),
            None => respond("invalid", Vec::new()),
        },
        Err(error) => Err(error),
    }
}

async fn ask_for_address(State(app): State<App>) -> Result<Response> {
    let page = Page { state: "ask", action: FORGOT, ..Page::NONE };
    pages::respond(&app.config, "forgot_password.html", &page)
}

#[derive(Deserialize)]
struct Address {
    #[serde(default)]
    email: String,
}

async fn send_link(State(app): State<App>, meta: RequestMeta, form: axum::Form<Address>) -> Result<Response> {
    let email = match form.email.parse::<Email>() {
        Ok(email) => email,
        Err(message) => {
            let faults = vec![format!("What you wrote {message}.")];
            let page = Page { state: "ask", action: FORGOT, faults, email: &form.email, ..Page::NONE };
            return pages::respond(&app.config, "forgot_password.html", &page);
        }
    };
    limits::check_account(&app, email.as_str()).await?;
    password_service::request_reset(&app, &email, &meta).await?;
    let page = Page { state: "sent", minutes: app.config.auth.reset_minutes, ..Page::NONE };
    pages::respond(&app.config, "forgot_password.html", &page)
}
