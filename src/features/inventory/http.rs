//! What shoppers can ask about stock.

use axum::extract::State;
use serde::Deserialize;
use utoipa::ToSchema;

use super::requests_service as service;
use crate::app::App;
use crate::features::auth::{self, Caller};
use crate::limits;
use crate::platform::error::Error;
use crate::platform::http::envelope::Empty;
use crate::platform::http::{Answer, Body, Envelope, ErrorEnvelope, PathId, ok};
use crate::platform::ids::{ProductId, VariantId};
use crate::platform::text::Email;

/// What somebody waits for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct RequestBackInStock {
    /// May be left out for a product with one variant.
    variant_id: Option<VariantId>,
    /// Where to write. Required of guests, and refused of accounts, which have one.
    email: Option<Email>,
}

/// Ask to hear when something is back
///
/// One mail is sent when the variant can be bought again, to those who asked first, first; then, or after some months, the
/// request is forgotten. The answer is the same whether the address waits already. It is not asked to confirm: the request
/// itself sends nothing, an address waits for at most 20 variants, and each mail can take all of them back.
#[utoipa::path(post, path = "/products/{product}/back-in-stock", tag = "Catalogue", security((), ("bearer" = [])),
    params(("product" = ProductId, Path)), request_body = RequestBackInStock, responses(
    (status = 200, body = Envelope<Empty>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "It can be bought now, or the address waits for 20 variants already"),
    (status = 429, body = ErrorEnvelope),
))]
pub(super) async fn request_back_in_stock(
    State(app): State<App>,
    caller: Caller,
    PathId(product): PathId<ProductId>,
    body: Body<RequestBackInStock>,
) -> Answer<Empty> {
    let RequestBackInStock { variant_id, email } = body.value;
    let (email, user) = match (caller.as_ref(), email) {
        (None, Some(email)) => (email, None),
        (None, None) => return Err(Error::field("email", "is required without an account")),
        (Some(_), Some(_)) => return Err(Error::field("email", "must be left out; the account's address is taken")),
        (Some(identity), None) => {
            let email =
                auth::email_of(&mut *app.db.acquire().await?, identity.user_id).await?.ok_or_else(Error::gone)?;
            (email.parse().map_err(|_| Error::gone())?, Some(identity.user_id))
        }
    };
    limits::check_account(&app, email.as_str()).await?;
    service::ask(&app, product, variant_id, &email, user).await?;
    Ok(ok(Empty {}).say(format!("We will write to {} when it is back.", email.as_str())))
}
