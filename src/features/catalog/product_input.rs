//! Products as staff send them.

use serde::Deserialize;
use utoipa::ToSchema;

use super::images_model::ImageType;
use super::model::{Dimensions, OptionValue};
use super::rules::{
    Details, Faults, Grams, ImageUrl, Metadata, Sku, Stock, Tag, Title, VariantDetails, Vendor, trimmed,
};
use super::staff_service::{NewProduct, NewVariant};
use super::store::ProductFields;
use super::store::staff::{Measures, ProductChange};
use crate::platform::checked::{Line, Prose, Slug, Whole};
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
    sku: Sku,
    #[schema(value_type = String, min_length = 1, max_length = 200)]
    title: Title,
    /// Made from the title when left out, with a number behind it where another product has it.
    #[schema(value_type = Option<String>, max_length = 120)]
    slug: Option<Slug>,
    #[serde(default)]
    #[schema(value_type = String, max_length = 1000)]
    short_description: Prose<1000>,
    #[serde(default)]
    #[schema(value_type = String, max_length = 50000)]
    description: Prose<50_000>,
    #[serde(default)]
    #[schema(value_type = String, max_length = 50000)]
    full_story: Prose<50_000>,
    price: Amount,
    /// The price before a reduction; above the price.
    compare_at_price: Option<Amount>,
    category_id: Option<CategoryId>,
    #[schema(value_type = Option<String>, max_length = 120)]
    vendor: Option<Vendor>,
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    tags: Vec<Tag>,
    /// Grams.
    #[schema(value_type = Option<i32>, minimum = 0, maximum = 10000000)]
    weight: Option<Grams>,
    dimensions: Option<Dimensions>,
    #[serde(default)]
    #[schema(value_type = String, max_length = 200)]
    weave_origin: Prose<200>,
    #[serde(default)]
    #[schema(value_type = String, max_length = 2000)]
    care_instructions: Prose<2000>,
    #[serde(default)]
    #[schema(value_type = String, max_length = 200)]
    dispatch_time: Prose<200>,
    #[serde(default)]
    is_featured: bool,
    #[serde(default)]
    is_limited: bool,
    /// Whether shoppers may see it; true when left out.
    is_active: Option<bool>,
    #[schema(value_type = Option<serde_json::Value>)]
    metadata: Option<Metadata>,
    #[serde(default)]
    images: Vec<CreateImage>,
    #[serde(default)]
    variants: Vec<CreateVariant>,
    /// Stock of a product without variants.
    #[serde(default)]
    #[schema(value_type = i32, minimum = 0, maximum = 1000000)]
    inventory: Stock,
}

/// A picture of a new product.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateImage {
    /// An http or https address, or a path on this server that starts with `/media/`.
    #[schema(value_type = String, max_length = 2000)]
    url: ImageUrl,
    #[serde(default)]
    #[schema(value_type = String, max_length = 300)]
    alt: Prose<300>,
    /// The first picture is the `main` one, and no other is; those are `detail` when left out.
    r#type: Option<ImageType>,
}

/// A variant of a new product.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct CreateVariant {
    #[schema(value_type = String, min_length = 1, max_length = 64)]
    sku: Sku,
    /// One to three, such as Colour and Size.
    options: Vec<OptionValue>,
    /// The product's price when left out.
    price: Option<Amount>,
    compare_at_price: Option<Amount>,
    #[serde(default)]
    #[schema(value_type = i32, minimum = 0, maximum = 1000000)]
    inventory: Stock,
    #[schema(value_type = Option<String>, max_length = 2000)]
    image: Option<ImageUrl>,
}

/// A change of a product. Fields that are left out stay as they are.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct UpdateProduct {
    /// The version that the change is based on.
    pub(super) version: i32,
    #[serde(default, deserialize_with = "json::present")]
    #[schema(value_type = String, min_length = 1, max_length = 64)]
    sku: Option<Sku>,
    #[serde(default, deserialize_with = "json::present")]
    #[schema(value_type = String, min_length = 1, max_length = 200)]
    title: Option<Title>,
    /// Who asks for the old one is led to the new one.
    #[serde(default, deserialize_with = "json::present")]
    #[schema(value_type = String, max_length = 120)]
    slug: Option<Slug>,
    #[serde(default, deserialize_with = "json::present")]
    #[schema(value_type = String, max_length = 1000)]
    short_description: Option<Prose<1000>>,
    #[serde(default, deserialize_with = "json::present")]
    #[schema(value_type = String, max_length = 50000)]
    description: Option<Prose<50_000>>,
    #[serde(default, deserialize_with = "json::present")]
    #[schema(value_type = String, max_length = 50000)]
    full_story: Option<Prose<50_000>>,
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
    vendor: Option<Option<Vendor>>,
    #[serde(default, deserialize_with = "json::present")]
    #[schema(value_type = Vec<String>)]
    tags: Option<Vec<Tag>>,
    /// Grams; `null` removes it.
    #[serde(default, deserialize_with = "json::present")]
    #[schema(value_type = Option<i32>, minimum = 0, maximum = 10000000)]
    weight: Option<Option<Grams>>,
    /// All of them; `null` removes the sizes.
    #[serde(default, deserialize_with = "json::present")]
    #[schema(value_type = Option<Dimensions>)]
    dimensions: Option<Option<Dimensions>>,
    #[serde(default, deserialize_with = "json::present")]
    #[schema(value_type = String, max_length = 200)]
    weave_origin: Option<Prose<200>>,
    #[serde(default, deserialize_with = "json::present")]
    #[schema(value_type = String, max_length = 2000)]
    care_instructions: Option<Prose<2000>>,
    #[serde(default, deserialize_with = "json::present")]
    #[schema(value_type = String, max_length = 200)]
    dispatch_time: Option<Prose<200>>,
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
    #[schema(value_type = Option<serde_json::Value>)]
    metadata: Option<Option<Metadata>>,
}

