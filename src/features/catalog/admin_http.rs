//! The catalogue as staff keep it.

use axum::extract::State;
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::model::{Dimensions, ImageType, OptionValue};
use super::service::{self, NewProduct, NewVariant, ProductData};
use super::store::ProductChange;
use crate::app::App;
use crate::features::auth::Identity;
use crate::platform::error::{Error, FieldError, Result};
use crate::platform::http::envelope::Empty;
use crate::platform::http::json;
use crate::platform::http::{Answer, Body, Envelope, ErrorEnvelope, PathId, RequestMeta, created, deleted, ok};
use crate::platform::ids::{CategoryId, ProductId};
use crate::platform::money::Amount;
use crate::platform::text::Text;

/// Units of stock that a product may begin with.
const MAX_STOCK: i32 = 1_000_000;

/// A new product. Without `variants` it gets one, with the product's sku, price and `inventory`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct CreateProduct {
    #[schema(value_type = String, min_length = 1, max_length = 64)]
    sku: Text<1, 64>,
    #[schema(value_type = String, min_length = 1, max_length = 200)]
    title: Text<1, 200>,
    /// Made from the title when left out.
    #[schema(value_type = Option<String>, max_length = 120)]
    slug: Option<Text<1, 120>>,
    #[serde(default)]
    #[schema(max_length = 1000)]
    short_description: String,
    #[serde(default)]
    #[schema(max_length = 50000)]
    description: String,
    #[serde(default)]
    #[schema(max_length = 50000)]
    full_story: String,
    price: Amount,
    compare_at_price: Option<Amount>,
    category_id: Option<CategoryId>,
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    tags: Vec<Text<1, 60>>,
    /// Grams.
    #[schema(minimum = 0)]
    weight: Option<i32>,
    dimensions: Option<Dimensions>,
    #[serde(default)]
    weave_origin: String,
    #[serde(default)]
    care_instructions: String,
    #[serde(default)]
    dispatch_time: String,
    #[serde(default)]
    is_featured: bool,
    #[serde(default)]
    is_limited: bool,
    /// Whether shoppers may see it; true when left out.
    is_active: Option<bool>,
    metadata: Option<Value>,
    #[serde(default)]
    images: Vec<CreateImage>,
    #[serde(default)]
    variants: Vec<CreateVariant>,
    /// Stock of a product without variants.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 1000000)]
    inventory: i32,
}

/// A picture of a new product.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateImage {
    /// An http or https address, or a path on this server that starts with `/media/`.
    #[schema(value_type = String, max_length = 2000)]
    url: Text<1, 2000>,
    #[serde(default)]
    #[schema(max_length = 300)]
    alt: String,
    /// The first picture is `main` and the others `detail` when left out.
    r#type: Option<ImageType>,
}

/// A variant of a new product.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct CreateVariant {
    #[schema(value_type = String, min_length = 1, max_length = 64)]
    sku: Text<1, 64>,
    /// One to three, such as Colour and Size.
    options: Vec<OptionValue>,
    /// The product's price when left out.
    price: Option<Amount>,
    compare_at_price: Option<Amount>,
    #[serde(default)]
    #[schema(minimum = 0, maximum = 1000000)]
    inventory: i32,
    #[schema(value_type = Option<String>, max_length = 2000)]
    image: Option<Text<1, 2000>>,
}

/// A change of a product. Fields that are left out stay as they are.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct UpdateProduct {
    /// The version that the change is based on.
    version: i32,
    #[schema(value_type = Option<String>, min_length = 1, max_length = 64)]
    sku: Option<Text<1, 64>>,
    #[schema(value_type = Option<String>, min_length = 1, max_length = 200)]
    title: Option<Text<1, 200>>,
    #[schema(value_type = Option<String>, max_length = 120)]
    slug: Option<Text<1, 120>>,
    #[schema(max_length = 1000)]
    short_description: Option<String>,
    #[schema(max_length = 50000)]
    description: Option<String>,
    #[schema(max_length = 50000)]
    full_story: Option<String>,
    /// Variants keep their difference to it.
    price: Option<Amount>,
    /// `null` removes it.
    #[serde(default, deserialize_with = "json::present")]
    #[schema(value_type = Option<Amount>)]
    compare_at_price: Option<Option<Amount>>,
    /// `null` removes it.
    #[serde(default, deserialize_with = "json::present")]
    #[schema(value_type = Option<CategoryId>)]
    category_id: Option<Option<CategoryId>>,
    #[schema(value_type = Option<Vec<String>>)]
    tags: Option<Vec<Text<1, 60>>>,
    weave_origin: Option<String>,
    care_instructions: Option<String>,
    dispatch_time: Option<String>,
    is_featured: Option<bool>,
    is_limited: Option<bool>,
    is_active: Option<bool>,
}

