//! The columns of AGAPE's own product CSV, in the order in which they are written.

use super::Format;
use super::table::{Columns, letters};

/// A column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Slug,
    Sku,
    Title,
    ShortDescription,
    Description,
    FullStory,
    Currency,
    Price,
    CompareAtPrice,
    Category,
    CategoryNames,
    Vendor,
    Tags,
    Weight,
    Width,
    Length,
    DimensionUnit,
    WeaveOrigin,
    CareInstructions,
    DispatchTime,
    Featured,
    Limited,
    Active,
    Restore,
    Metadata,
    OptionName(usize),
    OptionValue(usize),
    VariantSku,
    VariantPrice,
    VariantCompareAtPrice,
    VariantBarcode,
    VariantWeight,
    VariantImage,
    VariantStock,
    ImageUrl,
    ImageAlt,
    ImageType,
}

/// The columns with their headings, in their order. Those up to the metadata stand in a product's first row only.
pub(super) const FIELDS: [(Field, &str); 41] = [
    (Field::Slug, "Slug"),
    (Field::Sku, "SKU"),
    (Field::Title, "Title"),
    (Field::ShortDescription, "Short Description"),
    (Field::Description, "Description"),
    (Field::FullStory, "Full Story"),
    (Field::Currency, "Currency"),
    (Field::Price, "Price"),
    (Field::CompareAtPrice, "Compare-at Price"),
    (Field::Category, "Category"),
    (Field::CategoryNames, "Category Names"),
    (Field::Vendor, "Vendor"),
    (Field::Tags, "Tags"),
    (Field::Weight, "Weight (g)"),
    (Field::Width, "Width"),
    (Field::Length, "Length"),
    (Field::DimensionUnit, "Dimension Unit"),
    (Field::WeaveOrigin, "Weave Origin"),
    (Field::CareInstructions, "Care Instructions"),
    (Field::DispatchTime, "Dispatch Time"),
    (Field::Featured, "Featured"),
    (Field::Limited, "Limited"),
    (Field::Active, "Active"),
    (Field::Restore, "Restore"),
    (Field::Metadata, "Metadata"),
    (Field::OptionName(0), "Option 1 Name"),
    (Field::OptionValue(0), "Option 1 Value"),
    (Field::OptionName(1), "Option 2 Name"),
    (Field::OptionValue(1), "Option 2 Value"),
    (Field::OptionName(2), "Option 3 Name"),
    (Field::OptionValue(2), "Option 3 Value"),
    (Field::VariantSku, "Variant SKU"),
    (Field::VariantPrice, "Variant Price"),
    (Field::VariantCompareAtPrice, "Variant Compare-at Price"),
    (Field::VariantBarcode, "Variant Barcode"),
    (Field::VariantWeight, "Variant Weight (g)"),
    (Field::VariantImage, "Variant Image"),
    (Field::VariantStock, "Variant Stock"),
    (Field::ImageUrl, "Image URL"),
    (Field::ImageAlt, "Image Alt Text"),
    (Field::ImageType, "Image Type"),
];

impl Columns for Field {
    const COUNT: usize = FIELDS.len();
    const EXACT: bool = true;

    fn slot(self) -> usize {
        FIELDS.iter().position(|(field, _)| *field == self).unwrap_or(usize::MAX)
    }

    fn of(heading: &str) -> Option<Self> {
        FIELDS.iter().find(|(_, own)| letters(own) == heading).map(|(field, _)| *field)
    }

    fn named(path: &str) -> Option<Self> {
        Some(match path {
            "slug" => Self::Slug,
            "sku" => Self::Sku,
            "title" => Self::Title,
            "shortDescription" => Self::ShortDescription,
            "description" => Self::Description,
            "fullStory" => Self::FullStory,
            "compareAtPrice" => Self::CompareAtPrice,
            "category" => Self::Category,
            "vendor" => Self::Vendor,
            "tags" => Self::Tags,
            "weight" => Self::Weight,
            "dimensions" => Self::DimensionUnit,
            "weaveOrigin" => Self::WeaveOrigin,
            "careInstructions" => Self::CareInstructions,
            "dispatchTime" => Self::DispatchTime,
            "metadata" => Self::Metadata,
            "images.url" => Self::ImageUrl,
            "images.alt" => Self::ImageAlt,
            "variants.sku" => Self::VariantSku,
            "variants.options" => Self::OptionValue(0),
            "variants.compareAtPrice" => Self::VariantCompareAtPrice,
            "variants.barcode" => Self::VariantBarcode,
            "variants.weight" => Self::VariantWeight,
            "variants.image" => Self::VariantImage,
            "variants.inventory" => Self::VariantStock,
            _ => return None,
        })
    }

    const FORMAT: Format = Format::Agape;

    fn missing(has: &dyn Fn(Self) -> bool) -> Vec<&'static str> {
        let needed = [(Self::Slug, "Slug"), (Self::Title, "Title"), (Self::VariantPrice, "Variant Price")];
        needed.into_iter().filter(|(field, _)| !has(*field)).map(|(_, name)| name).collect()
    }

    fn advice(_: &[String]) -> &'static str {
        "Export the products again, and keep these columns."
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_is_documented_in_its_order() {
        let document = include_str!("../../../../docs/import.md");
        let rows = document.lines().filter_map(|line| line.strip_prefix("| ")?.split(" |").next());
        let documented: Vec<&str> = rows.filter(|heading| *heading != "column").collect();
        let columns: Vec<&str> = FIELDS.iter().map(|(_, heading)| *heading).collect();
        assert_eq!(documented, columns);
    }

    #[test]
    fn every_column_has_a_place_and_a_heading_of_its_own() {
        for (n, (field, heading)) in FIELDS.iter().enumerate() {
            assert_eq!(field.slot(), n);
            assert_eq!(Field::of(&letters(heading)), Some(*field));
        }
    }
}
