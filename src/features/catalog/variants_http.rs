//! The variants of a product as staff keep them. Every answer is the whole product, with its next version.

use axum::extract::State;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::model::OptionValue;
use super::rules::{Barcode, Faults, Grams, ImageUrl, Sku, Stock, trimmed};
use super::service::ProductData;
use super::staff_service::Deed;
use super::variants_service::{self as service, AddedVariant, VariantChange};
use crate::app::App;
use crate::features::auth::Identity;
use crate::platform::checked::{Line, Whole};
use crate::platform::error::{Error, Result};
use crate::platform::http::json;
use crate::platform::http::keyed::{self, Keyed};
use crate::platform::http::{
    Answer, Body, Envelope, ErrorEnvelope, IdempotencyHeader, PathId, PathIds, Query, RequestMeta, ok,
};
use crate::platform::ids::{ProductId, VariantId};
use crate::platform::money::Amount;
use crate::platform::text::Text;

/// A variant to add.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct CreateProductVariant {
    /// The product's version that the change is based on.
    version: i32,
    #[schema(value_type = String, min_length = 1, max_length = 64)]
    sku: Sku,
    /// One to three, with the names that the product's other variants have.
    options: Vec<OptionValue>,
    /// The product's price when left out.
    price: Option<Amount>,
    /// The price before a reduction; above the price.
    compare_at_price: Option<Amount>,
    #[schema(value_type = Option<String>, max_length = 64)]
    barcode: Option<Barcode>,
    /// Grams; the product's when left out.
    #[schema(value_type = Option<i32>, minimum = 0, maximum = 10000000)]
    weight: Option<Grams>,
    #[schema(value_type = Option<String>, max_length = 2000)]
    image: Option<ImageUrl>,
    /// Its first stock.
    #[serde(default)]
    #[schema(value_type = i32, minimum = 0, maximum = 1000000)]
    inventory: Stock,
}

/// A change of a variant. Fields that are left out stay as they are.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct UpdateVariant {
    /// The product's version that the change is based on.
    version: i32,
    #[serde(default, deserialize_with = "json::present")]
    #[schema(value_type = String, min_length = 1, max_length = 64)]
    sku: Option<Sku>,
    /// All of them. An empty list, for the only variant of a product, takes the options away.
    #[serde(default, deserialize_with = "json::present")]
    #[schema(value_type = Vec<OptionValue>)]
    options: Option<Vec<OptionValue>>,
    #[serde(default, deserialize_with = "json::present")]
    #[schema(value_type = Amount)]
    price: Option<Amount>,
    /// Above the price; `null` removes it.
    #[serde(default, deserialize_with = "json::present")]
    #[schema(value_type = Option<Amount>)]
    compare_at_price: Option<Option<Amount>>,
    /// `null` removes it.
    #[serde(default, deserialize_with = "json::present")]
    #[schema(value_type = Option<String>, max_length = 64)]
    barcode: Option<Option<Barcode>>,
    /// Grams; `null` means the product's.
    #[serde(default, deserialize_with = "json::present")]
    #[schema(value_type = Option<i32>, minimum = 0, maximum = 10000000)]
    weight: Option<Option<Grams>>,
    /// `null` removes it.
    #[serde(default, deserialize_with = "json::present")]
    #[schema(value_type = Option<String>, max_length = 2000)]
    image: Option<Option<ImageUrl>>,
}

/// The version that a removal is based on.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct DeleteVariant {
    /// The product's version; required.
    #[param(required)]
    version: Option<i32>,
}

/// The order in which variants are shown.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OrderVariants {
    /// The product's version that the change is based on.
    version: i32,
    /// Each variant exactly once.
    ids: Vec<VariantId>,
}

/// Add a variant
///
/// A product without options has one variant already, which has its stock and is in people's carts. It gets its first
/// options with PATCH, as in other shops, and keeps all that; until then another variant is refused. The sku of a variant
/// that was removed brings it back with the stock that it has.
#[utoipa::path(post, path = "/products/{product}/variants", tag = "Catalogue, staff",
    security(("bearer" = ["manage_catalog"])),
    params(("product" = ProductId, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "1 to 255 characters, kept for 24 hours")),
    request_body = CreateProductVariant, responses(
    (status = 201, body = Envelope<ProductData>),
    (status = 400, body = ErrorEnvelope, description = "A field is wrong, or the options have other names than those of the other variants"),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "The version is not the current one, the sku or the options are another variant's, the product has no options yet, or the same key is still running"),
    (status = 422, body = ErrorEnvelope, description = "The key was used with another body"),
))]
pub(super) async fn create_variant(
    State(app): State<App>,
    identity: Identity,
    PathId(id): PathId<ProductId>,
    meta: RequestMeta,
    IdempotencyHeader(key): IdempotencyHeader,
    body: Body<CreateProductVariant>,
) -> Result<Keyed> {
    let key =
        keyed::key(key, identity.user_id, "POST /products/{product}/variants", &id.to_string(), &body.fingerprint);
    let body = body.value;
    let options = trimmed(body.options);
    let mut faults = Faults::default();
    faults.options("options", &options);
    faults.compare_at("compareAtPrice", body.compare_at_price, body.price);
    faults.image("image", body.image.as_ref().map(Text::as_str));
    faults.finish()?;
    let new = AddedVariant {
        sku: body.sku.into_string(),
        options,
        price_minor: body.price.map(|price| price.0),
        compare_at_minor: body.compare_at_price.map(|price| price.0),
        barcode: body.barcode.map(Line::into_string),
        weight_grams: body.weight.map(Whole::get),
        image_url: body.image.map(Text::into_string),
        inventory: body.inventory.get(),
    };
    let deed = Deed { actor: &identity, meta: &meta, action: "product.add_variant", id };
    service::add(&app, deed, body.version, &new, key).await
}

