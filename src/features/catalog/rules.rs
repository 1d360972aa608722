//! What a product and its variants must be, for those who create and those who change them. Collects what serde cannot
//! check.

use serde_json::Value;

use super::model::{Dimensions, OptionValue};
use crate::platform::error::{Error, FieldError, Result};
use crate::platform::money::Amount;
use crate::platform::text::slugify;

/// Units of stock that a variant may begin with.
const MAX_STOCK: i32 = 1_000_000;

/// Variants of one product.
pub(super) const MAX_VARIANTS: usize = 250;

/// Tags of one product.
pub(super) const MAX_TAGS: usize = 100;

/// Grams: ten tonnes.
const MAX_WEIGHT: i32 = 10_000_000;

/// Words that would name another route: `/products/search` is no product.
pub(super) const RESERVED_PRODUCTS: &[&str] = &["search", "suggestions"];

/// As [`RESERVED_PRODUCTS`].
pub(super) const RESERVED_CATEGORIES: &[&str] = &["order"];

/// What is wrong, so that all of it is told at once.
#[derive(Default)]
pub(super) struct Faults(Vec<FieldError>);

impl Faults {
    pub(super) fn check(&mut self, ok: bool, field: &str, message: &str) {
        if !ok {
            self.0.push(FieldError::new(field, message));
        }
    }

    pub(super) fn text(&mut self, field: &str, text: Option<&String>, max: usize) {
        let fits = text.is_none_or(|text| text.chars().count() <= max);
        self.check(fits, field, &format!("must have at most {max} characters"));
    }

    pub(super) fn weight(&mut self, field: &str, grams: Option<i32>) {
        let fits = grams.is_none_or(|grams| (0..=MAX_WEIGHT).contains(&grams));
        self.check(fits, field, "must be between 0 and 10000000 grams");
    }

    pub(super) fn stock(&mut self, field: &str, units: i32) {
        self.check((0..=MAX_STOCK).contains(&units), field, "must be between 0 and 1000000");
    }

    pub(super) fn image(&mut self, field: &str, url: Option<&str>) {
        self.check(url.is_none_or(is_image_url), field, "must be an http or https address");
    }

    /// The price before a reduction, where both are given.
    pub(super) fn compare_at(&mut self, field: &str, compare_at: Option<Amount>, price: Option<Amount>) {
        let fits = compare_at.zip(price).is_none_or(|(before, now)| before > now);
        self.check(fits, field, "must be above the price");
    }

    /// A slug that somebody chose.
    pub(super) fn slug(&mut self, slug: Option<&str>, reserved: &[&str]) {
        let Some(slug) = slug else { return };
        let fits = !slug.is_empty() && slug == slugify(slug);
        self.check(fits, "slug", "must have lower-case letters and digits, joined by single hyphens");
        self.check(!reserved.contains(&slug), "slug", "is a word that this shop's addresses need for something else");
    }

    /// Options of a variant that has some.
    pub(super) fn options(&mut self, field: &str, options: &[OptionValue]) {
        let fits = (1..=3).contains(&options.len())
            && options.iter().all(|option| {
                (1..=60).contains(&option.name.chars().count()) && (1..=120).contains(&option.value.chars().count())
            });
        self.check(fits, field, "must be one to three, each with a name and a value");
        let twice = (1..options.len()).any(|i| options[..i].iter().any(|other| other.name == options[i].name));
        self.check(!twice, field, "must not have the same name twice");
    }

    /// What all products have in common.
    pub(super) fn details(&mut self, details: &Details<'_>) {
        self.text("shortDescription", details.short_description, 1000);
        self.text("description", details.description, 50_000);
        self.text("fullStory", details.full_story, 50_000);
        self.text("weaveOrigin", details.weave_origin, 200);
        self.text("careInstructions", details.care_instructions, 2000);
        self.text("dispatchTime", details.dispatch_time, 200);
        self.check(details.tags <= MAX_TAGS, "tags", "must be at most 100");
        self.weight("weight", details.weight);
        self.compare_at("compareAtPrice", details.compare_at_price, details.price);
        self.slug(details.slug, RESERVED_PRODUCTS);
        self.check(
            details.metadata.is_none_or(|value| value.is_object() && value.to_string().len() <= 16_384),
            "metadata",
            "must be an object of at most 16 KB",
        );
        self.check(
            details.dimensions.is_none_or(|d| {
                d.unit.chars().count() <= 20
                    && [d.width, d.length].into_iter().flatten().all(|n| n.is_finite() && (0.0..1e6).contains(&n))
            }),
            "dimensions",
            "must have sizes between 0 and 1000000 and a short unit",
        );
    }

    pub(super) fn finish(self) -> Result<()> {
        if self.0.is_empty() { Ok(()) } else { Err(Error::Validation(self.0)) }
    }
}

/// What a request says about a product. What is none stays as it is, or gets its default.
#[derive(Debug, Default)]
pub(super) struct Details<'a> {
    pub slug: Option<&'a str>,
    pub short_description: Option<&'a String>,
    pub description: Option<&'a String>,
    pub full_story: Option<&'a String>,
    pub price: Option<Amount>,
    pub compare_at_price: Option<Amount>,
    /// How many.
    pub tags: usize,
    pub weight: Option<i32>,
    pub dimensions: Option<&'a Dimensions>,
    pub weave_origin: Option<&'a String>,
    pub care_instructions: Option<&'a String>,
    pub dispatch_time: Option<&'a String>,
    pub metadata: Option<&'a Value>,
}

pub(super) fn is_image_url(url: &str) -> bool {
    url.starts_with("/media/") || url::Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"))
}

/// Options without white space around their words.
pub(super) fn trimmed(options: Vec<OptionValue>) -> Vec<OptionValue> {
    let trim = |text: String| text.trim().to_owned();
    options.into_iter().map(|option| OptionValue { name: trim(option.name), value: trim(option.value) }).collect()
}

/// Whether all have the same options in the same order.
pub(super) fn have_same_names(one: &[OptionValue], other: &[OptionValue]) -> bool {
    one.len() == other.len() && one.iter().zip(other).all(|(one, other)| one.name == other.name)
}

/// The names of options, as a person reads them.
pub(super) fn names(options: &[OptionValue]) -> String {
    options.iter().map(|option| option.name.as_str()).collect::<Vec<_>>().join(", ")
}
