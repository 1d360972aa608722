//! Products as staff send them.

use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::model::{Dimensions, ImageType, OptionValue};
use super::rules::{self, Details, Faults, MAX_VARIANTS};
use super::staff_service::{NewProduct, NewVariant};
use super::store::staff::{Measures, ProductChange};
use crate::platform::error::Result;
use crate::platform::http::json;
use crate::platform::ids::CategoryId;
use crate::platform::money::Amount;
use crate::platform::text::Text;

/// A new product. Without `variants` it gets one, with the product's sku, price and `inventory`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct CreateProduct {
    #[schema(value_type = String, min_length = 1, max_length = 64)]
    sku: Text<1, 64>,
    #[schema(value_type = String, min_length = 1, max_length = 200)]
    title: Text<1, 200>,
    /// Made from the title when left out, with a number behind it where another product has it.
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
    /// The price before a reduction; above the price.
    compare_at_price: Option<Amount>,
    category_id: Option<CategoryId>,
    #[schema(value_type = Option<String>, max_length = 120)]
    vendor: Option<Text<1, 120>>,
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
    pub(super) version: i32,
    #[serde(default, deserialize_with = "json::present")]
    #[schema(value_type = String, min_length = 1, max_length = 64)]
    sku: Option<Text<1, 64>>,
    #[serde(default, deserialize_with = "json::present")]
    #[schema(value_type = String, min_length = 1, max_length = 200)]
    title: Option<Text<1, 200>>,
    /// Who asks for the old one is led to the new one.
    #[serde(default, deserialize_with = "json::present")]
    #[schema(value_type = String, max_length = 120)]
    slug: Option<Text<1, 120>>,
    #[serde(default, deserialize_with = "json::present")]
    #[schema(value_type = String, max_length = 1000)]
    short_description: Option<String>,
    #[serde(default, deserialize_with = "json::present")]
    #[schema(value_type = String, max_length = 50000)]
    description: Option<String>,
    #[serde(default, deserialize_with = "json::present")]
    #[schema(value_type = String, max_length = 50000)]
    full_story: Option<String>,
    /// Variants keep their difference to it.
    #[serde(default, deserialize_with = "json::present")]
    #[schema(value_type = Amount)]
    price: Option<Amount>,
    /// Above the price; `null` removes it.
    #[serde(default, deserialize_with = "json::present")]
    #[schema(value_type = Option<Amount>)]
    compare_at_price: Option<Option<Amount>>,
    /// `null` removes it.
    #[serde(default, deserialize_with = "json::present")]
    #[schema(value_type = Option<CategoryId>)]
    category_id: Option<Option<CategoryId>>,
    /// `null` removes it.
    #[serde(default, deserialize_with = "json::present")]
    #[schema(value_type = Option<String>, max_length = 120)]
    vendor: Option<Option<Text<1, 120>>>,
    #[serde(default, deserialize_with = "json::present")]
    #[schema(value_type = Vec<String>)]
    tags: Option<Vec<Text<1, 60>>>,
    /// Grams; `null` removes it.
    #[serde(default, deserialize_with = "json::present")]
    #[schema(value_type = Option<i32>, minimum = 0)]
    weight: Option<Option<i32>>,
    /// All of them; `null` removes the sizes.
    #[serde(default, deserialize_with = "json::present")]
    #[schema(value_type = Option<Dimensions>)]
    dimensions: Option<Option<Dimensions>>,
    #[serde(default, deserialize_with = "json::present")]
    #[schema(value_type = String, max_length = 200)]
    weave_origin: Option<String>,
    #[serde(default, deserialize_with = "json::present")]
    #[schema(value_type = String, max_length = 2000)]
    care_instructions: Option<String>,
    #[serde(default, deserialize_with = "json::present")]
    #[schema(value_type = String, max_length = 200)]
    dispatch_time: Option<String>,
    #[serde(default, deserialize_with = "json::present")]
    #[schema(value_type = bool)]
    is_featured: Option<bool>,
    #[serde(default, deserialize_with = "json::present")]
    #[schema(value_type = bool)]
    is_limited: Option<bool>,
    #[serde(default, deserialize_with = "json::present")]
    #[schema(value_type = bool)]
    is_active: Option<bool>,
    /// All of it; `null` empties it.
    #[serde(default, deserialize_with = "json::present")]
    #[schema(value_type = Option<Value>)]
    metadata: Option<Option<Value>>,
}

