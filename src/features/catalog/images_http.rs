//! The pictures of a product, as staff keep them.

use axum::extract::State;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::admin_http::StaffProductData;
use super::images_model::ImageType;
use super::images_service::{self as service, Change, Source};
use super::rules::is_image_url;
use super::service::ProductData;
use super::staff_service::{self, Deed};
use crate::app::App;
use crate::features::auth::Identity;
use crate::flows::fetch_images;
use crate::platform::error::{Error, FieldError, Result};
use crate::platform::http::keyed::{self, Keyed};
use crate::platform::http::{
    Answer, Body, Envelope, ErrorEnvelope, IdempotencyHeader, PathId, PathIds, Query, RequestMeta, ok,
};
use crate::platform::ids::{AssetId, ImageId, ProductId};
use crate::platform::text::Text;

/// A picture to add: one of the library, or one at an address.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct AddImage {
    /// A picture of the library.
    asset_id: Option<AssetId>,
    /// An http or https address, or a path on this server that starts with `/media/`.
    #[schema(value_type = Option<String>, max_length = 2000)]
    url: Option<Text<1, 2000>>,
    /// What it shows; the library's words when left out.
    #[schema(value_type = Option<String>, max_length = 300)]
    alt: Option<Text<0, 300>>,
    /// The first picture of a product is its `main` one, and no other is. One that is added as `main` becomes the first;
    /// others are `detail` when left out.
    r#type: Option<ImageType>,
    /// The product's version that this is based on; refused with 409 when it is not the current one.
    version: Option<i32>,
}

/// A change of a picture. Fields that are left out stay as they are.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct UpdateImage {
    #[schema(value_type = Option<String>, max_length = 300)]
    alt: Option<Text<0, 300>>,
    /// `main` puts it first; the first picture can be nothing else.
    r#type: Option<ImageType>,
    /// The product's version that this is based on; refused with 409 when it is not the current one.
    version: Option<i32>,
}

/// The version that a removal is based on.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct RemoveImage {
    /// The product's; refused with 409 when it is not the current one.
    version: Option<i32>,
}

/// All pictures of the product in their new order.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OrderImages {
    /// Each picture's id, once.
    #[schema(max_items = 250)]
    images: Vec<ImageId>,
    /// The product's version that this is based on; refused with 409 when it is not the current one.
    version: Option<i32>,
}

/// Add a picture to a product
///
/// It comes last, unless it is the `main` one. A product has at most ten.
#[utoipa::path(post, path = "/products/{product}/images", tag = "Catalogue, staff",
    security(("bearer" = ["manage_catalog"])),
    params(("product" = ProductId, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "1 to 255 characters, kept for 24 hours")),
    request_body = AddImage, responses(
    (status = 201, body = Envelope<ProductData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "The product has ten pictures, the version is not the current one, or the same key is still running"),
    (status = 422, body = ErrorEnvelope, description = "The key was used with another body"),
))]
pub(super) async fn add_image(
    State(app): State<App>,
    identity: Identity,
    PathId(product): PathId<ProductId>,
    meta: RequestMeta,
    IdempotencyHeader(key): IdempotencyHeader,
    body: Body<AddImage>,
) -> Result<Keyed> {
    let key =
        keyed::key(key, identity.user_id, "POST /products/{product}/images", &product.to_string(), &body.fingerprint);
    let AddImage { asset_id, url, alt, r#type: kind, version } = body.value;
    let source = match (asset_id, url.map(Text::into_string)) {
        (Some(id), None) => Source::Asset(id),
        (None, Some(url)) if is_image_url(&url) => Source::Url(url),
        (None, Some(_)) => return Err(Error::field("url", "must be an http or https address")),
        (Some(_), Some(_)) => return Err(Error::field("url", "must be left out where there is an assetId")),
        (None, None) => {
            return Err(Error::Validation(vec![FieldError::new("assetId", "is required, or a url in its place")]));
        }
    };
    let change = Change::Add { source, alt: alt.map(Text::into_string), kind };
    let deed = Deed { actor: &identity, meta: &meta, action: "product.add_image", id: product };
    service::change_once(&app, deed, version, change, key).await
}

/// Put the pictures of a product in order
#[utoipa::path(put, path = "/products/{product}/images/order", tag = "Catalogue, staff",
    security(("bearer" = ["manage_catalog"])), params(("product" = ProductId, Path)), request_body = OrderImages,
    responses(
    (status = 200, body = Envelope<ProductData>),
    (status = 400, body = ErrorEnvelope, description = "A picture is left out, named twice, or of another product"),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "The version is not the current one"),
))]
pub(super) async fn order_images(
    State(app): State<App>,
    identity: Identity,
    PathId(product): PathId<ProductId>,
    meta: RequestMeta,
    body: Body<OrderImages>,
) -> Answer<ProductData> {
    // A product cannot have as many, and looking for doubles takes the square of it.
    if body.value.images.len() > 250 {
        return Err(Error::field("images", "must be at most 250"));
    }
    let deed = Deed { actor: &identity, meta: &meta, action: "product.order_images", id: product };
    let product = service::change(&app, deed, body.value.version, Change::Order(body.value.images)).await?;
    Ok(ok(ProductData { product }))
}

