//! The OpenAPI document, made from the handlers.

use utoipa::openapi::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi as _};

/// What the document says beside the routes.
#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "AGAPE",
        description = "The commerce API of AGAPE. Money is a number in main units with at most two decimals; \
                       times are UTC in RFC 3339; ids are UUIDs. Errors have one shape, with a code for programs and \
                       a message for people. Requests refuse fields they do not know."
    ),
    modifiers(&Bearer),
    tags(
        (name = "Accounts", description = "Registering, signing in, sessions"),
        (name = "Catalogue", description = "Products, categories, search"),
        (name = "Catalogue, staff", description = "Keeping the catalogue"),
        (name = "Cart", description = "Carts of guests and accounts"),
        (name = "Orders", description = "Placing and following orders"),
        (name = "Payments", description = "Paying orders with Paystack"),
        (name = "Operation", description = "Health and metrics"),
    )
)]
pub(crate) struct Head;

#[derive(Debug)]
struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
        document.components.get_or_insert_default().add_security_scheme("bearer", SecurityScheme::Http(scheme));
    }
}

/// The document of this binary.
pub fn document() -> OpenApi {
    crate::router::api().split_for_parts().1
}

/// The document as it is committed and served: indented, ending in a line break.
///
/// # Errors
/// When it cannot be written as JSON.
pub fn json() -> anyhow::Result<String> {
    Ok(document().to_pretty_json()? + "\n")
}

/// An empty document with its head.
pub(crate) fn head() -> OpenApi {
    Head::openapi()
}
