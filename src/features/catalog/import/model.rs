//! What an import file is read into.
//!
//! **Row numbers** are the numbers a spreadsheet shows beside its rows: the
//! header is row 1, an empty line counts as a row, and a cell that holds line
//! breaks is still part of one row. They are therefore not always the line
//! numbers a text editor shows.

use serde::{Deserialize, Serialize};

/// One product with its variants and pictures, free of errors. A `None` is what the file does not say, because it has no
/// such column: an existing product keeps what it has. An empty text is what the file says to be empty.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImportedProduct {
    /// The product's first row in the file.
    pub row: u64,
    /// The name by which a rerun of the file finds the product again; without one, it is the handle in the shop.
    pub key: Option<String>,
    /// The product's own article number; without one, it is made of the handle.
    pub sku: Option<String>,
    /// The name in the product's address: lower-case `a-z`, `0-9` and `-`.
    pub handle: String,
    /// The product's name.
    pub title: String,
    /// The description as plain text, with paragraphs and line breaks kept.
    /// It is text, not HTML: whoever puts it on a page escapes it.
    pub description: Option<String>,
    /// Who makes or supplies the product.
    pub vendor: Option<String>,
    /// The shop's own category (`Type`), else the last part of
    /// [`category_path`](Self::category_path).
    pub category: Option<String>,
    /// The category to put it in, below those before it.
    pub category_tree: Vec<ImportedCategory>,
    /// `Product Category` split at `>`, from general to particular.
    pub category_path: Vec<String>,
    /// Whether the file says that it is in no category.
    pub is_without_category: bool,
    /// Tags in the file's order, each once.
    pub tags: Option<Vec<String>>,
    /// Whether customers may see it: published, and neither draft nor archived.
    pub is_active: Option<bool>,
    /// Whether a product that was removed from the shop comes back.
    pub restores: bool,
    /// Pictures in the order they are to be shown.
    pub images: Vec<ImportedImage>,
    /// At least one; in the file's order.
    pub variants: Vec<ImportedVariant>,
    /// What the file says of its variants and pictures.
    pub columns: FileColumns,
    /// Where the cloth was woven or made (`Weave Origin`).
    pub weave_origin: Option<String>,
    /// How to look after it (`Care Instructions`).
    pub care_instructions: Option<String>,
    /// How soon it leaves the shop (`Dispatch Time`).
    pub dispatch_time: Option<String>,
    /// One or two sentences for a list of products (`Short Description`).
    pub short_description: Option<String>,
    /// Whether the shop puts it forward (`Featured`).
    pub featured: Option<bool>,
    /// Whether it is a limited edition (`Limited`).
    pub limited: Option<bool>,
    /// How large it is.
    pub measures: Option<ImportedMeasures>,
    /// The long text.
    pub full_story: Option<String>,
    /// The currency of the amounts, where the file says it.
    pub currency: Option<String>,
    /// The product's own prices; without them, those of its cheapest variant.
    pub prices: Option<ImportedPrices>,
    /// A JSON object with what programs want to remember; without one, the shop's stays as it is.
    pub metadata: Option<String>,
}

/// Which columns a file has. An existing product keeps of its variants and pictures what the file has no column for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileColumns {
    /// A variant's price before a reduction. One that is kept and would not be above the price goes.
    pub compare_at: bool,
    /// A variant's EAN, UPC or similar.
    pub barcode: bool,
    /// A variant's weight.
    pub weight: bool,
    /// The picture that shows a variant.
    pub variant_image: bool,
    /// The product's pictures.
    pub images: bool,
}

/// How large a product is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImportedMeasures {
    /// In `unit` (`Width`).
    pub width: Option<f64>,
    /// In `unit` (`Length`).
    pub length: Option<f64>,
    /// As written (`Dimension Unit`); inches when empty.
    pub unit: String,
}

/// What a product itself costs and weighs, beside its variants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportedPrices {
    /// The price in minor units.
    pub price_minor: i64,
    /// The price before a reduction, where the file says it; else the cheapest variant's.
    pub compare_at_minor: Option<Option<i64>>,
    /// Weight in grams, where the file says it; else the cheapest variant's.
    pub weight_grams: Option<Option<i32>>,
}

/// A category on the way to a product's.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ImportedCategory {
    /// What it is called.
    pub name: String,
    /// Its name in addresses, where the file says it.
    pub slug: Option<String>,
}

/// One picture of a product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportedImage {
    /// The row it stands in.
    pub row: u64,
    /// `http://…`, `https://…`, or `/media/…` on this shop itself.
    pub url: String,
    /// What the picture shows, for those who cannot see it.
    pub alt: Option<String>,
    /// `main`, `detail`, `lifestyle` or `texture`, where the file says it.
    pub kind: Option<String>,
    /// Its place among the product's pictures, from 1, without gaps.
    pub position: u32,
}