/// Collects what serde cannot check.
#[derive(Default)]
struct Faults(Vec<FieldError>);

impl Faults {
    fn check(&mut self, ok: bool, field: &str, message: &str) {
        if !ok {
            self.0.push(FieldError::new(field, message));
        }
    }

    fn texts(&mut self, texts: &[(&str, Option<&String>, usize)]) {
        for (field, text, max) in texts {
            let fits = text.is_none_or(|text| text.chars().count() <= *max && !text.contains('\0'));
            self.check(fits, field, &format!("must have at most {max} characters"));
        }
    }

    fn finish(self) -> Result<()> {
        if self.0.is_empty() { Ok(()) } else { Err(Error::Validation(self.0)) }
    }
}

pub(super) fn is_image_url(url: &str) -> bool {
    url.starts_with("/media/") || url::Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"))
}

impl CreateProduct {
    fn check(&self) -> Result<()> {
        let mut faults = Faults::default();
        faults.texts(&[
            ("shortDescription", Some(&self.short_description), 1000),
            ("description", Some(&self.description), 50_000),
            ("fullStory", Some(&self.full_story), 50_000),
            ("weaveOrigin", Some(&self.weave_origin), 200),
            ("careInstructions", Some(&self.care_instructions), 2000),
            ("dispatchTime", Some(&self.dispatch_time), 200),
        ]);
        faults.check(self.tags.len() <= 100, "tags", "must be at most 100");
        faults.check(self.weight.is_none_or(|grams| grams >= 0), "weight", "must not be negative");
        faults.check((0..=MAX_STOCK).contains(&self.inventory), "inventory", "must be between 0 and 1000000");
        faults.check(self.images.len() <= 10, "images", "must be at most 10");
        faults.check(self.variants.len() <= 250, "variants", "must be at most 250");
        faults.check(
            self.variants.is_empty() || self.inventory == 0,
            "inventory",
            "must be left out when there are variants; each has its own",
        );
        faults.check(
            self.metadata.as_ref().is_none_or(|m| m.is_object() && m.to_string().len() <= 16_384),
            "metadata",
            "must be an object of at most 16 KB",
        );
        faults.check(
            self.dimensions.as_ref().is_none_or(|d| {
                d.unit.chars().count() <= 20
                    && [d.width, d.length].into_iter().flatten().all(|n| n.is_finite() && (0.0..1e6).contains(&n))
            }),
            "dimensions",
            "must have sizes between 0 and 1000000 and a short unit",
        );
        for (i, image) in self.images.iter().enumerate() {
            let field = format!("images[{i}].url");
            faults.check(is_image_url(image.url.as_str()), &field, "must be an http or https address");
            faults.texts(&[(&format!("images[{i}].alt"), Some(&image.alt), 300)]);
        }
        for (i, variant) in self.variants.iter().enumerate() {
            let at = |field: &str| format!("variants[{i}].{field}");
            let options_fit = (1..=3).contains(&variant.options.len())
                && variant.options.iter().all(|o| {
                    (1..=60).contains(&o.name.trim().chars().count())
                        && (1..=120).contains(&o.value.trim().chars().count())
                });
            faults.check(options_fit, &at("options"), "must be one to three, each with a name and a value");
            faults.check(
                (0..=MAX_STOCK).contains(&variant.inventory),
                &at("inventory"),
                "must be between 0 and 1000000",
            );
            faults.check(
                variant.image.as_ref().is_none_or(|url| is_image_url(url.as_str())),
                &at("image"),
                "must be an http or https address",
            );
            let twice = self.variants[..i].iter().any(|other| other.sku == variant.sku);
            faults.check(!twice, &at("sku"), "is there twice");
        }
        faults.finish()
    }

