//! What a product and its variants must be, for those who create and those who change them. Collects what serde cannot
//! check.

use std::collections::HashSet;
use std::fmt::Display;
use std::str::FromStr;

use serde::Deserialize;
use serde_json::{Value, json};

use super::model::{Dimensions, OptionValue};
use crate::platform::checked::{Line, Whole, is_unfit_for_line};
use crate::platform::error::{Error, FieldError, Result};
use crate::platform::money::Amount;
use crate::platform::text::Text;

/// An article number of a product or a variant.
pub(super) type Sku = Line<1, 64>;

/// What a product is called.
pub(super) type Title = Line<1, 200>;

/// Who makes or supplies a product.
pub(super) type Vendor = Line<1, 120>;

/// A tag of a product.
pub(super) type Tag = Line<1, 60>;

/// EAN, UPC or similar.
pub(super) type Barcode = Line<1, 64>;

/// The address of a picture.
pub(super) type ImageUrl = Text<1, 2000>;

/// What a category is called.
pub(super) type CategoryName = Line<1, 120>;

/// Units of stock that a variant may begin with.
pub(super) type Stock = Whole<0, 1_000_000>;

/// A weight: up to ten tonnes.
pub(super) type Grams = Whole<0, 10_000_000>;

/// What a shop keeps about a product beside its fields: an object of at most 16 KB.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Value")]
pub(super) struct Metadata(Value);

impl Default for Metadata {
    fn default() -> Self {
        Self(json!({}))
    }
}

impl Metadata {
    pub(super) fn into_value(self) -> Value {
        self.0
    }
}

impl TryFrom<Value> for Metadata {
    type Error = &'static str;

    fn try_from(value: Value) -> Result<Self, Self::Error> {
        let fits = value.is_object() && value.to_string().len() <= 16_384;
        if fits { Ok(Self(value)) } else { Err("must be an object of at most 16 KB") }
    }
}

/// Variants of one product.
pub(super) const MAX_VARIANTS: usize = 250;

/// Tags of one product.
pub(super) const MAX_TAGS: usize = 100;

/// Pictures of one product.
pub(super) const MAX_IMAGES: usize = crate::features::media::MAX_IMAGES;

/// Words that would name another route: `/products/search` is no product.
pub(super) const RESERVED_PRODUCTS: &[&str] = &["search", "suggestions"];

/// As [`RESERVED_PRODUCTS`].
pub(super) const RESERVED_CATEGORIES: &[&str] = &["order"];

/// Whether a slug could never be reached: a word that an address needs, or something that is read as an id.
pub(super) fn is_reserved(slug: &str, reserved: &[&str]) -> bool {
    reserved.contains(&slug) || uuid::Uuid::try_parse(slug).is_ok()
}

/// What is wrong, so that all of it is told at once.
#[derive(Default)]
pub(super) struct Faults(Vec<FieldError>);

impl Faults {
    pub(super) fn check(&mut self, ok: bool, field: &str, message: &str) {
        if !ok {
            self.0.push(FieldError::new(field, message));
        }
    }

    /// Something that has to be valid.
    pub(super) fn valid<T>(&mut self, field: &str, value: std::result::Result<T, impl Display>) {
        if let Err(message) = value {
            self.0.push(FieldError::new(field, message.to_string()));
        }
    }

    /// A text that has to be a valid `T`.
    pub(super) fn parse<T: FromStr<Err: Display>>(&mut self, field: &str, text: &str) {
        self.valid(field, text.parse::<T>());
    }

    pub(super) fn image(&mut self, field: &str, url: Option<&str>) {
        if let Some(Err(reason)) = url.map(check_image_url) {
            self.0.push(FieldError::new(field, format!("must be an http or https address; this one {reason}")));
        }
    }

