//! The page behind the link that ends mails that sell. Opening it changes nothing, because mail scanners open links; its button
//! does, and so does the button of a mail program, which posts to the same address (RFC 8058).

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use serde::{Deserialize, Serialize};

use super::unsubscribe::{self, PAGE};
use crate::app::App;
use crate::platform::error::Result;
use crate::platform::http::Query;
use crate::platform::http::pages;

pub(super) fn routes() -> Router<App> {
    Router::new().route(PAGE, get(ask).post(unsubscribe))
}

#[derive(Deserialize)]
struct Link {
    #[serde(default)]
    token: String,
}

#[derive(Serialize)]
struct Page<'a> {
    state: &'a str,
    action: &'a str,
    token: &'a str,
}

async fn ask(State(app): State<App>, Query(link): Query<Link>) -> Result<Response> {
    let state = if unsubscribe::is_valid(&app, &link.token) { "ask" } else { "invalid" };
    pages::respond(&app.config, "unsubscribe.html", &Page { state, action: PAGE, token: &link.token })
}

async fn unsubscribe(State(app): State<App>, Query(link): Query<Link>) -> Result<Response> {
    let state = if unsubscribe::unsubscribe(&app, &link.token).await? { "done" } else { "invalid" };
    pages::respond(&app.config, "unsubscribe.html", &Page { state, action: PAGE, token: "" })
}
