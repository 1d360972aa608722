//! The pictures of a product, as staff keep them.

use axum::extract::State;
use serde::Deserialize;
use utoipa::ToSchema;

use super::images_service::{self as service, Change, Source};
use super::model::ImageType;
use super::rules::is_image_url;
use super::service::ProductData;
use crate::app::App;
use crate::features::auth::Identity;
use crate::platform::error::{Error, FieldError};
use crate::platform::http::{Answer, Body, Envelope, ErrorEnvelope, PathId, PathIds, RequestMeta, created, ok};
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
    /// The first picture is `main` and the others `detail` when left out.
    r#type: Option<ImageType>,
}

/// A change of a picture. Fields that are left out stay as they are.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct UpdateImage {
    #[schema(value_type = Option<String>, max_length = 300)]
    alt: Option<Text<0, 300>>,
    r#type: Option<ImageType>,
}

/// All pictures of the product in their new order.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OrderImages {
    /// Each picture's id, once.
    #[schema(max_items = 250)]
    images: Vec<ImageId>,
}

/// Add a picture to a product
///
/// It comes last. A product has at most ten.
#[utoipa::path(post, path = "/products/{product}/images", tag = "Catalogue, staff",
    security(("bearer" = ["manage_catalog"])), params(("product" = ProductId, Path)), request_body = AddImage, responses(
    (status = 201, body = Envelope<ProductData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "The product has ten pictures"),
))]
pub(super) async fn add_image(
    State(app): State<App>,
    identity: Identity,
    PathId(product): PathId<ProductId>,
    meta: RequestMeta,
    body: Body<AddImage>,
) -> Answer<ProductData> {
    let AddImage { asset_id, url, alt, r#type: kind } = body.value;
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
    let product = service::change(&app, &identity, &meta, product, change).await?;
    Ok(created(ProductData { product }))
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
    let product = service::change(&app, &identity, &meta, product, Change::Order(body.value.images)).await?;
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
))]
pub(super) async fn update_image(
    State(app): State<App>,
    identity: Identity,
    PathIds(product, image): PathIds<ProductId, ImageId>,
    meta: RequestMeta,
    body: Body<UpdateImage>,
) -> Answer<ProductData> {
    let UpdateImage { alt, r#type: kind } = body.value;
    let change = Change::Describe { image, alt: alt.map(Text::into_string), kind };
    let product = service::change(&app, &identity, &meta, product, change).await?;
    Ok(ok(ProductData { product }))
}

/// Take a picture off a product
///
/// One of the library stays there.
#[utoipa::path(delete, path = "/products/{product}/images/{image}", tag = "Catalogue, staff",
    security(("bearer" = ["manage_catalog"])),
    params(("product" = ProductId, Path), ("image" = ImageId, Path)), responses(
    (status = 200, body = Envelope<ProductData>),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
))]
pub(super) async fn remove_image(
    State(app): State<App>,
    identity: Identity,
    PathIds(product, image): PathIds<ProductId, ImageId>,
    meta: RequestMeta,
) -> Answer<ProductData> {
    let product = service::change(&app, &identity, &meta, product, Change::Remove(image)).await?;
    Ok(ok(ProductData { product }))
}