/// Change a variant
///
/// The only variant of a product without options has the product's sku and prices, which are changed there. It may be given
/// options (and with them a sku and a price of its own). Names of options are the same for all variants of a product.
#[utoipa::path(patch, path = "/products/{product}/variants/{variant}", tag = "Catalogue, staff",
    security(("bearer" = ["manage_catalog"])), params(("product" = ProductId, Path), ("variant" = VariantId, Path)),
    request_body = UpdateVariant, responses(
    (status = 200, body = Envelope<ProductData>),
    (status = 400, body = ErrorEnvelope, description = "A field is wrong, or the options have other names than those of the other variants"),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "The version is not the current one, or the sku or the options are another variant's"),
))]
pub(super) async fn update_variant(
    State(app): State<App>,
    identity: Identity,
    PathIds(id, variant): PathIds<ProductId, VariantId>,
    meta: RequestMeta,
    body: Body<UpdateVariant>,
) -> Answer<ProductData> {
    let body = body.value;
    let options = body.options.map(trimmed);
    let mut faults = Faults::default();
    if let Some(options) = options.as_deref().filter(|options| !options.is_empty()) {
        faults.options("options", options);
    }
    faults.compare_at("compareAtPrice", body.compare_at_price.flatten(), body.price);
    faults.image("image", body.image.as_ref().and_then(Option::as_ref).map(Text::as_str));
    faults.finish()?;
    let change = VariantChange {
        sku: body.sku.map(Line::into_string),
        options,
        price_minor: body.price.map(|price| price.0),
        compare_at_minor: body.compare_at_price.map(|price| price.map(|price| price.0)),
        barcode: body.barcode.map(|barcode| barcode.map(Line::into_string)),
        weight_grams: body.weight.map(|weight| weight.map(Whole::get)),
        image_url: body.image.map(|image| image.map(Text::into_string)),
    };
    let deed = Deed { actor: &identity, meta: &meta, action: "product.update_variant", id };
    let product = service::update(&app, deed, variant, body.version, change).await?;
    Ok(ok(ProductData { product }))
}

/// Remove a variant
///
/// It is not sold any more, and carts say so. Orders that were placed keep it, and the stock that is set aside for them: they
/// are paid and fulfilled as any other. The last variant cannot be removed.
#[utoipa::path(delete, path = "/products/{product}/variants/{variant}", tag = "Catalogue, staff",
    security(("bearer" = ["manage_catalog"])),
    params(("product" = ProductId, Path), ("variant" = VariantId, Path), DeleteVariant), responses(
    (status = 200, body = Envelope<ProductData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "The version is not the current one, or it is the last variant"),
))]
pub(super) async fn delete_variant(
    State(app): State<App>,
    identity: Identity,
    PathIds(id, variant): PathIds<ProductId, VariantId>,
    Query(which): Query<DeleteVariant>,
    meta: RequestMeta,
) -> Answer<ProductData> {
    let version = which.version.ok_or_else(|| Error::field("version", "is required: the product's, in the query"))?;
    let deed = Deed { actor: &identity, meta: &meta, action: "product.remove_variant", id };
    let product = service::archive(&app, deed, variant, version).await?;
    Ok(ok(ProductData { product }))
}

/// Put variants in order
#[utoipa::path(put, path = "/products/{product}/variants/order", tag = "Catalogue, staff",
    security(("bearer" = ["manage_catalog"])), params(("product" = ProductId, Path)), request_body = OrderVariants,
    responses(
    (status = 200, body = Envelope<ProductData>),
    (status = 400, body = ErrorEnvelope, description = "A variant is missing, there twice or another product's"),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "The version is not the current one"),
))]
pub(super) async fn order_variants(
    State(app): State<App>,
    identity: Identity,
    PathId(id): PathId<ProductId>,
    meta: RequestMeta,
    body: Body<OrderVariants>,
) -> Answer<ProductData> {
    let deed = Deed { actor: &identity, meta: &meta, action: "product.order_variants", id };
    let product = service::set_order(&app, deed, body.value.version, &body.value.ids).await?;
    Ok(ok(ProductData { product }))
}
