//! The endpoints of the address book.

use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::service::{self, NewEntry};
use super::store::Entry;
use crate::app::App;
use crate::features::auth::Identity;
use crate::platform::address::{Address, UnknownRegion};
use crate::platform::error::Result;
use crate::platform::http::envelope::Empty;
use crate::platform::http::keyed::{self, Keyed};
use crate::platform::http::{Answer, Body, Envelope, ErrorEnvelope, IdempotencyHeader, PathId, deleted, ok};
use crate::platform::ids::AddressId;
use crate::platform::text::Text;

/// A new entry. Its `address` is what an order takes as `shippingAddress`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct CreateAddress {
    #[schema(value_type = String, min_length = 1, max_length = 40, example = "Home")]
    label: Text<1, 40>,
    address: Address,
    /// The first entry is the default in any case.
    #[serde(default)]
    is_default: bool,
}

/// A change of an entry. Fields that are left out stay as they are.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct UpdateAddress {
    #[schema(value_type = Option<String>, min_length = 1, max_length = 40)]
    label: Option<Text<1, 40>>,
    address: Option<Address>,
    is_default: Option<bool>,
}

/// An entry of the address book.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct AddressView {
    id: AddressId,
    label: String,
    address: Address,
    is_default: bool,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<Entry> for AddressView {
    fn from(entry: Entry) -> Self {
        Self {
            id: entry.id,
            label: entry.label,
            address: entry.address.0,
            is_default: entry.is_default,
            created_at: entry.created_at,
            updated_at: entry.updated_at,
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AddressesData {
    addresses: Vec<AddressView>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AddressData {
    address: AddressView,
}

/// My addresses
///
/// The default first.
#[utoipa::path(get, path = "/addresses", tag = "Addresses", security(("bearer" = [])), responses(
    (status = 200, body = Envelope<AddressesData>),
    (status = 401, body = ErrorEnvelope),
))]
pub(super) async fn list_addresses(State(app): State<App>, identity: Identity) -> Answer<AddressesData> {
    let addresses = service::list(&app, identity.user_id).await?.into_iter().map(AddressView::from).collect();
    Ok(ok(AddressesData { addresses }))
}

/// Add an address
///
/// State and number are checked by the rules of the country, and stored in one spelling. Send an `Idempotency-Key`: a repeated
/// request with the same key and body gets the first answer, and no second entry.
#[utoipa::path(post, path = "/addresses", tag = "Addresses", security(("bearer" = [])), request_body = CreateAddress,
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 255 characters, kept for 24 hours")),
    responses(
    (status = 201, body = Envelope<AddressData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "The book is full, or the same key is still running"),
    (status = 422, body = ErrorEnvelope, description = "The key was used with another body"),
))]
pub(super) async fn create_address(
    State(app): State<App>,
    identity: Identity,
    IdempotencyHeader(key): IdempotencyHeader,
    body: Body<CreateAddress>,
) -> Result<Keyed> {
    let key = keyed::key(key, identity.user_id, "POST /addresses", "", &body.fingerprint);
    let CreateAddress { label, address, is_default } = body.value;
    let address = address.resolve("address", UnknownRegion::Refuse)?;
    let new = NewEntry { label: label.into_string(), address, is_default };
    service::create(&app, identity.user_id, new, key, |entry| AddressData { address: entry.into() }).await
}

/// Change an address
#[utoipa::path(patch, path = "/addresses/{address}", tag = "Addresses", security(("bearer" = [])),
    params(("address" = AddressId, Path)), request_body = UpdateAddress, responses(
    (status = 200, body = Envelope<AddressData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope, description = "Unknown, or another person's"),
))]
pub(super) async fn update_address(
    State(app): State<App>,
    identity: Identity,
    PathId(id): PathId<AddressId>,
    body: Body<UpdateAddress>,
) -> Answer<AddressData> {
    let UpdateAddress { label, address, is_default } = body.value;
    let address = address.map(|address| address.resolve("address", UnknownRegion::Refuse)).transpose()?;
    let label = label.map(Text::into_string);
    let entry = service::update(&app, identity.user_id, id, label, address, is_default).await?;
    Ok(ok(AddressData { address: entry.into() }))
}

/// Remove an address
#[utoipa::path(delete, path = "/addresses/{address}", tag = "Addresses", security(("bearer" = [])),
    params(("address" = AddressId, Path)), responses(
    (status = 200, body = Envelope<Empty>),
    (status = 401, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope, description = "Unknown, or another person's"),
))]
pub(super) async fn delete_address(
    State(app): State<App>,
    identity: Identity,
    PathId(id): PathId<AddressId>,
) -> Answer<Empty> {
    service::delete(&app, identity.user_id, id).await?;
    Ok(deleted("The address is removed."))
}
