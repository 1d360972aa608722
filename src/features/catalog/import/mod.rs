//! Reading a shop's products out of a file, and writing them into one.
//!
//! * [`model`]: what every file is read into, [`ImportedProduct`] and the problems found on the way.
//! * [`shopify`]: the product CSV that Shopify exports, in each of the three header generations in circulation.
//! * [`woocommerce`]: the product CSV that WooCommerce exports.
//! * [`record`]: AGAPE's own format, as CSV ([`record_csv`]) and as lines of JSON ([`record_jsonl`]).
//!
//! The rest are parts of the readers: `table` turns bytes into rows, `checks`, `number`, `text` and `html` read single cells,
//! `group`, `product`, `woo_product` and `woo_variants` put the rows of one product together, `limits` refuses what the API
//! refuses, and `skus` makes article numbers. Nothing here knows the database: a file
//! can be checked without storing anything.

mod checks;
mod group;
mod html;
mod limits;
pub mod model;
mod number;
mod product;
pub mod record;
mod record_columns;
pub mod record_csv;
pub mod record_jsonl;
pub mod shopify;
mod shopify_columns;
pub mod skus;
mod table;
mod text;
mod woo_columns;
mod woo_product;
mod woo_text;
mod woo_variants;
pub mod woocommerce;

use std::fs::File;
use std::io::Read;
use std::path::Path;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use table::Columns as _;

pub use model::{
    FileColumns, FileProblem, ImportedCategory, ImportedImage, ImportedMeasures, ImportedOption, ImportedPrices,
    ImportedProduct, ImportedVariant, ProductGroup, RowProblem, Severity,
};
pub use record::{Record, RecordCategory, RecordImage, RecordVariant};
pub use record_csv::RecordWriter;

/// Which program wrote a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// The product CSV of Shopify.
    Shopify,
    /// The product CSV of WooCommerce.
    WooCommerce,
    /// AGAPE's own product CSV.
    Agape,
    /// AGAPE's own products as lines of JSON.
    Jsonl,
}

impl Format {
    /// All, in the order in which they are offered.
    pub const ALL: [Self; 4] = [Self::Shopify, Self::WooCommerce, Self::Agape, Self::Jsonl];

    /// What the program is called.
    pub fn program(self) -> &'static str {
        match self {
            Self::Shopify => "Shopify",
            Self::WooCommerce => "WooCommerce",
            Self::Agape | Self::Jsonl => "AGAPE",
        }
    }

    /// Its name on the command line and in requests.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Shopify => "shopify",
            Self::WooCommerce => "woocommerce",
            Self::Agape => "agape",
            Self::Jsonl => "jsonl",
        }
    }
}

impl std::str::FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.into_iter().find(|format| format.as_str() == text);
        known.ok_or_else(|| "must be shopify, woocommerce, agape or jsonl".to_owned())
    }
}

/// A file that can be read more than once.
pub trait Source {
    /// What reads it.
    type Reader: Read;

    /// Reads it from its beginning.
    ///
    /// # Errors
    /// When it cannot be opened.
    fn open(&self) -> std::io::Result<Self::Reader>;
}

impl<'a> Source for &'a [u8] {
    type Reader = &'a [u8];

    fn open(&self) -> std::io::Result<Self::Reader> {
        Ok(self)
    }
}

impl Source for &Path {
    type Reader = File;

    fn open(&self) -> std::io::Result<Self::Reader> {
        File::open(self)
    }
}

/// How a file is read.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Which program wrote it; found out where nobody says.
    pub format: Option<Format>,
    /// Decimals of the shop's currency, in which the file's prices are taken to be.
    pub exponent: u32,
    /// For prices that hold only for some days.
    pub today: NaiveDate,
}

