//! What a product is, and how it is shown.

use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::types::Json;
use utoipa::ToSchema;

use super::images_model::{ImageType, ImageView, ListedImage};
use crate::features::media::Media;
use crate::platform::format::absolute_url;
use crate::platform::ids::{CategoryId, ProductId, VariantId};
use crate::platform::money::Amount;

/// A row of the view `product_listing`.
#[derive(Debug, sqlx::FromRow)]
pub(super) struct Listed {
    pub id: ProductId,
    pub sku: String,
    pub title: String,
    pub slug: String,
    pub short_description: String,
    pub description: String,
    pub full_story: String,
    pub currency: String,
    pub price_minor: i64,
    pub compare_at_minor: Option<i64>,
    pub category_id: Option<CategoryId>,
    pub category_name: Option<String>,
    pub category_slug: Option<String>,
    pub vendor: Option<String>,
    pub tags: Vec<String>,
    pub weight_grams: Option<i32>,
    pub width: Option<f64>,
    pub length: Option<f64>,
    pub dimension_unit: String,
    pub weave_origin: String,
    pub care_instructions: String,
    pub dispatch_time: String,
    pub is_featured: bool,
    pub is_limited: bool,
    pub is_active: bool,
    pub metadata: Value,
    pub rating: f64,
    pub review_count: i32,
    pub version: i32,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub archived_at: Option<DateTime<Utc>>,
    pub images: Json<Vec<ListedImage>>,
    pub variants: Json<Vec<ListedVariant>>,
}

impl Listed {
    /// Takes out what is only for staff: pictures whose addresses nobody should be led to. Of what is left the first is the
    /// main one.
    pub(super) fn for_shoppers(mut self) -> Self {
        let hidden: Vec<_> = self.images.extract_if(.., |image| image.is_hidden()).map(|image| image.url).collect();
        for image in self.images.iter_mut() {
            image.fetch = None;
        }
        if !hidden.is_empty() {
            for (order, image) in (0..).zip(self.images.iter_mut()) {
                image.order = order;
            }
            if let Some(first) = self.images.first_mut() {
                first.kind = ImageType::Main;
            }
            for variant in self.variants.iter_mut() {
                variant.image_url.take_if(|url| hidden.contains(url));
            }
        }
        self
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct ListedVariant {
    pub id: VariantId,
    pub sku: String,
    pub options: Vec<OptionValue>,
    pub price_minor: i64,
    pub compare_at_minor: Option<i64>,
    pub available: i32,
    pub image_url: Option<String>,
    /// Read for staff only.
    #[serde(default)]
    pub barcode: Option<String>,
    #[serde(default)]
    pub weight_grams: Option<i32>,
}

/// One chosen option of a variant, such as `Colour` = `Gold`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OptionValue {
    /// The option, such as `Colour`.
    #[schema(min_length = 1, max_length = 60)]
    pub name: String,
    /// The choice, such as `Gold`.
    #[schema(min_length = 1, max_length = 120)]
    pub value: String,
}

/// What distinguishes a variant, in the words of a storefront.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum VariantType {
    /// Its first option is a colour.
    Color,
    /// Its first option is a size or a length.
    Size,
    /// Any other option, or none.
    Pattern,
}

/// The name of a variant: its values, joined; `Standard` for a product without options.
pub(super) fn variant_name<'a>(values: impl Iterator<Item = &'a str>) -> String {
    let name = values.collect::<Vec<_>>().join(" / ");
    if name.is_empty() { "Standard".into() } else { name }
}

/// The name of a variant with these stored options, `[{"name": …, "value": …}]`.
pub fn variant_name_of(options: &Value) -> String {
    variant_name(options.as_array().into_iter().flatten().filter_map(|option| option["value"].as_str()))
}

/// Whether an option's name means a colour.
pub(super) fn is_colour(option: &str) -> bool {
    matches!(option.to_lowercase().as_str(), "color" | "colour")
}

/// A product.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProductView {
    id: ProductId,
    sku: String,
    title: String,
    /// The product's name in addresses; unique.
    slug: String,
    short_description: String,
    description: String,
    full_story: String,
    price: Amount,
    /// The price before a reduction.
    compare_at_price: Option<Amount>,
    #[schema(example = "NGN")]
    currency: String,
    category_id: Option<CategoryId>,
    category: Option<CategoryRef>,
    vendor: Option<String>,
    tags: Vec<String>,
    /// Grams.
    weight: Option<i32>,
    dimensions: Dimensions,
    weave_origin: String,
    care_instructions: String,
    dispatch_time: String,
    is_featured: bool,
    is_limited: bool,
    is_active: bool,
    metadata: Value,
    /// 0 to 5; 0 without reviews.
    rating: f64,
    review_count: i32,
    images: Vec<ImageView>,
    variants: Vec<VariantView>,
    /// What is available of all variants together.
    inventory: i64,
    /// Send it back with a change.
    version: i32,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

/// A category, in short.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CategoryRef {
    id: CategoryId,
    name: String,
    slug: String,
}