    fn into_new(self) -> NewProduct {
        let dimensions = self.dimensions.unwrap_or(Dimensions { width: None, length: None, unit: "inches".to_owned() });
        NewProduct {
            sku: self.sku.into_string(),
            title: self.title.into_string(),
            slug: self.slug.map(Text::into_string),
            short_description: self.short_description,
            description: self.description,
            full_story: self.full_story,
            price_minor: self.price.0,
            compare_at_minor: self.compare_at_price.map(|price| price.0),
            category_id: self.category_id,
            tags: self.tags.into_iter().map(Text::into_string).collect(),
            weight_grams: self.weight,
            width: dimensions.width,
            length: dimensions.length,
            dimension_unit: dimensions.unit,
            weave_origin: self.weave_origin,
            care_instructions: self.care_instructions,
            dispatch_time: self.dispatch_time,
            is_featured: self.is_featured,
            is_limited: self.is_limited,
            is_active: self.is_active.unwrap_or(true),
            metadata: self.metadata.unwrap_or_else(|| serde_json::json!({})),
            images: self
                .images
                .into_iter()
                .enumerate()
                .map(|(i, image)| {
                    let default = if i == 0 { ImageType::Main } else { ImageType::Detail };
                    (image.url.into_string(), image.alt, image.r#type.unwrap_or(default))
                })
                .collect(),
            variants: self
                .variants
                .into_iter()
                .map(|variant| NewVariant {
                    sku: variant.sku.into_string(),
                    options: variant.options,
                    price_minor: variant.price.unwrap_or(self.price).0,
                    compare_at_minor: variant.compare_at_price.map(|price| price.0),
                    inventory: variant.inventory,
                    image_url: variant.image.map(Text::into_string),
                })
                .collect(),
            inventory: self.inventory,
        }
    }
}

/// Create a product
#[utoipa::path(post, path = "/products", tag = "Catalogue, staff", security(("bearer" = ["manage_catalog"])),
    request_body = CreateProduct, responses(
    (status = 201, body = Envelope<ProductData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "The sku or the slug is taken"),
))]
pub(super) async fn create_product(
    State(app): State<App>,
    identity: Identity,
    meta: RequestMeta,
    body: Body<CreateProduct>,
) -> Answer<ProductData> {
    body.value.check()?;
    let product = service::create_product(&app, &identity, &meta, body.value.into_new()).await?;
    Ok(created(ProductData { product }))
}

/// Change a product
#[utoipa::path(patch, path = "/products/{product}", tag = "Catalogue, staff", security(("bearer" = ["manage_catalog"])),
    params(("product" = ProductId, Path)), request_body = UpdateProduct, responses(
    (status = 200, body = Envelope<ProductData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "The version is not the current one, or the sku or slug is taken"),
))]
pub(super) async fn update_product(
    State(app): State<App>,
    identity: Identity,
    PathId(id): PathId<ProductId>,
    meta: RequestMeta,
    body: Body<UpdateProduct>,
) -> Answer<ProductData> {
    let body = body.value;
    let mut faults = Faults::default();
    faults.texts(&[
        ("shortDescription", body.short_description.as_ref(), 1000),
        ("description", body.description.as_ref(), 50_000),
        ("fullStory", body.full_story.as_ref(), 50_000),
        ("weaveOrigin", body.weave_origin.as_ref(), 200),
        ("careInstructions", body.care_instructions.as_ref(), 2000),
        ("dispatchTime", body.dispatch_time.as_ref(), 200),
    ]);
    faults.check(body.tags.as_ref().is_none_or(|tags| tags.len() <= 100), "tags", "must be at most 100");
    faults.finish()?;
    let change = ProductChange {
        sku: body.sku.map(Text::into_string),
        title: body.title.map(Text::into_string),
        slug: body.slug.map(Text::into_string),
        short_description: body.short_description,
        description: body.description,
        full_story: body.full_story,
        price_minor: body.price.map(|price| price.0),
        compare_at_minor: body.compare_at_price.map(|price| price.map(|price| price.0)),
        category_id: body.category_id,
        tags: body.tags.map(|tags| tags.into_iter().map(Text::into_string).collect()),
        weave_origin: body.weave_origin,
        care_instructions: body.care_instructions,
        dispatch_time: body.dispatch_time,
        is_featured: body.is_featured,
        is_limited: body.is_limited,
        is_active: body.is_active,
    };
    let product = service::update_product(&app, &identity, &meta, id, body.version, change).await?;
    Ok(ok(ProductData { product }))
}

/// Remove a product
///
/// It leaves the shop; orders that contain it keep it.
#[utoipa::path(delete, path = "/products/{product}", tag = "Catalogue, staff", security(("bearer" = ["manage_catalog"])),
    params(("product" = ProductId, Path)), responses(
    (status = 200, body = Envelope<Empty>),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
))]
pub(super) async fn delete_product(
    State(app): State<App>,
    identity: Identity,
    PathId(id): PathId<ProductId>,
    meta: RequestMeta,
) -> Answer<Empty> {
    service::delete_product(&app, &identity, &meta, id).await?;
    Ok(deleted("The product has been removed from the shop."))
}