    /// The addresses of a product's pictures.
    pub(super) fn images<'a>(&mut self, urls: impl ExactSizeIterator<Item = &'a str>) {
        self.check(urls.len() <= MAX_IMAGES, "images", "must be at most 10");
        for (i, url) in urls.enumerate().take(MAX_IMAGES) {
            self.image(&format!("images[{i}].url"), Some(url));
        }
    }

    /// Variants that have options.
    pub(super) fn variants(&mut self, variants: &[VariantDetails<'_>]) {
        self.check(variants.len() <= MAX_VARIANTS, "variants", "must be at most 250");
        let mut skus = HashSet::new();
        for (i, variant) in variants.iter().enumerate().take(MAX_VARIANTS) {
            let at = |field: &str| format!("variants[{i}].{field}");
            self.options(&at("options"), variant.options);
            let first = variants.first().map_or(&[][..], |first| first.options);
            let fits = have_same_names(first, variant.options);
            self.check(fits, &at("options"), "must have the same names in the same order as the first variant's");
            self.image(&at("image"), variant.image);
            self.compare_at(&at("compareAtPrice"), variant.compare_at_price, Some(variant.price));
            self.check(skus.insert(variant.sku.to_lowercase()), &at("sku"), "is there twice");
        }
    }

    /// The price before a reduction, where both are given.
    pub(super) fn compare_at(&mut self, field: &str, compare_at: Option<Amount>, price: Option<Amount>) {
        let fits = compare_at.zip(price).is_none_or(|(before, now)| before > now);
        self.check(fits, field, "must be above the price");
    }

    /// A slug that somebody chose.
    pub(super) fn slug(&mut self, slug: Option<&str>, reserved: &[&str]) {
        let is_free = slug.is_none_or(|slug| !is_reserved(slug, reserved));
        self.check(is_free, "slug", "is a word that this shop's addresses need for something else");
    }

    /// Options of a variant that has some.
    pub(super) fn options(&mut self, field: &str, options: &[OptionValue]) {
        let fits = (1..=3).contains(&options.len())
            && options.iter().all(|option| {
                (1..=60).contains(&option.name.chars().count()) && (1..=120).contains(&option.value.chars().count())
            });
        self.check(fits, field, "must be one to three, each with a name and a value");
        let unfit = |text: &String| text.contains(is_unfit_for_line);
        let plain = !options.iter().any(|option| unfit(&option.name) || unfit(&option.value));
        self.check(plain, field, "must not contain line breaks, control characters or marks of direction");
        let fold = |option: &OptionValue| option.name.to_lowercase();
        let twice = (1..options.len()).any(|i| options[..i].iter().any(|other| fold(other) == fold(&options[i])));
        self.check(!twice, field, "must not have the same name twice");
    }

    /// What all products have in common.
    pub(super) fn details(&mut self, details: &Details<'_>) {
        self.check(details.tags <= MAX_TAGS, "tags", "must be at most 100");
        self.compare_at("compareAtPrice", details.compare_at_price, details.price);
        self.slug(details.slug, RESERVED_PRODUCTS);
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

    /// All that was found.
    pub(super) fn into_inner(self) -> Vec<FieldError> {
        self.0
    }
}

/// What is said about a variant with options.
#[derive(Debug)]
pub(super) struct VariantDetails<'a> {
    pub sku: &'a str,
    pub options: &'a [OptionValue],
    pub price: Amount,
    pub compare_at_price: Option<Amount>,
    pub image: Option<&'a str>,
}

/// What a request says about a product. What is none stays as it is, or gets its default.
#[derive(Debug, Default)]
pub(super) struct Details<'a> {
    pub slug: Option<&'a str>,
    pub price: Option<Amount>,
    pub compare_at_price: Option<Amount>,
    /// How many.
    pub tags: usize,
    pub dimensions: Option<&'a Dimensions>,
}

/// Whether a picture's address can be used.
pub(super) fn is_image_url(url: &str) -> bool {
    check_image_url(url).is_ok()
}

/// Checks that a picture's address can be used: `http(s)://…`, or `/media/…` for a picture that this shop serves itself.
///
/// # Errors
/// The reason, as the second half of a sentence about the address.
pub(super) fn check_image_url(url: &str) -> std::result::Result<(), &'static str> {
    if url.parse::<ImageUrl>().is_err() {
        return Err("is empty or longer than 2000 characters");
    }
    if url.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err("contains a space or line break; give one address a cell");
    }
    // A browser takes both for steps up the path, which would leave the pictures.
    let is_step_up = |part: &str| part.to_ascii_lowercase().replace("%2e", ".") == "..";
    if url.split(['/', '\\', '?', '#']).any(is_step_up) {
        return Err("has a step up (`..`) in its path");
    }
    if url.starts_with("/media/") {
        return Ok(());
    }
    let Some((scheme, rest)) = url.split_once("://") else { return Err("does not start with http:// or https://") };
    let is_web = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
    if !is_web || !rest.starts_with(|c: char| c.is_alphanumeric() || c == '[') {
        return Err("does not start with http:// or https://");
    }
    match url::Url::parse(url) {
        // They would be told to everybody who sees the product.
        Ok(url) if !url.username().is_empty() || url.password().is_some() => Err("has a user name or password in it"),
        Ok(_) => Ok(()),
        Err(_) => Err("is not a complete address"),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn picture_addresses_are_checked() {
        for good in [
            "https://shop.example/a.jpg?width=15",
            "HTTP://shop.example/a.jpg",
            "https://shop.example/a..b/c...jpg",
            "/media/demo/kente.png",
        ] {
            assert_eq!(check_image_url(good), Ok(()), "{good}");
        }
        let long = format!("https://shop.example/{}", "a".repeat(2000));
        for bad in [
            "",
            "kente.png",
            "ftp://x.example/a",
            "javascript:alert(1)",
            "//cdn.example/a",
            "/media/../etc",
            "/media/a/%2E%2e/etc",
            "/media/..\\etc",
            "https://shop.example/media/../etc",
            "https://",
            "https:///a",
            "https://a.example/x y",
            "https://user:secret@a.example/x.jpg",
            "https://user@a.example/x.jpg",
            "https://[/x.jpg",
            "://x",
            &long,
        ] {
            assert!(check_image_url(bad).is_err(), "{bad}");
        }
    }
}