/// Width and length of the goods.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Dimensions {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) width: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) length: Option<f64>,
    #[schema(example = "yards")]
    pub(super) unit: String,
}

impl Default for Dimensions {
    fn default() -> Self {
        Self { width: None, length: None, unit: "inches".to_owned() }
    }
}

/// What can be bought.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct VariantView {
    id: VariantId,
    sku: String,
    name: String,
    r#type: VariantType,
    /// The first option's value.
    value: String,
    options: Vec<OptionValue>,
    /// What the variant costs more (or, negative, less) than the product's price.
    price_modifier: Amount,
    price: Amount,
    #[serde(skip_serializing_if = "Option::is_none")]
    compare_at_price: Option<Amount>,
    /// What is available.
    inventory: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<String>,
    /// Told to staff only.
    #[serde(skip_serializing_if = "Option::is_none")]
    barcode: Option<String>,
    /// Grams, where it differs from the product's; told to staff only.
    #[serde(skip_serializing_if = "Option::is_none")]
    weight: Option<i32>,
}

/// Where a product stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum ProductStatus {
    /// For sale.
    Active,
    /// Hidden from shoppers.
    Inactive,
    /// Removed; it can be restored.
    Archived,
}

impl FromStr for ProductStatus {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "active" => Ok(Self::Active),
            "inactive" => Ok(Self::Inactive),
            "archived" => Ok(Self::Archived),
            _ => Err("must be active, inactive or archived"),
        }
    }
}

/// A product as staff see it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct StaffProductView {
    #[serde(flatten)]
    pub(super) product: ProductView,
    status: ProductStatus,
    archived_at: Option<DateTime<Utc>>,
}

impl StaffProductView {
    /// As [`ProductView::for_staff`].
    pub(super) fn new(row: Listed, base: &str, media: &Media) -> Self {
        let archived_at = row.archived_at;
        let status = match (archived_at, row.is_active) {
            (Some(_), _) => ProductStatus::Archived,
            (None, true) => ProductStatus::Active,
            (None, false) => ProductStatus::Inactive,
        };
        Self { product: ProductView::for_staff(row, base, media), status, archived_at }
    }

    /// Whether it was removed from the shop.
    pub(super) fn is_archived(&self) -> bool {
        self.status == ProductStatus::Archived
    }
}

impl ProductView {
    /// As shoppers see it. `base` is this server's public address; `media` knows the addresses of the shop's own pictures.
    pub(super) fn new(row: Listed, base: &str, media: &Media) -> Self {
        Self::for_staff(row.for_shoppers(), base, media)
    }

    /// The same with what only staff are told.
    pub(super) fn for_staff(row: Listed, base: &str, media: &Media) -> Self {
        let price = row.price_minor;
        let inventory = row.variants.iter().map(|v| i64::from(v.available)).sum();
        Self {
            id: row.id,
            sku: row.sku,
            title: row.title,
            slug: row.slug,
            short_description: row.short_description,
            description: row.description,
            full_story: row.full_story,
            price: Amount(price),
            compare_at_price: row.compare_at_minor.map(Amount),
            currency: row.currency,
            category_id: row.category_id,
            category: match (row.category_id, row.category_name, row.category_slug) {
                (Some(id), Some(name), Some(slug)) => Some(CategoryRef { id, name, slug }),
                _ => None,
            },
            vendor: row.vendor,
            tags: row.tags,
            weight: row.weight_grams,
            dimensions: Dimensions { width: row.width, length: row.length, unit: row.dimension_unit },
            weave_origin: row.weave_origin,
            care_instructions: row.care_instructions,
            dispatch_time: row.dispatch_time,
            is_featured: row.is_featured,
            is_limited: row.is_limited,
            is_active: row.is_active,
            metadata: row.metadata,
            rating: row.rating,
            review_count: row.review_count,
            images: row.images.0.into_iter().map(|image| ImageView::new(image, base, media)).collect(),
            variants: row.variants.0.into_iter().map(|variant| VariantView::new(variant, price, base)).collect(),
            inventory,
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

impl VariantView {
    fn new(row: ListedVariant, product_price: i64, base: &str) -> Self {
        let first = row.options.first();
        Self {
            id: row.id,
            sku: row.sku,
            name: variant_name(row.options.iter().map(|option| option.value.as_str())),
            r#type: match first.map(|option| option.name.to_lowercase()) {
                Some(name) if is_colour(&name) => VariantType::Color,
                Some(name) if matches!(name.as_str(), "size" | "length" | "yards") => VariantType::Size,
                _ => VariantType::Pattern,
            },
            value: first.map_or_else(|| "Standard".into(), |option| option.value.clone()),
            options: row.options,
            price_modifier: Amount(row.price_minor.saturating_sub(product_price)),
            price: Amount(row.price_minor),
            compare_at_price: row.compare_at_minor.map(Amount),
            inventory: row.available,
            image: row.image_url.map(|url| absolute_url(&url, base)),
            barcode: row.barcode,
            weight: row.weight_grams,
        }
    }
}
