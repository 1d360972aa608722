//! One product's rows, taken in one by one: its title, pictures and variants.
//! What belongs to the product as a whole is in [`super::product`].

use std::io::Read;

use super::model::{ImportedImage, ImportedVariant, RowProblem, Severity};
use super::shopify::File;
use super::table::{Field, Row};
use super::{number, text};

const MAX_TITLE: usize = 200;
const MAX_SKU: usize = 64;
/// The longest tag, article number, option value and the like.
pub(super) const MAX_NAME: usize = 200;

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
    pub(super) problems: Vec<RowProblem>,
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
            problems: Vec::new(),
            broken: false,
            noted_stock: false,
        }
    }

    fn report(&mut self, severity: Severity, row: u64, field: Option<Field>, message: String) {
        let column = field.and_then(|field| self.file.table.heading(field));
        self.problems.push(RowProblem { row, column: column.map(str::to_owned), severity, message });
    }

    pub(super) fn error(&mut self, row: u64, field: Option<Field>, message: impl Into<String>) {
        self.report(Severity::Error, row, field, message.into());
    }

    pub(super) fn warn(&mut self, row: u64, field: Option<Field>, message: impl Into<String>) {
        self.report(Severity::Warning, row, field, message.into());
    }

    pub(super) fn add(&mut self, row: &mut Row) {
        let broken = !row.problems.is_empty();
        self.problems.append(&mut row.problems);
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

    fn add_handle(&mut self, row: &Row) {
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

    fn add_title(&mut self, row: &Row) {
        let field = Some(Field::Title);
        let title = text::line(row.get(Field::Title));
        if title.is_empty() || title == self.title {
            return;
        }
        if !self.title.is_empty() {
            let message =
                format!("The title differs from the product's title “{}”, which is kept.", shorten(&self.title));
            self.warn(row.number, field, message);
            return;
        }
        let length = title.chars().count();
        if length > MAX_TITLE {
            let message = format!("The title has {length} characters; at most {MAX_TITLE} are allowed.");
            self.error(row.number, field, message);
        }
        if text::looks_like_formula(&title) {
            self.warn(row.number, field, "The title looks like a spreadsheet formula. It is kept as text; check it.");
        }
        self.title = title;
    }

    /// Whether the row gave the product a picture.
    fn add_image(&mut self, row: &Row) -> bool {
        let Some(url) = self.image_url(row, Field::ImageUrl) else {
            return false;
        };
        if self.images.iter().any(|image| image.url == url) {
            return false;
        }
        let next = u32::try_from(self.images.len().saturating_add(1)).unwrap_or(u32::MAX);
        // Anything but a number from 1 on means “after those before it”.
        let position = row.get(Field::ImagePosition).parse().unwrap_or(next);
        let alt = text::line(row.get(Field::ImageAlt));
        self.images.push(ImportedImage { row: row.number, url, alt: some(alt), position: position.max(1) });
        true
    }

    fn image_url(&mut self, row: &Row, field: Field) -> Option<String> {
        let url = row.get(field);
        if url.is_empty() {
            return None;
        }
        if let Err(reason) = text::check_image_url(url) {
            let message = format!("The picture's address {reason}; it is left out.");
            self.warn(row.number, Some(field), message);
            return None;
        }
        Some(url.to_owned())
    }

    fn add_variant(&mut self, row: &Row) {
        let mut values: [String; 3] = Default::default();
        for ((kept, value), (name_field, value_field)) in self.option_names.iter_mut().zip(&mut values).zip(OPTIONS) {
            let name = text::line(row.get(name_field));
            if kept.is_empty() {
                *kept = name;
            }
            *value = text::line(row.get(value_field));
        }
        let price_minor = self.price(row);
        let compare_at_minor = self.compare_at(row, price_minor);
        let draft = Draft {
            variant: ImportedVariant {
                row: row.number,
                sku: self.sku(row),
                options: Vec::new(),
                price_minor: price_minor.unwrap_or_default(),
                compare_at_minor,
                on_hand: self.on_hand(row),
                weight_grams: self.weight(row),
                barcode: self.barcode(row),
                image_url: self.image_url(row, Field::VariantImage),
            },
            values,
        };
        self.drafts.push(draft);
    }

    fn price(&mut self, row: &Row) -> Option<i64> {
        let field = Field::Price;
        if row.get(field).is_empty() {
            self.error(row.number, Some(field), "The variant has no price.");
            return None;
        }
        let minor = self.amount(row, field)?;
        if minor == 0 {
            self.warn(row.number, Some(field), "The price is 0: customers would get it for nothing. Check it.");
        }
        Some(minor)
    }

    fn compare_at(&mut self, row: &Row, price: Option<i64>) -> Option<i64> {
        let field = Field::CompareAt;
        if row.get(field).is_empty() {
            return None;
        }
        let minor = self.amount(row, field)?;
        let price = price?;
        if minor > price {
            return Some(minor);
        }
        if minor != 0 {
            self.warn(row.number, Some(field), "The price to compare with is not above the price; it is left out.");
        }
        None
    }

    fn amount(&mut self, row: &Row, field: Field) -> Option<i64> {
        let written = row.get(field);
        match number::amount(written, self.file.exponent) {
            Ok(amount) => {
                if let Some(mark) = amount.mark
                    && self.file.marks.insert(mark.clone())
                {
                    let message = format!(
                        "Amounts carry the mark “{mark}”. It is not read: every amount is \
                             taken to be in the shop's own currency. (Said once a file.)"
                    );
                    self.warn(row.number, Some(field), message);
                }
                Some(amount.minor)
            }
            Err(reason) => {
                let message = format!("“{}” {reason}.", shorten(written));
                self.error(row.number, Some(field), message);
                None
            }
        }
    }

    fn on_hand(&mut self, row: &Row) -> i32 {
        let field = Field::Quantity;
        let written = row.get(field);
        let quantity = match written {
            "" => 0,
            written => match number::quantity(written) {
                Ok(quantity) => quantity,
                Err(reason) => {
                    let message = format!("“{}” {reason}.", shorten(written));
                    self.error(row.number, Some(field), message);
                    return 0;
                }
            },
        };
        if quantity < 0 {
            let message = format!("{quantity} in stock: more were sold than there were. Taken as 0.");
            self.warn(row.number, Some(field), message);
        }
        // Shopify sells what it does not count without end; here it is 0.
        let tracker = Field::Tracker;
        let uncounted = self.file.table.heading(tracker).is_some() && row.get(tracker).is_empty();
        if quantity == 0 && uncounted && !self.noted_stock {
            self.noted_stock = true;
            self.warn(
                row.number,
                Some(field),
                "Shopify does not count this product's stock, and the quantity is 0: it will \
                 be sold out here until a quantity is set. (Said once a product.)",
            );
        }
        quantity.max(0)
    }

    fn sku(&mut self, row: &Row) -> Option<String> {
        let field = Field::Sku;
        let sku = self.short(row, field, text::code(row.get(field)))?;
        let length = sku.chars().count();
        if length > MAX_SKU {
            let message = format!("The article number has {length} characters; at most {MAX_SKU} are allowed.");
            self.error(row.number, Some(field), message);
            return None;
        }
        if number::is_ruined(&sku) {
            self.warn(row.number, Some(field), "A spreadsheet seems to have rewritten this article number. Check it.");
        }
        if let Some(first) = self.file.skus.get(&sku).copied() {
            let message = format!(
                "The article number “{}” already stands in row {first}. \
                 Give each variant its own, or none.",
                shorten(&sku)
            );
            self.error(row.number, Some(field), message);
        } else {
            self.file.skus.insert(sku.clone(), row.number);
        }
        Some(sku)
    }

    fn barcode(&mut self, row: &Row) -> Option<String> {
        let field = Field::Barcode;
        let barcode = text::code(row.get(field));
        if number::is_ruined(&barcode) {
            let message = format!(
                "A spreadsheet has rewritten the barcode as “{barcode}”, and its last digits are \
                 lost. It is left out; format the column as text before saving."
            );
            self.warn(row.number, Some(field), message);
            return None;
        }
        self.short(row, field, barcode)
    }

    fn weight(&mut self, row: &Row) -> Option<i32> {
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

    /// A cell that has to be short; `None` if it is empty.
    pub(super) fn short(&mut self, row: &Row, field: Field, value: String) -> Option<String> {
        if value.chars().count() > MAX_NAME {
            let message = format!("The cell has more than {MAX_NAME} characters. Shorten it.");
            self.error(row.number, Some(field), message);
            return None;
        }
        some(value)
    }
}

/// `None` for an empty text.
pub(super) fn some(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

/// The start of a text, for quoting it in a message.
pub(super) fn shorten(text: &str) -> String {
    match text.char_indices().nth(40) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text.to_owned(),
    }
}
