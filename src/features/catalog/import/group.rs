//! One product's rows of a Shopify file, taken in one by one: its title, pictures and variants.
//! What belongs to the product as a whole is in [`super::product`].

use std::io::Read;

use super::checks::{shorten, some};
use super::model::{ImportedImage, ImportedVariant};
use super::number;
use super::shopify::File;
use super::shopify_columns::Field;
use super::table::Row;
use super::text;

/// The three pairs of columns an option can stand in.
pub(super) const OPTIONS: [(Field, Field); 3] = [
    (Field::OptionName1, Field::OptionValue1),
    (Field::OptionName2, Field::OptionValue2),
    (Field::OptionName3, Field::OptionValue3),
];

/// A variant before it is known what its product's options are called.
pub(super) struct Draft {
    pub(super) variant: ImportedVariant,
    pub(super) values: [String; 3],
}

/// A product being put together.
pub(super) struct Group<'a, R: Read> {
    pub(super) file: &'a mut File<R>,
    pub(super) handle: String,
    /// The number of its first row.
    pub(super) first_row: u64,
    pub(super) title: String,
    pub(super) option_names: [String; 3],
    pub(super) images: Vec<ImportedImage>,
    pub(super) drafts: Vec<Draft>,
    /// Whether a row could not be read, and the title may stand there.
    pub(super) broken: bool,
    /// Whether the note that stock is not counted has been made.
    noted_stock: bool,
}

impl<'a, R: Read> Group<'a, R> {
    pub(super) fn new(file: &'a mut File<R>, handle: String, first_row: u64) -> Self {
        Self {
            file,
            handle,
            first_row,
            title: String::new(),
            option_names: Default::default(),
            images: Vec::new(),
            drafts: Vec::new(),
            broken: false,
            noted_stock: false,
        }
    }

    pub(super) fn error(&mut self, row: u64, field: Option<Field>, message: impl Into<String>) {
        self.file.checks.error(row, field, message);
    }

    pub(super) fn warn(&mut self, row: u64, field: Option<Field>, message: impl Into<String>) {
        self.file.checks.warn(row, field, message);
    }

    pub(super) fn add(&mut self, row: &mut Row<Field>) {
        let broken = !row.problems.is_empty();
        self.file.checks.add(&mut row.problems);
        self.add_handle(row);
        if broken {
            self.broken = true;
            // Its cells may stand in the wrong columns: nothing to learn.
            return;
        }
        self.add_title(row);
        let has_image = self.add_image(row);
        let has_options = OPTIONS.iter().any(|(_, value)| !row.get(*value).is_empty());
        if row.number == self.first_row
            || has_options
            || !row.get(Field::Sku).is_empty()
            || !row.get(Field::Price).is_empty()
        {
            self.add_variant(row);
        } else if !has_image && row.get(Field::ImageUrl).is_empty() {
            self.warn(row.number, None, "The row has neither a variant nor a picture and is skipped.");
        }
    }

    fn add_handle(&mut self, row: &Row<Field>) {
        let field = Some(Field::Handle);
        let written = row.get(Field::Handle);
        if written.is_empty() {
            self.error(row.number, field, "The row has no handle. Give all rows of a product the same handle.");
        } else if self.handle.is_empty() {
            let message = format!(
                "“{}” has no letter a-z or digit to make an address of. Write another handle.",
                shorten(written)
            );
            self.error(row.number, field, message);
        }
    }

    fn add_title(&mut self, row: &Row<Field>) {
        let title = text::line(row.get(Field::Title));
        if title.is_empty() || title == self.title {
            return;
        }
        if !self.title.is_empty() {
            let message =
                format!("The title differs from the product's title “{}”, which is kept.", shorten(&self.title));
            self.warn(row.number, Some(Field::Title), message);
            return;
        }
        self.title = self.file.checks.title(row, Field::Title);
    }

    /// Whether the row gave the product a picture.
    fn add_image(&mut self, row: &Row<Field>) -> bool {
        let url = self.file.checks.image_url(row.number, Field::ImageUrl, row.get(Field::ImageUrl));
        let Some(url) = url else {
            return false;
        };
        if self.images.iter().any(|image| image.url == url) {
            return false;
        }
        let next = u32::try_from(self.images.len().saturating_add(1)).unwrap_or(u32::MAX);
        // Anything but a number from 1 on means “after those before it”.
        let position = row.get(Field::ImagePosition).parse().unwrap_or(next);
        let alt = text::line(row.get(Field::ImageAlt));
        self.images.push(ImportedImage { row: row.number, url, alt: some(alt), kind: None, position: position.max(1) });
        true
    }

    fn add_variant(&mut self, row: &Row<Field>) {
        let mut values: [String; 3] = Default::default();
        for ((kept, value), (name_field, value_field)) in self.option_names.iter_mut().zip(&mut values).zip(OPTIONS) {
            let name = text::line(row.get(name_field));
            if kept.is_empty() {
                *kept = name;
            }
            *value = text::line(row.get(value_field));
        }
        let on_hand = self.on_hand(row);
        let weight_grams = self.weight(row);
        let checks = &mut self.file.checks;
        let price_minor = checks.price(row, Field::Price);
        let draft = Draft {
            variant: ImportedVariant {
                row: row.number,
                compare_at_minor: checks.compare_at(row, Field::CompareAt, price_minor),
                sku: checks.sku(row, Field::Sku),
                options: Vec::new(),
                price_minor: price_minor.unwrap_or_default(),
                on_hand,
                weight_grams,
                barcode: checks.barcode(row, Field::Barcode),
                image_url: checks.image_url(row.number, Field::VariantImage, row.get(Field::VariantImage)),
            },
            values,
        };
        self.drafts.push(draft);
    }

    fn on_hand(&mut self, row: &Row<Field>) -> Option<i32> {
        let field = Field::Quantity;
        // Shopify sells what it does not count without end; here it is 0.
        let uncounted = self.file.checks.has(Field::Tracker) && row.get(Field::Tracker).is_empty();
        if !uncounted || !matches!(row.get(field), "" | "0") {
            return self.file.checks.quantity(row, field);
        }
        if !self.noted_stock {
            self.noted_stock = true;
            self.warn(
                row.number,
                Some(field),
                "Shopify does not count this product's stock, and the quantity is 0: it will \
                 be sold out here until a quantity is set. (Said once a product.)",
            );
        }
        None
    }

    fn weight(&mut self, row: &Row<Field>) -> Option<i32> {
        let field = Field::Grams;
        let written = row.get(field);
        if written.is_empty() {
            return None;
        }
        let grams = number::grams(written);
        if grams.is_none() {
            let message = format!("“{}” is not a weight in grams; it is left out.", shorten(written));
            self.warn(row.number, Some(field), message);
        }
        grams.filter(|grams| *grams > 0)
    }
}
