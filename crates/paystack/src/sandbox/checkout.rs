//! The hosted payment page.

use axum::extract::{Form, Path, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use minijinja::{Environment, Value, context};
use reqwest::Url;
use serde::Deserialize;
use serde::de::value::StringDeserializer;
use serde::de::{Deserializer, IntoDeserializer};

use super::api::is_web_url;
use super::means::{Course, Means};
use super::money::Currency;
use super::payment::{Payment, Status, Take};
use super::store::State as StoreState;
use super::wish::{Magic, Taken, WebhookFault, Wish};
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
    let found = sandbox.0.store.read(|state| {
        let payment = state.by_access_code(&access_code)?.clone();
        let magic = Magic::of(payment.requested_amount, &state.faults);
        Some((payment, magic))
    });
    let Some((payment, magic)) = found else {
        return unknown(&sandbox);
    };
    if payment.is_paid() {
        return already_paid(&sandbox, &payment);
    }
    let question = match payment.means().map(Means::course) {
        Some(Course::Asks(question)) if payment.status == Status::Ongoing => Some(question),
        _ => None,
    };
    let means: Vec<_> = Means::ALL.into_iter().map(Means::label).collect();
    let context = context! {
        page => frame(&sandbox),
        action => sandbox.checkout_url(&payment.access_code),
        amount => amount(&payment),
        email => &payment.email,
        reference => &payment.reference,
        failure => (payment.status == Status::Failed).then(|| payment.gateway_response()),
        question => question,
        is_waiting => payment.status == Status::Pending,
        means => means,
        magic => magic.map(|magic| magic.words),
    };
    page(&sandbox, StatusCode::OK, "checkout.html", context)
}

/// What a form of the page sends.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Submission {
    action: Action,
    #[serde(default, rename = "card")]
    means: Means,
    /// What is to go wrong; an empty field leaves it open.
    #[serde(default, deserialize_with = "chosen")]
    webhook: Option<WebhookFault>,
    #[serde(default, deserialize_with = "chosen")]
    taken: Option<Taken>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Action {
    /// Pays with a means.
    Pay,
    /// Answers what the bank asks.
    Confirm,
    /// Approves on the phone.
    Approve,
    /// Does not answer, or not on the phone, until the time is over.
    TimeOut,
    Decline,
    Abandon,
}

/// A choice of a form, in which an empty text is none.
fn chosen<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() {
        return Ok(None);
    }
    let text: StringDeserializer<D::Error> = text.into_deserializer();
    T::deserialize(text).map(Some)
}

/// `POST /checkout/{access_code}`. A transaction already paid stays as it is.
pub(super) async fn submit(
    State(sandbox): State<Sandbox>,
    Path(access_code): Path<String>,
    Form(submission): Form<Submission>,
) -> Response {
    let Some(payment) = carry_out(&sandbox, &access_code, &submission) else {
        return unknown(&sandbox);
    };
    let paid = payment.is_paid();
    let left = submission.action == Action::Abandon;
    let target = match payment.cancel_action().filter(|url| is_web_url(url)) {
        Some(url) if left && !paid => Some(url),
        _ if left || paid => return_url(&payment),
        // After a failure the shopper may try again on the page, and what is asked
        // or waited for is there.
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

/// Carries out one submission and sends the webhooks that follow from it. Gives
/// the transaction as it is then; none if there is none.
pub(super) fn carry_out(sandbox: &Sandbox, access_code: &str, submission: &Submission) -> Option<Payment> {
    let (payment, deliveries) = sandbox.0.store.change(|state| apply(state, access_code, submission))?;
    delivery::start(sandbox, deliveries);
    Some(payment)
}

fn apply(
    state: &mut StoreState,
    access_code: &str,
    submission: &Submission,
) -> Option<(Payment, Vec<delivery::Delivery>)> {
    let mut payment = state.by_access_code(access_code)?.clone();
    if payment.is_paid() {
        return Some((payment, Vec::new()));
    }
    if submission.action == Action::Pay {
        payment.wish = Wish { webhook: submission.webhook, taken: submission.taken };
    }
    let (webhook, taken) = payment.wish.or(payment.requested_amount, &state.faults);
    let take = Take { taken, amount_delta: state.faults.amount_delta };
    match (submission.action, payment.status) {
        (Action::Pay, _) => payment.begin(submission.means, take),
        (Action::Decline, _) => payment.begin(Means::Declined, take),
        (Action::Confirm, Status::Ongoing) | (Action::Approve, Status::Pending) => payment.succeed(take),
        (Action::TimeOut, Status::Ongoing | Status::Pending) => payment.fail("Timed out"),
        // Whoever leaves may still approve on the phone.
        (Action::Abandon, status) if status != Status::Pending => payment.status = Status::Abandoned,
        _ => {}
    }
    if let Some(kept) = state.by_id_mut(payment.id) {
        *kept = payment.clone();
    }
    let delays = if payment.is_paid() { webhook.delays(2) } else { Vec::new() };
    let deliveries = delivery::note_charge(state, &payment, &delays);
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
