//! The page behind the link of the verification mail. Opening it changes nothing, because mail scanners open links;
//! the button does.

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use serde::{Deserialize, Serialize};

use super::service;
use crate::app::App;
use crate::platform::error::{Error, Result};
use crate::platform::http::Query;
use crate::platform::http::pages;

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
}

pub(super) fn routes() -> Router<App> {
    Router::new().route("/verify-email", get(ask).post(verify))
}

async fn ask(State(app): State<App>, Query(link): Query<Link>) -> Result<Response> {
    // A link that a mail program has cut off.
    let state = if link.token.is_empty() { "invalid" } else { "ask" };
    pages::respond(&app.config, "verify_email.html", &Page { state, token: &link.token, action: "/verify-email" })
}

async fn verify(State(app): State<App>, form: axum::Form<Link>) -> Result<Response> {
    let state = match service::verify_email(&app, &form.token).await {
        Ok(()) => "done",
        Err(Error::Validation(_)) => "invalid",
        Err(error) => return Err(error),
    };
    pages::respond(&app.config, "verify_email.html", &Page { state, token: "", action: "" })
}
