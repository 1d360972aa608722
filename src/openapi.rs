//! The OpenAPI document, made from the handlers.

use utoipa::openapi::path::Operation;
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
        (name = "Inventory, staff", description = "Keeping stock"),
        (name = "Media, staff", description = "The shop's own pictures"),
        (name = "Cart", description = "Carts of guests and accounts"),
        (name = "Coupons", description = "What codes take off an order"),
        (name = "Coupons, staff", description = "Keeping coupons"),
        (name = "Wishlist", description = "What accounts wish for"),
        (name = "Orders", description = "Placing and following orders"),
        (name = "Shipping", description = "How goods are shipped, and what it costs"),
        (name = "Shipping, staff", description = "Keeping zones and methods"),
        (name = "Taxes, staff", description = "Keeping taxes"),
        (name = "Payments", description = "Paying orders with Paystack"),
        (name = "Payments, staff", description = "Deciding about money, giving it back, and what the payment provider tells"),
        (name = "Events, staff", description = "What has happened, for programs"),
        (name = "Webhooks, staff", description = "Addresses that are told of events"),
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
    for (path, operation) in operations(&mut document) {
        describe_answers(operation);
        if path.starts_with("/api/") {
            add_common_answer(operation);
        }
    }
    document
}

/// Every operation with its path.
fn operations(document: &mut OpenApi) -> impl Iterator<Item = (&str, &mut Operation)> {
    document.paths.paths.iter_mut().flat_map(|(path, item)| {
        let all = [&mut item.get, &mut item.post, &mut item.put, &mut item.patch, &mut item.delete];
        all.into_iter().flatten().map(|operation| (path.as_str(), operation))
    })
}

/// What a status means where the route says no more about it.
const MEANINGS: [(&str, &str); 14] = [
    ("200", "Done; the answer"),
    ("201", "Created"),
    ("202", "Accepted; the work goes on in the background"),
    ("204", "Done; there is nothing to tell"),
    ("304", "It is as the caller knows it"),
    ("400", "A field is missing or wrong; all are listed"),
    ("401", "The caller is not signed in, or the token is over"),
    ("403", "The caller may not do this"),
    ("404", "There is none, or none that the caller may see"),
    ("409", "It does not go with the present state"),
    ("413", "The body is too large"),
    ("415", "The body is not of a type that this address reads"),
    ("422", "The same key came with another body"),
    ("429", "Too many requests; `Retry-After` says when to come again"),
];

/// Says what an answer means that the route has left without words.
fn describe_answers(operation: &mut Operation) {
    for (status, response) in &mut operation.responses.responses {
        if let RefOr::T(response) = response
            && response.description.is_empty()
            && let Some((_, meaning)) = MEANINGS.iter().find(|(known, _)| known == status)
        {
            (*meaning).clone_into(&mut response.description);
        }
    }
}

/// Every route of the API may refuse for reasons that are not its own: an expired token, a body that is too large, a
/// database that does not answer. All have the one shape, so they are said once.
fn add_common_answer(operation: &mut Operation) {
    let schema = Ref::from_schema_name("ErrorEnvelope");
    let content = ContentBuilder::new().schema(Some(schema)).build();
    let refusal = ResponseBuilder::new()
        .description("Any other refusal or failure; `code` says which")
        .content("application/json", content)
        .build();
    operation.responses.responses.insert("default".to_owned(), RefOr::T(refusal));
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A status that `MEANINGS` does not know has to be described by its route.
    #[test]
    fn every_answer_says_what_it_means() {
        let mut document = document();
        let mut silent = Vec::new();
        for (path, operation) in operations(&mut document) {
            for (status, response) in &operation.responses.responses {
                if matches!(response, RefOr::T(response) if response.description.trim().is_empty()) {
                    silent.push(format!("{path}: {status}"));
                }
            }
        }
        assert!(silent.is_empty(), "answers without a description: {silent:#?}");
    }
}
