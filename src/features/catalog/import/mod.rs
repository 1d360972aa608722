//! Reading a shop's products out of a file another shop system wrote.
//!
//! * [`model`] — what every such file is read into: [`ImportedProduct`] and
//!   the problems found on the way.
//! * [`shopify`] — the product CSV that Shopify exports, in each of the three
//!   header generations in circulation.
//!
//! The rest are the parts of that reader: `table` turns bytes into rows, `group`
//! and `product` put the rows of one product together,
//! `number` and `text` read single cells. Nothing here knows the database:
//! a file can be checked without storing anything.

mod group;
pub mod model;
mod number;
mod product;
pub mod shopify;
mod table;
mod text;

pub use model::{
    FileProblem, ImportedImage, ImportedOption, ImportedProduct, ImportedVariant, ProductGroup, RowProblem, Severity,
};
pub use shopify::{ProductReader, read};