/// One thing a customer can put in the bag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportedVariant {
    /// The row it stands in.
    pub row: u64,
    /// The shop's own article number; unique within the file.
    pub sku: Option<String>,
    /// Which colour, size and so on; empty for a product without options.
    pub options: Vec<ImportedOption>,
    /// The price in minor units of the shop's currency.
    pub price_minor: i64,
    /// The price before a reduction; always above `price_minor`.
    pub compare_at_minor: Option<i64>,
    /// How many the shop has, where the file says it.
    pub on_hand: Option<i32>,
    /// Weight in grams.
    pub weight_grams: Option<i32>,
    /// EAN, UPC or similar.
    pub barcode: Option<String>,
    /// The picture that shows this variant. It need not be one of the
    /// product's own pictures.
    pub image_url: Option<String>,
}

/// One chosen option of a variant, such as `Size` = `M`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ImportedOption {
    /// The option's name.
    pub name: String,
    /// The value this variant has for it.
    pub value: String,
}

/// All that the file says about one handle.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProductGroup {
    /// The group's first row.
    pub row: u64,
    /// The handle as it would be stored; empty when the file gives none.
    pub handle: String,
    /// The title, when one was found, also of a product that is refused.
    pub title: Option<String>,
    /// The product, unless an error was found in any of its rows: a product
    /// is taken whole or not at all.
    pub product: Option<ImportedProduct>,
    /// What was found, in row order.
    pub problems: Vec<RowProblem>,
}

/// Whether a problem keeps its product out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The product is not imported.
    Error,
    /// The product is imported; the message says what was left out or changed.
    Warning,
}

/// Something wrong in one row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowProblem {
    /// The row, numbered as a spreadsheet numbers it.
    pub row: u64,
    /// The column's heading as the file spells it, if one column is at fault.
    pub column: Option<String>,
    /// Whether the product is refused because of it.
    pub severity: Severity,
    /// What was found and what to do about it.
    pub message: String,
}

/// Why a file as a whole cannot be read (any further).
#[derive(Debug, thiserror::Error)]
pub enum FileProblem {
    /// There is nothing in it.
    #[error("The file is empty. Export the products again and choose CSV.")]
    Empty,
    /// A heading row and nothing below it.
    #[error("The file has a heading row but no products below it.")]
    NoRows,
    /// It is some other kind of file.
    #[error("This is {what}, not a CSV file. {advice}")]
    NotCsv {
        /// What it looks like.
        what: &'static str,
        /// What to do.
        advice: &'static str,
    },
    /// It was said to be lines of JSON.
    #[error("The file does not start like lines of JSON. {advice}")]
    NotJson {
        /// What to do.
        advice: &'static str,
    },
    /// The heading row is not UTF-8 text.
    #[error("The heading row is not UTF-8 text. Save the file as “CSV UTF-8”.")]
    NotUtf8,
    /// Columns without which no product can be read.
    #[error(
        "The file looks like a product file of {program}, but its heading row lacks {}. It has: {}. {advice}",
        .missing.join(", "), .found.join(", ")
    )]
    MissingColumn {
        /// Whose columns they are.
        program: &'static str,
        /// The columns needed and not found.
        missing: Vec<&'static str>,
        /// The headings the file has.
        found: Vec<String>,
        /// What to do.
        advice: &'static str,
    },
    /// Headings of no program that is known.
    #[error(
        "These are not the headings of a product file of Shopify, WooCommerce or AGAPE: {}. \
         Check that it is an export of products, and that its first row is the heading row.",
        .found.join(", ")
    )]
    UnknownHeadings {
        /// The headings the file has.
        found: Vec<String>,
    },
    /// Two columns that would be read as the same thing.
    #[error("The columns “{first}” and “{second}” mean the same. Delete the one that does not apply.")]
    RepeatedColumn {
        /// The heading that comes first.
        first: String,
        /// The heading that repeats it.
        second: String,
    },
    /// A row that never ends.
    #[error(
        "The quotation mark that opens in row {row} is never closed, so nothing from there on can be read. \
         Close it, or write it twice if it belongs to the text."
    )]
    OpenQuote {
        /// The row.
        row: u64,
    },
    /// A row that does not seem to end, which is nearly always an open quote.
    #[error("Row {row} is larger than {limit_mb} MB. A quotation mark that opens there is probably never closed.")]
    RowTooLarge {
        /// The row.
        row: u64,
        /// The limit, in megabytes.
        limit_mb: usize,
    },
    /// The file could not be read to its end.
    #[error("Reading the file failed: {0}")]
    Io(#[from] std::io::Error),
}
