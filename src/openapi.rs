//! The OpenAPI document, made from the handlers.

use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ContentBuilder, OpenApi, Ref, RefOr, ResponseBuilder};
use utoipa::{Modify, OpenApi as _};

/// What the document says beside the routes.
#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "AGAPE",
        description = "The commerce API of AGAPE. Money is a number in main units with at most two decimals; \
                       times are UTC in RFC 3339; ids are UUIDs. Errors have one shape, with a code for programs and \
                       a message for people. Requests refuse fields they do not know. Each operation names who may \
                       use it: everybody (an empty requirement), whoever is signed in (`bearer`), or the roles that \
                       have the permission named beside `bearer`."
    ),
    modifiers(&Bearer),
    tags(
        (name = "Accounts", description = "Registering, signing in, sessions"),
        (name = "Accounts, staff", description = "Keeping accounts"),
        (name = "Addresses", description = "The address book"),
        (name = "Privacy", description = "One's own data: export, erasure, consent"),
        (name = "Audit, staff", description = "Who did what"),
        (name = "Catalogue", description = "Products, categories, search"),
        (name = "Catalogue, staff", description = "Keeping the catalogue"),
        (name = "Media, staff", description = "The shop's own pictures"),
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
    let mut document = crate::router::api().split_for_parts().1;
    add_common_answers(&mut document);
    document
}

/// Every route of the API may refuse for reasons that are not its own: an expired token, a body that is too large, a
/// database that does not answer. All have the one shape, so they are said once.
fn add_common_answers(document: &mut OpenApi) {
    let refusal = || {
        let schema = Ref::from_schema_name("ErrorEnvelope");
        let content = ContentBuilder::new().schema(Some(schema)).build();
        ResponseBuilder::new()
            .description("Any other refusal or failure; `code` says which")
            .content("application/json", content)
            .build()
    };
    let api = document.paths.paths.iter_mut().filter(|(path, _)| path.starts_with("/api/"));
    for item in api.map(|(_, item)| item) {
        let operations =
            [&mut item.get, &mut item.post, &mut item.put, &mut item.patch, &mut item.delete].into_iter().flatten();
        for operation in operations {
            operation.responses.responses.insert("default".to_owned(), RefOr::T(refusal()));
        }
    }
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
