//! A product as shoppers read it.

use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};

use super::service::{self, Named, ProductData};
use crate::app::App;
use crate::platform::error::Result;
use crate::platform::http::tags::is_known;
use crate::platform::http::{Envelope, ErrorEnvelope, PathName};

/// Get a product
///
/// Answers 304 to a matching `If-None-Match`. A slug that the product had before is led to the one that it has now.
#[utoipa::path(get, path = "/products/{product}", tag = "Catalogue", security(()),
    params(("product" = String, Path, description = "The product's id or slug")), responses(
    (status = 200, body = Envelope<ProductData>, headers(("ETag" = String))),
    (status = 304, description = "The product is as the caller knows it"),
    (status = 308, description = "The product has another slug now", headers(("Location" = String))),
    (status = 404, body = ErrorEnvelope),
))]
pub(super) async fn get_product(
    State(app): State<App>,
    PathName(name): PathName,
    headers: HeaderMap,
) -> Result<Response> {
    let product = match service::get_product(&app, &name).await? {
        Named::Product(product) => product,
        Named::Moved(slug) => return Ok(Redirect::permanent(&format!("/api/v1/products/{slug}")).into_response()),
    };
    let known = is_known(headers.get_all(IF_NONE_MATCH), &product.etag);
    let head = [(ETAG, product.etag), (CACHE_CONTROL, HeaderValue::from_static("no-cache"))];
    Ok(if known {
        (StatusCode::NOT_MODIFIED, head).into_response()
    } else {
        (head, [(CONTENT_TYPE, HeaderValue::from_static("application/json"))], product.body).into_response()
    })
}
