//! Products as staff keep them.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::images_model::FetchStatus;
use super::listing::CategoryOf;
use super::model::{ProductStatus, StaffProductView};
use super::product_input::{CreateProduct, UpdateProduct};
use super::service::ProductData;
use super::staff_service;
use super::store::staff::Filter;
use crate::app::App;
use crate::features::auth::Identity;
use crate::platform::error::{Error, Result};
use crate::platform::http::envelope::Empty;
use crate::platform::http::keyed::{self, Keyed};
use crate::platform::http::{
    Answer, Body, Envelope, ErrorEnvelope, IdempotencyHeader, PathId, Query, RequestMeta, deleted, ok,
};
use crate::platform::ids::ProductId;
use crate::platform::page::PartQuery;

/// Which products. Empty values do not filter.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(super) struct ListStaffProducts {
    /// active, inactive or archived.
    status: Option<String>,
    /// A part of the title, or the beginning of the sku of the product or of a variant.
    #[param(max_length = 100)]
    search: Option<String>,
    /// A category's id or slug; its subcategories count.
    category: Option<String>,
    /// failed or waiting: those with a picture of an import that could not be fetched, or that is to be.
    pictures: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct StaffProductsData {
    products: Vec<StaffProductView>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct StaffProductData {
    pub(super) product: StaffProductView,
}

/// The version that a removal is based on.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct DeleteProduct {
    /// Refused with 409 when it is not the current one. Without it the product is removed whatever its version is.
    version: Option<i32>,
}

/// Create a product
///
/// Send an `Idempotency-Key`: a repeated request with the same key and body gets the first answer, and no second product.
#[utoipa::path(post, path = "/products", tag = "Catalogue, staff", security(("bearer" = ["manage_catalog"])),
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 255 characters, kept for 24 hours")),
    request_body = CreateProduct, responses(
    (status = 201, body = Envelope<ProductData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "The sku or the slug is taken, or the same key is still running"),
    (status = 422, body = ErrorEnvelope, description = "The key was used with another body"),
))]
pub(super) async fn create_product(
    State(app): State<App>,
    identity: Identity,
    meta: RequestMeta,
    IdempotencyHeader(key): IdempotencyHeader,
    mut body: Body<CreateProduct>,
) -> Result<Keyed> {
    body.value.trim();
    body.value.check()?;
    let key = keyed::key(key, identity.user_id, "POST /products", "", &body.fingerprint);
    staff_service::create(&app, &identity, &meta, &body.value.into_new(), key).await
}

/// Change a product
///
/// A product without options has one variant, which has the product's sku and prices and changes with them.
#[utoipa::path(patch, path = "/products/{product}", tag = "Catalogue, staff", security(("bearer" = ["manage_catalog"])),
    params(("product" = ProductId, Path)), request_body = UpdateProduct, responses(
    (status = 200, body = Envelope<ProductData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "The version is not the current one, the sku or slug is taken, or a price to compare with would not be above its price"),
))]
pub(super) async fn update_product(
    State(app): State<App>,
    identity: Identity,
    PathId(id): PathId<ProductId>,
    meta: RequestMeta,
    body: Body<UpdateProduct>,
) -> Answer<ProductData> {
    body.value.check()?;
    let version = body.value.version;
    let product = staff_service::update(&app, &identity, &meta, id, version, body.value.into_change()).await?;
    Ok(ok(ProductData { product }))
}

/// Remove a product
///
/// It is archived: it leaves the shop, orders that contain it keep it, and it can be restored.
#[utoipa::path(delete, path = "/products/{product}", tag = "Catalogue, staff", security(("bearer" = ["manage_catalog"])),
    params(("product" = ProductId, Path), DeleteProduct), responses(
    (status = 200, body = Envelope<Empty>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "The version is not the current one"),
))]
pub(super) async fn delete_product(
    State(app): State<App>,
    identity: Identity,
    PathId(id): PathId<ProductId>,
    Query(which): Query<DeleteProduct>,
    meta: RequestMeta,
) -> Answer<Empty> {
    staff_service::archive(&app, &identity, &meta, id, which.version).await?;
    Ok(deleted("The product has been removed from the shop."))
}

/// Restore a removed product
///
/// It comes back as it was, but hidden from shoppers, so that it can be looked at before `isActive` is set.
#[utoipa::path(post, path = "/products/{product}/restore", tag = "Catalogue, staff",
    security(("bearer" = ["manage_catalog"])), params(("product" = ProductId, Path)), responses(
    (status = 200, body = Envelope<ProductData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "It is not archived"),
))]
pub(super) async fn restore_product(
    State(app): State<App>,
    identity: Identity,
    PathId(id): PathId<ProductId>,
    meta: RequestMeta,
) -> Answer<ProductData> {
    let product = staff_service::restore(&app, &identity, &meta, id).await?;
    Ok(ok(ProductData { product }))
}

/// List products of whatever status
///
/// The newest first, in pages or with `cursor`. More than 10,000 are not counted: then `totalIsEstimate` is true, and pages end there.
#[utoipa::path(get, path = "/admin/products", tag = "Catalogue, staff", security(("bearer" = ["manage_catalog"])),
    params(PartQuery, ListStaffProducts), responses(
    (status = 200, body = Envelope<StaffProductsData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
))]
pub(super) async fn list_staff_products(
    State(app): State<App>,
    Query(part): Query<PartQuery>,
    Query(which): Query<ListStaffProducts>,
) -> Answer<StaffProductsData> {
    fn some(text: Option<&String>) -> Option<&str> {
        text.map(|text| text.trim()).filter(|text| !text.is_empty())
    }
    let part = part.check(&app.config.lists)?;
    let status = some(which.status.as_ref()).map(str::parse::<ProductStatus>).transpose();
    let status = status.map_err(|message| Error::field("status", message))?;
    let pictures = some(which.pictures.as_ref()).map(str::parse::<FetchStatus>).transpose();
    let pictures = pictures.map_err(|message| Error::field("pictures", message))?;
    let search = some(which.search.as_ref());
    if search.is_some_and(|search| search.chars().count() > 100) {
        return Err(Error::field("search", "must have at most 100 characters"));
    }
    let category = some(which.category.as_ref()).map(CategoryOf::named);
    let filter = Filter { status, search, categories: None, pictures };
    let (products, pagination) = staff_service::list(&app, filter, category.as_ref(), part).await?;
    Ok(ok(StaffProductsData { products }).page(pagination))
}

/// Get a product of whatever status
///
/// With the barcodes and weights of its variants, and what became of pictures that an import named.
#[utoipa::path(get, path = "/admin/products/{product}", tag = "Catalogue, staff",
    security(("bearer" = ["manage_catalog"])), params(("product" = ProductId, Path)), responses(
    (status = 200, body = Envelope<StaffProductData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
))]
pub(super) async fn get_staff_product(
    State(app): State<App>,
    PathId(id): PathId<ProductId>,
) -> Answer<StaffProductData> {
    let product = staff_service::get(&app, id).await?;
    Ok(ok(StaffProductData { product }))
}