/// Which program wrote a file that starts like this.
///
/// # Errors
/// If the file is empty, or no text at all.
pub fn detect(head: &[u8]) -> Result<Format, FileProblem> {
    let text = head.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(head);
    if text.trim_ascii().is_empty() {
        return Err(FileProblem::Empty);
    }
    if text.trim_ascii_start().starts_with(b"{") {
        return Ok(Format::Jsonl);
    }
    table::refuse_other_kinds(head)?;
    let written = table::headings(text)?;
    let headings: Vec<String> = written.iter().map(|heading| table::letters(heading)).collect();
    let has = |heading: &str| headings.iter().any(|own| own == heading);
    let of_woocommerce = headings.iter().filter(|heading| woo_columns::Field::of(heading).is_some()).count();
    let has_meta = written.iter().any(|heading| heading.trim_start().starts_with("Meta: "));
    Ok(if has("slug") && (has("variantprice") || has("variantsku")) {
        Format::Agape
    } else if has("handle") || has("urlhandle") {
        Format::Shopify
    } else if of_woocommerce >= 3 || has_meta {
        Format::WooCommerce
    } else if ["variantprice", "variantsku", "bodyhtml", "option1name"].into_iter().any(has) {
        Format::Shopify
    } else {
        return Err(FileProblem::UnknownHeadings { found: table::shown(&written) });
    })
}

/// Checks that a file which starts like this can be one of products, and finds out of which program.
///
/// # Errors
/// If it cannot.
pub fn check_head(head: &[u8], format: Option<Format>) -> Result<Format, FileProblem> {
    let found = detect(head)?;
    let format = format.unwrap_or(found);
    match format {
        Format::Shopify => drop(table::Table::<_, shopify_columns::Field>::open(head)?),
        Format::WooCommerce => drop(table::Table::<_, woo_columns::Field>::open(head)?),
        Format::Agape => drop(table::Table::<_, record_columns::Field>::open(head)?),
        Format::Jsonl if found == Format::Jsonl => {}
        Format::Jsonl => {
            let advice = "Leave the format out, so that it is found from the file.";
            return Err(FileProblem::NotJson { advice });
        }
    }
    Ok(format)
}

/// The products of a file, one at a time. An `Err` item is the last one.
#[derive(Debug)]
pub enum Products<R: Read> {
    /// Of Shopify.
    Shopify(Box<shopify::ProductReader<R>>),
    /// Of WooCommerce.
    WooCommerce(Box<woocommerce::ProductReader<R>>),
    /// Of AGAPE.
    Agape(Box<record_csv::ProductReader<R>>),
    /// Of AGAPE.
    Jsonl(Box<record_jsonl::ProductReader<R>>),
}

/// Opens a file of products.
///
/// # Errors
/// If it is not one or has no rows.
pub fn read<S: Source>(source: &S, options: &Options) -> Result<Products<S::Reader>, FileProblem> {
    let format = match options.format {
        Some(format) => format,
        None => {
            let mut head = Vec::new();
            source.open()?.take(table::SNIFF_BYTES).read_to_end(&mut head)?;
            detect(&head)?
        }
    };
    Ok(match format {
        Format::Shopify => Products::Shopify(Box::new(shopify::read(source.open()?, options.exponent)?)),
        Format::WooCommerce => Products::WooCommerce(Box::new(woocommerce::read(source, options)?)),
        Format::Agape => Products::Agape(Box::new(record_csv::read(source.open()?, options.exponent)?)),
        Format::Jsonl => Products::Jsonl(Box::new(record_jsonl::read(source.open()?, options.exponent))),
    })
}

impl<R: Read> Products<R> {
    /// The number of the last row read so far.
    pub fn rows(&self) -> u64 {
        match self {
            Self::Shopify(reader) => reader.rows(),
            Self::WooCommerce(reader) => reader.rows(),
            Self::Agape(reader) => reader.rows(),
            Self::Jsonl(reader) => reader.rows(),
        }
    }

    /// About how many bytes of the file have been read.
    pub fn bytes(&self) -> u64 {
        match self {
            Self::Shopify(reader) => reader.bytes(),
            Self::WooCommerce(reader) => reader.bytes(),
            Self::Agape(reader) => reader.bytes(),
            Self::Jsonl(reader) => reader.bytes(),
        }
    }
}

impl<R: Read> Iterator for Products<R> {
    type Item = Result<ProductGroup, FileProblem>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Shopify(reader) => reader.next(),
            Self::WooCommerce(reader) => reader.next(),
            Self::Agape(reader) => reader.next(),
            Self::Jsonl(reader) => reader.next(),
        }
    }
}
