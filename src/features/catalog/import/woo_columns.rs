//! The columns of WooCommerce's product CSV.

use super::table::Columns;

/// How many attributes a product may have.
pub(super) const MAX_ATTRIBUTES: usize = 40;

/// Every column that is read, with the headings it goes by.
macro_rules! fields {
    ($($name:ident: $($heading:literal)|+;)+) => {
        /// Attributes are numbered from 0.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Field { $($name,)+ AttributeName(usize), AttributeValues(usize) }
        const FIELDS: &[(Field, &[&str])] = &[$((Field::$name, &[$($heading),+])),+];
    };
}

fields! {
    Id: "id";
    Type: "type";
    Sku: "sku";
    Gtin: "gtinupceanorisbn" | "gtin";
    Name: "name";
    Published: "published";
    Featured: "isfeatured" | "featured";
    Visibility: "visibilityincatalog" | "catalogvisibility";
    Short: "shortdescription";
    Description: "description";
    SaleFrom: "datesalepricestarts";
    SaleTo: "datesalepriceends";
    InStock: "instock";
    Stock: "stock";
    Weight: "weight" | "weightkg" | "weightg" | "weightlbs" | "weightlb" | "weightoz";
    Length: "length" | "lengthm" | "lengthcm" | "lengthmm" | "lengthin" | "lengthyd";
    Width: "width" | "widthm" | "widthcm" | "widthmm" | "widthin" | "widthyd";
    SalePrice: "saleprice";
    Price: "regularprice" | "price";
    Categories: "categories";
    Tags: "tags";
    Images: "images";
    Parent: "parent";
    Position: "position";
    Brands: "brands";
}

impl Columns for Field {
    const COUNT: usize = FIELDS.len() + 2 * MAX_ATTRIBUTES;

    fn slot(self) -> usize {
        match self {
            Self::AttributeName(n) => FIELDS.len().saturating_add(n.saturating_mul(2)),
            Self::AttributeValues(n) => FIELDS.len().saturating_add(n.saturating_mul(2)).saturating_add(1),
            plain => FIELDS.iter().position(|(field, _)| *field == plain).unwrap_or(usize::MAX),
        }
    }

    fn of(heading: &str) -> Option<Self> {
        if let Some(rest) = heading.strip_prefix("attribute") {
            let kind = rest.trim_start_matches(|c: char| c.is_ascii_digit());
            let number: usize = rest.get(..rest.len().saturating_sub(kind.len()))?.parse().ok()?;
            let n = number.checked_sub(1).filter(|n| *n < MAX_ATTRIBUTES)?;
            return match kind {
                "name" => Some(Self::AttributeName(n)),
                "value" | "values" => Some(Self::AttributeValues(n)),
                _ => None,
            };
        }
        FIELDS.iter().find(|(_, names)| names.contains(&heading)).map(|(field, _)| *field)
    }

    fn missing(has: &dyn Fn(Self) -> bool) -> Vec<&'static str> {
        let needed = [(Self::Name, "Name"), (Self::Price, "Regular price")];
        needed.into_iter().filter(|(field, _)| !has(*field)).map(|(_, name)| name).collect()
    }
}