impl CreateProduct {
    /// Refuses what serde cannot refuse, all of it at once.
    pub(super) fn check(&self) -> Result<()> {
        let mut faults = Faults::default();
        faults.details(&Details {
            slug: self.slug.as_ref().map(Text::as_str),
            short_description: Some(&self.short_description),
            description: Some(&self.description),
            full_story: Some(&self.full_story),
            price: Some(self.price),
            compare_at_price: self.compare_at_price,
            tags: self.tags.len(),
            weight: self.weight,
            dimensions: self.dimensions.as_ref(),
            weave_origin: Some(&self.weave_origin),
            care_instructions: Some(&self.care_instructions),
            dispatch_time: Some(&self.dispatch_time),
            metadata: self.metadata.as_ref(),
        });
        faults.stock("inventory", self.inventory);
        faults.check(self.images.len() <= 10, "images", "must be at most 10");
        faults.check(self.variants.len() <= MAX_VARIANTS, "variants", "must be at most 250");
        faults.check(
            self.variants.is_empty() || self.inventory == 0,
            "inventory",
            "must be left out when there are variants; each has its own",
        );
        for (i, image) in self.images.iter().enumerate() {
            faults.image(&format!("images[{i}].url"), Some(image.url.as_str()));
            faults.text(&format!("images[{i}].alt"), Some(&image.alt), 300);
        }
        for (i, variant) in self.variants.iter().enumerate() {
            let at = |field: &str| format!("variants[{i}].{field}");
            faults.options(&at("options"), &variant.options);
            let first = &self.variants[0].options;
            let fits = rules::have_same_names(first, &variant.options);
            faults.check(fits, &at("options"), "must have the same names in the same order as the first variant's");
            faults.stock(&at("inventory"), variant.inventory);
            faults.image(&at("image"), variant.image.as_ref().map(Text::as_str));
            let price = variant.price.unwrap_or(self.price);
            faults.compare_at(&at("compareAtPrice"), variant.compare_at_price, Some(price));
            let twice = self.variants[..i].iter().any(|other| other.sku == variant.sku);
            faults.check(!twice, &at("sku"), "is there twice");
        }
        faults.finish()
    }

    /// Takes the white space off the options' words.
    pub(super) fn trim(&mut self) {
        for variant in &mut self.variants {
            variant.options = rules::trimmed(std::mem::take(&mut variant.options));
        }
    }

    pub(super) fn into_new(self) -> NewProduct {
        let dimensions = self.dimensions.unwrap_or_default();
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
            vendor: self.vendor.map(Text::into_string),
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

impl UpdateProduct {
    /// Refuses what serde cannot refuse, all of it at once.
    pub(super) fn check(&self) -> Result<()> {
        let mut faults = Faults::default();
        faults.details(&Details {
            slug: self.slug.as_ref().map(Text::as_str),
            short_description: self.short_description.as_ref(),
            description: self.description.as_ref(),
            full_story: self.full_story.as_ref(),
            price: self.price,
            compare_at_price: self.compare_at_price.flatten(),
            tags: self.tags.as_ref().map_or(0, Vec::len),
            weight: self.weight.flatten(),
            dimensions: self.dimensions.as_ref().and_then(Option::as_ref),
            weave_origin: self.weave_origin.as_ref(),
            care_instructions: self.care_instructions.as_ref(),
            dispatch_time: self.dispatch_time.as_ref(),
            metadata: self.metadata.as_ref().and_then(Option::as_ref),
        });
        faults.finish()
    }

    pub(super) fn into_change(self) -> ProductChange {
        ProductChange {
            sku: self.sku.map(Text::into_string),
            title: self.title.map(Text::into_string),
            slug: self.slug.map(Text::into_string),
            short_description: self.short_description,
            description: self.description,
            full_story: self.full_story,
            price_minor: self.price.map(|price| price.0),
            compare_at_minor: self.compare_at_price.map(|price| price.map(|price| price.0)),
            category_id: self.category_id,
            vendor: self.vendor.map(|vendor| vendor.map(Text::into_string)),
            tags: self.tags.map(|tags| tags.into_iter().map(Text::into_string).collect()),
            weight_grams: self.weight,
            dimensions: self.dimensions.map(|dimensions| {
                let Dimensions { width, length, unit } = dimensions.unwrap_or_default();
                Measures { width, length, unit }
            }),
            weave_origin: self.weave_origin,
            care_instructions: self.care_instructions,
            dispatch_time: self.dispatch_time,
            is_featured: self.is_featured,
            is_limited: self.is_limited,
            is_active: self.is_active,
            metadata: self.metadata.map(|value| value.unwrap_or_else(|| serde_json::json!({}))),
        }
    }
}
