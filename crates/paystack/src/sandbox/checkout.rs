//! The hosted payment page.

use axum::extract::{Form, Path, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use minijinja::{Environment, Value, context};
use reqwest::Url;
use serde::Deserialize;

use super::api::is_web_url;
use super::money::Currency;
use super::payment::{Card, Payment, Status};
use super::store::State as StoreState;
use super::{Sandbox, delivery};

/// Allows nothing but the page's own style sheet. Where forms may lead is left
/// open: browsers apply that rule to the redirect back to the shop too.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; base-uri 'none'";

/// The page's templates; the names' ending switches HTML escaping on.
pub(super) fn templates() -> Result<Environment<'static>, minijinja::Error> {
    let mut templates = Environment::new();
    templates.add_template("base.html", include_str!("base.html"))?;
    templates.add_template("checkout.html", include_str!("checkout.html"))?;
    templates.add_template("notice.html", include_str!("notice.html"))?;
    Ok(templates)
}

/// `GET /style.css`.
pub(super) async fn style() -> impl IntoResponse {
    let cache = [(header::CACHE_CONTROL, "max-age=3600")];
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], cache, include_str!("style.css"))
}

/// `GET /checkout/{access_code}`.
pub(super) async fn show(State(sandbox): State<Sandbox>, Path(access_code): Path<String>) -> Response {
    let found = sandbox.0.store.read(|state| state.by_access_code(&access_code).cloned());
    let Some(payment) = found else {
        return unknown(&sandbox);
    };
    if payment.status == Status::Success {
        return already_paid(&sandbox, &payment);
    }
    let failure = (payment.status == Status::Failed).then(|| payment.gateway_response());
    let context = context! {
        page => frame(&sandbox),
        action => sandbox.checkout_url(&payment.access_code),
        amount => amount(&payment),
        email => payment.email,
        reference => payment.reference,
        failure => failure,
    };
    page(&sandbox, StatusCode::OK, "checkout.html", context)
}

/// What a form of the page sends.
#[derive(Debug, Deserialize)]
pub(super) struct Submission {
    action: Action,
    #[serde(default)]
    card: Card,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Action {
    Pay,
    Decline,
    Abandon,
}

/// `POST /checkout/{access_code}`. A transaction already paid stays as it is.
pub(super) async fn submit(
    State(sandbox): State<Sandbox>,
    Path(access_code): Path<String>,
    Form(submission): Form<Submission>,
) -> Response {
    let changed = sandbox.0.store.change(|state| apply(state, &access_code, &submission));
    let Some((payment, deliveries)) = changed else {
        return unknown(&sandbox);
    };
    for delivery in deliveries {
        delivery::start(&sandbox, delivery);
    }
    let paid = payment.status == Status::Success;
    let left = submission.action == Action::Abandon;
    let target = match payment.cancel_action().filter(|url| is_web_url(url)) {
        Some(url) if left && !paid => Some(url),
        _ if left || paid => return_url(&payment),
        // After a failure the shopper may try again on the page.
        _ => Some(sandbox.checkout_url(&access_code)),
    };
    match target {
        Some(target) => Redirect::to(&target).into_response(),
        None if paid => already_paid(&sandbox, &payment),
        None => {
            let text = "You left without paying. You may close this page.";
            notice(&sandbox, StatusCode::OK, "Not paid", text, None)
        }
    }
}

/// Carries out one submission and notes the webhooks that follow from it.
fn apply(
    state: &mut StoreState,
    access_code: &str,
    submission: &Submission,
) -> Option<(Payment, Vec<delivery::Delivery>)> {
    let (webhook, delta) = (state.faults.webhook, state.faults.amount_delta);
    let payment = state.by_access_code_mut(access_code)?;
    if payment.status == Status::Success {
        return Some((payment.clone(), Vec::new()));
    }
    match submission.action {
        Action::Pay => payment.pay(submission.card, delta),
        Action::Decline => payment.pay(Card::Declined, delta),
        Action::Abandon => payment.status = Status::Abandoned,
    }
    let payment = payment.clone();
    // Paystack tells the merchant of successes only.
    let paid = payment.status == Status::Success;
    let delays = if paid { webhook.delays() } else { Vec::new() };
    let deliveries = delays.into_iter().map(|delay| delivery::note(state, &payment, delay)).collect();
    Some((payment, deliveries))
}

/// The merchant's page, told which transaction it was as Paystack tells it.
fn return_url(payment: &Payment) -> Option<String> {
    let mut url = Url::parse(payment.callback_url.as_deref()?).ok()?;
    let reference = payment.reference.as_str();
    url.query_pairs_mut().extend_pairs([("trxref", reference), ("reference", reference)]);
    Some(url.into())
}

fn amount(payment: &Payment) -> String {
    Currency::find(&payment.currency).map(|currency| currency.format(payment.requested_amount)).unwrap_or_default()
}

fn already_paid(sandbox: &Sandbox, payment: &Payment) -> Response {
    let text = format!("{} has been paid. Nothing more is taken.", amount(payment));
    notice(sandbox, StatusCode::OK, "Already paid", &text, return_url(payment))
}

fn unknown(sandbox: &Sandbox) -> Response {
    let text = "There is no payment under this address. Please go back to the shop.";
    notice(sandbox, StatusCode::NOT_FOUND, "Payment not found", text, None)
}

fn notice(sandbox: &Sandbox, status: StatusCode, title: &str, text: &str, back: Option<String>) -> Response {
    page(sandbox, status, "notice.html", context! { page => frame(sandbox), title, text, back })
}

/// What every page shows.
fn frame(sandbox: &Sandbox) -> Value {
    context! {
        store_name => &sandbox.0.config.store_name,
        style_url => format!("{}/style.css", sandbox.0.config.public_url),
    }
}

fn page(sandbox: &Sandbox, status: StatusCode, template: &str, context: Value) -> Response {
    let rendered = sandbox.0.templates.get_template(template).and_then(|template| template.render(context));
    let headers = [(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY), (header::CACHE_CONTROL, "no-store")];
    match rendered {
        Ok(html) => (status, headers, Html(html)).into_response(),
        Err(error) => {
            tracing::error!(%error, template, "cannot render the Paystack sandbox's page");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