/// Change what is said of a picture
#[utoipa::path(patch, path = "/products/{product}/images/{image}", tag = "Catalogue, staff",
    security(("bearer" = ["manage_catalog"])),
    params(("product" = ProductId, Path), ("image" = ImageId, Path)), request_body = UpdateImage, responses(
    (status = 200, body = Envelope<ProductData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "The version is not the current one"),
))]
pub(super) async fn update_image(
    State(app): State<App>,
    identity: Identity,
    PathIds(product, image): PathIds<ProductId, ImageId>,
    meta: RequestMeta,
    body: Body<UpdateImage>,
) -> Answer<ProductData> {
    let UpdateImage { alt, r#type: kind, version } = body.value;
    let change = Change::Describe { image, alt: alt.map(Text::into_string), kind };
    let deed = Deed { actor: &identity, meta: &meta, action: "product.update_image", id: product };
    let product = service::change(&app, deed, version, change).await?;
    Ok(ok(ProductData { product }))
}

/// Take a picture off a product
///
/// One of the library stays there. When the main one goes, the next is the main one.
#[utoipa::path(delete, path = "/products/{product}/images/{image}", tag = "Catalogue, staff",
    security(("bearer" = ["manage_catalog"])),
    params(("product" = ProductId, Path), ("image" = ImageId, Path), RemoveImage), responses(
    (status = 200, body = Envelope<ProductData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "The version is not the current one"),
))]
pub(super) async fn remove_image(
    State(app): State<App>,
    identity: Identity,
    PathIds(product, image): PathIds<ProductId, ImageId>,
    Query(which): Query<RemoveImage>,
    meta: RequestMeta,
) -> Answer<ProductData> {
    let deed = Deed { actor: &identity, meta: &meta, action: "product.remove_image", id: product };
    let product = service::change(&app, deed, which.version, Change::Remove(image)).await?;
    Ok(ok(ProductData { product }))
}

/// Fetch a picture again
///
/// One of an import that could not be had. It is tried in the background, from the start.
#[utoipa::path(post, path = "/products/{product}/images/{image}/fetch", tag = "Catalogue, staff",
    security(("bearer" = ["manage_catalog"])),
    params(("product" = ProductId, Path), ("image" = ImageId, Path)), responses(
    (status = 200, body = Envelope<StaffProductData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "It has not failed"),
))]
pub(super) async fn fetch_image(
    State(app): State<App>,
    identity: Identity,
    PathIds(product, image): PathIds<ProductId, ImageId>,
    meta: RequestMeta,
) -> Answer<StaffProductData> {
    fetch_images::retry(&app, &identity, &meta, product, Some(image)).await?;
    Ok(ok(StaffProductData { product: staff_service::get(&app, product).await? }))
}

/// Fetch a product's pictures again
///
/// All of an import that could not be had. They are tried in the background, from the start.
#[utoipa::path(post, path = "/products/{product}/images/fetch", tag = "Catalogue, staff",
    security(("bearer" = ["manage_catalog"])), params(("product" = ProductId, Path)), responses(
    (status = 200, body = Envelope<StaffProductData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "None has failed"),
))]
pub(super) async fn fetch_images(
    State(app): State<App>,
    identity: Identity,
    PathId(product): PathId<ProductId>,
    meta: RequestMeta,
) -> Answer<StaffProductData> {
    fetch_images::retry(&app, &identity, &meta, product, None).await?;
    Ok(ok(StaffProductData { product: staff_service::get(&app, product).await? }))
}
