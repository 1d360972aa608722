//! The columns of Shopify's product CSV, in each of its generations.

use super::Format;
use super::table::Columns;

/// Every column that is read, with the headings it goes by.
macro_rules! fields {
    ($($name:ident: $($heading:literal)|+;)+) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Field { $($name),+ }
        const FIELDS: &[(Field, &[&str])] = &[$((Field::$name, &[$($heading),+])),+];
    };
}

fields! {
    Handle: "handle" | "urlhandle";
    Title: "title";
    Body: "bodyhtml" | "body" | "description";
    Vendor: "vendor";
    ProductCategory: "productcategory" | "standardproducttype" | "standardizedproducttype";
    Type: "type" | "producttype" | "customproducttype";
    Tags: "tags";
    Published: "published" | "publishedononlinestore";
    Status: "status";
    OptionName1: "option1name";
    OptionValue1: "option1value";
    OptionName2: "option2name";
    OptionValue2: "option2value";
    OptionName3: "option3name";
    OptionValue3: "option3value";
    Sku: "variantsku" | "sku";
    Grams: "variantgrams" | "weightvaluegrams";
    Tracker: "variantinventorytracker" | "inventorytracker";
    Quantity: "variantinventoryqty" | "inventoryquantity";
    Price: "variantprice" | "price";
    CompareAt: "variantcompareatprice" | "compareatprice";
    Barcode: "variantbarcode" | "barcode";
    ImageUrl: "imagesrc" | "productimageurl";
    ImagePosition: "imageposition";
    ImageAlt: "imagealttext";
    VariantImage: "variantimage" | "variantimageurl";
    GiftCard: "giftcard";
    WeaveOrigin: "weaveorigin";
    Care: "careinstructions";
    Dispatch: "dispatchtime";
    Short: "shortdescription";
    Featured: "featured";
    Limited: "limited";
    Width: "width";
    Length: "length";
    DimensionUnit: "dimensionunit";
}

/// The fields without which nothing can be read, and what to call them.
const REQUIRED: [(Field, &str); 3] =
    [(Field::Handle, "Handle (or URL handle)"), (Field::Title, "Title"), (Field::Price, "Variant Price (or Price)")];

impl Columns for Field {
    const COUNT: usize = FIELDS.len();

    fn slot(self) -> usize {
        self as usize
    }

    fn of(heading: &str) -> Option<Self> {
        FIELDS.iter().find(|(_, names)| names.contains(&heading)).map(|(field, _)| *field)
    }

    fn named(path: &str) -> Option<Self> {
        Some(match path {
            "slug" => Self::Handle,
            "title" => Self::Title,
            "description" => Self::Body,
            "shortDescription" => Self::Short,
            "vendor" => Self::Vendor,
            "category" => Self::Type,
            "tags" => Self::Tags,
            "weaveOrigin" => Self::WeaveOrigin,
            "careInstructions" => Self::Care,
            "dispatchTime" => Self::Dispatch,
            "dimensions" => Self::DimensionUnit,
            "images.url" => Self::ImageUrl,
            "images.alt" => Self::ImageAlt,
            "variants.sku" => Self::Sku,
            "variants.options" => Self::OptionValue1,
            "variants.compareAtPrice" => Self::CompareAt,
            "variants.barcode" => Self::Barcode,
            "variants.weight" => Self::Grams,
            "variants.image" => Self::VariantImage,
            "variants.inventory" => Self::Quantity,
            _ => return None,
        })
    }

    const FORMAT: Format = Format::Shopify;

    fn missing(has: &dyn Fn(Self) -> bool) -> Vec<&'static str> {
        REQUIRED.into_iter().filter(|(field, _)| !has(*field)).map(|(_, name)| name).collect()
    }

    fn advice(headings: &[String]) -> &'static str {
        let has = |heading: &str| headings.iter().any(|own| own == heading);
        if has("hscode") && has("coo") || has("location") || has("onhandnew") {
            return "It is the file of inventory, which has no prices: export the products instead. \
                    Their file has the stock of a shop with one location.";
        }
        "Export the products again, and keep the heading row as it is."
    }
}
