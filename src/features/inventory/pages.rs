//! The page behind the link of a back-in-stock mail, without scripts. Opening it changes nothing, because mail scanners open
//! links; its button does.

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;
use serde_json::json;

use super::requests_service as service;
use crate::app::App;
use crate::platform::error::Result;
use crate::platform::http::{Query, pages};

pub(super) const STOP: &str = "/back-in-stock/stop";

#[derive(Deserialize)]
struct Link {
    #[serde(default)]
    token: String,
}

pub(super) fn routes() -> Router<App> {
    Router::new().route(STOP, get(ask).post(stop))
}

async fn ask(State(app): State<App>, Query(link): Query<Link>) -> Result<Response> {
    let email = service::address_of(&app, &link.token);
    let state = if email.is_some() { "ask" } else { "invalid" };
    respond(&app, state, &email.unwrap_or_default(), &link.token)
}

async fn stop(State(app): State<App>, form: axum::Form<Link>) -> Result<Response> {
    let state = if service::stop(&app, &form.token).await? { "done" } else { "invalid" };
    respond(&app, state, "", "")
}

fn respond(app: &App, state: &str, email: &str, token: &str) -> Result<Response> {
    let page = json!({"state": state, "email": email, "token": token, "action": STOP});
    pages::respond(&app.config, "back_in_stock_stop.html", &page)
}
