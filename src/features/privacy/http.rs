//! The endpoints of privacy.

use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::store::{self, Consent, ConsentKind, Person};
use crate::app::App;
use crate::features::auth::{Caller, Identity};
use crate::flows::{erase, export};
use crate::platform::error::{Error, Result};
use crate::platform::http::envelope::Empty;
use crate::platform::http::{Answer, Body, Envelope, ErrorEnvelope, Query, RequestMeta, created, deleted, ok};
use crate::platform::ids::ConsentId;
use crate::platform::text::Text;

/// The proof of whoever wants to be erased.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EraseMyAccount {
    #[schema(format = Password, max_length = 128)]
    password: String,
    /// Of the authenticator, or a recovery code, where the account has a second factor.
    #[schema(max_length = 40)]
    code: Option<String>,
}

/// An answer to a question about one's data.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct RecordConsent {
    kind: ConsentKind,
    granted: bool,
    /// What the person was shown, such as `privacy policy of 2026-11-01`.
    #[schema(value_type = String, min_length = 1, max_length = 200)]
    wording: Text<1, 200>,
    /// Of a visitor without an account: an id that the storefront made and keeps. Not for accounts.
    visitor_id: Option<Uuid>,
}

/// Whose answers.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(super) struct ListConsents {
    /// Of a visitor without an account.
    visitor_id: Option<Uuid>,
}

/// One answer.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ConsentView {
    id: ConsentId,
    kind: ConsentKind,
    granted: bool,
    wording: String,
    at: DateTime<Utc>,
}

impl From<Consent> for ConsentView {
    fn from(consent: Consent) -> Self {
        let Consent { id, kind, granted, wording, at } = consent;
        Self { id, kind, granted, wording, at }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ConsentsData {
    consents: Vec<ConsentView>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ConsentData {
    consent: ConsentView,
}

/// All that the shop has about me
///
/// One JSON: account, addresses, consents, sessions, orders, payments, cart, wishlist, mails, audit entries.
#[utoipa::path(get, path = "/privacy/export", tag = "Privacy", security(("bearer" = [])), responses(
    (status = 200, body = Envelope<Value>),
    (status = 401, body = ErrorEnvelope),
    (status = 429, body = ErrorEnvelope),
))]
pub(super) async fn export_my_data(State(app): State<App>, identity: Identity, meta: RequestMeta) -> Result<Response> {
    let data = export::export(&app, &identity, &meta).await?;
    let mut response = ok(data).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_DISPOSITION, HeaderValue::from_static("attachment; filename=\"my-data.json\""));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// Erase my account
///
/// The person is gone for good. Orders and what tax law wants of them are kept without him. Refused while an order is
/// on its way; unpaid orders are cancelled.
#[utoipa::path(post, path = "/privacy/erase", tag = "Privacy", security(("bearer" = [])), request_body = EraseMyAccount,
    responses(
    (status = 200, body = Envelope<Empty>),
    (status = 400, body = ErrorEnvelope, description = "The password or the code is wrong"),
    (status = 401, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "An order is on its way, or it is the last administrator"),
    (status = 429, body = ErrorEnvelope),
))]
pub(super) async fn erase_my_account(
    State(app): State<App>,
    identity: Identity,
    meta: RequestMeta,
    body: Body<EraseMyAccount>,
) -> Answer<Empty> {
    let EraseMyAccount { password, code } = body.value;
    erase::erase_own(&app, &identity, &password, code.as_deref(), &meta).await?;
    Ok(deleted("Your account is erased."))
}

fn person(caller: Caller, visitor: Option<Uuid>) -> Result<Person> {
    match (caller, visitor) {
        (Some(_), Some(_)) => Err(Error::field("visitorId", "must be left out by whoever is signed in")),
        (Some(identity), None) => Ok(Person::User(identity.user_id)),
        (None, Some(visitor)) => Ok(Person::Visitor(visitor)),
        (None, None) => Err(Error::field("visitorId", "is required of whoever is not signed in")),
    }
}

/// My last answers
///
/// One for each kind that was asked about.
#[utoipa::path(get, path = "/privacy/consents", tag = "Privacy", security((), ("bearer" = [])), params(ListConsents),
    responses(
    (status = 200, body = Envelope<ConsentsData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
))]
pub(super) async fn list_consents(
    State(app): State<App>,
    caller: Caller,
    Query(which): Query<ListConsents>,
) -> Answer<ConsentsData> {
    let person = person(caller, which.visitor_id)?;
    let consents = store::current(&mut *app.db.acquire().await?, person).await?;
    Ok(ok(ConsentsData { consents: consents.into_iter().map(ConsentView::from).collect() }))
}

/// Answer a question about my data
///
/// Answers are only added; the last one of a kind counts.
#[utoipa::path(post, path = "/privacy/consents", tag = "Privacy", security((), ("bearer" = [])),
    request_body = RecordConsent, responses(
    (status = 201, body = Envelope<ConsentData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
))]
pub(super) async fn record_consent(
    State(app): State<App>,
    caller: Caller,
    body: Body<RecordConsent>,
) -> Answer<ConsentData> {
    let RecordConsent { kind, granted, wording, visitor_id } = body.value;
    let person = person(caller, visitor_id)?;
    let consent = Consent { id: ConsentId::new(), kind, granted, wording: wording.into_string(), at: app.clock.now() };
    store::insert(&mut *app.db.acquire().await?, person, &consent).await?;
    Ok(created(ConsentData { consent: consent.into() }))
}