impl CreateProduct {
    /// Refuses what serde cannot refuse, all of it at once.
    pub(super) fn check(&self) -> Result<()> {
        let mut faults = Faults::default();
        faults.details(&Details {
            slug: self.slug.as_ref().map(Slug::as_str),
            price: Some(self.price),
            compare_at_price: self.compare_at_price,
            tags: self.tags.len(),
            dimensions: self.dimensions.as_ref(),
        });
        faults.check(
            self.variants.is_empty() || self.inventory.get() == 0,
            "inventory",
            "must be left out when there are variants; each has its own",
        );
        faults.images(self.images.iter().map(|image| image.url.as_str()));
        for (i, image) in self.images.iter().enumerate() {
            let is_main = image.r#type.is_none_or(|kind| (kind == ImageType::Main) == (i == 0));
            faults.check(is_main, &format!("images[{i}].type"), "must be main for the first picture, and for no other");
        }
        let variants: Vec<_> = self
            .variants
            .iter()
            .map(|variant| VariantDetails {
                sku: variant.sku.as_str(),
                options: &variant.options,
                price: variant.price.unwrap_or(self.price),
                compare_at_price: variant.compare_at_price,
                image: variant.image.as_ref().map(Text::as_str),
            })
            .collect();
        faults.variants(&variants);
        faults.finish()
    }

    /// Takes the white space off the options' words.
    pub(super) fn trim(&mut self) {
        for variant in &mut self.variants {
            variant.options = trimmed(std::mem::take(&mut variant.options));
        }
    }

    pub(super) fn into_new(self) -> NewProduct {
        let dimensions = self.dimensions.unwrap_or_default();
        NewProduct {
            slug: self.slug.map(Slug::into_string),
            fields: ProductFields {
                sku: self.sku.into_string(),
                title: self.title.into_string(),
                short_description: self.short_description.into_string(),
                description: self.description.into_string(),
                full_story: self.full_story.into_string(),
                price_minor: self.price.0,
                compare_at_minor: self.compare_at_price.map(|price| price.0),
                category_id: self.category_id,
                vendor: self.vendor.map(Line::into_string),
                tags: self.tags.into_iter().map(Line::into_string).collect(),
                weight_grams: self.weight.map(Whole::get),
                width: dimensions.width,
                length: dimensions.length,
                dimension_unit: dimensions.unit,
                weave_origin: self.weave_origin.into_string(),
                care_instructions: self.care_instructions.into_string(),
                dispatch_time: self.dispatch_time.into_string(),
                is_featured: self.is_featured,
                is_limited: self.is_limited,
                is_active: self.is_active.unwrap_or(true),
                metadata: self.metadata.unwrap_or_default().into_value(),
            },
            images: self
                .images
                .into_iter()
                .enumerate()
                .map(|(i, image)| {
                    let default = if i == 0 { ImageType::Main } else { ImageType::Detail };
                    (image.url.into_string(), image.alt.into_string(), image.r#type.unwrap_or(default))
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
                    inventory: variant.inventory.get(),
                    image_url: variant.image.map(Text::into_string),
                })
                .collect(),
            inventory: self.inventory.get(),
        }
    }
}

impl UpdateProduct {
    /// Refuses what serde cannot refuse, all of it at once.
    pub(super) fn check(&self) -> Result<()> {
        let mut faults = Faults::default();
        faults.details(&Details {
            slug: self.slug.as_ref().map(Slug::as_str),
            price: self.price,
            compare_at_price: self.compare_at_price.flatten(),
            tags: self.tags.as_ref().map_or(0, Vec::len),
            dimensions: self.dimensions.as_ref().and_then(Option::as_ref),
        });
        faults.finish()
    }

    pub(super) fn into_change(self) -> ProductChange {
        ProductChange {
            sku: self.sku.map(Line::into_string),
            title: self.title.map(Line::into_string),
            slug: self.slug.map(Slug::into_string),
            short_description: self.short_description.map(Prose::into_string),
            description: self.description.map(Prose::into_string),
            full_story: self.full_story.map(Prose::into_string),
            price_minor: self.price.map(|price| price.0),
            compare_at_minor: self.compare_at_price.map(|price| price.map(|price| price.0)),
            category_id: self.category_id,
            vendor: self.vendor.map(|vendor| vendor.map(Line::into_string)),
            tags: self.tags.map(|tags| tags.into_iter().map(Line::into_string).collect()),
            weight_grams: self.weight.map(|weight| weight.map(Whole::get)),
            dimensions: self.dimensions.map(|dimensions| {
                let Dimensions { width, length, unit } = dimensions.unwrap_or_default();
                Measures { width, length, unit }
            }),
            weave_origin: self.weave_origin.map(Prose::into_string),
            care_instructions: self.care_instructions.map(Prose::into_string),
            dispatch_time: self.dispatch_time.map(Prose::into_string),
            is_featured: self.is_featured,
            is_limited: self.is_limited,
            is_active: self.is_active,
            metadata: self.metadata.map(|metadata| metadata.unwrap_or_default().into_value()),
        }
    }
}
